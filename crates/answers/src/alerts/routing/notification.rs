//! What is said to a receiver, and what came of it.

use serde::{Deserialize, Serialize};

use super::super::{Alert, Labels, Phase, Severity};

/// Why something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Alerts fire of a group of which nothing fired, as far as the receiver knew.
    New,
    /// Others fire as well, or some no longer do.
    Changed,
    /// The same as before, still.
    Repeat,
    /// Nothing of the group fires any longer.
    Resolved,
    /// Alerts that fire and are resolved again and again: how often, and how they are now.
    Digest,
}

impl Reason {
    /// In one word.
    pub const fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Repeat => "repeat",
            Self::Resolved => "resolved",
            Self::Digest => "digest",
        }
    }
}

/// An alert as part of a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notified {
    /// The alert as it is: [`Phase::Firing`] or [`Phase::Resolved`].
    pub alert: Alert,
    /// Whether its receiver did not know that it is so, or how often it turned.
    pub is_news: bool,
    /// How often it began to fire of late, within the route's window of flapping.
    pub firings: u64,
    /// In what time that was, in nanoseconds: from the first of them to its last change.
    pub firings_over_ns: u64,
}

/// What is said to one receiver about one group of alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Its number, by which [`Router::answered`](super::Router::answered) is told what came of it.
    pub id: u64,
    /// When it was made, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// Who is told.
    pub receiver: String,
    /// Which group it is about; the same for every notification about it.
    pub group_key: String,
    /// The labels that the group has in common.
    pub group_labels: Labels,
    /// Why it is said.
    pub reason: Reason,
    /// [`Phase::Firing`] while anything of the group fires that the receiver was told of, or is now.
    pub status: Phase,
    /// The alerts: what is new first, then by severity. What a silence or an inhibition hides is not among them.
    pub alerts: Vec<Notified>,
    /// How many more there are, beyond the most that the receiver takes.
    pub left_out: u64,
    /// How many fire, those that are left out among them.
    pub firing: u64,
    /// How many are resolved, those that are left out among them.
    pub resolved: u64,
    /// How many fire of which the receiver was told, and which are hidden now.
    pub hidden: u64,
    /// When it is said again at the earliest, should nothing change, in nanoseconds since the Unix epoch.
    pub repeat_unix_ns: u64,
}

impl Notification {
    /// The highest severity among what fires, or among all where nothing does.
    pub fn severity(&self) -> Severity {
        let of = |only_firing: bool| {
            let alerts = self.alerts.iter().map(|notified| &notified.alert);
            let counted = alerts.filter(|alert| !only_firing || alert.phase == Phase::Firing);
            counted.map(|alert| alert.severity).max()
        };
        of(true).or_else(|| of(false)).unwrap_or_default()
    }

    /// The labels that all of its alerts have.
    pub fn common_labels(&self) -> Labels {
        self.common(|alert| &alert.labels)
    }

    /// The annotations that all of its alerts have.
    pub fn common_annotations(&self) -> Labels {
        self.common(|alert| &alert.annotations)
    }

    fn common(&self, of: impl Fn(&Alert) -> &Labels) -> Labels {
        let Some((first, others)) = self.alerts.split_first() else {
            return Labels::new();
        };
        let in_all = |name: &String, value: &String| {
            others
                .iter()
                .all(|other| of(&other.alert).get(name) == Some(value))
        };
        let mut common = of(&first.alert).clone();
        common.retain(|name, value| in_all(name, value));
        common
    }
}

/// What came of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It did not, and may another time.
    Failed {
        /// Why not.
        because: String,
        /// How long the receiver asked to be left alone, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The receiver does not want it, and will not as it is.
    Refused {
        /// What it said.
        because: String,
    },
}
