//! The command lines of `sonde config` and `sonde catalog`.

use clap::Args;

use super::{Format, serve::ServeArguments};

pub const HELP: &str = "\
Examples:
  sonde config                                   what `sonde serve` does here, and who says so
  sonde config --max-size 10GiB                  the same of `sonde serve --max-size 10GiB`
  sonde config --format json | jq '.settings[] | select(.source != \"default\")'";

pub const CATALOG_HELP: &str = "\
Examples:
  sonde catalog                                  every event with its fields, and every metric
  sonde catalog gpu.op                           one event, by its name, its type or an alias
  sonde catalog gpu.operation.duration           one metric, by its name or an alias
  sonde catalog --format json | jq '.metrics[].name'

Events that a program defines itself are described by the program: `#[derive(Event)]`.";

/// The command line of `sonde config`.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// What `serve` takes.
    #[command(flatten)]
    pub serve: ServeArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The command line of `sonde catalog`.
#[derive(Debug, Args)]
pub struct CatalogArguments {
    /// An event or a metric, by any of its names; without one, all.
    pub name: Option<String>,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
