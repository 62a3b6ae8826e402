//! What collectors answer: `Export*ServiceResponse` (one shape for all signals), `google.rpc.Status` and `RetryInfo`.
//! Answers come from outside and may be anything.

#[cfg(feature = "otlp-grpc")]
use std::time::Duration;

use crate::{
    encode::otlp::reader::{Field, Reader},
    exporter::delivery::Outcome,
};

/// Most bytes of an answer that are read.
#[cfg(feature = "otlp-grpc")]
pub(super) const BYTES_MAX: u64 = crate::exporter::delivery::http::ANSWER_BYTES_MAX;
/// Most bytes of a message that are shown.
const MESSAGE_BYTES_MAX: usize = 300;

/// What the body of a success says. One that breaks off or is too long, and so is not whole, says what the part of it does
/// that is there.
pub(super) fn success(body: &[u8], is_whole: bool) -> Outcome {
    // JSON is an answer in the wrong encoding to a request that was understood.
    if body.is_empty() || body.trim_ascii_start().starts_with(b"{") {
        return Outcome::Delivered;
    }
    let partial = if is_whole {
        partial_success(body)
    } else {
        cut_partial_success(body)
    };
    let Some(partial) = partial else {
        return Outcome::Rejected {
            reason: format!(
                "the answer is not OTLP, is this a collector? It begins with: {}",
                text(body)
            ),
        };
    };
    match partial {
        (0, reason) if reason.is_empty() => Outcome::Delivered,
        (rejected, reason) => Outcome::Partial {
            rejected,
            reason: if reason.is_empty() {
                "no reason given".to_owned()
            } else {
                reason
            },
        },
    }
}

/// What the body of a success says to a request in JSON.
pub(super) fn json_success(body: &[u8]) -> Outcome {
    /// 64-bit numbers are text, and taken as numbers too.
    fn number(value: &serde_json::Value) -> u64 {
        let text = value.as_str().and_then(|text| text.parse().ok());
        text.or_else(|| value.as_u64()).unwrap_or(0)
    }
    let Ok(read) = serde_json::from_slice::<serde_json::Value>(body) else {
        // Protobuf, or nothing: an answer in the wrong encoding to a request that was understood.
        return success(body, true);
    };
    let partial = &read["partialSuccess"];
    let names = ["rejectedSpans", "rejectedLogRecords", "rejectedDataPoints"];
    let rejected: u64 = names.iter().map(|name| number(&partial[*name])).sum();
    let reason = text(
        partial["errorMessage"]
            .as_str()
            .unwrap_or_default()
            .as_bytes(),
    );
    match rejected {
        0 if reason.is_empty() => Outcome::Delivered,
        _ => Outcome::Partial {
            rejected,
            reason: if reason.is_empty() {
                "no reason given".to_owned()
            } else {
                reason
            },
        },
    }
}

/// The message of an error's body in JSON, else the body itself.
pub(super) fn json_error_message(body: &[u8]) -> String {
    let read = serde_json::from_slice::<serde_json::Value>(body).ok();
    let message = read.as_ref().and_then(|read| read["message"].as_str());
    message.map_or_else(|| text(body), |message| text(message.as_bytes()))
}

/// `partial_success` (field 1): rejected records (1) and error message (2). `None` when this is not a message.
fn partial_success(body: &[u8]) -> Option<(u64, String)> {
    let (mut rejected, mut message) = (0, String::new());
    for (field, value) in Reader(body).whole()? {
        if let (1, Field::Bytes(partial)) = (field, value) {
            for part in Reader(partial).whole()? {
                match part {
                    (1, Field::Varint(records)) => {
                        rejected = u64::try_from(records as i64).unwrap_or(0);
                    }
                    (2, Field::Bytes(bytes)) => message = text(bytes),
                    _ => {}
                }
            }
        }
    }
    Some((rejected, message))
}

/// The same of a message that goes on beyond `body`: its first field does, as it has no other.
fn cut_partial_success(body: &[u8]) -> Option<(u64, String)> {
    let partial = Reader(body).cut_bytes(1)?;
    let rejected = Reader(partial).find_map(|part| match part {
        (1, Field::Varint(records)) => u64::try_from(records as i64).ok(),
        _ => None,
    });
    Some((rejected.unwrap_or(0), "the answer is cut off".to_owned()))
}

/// The message of an error's body: of a `google.rpc.Status` (field 2), else the body itself.
pub(super) fn error_message(body: &[u8]) -> String {
    let status = Reader(body).whole().and_then(|fields| {
        fields.into_iter().find_map(|field| match field {
            (2, Field::Bytes(message)) => Some(text(message)),
            _ => None,
        })
    });
    status.unwrap_or_else(|| text(body))
}

