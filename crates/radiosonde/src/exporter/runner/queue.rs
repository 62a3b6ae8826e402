//! The bounded queue between the pump and one exporter's thread, and what is known about that exporter's health.
//!
//! Invariants: `records` and `bytes` are those of the batches in `items`; what is `collected` has left the queue and is
//! bounded by itself, so that collecting never costs a record its room; at most one snapshot waits, the newest; every
//! record that is refused or given up is counted by [`State::lose`], once, which also keeps it for the next
//! report.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use radiosonde_core::{
    WhenFull,
    loss::{self, Lost},
    metrics::snapshot::Snapshot,
    panics::caught,
};

use super::{
    Limits,
    load::{Account, Collected, Load},
    report::{Fault, REPORT_INTERVAL},
};
use crate::exporter::{Batching, Condition, ExportError};

/// Longest pause of an exporter that panicked once the queue is stopped: there is no time for long ones.
const END_PAUSE_MAX: Duration = Duration::from_millis(100);

/// What waits.
enum Item {
    Batch(Load),
    Metrics(Arc<Snapshot>),
    Flush(u64, Instant),
}

/// What the thread does next.
pub(super) enum Next {
    /// Export these as one batch.
    Batches(Collected),
    Metrics(Arc<Snapshot>),
    /// A flush with its ticket, and when the exporter must be back from it.
    Flush(u64, Instant),
    /// Records have waited for as long as the exporter allows.
    FlushDue,
    Stop,
}

pub(super) struct Queue {
    limits: Limits,
    account: Account,
    batching: Option<Batching>,
    condition: Option<Condition>,
    state: Mutex<State>,
    work: Condvar,
    progress: Condvar,
}

/// Where the exporter's thread is in its life.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Running,
    /// Takes no more, and ends when the queue is empty.
    Stopping,
    /// Was not done in time: what it still had is counted, and nobody waits for it.
    GivenUp,
    Ended,
}

/// What became of the last flush that was answered.
#[derive(Default)]
struct Answer {
    ticket: u64,
    /// It delivered everything.
    delivered: bool,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    records: usize,
    bytes: usize,
    /// What the exporter gets next.
    collected: Collected,
    /// Flushes asked for.
    asked: u64,
    answer: Answer,
    /// Since when the exporter works on the current item, and how many records that has.
    busy_since: Option<Instant>,
    busy_records: u64,
    /// The records of the current item are counted as lost already.
    busy_given_up: bool,
    hang_noted: bool,
    /// The exporter panicked and has not succeeded since.
    panicked: bool,
    /// What the exporter's last call failed with; cleared by one that works.
    failure: Option<String>,
    life: Life,
    fault: Fault,
    reported: Option<Instant>,
}

impl State {
    fn lose(&mut self, reason: Lost, records: u64) {
        if records == 0 {
            return;
        }
        loss::count(reason, records);
        self.fault.lost(reason, records);
    }

    /// Gives up the current item and all that wait.
    fn give_up(&mut self, account: &Account, reason: Lost) {
        let busy = std::mem::take(&mut self.busy_records);
        self.busy_given_up |= busy > 0;
        let collected = std::mem::take(&mut self.collected);
        let records = (self.records + collected.records()) as u64 + busy;
        for load in collected.loads() {
            account.given_up(load, reason);
        }
        for item in self.items.drain(..) {
            if let Item::Batch(load) = item {
                account.given_up(&load, reason);
            }
        }
        (self.records, self.bytes) = (0, 0);
        self.lose(reason, records);
    }

    /// Whether the exporter is set aside: no batch waits for room in its queue.
    fn is_aside(&mut self, timeout: Duration) -> bool {
        self.hangs(timeout) || self.panicked
    }

    /// Notes a hang when it is first seen.
    fn hangs(&mut self, timeout: Duration) -> bool {
        let hangs = self
            .busy_since
            .is_some_and(|since| since.elapsed() >= timeout);
        if hangs && !self.hang_noted {
            self.hang_noted = true;
            self.fault.note(format!(
                "it does not return for {} s and is set aside until it does",
                timeout.as_secs_f64()
            ));
        }
        hangs
    }

    /// Whether the last report was made too short a time ago for another one.
    fn is_early(&self) -> bool {
        self.reported
            .is_some_and(|at| at.elapsed() < REPORT_INTERVAL)
    }

    fn has_room(&self, load: &Load, limits: &Limits) -> bool {
        let batch = &load.batch;
        self.records == 0
            || (self.records + batch.len() <= limits.queue_records_max
                && self.bytes + batch.bytes() <= limits.queue_bytes_max)
    }

    /// Moves the batches at the front to those that the exporter gets next, as far as they may be one. Says whether
    /// that made room.
    fn collect(&mut self) -> bool {
        let before = self.records;
        while let Some(Item::Batch(load)) = self.items.front()
            && self.collected.takes(load)
            && let Some(Item::Batch(load)) = self.items.pop_front()
        {
            self.records -= load.batch.len();
            self.bytes -= load.batch.bytes();
            self.collected.push(load);
        }
        self.records < before
    }

