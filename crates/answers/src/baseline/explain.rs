//! What is not normal, in words: what is normal, since when it is not, and what changed about then.

use std::fmt;

use serde::Serialize;

use super::{Anomaly, Direction, Kind, Season};
use crate::units::{Amount, Roughly, UtcTime};

/// How long before the onset something that changed may have been its cause, in nanoseconds: a quarter of an hour.
pub const CAUSE_BEFORE_NS: u64 = 900_000_000_000;
/// How long after the onset it may have been noted: an onset is known within two readings or so, and clocks differ.
pub const CAUSE_AFTER_NS: u64 = 60_000_000_000;
/// Most changes that are named.
pub const CHANGES_MAX: usize = 10;

/// What kind of thing changed. The order is that in which they are named where they changed in the same minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Another version of a program runs (`service.version`).
    Deploy,
    /// A setting has another value.
    Configuration,
    /// Another model is served (`gen_ai.request.model`).
    Model,
    /// A device came, went, or is in another state.
    Device,
    /// Anything else.
    Other,
}

impl What {
    const fn label(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Configuration => "configuration",
            Self::Model => "model",
            Self::Device => "device",
            Self::Other => "change",
        }
    }
}

/// Something that changed at a time, as whoever watches it knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fact {
    /// When, in nanoseconds since the Unix epoch.
    pub at_unix_ns: u64,
    /// What kind of thing.
    pub what: What,
    /// What it is called: `service.version of chat`, `GPU 3`.
    pub name: String,
    /// What it was before; `None` where it was not there, or nobody knows.
    pub before: Option<String>,
    /// What it was afterwards; `None` where it was gone, or nobody knows.
    pub after: Option<String>,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what.label(), self.name)?;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, ": {before} became {after}"),
            (Some(before), None) => write!(f, ": {before} went away"),
            (None, Some(after)) => write!(f, ": {after} is new"),
            (None, None) => Ok(()),
        }
    }
}

/// Something that changed about when an anomaly began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What changed.
    pub fact: Fact,
    /// How many nanoseconds before the onset; below 0 after it.
    pub before_onset_ns: i64,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apart = Roughly(self.before_onset_ns.unsigned_abs());
        let side = if self.before_onset_ns < 0 {
            "after"
        } else {
            "before"
        };
        write!(f, "{}, {apart} {side}", self.fact)
    }
}

/// An anomaly in words. As text it is a few lines that always look the same for the same anomaly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// What it is now: `a step up to 39.0 ms`.
    pub now: String,
    /// What is normal: `12.0 to 15.0 ms at this hour`.
    pub normal: String,
    /// Since when it is not: `2026-11-30 11:13:11 UTC`.
    pub since: String,
    /// What changed about then, the likeliest cause first: those before the onset by the minutes between, then those noted
    /// after it. At most [`CHANGES_MAX`].
    pub changed: Vec<Change>,
    /// How many more changed than are named.
    pub changed_more: usize,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} since {}", self.now, self.since)?;
        writeln!(f, "normal: {}", self.normal)?;
        if self.changed.is_empty() {
            return write!(
                f,
                "changed: nothing that is known, in the {} before",
                Roughly(CAUSE_BEFORE_NS)
            );
        }
        write!(f, "changed about then:")?;
        for change in &self.changed {
            write!(f, "\n- {change}")?;
        }
        if self.changed_more > 0 {
            write!(f, "\n- and {} more", self.changed_more)?;
        }
        Ok(())
    }
}

/// Says what an anomaly is, in a unit of OpenTelemetry (`ms`, `By`, `1`; UCUM), and which of these facts may have to do with
/// it. The facts may be in any order, and of any time. That something changed just before is no proof that it is the cause.
pub fn explain(anomaly: &Anomaly, unit: &str, facts: &[Fact]) -> Explained {
    // Failures are shares whatever they are measured in.
    let (scale, unit) = match anomaly.kind {
        Kind::Spike => (100.0, "%"),
        _ => (1.0, unit),
    };
    let amount = |value: f64| Amount(value * scale, unit).to_string();
    let direction = match anomaly.direction {
        Direction::Up => "up",
        Direction::Down => "down",
    };
    let value = amount(anomaly.value);
    let now = match anomaly.kind {
        Kind::Spike => format!("a spike of failures to {value}"),
        Kind::Step => format!("a step {direction} to {value}"),
        Kind::Trend => format!("a trend {direction} to {value}"),
        Kind::Pressure => format!("pressure at {value}"),
    };
    let expected = anomaly.expected;
    let when = match expected.season {
        Season::Recent => format!("since {}", UtcTime(expected.since_unix_ns)),
        Season::HourOfDay => "at this hour of the day".to_owned(),
        Season::HourOfWeek => "at this hour of the week".to_owned(),
    };
    let range = range(&amount(expected.low), &amount(expected.high));
    let (changed, changed_more) = changes(anomaly.since_unix_ns, facts);
    Explained {
        now,
        normal: format!("{range} {when}"),
        since: UtcTime(anomaly.since_unix_ns).to_string(),
        changed,
        changed_more,
    }
}

/// `12.0 to 15.0 ms`: the unit once where both have the same, and one amount where they look alike.
fn range(low: &str, high: &str) -> String {
    if low == high {
        return low.to_owned();
    }
    let unit = |amount: &str| amount.split_once(' ').map(|(_, unit)| unit.to_owned());
    match low.split_once(' ') {
        Some((number, of)) if unit(high).as_deref() == Some(of) => format!("{number} to {high}"),
        _ => format!("{low} to {high}"),
    }
}

fn changes(onset_unix_ns: u64, facts: &[Fact]) -> (Vec<Change>, usize) {
    let from = onset_unix_ns.saturating_sub(CAUSE_BEFORE_NS);
    let to = onset_unix_ns.saturating_add(CAUSE_AFTER_NS);
    let mut facts: Vec<&Fact> = facts
        .iter()
        .filter(|fact| (from..=to).contains(&fact.at_unix_ns))
        .collect();
    let minutes = |fact: &Fact| onset_unix_ns.abs_diff(fact.at_unix_ns) / 60_000_000_000;
    facts.sort_by(|a, b| {
        (a.at_unix_ns > onset_unix_ns)
            .cmp(&(b.at_unix_ns > onset_unix_ns))
            .then(minutes(a).cmp(&minutes(b)))
            .then(a.what.cmp(&b.what))
            .then(b.at_unix_ns.cmp(&a.at_unix_ns))
            .then(a.cmp(b))
    });
    facts.dedup();
    let more = facts.len().saturating_sub(CHANGES_MAX);
    let named = facts.into_iter().take(CHANGES_MAX).map(|fact| Change {
        // Both are within a quarter of an hour of each other.
        before_onset_ns: onset_unix_ns.wrapping_sub(fact.at_unix_ns) as i64,
        fact: fact.clone(),
    });
    (named.collect(), more)
}
