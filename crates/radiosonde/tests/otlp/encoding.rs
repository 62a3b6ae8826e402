//! The hand-written OTLP encoder against the generated types of opentelemetry-proto: what is decoded from its bytes
//! equals what the same records become when they are built as structs.

use super::structs;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use proptest::{collection::vec, prelude::*};
use prost::Message;
use radiosonde::{
    Event,
    core::{
        ValueRef,
        batch::{Batch, Parts},
        ids::{SpanId, TraceId},
        metrics::snapshot::{Buckets, Data, Exemplar, Histogram, Metric, Number, Series, Snapshot},
        model::{Link, Resource, Value},
    },
    encode::otlp::{Encoder, Signal},
    redact::Redaction,
};

macro_rules! described {
    ($name:ident, $text:literal, $target:literal, $level:ident, $kind:ident, [$($field:literal),*]) => {
        static $name: tracing::Metadata<'static> = {
            struct Callsite;
            static CALLSITE: Callsite = Callsite;
            impl tracing::callsite::Callsite for Callsite {
                fn set_interest(&self, _: tracing::subscriber::Interest) {}
                fn metadata(&self) -> &tracing::Metadata<'_> { &$name }
            }
            tracing::metadata! {
                name: $text, target: $target, level: tracing::Level::$level, fields: &[$($field),*],
                callsite: &CALLSITE, kind: tracing::metadata::Kind::$kind,
            }
        };
    };
}

described!(
    GENERATE,
    "generate",
    "app::model",
    INFO,
    SPAN,
    [
        "tokens",
        "model",
        "temperature",
        "otel.name",
        "otel.kind",
        "otel.status_code",
        "otel.status_message"
    ]
);
described!(
    BLOCK,
    "block",
    "app::layers",
    DEBUG,
    SPAN,
    ["index", "cached", "shape"]
);
described!(
    LOADED,
    "loaded",
    "app::weights",
    WARN,
    EVENT,
    ["message", "bytes"]
);

/// An event with a field of every kind.
#[derive(Event)]
#[event(name = "gpu.op", level = "debug")]
struct Op<'a> {
    /// Text.
    name: &'a str,
    /// An unsigned integer.
    ns: u64,
    /// A signed integer.
    delta: i64,
    /// A float.
    ratio: f64,
    /// A truth value.
    fused: bool,
    /// A list.
    shape: &'a [u64],
    /// Lists.
    inputs: &'a [&'a [u64]],
    /// Text that may be missing.
    note: Option<&'a str>,
}

#[derive(Clone, Debug)]
enum Field {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
    U64s(Vec<u64>),
}

impl Field {
    fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::I64(value) => ValueRef::I64(*value),
            Self::U64(value) => ValueRef::U64(*value),
            Self::F64(value) => ValueRef::F64(*value),
            Self::Text(text) => ValueRef::Str(text),
            Self::U64s(values) => ValueRef::U64s(values),
        }
    }
}

#[derive(Clone, Debug)]
struct AnyRecord {
    kind: u8,
    trace: Option<(u128, u64)>,
    parent: u64,
    flags: u8,
    times: (u64, u64),
    thread: u32,
    correlation: String,
    attributes: Vec<(&'static str, Field)>,
    links: Vec<(u128, u64)>,
}

fn any_number() -> impl Strategy<Value = u64> {
    (0_u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
}

fn any_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        any::<bool>().prop_map(Field::Bool),
        any_number().prop_map(|bits| Field::I64(bits as i64)),
        any_number().prop_map(|bits| Field::I64((bits as i64).wrapping_neg())),
        any_number().prop_map(Field::U64),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |value| !value.is_nan())
            .prop_map(Field::F64),
        ".{0,200}".prop_map(Field::Text),
        vec(any_number(), 0..40).prop_map(Field::U64s),
    ]
}

/// Names that the descriptions know, and others.
fn any_name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "tokens",
        "model",
        "temperature",
        "index",
        "cached",
        "shape",
        "bytes",
        "message",
        "other",
        "gen_ai.request.model",
        "a.name.that.is.longer.than.one.hundred.and.twenty.seven.bytes.because.somebody.thought.that.this.would.be.a.good.idea.for.an.attribute",
        "otel.name",
        "otel.kind",
        "otel.status_code",
        "otel.status_message",
    ])
}

prop_compose! {
    fn any_record()(
        kind in 0_u8..4, trace in proptest::option::of((1_u128.., 1_u64..)), parent in prop_oneof![Just(0), any::<u64>()],
        flags in 0_u8..2, times in (any_number(), any_number()).prop_map(|times| (times.0.max(1), times.1)), thread in any::<u32>(),
        correlation in prop_oneof![Just(String::new()), "[a-z0-9-]{1,40}"],
        attributes in vec((any_name(), any_field()), 0..8),
        status in proptest::option::of(proptest::sample::select(vec!["ok", "ERROR", "server"])),
        links in vec((1_u128.., 1_u64..), 0..3),
    ) -> AnyRecord {
        let mut attributes = attributes;
        if let Some(text) = status {
            attributes.push(("otel.status_code", Field::Text(text.to_owned())));
            attributes.push(("otel.kind", Field::Text(text.to_owned())));
        }
        AnyRecord { kind, trace, parent, flags, times, thread, correlation, attributes, links }
    }
}

