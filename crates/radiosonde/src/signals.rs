//! SIGTERM and SIGINT, where asked for: what is still waiting is delivered, then the signal does what it always does.
//!
//! Invariants: whatever happens while delivering, the process ends within `export.shutdown_timeout` of the first signal,
//! and its exit status says which signal ended it. The child of a fork, which has the handlers and not the thread that
//! delivers, ends at once. A signal that the process was started to ignore, as a shell does for what runs in its
//! background, is still ignored. Where the signals cannot be handled nothing is changed about them.

/// Begins to handle the signals, for as long as the process lives. A second call does nothing, unless the first failed.
#[cfg(unix)]
pub(crate) fn handle() -> std::io::Result<()> {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        iterator::Signals,
    };

    // Those who call this hold the place of the process's one recording.
    static HANDLING: AtomicBool = AtomicBool::new(false);
    if HANDLING.load(Relaxed) {
        return Ok(());
    }
    let handled: Vec<_> = [SIGTERM, SIGINT]
        .into_iter()
        .filter(|&signal| !is_ignored(signal))
        .collect();
    // What may fail comes before the first handler: a signal that has one and nobody who delivers would do nothing.
    let deliver = deliverer()?;
    let signals = Signals::new(&handled)?;
    for signal in handled {
        end_if_forked(signal)?;
    }
    // The thread waits for them.
    let _ = deliver.send(signals);
    HANDLING.store(true, Relaxed);
    Ok(())
}

/// Starts the thread that delivers when one of the signals comes that it is given.
#[cfg(unix)]
fn deliverer() -> std::io::Result<std::sync::mpsc::Sender<signal_hook::iterator::Signals>> {
    use std::{
        panic::catch_unwind,
        sync::mpsc::{self, Receiver},
        thread,
    };

    use radiosonde_core::panics::drop_caught;
    use signal_hook::{iterator::Signals, low_level::emulate_default_handler};

    let (sender, receiver): (_, Receiver<Signals>) = mpsc::channel();
    thread::Builder::new()
        .name("radiosonde-signals".to_owned())
        .spawn(move || {
            // There are none where they could not be had.
            let Ok(mut signals) = receiver.recv() else {
                return;
            };
            for signal in signals.forever() {
                // Code of the program runs while delivering; whatever it does, the signal must do its work.
                if let Err(panic) = catch_unwind(|| crate::init::deliver_last(signal)) {
                    drop_caught(panic);
                }
                // Ends the process as if nobody had handled the signal.
                if emulate_default_handler(signal).is_err() {
                    std::process::exit(128 + signal);
                }
            }
        })?;
    Ok(sender)
}

/// Whether `signal` does nothing now because the process was started so.
#[cfg(target_os = "linux")]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // The bit of a signal is its number, from 1 (proc(5)).
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Nothing says so without a call that is not safe.
#[cfg(all(unix, not(target_os = "linux")))]
const fn is_ignored(_: i32) -> bool {
    false
}

/// Lets `signal` end the child of a fork of this process as if nobody had handled it.
#[cfg(unix)]
fn end_if_forked(signal: i32) -> std::io::Result<()> {
    use signal_hook::low_level::{emulate_default_handler, register};

    let ours = std::process::id();
    let end_others = move || {
        if std::process::id() != ours {
            let _ = emulate_default_handler(signal);
        }
    };
    // SAFETY: `end_others` asks for the number of the process, which is one system call, and calls a function that says
    // of itself that it is async-signal-safe.
    unsafe { register(signal, end_others) }.map(drop)
}

/// There are no such signals here.
#[cfg(not(unix))]
pub(crate) fn handle() -> std::io::Result<()> {
    Ok(())
}
