//! Jaeger's spans: a `Batch` of its collector's HTTP port in Thrift, and a `PostSpansRequest` of its gRPC port.
//!
//! What becomes what follows OpenTelemetry's mapping of Jaeger: the tags `span.kind`, `error` and `otel.status_code` are the
//! kind and the status, the first reference to a parent is the parent, other references are links, logs are events of the span,
//! and the process is the resource.

mod binary;
mod protobuf;
mod thrift;

use std::borrow::Cow;

use radiosonde_store::row::Value;

use super::{
    attributes::{Attributes, Source},
    parts::{LinkItem, close_list, push_link},
    sink::{Id, Place, Sink, SpanEvent, SpanItem, Unreadable},
    text,
};

const NS_PER_US: u64 = 1000;
/// `Status.StatusCode` of OTLP.
const OK: i64 = 1;
const ERROR: i64 = 2;
/// What an event without a name is called.
const EVENT: &str = "log";

/// In which of its forms a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// jaeger.thrift: a `Batch` in Thrift's binary protocol.
    Thrift,
    /// `jaeger.api_v2.PostSpansRequest`.
    Protobuf,
}

/// Reads a batch into `sink`.
pub(super) fn read(form: Form, request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    match form {
        Form::Thrift => thrift::read(request, sink),
        Form::Protobuf => protobuf::read(request, sink),
    }
}

/// The value of a tag.
#[derive(Clone, Debug)]
enum Given<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(&'a [u8]),
}

/// A reference to another span.
#[derive(Clone, Copy, Debug, Default)]
struct Reference {
    trace_id: Id<16>,
    span_id: Id<8>,
    /// Whether that one does not wait for this one.
    follows: bool,
}

/// What a span is besides its tags.
#[derive(Clone, Debug, Default)]
struct Header<'a> {
    trace_id: Id<16>,
    span_id: Id<8>,
    parent_span_id: Id<8>,
    name: Cow<'a, str>,
    start_unix_ns: u64,
    duration_ns: u64,
}

/// What tags and references of the span at hand say, or those of a process, or the fields of a log.
#[derive(Debug, Default)]
struct Tags<'a> {
    attributes: Attributes<'a>,
    kind: i64,
    status: i64,
    status_message: Cow<'a, str>,
    scope: Cow<'a, str>,
    event: Cow<'a, str>,
    message: Cow<'a, str>,
    links: String,
}

impl<'a> Tags<'a> {
    fn clear(&mut self) {
        let mut attributes = std::mem::take(&mut self.attributes);
        attributes.clear();
        *self = Self {
            attributes,
            ..Self::default()
        };
    }

