//! Spans as the model is to have them once they were received and read back, worked out without the receiver.

use std::borrow::Cow;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    trace::v1,
};
use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::{
        Attributes, EventRecord, Link, Log, Place, Record, Severity, Span, SpanKind, Status, Value,
    },
};
use radiosonde_store::Kept;

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    super::super::text::base64(&mut text, bytes);
    text
}

fn value(given: Option<&AnyValue>) -> Value {
    match given.and_then(|given| given.value.as_ref()) {
        None | Some(Any::StringValueStrindex(_)) => Value::Null,
        Some(Any::StringValue(text)) => text.clone().into(),
        Some(Any::BoolValue(value)) => (*value).into(),
        Some(Any::IntValue(value)) => (*value).into(),
        Some(Any::DoubleValue(value)) => (*value).into(),
        Some(Any::BytesValue(bytes)) => base64(bytes).into(),
        Some(Any::ArrayValue(list)) => {
            Value::List(list.values.iter().map(|one| value(Some(one))).collect())
        }
        Some(Any::KvlistValue(map)) => Value::Map(attributes(&map.values)),
    }
}

fn attributes(entries: &[KeyValue]) -> Attributes {
    let entry = |entry: &KeyValue| (Cow::Owned(entry.key.clone()), value(entry.value.as_ref()));
    entries.iter().map(entry).collect()
}

fn trace_id(bytes: &[u8]) -> TraceId {
    TraceId::new(u128::from_be_bytes(bytes.try_into().unwrap())).unwrap()
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    SpanId::new(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn span(given: &v1::Span, scope: &str) -> Span {
    let mut attributes = attributes(&given.attributes);
    if !given.trace_state.is_empty() {
        attributes.push(("w3c.tracestate".into(), given.trace_state.clone().into()));
    }
    if given.dropped_attributes_count > 0 {
        let count = i64::from(given.dropped_attributes_count);
        attributes.push(("otel.dropped_attributes_count".into(), count.into()));
    }
    let kinds = [
        SpanKind::Internal,
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
        SpanKind::Internal,
    ];
    let link = |link: &v1::span::Link| Link {
        trace_id: trace_id(&link.trace_id),
        span_id: span_id(&link.span_id).unwrap(),
    };
    Span {
        trace_id: trace_id(&given.trace_id),
        span_id: span_id(&given.span_id).unwrap(),
        parent_id: span_id(&given.parent_span_id),
        name: given.name.clone().into(),
        target: scope.to_owned().into(),
        start_unix_ns: given.start_time_unix_nano,
        end_unix_ns: given.end_time_unix_nano,
        severity: Severity::Info,
        kind: kinds[given.kind as usize],
        status: match &given.status {
            Some(status) if status.code == 1 => Status::Ok,
            Some(status) if status.code == 2 => Status::Error(status.message.clone().into()),
            _ => Status::Unset,
        },
        thread: 0,
        correlation_id: None,
        attributes,
        links: given.links.iter().map(link).collect(),
    }
}

fn event(given: &v1::span::Event, of: &v1::Span, scope: &str) -> Record {
    let place = Some(Place {
        trace_id: trace_id(&of.trace_id),
        span_id: span_id(&of.span_id).unwrap(),
        parent_id: None,
        span_name: "".into(),
    });
    let attributes = attributes(&given.attributes);
    if given.name.is_empty() {
        return Record::Log(Log {
            time_unix_ns: given.time_unix_nano,
            place,
            severity: Severity::Info,
            target: scope.to_owned().into(),
            message: "".into(),
            thread: 0,
            correlation_id: None,
            attributes,
        });
    }
    Record::Event(EventRecord {
        time_unix_ns: given.time_unix_nano,
        place,
        type_name: given.name.clone().into(),
        name: given.name.clone().into(),
        severity: Severity::Info,
        thread: 0,
        correlation_id: None,
        data: attributes,
    })
}

/// What is to be read back of a request: resources and records, spans by their start, then events by their time.
pub(super) fn expected(request: &ExportTraceServiceRequest) -> Vec<(Attributes, Record)> {
    let (mut spans, mut events) = (Vec::new(), Vec::new());
    for group in &request.resource_spans {
        let resource = group.resource.as_ref();
        let resource = attributes(resource.map_or(&[][..], |resource| &resource.attributes));
        for scoped in &group.scope_spans {
            let scope = scoped.scope.as_ref().map_or("", |scope| &scope.name);
            for given in &scoped.spans {
                spans.push((resource.clone(), Record::Span(span(given, scope))));
                let of = given
                    .events
                    .iter()
                    .map(|one| (resource.clone(), event(one, given, scope)));
                events.extend(of);
            }
        }
    }
    spans.sort_by_key(|(_, record)| match record {
        Record::Span(span) => (span.start_unix_ns, span.span_id.bits()),
        _ => (0, 0),
    });
    events.sort_by_key(|(_, record)| match record {
        Record::Log(log) => log.time_unix_ns,
        Record::Event(event) => event.time_unix_ns,
        Record::Span(_) => 0,
    });
    spans.into_iter().chain(events).map(in_order).collect()
}

/// What was read back.
pub(super) fn read(kept: Vec<Kept>) -> Vec<(Attributes, Record)> {
    let kept = kept
        .into_iter()
        .map(|kept| (kept.resource.attributes.clone(), kept.record));
    kept.map(in_order).collect()
}

/// JSON objects have no order, so names are put into one.
fn in_order((resource, mut record): (Attributes, Record)) -> (Attributes, Record) {
    match &mut record {
        Record::Span(span) => sort(&mut span.attributes),
        Record::Log(log) => sort(&mut log.attributes),
        Record::Event(event) => sort(&mut event.data),
    }
    let mut resource = resource;
    sort(&mut resource);
    (resource, record)
}

fn sort(attributes: &mut Attributes) {
    attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
    attributes
        .iter_mut()
        .for_each(|(_, value)| sort_value(value));
}

fn sort_value(value: &mut Value) {
    match value {
        Value::List(values) => values.iter_mut().for_each(sort_value),
        Value::Map(entries) => sort(entries),
        _ => {}
    }
}
