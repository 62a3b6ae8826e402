//! The thread that sends to one endpoint, and what it shares with those who give it work.
//!
//! Invariant: what the endpoint does not take stays the first of its signal to be sent, and no other endpoint's requests
//! wait for it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use radiosonde_core::panics::drop_caught;

use super::{meter::Meter, signal_of, waiting::Lanes};
use crate::exporter::spool::Payload;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::exporter) enum Outcome {
    /// Taken.
    Delivered,
    /// Taken but for `rejected` records.
    Partial { rejected: u64, reason: String },
    /// Refused for good.
    Rejected { reason: String },
    /// To be tried again: the endpoint said so of this request.
    Unavailable {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// To be tried again: no answer came.
    Unreachable { reason: String },
    /// A part was taken. `rest` is to be tried again in place of the whole, and `rejected` records are refused for good.
    PartUnavailable {
        rest: Payload,
        rejected: u64,
        reason: String,
        retry_after: Option<Duration>,
    },
}

/// One way of sending a request. May block for the configured timeout.
pub(in crate::exporter) trait Transport: Send {
    fn send(&mut self, payload: &Payload) -> Outcome;
}

/// Where the sender is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    Stopping,
    Ended,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) lanes: Lanes,
    pub(super) sender: Life,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is work for the sender.
    pub(super) work: Condvar,
    /// The sender has settled or failed something, or has ended.
    pub(super) settled: Condvar,
}

impl Shared {
    pub(super) fn new(lanes: Lanes) -> Self {
        Self {
            state: Mutex::new(State {
                lanes,
                sender: Life::Running,
            }),
            work: Condvar::new(),
            settled: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn wait<'a>(
    condvar: &Condvar,
    state: MutexGuard<'a, State>,
    at_most: Duration,
) -> MutexGuard<'a, State> {
    condvar
        .wait_timeout(state, at_most)
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

/// The sending end of the queue.
pub(super) struct Sender<T> {
    shared: Arc<Shared>,
    meter: Meter,
    transport: T,
}

impl<T: Transport> Sender<T> {
    pub(super) fn new(shared: Arc<Shared>, component: &'static str, transport: T) -> Self {
        Self {
            shared,
            meter: Meter::new(component),
            transport,
        }
    }

    pub(super) fn run(mut self) {
        // What the client libraries log about our own sending is not telemetry to send.
        let _silence = radiosonde_core::silence();
        while let Some((lane, payload)) = self.next() {
            let outcome = self.send(&payload);
            let records = u64::from(payload.records);
            self.shared.lock().lanes.settle(lane, outcome, records);
            self.shared.settled.notify_all();
        }
        self.shared.lock().sender = Life::Ended;
        self.shared.settled.notify_all();
    }

    /// The next payload when it is time to send it, and the lane that it is of, or `None` at the end.
    fn next(&self) -> Option<(usize, Arc<Payload>)> {
        let mut state = self.shared.lock();
        loop {
            if state.sender == Life::Stopping {
                return None;
            }
            state = match state.lanes.take(Instant::now()) {
                Ok(next) => return Some(next),
                Err(Some(pause)) => wait(&self.shared.work, state, pause),
                Err(None) => self
                    .shared
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn send(&mut self, payload: &Payload) -> Outcome {
        let Some(signal) = signal_of(payload.tag) else {
            return Outcome::Rejected {
                reason: "written by a newer version".to_owned(),
            };
        };
        let transport = &mut self.transport;
        self.meter.watch(signal, payload.records, || {
            catch_unwind(AssertUnwindSafe(|| transport.send(payload))).unwrap_or_else(|panic| {
                drop_caught(panic);
                Outcome::Unreachable {
                    reason: "the client library panicked".to_owned(),
                }
            })
        })
    }
}