    /// Takes what only a span's tags say, and gives back any other.
    fn of_span(&mut self, key: &str, value: Given<'a>) -> Option<Given<'a>> {
        match (key, value) {
            ("span.kind", Given::Text(kind)) => self.kind = kind_of(&kind),
            ("error", Given::Bool(is_error)) => self.fail(is_error),
            // As some clients write it.
            ("error", Given::Text(text)) if text == "true" || text == "false" => {
                self.fail(text == "true");
            }
            ("otel.status_code", Given::Text(code)) => {
                self.status = if code == "ERROR" { ERROR } else { OK };
            }
            ("otel.status_description", Given::Text(text)) => self.status_message = text,
            ("otel.scope.name" | "otel.library.name", Given::Text(name)) => self.scope = name,
            (_, value) => return Some(value),
        }
        None
    }

    fn fail(&mut self, is_error: bool) {
        if is_error {
            self.status = ERROR;
        }
    }

    /// Takes a tag of a process, whose service has a field of its own.
    fn process_tag(&mut self, key: Cow<'a, str>, value: Given<'a>) {
        if key != "service.name" {
            self.tag(key, value);
        }
    }

    fn span_tag(&mut self, key: Cow<'a, str>, value: Given<'a>) {
        if let Some(value) = self.of_span(&key, value) {
            self.tag(key, value);
        }
    }

    /// Takes a field of a log.
    fn field(&mut self, key: Cow<'a, str>, value: Given<'a>) {
        match value {
            Given::Text(name) if key == "event" => self.event = name,
            Given::Text(text) if key == "message" => self.message = text,
            value => self.tag(key, value),
        }
    }

    fn tag(&mut self, key: Cow<'a, str>, value: Given<'a>) {
        match value {
            Given::Text(text) => self.attributes.push_text(key, text),
            Given::Bool(value) => self.attributes.push(key, Value::Bool(value)),
            Given::Int(value) => self.attributes.push(key, Value::Int(value)),
            Given::Float(value) => self.attributes.push(key, Value::Float(value)),
            Given::Bytes(bytes) => {
                let mut encoded = String::new();
                text::base64(&mut encoded, bytes);
                self.attributes.push_text(key, Cow::Owned(encoded));
            }
        }
    }

    /// Takes a reference, which may be that to the parent.
    fn reference(&mut self, header: &mut Header<'a>, reference: Reference) {
        let is_parent = !reference.follows && reference.trace_id == header.trace_id;
        if is_parent && header.parent_span_id == Id::Missing {
            header.parent_span_id = reference.span_id;
        }
        if is_parent && header.parent_span_id == reference.span_id {
            return;
        }
        let link = LinkItem {
            trace_id: reference.trace_id,
            span_id: reference.span_id,
        };
        let kind = if reference.follows {
            "follows_from"
        } else {
            "child_of"
        };
        let attributes = |out: &mut String| {
            text::object(out, &[("opentracing.ref_type", Value::Text(kind))]);
            Ok(())
        };
        // Writing to a string does not fail.
        let _: Result<(), ()> = push_link(&mut self.links, &link, Some(attributes));
    }

    /// Makes a row of the span.
    fn finish(
        &mut self,
        sink: &mut Sink,
        source: &mut Source,
        header: &Header<'_>,
    ) -> Result<Option<Place>, Unreadable> {
        close_list(&mut self.links);
        source.set_scope(&self.scope);
        let item = SpanItem {
            trace_id: header.trace_id,
            span_id: header.span_id,
            parent_span_id: header.parent_span_id,
            name: &header.name,
            kind: self.kind,
            start_unix_ns: header.start_unix_ns,
            end_unix_ns: header.start_unix_ns.saturating_add(header.duration_ns),
            status: self.status,
            status_message: &self.status_message,
            links: &self.links,
        };
        sink.span(source, &item, &self.attributes)
    }

    /// Makes a row of a log of the span at `place`.
    fn finish_event(
        &mut self,
        sink: &mut Sink,
        source: &Source,
        place: Place,
        time_unix_ns: u64,
    ) -> Result<(), Unreadable> {
        // OpenTelemetry's own exporters give an event's name as the message.
        let message = std::mem::take(&mut self.message);
        let name = match (&*self.event, &*message) {
            ("", "") => EVENT,
            ("", message) => message,
            (event, _) => event,
        };
        if !self.event.is_empty() && !message.is_empty() {
            let message = message.clone();
            self.attributes.push_text(Cow::Borrowed("message"), message);
        }
        let event = SpanEvent {
            place,
            time_unix_ns,
            name,
        };
        sink.span_event(source, &event, &self.attributes)
    }
}

/// `SpanKind` of OTLP.
fn kind_of(name: &str) -> i64 {
    match name {
        "server" => 2,
        "client" => 3,
        "producer" => 4,
        "consumer" => 5,
        _ => 1,
    }
}

/// What a process says of itself, with its service.
fn set_source<'a>(
    source: &mut Source,
    service: Cow<'a, str>,
    tags: &mut Tags<'a>,
) -> Result<(), Unreadable> {
    tags.attributes
        .push_text(Cow::Borrowed("service.name"), service);
    if tags.attributes.has_too_many() {
        let why = "a process has more than 4096 tags";
        return Err(Unreadable::Malformed(why.to_owned()));
    }
    source.set_resource(&tags.attributes);
    tags.clear();
    Ok(())
}

#[cfg(test)]
mod tests;
