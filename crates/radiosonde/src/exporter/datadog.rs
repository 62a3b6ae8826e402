//! Datadog, without an agent: metrics to `/api/v2/series` and logs to `/api/v2/logs`. Spans go to Datadog as OTLP, through its
//! agent or a collector, and are passed over here.
//!
//! What becomes what:
//! - a counter is a `COUNT` of what came since the last snapshot, with the interval in which it came, so that every sum over
//!   time is exact and Datadog makes rates of it itself; up-down counters and gauges are `GAUGE`s;
//! - a histogram is the `COUNT`s `NAME.count` and `NAME.sum` and the gauges `NAME.min`, `.max`, `.p50`, `.p90`, `.p95` and `.p99` of
//!   what came since the last snapshot. Sketches would let Datadog merge quantiles of several hosts, but are taken at a beta
//!   endpoint only whose format nobody promises;
//! - a log or event is an object with `dd.trace_id` and `dd.span_id`, decimal, of which Datadog knows 64 bits of a trace's.
//!
//! Limits: 512,000 bytes compressed and 5,242,880 before that for metrics; 1000 entries and 5 MB for logs.

use std::fmt;

use super::{
    backend::{
        Backend, Call, Connection, Format, Kind, Requests, Wire,
        pages::{Pages, Shape},
        post::Post,
    },
    delivery::{DestinationError, http::below},
    spool::Payload,
};
use crate::{encode::otlp::Signal, redact::Redaction};
use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};
use ureq::http::{HeaderValue, header};

mod logs;
mod metrics;

const KIND: Kind = Kind {
    name: "datadog",
    title: "Datadog",
    component: "datadog_exporter",
};

/// The site that Datadog began with.
pub const SITE_DEFAULT: &str = "datadoghq.com";

/// Most bytes of one request with logs, before compression.
const LOG_BYTES_MAX: usize = 5_000_000;
/// Most entries of one request with logs.
const LOGS_MAX: u32 = 1000;

/// Where and how to send to Datadog.
#[derive(Clone, PartialEq, Eq)]
pub struct DatadogConfig {
    /// How it is reached. The endpoint is empty for the hosts of the site, or a base URL below which both paths are, as of a
    /// proxy. Of the signals, metrics and logs are sent.
    pub connection: Connection,
    /// An API key of the organisation.
    pub api_key: String,
    /// The site, such as `datadoghq.com`, `us5.datadoghq.com` or `datadoghq.eu`.
    pub site: String,
    /// Tags of everything that is sent, such as `team:vision`, beside `service`, `env` and `version` of the resource.
    pub tags: Vec<String>,
    /// The host to name; the resource's `host.name` where it is `None`.
    pub host: Option<String>,
}

impl DatadogConfig {
    /// The defaults for an organisation's `api_key` at `site`.
    pub fn new(site: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self {
            connection: Connection::new(""),
            api_key: api_key.into(),
            site: site.into(),
            tags: Vec::new(),
            host: None,
        }
    }

    /// The URLs for metrics and for logs.
    fn urls(&self) -> Result<(String, String), DestinationError> {
        let (metrics, logs) = if self.connection.endpoint.is_empty() {
            let is_host = |letter: char| letter.is_ascii_alphanumeric() || "-.".contains(letter);
            if self.site.is_empty() || !self.site.chars().all(is_host) {
                return Err(invalid(
                    "site",
                    "it is the name of a site such as datadoghq.com, without https://",
                ));
            }
            (
                format!("https://api.{}", self.site),
                format!("https://http-intake.logs.{}", self.site),
            )
        } else {
            let endpoint = &self.connection.endpoint;
            (endpoint.clone(), endpoint.clone())
        };
        Ok((
            below(&metrics, "api/v2/series"),
            below(&logs, "api/v2/logs"),
        ))
    }
}

fn invalid(setting: &'static str, reason: &str) -> DestinationError {
    DestinationError::Setting {
        destination: KIND.title,
        setting,
        reason: reason.to_owned(),
    }
}

