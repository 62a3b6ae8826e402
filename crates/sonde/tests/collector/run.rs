//! Programs under observation.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_run_keeps_what_the_program_writes_and_ends_as_it_does() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let script = "echo out; echo err >&2; echo $OTEL_EXPORTER_OTLP_ENDPOINT $OTEL_SERVICE_NAME $TRACEPARENT; exit 3";
    let output = collector.ask(&[
        "run",
        "--service",
        "script",
        "--format",
        "json",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(output.status.code(), Some(3));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let (first, report) = stderr.split_once('\n').unwrap();
    assert_eq!(first, "err");
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(
        (
            report["exit_code"].as_u64(),
            report["log_lines"].as_u64(),
            report["delivered"].as_bool()
        ),
        (Some(3), Some(3), Some(true))
    );
    let trace_id = report["trace_id"].as_str().unwrap();
    assert!(
        stdout.starts_with("out\n")
            && stdout.contains(&format!("{} script 00-{trace_id}-", collector.otlp_http)),
        "{stdout}"
    );
    let trace = collector.json(&["trace", trace_id]);
    assert_eq!(trace["spans"][0]["attributes"]["process.exit.code"], 3);
    assert_eq!(trace["spans"][0]["status"], "error");
    let lines: Vec<_> = trace["logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|log| log["body"].as_str().unwrap())
        .collect();
    assert!(
        lines.contains(&"out") && lines.contains(&"err"),
        "{lines:?}"
    );
    let missing = collector.ask(&["run", "--", "/nowhere/no-such-program"]);
    assert_eq!(missing.status.code(), Some(127));
}

#[test]
fn a_run_without_a_collector_starts_one_and_reports() {
    let folder = TempDir::new().unwrap();
    let output = sonde(&["run", "--data"])
        .arg(folder.path())
        .args(["--", "sh", "-c", "echo hello"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(output.stdout, b"hello\n");
    assert!(
        said.contains("ended with 0") && said.contains("1 lines"),
        "{said}"
    );
}

/// `sonde run --format json` of a script: what it wrote, and the report, which is the last that is on standard error.
fn reported(
    collector: &Collector,
    script: &str,
    change: impl FnOnce(&mut Command),
) -> (String, String, Value) {
    let mut command = sonde(&[
        "run",
        "--service",
        "script",
        "--format",
        "json",
        "--",
        "sh",
        "-c",
    ]);
    command
        .arg(script)
        .env("RADIOSONDE_COLLECTOR", &collector.page);
    change(&mut command);
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let at = stderr.find("{\n").unwrap();
    let report = serde_json::from_str(&stderr[at..]).unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    (stdout, stderr[..at].to_owned(), report)
}

/// So many traces of two spans each, every tenth with one that failed, of a resource with these attributes.
fn traces(resource: &Value, many: u64) -> Value {
    let start = now_ns() + 1_000_000;
    let spans: Vec<Value> = (0..many)
        .flat_map(|number| {
            let trace = format!("{:032x}", u128::from(start) << 32 | u128::from(number + 1));
            let code = if number.is_multiple_of(10) { 2 } else { 0 };
            let end = (start + 1000 + number).to_string();
            let start = start.to_string();
            [
                json!({"traceId": trace, "spanId": "b7ad6b7169203331", "name": "root", "kind": 1,
                    "startTimeUnixNano": start, "endTimeUnixNano": end}),
                json!({"traceId": trace, "spanId": "00f067aa0ba902b7", "parentSpanId": "b7ad6b7169203331", "name": "child",
                    "kind": 1, "startTimeUnixNano": start, "endTimeUnixNano": end, "status": {"code": code}}),
            ]
        })
        .collect();
    json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"spans": spans}]}]})
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// The program says its environment, and goes on when it is told, but for a minute at most.
#[test]
fn a_report_counts_all_spans_of_the_run_and_none_of_others() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let (told, go) = (folder.path().join("told"), folder.path().join("go"));
    let script = format!(
        "echo \"$OTEL_RESOURCE_ATTRIBUTES\" > '{0}.part'; mv '{0}.part' '{0}'; n=0; while [ ! -e '{1}' ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n+1)); done; exit 42",
        told.display(),
        go.display()
    );
    let (_, _, report) = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            reported(&collector, &script, |command| {
                command.env("OTEL_RESOURCE_ATTRIBUTES", "team=a");
            })
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        while !told.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = std::fs::read_to_string(&told).unwrap();
        let (team, id) = said.trim().split_once(',').unwrap();
        let (_, id) = id.split_once("radiosonde.run.id=").unwrap();
        assert_eq!(team, "team=a");
        let ours = json!([
            attribute("service.name", "script"),
            attribute("radiosonde.run.id", id)
        ]);
        let others = json!([attribute("service.name", "script")]);
        collector.send("/v1/traces", &traces(&ours, 1500));
        collector.send("/v1/traces", &traces(&others, 70));
        std::fs::write(&go, "").unwrap();
        run.join().unwrap()
    });
    let sums = ["exit_code", "spans", "errors"].map(|name| report[name].as_u64());
    assert_eq!(sums, [Some(42), Some(3000), Some(150)], "{report:#}");
    assert_eq!(report["more_traces"], true);
    let operations = report["operations"].as_array().unwrap();
    let mut counted: Vec<_> = operations
        .iter()
        .map(|row| {
            (
                row["name"].as_str().unwrap(),
                row["count"].as_u64().unwrap(),
                row["errors"].as_u64().unwrap(),
            )
        })
        .collect();
    counted.sort_unstable();
    assert_eq!(counted, [("child", 1500, 150), ("root", 1500, 0)]);
    assert_eq!(report["services"][0]["requests"], 1500);
}

#[test]
fn a_program_that_only_fails_has_no_spans_that_failed() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let output = collector.ask(&["run", "--", "sh", "-c", "exit 42"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert!(said.contains("  0 spans, 0 of them errors"), "{said}");
    assert!(said.contains("The program sent no spans"), "{said}");
}

#[test]
fn a_run_ends_when_its_program_does_whatever_that_left_running() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let began = Instant::now();
    let script = "sleep 100 & echo $!; printf 'no end'";
    let (stdout, _, report) = reported(&collector, script, |_| {});
    assert!(
        began.elapsed() < Duration::from_secs(50),
        "{:?}",
        began.elapsed()
    );
    let (id, rest) = stdout.split_once('\n').unwrap();
    Command::new("kill").arg(id).status().unwrap();
    assert_eq!(rest, "no end");
    assert_eq!(report["log_lines"], 2, "{report:#}");
    let duration = report["duration_ns"].as_u64().unwrap();
    assert!(duration < 20_000_000_000, "{duration}");
}

#[test]
fn an_address_of_others_is_replaced_and_that_is_said() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let script = "echo \"$OTEL_EXPORTER_OTLP_ENDPOINT|$OTEL_EXPORTER_OTLP_LOGS_ENDPOINT\"";
    let (stdout, said, _) = reported(&collector, script, |command| {
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://10.0.0.9:4318")
            .env(
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                "http://10.0.0.9:4318/v1/logs",
            );
    });
    assert_eq!(stdout, format!("{}|\n", collector.otlp_http));
    assert!(
        said.contains(
            "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT replaced or removed"
        ),
        "{said}"
    );
}
