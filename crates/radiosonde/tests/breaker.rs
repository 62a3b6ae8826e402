//! What a circuit breaker records, in a recording of its own process.

use std::{thread, time::Duration};

use radiosonde::{
    breaker::{Breaker, CallError, Rules, State},
    health::{CheckOptions, Patience},
};
use serde_json::Value;

/// The events of a file of JSON lines, each as its name and what else it says, without times.
fn events(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let shown = lines.filter_map(|line: Value| {
        let kind = line["event"]["type"].as_str()?.to_owned();
        let data = &line["event"]["data"];
        let said = match kind.as_str() {
            "CircuitBreakerCalled" => data["allowed"].to_string(),
            "CircuitBreakerCallEnded" => {
                assert!(
                    data["duration_ns"].is_u64() || data["duration"].is_u64(),
                    "{line}"
                );
                data["result"].to_string()
            }
            "CircuitBreakerOpened" => data["failure_count"].to_string(),
            "CircuitBreakerHalfOpened" | "CircuitBreakerClosed" => String::new(),
            "HealthWorsened" | "HealthRecovered" if data["check"] == "backend" => {
                return Some(format!(
                    "{kind} {} from {}",
                    data["status"], data["previous"]
                ));
            }
            _ => return None,
        };
        assert_eq!(data["device"], "backend", "{line}");
        Some(format!("{kind} {said}").trim_end().to_owned())
    });
    shown.collect()
}

/// Calls until that succeeds, and says how often it was refused before.
fn until_closed(backend: &Breaker, open_for: Duration) -> usize {
    let mut refused = 0;
    while backend.state() != State::Closed {
        match backend.call(|| Ok::<_, &str>(7)) {
            Ok(_) => {}
            Err(CallError::Rejected(rejected)) => {
                refused += 1;
                assert!(rejected.retry_after <= open_for);
                thread::sleep(rejected.retry_after);
            }
            Err(CallError::Failed(error)) => panic!("{error}"),
        }
    }
    refused
}

/// What is recorded of a success, two failures, calls that are refused, and one that closes the breaker.
fn expected(refused: usize) -> Vec<&'static str> {
    let mut expected = vec![
        "CircuitBreakerCalled true",
        r#"CircuitBreakerCallEnded "success""#,
        "CircuitBreakerCalled true",
        r#"CircuitBreakerCallEnded "failure""#,
        "CircuitBreakerCalled true",
        r#"CircuitBreakerCallEnded "failure""#,
        "CircuitBreakerOpened 2",
    ];
    expected.extend(vec!["CircuitBreakerCalled false"; refused]);
    expected.extend([
        "CircuitBreakerHalfOpened",
        "CircuitBreakerCalled true",
        r#"CircuitBreakerCallEnded "success""#,
        "CircuitBreakerClosed",
    ]);
    expected
}

#[test]
fn what_a_breaker_does_is_recorded_and_shown_as_health() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let guard = radiosonde::builder()
        .filter("debug")
        .discover(false)
        .json_lines(&path)
        .init()
        .unwrap();
    let rules = Rules {
        failures: 2,
        open_for: Duration::from_millis(20),
        trials: 1,
    };
    let backend = Breaker::with_rules("backend", rules);
    let (health, watched) = (guard.health(), backend.clone());
    let options = CheckOptions {
        interval: Duration::from_secs(3600),
        patience: Patience::NONE,
        ..CheckOptions::default()
    };
    let check = move || watched.outcome();
    health.check("backend", options, check).unwrap();
    let look = || assert!(health.run_now(Duration::from_secs(60)));
    look();
    assert_eq!(backend.call(|| Ok::<_, &str>(7)), Ok(7));
    for _ in 0..2 {
        let failed = backend.call(|| Err::<(), _>("away"));
        assert_eq!(failed, Err(CallError::Failed("away")));
    }
    look();
    let refused = until_closed(&backend, rules.open_for);
    look();
    assert!(guard.shutdown(Duration::from_secs(60)));
    let recorded = events(&std::fs::read_to_string(&path).unwrap());
    let (of_health, of_breaker): (Vec<_>, Vec<_>) = recorded
        .into_iter()
        .partition(|event| event.starts_with("Health"));
    assert_eq!(of_breaker, expected(refused));
    assert_eq!(
        of_health,
        [
            r#"HealthWorsened "critical" from "healthy""#,
            r#"HealthRecovered "healthy" from "critical""#,
        ]
    );
}
