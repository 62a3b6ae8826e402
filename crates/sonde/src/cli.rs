//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Radiosonde beside your program: what it is doing, now and last week.
#[derive(Debug, Parser)]
#[command(name = "sonde", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  there is an answer, be it that the records do not say
  1  there is no answer: the file cannot be read, or does not hold what was asked for
  2  the command line is wrong";

const WHY_HELP: &str = "\
Examples:
  sonde why events.jsonl                     the slowest request
  sonde why telemetry.sqlite --list          which requests there are
  sonde why events.jsonl --trace 0af76519    one of them, by the start of its trace ID
  sonde why events.jsonl --window 30s        all that ended in the last 30 seconds
  sonde why events.jsonl --format json | jq .verdict

Exit codes:
  0  there is an answer, be it that the records do not say
  1  there is no answer: the file cannot be read, or does not hold what was asked for
  2  the command line is wrong";

/// What `sonde` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say where the time of a recorded request went, and why it took so long.
    #[command(after_help = WHY_HELP)]
    Why(WhyArguments),
}

/// The command line of `sonde why`.
#[derive(Debug, Args)]
pub struct WhyArguments {
    /// A recording: JSON lines or SQLite, as radiosonde writes them.
    pub file: PathBuf,
    /// The trace to account for, by its ID or the start of it; without it, the one with the slowest root.
    #[arg(long, value_name = "ID", conflicts_with_all = ["list", "window"])]
    pub trace: Option<String>,
    /// A span of the trace, to account for it and what is below it alone.
    #[arg(long, value_name = "ID", conflicts_with_all = ["list", "window"])]
    pub span: Option<String>,
    /// Account for all requests that ended in the last DURATION of the recording (`500ms`, `30s`, `5m`, `1h`), or
    /// without one for all there are.
    #[expect(
        clippy::option_option,
        reason = "clap's form of an option whose value may be left out"
    )]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, value_parser = duration, conflicts_with = "list")]
    pub window: Option<Option<Duration>>,
    /// List the requests there are, slowest first, instead of accounting for one.
    #[arg(long)]
    pub list: bool,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: a JSON document whose `schema` is its version.
    Json,
}

/// Reads `500ms`, `30s`, `5m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a whole number with its unit: 500ms, 30s, 5m or 1h".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a whole number with its unit: 500ms, 30s, 5m or 1h".to_owned())?;
    number
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text} is longer than any recording"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_need_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        for text in ["", "5", "s", "-5s", "1.5s", "5 s", "99999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
