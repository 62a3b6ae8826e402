//! When something runs out: memory, a KV cache, a disk, the places of a queue. With an interval and the model that was used,
//! or with the reason why that cannot be told.
//!
//! Three models are asked, the simplest that fits answers. What rises and falls like a heap that is collected is looked at by
//! its low points ([`Model::LowPoints`]); anything else by a line, through all readings or, where it bends, through the latest
//! half or quarter of them ([`Model::Line`], [`Model::LatestLine`]). Slopes are the medians of the slopes between pairs of
//! readings, and their intervals are free of assumptions about the noise (`line`). A line alone would trust what merely wanders, so
//! gains in parts of the time have to agree that it grows (`growth`), and the interval is the wider of the two.
//!
//! Invariants, each held by a test: the same readings, in whatever order, give the same answer; what is steady, wanders, or falls
//! back each time is not claimed to run out; nothing is extrapolated to more than ten times as long as it was seen.
//!
//! ```
//! use radiosonde_answers::forecast::{Limit, Outlook, Reading, Settings, forecast};
//!
//! // Ten megabytes a second, for fifty seconds.
//! let readings: Vec<Reading> = (0..50)
//!     .map(|second| Reading { time_unix_ns: second * 1_000_000_000, value: second as f64 * 10e6 })
//!     .collect();
//! let Outlook::Reaches(reach) = forecast(&readings, Limit::AtMost(1e9), &Settings::default()) else {
//!     panic!("it leaks");
//! };
//! assert!((reach.in_s - 51.0).abs() < 1.0);
//! ```

use std::fmt;

use serde::Serialize;

use self::{growth::Growth, line::Line};
use crate::units::{Amount, Roughly, UtcTime};

pub(crate) mod growth;
mod line;
mod sawtooth;

const NS_PER_S: f64 = 1e9;
/// Nothing is extrapolated to more than so many times as long as it was seen.
const EXTRAPOLATION_MAX: f64 = 10.0;
/// How often only the latest half of what is there is taken, at most.
const HALVINGS_MAX: usize = 3;

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// The value.
    pub value: f64,
}

/// What must not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// There is no more than this, as of memory in use.
    AtMost(f64),
    /// There has to be more than this, as of free space on a disk.
    AtLeast(f64),
}

impl Limit {
    const fn value(self) -> f64 {
        match self {
            Self::AtMost(value) | Self::AtLeast(value) => value,
        }
    }

    /// 1 where more is worse, -1 where less is.
    const fn sign(self) -> f64 {
        match self {
            Self::AtMost(_) => 1.0,
            Self::AtLeast(_) => -1.0,
        }
    }
}

/// What a forecast has to be like to be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// From how many readings at least; never from fewer than 24, two for each part of the time in which gains are compared.
    pub readings_min: usize,
    /// How far ahead at most, in seconds.
    pub horizon_s: f64,
    /// How much of the readings' spread the model has to explain, from 0 to 1.
    pub fit_min: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            readings_min: 24,
            horizon_s: 86_400.0,
            fit_min: 0.5,
        }
    }
}

/// What was made of the readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// A line through all readings.
    Line,
    /// A line through the latest of them, because all together bend.
    LatestLine,
    /// A line through the low points between falls: what is left each time that the rest is given back.
    LowPoints,
}

impl Model {
    fn through(self, readings: usize) -> String {
        match self {
            Self::Line => format!("a line through {readings} readings"),
            Self::LatestLine => format!("a line through the latest {readings} readings"),
            Self::LowPoints => format!("a line through {readings} low points"),
        }
    }
}

/// That a limit will be reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reach {
    /// What was made of the readings.
    pub model: Model,
    /// How many readings, or low points, that was made of.
    pub readings: usize,
    /// How much of their spread the model explains, from 0 to 1: R¹ of R. Koenker and J. A. F. Machado (1999), which is to
    /// absolute deviations what R² is to squares.
    pub fit: f64,
    /// The last value that was read.
    pub now: f64,
    /// What is reached.
    pub limit: f64,
    /// How much it grows a second; below 0 where less is worse.
    pub per_s: f64,
    /// Its 99 % interval, the slower first.
    pub per_s_interval: (f64, f64),
    /// In how many seconds from the last reading.
    pub in_s: f64,
    /// The 99 % interval of that, should it go on as it did.
    pub in_interval_s: (f64, f64),
    /// When, in nanoseconds since the Unix epoch.
    pub at_unix_ns: u64,
}

