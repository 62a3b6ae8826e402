//! The rows that screens and row files show, built from one stream of events.
//!
//! Everything that shows latency or memory, live or from a recording, builds its rows with [`Rows`]; so the same events
//! give the same rows everywhere. [`publish`] turns that into [`AppEvent`]s for consumers in the process.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    time::{Duration, Instant},
};

use radiosonde_answers::{
    event::{self, Update},
    latency::{LatencyRow, Window, build_latency_rows},
    memory::{Ledger, MemoryRow, build_memory_rows},
};
use radiosonde_core::{
    batch::Batch,
    loss::{self, Lost},
    model::EventRecord,
    pump::Consumer,
};

/// How often updates are sent unless said otherwise.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);
/// Updates that wait for a subscriber; further ones are refused and counted, and the next interval brings newer rows.
pub const WAITING_MAX: usize = 64;

/// What changed on a screen.
#[derive(Clone, Debug, PartialEq)]
pub enum AppEvent {
    /// The latency rows as they are now.
    LatencyUpdate(Arc<[LatencyRow]>),
    /// The memory rows as they are now.
    MemoryUpdate(Arc<[MemoryRow]>),
}

/// The state from which rows are built.
#[derive(Debug, Default)]
pub struct Rows {
    latency: Window,
    memory: Ledger,
}

impl Rows {
    /// Rows over the last `steps_max` forward steps.
    pub fn new(steps_max: usize) -> Self {
        Self {
            latency: Window::new(steps_max),
            memory: Ledger::default(),
        }
    }

    /// Takes the events of a live batch and says whether any of them concern the rows.
    pub fn observe(&mut self, batch: &Batch) -> bool {
        let mut any = false;
        for live in batch.events() {
            if let Some(update) = event::from_live(&live) {
                any = true;
                self.apply(live.time_unix_ns(), update);
            }
        }
        any
    }

    /// Takes a recorded event and says whether it concerns the rows.
    pub fn observe_record(&mut self, record: &EventRecord) -> bool {
        let update = event::from_record(record);
        let concerned = update.is_some();
        if let Some(update) = update {
            self.apply(record.time_unix_ns, update);
        }
        concerned
    }

    fn apply(&mut self, time_unix_ns: u64, update: Update<'_>) {
        match update {
            Update::Latency(phase) => self.latency.record(phase),
            Update::Memory(change) => self.memory.apply(time_unix_ns, change),
        }
    }

    /// Phases, steps and changes of memory that are in no row because a limit was reached.
    pub const fn refused(&self) -> u64 {
        let latency = self.latency.refused();
        latency.phases + latency.steps + self.memory.refused()
    }

    /// The latency rows as they are now.
    pub fn latency(&self) -> Vec<LatencyRow> {
        build_latency_rows(&self.latency)
    }

    /// The memory rows as they are now.
    pub fn memory(&self) -> Vec<MemoryRow> {
        build_memory_rows(&self.memory)
    }
}

/// Where consumers subscribe to updates. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    senders: Arc<Mutex<Vec<SyncSender<AppEvent>>>>,
}

impl Subscriptions {
    /// A channel on which updates arrive from now on, until it is dropped.
    pub fn subscribe(&self) -> Receiver<AppEvent> {
        crate::memory::want_rows();
        let (sender, receiver) = mpsc::sync_channel(WAITING_MAX);
        self.lock().push(sender);
        receiver
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SyncSender<AppEvent>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn send(&self, update: &AppEvent) {
        self.lock()
            .retain(|sender| match sender.try_send(update.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    loss::count(Lost::ChannelFull, 1);
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            });
    }
}

/// Takes batches from the pump and sends updates to subscribers, at most once an interval and at every flush.
#[derive(Debug)]
pub struct Publisher {
    rows: Rows,
    interval: Duration,
    sent: Instant,
    changed: bool,
    /// What the rows refused and was counted as lost.
    counted: u64,
    subscriptions: Subscriptions,
}

/// A consumer for the pump and the place to subscribe to its updates, sent once per `interval` while rows change.
pub fn publish(interval: Duration) -> (Publisher, Subscriptions) {
    let subscriptions = Subscriptions::default();
    let publisher = Publisher {
        rows: Rows::default(),
        interval,
        sent: Instant::now(),
        changed: false,
        counted: 0,
        subscriptions: subscriptions.clone(),
    };
    (publisher, subscriptions)
}

impl Publisher {
    /// Sends what changed, where an interval has passed. A program that goes quiet brings no more batches, and its last
    /// rows would wait for the next one without this.
    pub(crate) fn tick(&mut self) {
        if self.changed && self.sent.elapsed() >= self.interval {
            self.send();
        }
    }

    /// The rows as they are now.
    pub(crate) const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Sends what changed. Rows are made for those who want them: while there are none, what changed stays so.
    fn send(&mut self) {
        self.sent = Instant::now();
        if self.subscriptions.is_empty() {
            return;
        }
        if std::mem::take(&mut self.changed) {
            self.subscriptions
                .send(&AppEvent::LatencyUpdate(self.rows.latency().into()));
            self.subscriptions
                .send(&AppEvent::MemoryUpdate(self.rows.memory().into()));
        }
    }
}

impl Consumer for Publisher {
    fn consume(&mut self, batch: &Arc<Batch>) {
        self.changed |= self.rows.observe(batch);
        let refused = self.rows.refused();
        if refused > self.counted {
            loss::count(Lost::RowLimit, refused - self.counted);
            self.counted = refused;
        }
        if self.sent.elapsed() >= self.interval {
            self.send();
        }
    }

    fn flush(&mut self, _deadline: Instant) -> bool {
        self.send();
        true
    }
}
