//! Metrics as Datadog's `MetricPayload` (datadog.agentpayload), in protobuf and compressed by zstd.

use std::ops::Range;

use radiosonde_core::{
    loss::{self, Lost},
    metrics::snapshot::{Data, Labels, Metric, Series, Snapshot},
    model::Value,
};

use super::{DatadogConfig, logs::all_tags};
use crate::{
    encode::otlp::{Signal, wire::Wire},
    exporter::backend::{
        Requests,
        deltas::{Delta, Deltas, Spread, as_f64},
        entry::{OfResource, resource_text},
    },
    redact::Redaction,
};

/// Most bytes of one request, compressed and before.
const COMPRESSED_BYTES_MAX: usize = 512_000;
const RAW_BYTES_MAX: usize = 5_242_880;

/// zstd's fastest level of the regular ones: series compress well at any.
const LEVEL: i32 = 1;

/// Bytes kept for a series' length: right from 128 bytes to 16 KiB.
const SERIES_LENGTH_BYTES: usize = 2;

const NS_PER_S: u64 = 1_000_000_000;

/// `MetricSeries` field numbers.
mod field {
    pub(super) const RESOURCES: u32 = 1;
    pub(super) const METRIC: u32 = 2;
    pub(super) const TAGS: u32 = 3;
    pub(super) const POINTS: u32 = 4;
    pub(super) const TYPE: u32 = 5;
    pub(super) const UNIT: u32 = 6;
    pub(super) const SOURCE_TYPE_NAME: u32 = 7;
    pub(super) const INTERVAL: u32 = 8;
}

/// What a series of Datadog's is.
#[derive(Clone, Copy)]
enum Kind {
    /// How much came in an interval of so many seconds.
    Count(u64),
    Gauge,
}

/// Writes series.
pub(super) struct Metrics {
    wire: Wire,
    /// Where each series begins in what is written.
    starts: Vec<usize>,
    bytes_max: usize,
    tags: Vec<String>,
    host: Option<String>,
    /// The fields that say where series come from.
    origin: OfResource<Vec<u8>>,
    deltas: Deltas,
    redaction: Redaction,
}

impl Metrics {
    pub(super) fn new(config: &DatadogConfig, bytes_max: usize, redaction: Redaction) -> Self {
        Self {
            wire: Wire::default(),
            starts: Vec::new(),
            bytes_max: bytes_max.min(RAW_BYTES_MAX),
            tags: config.tags.clone(),
            host: config.host.clone(),
            origin: OfResource::default(),
            deltas: Deltas::default(),
            redaction,
        }
    }

    pub(super) fn encode(&mut self, snapshot: &Snapshot, requests: &mut Requests<'_>) {
        let Self {
            tags,
            host,
            redaction,
            ..
        } = self;
        self.origin.get(&snapshot.resource, |resource| {
            let host = host.clone();
            let host = host.or_else(|| resource_text(resource, "host.name", redaction));
            written_origin(host.as_deref(), &all_tags(resource, tags, redaction))
        });
        let mut deltas = std::mem::take(&mut self.deltas);
        deltas.begin(snapshot.time_unix_ns);
        let time_s = snapshot.time_unix_ns / NS_PER_S;
        for metric in &snapshot.metrics {
            self.metric(&mut deltas, metric, time_s, requests);
        }
        deltas.end();
        self.deltas = deltas;
        self.finish(requests);
    }

    fn metric(
        &mut self,
        deltas: &mut Deltas,
        metric: &Metric,
        time_s: u64,
        requests: &mut Requests<'_>,
    ) {
        let mut add = |name: &str, labels: &Labels, kind, value| {
            let series = Point {
                name,
                unit: unit(&metric.unit),
                labels,
                kind,
                value,
                time_s,
            };
            self.add(&series, requests);
        };
        match &metric.data {
            Data::Counter(all) => {
                for series in all {
                    let delta = deltas.number(&metric.name, series);
                    let kind = Kind::Count(delta.interval_s());
                    add(&metric.name, &series.labels, kind, as_f64(delta.value));
                }
            }
            Data::UpDownCounter(all) | Data::Gauge(all) => {
                for series in all {
                    add(
                        &metric.name,
                        &series.labels,
                        Kind::Gauge,
                        as_f64(series.value),
                    );
                }
            }
            Data::Histogram(all) => {
                for series in all {
                    let delta = deltas.histogram(&metric.name, series);
                    histogram(&metric.name, series, &delta, &mut add);
                }
            }
        }
    }

