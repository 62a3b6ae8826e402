//! Which metrics there are, and the readings of one over time.
//!
//! Counters and histograms are totals that grow: what is shown of them is what came in each step, so that two processes, or
//! one before and after a restart, add up.

mod series;

use std::collections::HashMap;

use radiosonde_answers::semconv;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use self::series::distribution;
use self::series::{Point, Reading, Series};
use super::{
    Api,
    params::{Params, Range},
    rows::{Row, joined, literals, ms, split},
};
use crate::problem::Problem;

const METRICS_MAX: usize = 5000;
const BUCKETS_DEFAULT: usize = 120;
/// Most series of an answer.
const SERIES_MAX: usize = 50;
/// Most readings that an answer is made of.
const READINGS_MAX: usize = 200_000;
/// Most exemplars of an answer.
const EXEMPLARS_MAX: usize = 500;

#[derive(Debug, Serialize)]
pub(super) struct Metrics {
    metrics: Vec<Metric>,
}

#[derive(Debug, Serialize)]
struct Metric {
    name: String,
    /// What it is asked for by, where that is another name.
    canonical: Option<&'static str>,
    unit: String,
    kind: String,
    series: i64,
    services: Vec<String>,
}

pub(super) fn list(api: &Api, params: &Params) -> Result<Metrics, Problem> {
    let range = params.range()?;
    let statement = format!(
        "SELECT name, max(unit), max(kind), count(DISTINCT series), {} FROM points WHERE {}{} \
         GROUP BY 1 ORDER BY 1 LIMIT {METRICS_MAX}",
        joined("service"),
        range.contains("time"),
        params.of_service()
    );
    let metric = |mut row: Row| {
        let name = row.text();
        let known = semconv::metric(&name).map(|known| known.canonical);
        Metric {
            canonical: known.filter(|canonical| *canonical != name),
            name,
            unit: row.text(),
            kind: row.text(),
            series: row.int(),
            services: split(&row.text()),
        }
    };
    Ok(Metrics {
        metrics: api.rows(&statement, METRICS_MAX)?.map(metric).collect(),
    })
}

#[derive(Debug, Serialize)]
pub(super) struct OneMetric {
    name: String,
    unit: String,
    kind: String,
    step_ms: f64,
    series: Vec<ShownSeries>,
    more: bool,
    exemplars: Vec<Exemplar>,
}

#[derive(Debug, Serialize)]
struct ShownSeries {
    service: String,
    attributes: Box<RawValue>,
    points: Vec<Point>,
}

/// A measurement that stands for others, and the trace in which it was made.
#[derive(Debug, Serialize)]
struct Exemplar {
    time_ms: f64,
    value: f64,
    trace_id: String,
    span_id: Option<String>,
}

/// An exemplar as the store has it.
#[derive(Debug, Deserialize)]
pub(super) struct KeptExemplar {
    #[serde(rename = "time_unix_nano")]
    pub(super) time_unix_ns: i64,
    pub(super) value: f64,
    pub(super) trace_id: Option<String>,
    pub(super) span_id: Option<String>,
}

