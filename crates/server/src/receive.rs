//! Receives telemetry: OTLP over HTTP and over gRPC, spans of Zipkin, Jaeger and Datadog, metrics of Datadog, StatsD and Prometheus,
//! logs of Datadog, Loki's agents and syslog, profiles as profilers write them, and what targets answer that are scraped
//! (docs/receivers.md).
//!
//! ```text
//! http ──┐
//! grpc ──┴▶ body (limits, decompression) ─▶ decode (what is valid becomes rows) ─▶ store
//! scrape, statsd, syslog ──────────────────┘ └─ ledger (who sent what, what was refused and why)
//! ```
//!
//! Invariants: an answer that is a success is given after the rows are on the disk; a request costs memory in proportion
//! to what it may have, however it is made; nothing that anybody sends panics, and if it did, it would cost that one request;
//! what is not kept is counted, said to its sender, and noted in the [`ledger`](Ledger).

mod answer;
mod body;
mod clocks;
mod decode;
mod grpc;
mod http;
mod ledger;
mod refusal;
pub(crate) mod scrape;
pub(crate) mod statsd;
pub(crate) mod syslog;

#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use radiosonde_store::Store;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::timeout,
};

use self::{
    body::{Compression, Share, Whole},
    clocks::Clocks,
    decode::{Counts, Encoding, Rejected, Signal, Told, remote_write::Written},
    ledger::{Ledger, Sender},
    refusal::{Kind, Refusal},
};
pub(crate) use self::{clocks::Clock, decode::Rules, ledger::Doctor};
use crate::problem::Problem;

/// What requests may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Most bytes of a request, as it comes and after decompression. 64 MiB is what OTLP recommends.
    body_bytes_max: usize,
    /// Most bytes of all requests together that are being read.
    bytes_max: usize,
    /// Most requests that are decoded and written at once.
    requests_max: usize,
    /// How long a request waits for its turn, or for memory.
    patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024 * 1024,
            bytes_max: 256 * 1024 * 1024,
            requests_max: 32,
            patience: Duration::from_secs(5),
        }
    }
}

/// The first bytes of gzip (RFC 1952, section 2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// A request to be taken.
#[derive(Debug)]
struct Payload {
    signal: Signal,
    encoding: Encoding,
    compression: Compression,
    whole: Whole,
    told: Told,
}

/// What became of the items of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    accepted: u64,
    rejected: Rejected,
    /// Of remote write.
    written: Written,
}

/// What was received since the server started, in rows of the store's tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Received {
    /// Spans.
    pub(crate) spans: u64,
    /// Logs and events, also those of spans.
    pub(crate) logs: u64,
    /// Readings of metrics.
    pub(crate) points: u64,
    /// Samples of profiles.
    pub(crate) samples: u64,
    /// Items that were not kept; a request that was refused whole counts as one.
    pub(crate) refused: u64,
}

/// What receivers put telemetry into.
#[derive(Debug)]
pub(crate) struct Intake {
    store: Arc<Store>,
    limits: Limits,
    /// Ports that senders are led to who found the wrong one.
    http_port: u16,
    grpc_port: u16,
    /// How their addresses begin.
    scheme: &'static str,
    ledger: Ledger,
    /// What is taken from metrics as they come.
    rules: Arc<Rules>,
    clocks: Arc<Clocks>,
    received: watch::Sender<Received>,
    /// One for each request that may be decoded at once.
    places: Arc<Semaphore>,
    /// One for each byte that requests, and answers of targets, may take.
    memory: Arc<Semaphore>,
    /// For the one answer of a target that may be decoded at once: nobody waits for it.
    scraped: Arc<Semaphore>,
}

impl Intake {
    /// An intake into `store`, of a server that has its receivers at these addresses.
    pub(crate) fn new(store: Arc<Store>, otlp_http: SocketAddr, otlp_grpc: SocketAddr) -> Self {
        Self::with_limits(store, otlp_http, otlp_grpc, Limits::default())
    }

    fn with_limits(
        store: Arc<Store>,
        otlp_http: SocketAddr,
        otlp_grpc: SocketAddr,
        limits: Limits,
    ) -> Self {
        Self {
            store,
            limits,
            http_port: otlp_http.port(),
            grpc_port: otlp_grpc.port(),
            scheme: "http",
            ledger: Ledger::default(),
            rules: Arc::default(),
            clocks: Arc::default(),
            received: watch::Sender::default(),
            places: Arc::new(Semaphore::new(limits.requests_max)),
            memory: Arc::new(Semaphore::new(limits.bytes_max)),
            scraped: Arc::new(Semaphore::new(1)),
        }
    }

