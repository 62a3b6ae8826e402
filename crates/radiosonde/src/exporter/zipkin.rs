//! Zipkin: spans to `/api/v2/spans`, as JSON compressed by gzip (Zipkin API v2). What OpenTelemetry's specification says of
//! Zipkin exporters holds: `INTERNAL` is no kind, `error` and `otel.status_code` are tags, and the scope is `otel.scope.name`.
//!
//! Jaeger takes OTLP: send spans there with the OTLP exporter. Nothing of Thrift is here.

use radiosonde_core::{
    ValueRef,
    batch::{Batch, SpanRef},
    model::{Resource, SpanKind},
};

use super::{
    backend::{
        Backend, Connection, Format, Kind, Requests,
        entry::{OfResource, resource_text},
        pages::{Pages, Shape},
        post::Post,
    },
    delivery::{DestinationError, http::below},
};
use crate::{
    encode::{
        json::fields::{
            Fields, Form, key, number_member, plain_member, quoted, span_member, trace_member,
        },
        otlp::Signal,
    },
    redact::Redaction,
};

const KIND: Kind = Kind {
    name: "zipkin",
    title: "Zipkin",
    component: "zipkin_http_exporter",
};

/// Where Zipkin listens unless told otherwise.
pub const ENDPOINT_DEFAULT: &str = "http://localhost:9411";

/// Names of tags that have a meaning of their own; an attribute of such a name begins with `attribute.`.
const RESERVED: [&str; 4] = ["error", "otel.status_code", "otel.scope.name", "thread.id"];

/// Where and how to send to Zipkin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZipkinConfig {
    /// How it is reached; the endpoint is that of the server, such as [`ENDPOINT_DEFAULT`]. Of the signals, spans are sent.
    pub connection: Connection,
}

impl ZipkinConfig {
    /// The defaults for the server at `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            connection: Connection::new(endpoint),
        }
    }
}

/// Starts to send to Zipkin.
pub fn open(config: &ZipkinConfig) -> Result<Backend, DestinationError> {
    let connection = &config.connection;
    let url = below(&connection.endpoint, "api/v2/spans");
    let wire = Post::new(KIND.title, &url, "application/json")?;
    let format = Zipkin {
        fields: Fields::new(Redaction::default()),
        origin: OfResource::default(),
        pages: Pages::new(Shape::array(Signal::Traces, connection.request_bytes_max)),
    };
    let ways = vec![(vec![Signal::Traces], url, wire)];
    Backend::start(KIND, connection, format, ways)
}

struct Zipkin {
    fields: Fields,
    /// `"localEndpoint":{..}`, and the tags that every span of the resource has.
    origin: OfResource<(Vec<u8>, Vec<u8>)>,
    pages: Pages,
}

impl Format for Zipkin {
    fn encode(&mut self, batch: &Batch, requests: &mut Requests<'_>) {
        if !requests.takes(Signal::Traces) {
            return;
        }
        let Self {
            fields,
            origin,
            pages,
        } = self;
        let (local, tags) = origin.get(batch.resource(), |resource| {
            written_origin(resource, fields.redaction())
        });
        for span in batch.spans() {
            pages.add(requests, |out| write(fields, (local, tags), &span, out));
        }
        pages.finish(requests);
    }
}

fn written_origin(resource: &Resource, redaction: &Redaction) -> (Vec<u8>, Vec<u8>) {
    let mut local = b"\"localEndpoint\":{".to_vec();
    let service = redaction.text(resource.service_name());
    plain_member("serviceName", &service, &mut local);
    local.push(b'}');
    let mut tags = b"\"tags\":{".to_vec();
    for name in ["service.version", "host.name", "service.instance.id"] {
        if let Some(text) = resource_text(resource, name, redaction) {
            plain_member(name, &text, &mut tags);
        }
    }
    (local, tags)
}

fn write(
    fields: &mut Fields,
    (local, tags): (&[u8], &[u8]),
    span: &SpanRef<'_>,
    out: &mut Vec<u8>,
) {
    const NS_PER_US: u64 = 1000;
    let overrides = span.overrides();
    out.push(b'{');
    trace_member("traceId", span.trace_id(), out);
    span_member("id", span.span_id().bits(), out);
    if let Some(parent) = span.parent_id() {
        span_member("parentId", parent.bits(), out);
    }
    fields.text_member("name", span.name(), out);
    if let Some(kind) = kind(overrides.kind.unwrap_or_default()) {
        plain_member("kind", kind, out);
    }
    number_member("timestamp", span.start_unix_ns() / NS_PER_US, out);
    // Zero means unknown to Zipkin, and what took less than a microsecond takes one.
    let duration_ns = span.end_unix_ns().saturating_sub(span.start_unix_ns());
    number_member("duration", (duration_ns / NS_PER_US).max(1), out);
    out.push(b',');
    out.extend_from_slice(local);
    out.push(b',');
    out.extend_from_slice(tags);
    match overrides.ok {
        Some(true) => plain_member("otel.status_code", "OK", out),
        Some(false) => {
            plain_member("otel.status_code", "ERROR", out);
            fields.text_member("error", overrides.message.unwrap_or_default(), out);
        }
        None => {}
    }
    fields.known_member("otel.scope.name", span.metadata().target(), out);
    key("thread.id", out);
    quoted(itoa::Buffer::new().format(span.thread()), out);
    if let Some(id) = span.correlation_id() {
        fields.attribute("correlation.id", ValueRef::Str(&id), Form::Text, out);
    }
    for (name, value) in span.attributes() {
        if RESERVED.contains(&name) {
            fields.renamed(
                ("attribute.", name),
                |letter| letter,
                value,
                Form::Text,
                out,
            );
        } else {
            fields.attribute(name, value, Form::Text, out);
        }
    }
    out.extend_from_slice(b"}}");
}

const fn kind(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Internal => None,
        SpanKind::Server => Some("SERVER"),
        SpanKind::Client => Some("CLIENT"),
        SpanKind::Producer => Some("PRODUCER"),
        SpanKind::Consumer => Some("CONSUMER"),
    }
}
