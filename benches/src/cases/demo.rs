//! What recording costs a real model: the demo's CPU time with recording on against off.
//!
//! Runs are in pairs, each time in the other order, and a sample is the difference within one pair, so that what the
//! machine does meanwhile is in both. The program is the one that `cargo demo` runs, in which the library is compiled
//! with less optimisation than in a release: what is measured is more than a release would pay.

use std::{
    env,
    ffi::OsStr,
    process::{Command, Stdio},
};

use crate::{Bench, Case, harness::print, machine::children_cpu_ns, ours, row::Row};

/// Says where the demo is; the driver builds it.
const DEMO: &str = "RADIOSONDE_BENCH_DEMO";
const PAIRS: usize = 6;
/// Two requests for two workers: as short as a run can be in which loading the model is a small part.
const ARGUMENTS: [&str; 8] = [
    "--once",
    "--format",
    "json",
    "--requests",
    "2",
    "--max-tokens",
    "48",
    "--recording",
];

/// The demo beside itself.
pub const BENCH: Bench = Bench {
    rows: &[Row::at_most(
        "demo, CPU added by recording",
        "demo.radiosonde:added",
        1.0,
        "%",
    )],
    cases: &[Case {
        name: "demo.radiosonde",
        run,
    }],
};

fn run() {
    let demo = ours::or_exit(
        env::var_os(DEMO).ok_or("the driver did not say where it is"),
        "run the demo",
    );
    cpu_ns(&demo, "off"); // reads the model into the page cache, or fetches it
    let mut samples = Vec::with_capacity(PAIRS);
    for pair in 0..PAIRS {
        let (on, off) = if pair.is_multiple_of(2) {
            let on = cpu_ns(&demo, "on");
            (on, cpu_ns(&demo, "off"))
        } else {
            let off = cpu_ns(&demo, "off");
            (cpu_ns(&demo, "on"), off)
        };
        println!("on {:.3} s, off {:.3} s", on / 1e9, off / 1e9);
        samples.push((on - off) / off * 100.0);
    }
    print("added", &samples);
}

/// CPU time of one run. A model that cannot be fetched ends the case: the demo has said what to do about it.
fn cpu_ns(demo: &OsStr, recording: &str) -> f64 {
    let before = children_cpu_ns();
    let status = Command::new(demo)
        .args(ARGUMENTS)
        .arg(recording)
        .stdout(Stdio::null())
        .status();
    let status = ours::or_exit(status, "start the demo");
    ours::or_exit(status.success().then_some(()).ok_or(status), "run the demo");
    (children_cpu_ns() - before) as f64
}
