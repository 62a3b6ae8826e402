//! What queries are answered from.

use std::sync::Arc;

use super::{Error, Histogram, Labels, Matcher};

/// The value that marks the end of a series (Prometheus, `model/value`: StaleNaN).
pub(crate) const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// A reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// When, in milliseconds since the Unix epoch.
    pub(crate) time_ms: i64,
    pub(crate) value: f64,
}

impl Point {
    /// It says that the series ends here.
    pub(crate) const fn is_stale(self) -> bool {
        self.value.to_bits() == STALE_BITS
    }
}

/// The readings of a series, by rising time, no two at one time.
#[derive(Clone, Debug)]
pub(crate) enum Points {
    Floats(Vec<Point>),
    /// Exponential histograms: when, and what was measured until then.
    Histograms(Vec<(i64, Arc<Histogram>)>),
}

impl Points {
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Floats(points) => points.len(),
            Self::Histograms(points) => points.len(),
        }
    }
}

/// A series.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) points: Points,
}

/// A time, both ends included, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

/// What a metric is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Its name in PromQL, without what series of histograms add to it.
    pub(crate) name: String,
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: &'static str,
    /// The unit's word; empty for none.
    pub(crate) unit: String,
}

/// What queries are answered from.
pub(crate) trait Source {
    /// The series that all matchers accept with their readings in `window`, no two with the same labels. At most
    /// `points_max` readings: more are refused.
    fn select(
        &self,
        matchers: &[Matcher],
        window: Window,
        points_max: usize,
    ) -> Result<Vec<Series>, Error>;

    /// The labels of series with readings in `window` that all matchers of one of `sets` accept; of all where there are no
    /// sets.
    fn series(&self, sets: &[Vec<Matcher>], window: Window) -> Result<Vec<Labels>, Error>;

    /// What there is in `window`.
    fn metadata(&self, window: Window) -> Result<Vec<Metadata>, Error>;
}
