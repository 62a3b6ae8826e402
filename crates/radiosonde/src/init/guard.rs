//! The guard that `init` returns, and the same operations for those who do not hold it.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use radiosonde_core::{
    filter::{self, Filter, FilterError},
    pump::{self, Pump},
};

use super::{
    collect::Collectors,
    running::{self, Reservation, Running},
    watch,
};
use crate::{
    config::{Config, LogFormat},
    endpoint::Endpoint,
    health::Health,
    report::Report,
    rows::AppEvent,
};

/// Keeps recording on. Dropping it delivers what is still waiting, within `export.shutdown_timeout`, and turns
/// recording off. In the child of a fork, which has none of our threads, dropping it does nothing.
#[must_use = "recording stops when the guard is dropped; bind it to a name such as `_guard`"]
pub struct Guard {
    reservation: Reservation,
    state: State,
}

enum State {
    /// The configuration says that nothing is recorded. What the program says of its health it says all the same.
    Disabled { config: Box<Config>, health: Health },
    On {
        running: Arc<Running>,
        /// `None` once stopped.
        parts: Option<Parts>,
    },
}

/// What runs beside the program.
pub(super) struct Parts {
    pub(super) pump: Pump,
    pub(super) collectors: Collectors,
    pub(super) endpoint: Option<Endpoint>,
}

impl Guard {
    pub(super) const fn new(reservation: Reservation, running: Arc<Running>, parts: Parts) -> Self {
        Self {
            reservation,
            state: State::On {
                running,
                parts: Some(parts),
            },
        }
    }

    pub(super) fn disabled(reservation: Reservation, config: Config) -> Self {
        Self {
            reservation,
            state: State::Disabled {
                config: Box::new(config),
                health: Health::new(),
            },
        }
    }

    const fn running(&self) -> Option<&Arc<Running>> {
        match &self.state {
            State::On { running, .. } => Some(running),
            State::Disabled { .. } => None,
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        match &self.state {
            State::On { running, .. } => &running.config,
            State::Disabled { config, .. } => config,
        }
    }

    /// Delivers everything recorded so far, waiting for at most `timeout`. `false` when the time was not enough.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.running()
            .is_none_or(|running| running.pump.flush(timeout))
    }

    /// Delivers metrics as they are now and everything recorded so far, waiting for at most `timeout`. `false` when
    /// the time was not enough.
    pub fn export_now(&self, timeout: Duration) -> bool {
        self.running()
            .is_none_or(|running| running.export_now(timeout))
    }

    /// Delivers everything recorded so far, waiting for at most `timeout`, and stops recording. `false` when the time
    /// was not enough.
    pub fn shutdown(mut self, timeout: Duration) -> bool {
        self.stop(timeout)
    }

    /// What was recorded so far: operations, errors, losses. Nothing where recording is switched off.
    pub fn report(&self) -> Report {
        self.running()
            .map_or_else(Report::default, |running| running.report())
    }

    /// The program's health checks, as `/health` shows them; to be added to. Where recording is switched off, only the
    /// program's own are there.
    pub fn health(&self) -> Health {
        match &self.state {
            State::On { running, .. } => running.health.clone(),
            State::Disabled { health, .. } => health.clone(),
        }
    }

    /// Where metrics and health are served, with the port that was taken. `None` where `http.listen` names no address.
    pub fn http_address(&self) -> Option<SocketAddr> {
        match &self.state {
            State::On {
                parts: Some(parts), ..
            } => parts.endpoint.as_ref().map(Endpoint::address),
            _ => None,
        }
    }

    /// A channel on which the latency and memory rows arrive, twice a second while they change.
    pub fn updates(&self) -> Option<Receiver<AppEvent>> {
        self.running()
            .map(|running| running.subscriptions.subscribe())
    }

    /// Records from now on what `directives` (the syntax of `RUST_LOG`) say. A bare word that is nearly a level, such as
    /// `inof`, is a target, and standard error is told.
    pub fn set_filter(&self, directives: &str) -> Result<(), FilterError> {
        set_filter(directives)
    }

    /// Chooses how lines on the console look from now on.
    pub fn set_log_format(&self, format: LogFormat) {
        if let Some(running) = self.running() {
            running.toggles.set_log_format(format);
        }
    }

    /// Whether panics are logged with a stack trace from now on.
    pub fn set_stack_traces(&self, on: bool) {
        if let Some(running) = self.running() {
            running.toggles.set_stack_traces(on);
        }
    }

    fn stop(&mut self, timeout: Duration) -> bool {
        let State::On { running, parts } = &mut self.state else {
            return true;
        };
        let Some(parts) = parts.take() else {
            return true;
        };
        if self.reservation.is_forked() {
            // Threads, files and connections are the parent's.
            std::mem::forget(parts);
            return false;
        }
        let Parts {
            pump,
            mut collectors,
            endpoint,
        } = parts;
        let deadline = pump::deadline_in(timeout);
        let left = || deadline.saturating_duration_since(Instant::now());
        // Code of the program that hangs must leave time for delivering what is there.
        collectors.stop(pump::deadline_in(timeout / 4));
        // Before the last metrics, which say it.
        running.pump.close();
        radiosonde_core::count_open_spans();
        let read = running.read_metrics(left());
        collectors.stop_metrics(Instant::now());
        let delivered = pump.stop(left());
        if let Some(said) = running.left_behind() {
            // Exporters that could say so hang behind it. Standard error may be gone as well.
            let _ = writeln!(io::stderr(), "radiosonde: {said}");
        }
        // Last, so that the end can be watched.
        drop(endpoint);
        watch::stop(&running.health);
        self.reservation.empty();
        delivered && read
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let timeout = self.config().export.shutdown_timeout;
        self.stop(timeout);
    }
}

/// [`Guard::flush`] from anywhere. `true` when recording is off: nothing waits then.
pub fn flush(timeout: Duration) -> bool {
    running::current().is_none_or(|running| running.pump.flush(timeout))
}

/// [`Guard::export_now`] from anywhere. `true` when recording is off.
pub fn export_now(timeout: Duration) -> bool {
    running::current().is_none_or(|running| running.export_now(timeout))
}

/// [`Guard::report`] from anywhere. `None` when recording is off.
pub fn report() -> Option<Report> {
    running::current().map(|running| running.report())
}

/// [`Guard::health`] from anywhere. `None` when recording is off.
pub fn health() -> Option<Health> {
    running::current().map(|running| running.health.clone())
}

/// [`Guard::set_filter`] from anywhere.
pub fn set_filter(directives: &str) -> Result<(), FilterError> {
    let filter = Filter::parse(directives)?;
    if let Some(running) = running::current() {
        running.doubt(&filter);
    }
    filter::set(filter);
    Ok(())
}

/// [`Guard::set_log_format`] from anywhere.
pub fn set_log_format(format: LogFormat) {
    if let Some(running) = running::current() {
        running.toggles.set_log_format(format);
    }
}

/// [`Guard::set_stack_traces`] from anywhere.
pub fn set_stack_traces(on: bool) {
    if let Some(running) = running::current() {
        running.toggles.set_stack_traces(on);
    }
}
