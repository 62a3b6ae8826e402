//! One trace: all that is known of it, and why it took as long as it did.

use std::{collections::BTreeMap, sync::Arc};

use radiosonde_answers::why;
use radiosonde_core::{
    ids::TraceId,
    model::{Attributes, EventRecord, Log, Place, Record, Resource, Severity, Span, Status},
};
use radiosonde_store::{Kept, columns::object};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Api,
    rows::ms,
    selection::{no_span, place},
};
use crate::problem::Problem;

#[derive(Debug, Serialize)]
pub(super) struct Whole {
    trace_id: String,
    start_unix_ns: String,
    start_ms: f64,
    duration_ns: u64,
    spans: Vec<SpanRow>,
    logs: Vec<LogRow>,
    resources: Vec<Box<RawValue>>,
    #[serde(skip)]
    interval_ns: (i64, i64),
}

#[derive(Debug, Serialize)]
struct SpanRow {
    span_id: String,
    parent_span_id: Option<String>,
    name: String,
    service: String,
    scope: String,
    kind: &'static str,
    status: &'static str,
    status_message: String,
    offset_ns: u64,
    duration_ns: u64,
    attributes: Box<RawValue>,
    links: Vec<LinkRow>,
    resource: usize,
}

#[derive(Debug, Serialize)]
struct LinkRow {
    trace_id: String,
    span_id: String,
}

#[derive(Debug, Serialize)]
struct LogRow {
    /// May be before the first span.
    offset_ns: i64,
    span_id: Option<String>,
    severity: u8,
    severity_text: &'static str,
    event_name: String,
    body: String,
    service: String,
    attributes: Box<RawValue>,
}

/// The account of a trace, and the same in words.
#[derive(Debug, Serialize)]
pub(super) struct Why {
    text: String,
    #[serde(flatten)]
    account: why::Account,
}

pub(super) fn answer(api: &Api, id: &str) -> Result<Whole, Problem> {
    let trace_id = identifier(id)?;
    Ok(whole(trace_id, &records(api, trace_id)?))
}

/// A trace whose records these are.
pub(super) fn whole(trace_id: TraceId, kept: &[Kept]) -> Whole {
    let spans = || {
        kept.iter().filter_map(|kept| match &kept.record {
            Record::Span(span) => Some(span),
            _ => None,
        })
    };
    let first_log = || kept.iter().map(|kept| time(&kept.record)).min();
    let start = spans()
        .map(|span| span.start_unix_ns)
        .min()
        .or_else(first_log)
        .unwrap_or(0);
    let end = spans().map(|span| span.end_unix_ns).max().unwrap_or(start);
    let mut resources = Resources::default();
    let (mut span_rows, mut log_rows) = (Vec::new(), Vec::new());
    for kept in kept {
        let service = kept.resource.service_name();
        match &kept.record {
            Record::Span(span) => span_rows.push(span_row(
                span,
                start,
                service,
                resources.place(&kept.resource),
            )),
            Record::Log(log) => log_rows.push(log_row(log, start, service)),
            Record::Event(event) => log_rows.push(event_row(event, start, service)),
        }
    }
    Whole {
        trace_id: trace_id.to_string(),
        start_unix_ns: start.to_string(),
        start_ms: ms(start.cast_signed()),
        duration_ns: end - start,
        spans: span_rows,
        logs: log_rows,
        resources: resources.json,
        interval_ns: (start.cast_signed(), end.cast_signed()),
    }
}

impl Whole {
    /// When it began and when it ended.
    pub(super) const fn interval_ns(&self) -> (i64, i64) {
        self.interval_ns
    }
}

/// The parameters of [`why`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhyParams {
    span: Option<String>,
}

