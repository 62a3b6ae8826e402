//! The traces there are, and those of which a span is as described.

use std::cmp::Ordering;

use radiosonde_core::ids::TraceId;
use serde::Serialize;

use super::{
    Api, filter,
    params::{Params, Range},
    rows::{Row, joined, ms, split, trace_ids},
};
use crate::problem::Problem;

const LIMIT_DEFAULT: usize = 100;
/// Into how many parts the time is divided at first, when the newest traces are sought.
const PARTS: i64 = 64;

#[derive(Debug, Serialize)]
pub(super) struct Traces {
    traces: Vec<Found>,
    more: bool,
}

/// A trace, as it is listed.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    trace_id: String,
    name: String,
    service: String,
    services: Vec<String>,
    start_unix_ns: String,
    start_ms: f64,
    duration_ns: i64,
    spans: i64,
    errors: i64,
}

pub(super) fn answer(api: &Api, params: &Params) -> Result<Traces, Problem> {
    let range = params.range()?;
    let limit = params.limit(LIMIT_DEFAULT);
    let wanted = match &params.q {
        Some(filter) => format!(" AND {}", filter::condition(filter)?),
        None => String::new(),
    };
    let wanted = format!("{wanted}{}", params.of_service());
    let (ids, more) = match params.order.as_deref() {
        None | Some("recent") => recent(api, range, &wanted, limit)?,
        Some("slowest") => slowest(api, range, &wanted, limit)?,
        Some(other) => {
            let message = format!("`{other}` is no order");
            return Err(Problem::bad_request(message, "write `recent` or `slowest`"));
        }
    };
    Ok(Traces {
        traces: described(api, range, &ids)?,
        more,
    })
}

/// The newest, found without reading more of the past than it takes, and whether there are more.
pub(super) fn recent(
    api: &Api,
    range: Range,
    wanted: &str,
    limit: usize,
) -> Result<(Vec<String>, bool), Problem> {
    let mut part_ns = (range.length_ns() / PARTS).max(1);
    loop {
        let part = Range {
            from_ns: range.to_ns.saturating_sub(part_ns).max(range.from_ns),
            to_ns: range.to_ns,
        };
        let (ids, more) = by(api, part, wanted, limit, "min(start_time)")?;
        if ids.len() >= limit || part.from_ns == range.from_ns {
            return Ok((ids, more));
        }
        part_ns = part_ns.saturating_mul(4);
    }
}

fn slowest(
    api: &Api,
    range: Range,
    wanted: &str,
    limit: usize,
) -> Result<(Vec<String>, bool), Problem> {
    by(
        api,
        range,
        wanted,
        limit,
        "max(CAST(start_time AS BIGINT) + duration) - min(CAST(start_time AS BIGINT))",
    )
}

fn by(
    api: &Api,
    range: Range,
    wanted: &str,
    limit: usize,
    key: &str,
) -> Result<(Vec<String>, bool), Problem> {
    let statement = format!(
        "SELECT trace_id, {key} AS key FROM spans WHERE {}{wanted} GROUP BY 1 ORDER BY key DESC, trace_id LIMIT {}",
        range.contains("start_time"),
        limit + 1
    );
    let mut ids: Vec<String> = api
        .rows(&statement, limit + 1)?
        .map(|mut row| row.text())
        .collect();
    let more = ids.len() > limit;
    ids.truncate(limit);
    Ok((ids, more))
}

/// What there is to say of each, in the order of `ids`. All spans count, whether or not they are as described.
pub(super) fn described(api: &Api, range: Range, ids: &[String]) -> Result<Vec<Found>, Problem> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // A root that began before the time asked for belongs to the trace all the same.
    let around = Range {
        from_ns: range.from_ns.saturating_sub(range.length_ns()),
        to_ns: range.to_ns.saturating_add(range.length_ns()),
    };
    let statement = format!(
        "SELECT trace_id, first_value(name ORDER BY parent_span_id NULLS FIRST, start_time), \
         first_value(service ORDER BY parent_span_id NULLS FIRST, start_time), {}, \
         min(CAST(start_time AS BIGINT)) AS start, \
         max(CAST(start_time AS BIGINT) + duration) - min(CAST(start_time AS BIGINT)) AS length, \
         count(*), sum(CASE WHEN status = 'error' THEN 1 ELSE 0 END) \
         FROM spans WHERE {} AND trace_id IN ({}) GROUP BY trace_id",
        joined("service"),
        around.contains("start_time"),
        trace_ids(ids)
    );
    let mut traces: Vec<_> = api.rows(&statement, ids.len())?.map(trace).collect();
    let place = |trace: &Found| ids.iter().position(|id| *id == trace.trace_id);
    traces.sort_by_cached_key(place);
    Ok(traces)
}

impl Found {
    pub(super) fn trace_id(&self) -> Option<TraceId> {
        self.trace_id.parse().ok()
    }

    /// The order in which the newest comes first.
    pub(super) fn newest_first(&self, other: &Self) -> Ordering {
        let by_start = other.start_ms.total_cmp(&self.start_ms);
        by_start.then_with(|| self.trace_id.cmp(&other.trace_id))
    }
}

fn trace(mut row: Row) -> Found {
    let (trace_id, name, service) = (row.text(), row.text(), row.text());
    let services = split(&row.text());
    let start_ns = row.int();
    Found {
        trace_id,
        name,
        service,
        services,
        start_unix_ns: start_ns.to_string(),
        start_ms: ms(start_ns),
        duration_ns: row.int(),
        spans: row.int(),
        errors: row.int(),
    }
}
