//! The command line of `sonde alerts`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{CollectorArguments, Format, RangeArguments, units::duration};

pub const HELP: &str = "\
Examples:
  sonde alerts                                    what fires, what is pending, and what is kept from whom
  sonde alerts silence alertname=slow_operations --for 2h --comment 'known, fixed by the next release'
  sonde alerts unsilence silence-3
  sonde alerts test team                          one message to that receiver, now
  sonde alerts backtest slow_operations --from -1d
  sonde alerts backtest --rules new.toml --from -7d   rules that the collector does not have yet";

/// What `sonde alerts` can do; without anything, `list`.
#[derive(Debug, Subcommand)]
pub enum AlertsCommand {
    /// Show what fires and is pending, the rules, and what is kept from whom and why.
    List(ListArguments),
    /// Keep alerts from everybody for a time.
    Silence(SilenceArguments),
    /// End a silence.
    Unsilence(UnsilenceArguments),
    /// Send one message to a receiver, and say what came of it.
    Test(TestArguments),
    /// Say what a rule would have told over what is kept.
    Backtest(BacktestArguments),
}

/// The command line of `sonde alerts`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AlertsArguments {
    /// What to do; without it, `list`.
    #[command(subcommand)]
    pub command: Option<AlertsCommand>,
    /// What `list` takes.
    #[command(flatten)]
    pub list: ListArguments,
}

/// The command line of `sonde alerts list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Show the rules too.
    #[arg(long)]
    pub rules: bool,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The command line of `sonde alerts silence`.
#[derive(Debug, Args)]
pub struct SilenceArguments {
    /// Which alerts: those that all of these match: name=value, name!=value, name=~expression, name!~expression.
    #[arg(required = true, value_name = "MATCHER")]
    pub matchers: Vec<String>,
    /// For how long, from now on.
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub length: Duration,
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub comment: String,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The command line of `sonde alerts unsilence`.
#[derive(Debug, Args)]
pub struct UnsilenceArguments {
    /// The silence.
    pub id: String,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
}

/// The command line of `sonde alerts test`.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// The receiver, by its name in the collector's file of alerts.
    pub receiver: String,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
}

/// The command line of `sonde alerts backtest`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["rule", "rules"]))]
pub struct BacktestArguments {
    /// A rule that the collector has.
    pub rule: Option<String>,
    /// Rules of a file: `[[rules]]` as docs/alerts.md says.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
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
