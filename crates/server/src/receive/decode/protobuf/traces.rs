//! `ExportTraceServiceRequest` (opentelemetry/proto/trace/v1/trace.proto).

use std::borrow::Cow;

use radiosonde_store::row::Value;

use super::{
    super::{
        DEPTH_MAX,
        attributes::{Attributes, Source},
        names,
        parts::{self, LinkItem},
        sink::{Id, Place, Sink, SpanEvent, SpanItem, Unreadable},
        wire::{Field, Malformed, Reader},
    },
    Messages, items, key_value, object, utf8,
};

const EVENTS: u32 = 11;
const LINKS: u32 = 13;

pub(super) fn read<'a>(request: &'a [u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let mut attributes = Attributes::default();
    let mut of_event = Attributes::default();
    let mut links = String::new();
    items(request, sink, |sink, source, message: &'a [u8]| {
        links.clear();
        let (place, has_events) = span(sink, source, message, &mut attributes, &mut links)?;
        if let Some(place) = place
            && has_events
        {
            let mut events = Messages::new(message, EVENTS);
            while let Some(message) = events.next()? {
                event(sink, source, place, message, &mut of_event)?;
            }
        }
        Ok(())
    })
}

/// Takes a `Span`; says where it is, if it was kept, and whether it has events.
fn span<'a>(
    sink: &mut Sink,
    source: &Source,
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
    links: &mut String,
) -> Result<(Option<Place>, bool), Unreadable> {
    attributes.clear();
    let mut span = SpanItem::default();
    let (mut name, mut status_message, mut trace_state) = (&[][..], &[][..], &[][..]);
    let (mut has_links, mut has_events) = (false, false);
    let mut dropped = [0_u64; 3];
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(id)) => span.trace_id = Id::from_bytes(id),
            (2, Field::Bytes(id)) => span.span_id = Id::from_bytes(id),
            (3, Field::Bytes(text)) => trace_state = text,
            (4, Field::Bytes(id)) => span.parent_span_id = Id::from_bytes(id),
            (5, Field::Bytes(text)) => name = text,
            (6, Field::Varint(number)) => span.kind = number.cast_signed(),
            (7, Field::Fixed64(time)) => span.start_unix_ns = time,
            (8, Field::Fixed64(time)) => span.end_unix_ns = time,
            (9, Field::Bytes(entry)) => key_value(attributes, entry)?,
            (10, Field::Varint(count)) => dropped[0] = count,
            (EVENTS, Field::Bytes(_)) => has_events = true,
            (12, Field::Varint(count)) => dropped[1] = count,
            (LINKS, Field::Bytes(_)) => has_links = true,
            (14, Field::Varint(count)) => dropped[2] = count,
            (15, Field::Bytes(message)) => (span.status, status_message) = status(message)?,
            _ => {}
        }
    }
    if has_links {
        let mut all = Messages::new(message, LINKS);
        while let Some(message) = all.next()? {
            link(links, message)?;
        }
        parts::close_list(links);
    }
    if !trace_state.is_empty() {
        attributes.push_text(Cow::Borrowed(names::TRACE_STATE), utf8(trace_state));
    }
    for (name, count) in names::DROPPED.into_iter().zip(dropped) {
        if count != 0 {
            attributes.push(Cow::Borrowed(name), Value::Int(count.cast_signed()));
        }
    }
    if source.is_ours() {
        attributes.rename_level();
    }
    let (name, status_message) = (utf8(name), utf8(status_message));
    let span = SpanItem {
        name: &name,
        status_message: &status_message,
        links,
        ..span
    };
    Ok((sink.span(source, &span, attributes)?, has_events))
}

/// `Status{message=2, code=3}`.
fn status(message: &[u8]) -> Result<(i64, &[u8]), Malformed> {
    let mut fields = Reader::new(message);
    let (mut code, mut text) = (0, &[][..]);
    while let Some(field) = fields.field()? {
        match field {
            (2, Field::Bytes(bytes)) => text = bytes,
            (3, Field::Varint(number)) => code = number.cast_signed(),
            _ => {}
        }
    }
    Ok((code, text))
}

/// Appends a `Span.Link{trace_id=1, span_id=2, attributes=4}`.
fn link(links: &mut String, message: &[u8]) -> Result<(), Malformed> {
    let mut fields = Reader::new(message);
    let mut link = LinkItem::default();
    let mut has_attributes = false;
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(id)) => link.trace_id = Id::from_bytes(id),
            (2, Field::Bytes(id)) => link.span_id = Id::from_bytes(id),
            (4, Field::Bytes(_)) => has_attributes = true,
            _ => {}
        }
    }
    let attributes = |out: &mut String| object(out, Messages::new(message, 4), DEPTH_MAX);
    parts::push_link(links, &link, has_attributes.then_some(attributes))
}

/// Takes a `Span.Event{time=1, name=2, attributes=3}`.
fn event<'a>(
    sink: &mut Sink,
    source: &Source,
    place: Place,
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
) -> Result<(), Unreadable> {
    attributes.clear();
    let (mut time_unix_ns, mut name) = (0, &[][..]);
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Fixed64(time)) => time_unix_ns = time,
            (2, Field::Bytes(text)) => name = text,
            (3, Field::Bytes(entry)) => key_value(attributes, entry)?,
            _ => {}
        }
    }
    let event = SpanEvent {
        place,
        time_unix_ns,
        name: &utf8(name),
    };
    sink.span_event(source, &event, attributes)
}
