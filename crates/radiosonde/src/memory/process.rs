//! The process's own memory, as the kernel counts it.

use std::fs;

use radiosonde_core::provenance::Reading;

use super::{HOST, MemoryEvent};

/// Measures the process's resident set, first as a baseline and then as often as asked.
#[derive(Clone, Debug)]
pub struct ProcessMemory {
    baseline_bytes: Reading<u64>,
}

impl ProcessMemory {
    /// Measures the baseline: call it before the model is loaded, so that what comes later can be told apart.
    pub fn baseline() -> Self {
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
