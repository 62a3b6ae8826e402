//! The command line of `sonde export`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CollectorArguments, Format, RangeArguments};

pub const HELP: &str = "\
Examples:
  sonde export --from -15m session.zip    then, elsewhere: sonde import session.zip
  sonde export --from -15m report.html    a page in one file, for a bug report
  sonde export --trace ID report.html     the same, of one trace
  sonde export grafana --out dashboards   dashboards for Grafana, over what a Prometheus has
  sonde export prometheus-rules --out radiosonde.rules.yml    alerts for a Prometheus";

const PROMETHEUS_RULES_HELP: &str = "\
Examples:
  sonde export prometheus-rules --out radiosonde.rules.yml    then, in prometheus.yml: rule_files: [radiosonde.rules.yml]
  sonde export prometheus-rules --out a.yml && promtool check rules a.yml";

const GRAFANA_HELP: &str = "\
Examples:
  sonde export grafana --out dashboards           then, in Grafana: Dashboards, New, Import
  sonde export grafana --out - | jq '.[].title'";

/// The command line of `sonde export`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ExportArguments {
    /// What, where it is not what a collector has.
    #[command(subcommand)]
    pub what: Option<What>,
    /// The file: a zip of OTLP in JSON, or, where its name ends in .html, the page with everything in it. One that is called as
    /// one of the commands is named with its folder: ./grafana.
    #[arg(required = true)]
    pub output: Option<PathBuf>,
    /// In a page, this trace alone, and what was measured from a minute before it to a minute after it; may be given several times.
    #[arg(long, value_name = "ID")]
    pub trace: Vec<String>,
    /// In a page, how many traces at most: the slowest, those that failed, and then the newest.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub traces: u32,
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

/// What is written for another program to import.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Write dashboards for Grafana, over what a Prometheus scraped from programs with this library.
    #[command(after_help = GRAFANA_HELP)]
    Grafana(GrafanaArguments),
    /// Write the alerts that come with Radiosonde as rules for a Prometheus that scrapes programs with this library.
    #[command(after_help = PROMETHEUS_RULES_HELP)]
    PrometheusRules(PrometheusRulesArguments),
}

/// The command line of `sonde export prometheus-rules`.
#[derive(Debug, Args)]
pub struct PrometheusRulesArguments {
    /// The file, or `-` for standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
}

/// The command line of `sonde export grafana`.
#[derive(Debug, Args)]
pub struct GrafanaArguments {
    /// The folder for the files, which is made where there is none, or `-` for standard output, which gets all of them as one list.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub out: PathBuf,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(line: &str) -> Option<ExportArguments> {
        match Cli::try_parse_from(line.split(' ')).ok()?.command? {
            Command::Export(arguments) => Some(arguments),
            _ => None,
        }
    }

    #[test]
    fn a_file_and_a_program_that_imports_are_told_apart() {
        let file = parsed("sonde export --from -15m grafana.zip").unwrap();
        assert_eq!(file.output, Some(PathBuf::from("grafana.zip")));
        assert!(file.what.is_none());
        let file = parsed("sonde export ./grafana").unwrap();
        assert!(file.what.is_none() && file.output.is_some());
        let Some(What::Grafana(grafana)) = parsed("sonde export grafana --out -").unwrap().what
        else {
            panic!("no command")
        };
        assert_eq!(grafana.out, PathBuf::from("-"));
        for wrong in [
            "sonde export",
            "sonde export grafana a.zip",
            "sonde export grafana --from -15m",
        ] {
            assert!(parsed(wrong).is_none(), "{wrong}");
        }
    }
}
