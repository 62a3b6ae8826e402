//! Requests, errors, latency and tokens over time; by service, and by operation. Where traces are sampled, numbers are
//! estimates by the weights of spans, and `is_estimated` says so; those of logs are counts.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    Api,
    params::{Params, Range},
    rows::{Row, ms, quantile, spans_counted, spans_failed},
    semconv::attribute,
};
use crate::problem::Problem;

const BUCKETS_DEFAULT: usize = 60;
const OPERATIONS_MAX: usize = 100;
const SERVICES_MAX: usize = 1000;

/// A request is what somebody waits for: a span that another process or nobody started.
const IS_REQUEST: &str = "(kind IN ('server', 'consumer') OR parent_span_id IS NULL)";
/// The run of a whole program (`sonde run`) is neither a request nor an operation of it.
const IS_OF_PROGRAM: &str = "scope <> 'sonde::run'";

/// The attributes in which spans of models count tokens, by whichever name (`radiosonde_answers::semconv`).
const TOKENS_INPUT: &str = "gen_ai.usage.input_tokens";
const TOKENS_OUTPUT: &str = "gen_ai.usage.output_tokens";

#[derive(Debug, Serialize)]
pub(super) struct Overview {
    from_unix_ns: String,
    to_unix_ns: String,
    step_ms: f64,
    /// Spans of that time stand for others that were left out.
    is_estimated: bool,
    series: Series,
    services: Vec<Service>,
    operations: Vec<Operation>,
}

/// One entry for each step.
#[derive(Debug, Default, Serialize)]
struct Series {
    time_ms: Vec<f64>,
    requests: Vec<i64>,
    errors: Vec<i64>,
    p50_ns: Vec<Option<f64>>,
    p95_ns: Vec<Option<f64>>,
    p99_ns: Vec<Option<f64>>,
    tokens_input: Vec<Option<f64>>,
    tokens_output: Vec<Option<f64>>,
}

#[derive(Debug, Default, Serialize)]
struct Service {
    #[serde(rename = "service")]
    name: String,
    requests: i64,
    errors: i64,
    p50_ns: Option<f64>,
    p95_ns: Option<f64>,
    p99_ns: Option<f64>,
    logs: i64,
}

#[derive(Debug, Serialize)]
struct Operation {
    service: String,
    name: String,
    count: i64,
    errors: i64,
    p50_ns: Option<f64>,
    p95_ns: Option<f64>,
    p99_ns: Option<f64>,
    total_ns: f64,
}

pub(super) fn answer(api: &Api, params: &Params) -> Result<Overview, Problem> {
    let range = params.range()?;
    let step_ns = range.step_ns(params.buckets(BUCKETS_DEFAULT));
    let spans = format!(
        "FROM spans WHERE {IS_OF_PROGRAM} AND {}{}",
        range.contains("start_time"),
        params.of_service()
    );
    Ok(Overview {
        from_unix_ns: range.from_ns.to_string(),
        to_unix_ns: range.to_ns.to_string(),
        step_ms: ms(step_ns),
        is_estimated: is_estimated(api, &spans)?,
        series: series(api, range, step_ns, &spans)?,
        services: services(api, params, range, &spans)?,
        operations: operations(api, &spans)?,
    })
}

/// The count, errors and the three quantiles of durations, in the order in which they are read.
fn statistics() -> String {
    let quantile = |of| quantile(of, "duration", "weight");
    format!(
        "{}, {}, {}, {}, {}",
        spans_counted("weight"),
        spans_failed("status", "weight"),
        quantile(0.5),
        quantile(0.95),
        quantile(0.99)
    )
}

fn is_estimated(api: &Api, spans: &str) -> Result<bool, Problem> {
    let statement = format!("SELECT 1 {spans} AND weight > 1 LIMIT 1");
    Ok(api.rows(&statement, 1)?.next().is_some())
}

