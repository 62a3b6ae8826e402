//! What the process's one recording consists of, reachable from everywhere: free functions, the panic hook, signals.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use radiosonde_core::{batch::Batch, filter::Filter, pump};

use super::{InitError, collect::Remote};
use crate::{
    config::{Config, LogFormat, Settings},
    exporter::runner::Exporters,
    health::Health,
    report::{Report, Tally},
    rows::{Publisher, Subscriptions},
};

/// The parts of a recording that others may use while it lives.
pub(super) struct Running {
    pub(super) pump: pump::Handle,
    pub(super) tally: Arc<Tally>,
    pub(super) toggles: Arc<Toggles>,
    pub(super) rows: SharedRows,
    pub(super) subscriptions: Subscriptions,
    pub(super) exporters: Exporters,
    /// Reads metrics; `None` where the configuration wants none.
    pub(super) metrics: Option<Remote>,
    pub(super) health: Health,
    pub(super) config: Config,
}

/// The publisher of rows, for the pump that feeds it and the collectors that read it.
#[derive(Clone)]
pub(super) struct SharedRows(Arc<Mutex<Publisher>>);

impl SharedRows {
    pub(super) fn new(publisher: Publisher) -> Self {
        Self(Arc::new(Mutex::new(publisher)))
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Publisher> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl pump::Consumer for SharedRows {
    fn consume(&mut self, batch: &Arc<Batch>) {
        self.lock().consume(batch);
    }

    fn flush(&mut self, deadline: Instant) -> bool {
        self.lock().flush(deadline)
    }
}

impl Running {
    pub(super) fn report(&self) -> Report {
        self.tally.report(self.config.sample_ratio())
    }

    /// Hands the metrics as they are now, with all that was measured so far, to the exporters, waiting for half of
    /// `timeout` at most: the other half is for delivering them. `false` when a source of metrics, or a handler, did not
    /// answer in that time.
    pub(super) fn read_metrics(&self, timeout: Duration) -> bool {
        let Some(metrics) = &self.metrics else {
            return true;
        };
        let deadline = pump::deadline_in(timeout / 2);
        // What events measure is counted where they are handed on. A handler that hangs leaves time for what is counted.
        let handed_on = self.pump.hand_on(timeout / 4);
        metrics.run_now(deadline) && handed_on
    }

    /// Says what of `filter` was probably meant otherwise: on standard error, because the filter may hold back every log that
    /// could say it.
    pub(super) fn doubt(&self, filter: &Filter) {
        let doubts = filter.doubts();
        if !doubts.is_empty() {
            self.exporters.say(doubts.join("; "));
        }
    }

    /// What is to be said where a handler or consumer did not return before recording ended.
    pub(super) fn left_behind(&self) -> Option<String> {
        let left_behind = self.pump.left_behind();
        (left_behind > 0).then(|| {
            format!(
                "a handler or consumer did not return: {left_behind} records were not delivered (shutdown_deadline)"
            )
        })
    }

    /// Sends metrics and everything recorded so far.
    pub(super) fn export_now(&self, timeout: Duration) -> bool {
        if self.pump.is_forked() {
            return false;
        }
        let deadline = pump::deadline_in(timeout);
        let read = self.read_metrics(timeout);
        let left = deadline.saturating_duration_since(Instant::now());
        self.pump.flush(left) && read
    }
}

/// What may be changed while recording.
pub(super) struct Toggles {
    json: AtomicBool,
    stack_traces: AtomicBool,
}

impl Toggles {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            json: AtomicBool::new(settings.logging.format == LogFormat::Json),
            stack_traces: AtomicBool::new(settings.logging.stack_traces),
        }
    }

    pub(super) fn log_format(&self) -> LogFormat {
        if self.json.load(Relaxed) {
            LogFormat::Json
        } else {
            LogFormat::Human
        }
    }

    pub(super) fn set_log_format(&self, format: LogFormat) {
        self.json.store(format == LogFormat::Json, Relaxed);
    }

    pub(super) fn stack_traces(&self) -> bool {
        self.stack_traces.load(Relaxed)
    }

    pub(super) fn set_stack_traces(&self, on: bool) {
        self.stack_traces.store(on, Relaxed);
    }
}

enum State {
    Off,
    /// Between the first check and the end of `init`, and while a guard of a recording that is switched off lives.
    Taken,
    On(Arc<Running>),
}

static STATE: Mutex<State> = Mutex::new(State::Off);

fn state() -> std::sync::MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the place of the process's one recording. Dropping it gives the place back.
pub(super) struct Reservation {
    /// Whose place it is: the child of a fork has a copy of it, and none of the threads.
    process: u32,
}

impl Reservation {
    pub(super) fn take() -> Result<Self, InitError> {
        let mut state = state();
        match *state {
            State::Off => {
                *state = State::Taken;
                Ok(Self {
                    process: std::process::id(),
                })
            }
            State::Taken | State::On(_) => Err(InitError::AlreadyInitialised),
        }
    }

    /// Makes `running` what everybody finds from now on.
    #[expect(clippy::unused_self, reason = "only who holds the place may fill it")]
    pub(super) fn fill(&self, running: Arc<Running>) {
        *state() = State::On(running);
    }

    /// Whether this is the child of a fork of the process that records.
    pub(super) fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }

    /// Nobody finds it any more; the place stays taken.
    #[expect(clippy::unused_self, reason = "only who holds the place may empty it")]
    pub(super) fn empty(&self) {
        *state() = State::Taken;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // A thread that the child of a fork does not have may have held the lock.
        if !self.is_forked() {
            *state() = State::Off;
        }
    }
}

/// The recording that is on, if one is.
pub(super) fn current() -> Option<Arc<Running>> {
    match &*state() {
        State::On(running) => Some(Arc::clone(running)),
        State::Off | State::Taken => None,
    }
}
