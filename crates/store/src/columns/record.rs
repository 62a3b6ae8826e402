//! The model's records as rows. What has no column of its own is an attribute: the thread, the correlation ID, the level
//! of a span, the type of an event. A log's place keeps its trace and span; the span's own row has the rest.

use std::borrow::Cow;

use radiosonde_core::{
    ids::SpanId,
    model::{
        Attributes, EVENT_TYPE_ATTRIBUTE, EventRecord, Log, Place, Record, Severity, Span, Status,
        Value as ModelValue,
    },
};

use super::{Rows, push_json_text};
use crate::row::{LogRow, Origin, SpanRow, Value};

/// OpenTelemetry's name of a thread's number.
pub(crate) const THREAD: &str = "thread.id";
/// The caller's own request identifier.
pub(crate) const CORRELATION: &str = "correlation.id";
/// The level of a span, unless it is `INFO`.
pub(crate) const LEVEL: &str = "radiosonde.level";

/// The attributes of a row, with the JSON of those that have no other form.
struct Row<'a> {
    entries: Vec<(&'a str, Value<'a>)>,
}

impl Rows {
    /// Takes a record of the model.
    pub fn record(&mut self, origin: Origin<'_>, record: &Record) {
        match record {
            Record::Span(span) => self.push_span(origin, span),
            Record::Log(log) => self.push_log(origin, log),
            Record::Event(event) => self.push_event(origin, event),
        }
    }

    fn push_span(&mut self, origin: Origin<'_>, span: &Span) {
        let jsons = jsons(&span.attributes);
        let mut row = Row::new(&span.attributes, &jsons);
        row.add(span.thread, span.correlation_id.as_deref());
        if span.severity != Severity::default() {
            row.entries.push((LEVEL, Value::Text(span.severity.text())));
        }
        let (status, status_message) = match &span.status {
            Status::Unset => ("unset", ""),
            Status::Ok => ("ok", ""),
            Status::Error(message) => ("error", message.as_ref()),
        };
        self.span(&SpanRow {
            origin: Origin {
                scope: &span.target,
                ..origin
            },
            trace_id: span.trace_id.to_bytes(),
            span_id: span.span_id.to_bytes(),
            parent_span_id: span.parent_id.map(SpanId::to_bytes),
            name: &span.name,
            kind: span.kind.text(),
            status,
            status_message,
            start_unix_ns: span.start_unix_ns.cast_signed(),
            duration_ns: span.duration_ns().cast_signed(),
            links: &links(span),
            attributes: &row.entries,
        });
    }

    fn push_log(&mut self, origin: Origin<'_>, log: &Log) {
        let jsons = jsons(&log.attributes);
        let mut row = Row::new(&log.attributes, &jsons);
        row.add(log.thread, log.correlation_id.as_deref());
        self.log(&LogRow {
            origin: Origin {
                scope: &log.target,
                ..origin
            },
            event_name: "",
            body: &log.message,
            attributes: &row.entries,
            ..placed(log.time_unix_ns, log.place.as_ref(), log.severity)
        });
    }

    fn push_event(&mut self, origin: Origin<'_>, event: &EventRecord) {
        let jsons = jsons(&event.data);
        let mut row = Row::new(&event.data, &jsons);
        row.entries
            .push((EVENT_TYPE_ATTRIBUTE, Value::Text(&event.type_name)));
        row.add(event.thread, event.correlation_id.as_deref());
        let has_name = !event.name.is_empty();
        self.log(&LogRow {
            origin,
            event_name: if has_name {
                &event.name
            } else {
                &event.type_name
            },
            body: "",
            attributes: &row.entries,
            ..placed(event.time_unix_ns, event.place.as_ref(), event.severity)
        });
    }
}

/// A row of logs with its time, place and severity.
fn placed(time_unix_ns: u64, place: Option<&Place>, severity: Severity) -> LogRow<'static> {
    LogRow {
        origin: Origin::default(),
        time_unix_ns: time_unix_ns.cast_signed(),
        trace_id: place.map(|place| place.trace_id.to_bytes()),
        span_id: place.map(|place| place.span_id.to_bytes()),
        severity: severity as i8,
        event_name: "",
        body: "",
        attributes: &[],
    }
}

impl<'a> Row<'a> {
    fn new(attributes: &'a Attributes, jsons: &'a [String]) -> Self {
        let values = attributes.iter().zip(jsons);
        let entries = values.map(|((name, value), json)| (name.as_ref(), plain(value, json)));
        Self {
            entries: entries.collect(),
        }
    }

    fn add(&mut self, thread: u32, correlation_id: Option<&'a str>) {
        if thread != 0 {
            self.entries.push((THREAD, Value::Int(thread.into())));
        }
        if let Some(id) = correlation_id {
            self.entries.push((CORRELATION, Value::Text(id)));
        }
    }
}

fn plain<'a>(value: &'a ModelValue, json: &'a str) -> Value<'a> {
    match value {
        ModelValue::Bool(value) => Value::Bool(*value),
        ModelValue::I64(value) => Value::Int(*value),
        ModelValue::U64(number) => i64::try_from(*number).map_or(Value::Json(json), Value::Int),
        ModelValue::F64(value) => Value::Float(*value),
        ModelValue::Str(text) => Value::Text(text),
        ModelValue::Null | ModelValue::List(_) | ModelValue::Map(_) => Value::Json(json),
    }
}

/// The JSON of each value that no column can hold; empty for the others.
fn jsons(attributes: &Attributes) -> Vec<String> {
    let json = |value: &ModelValue| match value {
        ModelValue::Null | ModelValue::List(_) | ModelValue::Map(_) | ModelValue::U64(_) => {
            json_of(value)
        }
        _ => String::new(),
    };
    attributes.iter().map(|(_, value)| json(value)).collect()
}

fn json_of(value: &ModelValue) -> String {
    let mut json = String::new();
    push(&mut json, value);
    json
}

fn push(out: &mut String, value: &ModelValue) {
    match value {
        ModelValue::Null => out.push_str("null"),
        ModelValue::U64(number) => out.push_str(&number.to_string()),
        ModelValue::List(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push(out, value);
            }
            out.push(']');
        }
        ModelValue::Map(entries) => push_map(out, entries),
        value => super::push_json(out, plain(value, "")),
    }
}

fn push_map(out: &mut String, entries: &Attributes) {
    out.push('{');
    for (at, (name, value)) in entries.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_json_text(out, name);
        out.push(':');
        push(out, value);
    }
    out.push('}');
}

/// Attributes as a JSON object.
pub fn object(attributes: &Attributes) -> String {
    let mut json = String::new();
    push_map(&mut json, attributes);
    json
}

fn links(span: &Span) -> Cow<'static, str> {
    if span.links.is_empty() {
        return Cow::Borrowed("");
    }
    let links = span.links.iter().map(|link| {
        format!(
            r#"{{"trace_id":"{}","span_id":"{}"}}"#,
            link.trace_id, link.span_id
        )
    });
    Cow::Owned(format!("[{}]", links.collect::<Vec<_>>().join(",")))
}
