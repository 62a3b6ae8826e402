//! One directive of a filter: `target[span{field=value}]=level`, read from text and matched against metadata.
//!
//! Reading never panics; what is wrong is said with the directive, the column and a mend.

use std::fmt;

use tracing_core::{Level, LevelFilter, Metadata};

use super::level;

/// Whether a directive's field has to have a value, and which.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FieldMatch {
    pub(super) name: String,
    pub(super) value: Option<Expected>,
}

/// The value that a field must have.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// As written, without quotes; `*` stands for any run of characters.
    text: String,
    integer: Option<i128>,
    float: Option<f64>,
}

impl PartialEq for Expected {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Expected {
    fn new(written: &str) -> Self {
        let unquoted = written
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .map(unescaped);
        let text = unquoted.unwrap_or_else(|| written.replace(".*", "*"));
        Self {
            integer: text.parse().ok(),
            float: text.parse().ok(),
            text,
        }
    }

    pub(super) fn matches_integer(&self, value: i128) -> bool {
        self.integer == Some(value) || self.text == "*"
    }

    pub(super) fn matches_float(&self, value: f64) -> bool {
        self.text == "*"
            || self.float.is_some_and(|expected| {
                (expected.is_nan() && value.is_nan())
                    || expected.total_cmp(&value).is_eq()
                    || (expected - value).abs() < f64::EPSILON
            })
    }

    pub(super) fn matches_text(&self, value: &str) -> bool {
        wildcard_match(&self.text, value)
    }

    /// `value` is what `Debug` printed: a string shows its quotes, which nobody writes in a filter.
    pub(super) fn matches_debug(&self, value: &str) -> bool {
        let inner = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        self.matches_text(value) || inner.is_some_and(|inner| self.matches_text(inner))
    }
}

/// `quoted` without the backslashes before quotes and backslashes.
fn unescaped(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = (c == '\\').then(|| chars.next_if(|next| matches!(next, '"' | '\\')));
        text.push(escaped.flatten().unwrap_or(c));
    }
    text
}

/// Whether `text` is `pattern`, where `*` in the pattern stands for any run of characters.
fn wildcard_match(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// `target[span{field=value}]=level`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Directive {
    pub(super) target: Option<String>,
    pub(super) span: Option<String>,
    pub(super) fields: Vec<FieldMatch>,
    pub(super) level: LevelFilter,
    /// Written as a target and nothing else.
    is_bare: bool,
}

impl Directive {
    pub(super) const fn everything(level: LevelFilter) -> Self {
        Self {
            target: None,
            span: None,
            fields: Vec::new(),
            level,
            is_bare: false,
        }
    }

    /// The bare word that it is, and the level that this was probably meant to be.
    pub(super) fn level_meant(&self) -> Option<(&str, &'static str)> {
        let word = self.target.as_deref().filter(|_| self.is_bare)?;
        Some((word, level::meant(word)?))
    }

    /// Whether a callsite alone decides: no span name and no field values.
    pub(super) fn is_static(&self) -> bool {
        self.span.is_none() && self.fields.iter().all(|field| field.value.is_none())
    }

    /// Whether it can match a span and so enable what happens inside it.
    pub(super) const fn is_dynamic(&self) -> bool {
        self.span.is_some() || !self.fields.is_empty()
    }

    /// Longer targets first, then span names, then more fields; the order in which directives are tried.
    pub(super) fn specificity(&self) -> (Option<usize>, bool, usize) {
        (
            self.target.as_ref().map(String::len),
            self.span.is_some(),
            self.fields.len(),
        )
    }

