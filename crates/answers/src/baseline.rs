//! What is normal for a series, and whether it still is: robust baselines with changepoints, as a state machine.
//!
//! A [`Baseline`] learns from the readings of one series what is normal: the median, and median absolute deviations below and
//! above it, over the last hour ([`Season::Recent`]) and at the same hour of earlier days and weeks. A reading's score is the
//! normal deviate of its rank among the last hour's, so that the shape of the noise does not matter; scores are added up by
//! a cumulative sum, whose threshold grows with how much a reading depends on the one before. What the sum
//! claims counts only where it is large enough to matter and not usual at this hour. An [`ErrorRate`] does the same with counts.
//!
//! Invariants, each held by a test:
//! * The same readings give the same verdicts; time comes in as a number.
//! * Memory is bounded whatever comes: two windows of 128 readings, and what was normal at each hour of three weeks.
//! * What is anomalous never becomes part of what is normal unless it lasts, and then that is said.
//! * A reading that is no number, or not later than the one before, changes nothing and is counted.
//!
//! An observation costs a search in 128 numbers and now and then a shift of as many; a look for trends, once a minute,
//! some 300 comparisons.
//!
//! ```
//! use radiosonde_answers::baseline::{Baseline, Settings, Verdict};
//!
//! let mut latency = Baseline::new(Settings::default());
//! let second = 1_000_000_000;
//! for second_of in 0..60 {
//!     latency.observe(second_of * second, 12.0 + (second_of % 3) as f64);
//! }
//! let found = (60..75).find(|second_of| {
//!     matches!(latency.observe(second_of * second, 39.0), Verdict::Anomalous(_))
//! });
//! assert!(found.is_some(), "a threefold step is found within 15 seconds");
//! ```

use serde::Serialize;

pub use self::{
    explain::{
        CAUSE_AFTER_NS, CAUSE_BEFORE_NS, CHANGES_MAX, Change, Explained, Fact, What, explain,
    },
    rate::{ErrorRate, RateSettings},
};

use self::{correlation::Correlation, cusum::Sums, season::Hours, window::Window};

mod beside;
mod correlation;
mod cusum;
mod explain;
mod observe;
mod rate;
mod season;
mod trend;
pub(crate) mod window;

const NS_PER_S: f64 = 1e9;
/// What a score has to exceed to speak for a change: half of a shift of two deviations, for which the sum is then the
/// quickest (Page 1954).
const ALLOWANCE: f64 = 1.0;
/// The evidence asked for where readings do not depend on each other. A sum of normal scores with this allowance exceeds it
/// by chance once in (e^(2·1·(7 + 1.166)) - 1 - 2·(7 + 1.166)) / 2 = 6.2 million readings in one direction (D. Siegmund,
/// "Sequential Analysis", 1985, 2.52 with his correction of 1.166 for the overshoot).
const THRESHOLD: f64 = 7.0;
/// So many readings far beyond anything that was there are a change, whatever their ranks say. That the eight largest of 38
/// readings come last has a chance of one in 49 million where all orders are as likely.
const FAR_READINGS: f64 = 8.0;
/// Where readings depend on each other: so many for each that depends on none.
const FAR_FOR_ONE: f64 = 2.0;
/// What a reading that is not far takes away.
const FAR_MISSED: f64 = 2.0;
/// How many readings that depend on none have to be known.
const INDEPENDENT_MIN: f64 = 10.0;
/// A single reading counts no more than this, however far away it is.
const SCORE_MAX: f64 = 2.5;
/// Normal is what lies within so many deviations of the median: about 95 of 100 readings.
const DEVIATIONS: f64 = 2.0;
/// A shift too small to matter is followed after this time.
const FOLLOW_NS: u64 = 900_000_000_000;
/// How long something has to be away from what is usual at an hour.
const UNUSUAL_NS: u64 = 900_000_000_000;
/// How often trends are looked for.
const TREND_EVERY_NS: u64 = 60_000_000_000;
const WEEK_NS: u64 = 604_800_000_000_000;
/// Scores of deviations are not told beyond this.
const DEVIATIONS_MAX: f64 = 1_000.0;

/// Which changes are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// Those in either direction.
    #[default]
    Both,
    /// Those upwards, as of latency.
    Rises,
    /// Those downwards, as of throughput.
    Falls,
}

