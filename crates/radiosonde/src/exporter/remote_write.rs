//! Prometheus remote write, 1.0 and 2.0 (prometheus.io/docs/specs/prw): to Prometheus itself, Mimir, Thanos, VictoriaMetrics,
//! Grafana Cloud and whatever else takes it.
//!
//! What waits is 2.0, and becomes 1.0 on its way where the receiver wants that. Receivers from before 2.0 do not all refuse
//! it: Prometheus 2 reads it as a request with nothing in it, and answers that all is well. So a success that does not say
//! how much was written, which 2.0 demands, means 1.0 too, and the same samples are sent again at once.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};
use ureq::http::{HeaderName, HeaderValue, StatusCode, Uri, header};

use super::{
    DestinationError,
    backend::{Backend, Call, Connection, Format, Kind, Requests, Wire},
    delivery::{
        Outcome,
        http::{self, Answer},
    },
    spool::Payload,
};
use crate::encode::{
    otlp::Signal,
    remote_write::{Encoder, Options, first},
};

pub use crate::encode::remote_write::{Histograms, REQUEST_SAMPLES_MAX_DEFAULT};

const KIND: Kind = Kind {
    name: "remote_write",
    title: "remote write",
    component: "prometheus_remote_write_exporter",
};

/// Where receivers listen unless the endpoint has a path: that of Prometheus and VictoriaMetrics.
const PATH: &str = "api/v1/write";

/// The bit of a payload's tag that says that its body is `io.prometheus.write.v2.Request`, compressed by snappy. There is no
/// other body yet.
const SECOND: u8 = 0b1000;
/// The bit that says that all its samples are native histograms.
const NATIVE: u8 = 0b0100;

/// What Prometheus says where they are off (storage/interface.go: `ErrNativeHistogramsDisabled`), by status 500 in 2.42.
const NO_NATIVE: &[u8] = b"native histograms are disabled";

/// What 2.0 demands of a receiver's answer: how many it has written.
const WRITTEN: [HeaderName; 2] = [
    HeaderName::from_static("x-prometheus-remote-write-samples-written"),
    HeaderName::from_static("x-prometheus-remote-write-histograms-written"),
];

/// Which version is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 2.0, and 1.0 to a receiver that does not know it.
    #[default]
    Auto,
    /// 1.0.
    V1,
    /// 2.0. A receiver that does not know it refuses everything.
    V2,
}

/// Where to and how. The connection's endpoint is the whole URL; without a path it is that of Prometheus, `/api/v1/write`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteWriteConfig {
    /// How the receiver is reached.
    pub connection: Connection,
    /// Which version is spoken.
    pub version: Version,
    /// How histograms of exponential buckets are sent. A Prometheus that says it has native histograms switched off gets
    /// classic ones from then on.
    pub histograms: Histograms,
    /// Under the names of older programs too, as the endpoint for scrapes has them: `metal_operation_duration_ms` and the
    /// like. Each is a series more.
    pub aliases: bool,
    /// Samples after which another request is begun.
    pub request_samples_max: usize,
}

impl RemoteWriteConfig {
    /// The defaults for `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self::over(Connection::new(endpoint))
    }

    /// The defaults over `connection`.
    pub const fn over(connection: Connection) -> Self {
        Self {
            connection,
            version: Version::Auto,
            histograms: Histograms::Native,
            aliases: false,
            request_samples_max: REQUEST_SAMPLES_MAX_DEFAULT,
        }
    }
}

/// Starts sending metrics by remote write.
///
/// # Errors
/// Where the endpoint is no URL that can be sent to, or a header or certificate cannot be used.
pub fn open(config: &RemoteWriteConfig) -> Result<Backend, DestinationError> {
    let connection = &config.connection;
    let endpoint = if has_path(&connection.endpoint) {
        connection.endpoint.clone()
    } else {
        http::below(&connection.endpoint, PATH)
    };
    let refused_native = Arc::new(AtomicBool::new(false));
    let encoder = Encoder::new(Options {
        histograms: config.histograms,
        aliases: config.aliases,
        request_bytes_max: connection.request_bytes_max,
        request_samples_max: config.request_samples_max,
    });
    let writer = Writer {
        encoder,
        compressor: snap::raw::Encoder::new(),
        refused_native: Arc::clone(&refused_native),
    };
    let post = Post {
        url: http::uri(KIND.title, &endpoint)?,
        speaks_second: config.version != Version::V1,
        may_speak_first: config.version == Version::Auto,
        refused_native,
    };
    let ways = vec![(vec![Signal::Metrics], endpoint, post)];
    Backend::start(KIND, connection, writer, ways)
}

/// Whether a URL says more than which machine it is.
fn has_path(endpoint: &str) -> bool {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    !path.is_empty()
}

/// Writes requests of 2.0.
struct Writer {
    encoder: Encoder,
    compressor: snap::raw::Encoder,
    /// The receiver takes no native histograms.
    refused_native: Arc<AtomicBool>,
}

