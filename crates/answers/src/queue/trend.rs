//! When something runs out at the present trend.
//!
//! A queue's depth wanders: a straight line through it has a slope that looks sure and means nothing, because each reading
//! depends on the one before. What it gained in each of twelve equal parts of the time hardly does, so the mean of these
//! gains is tested against nothing (Student's t, 11 degrees of freedom, two-sided 1 %). For a random walk, which is the worst
//! that a queue does, they are independent; for a queue that returns to its mean each gain is followed by a loss,
//! and the test claims less often than that.
//!
//! The time that is left has the interval in which the sum of the gains to come reaches what is left: the mean of `n` gains of
//! deviation `s` is off by `t·s/√n`, and `m` gains to come wander by `t·s·√m` themselves, so both ends are the solutions of
//! `(left - m·mean)² = t²s²(m + m²/n)` (the prediction interval of a sum of normal values: G. J. Hahn and W. Q. Meeker,
//! "Statistical Intervals", 1991, section 4.8).

use super::{Saturation, flow::Flow, series::Series, unknown};
use crate::why::NotAssessed;

const PARTS: usize = 12;
/// Student's t for 11 degrees of freedom, two-sided 99 %.
const T_11: f64 = 3.106;

/// How much something grows a second.
#[derive(Clone, Copy, Debug)]
struct Growth {
    /// How long a part is, in seconds.
    part_s: f64,
    /// The mean gain of a part.
    mean: f64,
    /// `t·s`, the deviation of a part's gain times Student's t.
    wander: f64,
}

impl Growth {
    /// How far the mean may be off.
    fn half(self) -> f64 {
        self.wander / (PARTS as f64).sqrt()
    }

    /// In how many seconds so much more is gained: at the earliest and at the latest.
    fn gains_in_s(self, left: f64) -> (f64, f64) {
        if left <= 0.0 {
            return (0.0, 0.0);
        }
        // A·m² - B·m + left² = 0, of which A is above 0 because the growth is sure.
        let a = self.mean.powi(2) - self.wander.powi(2) / PARTS as f64;
        let b = 2.0 * left * self.mean + self.wander.powi(2);
        let root = b + (b * b - 4.0 * a * left * left).max(0.0).sqrt();
        (
            self.part_s * 2.0 * left * left / root,
            self.part_s * root / (2.0 * a),
        )
    }
}

/// What runs out. Where nothing grows, that is said too.
pub(super) fn saturation(flow: &Flow<'_>, not_assessed: &mut Vec<NotAssessed>) -> Vec<Saturation> {
    let counted = flow.depth().filter(|_| flow.depths.len() == 0);
    let depths = counted.map_or_else(
        || flow.depths.clone(),
        |depth| {
            // By counting items: its points are as good as a gauge's.
            let readings: Vec<super::Reading> = depth
                .points
                .iter()
                .map(|&(time_ms, value)| super::Reading {
                    time_unix_ns: (time_ms * 1e6) as i64,
                    value,
                })
                .collect();
            Series::new(&readings, flow.within)
        },
    );
    let mut found = Vec::new();
    let mut look = |what: &str, series: &Series, limit: Option<f64>| match growth(series) {
        Ok(Some(growth)) => found.push(forecast(what, series, limit, growth)),
        Ok(None) => {}
        Err(because) => not_assessed.push(unknown(&format!("saturation of {what}"), because)),
    };
    look("depth", &depths, flow.observed.capacity);
    for resource in &flow.observed.resources {
        let used = Series::new(&resource.used, flow.within);
        look(&resource.name, &used, resource.limit);
    }
    found
}

/// Whether it grows, and how fast; `None` where it does not, or not so that one could be sure.
fn growth(series: &Series) -> Result<Option<Growth>, String> {
    let few = || {
        format!(
            "{} readings are too few to see a trend; {} are needed",
            series.len(),
            2 * PARTS
        )
    };
    let (Some(first), Some(seconds)) = (series.first(), series.seconds()) else {
        return Err(few());
    };
    if series.len() < 2 * PARTS {
        return Err(few());
    }
    let part_s = seconds / PARTS as f64;
    let ends: Vec<f64> = (0..=PARTS)
        .filter_map(|part| {
            let at = first.time_unix_ns + (part as f64 * part_s * 1e9).round() as i64;
            series.at(at).map(|reading| reading.value)
        })
        .collect();
    let gains: Vec<f64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let n = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / n;
    let squares: f64 = gains.iter().map(|gain| (gain - mean).powi(2)).sum();
    let growth = Growth {
        part_s,
        mean,
        wander: T_11 * (squares / (n - 1.0)).sqrt(),
    };
    Ok((mean > growth.half()).then_some(growth))
}

fn forecast(what: &str, series: &Series, limit: Option<f64>, growth: Growth) -> Saturation {
    let now = series.last().map_or(0.0, |last| last.value);
    let left = limit.map(|limit| (limit - now).max(0.0));
    Saturation {
        what: what.to_owned(),
        now,
        growth_per_s: growth.mean / growth.part_s,
        growth_interval_per_s: (
            (growth.mean - growth.half()) / growth.part_s,
            (growth.mean + growth.half()) / growth.part_s,
        ),
        limit,
        in_s: left.map(|left| left / growth.mean * growth.part_s),
        in_interval_s: left.map(|left| growth.gains_in_s(left)),
    }
}
