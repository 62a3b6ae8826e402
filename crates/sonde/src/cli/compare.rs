//! The command line of `sonde compare`.

use clap::{ArgGroup, Args};

use super::{CollectorArguments, Format};

pub const HELP: &str = "\
Examples:
  sonde compare 0af7651916cd43dd8448eb211c80319c b7ad6b7169203331b7ad6b7169203331    two traces
  sonde compare 0af7651916cd43dd8448eb211c80319c     it against the typical ones like it
  sonde compare --at -10m --from -30m                before and after
  sonde compare --versions 1.4 1.5 --service engine  two deploys
  sonde compare 'model = a' 'model = b' --from -1d   two filters (those of `sonde traces`)
  sonde compare --services blue green --format json | jq .verdict

Every difference is the second side less the first.";

/// The command line of `sonde compare`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("sides").required(true).multiple(true).args([
    "first", "at", "versions", "services", "operations", "a_from", "a_to", "b_from", "b_to",
]))]
pub struct CompareArguments {
    /// The first side: a trace's ID, or a filter. A trace alone is compared with the typical ones like it: the
    /// faster half of its operation, an hour before and after.
    pub first: Option<String>,
    /// The second side: a trace's ID, or a filter.
    pub second: Option<String>,
    /// Before this time against after it: RFC 3339, or how long ago: -15m, -2h, -7d.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["a_to", "b_from"])]
    pub at: Option<String>,
    /// Two versions of a service (`service.version`).
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"])]
    pub versions: Option<Vec<String>>,
    /// Two services.
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"], conflicts_with = "service")]
    pub services: Option<Vec<String>>,
    /// Two operations: spans of these names with what is below them.
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"], conflicts_with = "operation")]
    pub operations: Option<Vec<String>>,
    /// What the sides are called in the answer.
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"])]
    pub names: Option<Vec<String>>,
    /// Requests in which this service takes part; of an operation, the service's own.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Spans of this name with what is below them, instead of whole requests.
    #[arg(long, value_name = "NAME")]
    pub operation: Option<String>,
    /// Since when, both sides [default: -1h].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Until when, both sides [default: now].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Since when, the first side.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub a_from: Option<String>,
    /// Until when, the first side.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub a_to: Option<String>,
    /// Since when, the second side.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub b_from: Option<String>,
    /// Until when, the second side.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub b_to: Option<String>,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
