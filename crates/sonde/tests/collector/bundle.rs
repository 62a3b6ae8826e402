//! The page as one file, made of what a collector has.

use super::*;

/// What must be nowhere in the file, and where it was sent.
const SECRETS: [&str; 8] = [
    "tr0ub4dor-and-3", // an attribute of a span, by its name; and said again in a log
    "sk-proj-aaaabbbbccccddddeeee", // the name of a span
    "ghp_0123456789abcdefghijABCDEFGHIJ", // a log's text
    "hunter2hunter2",  // an attribute of the resource
    "ada@example.com", // a label of a metric
    "correct-horse-battery", // an attribute of a log
    "xoxb-1111-2222-abcdefgh", // the message of a status
    "AKIAIOSFODNN7EXAMPLE", // a service
];

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// A trace like the others' with secrets wherever text can stand, of two services, and what would end a script.
fn with_secrets() -> [(&'static str, Value); 3] {
    let start = now_ns() - 1_000_000_000;
    let at = |ms: u64| (start + ms * 1_000_000).to_string();
    let resource =
        json!({"attributes": [text("service.name", "engine"), text("db.dsn", SECRETS[3])]});
    let other = json!({"attributes": [text("service.name", &format!("worker {}", SECRETS[7]))]});
    let span = |id: &str, parent: &str, name: &str, to: u64| {
        json!({"traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": name, "kind": 2,
            "startTimeUnixNano": at(0), "endTimeUnixNano": at(to),
            "status": {"code": 2, "message": format!("refused: {}", SECRETS[6])},
            "attributes": [text("user.password", SECRETS[0]), text("gpu.op", "softmax")]})
    };
    let spans = [span("b7ad6b7169203331", "", "generate", 80)];
    let calls = [span(
        "00f067aa0ba902b7",
        "b7ad6b7169203331",
        &format!("call {}", SECRETS[1]),
        60,
    )];
    let log = |body: &str| {
        json!({"timeUnixNano": at(1), "severityNumber": 13, "body": {"stringValue": body}, "traceId": TRACE,
            "spanId": "b7ad6b7169203331", "attributes": [text("session_token", SECRETS[5])]})
    };
    let logs = [
        log(&format!("the queue is long </script><!-- {}", SECRETS[2])),
        log(&format!("he typed {} there", SECRETS[0])),
    ];
    let point =
        json!({"asInt": "7", "timeUnixNano": at(1), "attributes": [text("user", SECRETS[4])]});
    [
        (
            "/v1/traces",
            json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]},
                {"resource": other, "scopeSpans": [{"spans": calls}]}]}),
        ),
        (
            "/v1/logs",
            json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": logs}]}]}),
        ),
        (
            "/v1/metrics",
            json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [
                {"name": "queue.depth", "unit": "{request}", "gauge": {"dataPoints": [point]}}]}]}]}),
        ),
    ]
}

