//! Turning recording on: one call, one guard.
//!
//! Invariants:
//! - At most one [`Guard`] is alive in a process. A second [`init`] is an error, never a panic, and changes nothing.
//! - Everything that can be wrong is found before anything starts.
//! - Nothing here needs anyone's async runtime: flushing waits on a condition variable, and whatever sends telemetry
//!   has a thread of its own, so a guard may be dropped inside a current-thread runtime.
//! - No flush waits longer than its deadline.

#[cfg(feature = "backends")]
mod alerts;
mod builder;
mod collect;
mod exporters;
mod guard;
#[cfg(feature = "otlp-http")]
mod otlp;
mod panics;
mod resource;
mod running;
mod start;
mod watch;

use std::{
    fmt,
    time::{Duration, Instant},
};

use radiosonde_core::pump;

#[cfg(feature = "otlp-http")]
pub use self::otlp::{GREETING, LOCAL};
#[cfg(feature = "backends")]
pub(crate) use self::otlp::{is_found as is_collector_found, open as otlp_exporter};
pub use self::{
    builder::{Builder, builder},
    guard::{
        Guard, export_now, flush, health, report, set_filter, set_log_format, set_stack_traces,
    },
};
use crate::config::ConfigErrors;

/// How much of the time that a signal leaves is kept at most for exporters to count and say what they could not deliver.
const END_RESERVE_MAX: Duration = Duration::from_millis(500);

/// Starts recording as the environment and the configuration file say; with neither, as the defaults say.
///
/// Keep the guard until the program ends: dropping it delivers what is still waiting.
///
/// ```
/// let _guard = radiosonde::init()?;
/// tracing::info!(port = 8080, "listening");
/// # Ok::<(), radiosonde::InitError>(())
/// ```
pub fn init() -> Result<Guard, InitError> {
    builder().init()
}

/// Delivers what is still waiting because `signal` is about to end the process.
#[cfg_attr(
    not(unix),
    expect(dead_code, reason = "there are no such signals here")
)]
pub(crate) fn deliver_last(signal: i32) {
    if let Some(running) = running::current() {
        tracing::warn!(target: "radiosonde", signal, "a signal ends the process");
        // Else exporters that are quick would have more of what comes meanwhile than others.
        running.pump.close();
        radiosonde_core::count_open_spans();
        let timeout = running.config.export.shutdown_timeout;
        let deadline = pump::deadline_in(timeout);
        let in_time = timeout.saturating_sub(END_RESERVE_MAX.min(timeout / 2));
        if !running.export_now(in_time) {
            running.pump.give_up();
        }
        if let Some(said) = running.left_behind() {
            running.exporters.say(said);
        }
        // What they kept for another try is lost with the process.
        let left = deadline.saturating_duration_since(Instant::now());
        running.exporters.end(left);
    }
}

/// Recording could not be started. `Debug` shows what `Display` does, because that is what a `main` that returns this
/// error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Recording is on already.
    #[error(
        "recording is on already: keep the guard of the first `radiosonde::init` until the program ends instead"
    )]
    AlreadyInitialised,
    /// Another library is the process's `tracing` subscriber.
    #[error(
        "another tracing subscriber is already the global default: call `radiosonde::init` before it is set; or add \
         `radiosonde::layer::records()` to that subscriber and call `radiosonde::builder().keep_subscriber().init()`"
    )]
    SubscriberTaken,
    /// The configuration is wrong. Every error is in it, a line each.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A setting needs a feature of this crate that was not compiled in.
    #[error(
        "{setting} needs the feature `{feature}`: write radiosonde = {{ features = [\"{feature}\"] }} in Cargo.toml"
    )]
    FeatureMissing {
        /// The setting.
        setting: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// The OTLP exporter could not be made.
    #[cfg(feature = "otlp-http")]
    #[error(transparent)]
    Otlp(#[from] crate::exporter::DestinationError),
    /// The operating system gave no thread.
    #[error("cannot start a thread: {0}; the limit on threads may be reached (`ulimit -u`)")]
    Thread(#[source] std::io::Error),
    /// The signals cannot be handled.
    #[error("cannot handle SIGTERM and SIGINT: {0}; leave signals.handle off")]
    Signals(#[source] std::io::Error),
}

impl fmt::Debug for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<pump::StartError> for InitError {
    fn from(error: pump::StartError) -> Self {
        match error {
            pump::StartError::Thread(source) => Self::Thread(source),
            _ => Self::AlreadyInitialised,
        }
    }
}
