//! The command lines of `sonde queue` and `sonde semconv`.

use clap::{Args, Subcommand};

use super::{CollectorArguments, Format, RangeArguments};

pub const HELP: &str = "\
Examples:
  sonde queue                    every queue of the last hour, the longest first
  sonde queue orders --from -15m
  sonde queue --format json | jq '.queues[].little'";

/// The command line of `sonde queue`.
#[derive(Debug, Args)]
pub struct QueueArguments {
    /// Queues whose name has this in it; without it, all.
    pub name: Option<String>,
    /// Queues of this service.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Which time.
    #[command(flatten)]
    pub range: RangeArguments,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// What `sonde semconv` can do.
#[derive(Debug, Subcommand)]
pub enum Semconv {
    /// What each service speaks: the vocabularies, their names, and what those are called here.
    Report(SemconvArguments),
}

/// The command line of `sonde semconv report`.
#[derive(Debug, Args)]
pub struct SemconvArguments {
    /// This service alone.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Which time.
    #[command(flatten)]
    pub range: RangeArguments,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
