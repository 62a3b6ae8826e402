//! The program as people use it: a collector that runs, programs that send to it, commands that ask it.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

#[path = "collector/library.rs"]
mod library;
#[path = "collector/profiles.rs"]
mod profiles;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "collector/checks.rs"]
mod checks;

#[path = "collector/sampling.rs"]
mod sampling;

#[path = "collector/alerts.rs"]
mod alerts;
#[path = "collector/answers.rs"]
mod answers;
#[path = "collector/bundle.rs"]
mod bundle;
#[path = "collector/cardinality.rs"]
mod cardinality;
#[path = "collector/clickhouse.rs"]
mod clickhouse;
#[path = "collector/export.rs"]
mod export;
#[path = "collector/faults.rs"]
mod faults;
#[path = "collector/following.rs"]
mod following;
#[path = "collector/full_disk.rs"]
mod full_disk;
#[path = "collector/memory.rs"]
mod memory;
#[path = "collector/replay.rs"]
mod replay;
#[path = "collector/run.rs"]
mod run;
#[path = "collector/secure.rs"]
mod secure;
#[path = "collector/show.rs"]
mod show;

const SONDE: &str = env!("CARGO_BIN_EXE_sonde");
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn sonde(arguments: &[&str]) -> Command {
    let mut command = Command::new(SONDE);
    command.args(arguments);
    for name in [
        "RADIOSONDE_COLLECTOR",
        "RADIOSONDE_TOKEN",
        "RADIOSONDE_DATA_DIR",
        "RADIOSONDE_CLICKHOUSE",
        "RADIOSONDE_CLICKHOUSE_USER",
        "RADIOSONDE_CLICKHOUSE_PASSWORD",
        "RADIOSONDE_ALERTS",
        "RADIOSONDE_DASHBOARDS",
        "RADIOSONDE_KEYS",
        "RADIOSONDE_METRIC_RULES",
        "RADIOSONDE_TLS_CA",
        "RADIOSONDE_TLS_CERT",
        "RADIOSONDE_TLS_CLIENT_CA",
        "RADIOSONDE_TLS_CLIENT_CERT",
        "RADIOSONDE_TLS_CLIENT_KEY",
        "RADIOSONDE_TLS_KEY",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_SERVICE_NAME",
        "TRACEPARENT",
    ] {
        command.env_remove(name);
    }
    command
}

/// `sonde serve` on ports that the system chooses.
fn serve() -> Command {
    let free = "127.0.0.1:0";
    sonde(&[
        "serve",
        "--otlp-grpc",
        free,
        "--otlp-http",
        free,
        "--page",
        free,
    ])
}

/// A collector on ports of its own.
struct Collector {
    child: Child,
    page: String,
    otlp_http: String,
    otlp_grpc: String,
}

impl Collector {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, |_| {})
    }

    fn start_with(folder: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = serve();
        command.arg("--data").arg(folder);
        change(&mut command);
        Self::started(command)
    }

    fn started(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = |what: &str| {
            let line = lines
                .find(|line| line.as_ref().unwrap().contains(what))
                .unwrap()
                .unwrap();
            line.split_whitespace().last().unwrap().to_owned()
        };
        let (page, otlp_http) = (address("page"), address("OTLP/HTTP"));
        let otlp_grpc = address("OTLP/gRPC");
        // What it says later is read, so that it can go on saying it.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            page,
            otlp_http,
            otlp_grpc,
        }
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        sonde(arguments)
            .env("RADIOSONDE_COLLECTOR", &self.page)
            .output()
            .unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments
            .iter()
            .copied()
            .chain(["--format", "json"])
            .collect();
        serde_json::from_str(&self.text(&arguments)).unwrap()
    }

    fn send(&self, path: &str, body: &Value) {
        let request =
            ureq::post(format!("{}{path}", self.otlp_http)).content_type("application/json");
        assert_eq!(request.send(body.to_string()).unwrap().status(), 200);
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now_ns() -> u64 {
    std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos() as u64
}

/// A request of 80 ms that waited for 60 of them, and a log in it.
fn request() -> [(&'static str, Value); 3] {
    let start = now_ns() - 1_000_000_000;
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "engine"}}]});
    let span = |id: &str, parent: &str, name: &str, from_ms: u64, to_ms: u64| {
        json!({"traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": name, "kind": 2,
            "startTimeUnixNano": (start + from_ms * 1_000_000).to_string(), "endTimeUnixNano": (start + to_ms * 1_000_000).to_string(),
            "attributes": [{"key": "gpu.op", "value": {"stringValue": "softmax"}}]})
    };
    let spans = [
        span("b7ad6b7169203331", "", "generate", 0, 80),
        span("00f067aa0ba902b7", "b7ad6b7169203331", "queue", 5, 65),
    ];
    let log = json!({"timeUnixNano": start.to_string(), "severityNumber": 13, "body": {"stringValue": "the queue is long"},
        "traceId": TRACE, "spanId": "b7ad6b7169203331"});
    let point = json!({"asInt": "7", "timeUnixNano": start.to_string()});
    [
        (
            "/v1/traces",
            json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}),
        ),
        (
            "/v1/logs",
            json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [log]}]}]}),
        ),
        (
            "/v1/metrics",
            json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [
            {"name": "queue.depth", "unit": "{request}", "gauge": {"dataPoints": [point]}}]}]}]}),
        ),
    ]
}

