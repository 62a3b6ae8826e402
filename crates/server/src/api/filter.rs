//! The language in which traces are searched, and what it is as SQL.
//!
//! ```text
//! duration > 100ms and gpu.op = "softmax" and not (status = error or service = "warm-up")
//! ```
//!
//! A name is a column of spans (`name`, `service`, `kind`, `status`, `status_message`, `scope`, `duration`, `trace_id`,
//! `span_id`), an attribute of the resource after `resource.`, or an attribute. `=` and `!=` compare text, numbers and truth
//! values, whichever of its names an attribute was sent by (`radiosonde_answers::semconv`), `<`, `<=`, `>` and `>=` numbers and durations (`100ms`), `~` asks whether text is contained. Text in quotes may
//! have anything in it; a word without a comparison is asked for in the span's name.

use super::{rows::literal, semconv::attribute};
use crate::problem::Problem;

/// Deepest nesting of parentheses.
const DEPTH_MAX: usize = 32;
/// Longest filter, in bytes.
const BYTES_MAX: usize = 4096;

const COLUMNS: [&str; 7] = [
    "name",
    "service",
    "kind",
    "status",
    "status_message",
    "scope",
    "duration",
];
const IDENTIFIERS: [&str; 2] = ["trace_id", "span_id"];

/// The condition that a span is one of those that `text` describes.
pub(super) fn condition(text: &str) -> Result<String, Problem> {
    let problem = |message: String| {
        Problem::bad_request(
            message,
            "write filters such as `duration > 100ms and gpu.op = \"softmax\"`",
        )
    };
    if text.len() > BYTES_MAX {
        return Err(problem(format!(
            "the filter is longer than {BYTES_MAX} bytes"
        )));
    }
    let tokens = tokens(text).map_err(problem)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
    };
    let condition = parser.any().map_err(problem)?;
    match parser.peek() {
        None => Ok(condition),
        Some(token) => Err(problem(format!(
            "there is {} where `and`, `or` or the end was expected",
            token.words()
        ))),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Operator(&'static str),
    Open,
    Close,
}

impl Token {
    fn words(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Quoted(text) => format!("\"{text}\""),
            Self::Operator(operator) => format!("`{operator}`"),
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
        }
    }

    fn is_word(&self, wanted: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(wanted))
    }
}

/// Longer ones first, so that `<=` is not `<`.
const OPERATORS: [(&str, &str); 9] = [
    ("!=", "!="),
    ("<=", "<="),
    (">=", ">="),
    ("==", "="),
    ("<>", "!="),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
    ("~", "~"),
];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let operator = OPERATORS
            .iter()
            .find(|(written, _)| rest.starts_with(written));
        rest = match (first, operator) {
            ('(', _) => {
                tokens.push(Token::Open);
                &rest[1..]
            }
            (')', _) => {
                tokens.push(Token::Close);
                &rest[1..]
            }
            ('"' | '\'', _) => {
                let (quoted, after) = quoted(&rest[1..], first)?;
                tokens.push(Token::Quoted(quoted));
                after
            }
            (_, Some((written, operator))) => {
                tokens.push(Token::Operator(operator));
                &rest[written.len()..]
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || "()\"'=<>~!".contains(c);
                // A `!` alone is nobody's operator.
                let end = rest.find(ends).unwrap_or(rest.len());
                if end == 0 {
                    return Err(format!(
                        "`{first}` is no operator; there are = != < <= > >= ~"
                    ));
                }
                tokens.push(Token::Word(rest[..end].to_owned()));
                &rest[end..]
            }
        }
        .trim_start();
    }
    Ok(tokens)
}

/// What stands up to the closing quote, and what follows it. A backslash takes the next character as it is.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut found = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => found.extend(characters.next().map(|(_, c)| c)),
            c if c == quote => return Ok((found, &text[at + c.len_utf8()..])),
            c => found.push(c),
        }
    }
    Err(format!("a text that begins with {quote} does not end"))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take_if(&mut self, is_wanted: impl Fn(&Token) -> bool) -> bool {
        let found = self.peek().is_some_and(is_wanted);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<String, String> {
        let mut condition = self.all()?;
        while self.take_if(|token| token.is_word("or")) {
            condition = format!("({condition} OR {})", self.all()?);
        }
        Ok(condition)
    }

    fn all(&mut self) -> Result<String, String> {
        let mut condition = self.one()?;
        // Conditions side by side are all to hold, with or without the word.
        while self
            .peek()
            .is_some_and(|token| !matches!(token, Token::Close) && !token.is_word("or"))
        {
            self.take_if(|token| token.is_word("and"));
            condition = format!("({condition} AND {})", self.one()?);
        }
        Ok(condition)
    }

    fn one(&mut self) -> Result<String, String> {
        if self.take_if(|token| token.is_word("not")) {
            self.deepen()?;
            // What is not there is not so either.
            let condition = format!("(NOT coalesce({}, false))", self.one()?);
            self.depth -= 1;
            return Ok(condition);
        }
        match self.take() {
            Some(Token::Open) => {
                self.deepen()?;
                let condition = self.any()?;
                self.depth -= 1;
                if self.take_if(|token| *token == Token::Close) {
                    Ok(condition)
                } else {
                    Err("a parenthesis is not closed".to_owned())
                }
            }
            Some(Token::Word(name)) => match self.peek() {
                Some(Token::Operator(operator)) => {
                    let operator = *operator;
                    self.at += 1;
                    let Some(value @ (Token::Word(_) | Token::Quoted(_))) = self.take() else {
                        return Err(format!("a value is missing after `{name} {operator}`"));
                    };
                    comparison(&name, operator, &value)
                }
                _ => Ok(contains("name", &name)),
            },
            Some(Token::Quoted(text)) => Ok(contains("name", &text)),
            Some(token) => Err(format!(
                "there is {} where a condition was expected",
                token.words()
            )),
            None => Err("a condition is missing at the end".to_owned()),
        }
    }

    fn deepen(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("the filter is nested more than {DEPTH_MAX} deep"));
        }
        Ok(())
    }
}

