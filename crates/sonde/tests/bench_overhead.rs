//! `sonde bench overhead` as a user runs it, with limits that no machine exceeds and with one that every machine does.

#![cfg(target_os = "linux")]

use std::process::Command;

use serde_json::Value;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn overhead(arguments: &[&str]) -> Result<(Option<i32>, Value), Box<dyn std::error::Error>> {
    let output = Command::new(env!("CARGO_BIN_EXE_sonde"))
        .args(["bench", "overhead", "--time", "500ms", "--format", "json"])
        .args(arguments)
        .output()?;
    let answer = serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("{error}: {said}")
    })?;
    Ok((output.status.code(), answer))
}

#[test]
fn what_recording_costs_is_measured_and_held_against_limits() -> TestResult {
    let wide = [
        "--memory-max",
        "10GB",
        "--cpu-percent-max",
        "100000",
        "--operation-max",
        "1h",
    ];
    let (code, answer) = overhead(&wide)?;
    assert_eq!(
        (code, &answer["holds"]),
        (Some(0), &Value::Bool(true)),
        "{answer}"
    );
    assert_eq!(answer["lost"], 0, "{answer}");
    let ns = |side: &str, quantile: &str| answer["ns_per_event"][side][quantile].as_f64().unwrap();
    assert!(ns("on", "p50") > 0.0, "{answer}");
    assert!(ns("on", "p50") <= ns("on", "p99"), "{answer}");
    assert!(answer["memory_bytes_added"].as_u64() > Some(0), "{answer}");
    assert!(answer["cpu_percent_added"].is_number(), "{answer}");
    let (code, answer) = overhead(&["--operation-max", "0ms"])?;
    assert_eq!(
        (code, &answer["holds"]),
        (Some(1), &Value::Bool(false)),
        "{answer}"
    );
    Ok(())
}
