//! The guard that `init` returns, and the same operations for those who do not hold it.

use std::{sync::Arc, time::Duration};

use radiosonde_core::{
    filter::{self, Filter, FilterError},
    pump::Pump,
};

use super::running::{self, Running};
use crate::report::Report;

/// Keeps recording on. Dropping it delivers what is still waiting, within the shutdown timeout, and turns it off.
#[must_use = "recording stops when the guard is dropped; bind it to a name such as `_guard`"]
pub struct Guard {
    running: Arc<Running>,
    pump: Option<Pump>,
    shutdown_timeout: Duration,
}

impl Guard {
    pub(super) const fn new(running: Arc<Running>, pump: Pump, shutdown_timeout: Duration) -> Self {
        Self {
            running,
            pump: Some(pump),
            shutdown_timeout,
        }
    }

    /// Delivers everything recorded so far, waiting for at most `timeout`. `false` when the time was not enough.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.running.pump.flush(timeout)
    }

    /// Delivers everything recorded so far, waiting for at most `timeout`, and stops recording. `false` when the time
    /// was not enough.
    pub fn shutdown(mut self, timeout: Duration) -> bool {
        self.stop(timeout)
    }

    /// What was recorded so far: operations, errors, losses.
    pub fn report(&self) -> Report {
        self.running.tally.report()
    }

    /// Records from now on what `directives` (the syntax of `RUST_LOG`) say.
    pub fn set_filter(&self, directives: &str) -> Result<(), FilterError> {
        set_filter(directives)
    }

    fn stop(&mut self, timeout: Duration) -> bool {
        let Some(pump) = self.pump.take() else {
            return true;
        };
        let delivered = pump.stop(timeout);
        running::clear();
        delivered
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop(self.shutdown_timeout);
    }
}

/// [`Guard::flush`] from anywhere. `true` when recording is off: nothing waits then.
pub fn flush(timeout: Duration) -> bool {
    running::current().is_none_or(|running| running.pump.flush(timeout))
}

/// [`Guard::report`] from anywhere. `None` when recording is off.
pub fn report() -> Option<Report> {
    running::current().map(|running| running.tally.report())
}

/// [`Guard::set_filter`] from anywhere.
pub fn set_filter(directives: &str) -> Result<(), FilterError> {
    filter::set(Filter::parse(directives)?);
    Ok(())
}
