//! Radiosonde beside its peers, in one run: the program that `cargo xtask bench` drives.
//!
//! `rows` prints what is promised, one JSON object a line; `run CASE` measures one case in this process and prints its
//! samples. `xtask/src/bench.rs` describes both. A bench is a file under `cases/` with its rows and its cases, ours and
//! the peers', and joins [`cases::BENCHES`].

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "standard output is how the driver is told"
)]

mod allocations;
mod cases;
mod harness;
mod machine;
mod ours;
mod row;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// One thing to measure, alone in its process because most libraries can be set up only once.
struct Case {
    /// What is measured and by whom, for instance `counter.radiosonde`.
    name: &'static str,
    /// Measures and [`harness::print`]s.
    run: fn(),
}

/// Rows that belong together, and the cases that they name.
struct Bench {
    rows: &'static [row::Row],
    cases: &'static [Case],
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["rows"] => {
            for row in cases::BENCHES.iter().flat_map(|bench| bench.rows) {
                println!("{}", row.json());
            }
            ExitCode::SUCCESS
        }
        ["run", name] => match cases::find(name) {
            Some(case) => {
                (case.run)();
                ExitCode::SUCCESS
            }
            None => usage(&format!("there is no case `{name}`")),
        },
        _ => usage("say `rows` or `run CASE`"),
    }
}

fn usage(fault: &str) -> ExitCode {
    eprintln!("{fault}; cases:");
    for case in cases::BENCHES.iter().flat_map(|bench| bench.cases) {
        eprintln!("  {}", case.name);
    }
    ExitCode::FAILURE
}
