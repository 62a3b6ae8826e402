//! Envelopes: who, when and where, around what each kind of telemetry tells.

use std::sync::Arc;

use radiosonde_core::{
    ValueRef,
    batch::Batch,
    ids::{SpanId, TraceId},
    metrics::snapshot::{Data, Labels, Metric, Snapshot},
    model::{Resource, Severity},
};

use super::{ApplicationInsightsConfig, spans};
use crate::{
    encode::{
        json::fields::{
            Fields, Form, Member, float, float_member, key, number_member, plain_member, quoted,
            span_member, trace_member,
        },
        time::Rfc3339,
    },
    exporter::backend::{
        Requests,
        deltas::{Deltas, as_f64},
        entry::{Entry, OfResource, resource_text},
        pages::Pages,
    },
    redact::Redaction,
};

/// Most bytes of a message: Azure takes 32,768 characters, which are at least as many bytes.
const MESSAGE_BYTES_MAX: usize = 32_768;
/// Most bytes of a name, of a type or of what a dependency was asked.
pub(super) const NAME_BYTES_MAX: usize = 1024;
/// Most bytes of a property's value.
const VALUE_BYTES_MAX: usize = 8192;

/// Where in a trace an envelope belongs.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) trace_id: TraceId,
    pub(super) parent_id: Option<SpanId>,
    /// The name of a request.
    pub(super) name: Option<&'a str>,
}

/// Writes envelopes.
pub(super) struct Envelopes {
    pub(super) fields: Fields,
    clock: Rfc3339,
    /// `,"iKey":".."`
    key: Vec<u8>,
    /// `,"sampleRate":..`, where traces are sampled.
    rate: Vec<u8>,
    /// The tags that say where telemetry comes from.
    origin: OfResource<Vec<u8>>,
    deltas: Deltas,
}

impl Envelopes {
    pub(super) fn new(config: &ApplicationInsightsConfig, redaction: Redaction) -> Self {
        let mut written = b",".to_vec();
        quoted("iKey", &mut written);
        written.push(b':');
        quoted(&config.instrumentation_key, &mut written);
        let mut rate = Vec::new();
        // Azure counts an envelope once where no rate is said.
        if config.sample_percent < 100.0 {
            rate.extend_from_slice(b",\"sampleRate\":");
            float(config.sample_percent, &mut rate);
        }
        Self {
            fields: Fields::new(redaction),
            clock: Rfc3339::new(),
            key: written,
            rate,
            origin: OfResource::default(),
            deltas: Deltas::default(),
        }
    }

    fn remember(&mut self, resource: &Arc<Resource>) {
        let redaction = self.fields.redaction();
        self.origin
            .get(resource, |resource| tags(resource, redaction));
    }

    pub(super) fn spans(&mut self, batch: &Batch, pages: &mut Pages, requests: &mut Requests<'_>) {
        self.remember(batch.resource());
        for span in batch.spans() {
            pages.add(requests, |out| spans::write(self, &span, out));
        }
        pages.finish(requests);
    }

