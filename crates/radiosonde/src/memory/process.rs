//! The process's own memory, as the kernel counts it.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use radiosonde_core::provenance::Reading;

use super::{HOST, MemoryEvent};

/// Somebody asked for rows of memory, or recorded what they are made of: from then on they need the resident set.
static WANTED: AtomicBool = AtomicBool::new(false);
/// Baselines that the program measured itself.
static BASELINES: AtomicU64 = AtomicU64::new(0);

/// Has the resident set recorded whenever process and host are read.
pub(crate) fn want_rows() {
    WANTED.store(true, Relaxed);
}

/// Records the resident set for the rows while the process is being watched, once they are wanted: a program that has
/// nothing to do with models is spared the events.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Until it is recorded.
    baseline_bytes: Option<Reading<u64>>,
    /// How many the program had measured itself before.
    baselines: u64,
}

impl Watch {
    /// Measures the baseline.
    pub(crate) fn new() -> Self {
        Self {
            baseline_bytes: Some(resident_bytes()),
            baselines: BASELINES.load(Relaxed),
        }
    }

    /// Records the resident set as it is now, and the baseline before the first one unless the program measured its
    /// own.
    pub(crate) fn read(&mut self) {
        if !WANTED.load(Relaxed) {
            return;
        }
        let is_ours = BASELINES.load(Relaxed) == self.baselines;
        if let Some(baseline_bytes) = self.baseline_bytes.take().filter(|_| is_ours) {
            record("baseline", &baseline_bytes);
        }
        record("resident", &resident_bytes());
    }
}

/// Measures the process's resident set, first as a baseline and then as often as asked.
#[derive(Clone, Debug)]
pub struct ProcessMemory {
    baseline_bytes: Reading<u64>,
}

impl ProcessMemory {
    /// Measures the baseline: call it before the model is loaded, so that what comes later can be told apart.
    pub fn baseline() -> Self {
        want_rows();
        BASELINES.fetch_add(1, Relaxed);
        let baseline_bytes = resident_bytes();
        record("baseline", &baseline_bytes);
        Self { baseline_bytes }
    }

    /// The resident set when the baseline was measured, in bytes.
    pub const fn baseline_bytes(&self) -> &Reading<u64> {
        &self.baseline_bytes
    }

    /// Measures the resident set now, in bytes, and records it.
    pub fn sample(&self) -> Reading<u64> {
        let resident_bytes = resident_bytes();
        record("resident", &resident_bytes);
        resident_bytes
    }
}

fn record(kind: &'static str, reading: &Reading<u64>) {
    radiosonde_core::record(&MemoryEvent {
        kind,
        device: HOST,
        component: "process",
        used_bytes: reading.value(),
        reason: reading.provenance().detail(),
        ..MemoryEvent::default()
    });
}

/// The resident set: pages of `/proc/self/statm` (proc_pid_statm(5)) times the page size.
fn resident_bytes() -> Reading<u64> {
    if !cfg!(target_os = "linux") {
        return Reading::unsupported("the resident set is read from /proc, which only Linux has");
    }
    match fs::read_to_string("/proc/self/statm") {
        Ok(statm) => resident_pages(&statm)
            .zip(page_bytes())
            .and_then(|(pages, bytes)| pages.checked_mul(bytes))
            .map_or_else(
                || Reading::unsupported("/proc/self/statm or /proc/self/auxv is not as expected"),
                Reading::measured,
            ),
        Err(error) => Reading::unsupported(format!("cannot read /proc/self/statm: {error}")),
    }
}

/// The second number of `statm`.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The page size that the kernel told the process: `AT_PAGESZ` of its auxiliary vector (getauxval(3)).
fn page_bytes() -> Option<u64> {
    const WORD: usize = size_of::<usize>();
    const AT_PAGESZ: usize = 6;
    let word = |bytes: &[u8]| bytes.try_into().ok().map(usize::from_ne_bytes);
    fs::read("/proc/self/auxv")
        .ok()?
        .chunks_exact(2 * WORD)
        .find(|entry| word(&entry[..WORD]) == Some(AT_PAGESZ))
        .and_then(|entry| word(&entry[WORD..]))
        .map(|bytes| bytes as u64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_resident_set_grows_with_what_the_process_touches() {
        let memory = ProcessMemory::baseline();
        let before = memory.sample().value().unwrap();
        let touched = vec![1_u8; 64 << 20];
        let after = memory.sample().value().unwrap();
        assert!(touched.iter().all(|byte| *byte == 1));
        // Other tests of this process give memory back meanwhile.
        assert!(after.saturating_sub(before) >= 32 << 20, "{before} {after}");
        assert!(page_bytes().is_some_and(u64::is_power_of_two));
    }

    #[test]
    fn a_statm_that_is_not_one_gives_no_number() {
        assert_eq!(resident_pages("100 42 7 1 0 20 0\n"), Some(42));
        for statm in ["", "100", "100 x"] {
            assert_eq!(resident_pages(statm), None);
        }
    }
}
