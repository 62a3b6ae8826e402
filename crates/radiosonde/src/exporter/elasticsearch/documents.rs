//! Documents in the Elastic Common Schema, each behind the line that says where it goes.
//!
//! Attributes are `labels`, or `numeric_labels` where they are numbers, with `_` for dots, as Elastic's own agents have
//! them: so no two attributes ask for one field to be both a number and an object, which a mapping refuses.

use std::hash::{BuildHasher as _, RandomState};

use radiosonde_core::{
    ValueRef,
    batch::{Batch, SpanRef},
    metrics::snapshot::{Buckets, Data, Histogram, Labels, Metric, Number, Series, Snapshot},
    model::Resource,
};

use super::ElasticsearchConfig;
use crate::{
    encode::{
        json::fields::{
            Fields, Form, Member, comma, float, float_member, hex, key, metric_number,
            number_member, plain_member, quoted, span_member, trace_member,
        },
        time::Rfc3339,
    },
    exporter::backend::{
        Requests,
        entry::{Entry, OfResource, resource_text},
        pages::Pages,
    },
    redact::Redaction,
};

/// Fields of the resource and their names in the schema.
const ORIGIN: [(&str, &str); 5] = [
    ("service.version", "service.version"),
    ("service.instance.id", "service.node.name"),
    ("deployment.environment.name", "service.environment"),
    ("host.name", "host.name"),
    ("host.id", "host.id"),
];

/// OpenTelemetry's names of what went wrong, and the schema's.
const ERRORS: [(&str, &str); 3] = [
    ("exception.type", "error.type"),
    ("exception.message", "error.message"),
    ("exception.stacktrace", "error.stack_trace"),
];

/// Writes documents.
pub(super) struct Documents {
    fields: Fields,
    clock: Rfc3339,
    /// The names of the data streams for spans, logs and metrics.
    streams: [String; 3],
    ids: Ids,
    /// The members that say where documents come from.
    origin: OfResource<Vec<u8>>,
}

/// Identifiers that no other document has: those of one process begin with the same random digits.
struct Ids {
    process: u64,
    next: u64,
}

impl Ids {
    fn next(&mut self) -> (u64, u64) {
        self.next += 1;
        (self.process, self.next)
    }
}

impl Documents {
    pub(super) fn new(config: &ElasticsearchConfig, redaction: Redaction) -> Self {
        let stream = |kind| format!("{kind}-{}-{}", config.dataset, config.namespace);
        Self {
            fields: Fields::new(redaction),
            clock: Rfc3339::new(),
            streams: ["traces", "logs", "metrics"].map(stream),
            ids: Ids {
                process: RandomState::new().hash_one(std::process::id()),
                next: 0,
            },
            origin: OfResource::default(),
        }
    }

    fn remember(&mut self, resource: &std::sync::Arc<Resource>) {
        let redaction = self.fields.redaction();
        self.origin
            .get(resource, |resource| written_origin(resource, redaction));
    }

    pub(super) fn spans(&mut self, batch: &Batch, pages: &mut Pages, requests: &mut Requests<'_>) {
        self.remember(batch.resource());
        for span in batch.spans() {
            pages.add(requests, |out| {
                self.head(0, span.start_unix_ns(), out);
                self.span(&span, out);
            });
        }
        pages.finish(requests);
    }

