//! Elasticsearch and OpenSearch: everything goes to `/_bulk`, into the data streams `logs-DATASET-NAMESPACE`,
//! `traces-…` and `metrics-…`, with the field names of the Elastic Common Schema.
//!
//! Every document has an `_id` that is made once, when it is written, so that what is sent again after an answer that got lost is
//! not there twice: `create` then says 409, which counts as delivered. The answer speaks of each document; only those are
//! sent again of which it says 429 or 5xx.

use std::fmt;

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};

use super::{
    backend::{
        Backend, Call, Connection, Format, Kind, Requests, Wire,
        pages::{Pages, Shape},
        post::Post,
    },
    delivery::{
        DestinationError, GZIP, Outcome,
        base64::basic,
        gzip,
        http::{Answer, below},
    },
    spool::Payload,
};
use crate::{encode::otlp::Signal, redact::Redaction};

mod answer;
mod documents;

const KIND: Kind = Kind {
    name: "elasticsearch",
    title: "Elasticsearch",
    component: "elasticsearch_exporter",
};

/// The dataset unless configured otherwise.
pub const DATASET_DEFAULT: &str = "radiosonde";
/// The namespace unless configured otherwise, as Elastic's own shippers have it.
pub const NAMESPACE_DEFAULT: &str = "default";

/// Most documents of one request: what is said of all of them then fits into what is read of an answer.
const DOCUMENTS_MAX: u32 = 512;

/// Of the answer, what tells of each document; the whole answer would be larger than the request.
const FILTER: &str = "filter_path=errors,items.*.status,items.*.error.type";

/// How to prove who sends.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all, or by the headers of the connection.
    #[default]
    None,
    /// An API key as Kibana shows it, Base64 of `ID:KEY`. Elasticsearch only.
    ApiKey(String),
    /// User and password.
    Basic(String, String),
}

impl fmt::Debug for Credentials {
    /// Without the key and the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::ApiKey(_) => f.write_str("ApiKey"),
            Self::Basic(user, _) => f.debug_tuple("Basic").field(user).finish_non_exhaustive(),
        }
    }
}

/// Where and how to send to Elasticsearch or OpenSearch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticsearchConfig {
    /// How it is reached; the endpoint is that of the cluster, such as `https://localhost:9200`.
    pub connection: Connection,
    /// How to prove who sends.
    pub credentials: Credentials,
    /// The middle of the data streams' names. Lower case, without `-` and what names of indices may not have.
    pub dataset: String,
    /// The end of the data streams' names.
    pub namespace: String,
}

impl ElasticsearchConfig {
    /// The defaults for the cluster at `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            connection: Connection::new(endpoint),
            credentials: Credentials::None,
            dataset: DATASET_DEFAULT.to_owned(),
            namespace: NAMESPACE_DEFAULT.to_owned(),
        }
    }
}

/// Starts to send to Elasticsearch or OpenSearch.
pub fn open(config: &ElasticsearchConfig) -> Result<Backend, DestinationError> {
    for (setting, name) in [
        ("dataset", &config.dataset),
        ("namespace", &config.namespace),
    ] {
        if !is_part_of_name(name) {
            return Err(DestinationError::Setting {
                destination: KIND.title,
                setting,
                reason: format!(
                    "{name:?} cannot be part of a data stream's name; use lower-case letters, digits, `.` and `_`"
                ),
            });
        }
    }
    let mut connection = config.connection.clone();
    let proof = match &config.credentials {
        Credentials::None => None,
        Credentials::ApiKey(key) => Some(format!("ApiKey {key}")),
        Credentials::Basic(user, password) => Some(basic(user, password)),
    };
    let proof = proof.map(|proof| ("Authorization".to_owned(), proof));
    connection.headers.extend(proof);
    let url = below(&connection.endpoint, "_bulk");
    let separator = if url.contains('?') { '&' } else { '?' };
    let asked = format!("{url}{separator}{FILTER}");
    let wire = Bulk(Post::new(KIND.title, &asked, "application/x-ndjson")?);
    let bytes_max = connection.request_bytes_max;
    let pages = Signal::ALL.map(|signal| {
        Pages::new(Shape {
            records_max: DOCUMENTS_MAX,
            ..Shape::lines(signal, bytes_max)
        })
    });
    let format = Elasticsearch {
        documents: documents::Documents::new(config, Redaction::default()),
        pages,
    };
    let ways = vec![(Signal::ALL.to_vec(), url, wire)];
    Backend::start(KIND, &connection, format, ways)
}

/// What the Elasticsearch guide allows for the parts of a data stream's name.
fn is_part_of_name(name: &str) -> bool {
    let is_allowed = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '.' | '_');
    (1..=100).contains(&name.len()) && name.chars().all(is_allowed)
}

struct Elasticsearch {
    documents: documents::Documents,
    pages: [Pages; 3],
}

impl Format for Elasticsearch {
    fn encode(&mut self, batch: &Batch, requests: &mut Requests<'_>) {
        let [spans, logs, _] = &mut self.pages;
        if requests.takes(Signal::Traces) {
            self.documents.spans(batch, spans, requests);
        }
        if requests.takes(Signal::Logs) {
            self.documents.logs(batch, logs, requests);
        }
    }

    fn encode_metrics(&mut self, snapshot: &Snapshot, requests: &mut Requests<'_>) {
        let [.., metrics] = &mut self.pages;
        if requests.takes(Signal::Metrics) {
            self.documents.metrics(snapshot, metrics, requests);
        }
    }
}

struct Bulk(Post);

impl Wire for Bulk {
    fn call(&mut self, payload: &Payload) -> Result<Call<'_>, String> {
        self.0.call(payload)
    }

    fn judge(&mut self, payload: &Payload, answer: &Answer) -> Outcome {
        if !answer.status.is_success() {
            return answer.by_status();
        }
        let body = if payload.tag & GZIP == 0 {
            Some(payload.body.clone())
        } else {
            gzip::plain(&payload.body)
        };
        match body {
            Some(body) => answer::outcome(payload, &body, answer),
            None => Outcome::Rejected {
                reason: "what was sent cannot be read again".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_data_streams_and_keys_are_minded() {
        let mut config = ElasticsearchConfig::new("http://127.0.0.1:1");
        config.credentials = Credentials::Basic("bo".to_owned(), "hunter2".to_owned());
        assert!(!format!("{config:?}").contains("hunter2"));
        for name in ["", "A", "a-b", "a b", "a*"] {
            config.dataset = name.to_owned();
            let error = open(&config).unwrap_err().to_string();
            assert!(error.starts_with("Elasticsearch dataset: "), "{error}");
        }
    }
}