fn series(api: &Api, range: Range, step_ns: i64, spans: &str) -> Result<Series, Problem> {
    let steps = usize::try_from(range.length_ns().div_euclid(step_ns)).unwrap_or(0) + 1;
    let mut series = Series {
        time_ms: (0..steps as i64)
            .map(|step| ms(range.from_ns + step * step_ns))
            .collect(),
        requests: vec![0; steps],
        errors: vec![0; steps],
        p50_ns: vec![None; steps],
        p95_ns: vec![None; steps],
        p99_ns: vec![None; steps],
        tokens_input: vec![None; steps],
        tokens_output: vec![None; steps],
    };
    let step = format!(
        "(CAST(start_time AS BIGINT) - {}) / {step_ns}",
        range.from_ns
    );
    let at = |row: &mut Row| usize::try_from(row.int()).ok().filter(|step| *step < steps);
    let requests = format!(
        "SELECT {step}, {} {spans} AND {IS_REQUEST} GROUP BY 1",
        statistics()
    );
    for mut row in api.rows(&requests, steps)? {
        let Some(step) = at(&mut row) else { continue };
        series.requests[step] = row.int();
        series.errors[step] = row.int();
        series.p50_ns[step] = row.number();
        series.p95_ns[step] = row.number();
        series.p99_ns[step] = row.number();
    }
    let tokens = format!(
        "SELECT {step}, sum({}), sum({}) {spans} GROUP BY 1",
        tokens(TOKENS_INPUT),
        tokens(TOKENS_OUTPUT)
    );
    for mut row in api.rows(&tokens, steps)? {
        let Some(step) = at(&mut row) else { continue };
        series.tokens_input[step] = row.number();
        series.tokens_output[step] = row.number();
    }
    Ok(series)
}

fn tokens(name: &str) -> String {
    format!("TRY_CAST({} AS DOUBLE) * weight", attribute(name))
}

fn services(
    api: &Api,
    params: &Params,
    range: Range,
    spans: &str,
) -> Result<Vec<Service>, Problem> {
    let statement = format!(
        "SELECT service, {} {spans} AND {IS_REQUEST} GROUP BY 1",
        statistics()
    );
    let mut services = HashMap::new();
    for mut row in api.rows(&statement, SERVICES_MAX)? {
        let service = row.text();
        let known = Service {
            name: service.clone(),
            requests: row.int(),
            errors: row.int(),
            p50_ns: row.number(),
            p95_ns: row.number(),
            p99_ns: row.number(),
            logs: 0,
        };
        services.insert(service, known);
    }
    let statement = format!(
        "SELECT service, count(*) FROM logs WHERE {}{} GROUP BY 1",
        range.contains("time"),
        params.of_service()
    );
    for mut row in api.rows(&statement, SERVICES_MAX)? {
        let service = row.text();
        let known = services.entry(service.clone()).or_insert_with(|| Service {
            name: service,
            ..Service::default()
        });
        known.logs = row.int();
    }
    let mut services: Vec<_> = services.into_values().collect();
    services.sort_unstable_by(|a, b| {
        b.requests
            .cmp(&a.requests)
            .then_with(|| a.name.cmp(&b.name))
    });
    Ok(services)
}

fn operations(api: &Api, spans: &str) -> Result<Vec<Operation>, Problem> {
    let statement = format!(
        "SELECT service, name, {}, sum(CAST(duration AS DOUBLE) * weight) AS total {spans} \
         GROUP BY 1, 2 ORDER BY total DESC, service, name LIMIT {OPERATIONS_MAX}",
        statistics()
    );
    let operation = |mut row: Row| Operation {
        service: row.text(),
        name: row.text(),
        count: row.int(),
        errors: row.int(),
        p50_ns: row.number(),
        p95_ns: row.number(),
        p99_ns: row.number(),
        total_ns: row.number().unwrap_or(0.0),
    };
    Ok(api
        .rows(&statement, OPERATIONS_MAX)?
        .map(operation)
        .collect())
}
