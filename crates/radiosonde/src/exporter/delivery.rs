//! What every destination beyond this machine has in common: what waits for it, the thread that sends, when it is tried
//! again, and what is counted. A kind of destination adds how its bytes are written and what its answers mean.
//!
//! ```text
//! Exporter ─▶ Format (bytes) ─▶ Destination (waits, spooled) ─▶ sender's thread ─▶ Transport ─▶ Outcome
//! ```
//!
//! Invariants: encoding never waits for a destination; each has a thread, a spool, headers and keys of its own, and shares
//! none of them; what an answer holds back is its own signal, and where none came all signals of that destination wait.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use radiosonde_core::pump::deadline_in;

use super::{
    Condition, ExportError,
    spool::{Payload, Waiting},
};
use crate::encode::otlp::Signal;

pub(super) mod address;
#[cfg(feature = "backends")]
pub(super) mod base64;
mod destination;
mod error;
#[cfg(feature = "otlp-http")]
pub(super) mod gzip;
#[cfg(feature = "otlp-http")]
pub(super) mod http;
mod meter;
mod sender;
mod waiting;

pub use self::error::DestinationError;
use self::waiting::Told;
pub(super) use self::{
    destination::{Delivery, Destination},
    sender::{Outcome, Transport},
};

/// How long a flush waits for a destination that is there before what waits is made durable: it takes everything
/// within moments, and the disk is spared.
const FLUSH_PROMPT: Duration = Duration::from_millis(200);

/// How long dropping the destinations waits for requests that are on their way.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// The bits of a payload's tag that name its signal; the others mean something to its format alone.
const SIGNAL_BITS: u8 = 0b11;

/// The bit of a payload's tag that says that its body is compressed by gzip, in formats that choose.
pub(super) const GZIP: u8 = 0x80;

/// The signal that a payload's tag names, unless a newer version wrote it.
pub(super) fn signal_of(tag: u8) -> Option<Signal> {
    let named = |signal: &Signal| *signal as u8 == tag & SIGNAL_BITS;
    Signal::ALL.into_iter().find(named)
}

/// All that one exporter sends to.
#[derive(Debug)]
pub(super) struct Destinations {
    all: Vec<Destination>,
    /// How long one request may take.
    timeout: Duration,
}

impl Destinations {
    pub(super) const fn new(all: Vec<Destination>, timeout: Duration) -> Self {
        Self { all, timeout }
    }

    /// How much waits for all of them.
    pub(super) fn waiting(&self) -> Waiting {
        let all = self.all.iter().map(Destination::waiting);
        all.fold(Waiting::default(), Waiting::and)
    }

    /// The one that takes `signal`.
    pub(super) fn of(&self, signal: Signal) -> Option<&Destination> {
        self.all
            .iter()
            .find(|destination| destination.signals().contains(&signal))
    }

    /// What went wrong since the last call.
    pub(super) fn take_fault(&self) -> Result<(), ExportError> {
        self.noticed(Destination::take_fault)
    }

    /// What `tell` says of the destinations, as one.
    fn noticed(&self, tell: impl Fn(&Destination) -> Option<Told>) -> Result<(), ExportError> {
        let mut said: Option<(String, Told)> = None;
        for destination in &self.all {
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

    /// [`flush_by`](Self::flush_by) within the time of one request.
    pub(super) fn flush(&self) -> Result<(), ExportError> {
        self.flush_by(deadline_in(self.timeout))
    }

    /// Waits until each destination has everything, has failed an attempt, or one request's timeout or `deadline` has
    /// passed. What a destination does not take at once is made durable in the spool before it is waited for.
    pub(super) fn flush_by(&self, deadline: Instant) -> Result<(), ExportError> {
        let deadline = deadline.min(deadline_in(self.timeout));
        let prompt = deadline.min(deadline_in(FLUSH_PROMPT));
        let flushes: Vec<_> = self
            .all
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

    /// Tells from any thread which of them do not take what is sent.
    pub(super) fn condition(&self) -> Condition {
        let states: Vec<_> = self.all.iter().map(Destination::condition).collect();
        Arc::new(move || {
            let away: Vec<_> = states.iter().filter_map(|state| state()).collect();
            (!away.is_empty()).then(|| away.join("; "))
        })
    }
}

impl Drop for Destinations {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_WAIT_MAX;
        for destination in &self.all {
            destination.settle(deadline);
        }
        for destination in &self.all {
            destination.stop();
        }
        for destination in &self.all {
            destination.end(deadline);
        }
    }
}

/// A payload of `signal`, whose tag has the format's own `bits` too.
pub(super) const fn payload(signal: Signal, bits: u8, records: u32, body: Vec<u8>) -> Payload {
    Payload {
        tag: signal as u8 | (bits & !SIGNAL_BITS),
        records,
        body,
    }
}
