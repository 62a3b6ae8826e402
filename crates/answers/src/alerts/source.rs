//! Where measurements come from: the one seam between the engine and whoever drives it.
//!
//! The library gives the readings of its own metrics that it keeps ([`Window`](super::Window)), the program what its store
//! has, a rehearsal what the store had.

use std::borrow::Cow;

use super::{Labels, Selector};
use crate::distribution::Distribution;

/// Gives measurements of any time that it is asked for.
pub trait Source {
    /// The series that the selector means, with their readings after `from_unix_ns` up to and including `until_unix_ns`, by
    /// time. One without a reading may be left out. The error is shown to people as the health of the rule that asked; no
    /// alert changes by it.
    fn series<'s>(
        &'s self,
        selector: &Selector,
        from_unix_ns: u64,
        until_unix_ns: u64,
    ) -> Result<Vec<Series<'s>>, String>;

    /// The answer to a text in PromQL at a time. Samples whose labels are equal are an error.
    fn expression(&self, text: &str, at_unix_ns: u64) -> Result<Vec<Sample>, String>;
}

/// The readings of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<'s> {
    /// What tells it from the other series of its metric.
    pub labels: Cow<'s, Labels>,
    /// When the first of these readings' totals was nothing yet, in nanoseconds since the Unix epoch, where that is known: what
    /// a counter counted before its first reading is then known too.
    pub since_unix_ns: Option<u64>,
    /// What was read.
    pub points: Points<'s>,
}

/// Readings by the kind of their metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Points<'s> {
    /// Totals since some start. One that is less than the one before it has started anew.
    Counter(Cow<'s, [Point]>),
    /// Values.
    Gauge(Cow<'s, [Point]>),
    /// Distributions since some start.
    Histogram(Cow<'s, [Spread]>),
}

impl Points<'_> {
    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Counter(points) | Self::Gauge(points) => points.is_empty(),
            Self::Histogram(spreads) => spreads.is_empty(),
        }
    }

    /// When something was read last, in nanoseconds since the Unix epoch.
    pub fn last_unix_ns(&self) -> Option<u64> {
        match self {
            Self::Counter(points) | Self::Gauge(points) => {
                points.last().map(|point| point.time_unix_ns)
            }
            Self::Histogram(spreads) => spreads.last().map(|spread| spread.time_unix_ns),
        }
    }
}

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// The value.
    pub value: f64,
}

/// A distribution at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// How many were measured.
    pub count: f64,
    /// What they add up to.
    pub sum: f64,
    /// How they lie.
    pub distribution: Distribution,
}

/// A sample of the answer to an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels, without a metric's name.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}
