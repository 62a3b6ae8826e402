//! Counters and histograms through a handle, by one thread and by two on the same series; and 10,000 series as text and as
//! remote write.

use std::{hint::black_box, sync::Arc};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use radiosonde::encode::{
    openmetrics::{self, Format, Options},
    remote_write::{self, Encoder, Histograms},
};
use radiosonde_core::{metrics, model::Resource};

use radiosonde_bench_harness::{Bench, Case, note, or_exit, print, row::Row};

use crate::harness::{Pace, allocations, caller, two_threads};

const CLIENT: &str = "prometheus-client";
/// The upper bounds that Prometheus' clients recommend for seconds.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const VALUE: f64 = 0.123;
/// Models times devices: the series of one metric.
const MODELS: u64 = 100;
const DEVICES: u64 = 100;

/// Metric handles, and metrics as text.
pub const BENCH: Bench = Bench {
    rows: &[
        Row::beside(
            "counter handle, 1 thread",
            "counter.radiosonde:one thread",
            "counter.client:one thread",
            CLIENT,
            Some(0.6),
        )
        .by_least(),
        Row::beside(
            "counter handle, 2 threads on the same metric",
            "counter.radiosonde:two threads",
            "counter.radiosonde:one thread",
            "itself, 1 thread",
            Some(1.3),
        ),
        Row::beside(
            "counter handle, 2 threads on the same metric",
            "counter.radiosonde:two threads",
            "counter.client:two threads",
            CLIENT,
            None,
        ),
        Row::at_most(
            "counter handle, heap allocations",
            "counter.radiosonde:allocations",
            0.0,
            "allocations",
        ),
        Row::beside(
            "histogram handle, 1 thread",
            "histogram.radiosonde:one thread",
            "histogram.client:one thread",
            CLIENT,
            Some(1.2),
        )
        .by_least(),
        Row::beside(
            "histogram handle, 2 threads on the same metric",
            "histogram.radiosonde:two threads",
            "histogram.client:two threads",
            CLIENT,
            Some(0.25),
        ),
        Row::at_most(
            "histogram handle, heap allocations",
            "histogram.radiosonde:allocations",
            0.0,
            "allocations",
        ),
        Row::beside(
            "10,000 series as OpenMetrics text",
            "text.radiosonde:series",
            "text.client:series",
            CLIENT,
            Some(1.2),
        )
        .by_least()
        .in_unit("ms"),
        // 100,000 samples a second of one core.
        Row::at_most(
            "a sample by remote write 2.0, encoded and compressed",
            "write.radiosonde:second",
            10_000.0,
            "ns",
        ),
        Row::at_most(
            "the same made 1.0 of and compressed again",
            "write.radiosonde:first",
            10_000.0,
            "ns",
        ),
    ],
    cases: &[
        Case {
            name: "counter.radiosonde",
            run: || {
                let counter = metrics::counter("bench.requests").handle();
                measure(|| counter.add(black_box(1)));
            },
        },
        Case {
            name: "counter.client",
            run: || {
                let counter: Counter = Counter::default();
                measure(|| {
                    counter.inc_by(black_box(1));
                });
            },
        },
        Case {
            name: "histogram.radiosonde",
            run: || {
                let histogram = metrics::histogram("bench.duration").unit("s").handle();
                measure(|| histogram.record(black_box(VALUE)));
            },
        },
        Case {
            name: "histogram.client",
            run: || {
                let histogram = Histogram::new(BOUNDS);
                measure(|| histogram.observe(black_box(VALUE)));
            },
        },
        Case {
            name: "text.radiosonde",
            run: text_of_ours,
        },
        Case {
            name: "text.client",
            run: text_of_client,
        },
        Case {
            name: "write.radiosonde",
            run: write_of_ours,
        },
    ],
};

