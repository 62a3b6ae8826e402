//! Radiosonde's record path beside its peers, in one run: a program that `cargo xtask bench` drives.
//!
//! A bench is a file under `cases/` and joins [`cases::BENCHES`].

mod allocations;
mod cases;
mod harness;
mod ours;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn main() -> ExitCode {
    radiosonde_bench_harness::main(cases::BENCHES)
}
