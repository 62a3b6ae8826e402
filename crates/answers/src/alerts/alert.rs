//! One thing that is wrong, and what happens to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names and values that tell one alert from another, and by which they are grouped and routed.
pub type Labels = BTreeMap<String, String>;

/// How much somebody should care. The order is that of urgency.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth a look today.
    #[default]
    Warning,
    /// Somebody should look now.
    Error,
    /// Somebody has to be woken.
    Critical,
}

impl Severity {
    /// `info`, `warning`, `error` or `critical`: the words of PagerDuty's events too.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its condition holds, not yet for as long as its rule asks.
    Pending,
    /// It is wrong.
    Firing,
    /// It was, and is no longer.
    Resolved,
}

/// One thing that is wrong. Two with the same labels are the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// `alertname` is the rule's name, `severity` how urgent it is; the others are the rule's and the series'.
    pub labels: Labels,
    /// What people read: `summary`, `description`, `action` (what to do about it), and what a rule adds.
    pub annotations: Labels,
    /// How urgent it is: the label of that name.
    pub severity: Severity,
    /// Where it is in its life.
    pub phase: Phase,
    /// The value that was measured last, in the unit of its rule; `None` where there is none, as of what is absent.
    pub value: Option<f64>,
    /// Since when its condition holds, in nanoseconds since the Unix epoch.
    pub started_unix_ns: u64,
    /// Since when it is firing, in nanoseconds since the Unix epoch; `None` while it never was.
    pub fired_unix_ns: Option<u64>,
    /// Since when it is resolved, in nanoseconds since the Unix epoch; `None` while it is not.
    pub resolved_unix_ns: Option<u64>,
}

impl Alert {
    /// The rule's name.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }

    /// A number for its labels: FNV-1a over names and values in order, each ended by the byte 255, which no text has
    /// (Prometheus, model/labels: the same separator; the hash is Alertmanager's `fingerprint`).
    pub fn fingerprint(&self) -> u64 {
        hash(
            self.labels
                .iter()
                .flat_map(|(name, value)| [name.as_str(), value]),
        )
    }
}

/// FNV-1a over texts, each ended by the byte 255.
pub(super) fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    texts
        .into_iter()
        .fold(OFFSET, |hash, text| add(text.bytes().fold(hash, add), 0xff))
}

/// An alert that began to fire, goes on firing with other annotations, or is resolved: what the engine hands to routing.
/// One that was pending and came to nothing is no change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// The alert as it is then: [`Phase::Firing`] or [`Phase::Resolved`].
    pub alert: Alert,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_alone_tell_alerts_apart() {
        let alert = |labels: &[(&str, &str)], value| Alert {
            labels: labels
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            annotations: Labels::new(),
            severity: Severity::Warning,
            phase: Phase::Firing,
            value,
            started_unix_ns: 1,
            fired_unix_ns: Some(1),
            resolved_unix_ns: None,
        };
        let first = alert(&[("alertname", "slow"), ("model", "a")], Some(1.0));
        assert_eq!(first.name(), "slow");
        let same = alert(&[("model", "a"), ("alertname", "slow")], None);
        assert_eq!(first.fingerprint(), same.fingerprint());
        for other in [
            &[("alertname", "slow"), ("model", "b")][..],
            &[("alertname", "slow")],
            &[("alertname", "slowm"), ("odel", "a")],
            &[],
        ] {
            assert_ne!(first.fingerprint(), alert(other, None).fingerprint());
        }
    }
}
