//! Every kind of destination: its names, and how its table is read.

#[cfg(feature = "backends")]
mod backends;
#[cfg(feature = "brokers")]
mod brokers;
mod file;
#[cfg(any(feature = "syslog", feature = "brokers", feature = "backends"))]
mod sending;
mod statsd;
#[cfg(feature = "syslog")]
mod syslog;

use std::{fmt, sync::Arc};

use super::table::Table;
use crate::{config::nearest::nearest, exporter::Exporter};

/// A kind of destination.
pub(super) struct Kind {
    /// What it is called.
    pub(super) name: &'static str,
    /// Other names for it.
    also: &'static [&'static str],
    /// Takes the kind's keys out of the table; what is wrong is in the table.
    pub(super) plan: fn(&mut Table) -> Option<Plan>,
}

impl Kind {
    const fn new(
        name: &'static str,
        also: &'static [&'static str],
        plan: fn(&mut Table) -> Option<Plan>,
    ) -> Self {
        Self { name, also, plan }
    }
}

/// Every kind, in the order of the documentation.
static KINDS: &[Kind] = &[
    #[cfg(feature = "backends")]
    Kind::new("otlp", &["opentelemetry"], otlp::otlp),
    #[cfg(feature = "backends")]
    Kind::new("jaeger", &[], otlp::jaeger),
    #[cfg(feature = "backends")]
    Kind::new(
        "remote_write",
        &["prometheus", "prometheus_remote_write"],
        backends::remote_write,
    ),
    #[cfg(feature = "backends")]
    Kind::new("pushgateway", &[], backends::pushgateway),
    #[cfg(feature = "backends")]
    Kind::new("grafana_cloud", &["grafana"], backends::grafana_cloud),
    #[cfg(feature = "backends")]
    Kind::new("datadog", &[], backends::datadog),
    #[cfg(feature = "backends")]
    Kind::new(
        "application_insights",
        &["applicationinsights", "azure"],
        backends::application_insights,
    ),
    #[cfg(feature = "backends")]
    Kind::new("splunk", &["splunk_hec"], backends::splunk),
    #[cfg(feature = "backends")]
    Kind::new(
        "elasticsearch",
        &["opensearch", "elastic"],
        backends::elasticsearch,
    ),
    #[cfg(feature = "backends")]
    Kind::new("loki", &[], backends::loki),
    #[cfg(feature = "backends")]
    Kind::new("zipkin", &[], backends::zipkin),
    #[cfg(feature = "backends")]
    Kind::new("custom", &["json", "http"], backends::custom),
    Kind::new("statsd", &[], statsd::statsd),
    Kind::new("dogstatsd", &[], statsd::dogstatsd),
    #[cfg(feature = "syslog")]
    Kind::new("syslog", &[], syslog::plan),
    Kind::new("file", &["files"], file::plan),
    #[cfg(feature = "brokers")]
    Kind::new("nats", &["jetstream"], brokers::nats),
    #[cfg(feature = "brokers")]
    Kind::new("kafka", &["redpanda"], brokers::kafka),
];

/// Names of kinds that are there with another feature of the crate, and that feature.
static ELSEWHERE: &[(&str, &[&str])] = &[
    #[cfg(not(feature = "backends"))]
    (
        "backends",
        &[
            "otlp",
            "jaeger",
            "remote_write",
            "prometheus",
            "pushgateway",
            "grafana_cloud",
            "datadog",
            "application_insights",
            "splunk",
            "elasticsearch",
            "opensearch",
            "loki",
            "zipkin",
            "custom",
        ],
    ),
    #[cfg(not(feature = "syslog"))]
    ("syslog", &["syslog"]),
    #[cfg(not(feature = "brokers"))]
    ("brokers", &["nats", "kafka"]),
];

/// A destination that is ready to be opened.
#[derive(Clone)]
pub(crate) struct Plan(Arc<dyn Fn() -> Result<Box<dyn Exporter>, String> + Send + Sync>);

impl Plan {
    /// What `open` does.
    pub(super) fn new<E: Exporter + 'static, F: fmt::Display>(
        open: impl Fn() -> Result<E, F> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move || match open() {
            Ok(exporter) => Ok(Box::new(exporter)),
            Err(error) => Err(error.to_string()),
        }))
    }

    /// Opens it; what is wrong with it, for people.
    pub(crate) fn open(&self) -> Result<Box<dyn Exporter>, String> {
        (self.0)()
    }
}

/// The kind that the table says.
pub(super) fn kind(table: &mut Table) -> Option<&'static Kind> {
    let names = || KINDS.iter().map(|kind| kind.name);
    let known = || names().collect::<Vec<_>>().join(", ");
    let written: String = table.need("type", "\"otlp\"")?;
    let name = written.to_ascii_lowercase().replace('-', "_");
    let found = KINDS
        .iter()
        .find(|kind| kind.name == name || kind.also.contains(&name.as_str()));
    if found.is_none() {
        let elsewhere = ELSEWHERE
            .iter()
            .find(|(_, kinds)| kinds.contains(&name.as_str()));
        match (elsewhere, nearest(&name, names())) {
            (Some((feature, _)), _) => table.refuse(
                "type",
                "is not in this program",
                format!("add `{feature}` to the features of the crate radiosonde"),
            ),
            (None, Some(near)) => table.refuse(
                "type",
                "is no kind of exporter",
                format!("did you mean {near:?}?"),
            ),
            (None, None) => table.refuse(
                "type",
                "is no kind of exporter",
                format!("write one of {}", known()),
            ),
        }
    }
    found
}

