//! A collector that keeps a sample of traces.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Collector, now_ns};

/// A request of a trace of its own for each of these; every fiftieth fails.
fn requests(numbers: std::ops::Range<u64>) -> Value {
    let start = now_ns() - 1_000_000_000;
    let span = |number: u64| {
        let low = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        json!({"traceId": format!("{:016x}{low:016x}", number + 1), "spanId": "b7ad6b7169203331", "name": "order", "kind": 2,
            "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 1_000_000 + number).to_string(),
            "status": {"code": if number.is_multiple_of(50) { 2 } else { 0 }}})
    };
    let spans: Vec<Value> = numbers.map(span).collect();
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})
}

fn get(collector: &Collector, answer: &str) -> Value {
    let mut response = ureq::get(format!("{}/api/v1/{answer}", collector.page))
        .call()
        .unwrap();
    serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
}

#[test]
fn what_sampling_left_out_is_estimated_and_told() {
    let folder = TempDir::new().unwrap();
    let sampled = |command: &mut std::process::Command| {
        command.args([
            "--sample",
            "1-in-10",
            "--sample-rare",
            "0",
            "--sample-wait",
            "100ms",
        ]);
    };
    let mut collector = Collector::start_with(folder.path(), sampled);
    collector.send("/v1/traces", &requests(0..2_000));
    // A collector that is told to end writes what it has, and judges it.
    collector.signal("-TERM");
    let deadline = Instant::now() + Duration::from_secs(30);
    while collector.child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let collector = Collector::start_with(folder.path(), sampled);
    let kept = collector.json(&["query", "SELECT count(*), sum(weight) FROM spans"]);
    let kept = kept["rows"][0][0].as_f64().unwrap();
    assert!((230.0..270.0).contains(&kept), "{kept}");
    let overview = get(&collector, "overview");
    assert_eq!(overview["is_estimated"], true);
    let shop = &overview["services"][0];
    let requests_told = shop["requests"].as_f64().unwrap();
    assert!((1_900.0..2_100.0).contains(&requests_told), "{shop}");
    assert_eq!(shop["errors"], 40, "{shop}");
    let why = collector.text(&["why", "--from", "-1h"]);
    assert!(why.contains("sampling left out"), "{why}");
    // What came since it began is in what it tells of itself.
    collector.send("/v1/traces", &requests(5_000..5_100));
    let doctor = collector.text(&["doctor"]);
    assert!(doctor.contains("keeps one trace in 10 of"), "{doctor}");
    let one_in = get(&collector, "status")["sampling"]["one_in"].as_f64();
    assert!(one_in.is_some_and(|one_in| (one_in - 10.0).abs() < 1e-6));
}
