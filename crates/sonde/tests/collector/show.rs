//! All of one identifier in one output, from one store.

use super::*;

/// A log that has the caller's identifier, and a metric with an exemplar, both of the trace.
fn more() -> [(&'static str, Value); 2] {
    let now = now_ns().to_string();
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]});
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let log = json!({"timeUnixNano": now, "severityNumber": 9, "body": {"stringValue": "order taken"}, "traceId": TRACE,
        "spanId": "b7ad6b7169203331", "attributes": [text("request_id", "abc123")]});
    let exemplar = json!({"timeUnixNano": now, "asDouble": 0.08, "traceId": TRACE, "spanId": "b7ad6b7169203331"});
    let point = json!({"timeUnixNano": now, "startTimeUnixNano": now, "count": "1", "sum": 0.08, "bucketCounts": ["1", "0"],
        "explicitBounds": [0.1], "exemplars": [exemplar], "attributes": [text("model", "tiny")]});
    [
        (
            "/v1/logs",
            json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [log]}]}]}),
        ),
        (
            "/v1/metrics",
            json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [
                {"name": "request.duration", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}}]}]}]}),
        ),
    ]
}

#[test]
fn one_identifier_brings_its_trace_logs_exemplars_and_flame_graph_and_after_kill_9() {
    let folder = TempDir::new().unwrap();
    let mut collector = Collector::start(folder.path());
    collector.send("/v1development/profiles", &profiles::request());
    for (path, body) in request().into_iter().chain(more()) {
        collector.send(path, &body);
    }
    let check = |collector: &Collector| {
        for id in [TRACE, "b7ad6b7169203331", "abc123"] {
            let shown = collector.text(&["show", id]);
            for part in [
                "generate [engine]",
                "WARN the queue is long",
                "INFO order taken request_id=abc123",
                "request.duration  0.08 s",
                "model=tiny",
                "matmul",
                "torch",
            ] {
                assert!(shown.contains(part), "{id}: {part}\n{shown}");
            }
        }
        let answer = collector.json(&["show", "abc123"]);
        assert_eq!(
            (&answer["kind"], &answer["trace"]["trace_id"]),
            (&json!("correlation"), &json!(TRACE))
        );
        assert_eq!(answer["exemplars"][0]["value"], 0.08);
        assert_eq!(answer["flame"]["samples"], 60);
        let nothing = collector.ask(&["show", "abc124"]);
        let said = String::from_utf8(nothing.stderr).unwrap();
        assert!(
            nothing.status.code() == Some(1)
                && said.contains("nothing here has the identifier `abc124`; give"),
            "{said}"
        );
    };
    check(&collector);
    collector.signal("-9");
    collector.child.wait().unwrap();
    check(&Collector::start(folder.path()));
}
