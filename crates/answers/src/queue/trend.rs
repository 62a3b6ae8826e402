//! When something runs out at the present trend: whether it grows, how fast, and when that reaches what there is is told by
//! [`crate::forecast::growth`], of which a queue has no more than the gains. A line would trust a depth that merely wanders.

use super::{Saturation, flow::Flow, series::Series, unknown};
use crate::{
    forecast::growth::{Growth, PARTS},
    why::NotAssessed,
};

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
    let growth = Growth::between(&ends, part_s);
    Ok(growth.is_sure().then_some(growth))
}

fn forecast(what: &str, series: &Series, limit: Option<f64>, growth: Growth) -> Saturation {
    let now = series.last().map_or(0.0, |last| last.value);
    let left = limit.map(|limit| (limit - now).max(0.0));
    Saturation {
        what: what.to_owned(),
        now,
        growth_per_s: growth.per_s(),
        growth_interval_per_s: growth.per_s_interval(),
        limit,
        in_s: left.map(|left| left / growth.per_s()),
        in_interval_s: left.map(|left| growth.gains_in_s(left)),
    }
}
