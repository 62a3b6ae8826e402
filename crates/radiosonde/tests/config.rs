//! Configuration as users write it: every default, every source, and every way to be wrong.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{os::fd::AsRawFd as _, path::Path, time::Duration};

use proptest::prelude::*;
use radiosonde::{
    config::{Color, Config, Format, LogFormat, OtlpCompression, OtlpProtocol, RawConfig, Source},
    encode::json::JsonEncoder,
    exporter::json_lines::JsonLines,
};

fn environment(variables: &[(&str, &str)]) -> RawConfig {
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    RawConfig::from_environment(variables.iter().map(own))
}

fn from_environment(variables: &[(&str, &str)]) -> Config {
    Config::new(environment(variables)).unwrap()
}

fn toml(text: &str) -> RawConfig {
    RawConfig::parse(Format::Toml, text, Path::new("radiosonde.toml")).unwrap()
}

fn errors(raw: RawConfig) -> String {
    Config::new(raw).unwrap_err().to_string()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_default_that_is_prescribed() {
    let config = Config::default();
    assert_eq!(
        Config::new(RawConfig::default())
            .unwrap()
            .effective()
            .to_string(),
        config.effective().to_string()
    );
    // Row 34.
    assert_eq!(
        (config.metrics_log.enabled, config.metrics_log.interval),
        (false, seconds(5))
    );
    // Row 58.
    let reporting = &config.reporting;
    assert_eq!(reporting.interval, seconds(300));
    assert_eq!(
        reporting.slow_operation_threshold,
        Duration::from_millis(100)
    );
    assert!((reporting.high_gpu_utilization_threshold - 85.0).abs() < f64::EPSILON);
    assert!(reporting.auto_export_metrics);
    // Row 65.
    assert_eq!(config.health.check_interval, seconds(30));
    assert!(!config.logging.stack_traces);
    // Row 90.
    let profiling = &config.profiling;
    assert_eq!(
        [
            profiling.cpu,
            profiling.memory,
            profiling.chrome_tracing,
            profiling.perf_profiling
        ],
        [false; 4]
    );
    assert_eq!(profiling.output_dir, Path::new("./profiles"));
    assert!((profiling.sample_rate - 1.0).abs() < f64::EPSILON);
    // Row 96.
    let telemetry = &config.telemetry;
    assert_eq!(
        (telemetry.metrics, telemetry.tracing, &telemetry.endpoint),
        (true, false, &None)
    );
    assert_eq!(
        (
            telemetry.metrics_path.as_str(),
            telemetry.health_path.as_str()
        ),
        ("/metrics", "/health")
    );
    assert_eq!(telemetry.system_interval, seconds(5));
}

#[test]
fn every_default_that_is_prescribed_for_logs_devices_and_calls() {
    let config = Config::default();
    // Row 104.
    assert_eq!(
        (
            config.logging.level.to_string().as_str(),
            config.logging.format
        ),
        ("info", LogFormat::Json)
    );
    // Row 135.
    let gpu = &config.gpu;
    assert_eq!(
        (gpu.profiler_interval, gpu.samples_max, gpu.history_limit),
        (seconds(5), 1000, 100)
    );
    // Row 138.
    assert!(config.recording.enabled && gpu.profiler_enabled && config.calls.repro_on_error);
    assert_eq!(config.calls.handlers, ["logger", "metrics"]);
    assert_eq!(config.calls.slow_threshold, seconds(1));
    assert_eq!(
        config.calls.repro_directory,
        Path::new("tmp/snakepit_repro")
    );
    assert!((config.sample_ratio() - 1.0).abs() < f64::EPSILON);
    // N5.
    assert!((config.recording.max_overhead - 0.01).abs() < f64::EPSILON);
    assert!(!config.signals.handle);
    assert_eq!(config.http.listen, None);
}

#[test]
fn the_names_of_the_design_notes_are_accepted() {
    let config = Config::new(toml(
        r#"
        enabled = false
        handlers = ["logger"]
        slow_call_threshold_ms = 250
        gpu_profiler_enabled = false
        gpu_profiler_interval_ms = 200
        repro_on_error = false
        repro_directory = "repro"
        sample_rate = 0.1
        reporting_interval = "00:10:00"
        slow_operation_threshold_ms = 12.5
        high_gpu_utilization_threshold = 90
        auto_export_metrics = false
        [debug]
        health_check_interval = "1m"
        enable_stack_trace_logging = true
        "#,
    ))
    .unwrap();
    assert!(
        !config.recording.enabled && !config.gpu.profiler_enabled && !config.calls.repro_on_error
    );
    assert_eq!(config.calls.handlers, ["logger"]);
    assert_eq!(config.calls.slow_threshold, Duration::from_millis(250));
    assert_eq!(config.gpu.profiler_interval, Duration::from_millis(200));
    assert_eq!(config.calls.repro_directory, Path::new("repro"));
    assert!((config.sample_ratio() - 0.1).abs() < f64::EPSILON);
    assert_eq!(config.reporting.interval, seconds(600));
    assert_eq!(
        config.reporting.slow_operation_threshold,
        Duration::from_micros(12_500)
    );
    assert!(!config.reporting.auto_export_metrics);
    assert_eq!(config.health.check_interval, seconds(60));
    assert!(config.logging.stack_traces);
}

#[test]
fn one_file_in_three_formats() {
    let as_toml = toml(
        "[otlp]\ntimeout = \"3s\"\nheaders = { \"x-key\" = \"k\" }\n[telemetry]\nendpoint = \"http://h:1\"\n[recording]\nsample_rate = 0.5\n",
    );
    let as_json = RawConfig::parse(
        Format::Json,
        r#"{"otlp": {"timeout": "3s", "headers": {"x-key": "k"}}, "telemetry": {"endpoint": "http://h:1"}, "recording": {"sample_rate": 0.5}}"#,
        Path::new("radiosonde.json"),
    );
    let as_yaml = RawConfig::parse(
        Format::Yaml,
        "# ours\notlp:\n  timeout: 3s\n  headers:\n    x-key: 'k'\ntelemetry: {endpoint: \"http://h:1\"}\nrecording:\n  sample_rate: 0.5\n",
        Path::new("radiosonde.yaml"),
    );
    for raw in [as_toml, as_json.unwrap(), as_yaml.unwrap()] {
        let config = Config::new(raw).unwrap();
        assert_eq!(config.otlp.timeout, seconds(3));
        assert_eq!(config.otlp.headers, [("x-key".to_owned(), "k".to_owned())]);
        assert_eq!(config.telemetry.endpoint.as_deref(), Some("http://h:1"));
        assert!((config.recording.sample_rate - 0.5).abs() < f64::EPSILON);
    }
    for nothing in ["", "# only a comment\n", "---\n"] {
        let raw = RawConfig::parse(Format::Yaml, nothing, Path::new("a.yml")).unwrap();
        assert!(raw.is_empty(), "{nothing:?}");
    }
}

#[test]
fn truth_in_the_environment() {
    for (text, enabled) in [
        ("1", true),
        ("true", true),
        ("yes", true),
        ("on", true),
        ("TRUE", true),
        ("On", true),
        ("0", false),
        ("false", false),
        ("no", false),
        ("off", false),
        ("", false),
    ] {
        let config = from_environment(&[("METRICS_LOG_ENABLED", text)]);
        assert_eq!(config.metrics_log.enabled, enabled, "{text}");
        let config = from_environment(&[("RADIOSONDE_METRICS_LOG_ENABLED", text)]);
        assert_eq!(config.metrics_log.enabled, enabled, "{text}");
    }
    insta::assert_snapshot!(
        errors(environment(&[("METRICS_LOG_ENABLED", "2"), ("METRICS_LOG_INTERVAL_SECS", "soon")])),
        @r#"
    environment: METRICS_LOG_ENABLED = "2": is neither true nor false; write 1, true, yes, on, 0, false, no or off
    environment: METRICS_LOG_INTERVAL_SECS = "soon": is not a duration; write numbers with units (ns, us, ms, s, m, h, d) such as "5s" or "1m30s", or "00:05:00"
    "#);
    assert_eq!(
        from_environment(&[("METRICS_LOG_INTERVAL_SECS", "2")])
            .metrics_log
            .interval,
        seconds(2)
    );
}

#[test]
fn variables_whose_presence_is_the_message() {
    for text in ["", "0", "1", "anything"] {
        let config = from_environment(&[("ENABLE_PROFILING", text), ("CHROME_TRACING", text)]);
        assert!(
            config.profiling.cpu && config.profiling.chrome_tracing,
            "{text}"
        );
    }
    // no-color.org: when present and not an empty string.
    assert_eq!(
        from_environment(&[("NO_COLOR", "1")]).logging.color,
        Color::Never
    );
    assert_eq!(
        from_environment(&[("NO_COLOR", "")]).logging.color,
        Color::Auto
    );
}

#[test]
fn the_variables_of_opentelemetry() {
    let config = from_environment(&[
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_SERVICE_NAME", "shop"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=prod,team=a%2Cb",
        ),
        ("OTEL_PROPAGATORS", "tracecontext,b3"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "30000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2048"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60000"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "9464"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
        (
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            "https://logs:4318/v1/logs",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20k,x=1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("RUST_LOG", "warn,shop=debug"),
    ]);
    assert!(!config.recording.enabled);
    assert_eq!(config.service.name.as_deref(), Some("shop"));
    assert_eq!(
        config.service.attributes[1],
        ("team".to_owned(), "a,b".to_owned())
    );
    assert_eq!(config.recording.propagators, ["tracecontext", "b3"]);
    assert!((config.sample_ratio() - 0.25).abs() < f64::EPSILON && !config.sample_parent_based());
    assert_eq!(config.export.timeout, seconds(30));
    assert_eq!(
        (config.export.queue_records_max, config.metrics.interval),
        (2048, seconds(60))
    );
    assert_eq!(config.http.listen, Some("127.0.0.1:9464".parse().unwrap()));
    assert!(!config.otlp.traces && config.otlp.metrics && config.otlp.logs);
    assert_eq!(
        config.otlp.logs_endpoint.as_deref(),
        Some("https://logs:4318/v1/logs")
    );
    assert_eq!(
        config.otlp.headers[0],
        ("authorization".to_owned(), "Bearer k".to_owned())
    );
    assert_eq!(config.otlp.protocol, OtlpProtocol::Grpc);
    assert_eq!(config.otlp.timeout, Duration::from_millis(1500));
    assert_eq!(config.otlp.compression, OtlpCompression::Plain);
    assert_eq!(config.logging.level.to_string(), "warn,shop=debug");
    assert_eq!(
        *config.source("service.name"),
        Source::Environment {
            variable: "OTEL_SERVICE_NAME".to_owned()
        }
    );
    // What is set to nothing is not set.
    assert_eq!(
        from_environment(&[("OTEL_SERVICE_NAME", ""), ("RUST_LOG", "")]),
        Config::new(RawConfig::default()).unwrap()
    );
}

#[test]
fn the_stronger_source_wins() {
    let file = toml(
        "[service]\nname = \"file\"\n[otlp]\ntimeout_ms = 1\n[telemetry]\nsystem_interval_secs = 7\n",
    );
    let environment = environment(&[
        ("RADIOSONDE_SERVICE_NAME", "ours"),
        ("OTEL_SERVICE_NAME", "theirs"),
        ("RADIOSONDE_OTLP_TIMEOUT_MS", "1500"),
    ]);
    let config = Config::new(file.overlaid_by(environment)).unwrap();
    assert_eq!(config.service.name.as_deref(), Some("ours"));
    assert_eq!(config.otlp.timeout, Duration::from_millis(1500));
    assert_eq!(config.telemetry.system_interval, seconds(7));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let occupied = folder.path().join("file");
    std::fs::write(&occupied, "").unwrap();
    let below_a_file = occupied.join("events.jsonl");
    let file = toml(&format!(
        r#"
[telemetry]
sytem_interval = "5s"
endpoint = "collector:4318"
metrics = "yes"
system_interval = 5
[otlp]
timeout = "5 parsecs"
headers = "authorization=top-secret"
protocol = "grcp"
tokne = "hunter2"
[profling]
cpu = true
[gpu]
profiler_interval_ms = 99
[http]
listen = "0.0.0.0:9464"
[json_lines]
path = {below_a_file:?}
"#
    ));
    let environment = environment(&[
        ("RADIOSONDE_OTLP_TIMOUT", "5s"),
        ("RADIOSONDE_RECORDING_SAMPLE_RATE", "1.5"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ("RUST_LOG", "shop=inof"),
    ]);
    let text = errors(file.overlaid_by(environment));
    let text = text.replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text, @r#"
    radiosonde.toml, line 11: otlp.tokne = [redacted]: unknown key; did you mean http.token?
    radiosonde.toml, line 12: profling: unknown key; did you mean profiling?
    radiosonde.toml, line 3: telemetry.sytem_interval = "5s": unknown key; did you mean telemetry.system_interval?
    environment: RADIOSONDE_OTLP_TIMOUT = "5s": unknown variable; did you mean RADIOSONDE_OTLP_TIMEOUT?
    environment: OTEL_RESOURCE_ATTRIBUTES = "a": holds a part without =; write name=value,name=value; a comma inside a value is written %2C
    environment: RUST_LOG = "shop=inof": filter directive `shop=inof`, column 6: `inof` is not a level (did you mean `info`?); levels are off, error, warn, info, debug, trace, or 0 to 5
    radiosonde.toml, line 5: telemetry.metrics = "yes": is neither true nor false; write true or false, without quotes
    radiosonde.toml, line 6: telemetry.system_interval = 5: is a duration without a unit; write "5s" or "5ms", or let the key end in _secs or _ms
    radiosonde.toml, line 10: otlp.protocol = "grcp": is not known; did you mean "grpc"?; write one of http/protobuf, http, grpc
    radiosonde.toml, line 9: otlp.headers = [redacted]: is not a table; write { name = "value" }
    radiosonde.toml, line 8: otlp.timeout = "5 parsecs": is not a duration; write numbers with units (ns, us, ms, s, m, h, d) such as "5s" or "1m30s", or "00:05:00"
    environment: RADIOSONDE_RECORDING_SAMPLE_RATE = "1.5": is out of range; write a number from 0 (nothing) to 1 (everything)
    radiosonde.toml, line 15: gpu.profiler_interval_ms = 99: is too short; write at least "100ms"
    radiosonde.toml, line 4: telemetry.endpoint = "collector:4318": is not an HTTP address; write one such as "http://localhost:4318"
    radiosonde.toml, line 17: http.listen = "0.0.0.0:9464": can be reached from other machines without a token; set http.token, or listen on 127.0.0.1 or [::1]
    radiosonde.toml, line 19: json_lines.path = "DIR/file/events.jsonl": cannot be written: DIR/file is not a folder; name a file in a folder that can be
    "#);
}

#[test]
fn every_unknown_variable_of_ours_is_an_error_that_shows_its_value_unless_it_may_be_a_secret() {
    let text = errors(environment(&[
        ("RADIOSONDE_FOO", "1"),
        ("RADIOSONDE_SPOOL_DIR", "/x"),
        (
            "RADIOSONDE_OTLP_ENDPONT",
            "http://ann:hunter2@collector:4318",
        ),
        ("RADIOSONDE_HTTP_TOKN", "hunter2"),
        ("RADIOSONDE_API_KEY", "hunter2"),
        ("RADIOSONDE_UNUSED", ""),
        // What is no setting, and known.
        ("RADIOSONDE_CONFIG", "radiosonde.toml"),
        ("RADIOSONDE_BENCH_DEMO", "x"),
        ("RADIOSONDE_TEST_FOLDER", "x"),
        ("RADIOSONDE_DATA_DIR", "x"),
        ("RADIOSONDE_KEYS", "x"),
        ("RADIOSONDE_TLS_CA", "x"),
        ("RADIOSONDE_SCRAPE", "x"),
        ("RADIOSONDE_DASHBOARDS", "x"),
        ("RADIOSONDE_METRIC_RULES", "x"),
        ("RADIOSONDE_CLICKHOUSE", "http://a/b"),
        ("RADIOSONDE_CLICKHOUSE_PASSWORD", "hunter2"),
    ]));
    insta::assert_snapshot!(text, @r#"
    environment: RADIOSONDE_FOO = "1": unknown variable; leave it out; `radiosonde::config::reference()` lists every key
    environment: RADIOSONDE_SPOOL_DIR = "/x": unknown variable; leave it out; `radiosonde::config::reference()` lists every key
    environment: RADIOSONDE_OTLP_ENDPONT = "http://[redacted]@collector:4318": unknown variable; did you mean RADIOSONDE_OTLP_ENDPOINT?
    environment: RADIOSONDE_HTTP_TOKN = [redacted]: unknown variable; did you mean RADIOSONDE_HTTP_TOKEN?
    environment: RADIOSONDE_API_KEY = [redacted]: unknown variable; leave it out; `radiosonde::config::reference()` lists every key
    "#);
}

#[test]
fn a_section_that_is_no_table_is_told_so() {
    let text = errors(toml("telemetry = 5\nlogging = \"debug\"\n"));
    insta::assert_snapshot!(text, @r#"
    radiosonde.toml, line 2: logging = "debug": is a table of keys; write its keys below it, such as logging.level
    radiosonde.toml, line 1: telemetry = 5: is a table of keys; write its keys below it, such as telemetry.metrics
    "#);
}

#[cfg(unix)]
#[test]
fn what_opening_would_wait_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let pipe = pipe.to_str().unwrap();
    for (variable, key) in [
        ("RADIOSONDE_JSON_LINES_PATH", "json_lines.path"),
        ("RADIOSONDE_SQLITE_PATH", "sqlite.path"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp.certificate"),
    ] {
        let text = errors(environment(&[(variable, pipe)]));
        assert!(
            text.starts_with(&format!("environment: {variable} = {pipe:?}: cannot be ")),
            "{key}: {text}"
        );
        assert!(
            text.contains("it is a pipe, a socket or a device; name a"),
            "{text}"
        );
    }
    let named = folder.path().join("radiosonde.toml");
    std::fs::rename(pipe, &named).unwrap();
    let error = RawConfig::read(&named).unwrap_err().to_string();
    assert!(
        error.contains("radiosonde.toml: cannot be read: it is a pipe, a socket or a device"),
        "{error}"
    );
    std::fs::rename(&named, pipe).unwrap();
    let error = JsonLines::open(Path::new(pipe), JsonEncoder::default()).unwrap_err();
    assert!(error.to_string().contains("it is a pipe"), "{error}");
    // A terminal, nowhere, or a pipe whose other end somebody holds.
    from_environment(&[("RADIOSONDE_JSON_LINES_PATH", "/dev/null")]);
    let (reader, writer) = std::io::pipe().unwrap();
    let inherited = format!("/proc/self/fd/{}", writer.as_raw_fd());
    from_environment(&[("RADIOSONDE_JSON_LINES_PATH", &inherited)]);
    drop(JsonLines::open(Path::new(&inherited), JsonEncoder::default()).unwrap());
    drop(reader);
}

#[test]
fn a_database_that_is_no_file_is_refused() {
    let told = |value: &str| errors(environment(&[("RADIOSONDE_SQLITE_PATH", value)]));
    insta::assert_snapshot!(
        told(":memory:"),
        @r#"environment: RADIOSONDE_SQLITE_PATH = ":memory:": cannot be written: it is no file, and what is written to it would be gone at the end; name a file, such as "run.sqlite""#
    );
    insta::assert_snapshot!(
        told("file:x?mode=memory"),
        @r#"environment: RADIOSONDE_SQLITE_PATH = "file:x?mode=memory": cannot be written: it is a URI and not the name of a file; name a file, such as "run.sqlite""#
    );
    insta::assert_snapshot!(
        errors(toml("[sqlite]\npath = \"\"")),
        @r#"radiosonde.toml, line 2: sqlite.path = "": is empty; leave the key out instead"#
    );
}

const DATABASE: &str = "RADIOSONDE_TEST_DATABASE";

/// The child, which may not write to the folder of the database.
#[test]
fn child() {
    let Some(path) = std::env::var_os(DATABASE) else {
        return;
    };
    let text = errors(environment(&[(
        "RADIOSONDE_SQLITE_PATH",
        path.to_str().unwrap(),
    )]));
    assert!(
        text.starts_with("environment: RADIOSONDE_SQLITE_PATH = "),
        "{text}"
    );
    assert!(
        text.contains("SQLite can make no -wal file: Permission denied"),
        "{text}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_database_in_a_folder_that_may_not_be_written_to_is_refused() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.sqlite");
    std::fs::write(&file, "").unwrap();
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(&file, 0o666);
    allow(folder.path(), 0o555);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child"]).env(DATABASE, &file);
    // Nothing is refused to root.
    if std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
    {
        child.uid(65_534);
    }
    let output = child.output();
    allow(folder.path(), 0o755);
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn files_that_are_not_what_they_say() {
    let parse = |format, text: &str, name: &str| {
        RawConfig::parse(format, text, Path::new(name))
            .unwrap_err()
            .to_string()
    };
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let errors = [
        parse(Format::Toml, "a = 1\n[otlp\n", "a.toml"),
        parse(Format::Json, "{\"a\": 1,\n}", "a.json"),
        parse(Format::Json, "[1]", "a.json"),
        parse(Format::Yaml, "a: [1\nb: 2", "a.yaml"),
        parse(Format::Yaml, "- a", "a.yaml"),
        parse(Format::Yaml, "a: 1\na: 2", "a.yaml"),
        parse(Format::Yaml, "a: &x 1\nb: *x", "a.yaml"),
        parse(Format::Yaml, &format!("a: {deep}"), "a.yaml"),
        RawConfig::read(Path::new("radiosonde.ini"))
            .unwrap_err()
            .to_string(),
        RawConfig::read(Path::new("not/there.toml"))
            .unwrap_err()
            .to_string(),
        parse(Format::Json, "{\"a\": {\"b\": 1,\n\"b\": 2}}", "a.json"),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    a.toml, line 2: is not TOML: unclosed table, expected `]`
    a.json, line 2: is not JSON: trailing comma at line 2 column 1
    a.json: does not hold a JSON object
    a.yaml, line 2: is not YAML: illegal placement of ':' indicator
    a.yaml: does not hold a YAML mapping
    a.yaml, line 2: says "a" twice
    a.yaml, line 2: uses a YAML alias (*); write the value out
    a.yaml, line 1: is nested deeper than 32 levels
    radiosonde.ini: is no configuration file by its name; let the name end in .toml, .json, .yaml or .yml
    not/there.toml: cannot be read: No such file or directory (os error 2); make the file readable, or name another one in RADIOSONDE_CONFIG
    a.json, line 2: is not JSON: says "b" twice at line 2 column 3
    "#);
}

#[test]
fn a_setting_that_one_source_says_twice_is_an_error_that_names_both() {
    let file = toml(
        "[telemetry]\nsystem_interval = \"5s\"\nsystem_interval_ms = 7\nendpoint = \"http://a\"\n[otlp]\nendpoint = \"http://b\"\n",
    );
    let environment = environment(&[
        ("RADIOSONDE_OTLP_TIMEOUT", "5s"),
        ("RADIOSONDE_OTLP_TIMEOUT_MS", "7"),
        // Another source: the stronger one wins.
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9"),
        ("RADIOSONDE_TELEMETRY_SYSTEM_INTERVAL", "1s"),
    ]);
    insta::assert_snapshot!(errors(file.overlaid_by(environment)), @r#"
    radiosonde.toml, line 4: telemetry.endpoint: sets telemetry.endpoint, as otlp.endpoint in line 6 already does; leave one of them out
    radiosonde.toml, line 3: telemetry.system_interval_ms: sets telemetry.system_interval, as telemetry.system_interval in line 2 already does; leave one of them out
    environment: RADIOSONDE_OTLP_TIMEOUT_MS: sets otlp.timeout, as RADIOSONDE_OTLP_TIMEOUT already does; leave one of them out
    "#);
}

#[test]
fn what_cannot_be_sent_to_is_found_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    std::fs::write(&other, "neither a database nor a certificate").unwrap();
    let file = toml(&format!(
        r#"
[telemetry]
endpoint = "http://[::1"
[otlp]
traces_endpoint = "http://collector:99999/v1/traces"
logs_endpoint = "https://:4318"
metrics_endpoint = "http://collector:0"
headers = {{ "x y" = "1", "api-key" = "a\nb", fine = "yes" }}
certificate = {other:?}
client_certificate = {other:?}
client_key = {other:?}
[sqlite]
path = {other:?}
"#
    ));
    let text = errors(file).replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text, @r#"
    radiosonde.toml, line 3: telemetry.endpoint = "http://[::1": is not an HTTP address; write one such as "http://localhost:4318"
    radiosonde.toml, line 5: otlp.traces_endpoint = "http://collector:99999/v1/traces": has no port from 1 to 65535 after the colon; write one such as "http://localhost:4318"
    radiosonde.toml, line 6: otlp.logs_endpoint = "https://:4318": is not an HTTP address; write one such as "http://localhost:4318"
    radiosonde.toml, line 7: otlp.metrics_endpoint = "http://collector:0": has no port from 1 to 65535 after the colon; write one such as "http://localhost:4318"
    radiosonde.toml, line 8: otlp.headers = [redacted]: gives the header "api-key" a value that is not visible ASCII; write names of letters, digits and -, and values of visible ASCII
    radiosonde.toml, line 8: otlp.headers = [redacted]: names a header "x y", which is no name of one; write names of letters, digits and -, and values of visible ASCII
    radiosonde.toml, line 9: otlp.certificate = "DIR/other": holds no certificate; name a PEM file that holds one
    radiosonde.toml, line 10: otlp.client_certificate = "DIR/other": holds no certificate; name a PEM file that holds one
    radiosonde.toml, line 11: otlp.client_key = "DIR/other": holds no private key; name a PEM file that holds one
    radiosonde.toml, line 13: sqlite.path = "DIR/other": holds something that is no SQLite database; name a database, or a file that is not there yet
    "#);
    for endpoint in [
        "http://localhost",
        "https://ann:secret@collector:1/x?y",
        "http://[::1]:4318",
        "http://10.0.0.1:65535",
    ] {
        let file = toml(&format!("[telemetry]\nendpoint = {endpoint:?}"));
        assert!(Config::new(file).is_ok(), "{endpoint}");
    }
    let fresh = toml(&format!(
        "[sqlite]\npath = {:?}",
        folder.path().join("fresh.db")
    ));
    assert!(Config::new(fresh).is_ok());
}

#[test]
fn what_no_caller_of_the_endpoint_can_ask_for_is_found_before_anything_starts() {
    let file = toml(
        r#"
[telemetry]
metrics_path = "/livez"
health_path = "/a b"
[http]
token = "s3cret\n"
"#,
    );
    insta::assert_snapshot!(errors(file), @r#"
    radiosonde.toml, line 3: telemetry.metrics_path = "/livez": is the path of another page; give one of the two another one
    radiosonde.toml, line 4: telemetry.health_path = "/a b": is not the path of a page; write one such as "/metrics"
    radiosonde.toml, line 6: http.token = [redacted]: is what no caller can send; write visible ASCII without spaces around it
    "#);
    let same = environment(&[
        ("RADIOSONDE_TELEMETRY_METRICS_PATH", "/health"),
        ("RADIOSONDE_HTTP_TOKEN", " s3cret"),
    ]);
    insta::assert_snapshot!(errors(same), @r#"
    default: telemetry.health_path = "/health": is the path of another page; give one of the two another one
    environment: RADIOSONDE_HTTP_TOKEN = [redacted]: is what no caller can send; write visible ASCII without spaces around it
    "#);
    for token in ["s3cret", "a b", "AbC-._~+/=="] {
        from_environment(&[("RADIOSONDE_HTTP_TOKEN", token)]);
    }
}

#[test]
fn a_duration_that_no_clock_can_show_is_too_long() {
    let environment = environment(&[
        ("RADIOSONDE_EXPORT_SHUTDOWN_TIMEOUT_SECS", "1e19"),
        ("RADIOSONDE_EXPORT_TIMEOUT_SECS", "1e30"),
        ("RADIOSONDE_METRICS_INTERVAL", "366d"),
        ("RADIOSONDE_OTLP_TIMEOUT_SECS", "-1"),
        ("RADIOSONDE_HEALTH_CHECK_INTERVAL", "365d"),
    ]);
    insta::assert_snapshot!(errors(environment), @r#"
    environment: RADIOSONDE_OTLP_TIMEOUT_SECS = "-1": is no length of time; write a number from 0
    environment: RADIOSONDE_METRICS_INTERVAL = "366d": is too long; write at most "365d"
    environment: RADIOSONDE_EXPORT_TIMEOUT_SECS = "1e30": is too long; write at most "365d"
    environment: RADIOSONDE_EXPORT_SHUTDOWN_TIMEOUT_SECS = "1e19": is too long; write at most "365d"
    "#);
}

#[test]
fn a_value_that_breaks_a_rule_is_shown_as_it_was_written() {
    let environment = environment(&[
        ("METRICS_LOG_INTERVAL_SECS", "1e400"),
        ("RADIOSONDE_METRICS_INTERVAL_SECS", "0"),
        ("RADIOSONDE_RECORDING_PROPAGATORS", "tracecontext,xray"),
    ]);
    let file = toml("[otlp]\ntimeout_ms = 0\n[calls]\nhandlers = [\"loger\"]");
    insta::assert_snapshot!(errors(file.overlaid_by(environment)), @r#"
    environment: RADIOSONDE_METRICS_INTERVAL_SECS = "0": is too short; write at least "10ms"
    environment: METRICS_LOG_INTERVAL_SECS = "1e400": is too long; write at most "365d"
    radiosonde.toml, line 2: otlp.timeout_ms = 0: is too short; write at least "10ms"
    environment: RADIOSONDE_RECORDING_PROPAGATORS = "tracecontext,xray": unknown propagator `xray`; known ones are tracecontext, baggage, b3, b3multi, none
    radiosonde.toml, line 4: calls.handlers = ["loger"]: names the unknown handler "loger"; write any of logger, metrics
    "#);
}

#[test]
fn what_opentelemetrys_variables_say_and_nobody_here_knows_is_passed_over() {
    let variables = [
        ("OTEL_PROPAGATORS", "xray, b3,jaeger"),
        ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote"),
        (
            "OTEL_TRACES_SAMPLER_ARG",
            "endpoint=http://localhost:14250,initialSamplingRate=0.25",
        ),
    ];
    let config = from_environment(&variables);
    assert_eq!(config.recording.propagators, ["b3"]);
    assert_eq!(
        config.recording.sampler,
        Config::default().recording.sampler
    );
    assert!((config.sample_ratio() - 1.0).abs() < f64::EPSILON);
    let said: Vec<_> = config
        .passed_over()
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    environment: OTEL_PROPAGATORS = "xray, b3,jaeger": unknown propagator `xray`; known ones are tracecontext, baggage, b3, b3multi, none
    environment: OTEL_TRACES_SAMPLER = "parentbased_jaeger_remote": is not known; write one of parentbased_always_on, parentbased_always_off, parentbased_traceidratio, always_on, always_off, traceidratio
    environment: OTEL_TRACES_SAMPLER_ARG = "endpoint=http://localhost:14250,initialSamplingRate=0.25": is not a share of traces; write a number from 0 to 1
    "#);
    // Nothing is left, so a weaker source speaks.
    let file = toml("[recording]\npropagators = [\"tracecontext\"]\nsample_rate = 0.5");
    let others = environment(&[
        ("OTEL_PROPAGATORS", "xray"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
    ]);
    let config = Config::new(file.overlaid_by(others)).unwrap();
    assert_eq!(config.recording.propagators, ["tracecontext"]);
    assert!((config.sample_ratio() - 0.5).abs() < f64::EPSILON);
    assert_eq!(config.passed_over().len(), 2);
    // Ours are nobody else's.
    let ours = environment(&[("RADIOSONDE_RECORDING_SAMPLER", "xray")]);
    assert!(Config::new(ours).is_err());
}

#[test]
fn only_a_sampler_that_goes_by_rate_has_an_argument() {
    for (variables, ratio, unused) in [
        (&[("OTEL_TRACES_SAMPLER_ARG", "0.1")][..], 0.1, 0),
        (
            &[
                ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
            ],
            1.0,
            1,
        ),
        (
            &[
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
            ],
            0.1,
            0,
        ),
        (&[("OTEL_TRACES_SAMPLER", "always_on")], 1.0, 0),
    ] {
        let config = from_environment(variables);
        assert!(
            (config.sample_ratio() - ratio).abs() < f64::EPSILON,
            "{variables:?}"
        );
        assert_eq!(config.without_effect().count(), unused, "{variables:?}");
    }
}

#[cfg(unix)]
#[test]
fn names_of_files_need_not_be_utf8_and_everything_else_must() {
    use std::{
        ffi::{OsStr, OsString},
        os::unix::ffi::OsStrExt as _,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(OsStr::from_bytes(b"l\xff.jsonl"));
    let environment = |name: &str, value: &OsStr| {
        RawConfig::from_environment([(OsString::from(name), value.to_owned())])
    };
    let config = environment("RADIOSONDE_JSON_LINES_PATH", path.as_os_str());
    let config = Config::new(config).unwrap();
    assert_eq!(config.json_lines.path.as_deref(), Some(path.as_path()));
    let strange = OsStr::from_bytes(b"sh\xffp");
    let wrong = [
        "RADIOSONDE_SERVICE_NAME",
        "OTEL_TRACES_SAMPLER",
        "RADIOSONDE_OTLP_HEADERS",
        "RADIOSONDE_OTLP_TIMEOUT",
    ]
    .map(|name| errors(environment(name, strange)));
    insta::assert_snapshot!(wrong.join("\n"), @r#"
    environment: RADIOSONDE_SERVICE_NAME = "sh�p": is not UTF-8; write it in UTF-8
    environment: OTEL_TRACES_SAMPLER = "sh�p": is not UTF-8; write it in UTF-8
    environment: RADIOSONDE_OTLP_HEADERS = [redacted]: is not UTF-8; write it in UTF-8
    environment: RADIOSONDE_OTLP_TIMEOUT = "sh�p": is not UTF-8; write it in UTF-8
    "#);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("radiosonde.toml");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let error = RawConfig::read(&link).unwrap_err().to_string();
    assert!(error.contains("has more than 1048576 bytes"), "{error}");
}

#[test]
fn the_effective_configuration_shows_sources_and_no_secrets() {
    let file = toml(
        "[otlp]\nheaders = { authorization = \"Bearer s3cret\" }\n\n[http]\ntoken = \"s3cret\"\n[telemetry]\nendpoint = \"https://ann:s3cret@collector:4318\"\n",
    );
    let config =
        Config::new(file.overlaid_by(environment(&[("METRICS_LOG_INTERVAL_SECS", "11")]))).unwrap();
    let text = config.effective().to_string();
    assert!(!text.contains("s3cret"), "{text}");
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| {
            !line.ends_with("# default") && !line.ends_with("is not set") && line.contains('=')
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    endpoint = "https://[redacted]@collector:4318" # radiosonde.toml, line 7
    # headers = "[redacted]" # radiosonde.toml, line 2
    interval = "11s" # environment METRICS_LOG_INTERVAL_SECS
    # token = "[redacted]" # radiosonde.toml, line 5
    "#);
    assert!(!format!("{:?}", toml("[http]\ntoken = \"s3cret\"\n")).contains("s3cret"));
    // What is printed is a configuration again.
    let again = Config::new(toml(&text)).unwrap();
    assert_eq!(again.metrics_log.interval, seconds(11));
    let defaults = Config::default();
    assert_eq!(
        **Config::new(toml(&defaults.effective().to_string()))
            .as_ref()
            .unwrap(),
        *defaults
    );
}

#[test]
fn settings_that_nothing_reads_are_known() {
    let config = from_environment(&[("ENABLE_PROFILING", "1"), ("OTEL_SERVICE_NAME", "shop")]);
    let keys: Vec<_> = config.without_effect().map(|(key, _)| key).collect();
    assert_eq!(keys, ["profiling.cpu"]);
    assert_eq!(Config::default().without_effect().count(), 0);
}

#[test]
fn the_reference_lists_every_key_once() {
    let reference = radiosonde::config::reference();
    for key in [
        "`otlp.timeout`",
        "`RADIOSONDE_OTLP_TIMEOUT`",
        "`OTEL_EXPORTER_OTLP_TIMEOUT`",
    ] {
        assert_eq!(reference.matches(key).count(), 1, "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics(text in "[a-z_\\[\\]{}=:\"'.,#&* 0-9\n-]{0,80}") {
        for format in [Format::Toml, Format::Json, Format::Yaml] {
            if let Ok(raw) = RawConfig::parse(format, &text, Path::new("any")) {
                let _ = Config::check(raw).map_err(|errors| errors.to_string());
            }
        }
        let _ = Config::new(environment(&[("RADIOSONDE_OTLP_HEADERS", &text), ("OTEL_EXPORTER_OTLP_TIMEOUT", &text)]));
    }
}

#[test]
fn how_one_signal_is_sent_cannot_be_said_alone() {
    let said = errors(environment(&[
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=hunter2"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", ""),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
    ]));
    for (variable, common) in [
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ),
    ] {
        assert!(
            said.contains(&format!("environment: {variable}: "))
                && said.contains(&format!("set {common}, which holds for every signal")),
            "{said}"
        );
    }
    assert!(
        !said.contains("hunter2") && !said.contains("TIMEOUT"),
        "{said}"
    );
}

#[test]
fn a_spool_holds_one_request_or_nothing() {
    for (bytes, is_right) in [
        ("0", true),
        ("1", false),
        ("1048576", false),
        ("2097152", true),
    ] {
        let raw = environment(&[("RADIOSONDE_OTLP_SPOOL_BYTES_MAX", bytes)]);
        let checked = Config::check(raw).map_err(|error| error.to_string());
        assert_eq!(checked.is_ok(), is_right, "{bytes}: {checked:?}");
        if let Err(said) = checked {
            assert!(said.contains("write at least 2097152, or 0"), "{said}");
        }
    }
}

#[test]
fn delays_and_sizes_of_batches_are_those_of_opentelemetry() {
    let otlp = from_environment(&[]).otlp.clone();
    assert_eq!(
        (otlp.batch_records, otlp.spans_delay, otlp.logs_delay),
        (512, seconds(5), seconds(1))
    );
    let otlp = from_environment(&[
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "2000"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "3000"),
    ])
    .otlp
    .clone();
    assert_eq!(
        (otlp.batch_records, otlp.spans_delay, otlp.logs_delay),
        (100, seconds(2), seconds(3))
    );
}
