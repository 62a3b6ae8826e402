//! Resident memory that recording adds to a program.

use std::{hint::black_box, sync::Barrier, thread};

use crate::{
    Bench, Case,
    harness::print,
    machine::resident_bytes,
    ours,
    row::{Against, Row, Statistic},
};

const THREADS: usize = 8;
const SPANS_PER_THREAD: u64 = 50_000;

/// Resident memory with every thread's lane in use.
pub const BENCH: Bench = Bench {
    rows: &[Row {
        what: "resident memory the library adds, 8 threads",
        unit: "MB",
        ours: "memory.radiosonde:resident",
        statistic: Statistic::Median,
        against: Against::Budget(20.0),
    }],
    cases: &[Case {
        name: "memory.radiosonde",
        run,
    }],
};

/// Runs the threads once with recording not yet set up and once with it, so that what their stacks cost is in both.
fn run() {
    let without = at_its_largest();
    let pump = ours::start();
    let with = at_its_largest();
    ours::flush(&pump);
    print("resident", &[(with as f64 - without as f64) / 1e6]);
}

/// Resident memory while all threads have done their work and none has ended.
fn at_its_largest() -> u64 {
    let gate = Barrier::new(THREADS + 1);
    let work = || {
        for number in 0..SPANS_PER_THREAD {
            let _span = tracing::info_span!("operation", number = black_box(number), kind = "read")
                .entered();
            tracing::info!(number, "done");
        }
        gate.wait();
        gate.wait();
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
        gate.wait();
        let resident = resident_bytes();
        gate.wait();
        resident
    })
}
