//! `[[exporters]]` of a configuration: what is right, and what is said of what is not.

#![cfg(feature = "backends")]

use std::path::Path;

use radiosonde::config::{Config, Format, RawConfig};

fn toml(text: &str) -> Result<Config, String> {
    let raw = RawConfig::parse(Format::Toml, text, Path::new("radiosonde.toml")).unwrap();
    Config::check(raw).map_err(|errors| errors.to_string())
}

#[test]
fn each_destination_is_a_table_and_those_that_are_off_are_left_out() {
    let config = toml(
        r#"
        [[exporters]]
        type = "jaeger"
        [[exporters]]
        name = "others"
        type = "OTLP"
        endpoint = "https://collector.example"
        audience = "external"
        filter = "warn,engine=info"
        metrics = ["gen_ai.*"]
        signals = ["logs", "metrics"]
        delay_ms = 250
        timeout = "3s"
        [[exporters]]
        name = "off"
        type = "otlp"
        endpoint = "http://collector.example"
        enabled = false
        "#,
    )
    .unwrap();
    let all: Vec<_> = config
        .exporters()
        .iter()
        .map(|exporter| (exporter.name.as_str(), exporter.kind))
        .collect();
    assert_eq!(all, [("jaeger", "jaeger"), ("others", "otlp")]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line_and_its_mend() {
    let errors = toml(
        r#"
[[exporters]]
type = "otlp"
end_point = "http://here"
token = "hunter2hunter2"

[[exporters]]
type = "datadgo"

[[exporters]]
endpoint = "http://here"

[[exporters]]
type = "jaeger"
timeout = 5
signals = ["spans"]
user = "ann"

[[exporters]]
type = "jaeger"
name = "b"
enabled = "yes"
spool_bytes_max = 7

[[exporters]]
type = "jaeger"
name = "b"
"#,
    )
    .unwrap_err();
    assert!(!errors.contains("hunter2"), "{errors}");
    insta::assert_snapshot!(errors, @r#"
    radiosonde.toml, line 2: exporters[0]: has no endpoint; write endpoint = "https://..."
    radiosonde.toml, line 4: exporters[0].end_point = "http://here": unknown key; did you mean endpoint?
    radiosonde.toml, line 8: exporters[1].type = "datadgo": is no kind of exporter; did you mean "datadog"?
    radiosonde.toml, line 10: exporters[2]: has no type; write type = "otlp"
    radiosonde.toml, line 16: exporters[3].signals = [...]: names "spans"; write some of "traces", "logs" and "metrics"
    radiosonde.toml, line 13: exporters[3]: has one of user and password; write both, or neither
    radiosonde.toml, line 15: exporters[3].timeout = 5: is a duration without a unit; write "5s" or "5ms", or let the key end in _secs or _ms
    radiosonde.toml, line 22: exporters[4].enabled = "yes": is neither true nor false; write true or false, without quotes
    radiosonde.toml, line 23: exporters[4].spool_bytes_max = 7: is too little; write 2097152 (2 MiB) or more, or 0
    "#);
}

#[test]
fn a_list_of_something_else_is_told() {
    let error = toml("exporters = [\"datadog\"]").unwrap_err();
    insta::assert_snapshot!(error, @r#"radiosonde.toml, line 1: exporters[0] = "datadog": is no table; write [[exporters]], and the keys of one below it"#);
    let error = toml("[exporters]\ntype = \"otlp\"").unwrap_err();
    insta::assert_snapshot!(error, @"radiosonde.toml, line 1: exporters = {...}: is no list of tables; write [[exporters]], and the keys of one below it");
}

#[test]
fn secrets_come_from_variables_and_files_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter3\n").unwrap();
    let text = format!(
        r#"
        [[exporters]]
        type = "otlp"
        endpoint = "https://ann:hunter1@collector.example"
        headers = {{ x-key = "hunter2" }}
        user = "ann"
        password_file = "{}"
        "#,
        file.display()
    );
    let config = toml(&text).unwrap();
    let shown = format!("{} {config:?}", config.effective());
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.contains("collector.example"), "{shown}");
    let wrong = text.replace("password_file", "password_env");
    let error = toml(&wrong).unwrap_err();
    assert!(error.contains("which is not set"), "{error}");
}

#[test]
fn the_exporters_of_the_design_notes_are_read_as_they_stand() {
    let text = r#"{
  "MetalTelemetry": {
    "ReportingInterval": "00:05:00",
    "SlowOperationThresholdMs": 100.0,
    "HighGpuUtilizationThreshold": 85.0,
    "ExportOptions": {
      "Exporters": [
        {
          "Name": "Prometheus",
          "Type": "Prometheus",
          "Endpoint": "http://prometheus:9090/metrics",
          "Enabled": true
        }
      ]
    }
  }
}"#;
    let raw = RawConfig::parse(Format::Json, text, Path::new("appsettings.json")).unwrap();
    let config = Config::check(raw).unwrap();
    assert_eq!(config.reporting.interval.as_secs(), 300);
    let exporter = &config.exporters()[0];
    assert_eq!(
        (exporter.name.as_str(), exporter.kind),
        ("Prometheus", "remote_write")
    );
}

/// One table of each kind that needs what is not there, or has what is wrong.
const INCOMPLETE: &str = r#"
[[exporters]]
type = "remote_write"
version = "3.0"

[[exporters]]
type = "pushgateway"

[[exporters]]
type = "grafana_cloud"
endpoint = "http://here"

[[exporters]]
type = "grafana_cloud"
instance = "1"
token = "hunter2hunter2"
region = "a"
zone = "b"

[[exporters]]
type = "datadog"
token_env = "RADIOSONDE_TEST_NOBODY_SETS_THIS"

[[exporters]]
type = "application_insights"

[[exporters]]
type = "application_insights"
connection_string = "IngestionEndpoint=https://hunter2.example/"

[[exporters]]
type = "splunk"

[[exporters]]
type = "elasticsearch"
api_key = "hunter2hunter2"
api_key_file = "/nowhere/hunter"

[[exporters]]
type = "loki"
labels = ["a"]

[[exporters]]
type = "zipkin"
timeout = "1ms"

[[exporters]]
type = "custom"
layout = "heap"
logs = 7
"#;

#[test]
fn each_kind_says_what_it_lacks_and_how_to_write_it() {
    let errors = toml(INCOMPLETE).unwrap_err();
    assert!(!errors.contains("hunter2"), "{errors}");
    insta::assert_snapshot!(errors, @r#"
    radiosonde.toml, line 4: exporters[0].version = "3.0": is not known; did you mean "1.0"?; write one of auto, 1.0, 2.0
    radiosonde.toml, line 2: exporters[0]: has no endpoint; write endpoint = "https://..."
    radiosonde.toml, line 6: exporters[1]: has no job; write job = "my_program"
    radiosonde.toml, line 9: exporters[2]: has no instance; write instance = "123456"
    radiosonde.toml, line 9: exporters[2]: has no token; write token_env = "VARIABLE", token_file = "FILE" or token = "..."
    radiosonde.toml, line 13: exporters[3]: has not one of region and zone; write region = "prod-eu-west-2" for remote write of metrics, or zone = "prod-eu-west-2" for OTLP of everything
    radiosonde.toml, line 22: exporters[4].token_env = "RADIOSONDE_TEST_NOBODY_SETS_THIS": names RADIOSONDE_TEST_NOBODY_SETS_THIS, which is not set; set the variable, or name another one
    radiosonde.toml, line 20: exporters[4]: has no token; write token_env = "VARIABLE", token_file = "FILE" or token = "..."
    radiosonde.toml, line 24: exporters[5]: has no connection_string; write connection_string_env = "APPLICATIONINSIGHTS_CONNECTION_STRING"
    radiosonde.toml, line 29: exporters[6].connection_string = [redacted]: Application Insights connection_string: it has no InstrumentationKey; copy it from the resource's overview in the Azure portal; copy it whole from the portal
    radiosonde.toml, line 31: exporters[7]: has no token; write token_env = "VARIABLE", token_file = "FILE" or token = "..."
    radiosonde.toml, line 31: exporters[7]: has no endpoint; write endpoint = "https://..."
    radiosonde.toml, line 36: exporters[8].api_key = [redacted]: is said by more than one of api_key, api_key_env and api_key_file; leave all but one out
    radiosonde.toml, line 37: exporters[8].api_key_file = "/nowhere/hunter": cannot be read: No such file or directory (os error 2); make the file readable
    radiosonde.toml, line 41: exporters[9].labels = [...]: is not a table; write { name = "value" }
    radiosonde.toml, line 45: exporters[10].timeout = "1ms": is too short; write 10ms or more
    radiosonde.toml, line 50: exporters[11].logs = 7: is no template; write a text of JSON with {{field}} in it, or a list of fields
    radiosonde.toml, line 49: exporters[11].layout = "heap": is not known; write one of array, lines
    radiosonde.toml, line 47: exporters[11]: has no endpoint; write endpoint = "https://..."
    "#);
}
