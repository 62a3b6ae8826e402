//! The command line of `sonde show`.

use clap::Args;

use super::{CollectorArguments, Format};

pub const HELP: &str = "\
Examples:
  sonde show 0af7651916cd43dd8448eb211c80319c    a trace
  sonde show b7ad6b7169203331                    the trace of a span
  sonde show abc123                              what a caller's x-request-id was
  sonde show abc123 --format json | jq .exemplars";

/// The command line of `sonde show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// A trace's or span's hexadecimal digits, or a correlation ID: the attribute `correlation.id`, `request_id` and the like.
    pub id: String,
    /// Since when spans and correlation IDs are sought: RFC 3339, or how long ago: -15m, -2h, -7d. A trace is found
    /// whenever it was.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "-7d",
        allow_hyphen_values = true
    )]
    pub from: String,
    /// Until when.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "now",
        allow_hyphen_values = true
    )]
    pub to: String,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