    /// Whether both match exactly the same spans and events.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        self.target == other.target && self.span == other.span && self.fields == other.fields
    }

    pub(super) fn matches_target(&self, target: &str) -> bool {
        self.target
            .as_ref()
            .is_none_or(|prefix| target.starts_with(prefix.as_str()))
    }

    /// Whether target, span name and field names fit; values are a matter of each span.
    pub(super) fn matches_callsite(&self, metadata: &Metadata<'_>) -> bool {
        self.matches_target(metadata.target())
            && self
                .span
                .as_ref()
                .is_none_or(|name| metadata.is_span() && name == metadata.name())
            && self
                .fields
                .iter()
                .all(|field| metadata.fields().field(field.name.as_str()).is_some())
    }

    pub(super) fn admits(&self, level: Level) -> bool {
        self.level >= level
    }
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.target.as_deref().unwrap_or_default())?;
        if self.is_dynamic() {
            write!(f, "[{}", self.span.as_deref().unwrap_or_default())?;
            for (index, field) in self.fields.iter().enumerate() {
                let open = if index == 0 { '{' } else { ',' };
                write!(f, "{open}{}", field.name)?;
                if let Some(value) = &field.value {
                    let text = value.text.replace('\\', "\\\\").replace('"', "\\\"");
                    write!(f, "=\"{text}\"")?;
                }
            }
            f.write_str(if self.fields.is_empty() { "]" } else { "}]" })?;
        }
        if self.is_bare {
            return Ok(());
        }
        if self.target.is_some() || self.is_dynamic() {
            f.write_str("=")?;
        }
        write!(f, "{}", self.level)
    }
}

/// A directive that could not be read: which, where, why, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    directive: String,
    column: usize,
    reason: String,
}

impl FilterError {
    /// The directive as written.
    pub fn directive(&self) -> &str {
        &self.directive
    }

    /// Where in the whole filter the fault is, in characters from 1.
    pub const fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "filter directive `{}`, column {}: {}",
            self.directive, self.column, self.reason
        )
    }
}

impl std::error::Error for FilterError {}

/// The directives in `text` with the byte where each begins. Commas inside brackets do not separate, so that
/// `[span{a=1,b=2}]=debug` stays whole.
pub(super) fn split(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let begin = start?;
        let rest = &text[begin..];
        let mut scan = Scan::default();
        let end = rest
            .char_indices()
            .find(|&(_, c)| !scan.inside(c) && c == ',')
            .map(|(at, _)| at);
        start = end.map(|at| begin + at + 1);
        Some((begin, &rest[..end.unwrap_or(rest.len())]))
    })
    .map(|(begin, piece)| {
        let trimmed = piece.trim_start();
        (begin + piece.len() - trimmed.len(), trimmed.trim_end())
    })
    .filter(|(_, piece)| !piece.is_empty())
}

/// Follows brackets and quotes through a text.
#[derive(Default)]
struct Scan {
    depth: usize,
    quoted: bool,
    escaped: bool,
}

