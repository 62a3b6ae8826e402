//! All that is known of one identifier, from one store: its trace, its logs, the exemplars of metrics that lead to it, and where
//! its profile's samples are.
//!
//! What the identifier is of is found out. Hexadecimal digits are sought as a trace's and as a span's; what they are not, and any
//! other text, is sought as a correlation ID: what a caller brought, in one of [`CORRELATIONS`]. Of several traces that have it
//! the newest is shown whole, the others are listed.

use std::collections::HashSet;

use radiosonde_core::ids::TraceId;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Api,
    flame::{self, FlameAnswer},
    logs::{self, LogRow},
    metrics::KeptExemplar,
    params::{Params, Range},
    rows::{literal, literals, ms},
    trace::{self, Whole},
    traces::{self, Found},
};
use crate::problem::Problem;

/// The attributes in which a correlation ID is found: ours first, then what others call it. The headers' have lists of texts
/// (OpenTelemetry's semantic conventions, HTTP).
const CORRELATIONS: [&str; 6] = [
    "correlation.id",
    "request_id",
    "request.id",
    "correlation_id",
    "http.request.header.x-request-id",
    "http.request.header.x-correlation-id",
];
/// Longest identifier.
const ID_BYTES_MAX: usize = 1024;
/// Most traces that are listed.
const TRACES_MAX: usize = 50;
/// Most logs that are of none of the traces shown.
const LOGS_MAX: usize = 500;
/// Most exemplars, and most readings that they are sought in.
const EXEMPLARS_MAX: usize = 500;
const READINGS_MAX: usize = 5000;
/// How long before a trace there may be something of it, by clocks that differ.
const BEFORE_NS: i64 = 60 * 1_000_000_000;
/// How long after a trace there may be something of it: metrics are sent once a minute or so, and profiles too.
const AFTER_NS: i64 = 15 * 60 * 1_000_000_000;

#[derive(Debug, Serialize)]
pub(super) struct Show {
    id: String,
    /// `trace`, `span` or `correlation`.
    kind: &'static str,
    /// Those that have it, the newest first.
    traces: Vec<Found>,
    more: bool,
    /// The first of them.
    trace: Option<Whole>,
    /// Logs with this correlation ID that are not in the trace, the newest first.
    logs: Vec<LogRow>,
    exemplars: Vec<Exemplar>,
    /// Where its samples are; `None` where there are none.
    flame: Option<FlameAnswer>,
}

/// A measurement that was made in the trace.
#[derive(Debug, Serialize)]
struct Exemplar {
    metric: String,
    unit: String,
    service: String,
    /// Of the series that it belongs to.
    attributes: Box<RawValue>,
    time_unix_ns: String,
    time_ms: f64,
    value: f64,
    span_id: Option<String>,
}

/// What has the identifier.
struct Sought {
    kind: &'static str,
    traces: Vec<Found>,
    logs: Vec<LogRow>,
    more: bool,
    /// The trace to show.
    first: Option<TraceId>,
}

pub(super) fn answer(api: &Api, id: &str, params: &Params) -> Result<Show, Problem> {
    let range = params.range()?;
    let id = id.trim();
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        let message = format!("an identifier has 1 to {ID_BYTES_MAX} bytes");
        return Err(Problem::bad_request(message, MEND));
    }
    let Some(sought) = sought(api, id, range)? else {
        let message = format!("nothing here has the identifier `{id}`");
        return Err(Problem::not_found(message, MEND));
    };
    let mut answer = Show {
        id: id.to_owned(),
        kind: sought.kind,
        traces: sought.traces,
        more: sought.more,
        trace: None,
        logs: sought.logs,
        exemplars: Vec::new(),
        flame: None,
    };
    if let Some(trace_id) = sought.first {
        let text = trace_id.to_string();
        let whole = trace::whole(trace_id, &trace::records(api, trace_id)?);
        let around = around(&whole);
        answer.logs.retain(|log| !log.is_of(&text));
        (answer.exemplars, answer.more) = exemplars(api, &text, around, answer.more)?;
        answer.flame = flame::of_trace(api, &text, around)?;
        if answer.traces.is_empty() {
            answer.traces = traces::described(api, around, &[text])?;
        }
        answer.trace = Some(whole);
    }
    Ok(answer)
}

const MEND: &str = "give a trace's 32 or a span's 16 hexadecimal digits, or a correlation ID (the attribute `correlation.id`, \
                    `request_id` ...); a longer time is asked for with `from`, and `sonde doctor` says what arrived";

