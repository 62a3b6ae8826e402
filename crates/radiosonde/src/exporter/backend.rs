//! An exporter to a backend that is spoken to over HTTP: a [`Format`] that writes bytes, a [`Wire`] that says how they are
//! posted and what the answer means, and everything else from `delivery`.

use std::{
    borrow::Cow,
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};
use ureq::http::{HeaderName, HeaderValue, Method, Uri};

use super::{
    Batching, Condition, ExportError, Exporter,
    delivery::{
        Delivery, Destination, DestinationError, Destinations, Outcome, Transport,
        address::{shown, spool_name},
        http::{self, Answer, Client, Reach},
        payload,
    },
    peer::Peer,
    retry,
    spool::{Payload, SpoolConfig, Waiting},
};
use crate::encode::otlp::{REQUEST_BYTES_MAX_DEFAULT, Signal};

pub(super) mod deltas;
pub(super) mod entry;
pub(super) mod pages;
pub(super) mod post;

/// How long one request may take unless configured otherwise: OpenTelemetry's default for exporters.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How much is collected before it is sent, unless configured otherwise.
pub const BATCHING_DEFAULT: Batching = Batching {
    records: 512,
    delay: Duration::from_secs(1),
};

/// How a backend is reached, whatever kind it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its URL; what is below it depends on the kind.
    pub endpoint: String,
    /// Sent with every request to this backend and no other.
    pub headers: Vec<(String, String)>,
    /// For one request, connection included.
    pub timeout: Duration,
    /// A PEM file with the certificate authorities to trust instead of Mozilla's.
    pub ca_certificate: Option<PathBuf>,
    /// PEM files with which this program proves who it is: certificate and key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Refuse an endpoint without TLS.
    pub require_tls: bool,
    /// What is sent, of what the kind of backend takes. The rest is passed over.
    pub signals: Vec<Signal>,
    /// How much is collected before it is sent.
    pub batching: Batching,
    /// Where telemetry waits while the backend is away.
    pub spool: SpoolConfig,
    /// Uncompressed bytes after which another request is begun.
    pub request_bytes_max: usize,
    /// First and longest delay between attempts, before jitter.
    pub retry_delay: (Duration, Duration),
}

impl Connection {
    /// The defaults for `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            timeout: TIMEOUT_DEFAULT,
            ca_certificate: None,
            client_certificate: None,
            require_tls: false,
            signals: Signal::ALL.to_vec(),
            batching: BATCHING_DEFAULT,
            spool: SpoolConfig::default(),
            request_bytes_max: REQUEST_BYTES_MAX_DEFAULT,
            retry_delay: (retry::DELAY_MIN, retry::DELAY_MAX),
        }
    }

    fn peer(&self, url: &str, signals: &[Signal]) -> Peer {
        Peer {
            url: url.to_owned(),
            signals: signals.to_vec(),
            is_grpc: false,
            headers: self.headers.clone(),
            timeout: self.timeout,
            ca_certificate: self.ca_certificate.clone(),
            client_certificate: self.client_certificate.clone(),
        }
    }

    fn reach(&self) -> Reach<'_> {
        let pair = self.client_certificate.as_ref();
        Reach {
            headers: &self.headers,
            timeout: self.timeout,
            ca_certificate: self.ca_certificate.as_deref(),
            client_certificate: pair.map(|(certificate, key)| (&**certificate, &**key)),
        }
    }
}

impl fmt::Debug for Connection {
    /// Without the values of headers, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Connection")
            .field("endpoint", &shown(&self.endpoint))
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

/// What a kind of backend is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// The exporter's name, such as `datadog`.
    pub(super) name: &'static str,
    /// What people call it, such as `Datadog`.
    pub(super) title: &'static str,
    /// `otel.component.type` of its sender, such as `datadog_exporter`.
    pub(super) component: &'static str,
}

/// Writes telemetry down as a kind of backend reads it. Runs on the exporter's thread and waits for nobody.
pub(super) trait Format: Send {
    /// Writes spans, logs and events, as far as the backend takes them.
    fn encode(&mut self, batch: &Batch, requests: &mut Requests<'_>);

    /// Writes metrics, if the backend takes them.
    fn encode_metrics(&mut self, _snapshot: &Snapshot, _requests: &mut Requests<'_>) {}

    /// Nothing comes any more: the last that is to be sent.
    fn end(&mut self, _requests: &mut Requests<'_>) {}
}

/// Where a [`Format`] puts the bodies of requests.
pub(super) struct Requests<'a>(&'a Destinations);

impl Requests<'_> {
    /// Whether anything of `signal` is sent: nothing need be written otherwise.
    pub(super) fn takes(&self, signal: Signal) -> bool {
        self.0.of(signal).is_some()
    }

    /// Queues a body with `records` of `signal`. `bits`, of which the lowest two must be clear, come back to the
    /// [`Wire`] in the payload's tag, also from the disk after a restart: they say what the body is.
    pub(super) fn push(&mut self, signal: Signal, bits: u8, records: u32, body: Vec<u8>) {
        if let Some(destination) = self.0.of(signal) {
            destination.push(payload(signal, bits, records, body));
        }
    }
}

/// How a payload is posted.
pub(super) struct Call<'a> {
    pub(super) url: &'a Uri,
    /// Beside those of the connection.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Says how payloads are posted, and what answers mean. Runs on the sender's thread.
pub(super) trait Wire: Send + 'static {
    /// How `payload` is posted; why not, where a newer version wrote it.
    fn call(&mut self, payload: &Payload) -> Result<Call<'_>, String>;

