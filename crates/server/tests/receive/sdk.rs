//! The real OpenTelemetry SDKs for Python and JavaScript, over each of their protocols. Skipped, and said to be, where they
//! are not and cannot be installed.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::server::Running;

fn python(script: &str) -> Option<Command> {
    python_with("requirements.txt", "python-sdk", script)
}

/// A command of `python3` that finds what `requirements` names, which is installed into a folder of the tests where it is not yet.
/// Tests run in processes of their own, so the first one installs it and the others wait.
pub fn python_with(requirements: &str, folder: &str, script: &str) -> Option<Command> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receive/python");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let requirements = source.join(requirements);
    let wanted = fs::read(&requirements).unwrap();
    let (packages, marker) = (folder.join("packages"), folder.join("installed"));
    if fs::read(&marker).ok().as_ref() != Some(&wanted) {
        let _ = fs::remove_dir_all(&packages);
        let arguments = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        let installed = Command::new("python3")
            .args(arguments)
            .args(["--target".as_ref(), packages.as_os_str()])
            .args(["--requirement".as_ref(), requirements.as_os_str()])
            .output();
        let why = match installed {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: what {script} imports could not be installed (python3 {} --requirement {}): {why}",
                arguments.join(" "),
                requirements.display()
            );
            return None;
        }
        fs::write(&marker, wanted).unwrap();
    }
    let mut command = Command::new("python3");
    command.arg(source.join(script)).env("PYTHONPATH", packages);
    Some(command)
}

fn sends(protocol: &str, compression: &str) {
    let Some(mut python) = python("sdk.py") else {
        return;
    };
    let running = Running::start();
    let endpoint = if protocol == "grpc" {
        running.grpc()
    } else {
        running.http("")
    };
    let sent = python
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

#[test]
fn logfire_for_python() {
    let Some(mut python) = python("logfire_app.py") else {
        return;
    };
    let running = Running::start();
    let sent = python
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", running.http(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success() && said.is_empty(), "{said}");
    let spans = "SELECT service, name, status, status_message, attributes['tokens'], attributes['logfire.msg'], \
                 parent_span_id IS NULL FROM spans ORDER BY start_time";
    let expected = "logfire | answer {name} | unset |  | 7 | answer Ada | true\n\
                    logfire | generated {count} tokens | unset |  | - | generated 7 tokens | false\n\
                    logfire | sample | error | ValueError: declined | - | sample | false";
    assert_eq!(running.ask(spans), expected);
    let logs = "SELECT l.event_name, l.severity, l.body, s.name FROM logs l JOIN spans s ON l.span_id = s.span_id";
    assert_eq!(running.ask(logs), "exception | 17 | declined | sample");
    let points = "SELECT DISTINCT name, unit, kind, value FROM points WHERE name = 'requests'";
    assert_eq!(running.ask(points), "requests | {request} | counter | 3.0");
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