    pub(super) fn logs(&mut self, batch: &Batch, pages: &mut Pages, requests: &mut Requests<'_>) {
        self.remember(batch.resource());
        for entry in Entry::all(batch) {
            pages.add(requests, |out| self.entry(entry, out));
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
        self.deltas.begin(time);
        for metric in &snapshot.metrics {
            match &metric.data {
                Data::Counter(all) => {
                    for series in all {
                        let delta = self.deltas.number(&metric.name, series);
                        let point = Point::single(as_f64(delta.value));
                        self.point(time, metric, &series.labels, &point, pages, requests);
                    }
                }
                Data::UpDownCounter(all) | Data::Gauge(all) => {
                    for series in all {
                        let point = Point::single(as_f64(series.value));
                        self.point(time, metric, &series.labels, &point, pages, requests);
                    }
                }
                Data::Histogram(all) => {
                    for series in all {
                        let spread = self.deltas.histogram(&metric.name, series).value;
                        let point = Point {
                            value: spread.sum,
                            aggregate: Some((
                                spread.count,
                                spread.quantile(0.0),
                                spread.quantile(1.0),
                            )),
                        };
                        self.point(time, metric, &series.labels, &point, pages, requests);
                    }
                }
            }
        }
        self.deltas.end();
        pages.finish(requests);
    }

    fn point(
        &mut self,
        time_unix_ns: u64,
        metric: &Metric,
        labels: &Labels,
        point: &Point,
        pages: &mut Pages,
        requests: &mut Requests<'_>,
    ) {
        // Nothing came, or nothing that JSON has a number for.
        if !point.value.is_finite() || point.aggregate.is_some_and(|(count, ..)| count == 0) {
            return;
        }
        pages.add(requests, |out| {
            self.open(("Metric", "MetricData"), time_unix_ns, None, out);
            key("metrics", out);
            out.extend_from_slice(b"[{");
            self.fields.known_member("name", &metric.name, out);
            float_member("value", point.value, out);
            if let Some((count, min, max)) = point.aggregate {
                plain_member("kind", "Aggregation", out);
                number_member("count", count, out);
                for (name, value) in [("min", min), ("max", max)] {
                    if let Some(value) = value {
                        float_member(name, value, out);
                    }
                }
            }
            out.extend_from_slice(b"}]");
            Envelopes::properties(out);
            for (name, value) in labels.iter() {
                self.property(name, value, out);
            }
            out.extend_from_slice(b"}}}}");
        });
    }

    fn entry(&mut self, entry: Entry<'_>, out: &mut Vec<u8>) {
        let operation = entry.place().map(|place| Operation {
            trace_id: place.trace_id,
            parent_id: Some(place.span_id),
            name: None,
        });
        let time = entry.time_unix_ns();
        let fault = match entry.severity() {
            Severity::Error if entry.event().is_none() => Fault::of(entry),
            _ => None,
        };
        if let Some(event) = entry.event() {
            self.open(("Event", "EventData"), time, operation, out);
            self.fields.known_member("name", event.name, out);
        } else if let Some(fault) = &fault {
            self.open(("Exception", "ExceptionData"), time, operation, out);
            key("exceptions", out);
            out.extend_from_slice(b"[{");
            self.limited("typeName", fault.kind, NAME_BYTES_MAX, out);
            self.limited("message", fault.message, MESSAGE_BYTES_MAX, out);
            key("hasFullStack", out);
            out.extend_from_slice(if fault.stack.is_some() {
                b"true"
            } else {
                b"false"
            });
            if let Some(stack) = fault.stack {
                self.limited("stack", stack, MESSAGE_BYTES_MAX, out);
            }
            out.extend_from_slice(b"}]");
            number_member("severityLevel", severity_level(entry.severity()), out);
        } else {
            self.open(("Message", "MessageData"), time, operation, out);
            self.limited("message", entry.message(), MESSAGE_BYTES_MAX, out);
            number_member("severityLevel", severity_level(entry.severity()), out);
        }
        Envelopes::properties(out);
        plain_member("target", entry.target(), out);
        plain_member("thread.id", itoa::Buffer::new().format(entry.thread()), out);
        if let Some(id) = entry.correlation_id() {
            self.limited("correlation.id", &id, VALUE_BYTES_MAX, out);
        }
        if fault.is_some() {
            self.limited("message", entry.message(), VALUE_BYTES_MAX, out);
        }
        let is_event = entry.event().is_some();
        entry.attributes(|name, value| {
            let is_measured = is_event && number(&value).is_some();
            if !is_measured && !matches!(name, "target" | "thread.id" | "message") {
                self.property(name, value, out);
            }
        });
        out.push(b'}');
        if is_event {
            self.measurements(entry, out);
        }
        out.extend_from_slice(b"}}}");
    }

    /// The fields of an event that are numbers and no secrets.
    fn measurements(&mut self, entry: Entry<'_>, out: &mut Vec<u8>) {
        key("measurements", out);
        out.push(b'{');
        entry.attributes(|name, value| {
            if let Some(value) = number(&value)
                && value.is_finite()
                && self
                    .fields
                    .redaction()
                    .attribute(name, ValueRef::F64(value))
                    .is_none()
            {
                float_member(name, value, out);
            }
        });
        out.push(b'}');
    }

    /// An envelope up to what it tells.
    pub(super) fn open(
        &mut self,
        (name, base_type): (&str, &str),
        time_unix_ns: u64,
        operation: Option<Operation<'_>>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"{\"name\":\"Microsoft.ApplicationInsights.");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",\"time\":\"");
        self.clock.write(time_unix_ns, out);
        // Azure's times have seven digits after the point at most: microseconds are kept.
        out.truncate(out.len() - b"000Z".len());
        out.extend_from_slice(b"Z\"");
        out.extend_from_slice(&self.key);
        // Spans and the events in them are there by the sample; logs and metrics are all there.
        if operation.is_some() && matches!(name, "Request" | "RemoteDependency" | "Event") {
            out.extend_from_slice(&self.rate);
        }
        key("tags", out);
        out.push(b'{');
        out.extend_from_slice(self.origin.made());
        if let Some(operation) = operation {
            trace_member("ai.operation.id", operation.trace_id, out);
            if let Some(parent) = operation.parent_id {
                span_member("ai.operation.parentId", parent.bits(), out);
            }
            if let Some(name) = operation.name {
                self.limited("ai.operation.name", name, NAME_BYTES_MAX, out);
            }
        }
        out.push(b'}');
        key("data", out);
        out.push(b'{');
        plain_member("baseType", base_type, out);
        key("baseData", out);
        out.extend_from_slice(b"{\"ver\":2");
    }

    /// The member `properties`, opened.
    pub(super) fn properties(out: &mut Vec<u8>) {
        key("properties", out);
        out.push(b'{');
    }

    /// A property, cut to what Azure takes.
    pub(super) fn property(&mut self, name: &str, value: impl Member, out: &mut Vec<u8>) {
        let start = out.len();
        self.fields.attribute(name, value, Form::Text, out);
        if out.len() - start > VALUE_BYTES_MAX {
            // Rare: it is read back, cut and written again.
            let written = format!(
                "{{{}}}",
                String::from_utf8_lossy(&out[start..]).trim_start_matches(',')
            );
            let read = serde_json::from_str::<std::collections::BTreeMap<String, String>>(&written);
            if let Ok(read) = read
                && let Some((name, text)) = read.into_iter().next()
            {
                out.truncate(start);
                plain_member(
                    &name,
                    &text[..text.floor_char_boundary(VALUE_BYTES_MAX)],
                    out,
                );
            }
        }
    }

    /// The member `name` with `text`, without secrets and then cut to `bytes_max`.
    pub(super) fn limited(&self, name: &str, text: &str, bytes_max: usize, out: &mut Vec<u8>) {
        if text.len() <= bytes_max {
            return self.fields.text_member(name, text, out);
        }
        // Cut before it is cleaned, half a secret might be left that nobody recognises.
        let clean = self.fields.redaction().text(text);
        plain_member(name, &clean[..clean.floor_char_boundary(bytes_max)], out);
    }
}

/// A value, or an aggregate of so many with the least and the greatest.
struct Point {
    value: f64,
    aggregate: Option<(u64, Option<f64>, Option<f64>)>,
}

impl Point {
    const fn single(value: f64) -> Self {
        Self {
            value,
            aggregate: None,
        }
    }
}

/// What an error says went wrong.
struct Fault<'a> {
    kind: &'a str,
    message: &'a str,
    stack: Option<&'a str>,
}

