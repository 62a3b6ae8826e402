//! What this process uses, by Linux's `/proc` (proc(5)).

use std::{fs, time::Duration};

use anyhow::Context as _;

/// Memory and processor time of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory.
    pub memory_bytes: u64,
    /// Processor time of all threads that are there.
    pub processor: Duration,
}

impl Usage {
    /// What it uses now.
    pub fn read() -> anyhow::Result<Self> {
        let read = || {
            let rollup = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
            let mut processor = Duration::ZERO;
            for task in fs::read_dir("/proc/self/task").ok()? {
                let schedstat = task.ok()?.path().join("schedstat");
                // A thread may end in between.
                let text = fs::read_to_string(schedstat).unwrap_or_default();
                processor += on_processor(&text).unwrap_or_default();
            }
            Some(Self {
                memory_bytes: resident_bytes(&rollup)?,
                processor,
            })
        };
        read().context(
            "cannot read /proc/self/smaps_rollup and /proc/self/task: memory and processor time are measured on Linux alone",
        )
    }
}

/// `Rss:   1234 kB`, of which a kB is 1024 bytes.
fn resident_bytes(rollup: &str) -> Option<u64> {
    let rest = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kibibytes: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The first number of `schedstat`: nanoseconds on a processor (Documentation/scheduler/sched-stats.rst).
fn on_processor(schedstat: &str) -> Option<Duration> {
    let ns = schedstat.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let rollup =
            "55d0-7ffc ---p 00000000 00:00 0  [rollup]\nRss:                1234 kB\nPss: 1 kB\n";
        assert_eq!(resident_bytes(rollup), Some(1234 * 1024));
        assert_eq!(resident_bytes("Pss: 1 kB"), None);
        let schedstat = on_processor("1500000 7 42\n");
        assert_eq!(schedstat, Some(Duration::from_micros(1500)));
        assert_eq!(on_processor(""), None);
    }
}