    pub(super) fn logs(&mut self, batch: &Batch, pages: &mut Pages, requests: &mut Requests<'_>) {
        self.remember(batch.resource());
        for entry in Entry::all(batch) {
            pages.add(requests, |out| {
                self.head(1, entry.time_unix_ns(), out);
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
            match &metric.data {
                Data::Counter(all) => {
                    self.numbers(metric, "counter", all, time, pages, requests);
                }
                Data::UpDownCounter(all) => {
                    self.numbers(metric, "updowncounter", all, time, pages, requests);
                }
                Data::Gauge(all) => self.numbers(metric, "gauge", all, time, pages, requests),
                Data::Histogram(all) => {
                    for series in all {
                        pages.add(requests, |out| {
                            self.head(2, time, out);
                            self.metric(metric, "histogram", out);
                            histogram(&series.value, out);
                            self.labels(&series.labels, out);
                        });
                    }
                }
            }
        }
        pages.finish(requests);
    }

    fn numbers(
        &mut self,
        metric: &Metric,
        kind: &str,
        all: &[Series<Number>],
        time: u64,
        pages: &mut Pages,
        requests: &mut Requests<'_>,
    ) {
        for series in all {
            pages.add(requests, |out| {
                self.head(2, time, out);
                self.metric(metric, kind, out);
                key("metric.value", out);
                metric_number(series.value, out);
                self.labels(&series.labels, out);
            });
        }
    }

    /// The line that says where a document goes, and its beginning.
    fn head(&mut self, stream: usize, time_unix_ns: u64, out: &mut Vec<u8>) {
        let (process, next) = self.ids.next();
        out.extend_from_slice(b"{\"create\":{\"_index\":\"");
        out.extend_from_slice(self.streams[stream].as_bytes());
        out.extend_from_slice(b"\",\"_id\":\"");
        hex(process, out);
        hex(next, out);
        out.extend_from_slice(b"\"}}\n{\"@timestamp\":\"");
        self.clock.write(time_unix_ns, out);
        out.push(b'"');
        out.extend_from_slice(self.origin.made());
    }

    fn span(&mut self, span: &SpanRef<'_>, out: &mut Vec<u8>) {
        let overrides = span.overrides();
        let kind = overrides.kind.unwrap_or_default();
        trace_member("trace.id", span.trace_id(), out);
        span_member("span.id", span.span_id().bits(), out);
        if let Some(parent) = span.parent_id() {
            span_member("parent.id", parent.bits(), out);
        }
        self.fields.text_member("span.name", span.name(), out);
        plain_member("span.kind", kind.text(), out);
        let duration_ns = span.end_unix_ns().saturating_sub(span.start_unix_ns());
        number_member("event.duration", duration_ns, out);
        let outcome = match overrides.ok {
            Some(true) => "success",
            Some(false) => "failure",
            None => "unknown",
        };
        plain_member("event.outcome", outcome, out);
        if let (Some(false), Some(message)) = (overrides.ok, overrides.message) {
            self.fields.text_member("error.message", message, out);
        }
        self.fields
            .known_member("log.logger", span.metadata().target(), out);
        number_member("process.thread.id", u64::from(span.thread()), out);
        if let Some(id) = span.correlation_id() {
            self.fields.text_member("http.request.id", &id, out);
        }
        self.attributes(|| span.attributes(), out);
        let mut links = span.links().peekable();
        if links.peek().is_some() {
            key("span.links", out);
            out.push(b'[');
            for link in links {
                comma(out);
                out.push(b'{');
                trace_member("trace.id", link.trace_id, out);
                span_member("span.id", link.span_id.bits(), out);
                out.push(b'}');
            }
            out.push(b']');
        }
        out.extend_from_slice(b"}\n");
    }

    fn entry(&mut self, entry: Entry<'_>, out: &mut Vec<u8>) {
        self.fields.text_member("message", entry.message(), out);
        plain_member("log.level", entry.level(), out);
        self.fields.known_member("log.logger", entry.target(), out);
        if let Some(place) = entry.place() {
            trace_member("trace.id", place.trace_id, out);
            span_member("span.id", place.span_id.bits(), out);
        }
        number_member("process.thread.id", u64::from(entry.thread()), out);
        if let Some(event) = entry.event() {
            self.fields.known_member("event.action", event.name, out);
        }
        if let Some(id) = entry.correlation_id() {
            self.fields.text_member("http.request.id", &id, out);
        }
        match entry {
            Entry::Log(log) => self.attributes(|| log.attributes(), out),
            Entry::Event(event) => self.attributes(|| event.fields(), out),
        }
        out.extend_from_slice(b"}\n");
    }

    fn metric(&mut self, metric: &Metric, kind: &str, out: &mut Vec<u8>) {
        self.fields.known_member("metric.name", &metric.name, out);
        plain_member("metric.kind", kind, out);
        if !metric.unit.is_empty() {
            self.fields.known_member("metric.unit", &metric.unit, out);
        }
    }

    /// Attributes as members of their own, of `labels` or of `numeric_labels`.
    fn attributes<'a, I: Iterator<Item = (&'a str, ValueRef<'a>)>>(
        &mut self,
        attributes: impl Fn() -> I,
        out: &mut Vec<u8>,
    ) {
        for (name, value) in attributes() {
            if let Some(own) = own_name(name)
                && let ValueRef::Str(text) = value
            {
                self.fields.text_member(own, text, out);
            }
        }
        let is_number = |value: &ValueRef<'_>| {
            matches!(
                value,
                ValueRef::I64(_) | ValueRef::U64(_) | ValueRef::F64(_)
            )
        };
        for (object, of_numbers) in [("labels", false), ("numeric_labels", true)] {
            let of_this = attributes().filter(|(name, value)| {
                is_number(value) == of_numbers && (own_name(name).is_none() || of_numbers)
            });
            self.object(object, of_this, out);
        }
    }