fn comparison(name: &str, operator: &'static str, value: &Token) -> Result<String, String> {
    let text = match value {
        Token::Word(text) | Token::Quoted(text) => text.as_str(),
        _ => "",
    };
    if name == "duration" {
        return match duration_ns(text) {
            Some(ns) if operator != "~" => Ok(format!("duration {operator} {ns}")),
            _ => Err(format!(
                "`{text}` is no duration; write 100ms, 1.5s, 20us or 2m"
            )),
        };
    }
    if IDENTIFIERS.contains(&name) {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        return match operator {
            "=" | "!=" if plain => Ok(format!(
                "{name} {operator} {}",
                literal(&text.to_ascii_lowercase())
            )),
            _ => Err(format!(
                "{name} is compared with `=` and hexadecimal digits"
            )),
        };
    }
    let column = column(name);
    match operator {
        "~" => Ok(contains(&column, text)),
        "=" => Ok(format!("CAST({column} AS VARCHAR) = {}", literal(text))),
        // An attribute that is not there is not that value.
        "!=" => Ok(format!(
            "coalesce(CAST({column} AS VARCHAR), '') != {}",
            literal(text)
        )),
        _ => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(format!(
                "TRY_CAST({column} AS DOUBLE) {operator} CAST({number} AS DOUBLE)"
            )),
            _ => Err(format!(
                "`{operator}` compares numbers, and `{text}` is none"
            )),
        },
    }
}

fn column(name: &str) -> String {
    if COLUMNS.contains(&name) {
        return name.to_owned();
    }
    match name.strip_prefix("resource.") {
        Some(name) => format!("resource[{}]", literal(name)),
        None => attribute(name),
    }
}

fn contains(column: &str, text: &str) -> String {
    format!(
        "strpos(lower(CAST({column} AS VARCHAR)), {}) > 0",
        literal(&text.to_lowercase())
    )
}

/// `100ms`, `1.5s`, `20us`, `2m`; a number alone is nanoseconds.
fn duration_ns(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len()),
    );
    let unit_ns = match unit {
        "" | "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        _ => return None,
    };
    let ns = number.parse::<f64>().ok()? * unit_ns;
    (ns < i64::MAX as f64).then_some(ns as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_become_conditions() {
        for (filter, sql) in [
            ("duration>100ms", "duration > 100000000"),
            ("duration <= 1.5s", "duration <= 1500000000"),
            (
                "gpu.op = \"soft max\"",
                "CAST(attributes['gpu.op'] AS VARCHAR) = 'soft max'",
            ),
            (
                "status = error service='a'",
                "(CAST(status AS VARCHAR) = 'error' AND CAST(service AS VARCHAR) = 'a')",
            ),
            (
                "tokens >= 3",
                "TRY_CAST(attributes['tokens'] AS DOUBLE) >= CAST(3 AS DOUBLE)",
            ),
            (
                "resource.host.name = h",
                "CAST(resource['host.name'] AS VARCHAR) = 'h'",
            ),
            (
                "Softmax",
                "strpos(lower(CAST(name AS VARCHAR)), 'softmax') > 0",
            ),
            ("trace_id = 0AF7", "trace_id = '0af7'"),
            (
                "not a = 1 or b != 'x''",
                "a text that begins with ' does not end",
            ),
            (
                "not a = 1 or (b ~ it\\'s)",
                "a text that begins with ' does not end",
            ),
        ] {
            match condition(filter) {
                Ok(condition) => assert_eq!(condition, sql, "{filter}"),
                Err(problem) => assert!(
                    format!("{problem:?}").contains(sql),
                    "{filter}: {problem:?}"
                ),
            }
        }
        assert_eq!(
            condition("not a = 1 or b != \"it's\"").unwrap(),
            "((NOT coalesce(CAST(attributes['a'] AS VARCHAR) = '1', false)) OR coalesce(CAST(attributes['b'] AS VARCHAR), '') != 'it''s')"
        );
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for filter in [
            "",
            "a =",
            "= 1",
            "(a = 1",
            "a = 1)",
            "a < many",
            "duration > soon",
            "duration ~ 1ms",
            "a ! b",
            "trace_id > 12",
            "and",
        ] {
            let refused = condition(filter);
            // `and` alone is a word that a name may contain.
            assert!(refused.is_err() || filter == "and", "{filter}: {refused:?}");
        }
        assert!(condition(&"(".repeat(4000)).is_err());
        assert!(condition(&"not ".repeat(1000)).is_err());
    }

    proptest! {
        #[test]
        fn no_filter_panics_and_quotes_stay_balanced(filter in ".{0,80}") {
            if let Ok(condition) = condition(&filter) {
                prop_assert!(condition.matches('\'').count() % 2 == 0);
            }
        }
    }
}
