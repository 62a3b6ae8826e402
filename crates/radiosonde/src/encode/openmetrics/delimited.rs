//! Metrics as messages of `io.prometheus.client.MetricFamily` (prometheus/client_model, metrics.proto), each with its
//! length before it: the one format in which a scrape takes native histograms.
//!
//! A histogram of exponential buckets has them as they are, and the classic ones for readers that want those. Under an
//! alias that multiplies its values it has the classic ones alone, as no schema has the bounds that would be needed.

use radiosonde_core::{
    metrics::snapshot::{Data, Exemplar, Histogram, Number, Series, Snapshot},
    model::{Text, Value},
};

use super::{
    Alias,
    buckets::Grid,
    exemplars::Exemplars,
    is_one,
    labels::{Reserved, SortedLabels},
    names::{self, Family, Kind},
    native::{Fields, Native},
    number,
    shown::{self, View},
    write::{hex, scaled},
};
use crate::encode::otlp::wire::{VARINT_BYTES_MAX, Wire, put_varint};

/// `Metric` field numbers.
const GAUGE: u32 = 2;
const COUNTER: u32 = 3;
const HISTOGRAM: u32 = 7;

const NATIVE: Fields = Fields {
    schema: 5,
    zero_threshold: 6,
    zero_count: 7,
    negative: (9, 10),
    positive: (12, 13),
};

pub(super) fn encode(snapshot: &Snapshot, aliases: &[Alias], out: &mut Vec<u8>) {
    let mut wire = Wire::default();
    target(&mut wire, snapshot, out);
    shown::families(snapshot, aliases, Reserved::PAGE, |views| {
        let Some(first) = views.first() else { return };
        head(&mut wire, &first.family, &first.metric.description);
        views.iter().for_each(|view| series(&mut wire, view));
        finish(&mut wire, out);
    });
}

/// Ends the message in `wire`.
fn finish(wire: &mut Wire, out: &mut Vec<u8>) {
    let mut length = [0; VARINT_BYTES_MAX];
    let used = put_varint(&mut length, wire.len() as u64);
    out.extend_from_slice(&length[..used]);
    out.extend_from_slice(wire.written());
    wire.clear();
}

fn head(wire: &mut Wire, family: &Family, description: &str) {
    let name = format!("{}{}", family.name, family.kind.sample_suffix());
    wire.text_field(1, &name);
    wire.text_field(2, description);
    let kind = match family.kind {
        Kind::Counter => 0,
        // There is no info here.
        Kind::Gauge | Kind::Info => 1,
        Kind::Histogram => 4,
    };
    wire.varint_field(3, kind);
    wire.text_field(5, family.unit);
}

/// The resource, as a series that queries can join.
fn target(wire: &mut Wire, snapshot: &Snapshot, out: &mut Vec<u8>) {
    let attributes = &snapshot.resource.attributes;
    if attributes.is_empty() {
        return;
    }
    head(wire, &names::target(), names::TARGET_HELP);
    let metric = wire.open(4, 2);
    labels(wire, &mut SortedLabels::default(), attributes);
    let gauge = wire.open(GAUGE, 1);
    wire.double_field(1, 1.0);
    wire.close(gauge);
    wire.close(metric);
    finish(wire, out);
}

fn labels(wire: &mut Wire, sorted: &mut SortedLabels, labels: &[(Text, Value)]) {
    sorted.each(labels, &mut |name, value| {
        label(wire, name, value.as_bytes());
    });
}

fn label(wire: &mut Wire, name: &str, value: &[u8]) {
    let pair = wire.open(1, 1);
    wire.bytes_field(1, name.as_bytes());
    wire.bytes_field(2, value);
    wire.close(pair);
}

fn series(wire: &mut Wire, view: &View<'_>) {
    let mut sorted = SortedLabels::reserving(view.reserved);
    match &view.metric.data {
        Data::Counter(all) => {
            numbers(wire, &mut sorted, view, all, |wire, series, value| {
                let counter = wire.open(COUNTER, 1);
                wire.double_field(1, value);
                if let Some(found) = series.exemplars.first() {
                    exemplar(wire, 2, found, view.times);
                }
                time(wire, 3, series.start_unix_ns);
                wire.close(counter);
            });
        }
        Data::UpDownCounter(all) | Data::Gauge(all) => {
            numbers(wire, &mut sorted, view, all, |wire, _, value| {
                let gauge = wire.open(GAUGE, 1);
                wire.double_field(1, value);
                wire.close(gauge);
            });
        }
        Data::Histogram(all) => {
            let Some(first) = all.first() else { return };
            let grid = Grid::new(&first.value.buckets, &view.metric.unit);
            for (_, series) in (0..).zip(all).filter(|&(place, _)| view.shows(place)) {
                let metric = wire.open(4, 3);
                labels(wire, &mut sorted, &series.labels);
                histogram(wire, series, &grid, view.times);
                wire.close(metric);
            }
        }
    }
}

fn numbers(
    wire: &mut Wire,
    sorted: &mut SortedLabels,
    view: &View<'_>,
    all: &[Series<Number>],
    write: impl Fn(&mut Wire, &Series<Number>, f64),
) {
    for (_, series) in (0..).zip(all).filter(|&(place, _)| view.shows(place)) {
        let metric = wire.open(4, 1);
        labels(wire, sorted, &series.labels);
        write(wire, series, number(series.value, view.times));
        wire.close(metric);
    }
}

fn histogram(wire: &mut Wire, series: &Series<Histogram>, grid: &Grid, times: f64) {
    let native = is_one(times)
        .then(|| Native::of(&series.value.buckets))
        .flatten();
    let count = native
        .as_ref()
        .map_or(series.value.count, |native| native.count);
    let histogram = wire.open(HISTOGRAM, 3);
    wire.varint_field(1, count);
    wire.double_field(2, scaled(series.value.sum, times));
    let shown = Exemplars::new(&series.exemplars);
    let mut low = f64::NEG_INFINITY;
    for (high, below) in grid.cumulative(&series.value.buckets) {
        let bucket = wire.open(3, 1);
        wire.varint_field(1, below);
        wire.double_field(2, scaled(high, times));
        if let Some(found) = shown.within(low, high) {
            exemplar(wire, 3, found, times);
        }
        wire.close(bucket);
        low = high;
    }
    if let Some(native) = native {
        native.write(wire, NATIVE);
    }
    time(wire, 15, series.start_unix_ns);
    wire.close(histogram);
}

fn exemplar(wire: &mut Wire, field: u32, exemplar: &Exemplar, times: f64) {
    let open = wire.open(field, 1);
    let mut text = Vec::with_capacity(32);
    hex(&mut text, &exemplar.span_id.to_bytes());
    label(wire, "span_id", &text);
    text.clear();
    hex(&mut text, &exemplar.trace_id.to_bytes());
    label(wire, "trace_id", &text);
    wire.double_field(2, scaled(exemplar.value, times));
    time(wire, 3, exemplar.time_unix_ns);
    wire.close(open);
}

/// A `google.protobuf.Timestamp`; nothing for a time that nobody knows.
fn time(wire: &mut Wire, field: u32, unix_ns: u64) {
    if unix_ns > 0 {
        let open = wire.open(field, 1);
        wire.varint_field(1, unix_ns / 1_000_000_000);
        wire.varint_field(2, unix_ns % 1_000_000_000);
        wire.close(open);
    }
}
