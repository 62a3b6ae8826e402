//! A panic becomes a log under the span it happened in, and everything recorded is delivered before the process may
//! abort.
//!
//! Invariant: the hook that was there before is always called, and the hook itself waits at most [`FLUSH_TIMEOUT`],
//! at most once per [`FLUSH_INTERVAL`] unless the process is about to abort, so that a program that panics often is not
//! slowed down. On threads that telemetry passes through it waits for nothing.

use std::{
    backtrace::Backtrace,
    panic::{self, Location, PanicHookInfo},
    sync::{Mutex, Once, PoisonError},
    time::{Duration, Instant},
};

use super::running;

/// Longest a panicking thread waits.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Shortest time between two such waits.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Puts our hook before the one that is there. It stays for as long as the process lives and does nothing while
/// recording is off.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            record(info);
            previous(info);
        }));
    });
}

fn record(info: &PanicHookInfo<'_>) {
    let Some(running) = running::current() else {
        return;
    };
    let thread = std::thread::current();
    let place = info.location();
    // Capturing costs milliseconds, so only where it was asked for.
    let stack = running
        .toggles
        .stack_traces()
        .then(|| Backtrace::force_capture().to_string());
    tracing::error!(
        target: "panic",
        {
            "exception.type" = "panic",
            "exception.message" = info.payload_as_str().unwrap_or("a value that is not text"),
            "code.file.path" = place.map_or("", Location::file),
            "code.line.number" = place.map_or(0, Location::line),
            "code.column.number" = place.map_or(0, Location::column),
            "exception.stacktrace" = stack,
            "thread.name" = thread.name().unwrap_or(""),
        },
        "panic"
    );
    // An exporter that panics would be waited for by its own flush, and lives on.
    if !radiosonde_core::is_silent() && (aborts(info) || flush_is_due()) {
        running.pump.flush(FLUSH_TIMEOUT);
    }
}

/// Whether the process aborts once the hook is done.
fn aborts(info: &PanicHookInfo<'_>) -> bool {
    // `PanicHookInfo::can_unwind` is not stable; these are the texts of every panic of the standard library that cannot.
    const CANNOT_UNWIND: [&str; 2] = [
        "panic in a function that cannot unwind",
        "panic in a destructor during cleanup",
    ];
    cfg!(panic = "abort")
        || info
            .payload_as_str()
            .is_some_and(|text| CANNOT_UNWIND.contains(&text))
}

fn flush_is_due() -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let due = last.is_none_or(|last| last.elapsed() >= FLUSH_INTERVAL);
    if due {
        *last = Some(Instant::now());
    }
    due
}
