//! Metric snapshots as OTLP `Metric` messages (opentelemetry/proto/metrics/v1/metrics.proto).

use radiosonde_core::{
    metrics::snapshot::{Buckets, Data, Exemplar, Histogram, Metric, Number, Series, Snapshot},
    model::{Text, Value},
};

use super::{
    Encoder, LONG, Request, Signal,
    values::{key_value, scope},
    wire::{Wire, varint_bytes},
};

/// `Metric.data` field numbers.
const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL: u32 = 10;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// The filtered attribute that marks an exemplar of work that failed.
pub const FAILED_ATTRIBUTE: &str = "radiosonde.failed";

/// The instrumentation scope of every metric.
const SCOPE: &str = "radiosonde";

/// Series of one metric that share a request; more are continued in the next one.
const SERIES_MAX: usize = 2048;
/// The same of a histogram, whose series may have some kilobytes each.
const HISTOGRAMS_MAX: usize = 256;

/// What one `Metric` message holds.
enum Points<'a> {
    Sum(&'a [Series<Number>], bool),
    Gauge(&'a [Series<Number>]),
    Histogram(Vec<&'a Series<Histogram>>),
    Exponential(Vec<&'a Series<Histogram>>),
}

impl Points<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Sum(series, _) | Self::Gauge(series) => series.len(),
            Self::Histogram(series) | Self::Exponential(series) => series.len(),
        }
    }
}

pub(super) fn encode(
    encoder: &mut Encoder,
    snapshot: &Snapshot,
    send: &mut impl FnMut(Request<'_>),
) {
    let Encoder {
        wire,
        request_bytes_max,
        resource,
        ..
    } = encoder;
    let mut messages = snapshot.metrics.iter().flat_map(messages).peekable();
    while messages.peek().is_some() {
        wire.clear();
        let mut points = 0;
        let all = wire.open(1, LONG);
        wire.put_slice(resource);
        let scoped = wire.open(2, LONG);
        scope(wire, SCOPE, env!("CARGO_PKG_VERSION"));
        while (points == 0 || (wire.len() < *request_bytes_max && points < SERIES_MAX))
            && let Some((described, message)) = messages.next()
        {
            metric(wire, snapshot.time_unix_ns, described, &message);
            points += message.len();
        }
        wire.close(scoped);
        wire.close(all);
        send(Request {
            signal: Signal::Metrics,
            records: points as u64,
            body: wire.written(),
        });
    }
}

/// The messages that carry `metric`: one unless it has very many series, or histograms of both kinds, which OTLP
/// keeps apart.
fn messages(metric: &Metric) -> Vec<(&Metric, Points<'_>)> {
    let points: Vec<Points<'_>> = match &metric.data {
        Data::Counter(series) => series
            .chunks(SERIES_MAX)
            .map(|part| Points::Sum(part, true))
            .collect(),
        Data::UpDownCounter(series) => series
            .chunks(SERIES_MAX)
            .map(|part| Points::Sum(part, false))
            .collect(),
        Data::Gauge(series) => series.chunks(SERIES_MAX).map(Points::Gauge).collect(),
        Data::Histogram(series) => {
            let (explicit, exponential): (Vec<_>, Vec<_>) = series
                .iter()
                .partition(|series| matches!(series.value.buckets, Buckets::Explicit { .. }));
            let explicit = explicit
                .chunks(HISTOGRAMS_MAX)
                .map(|part| Points::Histogram(part.to_vec()));
            let exponential = exponential
                .chunks(HISTOGRAMS_MAX)
                .map(|part| Points::Exponential(part.to_vec()));
            explicit.chain(exponential).collect()
        }
    };
    points.into_iter().map(|points| (metric, points)).collect()
}

fn metric(wire: &mut Wire, time_unix_ns: u64, metric: &Metric, points: &Points<'_>) {
    let open = wire.open(2, LONG);
    wire.text_field(1, &metric.name);
    wire.text_field(2, &metric.description);
    wire.text_field(3, &metric.unit);
    match points {
        Points::Sum(series, monotonic) => {
            let data = wire.open(SUM, LONG);
            numbers(wire, time_unix_ns, series);
            wire.varint_field(2, CUMULATIVE);
            if *monotonic {
                wire.varint_field(3, 1);
            }
            wire.close(data);
        }
        Points::Gauge(series) => {
            let data = wire.open(GAUGE, LONG);
            numbers(wire, time_unix_ns, series);
            wire.close(data);
        }
        Points::Histogram(series) => {
            let data = wire.open(HISTOGRAM, LONG);
            for series in series {
                explicit(wire, time_unix_ns, series);
            }
            wire.varint_field(2, CUMULATIVE);
            wire.close(data);
        }
        Points::Exponential(series) => {
            let data = wire.open(EXPONENTIAL, LONG);
            for series in series {
                exponential(wire, time_unix_ns, series);
            }
            wire.varint_field(2, CUMULATIVE);
            wire.close(data);
        }
    }
    wire.close(open);
}

