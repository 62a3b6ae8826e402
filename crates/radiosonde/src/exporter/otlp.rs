//! OTLP to a collector, over HTTP or gRPC, or to several where signals have endpoints of their own.
//!
//! [`Otlp::export`](Exporter::export) encodes, compresses and queues; a thread of its own for each endpoint sends. So a
//! collector that hangs delays nobody, not even another endpoint, and what it does not take waits in the
//! [`spool`](super::spool), in the order of its signal, until it is back, in this process or the next.
//!
//! What happens to an answer (OpenTelemetry protocol specification, OTLP/HTTP response and OTLP/gRPC response):
//! - taken: forgotten; partly taken: the rejected records are counted under `Lost::Rejected` and never sent again;
//! - "try again" (429, 502, 503, 504, or no answer at all): sent again after a growing delay with full jitter, or when
//!   `Retry-After` says. An answer holds back its own signal; where none came, all signals wait for the endpoint;
//! - anything else: counted under `Lost::Rejected`.

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot, pump::deadline_in};

use super::{
    Batching, Condition, ExportError, Exporter,
    spool::{Payload, Waiting},
};
use crate::encode::otlp::{Encoder, Request, Signal};

mod config;
mod destination;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod http;
mod meter;
mod response;
mod sender;
mod waiting;

pub use self::config::{Compression, OtlpConfig, OtlpError};
use self::{
    config::{Target, shown},
    destination::Destination,
    sender::{Outcome, Transport},
    waiting::Told,
};

/// How long one request may take, `OTEL_EXPORTER_OTLP_TIMEOUT`'s default.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How much is collected before it is sent, unless configured otherwise: the batch of OpenTelemetry's batching
/// processors, and the shorter of their two delays.
pub const BATCHING_DEFAULT: Batching = Batching {
    records: 512,
    delay: Duration::from_secs(1),
};

/// How long a flush waits for a destination that is there before what waits is made durable: it takes everything
/// within moments, and the disk is spared.
const FLUSH_PROMPT: Duration = Duration::from_millis(200);

/// How long dropping the exporter waits for requests that are on their way.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// Sends spans, logs, events and metrics as OTLP.
#[derive(Debug)]
pub struct Otlp {
    encoder: Encoder,
    timeout: Duration,
    batching: Batching,
    destinations: Vec<Destination>,
}

impl Otlp {
    /// Sends protobuf over HTTP.
    pub fn http(config: &OtlpConfig) -> Result<Self, OtlpError> {
        Self::start(config, "http", http::Http::new)
    }

    /// Sends over gRPC.
    #[cfg(feature = "otlp-grpc")]
    pub fn grpc(config: &OtlpConfig) -> Result<Self, OtlpError> {
        Self::start(config, "grpc", grpc::Grpc::new)
    }

