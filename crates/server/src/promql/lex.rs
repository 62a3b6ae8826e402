//! Text into words, as Prometheus' lexer has them (promql/parser/lex.go).

use super::Error;

/// A word of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name: of a metric, a label, a function, or a keyword.
    Name(String),
    Number(f64),
    /// Milliseconds.
    Duration(i64),
    Text(String),
    /// A sign, as it is written.
    Sign(&'static str),
    End,
}

impl Token {
    /// As an error names it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Number(number) => format!("the number {number}"),
            Self::Duration(ms) => format!("a duration of {ms} ms"),
            Self::Text(text) => format!("the text {text:?}"),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Longest first, so that `<=` is not taken for `<`.
const SIGNS: [&str; 24] = [
    "=~", "!~", "!=", "==", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "^", "(", ")", "{",
    "}", "[", "]", ",", ":", "@",
];

/// The words of a text, each with where it begins, [`Token::End`] last.
pub(super) fn lex(text: &str) -> Result<Vec<(Token, usize)>, Error> {
    let mut lexer = Lexer {
        text,
        at: 0,
        in_braces: false,
        in_brackets: false,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip();
        let began = lexer.at;
        let token = lexer.next()?;
        let is_end = token == Token::End;
        tokens.push((token, began));
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Names of labels have no colon.
    in_braces: bool,
    /// A colon stands between range and step.
    in_brackets: bool,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fail(&self, message: &str, mend: &str) -> Error {
        Error::at(self.text, self.at, message, mend)
    }

    /// Goes on to the next word, over comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            let skipped = rest.len() - trimmed.len();
            let comment = if trimmed.starts_with('#') {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else {
                0
            };
            self.at += skipped + comment;
            if comment == 0 {
                return;
            }
        }
    }

    fn next(&mut self) -> Result<Token, Error> {
        let Some(first) = self.rest().chars().next() else {
            return Ok(Token::End);
        };
        let second = self.rest().as_bytes().get(1).copied().unwrap_or(0);
        match first {
            '"' | '\'' | '`' => self.quoted(first),
            '0'..='9' => self.number(),
            '.' if second.is_ascii_digit() => self.number(),
            'a'..='z' | 'A'..='Z' | '_' => Ok(self.name()),
            ':' if !self.in_brackets && !self.in_braces => Ok(self.name()),
            _ => self.sign(),
        }
    }

    fn sign(&mut self) -> Result<Token, Error> {
        let rest = self.rest();
        let found = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
        let Some(sign) = found else {
            let what = rest.chars().next().unwrap_or_default();
            let message = format!("`{}` means nothing here", what.escape_default());
            return Err(self.fail(&message, "docs/promql.md says what is understood"));
        };
        self.at += sign.len();
        match sign {
            "{" => self.in_braces = true,
            "}" => self.in_braces = false,
            "[" => self.in_brackets = true,
            "]" => self.in_brackets = false,
            _ => {}
        }
        Ok(Token::Sign(sign))
    }

    fn name(&mut self) -> Token {
        let has_colons = !self.in_braces && !self.in_brackets;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || (has_colons && c == ':');
        let rest = self.rest();
        let name = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let token = match name.to_ascii_lowercase().as_str() {
            "inf" if !self.in_braces => Token::Number(f64::INFINITY),
            "nan" if !self.in_braces => Token::Number(f64::NAN),
            _ => Token::Name(name.to_owned()),
        };
        self.at += name.len();
        token
    }

    fn number(&mut self) -> Result<Token, Error> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
        let mut end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let is_hex = rest.starts_with("0x") || rest.starts_with("0X");
        // An exponent may have a sign.
        if !is_hex && rest[..end].ends_with(['e', 'E']) && rest[end..].starts_with(['+', '-']) {
            let after = &rest[end + 1..];
            end += 1 + after
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(after.len());
        }
        let word = &rest[..end];
        let number = if is_hex {
            let whole = u64::from_str_radix(&word[2..], 16).ok();
            whole.map(|whole| Token::Number(whole as f64))
        } else {
            let is_plain = |c: char| c.is_ascii_digit() || ".eE+-".contains(c);
            let plain = word.chars().all(is_plain).then(|| word.parse().ok());
            plain.flatten().map(Token::Number)
        };
        let token = number.or_else(|| duration_ms(word).map(Token::Duration));
        let token = token.ok_or_else(|| {
            self.fail(
                &format!("`{word}` is neither a number nor a duration"),
                "durations are like 5m, 1h30m or 500ms, with the longer units first",
            )
        })?;
        self.at += end;
        Ok(token)
    }

    fn quoted(&mut self, quote: char) -> Result<Token, Error> {
        let rest = &self.text[self.at + 1..];
        let mut out = String::new();
        let mut chars = rest.char_indices();
        loop {
            let Some((at, c)) = chars.next() else {
                return Err(self.fail("a text has no end", "close it with the quote it began with"));
            };
            match c {
                _ if c == quote => {
                    self.at += 1 + at + 1;
                    return Ok(Token::Text(out));
                }
                '\\' if quote != '`' => {
                    let escaped = escape(rest.get(at + 1..).unwrap_or_default(), quote);
                    let Some((value, length)) = escaped else {
                        return Err(self.fail(
                            "a text has an escape that is none",
                            "write \\\\ for a backslash, or put the text between backquotes",
                        ));
                    };
                    out.push(value);
                    let next = at + 1 + length;
                    while chars.offset() < next && chars.next().is_some() {}
                }
                '\n' if quote != '`' => {
                    return Err(self.fail(
                        "a text ends with its line",
                        "write \\n, or put the text between backquotes",
                    ));
                }
                _ => out.push(c),
            }
        }
    }
}

/// What stands after a backslash, as Go has it: a character and how many bytes it is written in.
fn escape(text: &str, quote: char) -> Option<(char, usize)> {
    let first = text.chars().next()?;
    let coded = |from: usize, digits: usize, radix: u32| {
        let code = u32::from_str_radix(text.get(from..from + digits)?, radix).ok()?;
        Some((char::from_u32(code)?, from + digits))
    };
    let plain = match first {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        'x' => return coded(1, 2, 16),
        'u' => return coded(1, 4, 16),
        'U' => return coded(1, 8, 16),
        '0'..='7' => return coded(0, 3, 8).filter(|(c, _)| u32::from(*c) < 256),
        _ if first == quote => quote,
        _ => return None,
    };
    Some((plain, 1))
}

/// The longest duration, which is Go's: some 292 years.
const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;

/// A duration such as `1h30m` in milliseconds: each unit once, the longer ones first.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let (mut rest, mut total, mut units) = (text, 0_i64, &UNITS[..]);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, next) = after.split_at(
            after
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(after.len()),
        );
        let at = units.iter().position(|(name, _)| *name == unit)?;
        let part = number.parse::<i64>().ok()?.checked_mul(units[at].1)?;
        total = total.checked_add(part)?;
        (rest, units) = (next, &units[at + 1..]);
    }
    (!text.is_empty() && total <= DURATION_MS_MAX).then_some(total)
}
