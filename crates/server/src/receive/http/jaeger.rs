//! Jaeger's `POST /api/traces`, as its collector takes it at port 14268.

use axum::{
    body::Body,
    http::{HeaderMap, Response, StatusCode, header},
};

use super::{
    super::{
        Outcome, answer,
        body::Compression,
        decode::{Encoding, Signal, jaeger::Form},
        refusal::Refusal,
    },
    foreign::{Way, unsupported},
    is, text,
};

pub(super) const WAYS: &[Way] = &[Way {
    path: "/api/traces",
    signal: Signal::Traces,
    protocol: "jaeger/thrift",
    what: "Jaeger's spans",
    is_put: false,
    form,
    answer,
}];

/// What clients call Thrift.
const THRIFT: [&str; 3] = [
    "application/x-thrift",
    "application/vnd.apache.thrift.binary",
    "application/thrift",
];

fn form(headers: &HeaderMap) -> Result<(Encoding, Compression), Refusal> {
    let given = text(headers, &header::CONTENT_TYPE);
    if given.is_some_and(|given| !THRIFT.iter().any(|known| is(given, known))) {
        return Err(unsupported(
            "send a Batch of jaeger.thrift in Thrift's binary protocol, as application/x-thrift; OTLP goes to /v1/traces",
        ));
    }
    Ok((Encoding::Jaeger(Form::Thrift), Compression::of(headers)?))
}

fn answer(_: Encoding, outcome: &Outcome) -> Response<Body> {
    let rejection = answer::rejection(Signal::Traces, outcome);
    let mut response = answer::with_body(answer::TEXT, rejection.into_bytes());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
