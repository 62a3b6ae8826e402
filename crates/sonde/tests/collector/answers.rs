//! Answers over many requests, as people ask for them: why for an operation and for a time, and comparisons.

use super::*;

/// 60 requests of the last minute, of which every second of the newer 20, which are of version 1.5, waits 400 ms in a
/// queue on `cuda:1`. Times are such that a text is the same in every run.
fn planted(collector: &Collector) {
    let start = now_ns() - 61_000_000_000;
    for request in 0..60_u64 {
        let is_new = request >= 40;
        let waits = is_new && request % 2 == 0;
        let queued = if waits { 400 } else { 10 };
        let work = 90 + request % 7;
        let begun = start + request * 1_000_000_000;
        let device = if waits { "cuda:1" } else { "cuda:0" };
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let span = |id: u64, parent: &str, name: &str, from: u64, to: u64| {
            json!({"traceId": trace(request), "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": name,
                "kind": if parent.is_empty() { 2 } else { 1 },
                "startTimeUnixNano": (begun + from * 1_000_000).to_string(),
                "endTimeUnixNano": (begun + to * 1_000_000).to_string(),
                "attributes": [text("device", device)]})
        };
        let root = format!("{:016x}", 1);
        let spans = [
            span(1, "", "POST /generate", 0, queued + work + 5),
            span(2, &root, "queue", 0, queued),
            span(3, &root, "forward", queued, queued + work),
        ];
        let version = if is_new { "1.5" } else { "1.4" };
        let resource = json!({"attributes": [text("service.name", "engine"), text("service.version", version)]});
        collector.send(
            "/v1/traces",
            &json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}),
        );
    }
}

fn trace(request: u64) -> String {
    format!("{:032x}", request + 1)
}

#[test]
fn an_operation_and_a_time_are_explained_and_the_words_stay_the_same() {
    let folder = TempDir::new().unwrap();
    let mut collector = Collector::start(folder.path());
    planted(&collector);
    let whole = collector.text(&["why", "--from", "-15m"]);
    insta::assert_snapshot!(whole);
    let operation = ["why", "--service", "engine", "--operation", "queue"];
    let of_operation = collector.text(&operation);
    assert!(
        of_operation.starts_with("`queue` of `engine`: 60 requests took 4.500 s together"),
        "{of_operation}"
    );
    let json = collector.json(&operation);
    assert_eq!(json["text"], of_operation);
    let evidence = &json["verdict"]["evidence"][0];
    let id = |name: &str| evidence[name].as_str().unwrap();
    let of_span = collector.text(&["why", "--trace", id("trace_id"), "--span", id("span_id")]);
    assert!(of_span.starts_with("`queue` took 400.0 ms"), "{of_span}");
    assert!(
        collector
            .text(&["trace", id("trace_id")])
            .contains("forward")
    );
    // From the segments that a stop leaves behind the words are the same.
    collector.signal("-TERM");
    collector.child.wait().unwrap();
    let collector = Collector::start(folder.path());
    assert_eq!(collector.text(&["why", "--from", "-15m"]), whole);
    assert_eq!(collector.text(&operation), of_operation);
}

#[test]
fn versions_filters_times_and_traces_are_compared() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    planted(&collector);
    let by_version = ["compare", "--versions", "1.4", "1.5"];
    let text = collector.text(&by_version);
    insta::assert_snapshot!(text);
    assert_eq!(collector.text(&by_version), text);
    let named = |arguments: &[&str]| {
        let answer = collector.json(arguments);
        let path = answer["verdict"]["path"].as_array().cloned();
        let names = ["first", "second"].map(|side| {
            let name = answer[side]["name"].as_str().unwrap();
            (
                name.to_owned(),
                answer[side]["durations"]["requests"].as_u64(),
            )
        });
        let [(first, of_first), (second, of_second)] = names;
        let label = path
            .and_then(|path| path.last().cloned())
            .unwrap_or_default();
        (
            label,
            format!("{first} {of_first:?} {second} {of_second:?}"),
        )
    };
    assert_eq!(
        named(&by_version),
        (json!("queue"), "1.4 Some(40) 1.5 Some(20)".to_owned())
    );
    // The 41st began 21 s ago.
    let (label, sides) = named(&["compare", "--at", "-21s", "--from", "-15m"]);
    assert!(
        label == "queue" && sides.starts_with("before Some("),
        "{sides}"
    );
    assert_eq!(
        named(&["compare", "device = cuda:0", "device = cuda:1"]),
        (
            json!("queue"),
            "device = cuda:0 Some(50) device = cuda:1 Some(10)".to_owned()
        )
    );
    assert_eq!(named(&["compare", &trace(0), &trace(40)]).0, "queue");
    let (label, sides) = named(&["compare", &trace(40)]);
    assert!(label == "queue" && sides.starts_with("typical"), "{sides}");
}

#[test]
fn there_is_an_answer_or_an_error_with_its_mend() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let nothing = collector.ask(&["why", "--from", "-15m"]);
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert!(
        nothing.status.code() == Some(1) && said.contains("ask for a longer time"),
        "{said}"
    );
    // That nothing is known is an answer.
    let text = collector.text(&["compare", "--versions", "1", "2"]);
    assert!(
        text.contains("cannot tell, because `1` has no requests"),
        "{text}"
    );
    for (arguments, code) in [
        (&["compare"][..], 2),
        (&["why", "--span", "1"], 2),
        (&["compare", TRACE], 1),
        (&["compare", "a <", "b"], 1),
        (&["why", "--from", "soon"], 1),
    ] {
        let output = collector.ask(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn an_agent_compares_and_asks_why_of_a_time() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    planted(&collector);
    let mut agent = sonde(&["mcp"])
        .env("RADIOSONDE_COLLECTOR", &collector.page)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let call = |name: &str, arguments: Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}).to_string()
    };
    let messages = [
        call("compare", json!({"a_version": "1.4", "b_version": "1.5"})),
        call("why", json!({"from": "-15m", "operation": "queue"})),
        call(
            "why",
            json!({"trace_id": trace(40), "span": format!("{:016x}", 2)}),
        ),
    ];
    let mut input = agent.stdin.take().unwrap();
    input.write_all(messages.join("\n").as_bytes()).unwrap();
    drop(input);
    let output = agent.wait_with_output().unwrap();
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|answer| {
            let text = answer["result"]["content"][0]["text"].as_str().unwrap();
            serde_json::from_str(text).unwrap()
        })
        .collect();
    assert_eq!(answers[0]["verdict"]["path"][1], "queue");
    assert_eq!(answers[1]["durations"]["requests"], 60);
    assert_eq!(answers[2]["interval"]["duration_ns"], 400_000_000);
}