/// The delay of the `RetryInfo` among the details of a `google.rpc.Status` (google/rpc/error_details.proto).
#[cfg(feature = "otlp-grpc")]
pub(super) fn retry_info(status: &[u8]) -> Option<Duration> {
    let fields = |bytes| Reader(bytes).whole().unwrap_or_default();
    let details = fields(status).into_iter().filter_map(|field| match field {
        (3, Field::Bytes(any)) => Some(any),
        _ => None,
    });
    for any in details.map(fields) {
        let is_retry_info = any.iter().any(|field| {
            matches!(field, (1, Field::Bytes(url)) if url.ends_with(b"/google.rpc.RetryInfo"))
        });
        let value = any.into_iter().find_map(|field| match field {
            (2, Field::Bytes(value)) if is_retry_info => Some(value),
            _ => None,
        });
        for (field, value) in value.map(fields).unwrap_or_default() {
            if let (1, Field::Bytes(duration)) = (field, value) {
                return Some(duration_from(duration));
            }
        }
    }
    None
}

/// `google.protobuf.Duration`; a negative one is no wait.
#[cfg(feature = "otlp-grpc")]
fn duration_from(message: &[u8]) -> Duration {
    let mut duration = Duration::ZERO;
    for field in Reader(message) {
        match field {
            (1, Field::Varint(seconds)) => {
                duration = duration.saturating_add(Duration::from_secs(
                    u64::try_from(seconds as i64).unwrap_or(0),
                ));
            }
            (2, Field::Varint(nanos)) => {
                duration = duration.saturating_add(Duration::from_nanos(
                    u64::try_from(nanos as i64).unwrap_or(0),
                ));
            }
            _ => {}
        }
    }
    duration
}

/// The beginning of `bytes` as one line that is safe to print.
fn text(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(MESSAGE_BYTES_MAX)];
    let text = String::from_utf8_lossy(bytes);
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    #[test]
    fn a_partial_success_is_read() {
        let response = |rejected_spans, error_message: &str| {
            let partial = ExportTracePartialSuccess {
                rejected_spans,
                error_message: error_message.to_owned(),
            };
            success(
                &ExportTraceServiceResponse {
                    partial_success: Some(partial),
                }
                .encode_to_vec(),
                true,
            )
        };
        let partial = |rejected, reason: &str| Outcome::Partial {
            rejected,
            reason: reason.to_owned(),
        };
        assert_eq!(response(3, "too\nold"), partial(3, "too old"));
        assert_eq!(response(0, "careful"), partial(0, "careful"));
        assert_eq!(response(2, ""), partial(2, "no reason given"));
        assert_eq!(response(-1, "odd"), partial(0, "odd"));
        assert_eq!(response(0, ""), Outcome::Delivered);
        for is_whole in [true, false] {
            assert_eq!(success(b"", is_whole), Outcome::Delivered);
            let json = b"{\"partialSuccess\":{}}";
            assert_eq!(success(json, is_whole), Outcome::Delivered);
        }
    }

    #[test]
    fn of_a_message_that_is_cut_off_the_number_is_read() {
        let partial = ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "x".repeat(1000),
        };
        let body = ExportTraceServiceResponse {
            partial_success: Some(partial),
        };
        let body = body.encode_to_vec();
        let cut = |length: usize| success(&body[..length], false);
        let partial = |rejected| Outcome::Partial {
            rejected,
            reason: "the answer is cut off".to_owned(),
        };
        assert_eq!(cut(500), partial(3));
        assert_eq!(cut(5), partial(3));
        assert_eq!(cut(4), partial(0));
        for page in ["<html>", "\n<html>", "OK", "\n\n"] {
            let page = page.repeat(100);
            let said = success(page.as_bytes(), false);
            assert!(matches!(said, Outcome::Rejected { .. }), "{page:.10}");
        }
    }

    #[test]
    fn what_is_not_a_message_is_an_error_that_shows_its_beginning() {
        let Outcome::Rejected { reason } =
            success("<html>\u{7}Log in</html>".repeat(1000).as_bytes(), true)
        else {
            panic!("accepted")
        };
        assert!(
            reason.contains("is this a collector? It begins with: <html> Log in</html>"),
            "{reason}"
        );
        assert!(reason.len() < 400);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_answers_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            success(&body, true);
            success(&body, false);
            prop_assert!(error_message(&body).len() <= 3 * MESSAGE_BYTES_MAX);
            #[cfg(feature = "otlp-grpc")]
            retry_info(&body);
        }
    }
}
