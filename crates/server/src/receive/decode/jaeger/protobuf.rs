//! `PostSpansRequest` of jaeger-idl's `proto/api_v2/collector.proto`, with what `model.proto` says of its parts.

use std::borrow::Cow;

use super::{
    super::{
        attributes::Source,
        protobuf::{Messages, nanoseconds, utf8},
        sink::{Id, Sink, Unreadable},
        wire::{Field, Malformed, Reader},
    },
    Given, Header, Reference, Tags, set_source,
};

/// `SpanRefType.FOLLOWS_FROM`.
const FOLLOWS_FROM: u64 = 1;

/// `PostSpansRequest{batch=1}`, `Batch{spans=1, process=2}`. A span may have a process of its own, `Span{process=10}`.
pub(super) fn read(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let mut tags = Tags::default();
    let mut source = Source::default();
    let mut batches = Messages::new(request, 1);
    let mut at = 0;
    while let Some(batch) = batches.next()? {
        let of_batch = Messages::new(batch, 2).last()?;
        let mut known = None;
        let mut spans = Messages::new(batch, 1);
        while let Some(message) = spans.next()? {
            sink.at(0, 0, at);
            at += 1;
            let own = Messages::new(message, 10).last()?;
            let of_span = own.or(of_batch).unwrap_or_default();
            if known != Some(of_span) {
                process(of_span, &mut tags, &mut source)?;
                known = Some(of_span);
            }
            span(message, sink, &mut source, &mut tags)?;
        }
    }
    Ok(())
}

/// `Process{service_name=1, tags=2}`.
fn process<'a>(
    message: &'a [u8],
    tags: &mut Tags<'a>,
    source: &mut Source,
) -> Result<(), Unreadable> {
    let service = Messages::new(message, 1).last()?.unwrap_or_default();
    tags.clear();
    each(message, 2, |key, value| tags.process_tag(key, value))?;
    set_source(source, utf8(service), tags)
}

/// `Span{trace_id=1, span_id=2, operation_name=3, references=4, start_time=6, duration=7, tags=8, logs=9}`.
fn span<'a>(
    message: &'a [u8],
    sink: &mut Sink,
    source: &mut Source,
    tags: &mut Tags<'a>,
) -> Result<(), Unreadable> {
    tags.clear();
    let mut header = Header::default();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(id)) => header.trace_id = trace_id(id),
            (2, Field::Bytes(id)) => header.span_id = Id::from_bytes(id),
            (3, Field::Bytes(name)) => header.name = utf8(name),
            (6, Field::Bytes(time)) => header.start_unix_ns = nanoseconds(time)?,
            (7, Field::Bytes(duration)) => header.duration_ns = nanoseconds(duration)?,
            _ => {}
        }
    }
    each(message, 8, |key, value| tags.span_tag(key, value))?;
    let mut references = Messages::new(message, 4);
    while let Some(given) = references.next()? {
        tags.reference(&mut header, reference(given)?);
    }
    let Some(place) = tags.finish(sink, source, &header)? else {
        return Ok(());
    };
    // `Log{timestamp=1, fields=2}`.
    let mut logs = Messages::new(message, 9);
    while let Some(log) = logs.next()? {
        tags.clear();
        each(log, 2, |key, value| tags.field(key, value))?;
        let time = Messages::new(log, 1).last()?.unwrap_or_default();
        tags.finish_event(sink, source, place, nanoseconds(time)?)?;
    }
    Ok(())
}

/// `SpanRef{trace_id=1, span_id=2, ref_type=3}`.
fn reference(message: &[u8]) -> Result<Reference, Malformed> {
    let mut reference = Reference::default();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(id)) => reference.trace_id = trace_id(id),
            (2, Field::Bytes(id)) => reference.span_id = Id::from_bytes(id),
            (3, Field::Varint(kind)) => reference.follows = kind == FOLLOWS_FROM,
            _ => {}
        }
    }
    Ok(reference)
}

/// Hands each `KeyValue{key=1, v_type=2, v_str=3, v_bool=4, v_int64=5, v_float64=6, v_binary=7}` in a field of a message to `take`.
/// Proto3 leaves out what is zero, so that the type alone says what an absent value is.
fn each<'a>(
    message: &'a [u8],
    number: u32,
    mut take: impl FnMut(Cow<'a, str>, Given<'a>),
) -> Result<(), Malformed> {
    let mut entries = Messages::new(message, number);
    while let Some(entry) = entries.next()? {
        let (mut key, mut kind, mut text, mut bytes) = (&[][..], 0, &[][..], &[][..]);
        let (mut is_true, mut int, mut float) = (false, 0, 0.0);
        let mut fields = Reader::new(entry);
        while let Some(field) = fields.field()? {
            match field {
                (1, Field::Bytes(name)) => key = name,
                (2, Field::Varint(number)) => kind = number,
                (3, Field::Bytes(given)) => text = given,
                (4, Field::Varint(number)) => is_true = number != 0,
                (5, Field::Varint(number)) => int = number.cast_signed(),
                (6, Field::Fixed64(bits)) => float = f64::from_bits(bits),
                (7, Field::Bytes(given)) => bytes = given,
                _ => {}
            }
        }
        // `ValueType`.
        let value = match kind {
            1 => Given::Bool(is_true),
            2 => Given::Int(int),
            3 => Given::Float(float),
            4 => Given::Bytes(bytes),
            _ => Given::Text(utf8(text)),
        };
        take(utf8(key), value);
    }
    Ok(())
}

/// A trace's identifier, which may be of 64 bits.
fn trace_id(bytes: &[u8]) -> Id<16> {
    match <[u8; 8]>::try_from(bytes) {
        Ok(low) => Id::from_bytes(&[[0; 8], low].concat()),
        Err(_) => Id::from_bytes(bytes),
    }
}
