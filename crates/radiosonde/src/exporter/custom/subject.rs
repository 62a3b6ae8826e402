//! What a template writes about, and the value of each field.

use radiosonde_core::{
    batch::SpanRef,
    ids::{SpanId, TraceId},
    metrics::snapshot::{Histogram, Labels, Metric, Number},
    model::{Resource, Severity, Text, Value},
};

use super::{Writer, template::Field};
use crate::{
    encode::json::fields::{Fields, Form, Member, float, hex, metric_number, quoted},
    exporter::backend::entry::Entry,
};

const NS_PER_MS: u64 = 1_000_000;

/// A record, or one value of one series.
pub(super) enum Subject<'a> {
    Span(SpanRef<'a>),
    Entry(Entry<'a>),
    Point(Point<'a>),
}

/// One value of one series.
pub(super) struct Point<'a> {
    pub(super) metric: &'a Metric,
    pub(super) kind: &'static str,
    pub(super) labels: &'a Labels,
    pub(super) reading: Reading<'a>,
    pub(super) time_unix_ns: u64,
}

/// What was read.
pub(super) enum Reading<'a> {
    Number(Number),
    Histogram(&'a Histogram),
}

impl Subject<'_> {
    /// Appends the value of `field`.
    pub(super) fn write(
        &self,
        field: &Field,
        resource: &Resource,
        writer: &mut Writer,
        out: &mut Vec<u8>,
    ) {
        match field {
            Field::Known("time") => {
                out.push(b'"');
                writer.clock.write(self.time_unix_ns(), out);
                out.push(b'"');
            }
            Field::Known("resource") => object(&resource.attributes, &mut writer.fields, out),
            Field::Known("attributes") => self.attributes(&mut writer.fields, out),
            Field::Known(name) => self.known(name, &mut writer.fields, out),
            Field::Attribute(name) => self.attribute(name, &mut writer.fields, out),
            Field::Resource(name) => match resource.attribute(name) {
                Some(value) => single(name, value, &mut writer.fields, out),
                None => null(out),
            },
        }
    }

    fn known(&self, name: &str, fields: &mut Fields, out: &mut Vec<u8>) {
        match name {
            "type" => quoted(self.kind_of_record(), out),
            "time_unix_ns" => whole(Some(self.time_unix_ns()), out),
            "time_unix_ms" => whole(Some(self.time_unix_ns() / NS_PER_MS), out),
            "trace_id" => trace(self.trace_id(), out),
            "span_id" => span(self.span_id(), out),
            "parent_id" => span(self.parent_id(), out),
            "name" => text(self.name(), fields, out),
            "level" => text(self.severity().map(Severity::text), fields, out),
            "severity_number" => {
                whole(self.severity().map(|severity| severity as u64), out);
            }
            "target" => text(self.target(), fields, out),
            "thread" => whole(self.thread().map(u64::from), out),
            "correlation_id" => {
                let id = match self {
                    Self::Span(span) => span.correlation_id(),
                    Self::Entry(entry) => entry.correlation_id(),
                    Self::Point(_) => None,
                };
                text(id.as_deref(), fields, out);
            }
            _ => match self {
                Self::Span(span) => of_span(span, name, fields, out),
                Self::Entry(entry) => {
                    let message = (name == "message").then(|| entry.message());
                    text(message, fields, out);
                }
                Self::Point(point) => of_point(point, name, fields, out),
            },
        }
    }

    const fn kind_of_record(&self) -> &'static str {
        match self {
            Self::Span(_) => "span",
            Self::Entry(Entry::Log(_)) => "log",
            Self::Entry(Entry::Event(_)) => "event",
            Self::Point(_) => "metric",
        }
    }

    fn time_unix_ns(&self) -> u64 {
        match self {
            Self::Span(span) => span.start_unix_ns(),
            Self::Entry(entry) => entry.time_unix_ns(),
            Self::Point(point) => point.time_unix_ns,
        }
    }

    fn trace_id(&self) -> Option<TraceId> {
        match self {
            Self::Span(span) => Some(span.trace_id()),
            Self::Entry(entry) => entry.place().map(|place| place.trace_id),
            Self::Point(_) => None,
        }
    }

    fn span_id(&self) -> Option<SpanId> {
        match self {
            Self::Span(span) => Some(span.span_id()),
            Self::Entry(entry) => entry.place().map(|place| place.span_id),
            Self::Point(_) => None,
        }
    }

    fn parent_id(&self) -> Option<SpanId> {
        match self {
            Self::Span(span) => span.parent_id(),
            Self::Entry(entry) => entry.place().and_then(|place| place.parent_id),
            Self::Point(_) => None,
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Span(span) => Some(span.name()),
            Self::Entry(entry) => entry.event().map(|event| event.name),
            Self::Point(point) => Some(&point.metric.name),
        }
    }

    fn severity(&self) -> Option<Severity> {
        match self {
            Self::Span(span) => Some(Severity::from(*span.metadata().level())),
            Self::Entry(entry) => Some(entry.severity()),
            Self::Point(_) => None,
        }
    }

    fn target(&self) -> Option<&str> {
        match self {
            Self::Span(span) => Some(span.metadata().target()),
            Self::Entry(entry) => Some(entry.target()),
            Self::Point(_) => None,
        }
    }

    fn thread(&self) -> Option<u32> {
        match self {
            Self::Span(span) => Some(span.thread()),
            Self::Entry(entry) => Some(entry.thread()),
            Self::Point(_) => None,
        }
    }

    fn attributes(&self, fields: &mut Fields, out: &mut Vec<u8>) {
        match self {
            Self::Span(span) => {
                out.push(b'{');
                for (name, value) in span.attributes() {
                    fields.attribute(name, value, Form::Json, out);
                }
                out.push(b'}');
            }
            Self::Entry(entry) => {
                out.push(b'{');
                entry.attributes(|name, value| fields.attribute(name, value, Form::Json, out));
                out.push(b'}');
            }
            Self::Point(point) => object(point.labels, fields, out),
        }
    }

    fn attribute(&self, name: &str, fields: &mut Fields, out: &mut Vec<u8>) {
        let found = match self {
            Self::Span(span) => span.attributes().find(|(known, _)| *known == name),
            Self::Entry(Entry::Log(log)) => log.attributes().find(|(known, _)| *known == name),
            Self::Entry(Entry::Event(event)) => event.fields().find(|(known, _)| *known == name),
            Self::Point(point) => {
                return match point.labels.iter().find(|(known, _)| known == name) {
                    Some((_, value)) => single(name, value, fields, out),
                    None => null(out),
                };
            }
        };
        match found {
            Some((_, value)) => single(name, value, fields, out),
            None => null(out),
        }
    }
}

