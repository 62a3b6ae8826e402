//! The real OpenTelemetry SDKs for Python and JavaScript, over each of their protocols. Skipped, and said to be, where they
//! are not and cannot be installed.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
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
    arrived(&running, "python", protocol);
}

/// What both SDKs are told to send is there.
fn arrived(running: &Running, language: &str, protocol: &str) {
    let spans = "SELECT service, name, kind, status, status_message, attributes['tokens'], attributes['sizes'], \
                 parent_span_id IS NULL, links != '' FROM spans ORDER BY start_time, name DESC";
    let expected = format!(
        "{language}-{protocol} | root | server | unset |  | 7 | [1,2] | true | false\n\
         {language}-{protocol} | child | internal | error | declined | - | - | false | true"
    );
    assert_eq!(running.ask(spans), expected);
    let logs = "SELECT event_name, severity, body, l.span_id = s.span_id FROM logs l, spans s WHERE s.name = 'child' \
                ORDER BY event_name";
    let expected =
        " | 13 | low on stock | true\nexception | 17 | no money | true\nretry | 0 |  | true";
    assert_eq!(running.ask(logs), expected);
    // Readers collect once more when they are shut down.
    let points = "SELECT DISTINCT name, unit, kind, value, count FROM points WHERE name IN \
                  ('counter', 'updown', 'gauge', 'explicit', 'exponential') ORDER BY name";
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

/// A folder with the JavaScript SDK of the versions that the lock names, and the program that uses it.
fn javascript() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receive/javascript");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("javascript-sdk");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::read(source.join("package-lock.json")).unwrap();
    let is_installed = fs::read(folder.join("installed")).is_ok_and(|installed| installed == lock);
    for name in ["package.json", "package-lock.json", "sdk.mjs"] {
        fs::copy(source.join(name), folder.join(name)).unwrap();
    }
    if is_installed {
        return Some(folder);
    }
    let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let installed = Command::new(npm)
        .args(arguments)
        .current_dir(&folder)
        .output();
    let why = match installed {
        Ok(output) if output.status.success() => {
            fs::write(folder.join("installed"), lock).unwrap();
            return Some(folder);
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(
        !why.contains("EUSAGE"),
        "package-lock.json is not of package.json: {why}"
    );
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: the OpenTelemetry SDK for JavaScript could not be installed (npm {}): {why}",
        arguments.join(" ")
    );
    None
}

#[test]
fn the_javascript_sdk_over_every_protocol() {
    let Some(folder) = javascript() else {
        return;
    };
    for (protocol, compression) in [
        ("proto", "none"),
        ("proto", "gzip"),
        ("http", "gzip"),
        ("grpc", "none"),
    ] {
        let running = Running::start();
        let endpoint = if protocol == "grpc" {
            running.grpc()
        } else {
            running.http("")
        };
        let sent = Command::new("node")
            .args(["sdk.mjs", protocol, &endpoint, compression])
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&sent.stderr);
        assert!(
            sent.status.success() && said.is_empty(),
            "{protocol}: {said}"
        );
        arrived(&running, "javascript", protocol);
    }
}
