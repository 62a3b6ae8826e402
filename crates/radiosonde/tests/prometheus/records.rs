//! Metrics to send.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use radiosonde::core::{
    ids::{SpanId, TraceId},
    metrics::snapshot::{Buckets, Data, Exemplar, Histogram, Metric, Number, Series, Snapshot},
    model::{Resource, Value},
};

/// The trace of the exemplars.
pub const TRACE: &str = "0000000000000000000000000000feed";

pub const SECOND_NS: u64 = 1_000_000_000;

pub fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

pub fn exemplar(value: f64, time_unix_ns: u64) -> Exemplar {
    Exemplar {
        value,
        time_unix_ns,
        trace_id: TraceId::new(0xfeed).unwrap(),
        span_id: SpanId::new(0xb7ad).unwrap(),
        failed: false,
    }
}

pub fn series<T>(
    labels: &[(&'static str, &'static str)],
    value: T,
    exemplars: Vec<Exemplar>,
) -> Series<T> {
    Series {
        labels: labels
            .iter()
            .map(|&(name, value)| (name.into(), Value::from(value)))
            .collect(),
        start_unix_ns: 1_700_000_000 * SECOND_NS,
        value,
        exemplars,
    }
}

pub fn metric(
    name: &'static str,
    description: &'static str,
    unit: &'static str,
    data: Data,
) -> Metric {
    Metric {
        name: name.into(),
        description: description.into(),
        unit: unit.into(),
        data,
    }
}

pub fn snapshot(time_unix_ns: u64, metrics: Vec<Metric>) -> Snapshot {
    let attributes = [
        ("service.name", "demo"),
        ("service.namespace", "lab"),
        ("service.instance.id", "one"),
        ("host.name", "a\"b"),
    ];
    let attributes = attributes
        .into_iter()
        .map(|(name, value)| (name.into(), Value::from(value)));
    Snapshot {
        resource: Arc::new(Resource {
            attributes: attributes.collect(),
        }),
        start_unix_ns: 1_700_000_000 * SECOND_NS,
        time_unix_ns,
        metrics,
    }
}

pub fn counter(value: u64, exemplars: Vec<Exemplar>) -> Metric {
    let data = Data::Counter(vec![series(
        &[("gpu.operation", "gemm"), ("job", "mine")],
        Number::U64(value),
        exemplars,
    )]);
    metric(
        "gpu.operation.count",
        "Operations that ended.",
        "{operation}",
        data,
    )
}

pub fn gauge(value: f64) -> Metric {
    let data = Data::Gauge(vec![series(&[("hw.id", "0")], Number::F64(value), vec![])]);
    metric("hw.gpu.utilization", "Busy share.", "1", data)
}

/// `times` times: 1 measurement in (0.25, 0.5], 2 in (0.5, 1], none in the next, 1 in (2, 4], and 1 of zero.
pub fn exponential(times: u64, exemplars: Vec<Exemplar>) -> Metric {
    let histogram = Histogram {
        count: 5 * times,
        sum: 5.0 * times as f64,
        min: Some(0.0),
        max: Some(3.0),
        buckets: Buckets::Exponential {
            scale: 0,
            zero_count: times,
            offset: -2,
            counts: vec![times, 2 * times, 0, times],
            negative_offset: 0,
            negative_counts: vec![],
        },
    };
    let data = Data::Histogram(vec![series(
        &[("gpu.operation", "gemm")],
        histogram,
        exemplars,
    )]);
    metric(
        "gpu.operation.duration",
        "How long operations took.",
        "s",
        data,
    )
}

pub fn explicit(times: u64, exemplars: Vec<Exemplar>) -> Metric {
    let histogram = Histogram {
        count: 5 * times,
        sum: 6.5 * times as f64,
        min: Some(0.01),
        max: Some(6.0),
        buckets: Buckets::Explicit {
            bounds: [0.01, 0.5, 5.0].into(),
            counts: vec![times, 2 * times, times, times],
        },
    };
    let data = Data::Histogram(vec![series(&[("library", "numpy")], histogram, exemplars)]);
    metric("worker.call.duration", "A call to a worker.", "s", data)
}
