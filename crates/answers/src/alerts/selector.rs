//! Which series are meant: a metric's name, and what its labels are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Labels;

/// A metric and which of its series. In a file: `"gpu.operation.errors"`, or
/// `{ metric = "gpu.operation.errors", where = { "error.type" = "*memory*" } }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Selector {
    /// The metric, by its OpenTelemetry name (docs/events.md).
    pub metric: String,
    /// What its labels have to be. A label that a series lacks is the empty text.
    pub labels: BTreeMap<String, Pattern>,
}

/// What a label's value has to be. In a text, `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenPattern", into = "WrittenPattern")]
pub enum Pattern {
    /// One of these: `"cuda:*"` or `["cuda:0", "cuda:1"]`.
    Is(Vec<String>),
    /// None of these: `{ not = "cpu" }` or `{ not = ["cpu", ""] }`.
    IsNot(Vec<String>),
}

impl Selector {
    /// All series of a metric.
    pub fn new(metric: impl Into<String>) -> Self {
        Self {
            metric: metric.into(),
            labels: BTreeMap::new(),
        }
    }

    /// Those of them whose label is `value`, in which `*` stands for any text.
    #[must_use]
    pub fn with(self, label: &str, value: &str) -> Self {
        self.and(label, Pattern::Is(vec![value.to_owned()]))
    }

    /// Those of them whose label is not `value`, in which `*` stands for any text.
    #[must_use]
    pub fn without(self, label: &str, value: &str) -> Self {
        self.and(label, Pattern::IsNot(vec![value.to_owned()]))
    }

    /// Those of them whose label is as the pattern says.
    #[must_use]
    pub fn and(mut self, label: &str, pattern: Pattern) -> Self {
        self.labels.insert(label.to_owned(), pattern);
        self
    }

    /// Whether these are the labels of a series that is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|(name, pattern)| {
            let value = labels.get(name).map_or("", String::as_str);
            pattern.matches(value)
        })
    }

    /// The labels of which there is one value only: those of whatever matches.
    pub(super) fn certain(&self) -> Labels {
        let certain = self.labels.iter().filter_map(|(name, pattern)| {
            let value = pattern.certain()?;
            Some((name.clone(), value.to_owned()))
        });
        certain.collect()
    }
}

impl From<&str> for Selector {
    fn from(metric: &str) -> Self {
        Self::new(metric)
    }
}

impl From<String> for Selector {
    fn from(metric: String) -> Self {
        Self::new(metric)
    }
}

impl Pattern {
    /// Whether the value is as it says.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Is(texts) => texts.iter().any(|text| is_like(value, text)),
            Self::IsNot(texts) => !texts.iter().any(|text| is_like(value, text)),
        }
    }

    fn certain(&self) -> Option<&str> {
        match self {
            Self::Is(texts) => match &texts[..] {
                [text] if !text.contains('*') && !text.is_empty() => Some(text),
                _ => None,
            },
            Self::IsNot(_) => None,
        }
    }
}

/// Whether `value` is what `pattern` says, in which `*` stands for any text. The first place where a part fits is as good
/// as any other, so that no pattern takes longer than value times pattern.
fn is_like(value: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return value == pattern;
    };
    let Some(mut value) = value.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*');
    let last = parts.next_back().unwrap_or_default();
    for part in parts {
        let Some(at) = value.find(part) else {
            return false;
        };
        value = &value[at + part.len()..];
    }
    value.ends_with(last)
}

/// As it stands in a file.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a metric's name, or { metric = \"...\", where = { label = \"value\" } }"
)]
enum Written {
    Name(String),
    Full(Full),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    metric: String,
    #[serde(default, rename = "where")]
    labels: BTreeMap<String, Pattern>,
}

impl From<Written> for Selector {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(metric) => Self::new(metric),
            Written::Full(Full { metric, labels }) => Self { metric, labels },
        }
    }
}

impl From<Selector> for Written {
    fn from(selector: Selector) -> Self {
        let Selector { metric, labels } = selector;
        if labels.is_empty() {
            Self::Name(metric)
        } else {
            Self::Full(Full { metric, labels })
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a text, a list of texts, or { not = a text or a list of texts }"
)]
enum WrittenPattern {
    Is(Texts),
    IsNot(Negated),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Negated {
    not: Texts,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl From<Texts> for Vec<String> {
    fn from(texts: Texts) -> Self {
        match texts {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        }
    }
}

impl From<Vec<String>> for Texts {
    fn from(mut texts: Vec<String>) -> Self {
        match (texts.pop(), texts.is_empty()) {
            (Some(text), true) => Self::One(text),
            (last, _) => {
                texts.extend(last);
                Self::Many(texts)
            }
        }
    }
}

impl From<WrittenPattern> for Pattern {
    fn from(written: WrittenPattern) -> Self {
        match written {
            WrittenPattern::Is(texts) => Self::Is(texts.into()),
            WrittenPattern::IsNot(Negated { not }) => Self::IsNot(not.into()),
        }
    }
}

impl From<Pattern> for WrittenPattern {
    fn from(pattern: Pattern) -> Self {
        match pattern {
            Pattern::Is(texts) => Self::Is(texts.into()),
            Pattern::IsNot(texts) => Self::IsNot(Negated { not: texts.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (value, pattern, is) in [
            ("cuda:0", "cuda:0", true),
            ("cuda:0", "cuda:*", true),
            ("cuda:", "cuda:*", true),
            ("cuda", "cuda:*", false),
            ("out_of_memory", "*memory*", true),
            ("memory", "*memory*", true),
            ("", "*", true),
            ("", "", true),
            ("abab", "a*ab", true),
            ("ab", "ab*ab", false),
            ("a-b-c", "a*b*c", true),
            ("a-c-b", "a*b*c", false),
        ] {
            assert_eq!(is_like(value, pattern), is, "{value} {pattern}");
        }
    }

    #[test]
    fn a_label_that_is_missing_is_the_empty_text() {
        let labels = Labels::from([("device".to_owned(), "cuda:0".to_owned())]);
        assert!(Selector::new("m").matches(&labels));
        assert!(Selector::new("m").with("device", "cuda:*").matches(&labels));
        assert!(Selector::new("m").with("other", "").matches(&labels));
        assert!(Selector::new("m").without("other", "x").matches(&labels));
        assert!(!Selector::new("m").without("other", "").matches(&labels));
        assert!(!Selector::new("m").without("device", "*0").matches(&labels));
    }

    #[test]
    fn every_form_reads_back() {
        for text in [
            r#""m""#,
            r#"{"metric":"m","where":{"a":"x"}}"#,
            r#"{"metric":"m","where":{"a":["x","y*"],"b":{"not":"z"},"c":{"not":["","q"]}}}"#,
        ] {
            let selector: Selector = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&selector).unwrap(), text);
        }
        let error = serde_json::from_str::<Selector>(r#"{"metrics":"m"}"#).unwrap_err();
        assert!(error.to_string().contains("a metric's name"), "{error}");
    }
}
