//! `sonde run -- COMMAND`: a program under observation, from its start to a verdict.
//!
//! ```text
//! find or start a collector ─▶ start the program with its address ─▶ pass on what it writes, and keep it as logs
//!                                                                └─▶ when it ended: report, and its exit code
//! ```
//!
//! What is observed here is recorded by the library, as in any other program: the run is a span, each line that the program
//! writes a log in it, and the context goes on to the program in its environment.

mod child;
mod environment;
mod report;
mod selection;

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use radiosonde::config::{Config, RawConfig};
use radiosonde_server::{Server, StartError};

use self::{
    child::{Child, Ended},
    environment::Environment,
    report::{Own, Run},
};
use crate::{
    cli::{RunArguments, serve::ServeArguments},
    collector::{ADDRESS_VARIABLE, Collector, variable},
    serve::settings::Settings,
};

/// How long the last records of the run may take to be delivered.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// What a shell gives for a program that cannot be started.
const CANNOT_START: u8 = 127;
/// The environment's variable with the trace in which this was started.
const TRACEPARENT: &str = "TRACEPARENT";

/// Runs the program and gives its exit code.
pub fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let Some((program, _)) = arguments.command.split_first() else {
        bail!("name a program: sonde run -- python app.py");
    };
    let collector = Found::new(arguments)?;
    let service = service(arguments.service.as_deref(), program);
    let files = collector.collector.otlp_variables()?;
    let recording = record(&service, &collector.otlp_http, &files)?;
    let began = SystemTime::now();
    // No two runs have both in common.
    let id = format!("{}-{}", std::process::id(), since(began));
    let (http, grpc) = (&collector.otlp_http, collector.otlp_grpc.as_deref());
    let environment = Environment::new(http, grpc, &service, &id).with(files);
    if let Some(replaced) = environment.replaced() {
        let _ = writeln!(io::stderr(), "sonde: {replaced}");
    }
    let (ended, own) = match observe(&arguments.command, &environment, &service)? {
        Ok(observed) => observed,
        Err(error) => {
            let _ = writeln!(
                io::stderr(),
                "sonde: cannot start {}: {error}",
                Path::new(program).display()
            );
            return Ok(ExitCode::from(CANNOT_START));
        }
    };
    let is_delivered = recording.shutdown(FLUSH_TIMEOUT);
    let run = Run {
        command: &arguments.command,
        service: &service,
        id: &id,
        ended,
        began,
        is_delivered,
        own,
    };
    let report = report::make(
        &run,
        &collector.collector,
        collector.server.is_none(),
        arguments.format,
    );
    // The program's own exit code counts, whatever became of the report.
    let _ = io::stderr().write_all(report.as_bytes());
    Ok(ExitCode::from(ended.code))
}

/// The program from its start to its end, in a span of its own. The inner error is that it could not be started.
fn observe(
    command: &[OsString],
    environment: &Environment,
    service: &str,
) -> io::Result<io::Result<(Ended, Option<Own>)>> {
    let program = command.first().map_or(Path::new(""), Path::new);
    let span = tracing::info_span!(
        "run",
        otel.name = %format!("run {service}"),
        process.executable.name = %program.display(),
        process.exit.code = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    );
    let _entered = span.enter();
    let child = match Child::start(command, environment) {
        Ok(child) => child,
        Err(error) => return Ok(Err(error)),
    };
    let ended = child.wait(&span)?;
    span.record("process.exit.code", ended.code);
    span.record(
        "otel.status_code",
        if ended.code == 0 { "OK" } else { "ERROR" },
    );
    let own = radiosonde::core::context::current().map(|context| Own {
        trace_id: context.trace_id.to_string(),
        span_id: context.span_id.to_string(),
        is_shared: variable(TRACEPARENT).is_some(),
    });
    Ok(Ok((ended, own)))
}

/// What the program is called: as it was said, as its environment says, or as its file is called.
fn service(said: Option<&str>, program: &OsStr) -> String {
    let named = said
        .map(str::to_owned)
        .or_else(|| variable("OTEL_SERVICE_NAME"));
    named.unwrap_or_else(|| {
        let file = Path::new(program).file_name().unwrap_or(program);
        file.to_string_lossy().into_owned()
    })
}

