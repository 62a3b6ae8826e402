//! NATS JetStream: each message is published as a request whose answer says that the stream has it
//! (docs/exporters/nats.md).
//!
//! Invariants: a message is forgotten only once the stream has it or refused it for good. It has the same `Nats-Msg-Id`
//! however often it is sent, so that the stream keeps it once within its window of duplicates (two minutes unless it says
//! otherwise).

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Client, ConnectOptions, HeaderMap, Request, RequestErrorKind, ServerAddr};
use bytes::Bytes;
use serde::Deserialize;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

pub use super::messages::Content;
use super::{
    Exporter,
    delivery::{
        Delivery, DestinationError, Outcome, Transport,
        address::{host, shown, spool_name},
        signal_of,
    },
    messages::{Answer, Messages, Sent},
    queued::Queued,
    retry,
    spool::{Payload, SpoolConfig},
};
use crate::encode::otlp::Signal;

/// Where a server listens unless configured otherwise.
pub const ENDPOINT_DEFAULT: &str = "nats://127.0.0.1:4222";

/// What subjects begin with unless configured otherwise.
pub const SUBJECT_DEFAULT: &str = "telemetry";

/// How long one payload may take unless configured otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Most messages whose answer is waited for at once.
const IN_FLIGHT_MAX: usize = 256;

/// How long a connection may be idle. The client answers a server's pings only while it sends, and a server closes after
/// two that stay without an answer, by default after four minutes and more.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// What is sent where.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsConfig {
    /// `nats://host:4222` or `tls://host:4222`; several of one cluster separated by commas.
    pub endpoint: String,
    /// What subjects begin with: `telemetry.traces`, `telemetry.logs` and `telemetry.metrics`. A stream must take them.
    pub subject: String,
    /// What a message is.
    pub content: Content,
    /// What is sent, of what `content` can be.
    pub signals: Vec<Signal>,
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// A token instead.
    pub token: Option<String>,
    /// A PEM file with certificate authorities to trust beside the system's.
    pub ca_certificate: Option<PathBuf>,
    /// PEM files with which this program proves who it is: certificate and key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// For one payload, connection included.
    pub timeout: Duration,
    /// Where messages wait while the server is away.
    pub spool: SpoolConfig,
    /// First and longest delay between attempts, before jitter.
    pub retry_delay: (Duration, Duration),
}

impl NatsConfig {
    /// The defaults for `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            subject: SUBJECT_DEFAULT.to_owned(),
            content: Content::default(),
            signals: Signal::ALL.to_vec(),
            credentials: None,
            token: None,
            ca_certificate: None,
            client_certificate: None,
            timeout: TIMEOUT_DEFAULT,
            spool: SpoolConfig::default(),
            retry_delay: (retry::DELAY_MIN, retry::DELAY_MAX),
        }
    }

    fn shown(&self) -> String {
        let all: Vec<String> = self.endpoint.split(',').map(shown).collect();
        all.join(",")
    }

    fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .name("radiosonde")
            .connection_timeout(self.timeout)
            .request_timeout(Some(self.timeout))
            // Whether and when to try again is the spool's business.
            .max_reconnects(1);
        if let Some((user, password)) = &self.credentials {
            options = options.user_and_password(user.clone(), password.clone());
        }
        if let Some(token) = &self.token {
            options = options.token(token.clone());
        }
        if let Some(path) = &self.ca_certificate {
            options = options.add_root_certificates(path.clone());
        }
        if let Some((certificate, key)) = &self.client_certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        options
    }
}

impl fmt::Debug for NatsConfig {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("endpoint", &self.shown())
            .field("subject", &self.subject)
            .field("content", &self.content)
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}

