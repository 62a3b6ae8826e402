//! The command line of `sonde flame`.

use clap::{Args, ValueEnum};

use super::{CollectorArguments, Format, RangeArguments};

pub const HELP: &str = "\
Examples:
  sonde flame --service trainer                     where its time goes, as a tree
  sonde flame --by library                          which library is the bottleneck
  sonde flame --trace 0af7651916cd43dd8448eb211c80319c    within one trace
  sonde flame --from -10m --against-from -70m --against-to -60m    against an hour ago
  sonde flame --by folded > stacks.folded           for other tools

What is charged to a library is its own time and what the kernel, the C library, an interpreter and the like took for it.";

/// The command line of `sonde flame`.
#[derive(Debug, Args)]
pub struct FlameArguments {
    /// Text that the stacks contain.
    pub text: Option<String>,
    /// What is shown.
    #[arg(long, value_enum, default_value_t = By::Tree)]
    pub by: By,
    /// Samples of this service.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// What is counted: cpu, wall, alloc_space ... [default: cpu where there is any].
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Samples of this trace.
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// Samples of this span.
    #[arg(long, value_name = "ID")]
    pub span: Option<String>,
    /// Samples of this thread.
    #[arg(long, value_name = "NAME")]
    pub thread: Option<String>,
    /// Compare with what was since this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub against_from: Option<String>,
    /// Compare with what was until this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub against_to: Option<String>,
    /// Compare with this service.
    #[arg(long, value_name = "NAME")]
    pub against_service: Option<String>,
    /// Compare with this trace.
    #[arg(long, value_name = "ID")]
    pub against_trace: Option<String>,
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

/// How stacks are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Each function under those that called it.
    Tree,
    /// Libraries, by what is charged to them.
    Library,
    /// Functions, by what they took themselves.
    Function,
    /// A line for each stack: root;child;leaf and a number.
    Folded,
}