/// Why a trace, or a span of it with what is below it, took as long as it did.
pub(super) fn why(api: &Api, id: &str, params: &WhyParams) -> Result<Why, Problem> {
    let span = params.span.as_deref().filter(|span| !span.is_empty());
    let (trace_id, span_id) = place(id, span)?;
    let kept = records(api, trace_id)?;
    let (mut spans, mut logs, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for kept in kept {
        match kept.record {
            Record::Span(span) => spans.push(span),
            Record::Log(log) => logs.push(log),
            Record::Event(event) => events.push(event),
        }
    }
    let telemetry = why::Telemetry {
        spans: &spans,
        logs: &logs,
        events: &events,
    };
    let account = match span_id {
        None => why::trace(&telemetry, trace_id),
        Some(span_id) => why::span(&telemetry, trace_id, span_id),
    };
    let Some(account) = account else {
        if let Some(span_id) = span_id {
            return Err(no_span(trace_id, span_id));
        }
        let message =
            format!("of trace {trace_id} only logs are known, and an account is made of spans");
        return Err(Problem::not_found(
            message,
            "send the trace's spans as well",
        ));
    };
    Ok(Why {
        text: account.to_string(),
        account,
    })
}

/// The identifier of a trace, as it was written.
pub(super) fn identifier(text: &str) -> Result<TraceId, Problem> {
    // A UUID is the same identifier with hyphens.
    let id = text.replace('-', "").to_ascii_lowercase();
    id.parse().map_err(|_| {
        Problem::bad_request(
            format!("`{text}` is no trace ID"),
            "give its 32 hexadecimal digits",
        )
    })
}

/// All that is known of a trace.
pub(super) fn records(api: &Api, trace_id: TraceId) -> Result<Vec<Kept>, Problem> {
    let kept = api.store.trace(trace_id)?;
    if kept.is_empty() {
        let message = format!("trace {trace_id} is not here");
        let mend = if api.config.sampling.is_some() {
            "it may be one that sampling left out, too old, or not sent yet; `sonde doctor` says what arrived"
        } else {
            "it may be too old, or not sent yet; `sonde doctor` says what arrived"
        };
        return Err(Problem::not_found(message, mend));
    }
    Ok(kept)
}

const fn time(record: &Record) -> u64 {
    match record {
        Record::Span(span) => span.start_unix_ns,
        Record::Log(log) => log.time_unix_ns,
        Record::Event(event) => event.time_unix_ns,
    }
}

/// Resources, each once.
#[derive(Default)]
struct Resources {
    /// The place of each, by its JSON.
    places: BTreeMap<String, usize>,
    json: Vec<Box<RawValue>>,
    /// The one of the last span: neighbours share theirs.
    last: Option<(Arc<Resource>, usize)>,
}

impl Resources {
    fn place(&mut self, resource: &Arc<Resource>) -> usize {
        if let Some((last, place)) = &self.last
            && Arc::ptr_eq(last, resource)
        {
            return *place;
        }
        let text = object(&resource.attributes);
        let place = *self.places.entry(text).or_insert_with_key(|text| {
            self.json
                .push(RawValue::from_string(text.clone()).unwrap_or_default());
            self.json.len() - 1
        });
        self.last = Some((Arc::clone(resource), place));
        place
    }
}

fn json(attributes: &Attributes) -> Box<RawValue> {
    RawValue::from_string(object(attributes)).unwrap_or_default()
}

fn span_row(span: &Span, start: u64, service: &str, resource: usize) -> SpanRow {
    let (status, status_message) = match &span.status {
        Status::Unset => ("unset", ""),
        Status::Ok => ("ok", ""),
        Status::Error(message) => ("error", message.as_ref()),
    };
    let links = span.links.iter().map(|link| LinkRow {
        trace_id: link.trace_id.to_string(),
        span_id: link.span_id.to_string(),
    });
    SpanRow {
        span_id: span.span_id.to_string(),
        parent_span_id: span.parent_id.map(|id| id.to_string()),
        name: span.name.to_string(),
        service: service.to_owned(),
        scope: span.target.to_string(),
        kind: span.kind.text(),
        status,
        status_message: status_message.to_owned(),
        offset_ns: span.start_unix_ns - start,
        duration_ns: span.duration_ns(),
        attributes: json(&span.attributes),
        links: links.collect(),
        resource,
    }
}

fn log_row(log: &Log, start: u64, service: &str) -> LogRow {
    LogRow {
        event_name: String::new(),
        body: log.message.to_string(),
        attributes: json(&log.attributes),
        ..placed(
            log.time_unix_ns,
            log.place.as_ref(),
            log.severity,
            start,
            service,
        )
    }
}

fn event_row(event: &EventRecord, start: u64, service: &str) -> LogRow {
    LogRow {
        event_name: event.name.to_string(),
        body: String::new(),
        attributes: json(&event.data),
        ..placed(
            event.time_unix_ns,
            event.place.as_ref(),
            event.severity,
            start,
            service,
        )
    }
}

fn placed(
    time_unix_ns: u64,
    place: Option<&Place>,
    severity: Severity,
    start: u64,
    service: &str,
) -> LogRow {
    LogRow {
        offset_ns: time_unix_ns.cast_signed().wrapping_sub(start.cast_signed()),
        span_id: place.map(|place| place.span_id.to_string()),
        severity: severity as u8,
        severity_text: severity.text(),
        event_name: String::new(),
        body: String::new(),
        service: service.to_owned(),
        attributes: Box::default(),
    }
}
