//! Grafana Loki: logs and events to `/loki/api/v1/push`, as JSON compressed by gzip.
//!
//! A stream has few labels: the service, the host, and what the configuration adds. Everything else, the trace first of all, is
//! structured metadata of each line, which is searched by and makes no streams. Lines of one program reach Loki in the order in
//! which they were recorded, also after it was away, so that none is too old for its stream; Loki drops a line that is sent
//! again with the same time and text.

use radiosonde_core::{batch::Batch, model::Resource};

use super::{
    backend::{
        Backend, Connection, Format, Kind, Requests,
        entry::{Entry, OfResource, resource_text},
        pages::{Pages, Shape},
        post::Post,
    },
    delivery::{DestinationError, http::below},
};
use crate::{
    encode::{
        json::fields::{Fields, Form, plain_member, span_member, trace_member},
        otlp::Signal,
    },
    redact::Redaction,
};

const KIND: Kind = Kind {
    name: "loki",
    title: "Loki",
    component: "loki_exporter",
};

/// Names that structured metadata has of its own; an attribute of such a name begins with `attribute_`.
const RESERVED: [&str; 8] = [
    "trace_id",
    "span_id",
    "level",
    "logger",
    "thread",
    "event",
    "correlation_id",
    "service_name",
];

/// Where and how to send to Loki.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LokiConfig {
    /// How it is reached; the endpoint is that of the server, such as `http://localhost:3100`. Of the signals, logs are sent.
    pub connection: Connection,
    /// `X-Scope-OrgID`: whose logs they are, where Loki has several tenants.
    pub tenant: Option<String>,
    /// Labels of the stream beside `service_name` and `host_name`. Few values each: every combination is a stream.
    pub labels: Vec<(String, String)>,
}

impl LokiConfig {
    /// The defaults for the server at `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            connection: Connection::new(endpoint),
            tenant: None,
            labels: Vec::new(),
        }
    }
}

/// Starts to send to Loki.
pub fn open(config: &LokiConfig) -> Result<Backend, DestinationError> {
    for (name, _) in &config.labels {
        if !is_label(name) {
            return Err(DestinationError::Setting {
                destination: KIND.title,
                setting: "labels",
                reason: format!("{name:?} is no label; use letters, digits and `_`"),
            });
        }
    }
    let mut connection = config.connection.clone();
    let tenant = config.tenant.clone();
    connection
        .headers
        .extend(tenant.map(|tenant| ("X-Scope-OrgID".to_owned(), tenant)));
    let url = below(&connection.endpoint, "loki/api/v1/push");
    let wire = Post::new(KIND.title, &url, "application/json")?;
    let shape = Shape {
        between: b",",
        end: b"]}]}",
        ..Shape::array(Signal::Logs, connection.request_bytes_max)
    };
    let format = Loki {
        fields: Fields::new(Redaction::default()),
        labels: config.labels.clone(),
        begin: OfResource::default(),
        pages: Pages::new(shape),
    };
    Backend::start(
        KIND,
        &connection,
        format,
        vec![(vec![Signal::Logs], url, wire)],
    )
}

/// Prometheus' label names.
fn is_label(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.chars().all(is_letter)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
}

struct Loki {
    fields: Fields,
    labels: Vec<(String, String)>,
    /// How a request begins: up to its first line.
    begin: OfResource<Vec<u8>>,
    pages: Pages,
}

impl Format for Loki {
    fn encode(&mut self, batch: &Batch, requests: &mut Requests<'_>) {
        if !requests.takes(Signal::Logs) {
            return;
        }
        let Self {
            fields,
            labels,
            begin,
            pages,
        } = self;
        let begin = begin.get(batch.resource(), |resource| {
            written_begin(resource, labels, fields.redaction())
        });
        pages.begin_with(begin);
        for entry in Entry::all(batch) {
            pages.add(requests, |out| line(fields, entry, out));
        }
        pages.finish(requests);
    }
}

fn written_begin(
    resource: &Resource,
    labels: &[(String, String)],
    redaction: &Redaction,
) -> Vec<u8> {
    let mut out = b"{\"streams\":[{\"stream\":{".to_vec();
    let own = |name: &str| labels.iter().any(|(label, _)| label == name);
    if !own("service_name") {
        plain_member(
            "service_name",
            &redaction.text(resource.service_name()),
            &mut out,
        );
    }
    if let Some(host) = resource_text(resource, "host.name", redaction)
        && !own("host_name")
    {
        plain_member("host_name", &host, &mut out);
    }
    for (name, value) in labels {
        plain_member(name, value, &mut out);
    }
    out.extend_from_slice(b"},\"values\":[");
    out
}

/// `["TIME","LINE",{METADATA}]`
fn line(fields: &mut Fields, entry: Entry<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"[\"");
    out.extend_from_slice(itoa::Buffer::new().format(entry.time_unix_ns()).as_bytes());
    out.extend_from_slice(b"\",");
    fields.text(entry.message(), out);
    out.extend_from_slice(b",{");
    if let Some(place) = entry.place() {
        trace_member("trace_id", place.trace_id, out);
        span_member("span_id", place.span_id.bits(), out);
    }
    plain_member("level", entry.level(), out);
    fields.known_member("logger", entry.target(), out);
    plain_member("thread", itoa::Buffer::new().format(entry.thread()), out);
    if let Some(event) = entry.event() {
        fields.known_member("event", event.name, out);
    }
    if let Some(id) = entry.correlation_id() {
        fields.text_member("correlation_id", &id, out);
    }
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    entry.attributes(|name, value| {
        let before = if RESERVED.contains(&name) {
            "attribute_"
        } else {
            ""
        };
        fields.renamed((before, name), letter, value, Form::Text, out);
    });
    out.extend_from_slice(b"}]");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_prometheus() {
        let mut config = LokiConfig::new("http://127.0.0.1:1");
        for name in ["", "1a", "a-b", "a.b"] {
            config.labels = vec![(name.to_owned(), "x".to_owned())];
            let error = open(&config).unwrap_err().to_string();
            assert!(error.starts_with("Loki labels: "), "{error}");
        }
        assert!(is_label("team_1"));
    }
}