/// `NumberDataPoint`s in field 1.
fn numbers(wire: &mut Wire, time_unix_ns: u64, series: &[Series<Number>]) {
    for Series {
        labels,
        start_unix_ns,
        value,
        exemplars,
    } in series
    {
        let point = wire.open(1, 1);
        times(wire, *start_unix_ns, time_unix_ns);
        match *value {
            Number::F64(value) => wire.double_field(4, value),
            Number::I64(value) => wire.fixed64_field(6, value as u64),
            Number::U64(value) => match i64::try_from(value) {
                Ok(value) => wire.fixed64_field(6, value as u64),
                Err(_) => wire.double_field(4, value as f64),
            },
        }
        self::exemplars(wire, 5, exemplars);
        attributes(wire, 7, labels);
        wire.close(point);
    }
}

/// Start and time have the same numbers in every kind of data point.
fn times(wire: &mut Wire, start_unix_ns: u64, time_unix_ns: u64) {
    wire.fixed64_field(2, start_unix_ns);
    wire.fixed64_field(3, time_unix_ns);
}

fn attributes(wire: &mut Wire, field: u32, labels: &[(Text, Value)]) {
    for (key, value) in labels {
        key_value(wire, field, key, value);
    }
}

fn exemplars(wire: &mut Wire, field: u32, exemplars: &[Exemplar]) {
    for exemplar in exemplars {
        let open = wire.open(field, 1);
        wire.fixed64_field(2, exemplar.time_unix_ns);
        wire.double_field(3, exemplar.value);
        wire.bytes_field(4, &exemplar.span_id.to_bytes());
        wire.bytes_field(5, &exemplar.trace_id.to_bytes());
        if exemplar.failed {
            key_value(wire, 7, FAILED_ATTRIBUTE, &Value::Bool(true));
        }
        wire.close(open);
    }
}

/// A `HistogramDataPoint` in field 1.
fn explicit(wire: &mut Wire, time_unix_ns: u64, series: &Series<Histogram>) {
    let Buckets::Explicit { bounds, counts } = &series.value.buckets else {
        return;
    };
    let point = wire.open(1, 2);
    times(wire, series.start_unix_ns, time_unix_ns);
    wire.fixed64_field(4, series.value.count);
    wire.double_field(5, series.value.sum);
    packed_fixed64(wire, 6, counts.iter().copied());
    packed_fixed64(wire, 7, bounds.iter().map(|bound| bound.to_bits()));
    exemplars(wire, 8, &series.exemplars);
    attributes(wire, 9, &series.labels);
    if let Some(min) = series.value.min {
        wire.double_field(11, min);
    }
    if let Some(max) = series.value.max {
        wire.double_field(12, max);
    }
    wire.close(point);
}

fn packed_fixed64(wire: &mut Wire, field: u32, values: impl ExactSizeIterator<Item = u64>) {
    if values.len() > 0 {
        wire.length_field(field, 8 * values.len());
        values.for_each(|value| wire.put(&value.to_le_bytes()));
    }
}

/// An `ExponentialHistogramDataPoint` in field 1.
fn exponential(wire: &mut Wire, time_unix_ns: u64, series: &Series<Histogram>) {
    let Buckets::Exponential {
        scale,
        zero_count,
        offset,
        counts,
        negative_offset,
        negative_counts,
    } = &series.value.buckets
    else {
        return;
    };
    let point = wire.open(1, 2);
    attributes(wire, 1, &series.labels);
    times(wire, series.start_unix_ns, time_unix_ns);
    wire.fixed64_field(4, series.value.count);
    wire.double_field(5, series.value.sum);
    wire.varint_field(6, zigzag(*scale));
    wire.fixed64_field(7, *zero_count);
    buckets(wire, 8, *offset, counts);
    buckets(wire, 9, *negative_offset, negative_counts);
    exemplars(wire, 11, &series.exemplars);
    if let Some(min) = series.value.min {
        wire.double_field(12, min);
    }
    if let Some(max) = series.value.max {
        wire.double_field(13, max);
    }
    wire.close(point);
}

fn buckets(wire: &mut Wire, field: u32, offset: i32, counts: &[u64]) {
    if counts.is_empty() {
        return;
    }
    let open = wire.open(field, 1);
    wire.varint_field(1, zigzag(offset));
    let sizes = counts.iter().map(|&count| varint_bytes(count));
    wire.length_field(2, sizes.sum());
    for &count in counts {
        wire.varint(count);
    }
    wire.close(open);
}

/// `sint32`: small magnitudes of either sign become small numbers.
const fn zigzag(value: i32) -> u64 {
    ((value << 1) ^ (value >> 31)) as u32 as u64
}
