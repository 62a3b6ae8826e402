//! One line or row as a record.

use std::borrow::Cow;

use radiosonde_core::{
    catalogue,
    ids::{SpanId, TraceId},
    model::{
        Attributes, EventRecord, Link, Log, Place, Record, Severity, Span, SpanKind, Status, Text,
        Value,
    },
};

use crate::encode::{
    json::{LOG_TYPE, SPAN_TYPE},
    time,
};

/// The parts that stand around a record's data.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) time_unix_ns: u64,
    pub(super) trace_id: Option<TraceId>,
    pub(super) span_id: Option<SpanId>,
    pub(super) parent_id: Option<SpanId>,
    pub(super) span_name: Text,
    pub(super) type_name: Text,
}

/// Reads one line. The error says what is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Record, String> {
    let Value::Map(members) = parse_value(line)? else {
        return Err("not an object".to_owned());
    };
    let mut envelope = Envelope::default();
    let mut event = None;
    for (key, value) in members {
        match key.as_ref() {
            "ts" => envelope.time_unix_ns = timestamp("ts", &value)?,
            "trace_id" => envelope.trace_id = trace_id("trace_id", &value)?,
            "span_id" => envelope.span_id = span_id("span_id", &value)?,
            "parent_id" | "parent_span_id" => envelope.parent_id = span_id("parent_id", &value)?,
            "span_name" => envelope.span_name = text(value),
            "event" => event = Some(value),
            _ => {}
        }
    }
    let Some(Value::Map(event)) = event else {
        return Err("no object `event`".to_owned());
    };
    let mut data = Value::Map(Attributes::new());
    let mut has_type = false;
    for (key, value) in event {
        match key.as_ref() {
            "type" => {
                has_type = matches!(value, Value::Str(_));
                envelope.type_name = text(value);
            }
            "data" => data = value,
            _ => {}
        }
    }
    if !has_type {
        return Err("`event` has no `type`".to_owned());
    }
    Ok(record(envelope, data))
}

/// Reads one JSON value.
pub(super) fn parse_value(json: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(json).map_err(|error| {
        let words = error.to_string();
        // The line is this one, whatever its number.
        let place = format!(" at line 1 column {}", error.column());
        match words.strip_suffix(&place) {
            Some(words) => format!(
                "not JSON that can be read: {words} at byte {}",
                error.column()
            ),
            None => format!("not JSON that can be read: {words}"),
        }
    })
}

/// The record with these parts. Data that does not have the shape of a span or log makes an event, whatever its type.
pub(super) fn record(envelope: Envelope, data: Value) -> Record {
    let data = match data {
        Value::Map(mut members) => match members.pop() {
            // Kept whole under an empty name too, so that it is not taken for data that is no object.
            Some(last) if last.0.is_empty() && members.iter().all(|(name, _)| name.is_empty()) => {
                vec![(Cow::Borrowed(""), Value::Map(vec![last]))]
            }
            Some(last) => {
                members.push(last);
                members
            }
            None => members,
        },
        other => vec![(Cow::Borrowed(""), other)],
    };
    if envelope.type_name == SPAN_TYPE
        && let Some(span) = span(&envelope, &data)
    {
        return Record::Span(span);
    }
    let place = match (envelope.trace_id, envelope.span_id) {
        (Some(trace_id), Some(span_id)) => Some(Place {
            trace_id,
            span_id,
            parent_id: envelope.parent_id,
            span_name: envelope.span_name,
        }),
        _ => None,
    };
    if envelope.type_name == LOG_TYPE && is_log(&data) {
        return Record::Log(log(envelope.time_unix_ns, place, data));
    }
    let known = catalogue::find(&envelope.type_name);
    Record::Event(EventRecord {
        time_unix_ns: envelope.time_unix_ns,
        place,
        name: Cow::Borrowed(known.map_or("", |event| event.name)),
        severity: known.map_or_else(Severity::default, |event| event.severity),
        type_name: envelope.type_name,
        thread: 0,
        correlation_id: None,
        data,
    })
}

