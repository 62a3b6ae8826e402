//! `sonde doctor --config` as a user runs it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    process::Command,
    thread,
};

use serde_json::Value;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Status, standard output, standard error of the doctor over a configuration.
fn doctor(configuration: &str, more: &[&str]) -> std::io::Result<(Option<i32>, String, String)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("radiosonde.toml");
    fs::write(&path, configuration)?;
    // What is set where the tests run is not what is tested.
    let output = Command::new(env!("CARGO_BIN_EXE_sonde"))
        .env_clear()
        .args(["doctor", "--config"])
        .arg(&path)
        .args(more)
        .output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    ))
}

/// Takes every request of HTTP/1.1 and says nothing of it.
fn taking() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if !reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                        return;
                    }
                    let line = line.trim_end().to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap_or(0);
                    }
                    if line.is_empty() {
                        let mut body = vec![0; std::mem::take(&mut length)];
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                        if reader.read_exact(&mut body).is_err()
                            || reader.get_mut().write_all(answer).is_err()
                        {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

#[test]
fn a_destination_that_is_not_there_fails_with_its_mend() -> TestResult {
    let closed = TcpListener::bind("127.0.0.1:0")?;
    let address = closed.local_addr()?;
    drop(closed);
    let there = taking()?;
    let configuration = format!(
        "[otlp]\nendpoint = \"http://{there}\"\n[[exporters]]\ntype = \"zipkin\"\nname = \"traces of the team\"\n\
         endpoint = \"http://{address}\"\ntimeout = \"500ms\"\n"
    );
    let (code, text, error) = doctor(&configuration, &[])?;
    assert_eq!(code, Some(1), "{text}{error}");
    for words in [
        "pass  traces     a span was accepted",
        "pass  logs       a log was accepted",
        "pass  metrics    a gauge was accepted",
        "traces of the team (zipkin)",
        "FAIL  traces",
        "nothing listens there",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (code, json, error) = doctor(&configuration, &["--format", "json"])?;
    assert_eq!(code, Some(1), "{error}");
    let answer: Value = serde_json::from_str(&json)?;
    let checks = &answer["destinations"][1]["checks"];
    assert_eq!(checks[0]["outcome"], "fail", "{answer}");
    assert!(checks[0]["mend"].is_string(), "{answer}");
    Ok(())
}

#[test]
fn all_that_is_reached_is_a_success() -> TestResult {
    let configuration = format!("[otlp]\nendpoint = \"http://{}\"\n", taking()?);
    let (code, text, error) = doctor(&configuration, &[])?;
    assert_eq!(code, Some(0), "{text}{error}");
    Ok(())
}

#[test]
fn a_wrong_configuration_is_told_with_its_line() -> TestResult {
    let (code, text, error) = doctor("[otlp]\nendpoints = \"http://127.0.0.1:4318\"\n", &[])?;
    assert_eq!((code, text.as_str()), (Some(1), ""), "{error}");
    assert!(
        error.contains("line 2") && error.contains("endpoint"),
        "{error}"
    );
    let (code, _, error) = doctor("", &["--collector", "http://127.0.0.1:1"])?;
    assert_eq!(code, Some(2), "{error}");
    Ok(())
}