fn batch(resource: &Arc<Resource>, records: &[AnyRecord]) -> Batch {
    let mut batch = Batch::new(Arc::clone(resource));
    for record in records {
        let attributes: Vec<_> = record
            .attributes
            .iter()
            .map(|(name, field)| (*name, field.as_ref()))
            .collect();
        let links: Vec<_> = record
            .links
            .iter()
            .map(|&(trace, span)| Link {
                trace_id: TraceId::new(trace).unwrap(),
                span_id: SpanId::new(span).unwrap(),
            })
            .collect();
        let (trace, span) = record
            .trace
            .unwrap_or((u128::from(record.kind < 2), u64::from(record.kind < 2)));
        let mut parts = Parts {
            trace_id: TraceId::new(trace),
            span_id: SpanId::new(span),
            parent_id: SpanId::new(record.parent),
            flags: record.flags,
            time_unix_ns: record.times.0,
            thread: record.thread,
            correlation_id: &record.correlation,
            attributes: &attributes,
            links: &[],
        };
        match record.kind {
            kind @ 0..2 => {
                parts.links = &links;
                let metadata = if kind == 0 { &GENERATE } else { &BLOCK };
                batch.push_span(
                    metadata,
                    &parts,
                    record.times.0.saturating_add(record.times.1),
                );
            }
            2 => batch.push_log(&LOADED, Some(&GENERATE), &parts),
            _ => {
                let op = Op {
                    name: &record.correlation,
                    ns: record.times.1,
                    delta: -(record.times.1 as i64),
                    ratio: 0.25,
                    fused: record.flags == 1,
                    shape: &[record.times.0, u64::MAX],
                    inputs: &[&[], &[1, record.times.1], &[3]],
                    note: record.trace.map(|_| "traced"),
                };
                batch.push_event(&op, None, &parts);
            }
        }
    }
    batch
}

