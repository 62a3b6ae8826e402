//! Batches and snapshots for tests that send them, and how to try a backend.

use std::{ops::Range, sync::Arc, time::Duration};

use radiosonde::{
    Event,
    core::{
        ValueRef,
        batch::{Batch, Parts},
        ids::{SpanId, TraceId},
        loss::Lost,
        metrics::snapshot::{Buckets, Data, Histogram, Labels, Metric, Number, Series, Snapshot},
        model::Resource,
    },
    exporter::{
        ExportError, Exporter,
        backend::{Backend, Connection},
        spool::SpoolConfig,
    },
};

macro_rules! described {
    ($name:ident, $text:literal, $level:ident, $kind:ident, [$($field:literal),*]) => {
        static $name: tracing::Metadata<'static> = {
            struct Callsite;
            static CALLSITE: Callsite = Callsite;
            impl tracing::callsite::Callsite for Callsite {
                fn set_interest(&self, _: tracing::subscriber::Interest) {}
                fn metadata(&self) -> &tracing::Metadata<'_> { &$name }
            }
            tracing::metadata! {
                name: $text, target: "app", level: tracing::Level::$level, fields: &[$($field),*],
                callsite: &CALLSITE, kind: tracing::metadata::Kind::$kind,
            }
        };
    };
}

described!(
    WORK,
    "work",
    INFO,
    SPAN,
    [
        "id",
        "otel.name",
        "otel.kind",
        "otel.status_code",
        "otel.status_message"
    ]
);
described!(SAID, "said", INFO, EVENT, ["message"]);
described!(FAILED, "failed", ERROR, EVENT, ["message"]);

/// Something happened.
#[derive(Event)]
#[event(name = "test.happened")]
struct Happened {
    /// Which.
    id: u64,
    /// Where.
    place: String,
}

/// When the first record was made: 2026-09-21T14:13:20Z.
pub const TIME_UNIX_NS: u64 = 1_790_000_000_000_000_000;
/// The trace of every record, and its lower half in decimal.
pub const TRACE: &str = "0123456789abcdeffedcba9876543210";
pub const TRACE_LOW: &str = "18364758544493064720";

pub fn resource() -> Arc<Resource> {
    let attributes = [
        ("service.name", "tester"),
        ("service.version", "1.2"),
        ("host.name", "host-1"),
        ("deployment.environment.name", "staging"),
    ];
    Arc::new(Resource {
        attributes: attributes
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec(),
    })
}

fn parts<'a>(id: u64, attributes: &'a [(&'a str, ValueRef<'a>)]) -> Parts<'a> {
    Parts {
        trace_id: TraceId::new(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210),
        span_id: SpanId::new(id + 1),
        parent_id: (id % 2 == 1).then(|| SpanId::new(id)).flatten(),
        time_unix_ns: TIME_UNIX_NS + 1_000_000 * id,
        thread: 7,
        attributes,
        ..Parts::default()
    }
}

pub fn empty() -> Batch {
    Batch::new(resource())
}

pub fn push_span(batch: &mut Batch, id: u64, more: &[(&str, ValueRef<'_>)]) {
    let mut attributes = vec![("id", ValueRef::U64(id))];
    attributes.extend_from_slice(more);
    let parts = parts(id, &attributes);
    let end = parts.time_unix_ns + 1_500_000;
    batch.push_span(&WORK, &parts, end);
}

pub fn push_log(batch: &mut Batch, id: u64, message: &str, more: &[(&str, ValueRef<'_>)]) {
    let mut attributes = vec![
        ("message", ValueRef::Str(message)),
        ("id", ValueRef::U64(id)),
    ];
    attributes.extend_from_slice(more);
    batch.push_log(&SAID, Some(&WORK), &parts(id, &attributes));
}

pub fn push_error(batch: &mut Batch, id: u64, message: &str, more: &[(&str, ValueRef<'_>)]) {
    let mut attributes = vec![
        ("message", ValueRef::Str(message)),
        ("id", ValueRef::U64(id)),
    ];
    attributes.extend_from_slice(more);
    batch.push_log(&FAILED, Some(&WORK), &parts(id, &attributes));
}

pub fn push_event(batch: &mut Batch, id: u64, place: &str) {
    let place = place.to_owned();
    batch.push_event(&Happened { id, place }, Some(&WORK), &parts(id, &[]));
}

/// A span, and a log, with each of these `id`s.
pub fn batch(ids: Range<u64>) -> Batch {
    let mut batch = empty();
    for id in ids {
        push_span(&mut batch, id, &[("text", ValueRef::Str("a \"text\"\n"))]);
        push_log(
            &mut batch,
            id,
            "it said \"so\"\n",
            &[("share", ValueRef::F64(0.5))],
        );
    }
    batch
}

pub fn series<T>(operation: &str, value: T) -> Series<T> {
    let labels: Labels = Arc::new([("operation".into(), operation.to_owned().into())]);
    Series {
        labels,
        start_unix_ns: TIME_UNIX_NS,
        value,
        exemplars: Vec::new(),
    }
}

/// A counter, a gauge and a histogram, read so many seconds after they were made.
pub fn snapshot(seconds: u64, total: u64) -> Snapshot {
    let metric = |name: &'static str, unit: &'static str, data| Metric {
        name: name.into(),
        description: "What it is.".into(),
        unit: unit.into(),
        data,
    };
    let histogram = Histogram {
        count: total,
        sum: 2.0 * total as f64,
        min: Some(0.5),
        max: Some(3.0),
        buckets: Buckets::Explicit {
            bounds: Arc::new([1.0, 4.0]),
            counts: vec![0, total, 0],
        },
    };
    Snapshot {
        resource: resource(),
        start_unix_ns: TIME_UNIX_NS,
        time_unix_ns: TIME_UNIX_NS + seconds * 1_000_000_000,
        metrics: vec![
            metric(
                "gpu.operation.count",
                "{operation}",
                Data::Counter(vec![series("matmul", Number::U64(total))]),
            ),
            metric(
                "gpu.operation.duration",
                "s",
                Data::Histogram(vec![series("matmul", histogram)]),
            ),
            metric(
                "gpu.temperature",
                "Cel",
                Data::Gauge(vec![series("none", Number::F64(61.5))]),
            ),
        ],
    }
}

/// A connection with a spool of its own and delays that a test can wait for.
pub fn connection(endpoint: String) -> Connection {
    Connection {
        timeout: Duration::from_secs(5),
        spool: SpoolConfig::in_memory(),
        retry_delay: (Duration::from_millis(1), Duration::from_millis(5)),
        ..Connection::new(endpoint)
    }
}

/// Flushes until nothing waits; gives how many records were refused on the way.
pub fn deliver(backend: &mut Backend) -> u64 {
    let mut refused = 0;
    for _ in 0..500 {
        refused += refused_by(backend.flush());
        if backend.waiting().records == 0 {
            refused += refused_by(backend.export(&empty()));
            return refused;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{:?} still waits", backend.waiting());
}

pub fn refused_by(result: Result<(), ExportError>) -> u64 {
    match result {
        Err(ExportError::Noticed { counted, .. }) => {
            assert!(
                counted.iter().all(|(reason, _)| *reason == Lost::Rejected),
                "{counted:?}"
            );
            counted.iter().map(|(_, records)| records).sum()
        }
        Err(other) => panic!("{other}"),
        Ok(()) => 0,
    }
}
