//! OTLP over HTTP: protobuf or JSON by POST (OpenTelemetry protocol specification, OTLP/HTTP).

use ureq::http::{HeaderValue, StatusCode, Uri, header};

use super::{OtlpConfig, Target, config::DESTINATION, response};
use crate::{
    encode::otlp::Signal,
    exporter::{
        delivery::{
            DestinationError, GZIP, Outcome, Transport,
            http::{Answer, Client, below, uri},
            signal_of,
        },
        spool::Payload,
    },
};

/// How bodies are written, and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

pub(super) struct Http {
    client: Client,
    encoding: Encoding,
    /// By [`Signal`], in the order of [`Signal::ALL`].
    urls: [Uri; 3],
}

impl Http {
    pub(super) fn new(
        config: &OtlpConfig,
        target: &Target,
        encoding: Encoding,
    ) -> Result<Self, DestinationError> {
        let url = |signal: Signal| {
            if target.is_own {
                return uri(DESTINATION, &target.endpoint);
            }
            let path = format!("v1/{}", signal.name());
            uri(DESTINATION, &below(&target.endpoint, &path))
        };
        let [traces, logs, metrics] = Signal::ALL;
        Ok(Self {
            client: Client::new(&config.reach(), &target.endpoint)?,
            encoding,
            urls: [url(traces)?, url(logs)?, url(metrics)?],
        })
    }
}

impl Transport for Http {
    fn send(&mut self, payload: &Payload) -> Outcome {
        let Some(signal) = signal_of(payload.tag) else {
            return Outcome::Rejected {
                reason: "written by a newer version".to_owned(),
            };
        };
        let content_type = HeaderValue::from_static(match self.encoding {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        });
        let mut headers = vec![(header::CONTENT_TYPE, content_type)];
        if payload.tag & GZIP != 0 {
            headers.push((header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        let url = &self.urls[signal as usize - 1];
        match self.client.post(url, &headers, &payload.body) {
            Ok(answer) => outcome(&answer, self.encoding),
            Err(reason) => Outcome::Unreachable { reason },
        }
    }
}

fn outcome(answer: &Answer, encoding: Encoding) -> Outcome {
    let status = answer.status;
    if status.is_success() {
        return match encoding {
            Encoding::Protobuf => response::success(&answer.body, answer.is_whole),
            Encoding::Json => response::json_success(&answer.body),
        };
    }
    let mut reason = format!("HTTP {status}");
    let message = match encoding {
        Encoding::Protobuf => response::error_message(&answer.body),
        Encoding::Json => response::json_error_message(&answer.body),
    };
    if !message.is_empty() {
        reason = format!("{reason}: {message}");
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Unavailable {
            reason,
            retry_after: answer.retry_after(),
        },
        _ => Outcome::Rejected { reason },
    }
}