fn of_span(span: &SpanRef<'_>, name: &str, fields: &Fields, out: &mut Vec<u8>) {
    let overrides = span.overrides();
    match name {
        "end_unix_ns" => whole(Some(span.end_unix_ns()), out),
        "duration_ns" => {
            let duration_ns = span.end_unix_ns().saturating_sub(span.start_unix_ns());
            whole(Some(duration_ns), out);
        }
        "kind" => quoted(overrides.kind.unwrap_or_default().text(), out),
        "status" => quoted(
            match overrides.ok {
                None => "unset",
                Some(true) => "ok",
                Some(false) => "error",
            },
            out,
        ),
        "status_message" => text(overrides.message, fields, out),
        _ => null(out),
    }
}

fn of_point(point: &Point<'_>, name: &str, fields: &Fields, out: &mut Vec<u8>) {
    let number = |value: Option<f64>, out: &mut Vec<u8>| match value {
        Some(value) => float(value, out),
        None => null(out),
    };
    match (name, &point.reading) {
        ("kind", _) => quoted(point.kind, out),
        ("unit", _) => text(Some(&point.metric.unit), fields, out),
        ("message", _) => text(Some(&point.metric.description), fields, out),
        ("value", Reading::Number(value)) => metric_number(*value, out),
        ("count", Reading::Histogram(histogram)) => whole(Some(histogram.count), out),
        ("sum", Reading::Histogram(histogram)) => float(histogram.sum, out),
        ("min", Reading::Histogram(histogram)) => number(histogram.min, out),
        ("max", Reading::Histogram(histogram)) => number(histogram.max, out),
        _ => null(out),
    }
}

/// An object of `members`, without secrets.
fn object(members: &[(Text, Value)], fields: &mut Fields, out: &mut Vec<u8>) {
    out.push(b'{');
    for (name, value) in members {
        fields.attribute(name, value, Form::Json, out);
    }
    out.push(b'}');
}

/// The value of the attribute `name`, without secrets.
fn single(name: &str, value: impl Member, fields: &mut Fields, out: &mut Vec<u8>) {
    let sensitivity = fields.sensitivity(name);
    fields.value(sensitivity, value, Form::Json, out);
}

fn text(value: Option<&str>, fields: &Fields, out: &mut Vec<u8>) {
    match value {
        Some(value) => fields.text(value, out),
        None => null(out),
    }
}

fn whole(value: Option<u64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        None => null(out),
    }
}

fn trace(value: Option<TraceId>, out: &mut Vec<u8>) {
    match value {
        Some(id) => {
            let (high, low) = id.words();
            out.push(b'"');
            hex(high, out);
            hex(low, out);
            out.push(b'"');
        }
        None => null(out),
    }
}

fn span(value: Option<SpanId>, out: &mut Vec<u8>) {
    match value {
        Some(id) => {
            out.push(b'"');
            hex(id.bits(), out);
            out.push(b'"');
        }
        None => null(out),
    }
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}