/// What everything that is sent to over a network has in common.
#[cfg(feature = "backends")]
mod connection {
    use std::time::Duration;

    use base64::prelude::{BASE64_STANDARD, Engine as _};

    use super::{
        Table,
        sending::{certificates, signals, spool},
    };
    use crate::exporter::{
        Batching,
        backend::{BATCHING_DEFAULT, Connection, TIMEOUT_DEFAULT},
    };

    /// The keys that every destination over HTTP has.
    pub(in crate::config::exporters) fn connection(
        table: &mut Table,
        endpoint: Option<&str>,
    ) -> Option<Connection> {
        let endpoint: Option<String> = match endpoint {
            Some(usual) => Some(table.take("endpoint", || usual.to_owned())),
            None => table.need("endpoint", "\"https://...\""),
        };
        let mut connection = Connection::new(endpoint.clone().unwrap_or_default());
        connection.signals = signals(table);
        connection.headers = table.take("headers", Vec::new);
        let basic = basic(table);
        connection.headers.extend(basic);
        connection.timeout = table.take("timeout", || TIMEOUT_DEFAULT);
        (connection.ca_certificate, connection.client_certificate) = certificates(table);
        connection.require_tls = table.take("require_tls", || false);
        connection.batching = Batching {
            records: usize::try_from(
                table.take("batch_records", || BATCHING_DEFAULT.records as u64),
            )
            .unwrap_or(usize::MAX),
            delay: table.take("delay", || BATCHING_DEFAULT.delay),
        };
        connection.spool = spool(table);
        if connection.timeout < Duration::from_millis(10) {
            table.refuse("timeout", "is too short", "write 10ms or more");
        }
        endpoint.map(|_| connection)
    }

    /// The header of HTTP's basic authentication (RFC 7617), where the table has a user.
    fn basic(table: &mut Table) -> Option<(String, String)> {
        let user: Option<String> = table.take_some("user");
        let password = table.secret(["password", "password_env", "password_file"]);
        match (user, password) {
            (Some(user), Some(password)) => {
                let both = BASE64_STANDARD.encode(format!("{user}:{password}"));
                Some(("authorization".to_owned(), format!("Basic {both}")))
            }
            (None, None) => None,
            _ => {
                table.refuse("", "has one of user and password", "write both, or neither");
                None
            }
        }
    }
}
#[cfg(feature = "backends")]
pub(super) use self::connection::connection;

#[cfg(feature = "backends")]
mod otlp {
    use super::{
        Plan, Table,
        backends::{TOKEN, bearer_header},
        connection,
    };
    use crate::{
        config::OtlpProtocol,
        exporter::{
            backend::Connection,
            otlp::{Compression, Otlp, OtlpConfig},
        },
    };

    /// A collector beside the one of `[otlp]`.
    pub(super) fn otlp(table: &mut Table) -> Option<Plan> {
        plan(table, None)
    }

    /// Jaeger takes OTLP, of which spans are all that it keeps.
    pub(super) fn jaeger(table: &mut Table) -> Option<Plan> {
        plan(table, Some("http://localhost:4318"))
    }

    fn plan(table: &mut Table, usual: Option<&str>) -> Option<Plan> {
        let protocol = table.take("protocol", || OtlpProtocol::Http);
        let is_json = table.take("json", || false);
        let compression = table.take("compression", || crate::config::OtlpCompression::Auto);
        let bearer = table.secret(TOKEN);
        let connection = connection(table, usual)?;
        let mut config = OtlpConfig::new("");
        over(connection, &mut config);
        config.headers.extend(bearer.as_deref().map(bearer_header));
        if usual.is_some() {
            config.signals = vec![crate::encode::otlp::Signal::Traces];
        }
        config.compression = match compression {
            crate::config::OtlpCompression::Auto => Compression::Auto,
            crate::config::OtlpCompression::Gzip => Compression::Gzip,
            crate::config::OtlpCompression::Plain => Compression::None,
        };
        #[cfg(not(feature = "otlp-grpc"))]
        if protocol == OtlpProtocol::Grpc {
            table.refuse(
                "protocol",
                "is not in this program",
                "add `otlp-grpc` to the features of the crate radiosonde",
            );
        }
        Some(match protocol {
            #[cfg(feature = "otlp-grpc")]
            OtlpProtocol::Grpc => Plan::new(move || Otlp::grpc(&config)),
            #[cfg(not(feature = "otlp-grpc"))]
            OtlpProtocol::Grpc => return None,
            OtlpProtocol::Http if is_json => Plan::new(move || Otlp::http_json(&config)),
            OtlpProtocol::Http => Plan::new(move || Otlp::http(&config)),
        })
    }

    /// What a table says of its connection, over `config`: its endpoint where one was written, and its headers beside those
    /// that are there.
    pub(super) fn over(connection: Connection, config: &mut OtlpConfig) {
        if !connection.endpoint.is_empty() {
            config.endpoint = connection.endpoint;
        }
        config.headers.extend(connection.headers);
        config.signals = connection.signals;
        config.timeout = connection.timeout;
        config.ca_certificate = connection.ca_certificate;
        config.client_certificate = connection.client_certificate;
        config.require_tls = connection.require_tls;
        config.batching = connection.batching;
        config.spool = connection.spool;
    }
}
