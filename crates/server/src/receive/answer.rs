//! What receivers answer, in the encoding of the request.

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};

use super::{
    Outcome,
    decode::{
        Encoding, Signal, text,
        wire::{put_bytes, put_number},
    },
    refusal::Refusal,
};

/// The content type of protobuf over HTTP.
pub(super) const PROTOBUF: &str = "application/x-protobuf";
/// The content type of JSON.
pub(super) const JSON: &str = "application/json";

/// The content type of what people read.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// What is said of items that were not kept; empty where all were.
pub(super) fn rejection(signal: Signal, outcome: &Outcome) -> String {
    let Some((reason, place)) = &outcome.rejected.first else {
        return String::new();
    };
    let (items, count) = (signal.items(), outcome.rejected.items);
    let (what, mend) = (reason.text(), reason.mend());
    format!("{count} {items} were not kept; of the first, {place}, {what}; {mend}")
}

/// An `Export*ServiceResponse{partial_success=1{rejected=1, error_message=2}}`. Without partial success it is empty.
pub(super) fn success_protobuf(signal: Signal, outcome: &Outcome) -> Vec<u8> {
    let mut partial = Vec::new();
    put_number(&mut partial, 1, outcome.rejected.items);
    put_bytes(&mut partial, 2, rejection(signal, outcome).as_bytes());
    let mut response = Vec::new();
    put_bytes(&mut response, 1, &partial);
    response
}

/// The same in JSON.
fn success_json(signal: Signal, outcome: &Outcome) -> Vec<u8> {
    if outcome.rejected.items == 0 {
        return b"{}".to_vec();
    }
    let rejected = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Profiles => "rejectedProfiles",
    };
    let count = outcome.rejected.items;
    let mut json = format!("{{\"partialSuccess\":{{\"{rejected}\":\"{count}\",\"errorMessage\":");
    text::string(&mut json, &rejection(signal, outcome));
    json.push_str("}}");
    json.into_bytes()
}

/// Success over HTTP.
pub(super) fn success(signal: Signal, encoding: Encoding, outcome: &Outcome) -> Response<Body> {
    match encoding {
        Encoding::Protobuf => with_body(PROTOBUF, success_protobuf(signal, outcome)),
        _ => with_body(JSON, success_json(signal, outcome)),
    }
}

/// A refusal over HTTP: a `google.rpc.Status` in the encoding of the request, or text where that is not known.
pub(super) fn refused(encoding: Option<Encoding>, refusal: &Refusal) -> Response<Body> {
    let mut response = match encoding {
        Some(Encoding::Protobuf) => with_body(PROTOBUF, refusal.protobuf()),
        Some(_) => with_body(JSON, refusal.json()),
        None => with_body(TEXT, format!("{}\n", refusal.message()).into_bytes()),
    };
    *response.status_mut() = refusal.http_status();
    if let Some(retry_after) = refusal.retry_after() {
        // Whole seconds, and not before there is room.
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// An answer of this type.
pub(super) fn with_body(content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
