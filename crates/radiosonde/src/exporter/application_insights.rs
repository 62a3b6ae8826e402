//! Application Insights of Azure Monitor: envelopes of its ingestion protocol ("Breeze") to `/v2/track`, a JSON array
//! compressed by gzip.
//!
//! What becomes what: a span of kind server or consumer is a request, any other a dependency; a log is a message, or an
//! exception where it is an error that names one; an event is a custom event, its numbers measurements; a metric is what came
//! since the last snapshot, a histogram an aggregate with count, least and greatest.
//!
//! Where an answer takes a part (206), only the envelopes that it lists with a status that may change are sent again.

use std::fmt;

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};

use super::{
    backend::{
        Backend, Call, Connection, Format, Kind, Requests, Wire,
        pages::{Pages, Shape},
        post::Post,
    },
    delivery::{
        DestinationError, Outcome,
        http::{Answer, below},
    },
    spool::Payload,
};
use crate::{encode::otlp::Signal, redact::Redaction};

mod answer;
mod envelopes;
mod spans;

const KIND: Kind = Kind {
    name: "application_insights",
    title: "Application Insights",
    component: "application_insights_exporter",
};

/// Where telemetry goes unless the connection string says otherwise.
pub const ENDPOINT_DEFAULT: &str = "https://dc.services.visualstudio.com";

/// Where and how to send to Application Insights.
#[derive(Clone, PartialEq)]
pub struct ApplicationInsightsConfig {
    /// How it is reached; the endpoint is the one for ingestion.
    pub connection: Connection,
    /// Whose telemetry it is.
    pub instrumentation_key: String,
    /// Of 100 requests, how many are recorded, so that Azure counts each for as many as it stands for. 100 unless the program
    /// samples its traces.
    pub sample_percent: f64,
}

impl ApplicationInsightsConfig {
    /// What a connection string says: `InstrumentationKey=…;IngestionEndpoint=https://…/`, and `EndpointSuffix` of the older ones.
    /// What else it says is not needed here.
    pub fn from_connection_string(text: &str) -> Result<Self, DestinationError> {
        let value_of = |wanted: &str| {
            text.split(';')
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
        };
        let key = value_of("InstrumentationKey").ok_or_else(|| DestinationError::Setting {
            destination: KIND.title,
            setting: "connection_string",
            reason: "it has no InstrumentationKey; copy it from the resource's overview in the Azure portal"
                .to_owned(),
        })?;
        let suffix = value_of("EndpointSuffix").map(|suffix| format!("https://dc.{suffix}"));
        let endpoint = value_of("IngestionEndpoint").map(str::to_owned).or(suffix);
        Ok(Self {
            connection: Connection::new(endpoint.unwrap_or_else(|| ENDPOINT_DEFAULT.to_owned())),
            instrumentation_key: key.to_owned(),
            sample_percent: 100.0,
        })
    }
}

impl fmt::Debug for ApplicationInsightsConfig {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationInsightsConfig")
            .field("connection", &self.connection)
            .field("sample_percent", &self.sample_percent)
            .finish_non_exhaustive()
    }
}

/// Starts to send to Application Insights.
pub fn open(config: &ApplicationInsightsConfig) -> Result<Backend, DestinationError> {
    let percent = config.sample_percent;
    if !(percent > 0.0 && percent <= 100.0) {
        return Err(DestinationError::Setting {
            destination: KIND.title,
            setting: "sample_percent",
            reason: format!("{percent} is not above 0 and at most 100"),
        });
    }
    let connection = &config.connection;
    let url = below(&connection.endpoint, "v2/track");
    let wire = Track(Post::new(KIND.title, &url, "application/json")?);
    let bytes_max = connection.request_bytes_max;
    let format = ApplicationInsights {
        envelopes: envelopes::Envelopes::new(config, Redaction::default()),
        pages: Signal::ALL.map(|signal| Pages::new(Shape::array(signal, bytes_max))),
    };
    // What waits for one key is not mixed with what waits for another: the fragment is part of the spool's name and is never sent.
    let name = format!("{url}#{}", config.instrumentation_key);
    let ways = vec![(Signal::ALL.to_vec(), name, wire)];
    Backend::start(KIND, connection, format, ways)
}

struct ApplicationInsights {
    envelopes: envelopes::Envelopes,
    pages: [Pages; 3],
}

impl Format for ApplicationInsights {
    fn encode(&mut self, batch: &Batch, requests: &mut Requests<'_>) {
        let [spans, logs, _] = &mut self.pages;
        if requests.takes(Signal::Traces) {
            self.envelopes.spans(batch, spans, requests);
        }
        if requests.takes(Signal::Logs) {
            self.envelopes.logs(batch, logs, requests);
        }
    }

    fn encode_metrics(&mut self, snapshot: &Snapshot, requests: &mut Requests<'_>) {
        let [.., metrics] = &mut self.pages;
        if requests.takes(Signal::Metrics) {
            self.envelopes.metrics(snapshot, metrics, requests);
        }
    }
}

struct Track(Post);

impl Wire for Track {
    fn call(&mut self, payload: &Payload) -> Result<Call<'_>, String> {
        self.0.call(payload)
    }

    fn judge(&mut self, payload: &Payload, answer: &Answer) -> Outcome {
        answer::outcome(payload, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_says_where_and_whose() {
        let read = ApplicationInsightsConfig::from_connection_string;
        let config = read(
            "InstrumentationKey=00-K3Y;IngestionEndpoint=https://westeurope.in.ai.azure.com/;LiveEndpoint=https://x/",
        )
        .unwrap();
        assert_eq!(config.instrumentation_key, "00-K3Y");
        assert_eq!(
            config.connection.endpoint,
            "https://westeurope.in.ai.azure.com/"
        );
        assert!(!format!("{config:?}").contains("K3Y"));
        let endpoint = |text| read(text).unwrap().connection.endpoint;
        assert_eq!(endpoint("instrumentationkey=k"), ENDPOINT_DEFAULT);
        assert_eq!(
            endpoint("EndpointSuffix=ai.contoso.com; InstrumentationKey=k"),
            "https://dc.ai.contoso.com"
        );
        for text in ["", "InstrumentationKey=", "key"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("connection_string: it has no"), "{error}");
        }
        let mut config = read("InstrumentationKey=k").unwrap();
        config.sample_percent = 0.0;
        assert!(open(&config).is_err());
    }
}