/// Starts an exporter as `config` says.
pub fn start(config: &NatsConfig) -> Result<impl Exporter + use<>, DestinationError> {
    let wire = Wire::new(config)?;
    let subject = format!("{}\n{:?}", config.subject, config.content);
    let delivery = Delivery {
        name: config.shown(),
        spool_name: spool_name("nats", subject.as_bytes(), &config.endpoint, &[]),
        signals: config.content.of(&config.signals),
        spool: &config.spool,
        retry_delay: config.retry_delay,
        component: "nats_exporter",
    };
    let messages = Messages::new(config.content);
    Queued::start("nats", messages, delivery, config.timeout, wire)
}

struct Wire {
    runtime: Runtime,
    servers: Vec<ServerAddr>,
    options: ConnectOptions,
    timeout: Duration,
    subject: String,
    content: Content,
    client: Option<(Client, Instant)>,
}

impl Wire {
    fn new(config: &NatsConfig) -> Result<Self, DestinationError> {
        let invalid = |reason| DestinationError::Endpoint {
            destination: "NATS",
            endpoint: config.shown(),
            reason,
        };
        let read = |one: &str| {
            let rest = one.split_once("://").map_or(one, |(_, rest)| rest);
            let server = one.trim().parse::<ServerAddr>().ok();
            server.filter(|_| !host(rest.trim()).is_empty())
        };
        let servers: Option<Vec<_>> = config.endpoint.split(',').map(read).collect();
        let servers =
            servers.ok_or_else(|| invalid("write nats://host:4222 or tls://host:4222"))?;
        if !is_subject(&config.subject) {
            return Err(invalid(
                "its subject is words of visible ASCII with dots between, and no * or >",
            ));
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DestinationError::Thread)?;
        Ok(Self {
            runtime,
            servers,
            options: config.options(),
            timeout: config.timeout,
            subject: config.subject.clone(),
            content: config.content,
            client: None,
        })
    }

    /// Publishes every message; an answer each.
    fn publish(&mut self, signal: Signal, sent: &Sent<'_>) -> Vec<Answer> {
        let subject: Arc<str> = format!("{}.{}", self.subject, signal.name()).into();
        let silent = |reason: &str| Answer::Silent(reason.to_owned());
        let mut answers = vec![silent("no answer in time"); sent.messages.len()];
        let client = self.client.take();
        let client = client.filter(|(_, used)| used.elapsed() < IDLE_MAX);
        let (options, servers, content) = (&self.options, &self.servers, self.content);
        let work = async {
            let client = match client {
                Some((client, _)) => client,
                None => match options.clone().connect(&servers[..]).await {
                    Ok(client) => client,
                    Err(error) => {
                        answers.fill(silent(&error.to_string()));
                        return None;
                    }
                },
            };
            let mut asked = JoinSet::new();
            for (index, message) in sent.messages.iter().enumerate() {
                while asked.len() >= IN_FLIGHT_MAX {
                    settle(asked.join_next().await, &mut answers);
                }
                let request = request(sent.identifier(message), content, message.body);
                let (client, subject) = (client.clone(), Arc::clone(&subject));
                asked.spawn(async move { (index, ask(&client, &subject, request).await) });
            }
            while let Some(done) = asked.join_next().await {
                settle(Some(done), &mut answers);
            }
            Some(client)
        };
        let timeout = self.timeout;
        let client = self
            .runtime
            .block_on(async { tokio::time::timeout(timeout, work).await });
        let is_well = !answers
            .iter()
            .any(|answer| matches!(answer, Answer::Silent(_)));
        if let Ok(Some(client)) = client
            && is_well
        {
            self.client = Some((client, Instant::now()));
        }
        answers
    }
}

type Asked = Result<(usize, Answer), tokio::task::JoinError>;

fn settle(done: Option<Asked>, answers: &mut [Answer]) {
    if let Some(Ok((index, answer))) = done
        && let Some(place) = answers.get_mut(index)
    {
        *place = answer;
    }
}

fn request(identifier: String, content: Content, body: &[u8]) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", identifier);
    headers.insert("Content-Type", content.media_type());
    Request::new()
        .headers(headers)
        .payload(Bytes::copy_from_slice(body))
}

