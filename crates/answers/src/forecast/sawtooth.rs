//! What rises and falls back, as a heap does that is collected.
//!
//! A fall counts where the value is lower than the peak before it by more than noise makes it, and by a tenth of all that was
//! seen. Between two falls the lowest value is a low point: what was left.

use crate::baseline::window::{MAD_TO_DEVIATION, median_of_sorted};

/// With fewer low points not even a rise at each of them is sure at 99 % (Kendall's statistic: 2.576·√28.3 < 15 first holds
/// for six).
pub(super) const LOW_POINTS_MIN: usize = 6;
/// A fall by so many deviations of the noise is none of it: the readings of an hour lie within about six of each other.
const DEVIATIONS: f64 = 8.0;
const SHARE_MIN: f64 = 0.1;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sawtooth {
    /// How often it fell.
    pub(super) falls: usize,
    /// The lowest points between a fall and the next rise.
    pub(super) low_points: Vec<(f64, f64)>,
}

/// The falls among points in order of time, and the low points after them.
pub(super) fn low_points(points: &[(f64, f64)]) -> Sawtooth {
    let mut found = Sawtooth::default();
    let least = least(points);
    let (Some(&first), true) = (points.first(), least > 0.0) else {
        return found;
    };
    let (mut is_falling, mut extreme) = (false, first);
    for &point in &points[1..] {
        let is_further = if is_falling {
            point.1 < extreme.1
        } else {
            point.1 > extreme.1
        };
        if is_further {
            extreme = point;
        } else if (point.1 - extreme.1).abs() >= least {
            if is_falling {
                found.low_points.push(extreme);
            } else {
                found.falls += 1;
            }
            is_falling = !is_falling;
            extreme = point;
        }
    }
    found
}

/// How large a fall has to be.
fn least(points: &[(f64, f64)]) -> f64 {
    let mut steps: Vec<f64> = points
        .windows(2)
        .map(|pair| pair[1].1 - pair[0].1)
        .collect();
    steps.sort_unstable_by(f64::total_cmp);
    let middle = median_of_sorted(&steps);
    let mut off: Vec<f64> = steps.iter().map(|step| (step - middle).abs()).collect();
    off.sort_unstable_by(f64::total_cmp);
    // A step is the difference of two readings, and so has √2 of the deviation of one.
    let noise = median_of_sorted(&off) * MAD_TO_DEVIATION / std::f64::consts::SQRT_2;
    let (low, high) = points
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
            (low.min(point.1), high.max(point.1))
        });
    (DEVIATIONS * noise).max(SHARE_MIN * (high - low))
}