    fn labels(&mut self, labels: &Labels, out: &mut Vec<u8>) {
        let all = labels.iter().map(|(name, value)| (name.as_ref(), value));
        self.object("labels", all, out);
        out.extend_from_slice(b"}\n");
    }

    /// The member `name`, an object of `members`, unless there are none.
    fn object<'a, V: Member>(
        &mut self,
        name: &str,
        members: impl Iterator<Item = (&'a str, V)>,
        out: &mut Vec<u8>,
    ) {
        let form = if name == "labels" {
            Form::Text
        } else {
            Form::Json
        };
        let mut is_open = false;
        for (member, value) in members {
            if !is_open {
                key(name, out);
                out.push(b'{');
                is_open = true;
            }
            let letter = |letter| {
                if matches!(letter, '.' | '*' | '"') {
                    '_'
                } else {
                    letter
                }
            };
            self.fields.renamed(("", member), letter, value, form, out);
        }
        if is_open {
            out.push(b'}');
        }
    }
}

fn own_name(name: &str) -> Option<&'static str> {
    let own = ERRORS.iter().find(|(ours, _)| *ours == name);
    own.map(|(_, theirs)| *theirs)
}

/// Members with a comma before each.
fn written_origin(resource: &Resource, redaction: &Redaction) -> Vec<u8> {
    let mut out = Vec::new();
    let mut member = |name: &str, text: &str| {
        out.push(b',');
        quoted(name, &mut out);
        out.push(b':');
        quoted(text, &mut out);
    };
    member("service.name", &redaction.text(resource.service_name()));
    for (ours, theirs) in ORIGIN {
        if let Some(text) = resource_text(resource, ours, redaction) {
            member(theirs, &text);
        }
    }
    out
}

/// A distribution, as totals since the start, and its buckets in the form of Elasticsearch's field type `histogram`.
fn histogram(histogram: &Histogram, out: &mut Vec<u8>) {
    number_member("metric.count", histogram.count, out);
    float_member("metric.sum", histogram.sum, out);
    for (name, value) in [("metric.min", histogram.min), ("metric.max", histogram.max)] {
        if let Some(value) = value {
            float_member(name, value, out);
        }
    }
    let held = middles(&histogram.buckets);
    key("metric.histogram", out);
    out.extend_from_slice(b"{\"values\":[");
    for (value, _) in &held {
        comma(out);
        float(*value, out);
    }
    out.extend_from_slice(b"],\"counts\":[");
    for (_, count) in &held {
        comma(out);
        metric_number(Number::U64(*count), out);
    }
    out.extend_from_slice(b"]}");
}

/// The middle of each bucket that holds something, rising, and how much it holds.
fn middles(buckets: &Buckets) -> Vec<(f64, u64)> {
    let mut held = Vec::new();
    match buckets {
        Buckets::Explicit { bounds, counts } => {
            for (at, &count) in counts.iter().enumerate() {
                let upper = bounds.get(at).or(bounds.last()).copied().unwrap_or(0.0);
                let before = at.checked_sub(1).and_then(|before| bounds.get(before));
                let lower = before.copied().unwrap_or_else(|| upper.min(0.0));
                held.push((f64::midpoint(lower, upper), count));
            }
        }
        Buckets::Exponential {
            scale,
            zero_count,
            offset,
            counts,
            negative_offset,
            negative_counts,
        } => {
            let middle = |offset: i32, at: usize| {
                let index = f64::from(offset) + at as f64 + 0.5;
                (index * (-f64::from(*scale)).exp2()).exp2()
            };
            for (at, &count) in negative_counts.iter().enumerate().rev() {
                held.push((-middle(*negative_offset, at), count));
            }
            held.push((0.0, *zero_count));
            for (at, &count) in counts.iter().enumerate() {
                held.push((middle(*offset, at), count));
            }
        }
    }
    held.retain(|(value, count)| *count > 0 && value.is_finite());
    held
}
