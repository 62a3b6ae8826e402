//! Whether L = λW: as many wait on average as arrive a second times how long each waits.
//!
//! The law holds exactly over a time in which the queue is empty at both ends, and for any other time but for those who
//! wait at its ends; so the time has to be long against that. Where L is a gauge and W comes from a histogram or from items,
//! the two know nothing of each other, and what differs was not measured: items that are not reported, a gauge of something
//! else, a sample.

use super::{
    Little, LittleNumbers, Source, Wait,
    flow::Flow,
    series::{Series, seconds},
};

/// Fewest items whose waiting ended.
const WAITS_MIN: u64 = 30;
/// Fewest readings of a gauge.
const READINGS_MIN: usize = 20;
/// What is agreement even where everything was measured.
const TOLERANCE: f64 = 0.05;
/// Which share of L may be due to those who wait at the ends of the time.
const EDGES_MAX: f64 = 0.25;
/// Parts into which a gauge's readings are divided to see how sure their mean is.
const PARTS: usize = 10;
/// Student's t for 9 degrees of freedom, two-sided 95 %.
const T_9: f64 = 2.262;

pub(super) fn check(flow: &Flow<'_>, wait: Option<&Wait>) -> Little {
    numbers(flow, wait).map_or_else(|because| Little::NotAssessed { because }, Little::Assessed)
}

fn numbers(flow: &Flow<'_>, wait: Option<&Wait>) -> Result<LittleNumbers, String> {
    let wait = wait.ok_or("nothing received says how long items wait")?;
    if wait.count < WAITS_MIN {
        return Err(format!(
            "waiting ended for {} only, and {WAITS_MIN} are needed; ask for a longer time",
            wait.count
        ));
    }
    let (l, l_source, noise) = mean_depth(flow)?;
    let w_s = wait.mean_ns as f64 / 1e9;
    let (lambda_per_s, time_s) = arrivals(flow, wait)?;
    let lambda_w = lambda_per_s * w_s;
    let larger = l.max(lambda_w);
    if larger <= 0.0 {
        return Err("nobody waited".to_owned());
    }
    let edges = edges(flow) * w_s / time_s;
    if edges > EDGES_MAX * larger {
        return Err(
            "those who wait at the start and at the end of the time weigh too much; the queue is not steady, or the time too short"
                .to_owned(),
        );
    }
    let tolerance = TOLERANCE * larger + noise + edges;
    Ok(LittleNumbers {
        l,
        l_source,
        lambda_per_s,
        w_s,
        w_source: wait.source,
        lambda_w,
        tolerance,
        holds: (l - lambda_w).abs() <= tolerance,
    })
}

/// L, what it is made of, and how far off it may be because a gauge is read now and then.
fn mean_depth(flow: &Flow<'_>) -> Result<(f64, Source, f64), String> {
    if flow.depths.len() >= READINGS_MIN
        && let Some(mean) = flow.depths.mean()
    {
        return Ok((mean, Source::Gauge, noise(&flow.depths)));
    }
    if let Some(mean) = flow.waiting_mean() {
        return Ok((mean, Source::Items, 0.0));
    }
    Err(match flow.depths.len() {
        0 => "no depth was received".to_owned(),
        few => format!("the depth was read {few} times only, and {READINGS_MIN} are needed"),
    })
}

/// The half of the 95 % interval of the mean of a gauge, from the means of ten parts one after the other (batch means:
/// A. M. Law, "Simulation Modeling and Analysis", 5th ed. 2015, section 9.5.3), which unlike its single readings hardly
/// depend on each other.
fn noise(depths: &Series) -> f64 {
    let readings = depths.readings();
    let each = readings.len() / PARTS;
    let means: Vec<f64> = readings
        .chunks_exact(each.max(1))
        .take(PARTS)
        .map(|part| part.iter().map(|reading| reading.value).sum::<f64>() / part.len() as f64)
        .collect();
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    let squares: f64 = means.iter().map(|part| (part - mean).powi(2)).sum();
    let deviation = (squares / (means.len() as f64 - 1.0)).sqrt();
    T_9 * deviation / (means.len() as f64).sqrt()
}

/// λ, and over how many seconds. A histogram counts who ceased to wait, which over a time that is long against the waits
/// is who came.
fn arrivals(flow: &Flow<'_>, wait: &Wait) -> Result<(f64, f64), String> {
    let counted = match wait.source {
        Source::Histogram => flow
            .waits_since()
            .zip(flow.waits_seconds())
            .map(|((count, _), time_s)| (count / time_s, time_s)),
        _ if flow.has_all_items() => flow
            .arrival()
            .map(|rate| (rate.per_s, flow.items_seconds())),
        _ => flow.arrival().map(|rate| {
            let time_s = seconds(flow.within.to_unix_ns - flow.within.from_unix_ns);
            (rate.per_s, time_s)
        }),
    };
    counted.ok_or_else(|| "nothing received counts arrivals".to_owned())
}

/// How many wait when the time begins and when it ends.
fn edges(flow: &Flow<'_>) -> f64 {
    if let (Some(first), Some(last)) = (flow.depths.first(), flow.depths.last()) {
        return first.value + last.value;
    }
    let at = |time: i64| {
        let waits = |item: &&&super::Item| {
            let began = item.started_unix_ns.or(item.finished_unix_ns);
            item.enqueued_unix_ns.is_some_and(|at| at < time)
                && began.is_none_or(|began| began >= time)
        };
        flow.items.iter().filter(waits).count() as f64
    };
    at(flow.within.from_unix_ns) + at(flow.within.to_unix_ns)
}
