//! What recording costs, measured within one run: every other token is recorded, and the CPU time of neighbours is
//! compared.
//!
//! Two runs differ by more than recording costs, whatever else they share; two tokens that follow each other hardly
//! do. The threads that radiosonde has for itself run beside both kinds: their CPU time, all of it, is put on
//! the tokens that were recorded, so the answer is rather too high than too low.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::report::median;
use crate::{cpu, observe};

/// CPU milliseconds of tokens that were recorded, and of others.
static STEPS: Mutex<[Vec<f64>; 2]> = Mutex::new([Vec::new(), Vec::new()]);

/// What recording costs.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Tokens that were recorded.
    pub steps_recorded: usize,
    /// Tokens that were not.
    pub steps_not_recorded: usize,
    /// CPU milliseconds of the model's thread for a token that is recorded: the median.
    pub recorded_ms: f64,
    /// The same for a token that is not.
    pub not_recorded_ms: f64,
    /// CPU milliseconds of radiosonde's own threads for each token that was recorded.
    pub background_ms: f64,
    /// What recording adds to the CPU time of a token, in percent.
    pub added_percent: f64,
}

/// A token being made: recorded if its number is even, else not.
#[derive(Debug)]
pub struct Step {
    recorded: bool,
    began: Option<Duration>,
}

impl Step {
    /// Begins token `number`.
    pub fn begin(number: u32) -> Self {
        let recorded = number.is_multiple_of(2);
        observe::record(recorded);
        Self {
            recorded,
            began: cpu::thread_time(),
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let took = cpu::between(self.began, cpu::thread_time());
        observe::record(true);
        let mut steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
        steps[usize::from(self.recorded)].extend(took.map(|took| took.as_secs_f64() * 1e3));
    }
}

/// What the tokens so far tell, when radiosonde's own threads took `background` meanwhile. `None` where there are not
/// tokens of both kinds, or the system does not tell CPU time.
pub fn so_far(background: Duration) -> Option<Cost> {
    let steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
    let [not_recorded, recorded] = &*steps;
    cost(recorded, not_recorded, background)
}

fn cost(recorded: &[f64], not_recorded: &[f64], background: Duration) -> Option<Cost> {
    let recorded_ms = median(recorded.to_vec())?;
    let not_recorded_ms = median(not_recorded.to_vec())?;
    let background_ms = background.as_secs_f64() * 1e3 / recorded.len() as f64;
    Some(Cost {
        steps_recorded: recorded.len(),
        steps_not_recorded: not_recorded.len(),
        recorded_ms,
        not_recorded_ms,
        background_ms,
        added_percent: (recorded_ms - not_recorded_ms + background_ms) / not_recorded_ms * 100.0,
    })
}

/// CPU time so far of the threads that radiosonde has for itself, which it names after itself. Zero where the system
/// does not tell.
pub fn background() -> Duration {
    // The demo's own threads have the name of its program, which begins like radiosonde's.
    let demo = fs::read_to_string("/proc/self/comm").unwrap_or_default();
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten();
    threads
        .flatten()
        .filter_map(|thread| cpu_of_own(&thread.path(), &demo))
        .sum()
}

fn cpu_of_own(thread: &Path, demo: &str) -> Option<Duration> {
    let name = fs::read_to_string(thread.join("comm")).ok()?;
    if name == demo || !name.starts_with("radiosonde-") {
        return None;
    }
    // Nanoseconds on a processor, nanoseconds waiting for one, and turns (the kernel's sched-stats.rst).
    let statistics = fs::read_to_string(thread.join("schedstat")).ok()?;
    let on_cpu = statistics.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(on_cpu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_is_put_on_what_was_recorded() {
        let cost = cost(
            &[10.2, 10.1, 10.3],
            &[10.0, 10.0],
            Duration::from_micros(900),
        )
        .unwrap();
        assert_eq!((cost.steps_recorded, cost.steps_not_recorded), (3, 2));
        assert!((cost.background_ms - 0.3).abs() < 1e-9);
        assert!((cost.added_percent - 5.0).abs() < 1e-9, "{cost:?}");
    }

    #[test]
    fn one_kind_alone_tells_nothing() {
        assert!(cost(&[1.0], &[], Duration::ZERO).is_none());
        assert!(cost(&[], &[1.0], Duration::ZERO).is_none());
    }
}
