//! OTLP over HTTP, and on the same port what others send: Zipkin, Jaeger, Datadog, Loki's agents, Prometheus, profilers. Whoever
//! comes the wrong way is told the right one.

mod datadog;
mod foreign;
mod jaeger;
mod loki;
mod profiles;
mod remote_write;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header,
        uri::Authority,
    },
    routing::any,
};

use super::{
    Intake, Payload, answer,
    body::{self, ACCEPTED, Compression},
    decode::{Encoding, Signal, Told},
    grpc,
    ledger::{self, Sender},
    refusal::{Kind, Refusal},
};

/// Where Zipkin sends spans.
const ZIPKIN_PATH: &str = "/api/v2/spans";

/// All that comes on the port of OTLP over HTTP.
pub(super) fn router(intake: Arc<Intake>) -> Router {
    zipkin_router(Arc::clone(&intake))
        .merge(profiles::router(Arc::clone(&intake)))
        .merge(foreign::router(&intake))
        .merge(datadog::router())
        .fallback(otlp)
        .with_state(intake)
}

/// Zipkin's spans alone.
fn zipkin_router(intake: Arc<Intake>) -> Router<Arc<Intake>> {
    Router::new()
        .route(ZIPKIN_PATH, any(zipkin))
        .with_state(intake)
}

async fn otlp(State(intake): State<Arc<Intake>>, request: Request) -> Response<Body> {
    let path = request.uri().path();
    let signal = Signal::ALL.into_iter().find(|signal| signal.path() == path);
    let encoding = encoding(request.headers());
    let protocol = match encoding {
        Some(Encoding::Json) => "http/json",
        Some(_) => "http/protobuf",
        None => "http",
    };
    let sender = sender(&request, protocol, signal.map_or("", Signal::name));
    if grpc::is_grpc(request.headers()) {
        let refusal = wrong_port(&intake, request.uri(), request.headers());
        intake.note(&sender, &refusal);
        return grpc::refused(&refusal);
    }
    let (parts, mut body) = request.into_parts();
    let result = match checked(signal, encoding, &parts.method, parts.uri.path()) {
        Ok((signal, encoding)) => take(
            &intake,
            &sender,
            (signal, encoding, Told::default()),
            Compression::of(&parts.headers),
            &mut body,
        )
        .await
        .map(|outcome| answer::success(signal, encoding, &outcome)),
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(response) => response,
        Err(refusal) => refuse(&intake, &sender, encoding, &refusal, body).await,
    }
}

/// The signal and the encoding, if this is a request at all.
fn checked(
    signal: Option<Signal>,
    encoding: Option<Encoding>,
    method: &Method,
    path: &str,
) -> Result<(Signal, Encoding), Refusal> {
    let Some(signal) = signal else {
        let path: String = path.chars().take(100).collect();
        return Err(Refusal::new(
            Kind::Path,
            "there is nothing at this path",
            "send OTLP to /v1/traces, /v1/logs, /v1/metrics or /v1development/profiles, Zipkin's spans to /api/v2/spans, Jaeger's to \
             /api/traces, Datadog's to /v0.4/traces, its metrics to /api/v2/series and logs to /api/v2/logs, Loki's to \
             /loki/api/v1/push, Prometheus' remote write to /api/v1/write, and other profiles to /api/v1/profiles/pprof or \
             /api/v1/profiles/folded",
        )
        .with_detail(path));
    };
    if method != Method::POST {
        let reason = "this is where telemetry is sent to, by POST";
        return Err(Refusal::new(
            Kind::Method,
            reason,
            "set an exporter's endpoint to this address; the page that shows telemetry is on another port",
        ));
    }
    let reason = "the content type is missing or is not one that is taken here";
    let mend = "send application/x-protobuf or application/json";
    let encoding = encoding.ok_or_else(|| Refusal::new(Kind::Unsupported, reason, mend))?;
    Ok((signal, encoding))
}

