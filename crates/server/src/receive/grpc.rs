//! OTLP over gRPC: the four `Export` calls, each one message and one answer; and Jaeger's `PostSpans`. By hand over HTTP/2 bodies, so that both ways
//! in share one decoder and one limit (gRPC over HTTP2, protocol specification).

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};

use super::{
    Intake, Outcome, Payload, answer,
    body::{self, ACCEPTED, Compression, Whole},
    decode::{Encoding, Signal, Told, jaeger, text as json},
    http::{host, is, sender, text},
    ledger::Sender,
    refusal::{Kind, Refusal},
};

/// How Jaeger's clients and agents send spans.
const POST_SPANS: &str = "/jaeger.api_v2.CollectorService/PostSpans";
const CONTENT_TYPE: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// All that comes on the port of OTLP over gRPC.
pub(super) fn router(intake: Arc<Intake>) -> Router {
    Router::new().fallback(serve).with_state(intake)
}

/// Whether a request is gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let given = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    // `+proto` and the like may follow. gRPC-Web is something else.
    let given = given.split(['+', ';']).next().unwrap_or_default();
    is(given, CONTENT_TYPE)
}

async fn serve(State(intake): State<Arc<Intake>>, request: Request) -> Response<Body> {
    let path = request.uri().path();
    let called = called(path);
    let posted = Signal::ALL.into_iter().find(|signal| signal.path() == path);
    let signal = called.map(|(signal, _)| signal).or(posted);
    let name = signal.map_or("", Signal::name);
    if !is_grpc(request.headers()) || request.version() != Version::HTTP_2 {
        return not_grpc(&intake, request, posted, name).await;
    }
    let protocol = match called {
        Some((_, Encoding::Jaeger(_))) => "jaeger/grpc",
        _ => "grpc",
    };
    let sender = sender(&request, protocol, name);
    let (parts, mut body) = request.into_parts();
    let result = match called {
        Some(form) => take(&intake, &sender, form, &parts.headers, &mut body)
            .await
            .map(|outcome| (form, outcome)),
        None => Err(Refusal::new(
            Kind::Path,
            "there is no such method",
            "call Export of OTLP's TraceService, LogsService, MetricsService or ProfilesService, or PostSpans of Jaeger's \
             CollectorService",
        )),
    };
    match result {
        // `PostSpansResponse` has no fields.
        Ok(((_, Encoding::Jaeger(_)), _)) => success(&[]),
        Ok(((signal, _), outcome)) => success(&answer::success_protobuf(signal, &outcome)),
        Err(refusal) => {
            intake.note(&sender, &refusal);
            body::discard(body, &intake.limits).await;
            refused(&refusal)
        }
    }
}

/// What a method takes, and in which form.
fn called(path: &str) -> Option<(Signal, Encoding)> {
    if path == POST_SPANS {
        return Some((Signal::Traces, Encoding::Jaeger(jaeger::Form::Protobuf)));
    }
    let signal = Signal::ALL
        .into_iter()
        .find(|signal| signal.method() == path)?;
    Some((signal, Encoding::Protobuf))
}

/// Tells whoever speaks plain HTTP where that is understood.
async fn not_grpc(
    intake: &Intake,
    request: Request,
    posted: Option<Signal>,
    name: &'static str,
) -> Response<Body> {
    let sender = sender(&request, "http", name);
    let (host, port) = (host(request.uri(), request.headers()), intake.http_port);
    let scheme = intake.scheme;
    let path = posted.unwrap_or(Signal::Traces).path();
    let refusal = Refusal::new(
        Kind::Unsupported,
        "this is the port of OTLP over gRPC, and the request is not gRPC over HTTP/2",
        format!(
            "send OTLP over HTTP to {scheme}://{host}:{port}{path}, or set the exporter's protocol to grpc"
        ),
    );
    intake.note(&sender, &refusal);
    body::discard(request.into_body(), &intake.limits).await;
    answer::refused(None, &refusal)
}

async fn take(
    intake: &Intake,
    sender: &Sender,
    (signal, encoding): (Signal, Encoding),
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Outcome, Refusal> {
    let compression = Compression::named(text(headers, &ENCODING))?;
    let Whole { bytes, share } = body::read(body, intake.share(), &intake.limits).await?;
    let (is_compressed, message) = message(&bytes)?;
    let payload = Payload {
        signal,
        encoding,
        compression: if is_compressed {
            compression
        } else {
            Compression::Identity
        },
        whole: Whole {
            bytes: message,
            share,
        },
        told: Told::default(),
    };
    intake.take(sender, payload).await
}

/// The one message of a call, and whether it is compressed.
fn message(bytes: &Bytes) -> Result<(bool, Bytes), Refusal> {
    let malformed = |detail: &str| {
        let reason = "the call is not one gRPC message";
        Refusal::new(
            Kind::Malformed,
            reason,
            "send one Export request in each call",
        )
        .with_detail(detail)
    };
    let Some((&[flag, length @ ..], message)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(malformed("it has no length"));
    };
    if u32::from_be_bytes(length) as usize != message.len() {
        return Err(malformed("it is not as long as it says"));
    }
    match flag {
        0 | 1 => Ok((flag == 1, bytes.slice(PREFIX_BYTES..))),
        _ => Err(malformed("it does not say whether it is compressed")),
    }
}

fn success(message: &[u8]) -> Response<Body> {
    let mut framed = vec![0];
    // An answer is a few hundred bytes.
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(framed)).with_trailers(async move { Some(Ok(trailers)) });
    with_body(Body::new(body))
}

/// A refusal: headers alone, which gRPC calls trailers-only.
pub(super) fn refused(refusal: &Refusal) -> Response<Body> {
    let mut response = with_body(Body::empty());
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(refusal.grpc_code()));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(&refusal.message())) {
        headers.insert(MESSAGE, message);
    }
    let mut details = String::new();
    json::base64(&mut details, &refusal.protobuf());
    if refusal.retry_after().is_some()
        && let Ok(details) = HeaderValue::from_str(details.trim_end_matches('='))
    {
        headers.insert(DETAILS, details);
    }
    response
}

fn with_body(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    response
}

/// A message as gRPC has it in a header: printable ASCII but `%` stays, other bytes become `%XX`.
fn percent_encoded(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_message_with_its_length() {
        let read = |bytes: &'static [u8]| message(&Bytes::from_static(bytes));
        assert_eq!(read(&[0, 0, 0, 0, 0]), Ok((false, Bytes::new())));
        assert_eq!(
            read(&[1, 0, 0, 0, 2, b'h', b'i']),
            Ok((true, Bytes::from_static(b"hi")))
        );
        for wrong in [
            &[][..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 1],
            &[0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0],
        ] {
            let bytes = Bytes::copy_from_slice(wrong);
            assert!(message(&bytes).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("100% of é\n"), "100%25 of %C3%A9%0A");
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        let is = |content_type: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            is_grpc(&headers)
        };
        assert!(
            is("application/grpc") && is("application/grpc+proto") && is("application/grpc;x=y")
        );
        assert!(!is("application/grpc-web") && !is("application/json"));
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
