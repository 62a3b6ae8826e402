//! Every kind of destination: its names, and how its table is read.

use super::table::Table;
use crate::{config::nearest::nearest, exporter::Exporter};

#[cfg(feature = "brokers")]
mod brokers;
mod file;
#[cfg(any(feature = "syslog", feature = "brokers", feature = "backends"))]
mod sending;
mod statsd;
#[cfg(feature = "syslog")]
mod syslog;

/// A kind of destination.
pub(super) struct Kind {
    /// What it is called.
    pub(super) name: &'static str,
    /// Other names for it.
    also: &'static [&'static str],
    /// Takes the kind's keys out of the table; what is wrong is in the table.
    pub(super) plan: fn(&mut Table) -> Option<Plan>,
}

/// Every kind, in the order of the documentation.
static KINDS: &[Kind] = &[
    #[cfg(feature = "backends")]
    Kind {
        name: "otlp",
        also: &["opentelemetry"],
        plan: otlp::otlp,
    },
    #[cfg(feature = "backends")]
    Kind {
        name: "jaeger",
        also: &[],
        plan: otlp::jaeger,
    },
    Kind {
        name: "statsd",
        also: &[],
        plan: statsd::statsd,
    },
    Kind {
        name: "dogstatsd",
        also: &[],
        plan: statsd::dogstatsd,
    },
    #[cfg(feature = "syslog")]
    Kind {
        name: "syslog",
        also: &[],
        plan: syslog::plan,
    },
    Kind {
        name: "file",
        also: &["files"],
        plan: file::plan,
    },
    #[cfg(feature = "brokers")]
    Kind {
        name: "nats",
        also: &["jetstream"],
        plan: brokers::nats,
    },
    #[cfg(feature = "brokers")]
    Kind {
        name: "kafka",
        also: &["redpanda"],
        plan: brokers::kafka,
    },
];

/// Names of kinds that are there with another feature of the crate, and that feature.
static ELSEWHERE: &[(&str, &str)] = &[
    #[cfg(not(feature = "backends"))]
    ("otlp", "backends"),
    #[cfg(not(feature = "backends"))]
    ("jaeger", "backends"),
    #[cfg(not(feature = "syslog"))]
    ("syslog", "syslog"),
    #[cfg(not(feature = "brokers"))]
    ("nats", "brokers"),
    #[cfg(not(feature = "brokers"))]
    ("kafka", "brokers"),
];

/// A destination that is ready to be opened.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub(crate) enum Plan {
    #[cfg(feature = "backends")]
    Otlp(
        Box<crate::exporter::otlp::OtlpConfig>,
        crate::config::OtlpProtocol,
    ),
    Statsd(Box<crate::exporter::statsd::StatsdConfig>),
    #[cfg(feature = "syslog")]
    Syslog(Box<crate::exporter::syslog::SyslogConfig>),
    File(Box<crate::exporter::file::FileConfig>),
    #[cfg(feature = "brokers")]
    Nats(Box<crate::exporter::nats::NatsConfig>),
    #[cfg(feature = "brokers")]
    Kafka(Box<crate::exporter::kafka::KafkaConfig>),
}

impl Plan {
    /// Opens it; what is wrong with it, for people.
    pub(crate) fn open(&self) -> Result<Box<dyn Exporter>, String> {
        match self {
            #[cfg(feature = "backends")]
            Self::Otlp(config, protocol) => otlp::open(config, *protocol),
            Self::Statsd(config) => opened(crate::exporter::statsd::Statsd::new(config)),
            #[cfg(feature = "syslog")]
            Self::Syslog(config) => opened(crate::exporter::syslog::start(config)),
            Self::File(config) => opened(crate::exporter::file::Files::open(config)),
            #[cfg(feature = "brokers")]
            Self::Nats(config) => opened(crate::exporter::nats::start(config)),
            #[cfg(feature = "brokers")]
            Self::Kafka(config) => opened(crate::exporter::kafka::start(config)),
        }
    }
}

fn opened<E: ToString>(
    exporter: Result<impl Exporter + 'static, E>,
) -> Result<Box<dyn Exporter>, String> {
    match exporter {
        Ok(exporter) => Ok(Box::new(exporter)),
        Err(error) => Err(error.to_string()),
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
        let elsewhere = ELSEWHERE.iter().find(|(kind, _)| *kind == name);
        match (elsewhere, nearest(&name, names())) {
            (Some((_, feature)), _) => table.refuse(
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
    use super::{Plan, Table, connection};
    use crate::{
        config::OtlpProtocol,
        exporter::{
            Exporter,
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
        let compression = table.take("compression", || crate::config::OtlpCompression::Auto);
        let connection = connection(table, usual)?;
        let mut config = OtlpConfig::new(connection.endpoint);
        config.signals = match usual {
            Some(_) => vec![crate::encode::otlp::Signal::Traces],
            None => connection.signals,
        };
        config.headers = connection.headers;
        config.timeout = connection.timeout;
        config.compression = match compression {
            crate::config::OtlpCompression::Auto => Compression::Auto,
            crate::config::OtlpCompression::Gzip => Compression::Gzip,
            crate::config::OtlpCompression::Plain => Compression::None,
        };
        config.ca_certificate = connection.ca_certificate;
        config.client_certificate = connection.client_certificate;
        config.require_tls = connection.require_tls;
        config.batching = connection.batching;
        config.spool = connection.spool;
        #[cfg(not(feature = "otlp-grpc"))]
        if protocol == OtlpProtocol::Grpc {
            table.refuse(
                "protocol",
                "is not in this program",
                "add `otlp-grpc` to the features of the crate radiosonde",
            );
        }
        Some(Plan::Otlp(Box::new(config), protocol))
    }

    pub(super) fn open(
        config: &OtlpConfig,
        protocol: OtlpProtocol,
    ) -> Result<Box<dyn Exporter>, String> {
        let opened = match protocol {
            OtlpProtocol::Http => Otlp::http(config),
            #[cfg(feature = "otlp-grpc")]
            OtlpProtocol::Grpc => Otlp::grpc(config),
            #[cfg(not(feature = "otlp-grpc"))]
            OtlpProtocol::Grpc => return Err("gRPC is not in this program".to_owned()),
        };
        match opened {
            Ok(otlp) => Ok(Box::new(otlp)),
            Err(error) => Err(error.to_string()),
        }
    }
}
