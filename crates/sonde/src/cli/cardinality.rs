//! The command line of `sonde cardinality`.

use clap::Args;

use super::{CollectorArguments, Format, RangeArguments};

pub const HELP: &str = "\
Examples:
  sonde cardinality                       the metrics with the most series, and which of their labels are identifiers
  sonde cardinality requests --from -1d
  sonde cardinality --format json | jq '.metrics[].labels[] | select(.identifier).name'";

/// The command line of `sonde cardinality`.
#[derive(Debug, Args)]
pub struct CardinalityArguments {
    /// Metrics whose name has this in it; without it, all.
    pub metric: Option<String>,
    /// What this service sends.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// At most so many metrics.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub limit: usize,
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
