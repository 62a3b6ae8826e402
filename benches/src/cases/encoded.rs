//! Spans as OTLP bytes: the whole way there from the macro, and the encoding alone.
//!
//! The whole way: ours runs as under `init`, with the encoder on an exporter's thread behind its queue.
//! tracing-opentelemetry's batches are turned into prost structs and encoded as its OTLP exporter does it, with that
//! exporter's own functions. fastrace is held against us without any encoding: it hands its records to a reporter that
//! drops them. All bytes are dropped.

use std::{
    hint::black_box,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::{
    tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        resource::v1::Resource,
        trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind},
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use prost::Message;
use radiosonde::{
    encode::otlp::Encoder,
    exporter::{ExportError, Exporter},
};
use radiosonde_core::{batch::Batch, pump::Consumer};

use super::spans;
use radiosonde_bench_harness::{Bench, Case, note, or_exit, print, row::Row};

use crate::{
    harness::{Pace, caller},
    ours,
};

/// Spans that are encoded at once: about what a second of a busy program leaves.
const SPANS: u64 = 10_000;

/// Spans encoded as OTLP.
pub const BENCH: Bench = Bench {
    rows: &[
        Row::beside(
            "span, 3 typed fields, whole-process CPU, ours encoded to OTLP",
            "encoded.radiosonde:cpu",
            "span.fastrace:cpu",
            "fastrace LocalSpan, not encoded",
            Some(0.4),
        ),
        Row::beside(
            "span, 3 typed fields, whole-process CPU, encoded to OTLP",
            "encoded.radiosonde:cpu",
            "encoded.opentelemetry:cpu",
            spans::OPENTELEMETRY,
            Some(0.12),
        ),
        Row::beside(
            "OTLP encoding of a span with 5 attributes",
            "otlp.radiosonde:span",
            "otlp.prost:span",
            "prost structs, built and encoded",
            Some(0.1),
        )
        .by_least(),
    ],
    cases: &[
        Case {
            name: "encoded.radiosonde",
            run: || {
                let pump = ours::start_exporting(Encoding::default());
                spans::cpu(spans::tracing_fields, &|| ours::flush(&pump));
            },
        },
        Case {
            name: "encoded.opentelemetry",
            run: || {
                let provider = spans::provide(ProstEncoding::default());
                spans::cpu(spans::tracing_fields, &|| spans::settle(&provider));
            },
        },
        Case {
            name: "otlp.radiosonde",
            run: encode_ours,
        },
        Case {
            name: "otlp.prost",
            run: encode_structs,
        },
    ],
};

#[derive(Default)]
struct Encoding(Encoder);

impl Exporter for Encoding {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.0.batch(batch, |request| {
            black_box(request.body);
        });
        Ok(())
    }
}

#[derive(Debug, Default)]
struct ProstEncoding(ResourceAttributesWithSchema);

impl SpanExporter for ProstEncoding {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.0),
        };
        drop(black_box(request.encode_to_vec()));
        Ok(())
    }
}

/// Keeps batches.
#[derive(Clone, Default)]
struct Keeping(Arc<Mutex<Vec<Arc<Batch>>>>);

impl Consumer for Keeping {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let mut batches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        batches.push(Arc::clone(batch));
    }
}

/// Encodes the same batches over and over.
fn encode_ours() {
    let keeping = Keeping::default();
    let pump = ours::start_with(Box::new(keeping.clone()));
    {
        let _root = tracing::info_span!(parent: None, "request").entered();
        for number in 1..SPANS {
            record_one(number);
            if number % 1_000 == 0 {
                ours::flush(&pump);
            }
        }
    }
    ours::flush(&pump);
    let batches = std::mem::take(&mut *keeping.0.lock().unwrap_or_else(PoisonError::into_inner));
    let mut encoder = Encoder::default();
    check(&mut encoder, &batches);
    let work = |rounds| {
        for _ in 0..rounds {
            for batch in &batches {
                encoder.traces(batch, |request| {
                    black_box(request.body);
                });
            }
        }
    };
    print_per_span(work);
}

fn record_one(number: u64) {
    let (batch, kernel, occupancy) = black_box((number % 512, "sgemm_128x128_nn", 0.5_f64));
    let (stream, is_good) = (number % 8, !number.is_multiple_of(7));
    let _span =
        tracing::info_span!("attention", batch, kernel, occupancy, stream, is_good).entered();
}

/// Ends the process unless what we encode reads back as all the spans.
fn check(encoder: &mut Encoder, batches: &[Arc<Batch>]) {
    let (mut spans, mut bytes) = (0, 0);
    for batch in batches {
        encoder.traces(batch, |request| {
            let request = or_exit(ExportTraceServiceRequest::decode(request.body), "decode");
            bytes += request.encoded_len();
            let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
            spans += scopes.map(|scope| scope.spans.len() as u64).sum::<u64>();
        });
    }
    or_exit(
        (spans == SPANS).then_some(()).ok_or(spans),
        "encode every span",
    );
    note(format_args!("{} bytes a span", bytes as u64 / SPANS));
}

/// Builds the structs that the same spans are from numbers and static texts, encodes and drops them.
fn encode_structs() {
    note(format_args!(
        "{} bytes a span",
        structs().encoded_len() as u64 / SPANS
    ));
    print_per_span(|rounds| {
        for _ in 0..rounds {
            black_box(structs().encode_to_vec());
        }
    });
}

fn print_per_span(encode_all: impl FnMut(u64)) {
    let per_span: Vec<f64> = caller(&Pace::LONG, encode_all)
        .iter()
        .map(|ns| ns / SPANS as f64)
        .collect();
    print("span", &per_span);
}

fn structs() -> ExportTraceServiceRequest {
    let scope_spans = ScopeSpans {
        scope: Some(InstrumentationScope {
            name: module_path!().into(),
            ..Default::default()
        }),
        spans: (0..SPANS).map(span_struct).collect(),
        ..Default::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource::default()),
            scope_spans: vec![scope_spans],
            ..Default::default()
        }],
    }
}

fn span_struct(number: u64) -> Span {
    let (batch, kernel, occupancy) = black_box((number % 512, "sgemm_128x128_nn", 0.5_f64));
    let start = 1_760_000_000_000_000_000 + number * 1_500;
    let attribute = |key: &str, value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    };
    Span {
        trace_id: black_box(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128)
            .to_be_bytes()
            .to_vec(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        parent_span_id: 1_u64.to_be_bytes().to_vec(),
        name: "attention".to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 900,
        attributes: vec![
            attribute("thread.id", Value::IntValue(1)),
            attribute("batch", Value::IntValue(batch as i64)),
            attribute("kernel", Value::StringValue(kernel.to_owned())),
            attribute("occupancy", Value::DoubleValue(occupancy)),
            attribute("stream", Value::IntValue((number % 8) as i64)),
            attribute("is_good", Value::BoolValue(!number.is_multiple_of(7))),
        ],
        ..Default::default()
    }
}
