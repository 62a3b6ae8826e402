//! The command line of `sonde bench`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{
    Format,
    units::{bytes, duration},
};

const OVERHEAD_HELP: &str = "\
Examples:
  sonde bench overhead                      what recording costs on this machine, and whether that is within the limits
  sonde bench overhead --rate 20000 --cpu-percent-max 5
  sonde bench overhead --format json | jq .holds

Ends with 1 where a limit is exceeded or a record was lost. docs/performance.md says how to read it.";

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Run a built-in workload without recording and then with it, and say what recording added: memory, processor, time.
    #[command(after_help = OVERHEAD_HELP)]
    Overhead(OverheadArguments),
}

/// The command line of `sonde bench overhead`.
#[derive(Debug, Args)]
pub struct OverheadArguments {
    /// Operations a second, each of them a span, a log and a typed event.
    #[arg(long, value_name = "NUMBER", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub rate: u32,
    /// How long each of the two sides runs.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub time: Duration,
    /// Most memory that recording may add.
    #[arg(long, value_name = "SIZE", default_value = "50MB", value_parser = bytes)]
    pub memory_max: u64,
    /// Most of one processor that recording may add, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    pub cpu_percent_max: f64,
    /// Longest that recording one operation may take, in the 99th percentile.
    #[arg(long, value_name = "DURATION", default_value = "1ms", value_parser = duration)]
    pub operation_max: Duration,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