    /// The same, of a server whose addresses begin with `scheme`.
    pub(crate) fn with_scheme(self, scheme: &'static str) -> Self {
        Self { scheme, ..self }
    }

    /// The same, which metrics come into under these rules.
    pub(crate) fn with_rules(self, rules: Rules) -> Self {
        Self {
            rules: Arc::new(rules),
            ..self
        }
    }

    /// Notes that somebody could not even ask.
    pub(crate) fn note_connection(&self, peer: SocketAddr, reason: &str, mend: &str) {
        let sender = Sender {
            peer: peer.ip().to_canonical().to_string(),
            protocol: "tls",
            signal: "",
            client: String::new(),
        };
        self.ledger.refused(&sender, reason, mend, 1);
    }

    /// Who sent what, and what was refused.
    pub(crate) fn doctor(&self) -> Doctor {
        self.ledger.doctor()
    }

    /// How far the clocks of those who send are from this machine's.
    pub(crate) fn clocks(&self) -> Vec<Clock> {
        self.clocks.told()
    }

    /// What was received so far.
    pub(crate) fn received(&self) -> Received {
        *self.received.borrow()
    }

    /// Changes whenever something is received. What came is what it has more than before.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Received> {
        self.received.subscribe()
    }

    fn share(&self) -> Share {
        Share::new(Arc::clone(&self.memory), self.limits.patience)
    }

    /// Notes that a request was refused whole.
    fn note(&self, sender: &Sender, refusal: &Refusal) {
        if !sender.signal.is_empty() {
            self.ledger.sent(sender, 0, 1);
        }
        self.ledger
            .refused(sender, refusal.reason(), refusal.mend(), 1);
        self.received.send_modify(|received| received.refused += 1);
    }

    /// Takes a request, and answers when its rows are on the disk.
    async fn take(&self, sender: &Sender, payload: Payload) -> Result<Outcome, Refusal> {
        let (counts, outcome) = self.keep(payload).await?;
        self.count(sender, counts, &outcome);
        Ok(outcome)
    }

    /// Notes what became of items.
    fn count(&self, sender: &Sender, counts: Counts, outcome: &Outcome) {
        let rejected = outcome.rejected.items;
        self.ledger.sent(sender, outcome.accepted, rejected);
        if let Some((reason, _)) = &outcome.rejected.first {
            self.ledger
                .refused(sender, reason.text(), reason.mend(), rejected);
        }
        if counts != Counts::default() || rejected > 0 {
            self.received.send_modify(|received| {
                received.spans += counts.spans;
                received.logs += counts.logs;
                received.points += counts.points;
                received.samples += counts.samples;
                received.refused += rejected;
            });
        }
    }

    async fn keep(&self, payload: Payload) -> Result<(Counts, Outcome), Refusal> {
        let place = timeout(
            self.limits.patience,
            Arc::clone(&self.places).acquire_owned(),
        )
        .await;
        let place = place.ok().and_then(Result::ok).ok_or_else(Refusal::busy)?;
        let (store, limits, runtime) = (Arc::clone(&self.store), self.limits, Handle::current());
        let (clocks, rules) = (Arc::clone(&self.clocks), Arc::clone(&self.rules));
        let kept = spawn_blocking(move || {
            let into = Inlet {
                store: &store,
                clocks: &clocks,
                rules: &rules,
            };
            let kept = keep(into, payload, &limits, &runtime);
            drop(place);
            kept
        });
        let fault = |_| {
            Refusal::new(
                Kind::Internal,
                "reading the request failed",
                "report this as a fault of Radiosonde",
            )
        };
        kept.await.map_err(fault)?
    }
}

/// What a request goes into, and by what.
#[derive(Clone, Copy)]
struct Inlet<'a> {
    store: &'a Store,
    clocks: &'a Clocks,
    rules: &'a Arc<Rules>,
}

