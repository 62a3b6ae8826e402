//! Resident memory that the library adds to a program, with everything that `init` starts by default.

use std::{hint::black_box, sync::Barrier, thread};

use radiosonde_core::{events::GpuDeviceSynchronized, metrics, record};

use radiosonde_bench_harness::{
    Bench, Case,
    machine::{resident_bytes, silence_standard_error},
    or_exit, print,
    row::Row,
};

const THREADS: usize = 8;
const OPERATIONS_PER_THREAD: u64 = 20_000;

/// Resident memory with every thread's lane in use.
pub const BENCH: Bench = Bench {
    rows: &[Row::at_most(
        "resident memory the library adds, 8 threads, defaults",
        "memory.radiosonde:resident",
        20.0,
        "MB",
    )],
    cases: &[Case {
        name: "memory.radiosonde",
        run,
    }],
};

/// Runs the threads once with recording not yet set up and once with it, so that what their stacks cost is in both.
fn run() {
    or_exit(silence_standard_error(), "send logs nowhere");
    let without = at_its_largest();
    let guard = or_exit(radiosonde::init(), "start recording");
    let with = at_its_largest();
    drop(guard);
    print("resident", &[(with as f64 - without as f64) / 1e6]);
}

/// Resident memory while all threads have done their work and none has ended.
fn at_its_largest() -> u64 {
    let gate = Barrier::new(THREADS + 1);
    let work = || {
        let (done, sizes) = (
            metrics::counter("bench.done").handle(),
            metrics::histogram("bench.size").handle(),
        );
        for number in 0..OPERATIONS_PER_THREAD {
            let _span = tracing::info_span!("operation", number = black_box(number), kind = "read")
                .entered();
            tracing::info!(number, "done");
            record!(GpuDeviceSynchronized {
                device: "cuda:0",
                duration: std::time::Duration::from_nanos(number),
            });
            done.increment();
            sizes.record(number as f64);
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