impl fmt::Debug for DatadogConfig {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatadogConfig")
            .field("connection", &self.connection)
            .field("site", &self.site)
            .field("tags", &self.tags)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Starts to send to Datadog.
pub fn open(config: &DatadogConfig) -> Result<Backend, DestinationError> {
    if config.api_key.is_empty() {
        return Err(invalid("api_key", "it is empty; name the API key to use"));
    }
    let (metrics, logs) = config.urls()?;
    let mut connection = config.connection.clone();
    let key = ("DD-API-KEY".to_owned(), config.api_key.clone());
    connection.headers.push(key);
    let wire = |url: &str, content_type, encoding| {
        let post = Post::new(KIND.title, url, content_type)?;
        Ok::<_, DestinationError>(Intake { post, encoding })
    };
    let ways = vec![
        (
            vec![Signal::Metrics],
            metrics.clone(),
            wire(&metrics, "application/x-protobuf", Some("zstd"))?,
        ),
        (
            vec![Signal::Logs],
            logs.clone(),
            wire(&logs, "application/json", None)?,
        ),
    ];
    let bytes_max = connection.request_bytes_max;
    let format = Datadog {
        logs: logs::Logs::new(config, Redaction::default()),
        pages: Pages::new(Shape {
            records_max: LOGS_MAX,
            ..Shape::array(Signal::Logs, bytes_max.min(LOG_BYTES_MAX))
        }),
        metrics: metrics::Metrics::new(config, bytes_max, Redaction::default()),
    };
    Backend::start(KIND, &connection, format, ways)
}

struct Datadog {
    logs: logs::Logs,
    pages: Pages,
    metrics: metrics::Metrics,
}

impl Format for Datadog {
    fn encode(&mut self, batch: &Batch, requests: &mut Requests<'_>) {
        if requests.takes(Signal::Logs) {
            self.logs.encode(batch, &mut self.pages, requests);
        }
    }

    fn encode_metrics(&mut self, snapshot: &Snapshot, requests: &mut Requests<'_>) {
        if requests.takes(Signal::Metrics) {
            self.metrics.encode(snapshot, requests);
        }
    }
}

/// One of Datadog's intakes, which answers by status: 202 is taken.
struct Intake {
    post: Post,
    /// How bodies are compressed, where it is not gzip.
    encoding: Option<&'static str>,
}

impl Wire for Intake {
    fn call(&mut self, payload: &Payload) -> Result<Call<'_>, String> {
        let encoding = self.encoding.map(HeaderValue::from_static);
        let headers = encoding.map(|encoding| (header::CONTENT_ENCODING, encoding));
        Ok(self.post.with(payload, headers.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_leads_to_two_hosts_and_an_endpoint_to_one() {
        let mut config = DatadogConfig::new("us5.datadoghq.com", "k");
        let (metrics, logs) = config.urls().unwrap();
        assert_eq!(metrics, "https://api.us5.datadoghq.com/api/v2/series");
        assert_eq!(
            logs,
            "https://http-intake.logs.us5.datadoghq.com/api/v2/logs"
        );
        config.connection.endpoint = "http://proxy:8080/dd/".to_owned();
        let (metrics, logs) = config.urls().unwrap();
        assert_eq!(metrics, "http://proxy:8080/dd/api/v2/series");
        assert_eq!(logs, "http://proxy:8080/dd/api/v2/logs");
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_place_and_without_the_key() {
        let open = |site, key| {
            open(&DatadogConfig::new(site, key))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            open("datadoghq.com", ""),
            "Datadog api_key: it is empty; name the API key to use"
        );
        assert!(open("https://datadoghq.com", "K3Y").starts_with("Datadog site: "));
        let config = DatadogConfig::new(SITE_DEFAULT, "K3Y");
        assert!(!format!("{config:?}").contains("K3Y"));
    }
}
