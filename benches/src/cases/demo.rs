//! What recording costs a real model, as the demo measures it: every other token is recorded, and neighbours are
//! compared.
//!
//! Runs with recording on and off differ by several percent whatever is recorded, on a machine that others use too, so
//! they cannot tell 1 %. The program is the one that `cargo demo` runs, in which the library is compiled with less
//! optimisation than in a release: what is measured is more than a release would pay.

use std::{
    env,
    ffi::OsStr,
    process::{Command, Stdio},
};

use radiosonde_bench_harness::{Bench, Case, note, or_exit, print, row::Row};

/// Says where the demo is; the driver builds it.
const DEMO: &str = "RADIOSONDE_BENCH_DEMO";
const RUNS: usize = 3;
const ARGUMENTS: [&str; 11] = [
    "--once",
    "--format",
    "json",
    "--workers",
    "1",
    "--requests",
    "8",
    "--max-tokens",
    "64",
    "--recording",
    "alternate",
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
    let demo = or_exit(
        env::var_os(DEMO).ok_or("the driver did not say where it is"),
        "run the demo",
    );
    let samples: Vec<f64> = (0..RUNS).map(|_| added_percent(&demo)).collect();
    print("added", &samples);
}

/// What one run measured. A model that cannot be fetched ends the case: the demo has said what to do about it.
fn added_percent(demo: &OsStr) -> f64 {
    let output = Command::new(demo)
        .args(ARGUMENTS)
        .stderr(Stdio::inherit())
        .output();
    let output = or_exit(output, "start the demo");
    or_exit(
        output.status.success().then_some(()).ok_or(output.status),
        "run the demo",
    );
    let report: serde_json::Value =
        or_exit(serde_json::from_slice(&output.stdout), "read its report");
    let cost = &report["observed"]["cost"];
    note(cost);
    or_exit(cost["added_percent"].as_f64().ok_or(cost), "find the cost")
}