    /// Adds one series, unless its value is none that Datadog takes.
    fn add(&mut self, point: &Point<'_>, requests: &mut Requests<'_>) {
        if !point.value.is_finite() {
            loss::count(Lost::Rejected, 1);
            return;
        }
        let start = self.wire.len();
        point.write(&mut self.wire, self.origin.made());
        if self.wire.len() > self.bytes_max && !self.starts.is_empty() {
            let last = self.wire.written()[start..].to_vec();
            self.send(0..self.starts.len(), start, requests);
            self.wire.clear();
            self.starts.clear();
            self.wire.put_slice(&last);
            self.starts.push(0);
        } else {
            self.starts.push(start);
        }
    }

    fn finish(&mut self, requests: &mut Requests<'_>) {
        let end = self.wire.len();
        self.send(0..self.starts.len(), end, requests);
        self.wire.clear();
        self.starts.clear();
    }

    /// Sends the series `which`, the last of which ends at `end`: in halves where they are too large compressed.
    fn send(&self, which: Range<usize>, end: usize, requests: &mut Requests<'_>) {
        let Some(&start) = self.starts.get(which.start) else {
            return;
        };
        let raw = &self.wire.written()[start..end];
        let Ok(body) = zstd::bulk::compress(raw, LEVEL) else {
            loss::count(Lost::Rejected, which.len() as u64);
            return;
        };
        if body.len() > COMPRESSED_BYTES_MAX && which.len() > 1 {
            let half = which.start + which.len() / 2;
            self.send(which.start..half, self.starts[half], requests);
            self.send(half..which.end, end, requests);
        } else {
            requests.push(Signal::Metrics, 0, which.len() as u32, body);
        }
    }
}

/// The series that tell of a histogram.
fn histogram<T>(
    name: &str,
    series: &Series<T>,
    delta: &Delta<Spread>,
    add: &mut impl FnMut(&str, &Labels, Kind, f64),
) {
    const QUANTILES: [(&str, f64); 6] = [
        ("min", 0.0),
        ("p50", 0.5),
        ("p90", 0.9),
        ("p95", 0.95),
        ("p99", 0.99),
        ("max", 1.0),
    ];
    let spread = &delta.value;
    let count = Kind::Count(delta.interval_s());
    let labels = &series.labels;
    add(&format!("{name}.count"), labels, count, spread.count as f64);
    add(&format!("{name}.sum"), labels, count, spread.sum);
    for (suffix, share) in QUANTILES {
        if let Some(value) = spread.quantile(share) {
            add(&format!("{name}.{suffix}"), labels, Kind::Gauge, value);
        }
    }
}

/// One value of one series.
struct Point<'a> {
    name: &'a str,
    unit: &'a str,
    labels: &'a Labels,
    kind: Kind,
    value: f64,
    time_s: u64,
}

impl Point<'_> {
    /// Appends a `MetricSeries` in field 1.
    fn write(&self, wire: &mut Wire, origin: &[u8]) {
        let open = wire.open(1, SERIES_LENGTH_BYTES);
        wire.put_slice(origin);
        wire.text_field(field::METRIC, self.name);
        for (name, value) in self.labels.iter() {
            match value {
                Value::Str(value) => tag(wire, name, value),
                value => tag(wire, name, &value.to_string()),
            }
        }
        let point = wire.open(field::POINTS, 1);
        wire.double_field(1, self.value);
        wire.varint_field(2, self.time_s);
        wire.close(point);
        match self.kind {
            Kind::Count(_) => wire.varint_field(field::TYPE, 1),
            Kind::Gauge => wire.varint_field(field::TYPE, 3),
        }
        wire.text_field(field::UNIT, self.unit);
        wire.text_field(field::SOURCE_TYPE_NAME, "radiosonde");
        if let Kind::Count(interval_s) = self.kind {
            wire.varint_field(field::INTERVAL, interval_s);
        }
        wire.close(open);
    }
}

fn tag(wire: &mut Wire, name: &str, value: &str) {
    wire.length_field(field::TAGS, name.len() + 1 + value.len());
    wire.put_slice(name.as_bytes());
    wire.put(b":");
    wire.put_slice(value.as_bytes());
}

fn written_origin(host: Option<&str>, tags: &[String]) -> Vec<u8> {
    let mut wire = Wire::default();
    if let Some(host) = host {
        let resource = wire.open(field::RESOURCES, 1);
        wire.text_field(1, "host");
        wire.text_field(2, host);
        wire.close(resource);
    }
    for tag in tags {
        wire.text_field(field::TAGS, tag);
    }
    wire.written().to_vec()
}

/// Datadog's name of a UCUM unit; what stands in braces otherwise, without them.
fn unit(ucum: &str) -> &str {
    match ucum {
        "s" => "second",
        "ms" => "millisecond",
        "us" => "microsecond",
        "ns" => "nanosecond",
        "By" => "byte",
        "%" => "percent",
        "1" => "fraction",
        "W" => "watt",
        "J" => "joule",
        "Hz" => "hertz",
        "Cel" => "degree celsius",
        other => other.trim_start_matches('{').trim_end_matches('}'),
    }
}
