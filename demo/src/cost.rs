//! What recording costs, measured within one run. Two runs differ by more than recording costs, whatever else they share.
//!
//! - The thread that computes: in the first of two requests two tokens are recorded and two are not, by turns, and the CPU
//!   time of the second of each two is compared. Neighbours hardly differ otherwise; the first of each two follows a
//!   switch of the filter, which is no part of recording.
//! - The threads that radiosonde has for itself: in the second, all is recorded, as in a program that records, and their
//!   CPU time until everything is handed on is put on its tokens. All of it: what they take while nothing happens
//!   is taken because of recording too.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::report::median;
use crate::{cpu, observe};

/// What was measured so far.
static MEASURED: Mutex<Measured> = Mutex::new(Measured {
    not_recorded_ms: Vec::new(),
    recorded_ms: Vec::new(),
    background: Duration::ZERO,
    background_steps: 0,
});

#[derive(Default)]
struct Measured {
    /// CPU milliseconds of the model's thread for tokens that were not recorded.
    not_recorded_ms: Vec<f64>,
    /// The same for their neighbours, which were.
    recorded_ms: Vec<f64>,
    /// CPU time of radiosonde's own threads during requests that were recorded whole.
    background: Duration,
    /// The tokens of those requests.
    background_steps: u32,
}

/// What recording costs.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Tokens that were recorded, beside neighbours that were not.
    pub steps_recorded: usize,
    /// Tokens that were not recorded.
    pub steps_not_recorded: usize,
    /// Tokens of requests that were recorded whole.
    pub steps_background: u32,
    /// CPU milliseconds of the model's thread for a token that is recorded: the median.
    pub recorded_ms: f64,
    /// The same for a token that is not.
    pub not_recorded_ms: f64,
    /// CPU milliseconds of radiosonde's own threads for each token where all are recorded.
    pub background_ms: f64,
    /// What recording adds to the CPU time of a token, in percent.
    pub added_percent: f64,
}

/// A request whose cost is measured, until it is dropped.
#[derive(Debug)]
pub struct Request {
    /// Radiosonde's own CPU time at the beginning, of a request that is recorded whole.
    background: Option<Duration>,
}

impl Request {
    /// Begins request `number`, from 1. Nothing else may be recorded until it is over.
    pub fn begin(number: u32) -> Self {
        let background = number.is_multiple_of(2).then(settled_background);
        Self { background }
    }

    /// Begins token `number` of the request.
    pub fn step(&self, number: u32) -> Step {
        let is_recorded = self.background.is_some() || number % 4 < 2;
        let kind = match (self.background, number % 2) {
            (Some(_), _) => Kind::Whole,
            (None, 0) => Kind::Switched,
            (None, _) if is_recorded => Kind::Recorded,
            (None, _) => Kind::NotRecorded,
        };
        if kind == Kind::Switched {
            observe::record(is_recorded);
        }
        Step {
            kind,
            began: cpu::thread_time(),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        observe::record(true);
        if let Some(before) = self.background {
            let took = settled_background().saturating_sub(before);
            measured().background += took;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The first after a switch.
    Switched,
    NotRecorded,
    Recorded,
    Whole,
}

/// A token being made.
#[derive(Debug)]
pub struct Step {
    kind: Kind,
    began: Option<Duration>,
}

impl Drop for Step {
    fn drop(&mut self) {
        let took = cpu::between(self.began, cpu::thread_time());
        let took_ms = took.map(|took| took.as_secs_f64() * 1e3);
        let mut measured = measured();
        match self.kind {
            Kind::Switched => {}
            Kind::NotRecorded => measured.not_recorded_ms.extend(took_ms),
            Kind::Recorded => measured.recorded_ms.extend(took_ms),
            Kind::Whole => measured.background_steps += 1,
        }
    }
}

fn measured() -> std::sync::MutexGuard<'static, Measured> {
    MEASURED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the requests so far tell. `None` where there were not tokens of all kinds, or the system does not tell CPU time.
pub fn so_far() -> Option<Cost> {
    cost(&measured())
}

fn cost(measured: &Measured) -> Option<Cost> {
    let recorded_ms = median(measured.recorded_ms.clone())?;
    let not_recorded_ms = median(measured.not_recorded_ms.clone())?;
    if measured.background_steps == 0 {
        return None;
    }
    let background_ms =
        measured.background.as_secs_f64() * 1e3 / f64::from(measured.background_steps);
    Some(Cost {
        steps_recorded: measured.recorded_ms.len(),
        steps_not_recorded: measured.not_recorded_ms.len(),
        steps_background: measured.background_steps,
        recorded_ms,
        not_recorded_ms,
        background_ms,
        added_percent: (recorded_ms - not_recorded_ms + background_ms) / not_recorded_ms * 100.0,
    })
}

/// Radiosonde's own CPU time, once everything recorded so far was handed on.
fn settled_background() -> Duration {
    observe::settle();
    background()
}

/// CPU time so far of the threads that radiosonde has for itself, which it names after itself. Zero where the system
/// does not tell.
fn background() -> Duration {
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
    fn what_other_threads_took_is_put_on_the_tokens_recorded_whole() {
        let measured = Measured {
            recorded_ms: vec![10.2, 10.1, 10.3],
            not_recorded_ms: vec![10.0, 10.0],
            background: Duration::from_micros(900),
            background_steps: 9,
        };
        let cost = cost(&measured).unwrap();
        assert_eq!((cost.steps_recorded, cost.steps_not_recorded), (3, 2));
        assert!((cost.background_ms - 0.1).abs() < 1e-9);
        assert!((cost.added_percent - 3.0).abs() < 1e-9, "{cost:?}");
    }

    #[test]
    fn where_a_kind_is_missing_nothing_is_told() {
        assert!(cost(&Measured::default()).is_none());
        let neighbours = Measured {
            recorded_ms: vec![1.0],
            not_recorded_ms: vec![1.0],
            ..Measured::default()
        };
        assert!(cost(&neighbours).is_none());
    }
}
