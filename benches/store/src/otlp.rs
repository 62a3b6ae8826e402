//! The spans as a client sends them: OTLP requests, and a connection of gRPC to send them by.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, Status},
};
use prost::Message as _;
use radiosonde_bench_harness::or_exit;
use tonic::{
    Code,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use crate::data::{SERVICES, Span, Words};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Encoded requests of up to `batch` spans each, grouped by service as a collector groups them, with how many each has.
pub fn requests(spans: &[Span], words: &Words, batch: usize) -> Vec<(Vec<u8>, usize)> {
    spans
        .chunks(batch)
        .map(|spans| (request(spans, words).encode_to_vec(), spans.len()))
        .collect()
}

fn request(spans: &[Span], words: &Words) -> ExportTraceServiceRequest {
    let mut by_service: BTreeMap<u8, Vec<OtlpSpan>> = BTreeMap::new();
    for span in spans {
        by_service
            .entry(span.service)
            .or_default()
            .push(encode(span, words));
    }
    let resource_spans = by_service
        .into_iter()
        .map(|(service, spans)| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", SERVICES[usize::from(service)])],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "bench".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        });
    ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    }
}

fn encode(span: &Span, words: &Words) -> OtlpSpan {
    OtlpSpan {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id.to_vec(),
        parent_span_id: span.parent_span_id.map_or_else(Vec::new, |id| id.to_vec()),
        name: words.names[usize::from(span.name)].clone(),
        kind: if span.parent_span_id.is_none() { 2 } else { 1 },
        start_time_unix_nano: span.start_unix_ns as u64,
        end_time_unix_nano: (span.start_unix_ns + span.duration_ns) as u64,
        attributes: vec![
            text("k8s.pod.name", &words.pods[usize::from(span.pod)]),
            number("gpu.index", i64::from(span.gpu)),
            text("gen_ai.request.model", span.model()),
            number("http.response.status_code", i64::from(span.status_code)),
            text("user.id", &words.users[usize::from(span.user)]),
            number("gen_ai.usage.output_tokens", i64::from(span.tokens)),
        ],
        status: span.is_error.then(|| Status {
            code: 2,
            ..Status::default()
        }),
        ..OtlpSpan::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A connection to a server, with a runtime of its own.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    grpc: Grpc<Channel>,
}

impl Client {
    pub fn connect(address: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = or_exit(runtime, "start a runtime");
        let endpoint = or_exit(
            Endpoint::from_shared(address.to_owned()),
            "read the address",
        );
        let channel = or_exit(runtime.block_on(endpoint.connect()), "connect");
        Self {
            runtime,
            grpc: Grpc::new(channel),
        }
    }

    /// Sends a request until it is acknowledged; one that is to be sent later is sent later.
    pub fn send(&mut self, request: &[u8]) {
        let grpc = &mut self.grpc;
        self.runtime.block_on(async {
            loop {
                or_exit(grpc.ready().await, "be ready");
                let path = http::uri::PathAndQuery::from_static(EXPORT);
                match grpc
                    .unary(tonic::Request::new(request.to_vec()), path, Bytes)
                    .await
                {
                    Ok(_) => return,
                    Err(status)
                        if status.code() == Code::ResourceExhausted
                            || status.code() == Code::Unavailable =>
                    {
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                    Err(status) => or_exit(Err(status), "send"),
                }
            }
        });
    }
}

/// Requests that are encoded already.
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        use bytes::BufMut as _;
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = ExportTraceServiceResponse;
    type Error = tonic::Status;

    fn decode(
        &mut self,
        buffer: &mut DecodeBuf<'_>,
    ) -> Result<Option<ExportTraceServiceResponse>, tonic::Status> {
        ExportTraceServiceResponse::decode(buffer)
            .map(Some)
            .map_err(|error| tonic::Status::internal(error.to_string()))
    }
}