fn wrong_port(intake: &Intake, uri: &Uri, headers: &HeaderMap) -> Refusal {
    let (host, port, scheme) = (host(uri, headers), intake.grpc_port, intake.scheme);
    Refusal::new(
        Kind::Unsupported,
        "this is the port of OTLP over HTTP, and the request is gRPC",
        format!(
            "send it to {scheme}://{host}:{port}, or set the exporter's protocol to http/protobuf"
        ),
    )
}

async fn take(
    intake: &Arc<Intake>,
    sender: &Sender,
    (signal, encoding, told): (Signal, Encoding, Told),
    compression: Result<Compression, Refusal>,
    body: &mut Body,
) -> Result<super::Outcome, Refusal> {
    let compression = compression?;
    let payload = Payload {
        signal,
        encoding,
        compression,
        whole: body::read(body, intake.share(), &intake.limits).await?,
        told,
    };
    intake.take(sender, payload).await
}

async fn refuse(
    intake: &Intake,
    sender: &Sender,
    encoding: Option<Encoding>,
    refusal: &Refusal,
    body: Body,
) -> Response<Body> {
    intake.note(sender, refusal);
    body::discard(body, &intake.limits).await;
    let mut response = answer::refused(encoding, refusal);
    let more = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "POST")),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some((header::ACCEPT_ENCODING, ACCEPTED)),
        _ => None,
    };
    if let Some((name, value)) = more {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Zipkin's `POST /api/v2/spans`; a success is 202.
async fn zipkin(State(intake): State<Arc<Intake>>, request: Request) -> Response<Body> {
    let sender = sender(&request, "zipkin/json", Signal::Traces.name());
    let (parts, mut body) = request.into_parts();
    let encoding = Encoding::Zipkin;
    let is_other =
        text(&parts.headers, &header::CONTENT_TYPE).is_some_and(|given| !is(given, answer::JSON));
    let result = if parts.method != Method::POST {
        let mend = "set a reporter's endpoint to this address";
        Err(Refusal::new(
            Kind::Method,
            "this is where Zipkin's spans are sent to, by POST",
            mend,
        ))
    } else if is_other {
        let reason = "the content type is not one that is taken here";
        Err(Refusal::new(
            Kind::Unsupported,
            reason,
            "send Zipkin's spans as application/json",
        ))
    } else {
        take(
            &intake,
            &sender,
            (Signal::Traces, encoding, Told::default()),
            Compression::of(&parts.headers),
            &mut body,
        )
        .await
    };
    match result {
        Ok(outcome) => {
            let mut response = answer::success(Signal::Traces, encoding, &outcome);
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        Err(refusal) => refuse(&intake, &sender, Some(encoding), &refusal, body).await,
    }
}

/// The encoding that the content type says.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let given = text(headers, &header::CONTENT_TYPE)?;
    if is(given, answer::PROTOBUF) || is(given, "application/protobuf") {
        Some(Encoding::Protobuf)
    } else if is(given, answer::JSON) {
        Some(Encoding::Json)
    } else {
        None
    }
}

/// Whether a content type is this one, whatever parameters it has.
pub(super) fn is(given: &str, content_type: &str) -> bool {
    let own = given.split(';').next().unwrap_or_default().trim();
    own.eq_ignore_ascii_case(content_type)
}

/// A header's text.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Who sent a request.
pub(super) fn sender(request: &Request, protocol: &'static str, signal: &'static str) -> Sender {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let client = text(request.headers(), &header::USER_AGENT);
    Sender {
        peer: peer.map_or_else(String::new, |ConnectInfo(peer)| {
            peer.ip().to_canonical().to_string()
        }),
        protocol,
        signal,
        client: ledger::client(client.unwrap_or_default()),
    }
}

/// The name by which the sender called this machine.
pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> String {
    let given = text(headers, &header::HOST).and_then(|host| host.parse::<Authority>().ok());
    let host = uri.authority().or(given.as_ref()).map(Authority::host);
    host.unwrap_or("localhost").to_owned()
}