impl Format for Writer {
    fn encode(&mut self, _batch: &Batch, _requests: &mut Requests<'_>) {}

    fn encode_metrics(&mut self, snapshot: &Snapshot, requests: &mut Requests<'_>) {
        if !requests.takes(Signal::Metrics) {
            return;
        }
        if self.refused_native.load(Relaxed) {
            self.encoder.without_native();
        }
        let compressor = &mut self.compressor;
        self.encoder.encode(snapshot, |request| {
            // Only what exceeds 4 GiB cannot be compressed.
            if let Ok(body) = compressor.compress_vec(&request.body) {
                let bits = SECOND | if request.is_native { NATIVE } else { 0 };
                requests.push(Signal::Metrics, bits, request.samples, body);
            }
        });
    }
}

/// Posts requests in the version that the receiver knows.
struct Post {
    url: Uri,
    speaks_second: bool,
    /// It may be found out that it does not know 2.0.
    may_speak_first: bool,
    refused_native: Arc<AtomicBool>,
}

impl Wire for Post {
    fn call(&mut self, _payload: &Payload) -> Result<Call<'_>, String> {
        let (kind, version) = if self.speaks_second {
            (
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                "2.0.0",
            )
        } else {
            ("application/x-protobuf", "0.1.0")
        };
        let version_name = HeaderName::from_static("x-prometheus-remote-write-version");
        Ok(Call {
            url: &self.url,
            headers: vec![
                (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
                (header::CONTENT_ENCODING, HeaderValue::from_static("snappy")),
                (version_name, HeaderValue::from_static(version)),
            ],
        })
    }

    fn body<'p>(&mut self, payload: &'p Payload) -> Result<Cow<'p, [u8]>, String> {
        if payload.tag & SECOND == 0 {
            return Err("written by a newer version".to_owned());
        }
        if self.speaks_second {
            return Ok(Cow::Borrowed(&payload.body));
        }
        let damaged = || "what waited is damaged".to_owned();
        let plain = snap::raw::Decoder::new()
            .decompress_vec(&payload.body)
            .map_err(|_| damaged())?;
        let request = first(&plain).ok_or_else(damaged)?;
        let body = snap::raw::Encoder::new().compress_vec(&request);
        body.map(Cow::Owned).map_err(|error| error.to_string())
    }

    fn learn(&mut self, _payload: &Payload, answer: &Answer) -> bool {
        let knows_no_second = answer.status == StatusCode::UNSUPPORTED_MEDIA_TYPE
            || answer.status.is_success() && written(answer).is_none();
        let learns = self.speaks_second && self.may_speak_first && knows_no_second;
        if learns {
            self.speaks_second = false;
        }
        learns
    }

    fn judge(&mut self, payload: &Payload, answer: &Answer) -> Outcome {
        let records = u64::from(payload.records);
        let written = if self.speaks_second {
            written(answer)
        } else {
            None
        };
        if answer.status.is_success() {
            return match written {
                Some(written) if written >= records => Outcome::Delivered,
                Some(written) => Outcome::Partial {
                    rejected: records - written,
                    reason: format!("it has written {written} of {records} samples"),
                },
                None if self.speaks_second => Outcome::Rejected {
                    reason: "it does not say what it has written, so it knows no remote write 2.0: say version 1"
                        .to_owned(),
                },
                None if is_page(answer) => Outcome::Rejected {
                    reason: format!("this is a web page and no receiver of remote write: {}", answer.reason()),
                },
                None => Outcome::Delivered,
            };
        }
        if payload.tag & NATIVE != 0 && has(&answer.body, NO_NATIVE) {
            self.refused_native.store(true, Relaxed);
            return Outcome::Rejected {
                reason: format!("{}; classic ones are sent from now on", answer.reason()),
            };
        }
        let reason = answer.reason();
        match answer.status.as_u16() {
            429 | 500..=599 => Outcome::Unavailable {
                reason,
                retry_after: answer.retry_after(),
            },
            // Part of it is written, and the rest is not to be sent again.
            _ => Outcome::Partial {
                rejected: records - written.unwrap_or(0).min(records),
                reason,
            },
        }
    }
}

/// How many samples the receiver says it has written, native histograms among them; `None` where it does not say.
fn written(answer: &Answer) -> Option<u64> {
    let counts = WRITTEN.into_iter().filter_map(|name| {
        let value = answer.headers.get(name)?.to_str().ok()?;
        value.trim().parse::<u64>().ok()
    });
    counts.reduce(u64::saturating_add)
}

fn is_page(answer: &Answer) -> bool {
    answer.body.trim_ascii_start().starts_with(b"<")
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_endpoint_without_a_path_gets_one() {
        for endpoint in ["http://a:9090", "http://a:9090/", "https://a/?b=/c"] {
            assert!(!has_path(endpoint), "{endpoint}");
        }
        for endpoint in ["http://a/api/v1/push", "http://a/x?b", "https://[::1]:1/x"] {
            assert!(has_path(endpoint), "{endpoint}");
        }
    }
}