/// What a baseline is asked to find. The defaults are meant for any series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Which changes are told.
    pub watch: Watch,
    /// How many readings have to be there before anything is said.
    pub readings_min: usize,
    /// How long they have to have come, in seconds.
    pub learning_s: f64,
    /// The smallest change that matters, as a share of the median. A trend has to make two and a half times this within an hour.
    pub change_share_min: f64,
    /// The smallest change that matters, in the unit of the series.
    pub change_min: f64,
    /// For how long a changed level is told before it counts as the new normal, in seconds.
    pub adopt_after_s: f64,
    /// What the series cannot exceed, for pressure; `None` where there is no such thing.
    pub limit: Option<f64>,
    /// From which share of the limit on it is pressure.
    pub pressure_share: f64,
    /// How long that has to last, in seconds.
    pub pressure_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            watch: Watch::Both,
            readings_min: 30,
            learning_s: 30.0,
            change_share_min: 0.2,
            change_min: 0.0,
            adopt_after_s: 3600.0,
            limit: None,
            pressure_share: 0.9,
            pressure_s: 300.0,
        }
    }
}

/// Of which times a normal range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// Of the last hour.
    Recent,
    /// Of the same hour of at least three of the last seven days.
    HourOfDay,
    /// Of the same hour of at least two of the last three weeks.
    HourOfWeek,
}

/// What is normal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Expected {
    /// The lower end of what is normal, in the unit of the series.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The upper end.
    pub high: f64,
    /// Of which times that is.
    pub season: Season,
    /// Since when this level is normal, in nanoseconds since the Unix epoch: the first reading, or the change that was adopted.
    pub since_unix_ns: u64,
    /// From how many readings the recent part was made; at most 128, spread over the hour.
    pub readings: usize,
}

/// What kind of anomaly it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Many more failures than before (of an [`ErrorRate`]).
    Spike,
    /// The level is another.
    Step,
    /// The level goes steadily away.
    Trend,
    /// Near its limit for a while, where it was not before.
    Pressure,
}

/// Where it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To more than is normal.
    Up,
    /// To less.
    Down,
}

/// What is not normal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Anomaly {
    /// What kind it is. A step may turn out to be pressure.
    pub kind: Kind,
    /// Where it went.
    pub direction: Direction,
    /// What was normal before.
    pub expected: Expected,
    /// The level since then: the median of the readings, or the share that failed.
    pub value: f64,
    /// When it began, in nanoseconds since the Unix epoch.
    pub since_unix_ns: u64,
    /// When it was found.
    pub found_unix_ns: u64,
    /// How many deviations the level is away from the median, at most 1,000.
    pub score: f64,
}

/// What there is to say after a reading.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Too little is known.
    Learning {
        /// How many more readings it takes.
        readings_more: usize,
        /// How many more seconds it takes.
        seconds_more: f64,
    },
    /// Nothing is wrong.
    Normal(Expected),
    /// Something is.
    Anomalous(Anomaly),
}

/// A level that lasted and became the normal one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Adopted {
    /// When it began, in nanoseconds since the Unix epoch.
    pub since_unix_ns: u64,
    /// When it was taken as normal.
    pub adopted_unix_ns: u64,
    /// What was normal before.
    pub before: Expected,
}

/// One series, and what is normal for it.
#[derive(Clone, Debug)]
pub struct Baseline {
    settings: Settings,
    reference: Window,
    /// Readings since one of the sums is above nothing: not yet part of the reference.
    candidate: Window,
    up: Sums,
    down: Sums,
    correlation: Correlation,
    hours: Hours,
    last_unix_ns: Option<u64>,
    since_unix_ns: u64,
    /// How many readings have come while it learnt.
    learnt_readings: u64,
    has_learnt: bool,
    ongoing: Option<Anomaly>,
    adopted: Option<Adopted>,
    trend_looked_unix_ns: u64,
    /// The lowest and highest level of an anomaly in this hour.
    reached: Option<(f64, f64)>,
    unusual: Option<Unusual>,
    unusual_silent_until_unix_ns: u64,
    was_below_pressure: bool,
    pressed_since_unix_ns: Option<u64>,
    ignored: u64,
}

/// Readings in a row that are away from what is usual at the hour.
#[derive(Clone, Copy, Debug)]
struct Unusual {
    since_unix_ns: u64,
    readings: usize,
}

#[cfg(test)]
mod tests;
