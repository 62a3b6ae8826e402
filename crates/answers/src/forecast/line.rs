//! A line that a few wild readings do not bend.
//!
//! Its slope is the median of the slopes between all pairs (H. Theil 1950; P. K. Sen, "Estimates of the regression coefficient based
//! on Kendall's tau", Journal of the American Statistical Association 63 (1968), 1379-1389), and the interval of the slope is
//! between two of these in order, so many from the middle as Kendall's statistic may be off by chance: its variance without
//! ties is n(n-1)(2n+5)/18 (M. G. Kendall 1948). Where what the line leaves over depends on what it left over before, the
//! variance is so many times larger as readings say less (Bayley and Hammersley 1946, as for baselines).

use crate::baseline::window::median_of_sorted;

/// Most points of which slopes are taken, which are 19,900 then. More are put into so many groups, of which the medians count.
const POINTS_MAX: usize = 200;
/// Two-sided 99 %.
const DEVIATE_99: f64 = 2.576;
const CORRELATION_MAX: f64 = 0.95;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// How many points it was made of.
    pub(super) points: usize,
    /// How long these took.
    pub(super) seconds: f64,
    /// By how much it grows a second.
    pub(super) slope: f64,
    /// The 99 % interval of that.
    pub(super) slope_interval: (f64, f64),
    /// Where it is at second 0, with the slope and with both ends of its interval.
    at_zero: (f64, f64, f64),
    /// How much of the spread it explains, from 0 to 1.
    pub(super) fit: f64,
}

impl Line {
    /// The line through points in order of time, or none through fewer than three.
    pub(super) fn through(points: &[(f64, f64)]) -> Option<Self> {
        let (first, last) = (points.first()?, points.last()?);
        let grouped = grouped(points);
        let mut slopes = Vec::with_capacity(grouped.len() * grouped.len().saturating_sub(1) / 2);
        for (at, earlier) in grouped.iter().enumerate() {
            let steep = |later: &(f64, f64)| (later.1 - earlier.1) / (later.0 - earlier.0);
            slopes.extend(
                grouped[at + 1..]
                    .iter()
                    .map(steep)
                    .filter(|s| s.is_finite()),
            );
        }
        if slopes.len() < 3 {
            return None;
        }
        slopes.sort_unstable_by(f64::total_cmp);
        let slope = median_of_sorted(&slopes);
        let left_over: Vec<f64> = grouped
            .iter()
            .map(|point| point.1 - slope * point.0)
            .collect();
        let slope_interval = interval(&slopes, grouped.len(), &left_over);
        let at_zero = |slope: f64| {
            median_of(
                grouped
                    .iter()
                    .map(|point| point.1 - slope * point.0)
                    .collect(),
            )
        };
        Some(Self {
            points: points.len(),
            seconds: last.0 - first.0,
            slope,
            slope_interval,
            at_zero: (
                at_zero(slope),
                at_zero(slope_interval.0),
                at_zero(slope_interval.1),
            ),
            fit: fit(points, slope, at_zero(slope)),
        })
    }

    /// In how many seconds after second 0 it reaches a limit. It has to rise.
    pub(super) fn reaches_in_s(&self, limit: f64) -> f64 {
        ((limit - self.at_zero.0) / self.slope).max(0.0)
    }

    /// The interval of that by the interval of the slope.
    pub(super) fn reaches_between_s(&self, limit: f64) -> (f64, f64) {
        let reaches = |at_zero: f64, slope: f64| ((limit - at_zero) / slope).max(0.0);
        (
            reaches(self.at_zero.2, self.slope_interval.1),
            reaches(self.at_zero.1, self.slope_interval.0),
        )
    }
}

/// Whether two parts have slopes that cannot be the same.
pub(super) fn differ(earlier: &[(f64, f64)], later: &[(f64, f64)]) -> bool {
    match (Line::through(earlier), Line::through(later)) {
        (Some(earlier), Some(later)) => {
            earlier.slope_interval.1 < later.slope_interval.0
                || later.slope_interval.1 < earlier.slope_interval.0
        }
        _ => false,
    }
}

fn interval(slopes: &[f64], points: usize, left_over: &[f64]) -> (f64, f64) {
    let n = points as f64;
    let correlation = correlation(left_over).clamp(0.0, CORRELATION_MAX);
    let variance =
        n * (n - 1.0) * (2.0 * n + 5.0) / 18.0 * (1.0 + correlation) / (1.0 - correlation);
    let off = DEVIATE_99 * variance.sqrt();
    let pairs = slopes.len() as f64;
    let from = (pairs - off) / 2.0;
    if from < 0.0 {
        // So few that even all of them together are not sure.
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let from = from.floor() as usize;
    (slopes[from], slopes[slopes.len() - 1 - from])
}

/// The correlation of each with the one before.
fn correlation(left_over: &[f64]) -> f64 {
    let middle = median_of(left_over.to_vec());
    let squares: f64 = left_over.iter().map(|left| (left - middle).powi(2)).sum();
    let products: f64 = left_over
        .windows(2)
        .map(|pair| (pair[0] - middle) * (pair[1] - middle))
        .sum();
    if squares > 0.0 && products.is_finite() {
        products / squares
    } else {
        0.0
    }
}

fn fit(points: &[(f64, f64)], slope: f64, at_zero: f64) -> f64 {
    let middle = median_of(points.iter().map(|point| point.1).collect());
    let spread: f64 = points.iter().map(|point| (point.1 - middle).abs()).sum();
    let left: f64 = points
        .iter()
        .map(|point| (point.1 - at_zero - slope * point.0).abs())
        .sum();
    if spread > 0.0 {
        (1.0 - left / spread).max(0.0)
    } else {
        0.0
    }
}

/// Neighbours as the medians of their times and values.
fn grouped(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let part =
        |at: usize| &points[at * points.len() / POINTS_MAX..(at + 1) * points.len() / POINTS_MAX];
    (0..POINTS_MAX)
        .map(|at| {
            let part = part(at);
            (
                median_of(part.iter().map(|point| point.0).collect()),
                median_of(part.iter().map(|point| point.1).collect()),
            )
        })
        .collect()
}

fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    median_of_sorted(&values)
}
