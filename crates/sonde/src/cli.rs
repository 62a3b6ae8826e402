//! The command line.

pub mod alerts;
pub mod bench;
pub mod cardinality;
pub mod compare;
pub mod config;
pub mod export;
pub mod flame;
pub mod query;
pub mod queue;
pub mod serve;
pub mod show;
pub mod top;
pub mod units;

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use self::{
    alerts::AlertsArguments,
    bench::Bench,
    cardinality::CardinalityArguments,
    compare::CompareArguments,
    config::{CatalogArguments, ConfigArguments},
    export::ExportArguments,
    flame::FlameArguments,
    query::QueryArguments,
    queue::{QueueArguments, Semconv},
    serve::ServeArguments,
    show::ShowArguments,
    top::{RecordArguments, TopArguments},
    units::duration,
};

/// Radiosonde beside your program: what it is doing, now and last week.
#[derive(Debug, Parser)]
#[command(name = "sonde", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without a command, `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What `serve` takes.
    #[command(flatten)]
    pub serve: ServeArguments,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  there is an answer, be it that nothing is known
  1  there is no answer: no collector, no such trace, a file that cannot be read ...; or a check failed
  2  the command line is wrong
  sonde run ends as the program that it ran; 127 where that could not be started";

const RUN_HELP: &str = "\
Examples:
  sonde run -- python app.py
  sonde run --service trainer -- ./train --epochs 3

The program gets OpenTelemetry's variables (endpoint, protocol, service name) and TRACEPARENT, unless it has them already;
what it writes is shown and kept as logs. At the end there is a report, and the exit code is the program's.";

const WHY_HELP: &str = "\
Examples:
  sonde why events.jsonl                     the slowest request of a recording
  sonde why telemetry.sqlite --list          which requests there are
  sonde why events.jsonl --trace 0af76519    one of them, by the start of its trace ID
  sonde why events.jsonl --window 30s        all that ended in the last 30 seconds
  sonde why events.jsonl --format json | jq .verdict
  sonde why --trace 0af7651916cd43dd8448eb211c80319c    a trace that the collector has
  sonde why                                  the slowest request of the collector's last hour
  sonde why --from -15m                      all its requests of the last quarter of an hour, and the slow among them
  sonde why --service engine --operation generate    an operation, with what is below it";

const TRACES_HELP: &str = "\
Examples:
  sonde traces --from -15m
  sonde traces 'duration > 100ms and gpu.op = \"softmax\"' --order slowest";

const LOGS_HELP: &str = "\
Examples:
  sonde logs --severity warn --from -1d
  sonde logs --follow --service trainer";

const DOCTOR_HELP: &str = "\
Examples:
  sonde doctor                             what the collector says of what arrived
  sonde doctor --config radiosonde.toml    send a test to every destination that a program has";

const IMPORT_HELP: &str = "\
Example:
  sonde import events.jsonl telemetry.sqlite --service trainer
  sonde import profile.pb.gz --service trainer    then: sonde flame --by library";

