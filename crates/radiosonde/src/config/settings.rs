//! Every setting, once: its key, type, default, other names and help. The structs, the defaults, the reading of files
//! and variables, the printed form and the documentation all come from the table below.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use radiosonde_core::filter::Filter;

use super::{
    choice::{
        Color, ConsoleShow, ExemplarFilter, HealthFailsFrom, LogFormat, OtlpCompression,
        OtlpProtocol, Sampler, WhenFull,
    },
    raw::Resolver,
    value::Setting,
};

/// What the library knows about a key.
pub(super) struct Key {
    /// Section and name, with a dot between.
    pub(super) path: &'static str,
    /// Other keys under which the setting is accepted.
    pub(super) also: &'static [&'static str],
    /// Variables beside the one that follows from the path.
    pub(super) variables: &'static [(&'static str, How)],
    /// Whether the value must never be printed.
    pub(super) is_secret: bool,
    /// Whether the key may end in `_ms` or `_secs`.
    pub(super) has_unit: bool,
    /// What the setting is for.
    pub(super) help: &'static str,
}

/// What the text of a variable that others defined means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The value.
    Plain,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Its being there, whatever it says, means `true`.
    Present,
    /// Its being there with some text means the colour `never`.
    NoColor,
    /// The opposite of the value.
    Inverted,
    /// A port on the loopback interface.
    Port,
    /// Names of OpenTelemetry exporters: `none` means `false`.
    Exporter,
    /// The value, where it is a sampler that is known here; others are passed over.
    Sampler,
    /// The value, where it is a share from 0 to 1; other arguments of samplers are passed over.
    Ratio,
    /// Those of the names that are propagators known here; others are passed over.
    Propagators,
}

/// Keys and sections that are checked and shown, and that nothing in this version reads.
const WITHOUT_EFFECT: &[&str] = &[
    "calls.",
    "gpu.",
    "metrics.exemplars",
    "profiling.",
    "reporting.high_gpu_utilization_threshold",
    "reporting.slow_operation_threshold",
];

/// Whether anything in this version reads the setting.
pub(super) fn has_effect(path: &str) -> bool {
    !WITHOUT_EFFECT.iter().any(|begin| path.starts_with(begin))
}

macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $type:ty = $default:expr
                $(, variables [$($variable:literal: $how:ident),+])?
                $(, also [$($also:literal),+])?
                $(, secret $secret:literal)?;
            )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq)]
            #[non_exhaustive]
            pub struct $Section {
                $($(#[doc = $doc])+ pub $key: $type,)+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// Every setting, as meant.
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct Settings {
            $($(#[doc = $section_doc])+ pub $section: $Section,)+
        }

        /// Every key, in the order of the documentation.
        pub(super) static KEYS: &[Key] = &[$($(Key {
            path: concat!(stringify!($section), ".", stringify!($key)),
            also: &[$($($also),+)?],
            variables: &[$($(($variable, How::$how)),+)?],
            is_secret: false $(|| $secret)?,
            has_unit: <$type as Setting>::HAS_UNIT,
            help: concat!($($doc,)+),
        },)+)+];

        impl Settings {
            pub(super) fn resolve(resolver: &mut Resolver) -> Self {
                Self { $($section: $Section { $(
                    $key: resolver.take(concat!(stringify!($section), ".", stringify!($key)), || $default),
                )+ },)+ }
            }

            /// Every value as TOML, in the order of [`KEYS`].
            pub(super) fn shown(&self) -> Vec<Option<String>> {
                vec![$($(self.$section.$key.show(),)+)+]
            }
        }
    };
}

settings! {
    /// Whether and how much is recorded.
    recording: RecordingSettings {
        /// Whether anything is recorded.
        enabled: bool = true, variables ["OTEL_SDK_DISABLED": Inverted], also ["enabled"];
        /// Which traces are recorded.
        sampler: Sampler = Sampler::ParentBasedRatio, variables ["OTEL_TRACES_SAMPLER": Sampler];
        /// The share of traces that is recorded, from 0 to 1, where they are sampled by ratio. Saying it is enough.
        sample_rate: f64 = 1.0, variables ["OTEL_TRACES_SAMPLER_ARG": Ratio], also ["sample_rate"];
        /// Where trace context is read from and written to in headers and variables.
        propagators: Vec<String> = ["tracecontext", "baggage", "b3"].map(str::to_owned).to_vec(), variables ["OTEL_PROPAGATORS": Propagators];
        /// What happens to a record for which a thread's lane, or an exporter's queue, has no room.
        when_full: WhenFull = WhenFull::Refuse;
        /// The share of one processor that the library's own collectors and the program's may take together.
        max_overhead: f64 = 0.01, also ["budget.max_overhead"];
    }

    /// What produces the telemetry.
    service: ServiceSettings {
        /// The program's name: `service.name`.
        name: Option<String> = None, variables ["OTEL_SERVICE_NAME": Plain];
        /// Further resource attributes.
        attributes: Vec<(String, String)> = Vec::new(), variables ["OTEL_RESOURCE_ATTRIBUTES": Plain];
    }

    /// What is logged, and how the console shows it.
    logging: LoggingSettings {
        /// Which spans, logs and events are recorded, in the syntax of RUST_LOG.
        level: Filter = Filter::default(), variables ["RUST_LOG": Plain], also ["logging.filter"];
        /// How a line on the console looks.
        format: LogFormat = LogFormat::Json;
        /// Whether logs are written to the console (standard error).
        console: bool = true;
        /// What the console shows: logs, and of the typed events those that warn; or all spans, logs and events.
        show: ConsoleShow = ConsoleShow::Logs, also ["console.show"];
        /// Whether the console uses colour.
        color: Color = Color::Auto, variables ["NO_COLOR": NoColor], also ["logging.colour"];
        /// Whether panics are logged with a stack trace.
        stack_traces: bool = false, also ["debug.enable_stack_trace_logging"];
    }

    /// What leaves the process, and where it can be asked for.
    telemetry: TelemetrySettings {
        /// Whether metrics are aggregated and exposed.
        metrics: bool = true;
        /// Whether spans are sent by OTLP even where nobody named an endpoint or answers on the usual one.
        tracing: bool = false;
        /// Where OTLP is sent.
        endpoint: Option<String> = None, variables ["OTEL_EXPORTER_OTLP_ENDPOINT": Plain], also ["otlp.endpoint"];
        /// Path of the metrics page of the in-process HTTP endpoint.
        metrics_path: String = "/metrics".to_owned();
        /// Path of the health page of the in-process HTTP endpoint.
        health_path: String = "/health".to_owned();
        /// How often process and host are read.
        system_interval: Duration = Duration::from_secs(5);
    }

    /// Sending by OTLP.
    otlp: OtlpSettings {
        /// HTTP or gRPC.
        protocol: OtlpProtocol = OtlpProtocol::Http, variables ["OTEL_EXPORTER_OTLP_PROTOCOL": Plain];
        /// Where spans are sent instead. Where no common endpoint is named, only signals with one of their own are sent.
        traces_endpoint: Option<String> = None, variables ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": Plain];
        /// Where logs and events are sent instead.
        logs_endpoint: Option<String> = None, variables ["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": Plain];
        /// Where metrics are sent instead.
        metrics_endpoint: Option<String> = None, variables ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": Plain];
        /// Whether spans are sent.
        traces: bool = true, variables ["OTEL_TRACES_EXPORTER": Exporter];
        /// Whether logs and events are sent.
        logs: bool = true, variables ["OTEL_LOGS_EXPORTER": Exporter];
        /// Whether metrics are sent.
        metrics: bool = true, variables ["OTEL_METRICS_EXPORTER": Exporter];
        /// Headers of every request, such as keys.
        headers: Vec<(String, String)> = Vec::new(), variables ["OTEL_EXPORTER_OTLP_HEADERS": Plain], secret true;
        /// Longest a request may take.
        timeout: Duration = Duration::from_secs(10), variables ["OTEL_EXPORTER_OTLP_TIMEOUT": Millis];
        /// How bodies are compressed.
        compression: OtlpCompression = OtlpCompression::Auto, variables ["OTEL_EXPORTER_OTLP_COMPRESSION": Plain];
        /// The certificate that the server's one must lead to, as PEM.
        certificate: Option<PathBuf> = None, variables ["OTEL_EXPORTER_OTLP_CERTIFICATE": Plain];
        /// Our certificate, as PEM, where the server asks for one.
        client_certificate: Option<PathBuf> = None, variables ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": Plain];
        /// The key of our certificate, as PEM.
        client_key: Option<PathBuf> = None, variables ["OTEL_EXPORTER_OTLP_CLIENT_KEY": Plain];
        /// Whether a `sonde` that answers on 127.0.0.1:4318 is sent to where no endpoint is named.
        discover: bool = true;
        /// From how many spans, logs and events on they are sent without waiting for more. A request may hold more.
        batch_records: u64 = 512, variables ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE": Plain];
        /// Longest that spans wait for others to be sent with. They are sent together with logs, so where both are sent the shorter of the two delays counts.
        spans_delay: Duration = Duration::from_secs(5), variables ["OTEL_BSP_SCHEDULE_DELAY": Millis];
        /// Longest that logs and events wait for others to be sent with.
        logs_delay: Duration = Duration::from_secs(1), variables ["OTEL_BLRP_SCHEDULE_DELAY": Millis];
        /// Where data waits while the destination is away; the user's folder for state unless said.
        spool_directory: Option<PathBuf> = None;
        /// Most bytes that may wait on disk for one endpoint, in each process that sends to it, from 2 MiB on; 0 lets data wait in memory only.
        spool_bytes_max: u64 = 512 * 1024 * 1024;
    }

    /// Queues between recording and exporters.
    export: ExportSettings {
        /// Longest one call of an exporter may take before the exporter is taken to hang.
        timeout: Duration = Duration::from_secs(30), variables ["OTEL_BSP_EXPORT_TIMEOUT": Millis];
        /// Most records that wait for one exporter.
        queue_records_max: u64 = 65_536, variables ["OTEL_BSP_MAX_QUEUE_SIZE": Plain];
        /// Whether log lines that repeat become one with a count.
        fold_repeats: bool = true;
        /// Longest the program waits at its end for what is still to be delivered.
        shutdown_timeout: Duration = Duration::from_secs(5), also ["shutdown_timeout"];
    }

    /// A file with one JSON object a record.
    json_lines: JsonLinesSettings {
        /// The file; none is written unless said.
        path: Option<PathBuf> = None;
    }

    /// A SQLite database with one row a record.
    sqlite: SqliteSettings {
        /// The file; none is written unless said.
        path: Option<PathBuf> = None;
    }

    /// Metrics.
    metrics: MetricsSettings {
        /// How often metrics are sent to exporters that take them.
        interval: Duration = Duration::from_mins(1), variables ["OTEL_METRIC_EXPORT_INTERVAL": Millis];
        /// Which measurements may become exemplars.
        exemplars: ExemplarFilter = ExemplarFilter::TraceBased, variables ["OTEL_METRICS_EXEMPLAR_FILTER": Plain];
        /// Metrics that are for exporters of the audience "internal" alone; `*` at the end of a name stands for anything.
        internal: Vec<String> = ["otel.sdk.*", "radiosonde.*"].map(str::to_owned).to_vec();
    }

    /// The two row files, latency and memory, that are written while the program runs.
    metrics_log: MetricsLogSettings {
        /// Whether they are written.
        enabled: bool = false, variables ["METRICS_LOG_ENABLED": Plain];
        /// How often a line is added.
        interval: Duration = Duration::from_secs(5), variables ["METRICS_LOG_INTERVAL_SECS": Seconds];
        /// Where they are written.
        directory: PathBuf = PathBuf::from(".");
    }

    /// The HTTP endpoint inside the process: metrics and health.
    http: HttpSettings {
        /// The address it listens on; it is off unless said.
        listen: Option<SocketAddr> = None, variables ["OTEL_EXPORTER_PROMETHEUS_PORT": Port];
        /// What a caller must present where the address is not a loopback one.
        token: Option<String> = None, secret true;
    }

    /// Summaries.
    reporting: ReportingSettings {
        /// How often a summary is logged.
        interval: Duration = Duration::from_mins(5), also ["reporting_interval"];
        /// From which duration on an operation counts as slow.
        slow_operation_threshold: Duration = Duration::from_millis(100), also ["slow_operation_threshold"];
        /// From which utilization on, in percent, a GPU counts as highly used.
        high_gpu_utilization_threshold: f64 = 85.0, also ["high_gpu_utilization_threshold"];
        /// Whether metrics are exported by themselves.
        auto_export_metrics: bool = true, also ["auto_export_metrics"];
    }

    /// Health checks.
    health: HealthSettings {
        /// How often checks run.
        check_interval: Duration = Duration::from_secs(30), also ["debug.health_check_interval"];
        /// From which status on the health page is answered with 503.
        fails_from: HealthFailsFrom = HealthFailsFrom::Critical;
    }

    /// Alerts that the program watches for itself.
    alerts: AlertsSettings {
        /// Whether the default rules are watched; saying a file or an endpoint is enough.
        enabled: bool = false, also ["alerts_options.enable_notifications"];
        /// A TOML file of rules, routes and receivers (docs/alerts.md), instead of the default rules alone.
        file: Option<PathBuf> = None;
        /// Webhooks that are told of every alert where there is no file: of Slack, of Teams' Workflows, or of anything that reads what Alertmanager sends.
        endpoints: Vec<String> = Vec::new(), also ["alerts_options.notification_endpoints"], secret true;
        /// How often rules are evaluated.
        interval: Duration = Duration::from_secs(5);
    }

    /// Profiles.
    profiling: ProfilingSettings {
        /// Whether stacks are sampled by CPU time.
        cpu: bool = false, variables ["ENABLE_PROFILING": Present];
        /// Whether allocations are profiled.
        memory: bool = false;
        /// Where profiles are written.
        output_dir: PathBuf = PathBuf::from("./profiles");
        /// The share of samples that is kept, from 0 to 1.
        sample_rate: f64 = 1.0;
        /// Whether a Chrome trace is written.
        chrome_tracing: bool = false, variables ["CHROME_TRACING": Present];
        /// Whether a perf map is written (Linux).
        perf_profiling: bool = false;
    }

    /// GPU readings.
    gpu: GpuSettings {
        /// Whether devices are read.
        profiler_enabled: bool = true, also ["gpu_profiler_enabled"];
        /// How often they are read; 100 ms at least.
        profiler_interval: Duration = Duration::from_secs(5), also ["gpu_profiler_interval"];
        /// Readings kept for each device.
        samples_max: u64 = 1000;
        /// Readings given where the caller does not say how many.
        history_limit: u64 = 100;
    }

    /// Calls of workers.
    calls: CallsSettings {
        /// What handles the events of calls.
        handlers: Vec<String> = vec!["logger".to_owned(), "metrics".to_owned()], also ["handlers"];
        /// From which duration on a call is logged as slow.
        slow_threshold: Duration = Duration::from_secs(1), also ["slow_call_threshold"];
        /// Whether a script that repeats a failed call is written.
        repro_on_error: bool = true, also ["repro_on_error"];
        /// Where such scripts are written.
        repro_directory: PathBuf = PathBuf::from("tmp/snakepit_repro"), also ["repro_directory"];
    }

    /// Signals of the operating system.
    signals: SignalSettings {
        /// Whether SIGTERM and SIGINT deliver what is still waiting before the process ends.
        handle: bool = false;
    }
}