fn resource() -> Arc<Resource> {
    Arc::new(Resource {
        attributes: vec![
            ("service.name".into(), "demo".into()),
            ("process.pid".into(), 4711_u32.into()),
            ("nothing".into(), Value::Null),
            ("big".into(), u64::MAX.into()),
            (
                "list".into(),
                Value::List(vec![true.into(), 1.5.into(), Value::List(vec![])]),
            ),
            (
                "map".into(),
                Value::Map(vec![
                    ("a".into(), (-1_i64).into()),
                    ("b".into(), "two".into()),
                ]),
            ),
        ],
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn spans_logs_and_events_decode_to_what_structs_would_be(
        records in vec(any_record(), 0..40),
        request_bytes_max in prop_oneof![Just(300_usize), Just(5_000), Just(1 << 20)],
    ) {
        let batch = batch(&resource(), &records);
        let mut encoder = Encoder::new(request_bytes_max).with_redaction(Redaction::off());
        let (mut spans, mut logs, mut counted) = (Vec::new(), Vec::new(), 0);
        encoder.batch(&batch, |request| {
            counted += request.records;
            match request.signal {
                Signal::Traces => {
                    let decoded = ExportTraceServiceRequest::decode(request.body).unwrap();
                    assert_eq!(decoded.encoded_len(), request.body.len(), "not the shortest form");
                    spans.extend(structs::flatten_spans(decoded));
                }
                Signal::Logs => {
                    let decoded = ExportLogsServiceRequest::decode(request.body).unwrap();
                    assert_eq!(decoded.encoded_len(), request.body.len(), "not the shortest form");
                    logs.extend(structs::flatten_logs(decoded));
                }
                Signal::Metrics => panic!("a batch holds no metrics"),
            }
        });
        prop_assert_eq!(counted, records.len() as u64);
        let resource = structs::resource(batch.resource());
        let expected: Vec<_> = batch.spans().map(|span| structs::located_span(&resource, &span)).collect();
        prop_assert_eq!(spans, expected);
        let expected: Vec<_> = batch.records().filter_map(|record| structs::located_log(&resource, &record)).collect();
        prop_assert_eq!(logs, expected);
    }

    #[test]
    fn metrics_decode_to_what_structs_would_be(
        metrics in vec(any_metric(), 0..12), request_bytes_max in prop_oneof![Just(200_usize), Just(1 << 20)],
    ) {
        let snapshot = Snapshot { resource: resource(), start_unix_ns: 5, time_unix_ns: 1_790_000_000_000_000_000, metrics };
        let (mut decoded, mut counted) = (Vec::new(), 0);
        Encoder::new(request_bytes_max).metrics(&snapshot, |request| {
            let message = ExportMetricsServiceRequest::decode(request.body).unwrap();
            counted += request.records;
            decoded.extend(structs::flatten_metrics(message));
        });
        let resource = structs::resource(&snapshot.resource);
        let expected = structs::metrics(&resource, &snapshot);
        prop_assert_eq!(counted, expected.iter().map(|metric| structs::points(&metric.1)).sum::<usize>() as u64);
        prop_assert_eq!(decoded, expected);
    }
}

#[test]
fn no_request_with_histograms_is_longer_than_a_server_takes() {
    // Of one message over gRPC, unless it is told otherwise.
    const MOST: usize = 4 << 20;
    let exemplar = Exemplar {
        value: 0.5,
        time_unix_ns: 1,
        trace_id: TraceId::new(1).unwrap(),
        span_id: SpanId::new(1).unwrap(),
        failed: true,
    };
    let series = |number: usize| Series {
        labels: Arc::new([("operation".into(), format!("{number:0100}").into())]),
        start_unix_ns: 1,
        value: Histogram {
            count: 160 << 20,
            sum: 0.5,
            min: Some(0.1),
            max: Some(0.5),
            buckets: Buckets::Exponential {
                scale: 5,
                zero_count: 0,
                offset: -80,
                counts: vec![1 << 20; 160],
                negative_offset: 0,
                negative_counts: vec![],
            },
        },
        exemplars: vec![exemplar.clone(); 40],
    };
    let metric = Metric {
        name: "operation.duration".into(),
        description: "How long.".into(),
        unit: "s".into(),
        data: Data::Histogram((0..2000).map(series).collect()),
    };
    let snapshot = Snapshot {
        resource: resource(),
        start_unix_ns: 1,
        time_unix_ns: 2,
        metrics: vec![metric],
    };
    let mut points = 0;
    Encoder::default().metrics(&snapshot, |request| {
        assert!(request.body.len() <= MOST, "{} bytes", request.body.len());
        points += request.records;
    });
    assert_eq!(points, 2000);
}

fn any_exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    vec((-1e9_f64..1e9, any_number(), 1_u128.., 1_u64..), 0..3).prop_map(|exemplars| {
        exemplars
            .into_iter()
            .map(|(value, time_unix_ns, trace, span)| Exemplar {
                value,
                time_unix_ns,
                trace_id: TraceId::new(trace).unwrap(),
                span_id: SpanId::new(span).unwrap(),
                failed: span & 1 == 1,
            })
            .collect()
    })
}

fn series<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<Series<T>>> {
    let labels = vec(("[a-z]{1,9}", ".{0,20}"), 0..3).prop_map(|labels| {
        labels
            .into_iter()
            .map(|(name, value)| (name.into(), Value::from(value)))
            .collect::<Vec<_>>()
    });
    vec((labels, value, any_exemplars()), 1..5).prop_map(|series| {
        series
            .into_iter()
            .map(|(labels, value, exemplars)| Series {
                labels: labels.into(),
                start_unix_ns: 5 + exemplars.len() as u64,
                value,
                exemplars,
            })
            .collect()
    })
}

fn any_value() -> impl Strategy<Value = Number> {
    prop_oneof![
        any_number().prop_map(Number::U64),
        any_number().prop_map(|bits| Number::I64(bits as i64)),
        (-1e12_f64..1e12).prop_map(Number::F64),
    ]
}

fn any_histogram() -> impl Strategy<Value = Histogram> {
    let explicit = vec((0.0_f64..1e6, any_number()), 0..6).prop_map(|buckets| {
        let bounds: Vec<f64> = buckets.iter().map(|&(bound, _)| bound).collect();
        let mut counts: Vec<u64> = buckets.iter().map(|&(_, count)| count).collect();
        counts.push(1);
        Buckets::Explicit {
            bounds: bounds.into(),
            counts,
        }
    });
    let exponential = (
        -10_i32..20,
        any_number(),
        any::<i32>(),
        vec(any_number(), 0..200),
        any::<i32>(),
        vec(any_number(), 0..3),
    )
        .prop_map(
            |(scale, zero_count, offset, counts, negative_offset, negative_counts)| {
                Buckets::Exponential {
                    scale,
                    zero_count,
                    offset,
                    counts,
                    negative_offset,
                    negative_counts,
                }
            },
        );
    let ends = proptest::option::of((-5.0_f64..5.0, 5.0_f64..9.0));
    (
        any_number(),
        -1e9_f64..1e9,
        ends,
        prop_oneof![explicit, exponential],
    )
        .prop_map(|(count, sum, ends, buckets)| Histogram {
            count,
            sum,
            min: ends.map(|ends| ends.0),
            max: ends.map(|ends| ends.1),
            buckets,
        })
}

fn any_metric() -> impl Strategy<Value = Metric> {
    let data = prop_oneof![
        series(any_value()).prop_map(Data::Counter),
        series(any_value()).prop_map(Data::UpDownCounter),
        series(any_value()).prop_map(Data::Gauge),
        series(any_histogram()).prop_map(Data::Histogram),
    ];
    (
        "[a-z.]{1,30}",
        ".{0,40}",
        prop_oneof![Just(String::new()), Just("By".to_owned())],
        data,
    )
        .prop_map(|(name, description, unit, data)| Metric {
            name: name.into(),
            description: description.into(),
            unit: unit.into(),
            data,
        })
}