    /// When the exporter gets what is collected: in the past for at once, and `None` where that is nothing.
    fn ripe_at(&self, batching: Option<Batching>) -> Option<Instant> {
        let since = self.collected.since()?;
        // A batch at the front did not fit in any more.
        let is_due = matches!(self.items.front(), Some(Item::Batch(_) | Item::Flush(..)))
            || self.life != Life::Running;
        let delay = batching
            .filter(|batching| !is_due && self.collected.records() < batching.records)
            .map_or(Duration::ZERO, |batching| batching.delay);
        since.checked_add(delay)
    }
}

impl Queue {
    pub(super) fn new(
        limits: Limits,
        account: Account,
        batching: Option<Batching>,
        condition: Option<Condition>,
    ) -> Self {
        Self {
            limits,
            account,
            batching,
            condition,
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a batch, or counts why not.
    pub(super) fn push_batch(&self, load: &Load) {
        let mut state = self.lock();
        let refused = loop {
            match state.life {
                Life::Running => {}
                Life::Stopping | Life::GivenUp => break Lost::ShutdownDeadline,
                Life::Ended => break Lost::ExporterFailed,
            }
            if state.has_room(load, &self.limits) {
                state.records += load.batch.len();
                state.bytes += load.batch.bytes();
                self.account.entered(load);
                state.items.push_back(Item::Batch(load.clone()));
                drop(state);
                self.work.notify_one();
                return;
            }
            if state.is_aside(self.limits.timeout) {
                break Lost::ExporterFailed;
            }
            if self.limits.when_full == WhenFull::Refuse {
                break Lost::QueueFull;
            }
            let wait = self.progress.wait_timeout(state, self.limits.timeout);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        };
        state.lose(refused, load.records());
        drop(state);
        self.account.refused(load, refused);
    }

    /// Queues a snapshot in place of an older one.
    pub(super) fn push_metrics(&self, snapshot: &Arc<Snapshot>) {
        let mut state = self.lock();
        if state.life != Life::Running {
            return;
        }
        state.items.retain(|item| !matches!(item, Item::Metrics(_)));
        state.items.push_back(Item::Metrics(Arc::clone(snapshot)));
        drop(state);
        self.work.notify_one();
    }

    /// Queues a flush from which the exporter must be back by `deadline`, and gives its ticket.
    pub(super) fn push_flush(&self, deadline: Instant) -> u64 {
        let mut state = self.lock();
        state.asked += 1;
        let ticket = state.asked;
        state.items.push_back(Item::Flush(ticket, deadline));
        drop(state);
        self.work.notify_one();
        ticket
    }

    /// Waits for the flush with this ticket. `false` when it failed, when `deadline` comes first, or at once when
    /// the exporter is set aside.
    pub(super) fn wait_for(&self, ticket: u64, deadline: Instant) -> bool {
        let mut state = self.lock();
        loop {
            if state.answer.ticket >= ticket {
                return state.answer.delivered;
            }
            let now = Instant::now();
            if state.life == Life::Ended || now >= deadline || state.is_aside(self.limits.timeout) {
                return false;
            }
            // Woken in between to see whether the exporter hangs by now.
            let left = (deadline - now).min(self.limits.timeout / 4 + Duration::from_millis(1));
            let wait = self.progress.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next thing to do; waits until there is one, or until `due`, which comes before all that waits: under load
    /// something always does.
    pub(super) fn next(&self, due: Option<Instant>) -> Next {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                state.busy_since = Some(now);
                return Next::FlushDue;
            }
            if state.collect() {
                self.progress.notify_all();
            }
            let ripe_at = state.ripe_at(self.batching);
            if ripe_at.is_some_and(|at| at <= now) {
                let collected = std::mem::take(&mut state.collected);
                state.busy_since = Some(now);
                state.busy_records = collected.records() as u64;
                drop(state);
                for load in collected.loads() {
                    self.account.left(load);
                }
                return Next::Batches(collected);
            }
            match state.items.pop_front() {
                Some(Item::Metrics(snapshot)) => {
                    state.busy_since = Some(now);
                    return Next::Metrics(snapshot);
                }
                Some(Item::Flush(ticket, deadline)) => {
                    state.busy_since = Some(now);
                    return Next::Flush(ticket, deadline);
                }
                // It goes after what is collected.
                Some(Item::Batch(load)) => state.items.push_front(Item::Batch(load)),
                None => {}
            }
            if state.life != Life::Running {
                return Next::Stop;
            }
            state = match [due, ripe_at].into_iter().flatten().min() {
                Some(at) => {
                    let wait = self
                        .work
                        .wait_timeout(state, at.saturating_duration_since(now));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// The current item, of `records` records, is done.
    pub(super) fn done(&self, flush: Option<u64>, records: u64, failure: Option<&ExportError>) {
        let mut state = self.lock();
        state.busy_since = None;
        state.busy_records = 0;
        state.hang_noted = false;
        state.panicked = false;
        let is_counted = std::mem::take(&mut state.busy_given_up);
        if let Some(ticket) = flush {
            let delivered = failure.is_none();
            state.answer = Answer { ticket, delivered };
        }
        state.failure = failure.map(ToString::to_string);
        if let Some(error) = failure {
            state.fault.note(error.to_string());
            for &(reason, records) in error.counted() {
                state.fault.lost(reason, records);
            }
            if !is_counted {
                let (reason, records) = error.lost(records);
                state.lose(reason, records);
            }
        }
        drop(state);
        self.progress.notify_all();
    }

    /// Something about the exporter that costs no record is to be said.
    pub(super) fn notice(&self, error: String) {
        self.lock().fault.note(error);
    }

    /// The exporter panicked over the current item.
    pub(super) fn panicked(&self, flush: Option<u64>, message: &str) {
        let mut state = self.lock();
        state.busy_since = None;
        state.busy_given_up = false;
        state.hang_noted = false;
        state.panicked = true;
        if let Some(ticket) = flush {
            let delivered = false;
            state.answer = Answer { ticket, delivered };
        }
        let error = format!("it panicked ({message}) and is tried again after a pause");
        state.failure = Some(error.clone());
        state.fault.note(error);
        let records = std::mem::take(&mut state.busy_records);
        state.lose(Lost::ExporterFailed, records);
        drop(state);
        self.progress.notify_all();
    }

    /// Waits for `pause`, or for less once the queue is stopped.
    pub(super) fn pause(&self, pause: Duration) {
        let started = Instant::now();
        let mut state = self.lock();
        loop {
            let pause = match state.life {
                Life::Running => pause,
                Life::Stopping => pause.min(END_PAUSE_MAX),
                Life::GivenUp | Life::Ended => return,
            };
            let left = pause.saturating_sub(started.elapsed());
            if left.is_zero() {
                return;
            }
            let wait = self.work.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes no more; the thread ends when the queue is empty.
    pub(super) fn stop(&self) {
        if let life @ Life::Running = &mut self.lock().life {
            *life = Life::Stopping;
        }
        self.work.notify_all();
    }

    /// The thread has ended. Where it ended before its time, what it still had is counted.
    pub(super) fn ended(&self) {
        let mut state = self.lock();
        state.give_up(&self.account, Lost::ExporterFailed);
        state.life = Life::Ended;
        drop(state);
        self.progress.notify_all();
    }

    /// Whether nobody waits for the thread any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.lock().life == Life::GivenUp
    }

    /// Waits until the thread has ended, or gives up what it still had when `deadline` comes first, or at once when
    /// it hangs.
    pub(super) fn wait_for_end(&self, deadline: Instant) {
        let mut state = self.lock();
        while state.life != Life::Ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.hangs(self.limits.timeout) {
                state.life = Life::GivenUp;
                state.give_up(&self.account, Lost::ShutdownDeadline);
                let fault = &mut state.fault;
                if fault.errors.is_empty() {
                    fault.note("it was not done when recording ended".to_owned());
                }
                drop(state);
                return self.work.notify_all();
            }
            let wait = self.progress.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the exporter is set aside or has something to report.
    pub(super) fn is_failing(&self) -> bool {
        let mut state = self.lock();
        state.is_aside(self.limits.timeout) || !state.fault.errors.is_empty()
    }

    /// Why the exporter does not deliver now; `None` where it does.
    pub(super) fn failure(&self) -> Option<String> {
        let mut state = self.lock();
        if state.hangs(self.limits.timeout) {
            return Some("it does not return".to_owned());
        }
        let failure = state.failure.clone();
        drop(state);
        self.condition().or(failure)
    }

    /// What the exporter says of its destination. It may wait for the exporter, and is code of the program.
    fn condition(&self) -> Option<String> {
        caught(self.condition.as_deref()?).flatten()
    }

    /// Has something to report where the exporter does not deliver and no call of it told so.
    pub(super) fn look(&self) {
        let state = self.lock();
        let is_needless = !state.fault.is_empty() || state.is_early();
        drop(state);
        if !is_needless && let Some(error) = self.condition() {
            self.notice(error);
        }
    }

    /// What to report now, if anything: at most once a minute, unless it is the last time.
    pub(super) fn take_fault(&self, is_last: bool) -> Option<Fault> {
        let mut state = self.lock();
        state.hangs(self.limits.timeout);
        if state.fault.is_empty() || state.is_early() && !is_last {
            return None;
        }
        state.reported = Some(Instant::now());
        Some(std::mem::take(&mut state.fault))
    }
}
