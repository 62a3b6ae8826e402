//! Events and metrics as the collector's JSON: objects one after another.

use radiosonde_core::{
    batch::{Batch, SpanRef},
    metrics::snapshot::{Data, Labels, Number, Snapshot},
    model::Resource,
};

use super::SplunkConfig;
use crate::{
    encode::json::fields::{
        Fields, Form, key, metric_number, number_member, plain_member, span_member, trace_member,
    },
    exporter::backend::{
        Requests,
        deltas::as_f64,
        entry::{Entry, OfResource, resource_text},
        pages::Pages,
    },
    redact::Redaction,
};

const NS_PER_S: u64 = 1_000_000_000;

/// Writes events.
pub(super) struct Events {
    fields: Fields,
    index: Option<String>,
    metrics_index: Option<String>,
    source: Option<String>,
    origin: OfResource<Origin>,
}

/// Where everything comes from, written once.
#[derive(Default)]
struct Origin {
    /// Members of an event's envelope.
    envelope: Vec<u8>,
    /// Members of `fields`.
    fields: Vec<u8>,
}

impl Events {
    pub(super) fn new(config: &SplunkConfig, redaction: Redaction) -> Self {
        Self {
            fields: Fields::new(redaction),
            index: config.index.clone(),
            metrics_index: config.metrics_index.clone(),
            source: config.source.clone(),
            origin: OfResource::default(),
        }
    }

    fn remember(&mut self, resource: &std::sync::Arc<Resource>) {
        let (redaction, source) = (self.fields.redaction(), self.source.as_deref());
        self.origin
            .get(resource, |resource| origin(resource, source, redaction));
    }

    pub(super) fn spans(&mut self, batch: &Batch, pages: &mut Pages, requests: &mut Requests<'_>) {
        self.remember(batch.resource());
        for span in batch.spans() {
            pages.add(requests, |out| {
                self.envelope(span.start_unix_ns(), "span", out);
                self.span(&span, out);
            });
        }
        pages.finish(requests);
    }

    pub(super) fn logs(&mut self, batch: &Batch, pages: &mut Pages, requests: &mut Requests<'_>) {
        self.remember(batch.resource());
        for entry in Entry::all(batch) {
            pages.add(requests, |out| {
                let kind = if entry.event().is_some() {
                    "event"
                } else {
                    "log"
                };
                self.envelope(entry.time_unix_ns(), kind, out);
                self.entry(entry, out);
            });
        }
        pages.finish(requests);
    }

    pub(super) fn metrics(
        &mut self,
        snapshot: &Snapshot,
        pages: &mut Pages,
        requests: &mut Requests<'_>,
    ) {
        self.remember(&snapshot.resource);
        let time = snapshot.time_unix_ns;
        for metric in &snapshot.metrics {
            let mut add = |suffix: &str, labels: &Labels, value: Number| {
                if as_f64(value).is_finite() {
                    pages.add(requests, |out| {
                        self.metric(time, (&metric.name, suffix), labels, value, out);
                    });
                }
            };
            match &metric.data {
                Data::Counter(all) | Data::UpDownCounter(all) | Data::Gauge(all) => {
                    for series in all {
                        add("", &series.labels, series.value);
                    }
                }
                Data::Histogram(all) => {
                    for series in all {
                        let histogram = &series.value;
                        let labels = &series.labels;
                        add(".count", labels, Number::U64(histogram.count));
                        add(".sum", labels, Number::F64(histogram.sum));
                        for (suffix, value) in [(".min", histogram.min), (".max", histogram.max)] {
                            if let Some(value) = value {
                                add(suffix, labels, Number::F64(value));
                            }
                        }
                    }
                }
            }
        }
        pages.finish(requests);
    }

    /// An event up to what it tells.
    fn envelope(&self, time_unix_ns: u64, kind: &str, out: &mut Vec<u8>) {
        time(time_unix_ns, out);
        out.extend_from_slice(&self.origin.made().envelope);
        key("sourcetype", out);
        out.extend_from_slice(b"\"radiosonde:");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        if let Some(index) = &self.index {
            plain_member("index", index, out);
        }
        key("event", out);
        out.push(b'{');
    }