    fn start<T: Transport + 'static>(
        config: &OtlpConfig,
        protocol: &str,
        transport: impl Fn(&OtlpConfig, &Target) -> Result<T, OtlpError>,
    ) -> Result<Self, OtlpError> {
        config.check()?;
        // All of them before the first thread starts.
        let transports: Vec<_> = config
            .targets()
            .into_iter()
            .map(|target| Ok((transport(config, &target)?, target)))
            .collect::<Result<_, OtlpError>>()?;
        Ok(Self {
            encoder: Encoder::new(config.request_bytes_max),
            timeout: config.timeout,
            batching: config.batching,
            destinations: transports
                .into_iter()
                .map(|(transport, target)| Destination::start(config, target, protocol, transport))
                .collect::<Result<_, _>>()?,
        })
    }

    /// How much waits for all destinations.
    pub fn waiting(&self) -> Waiting {
        let all = self.destinations.iter().map(Destination::waiting);
        all.fold(Waiting::default(), Waiting::and)
    }

    /// Queues what `encode` makes of each signal that is sent.
    fn queue(
        &mut self,
        signals: &[Signal],
        encode: impl Fn(&mut Encoder, Signal, &mut dyn FnMut(Request<'_>)),
    ) -> Result<(), ExportError> {
        for &signal in signals {
            let of_signal = |one: &&Destination| one.signals().contains(&signal);
            if let Some(destination) = self.destinations.iter().find(of_signal) {
                encode(&mut self.encoder, signal, &mut |request| {
                    destination.push(payload(request, destination.gzip()));
                });
            }
        }
        self.noticed(Destination::take_fault)
    }

    /// What `tell` says of the destinations, as one.
    fn noticed(&self, tell: impl Fn(&Destination) -> Option<Told>) -> Result<(), ExportError> {
        let mut said: Option<(String, Told)> = None;
        for destination in &self.destinations {
            let Some((text, lost)) = tell(destination) else {
                continue;
            };
            match &mut said {
                None => said = Some((destination.name().to_owned(), (text, lost))),
                Some((_, (reason, counted))) => {
                    *reason = format!("{reason}; {}: {text}", destination.name());
                    counted.extend(lost);
                }
            }
        }
        said.map_or(Ok(()), |(destination, (reason, counted))| {
            Err(ExportError::Noticed {
                destination,
                reason,
                counted,
            })
        })
    }
}

/// The bit of a payload's tag that says that its body is compressed; the others are the signal.
const GZIP: u8 = 0x80;

fn payload(request: Request<'_>, gzip: bool) -> Payload {
    let plain = |tag| Payload {
        tag,
        records: request.records as u32,
        body: request.body.to_vec(),
    };
    let signal = request.signal as u8;
    if !gzip {
        return plain(signal);
    }
    let level = flate2::Compression::fast();
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::with_capacity(request.body.len() / 4), level);
    let compressed = encoder
        .write_all(request.body)
        .and_then(|()| encoder.finish());
    match compressed {
        Ok(body) => Payload {
            tag: signal | GZIP,
            records: request.records as u32,
            body,
        },
        // Writing to memory does not fail; if it did, plain bytes are as good.
        Err(_) => plain(signal),
    }
}

impl Exporter for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.queue(
            &[Signal::Traces, Signal::Logs],
            |encoder, signal, send| match signal {
                Signal::Traces => encoder.traces(batch, send),
                Signal::Logs | Signal::Metrics => encoder.logs(batch, send),
            },
        )
    }

    fn export_metrics(&mut self, snapshot: &Snapshot) -> Result<(), ExportError> {
        self.queue(&[Signal::Metrics], |encoder, _, send| {
            encoder.metrics(snapshot, send);
        })
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.flush_by(deadline_in(self.timeout))
    }

    /// Waits until each destination has everything, has failed an attempt, or one request's timeout or `deadline` has
    /// passed. What a destination does not take at once is made durable in the spool before it is waited for.
    fn flush_by(&mut self, deadline: Instant) -> Result<(), ExportError> {
        let deadline = deadline.min(deadline_in(self.timeout));
        let prompt = deadline.min(deadline_in(FLUSH_PROMPT));
        let flushes: Vec<_> = self
            .destinations
            .iter()
            .map(|destination| destination.flush(deadline))
            .collect();
        for flush in &flushes {
            flush.wait(prompt);
        }
        for flush in &flushes {
            flush.persist();
        }
        for flush in &flushes {
            flush.wait(deadline);
        }
        drop(flushes);
        self.noticed(Destination::left_behind)
    }

    fn batching(&self) -> Option<Batching> {
        Some(self.batching)
    }

    fn condition(&self) -> Option<Condition> {
        let states: Vec<_> = self
            .destinations
            .iter()
            .map(Destination::condition)
            .collect();
        Some(Arc::new(move || {
            let away: Vec<_> = states.iter().filter_map(|state| state()).collect();
            (!away.is_empty()).then(|| away.join("; "))
        }))
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_WAIT_MAX;
        for destination in &self.destinations {
            destination.settle(deadline);
        }
        for destination in &self.destinations {
            destination.stop();
        }
        for destination in &self.destinations {
            destination.end(deadline);
        }
    }
}
