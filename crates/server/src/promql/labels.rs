//! Label sets, and what selectors ask of them.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, OnceLock},
};

use regex::{Regex, RegexBuilder};

use super::Error;

/// The label that is the metric's name.
pub(crate) const NAME: &str = "__name__";

/// Most bytes that a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

/// Names and values, sorted by name, no value empty. Cheap to copy.
#[derive(Clone, Default)]
pub(crate) struct Labels(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pairs: Vec<(Arc<str>, Arc<str>)>,
    /// The same without [`NAME`], once somebody asked.
    nameless: OnceLock<Labels>,
    /// Once somebody asked: labels are keys of maps at every step of a query.
    hash: OnceLock<u64>,
}

impl Labels {
    /// From pairs in any order; of a name that is there twice the last stands, and empty values are left out.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        // Stable, so that the last of a name is known.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let mut kept: Vec<(Arc<str>, Arc<str>)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match kept.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => kept.push(pair),
            }
        }
        kept.retain(|(_, value)| !value.is_empty());
        Self::of_sorted(kept)
    }

    fn of_sorted(pairs: Vec<(Arc<str>, Arc<str>)>) -> Self {
        Self(Arc::new(Inner {
            pairs,
            nameless: OnceLock::new(),
            hash: OnceLock::new(),
        }))
    }

    /// The value of a label; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        let pairs = &self.0.pairs;
        pairs
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .map_or("", |at| &pairs[at].1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The same without the metric's name.
    pub(crate) fn nameless(&self) -> Self {
        if self.get(NAME).is_empty() {
            return self.clone();
        }
        self.0
            .nameless
            .get_or_init(|| self.filtered(|name| name != NAME))
            .clone()
    }

    /// Those labels whose names are wanted.
    pub(crate) fn filtered(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let pairs = self.0.pairs.iter().filter(|(name, _)| wanted(name));
        Self::of_sorted(pairs.cloned().collect())
    }

    /// With a label set, or taken away where the value is empty.
    pub(crate) fn with(&self, name: &str, value: impl Into<Arc<str>>) -> Self {
        let own = self.0.pairs.iter().cloned();
        Self::new(own.chain(std::iter::once((name.into(), value.into()))))
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.pairs == other.0.pairs
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let hash = self.0.hash.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            self.0.pairs.hash(&mut hasher);
            hasher.finish()
        });
        state.write_u64(*hash);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.pairs.cmp(&other.0.pairs)
    }
}

/// As PromQL writes them.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get(NAME))?;
        f.write_str("{")?;
        let others = self.iter().filter(|(name, _)| *name != NAME);
        for (at, (name, value)) in others.enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a matcher compares.
#[derive(Clone, Debug)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Matches(Regex),
    MatchesNot(Regex),
}

/// What a selector asks of one label. A label that is not there is empty.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) comparison: Comparison,
}

impl Matcher {
    /// `name="value"`.
    pub(crate) fn equal(label: &str, value: &str) -> Self {
        Self {
            label: label.to_owned(),
            value: value.to_owned(),
            comparison: Comparison::Equal,
        }
    }

    pub(crate) fn accepts(&self, value: &str) -> bool {
        match &self.comparison {
            Comparison::Equal => value == self.value,
            Comparison::NotEqual => value != self.value,
            Comparison::Matches(regex) => regex.is_match(value),
            Comparison::MatchesNot(regex) => !regex.is_match(value),
        }
    }
}

/// A regular expression that has to match the whole of a text, as everywhere in PromQL.
pub(crate) fn whole(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default();
            let message = format!("`{pattern}` is no regular expression: {reason}");
            Error::new(
                super::Fault::Query,
                message,
                "regular expressions are RE2's, and match the whole of a value",
            )
        })
}

/// Whether a label may be called so.
pub(crate) fn is_label_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_letter)
        && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}