const MCP_HELP: &str = "\
Example (the configuration of an agent):
  {\"mcpServers\": {\"radiosonde\": {\"command\": \"sonde\", \"args\": [\"mcp\"]}}}";

/// What `sonde` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive telemetry, keep it, and show it on a page.
    #[command(after_help = serve::HELP)]
    Serve(ServeArguments),
    /// Run a program under observation, and report.
    #[command(after_help = RUN_HELP)]
    Run(RunArguments),
    /// Say where the time of a request went, and why it took so long.
    #[command(after_help = WHY_HELP)]
    Why(WhyArguments),
    /// Say what is different between two sides of anything: traces, times, versions, filters.
    #[command(after_help = compare::HELP)]
    Compare(CompareArguments),
    /// List traces, or those of which a span is as described.
    #[command(after_help = TRACES_HELP)]
    Traces(TracesArguments),
    /// Show one trace: its spans and what was logged in it.
    Trace(TraceArguments),
    /// Show all that is known of one identifier: its trace, logs, exemplars and flame graph.
    #[command(after_help = show::HELP)]
    Show(ShowArguments),
    /// Show logs and events.
    #[command(after_help = LOGS_HELP)]
    Logs(LogsArguments),
    /// List metrics, or show the readings of one.
    Metrics(MetricsArguments),
    /// Show where programs spend their time, from profiles.
    #[command(after_help = flame::HELP)]
    Flame(FlameArguments),
    /// Say how many wait, who has waited longest, whether the numbers agree, what is stuck, and when a queue is full.
    #[command(after_help = queue::HELP)]
    Queue(QueueArguments),
    /// Show what fires, silence it, test who is told, and rehearse rules over what is kept.
    #[command(after_help = alerts::HELP)]
    Alerts(AlertsArguments),
    /// Say which names services use for what OpenTelemetry has names for.
    Semconv {
        /// What about them.
        #[command(subcommand)]
        what: Semconv,
    },
    /// Say which labels of metrics make how many series, which of them are identifiers, and what takes them away.
    #[command(after_help = cardinality::HELP)]
    Cardinality(CardinalityArguments),
    /// Ask in SQL.
    #[command(after_help = query::HELP)]
    Query(QueryArguments),
    /// Say what arrived, from whom, and what was refused and why; or whether a program's destinations are reached.
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArguments),
    /// Show what programs are doing on the terminal, live or as it was recorded.
    #[command(after_help = top::HELP)]
    Top(TopArguments),
    /// Record what `top` would show, to look at it later.
    #[command(after_help = top::RECORD_HELP)]
    Record(RecordArguments),
    /// Write what a collector has into a file that `import` reads, or into a page that needs no collector, without secrets; or
    /// what other programs import: dashboards.
    #[command(after_help = export::HELP)]
    Export(ExportArguments),
    /// Send recordings, or what `export` wrote, to a collector, to look at them on its page.
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArguments),
    /// Answer an agent's questions over standard input and output (Model Context Protocol).
    #[command(after_help = MCP_HELP)]
    Mcp(CollectorArguments),
    /// Say what `serve` is told: every option, its value, and where that is from.
    #[command(after_help = config::HELP)]
    Config(ConfigArguments),
    /// Say which events and metrics Radiosonde defines: their names, fields, units and meanings.
    #[command(after_help = config::CATALOG_HELP)]
    Catalog(CatalogArguments),
    /// Measure what recording costs on this machine.
    Bench {
        /// What of it.
        #[command(subcommand)]
        what: Bench,
    },
    /// Write the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual page.
    Man,
}

/// Which collector is asked.
#[derive(Clone, Debug, Args)]
pub struct CollectorArguments {
    /// The page's address of a running `sonde serve` [environment: RADIOSONDE_COLLECTOR; default: http://127.0.0.1:4319].
    /// Its token, or the secret of a key, where it asks for one, is in RADIOSONDE_TOKEN.
    #[arg(long, value_name = "URL")]
    pub collector: Option<String>,
    /// Trust a collector (https://) whose certificate leads to this one, as PEM, and no other; without it, those of Mozilla's
    /// authorities [environment: RADIOSONDE_TLS_CA].
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Show a collector that asks for it this certificate, as PEM [environment: RADIOSONDE_TLS_CLIENT_CERT].
    #[arg(long, value_name = "FILE")]
    pub tls_client_cert: Option<PathBuf>,
    /// The private key of that certificate, as PEM [environment: RADIOSONDE_TLS_CLIENT_KEY].
    #[arg(long, value_name = "FILE")]
    pub tls_client_key: Option<PathBuf>,
}

/// Which time is asked for.
#[derive(Clone, Debug, Args)]
pub struct RangeArguments {
    /// Since when: RFC 3339, or how long ago: -15m, -2h, -7d.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "-1h",
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
}

/// The command line of `sonde run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Which collector; where none answers, one is started for as long as the program runs.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// What the program is called [default: OTEL_SERVICE_NAME, else the program's file].
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Keep telemetry in this folder, where a collector is started.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// The form of the report, which goes to standard error.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The program and its arguments.
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// The command line of `sonde why`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("holder").multiple(true).args(["file", "trace"]))]
pub struct WhyArguments {
    /// A recording: JSON lines or SQLite, as radiosonde writes them; without one, a collector is asked.
    pub file: Option<PathBuf>,
    /// The trace to account for, by its ID (of a recording, the start of it); without it, the one with the slowest root.
    #[arg(long, value_name = "ID", conflicts_with_all = ["list", "window"])]
    pub trace: Option<String>,
    /// A span of the trace, to account for it and what is below it alone.
    #[arg(long, value_name = "ID", conflicts_with_all = ["list", "window"], requires = "holder")]
    pub span: Option<String>,
    /// Which requests of the collector, to account for all of them together.
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// Account for all requests that ended in the last DURATION of the recording (`500ms`, `30s`, `5m`, `1h`), or
    /// without one for all there are.
    #[expect(
        clippy::option_option,
        reason = "clap's form of an option whose value may be left out"
    )]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, value_parser = duration, conflicts_with = "list", requires = "file")]
    pub window: Option<Option<Duration>>,
    /// List the requests there are, slowest first, instead of accounting for one.
    #[arg(long)]
    pub list: bool,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Which requests of a collector.
