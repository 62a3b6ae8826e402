//! Every developer command of Radiosonde: `cargo xtask help`.
//!
//! `cargo xtask ci` is what the gate runs, and each of its steps can be repeated alone. The other commands are its
//! parts, and the slow lanes that the gate does not have the time for.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is its job"
)]

mod bench;
mod ci;
mod coverage;
mod dependencies;
mod generate;
mod lanes;
mod packages;
mod page;
mod shell;
mod smoke;
mod test;
mod tidy;
mod unified;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Every developer command of Radiosonde.
#[derive(Parser)]
#[command(name = "cargo xtask", version, disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// All that must pass before a change lands; with names, only these steps.
    Ci {
        /// Steps to run, in the order of the gate; all when none is named.
        #[arg(value_name = "STEP")]
        steps: Vec<String>,
        /// Print the steps and what each does.
        #[arg(long)]
        list: bool,
    },
    /// Every test: documentation tests, the tests with recording compiled out, and all others, the demo's included.
    Test {
        /// Arguments of the test runner, for instance a part of a test's name.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        runner_arguments: Vec<String>,
    },
    /// The house rules that neither rustfmt nor clippy can see.
    Tidy,
    /// Write the generated files.
    Generate {
        /// Write nothing; fail when a file is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Every bench beside its peers, as a table.
    Bench {
        /// Only rows whose text, or whose case, starts with this.
        #[arg(long, value_name = "PREFIX")]
        only: Option<String>,
        /// Write the table as JSON here too.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// How many fresh processes measure each case.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
    },
    /// How many packages our crates bring, against their bounds.
    Dependencies,
    /// Whether docs/coverage.md has a line for each requirement row, and its tests exist.
    Coverage,
    /// Model-check the lanes and the slab under every interleaving (loom).
    Loom,
    /// Run the unsafe code's tests in an interpreter that sees undefined behaviour (Miri, a nightly toolchain).
    Miri,
    /// Record a million events a second into slow receivers and a file: memory, losses, threads.
    Soak {
        /// How long all runs take together.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
    },
    /// Kill a process that appends to a store at random moments: nothing acknowledged is lost, nothing is there twice.
    Kill {
        /// At how many moments.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
        points: u64,
    },
    /// Check `radiosonde` with its features combined: none, each, each few, all.
    Powerset {
        /// At most so many features at once, besides all of them.
        #[arg(long, default_value_t = 2)]
        depth: usize,
    },
    /// Feed the parsers random input (cargo-fuzz, a nightly toolchain).
    Fuzz {
        /// A target of fuzz/; all when none is named.
        target: Option<String>,
        /// How long each target runs.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes on one line, without a backtrace: commands fail because a tool failed.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Ci { steps, list } => ci::ci(&steps, list),
        Task::Test { runner_arguments } => test::test(&runner_arguments),
        Task::Tidy => tidy::tidy(),
        Task::Generate { check } => generate::generate(check),
        Task::Bench { only, json, rounds } => {
            bench::bench(only.as_deref(), json.as_deref(), rounds)
        }
        Task::Dependencies => dependencies::check(),
        Task::Coverage => coverage::check(),
        Task::Loom => lanes::loom(),
        Task::Miri => lanes::miri(),
        Task::Soak { seconds } => lanes::soak(seconds),
        Task::Kill { points } => lanes::kill(points),
        Task::Powerset { depth } => lanes::powerset(depth),
        Task::Fuzz { target, seconds } => lanes::fuzz(target.as_deref(), seconds),
    }
}
