//! What Datadog's libraries send to its agent, and what libraries and agent send to its intake.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Response, StatusCode, header},
    routing::get,
};

use super::{
    super::{
        Intake, Outcome, answer,
        body::Compression,
        decode::{Encoding, Signal, datadog::Form, text as json},
        refusal::Refusal,
    },
    foreign::{Way, unsupported},
    is, text,
};

/// Every sampled trace is kept: libraries ask at which rate to sample each service.
const RATES: &str = r#"{"rate_by_service":{"service:,env:":1}}"#;

pub(super) const WAYS: &[Way] = &[
    Way {
        answer: old_traces_answer,
        ..traces("/v0.3/traces", traces_form)
    },
    traces("/v0.4/traces", traces_form),
    traces("/v0.5/traces", table_form),
    Way {
        answer: old_series_answer,
        ..series("/api/v1/series")
    },
    series("/api/v2/series"),
    logs("/api/v2/logs", logs_answer),
    logs("/v1/input", old_logs_answer),
    // The key may be in the address.
    logs("/v1/input/{key}", old_logs_answer),
];

const fn traces(
    path: &'static str,
    form: fn(&HeaderMap) -> Result<(Encoding, Compression), Refusal>,
) -> Way {
    Way {
        path,
        signal: Signal::Traces,
        protocol: "datadog",
        what: "Datadog's traces",
        is_put: true,
        form,
        answer: traces_answer,
    }
}

const fn series(path: &'static str) -> Way {
    Way {
        path,
        signal: Signal::Metrics,
        protocol: "datadog",
        what: "Datadog's metrics",
        is_put: false,
        form: series_form,
        answer: series_answer,
    }
}

const fn logs(path: &'static str, answer: fn(Encoding, &Outcome) -> Response<Body>) -> Way {
    Way {
        path,
        signal: Signal::Logs,
        protocol: "datadog",
        what: "Datadog's logs",
        is_put: false,
        form: logs_form,
        answer,
    }
}

/// What libraries ask an agent first: what it takes.
pub(super) fn router() -> Router<Arc<Intake>> {
    Router::new().route("/info", get(async || {
        let info = concat!(
            "{\"version\":\"sonde-",
            env!("CARGO_PKG_VERSION"),
            "\",\"endpoints\":[\"/v0.3/traces\",\"/v0.4/traces\",\"/v0.5/traces\"],\"client_drop_p0s\":false}"
        );
        answer::with_body(answer::JSON, info.into())
    }))
}

fn traces_form(headers: &HeaderMap) -> Result<(Encoding, Compression), Refusal> {
    msgpack(headers, Form::Traces)
}

fn table_form(headers: &HeaderMap) -> Result<(Encoding, Compression), Refusal> {
    msgpack(headers, Form::TracesByTable)
}

fn msgpack(headers: &HeaderMap, form: Form) -> Result<(Encoding, Compression), Refusal> {
    let given = text(headers, &header::CONTENT_TYPE).unwrap_or("application/msgpack");
    if !is(given, "application/msgpack") && !is(given, "application/x-msgpack") {
        return Err(unsupported(
            "send traces in MessagePack, as application/msgpack",
        ));
    }
    Ok((Encoding::Datadog(form), Compression::of(headers)?))
}

fn series_form(headers: &HeaderMap) -> Result<(Encoding, Compression), Refusal> {
    let given = text(headers, &header::CONTENT_TYPE).unwrap_or(answer::JSON);
    let form = if is(given, answer::PROTOBUF) {
        Form::SeriesProtobuf
    } else if is(given, answer::JSON) || is(given, "text/json") {
        Form::Series
    } else {
        return Err(unsupported(
            "send series as application/json or application/x-protobuf",
        ));
    };
    Ok((Encoding::Datadog(form), Compression::of(headers)?))
}

fn logs_form(headers: &HeaderMap) -> Result<(Encoding, Compression), Refusal> {
    let given = text(headers, &header::CONTENT_TYPE).unwrap_or(answer::JSON);
    if !is(given, answer::JSON) {
        return Err(unsupported("send logs as application/json"));
    }
    Ok((Encoding::Datadog(Form::Logs), Compression::of(headers)?))
}

fn with(status: StatusCode, content_type: &'static str, body: &str) -> Response<Body> {
    let mut response = answer::with_body(content_type, body.into());
    *response.status_mut() = status;
    response
}

fn traces_answer(_: Encoding, _: &Outcome) -> Response<Body> {
    with(StatusCode::OK, answer::JSON, RATES)
}

fn old_traces_answer(_: Encoding, _: &Outcome) -> Response<Body> {
    with(StatusCode::OK, answer::TEXT, "OK\n")
}

fn series_answer(_: Encoding, outcome: &Outcome) -> Response<Body> {
    let mut body = "{\"errors\":[".to_owned();
    let rejection = answer::rejection(Signal::Metrics, outcome);
    if !rejection.is_empty() {
        json::string(&mut body, &rejection);
    }
    body.push_str("]}");
    with(StatusCode::ACCEPTED, answer::JSON, &body)
}

fn old_series_answer(_: Encoding, _: &Outcome) -> Response<Body> {
    with(StatusCode::ACCEPTED, answer::JSON, r#"{"status":"ok"}"#)
}

fn logs_answer(_: Encoding, _: &Outcome) -> Response<Body> {
    with(StatusCode::ACCEPTED, answer::JSON, "{}")
}

fn old_logs_answer(_: Encoding, _: &Outcome) -> Response<Body> {
    with(StatusCode::OK, answer::JSON, "{}")
}