impl Reach {
    /// That in a sentence, in a unit of OpenTelemetry: `reaches 953.7 MiB in 51 s (48 s to 53 s), at 2026-11-30 00:01:40 UTC, by
    /// 9.5 MiB a second: a line through 50 readings, which explains 98 % of their spread`.
    pub fn words(&self, unit: &str) -> String {
        let seconds = |seconds: f64| Roughly((seconds * NS_PER_S) as u64);
        format!(
            "reaches {} in {} ({} to {}), at {}, by {} a second: {}, which explains {:.0} % of their spread",
            Amount(self.limit, unit),
            seconds(self.in_s),
            seconds(self.in_interval_s.0),
            seconds(self.in_interval_s.1),
            UtcTime(self.at_unix_ns),
            Amount(self.per_s, unit),
            self.model.through(self.readings),
            100.0 * self.fit,
        )
    }
}

/// Why nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// There is too little to see anything.
    TooFew {
        /// How many readings there are.
        readings: usize,
        /// How many it takes.
        needed: usize,
    },
    /// It does not go towards the limit, or not so that one could be sure.
    NotGrowing,
    /// It falls back again and again, and its low points do not rise.
    Sawtooth {
        /// How often it fell.
        falls: usize,
    },
    /// It fell back too seldom to know how its low points go on.
    FewLowPoints {
        /// How many there are.
        low_points: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The model explains too little.
    PoorFit {
        /// How much of the spread it explains.
        fit: f64,
        /// How much it has to.
        needed: f64,
    },
    /// It would be too long from now to be told from what was seen.
    TooFar {
        /// In how many seconds it would be.
        in_s: f64,
        /// How far is told, in seconds.
        told_s: f64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |seconds: f64| Roughly((seconds * NS_PER_S) as u64);
        match *self {
            Self::TooFew { readings, needed } => write!(
                f,
                "{readings} readings are too few to see a trend; {needed} are needed"
            ),
            Self::NotGrowing => f.write_str("it does not surely go towards the limit"),
            Self::Sawtooth { falls } => write!(
                f,
                "it fell back {falls} times, and its low points do not surely rise"
            ),
            Self::FewLowPoints { low_points, needed } => write!(
                f,
                "it falls back, and {low_points} low points are too few to see where they go; {needed} are needed"
            ),
            Self::PoorFit { fit, needed } => write!(
                f,
                "a line explains {:.0} % of the spread, and {:.0} % are needed",
                100.0 * fit,
                100.0 * needed
            ),
            Self::TooFar { in_s, told_s } => write!(
                f,
                "it would be in {}, and what was seen tells {} ahead",
                seconds(in_s),
                seconds(told_s)
            ),
        }
    }
}

/// What there is to say about a limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "outlook", rename_all = "snake_case")]
pub enum Outlook {
    /// It will be reached.
    Reaches(Reach),
    /// It is reached.
    Reached {
        /// The last value that was read.
        now: f64,
    },
    /// Nothing is said, for a reason.
    Abstains {
        /// Why.
        because: Reason,
    },
}

/// When a limit is reached, from readings in any order. Those that are no numbers do not count; of those at one time the
/// largest does. Costs the slopes between 200 readings at most, whatever their number.
pub fn forecast(readings: &[Reading], limit: Limit, settings: &Settings) -> Outlook {
    let points = points(readings, limit);
    let limit_up = limit.value() * limit.sign();
    if let Some(&(_, last)) = points.last()
        && last >= limit_up
    {
        return Outlook::Reached {
            now: last * limit.sign(),
        };
    }
    let needed = settings.readings_min.max(2 * growth::PARTS);
    if points.len() < needed {
        return abstain(Reason::TooFew {
            readings: points.len(),
            needed,
        });
    }
    let seen = Seen {
        points: &points,
        limit_up,
        needed,
    };
    let found = seen
        .model()
        .and_then(|fitted| seen.judged(fitted, settings));
    match found {
        Ok(fitted) => Outlook::Reaches(seen.reach(readings, &fitted, limit)),
        Err(because) => abstain(because),
    }
}

const fn abstain(because: Reason) -> Outlook {
    Outlook::Abstains { because }
}

/// Seconds since the last reading, which are below 0, and values of which more is worse.
fn points(readings: &[Reading], limit: Limit) -> Vec<(f64, f64)> {
    let last_unix_ns = last_unix_ns(readings);
    let mut points: Vec<(u64, f64)> = readings
        .iter()
        .filter(|reading| reading.value.is_finite())
        .map(|reading| (reading.time_unix_ns, reading.value * limit.sign()))
        .collect();
    points.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    points.dedup_by_key(|point| point.0);
    points
        .into_iter()
        .map(|(time, value)| (-((last_unix_ns - time) as f64) / NS_PER_S, value))
        .collect()
}

