//! Brokers that speak Kafka's protocol: Kafka, Redpanda and others (docs/exporters/kafka.md).
//!
//! Invariants: a message is forgotten only once the partition's leader and its in-sync replicas have it, or refused it for
//! good. Where an answer is lost, it is sent again and may be there twice; its header `radiosonde.id` is the same both times.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::DateTime;
use rskafka::{
    BackoffConfig,
    client::{
        Client, ClientBuilder,
        error::{Error, ProtocolError},
        partition::{Compression, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use tokio::runtime::{Builder, Runtime};

pub use super::messages::Content;
use super::{
    Exporter,
    delivery::{
        Delivery, DestinationError, Outcome, Transport,
        address::{host, spool_name},
        signal_of,
    },
    messages::{Answer, Message, Messages, Sent},
    queued::Queued,
    retry,
    spool::{Payload, SpoolConfig},
};
use crate::encode::otlp::Signal;

/// Where a broker listens unless configured otherwise.
pub const ENDPOINT_DEFAULT: &str = "127.0.0.1:9092";

/// What topics begin with unless configured otherwise.
pub const TOPIC_DEFAULT: &str = "telemetry";

/// How long one payload may take unless configured otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// What is sent where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:9092` of a broker; several of one cluster separated by commas. There is no TLS.
    pub endpoint: String,
    /// What topics begin with: `telemetry.traces`, `telemetry.logs` and `telemetry.metrics`. They must be there.
    pub topic: String,
    /// What a message is.
    pub content: Content,
    /// What is sent, of what `content` can be.
    pub signals: Vec<Signal>,
    /// For one payload, connection included.
    pub timeout: Duration,
    /// Where messages wait while the brokers are away.
    pub spool: SpoolConfig,
    /// First and longest delay between attempts, before jitter.
    pub retry_delay: (Duration, Duration),
}

impl KafkaConfig {
    /// The defaults for `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            topic: TOPIC_DEFAULT.to_owned(),
            content: Content::default(),
            signals: Signal::ALL.to_vec(),
            timeout: TIMEOUT_DEFAULT,
            spool: SpoolConfig::default(),
            retry_delay: (retry::DELAY_MIN, retry::DELAY_MAX),
        }
    }
}

/// Starts an exporter as `config` says.
pub fn start(config: &KafkaConfig) -> Result<impl Exporter + use<>, DestinationError> {
    let wire = Wire::new(config)?;
    let topic = format!("{}\n{:?}", config.topic, config.content);
    let delivery = Delivery {
        name: config.endpoint.clone(),
        spool_name: spool_name("kafka", topic.as_bytes(), &config.endpoint, &[]),
        signals: config.content.of(&config.signals),
        spool: &config.spool,
        retry_delay: config.retry_delay,
        component: "kafka_exporter",
    };
    let messages = Messages::new(config.content);
    Queued::start("kafka", messages, delivery, config.timeout, wire)
}

struct Wire {
    runtime: Runtime,
    brokers: Vec<String>,
    timeout: Duration,
    topic: String,
    content: Content,
    client: Option<Client>,
    /// Of each signal, the partitions of its topic and whose turn it is.
    topics: BTreeMap<&'static str, (Vec<PartitionClient>, usize)>,
}

impl Wire {
    fn new(config: &KafkaConfig) -> Result<Self, DestinationError> {
        let invalid = |reason| DestinationError::Endpoint {
            destination: "Kafka",
            endpoint: config.endpoint.clone(),
            reason,
        };
        let brokers: Vec<String> = config
            .endpoint
            .split(',')
            .map(|one| one.trim().to_owned())
            .collect();
        for broker in &brokers {
            let port = broker.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if broker.contains("//") || host(broker).is_empty() || !matches!(port, Some(Ok(1..))) {
                return Err(invalid("write host:port, without a scheme"));
            }
        }
        if !is_topic(&config.topic) {
            return Err(invalid("its topic is letters, digits, dots, _ and -"));
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DestinationError::Thread)?;
        Ok(Self {
            runtime,
            brokers,
            timeout: config.timeout,
            topic: config.topic.clone(),
            content: config.content,
            client: None,
            topics: BTreeMap::new(),
        })
    }

    /// Produces every message; an answer each.
    fn produce(&mut self, signal: Signal, sent: &Sent<'_>) -> Vec<Answer> {
        let silent = |reason: String| vec![Answer::Silent(reason); sent.messages.len()];
        let timeout = self.timeout;
        let topic = format!("{}.{}", self.topic, signal.name());
        let Self {
            runtime,
            brokers,
            client,
            topics,
            content,
            ..
        } = self;
        let work = async {
            let partitions = open(client, topics, brokers, signal.name(), &topic, timeout).await?;
            let all: Vec<Record> = sent
                .messages
                .iter()
                .map(|message| record(sent, message, *content))
                .collect();
            let count = all.len();
            match produce(partitions, all.clone()).await {
                Err(Answer::Refused(_)) if count > 1 => {
                    // One of them is to blame, and not the others.
                    let mut answers = Vec::with_capacity(count);
                    for one in all {
                        let produced = produce(partitions, vec![one]).await;
                        answers.push(produced.err().unwrap_or(Answer::Taken));
                    }
                    Ok(answers)
                }
                Err(answer) => Err(answer),
                Ok(()) => Ok(vec![Answer::Taken; count]),
            }
        };
        let done = runtime.block_on(async { tokio::time::timeout(timeout, work).await });
        let answers = match done {
            Ok(Ok(answers)) => answers,
            Ok(Err(answer)) => vec![answer; sent.messages.len()],
            Err(_) => silent(format!("no answer within {timeout:?}")),
        };
        if answers
            .iter()
            .any(|answer| !matches!(answer, Answer::Taken | Answer::Refused(_)))
        {
            // Leaders and brokers may have changed.
            self.topics.clear();
            self.client = None;
        }
        answers
    }
}

