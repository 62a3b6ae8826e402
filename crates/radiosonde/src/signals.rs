//! SIGTERM and SIGINT, where asked for: what is still waiting is delivered, then the signal does what it always does.
//!
//! Invariant: whatever happens while delivering, the process ends within `export.shutdown_timeout` of the first signal,
//! and its exit status says which signal ended it.

/// Begins to handle the signals, for as long as the process lives. A second call does nothing.
#[cfg(unix)]
pub(crate) fn handle() -> std::io::Result<()> {
    use std::{
        panic::catch_unwind,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        iterator::Signals,
        low_level::emulate_default_handler,
    };

    static HANDLING: AtomicBool = AtomicBool::new(false);
    if HANDLING.swap(true, Relaxed) {
        return Ok(());
    }
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new()
        .name("radiosonde-signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                // Code of the program runs while delivering; whatever it does, the signal must do its work.
                let _ = catch_unwind(|| crate::init::deliver_last(signal));
                // Ends the process as if nobody had handled the signal.
                if emulate_default_handler(signal).is_err() {
                    std::process::exit(128 + signal);
                }
            }
        })?;
    Ok(())
}

/// There are no such signals here.
#[cfg(not(unix))]
pub(crate) fn handle() -> std::io::Result<()> {
    Ok(())
}
