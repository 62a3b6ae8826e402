//! Whether a level goes steadily away.
//!
//! Readings are put into groups of neighbours, of which only the medians count, and Kendall's tau says how steadily these rise or
//! fall (H. B. Mann, "Nonparametric tests against trend", Econometrica 13 (1945), 245-259). With 24 groups a tau of 0.7 is 4.8
//! deviations of what chance does, and a single step has a tau of about 0.5; each third of the time has to take its part of
//! the rise, so that two steps are no trend either.

use super::{Direction, window::median_of_sorted};

const GROUPS: usize = 24;
const TAU_MIN: f64 = 0.7;
/// What each of the two later thirds has to add of the whole rise.
const THIRD_SHARE_MIN: f64 = 0.25;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    pub(super) direction: Direction,
    /// The level of the first third.
    pub(super) from: f64,
    /// The level of the last third.
    pub(super) to: f64,
}

/// The trend of readings in order of time, if they have one.
pub(super) fn trend(readings: &[(u64, f64)]) -> Option<Trend> {
    if readings.len() < GROUPS {
        return None;
    }
    let median_of = |part: &[(u64, f64)]| {
        let mut values: Vec<f64> = part.iter().map(|&(_, value)| value).collect();
        values.sort_unstable_by(f64::total_cmp);
        median_of_sorted(&values)
    };
    let part =
        |at: usize, of: usize| &readings[at * readings.len() / of..(at + 1) * readings.len() / of];
    let medians: Vec<f64> = (0..GROUPS).map(|at| median_of(part(at, GROUPS))).collect();
    let mut concordant = 0.0;
    for (at, earlier) in medians.iter().enumerate() {
        for later in &medians[at + 1..] {
            concordant += match later.total_cmp(earlier) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Less => -1.0,
            };
        }
    }
    let tau = concordant / (GROUPS * (GROUPS - 1) / 2) as f64;
    let [from, middle, to] = [0, 1, 2].map(|at| median_of(part(at, 3)));
    let rise = to - from;
    let is_steady = [middle - from, to - middle]
        .iter()
        .all(|added| added / rise >= THIRD_SHARE_MIN);
    (tau.abs() >= TAU_MIN && rise != 0.0 && is_steady).then_some(Trend {
        direction: if rise > 0.0 {
            Direction::Up
        } else {
            Direction::Down
        },
        from,
        to,
    })
}