#[derive(Clone, Debug, Args)]
pub struct SelectionArguments {
    /// Requests in which this service takes part; of an operation, the service's own.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "trace"])]
    pub service: Option<String>,
    /// Spans of this name with what is below them, instead of whole requests.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "trace", "list"])]
    pub operation: Option<String>,
    /// Requests of this version of a service (`service.version`).
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["file", "trace", "list"])]
    pub service_version: Option<String>,
    /// Requests of which a span is so, as `sonde traces` takes it.
    #[arg(long, value_name = "FILTER", conflicts_with_all = ["file", "trace"])]
    pub filter: Option<String>,
    /// Since when: RFC 3339, or how long ago: -15m, -2h, -7d [default: -1h].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["file", "trace"])]
    pub from: Option<String>,
    /// Until when [default: now].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["file", "trace"])]
    pub to: Option<String>,
}

/// The command line of `sonde traces`.
#[derive(Debug, Args)]
pub struct TracesArguments {
    /// What one of its spans is like.
    pub filter: Option<String>,
    /// Traces of this service.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// `recent` or `slowest` first.
    #[arg(long, default_value = "recent", value_parser = ["recent", "slowest"])]
    pub order: String,
    /// At most so many.
    #[arg(long, default_value_t = 20)]
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

/// The command line of `sonde trace`.
#[derive(Debug, Args)]
pub struct TraceArguments {
    /// Its ID.
    pub id: String,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The command line of `sonde logs`.
#[derive(Debug, Args)]
pub struct LogsArguments {
    /// Text that they contain.
    pub text: Option<String>,
    /// Logs of this service.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// The least severity: trace, debug, info, warn, error or fatal.
    #[arg(long, value_name = "SEVERITY")]
    pub severity: Option<String>,
    /// Logs of this trace.
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// At most so many: the newest.
    #[arg(long, default_value_t = 200)]
    pub limit: usize,
    /// Go on showing what arrives.
    #[arg(long, short)]
    pub follow: bool,
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

/// The command line of `sonde metrics`.
#[derive(Debug, Args)]
pub struct MetricsArguments {
    /// The metric; without one, all are listed.
    pub name: Option<String>,
    /// Metrics of this service.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
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

/// The command line of `sonde doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Try the destinations of this configuration of a program (radiosonde.toml, or JSON, or YAML; the environment counts as it
    /// does for the program) instead of asking a collector: one test record of each signal is really sent to each, and looked
    /// for where the peer can be asked. Ends with 1 where one of them is not reached.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["collector", "tls_ca", "tls_client_cert", "tls_client_key"])]
    pub config: Option<PathBuf>,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The command line of `sonde import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Recordings (JSON lines or SQLite, as radiosonde writes them), files that `sonde export` wrote, profiles of pprof (gzip,
    /// .pb, .pprof), or folded stacks (.folded, .collapsed).
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Whose they are [default: the file's name].
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
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
    fn no_command_is_serve() {
        let cli = Cli::try_parse_from(["sonde", "--page", "127.0.0.1:0"]).unwrap();
        assert!(cli.command.is_none() && cli.serve.page.is_some());
        assert!(Cli::try_parse_from(["sonde", "--page", "127.0.0.1:0", "doctor"]).is_err());
    }

    #[test]
    fn why_is_asked_of_a_recording_a_trace_or_a_selection() {
        let parses = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        for line in [
            "sonde why --from -15m",
            "sonde why --service a --operation b --from -2h --to -1h",
            "sonde why --trace 1 --span 2",
            "sonde why file --span 2",
            "sonde why --list --from -1d --service a",
        ] {
            assert!(parses(line), "{line}");
        }
        for line in [
            "sonde why --span 2",
            "sonde why file --from -15m",
            "sonde why --trace 1 --operation b",
            "sonde why --list --operation b",
            "sonde why --window 3s",
        ] {
            assert!(!parses(line), "{line}");
        }
    }
}