impl<'a> Fault<'a> {
    /// From OpenTelemetry's attributes, or `error`, as `tracing` users call it.
    fn of(entry: Entry<'a>) -> Option<Self> {
        let kind = entry.text("exception.type");
        let message = entry
            .text("exception.message")
            .or_else(|| entry.text("error"));
        if kind.is_none() && message.is_none() {
            return None;
        }
        Some(Self {
            kind: kind.unwrap_or("Error"),
            message: message.unwrap_or_else(|| entry.message()),
            stack: entry.text("exception.stacktrace"),
        })
    }
}

fn number(value: &ValueRef<'_>) -> Option<f64> {
    match *value {
        ValueRef::I64(number) => Some(number as f64),
        ValueRef::U64(number) => Some(number as f64),
        ValueRef::F64(number) => Some(number),
        _ => None,
    }
}

fn tags(resource: &Resource, redaction: &Redaction) -> Vec<u8> {
    let mut out = b"{".to_vec();
    let text = |name| resource_text(resource, name, redaction);
    let role = redaction.text(resource.service_name());
    plain_member("ai.cloud.role", &role, &mut out);
    if let Some(instance) = text("service.instance.id").or_else(|| text("host.name")) {
        plain_member("ai.cloud.roleInstance", &instance, &mut out);
    }
    if let Some(version) = text("service.version") {
        plain_member("ai.application.ver", &version, &mut out);
    }
    let version = concat!("radiosonde:", env!("CARGO_PKG_VERSION"));
    plain_member("ai.internal.sdkVersion", version, &mut out);
    out.split_off(1)
}

/// Azure's `SeverityLevel`.
const fn severity_level(severity: Severity) -> u64 {
    match severity {
        Severity::Trace | Severity::Debug => 0,
        Severity::Info => 1,
        Severity::Warn => 2,
        Severity::Error => 3,
    }
}
