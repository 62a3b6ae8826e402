//! Spans that live on one thread: leaves under a root, each created, entered, left and closed.
//!
//! Every library records into a sink that drops what it gets, so that its own work up to there is what is counted.
//! The cost of the root is in the leaves' mean.

use std::{borrow::Cow, hint::black_box};

use fastrace::prelude::{LocalSpan, Span, SpanContext};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter},
};
use tracing_subscriber::layer::SubscriberExt as _;

use radiosonde_bench_harness::{Bench, Case, or_exit, print, row::Row};

use crate::{
    harness::{Pace, allocations, caller, process_cpu, two_threads},
    ours,
};

/// Leaves under one root, as many as a long request has.
const LEAVES: u64 = 1_000;
/// Spans between two flushes: what the smallest queue of the libraries holds.
const SPANS_MAX: u64 = 8_000;
/// Spans over which CPU time is counted: a multiple of [`SPANS_MAX`].
const CPU_SPANS: u64 = 25 * SPANS_MAX;
/// OpenTelemetry's queue, raised from its default of 2,048 so that nothing is dropped.
const OTEL_QUEUE: usize = 65_536;

pub(super) const FASTRACE: &str = "fastrace LocalSpan";
pub(super) const OPENTELEMETRY: &str = "tracing-opentelemetry";

/// Spans at the caller, and of what is handed on without encoding it.
pub const BENCH: Bench = Bench {
    rows: &[
        Row::beside(
            "span, no field, caller",
            "span.radiosonde:plain",
            "span.fastrace:plain",
            FASTRACE,
            Some(1.0),
        )
        .by_least(),
        Row::beside(
            "span, 3 typed fields, caller",
            "span.radiosonde:fields",
            "span.fastrace:fields",
            FASTRACE,
            Some(0.4),
        )
        .by_least(),
        Row::beside(
            "span, no field, caller",
            "span.radiosonde:plain",
            "span.opentelemetry:plain",
            OPENTELEMETRY,
            Some(0.06),
        )
        .by_least(),
        Row::beside(
            "span, 3 typed fields, caller",
            "span.radiosonde:fields",
            "span.opentelemetry:fields",
            OPENTELEMETRY,
            Some(0.06),
        )
        .by_least(),
        Row::beside(
            "span, 3 typed fields, whole-process CPU, nothing encoded",
            "span.radiosonde:cpu",
            "span.fastrace:cpu",
            FASTRACE,
            None,
        ),
        Row::beside(
            "span, 3 typed fields, 2 threads at once",
            "span.radiosonde:two threads",
            "span.fastrace:two threads",
            FASTRACE,
            None,
        ),
        Row::at_most(
            "span, 3 typed fields, heap allocations",
            "span.radiosonde:allocations",
            0.0,
            "allocations",
        ),
    ],
    cases: &[
        Case {
            name: "span.radiosonde",
            run: radiosonde,
        },
        Case {
            name: "span.fastrace",
            run: fastrace,
        },
        Case {
            name: "span.opentelemetry",
            run: opentelemetry,
        },
    ],
};

fn radiosonde() {
    let pump = ours::start();
    measure(tracing_plain, tracing_fields, &|| ours::flush(&pump));
}

fn fastrace() {
    fastrace::set_reporter(Dropping, fastrace::collector::Config::default());
    measure(fastrace_plain, fastrace_fields, &fastrace::flush);
}

fn opentelemetry() {
    let provider = provide(Dropping);
    measure(tracing_plain, tracing_fields, &|| settle(&provider));
}

/// tracing-opentelemetry as its users set it up: a batch processor in front of `exporter`.
pub(super) fn provide(exporter: impl SpanExporter + 'static) -> SdkTracerProvider {
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(OTEL_QUEUE)
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    let subscriber = tracing_subscriber::registry().with(layer);
    or_exit(
        tracing::subscriber::set_global_default(subscriber),
        "be the global subscriber",
    );
    provider
}

/// Waits until the exporter has everything.
pub(super) fn settle(provider: &SdkTracerProvider) {
    or_exit(provider.force_flush(), "flush");
}

fn measure(plain: fn(u64), fields: fn(u64), flush: &(dyn Fn() + Sync)) {
    let pace = Pace {
        operations_max: SPANS_MAX,
        settle: &|| flush(),
    };
    print("plain", &caller(&pace, plain));
    print("fields", &caller(&pace, fields));
    cpu(fields, flush);
    print("two threads", &two_threads(&pace, || fields));
    print("allocations", &[allocations(&pace, fields)]);
}

/// CPU time of all threads, in bursts that fit the queues as the caller's are.
pub(super) fn cpu(work: fn(u64), flush: &dyn Fn()) {
    let bursts = |count: u64| {
        for _ in 0..count.div_ceil(SPANS_MAX) {
            work(SPANS_MAX);
            flush();
        }
    };
    print("cpu", &process_cpu(CPU_SPANS, bursts, flush));
}

/// Runs `leaves` under a root of its own for every thousand of `count`.
fn under_roots(count: u64, mut leaves: impl FnMut(u64)) {
    let mut left = count;
    while left > 0 {
        let now = left.min(LEAVES);
        leaves(now);
        left -= now;
    }
}

fn tracing_plain(count: u64) {
    under_roots(count, |leaves| {
        let _root = tracing::info_span!(parent: None, "request").entered();
        for _ in 0..leaves {
            let _leaf = tracing::info_span!("operation").entered();
        }
    });
}

pub(super) fn tracing_fields(count: u64) {
    under_roots(count, |leaves| {
        let _root = tracing::info_span!(parent: None, "request").entered();
        for number in 0..leaves {
            let (size, kind, load) = black_box((number, "attention_", 0.5_f64));
            let _leaf = tracing::info_span!("operation", size, kind, load).entered();
        }
    });
}

fn fastrace_plain(count: u64) {
    under_roots(count, |leaves| {
        let root = Span::root("request", SpanContext::random());
        let _inside = root.set_local_parent();
        for _ in 0..leaves {
            let _leaf = LocalSpan::enter_with_local_parent("operation");
        }
    });
}

/// Properties are strings there, so the numbers are formatted, as its users do.
fn fastrace_fields(count: u64) {
    under_roots(count, |leaves| {
        let root = Span::root("request", SpanContext::random());
        let _inside = root.set_local_parent();
        for number in 0..leaves {
            let (size, kind, load) = black_box((number, "attention_", 0.5_f64));
            let _leaf = LocalSpan::enter_with_local_parent("operation").with_properties(|| {
                [
                    ("size", size.to_string().into()),
                    ("kind", Cow::Borrowed(kind)),
                    ("load", load.to_string().into()),
                ]
            });
        }
    });
}

#[derive(Debug)]
pub(super) struct Dropping;

impl fastrace::collector::Reporter for Dropping {
    fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
        drop(black_box(spans));
    }
}

impl SpanExporter for Dropping {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(black_box(batch));
        Ok(())
    }
}
