//! What the doctor says of telemetry that arrived and is not whole.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Collector, now_ns};

const SECOND: u64 = 1_000_000_000;

/// A span of a service; `at` is when it began, and it took a millisecond.
fn send(collector: &Collector, service: &str, at: u64, parent: &str, trace_state: &str) {
    let span = json!({"traceId": format!("{:032x}", at), "spanId": "b7ad6b7169203331", "parentSpanId": parent, "name": "step",
        "traceState": trace_state, "startTimeUnixNano": at.to_string(), "endTimeUnixNano": (at + 1_000_000).to_string()});
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]});
    let body =
        json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]});
    collector.send("/v1/traces", &body);
}

/// A total of what a service lost because a queue of it was full.
fn send_loss(collector: &Collector, lost: u64) {
    let point = json!({"asInt": lost.to_string(), "timeUnixNano": now_ns().to_string(),
        "attributes": [{"key": "error.type", "value": {"stringValue": "queue_full"}}]});
    let metric = json!({"name": "radiosonde.lost", "sum": {"isMonotonic": true, "aggregationTemporality": 2, "dataPoints": [point]}});
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "leaky"}}]});
    let body = json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]});
    collector.send("/v1/metrics", &body);
}

#[test]
fn the_doctor_says_why_telemetry_is_not_whole() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let now = now_ns();
    send(&collector, "well", now - SECOND, "", "");
    let doctor = collector.text(&["doctor"]);
    assert!(!doctor.contains("WARN"), "{doctor}");
    for check in [
        "pass  clock",
        "pass  sampling",
        "pass  losses",
        "pass  parents",
    ] {
        assert!(doctor.contains(check), "{check}: {doctor}");
    }
    send(&collector, "early", now + 3_600 * SECOND, "", "");
    send(&collector, "thrifty", now - 2 * SECOND, "", "ot=th:c");
    send(
        &collector,
        "killed",
        now - 300 * SECOND,
        "00f067aa0ba902b7",
        "",
    );
    send_loss(&collector, 3);
    send_loss(&collector, 12);
    let doctor = collector.text(&["doctor"]);
    for words in [
        "WARN  clock     the clock of `early` is",
        "`thrifty` leaves traces out itself: 1 that arrived stand for about 4",
        "WARN  losses    `leaky` dropped 12 records (radiosonde.lost, queue_full)",
        "WARN  parents   1 span of `killed` has a parent that never arrived, and nothing came from it since",
        "flush before the process ends",
    ] {
        assert!(doctor.contains(words), "{words}: {doctor}");
    }
    let checks = collector.json(&["doctor"])["checks"].clone();
    let warned = checks.as_array().unwrap().iter();
    let warned: Vec<&Value> = warned
        .filter(|check| check["outcome"] == "warn")
        .map(|check| &check["service"])
        .collect();
    assert_eq!(warned, ["early", "leaky", "killed"]);
}
