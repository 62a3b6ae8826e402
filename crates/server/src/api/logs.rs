//! Logs and typed events, the newest first.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Api,
    params::{Params, Range},
    rows::{Row, literal, ms},
};
use crate::problem::Problem;

const LIMIT_DEFAULT: usize = 200;
/// Into how many parts the time is divided at first, so that no more of the past is read than it takes.
const PARTS: i64 = 64;

/// The least number of each severity, from the highest (OpenTelemetry's logs data model, SeverityNumber).
const SEVERITIES: [(i64, &str); 6] = [
    (21, "FATAL"),
    (17, "ERROR"),
    (13, "WARN"),
    (9, "INFO"),
    (5, "DEBUG"),
    (1, "TRACE"),
];

#[derive(Debug, Serialize)]
pub(super) struct Logs {
    logs: Vec<LogRow>,
    more: bool,
}

/// A log or event, as it is listed.
#[derive(Debug, Serialize)]
pub(super) struct LogRow {
    time_unix_ns: String,
    time_ms: f64,
    service: String,
    scope: String,
    severity: i64,
    severity_text: &'static str,
    event_name: String,
    body: String,
    trace_id: Option<String>,
    span_id: Option<String>,
    attributes: Box<RawValue>,
}

pub(super) fn answer(api: &Api, params: &Params) -> Result<Logs, Problem> {
    let range = params.range()?;
    let limit = params.limit(LIMIT_DEFAULT);
    let (logs, more) = newest(api, range, &wanted(params)?, limit)?;
    Ok(Logs { logs, more })
}

/// The newest of those that are as described, found without reading more of the past than it takes, and whether there are more.
pub(super) fn newest(
    api: &Api,
    range: Range,
    wanted: &str,
    limit: usize,
) -> Result<(Vec<LogRow>, bool), Problem> {
    let mut part_ns = (range.length_ns() / PARTS).max(1);
    loop {
        let part = Range {
            from_ns: range.to_ns.saturating_sub(part_ns).max(range.from_ns),
            to_ns: range.to_ns,
        };
        let statement = format!(
            "SELECT CAST(time AS BIGINT) AS at, service, scope, severity, event_name, body, trace_id, span_id, attributes \
             FROM logs WHERE {}{wanted} ORDER BY time DESC LIMIT {}",
            part.contains("time"),
            limit + 1
        );
        let mut logs: Vec<LogRow> = api.rows(&statement, limit + 1)?.map(log_row).collect();
        let more = logs.len() > limit;
        if more || part.from_ns == range.from_ns {
            logs.truncate(limit);
            return Ok((logs, more));
        }
        part_ns = part_ns.saturating_mul(4);
    }
}

impl LogRow {
    /// The trace that it was written in.
    pub(super) fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_deref()
    }

    /// Whether it was written in this trace.
    pub(super) fn is_of(&self, trace_id: &str) -> bool {
        self.trace_id() == Some(trace_id)
    }
}

fn wanted(params: &Params) -> Result<String, Problem> {
    let mut wanted = params.of_service();
    if let Some(severity) = &params.severity {
        // Writing to a string does not fail.
        let _ = write!(wanted, " AND severity >= {}", least(severity)?);
    }
    if let Some(id) = &params.trace_id {
        if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Problem::bad_request(
                format!("`{id}` is no trace ID"),
                "give its 32 hexadecimal digits",
            ));
        }
        // Writing to a string does not fail.
        let _ = write!(
            wanted,
            " AND trace_id = {}",
            literal(&id.to_ascii_lowercase())
        );
    }
    if let Some(text) = &params.q {
        let text = literal(&text.to_lowercase());
        // Writing to a string does not fail.
        let _ = write!(
            wanted,
            " AND (strpos(lower(body), {text}) > 0 OR strpos(lower(event_name), {text}) > 0)"
        );
    }
    Ok(wanted)
}

/// The least number of a severity that is given by its name or number.
fn least(severity: &str) -> Result<i64, Problem> {
    let named = SEVERITIES
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(severity));
    let number = named
        .map(|(number, _)| *number)
        .or_else(|| severity.parse().ok());
    number
        .filter(|number| (0..=24).contains(number))
        .ok_or_else(|| {
            let message = format!("`{severity}` is no severity");
            Problem::bad_request(
                message,
                "write trace, debug, info, warn, error, fatal, or a number from 1 to 24",
            )
        })
}

/// The short name of a severity's number; empty for none.
fn name(severity: i64) -> &'static str {
    SEVERITIES
        .iter()
        .find(|(least, _)| severity >= *least)
        .map_or("", |(_, name)| name)
}

fn log_row(mut row: Row) -> LogRow {
    let time_ns = row.int();
    let (service, scope) = (row.text(), row.text());
    let severity = row.int();
    LogRow {
        time_unix_ns: time_ns.to_string(),
        time_ms: ms(time_ns),
        service,
        scope,
        severity,
        severity_text: name(severity),
        event_name: row.text(),
        body: row.text(),
        trace_id: row.text_or_none(),
        span_id: row.text_or_none(),
        attributes: row.json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_have_names_and_numbers() {
        assert_eq!(least("warn").unwrap(), 13);
        assert_eq!(least("7").unwrap(), 7);
        assert!(least("loud").is_err() && least("25").is_err());
        let names: Vec<_> = [0, 1, 8, 9, 17, 24].into_iter().map(name).collect();
        assert_eq!(names, ["", "TRACE", "DEBUG", "INFO", "ERROR", "FATAL"]);
    }
}
