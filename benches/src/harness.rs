//! Loops that measure.
//!
//! A sample is the mean cost of one operation over a repetition of a few milliseconds. A repetition in which the
//! kernel took the processor away is set aside, and used only where too few clean ones remain: that is so where a
//! library's own worker competes with the caller.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde_bench_harness::machine::{pin, preemptions, process_cpu_ns};

use crate::allocations;

const REPETITIONS: usize = 21;
const CLEAN_REPETITIONS_MIN: usize = 8;
const REPETITION_TARGET: Duration = Duration::from_millis(2);
/// Short, so that both threads are likely to stay on their processors throughout.
const WINDOW_TARGET: Duration = Duration::from_micros(300);
const WINDOWS: usize = 200;

/// How many operations may be asked for before [`Pace::settle`] must be called.
pub struct Pace<'a> {
    pub operations_max: u64,
    /// What empties the queues, untimed, between repetitions.
    pub settle: &'a dyn Fn(),
}

impl Pace<'_> {
    /// For operations that queue nothing.
    pub const FREE: Pace<'static> = Pace {
        operations_max: u64::MAX,
        settle: &|| {},
    };
    /// For operations that queue nothing and take a large part of a millisecond or more each.
    pub const LONG: Pace<'static> = Pace {
        operations_max: 4,
        settle: &|| {},
    };
}

/// Nanoseconds of one operation at the caller. `work(n)` does the thing n times.
pub fn caller(pace: &Pace<'_>, mut work: impl FnMut(u64)) -> Vec<f64> {
    let count = calibrate(pace, REPETITION_TARGET, &mut work);
    let (mut clean, mut all) = (Vec::new(), Vec::new());
    while clean.len() < REPETITIONS && all.len() < 4 * REPETITIONS {
        let sample = timed(count, &mut work);
        (pace.settle)();
        all.push(sample.ns);
        if sample.is_clean {
            clean.push(sample.ns);
        }
    }
    if clean.len() >= CLEAN_REPETITIONS_MIN {
        clean
    } else {
        all
    }
}

/// Nanoseconds of one operation while another thread does the same. Each thread gets its own work from `make`.
pub fn two_threads<W: FnMut(u64)>(pace: &Pace<'_>, make: impl Fn() -> W + Sync) -> Vec<f64> {
    let count = calibrate(pace, WINDOW_TARGET, &mut make());
    let (gate, start) = (Barrier::new(3), AtomicUsize::new(0));
    let windows = |processor: usize| {
        pin(processor);
        let mut work = make();
        work(count);
        gate.wait();
        let mut samples = Vec::with_capacity(WINDOWS);
        for round in 1..=WINDOWS {
            gate.wait(); // until the settling is over
            start.fetch_add(1, Ordering::AcqRel);
            while start.load(Ordering::Acquire) < 2 * round {
                std::hint::spin_loop();
            }
            samples.push(timed(count, &mut work));
            gate.wait();
        }
        samples
    };
    let (first, second) = thread::scope(|scope| {
        let threads = [scope.spawn(|| windows(0)), scope.spawn(|| windows(1))];
        gate.wait(); // both are warm
        for _ in 0..WINDOWS {
            (pace.settle)();
            gate.wait();
            gate.wait();
        }
        let [first, second] = threads.map(|thread| thread.join().unwrap_or_default());
        (first, second)
    });
    let pairs = || first.iter().zip(&second);
    let clean: Vec<f64> = pairs()
        .filter(|(a, b)| a.is_clean && b.is_clean)
        .map(|(a, b)| f64::midpoint(a.ns, b.ns))
        .collect();
    if clean.len() >= CLEAN_REPETITIONS_MIN {
        clean
    } else {
        pairs().map(|(a, b)| f64::midpoint(a.ns, b.ns)).collect()
    }
}

/// CPU nanoseconds of one operation over all threads of the process, with `finish` (a flush) included.
pub fn process_cpu(count: u64, mut work: impl FnMut(u64), mut finish: impl FnMut()) -> Vec<f64> {
    work(count / 10 + 1);
    finish();
    (0..5)
        .map(|_| {
            let before = process_cpu_ns();
            work(count);
            finish();
            (process_cpu_ns() - before) as f64 / count as f64
        })
        .collect()
}

/// Allocations of one operation at the caller, after a run to warm up.
pub fn allocations(pace: &Pace<'_>, mut work: impl FnMut(u64)) -> f64 {
    let count = pace.operations_max.min(10_000);
    work(count);
    (pace.settle)();
    let (mine, _) = allocations::count(|| work(count));
    (pace.settle)();
    mine as f64 / count as f64
}

struct Sample {
    ns: f64,
    is_clean: bool,
}

fn timed(count: u64, work: &mut impl FnMut(u64)) -> Sample {
    let before = preemptions();
    let start = Instant::now();
    work(count);
    let ns = start.elapsed().as_nanos() as f64 / count as f64;
    Sample {
        ns,
        is_clean: preemptions() == before,
    }
}

/// How many operations take about `target`, at most what the pace allows.
fn calibrate(pace: &Pace<'_>, target: Duration, work: &mut impl FnMut(u64)) -> u64 {
    let mut count = 1_000.min(pace.operations_max);
    loop {
        let start = Instant::now();
        work(count);
        let elapsed = start.elapsed();
        (pace.settle)();
        if elapsed >= target || count >= pace.operations_max {
            return count;
        }
        let factor = (target.as_secs_f64() / elapsed.as_secs_f64().max(1e-9)).clamp(1.2, 10.0);
        count = ((count as f64 * factor) as u64).min(pace.operations_max);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, hint::black_box};

    use super::*;

    fn count_up(operations: u64) {
        for number in 0..operations {
            black_box(number);
        }
    }

    #[test]
    fn a_pace_is_kept() {
        let (largest, settled) = (Cell::new(0), Cell::new(0));
        let pace = Pace {
            operations_max: 64,
            settle: &|| settled.set(settled.get() + 1),
        };
        let samples = caller(&pace, |count| {
            largest.set(largest.get().max(count));
            count_up(count);
        });
        assert!(samples.len() >= CLEAN_REPETITIONS_MIN);
        assert_eq!(largest.get(), 64);
        assert!(settled.get() >= samples.len());
    }

    #[test]
    fn every_way_to_measure_gives_finite_samples() {
        let both = two_threads(&Pace::FREE, || count_up);
        let cpu = process_cpu(100_000, count_up, || {});
        assert!(
            !both.is_empty()
                && both
                    .iter()
                    .chain(&cpu)
                    .all(|ns| ns.is_finite() && *ns >= 0.0)
        );
        let allocated = allocations(&Pace::FREE, |count| {
            for _ in 0..count {
                drop(black_box(Box::new(1_u64)));
            }
        });
        assert!(allocated >= 1.0, "{allocated}");
    }
}