/// What has the identifier, as the first of the three that it may be.
fn sought(api: &Api, id: &str, range: Range) -> Result<Option<Sought>, Problem> {
    if let Ok(trace_id) = trace::identifier(id)
        && !api.store.trace(trace_id)?.is_empty()
    {
        return Ok(Some(Sought {
            kind: "trace",
            traces: Vec::new(),
            logs: Vec::new(),
            more: false,
            first: Some(trace_id),
        }));
    }
    if id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let wanted = format!(" AND span_id = {}", literal(&id.to_ascii_lowercase()));
        let (ids, more) = traces::recent(api, range, &wanted, TRACES_MAX)?;
        if let Some(first) = ids.first().and_then(|id| id.parse().ok()) {
            return Ok(Some(Sought {
                kind: "span",
                traces: traces::described(api, range, &ids)?,
                logs: Vec::new(),
                more,
                first: Some(first),
            }));
        }
    }
    correlated(api, id, range)
}

/// Spans and logs that have the identifier in one of their attributes. A trace has it where any of its spans or logs does.
fn correlated(api: &Api, id: &str, range: Range) -> Result<Option<Sought>, Problem> {
    let listed = serde_json::json!([id]).to_string();
    let values = literals([id, &listed]);
    let is_one = CORRELATIONS.map(|name| {
        format!(
            "CAST(attributes[{}] AS VARCHAR) IN ({values})",
            literal(name)
        )
    });
    let wanted = format!(" AND ({})", is_one.join(" OR "));
    let (mut ids, mut more) = traces::recent(api, range, &wanted, TRACES_MAX)?;
    let (logs, more_logs) = logs::newest(api, range, &wanted, LOGS_MAX)?;
    more |= more_logs;
    for of_log in logs.iter().filter_map(LogRow::trace_id) {
        if ids.iter().any(|id| id == of_log) {
            continue;
        }
        if ids.len() == TRACES_MAX {
            more = true;
            break;
        }
        ids.push(of_log.to_owned());
    }
    let mut traces = traces::described(api, range, &ids)?;
    traces.sort_by(Found::newest_first);
    let first = traces.first().and_then(Found::trace_id);
    // Where no span is known, a trace of logs alone.
    let first = first.or_else(|| ids.first()?.parse().ok());
    let is_found = first.is_some() || !logs.is_empty();
    Ok(is_found.then_some(Sought {
        kind: "correlation",
        traces,
        logs,
        more,
        first,
    }))
}

/// The time in which there may be something of a trace.
fn around(whole: &Whole) -> Range {
    let (start_ns, end_ns) = whole.interval_ns();
    Range {
        from_ns: start_ns.saturating_sub(BEFORE_NS).max(0),
        to_ns: end_ns.saturating_add(AFTER_NS),
    }
}

/// The exemplars that name the trace, the earliest first, each once however often it was sent; and whether something was left
/// out, here or before.
fn exemplars(
    api: &Api,
    trace_id: &str,
    range: Range,
    more: bool,
) -> Result<(Vec<Exemplar>, bool), Problem> {
    let statement = format!(
        "SELECT name, unit, service, attributes, exemplars FROM points WHERE {} AND strpos(exemplars, {}) > 0 \
         ORDER BY time, name LIMIT {READINGS_MAX}",
        range.contains("time"),
        literal(trace_id)
    );
    let rows = api.rows(&statement, READINGS_MAX)?;
    let mut found: Vec<Exemplar> = Vec::new();
    let mut known = HashSet::new();
    let mut count = 0;
    for mut row in rows {
        count += 1;
        let (metric, unit, service, attributes) = (row.text(), row.text(), row.text(), row.json());
        let kept: Vec<KeptExemplar> = serde_json::from_str(&row.text()).unwrap_or_default();
        for kept in kept
            .into_iter()
            .filter(|kept| kept.trace_id.as_deref() == Some(trace_id))
        {
            let series = format!("{metric}\n{service}\n{}", attributes.get());
            if known.insert((series, kept.time_unix_ns, kept.value.to_bits())) {
                found.push(Exemplar {
                    metric: metric.clone(),
                    unit: unit.clone(),
                    service: service.clone(),
                    attributes: attributes.clone(),
                    time_unix_ns: kept.time_unix_ns.to_string(),
                    time_ms: ms(kept.time_unix_ns),
                    value: kept.value,
                    span_id: kept.span_id,
                });
            }
        }
    }
    found.sort_by(|a, b| {
        let by_time = a.time_ms.total_cmp(&b.time_ms);
        by_time
            .then_with(|| a.metric.cmp(&b.metric))
            .then_with(|| a.service.cmp(&b.service))
    });
    let more = more || count == READINGS_MAX || found.len() > EXEMPLARS_MAX;
    found.truncate(EXEMPLARS_MAX);
    Ok((found, more))
}
