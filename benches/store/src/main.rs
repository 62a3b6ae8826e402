//! Radiosonde's store and server beside ClickHouse's engine and DuckDB, in one run: a program that
//! `cargo xtask bench --only store` and `--only serve` drive.
//!
//! Every case works on the data of [`data`], which are the same in each run. What a case leaves for later ones (our store,
//! a peer's database, the peers' input) is in the folder that the driver keeps for the whole run.

mod cases;
mod data;
mod kept;
mod otlp;
mod peers;

use std::process::ExitCode;

fn main() -> ExitCode {
    radiosonde_bench_harness::main(cases::BENCHES)
}
