//! What an alert's labels have to be: `severity="critical"`, `service!="test"`, `model=~"llama.*"`, `team!~"a|b"`.
//!
//! The meaning is Prometheus': a label that is not there is empty, and an expression has to fit the whole value.

use std::{fmt, str::FromStr};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::super::Labels;

/// Longest text of a matcher, in bytes.
pub const MATCHER_BYTES_MAX: usize = 1_024;
/// Most memory that an expression may take, in bytes: once for its program, and once for what it caches.
const EXPRESSION_BYTES_MAX: usize = 512 * 1_024;

/// How a label's value is held against the matcher's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `=`: it is the same.
    Equal,
    /// `!=`: it is another.
    NotEqual,
    /// `=~`: the expression fits the whole of it.
    Fits,
    /// `!~`: the expression does not.
    FitsNot,
}

impl Operator {
    /// As it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Fits => "=~",
            Self::FitsNot => "!~",
        }
    }
}

/// One condition on one label.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Matcher {
    name: String,
    operator: Operator,
    value: String,
    expression: Option<Regex>,
}

impl Matcher {
    /// A matcher of its parts. The error says what is wrong with the expression.
    pub fn new(name: &str, operator: Operator, value: &str) -> Result<Self, String> {
        let is_expression = matches!(operator, Operator::Fits | Operator::FitsNot);
        Ok(Self {
            name: name.to_owned(),
            operator,
            value: value.to_owned(),
            expression: if is_expression {
                Some(compiled(value)?)
            } else {
                None
            },
        })
    }

    /// Whether an alert of these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.accepts(labels.get(&self.name).map_or("", String::as_str))
    }

    /// Whether alerts without the label are meant.
    pub fn matches_absence(&self) -> bool {
        self.accepts("")
    }

    /// Whether it holds a regular expression, which takes memory.
    pub const fn has_expression(&self) -> bool {
        self.expression.is_some()
    }

    fn accepts(&self, value: &str) -> bool {
        let fits = || {
            self.expression
                .as_ref()
                .is_some_and(|expression| expression.is_match(value))
        };
        match self.operator {
            Operator::Equal => value == self.value,
            Operator::NotEqual => value != self.value,
            Operator::Fits => fits(),
            Operator::FitsNot => !fits(),
        }
    }
}

/// Whether all of them mean an alert of these labels.
pub(super) fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

fn compiled(value: &str) -> Result<Regex, String> {
    let build = |text: &str| {
        RegexBuilder::new(text)
            .dot_matches_new_line(true)
            .size_limit(EXPRESSION_BYTES_MAX)
            .dfa_size_limit(EXPRESSION_BYTES_MAX)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => format!("the expression `{value}` takes more than {EXPRESSION_BYTES_MAX} bytes; write fewer or smaller repetitions"),
                error => {
                    // The crate draws a picture over several lines, of which the last says what is wrong.
                    let text = error.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    format!("`{value}` is no regular expression: {}", last.trim_start_matches("error: "))
                }
            })
    };
    // By itself first: `a)(b` is whole only inside of what is put around it.
    build(value)?;
    build(&format!("^(?:{value})$"))
}

impl FromStr for Matcher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > MATCHER_BYTES_MAX {
            return Err(format!(
                "a matcher has at most {MATCHER_BYTES_MAX} bytes, this one {}",
                text.len()
            ));
        }
        let shape = || {
            format!(
                "`{text}` is no matcher; write a label, one of = != =~ !~, and a value: severity=\"critical\""
            )
        };
        let at = text.find(['=', '!']).ok_or_else(shape)?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let operator = [
            Operator::Fits,
            Operator::FitsNot,
            Operator::NotEqual,
            Operator::Equal,
        ]
        .into_iter()
        .find(|operator| rest.starts_with(operator.symbol()))
        .ok_or_else(shape)?;
        let is_name = !name.is_empty()
            && !name
                .contains(|c: char| c.is_whitespace() || c.is_control() || "{}\",~".contains(c));
        if !is_name {
            return Err(shape());
        }
        let value = unquoted(rest[operator.symbol().len()..].trim()).ok_or_else(shape)?;
        Self::new(name, operator, &value)
    }
}

