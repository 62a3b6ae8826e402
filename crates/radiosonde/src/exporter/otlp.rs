//! OTLP to a collector, over HTTP or gRPC, or to several where signals have endpoints of their own.
//!
//! [`Otlp::export`](Exporter::export) encodes, compresses and queues; a thread of its own for each endpoint sends
//! (`delivery`). So a collector that hangs delays nobody, not even another endpoint, and what it does not take waits in the
//! [`spool`](super::spool), in the order of its signal, until it is back, in this process or the next.
//!
//! What happens to an answer (OpenTelemetry protocol specification, OTLP/HTTP response and OTLP/gRPC response):
//! - taken: forgotten; partly taken: the rejected records are counted under `Lost::Rejected` and never sent again;
//! - "try again" (429, 502, 503, 504, or no answer at all): sent again after a growing delay with full jitter, or when
//!   `Retry-After` says. An answer holds back its own signal; where none came, all signals wait for the endpoint;
//! - anything else: counted under `Lost::Rejected`.

use std::time::{Duration, Instant};

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};

use super::{
    Batching, Condition, ExportError, Exporter,
    delivery::{
        Delivery, Destination, DestinationError, Destinations, GZIP, Transport, address::shown,
        gzip, payload,
    },
    peer::Peer,
    spool::{Payload, Waiting},
};
use crate::encode::otlp::{Encoder, Request, Signal, json};

mod config;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod http;
mod response;

use self::config::Target;
pub use self::config::{Compression, OtlpConfig};
use self::http::Encoding;

/// How long one request may take, `OTEL_EXPORTER_OTLP_TIMEOUT`'s default.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How much is collected before it is sent, unless configured otherwise: the batch of OpenTelemetry's batching
/// processors, and the shorter of their two delays.
pub const BATCHING_DEFAULT: Batching = Batching {
    records: 512,
    delay: Duration::from_secs(1),
};

/// The name of gRPC among protocols.
const GRPC: &str = "grpc";

/// Sends spans, logs, events and metrics as OTLP.
#[derive(Debug)]
pub struct Otlp {
    encoder: Encoder,
    batching: Batching,
    /// Of each signal in the order of [`Signal::ALL`], whether its bodies are compressed before they are queued.
    gzip: [bool; 3],
    /// Whether bodies are JSON.
    is_json: bool,
    peers: Vec<Peer>,
    destinations: Destinations,
}

impl Otlp {
    /// Sends protobuf over HTTP.
    pub fn http(config: &OtlpConfig) -> Result<Self, DestinationError> {
        Self::over_http(config, ("http", "otlp_http_exporter"), Encoding::Protobuf)
    }

    /// Sends JSON over HTTP, for collectors and proxies that read nothing else. It takes more bytes and time than protobuf.
    pub fn http_json(config: &OtlpConfig) -> Result<Self, DestinationError> {
        let names = ("http-json", "otlp_http_json_exporter");
        Self::over_http(config, names, Encoding::Json)
    }

    fn over_http(
        config: &OtlpConfig,
        names: (&str, &'static str),
        encoding: Encoding,
    ) -> Result<Self, DestinationError> {
        let mut otlp = Self::start(config, names, |config, target| {
            http::Http::new(config, target, encoding)
        })?;
        otlp.is_json = encoding == Encoding::Json;
        for target in config.targets() {
            for signal in &target.signals {
                otlp.gzip[*signal as usize - 1] = config.gzip(&target);
            }
        }
        Ok(otlp)
    }

    /// Sends over gRPC, which compresses by message.
    #[cfg(feature = "otlp-grpc")]
    pub fn grpc(config: &OtlpConfig) -> Result<Self, DestinationError> {
        Self::start(config, (GRPC, "otlp_grpc_exporter"), grpc::Grpc::new)
    }

    fn start<T: Transport + 'static>(
        config: &OtlpConfig,
        (protocol, component): (&str, &'static str),
        transport: impl Fn(&OtlpConfig, &Target) -> Result<T, DestinationError>,
    ) -> Result<Self, DestinationError> {
        config.check()?;
        let peers = config.targets().into_iter();
        let peers = peers
            .map(|target| config.peer(target, protocol == GRPC))
            .collect();
        // All of them before the first thread starts.
        let transports: Vec<_> = config
            .targets()
            .into_iter()
            .map(|target| Ok((transport(config, &target)?, target)))
            .collect::<Result<_, DestinationError>>()?;
        let start = |(transport, target): (T, Target)| {
            let delivery = Delivery {
                name: shown(&target.endpoint),
                spool_name: config.spool_name(&target, protocol),
                signals: target.signals,
                spool: &config.spool,
                retry_delay: config.retry_delay,
                component,
            };
            Destination::start(delivery, transport)
        };
        let all: Vec<_> = transports
            .into_iter()
            .map(start)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            encoder: Encoder::new(config.request_bytes_max),
            batching: config.batching,
            gzip: [false; 3],
            is_json: false,
            peers,
            destinations: Destinations::new(all, config.timeout),
        })
    }

    /// How much waits for all destinations.
    pub fn waiting(&self) -> Waiting {
        self.destinations.waiting()
    }

    /// Queues what `encode` makes of each signal that is sent.
    fn queue(
        &mut self,
        signals: &[Signal],
        encode: impl Fn(&mut Encoder, Signal, &mut dyn FnMut(Request<'_>)),
    ) -> Result<(), ExportError> {
        for &signal in signals {
            if let Some(destination) = self.destinations.of(signal) {
                let gzip = self.gzip[signal as usize - 1];
                let is_json = self.is_json;
                encode(&mut self.encoder, signal, &mut |request| {
                    destination.push(if is_json {
                        // JSON of spans takes about two and a half times their bytes in protobuf.
                        let mut body = Vec::with_capacity(3 * request.body.len());
                        json::request(signal, request.body, &mut body);
                        let request = Request {
                            body: &body,
                            ..request
                        };
                        encoded(request, gzip)
                    } else {
                        encoded(request, gzip)
                    });
                });
            }
        }
        self.destinations.take_fault()
    }
}

fn encoded(request: Request<'_>, is_compressed: bool) -> Payload {
    let records = request.records as u32;
    // Writing to memory does not fail; if it did, plain bytes are as good.
    if is_compressed && let Some(body) = gzip::compressed(request.body) {
        return payload(request.signal, GZIP, records, body);
    }
    payload(request.signal, 0, records, request.body.to_vec())
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
        self.destinations.flush()
    }

    fn flush_by(&mut self, deadline: Instant) -> Result<(), ExportError> {
        self.destinations.flush_by(deadline)
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