/// Every command finds what [`request`] has.
fn every_command_finds_it(collector: &Collector) {
    let traces = collector.json(&["traces", "gpu.op = softmax and duration > 70ms"]);
    assert_eq!(traces["traces"][0]["trace_id"], TRACE);
    assert_eq!(traces["traces"][0]["spans"], 2);
    let drawn = collector.text(&["trace", TRACE]);
    assert!(
        drawn.contains("generate [engine]") && drawn.contains("the queue is long"),
        "{drawn}"
    );
    assert!(
        collector
            .text(&["logs", "--severity", "warn"])
            .contains("the queue is long")
    );
    assert!(collector.text(&["metrics"]).contains("queue.depth"));
    assert_eq!(
        collector.json(&["metrics", "queue.depth"])["series"][0]["points"][0][1],
        7.0
    );
    let why = collector.text(&["why", "--trace", TRACE]);
    assert!(why.contains("queue"), "{why}");
    assert_eq!(collector.text(&["why"]), why);
    let counted = collector.text(&[
        "query",
        "SELECT service, count(*) AS spans FROM spans GROUP BY 1",
    ]);
    assert_eq!(counted, "service  spans\nengine       2\n");
    let read = collector.text(&["query", "--promql", "queue_depth * 2"]);
    assert!(
        read.contains(r#"{job="engine"}"#) && read.contains("14"),
        "{read}"
    );
    let steps = collector.json(&["query", "--promql", "queue_depth", "--step", "1m"]);
    assert_eq!(steps["result"][0]["metric"]["__name__"], "queue_depth");
}

#[test]
fn what_was_sent_is_found_by_every_command_and_after_kill_9() {
    let folder = TempDir::new().unwrap();
    let mut collector = Collector::start(folder.path());
    for (path, body) in request() {
        collector.send(path, &body);
    }
    every_command_finds_it(&collector);
    assert!(collector.text(&["doctor"]).contains("http/json"));
    collector.signal("-9");
    collector.child.wait().unwrap();
    let collector = Collector::start(folder.path());
    every_command_finds_it(&collector);
}

#[test]
fn a_collector_that_is_told_to_end_ends_well_and_a_second_one_on_its_folder_says_so() {
    let folder = TempDir::new().unwrap();
    let mut collector = Collector::start(folder.path());
    let second = serve().arg("--data").arg(folder.path()).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(said.contains(&collector.child.id().to_string()), "{said}");
    for (path, body) in request() {
        collector.send(path, &body);
    }
    collector.signal("-TERM");
    assert_eq!(collector.child.wait().unwrap().code(), Some(0));
    assert!(
        std::fs::read_dir(folder.path().join("spans"))
            .unwrap()
            .count()
            > 0,
        "rows are in segments"
    );
}

#[test]
fn beyond_this_machine_nothing_listens_without_a_token() {
    let folder = TempDir::new().unwrap();
    let open = sonde(&["serve", "--page", "0.0.0.0:0", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(open.stderr).unwrap();
    assert!(
        open.status.code() == Some(1) && said.contains("token"),
        "{said}"
    );
    let token = "0123456789abcdef0123456789abcdef";
    let collector = Collector::start_with(folder.path(), |command| {
        command.env("RADIOSONDE_TOKEN", token);
    });
    let refused = collector.ask(&["doctor"]);
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("the token is missing")
    );
    let answered = sonde(&["doctor"])
        .env("RADIOSONDE_COLLECTOR", &collector.page)
        .env("RADIOSONDE_TOKEN", token)
        .output()
        .unwrap();
    assert!(answered.status.success());
    let unsigned = ureq::post(format!("{}/v1/traces", collector.otlp_http))
        .content_type("application/json")
        .send("{}");
    assert!(
        matches!(unsigned, Err(ureq::Error::StatusCode(401))),
        "{unsigned:?}"
    );
}

#[test]
fn a_recording_is_imported() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let recording = folder.path().join("events.jsonl");
    let guard = radiosonde::builder()
        .console(false)
        .json_lines(&recording)
        .init()
        .unwrap();
    tracing::info_span!("request", shape = "[1,2]").in_scope(|| {
        tracing::info_span!("queue").in_scope(|| tracing::warn!(depth = 3, "the queue is long"));
    });
    drop(guard);
    let imported = collector.json(&[
        "import",
        recording.to_str().unwrap(),
        "--service",
        "recorded",
    ]);
    assert_eq!(imported["spans"], 2, "{imported}");
    assert_eq!(imported["refused"], 0);
    let listed = collector.json(&["query", "SELECT service, count(*) FROM spans GROUP BY 1"]);
    assert_eq!(listed["rows"][0], json!(["recorded", imported["spans"]]));
}

#[test]
fn an_agent_asks_over_standard_input_and_output() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    for (path, body) in request() {
        collector.send(path, &body);
    }
    let mut agent = sonde(&["mcp"])
        .env("RADIOSONDE_COLLECTOR", &collector.page)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let call = |id: u32, name: &str, arguments: Value| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}}).to_string()
    };
    let messages = [
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}).to_string(),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string(),
        call(1, "traces", json!({"order": "slowest", "limit": 5})),
        call(2, "why", json!({"trace_id": TRACE})),
        call(3, "query", json!({"statement": "DELETE FROM spans"})),
    ];
    agent
        .stdin
        .take()
        .unwrap()
        .write_all(messages.join("\n").as_bytes())
        .unwrap();
    let output = agent.wait_with_output().unwrap();
    let answers: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[0]["result"]["serverInfo"]["name"], "radiosonde");
    let text = |at: usize| {
        answers[at]["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
    };
    assert!(text(1).contains(TRACE));
    assert!(text(2).contains("verdict"));
    assert_eq!(answers[3]["result"]["isError"], true);
}

#[test]
fn without_a_collector_the_mend_is_said() {
    let output = sonde(&["traces", "--collector", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && said.contains("sonde serve"),
        "{said}"
    );
}
