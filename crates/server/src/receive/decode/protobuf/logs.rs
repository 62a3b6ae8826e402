//! `ExportLogsServiceRequest` (opentelemetry/proto/logs/v1/logs.proto).

use std::borrow::Cow;

use radiosonde_store::row::Value;

use super::{
    super::{
        DEPTH_MAX,
        attributes::{Attributes, Source},
        names,
        sink::{Id, LogItem, Sink, Unreadable},
        wire::{Field, Malformed, Reader},
    },
    AnyValue, items, key_value, utf8,
};

pub(super) fn read<'a>(request: &'a [u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let mut attributes = Attributes::default();
    let mut json = String::new();
    items(request, sink, |sink, source, message: &'a [u8]| {
        log(sink, source, message, &mut attributes, &mut json)
    })
}

/// Takes a `LogRecord`.
fn log<'a>(
    sink: &mut Sink,
    source: &Source,
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
    json: &mut String,
) -> Result<(), Unreadable> {
    attributes.clear();
    let mut log = LogItem::default();
    let (mut severity_text, mut event_name) = (&[][..], &[][..]);
    let mut value = AnyValue::Null;
    let mut dropped = 0;
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Fixed64(time)) => log.time_unix_ns = time,
            (2, Field::Varint(number)) => log.severity = number.cast_signed(),
            (3, Field::Bytes(text)) => severity_text = text,
            (5, Field::Bytes(message)) => value = AnyValue::read(message)?,
            (6, Field::Bytes(entry)) => key_value(attributes, entry)?,
            (7, Field::Varint(count)) => dropped = count,
            (9, Field::Bytes(id)) => log.trace_id = Id::from_bytes(id),
            (10, Field::Bytes(id)) => log.span_id = Id::from_bytes(id),
            (11, Field::Fixed64(time)) => log.observed_unix_ns = time,
            (12, Field::Bytes(text)) => event_name = text,
            _ => {}
        }
    }
    if dropped != 0 {
        let name = Cow::Borrowed(names::DROPPED_ATTRIBUTES);
        attributes.push(name, Value::Int(dropped.cast_signed()));
    }
    let body = body(value, json)?;
    let (severity_text, event_name) = (utf8(severity_text), utf8(event_name));
    let log = LogItem {
        severity_text: &severity_text,
        event_name: &event_name,
        body: &body,
        ..log
    };
    sink.log(source, &log, attributes)
}

/// A log's body as text: itself, or JSON where it is none.
fn body<'b>(value: AnyValue<'b>, json: &'b mut String) -> Result<Cow<'b, str>, Malformed> {
    match value {
        AnyValue::Null => Ok(Cow::Borrowed("")),
        AnyValue::Text(text) => Ok(utf8(text)),
        value => {
            json.clear();
            value.write(json, DEPTH_MAX)?;
            Ok(Cow::Borrowed(json.as_str()))
        }
    }
}
