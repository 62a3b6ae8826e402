//! An exporter that writes payloads and leaves the rest to `delivery`: what everything that speaks no HTTP shares.

use std::{
    fmt,
    time::{Duration, Instant},
};

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};

use super::{
    Batching, Condition, ExportError, Exporter,
    delivery::{Delivery, Destination, DestinationError, Destinations, Transport, payload},
};
use crate::encode::otlp::Signal;

/// How much is collected before it is sent, unless configured otherwise.
pub(super) const BATCHING: Batching = Batching {
    records: 512,
    delay: Duration::from_secs(1),
};

/// Writes telemetry down as a destination reads it. Runs on the exporter's thread and waits for nobody.
pub(super) trait Format: Send {
    /// Writes spans, logs and events, as far as they are sent.
    fn encode(&mut self, batch: &Batch, queue: &mut Queue<'_>);

    /// Writes metrics, as far as they are sent.
    fn encode_metrics(&mut self, _snapshot: &Snapshot, _queue: &mut Queue<'_>) {}
}

/// Where a [`Format`] puts what it wrote.
pub(super) struct Queue<'a>(&'a Destinations);

impl Queue<'_> {
    /// Whether anything of `signal` is sent: nothing need be written otherwise.
    pub(super) fn takes(&self, signal: Signal) -> bool {
        self.0.of(signal).is_some()
    }

    pub(super) fn push(&mut self, signal: Signal, records: u32, body: Vec<u8>) {
        if records > 0
            && let Some(destination) = self.0.of(signal)
        {
            destination.push(payload(signal, 0, records, body));
        }
    }
}

/// The exporter.
pub(super) struct Queued<F> {
    name: &'static str,
    format: F,
    batching: Batching,
    destinations: Destinations,
}

impl<F: Format> Queued<F> {
    /// Starts the thread that sends. `timeout` is how long one payload may take.
    pub(super) fn start(
        name: &'static str,
        format: F,
        delivery: Delivery<'_>,
        timeout: Duration,
        transport: impl Transport + 'static,
    ) -> Result<Self, DestinationError> {
        let destination = Destination::start(delivery, transport)?;
        Ok(Self {
            name,
            format,
            batching: BATCHING,
            destinations: Destinations::new(vec![destination], timeout),
        })
    }
}

impl<F> fmt::Debug for Queued<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queued")
            .field("name", &self.name)
            .field("destinations", &self.destinations)
            .finish_non_exhaustive()
    }
}

impl<F: Format> Exporter for Queued<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.format.encode(batch, &mut Queue(&self.destinations));
        self.destinations.take_fault()
    }

    fn export_metrics(&mut self, snapshot: &Snapshot) -> Result<(), ExportError> {
        self.format
            .encode_metrics(snapshot, &mut Queue(&self.destinations));
        self.destinations.take_fault()
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
}