async fn ask(client: &Client, subject: &str, request: Request) -> Answer {
    match client.send_request(subject.to_owned(), request).await {
        Ok(message) => read_answer(&message.payload),
        Err(error) => match error.kind() {
            RequestErrorKind::NoResponders => Answer::Later(format!(
                "no stream takes {subject}: make one (nats stream add --subjects '{subject}')"
            )),
            RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                Answer::Refused(error.to_string())
            }
            RequestErrorKind::TimedOut | RequestErrorKind::Other => {
                Answer::Silent(error.to_string())
            }
        },
    }
}

/// What JetStream answers to a publication: `{"stream":"S","seq":1}`, or `{"error":{"code":503,"description":"..."}}`
/// (NATS ADR-1, JetStream JSON API design).
#[derive(Deserialize)]
struct Published {
    seq: Option<u64>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: u16,
    #[serde(default)]
    description: String,
}

fn read_answer(body: &[u8]) -> Answer {
    match serde_json::from_slice::<Published>(body) {
        Ok(Published {
            error: Some(Refusal { code, description }),
            ..
        }) => {
            let reason = format!("JetStream {code}: {description}");
            // Codes are those of HTTP. What is no fault of the message may pass.
            match code {
                404 | 408 | 429 | 500.. => Answer::Later(reason),
                _ => Answer::Refused(reason),
            }
        }
        Ok(Published { seq: Some(_), .. }) => Answer::Taken,
        _ => Answer::Later("somebody answered who is no stream".to_owned()),
    }
}

fn is_subject(subject: &str) -> bool {
    let is_word = |word: &str| {
        let is_plain = |letter: u8| letter.is_ascii_graphic() && !matches!(letter, b'*' | b'>');
        !word.is_empty() && word.bytes().all(is_plain)
    };
    subject.split('.').all(is_word)
}

impl Transport for Wire {
    fn send(&mut self, payload: &Payload) -> Outcome {
        let sent = Sent::read(&payload.body);
        let (Some(signal), Some(sent)) = (signal_of(payload.tag), sent) else {
            return Outcome::Rejected {
                reason: "written by a newer version".to_owned(),
            };
        };
        let answers = self.publish(signal, &sent);
        sent.outcome(payload.tag, &answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jetstream_says_is_taken_refused_or_tried_again() {
        let kind = |text: &str| match read_answer(text.as_bytes()) {
            Answer::Taken => "taken".to_owned(),
            Answer::Refused(reason) => format!("refused: {reason}"),
            Answer::Later(reason) => format!("later: {reason}"),
            Answer::Silent(reason) => format!("silent: {reason}"),
        };
        assert_eq!(kind(r#"{"stream":"S","seq":7,"duplicate":true}"#), "taken");
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"S","seq":0}"#;
        assert_eq!(kind(full), "later: JetStream 503: maximum bytes exceeded");
        let wrong =
            r#"{"error":{"code":400,"description":"message size exceeds maximum allowed"}}"#;
        assert_eq!(
            kind(wrong),
            "refused: JetStream 400: message size exceeds maximum allowed"
        );
        for other in ["", "pong", "{}", r#"{"stream":"S"}"#] {
            assert_eq!(kind(other), "later: somebody answered who is no stream");
        }
    }

    #[test]
    fn a_place_or_subject_that_is_none_is_told_at_the_start() {
        for endpoint in ["http://server", "nats://one:4222,nope://two", "nats://"] {
            let config = NatsConfig::new(endpoint);
            let error = Wire::new(&config).err().unwrap().to_string();
            assert!(error.contains("write nats://"), "{error}");
        }
        for subject in ["", "a b", "a.", "a.>", "*"] {
            let mut config = NatsConfig::new("nats://ann:hunter2@one");
            config.subject = subject.to_owned();
            let error = Wire::new(&config).err().unwrap().to_string();
            assert!(
                error.contains("subject") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
