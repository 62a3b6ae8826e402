//! Loki's `POST /loki/api/v1/push`.

use axum::{
    body::Body,
    http::{HeaderMap, Response, StatusCode, header},
};

use super::{
    super::{
        Outcome, answer,
        body::Compression,
        decode::{Encoding, Signal, loki::Form},
        refusal::Refusal,
    },
    foreign::{Way, empty, unsupported},
    is, text,
};

pub(super) const WAYS: &[Way] = &[Way {
    path: "/loki/api/v1/push",
    signal: Signal::Logs,
    protocol: "loki",
    what: "logs for Loki",
    is_put: false,
    form,
    answer,
}];

/// Protobuf is compressed with snappy, whether a header says so or not.
fn form(headers: &HeaderMap) -> Result<(Encoding, Compression), Refusal> {
    let given = text(headers, &header::CONTENT_TYPE).unwrap_or(answer::JSON);
    if is(given, answer::JSON) {
        Ok((Encoding::Loki(Form::Json), Compression::of(headers)?))
    } else if is(given, answer::PROTOBUF) {
        Ok((Encoding::Loki(Form::Protobuf), Compression::Snappy))
    } else {
        let mend = "send application/json, or application/x-protobuf as one block of snappy";
        Err(unsupported(mend))
    }
}

/// As Loki itself: what is kept is kept, and what is not is said by 400, which nobody sends again.
fn answer(_: Encoding, outcome: &Outcome) -> Response<Body> {
    let rejection = answer::rejection(Signal::Logs, outcome);
    if rejection.is_empty() {
        return empty(StatusCode::NO_CONTENT);
    }
    let mut response = answer::with_body(answer::TEXT, rejection.into_bytes());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
