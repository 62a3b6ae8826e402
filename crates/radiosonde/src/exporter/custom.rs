//! JSON in a shape of your own, to any URL by POST: a template for each of spans, logs, events and metrics, in batches that
//! are an array or lines.
//!
//! A template is a list of fields, or JSON with placeholders. A placeholder that is all of a text, `"{{duration_ns}}"`, becomes the
//! field's value whatever its type; one inside a text, `"span {{name}}"`, becomes text. Fields are checked when the exporter is
//! opened; the ones there are stand in [`FIELDS`], and `attributes.NAME` and `resource.NAME` besides.

use std::fmt;

use radiosonde_core::{
    batch::Batch,
    metrics::snapshot::{Data, Snapshot},
};

use super::{
    backend::{
        Backend, Connection, Format, Kind, Requests,
        entry::Entry,
        pages::{Packing, Pages, Shape},
        post::Post,
    },
    delivery::DestinationError,
};
use crate::{
    encode::{json::fields::Fields, otlp::Signal, time::Rfc3339},
    redact::Redaction,
};

mod subject;
mod template;

pub use template::FIELDS;
use template::Pieces;

use subject::{Point, Reading, Subject};

const KIND: Kind = Kind {
    name: "custom",
    title: "Custom",
    component: "custom_json_exporter",
};

/// What one record becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// An object with these fields, by their own names.
    Fields(Vec<String>),
    /// JSON in which `{{field}}` stands for a field.
    Json(String),
}

/// How many records are one body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// A JSON array, as `application/json`.
    #[default]
    Array,
    /// One record on each line, as `application/x-ndjson`.
    Lines,
}

/// Where and in what shape to send.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomConfig {
    /// How it is reached; the endpoint is the whole URL. Its headers may hold keys and are sent nowhere else.
    pub connection: Connection,
    /// What a span becomes; spans are not sent where it is `None`.
    pub spans: Option<Template>,
    /// What a log becomes.
    pub logs: Option<Template>,
    /// What an event becomes; it is that of logs where it is `None`.
    pub events: Option<Template>,
    /// What one series of a metric becomes.
    pub metrics: Option<Template>,
    /// How many records are one body.
    pub layout: Layout,
    /// Whether bodies are compressed by gzip.
    pub gzip: bool,
    /// The media type, where it is not the layout's.
    pub content_type: Option<String>,
}

impl CustomConfig {
    /// Sends records of every kind with the fields that they have.
    pub fn new(endpoint: impl Into<String>) -> Self {
        let list = |names: &[&str]| {
            Some(Template::Fields(
                names.iter().map(|name| (*name).to_owned()).collect(),
            ))
        };
        let entry = [
            "type",
            "time",
            "trace_id",
            "span_id",
            "level",
            "target",
            "name",
            "message",
            "attributes",
        ];
        Self {
            connection: Connection::new(endpoint),
            spans: list(&[
                "type",
                "time",
                "trace_id",
                "span_id",
                "parent_id",
                "name",
                "kind",
                "status",
                "status_message",
                "duration_ns",
                "target",
                "attributes",
            ]),
            logs: list(&entry),
            events: list(&entry),
            metrics: list(&[
                "type",
                "time",
                "name",
                "kind",
                "unit",
                "value",
                "count",
                "sum",
                "min",
                "max",
                "attributes",
            ]),
            layout: Layout::Array,
            gzip: false,
            content_type: None,
        }
    }
}

