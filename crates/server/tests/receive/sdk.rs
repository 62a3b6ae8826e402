//! The real OpenTelemetry SDK for Python, over both protocols. Skipped, and said to be, where it is not installed.

use std::{
    env,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use super::server::Running;

/// A Python that has the SDK: the one that `TEST_PYTHON` names, else `python3`.
fn python() -> Option<String> {
    let python = env::var("TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports = "import opentelemetry.sdk, opentelemetry.exporter.otlp.proto.grpc, opentelemetry.exporter.otlp.proto.http";
    let found = Command::new(&python)
        .args(["-c", imports])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {python} has no OpenTelemetry SDK (pip install opentelemetry-sdk opentelemetry-exporter-otlp)"
        );
    }
    found.then_some(python)
}

fn sends(protocol: &str, compression: &str) {
    let Some(python) = python() else {
        return;
    };
    let running = Running::start();
    let endpoint = if protocol == "grpc" {
        running.grpc()
    } else {
        running.http("")
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receive/sdk.py");
    let sent = Command::new(python)
        .arg(script)
        .args([protocol, &endpoint, compression])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success() && !said.contains("Failed"), "{said}");
    let spans = "SELECT service, name, kind, status, status_message, attributes['tokens'], attributes['sizes'], \
                 parent_span_id IS NULL, links != '' FROM spans ORDER BY start_time";
    let expected = format!(
        "python-{protocol} | root | server | unset |  | 7 | [1,2] | true | false\n\
         python-{protocol} | child | internal | error | declined | - | - | false | true"
    );
    assert_eq!(running.ask(spans), expected);
    let logs = "SELECT event_name, severity, body, l.span_id = s.span_id FROM logs l, spans s WHERE s.name = 'child' \
                ORDER BY event_name";
    let expected =
        " | 13 | low on stock | true\nexception | 17 | no money | true\nretry | 0 |  | true";
    assert_eq!(running.ask(logs), expected);
    // Readers collect once more when they are shut down.
    let points = "SELECT DISTINCT name, unit, kind, value, count FROM points WHERE service LIKE 'python-%' \
                  AND name IN ('counter', 'updown', 'gauge', 'explicit', 'exponential') ORDER BY name";
    let expected = "counter | 1 | counter | 3.0 | 0\nexplicit | s | histogram | 0.3 | 1\n\
                    exponential |  | histogram | 4.601 | 4\ngauge |  | gauge | 1.5 | 0\n\
                    updown |  | up_down_counter | -2.0 | 0";
    assert_eq!(running.ask(points), expected);
    let scale = "SELECT DISTINCT json_value(distribution, 'scale') IS NOT NULL FROM points WHERE name = 'exponential'";
    assert_eq!(running.ask(scale), "true");
}

#[test]
fn the_python_sdk_over_grpc() {
    sends("grpc", "none");
}

#[test]
fn the_python_sdk_over_grpc_with_gzip() {
    sends("grpc", "gzip");
}

#[test]
fn the_python_sdk_over_http() {
    sends("http", "none");
}

#[test]
fn the_python_sdk_over_http_with_gzip() {
    sends("http", "gzip");
}
