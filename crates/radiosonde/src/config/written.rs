//! Values as they were written, before anything is known about what they mean.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A value as it stands in a file, a variable or code.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// Said to have no value: `null`.
    Nothing,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text in quotes, or what can only be text.
    Text(String),
    /// Text from a place that has no types, such as the environment.
    Raw(String),
    /// The name of a file, where it need not be text.
    Path(PathBuf),
    /// Values in order.
    List(Vec<Node>),
    /// Named values in order.
    Table(Vec<(String, Node)>),
}

/// A written value and the line it stands in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Written,
    /// From 1; `None` where lines are not known.
    pub(super) line: Option<usize>,
}

impl Node {
    pub(super) const fn new(value: Written) -> Self {
        Self { value, line: None }
    }
}

/// Longest piece of a value that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(text) | Self::Raw(text) => quote(f, text),
            Self::Path(path) => quote(f, &path.to_string_lossy()),
            Self::List(_) => f.write_str("[...]"),
            Self::Table(_) => f.write_str("{...}"),
        }
    }
}

fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let text = without_credentials(text);
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => write!(f, "{:?}...", &text[..end]),
        None => write!(f, "{text:?}"),
    }
}

/// `text` without the user and password that a URL may carry.
pub(super) fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://[redacted]{}", &rest[at..]),
        None => text.to_owned(),
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Source {
    /// Nobody said anything.
    #[default]
    Default,
    /// A configuration file.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// The key as it is written there.
        key: String,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A call in the program.
    Code {
        /// The builder's method.
        method: &'static str,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File {
                path,
                line: Some(line),
                ..
            } => write!(f, "{}, line {line}", path.display()),
            Self::File { path, .. } => write!(f, "{}", path.display()),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Code { method } => write!(f, "code, {method}()"),
        }
    }
}

impl Source {
    /// The greater, the stronger: a stronger source wins.
    pub(crate) const fn strength(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment { .. } => 2,
            Self::Code { .. } => 3,
        }
    }

    /// What the person who wrote the value calls its key.
    pub(super) fn key_or<'a>(&'a self, path: &'a str) -> &'a str {
        match self {
            Self::File { key, .. } => key,
            Self::Environment { variable } => variable,
            Self::Default | Self::Code { .. } => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_repeat_neither_credentials_nor_novels() {
        for (text, shown) in [
            (
                "http://ann:secret@host:4318/v1?a@b",
                "http://[redacted]@host:4318/v1?a@b",
            ),
            ("http://host/a@b", "http://host/a@b"),
            ("ann@example.org", "ann@example.org"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
        let long = Written::Text("é".repeat(200)).to_string();
        assert_eq!(long.chars().count(), SHOWN_CHARS_MAX + 5);
    }
}
