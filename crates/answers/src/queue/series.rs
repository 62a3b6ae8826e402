//! Readings in order of time: their mean, their increase, their parts.

use super::{Interval, Reading};

pub(super) const NS_PER_S: f64 = 1e9;

/// Readings within a time, by time. Of readings at one time the largest counts, so that no order of records matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(Vec<Reading>);

impl Series {
    pub(super) fn new(readings: &[Reading], within: Interval) -> Self {
        let is_within = |reading: &&Reading| {
            reading.value.is_finite()
                && (within.from_unix_ns..within.to_unix_ns).contains(&reading.time_unix_ns)
        };
        let mut readings: Vec<Reading> = readings.iter().filter(is_within).copied().collect();
        readings.sort_unstable_by(|a, b| {
            a.time_unix_ns
                .cmp(&b.time_unix_ns)
                .then(b.value.total_cmp(&a.value))
        });
        readings.dedup_by_key(|reading| reading.time_unix_ns);
        Self(readings)
    }

    pub(super) fn readings(&self) -> &[Reading] {
        &self.0
    }

    pub(super) fn first(&self) -> Option<Reading> {
        self.0.first().copied()
    }

    pub(super) fn last(&self) -> Option<Reading> {
        self.0.last().copied()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Seconds from the first to the last reading; `None` with fewer than two.
    pub(super) fn seconds(&self) -> Option<f64> {
        let (first, last) = (self.first()?, self.last()?);
        let seconds = seconds(last.time_unix_ns - first.time_unix_ns);
        (seconds > 0.0).then_some(seconds)
    }

    /// The mean over time: each reading counts until the next one (trapezoids would count what was between, which nobody
    /// knows); that of a single reading is itself.
    pub(super) fn mean(&self) -> Option<f64> {
        let Some(seconds_in_all) = self.seconds() else {
            return self.last().map(|reading| reading.value);
        };
        let held =
            |pair: &[Reading]| pair[0].value * seconds(pair[1].time_unix_ns - pair[0].time_unix_ns);
        Some(self.0.windows(2).map(held).sum::<f64>() / seconds_in_all)
    }

    pub(super) fn max(&self) -> Option<f64> {
        self.0
            .iter()
            .map(|reading| reading.value)
            .max_by(f64::total_cmp)
    }

    /// By how much a count has increased; one that fell began again from nothing.
    pub(super) fn increase(&self) -> Option<f64> {
        (self.0.len() >= 2).then(|| self.0.windows(2).map(risen).sum())
    }

    /// The reading at or before a time.
    pub(super) fn at(&self, time_unix_ns: i64) -> Option<Reading> {
        let after = self
            .0
            .partition_point(|reading| reading.time_unix_ns <= time_unix_ns);
        after.checked_sub(1).map(|at| self.0[at])
    }
}

/// By how much a count increased from one reading to the next.
pub(super) fn risen(pair: &[Reading]) -> f64 {
    let more = pair[1].value - pair[0].value;
    if more < 0.0 { pair[1].value } else { more }
}

pub(super) fn seconds(ns: i64) -> f64 {
    ns as f64 / NS_PER_S
}

/// Seconds as whole nanoseconds; what is less than none is none.
pub(super) fn nanoseconds(seconds: f64) -> u64 {
    // A cast of a number that is too large gives the largest, and of none at all zero.
    (seconds * NS_PER_S).round() as u64
}

/// Nanoseconds from one time to a later one.
pub(super) fn between(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}
