//! Splunk's HTTP Event Collector: spans, logs and events as events, metrics as metrics, all to
//! `/services/collector/event`, compressed by gzip.
//!
//! Splunk says "taken" before an event is on its disk. Where acknowledgement is asked for, it is asked on at
//! `/services/collector/ack` until it says that the events are indexed; where that takes too long they are sent again, and may
//! then be there twice.
//!
//! A histogram is `NAME.count` and `NAME.sum`, totals since the start of which `rate()` makes what came, and `NAME.min` and
//! `NAME.max`.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};

use super::{
    backend::{
        Backend, Connection, Format, Kind, Requests,
        pages::{Pages, Shape},
        post::Post,
    },
    delivery::{
        DestinationError,
        http::{below, uri},
    },
};
use crate::{encode::otlp::Signal, redact::Redaction};

mod acknowledgement;
mod events;

const KIND: Kind = Kind {
    name: "splunk",
    title: "Splunk",
    component: "splunk_hec_exporter",
};

/// Where and how to send to Splunk.
#[derive(Clone, PartialEq, Eq)]
pub struct SplunkConfig {
    /// How it is reached; the endpoint is that of the collector, such as `https://localhost:8088`.
    pub connection: Connection,
    /// The collector's token.
    pub token: String,
    /// The index for spans, logs and events; the token's own where it is `None`.
    pub index: Option<String>,
    /// The index for metrics, which is one of the kind for metrics; the token's own where it is `None`.
    pub metrics_index: Option<String>,
    /// The source of everything; the service's name where it is `None`.
    pub source: Option<String>,
    /// How long to wait until Splunk says that what it took is indexed, for tokens with indexer acknowledgement. The next
    /// request waits meanwhile, so let requests be large. `None` where Splunk's answer is enough.
    pub acknowledgement: Option<Duration>,
}

impl SplunkConfig {
    /// The defaults for the collector at `endpoint`.
    pub fn new(endpoint: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            connection: Connection::new(endpoint),
            token: token.into(),
            index: None,
            metrics_index: None,
            source: None,
            acknowledgement: None,
        }
    }
}

impl fmt::Debug for SplunkConfig {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplunkConfig")
            .field("connection", &self.connection)
            .field("index", &self.index)
            .field("metrics_index", &self.metrics_index)
            .field("source", &self.source)
            .field("acknowledgement", &self.acknowledgement)
            .finish_non_exhaustive()
    }
}

/// Starts to send to Splunk.
pub fn open(config: &SplunkConfig) -> Result<Backend, DestinationError> {
    if config.token.is_empty() {
        return Err(DestinationError::Setting {
            destination: KIND.title,
            setting: "token",
            reason: "it is empty; name the token of an HTTP Event Collector".to_owned(),
        });
    }
    let mut connection = config.connection.clone();
    let token = format!("Splunk {}", config.token);
    connection.headers.push(("Authorization".to_owned(), token));
    let url = below(&connection.endpoint, "services/collector/event");
    let asked = below(&connection.endpoint, "services/collector/ack");
    let wire = acknowledgement::Collector {
        post: Post::new(KIND.title, &url, "application/json")?,
        asked: uri(KIND.title, &asked)?,
        channel: channel(),
        patience: config.acknowledgement,
    };
    let bytes_max = connection.request_bytes_max;
    let format = Splunk {
        events: events::Events::new(config, Redaction::default()),
        pages: Signal::ALL.map(|signal| Pages::new(Shape::lines(signal, bytes_max))),
    };
    let ways = vec![(Signal::ALL.to_vec(), url, wire)];
    Backend::start(KIND, &connection, format, ways)
}

/// A UUID of random digits (RFC 9562, version 4) for the channel of this process.
fn channel() -> String {
    let random = RandomState::new();
    let (high, low) = (random.hash_one(0), random.hash_one(1));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

struct Splunk {
    events: events::Events,
    pages: [Pages; 3],
}

impl Format for Splunk {
    fn encode(&mut self, batch: &Batch, requests: &mut Requests<'_>) {
        let [spans, logs, _] = &mut self.pages;
        if requests.takes(Signal::Traces) {
            self.events.spans(batch, spans, requests);
        }
        if requests.takes(Signal::Logs) {
            self.events.logs(batch, logs, requests);
        }
    }

    fn encode_metrics(&mut self, snapshot: &Snapshot, requests: &mut Requests<'_>) {
        let [.., metrics] = &mut self.pages;
        if requests.takes(Signal::Metrics) {
            self.events.metrics(snapshot, metrics, requests);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_a_uuid_and_the_token_is_not_shown() {
        let one = channel();
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{one}");
        assert_eq!(one.as_bytes()[14], b'4');
        assert_ne!(one, channel());
        let config = SplunkConfig::new("http://127.0.0.1:1", "T0KEN");
        assert!(!format!("{config:?}").contains("T0KEN"));
        let error = open(&SplunkConfig::new("http://127.0.0.1:1", "")).unwrap_err();
        assert!(error.to_string().starts_with("Splunk token: "), "{error}");
    }
}