/// A value without its quotes, which it may have or not; `None` where one is missing or something follows.
fn unquoted(text: &str) -> Option<String> {
    let Some(inside) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let mut value = String::new();
    let mut letters = inside.chars();
    loop {
        match letters.next()? {
            '"' => return letters.next().is_none().then_some(value),
            '\\' => match letters.next()? {
                'n' => value.push('\n'),
                letter @ ('"' | '\\') => value.push(letter),
                // Expressions are full of these, and `"\d"` means what it looks like.
                letter => value.extend(['\\', letter]),
            },
            letter => value.push(letter),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self
            .value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        write!(f, "{}{}\"{value}\"", self.name, self.operator.symbol())
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.operator, &self.value) == (&other.name, other.operator, &other.value)
    }
}

impl Eq for Matcher {}

impl TryFrom<String> for Matcher {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Matcher> for String {
    fn from(matcher: Matcher) -> Self {
        matcher.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(matcher: &str, value: Option<&str>) -> bool {
        let labels = value
            .map(|value| ("model".to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        matcher.parse::<Matcher>().unwrap().matches(&labels)
    }

    #[test]
    fn a_matcher_means_what_it_means_in_prometheus() {
        for (matcher, value, expected) in [
            (r#"model="llama""#, Some("llama"), true),
            (r#"model="llama""#, Some("llama2"), false),
            (r#"model="""#, None, true),
            (r#"model!="llama""#, None, true),
            (r#"model!="llama""#, Some("llama"), false),
            (r#"model=~"llama|qwen""#, Some("qwen"), true),
            (r#"model=~"llama|qwen""#, Some("qwen2"), false),
            (r#"model=~"lla.*""#, Some("lla\nma"), true),
            (r#"model=~".*""#, None, true),
            (r#"model=~".+""#, None, false),
            (r#"model!~"a|b""#, Some("c"), true),
            (r#"model!~"a|b""#, Some("b"), false),
            (r#"model=~"v\d+""#, Some("v12"), true),
            ("model = llama", Some("llama"), true),
            (r"model=~v\d+", Some("v1"), true),
        ] {
            assert_eq!(matches(matcher, value), expected, "{matcher} of {value:?}");
        }
    }

    #[test]
    fn what_is_no_matcher_says_what_one_is() {
        let fault = |text: &str| text.parse::<Matcher>().unwrap_err();
        for text in [
            "",
            "severity",
            "=x",
            "a b=c",
            r#"a="b"#,
            r#"a="b"c"#,
            r#"a=b"c"#,
            "a!b",
            "{a=b",
        ] {
            assert!(
                fault(text).contains(r#"severity="critical""#),
                "{text}: {}",
                fault(text)
            );
        }
        assert_eq!(
            fault(r#"a=~"x(""#),
            "`x(` is no regular expression: unclosed group"
        );
        assert_eq!(
            fault(r#"a=~"x)(y""#),
            "`x)(y` is no regular expression: unopened group"
        );
        assert!(fault(r#"a=~"((\w{50}){50}){50}""#).contains("takes more than"));
        assert!(fault(&format!("a={}", "b".repeat(2_000))).contains("at most 1024 bytes"));
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn what_is_written_is_read_back(name in "[a-z_.]{1,8}", equal: bool, value in "[a-z\"\\\\\n{}=~ é]{0,8}") {
            let operator = if equal { Operator::Equal } else { Operator::NotEqual };
            let matcher = Matcher::new(&name, operator, &value).unwrap();
            prop_assert_eq!(&matcher.to_string().parse::<Matcher>().unwrap(), &matcher);
            let json = serde_json::to_string(&matcher).unwrap();
            prop_assert_eq!(serde_json::from_str::<Matcher>(&json).unwrap(), matcher);
        }
    }
}