fn keep(
    into: Inlet<'_>,
    payload: Payload,
    limits: &Limits,
    runtime: &Handle,
) -> Result<(Counts, Outcome), Refusal> {
    let Payload {
        signal,
        encoding,
        compression,
        whole,
        told,
    } = payload;
    let mut whole = body::decompress(compression, whole, limits, runtime)?;
    if encoding == Encoding::Pprof && whole.bytes.starts_with(GZIP_MAGIC) {
        // Profilers write them so.
        whole = body::decompress(Compression::Gzip, whole, limits, runtime)?;
    }
    let arrived_unix_ns = now_unix_ns();
    let decoded = decode::decode(
        signal,
        encoding,
        &told,
        &whole.bytes,
        arrived_unix_ns,
        into.rules,
    );
    let unreadable = |unreadable| Refusal::unreadable(unreadable, mend(encoding, &whole.bytes));
    let (rows, counts, rejected) = decoded.map_err(unreadable)?;
    if !rows.is_empty() {
        into.clocks.note(rows.newest(), arrived_unix_ns);
        into.store
            .append(rows)
            .map_err(|error| Refusal::append(&error))?;
    }
    let accepted = match signal {
        Signal::Traces => counts.spans,
        Signal::Logs => counts.logs,
        Signal::Metrics => counts.points,
        Signal::Profiles => counts.profiles,
    };
    let outcome = Outcome {
        accepted,
        rejected,
        written: counts.written,
    };
    Ok((counts, outcome))
}

/// What to do about a request that cannot be read, by what it seems to be.
fn mend(encoding: Encoding, request: &[u8]) -> &'static str {
    let begins = |with: &[u8]| request.trim_ascii_start().starts_with(with);
    match encoding {
        _ if begins(GZIP_MAGIC) => "it seems to be gzip: say so with `Content-Encoding: gzip`",
        _ if begins(&[0x28, 0xb5, 0x2f, 0xfd]) => {
            "it seems to be zstd: say so with `Content-Encoding: zstd`"
        }
        Encoding::Protobuf if begins(b"{") => {
            "it seems to be JSON: say so with `Content-Type: application/json`"
        }
        Encoding::Protobuf => "send an OTLP Export request in protobuf",
        Encoding::Json if begins(b"{") => "send an OTLP Export request in OTLP's JSON",
        Encoding::Json => "if it is protobuf, say so with `Content-Type: application/x-protobuf`",
        Encoding::Pprof => "send a profile as pprof writes it: profile.proto, with gzip or without",
        Encoding::Folded => "send a stack a line: root;child;leaf 42",
        Encoding::Zipkin => "send a list of spans in Zipkin's JSON, version 2",
        Encoding::Jaeger(_) => {
            "send a Batch of jaeger.thrift in Thrift's binary protocol, or call PostSpans"
        }
        Encoding::Datadog(_) => {
            "send what the path is for: traces in MessagePack, series and logs in JSON"
        }
        Encoding::Loki(_) => {
            "send a push request of Loki's, in JSON, or in protobuf as one block of snappy"
        }
        Encoding::RemoteWrite(_) => {
            "send a request of remote write 1.0 or 2.0, and name its version in Content-Type"
        }
        Encoding::Syslog => "send messages of RFC 5424 or RFC 3164",
        Encoding::Exposition => "answer with Prometheus' text format or OpenMetrics",
    }
}

fn now_unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// The answer to a request that is refused before anybody looks at it, in the form that its sender understands. Where it would
/// have brought telemetry, that is noted: strangers are no senders, but whoever looks for telemetry that does not arrive is to
/// find them. What it sends is read on within bounds, so that whoever is in the middle of it hears the answer.
pub(crate) async fn turned_away(
    intake: &Intake,
    request: Request,
    is_telemetry: bool,
    problem: &Problem,
) -> Response {
    let is_grpc = grpc::is_grpc(request.headers());
    if is_telemetry {
        let protocol = if is_grpc { "grpc" } else { "http" };
        let sender = http::sender(&request, protocol, "");
        intake
            .ledger
            .refused(&sender, problem.message(), problem.mend(), 1);
        intake
            .received
            .send_modify(|received| received.refused += 1);
    }
    body::discard(request.into_body(), &intake.limits).await;
    if !is_grpc {
        return problem.clone().into_response();
    }
    let kind = match problem.status() {
        StatusCode::UNAUTHORIZED => Kind::Unauthenticated,
        StatusCode::FORBIDDEN => Kind::Forbidden,
        _ => Kind::Unsupported,
    };
    let (message, mend) = (problem.message().to_owned(), problem.mend().to_owned());
    grpc::refused(&Refusal::new(kind, message, mend))
}

/// OTLP over HTTP, and Zipkin's spans.
pub(crate) fn otlp_http(intake: Arc<Intake>) -> Router {
    http::router(intake)
}

/// OTLP over gRPC.
pub(crate) fn otlp_grpc(intake: Arc<Intake>) -> Router {
    grpc::router(intake)
}