fn measure(once: impl Fn() + Sync) {
    let work = |count| {
        for _ in 0..count {
            once();
        }
    };
    print("one thread", &caller(&Pace::FREE, work));
    print("two threads", &two_threads(&Pace::FREE, || work));
    print("allocations", &[allocations(&Pace::FREE, work)]);
}

fn labels() -> impl Iterator<Item = (String, String)> {
    (0..MODELS).flat_map(|model| {
        (0..DEVICES).map(move |device| (format!("model_{model}"), device.to_string()))
    })
}

fn count_all() {
    let family = metrics::counter("bench.requests")
        .description("Requests answered")
        .series_max((MODELS * DEVICES) as usize)
        .build();
    for (count, (model, device)) in (1..).zip(labels()) {
        family
            .with(&[("model", &*model), ("device", &*device)])
            .add(count);
    }
}

/// Reading the metrics is a part of it, as it is for the peer.
fn text_of_ours() {
    count_all();
    let resource = Arc::new(Resource::default());
    let options = Options {
        format: Format::OpenMetrics,
        ..Options::default()
    };
    print_text(|| {
        let mut out = Vec::new();
        openmetrics::encode(&metrics::snapshot(&resource), options, &mut out);
        out
    });
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    model: String,
    device: String,
}

fn text_of_client() {
    let family = Family::<Labels, Counter>::default();
    let mut registry = Registry::default();
    registry.register("bench_requests", "Requests answered", family.clone());
    for (count, (model, device)) in (1..).zip(labels()) {
        family
            .get_or_create(&Labels { model, device })
            .inc_by(count);
    }
    print_text(|| {
        let mut out = String::new();
        or_exit(text::encode(&mut out, &registry), "encode");
        out.into_bytes()
    });
}

fn print_text(encode: impl Fn() -> Vec<u8>) {
    let first = encode();
    let lines = first.split(|&byte| byte == b'\n');
    let series = lines.filter(|line| line.starts_with(b"bench_requests_total{"));
    let series = series.count() as u64;
    or_exit(
        (series == MODELS * DEVICES).then_some(()).ok_or(series),
        "write every series",
    );
    note(format_args!("{} bytes", first.len()));
    let ms: Vec<f64> = caller(&Pace::LONG, |count| {
        for _ in 0..count {
            black_box(encode());
        }
    })
    .iter()
    .map(|ns| ns / 1e6)
    .collect();
    print("series", &ms);
}

/// What of it is the exporter's thread and, for 1.0, the sender's.
fn write_of_ours() {
    count_all();
    let snapshot = metrics::snapshot(&Arc::new(Resource::default()));
    let mut encoder = Encoder::new(remote_write::Options {
        histograms: Histograms::Native,
        aliases: false,
        request_bytes_max: 1024 * 1024,
        request_samples_max: remote_write::REQUEST_SAMPLES_MAX_DEFAULT,
    });
    let mut compressor = snap::raw::Encoder::new();
    let (mut samples, mut bodies) = (0, Vec::new());
    encoder.encode(&snapshot, |request| {
        samples += u64::from(request.samples);
        bodies.push(request.body);
    });
    or_exit(
        (samples >= MODELS * DEVICES).then_some(()).ok_or(samples),
        "write every series",
    );
    let mut compress = |body: &[u8]| {
        black_box(or_exit(compressor.compress_vec(body), "compress"));
    };
    let per_sample = |ns: Vec<f64>| -> Vec<f64> {
        let samples = samples as f64;
        ns.into_iter().map(|ns| ns / samples).collect()
    };
    let second = caller(&Pace::LONG, |count| {
        for _ in 0..count {
            encoder.encode(&snapshot, |request| compress(&request.body));
        }
    });
    print("second", &per_sample(second));
    let first = caller(&Pace::LONG, |count| {
        for _ in 0..count {
            for body in &bodies {
                let first = remote_write::first(body).ok_or("it is none of ours");
                compress(&or_exit(first, "make 1.0 of 2.0"));
            }
        }
    });
    print("first", &per_sample(first));
}
