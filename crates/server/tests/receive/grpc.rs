//! OTLP over gRPC, as tonic sends it.

use std::{marker::PhantomData, time::Duration};

use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse,
    metrics::v1::ExportMetricsServiceResponse,
    profiles::v1development::ExportProfilesServiceResponse,
    trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
};
use prost::Message;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Endpoint,
};

use super::server::{Running, logs, metrics, profiles, traces};

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const PROFILES: &str =
    "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

/// Messages of prost, as a generated client has them.
struct Messages<Q, A>(PhantomData<(Q, A)>);

impl<Q: Message + 'static, A: Message + Default + 'static> Codec for Messages<Q, A> {
    type Encode = Q;
    type Decode = A;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Self {
        Self(PhantomData)
    }
}

impl<Q: Message, A> Encoder for Messages<Q, A> {
    type Item = Q;
    type Error = Status;

    fn encode(&mut self, item: Q, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl<Q, A: Message + Default> Decoder for Messages<Q, A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        A::decode(buffer)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

/// Calls `path` at `url`, compressed or not.
fn call<Q, A>(
    url: &str,
    path: &'static str,
    encoding: Option<CompressionEncoding>,
    request: Q,
) -> Result<A, Status>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    call_at(&endpoint, path, encoding, Request::new(request))
}

/// The same at an endpoint that may be encrypted, with whatever the request has beside its message.
fn call_at<Q, A>(
    endpoint: &Endpoint,
    path: &'static str,
    encoding: Option<CompressionEncoding>,
    request: Request<Q>,
) -> Result<A, Status>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut client = Grpc::new(endpoint.connect_lazy());
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding).accept_compressed(encoding);
        }
        client
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        let answer = client.unary(request, path, Messages(PhantomData)).await?;
        Ok(answer.into_inner())
    })
}

fn export(
    url: &str,
    request: ExportTraceServiceRequest,
) -> Result<ExportTraceServiceResponse, Status> {
    call(url, TRACES, None, request)
}

/// Sends traces to an endpoint that may be encrypted, and shows a secret, if there is one.
pub fn export_at(
    endpoint: &Endpoint,
    secret: Option<&str>,
    request: ExportTraceServiceRequest,
) -> Result<ExportTraceServiceResponse, Status> {
    let mut request = Request::new(request);
    if let Some(secret) = secret {
        let bearer = format!("Bearer {secret}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
    }
    call_at(endpoint, TRACES, None, request)
}

#[test]
fn every_signal_is_kept_plain_and_compressed() {
    let running = Running::start();
    let url = running.grpc();
    for (name, encoding) in [
        ("plain", None),
        ("gzip", Some(CompressionEncoding::Gzip)),
        ("zstd", Some(CompressionEncoding::Zstd)),
    ] {
        let answer: ExportTraceServiceResponse =
            call(&url, TRACES, encoding, traces(name, 2, &[])).unwrap();
        assert_eq!(answer, ExportTraceServiceResponse::default());
        let answer: ExportLogsServiceResponse = call(&url, LOGS, encoding, logs(name)).unwrap();
        assert_eq!(answer, ExportLogsServiceResponse::default());
        let answer: ExportMetricsServiceResponse =
            call(&url, METRICS, encoding, metrics(name)).unwrap();
        assert_eq!(answer, ExportMetricsServiceResponse::default());
        let answer: ExportProfilesServiceResponse =
            call(&url, PROFILES, encoding, profiles(name, false)).unwrap();
        assert_eq!(answer, ExportProfilesServiceResponse::default());
    }
    let names = "SELECT name, count(*) FROM spans GROUP BY 1 ORDER BY 1";
    assert_eq!(running.ask(names), "gzip | 2\nplain | 2\nzstd | 2");
    assert_eq!(
        running.ask("SELECT event_name FROM logs ORDER BY 1"),
        "gzip\nplain\nzstd"
    );
    assert_eq!(
        running.ask("SELECT name FROM points ORDER BY 1"),
        "gzip\nplain\nzstd"
    );
    assert_eq!(
        running.ask("SELECT function, sum(value), unit FROM profiles GROUP BY 1, 3 ORDER BY 1"),
        "gzip | 10 | nanoseconds\nplain | 10 | nanoseconds\nzstd | 10 | nanoseconds"
    );
}

#[test]
fn what_is_not_kept_is_counted_to_its_sender() {
    let running = Running::start();
    let answer = export(&running.grpc(), traces("some", 3, &[0])).unwrap();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(
        partial
            .error_message
            .contains("resource_spans[0].scope_spans[0].spans[0]"),
        "{partial:?}"
    );
    assert_eq!(running.ask("SELECT count(*) FROM spans"), "2");
    let answer: ExportProfilesServiceResponse =
        call(&running.grpc(), PROFILES, None, profiles("f", true)).unwrap();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_profiles, 1);
    assert!(
        partial.error_message.contains(
            "scope_profiles[0].profiles[1], it refers to an entry that its dictionary does not have"
        ),
        "{partial:?}"
    );
    assert_eq!(running.ask("SELECT count(*) FROM profiles"), "2");
}

#[test]
fn what_is_too_large_is_not_to_be_sent_again() {
    let running = Running::start();
    // 65 MiB that compress well, and as much that is not compressed.
    let request = || traces(&"a".repeat(65 << 20), 1, &[]);
    for encoding in [None, Some(CompressionEncoding::Gzip)] {
        let refused: Result<ExportTraceServiceResponse, Status> =
            call(&running.grpc(), TRACES, encoding, request());
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        assert!(
            refused.message().contains("more than 64 MiB"),
            "{refused:?}"
        );
        assert!(refused.details().is_empty());
    }
}

#[test]
fn a_store_without_room_is_said_with_a_time_to_try_again() {
    let running = Running::start_with(|config| config.store.memory_bytes_max = 0);
    let refused = export(&running.grpc(), traces("a", 1, &[])).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    // `google.rpc.Status{details=3{type_url=1, value=2{retry_delay=1{nanos=2}}}}`.
    let delay = Duration::from_millis(500);
    let mut nanos = vec![0x10];
    prost::encoding::encode_varint(delay.subsec_nanos().into(), &mut nanos);
    let details = refused.details();
    assert!(
        details.windows(nanos.len()).any(|window| window == nanos),
        "{details:?}"
    );
    assert!(String::from_utf8_lossy(details).contains("type.googleapis.com/google.rpc.RetryInfo"));
}

#[test]
fn a_wrong_call_is_told_what_is_right() {
    let running = Running::start();
    let port = running.server.addresses().otlp_grpc.port();
    let refused = export(&running.http(""), traces("a", 1, &[])).unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(
        refused
            .message()
            .contains(&format!("http://127.0.0.1:{port}")),
        "{refused:?}"
    );
    let call = |path| {
        call::<_, ExportTraceServiceResponse>(&running.grpc(), path, None, traces("a", 1, &[]))
    };
    let refused = call("/grpc.health.v1.Health/Check").unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[test]
fn many_calls_at_once_are_all_kept() {
    let running = Running::start();
    let url = running.grpc();
    std::thread::scope(|scope| {
        for sender in 0..8 {
            let url = &url;
            scope.spawn(move || {
                for _ in 0..5 {
                    export(url, traces(&format!("sender {sender}"), 100, &[])).unwrap();
                }
            });
        }
    });
    assert_eq!(
        running.ask("SELECT count(*), count(DISTINCT name) FROM spans"),
        "4000 | 8"
    );
}
