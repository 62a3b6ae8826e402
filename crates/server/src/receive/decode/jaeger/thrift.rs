//! `Batch` of jaeger-idl's `thrift/jaeger.thrift`, in Thrift's binary protocol.

use std::borrow::Cow;

use super::{
    super::{
        attributes::Source,
        protobuf::utf8,
        sink::{Id, Sink, Unreadable},
        wire::Malformed,
    },
    Given, Header, NS_PER_US, Reference, Tags,
    binary::{Elements, Fields, Value},
    set_source,
};

/// `SpanRefType.FOLLOWS_FROM`.
const FOLLOWS_FROM: i64 = 1;

/// `Batch{1: process, 2: spans}`; the process may come after the spans.
pub(super) fn read(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let mut source = Source::default();
    let mut tags = Tags::default();
    let mut spans = Elements::default();
    let mut has_spans = false;
    let mut fields = Fields::new(request);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Struct(fields)) => process(fields, &mut tags, &mut source)?,
            (2, Value::List(list)) => (spans, has_spans) = (list, true),
            _ => {}
        }
    }
    if !has_spans {
        return Err(Malformed("it has no list of spans").into());
    }
    let mut at = 0;
    while let Some(fields) = spans.next_struct()? {
        sink.at(0, 0, at);
        span(fields, sink, &mut source, &mut tags)?;
        at += 1;
    }
    Ok(())
}

/// `Process{1: serviceName, 2: tags}`.
fn process<'a>(
    mut fields: Fields<'a>,
    tags: &mut Tags<'a>,
    source: &mut Source,
) -> Result<(), Unreadable> {
    let mut service = &[][..];
    tags.clear();
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(name)) => service = name,
            (2, Value::List(list)) => each(list, |key, value| tags.process_tag(key, value))?,
            _ => {}
        }
    }
    set_source(source, utf8(service), tags)
}

/// `Span{1: traceIdLow, 2: traceIdHigh, 3: spanId, 4: parentSpanId, 5: operationName, 6: references, 8: startTime, 9: duration,
/// 10: tags, 11: logs}`; times are in microseconds.
fn span<'a>(
    mut fields: Fields<'a>,
    sink: &mut Sink,
    source: &mut Source,
    tags: &mut Tags<'a>,
) -> Result<(), Unreadable> {
    tags.clear();
    let mut header = Header::default();
    let (mut low, mut high) = (0, 0);
    let (mut references, mut logs) = (Elements::default(), Elements::default());
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Int(number)) => low = number,
            (2, Value::Int(number)) => high = number,
            (3, Value::Int(number)) => header.span_id = id(number),
            (4, Value::Int(number)) => header.parent_span_id = id(number),
            (5, Value::Bytes(name)) => header.name = utf8(name),
            (6, Value::List(list)) => references = list,
            (8, Value::Int(time)) => header.start_unix_ns = nanoseconds(time),
            (9, Value::Int(duration)) => header.duration_ns = nanoseconds(duration),
            (10, Value::List(list)) => each(list, |key, value| tags.span_tag(key, value))?,
            (11, Value::List(list)) => logs = list,
            _ => {}
        }
    }
    header.trace_id = trace_id(high, low);
    while let Some(fields) = references.next_struct()? {
        tags.reference(&mut header, reference(fields)?);
    }
    let Some(place) = tags.finish(sink, source, &header)? else {
        return Ok(());
    };
    // `Log{1: timestamp, 2: fields}`.
    while let Some(mut fields) = logs.next_struct()? {
        tags.clear();
        let mut time = 0;
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Int(number)) => time = number,
                (2, Value::List(list)) => each(list, |key, value| tags.field(key, value))?,
                _ => {}
            }
        }
        tags.finish_event(sink, source, place, nanoseconds(time))?;
    }
    Ok(())
}

/// `SpanRef{1: refType, 2: traceIdLow, 3: traceIdHigh, 4: spanId}`.
fn reference(mut fields: Fields<'_>) -> Result<Reference, Malformed> {
    let mut reference = Reference::default();
    let (mut low, mut high) = (0, 0);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Int(kind)) => reference.follows = kind == FOLLOWS_FROM,
            (2, Value::Int(number)) => low = number,
            (3, Value::Int(number)) => high = number,
            (4, Value::Int(number)) => reference.span_id = id(number),
            _ => {}
        }
    }
    reference.trace_id = trace_id(high, low);
    Ok(reference)
}

/// Hands each `Tag{1: key, 2: vType, 3: vStr, 4: vDouble, 5: vBool, 6: vLong, 7: vBinary}` to `take`. The value that is there
/// says of which type it is.
fn each<'a>(
    mut tags: Elements<'a>,
    mut take: impl FnMut(Cow<'a, str>, Given<'a>),
) -> Result<(), Malformed> {
    while let Some(mut fields) = tags.next_struct()? {
        let mut key = &[][..];
        let mut given = Given::Text(Cow::Borrowed(""));
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(name)) => key = name,
                (3, Value::Bytes(text)) => given = Given::Text(utf8(text)),
                (4, Value::Double(value)) => given = Given::Float(value),
                (5, Value::Bool(value)) => given = Given::Bool(value),
                (6, Value::Int(value)) => given = Given::Int(value),
                (7, Value::Bytes(bytes)) => given = Given::Bytes(bytes),
                _ => {}
            }
        }
        take(utf8(key), given);
    }
    Ok(())
}

fn trace_id(high: i64, low: i64) -> Id<16> {
    Id::from_bytes(&[high.to_be_bytes(), low.to_be_bytes()].concat())
}

fn id(number: i64) -> Id<8> {
    Id::from_bytes(&number.to_be_bytes())
}

fn nanoseconds(microseconds: i64) -> u64 {
    u64::try_from(microseconds)
        .unwrap_or(0)
        .saturating_mul(NS_PER_US)
}