fn last_unix_ns(readings: &[Reading]) -> u64 {
    readings
        .iter()
        .filter(|reading| reading.value.is_finite())
        .map(|reading| reading.time_unix_ns)
        .max()
        .unwrap_or(0)
}

struct Seen<'a> {
    points: &'a [(f64, f64)],
    limit_up: f64,
    needed: usize,
}

struct Fitted {
    model: Model,
    line: Line,
    /// `None` for low points, which are too few for it.
    growth: Option<Growth>,
}

impl Seen<'_> {
    /// The simplest model that fits.
    fn model(&self) -> Result<Fitted, Reason> {
        let sawtooth = sawtooth::low_points(self.points);
        if sawtooth.falls > 0 {
            return Self::by_low_points(&sawtooth);
        }
        let mut latest = self.points;
        for _ in 0..HALVINGS_MAX {
            let (earlier, later) = latest.split_at(latest.len() / 2);
            if earlier.len() < self.needed || !line::differ(earlier, later) {
                break;
            }
            latest = later;
        }
        let line = Line::through(latest).ok_or(Reason::NotGrowing)?;
        let growth = Growth::between(&part_ends(latest), part_s(latest));
        if line.slope_interval.0 <= 0.0 || !growth.is_sure() {
            return Err(Reason::NotGrowing);
        }
        Ok(Fitted {
            model: if latest.len() == self.points.len() {
                Model::Line
            } else {
                Model::LatestLine
            },
            line,
            growth: Some(growth),
        })
    }

    fn by_low_points(sawtooth: &sawtooth::Sawtooth) -> Result<Fitted, Reason> {
        let needed = sawtooth::LOW_POINTS_MIN;
        let low_points = sawtooth.low_points.len();
        if low_points < needed {
            return Err(Reason::FewLowPoints { low_points, needed });
        }
        let falls = sawtooth.falls;
        Line::through(&sawtooth.low_points)
            .filter(|line| line.slope_interval.0 > 0.0)
            .map(|line| Fitted {
                model: Model::LowPoints,
                line,
                growth: None,
            })
            .ok_or(Reason::Sawtooth { falls })
    }

    /// Whether the model is good enough to be told.
    fn judged(&self, fitted: Fitted, settings: &Settings) -> Result<Fitted, Reason> {
        if fitted.line.fit < settings.fit_min {
            return Err(Reason::PoorFit {
                fit: fitted.line.fit,
                needed: settings.fit_min,
            });
        }
        let told_s = (EXTRAPOLATION_MAX * fitted.line.seconds).min(settings.horizon_s);
        let in_s = fitted.line.reaches_in_s(self.limit_up);
        if in_s > told_s {
            return Err(Reason::TooFar { in_s, told_s });
        }
        Ok(fitted)
    }

    fn reach(&self, readings: &[Reading], fitted: &Fitted, limit: Limit) -> Reach {
        let line = &fitted.line;
        let now = self.points.last().map_or(0.0, |&(_, value)| value);
        let in_s = line.reaches_in_s(self.limit_up);
        let (mut earliest, mut latest) = line.reaches_between_s(self.limit_up);
        if let Some(growth) = fitted.growth {
            let (sooner, later) = growth.gains_in_s(self.limit_up - now);
            earliest = earliest.min(sooner);
            latest = latest.max(later);
        }
        let sign = limit.sign();
        let (slower, faster) = line.slope_interval;
        Reach {
            model: fitted.model,
            readings: line.points,
            fit: line.fit,
            now: now * sign,
            limit: limit.value(),
            per_s: line.slope * sign,
            per_s_interval: (slower * sign, faster * sign),
            in_s,
            in_interval_s: (earliest.min(in_s), latest.max(in_s)),
            at_unix_ns: last_unix_ns(readings).saturating_add((in_s * NS_PER_S) as u64),
        }
    }
}

/// The values at the ends of equal parts of the time, between readings on the line between them.
fn part_ends(points: &[(f64, f64)]) -> Vec<f64> {
    let first = points.first().map_or(0.0, |point| point.0);
    (0..=growth::PARTS)
        .map(|part| {
            let at = first + part as f64 * part_s(points);
            let after = points.partition_point(|point| point.0 < at);
            let (before, after) = (
                points[after.clamp(1, points.len()) - 1],
                points[after.min(points.len() - 1)],
            );
            let share = (at - before.0) / (after.0 - before.0);
            if share.is_finite() {
                before.1 + share.clamp(0.0, 1.0) * (after.1 - before.1)
            } else {
                before.1
            }
        })
        .collect()
}

fn part_s(points: &[(f64, f64)]) -> f64 {
    match (points.first(), points.last()) {
        (Some(first), Some(last)) => (last.0 - first.0) / growth::PARTS as f64,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests;
