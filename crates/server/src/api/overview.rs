//! Requests, errors, latency and tokens over time; by service, and by operation. Where traces are sampled, numbers are
//! estimates by the weights of spans, and `is_estimated` says so; those of logs are counts.
//!
//! Of hours in whole minutes, requests and operations are read from what spans add up to by the minute: a few rows instead of
//! millions, which say the same. Tokens are in attributes, which only spans have.

use std::collections::HashMap;

use radiosonde_store::OTHERS;
use serde::Serialize;

use super::{
    Api,
    params::{MINUTE_NS, Params, Range, whole_minutes_ns},
    rows::{Row, literal, ms, quantile, spans_counted, spans_failed},
    semconv::attribute,
};
use crate::problem::Problem;

const BUCKETS_DEFAULT: usize = 60;
const OPERATIONS_MAX: usize = 100;
const SERVICES_MAX: usize = 1000;

/// The run of a whole program (`sonde run`) is neither a request nor an operation of it.
const IS_OF_PROGRAM: &str = "scope <> 'sonde::run'";

/// The attributes in which spans of models count tokens, by whichever name (`radiosonde_answers::semconv`).
const TOKENS_INPUT: &str = "gen_ai.usage.input_tokens";
const TOKENS_OUTPUT: &str = "gen_ai.usage.output_tokens";

/// What requests and operations are read from, and how.
#[derive(Debug)]
struct Source {
    /// The table and the conditions.
    rows: String,
    time: &'static str,
    /// A request is what somebody waits for: a span that another process or nobody started.
    is_request: &'static str,
    /// The count, errors and the three quantiles of durations, in the order in which they are read.
    statistics: String,
    total_ns: &'static str,
}

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
    let range = params.range_by_minute()?;
    let mut step_ns = range.step_ns(params.buckets(BUCKETS_DEFAULT));
    let spans = Source::spans(range, params);
    let is_by_minute = range.is_long() && range.is_of_minutes() && step_ns >= MINUTE_NS;
    if is_by_minute {
        step_ns = whole_minutes_ns(step_ns);
    }
    let is_added_up = is_by_minute && range.from_ns >= api.store.operations_since_unix_ns();
    let source = if is_added_up && !has_others(api, range)? {
        &Source::operations(range, params)
    } else {
        &spans
    };
    let mut series = series(api, range, step_ns, source)?;
    series.add_tokens(api, range, step_ns, &spans)?;
    Ok(Overview {
        from_unix_ns: range.from_ns.to_string(),
        to_unix_ns: range.to_ns.to_string(),
        step_ms: ms(step_ns),
        is_estimated: is_estimated(api, &spans)?,
        series,
        services: services(api, params, range, source)?,
        operations: operations(api, source)?,
    })
}

impl Source {
    fn spans(range: Range, params: &Params) -> Self {
        let quantile = |of| quantile(of, "duration", "weight");
        Self {
            rows: rows("spans", "start_time", range, params),
            time: "start_time",
            is_request: "(kind IN ('server', 'consumer') OR parent_span_id IS NULL)",
            statistics: format!(
                "{}, {}, {}, {}, {}",
                spans_counted("weight"),
                spans_failed("status", "weight"),
                quantile(0.5),
                quantile(0.95),
                quantile(0.99)
            ),
            total_ns: "sum(CAST(duration AS DOUBLE) * weight)",
        }
    }

    /// What spans add up to by the minute; `range` is of whole minutes.
    fn operations(range: Range, params: &Params) -> Self {
        let quantile = |of: f64| format!("quantile(merge(durations), {of})");
        Self {
            rows: rows("operations", "minute", range, params),
            time: "minute",
            is_request: "(kind IN ('server', 'consumer') OR is_root)",
            statistics: format!(
                "{}, {}, {}, {}, {}",
                spans_counted("count"),
                spans_counted("errors"),
                quantile(0.5),
                quantile(0.95),
                quantile(0.99)
            ),
            total_ns: "sum(duration_sum)",
        }
    }

    /// The number of the step that a row is in.
    fn step(&self, range: Range, step_ns: i64) -> String {
        format!(
            "(CAST({} AS BIGINT) - {}) / {step_ns}",
            self.time, range.from_ns
        )
    }
}

/// The rows of a table that are asked for.
fn rows(table: &str, time: &str, range: Range, params: &Params) -> String {
    format!(
        "FROM {table} WHERE {IS_OF_PROGRAM} AND {}{}",
        range.contains(time),
        params.of_service()
    )
}

/// Whether there were so many operations in that time that some of any service were added up as others.
fn has_others(api: &Api, range: Range) -> Result<bool, Problem> {
    let others = literal(OTHERS);
    let statement = format!(
        "SELECT 1 FROM operations WHERE service = {others} AND name = {others} AND {} LIMIT 1",
        range.contains("minute")
    );
    Ok(api.rows(&statement, 1)?.next().is_some())
}

fn is_estimated(api: &Api, spans: &Source) -> Result<bool, Problem> {
    let statement = format!("SELECT 1 {} AND weight > 1 LIMIT 1", spans.rows);
    Ok(api.rows(&statement, 1)?.next().is_some())
}