impl Scan {
    /// Whether `c`, the next character, lies inside brackets or quotes.
    fn inside(&mut self, c: char) -> bool {
        if self.quoted {
            if self.escaped {
                self.escaped = false;
            } else if c == '\\' {
                self.escaped = true;
            } else if c == '"' {
                self.quoted = false;
            }
            return true;
        }
        match c {
            '"' if self.depth > 0 => self.quoted = true,
            '[' | '{' => self.depth += 1,
            ']' | '}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth > 0
    }
}

/// Reads one directive of `whole` that begins at byte `begin`.
pub(super) fn parse(whole: &str, begin: usize, text: &str) -> Result<Directive, FilterError> {
    parse_parts(text).map_err(|(at, reason)| FilterError {
        directive: text.to_owned(),
        column: whole[..begin + at].chars().count() + 1,
        reason,
    })
}

/// A byte offset within the directive and what is wrong there.
pub(super) type Fault = (usize, String);

fn parse_parts(text: &str) -> Result<Directive, Fault> {
    let mut directive = Directive::everything(LevelFilter::TRACE);
    let head = text.find(['[', '=']).unwrap_or(text.len());
    let target = &text[..head];
    check_target(target)?;
    let mut at = head;
    if text[at..].starts_with('[') {
        at = parse_span(text, at, &mut directive)?;
    } else if at == text.len() {
        // A bare word is a level, or else a target of which everything is wanted.
        if let Ok(level) = target.parse() {
            directive.level = level;
        } else {
            directive.target = Some(target.to_owned());
            directive.is_bare = true;
        }
        return Ok(directive);
    }
    if !target.is_empty() {
        directive.target = Some(target.to_owned());
    } else if at == 0 {
        return Err((
            0,
            "a target is missing before `=`; write `target=level`, or only the level".to_owned(),
        ));
    }
    match &text[at..] {
        "" | "=" => {}
        rest if rest.starts_with('=') => directive.level = level::parse(&rest[1..], at + 1)?,
        rest => {
            return Err((
                at,
                format!("`{rest}` stands after `]`; write `=level` there"),
            ));
        }
    }
    Ok(directive)
}

fn check_target(target: &str) -> Result<(), Fault> {
    match target.char_indices().find(|&(at, c)| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, ']' | '{' | '}' | '"')
            || (at == 0 && !c.is_alphanumeric() && !matches!(c, '_' | '-' | ':'))
    }) {
        None => Ok(()),
        Some((at, c)) if c.is_whitespace() => Err((
            at,
            "a target holds no space; separate directives by commas".to_owned(),
        )),
        Some((at, c @ (']' | '{' | '}'))) => Err((
            at,
            format!("`{c}` without `[`; a span is written `target[span{{field=value}}]=level`"),
        )),
        Some((at, c)) => Err((
            at,
            format!(
                "a target cannot hold {c:?} here; it is a module path such as `my_crate::module`"
            ),
        )),
    }
}

/// Reads `[span{fields}]` that begins at byte `open`; returns where it ends.
fn parse_span(text: &str, open: usize, directive: &mut Directive) -> Result<usize, Fault> {
    let mut scan = Scan::default();
    let Some(length) = text[open..]
        .char_indices()
        .find(|&(_, c)| !scan.inside(c))
        .map(|(at, _)| at)
    else {
        let brace = text[open..].find('{').filter(|_| !text.contains('}'));
        return Err(match brace {
            _ if scan.quoted => (open, "a quote is not closed; add `\"`".to_owned()),
            Some(brace) => (open + brace, "`{` is not closed; add `}`".to_owned()),
            None => (open, "`[` is not closed; add `]`".to_owned()),
        });
    };
    let inner = &text[open + 1..open + length];
    let name_end = inner.find('{').unwrap_or(inner.len());
    let name = inner[..name_end].trim();
    if !name.is_empty() {
        directive.span = Some(name.to_owned());
    }
    if let Some(fields) = inner.get(name_end + 1..) {
        let Some(fields) = fields.trim_end().strip_suffix('}') else {
            return Err((
                open + 1 + name_end,
                "`{` is not closed before `]`; add `}`".to_owned(),
            ));
        };
        parse_fields(fields, open + 2 + name_end, directive)?;
    } else if name.is_empty() {
        return Err((
            open,
            "`[]` names nothing; write `[span]` or `[{field}]`".to_owned(),
        ));
    }
    Ok(open + length + 1)
}

fn parse_fields(text: &str, offset: usize, directive: &mut Directive) -> Result<(), Fault> {
    let mut start = 0;
    let mut quoted = Scan {
        depth: 1,
        ..Scan::default()
    };
    let ends = text
        .char_indices()
        .filter(|&(_, c)| {
            quoted.inside(c);
            c == ',' && !quoted.quoted
        })
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect::<Vec<_>>();
    for end in ends {
        let field = text[start..end].trim();
        let (name, value) = match field.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (field, None),
        };
        if name.is_empty() {
            return Err((
                offset + start,
                "a field name is missing; write `{field}` or `{field=value}`".to_owned(),
            ));
        }
        if value == Some("") {
            return Err((
                offset + start,
                format!("field `{name}` has no value after `=`; write `{{{name}}}` for any value"),
            ));
        }
        directive.fields.push(FieldMatch {
            name: name.to_owned(),
            value: value.map(Expected::new),
        });
        start = end + 1;
    }
    directive.fields.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}