    /// By which method `payload` is sent.
    fn method(&self, _payload: &Payload) -> Method {
        Method::POST
    }

    /// What is sent of `payload`, where that is not what waited; why nothing is, where it cannot be read.
    fn body<'p>(&mut self, payload: &'p Payload) -> Result<Cow<'p, [u8]>, String> {
        Ok(Cow::Borrowed(&payload.body))
    }

    /// Whether the answer to `payload` says how else it is to be sent, at once. An answer that says it twice would be asked
    /// for forever: what is learned from it is remembered.
    fn learn(&mut self, _payload: &Payload, _answer: &Answer) -> bool {
        false
    }

    /// What became of `payload`.
    fn judge(&mut self, _payload: &Payload, answer: &Answer) -> Outcome {
        answer.by_status()
    }

    /// The same for a backend whose answer is not its last word: `client` asks on. May take its time, as `call` may.
    fn conclude(&mut self, payload: &Payload, answer: &Answer, _client: &Client) -> Outcome {
        self.judge(payload, answer)
    }
}

/// A [`Wire`] with its client.
struct Over<W> {
    client: Client,
    wire: W,
}

impl<W: Wire> Transport for Over<W> {
    fn send(&mut self, payload: &Payload) -> Outcome {
        loop {
            let method = self.wire.method(payload);
            let answer = match (self.wire.body(payload), self.wire.call(payload)) {
                (Ok(body), Ok(call)) => self.client.send(method, call.url, &call.headers, &body),
                (Err(reason), _) | (_, Err(reason)) => return Outcome::Rejected { reason },
            };
            match answer {
                Ok(answer) if self.wire.learn(payload, &answer) => {}
                Ok(answer) => return self.wire.conclude(payload, &answer, &self.client),
                Err(reason) => return Outcome::Unreachable { reason },
            }
        }
    }
}

/// Sends to one backend over HTTP.
pub struct Backend {
    kind: Kind,
    format: Box<dyn Format>,
    batching: Batching,
    peers: Vec<Peer>,
    destinations: Destinations,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("kind", &self.kind.name)
            .field("destinations", &self.destinations)
            .finish_non_exhaustive()
    }
}

impl Backend {
    /// Starts a thread for each of `ways`: what is sent that way, the URL that it leads to or begins with, and the wire.
    pub(super) fn start<W: Wire>(
        kind: Kind,
        connection: &Connection,
        format: impl Format + 'static,
        ways: Vec<(Vec<Signal>, String, W)>,
    ) -> Result<Self, DestinationError> {
        let mut ready = Vec::with_capacity(ways.len());
        let mut peers = Vec::with_capacity(ways.len());
        // All of them before the first thread starts.
        for (mut signals, endpoint, wire) in ways {
            signals.retain(|signal| connection.signals.contains(signal));
            http::check(kind.title, &endpoint, connection.require_tls)?;
            let client = Client::new(&connection.reach(), &endpoint)?;
            peers.push(connection.peer(&endpoint, &signals));
            ready.push((signals, endpoint, Over { client, wire }));
        }
        let start = |(signals, endpoint, over): (Vec<Signal>, String, Over<W>)| {
            let delivery = Delivery {
                name: shown(&endpoint),
                spool_name: spool_name(kind.name, b"", &endpoint, &connection.headers),
                signals,
                spool: &connection.spool,
                retry_delay: connection.retry_delay,
                component: kind.component,
            };
            Destination::start(delivery, over)
        };
        let all: Vec<_> = ready.into_iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self {
            kind,
            format: Box::new(format),
            batching: connection.batching,
            peers,
            destinations: Destinations::new(all, connection.timeout),
        })
    }

    /// How much waits.
    pub fn waiting(&self) -> Waiting {
        self.destinations.waiting()
    }
}

impl Exporter for Backend {
    fn name(&self) -> &'static str {
        self.kind.name
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.format.encode(batch, &mut Requests(&self.destinations));
        self.destinations.take_fault()
    }

    fn export_metrics(&mut self, snapshot: &Snapshot) -> Result<(), ExportError> {
        self.format
            .encode_metrics(snapshot, &mut Requests(&self.destinations));
        self.destinations.take_fault()
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.destinations.flush()
    }

    fn flush_by(&mut self, deadline: Instant) -> Result<(), ExportError> {
        self.destinations.flush_by(deadline)
    }

    fn close(&mut self) -> Result<(), ExportError> {
        self.format.end(&mut Requests(&self.destinations));
        self.destinations.take_fault()
    }

    fn batching(&self) -> Option<Batching> {
        Some(self.batching)
    }

    fn condition(&self) -> Option<Condition> {
        Some(self.destinations.condition())
    }

    fn peers(&self) -> Vec<Peer> {
        self.peers.clone()
    }
}
