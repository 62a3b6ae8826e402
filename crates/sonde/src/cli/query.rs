//! The command line of `sonde query`.

use clap::Args;

use super::{CollectorArguments, Format};

pub const HELP: &str = "\
Examples:
  sonde query \"SELECT service, count(*) FROM spans GROUP BY 1\"
  sonde query \"SELECT body FROM logs WHERE severity >= 17 ORDER BY time DESC LIMIT 10\" --format json
  sonde query --follow \"SELECT time, service, body FROM logs WHERE severity >= 17\"

Tables and columns: docs/store.md.";

/// The command line of `sonde query`.
#[derive(Debug, Args)]
pub struct QueryArguments {
    /// A statement that reads: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN.
    #[arg(required_unless_present = "promql")]
    pub statement: Option<String>,
    /// Answer it over what arrives from here on, each row once, until interrupted.
    #[arg(long, conflicts_with = "promql")]
    pub follow: bool,
    /// A query in PromQL instead, over metrics by the names that Prometheus gives them: `rate(requests_total[5m])`.
    #[arg(long, value_name = "QUERY", conflicts_with = "statement")]
    pub promql: Option<String>,
    /// With --promql, when it is answered: RFC 3339, or how long ago: -15m.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "now",
        allow_hyphen_values = true,
        requires = "promql",
        conflicts_with = "step"
    )]
    pub at: String,
    /// With --promql, how far apart it is answered from --from to --to: 15s, 1m.
    #[arg(long, value_name = "DURATION", requires = "promql")]
    pub step: Option<String>,
    /// With --step, since when: RFC 3339, or how long ago: -15m, -2h, -7d.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "-1h",
        allow_hyphen_values = true,
        requires = "step"
    )]
    pub from: String,
    /// With --step, until when.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "now",
        allow_hyphen_values = true,
        requires = "step"
    )]
    pub to: String,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
