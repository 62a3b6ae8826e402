//! The thread of one exporter.
//!
//! Invariant: every call of the exporter may panic, and whatever ends the thread, its queue hears of it.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::{Duration, Instant},
};

use radiosonde_core::{
    panics::{drop_caught, panic_text},
    pump::HOLD_MAX,
};

use super::{
    Limits,
    load::Collected,
    queue::{Next, Queue},
};
use crate::exporter::{ExportError, Exporter};

/// Longest pause after panics in a row.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// How often an exporter is flushed that cannot say how often that should be.
const INTERVAL_UNKNOWN: Duration = Duration::from_secs(1);

/// A flush that takes no longer may follow the one before it at once.
const FLUSH_QUICK: Duration = Duration::from_millis(10);

/// Tells the queue when the thread ends, however it does.
struct Ending(Arc<Queue>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended();
    }
}

pub(super) struct Worker {
    exporter: Box<dyn Exporter>,
    queue: Arc<Queue>,
    pause_min: Duration,
    pause: Duration,
    /// Since when something exported waits for a flush: what it waited in the queue counts.
    waits_since: Option<Instant>,
    /// Until when none is due, after one that took long: while much waits in the queue, flushes take half of the time at
    /// most.
    rest_until: Option<Instant>,
    /// `flush_interval` panicked and is not called again.
    interval_panicked: bool,
}

impl Worker {
    pub(super) fn new(exporter: Box<dyn Exporter>, queue: Arc<Queue>, limits: Limits) -> Self {
        Self {
            exporter,
            queue,
            pause_min: limits.pause,
            pause: limits.pause,
            waits_since: None,
            rest_until: None,
            interval_panicked: false,
        }
    }

    pub(super) fn run(mut self) {
        let _silence = radiosonde_core::silence();
        let _ending = Ending(Arc::clone(&self.queue));
        loop {
            let interval = self.interval();
            let due = interval
                .and_then(|interval| self.waits_since?.checked_add(interval))
                .map(|due| self.rest_until.map_or(due, |rest| due.max(rest)));
            match self.queue.next(due) {
                Next::Batches(collected) => self.export(collected, interval),
                Next::Metrics(snapshot) => {
                    self.call(None, 0, |exporter| exporter.export_metrics(&snapshot));
                }
                Next::Flush(ticket, deadline) => {
                    self.flush(Some(ticket), |exporter| exporter.flush_by(deadline));
                }
                Next::FlushDue => self.flush(None, |exporter| exporter.flush()),
                Next::Stop => break,
            }
        }
        if self.waits_since.is_some() && !self.queue.is_given_up() {
            self.flush(None, |exporter| exporter.flush());
        }
        if !self.queue.is_given_up() {
            self.call(None, 0, |exporter| exporter.close());
        }
        drop_caught(self.exporter);
    }

    /// The exporter's flush interval, less what the pump has held records for already: it counts from when they were
    /// recorded.
    fn interval(&mut self) -> Option<Duration> {
        if self.interval_panicked {
            return Some(INTERVAL_UNKNOWN);
        }
        let exporter = self.exporter.as_ref();
        match panic::catch_unwind(AssertUnwindSafe(|| exporter.flush_interval())) {
            Ok(interval) => {
                interval.map(|interval| interval.saturating_sub(HOLD_MAX).max(interval / 2))
            }
            Err(payload) => {
                self.interval_panicked = true;
                let message = panic_text(payload.as_ref());
                self.queue.notice(format!(
                    "its flush_interval panicked ({message}): it is flushed every second"
                ));
                drop_caught(payload);
                Some(INTERVAL_UNKNOWN)
            }
        }
    }

    fn export(&mut self, collected: Collected, interval: Option<Duration>) {
        if interval.is_some() {
            let since = collected.since().unwrap_or_else(Instant::now);
            self.waits_since.get_or_insert(since);
        }
        let batch = collected.merged();
        self.call(None, batch.len() as u64, |exporter| exporter.export(&batch));
    }

    fn flush(
        &mut self,
        ticket: Option<u64>,
        flush: impl FnOnce(&mut dyn Exporter) -> Result<(), ExportError>,
    ) {
        let started = Instant::now();
        // A flush that panicked is still to be done.
        self.waits_since = (!self.call(ticket, 0, flush)).then(Instant::now);
        let took = started.elapsed();
        self.rest_until = (took > FLUSH_QUICK).then(|| Instant::now() + took);
    }

    /// Calls the exporter and tells the queue what came of it. `false` when it panicked.
    fn call(
        &mut self,
        flush: Option<u64>,
        records: u64,
        call: impl FnOnce(&mut dyn Exporter) -> Result<(), ExportError>,
    ) -> bool {
        let exporter = self.exporter.as_mut();
        match panic::catch_unwind(AssertUnwindSafe(|| call(exporter))) {
            Ok(result) => {
                self.pause = self.pause_min;
                self.queue.done(flush, records, result.err().as_ref());
                true
            }
            Err(payload) => {
                self.queue.panicked(flush, panic_text(payload.as_ref()));
                drop_caught(payload);
                self.queue.pause(self.pause);
                self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
                false
            }
        }
    }
}
