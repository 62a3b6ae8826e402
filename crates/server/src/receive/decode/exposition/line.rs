//! One line of an exposition.

use std::borrow::Cow;

use super::Form;

/// What a line is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// Empty, a comment, a help text.
    Nothing,
    /// `# EOF`.
    End,
    /// `# TYPE name type`.
    Type(&'a str, &'a str),
    /// `# UNIT name unit`.
    Unit(&'a str, &'a str),
    /// A value.
    Sample(Sample<'a>),
}

/// Names and values, in the order in which they were given.
pub(super) type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A value of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) labels: Labels<'a>,
    pub(super) value: f64,
    /// 0 where none was given.
    pub(super) time_unix_ns: u64,
    pub(super) exemplar: Option<Exemplar<'a>>,
}

/// A measurement that stands for others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exemplar<'a> {
    pub(super) labels: Labels<'a>,
    pub(super) value: f64,
    /// 0 where none was given.
    pub(super) time_unix_ns: u64,
}

/// Reads a line; `None` where it is none of the format.
pub(super) fn read(line: &str, form: Form) -> Option<Line<'_>> {
    let line = line.trim_ascii();
    if let Some(comment) = line.strip_prefix('#') {
        return Some(self::comment(comment));
    }
    if line.is_empty() {
        return Some(Line::Nothing);
    }
    sample(line, form).map(Line::Sample)
}

fn comment(comment: &str) -> Line<'_> {
    let mut words = comment.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("EOF"), None, None) => Line::End,
        (Some("TYPE"), Some(name), Some(kind)) => Line::Type(unquoted(name), kind),
        (Some("UNIT"), Some(name), Some(unit)) => Line::Unit(unquoted(name), unit),
        _ => Line::Nothing,
    }
}

/// Names that are not of the old alphabet stand in quotes (Prometheus 3).
fn unquoted(name: &str) -> &str {
    let inner = name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'));
    inner.unwrap_or(name)
}

fn sample(line: &str, form: Form) -> Option<Sample<'_>> {
    let end = line.find(|c: char| c == '{' || c.is_ascii_whitespace())?;
    let (name, mut rest) = line.split_at(end);
    if !name.chars().all(is_of_name) {
        return None;
    }
    let mut name = Cow::Borrowed(name);
    let mut labels = Labels::new();
    rest = rest.trim_ascii_start();
    if let Some(inside) = rest.strip_prefix('{') {
        let (first, after) = read_labels(inside, &mut labels)?;
        // `{"the.name",label="value"}`.
        if let Some(quoted) = first {
            name = quoted;
        }
        rest = after;
    }
    if name.is_empty() {
        return None;
    }
    let (numbers, exemplar) = match rest.split_once('#') {
        Some((numbers, exemplar)) => (numbers, Some(self::exemplar(exemplar)?)),
        None => (rest, None),
    };
    let mut words = numbers.split_ascii_whitespace();
    let value = number(words.next()?)?;
    let time_unix_ns = match words.next() {
        Some(time) => self::time(time, form)?,
        None => 0,
    };
    words.next().is_none().then_some(Sample {
        name,
        labels,
        value,
        time_unix_ns,
        exemplar,
    })
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-')
}

/// Reads what stands in braces, and gives the name that stands there alone, if one does, and what follows.
fn read_labels<'a>(
    inside: &'a str,
    labels: &mut Labels<'a>,
) -> Option<(Option<Cow<'a, str>>, &'a str)> {
    let mut name = None;
    let mut rest = inside.trim_ascii_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((name, after));
        }
        let (key, after) = if let Some(quoted) = rest.strip_prefix('"') {
            self::quoted(quoted)?
        } else {
            let end = rest.find(|c: char| !is_of_name(c))?;
            (Cow::Borrowed(&rest[..end]), &rest[end..])
        };
        rest = after.trim_ascii_start();
        if let Some(value) = rest.strip_prefix('=') {
            let (value, after) = self::quoted(value.trim_ascii_start().strip_prefix('"')?)?;
            if key.is_empty() {
                return None;
            }
            // One without a value is one that is not there.
            if !value.is_empty() {
                labels.push((key, value));
            }
            rest = after.trim_ascii_start();
        } else if name.replace(key).is_some() {
            return None;
        }
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_ascii_start(),
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// Reads up to the closing quote.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = text[..end].to_owned();
    let mut letters = text[end..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((Cow::Owned(value), &text[end + at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

fn exemplar(text: &str) -> Option<Exemplar<'_>> {
    let mut labels = Labels::new();
    let inside = text.trim_ascii_start().strip_prefix('{')?;
    let (name, rest) = read_labels(inside, &mut labels)?;
    let mut words = rest.split_ascii_whitespace();
    let value = number(words.next()?)?;
    let time_unix_ns = match words.next() {
        Some(time) => self::time(time, Form::OpenMetrics)?,
        None => 0,
    };
    (name.is_none() && words.next().is_none()).then_some(Exemplar {
        labels,
        value,
        time_unix_ns,
    })
}

/// A number as either form writes it; Rust reads all of them, `+Inf` and `NaN` too, and some words that neither has.
pub(super) fn number(text: &str) -> Option<f64> {
    let is_written = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let is_none = text.eq_ignore_ascii_case("nan") || text.eq_ignore_ascii_case("inf");
    (is_written || is_none).then(|| text.parse().ok())?
}

/// A time, in milliseconds or in seconds; one before 1970 or after 2262 is none.
fn time(text: &str, form: Form) -> Option<u64> {
    let unit_ns = match form {
        Form::Prometheus => 1e6,
        Form::OpenMetrics => 1e9,
    };
    // Whole numbers exactly: of 53 bits, some 200 ns would be lost.
    if let Ok(whole) = text.parse::<u64>() {
        return whole.checked_mul(unit_ns as u64);
    }
    let ns = number(text)? * unit_ns;
    (ns >= 0.0 && ns < i64::MAX as f64).then_some(ns as u64)
}
