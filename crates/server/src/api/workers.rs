//! Workers and what they wait for: queues, memory, the last calls, the last errors.

use std::collections::BTreeMap;

use radiosonde_answers::semconv::{metric, names_of_metric};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Api,
    params::{Params, Range},
    rows::{Row, literals, ms},
};
use crate::problem::Problem;

/// What is a queue's depth, by whichever name (`radiosonde_answers::semconv`).
const QUEUE_DEPTH: &str = "queue.depth";
/// What is memory: devices', allocators', processes'.
const MEMORY: [&str; 4] = [
    "hw.gpu.memory.usage",
    "radiosonde.gpu.allocator.allocated",
    "radiosonde.gpu.process.memory.usage",
    "process.memory.usage",
];
/// Most readings of a series of memory.
const READINGS_MAX: usize = 60;
/// Most series.
const SERIES_MAX: usize = 50;
/// Most calls, and most errors.
const RECENT_MAX: usize = 50;
/// `ERROR`, the least number of it (OpenTelemetry's logs data model).
const ERROR: i64 = 17;

#[derive(Debug, Serialize)]
pub(super) struct Workers {
    queues: Vec<Queue>,
    memory: Vec<Memory>,
    calls: Vec<Call>,
    errors: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Queue {
    service: String,
    #[serde(rename = "queue")]
    name: String,
    attributes: Box<RawValue>,
    depth: Option<f64>,
    time_ms: f64,
}

#[derive(Debug, Serialize)]
struct Memory {
    service: String,
    name: String,
    attributes: Box<RawValue>,
    points: Vec<(f64, f64)>,
}

#[derive(Debug, Serialize)]
struct Call {
    time_ms: f64,
    service: String,
    library: String,
    function: String,
    duration_ns: Option<f64>,
    status: &'static str,
    trace_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failure {
    time_ms: f64,
    service: String,
    library: String,
    error_type: String,
    message: String,
    trace_id: Option<String>,
}

pub(super) fn answer(api: &Api, params: &Params) -> Result<Workers, Problem> {
    let range = params.range()?;
    let of_service = params.of_service();
    Ok(Workers {
        queues: queues(api, range, &of_service)?,
        memory: memory(api, range, &of_service)?,
        calls: calls(api, range, &of_service)?,
        errors: errors(api, range, &of_service)?,
    })
}

fn queues(api: &Api, range: Range, of_service: &str) -> Result<Vec<Queue>, Problem> {
    let statement = format!(
        "SELECT series, max(service), max(name), max(attributes), last_value(value ORDER BY time), \
         max(CAST(time AS BIGINT)) AS at FROM points WHERE name IN ({}) AND {}{of_service} \
         GROUP BY 1 ORDER BY 2, 3, 4 LIMIT {SERIES_MAX}",
        literals(
            names_of_metric(QUEUE_DEPTH)
                .into_iter()
                .map(|(name, _)| name)
        ),
        range.contains("time")
    );
    let queue = |mut row: Row| {
        let _series = row.int();
        Queue {
            service: row.text(),
            name: row.text(),
            attributes: row.json(),
            depth: row.number(),
            time_ms: ms(row.int()),
        }
    };
    Ok(api.rows(&statement, SERIES_MAX)?.map(queue).collect())
}

fn memory(api: &Api, range: Range, of_service: &str) -> Result<Vec<Memory>, Problem> {
    let statement = format!(
        "SELECT series, service, name, attributes, CAST(time AS BIGINT) AS at, value FROM points \
         WHERE name IN ({}) AND {}{of_service} ORDER BY time DESC LIMIT {}",
        literals(
            MEMORY
                .into_iter()
                .flat_map(names_of_metric)
                .map(|(name, _)| name)
        ),
        range.contains("time"),
        READINGS_MAX * SERIES_MAX
    );
    let mut series: BTreeMap<i64, Memory> = BTreeMap::new();
    for mut row in api.rows(&statement, READINGS_MAX * SERIES_MAX)? {
        let id = row.int();
        let (service, name, attributes) = (row.text(), row.text(), row.json());
        let times = metric(&name).map_or(1.0, |known| known.times);
        let (time_ms, value) = (ms(row.int()), row.number().map(|value| value * times));
        if series.len() == SERIES_MAX && !series.contains_key(&id) {
            continue;
        }
        let known = series.entry(id).or_insert_with(|| Memory {
            service,
            name,
            attributes,
            points: Vec::new(),
        });
        if known.points.len() < READINGS_MAX {
            known.points.extend(value.map(|value| (time_ms, value)));
        }
    }
    let mut memory: Vec<Memory> = series.into_values().collect();
    memory.iter_mut().for_each(|series| series.points.reverse());
    memory.sort_by_cached_key(|series| {
        (
            series.service.clone(),
            series.name.clone(),
            series.attributes.get().to_owned(),
        )
    });
    Ok(memory)
}

/// Calls of workers, as our events tell of them.
fn calls(api: &Api, range: Range, of_service: &str) -> Result<Vec<Call>, Problem> {
    let statement = format!(
        "SELECT CAST(time AS BIGINT) AS at, service, attributes['library'], attributes['function'], \
         TRY_CAST(attributes['duration_ns'] AS DOUBLE), severity, attributes['error.type'], trace_id FROM logs \
         WHERE event_name IN ('worker.call', 'worker.call.exception') AND {}{of_service} \
         ORDER BY time DESC LIMIT {RECENT_MAX}",
        range.contains("time")
    );
    let call = |mut row: Row| {
        let time_ms = ms(row.int());
        let (service, library, function) = (row.text(), row.text(), row.text());
        let duration_ns = row.number();
        let is_error = row.int() >= ERROR || !row.text().is_empty();
        Call {
            time_ms,
            service,
            library,
            function,
            duration_ns,
            status: if is_error { "error" } else { "ok" },
            trace_id: row.text_or_none(),
        }
    };
    Ok(api.rows(&statement, RECENT_MAX)?.map(call).collect())
}

fn errors(api: &Api, range: Range, of_service: &str) -> Result<Vec<Failure>, Problem> {
    let statement = format!(
        "SELECT CAST(time AS BIGINT) AS at, service, coalesce(attributes['library'], scope), \
         coalesce(attributes['error.type'], attributes['exception.type'], event_name), \
         coalesce(attributes['reason'], attributes['exception.message'], body), trace_id FROM logs \
         WHERE severity >= {ERROR} AND {}{of_service} ORDER BY time DESC LIMIT {RECENT_MAX}",
        range.contains("time")
    );
    let failure = |mut row: Row| Failure {
        time_ms: ms(row.int()),
        service: row.text(),
        library: row.text(),
        error_type: row.text(),
        message: row.text(),
        trace_id: row.text_or_none(),
    };
    Ok(api.rows(&statement, RECENT_MAX)?.map(failure).collect())
}