/// The answer in the file to a question.
fn answer(document: &str, question: &str) -> Value {
    let begin = format!("<script type=\"application/json\" data-answer=\"{question}\">");
    let (_, rest) = document
        .split_once(&begin)
        .unwrap_or_else(|| panic!("no answer to {question}"));
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_page_in_one_file_has_the_data_and_no_secret_and_names_nothing_outside() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    collector.send("/v1development/profiles", &profiles::request());
    for (path, body) in with_secrets() {
        collector.send(path, &body);
    }
    let file = folder.path().join("report.html");
    let file = file.to_str().unwrap();
    let written = collector.json(&["export", file]);
    assert_eq!(
        (&written["traces"], &written["left_out"]),
        (&json!(1), &json!([])),
        "{written}"
    );
    let document = std::fs::read_to_string(file).unwrap();
    assert_eq!(written["bytes"], document.len());
    for secret in SECRETS {
        assert!(!document.contains(secret), "{secret}");
    }

    let trace = answer(&document, &format!("traces/{TRACE}"));
    assert_eq!(trace["spans"].as_array().unwrap().len(), 2);
    assert_eq!(trace["spans"][0]["attributes"]["gpu.op"], "softmax");
    assert_eq!(
        trace["spans"][0]["attributes"]["user.password"],
        "[redacted]"
    );
    let why = answer(&document, &format!("traces/{TRACE}/why"));
    assert!(why["verdict"]["kind"].is_string(), "{why}");
    let logs = answer(&document, "logs");
    let bodies = logs["logs"].to_string();
    assert!(
        bodies.contains("the queue is long </script><!-- [redacted]")
            && bodies.contains("he typed [redacted] there"),
        "{bodies}"
    );
    assert_eq!(answer(&document, "traces")["traces"][0]["trace_id"], TRACE);
    let metric = answer(&document, "metrics/queue.depth");
    assert_eq!(metric["series"][0]["points"].as_array().unwrap().len(), 1);
    assert_eq!(metric["series"][0]["attributes"]["user"], "[redacted]");
    let flame = answer(&document, &format!("flame?trace_id={TRACE}"));
    assert_eq!(flame["samples"], 60);
    for question in [
        "overview",
        "map",
        "workers",
        "queues",
        "engines",
        "metrics",
        "flame",
        "why",
        "why?service=engine",
        "why?operation=generate&amp;service=engine",
        "why?service=worker [redacted]",
    ] {
        assert!(answer(&document, question)["error"].is_null(), "{question}");
    }

    assert_names_nothing_outside(&document);
}

fn assert_names_nothing_outside(document: &str) {
    for outside in [
        "src=\"",
        "src='",
        "href=\"http",
        "href=\"/",
        "@import",
        "url(http",
        "url(/",
    ] {
        assert!(!document.contains(outside), "{outside}");
    }
    assert!(document.contains("default-src 'none'"));
}

#[test]
fn one_trace_is_a_page_of_its_own() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    for (path, body) in request() {
        collector.send(path, &body);
    }
    let others = serde_json::to_string(&request()[0].1).unwrap();
    let others = others
        .replace(TRACE, "11111111111111111111111111111111")
        .replace("b7ad6b7169203331", "1111111111111111")
        .replace("generate", "another");
    collector.send("/v1/traces", &serde_json::from_str(&others).unwrap());
    let file = folder.path().join("trace.HTML");
    let file = file.to_str().unwrap();
    // A span names its trace too, and the time is the trace's whatever it is asked for.
    let said = collector.text(&[
        "export",
        "--from",
        "-7d",
        "--to",
        "-6d",
        "--trace",
        TRACE,
        "--trace",
        "b7ad6b7169203331",
        file,
    ]);
    assert!(said.starts_with("Wrote 1 trace "), "{said}");
    let document = std::fs::read_to_string(file).unwrap();
    let traces = answer(&document, "traces");
    assert_eq!(traces["traces"].as_array().unwrap().len(), 1, "{traces}");
    assert_eq!(answer(&document, "logs")["logs"][0]["trace_id"], TRACE);
    assert!(document.contains(&format!("\"first\":\"/traces/{TRACE}\"")));
    assert!(!document.contains("data-answer=\"traces/1111"));

    let complaint = |arguments: &[&str]| {
        let output = collector.ask(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = complaint(&["export", "--trace", "abc124", file]);
    assert!(said.contains("nothing here has the identifier"), "{said}");
    let zip = folder.path().join("data.zip");
    let said = complaint(&["export", "--trace", TRACE, zip.to_str().unwrap()]);
    assert!(said.contains(".html") && !zip.exists(), "{said}");
    let nowhere = folder.path().join("no/such/folder.html");
    let said = complaint(&["export", nowhere.to_str().unwrap()]);
    assert!(
        said.contains("cannot write") && said.contains("no/such/folder.html"),
        "{said}"
    );
}
