//! The thread of one exporter.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Limits,
    queue::{Item, Next, Queue},
};
use crate::exporter::{ExportError, Exporter};

/// Longest pause after panics in a row.
const PAUSE_MAX: Duration = Duration::from_mins(1);

pub(super) struct Worker {
    exporter: Box<dyn Exporter>,
    queue: Arc<Queue>,
    pause_min: Duration,
    pause: Duration,
    /// Since when something exported waits for a flush.
    waits_since: Option<Instant>,
}

impl Worker {
    pub(super) fn new(exporter: Box<dyn Exporter>, queue: Arc<Queue>, limits: Limits) -> Self {
        Self {
            exporter,
            queue,
            pause_min: limits.pause,
            pause: limits.pause,
            waits_since: None,
        }
    }

    pub(super) fn run(mut self) {
        let _silence = radiosonde_core::silence();
        loop {
            let interval = self.exporter.flush_interval();
            let due = interval.and_then(|interval| self.waits_since?.checked_add(interval));
            match self.queue.next(due) {
                Next::Item(Item::Batch(load)) => {
                    if interval.is_some() {
                        self.waits_since.get_or_insert_with(Instant::now);
                    }
                    self.call(None, load.records(), |exporter| {
                        exporter.export(&load.batch)
                    });
                }
                Next::Item(Item::Metrics(snapshot)) => {
                    self.call(None, 0, |exporter| exporter.export_metrics(&snapshot));
                }
                Next::Item(Item::Flush(ticket)) => self.flush(Some(ticket)),
                Next::FlushDue => self.flush(None),
                Next::Stop => break,
            }
        }
        if self.waits_since.is_some() {
            self.flush(None);
        }
        let Self {
            exporter, queue, ..
        } = self;
        // A destructor that panics ends here like the thread does.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(exporter)));
        queue.ended();
    }

    fn flush(&mut self, ticket: Option<u64>) {
        self.waits_since = None;
        self.call(ticket, 0, |exporter| exporter.flush());
    }

    /// Calls the exporter and tells the queue what came of it.
    fn call(
        &mut self,
        flush: Option<u64>,
        records: u64,
        call: impl FnOnce(&mut dyn Exporter) -> Result<(), ExportError>,
    ) {
        let exporter = self.exporter.as_mut();
        match panic::catch_unwind(AssertUnwindSafe(|| call(exporter))) {
            Ok(result) => {
                self.pause = self.pause_min;
                let failure = result.err().map(|error| {
                    let (reason, lost) = error.lost(records);
                    (reason, lost, error.to_string())
                });
                self.queue.done(flush, failure);
            }
            Err(payload) => {
                self.queue.panicked(flush, text_of(payload.as_ref()));
                self.queue.pause(self.pause);
                self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
            }
        }
    }
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
