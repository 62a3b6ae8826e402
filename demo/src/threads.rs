//! Who does the arithmetic.
//!
//! candle spreads each operation over a pool shared by the whole process, sized by `RAYON_NUM_THREADS`. With
//! several workers answering at once that pool is a lock they all wait on, and a worker's CPU time is spent on
//! some other thread. So here each worker is its own pool: unless the variable says otherwise, every operation
//! runs on the thread that asked for it, and a trace's CPU time is the CPU time of its own thread.

use std::io;

/// The variable that both rayon and candle read, once, when first used.
const THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";

/// Makes sure that `RAYON_NUM_THREADS` is set, to 1 when the user did not set it.
///
/// Setting a variable of a running process is unsafe, so the program starts itself anew with it, under the
/// same process ID where the system allows. Returns only when there was nothing to do or starting anew failed.
pub fn restart_with_one_thread_per_operation() -> io::Result<()> {
    if std::env::var_os(THREADS_VARIABLE).is_some() {
        return Ok(());
    }
    let mut again = std::process::Command::new(std::env::current_exe()?);
    again
        .args(std::env::args_os().skip(1))
        .env(THREADS_VARIABLE, "1");
    replace(&mut again)
}

#[cfg(unix)]
fn replace(again: &mut std::process::Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    Err(again.exec())
}

#[cfg(not(unix))]
fn replace(again: &mut std::process::Command) -> io::Result<()> {
    let status = again.status()?;
    std::process::exit(status.code().unwrap_or(1));
}

/// Makes the calling thread the first of a pool of its own, for as long as it lives.
pub fn own_pool() -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(candle_core::utils::get_num_threads())
        .use_current_thread()
        .build()
}
