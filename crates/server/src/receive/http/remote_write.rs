//! Prometheus' remote write, `POST /api/v1/write`, of 1.0 and 2.0.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};

use super::{
    super::{
        Outcome, answer,
        body::Compression,
        decode::{Encoding, Signal, remote_write::Form},
        refusal::{Kind, Refusal},
    },
    foreign::{Way, empty, unsupported},
    is, text,
};

pub(super) const WAYS: &[Way] = &[Way {
    path: "/api/v1/write",
    signal: Signal::Metrics,
    protocol: "remote_write",
    what: "Prometheus' samples (remote write)",
    is_put: false,
    form,
    answer,
}];

/// The messages of the two versions, by what the parameter `proto` of a content type says; the first is meant where it is not there.
const MESSAGES: [(&str, Form); 2] = [
    ("prometheus.WriteRequest", Form::One),
    ("io.prometheus.write.v2.Request", Form::Two),
];
const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

fn form(headers: &HeaderMap) -> Result<(Encoding, Compression), Refusal> {
    let given = text(headers, &header::CONTENT_TYPE).unwrap_or(answer::PROTOBUF);
    let form = version(given).ok_or_else(|| {
        unsupported(
            "send application/x-protobuf with proto=prometheus.WriteRequest (1.0) or proto=io.prometheus.write.v2.Request (2.0)",
        )
    })?;
    let encoding = text(headers, &header::CONTENT_ENCODING).unwrap_or("snappy");
    if !encoding.trim().eq_ignore_ascii_case("snappy") {
        return Err(Refusal::new(
            Kind::Unsupported,
            "remote write is compressed with snappy, and this is not",
            "send `Content-Encoding: snappy`, the protobuf as one block",
        ));
    }
    Ok((Encoding::RemoteWrite(form), Compression::Snappy))
}

fn version(content_type: &str) -> Option<Form> {
    if !is(content_type, answer::PROTOBUF) {
        return None;
    }
    let mut parameters = content_type.split(';').skip(1).map(str::trim);
    let Some(proto) = parameters.find_map(|parameter| parameter.strip_prefix("proto=")) else {
        return Some(Form::One);
    };
    let known = MESSAGES
        .iter()
        .find(|(name, _)| *name == proto.trim_matches('"'))?;
    Some(known.1)
}

/// What was written is said by 2.0's headers. A request of which something was not kept is no success, but an exemplar without a
/// sample is nothing that anybody could send better.
fn answer(encoding: Encoding, outcome: &Outcome) -> Response<Body> {
    let written = outcome.written;
    let mut response = if outcome.rejected.items > written.exemplars_alone {
        let rejection = answer::rejection(Signal::Metrics, outcome);
        let mut response = answer::with_body(answer::TEXT, rejection.into_bytes());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    } else {
        empty(StatusCode::NO_CONTENT)
    };
    if encoding == Encoding::RemoteWrite(Form::Two) {
        for (name, count) in [
            (SAMPLES, written.samples),
            (HISTOGRAMS, written.histograms),
            (EXEMPLARS, written.exemplars),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from(count));
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_says_the_version_and_an_unknown_one_is_refused() {
        for (given, expected) in [
            ("application/x-protobuf", Some(Form::One)),
            (
                "application/x-protobuf;proto=prometheus.WriteRequest",
                Some(Form::One),
            ),
            (
                "application/x-protobuf; proto=io.prometheus.write.v2.Request",
                Some(Form::Two),
            ),
            (
                "application/x-protobuf;proto=io.prometheus.write.v3.Request",
                None,
            ),
            ("application/json", None),
        ] {
            assert_eq!(version(given), expected, "{given}");
        }
    }
}