fn series(api: &Api, range: Range, step_ns: i64, source: &Source) -> Result<Series, Problem> {
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
    let requests = format!(
        "SELECT {}, {} {} AND {} GROUP BY 1",
        source.step(range, step_ns),
        source.statistics,
        source.rows,
        source.is_request
    );
    for mut row in api.rows(&requests, steps)? {
        let Some(step) = series.step_of(&mut row) else {
            continue;
        };
        series.requests[step] = row.int();
        series.errors[step] = row.int();
        series.p50_ns[step] = row.number();
        series.p95_ns[step] = row.number();
        series.p99_ns[step] = row.number();
    }
    Ok(series)
}

impl Series {
    fn add_tokens(
        &mut self,
        api: &Api,
        range: Range,
        step_ns: i64,
        spans: &Source,
    ) -> Result<(), Problem> {
        let statement = format!(
            "SELECT {}, sum({}), sum({}) {} GROUP BY 1",
            spans.step(range, step_ns),
            tokens(TOKENS_INPUT),
            tokens(TOKENS_OUTPUT),
            spans.rows
        );
        for mut row in api.rows(&statement, self.time_ms.len())? {
            let Some(step) = self.step_of(&mut row) else {
                continue;
            };
            self.tokens_input[step] = row.number();
            self.tokens_output[step] = row.number();
        }
        Ok(())
    }

    /// The step that a row begins with, where it is one.
    fn step_of(&self, row: &mut Row) -> Option<usize> {
        let step = usize::try_from(row.int()).ok();
        step.filter(|step| *step < self.time_ms.len())
    }
}

fn tokens(name: &str) -> String {
    format!("TRY_CAST({} AS DOUBLE) * weight", attribute(name))
}

fn services(
    api: &Api,
    params: &Params,
    range: Range,
    source: &Source,
) -> Result<Vec<Service>, Problem> {
    let statement = format!(
        "SELECT service, {} {} AND {} GROUP BY 1",
        source.statistics, source.rows, source.is_request
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

fn operations(api: &Api, source: &Source) -> Result<Vec<Operation>, Problem> {
    let statement = format!(
        "SELECT service, name, {}, {} AS total {} \
         GROUP BY 1, 2 ORDER BY total DESC, service, name LIMIT {OPERATIONS_MAX}",
        source.statistics, source.total_ns, source.rows
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

#[cfg(test)]
mod tests {
    use axum::http::Uri;
    use radiosonde_store::{
        Rows,
        row::{Origin, SpanRow},
    };
    use serde_json::json;

    use super::*;
    use crate::api::tests::System;

    #[test]
    fn what_spans_add_up_to_says_what_spans_say() {
        let system = System::new();
        let api = &system.api;
        let uri = "/api/v1/overview?from=2026-11-28T00:00:00Z&to=2026-11-28T12:00:00Z";
        let params = Params::of(&Uri::from_static(uri)).unwrap();
        let range = params.range_by_minute().unwrap();
        let step_ns = 12 * MINUTE_NS;
        let said = |source: &Source| {
            json!({
                "series": series(api, range, step_ns, source).unwrap(),
                "services": services(api, &params, range, source).unwrap(),
                "operations": operations(api, source).unwrap(),
            })
        };
        let spans = said(&Source::spans(range, &params));
        assert_eq!(spans["series"]["requests"][0], 8);
        // In memory, and as segments.
        for _ in 0..2 {
            assert_eq!(said(&Source::operations(range, &params)), spans);
            api.store.flush().unwrap();
        }
        let answer = answer(api, &params).unwrap();
        assert_eq!(json!(answer.operations), spans["operations"]);
        assert_eq!(answer.series.tokens_output[0], Some(40.0));
        assert_eq!(answer.series.time_ms.len(), 61);
    }
    #[test]
    fn names_without_end_of_one_service_take_nothing_from_another() {
        let system = System::new();
        let api = &system.api;
        let mut rows = Rows::default();
        for number in 0..66_000_u64 {
            let is_late = number == 65_999;
            let service = if is_late { "late" } else { "noisy" };
            rows.span(&SpanRow {
                origin: Origin {
                    service,
                    ..Origin::default()
                },
                trace_id: [9; 16],
                span_id: (number + 1).to_be_bytes(),
                parent_span_id: None,
                name: &format!("GET /{number}"),
                kind: "server",
                status: "unset",
                status_message: "",
                // 2026-11-28T00:00:00Z.
                start_unix_ns: 1_795_824_000_000_000_000,
                duration_ns: 1,
                links: "",
                attributes: &[],
            });
        }
        api.store.append(rows).unwrap();
        let uri = "/api/v1/overview?from=2026-11-28T00:00:00Z&to=2026-11-28T12:00:00Z&service=late";
        let params = Params::of(&Uri::from_static(uri)).unwrap();
        let answer = answer(api, &params).unwrap();
        assert_eq!(answer.series.requests[0], 1);
        assert_eq!(answer.services[0].requests, 1);
    }
}
