//! Metrics as read at one moment: what exporters and screens get.

use std::sync::Arc;

use crate::{
    ids::{SpanId, TraceId},
    model::{Resource, Text, Value},
};

/// A series' labels, sorted by name. Shared, so that reading 10,000 series copies none of their labels.
pub type Labels = Arc<[(Text, Value)]>;

/// Every metric at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What produced the metrics.
    pub resource: Arc<Resource>,
    /// When cumulative values started, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// When the values were read, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// The metrics, by name.
    pub metrics: Vec<Metric>,
}

/// One metric with its series.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// OpenTelemetry-style name: lower case, dotted, without unit, for example `gpu.operation.duration`.
    pub name: Text,
    /// What it means.
    pub description: Text,
    /// UCUM unit (`s`, `By`, `1`, `{token}`), or empty.
    pub unit: Text,
    /// The series.
    pub data: Data,
}

/// The series of a metric, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Totals since the start that only grow.
    Counter(Vec<Series<Number>>),
    /// Current totals that go up and down.
    UpDownCounter(Vec<Series<Number>>),
    /// Last values.
    Gauge(Vec<Series<Number>>),
    /// Distributions since the start.
    Histogram(Vec<Series<Histogram>>),
}

/// The value of one label set.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<T> {
    /// The labels, sorted by name. `otel.metric.overflow=true` marks the overflow series.
    pub labels: Labels,
    /// When the value started from zero, in nanoseconds since the Unix epoch: later than the snapshot's start where the
    /// series was made later or came back after it had been idle.
    pub start_unix_ns: u64,
    /// The value.
    pub value: T,
    /// Measurements that stand for others, with the trace they were made in.
    pub exemplars: Vec<Exemplar>,
}

/// A counter's or gauge's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    U64(u64),
    /// A whole number that may be negative.
    I64(i64),
    /// A floating-point number.
    F64(f64),
}

/// A measurement and the trace it was made in.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The measured value, in the metric's unit.
    pub value: f64,
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Whether the measured work failed.
    pub failed: bool,
}

/// A distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// How many measurements.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest, where there is one.
    pub min: Option<f64>,
    /// The largest, where there is one.
    pub max: Option<f64>,
    /// Counts by range.
    pub buckets: Buckets,
}

/// Counts by range of value.
#[derive(Clone, Debug, PartialEq)]
pub enum Buckets {
    /// `counts[i]` measurements were at most `bounds[i]` and above the bound before; the last count is above every bound.
    Explicit {
        /// Upper bounds, rising.
        bounds: Arc<[f64]>,
        /// One more than there are bounds.
        counts: Vec<u64>,
    },
    /// OpenTelemetry's base-2 exponential histogram: bucket `i` counts values in `(b^i, b^(i+1)]` with
    /// `b = 2^(2^-scale)` (OpenTelemetry metrics data model, ExponentialHistogram).
    Exponential {
        /// Resolution.
        scale: i32,
        /// Measurements that were zero.
        zero_count: u64,
        /// Index of the first positive bucket.
        offset: i32,
        /// Positive buckets from `offset` on.
        counts: Vec<u64>,
        /// Index of the first negative bucket.
        negative_offset: i32,
        /// Negative buckets from `negative_offset` on, by absolute value.
        negative_counts: Vec<u64>,
    },
}
