//! The thread that sends to one endpoint, and what it shares with those who give it work.
//!
//! Invariant: what the endpoint does not take stays the first to be sent, and only this endpoint's requests wait for it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use radiosonde_core::{
    loss::{self, Lost},
    panics::drop_caught,
    pump::deadline_in,
};

use super::{GZIP, meter::Meter};
use crate::{
    encode::otlp::Signal,
    exporter::{
        retry::Backoff,
        spool::{Payload, Spool},
    },
};

/// How long a file of the spool that cannot be opened at the moment is left alone.
const READ_PAUSE: Duration = Duration::from_secs(5);

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Taken.
    Delivered,
    /// Taken but for `rejected` records.
    Partial { rejected: u64, reason: String },
    /// Refused for good.
    Rejected { reason: String },
    /// To be tried again.
    Unavailable {
        reason: String,
        retry_after: Option<Duration>,
    },
}

/// One way of sending a request. May block for the configured timeout.
pub(super) trait Transport: Send {
    fn send(&mut self, signal: Signal, gzip: bool, body: &[u8]) -> Outcome;
}

/// Where the sender is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    Stopping,
    Ended,
}

/// What the destination refused for good.
#[derive(Debug, Default)]
struct Refused {
    records: u64,
    /// How many records it was given where it refused some.
    of: u64,
    /// What it said last.
    reason: String,
}

/// What went wrong, and what was lost by it and is counted already.
pub(super) type Told = (String, Vec<(Lost, u64)>);

/// The destination does not take what it is given.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) since: Instant,
    /// What happened last.
    pub(super) reason: String,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) spool: Spool,
    /// Attempts that failed so far.
    pub(super) failures: u64,
    /// No attempt before, unless a flush asks for one, and the destination did not ask for the wait.
    pub(super) not_before: Option<Instant>,
    asked_to_wait: bool,
    pub(super) flushing: bool,
    /// The last flush did not get everything delivered, and nothing was since.
    pub(super) left_behind: bool,
    pub(super) sender: Life,
    pub(super) away: Option<Away>,
    /// The last attempt that failed, and all that was refused, since they were told.
    failed: Option<String>,
    refused: Option<Refused>,
}

impl State {
    /// Whether nothing can be delivered by `deadline`, because the destination asked for a longer wait.
    pub(super) fn is_sent_away(&self, deadline: Instant) -> bool {
        self.asked_to_wait && self.not_before.is_some_and(|at| at > deadline)
    }

    /// What went wrong since the last call, with the destination and with the spool, and what was lost by it.
    pub(super) fn take_fault(&mut self) -> Option<Told> {
        let mut lost = Vec::new();
        let refused = self.refused.take().map(|refused| {
            let Refused {
                records,
                of,
                reason,
            } = refused;
            lost.push((Lost::Rejected, records));
            format!("refused {records} of {of} records: {reason}")
        });
        let spool = self.spool.take_fault().map(|(fault, dropped)| {
            lost.push((Lost::SpoolFull, dropped));
            fault
        });
        lost.retain(|&(_, records)| records > 0);
        let faults: Vec<_> = [refused, self.failed.take(), spool]
            .into_iter()
            .flatten()
            .collect();
        (!faults.is_empty()).then(|| (faults.join("; "), lost))
    }
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
    pub(super) fn new(spool: Spool) -> Self {
        Self {
            state: Mutex::new(State {
                spool,
                failures: 0,
                not_before: None,
                asked_to_wait: false,
                flushing: false,
                left_behind: false,
                sender: Life::Running,
                away: None,
                failed: None,
                refused: None,
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
    backoff: Backoff,
}

impl<T: Transport> Sender<T> {
    pub(super) fn new(
        shared: Arc<Shared>,
        protocol: &str,
        transport: T,
        (first, last): (Duration, Duration),
    ) -> Self {
        Self {
            shared,
            meter: Meter::new(protocol),
            transport,
            backoff: Backoff::new(first, last),
        }
    }

    pub(super) fn run(mut self) {
        // What the client libraries log about our own sending is not telemetry to send.
        let _silence = radiosonde_core::silence();
        while let Some(payload) = self.next() {
            let outcome = self.send(&payload);
            self.settle(outcome, u64::from(payload.records));
        }
        self.shared.lock().sender = Life::Ended;
        self.shared.settled.notify_all();
    }

    /// The next payload when it is time to send it, or `None` at the end.
    fn next(&self) -> Option<Arc<Payload>> {
        let mut state = self.shared.lock();
        loop {
            if state.sender == Life::Stopping {
                return None;
            }
            let pause = state
                .not_before
                .map(|at| at.saturating_duration_since(Instant::now()));
            let pause =
                pause.filter(|pause| !pause.is_zero() && (state.asked_to_wait || !state.flushing));
            if pause.is_none()
                && let Some(payload) = state.spool.take()
            {
                return Some(payload);
            }
            // What waits in a file that cannot be opened at the moment is asked for again.
            let pause = pause.or_else(|| (!state.spool.is_empty()).then_some(READ_PAUSE));
            state = match pause {
                Some(pause) => wait(&self.shared.work, state, pause),
                None => self
                    .shared
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn send(&mut self, payload: &Payload) -> Outcome {
        let signal = Signal::ALL
            .into_iter()
            .find(|&signal| signal as u8 == payload.tag & !GZIP);
        let Some(signal) = signal else {
            return Outcome::Rejected {
                reason: "written by a newer version".to_owned(),
            };
        };
        let gzip = payload.tag & GZIP != 0;
        let transport = &mut self.transport;
        self.meter.watch(signal, payload.records, || {
            catch_unwind(AssertUnwindSafe(|| {
                transport.send(signal, gzip, &payload.body)
            }))
            .unwrap_or_else(|panic| {
                drop_caught(panic);
                Outcome::Unavailable {
                    reason: "the client library panicked".to_owned(),
                    retry_after: None,
                }
            })
        })
    }

    fn settle(&mut self, outcome: Outcome, records: u64) {
        let mut state = self.shared.lock();
        if let Outcome::Unavailable {
            reason,
            retry_after,
        } = outcome
        {
            state.failures += 1;
            state.asked_to_wait = retry_after.is_some();
            state.not_before = Some(deadline_in(self.backoff.next(retry_after)));
            // One attempt a flush: the destination is away, waiting for it is the spool's business.
            state.flushing = false;
            state.spool.put_back();
            state.failed = Some(format!("{reason}; will be tried again"));
            let since = state
                .away
                .take()
                .map_or_else(Instant::now, |away| away.since);
            state.away = Some(Away { since, reason });
        } else {
            self.backoff.reset();
            state.not_before = None;
            state.asked_to_wait = false;
            state.away = None;
            state.spool.done();
            // One that got through does not bring the others through in the time that is left.
            state.left_behind &= !state.spool.is_empty();
            let (rejected, reason) = match outcome {
                Outcome::Partial { rejected, reason } => (rejected.min(records), reason),
                Outcome::Rejected { reason } => (records, reason),
                Outcome::Delivered | Outcome::Unavailable { .. } => (0, String::new()),
            };
            if !reason.is_empty() {
                loss::count(Lost::Rejected, rejected);
                let refused = state.refused.get_or_insert_default();
                refused.records += rejected;
                refused.of += records;
                refused.reason = reason;
            }
        }
        drop(state);
        self.shared.settled.notify_all();
    }
}
