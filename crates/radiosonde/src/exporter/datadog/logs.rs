//! Logs and events as Datadog's JSON.

use radiosonde_core::{batch::Batch, model::Resource};

use super::DatadogConfig;
use crate::{
    encode::json::fields::{Fields, Form, key, number_member, plain_member, quoted, trace_member},
    exporter::backend::{
        Requests,
        entry::{Entry, OfResource, resource_text},
        pages::Pages,
    },
    redact::Redaction,
};

/// Names that mean something of their own at the top of an object; an attribute of such a name stands below `attributes.`.
const RESERVED: [&str; 15] = [
    "ddsource",
    "ddtags",
    "hostname",
    "host",
    "service",
    "message",
    "status",
    "level",
    "timestamp",
    "dd.trace_id",
    "dd.span_id",
    "logger.name",
    "thread.id",
    "otel.trace_id",
    "evt.name",
];

/// Writes entries.
pub(super) struct Logs {
    fields: Fields,
    tags: Vec<String>,
    host: Option<String>,
    /// The members that say where entries come from.
    origin: OfResource<Vec<u8>>,
}

impl Logs {
    pub(super) fn new(config: &DatadogConfig, redaction: Redaction) -> Self {
        Self {
            fields: Fields::new(redaction),
            tags: config.tags.clone(),
            host: config.host.clone(),
            origin: OfResource::default(),
        }
    }

    pub(super) fn encode(&mut self, batch: &Batch, pages: &mut Pages, requests: &mut Requests<'_>) {
        let Self {
            fields,
            tags,
            host,
            origin,
        } = self;
        let origin = origin.get(batch.resource(), |resource| {
            written_origin(resource, tags, host.as_deref(), fields.redaction())
        });
        for entry in Entry::all(batch) {
            pages.add(requests, |out| write(fields, origin, entry, out));
        }
        pages.finish(requests);
    }
}

/// `service`, `env` and `version` of `resource` as tags, and `tags`.
pub(super) fn all_tags(resource: &Resource, tags: &[String], redaction: &Redaction) -> Vec<String> {
    let environment = resource_text(resource, "deployment.environment.name", redaction);
    let environment =
        environment.or_else(|| resource_text(resource, "deployment.environment", redaction));
    let version = resource_text(resource, "service.version", redaction);
    let mut all = vec![format!("service:{}", service(resource, redaction))];
    all.extend(environment.map(|name| format!("env:{name}")));
    all.extend(version.map(|version| format!("version:{version}")));
    all.extend(tags.iter().cloned());
    all
}

fn service(resource: &Resource, redaction: &Redaction) -> String {
    redaction.text(resource.service_name()).into_owned()
}

fn written_origin(
    resource: &Resource,
    tags: &[String],
    host: Option<&str>,
    redaction: &Redaction,
) -> Vec<u8> {
    let mut out = b"{".to_vec();
    plain_member("ddsource", "radiosonde", &mut out);
    let tags = all_tags(resource, tags, redaction).join(",");
    plain_member("ddtags", &tags, &mut out);
    let host = host.map(str::to_owned);
    if let Some(host) = host.or_else(|| resource_text(resource, "host.name", redaction)) {
        plain_member("hostname", &host, &mut out);
    }
    plain_member("service", &service(resource, redaction), &mut out);
    out
}

fn write(fields: &mut Fields, origin: &[u8], entry: Entry<'_>, out: &mut Vec<u8>) {
    const NS_PER_MS: u64 = 1_000_000;
    out.extend_from_slice(origin);
    fields.text_member("message", entry.message(), out);
    plain_member("status", entry.level(), out);
    number_member("timestamp", entry.time_unix_ns() / NS_PER_MS, out);
    if let Some(place) = entry.place() {
        let (_, low) = place.trace_id.words();
        // Decimal, and text: not every reader of JSON keeps 64 bits of a number.
        for (name, bits) in [("dd.trace_id", low), ("dd.span_id", place.span_id.bits())] {
            key(name, out);
            quoted(itoa::Buffer::new().format(bits), out);
        }
        trace_member("otel.trace_id", place.trace_id, out);
    }
    fields.known_member("logger.name", entry.target(), out);
    number_member("thread.id", u64::from(entry.thread()), out);
    if let Some(event) = entry.event() {
        fields.known_member("evt.name", event.name, out);
    }
    if let Some(id) = entry.correlation_id() {
        fields.text_member("correlation.id", &id, out);
    }
    entry.attributes(|name, value| {
        if RESERVED.contains(&name) {
            fields.renamed(
                ("attributes.", name),
                |letter| letter,
                value,
                Form::Json,
                out,
            );
        } else {
            fields.attribute(name, value, Form::Json, out);
        }
    });
    out.push(b'}');
}
