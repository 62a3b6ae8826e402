//! What shows itself: rows as they arrive, and files that somebody changes.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{ChildStdout, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Collector, now_ns, sonde};

/// A log a second old, with the body given.
fn log(collector: &Collector, body: &str, severity: u64) {
    let time = (now_ns() - 1_000_000_000).to_string();
    let record =
        json!({"timeUnixNano": time, "severityNumber": severity, "body": {"stringValue": body}});
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
    collector.send("/v1/logs", &logs);
}

struct Following {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(collector: &Collector, arguments: &[&str]) -> Self {
        let mut child = sonde(&["query", "--follow"])
            .args(arguments)
            .env("RADIOSONDE_COLLECTOR", &collector.page)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_query_is_followed_row_by_row_and_each_row_is_said_once() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    log(&collector, "before", 17);
    let statement = "SELECT severity, body FROM logs WHERE severity >= 17";
    let mut following = Following::start(&collector, &[statement]);
    assert_eq!(following.line(), "severity  body");
    for (body, severity) in [("first", 17), ("quiet", 9), ("second", 21)] {
        log(&collector, body, severity);
    }
    assert_eq!(following.line(), "17        first");
    assert_eq!(following.line(), "21        second");
    let refused = collector.ask(&["query", "--follow", "SELECT 1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("reads no table"));
}

/// What a stream says, until it has said so many things of a kind.
fn events(body: impl std::io::Read, kind: &str, count: usize) -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = Vec::new();
    let mut name = String::new();
    for line in BufReader::new(body).lines() {
        let line = line.unwrap();
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut name);
        } else if let Some(data) = line.strip_prefix("data: ") {
            all.push((name.clone(), serde_json::from_str(data).unwrap()));
        }
        if all.iter().filter(|(name, _)| name == kind).count() == count {
            return all;
        }
    }
    all
}

#[test]
fn a_stream_is_server_sent_events_for_who_accepts_them() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let response = ureq::get(format!("{}/api/v1/sql/stream", collector.page))
        .query("statement", "SELECT body AS said, severity FROM logs")
        .header("accept", "text/event-stream")
        .call()
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    log(&collector, "one", 9);
    let events = events(response.into_body().into_reader(), "row", 1);
    assert_eq!(events[0].0, "columns");
    assert_eq!(events[0].1[0]["name"], "said");
    assert_eq!(
        events[1],
        ("row".to_owned(), json!({"said": "one", "severity": 9}))
    );
    let twice = ureq::get(format!("{}/api/v1/sql/stream", collector.page))
        .query("statement", "SELECT a.body, b.body FROM logs a, logs b")
        .config()
        .http_status_as_error(false)
        .build()
        .call()
        .unwrap()
        .into_body()
        .read_to_string()
        .unwrap();
    assert!(twice.contains("two columns are called `body`"), "{twice}");
}

const DASHBOARD: &str =
    "title = \"One\"\n[[panels]]\ntitle = \"Depth\"\nkind = \"number\"\npromql = \"queue_depth\"\n";

#[test]
fn dashboards_are_what_their_files_say_now_and_mistakes_are_said() {
    let folder = TempDir::new().unwrap();
    let boards = TempDir::new().unwrap();
    fs::write(boards.path().join("one.toml"), DASHBOARD).unwrap();
    let free = "127.0.0.1:0";
    let mut child = sonde(&[
        "serve",
        "--otlp-grpc",
        free,
        "--otlp-http",
        free,
        "--page",
        free,
    ])
    .arg("--data")
    .arg(folder.path())
    .arg("--dashboards")
    .arg(boards.path())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = |what: &str| {
        let mut lines = lines.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains(what)).unwrap()
    };
    let page = said(" page ").split_whitespace().last().unwrap().to_owned();
    let get = |path: &str| -> Value {
        let mut response = ureq::get(format!("{page}/api/v1/{path}")).call().unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    };
    assert_eq!(get("dashboards/one")["panels"][0]["promql"], "queue_depth");
    let changed = DASHBOARD.replace("One", "Two").replace("number", "numbers");
    fs::write(boards.path().join("one.toml"), changed).unwrap();
    assert_eq!(
        said("dashboard"),
        "sonde: dashboard one.toml line 4, `panels[1].kind`: there is no kind `numbers`; write kind = \"lines\", \"number\", \"table\" or \"text\""
    );
    let board = get("dashboards/one");
    assert_eq!(
        (&board["title"], &board["mistakes"][0]["line"]),
        (&json!("Two"), &json!(4))
    );
    assert_eq!(get("dashboards")["dashboards"][0]["panels"], 0);
    child.kill().unwrap();
    child.wait().unwrap();
}
