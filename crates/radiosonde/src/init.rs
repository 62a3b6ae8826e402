//! Turning recording on: one call, one guard.
//!
//! Invariants:
//! - At most one [`Guard`] is alive in a process. A second [`init`] is an error, never a panic, and changes nothing.
//! - Everything that can be wrong is found before anything starts.
//! - Nothing here needs anyone's async runtime: flushing waits on a condition variable, and whatever sends telemetry
//!   has a thread of its own, so a guard may be dropped inside a current-thread runtime.
//! - No flush waits longer than its deadline.

mod builder;
mod guard;
mod panics;
mod resource;
mod running;

use radiosonde_core::pump;

pub use self::{
    builder::{Builder, builder},
    guard::{Guard, flush, report, set_filter},
};

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

/// Recording could not be started. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Recording is on already.
    #[error(
        "recording is on already: keep the guard of the first `radiosonde::init` until the program ends instead"
    )]
    AlreadyInitialised,
    /// Another library is the process's `tracing` subscriber.
    #[error(
        "another tracing subscriber is already the global default: call `radiosonde::init` before it is set, or add \
         `radiosonde::layer()` to that subscriber"
    )]
    SubscriberTaken,
    /// The operating system gave no thread.
    #[error("cannot start a thread: {0}; the limit on threads may be reached (`ulimit -u`)")]
    Thread(#[source] std::io::Error),
}

impl From<pump::StartError> for InitError {
    fn from(error: pump::StartError) -> Self {
        match error {
            pump::StartError::Thread(source) => Self::Thread(source),
            _ => Self::AlreadyInitialised,
        }
    }
}