/// The partitions of a topic, asked for where they are not known, and turned by one.
async fn open<'a>(
    client: &mut Option<Client>,
    topics: &'a mut BTreeMap<&'static str, (Vec<PartitionClient>, usize)>,
    brokers: &[String],
    signal: &'static str,
    topic: &str,
    timeout: Duration,
) -> Result<&'a PartitionClient, Answer> {
    if !topics.contains_key(signal) {
        let connected = match client.take() {
            Some(connected) => connected,
            None => connect(brokers, timeout)
                .await
                .map_err(|error| answer(&error))?,
        };
        let all = connected
            .list_topics()
            .await
            .map_err(|error| answer(&error))?;
        let Some(found) = all.into_iter().find(|found| found.name == topic) else {
            return Err(Answer::Later(format!("there is no topic {topic}: make it")));
        };
        let mut partitions = Vec::with_capacity(found.partitions.len());
        for partition in found.partitions {
            let handling = UnknownTopicHandling::Error;
            let opened = connected.partition_client(topic, partition, handling).await;
            partitions.push(opened.map_err(|error| answer(&error))?);
        }
        *client = Some(connected);
        topics.insert(signal, (partitions, 0));
    }
    let (partitions, turn) = topics
        .get_mut(signal)
        .filter(|(partitions, _)| !partitions.is_empty())
        .ok_or_else(|| Answer::Later(format!("topic {topic} has no partition")))?;
    *turn = (*turn + 1) % partitions.len();
    Ok(&partitions[*turn])
}

async fn connect(brokers: &[String], timeout: Duration) -> Result<Client, Error> {
    ClientBuilder::new(brokers.to_vec())
        .client_id("radiosonde")
        // Whether and when to try again is the spool's business.
        .backoff_config(BackoffConfig {
            deadline: Some(timeout),
            ..BackoffConfig::default()
        })
        .build()
        .await
}

async fn produce(partition: &PartitionClient, records: Vec<Record>) -> Result<(), Answer> {
    match partition.produce(records, Compression::NoCompression).await {
        Ok(_) => Ok(()),
        Err(error) => Err(answer(&error)),
    }
}

fn record(sent: &Sent<'_>, message: &Message<'_>, content: Content) -> Record {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let nanoseconds = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    let headers = [
        ("content-type", content.media_type().to_owned()),
        ("radiosonde.id", sent.identifier(message)),
    ];
    Record {
        key: None,
        value: Some(message.body.to_vec()),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into_bytes()))
            .collect(),
        timestamp: DateTime::from_timestamp_nanos(nanoseconds),
    }
}

/// What an error says of a message: some are its own fault, the broker's others may pass, and the rest is no answer.
fn answer(error: &Error) -> Answer {
    match error {
        Error::ServerError { protocol_error, .. } => match protocol_error {
            ProtocolError::MessageTooLarge
            | ProtocolError::RecordListTooLarge
            | ProtocolError::InvalidRecord => Answer::Refused(error.to_string()),
            _ => Answer::Later(error.to_string()),
        },
        _ => Answer::Silent(error.to_string()),
    }
}

/// The letters that a topic may have, and the suffix of a signal beside them in 249 (Apache Kafka, `Topic.java`).
fn is_topic(topic: &str) -> bool {
    let is_plain =
        |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'_' | b'-');
    !topic.is_empty() && topic.len() <= 240 && topic.bytes().all(is_plain)
}

impl Transport for Wire {
    fn send(&mut self, payload: &Payload) -> Outcome {
        let sent = Sent::read(&payload.body);
        let (Some(signal), Some(sent)) = (signal_of(payload.tag), sent) else {
            return Outcome::Rejected {
                reason: "written by a newer version".to_owned(),
            };
        };
        let answers = self.produce(signal, &sent);
        sent.outcome(payload.tag, &answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_or_topic_that_is_none_is_told_at_the_start() {
        for endpoint in [
            "",
            "kafka://broker:9092",
            "broker",
            "broker:0",
            "one:9092,two",
        ] {
            let error = Wire::new(&KafkaConfig::new(endpoint)).err().unwrap();
            assert!(error.to_string().contains("host:port"), "{error}");
        }
        let mut config = KafkaConfig::new("one:9092, two:9092");
        assert_eq!(
            Wire::new(&config).unwrap().brokers,
            ["one:9092", "two:9092"]
        );
        config.topic = "a b".to_owned();
        assert!(Wire::new(&config).is_err());
    }

    #[test]
    fn a_broker_that_is_away_is_no_answer() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = KafkaConfig::new(closed.local_addr().unwrap().to_string());
        drop(closed);
        config.timeout = Duration::from_millis(300);
        let mut wire = Wire::new(&config).unwrap();
        let payload = Payload {
            tag: Signal::Logs as u8,
            records: 1,
            body: [
                &[0; 8][..],
                &[1; 8],
                &1_u32.to_le_bytes(),
                &2_u32.to_le_bytes(),
                b"{}",
            ]
            .concat(),
        };
        let outcome = wire.send(&payload);
        assert!(
            matches!(outcome, Outcome::Unreachable { .. }),
            "{outcome:?}"
        );
    }
}
