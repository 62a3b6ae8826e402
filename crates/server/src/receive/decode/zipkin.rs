//! Zipkin's spans, JSON of version 2 (`POST /api/v2/spans`): a list of spans, each with its service.
//!
//! What becomes what follows OpenTelemetry's mapping of Zipkin: tags are attributes, annotations are events of the span, the
//! tag `error` is the status, the remote endpoint is the peer.

use std::borrow::Cow;

use radiosonde_store::row::Value;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    attributes::{Attributes, Source},
    json::{
        list, members, parse,
        scalars::{Integer, Text, id_of, text_of, unsigned_of},
    },
    sink::{Id, Place, Sink, SpanEvent, SpanItem, Unreadable},
    text,
};

const NS_PER_US: u64 = 1000;
/// `Status.StatusCode.ERROR` of OTLP.
const ERROR: i64 = 2;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a span, which is an object")]
struct Span<'a> {
    #[serde(borrow, default)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    parent_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    /// In microseconds since the Unix epoch.
    #[serde(default)]
    timestamp: Option<Integer>,
    /// In microseconds.
    #[serde(default)]
    duration: Option<Integer>,
    #[serde(borrow, default)]
    local_endpoint: Option<Endpoint<'a>>,
    #[serde(borrow, default)]
    remote_endpoint: Option<Endpoint<'a>>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tags: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "an endpoint, which is an object"
)]
struct Endpoint<'a> {
    #[serde(borrow, default)]
    service_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    ipv4: Option<Text<'a>>,
    #[serde(borrow, default)]
    ipv6: Option<Text<'a>>,
    #[serde(default)]
    port: Option<Integer>,
}

#[derive(Deserialize)]
#[serde(expecting = "an annotation, which is an object")]
struct Annotation<'a> {
    /// In microseconds since the Unix epoch.
    #[serde(default)]
    timestamp: Option<Integer>,
    #[serde(borrow, default)]
    value: Option<Text<'a>>,
}

/// Reads a list of spans into `sink`.
pub(super) fn read(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let Ok(text) = std::str::from_utf8(request) else {
        return Err(Unreadable::Malformed("it is not UTF-8".to_owned()));
    };
    let spans: &RawValue = parse(text)?;
    read_list(spans, sink)
}

fn read_list<'a>(spans: &'a RawValue, sink: &mut Sink) -> Result<(), Unreadable> {
    let mut attributes = Attributes::default();
    let mut source = Source::default();
    list(Some(spans), |at, given: Span<'a>| {
        sink.at(0, 0, at);
        let annotations = given.annotations;
        let Some(place) = span(sink, &mut source, given, &mut attributes)? else {
            return Ok(());
        };
        list(annotations, |_, given: Annotation<'a>| {
            annotation(sink, &source, place, &given, &mut attributes)
        })
    })
}

/// Takes a span; says where it is, if it was kept.
fn span<'a>(
    sink: &mut Sink,
    source: &mut Source,
    span: Span<'a>,
    attributes: &mut Attributes<'a>,
) -> Result<Option<Place>, Unreadable> {
    let service = span
        .local_endpoint
        .and_then(|endpoint| endpoint.service_name);
    let service = service.unwrap_or_default();
    if source.origin().service != service.as_str() {
        attributes.clear();
        attributes.push_text(Cow::Borrowed("service.name"), service.0);
        source.set_resource(attributes);
    }
    attributes.clear();
    let mut error = None;
    members(span.tags, |key: Text<'a>, value: &'a RawValue| {
        let value = match value.get() {
            quoted if quoted.starts_with('"') => parse::<Text<'a>>(quoted)?.0,
            other => Cow::Borrowed(other),
        };
        if key.as_str() == "error" {
            error = Some(value.clone());
        }
        attributes.push_text(key.0, value);
        Ok(())
    })?;
    if let Some(peer) = span.remote_endpoint {
        remote(attributes, peer);
    }
    let start_unix_ns = unsigned_of(span.timestamp).saturating_mul(NS_PER_US);
    let duration_ns = unsigned_of(span.duration).saturating_mul(NS_PER_US);
    let item = SpanItem {
        trace_id: trace_id(text_of(span.trace_id.as_ref())),
        span_id: id_of(span.id.as_ref()),
        parent_span_id: id_of(span.parent_id.as_ref()),
        name: text_of(span.name.as_ref()),
        kind: kind(text_of(span.kind.as_ref())),
        start_unix_ns,
        end_unix_ns: start_unix_ns.saturating_add(duration_ns),
        status: if error.is_some() { ERROR } else { 0 },
        // Instrumentation that has nothing to say says `true`.
        status_message: error
            .as_deref()
            .filter(|error| *error != "true")
            .unwrap_or_default(),
        links: "",
    };
    sink.span(source, &item, attributes)
}

/// The other end of a span, under OpenTelemetry's names.
fn remote<'a>(attributes: &mut Attributes<'a>, peer: Endpoint<'a>) {
    if let Some(Text(service)) = peer.service_name {
        attributes.push_text(Cow::Borrowed("peer.service"), service);
    }
    if let Some(Text(address)) = peer.ipv4.or(peer.ipv6) {
        attributes.push_text(Cow::Borrowed("network.peer.address"), address);
    }
    if let Some(port) = peer.port {
        attributes.push(
            Cow::Borrowed("network.peer.port"),
            Value::Int(port.signed()),
        );
    }
}

/// A trace's identifier, which may be of 64 bits.
fn trace_id(given: &str) -> Id<16> {
    match text::from_hex::<8>(given) {
        Some(low) => Id::from_bytes(&[[0; 8], low].concat()),
        None => Id::from_hex(given),
    }
}

/// `SpanKind` of OTLP.
fn kind(name: &str) -> i64 {
    match name {
        "SERVER" => 2,
        "CLIENT" => 3,
        "PRODUCER" => 4,
        "CONSUMER" => 5,
        _ => 1,
    }
}

fn annotation<'a>(
    sink: &mut Sink,
    source: &Source,
    place: Place,
    annotation: &Annotation<'a>,
    attributes: &mut Attributes<'a>,
) -> Result<(), Unreadable> {
    attributes.clear();
    let event = SpanEvent {
        place,
        time_unix_ns: unsigned_of(annotation.timestamp).saturating_mul(NS_PER_US),
        name: text_of(annotation.value.as_ref()),
    };
    sink.span_event(source, &event, attributes)
}
