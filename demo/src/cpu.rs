//! How long threads ran on a CPU, as the kernel counts it.

use std::time::Duration;

/// CPU time of the calling thread, or `None` where the system does not tell.
#[cfg(unix)]
pub fn thread_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).ok()
}

/// CPU time of the calling thread, or `None` where the system does not tell.
#[cfg(not(unix))]
pub fn thread_time() -> Option<Duration> {
    None
}

/// The time from one reading to a later one, when there are both.
pub fn between(start: Option<Duration>, end: Option<Duration>) -> Option<Duration> {
    end?.checked_sub(start?)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn work_counts_and_sleep_does_not() {
        let start = thread_time().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let slept = thread_time().unwrap();
        assert!(between(Some(start), Some(slept)).unwrap() < Duration::from_millis(25));
        let mut sum = 0u64;
        for i in 0..20_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_add(i));
        }
        assert!(thread_time().unwrap() > slept, "{sum}");
    }
}
