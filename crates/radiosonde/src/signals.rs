//! SIGTERM and SIGINT, where asked for: what is still waiting is delivered, then the signal does what it always does.
//!
//! Invariants: whatever happens while delivering, the process ends within `export.shutdown_timeout` of the first signal,
//! and its exit status says which signal ended it. The child of a fork, which has the handlers and not the thread that
//! delivers, ends at once.

/// Begins to handle the signals, for as long as the process lives. A second call does nothing.
#[cfg(unix)]
pub(crate) fn handle() -> std::io::Result<()> {
    use std::{
        panic::catch_unwind,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    use radiosonde_core::panics::drop_caught;
    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        iterator::Signals,
        low_level::emulate_default_handler,
    };

    static HANDLING: AtomicBool = AtomicBool::new(false);
    if HANDLING.swap(true, Relaxed) {
        return Ok(());
    }
    for signal in [SIGTERM, SIGINT] {
        end_if_forked(signal)?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new()
        .name("radiosonde-signals".to_owned())
        .spawn(move || {
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
    Ok(())
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