pub(super) fn one(api: &Api, name: &str, params: &Params) -> Result<OneMetric, Problem> {
    let range = params.range()?;
    let step_ns = range.step_ns(params.buckets(BUCKETS_DEFAULT));
    // The reading before the first is what that one is compared with.
    let before = Range {
        from_ns: range.from_ns.saturating_sub(step_ns.max(LOOK_BACK_NS)),
        ..range
    };
    let names = names(name);
    let statement = format!(
        "SELECT series, CAST(time AS BIGINT) AS at, CAST(start_time AS BIGINT) AS since, value, count, distribution, exemplars, \
         service, attributes, unit, kind, name FROM points WHERE name IN ({}) AND {}{} ORDER BY 1, 2 LIMIT {READINGS_MAX}",
        literals(names.iter().map(|(name, _)| name)),
        before.contains("time"),
        params.of_service()
    );
    let rows = api.rows(&statement, READINGS_MAX)?;
    let mut answer = OneMetric {
        name: name.to_owned(),
        unit: String::new(),
        kind: String::new(),
        step_ms: ms(step_ns),
        series: Vec::new(),
        more: rows.more,
        exemplars: Vec::new(),
    };
    let mut known: HashMap<i64, (String, Box<RawValue>, Series)> = HashMap::new();
    for mut row in rows {
        let id = row.int();
        let mut reading = reading(&mut row);
        answer.take_exemplars(&row.text(), range);
        let (service, attributes) = (row.text(), row.json());
        (answer.unit, answer.kind) = (row.text(), row.text());
        let sent_as = row.text();
        if let Some((_, times)) = names.iter().find(|(name, _)| *name == sent_as) {
            reading.scale(*times);
            unit_scaled(&mut answer.unit, *times);
        }
        let is_delta = attributes.get().contains(DELTA);
        let series = known.entry(id).or_insert_with(|| {
            let series = Series::new(&answer.kind, is_delta, range, step_ns);
            (service, attributes, series)
        });
        series.2.take(reading);
    }
    if known.is_empty() {
        let message = format!("metric `{name}` has no readings in this time");
        return Err(Problem::not_found(
            message,
            "ask for a longer time; /api/v1/metrics lists what there is",
        ));
    }
    let shown = known
        .into_values()
        .map(|(service, attributes, series)| ShownSeries {
            service,
            attributes,
            points: series.points(),
        });
    answer.series = shown.filter(|series| !series.points.is_empty()).collect();
    let key = |series: &ShownSeries| (series.service.clone(), series.attributes.get().to_owned());
    answer.series.sort_by_cached_key(key);
    answer.more |= answer.series.len() > SERIES_MAX;
    answer.series.truncate(SERIES_MAX);
    Ok(answer)
}

/// The names by which a metric is found, and what their values are multiplied by: all that stand for a canonical name, and one
/// that stands for another alone, as it was sent.
fn names(name: &str) -> Vec<(&str, f64)> {
    match semconv::metric(name) {
        Some(known) if known.canonical != name => vec![(name, 1.0)],
        _ => semconv::names_of_metric(name),
    }
}

/// The unit of values that were multiplied.
fn unit_scaled(unit: &mut String, times: f64) {
    let scaled = match (unit.as_str(), times) {
        (_, 1.0) => return,
        ("ms" | "us", _) => "s",
        ("%", _) => "1",
        ("MiBy", _) => "By",
        ("mJ", _) => "J",
        _ => "",
    };
    scaled.clone_into(unit);
}

/// How far back the reading before the first is sought: more than the minute that OpenTelemetry's SDKs export at.
const LOOK_BACK_NS: i64 = 150 * 1_000_000_000;

/// What a series has among its attributes whose readings are what came since the last.
const DELTA: &str = r#""radiosonde.temporality":"delta""#;

fn reading(row: &mut Row) -> Reading {
    Reading {
        time_ns: row.int(),
        start_ns: row.int(),
        value: row.number().unwrap_or(f64::NAN),
        count: row.number().unwrap_or(0.0),
        distribution: series::distribution(&row.text()),
    }
}

impl OneMetric {
    fn take_exemplars(&mut self, json: &str, range: Range) {
        if json.is_empty() || self.exemplars.len() >= EXEMPLARS_MAX {
            return;
        }
        let kept: Vec<KeptExemplar> = serde_json::from_str(json).unwrap_or_default();
        let room = EXEMPLARS_MAX - self.exemplars.len();
        let shown = kept.into_iter().filter_map(|kept| {
            let is_within = (range.from_ns..range.to_ns).contains(&kept.time_unix_ns);
            Some(Exemplar {
                time_ms: ms(kept.time_unix_ns),
                value: kept.value,
                trace_id: kept.trace_id.filter(|_| is_within)?,
                span_id: kept.span_id,
            })
        });
        self.exemplars.extend(shown.take(room));
    }
}