/// Records into the collector, whatever else the environment says of recording: that is meant for the program.
fn record(
    service: &str,
    endpoint: &str,
    files: &[(&'static str, String)],
) -> anyhow::Result<radiosonde::Guard> {
    let token = variable(crate::collector::TOKEN_VARIABLE);
    let headers = token
        .map(|token| format!("Authorization=Bearer%20{token}"))
        .unwrap_or_default();
    let inherited = [TRACEPARENT, "TRACESTATE", "BAGGAGE"];
    let inherited = inherited
        .into_iter()
        .filter_map(|name| Some((name, variable(name)?)));
    let said = [
        ("OTEL_SERVICE_NAME", service),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("RUST_LOG", "info"),
        ("RADIOSONDE_LOGGING_CONSOLE", "false"),
        ("RADIOSONDE_EXPORT_FOLD_REPEATS", "false"),
        // A line that follows a thousand others waits for its turn.
        ("RADIOSONDE_RECORDING_WHEN_FULL", "wait"),
        ("RADIOSONDE_OTLP_LOGS_DELAY", "200ms"),
    ];
    let said = said.map(|(name, value)| (name, value.to_owned()));
    let said = said.into_iter().chain(files.iter().cloned());
    let config = Config::new(RawConfig::from_environment(said.chain(inherited)))
        .context("the run cannot be recorded")?;
    Ok(radiosonde::builder().config(config).init()?)
}

/// A collector that answers.
struct Found {
    collector: Collector,
    /// Where it receives OTLP over HTTP.
    otlp_http: String,
    /// The same over gRPC.
    otlp_grpc: Option<String>,
    /// The one that was started for this run.
    server: Option<Server>,
}

impl Found {
    /// The collector that is named or answers on this machine, else one for this run alone.
    fn new(arguments: &RunArguments) -> anyhow::Result<Self> {
        let collector = Collector::new(&arguments.collector)?;
        let is_named =
            arguments.collector.collector.is_some() || variable(ADDRESS_VARIABLE).is_some();
        let status = match collector.greet() {
            // Somebody else's may be on this machine's standard port.
            Err(error) if !is_named => {
                let _ = writeln!(
                    io::stderr(),
                    "sonde: {error}; this run has a collector of its own"
                );
                None
            }
            status => status?,
        };
        if let Some(status) = status {
            let Some(otlp_http) = status["listening"]["otlp_http"].as_str() else {
                bail!(
                    "the collector at {} does not say where it receives OTLP",
                    collector.address()
                );
            };
            let otlp_grpc = status["listening"]["otlp_grpc"].as_str();
            return Ok(Self {
                otlp_http: collector.receiver(otlp_http),
                otlp_grpc: otlp_grpc.map(|said| collector.receiver(said)),
                collector,
                server: None,
            });
        }
        if arguments.collector.collector.is_some() {
            bail!(
                "no collector answers at {}; start it, or leave --collector out to have one started",
                collector.address()
            );
        }
        let server = start(arguments)?;
        let addresses = server.addresses();
        Ok(Self {
            collector: Collector::at(&format!("http://{}", addresses.page)),
            otlp_http: format!("http://{}", addresses.otlp_http),
            otlp_grpc: Some(format!("http://{}", addresses.otlp_grpc)),
            server: Some(server),
        })
    }
}

/// Starts a collector on the standard ports, or on others where those are taken.
fn start(arguments: &RunArguments) -> anyhow::Result<Server> {
    let said = ServeArguments {
        data: arguments.data.clone(),
        ..ServeArguments::default()
    };
    let settings = Settings::new(&said)?;
    let mut config = settings.config(settings.folder());
    // What the environment says of them is for a collector that others use, too.
    (config.tls, config.keys) = (None, Vec::new());
    match Server::start(config.clone()) {
        Err(StartError::Listen { .. }) => {}
        started => return Ok(started?),
    }
    for address in [
        &mut config.otlp_grpc,
        &mut config.otlp_http,
        &mut config.page,
    ] {
        address.set_port(0);
    }
    Ok(Server::start(config)?)
}

/// What the answers of a collector are asked for: everything since `began`.
fn since(began: SystemTime) -> String {
    let since = began
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    since.as_nanos().to_string()
}
