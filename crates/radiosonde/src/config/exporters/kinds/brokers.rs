//! The tables of NATS and of brokers that speak Kafka's protocol.

use super::{Plan, Table, sending};
use crate::{
    config::{
        choice::choose,
        duration::Unit,
        value::{Problem, Setting, quoted},
        written::Written,
    },
    encode::otlp::Signal,
    exporter::{
        kafka::{self, KafkaConfig},
        nats::{self, Content, NatsConfig},
    },
};

/// NATS JetStream.
pub(super) fn nats(table: &mut Table) -> Option<Plan> {
    let mut config = NatsConfig::new(table.take("endpoint", || nats::ENDPOINT_DEFAULT.to_owned()));
    config.subject = table.take("subject", || nats::SUBJECT_DEFAULT.to_owned());
    (config.content, config.signals) = content(table);
    let user: Option<String> = table.take_some("user");
    let password = table.secret(["password", "password_env", "password_file"]);
    if user.is_some() != password.is_some() {
        table.refuse("", "has one of user and password", "write both, or neither");
    }
    config.credentials = user.zip(password);
    config.token = table.secret(["token", "token_env", "token_file"]);
    (config.ca_certificate, config.client_certificate) = sending::certificates(table);
    config.timeout = table.take("timeout", || nats::TIMEOUT_DEFAULT);
    config.spool = sending::spool(table);
    Plan::new(move || nats::start(&config)).into()
}

/// Brokers that speak Kafka's protocol.
pub(super) fn kafka(table: &mut Table) -> Option<Plan> {
    let endpoint = table.take("endpoint", || kafka::ENDPOINT_DEFAULT.to_owned());
    let mut config = KafkaConfig::new(endpoint);
    config.topic = table.take("topic", || kafka::TOPIC_DEFAULT.to_owned());
    (config.content, config.signals) = content(table);
    config.timeout = table.take("timeout", || kafka::TIMEOUT_DEFAULT);
    config.spool = sending::spool(table);
    Plan::new(move || kafka::start(&config)).into()
}

/// What a message is, and which signals are sent so.
fn content(table: &mut Table) -> (Content, Vec<Signal>) {
    let content = table.take("message", Content::default);
    let is_said = table.says("signals");
    let signals = sending::signals(table);
    if is_said && content != Content::Otlp && signals.contains(&Signal::Metrics) {
        table.refuse(
            "signals",
            "names metrics, which our JSON does not have",
            "write message = \"otlp\", or leave metrics out",
        );
    }
    (content, signals)
}

impl Setting for Content {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        let names = [
            ("record", Self::Record),
            ("lines", Self::Lines),
            ("otlp", Self::Otlp),
        ];
        choose(written, &names)
    }

    fn show(&self) -> Option<String> {
        let name = match self {
            Self::Record => "record",
            Self::Lines => "lines",
            Self::Otlp => "otlp",
        };
        Some(quoted(name))
    }
}