impl fmt::Debug for CustomConfig {
    /// Templates may hold keys, and are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomConfig")
            .field("connection", &self.connection)
            .field("layout", &self.layout)
            .field("gzip", &self.gzip)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

/// Starts to send.
pub fn open(config: &CustomConfig) -> Result<Backend, DestinationError> {
    let read = |setting, template: Option<&Template>| {
        let template = template.map(Pieces::read).transpose();
        template.map_err(|reason| DestinationError::Setting {
            destination: KIND.title,
            setting,
            reason,
        })
    };
    let format = Custom {
        writer: Writer {
            fields: Fields::new(Redaction::default()),
            clock: Rfc3339::new(),
        },
        spans: read("spans", config.spans.as_ref())?,
        logs: read("logs", config.logs.as_ref())?,
        events: read("events", config.events.as_ref().or(config.logs.as_ref()))?,
        metrics: read("metrics", config.metrics.as_ref())?,
        pages: Signal::ALL.map(|signal| Pages::new(shape(signal, config))),
    };
    let connection = &config.connection;
    let content_type = config
        .content_type
        .as_deref()
        .unwrap_or(match config.layout {
            Layout::Array => "application/json",
            Layout::Lines => "application/x-ndjson",
        });
    let wire = Post::new(KIND.title, &connection.endpoint, content_type)?;
    let ways = vec![(Signal::ALL.to_vec(), connection.endpoint.clone(), wire)];
    Backend::start(KIND, connection, format, ways)
}

fn shape(signal: Signal, config: &CustomConfig) -> Shape {
    let bytes_max = config.connection.request_bytes_max;
    let shape = match config.layout {
        Layout::Array => Shape::array(signal, bytes_max),
        Layout::Lines => Shape {
            between: b"\n",
            end: b"\n",
            ..Shape::lines(signal, bytes_max)
        },
    };
    let packing = if config.gzip {
        Packing::Gzip
    } else {
        Packing::Plain
    };
    Shape { packing, ..shape }
}

/// What writing a value takes.
struct Writer {
    fields: Fields,
    clock: Rfc3339,
}

struct Custom {
    writer: Writer,
    spans: Option<Pieces>,
    logs: Option<Pieces>,
    events: Option<Pieces>,
    metrics: Option<Pieces>,
    pages: [Pages; 3],
}

impl Format for Custom {
    fn encode(&mut self, batch: &Batch, requests: &mut Requests<'_>) {
        let [spans, logs, _] = &mut self.pages;
        let writer = &mut self.writer;
        let resource = batch.resource();
        if let Some(template) = &self.spans
            && requests.takes(Signal::Traces)
        {
            for span in batch.spans() {
                let subject = Subject::Span(span);
                spans.add(requests, |out| {
                    template.write(&subject, resource, writer, out);
                });
            }
            spans.finish(requests);
        }
        if !requests.takes(Signal::Logs) {
            return;
        }
        for entry in Entry::all(batch) {
            let template = match entry {
                Entry::Log(_) => &self.logs,
                Entry::Event(_) => &self.events,
            };
            if let Some(template) = template {
                let subject = Subject::Entry(entry);
                logs.add(requests, |out| {
                    template.write(&subject, resource, writer, out);
                });
            }
        }
        logs.finish(requests);
    }

    fn encode_metrics(&mut self, snapshot: &Snapshot, requests: &mut Requests<'_>) {
        let [.., pages] = &mut self.pages;
        let (Some(template), writer) = (&self.metrics, &mut self.writer) else {
            return;
        };
        if !requests.takes(Signal::Metrics) {
            return;
        }
        let resource = &snapshot.resource;
        let time_unix_ns = snapshot.time_unix_ns;
        for metric in &snapshot.metrics {
            let mut add = |kind, labels, reading| {
                let subject = Subject::Point(Point {
                    metric,
                    kind,
                    labels,
                    reading,
                    time_unix_ns,
                });
                pages.add(requests, |out| {
                    template.write(&subject, resource, writer, out);
                });
            };
            match &metric.data {
                Data::Counter(all) => all
                    .iter()
                    .for_each(|one| add("counter", &one.labels, Reading::Number(one.value))),
                Data::UpDownCounter(all) => all
                    .iter()
                    .for_each(|one| add("updowncounter", &one.labels, Reading::Number(one.value))),
                Data::Gauge(all) => all
                    .iter()
                    .for_each(|one| add("gauge", &one.labels, Reading::Number(one.value))),
                Data::Histogram(all) => all
                    .iter()
                    .for_each(|one| add("histogram", &one.labels, Reading::Histogram(&one.value))),
            }
        }
        pages.finish(requests);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_cannot_be_used_is_told_with_its_place() {
        let mut config = CustomConfig::new("http://127.0.0.1:1");
        config.metrics = Some(Template::Json("{\"a\":\"{{nonsense}}\"}".to_owned()));
        let error = open(&config).unwrap_err().to_string();
        assert!(
            error.starts_with("Custom metrics: there is no field nonsense"),
            "{error}"
        );
        config.connection.headers = vec![("X-Key".to_owned(), "K3Y".to_owned())];
        assert!(!format!("{config:?}").contains("K3Y"));
    }
}
