//! OTLP requests as protobuf bytes (opentelemetry-proto 1.x), written straight from a [`Batch`] or [`Snapshot`]: no
//! intermediate structs, one pass over the data, one buffer that is used again and again.
//!
//! What becomes what:
//! - A span is a `Span`; its target is the instrumentation scope, its thread `thread.id`, its level `level` unless
//!   that is INFO, its correlation ID `correlation.id`.
//! - A log is a `LogRecord` whose body is the message. An event is a `LogRecord` with an `event_name`, its fields as
//!   attributes and its JSON type as `radiosonde.event.type`.
//! - Metrics are cumulative sums, gauges, histograms and exponential histograms with exemplars.
//!
//! Invariant: each request is valid on its own, holds the resource, and stays within the byte limit unless a single
//! record exceeds it.

use std::sync::Arc;

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot, model::Resource};

pub use metrics::FAILED_ATTRIBUTE;
pub use radiosonde_core::model::EVENT_TYPE_ATTRIBUTE;

mod callsites;
#[cfg(feature = "otlp-http")]
pub(crate) mod json;
mod key;
mod logs;
mod metrics;
#[cfg(any(feature = "otlp-http", test))]
pub(crate) mod reader;
mod spans;
mod values;
pub(crate) mod wire;

use wire::Wire;

use crate::redact::Redaction;

/// Uncompressed bytes after which a request is closed and another one begun: a quarter of the 4 MiB that gRPC
/// servers accept by default.
pub const REQUEST_BYTES_MAX_DEFAULT: usize = 1024 * 1024;

/// Bytes kept for the length of a message that holds many records: right from 16 KiB to 2 MiB.
const LONG: usize = 3;

/// One of OTLP's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Signal {
    /// Spans.
    Traces = 1,
    /// Logs and events.
    Logs = 2,
    /// Metrics.
    Metrics = 3,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    /// `traces`, `logs` or `metrics`, as in the path of OTLP over HTTP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }
}

/// An encoded `Export*ServiceRequest`.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Which service it is for.
    pub signal: Signal,
    /// How many spans, log records or data points it holds.
    pub records: u64,
    /// The message.
    pub body: &'a [u8],
}

/// Encodes batches and snapshots into requests.
#[derive(Debug)]
pub struct Encoder {
    wire: Wire,
    request_bytes_max: usize,
    /// The encoded `resource` field of the resource seen last.
    resource: Vec<u8>,
    resource_of: Option<Arc<Resource>>,
    callsites: callsites::Callsites,
    redaction: Redaction,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new(REQUEST_BYTES_MAX_DEFAULT)
    }
}

impl Encoder {
    /// An encoder whose requests are closed once they hold `request_bytes_max` bytes.
    pub fn new(request_bytes_max: usize) -> Self {
        Self {
            wire: Wire::default(),
            request_bytes_max,
            resource: Vec::new(),
            resource_of: None,
            callsites: callsites::Callsites::default(),
            redaction: Redaction::default(),
        }
    }

    /// Replaces what `redaction` says in spans, logs and events; the default is [`Redaction::default`]. Labels of metrics and
    /// attributes of the resource are sent as they are.
    #[must_use]
    pub fn with_redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        // They know what the names of fields say.
        self.callsites = callsites::Callsites::default();
        self
    }

    /// Hands every request that `batch` makes to `send`: spans first, then logs and events.
    pub fn batch(&mut self, batch: &Batch, mut send: impl FnMut(Request<'_>)) {
        self.traces(batch, &mut send);
        self.logs(batch, &mut send);
    }

    /// Hands the spans of `batch` to `send`.
    pub fn traces(&mut self, batch: &Batch, mut send: impl FnMut(Request<'_>)) {
        self.encode_resource(batch.resource());
        spans::encode(self, batch, &mut send);
    }

    /// Hands the logs and events of `batch` to `send`.
    pub fn logs(&mut self, batch: &Batch, mut send: impl FnMut(Request<'_>)) {
        self.encode_resource(batch.resource());
        logs::encode(self, batch, &mut send);
    }

    /// Hands the metrics of `snapshot` to `send`.
    pub fn metrics(&mut self, snapshot: &Snapshot, mut send: impl FnMut(Request<'_>)) {
        self.encode_resource(&snapshot.resource);
        metrics::encode(self, snapshot, &mut send);
    }

    fn encode_resource(&mut self, resource: &Arc<Resource>) {
        let same = self
            .resource_of
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, resource));
        if !same {
            self.wire.clear();
            values::resource(&mut self.wire, resource);
            self.resource.clear();
            self.resource.extend_from_slice(self.wire.written());
            self.resource_of = Some(Arc::clone(resource));
        }
    }
}

/// Writes requests of `records`: each holds the resource and one scope for every run of records with the same
/// `target`.
fn grouped<'a, R: Copy>(
    encoder: &mut Encoder,
    signal: Signal,
    records: impl Iterator<Item = R>,
    target: impl Fn(R) -> &'a str,
    write: impl Fn(&mut Wire, &mut callsites::Callsites, &Redaction, R),
    send: &mut impl FnMut(Request<'_>),
) {
    let Encoder {
        wire,
        request_bytes_max,
        resource,
        callsites,
        redaction,
        ..
    } = encoder;
    let mut records = records.peekable();
    while records.peek().is_some() {
        wire.clear();
        let mut count = 0;
        let all = wire.open(1, LONG);
        wire.put_slice(resource);
        while let Some(&first) = records.peek()
            && (count == 0 || wire.len() < *request_bytes_max)
        {
            let name = target(first);
            let scope = wire.open(2, LONG);
            values::scope(wire, name, "");
            while (count == 0 || wire.len() < *request_bytes_max)
                && let Some(record) = records.next_if(|&record| same_text(target(record), name))
            {
                write(wire, callsites, redaction, record);
                count += 1;
            }
            wire.close(scope);
        }
        wire.close(all);
        send(Request {
            signal,
            records: count,
            body: wire.written(),
        });
    }
}

#[inline]
fn same_text(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b) || a == b
}