fn span(envelope: &Envelope, data: &Attributes) -> Option<Span> {
    let member = |name: &str| find(data, name);
    let message = || owned_text(member("message")).unwrap_or_default();
    let start_unix_ns = time::parse(member("start")?.as_str()?)?;
    Some(Span {
        trace_id: envelope.trace_id?,
        span_id: envelope.span_id?,
        parent_id: envelope.parent_id,
        name: envelope.span_name.clone(),
        target: owned_text(member("target")).unwrap_or_default(),
        start_unix_ns,
        end_unix_ns: time::parse(member("end")?.as_str()?)?.max(start_unix_ns),
        severity: severity(member("level")),
        kind: member("kind")
            .and_then(Value::as_str)
            .and_then(SpanKind::from_text)
            .unwrap_or_default(),
        status: match member("status").and_then(Value::as_str) {
            Some("ok") => Status::Ok,
            Some("error") => Status::Error(message()),
            _ => Status::Unset,
        },
        thread: thread(member("thread")),
        correlation_id: owned_text(member("correlation_id")),
        attributes: match member("attributes") {
            Some(Value::Map(attributes)) => attributes.clone(),
            _ => Attributes::new(),
        },
        links: match member("links") {
            Some(Value::List(links)) => links.iter().filter_map(link).collect(),
            _ => Vec::new(),
        },
    })
}

fn is_log(data: &Attributes) -> bool {
    find(data, "message").is_some_and(|message| message.as_str().is_some())
        && find(data, "level").is_some()
}

fn log(time_unix_ns: u64, place: Option<Place>, data: Attributes) -> Log {
    let mut log = Log {
        time_unix_ns,
        place,
        severity: severity(find(&data, "level")),
        target: Text::default(),
        message: Text::default(),
        thread: thread(find(&data, "thread")),
        correlation_id: None,
        attributes: Attributes::new(),
    };
    for (name, value) in data {
        match (name.as_ref(), value) {
            ("target", value) => log.target = text(value),
            ("message", value) => log.message = text(value),
            ("correlation_id", Value::Str(id)) => log.correlation_id = Some(id),
            ("attributes", Value::Map(attributes)) => log.attributes = attributes,
            _ => {}
        }
    }
    log
}

fn link(link: &Value) -> Option<Link> {
    let Value::Map(members) = link else {
        return None;
    };
    Some(Link {
        trace_id: trace_id("trace_id", find(members, "trace_id")?).ok()??,
        span_id: span_id("span_id", find(members, "span_id")?).ok()??,
    })
}

fn find<'a>(members: &'a Attributes, name: &str) -> Option<&'a Value> {
    members
        .iter()
        .rev()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

fn text(value: Value) -> Text {
    match value {
        Value::Str(text) => text,
        _ => Text::default(),
    }
}

fn owned_text(value: Option<&Value>) -> Option<Text> {
    match value? {
        Value::Str(text) => Some(text.clone()),
        _ => None,
    }
}

fn severity(value: Option<&Value>) -> Severity {
    value
        .and_then(Value::as_str)
        .and_then(Severity::from_text)
        .unwrap_or_default()
}

fn thread(value: Option<&Value>) -> u32 {
    value
        .and_then(Value::as_u64)
        .and_then(|thread| u32::try_from(thread).ok())
        .unwrap_or_default()
}

pub(super) fn timestamp(key: &str, value: &Value) -> Result<u64, String> {
    value
        .as_str()
        .and_then(time::parse)
        .ok_or_else(|| format!("`{key}` is not an RFC 3339 time between 1970 and 2554: {value}"))
}

/// An identifier in hexadecimal; `null`, empty and zero are none.
pub(super) fn trace_id(key: &str, value: &Value) -> Result<Option<TraceId>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Str(text) if text.bytes().all(|byte| byte == b'0') => Ok(None),
        Value::Str(text) => text
            .parse()
            .map(Some)
            .map_err(|_| format!("`{key}` is not 32 hexadecimal digits: {text}")),
        _ => Err(format!("`{key}` is not text: {value}")),
    }
}

/// An identifier in hexadecimal or, in the older shape, a number; `null`, empty and zero are none.
pub(super) fn span_id(key: &str, value: &Value) -> Result<Option<SpanId>, String> {
    match value {
        Value::Null => Ok(None),
        Value::U64(bits) => Ok(SpanId::new(*bits)),
        Value::Str(text) if text.bytes().all(|byte| byte == b'0') => Ok(None),
        Value::Str(text) => text
            .parse()
            .map(Some)
            .map_err(|_| format!("`{key}` is not 16 hexadecimal digits: {text}")),
        _ => Err(format!(
            "`{key}` is neither text nor a whole number: {value}"
        )),
    }
}
