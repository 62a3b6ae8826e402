//! The readings of the last hour, or an even part of them, with their order.
//!
//! Invariants: at most [`READINGS_MAX`] readings, in order of time; `sorted` holds the same values, the smallest first. What
//! is kept depends on the readings alone: when the window is full before its time is over, every second is let go and from
//! then on only as many are taken as fit.

use std::collections::VecDeque;

use super::DEVIATIONS;

/// Most readings that are kept: enough for a median within a tenth of a deviation, and 3 KiB.
pub(super) const READINGS_MAX: usize = 128;
/// How far back they reach, in nanoseconds: one hour, within which a day's own rise and fall is small.
pub(super) const SPAN_NS: u64 = 3_600_000_000_000;
/// The median absolute deviation of a normal distribution times this is its standard deviation: 1 / Φ⁻¹(3/4).
pub(crate) const MAD_TO_DEVIATION: f64 = 1.4826;
/// The mean absolute deviation of a normal distribution times this is its standard deviation: √(π/2).
const MEAN_TO_DEVIATION: f64 = 1.2533;

/// Where a median lies and how far readings lie from it, below and above apart, because waiting times and counts are not
/// symmetric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    /// The deviation of what is below the median.
    pub(super) below: f64,
    /// The deviation of what is above it.
    pub(super) above: f64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    readings: VecDeque<(u64, f64)>,
    sorted: Vec<f64>,
    /// Nanoseconds between readings that are taken.
    spacing_ns: u64,
}

impl Window {
    /// Takes a reading that is later than the others. It must be a number.
    pub(super) fn push(&mut self, time_unix_ns: u64, value: f64) {
        while self
            .readings
            .front()
            .is_some_and(|&(first, _)| time_unix_ns.saturating_sub(first) > SPAN_NS)
        {
            self.let_go_oldest();
        }
        let is_due = self
            .readings
            .back()
            .is_none_or(|&(last, _)| time_unix_ns.saturating_sub(last) >= self.spacing_ns);
        if !is_due {
            return;
        }
        if self.readings.len() == READINGS_MAX {
            self.thin();
        }
        self.readings.push_back((time_unix_ns, value));
        let at = self.rank_below(value);
        self.sorted.insert(at, value);
    }

    pub(super) fn of(readings: &[(u64, f64)]) -> Self {
        let mut window = Self::default();
        for &(time_unix_ns, value) in readings {
            window.push(time_unix_ns, value);
        }
        window
    }

    pub(super) fn clear(&mut self) {
        self.readings.clear();
        self.sorted.clear();
        self.spacing_ns = 0;
    }

    fn let_go_oldest(&mut self) {
        if let Some((_, value)) = self.readings.pop_front() {
            // Equal bits are there: the value was inserted as it is.
            let at = self.sorted.partition_point(|kept| *kept < value);
            self.sorted.remove(at);
        }
    }

    /// Lets every second reading go and takes half as many from here on.
    fn thin(&mut self) {
        let mut is_kept = false;
        self.readings.retain(|_| {
            is_kept = !is_kept;
            is_kept
        });
        self.spacing_ns = self.seconds_ns() / self.readings.len().max(1) as u64;
        self.sorted = self.readings.iter().map(|&(_, value)| value).collect();
        self.sorted.sort_unstable_by(f64::total_cmp);
    }

    pub(super) fn len(&self) -> usize {
        self.readings.len()
    }

    /// Nanoseconds from the first to the last reading.
    pub(super) fn seconds_ns(&self) -> u64 {
        match (self.readings.front(), self.readings.back()) {
            (Some(&(first, _)), Some(&(last, _))) => last - first,
            _ => 0,
        }
    }

    pub(super) fn first_unix_ns(&self) -> Option<u64> {
        self.readings.front().map(|&(time, _)| time)
    }

    pub(super) fn readings(&self) -> impl Iterator<Item = (u64, f64)> + '_ {
        self.readings.iter().copied()
    }

    fn rank_below(&self, value: f64) -> usize {
        self.sorted.partition_point(|kept| *kept < value)
    }

    /// The share of readings that a value exceeds, those that equal it counted half; never 0 or 1.
    pub(super) fn share_below(&self, value: f64) -> f64 {
        let below = self.rank_below(value);
        let equal = self.sorted.partition_point(|kept| *kept <= value) - below;
        (below as f64 + f64::midpoint(equal as f64, 1.0)) / (self.len() as f64 + 1.0)
    }

    pub(super) fn median(&self) -> f64 {
        median_of_sorted(&self.sorted)
    }

    /// The median and the scaled median absolute deviations of the halves below and above it. Where more than half of a
    /// half is the median itself, their mean absolute deviation stands in.
    pub(super) fn spread(&self) -> Spread {
        let middle = self.median();
        let half = self.sorted.len().div_ceil(2);
        let deviation = |values: &[f64]| {
            // The values are sorted, so their distances are too, one way or the other: the middle one is the median's.
            let typical = (median_of_sorted(values) - middle).abs() * MAD_TO_DEVIATION;
            if typical > 0.0 || values.is_empty() {
                return typical;
            }
            let sum: f64 = values.iter().map(|value| (value - middle).abs()).sum();
            sum / values.len() as f64 * MEAN_TO_DEVIATION
        };
        Spread {
            median: middle,
            below: deviation(&self.sorted[..half]),
            above: deviation(&self.sorted[self.sorted.len() - half..]),
        }
    }

    /// What is normal: the low end, the median, the high end. Of what was never below nothing, nothing below that is.
    pub(super) fn range(&self) -> (f64, f64, f64) {
        let Spread {
            median,
            below,
            above,
        } = self.spread();
        let low = median - DEVIATIONS * below;
        let low = if self.smallest() >= 0.0 {
            low.max(0.0)
        } else {
            low
        };
        (low, median, median + DEVIATIONS * above)
    }

    pub(super) fn smallest(&self) -> f64 {
        self.sorted.first().copied().unwrap_or(0.0)
    }

    pub(super) fn largest(&self) -> f64 {
        self.sorted.last().copied().unwrap_or(0.0)
    }
}

/// The median of values in order; 0 of none.
pub(crate) fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        // Halves first: the sum of two large numbers may be none.
        _ => sorted[middle - 1] / 2.0 + sorted[middle] / 2.0,
    }
}