    fn span(&mut self, span: &SpanRef<'_>, out: &mut Vec<u8>) {
        let overrides = span.overrides();
        self.fields.text_member("name", span.name(), out);
        plain_member("kind", overrides.kind.unwrap_or_default().text(), out);
        let status = match overrides.ok {
            None => "unset",
            Some(true) => "ok",
            Some(false) => "error",
        };
        plain_member("status", status, out);
        if let Some(message) = overrides.message {
            self.fields.text_member("status_message", message, out);
        }
        let duration_ns = span.end_unix_ns().saturating_sub(span.start_unix_ns());
        number_member("duration_ns", duration_ns, out);
        if let Some(parent) = span.parent_id() {
            span_member("parent_id", parent.bits(), out);
        }
        self.fields
            .known_member("target", span.metadata().target(), out);
        number_member("thread", u64::from(span.thread()), out);
        if let Some(id) = span.correlation_id() {
            self.fields.text_member("correlation_id", &id, out);
        }
        key("attributes", out);
        out.push(b'{');
        for (name, value) in span.attributes() {
            self.fields.attribute(name, value, Form::Json, out);
        }
        out.extend_from_slice(b"}}");
        self.indexed(out);
        trace_member("trace_id", span.trace_id(), out);
        span_member("span_id", span.span_id().bits(), out);
        out.extend_from_slice(b"}}\n");
    }

    fn entry(&mut self, entry: Entry<'_>, out: &mut Vec<u8>) {
        self.fields.text_member("message", entry.message(), out);
        self.fields.known_member("target", entry.target(), out);
        number_member("thread", u64::from(entry.thread()), out);
        if let Some(id) = entry.correlation_id() {
            self.fields.text_member("correlation_id", &id, out);
        }
        key("attributes", out);
        out.push(b'{');
        entry.attributes(|name, value| self.fields.attribute(name, value, Form::Json, out));
        out.extend_from_slice(b"}}");
        self.indexed(out);
        plain_member("level", entry.severity().text(), out);
        if let Some(place) = entry.place() {
            trace_member("trace_id", place.trace_id, out);
            span_member("span_id", place.span_id.bits(), out);
        }
        out.extend_from_slice(b"}}\n");
    }

    /// The fields that are indexed, which is what is searched by.
    fn indexed(&self, out: &mut Vec<u8>) {
        key("fields", out);
        out.push(b'{');
        out.extend_from_slice(&self.origin.made().fields);
    }

    fn metric(
        &mut self,
        time_unix_ns: u64,
        (name, suffix): (&str, &str),
        labels: &Labels,
        value: Number,
        out: &mut Vec<u8>,
    ) {
        time(time_unix_ns, out);
        out.extend_from_slice(&self.origin.made().envelope);
        plain_member("event", "metric", out);
        if let Some(index) = &self.metrics_index {
            plain_member("index", index, out);
        }
        self.indexed(out);
        key("metric_name", out);
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(suffix.as_bytes());
        out.push(b'"');
        key("_value", out);
        metric_number(value, out);
        for (name, value) in labels.iter() {
            // Names that begin with `_` are Splunk's own.
            let before = if name.starts_with('_') || name == "metric_name" {
                "label"
            } else {
                ""
            };
            let as_it_is = |letter| letter;
            self.fields
                .renamed((before, name), as_it_is, value, Form::Text, out);
        }
        out.extend_from_slice(b"}}\n");
    }
}

/// `{"time":SECONDS`
fn time(unix_ns: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":");
    out.extend_from_slice(itoa::Buffer::new().format(unix_ns / NS_PER_S).as_bytes());
    // Nine digits after the point, the first of which may be zeros.
    let fraction = unix_ns % NS_PER_S + NS_PER_S;
    out.push(b'.');
    out.extend_from_slice(&itoa::Buffer::new().format(fraction).as_bytes()[1..]);
}

fn origin(resource: &Resource, source: Option<&str>, redaction: &Redaction) -> Origin {
    let service = redaction.text(resource.service_name());
    let mut members = b"{".to_vec();
    if let Some(host) = resource_text(resource, "host.name", redaction) {
        plain_member("host", &host, &mut members);
    }
    plain_member("source", source.unwrap_or(&service), &mut members);
    // It follows the time.
    members[0] = b',';
    let mut fields = b"{".to_vec();
    plain_member("service.name", &service, &mut fields);
    for name in [
        "service.version",
        "service.instance.id",
        "deployment.environment.name",
    ] {
        if let Some(text) = resource_text(resource, name, redaction) {
            plain_member(name, &text, &mut fields);
        }
    }
    Origin {
        envelope: members,
        fields: fields.split_off(1),
    }
}
