//! Answers against those of Prometheus 2.42 to the same queries over the same fixture.
//!
//! `RADIOSONDE_PROMQL_GOLDEN=write cargo test -p radiosonde-server promql` writes golden.jsonl anew from an installed
//! Prometheus (Debian's package `prometheus`, which has `promtool` too).

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    super::*,
    fixture::{Held, START_S},
};

/// What a value may differ by, relative to itself: sums are taken in another order.
const TOLERANCE: f64 = 1e-9;

struct Query {
    reach: Reach,
    text: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql")
}

fn queries() -> Vec<Query> {
    let text = fs::read_to_string(folder().join("queries.txt")).unwrap();
    let ms = |text: &str| (START_S + text.parse::<i64>().unwrap()) * 1000;
    let query = |line: &str| {
        let (when, text) = line.split_once(' ').unwrap();
        let reach = match when.split_once("..") {
            None => Reach::Instant(ms(when)),
            Some((start, rest)) => {
                let (end, step) = rest.split_once('/').unwrap();
                Reach::Range {
                    start_ms: ms(start),
                    end_ms: ms(end),
                    step_ms: step.parse::<i64>().unwrap() * 1000,
                }
            }
        };
        Query {
            reach,
            text: text.to_owned(),
        }
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(query).collect()
}

/// The answer here, as Prometheus' API would give it; of a refusal only its kind.
fn own(source: &dyn Source, query: &Query) -> Value {
    let answer = parse(&query.text)
        .and_then(|expression| evaluate(source, &expression, query.reach, Limits::default()));
    match answer {
        Ok(answer) => {
            let at = match query.reach {
                Reach::Instant(at) => at,
                Reach::Range { .. } => 0,
            };
            serde_json::from_str(&json::write(&answer, at)).unwrap()
        }
        Err(error) => {
            assert!(!error.mend.is_empty() && !error.message.is_empty());
            let word = match error.fault {
                Fault::Query => "bad_data",
                Fault::Execution => "execution",
                Fault::Timeout => "timeout",
                Fault::Internal => "internal",
            };
            json!({ "error": word })
        }
    }
}

fn number(value: &Value) -> f64 {
    value
        .as_str()
        .map_or(f64::NAN, |text| text.parse().unwrap())
}

fn is_close(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan())
        || a.total_cmp(&b).is_eq()
        || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

fn are_close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // A moment and a value.
        (Value::Array(a), Value::Array(b)) if a.len() == 2 && a[0].is_number() => {
            let is_same_time = a[0].as_f64() == b[0].as_f64();
            is_same_time && (a[1] == b[1] || is_close(number(&a[1]), number(&b[1])))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_close(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let members = a.iter().zip(b);
            a.len() == b.len()
                && members
                    .into_iter()
                    .all(|(a, b)| a.0 == b.0 && are_close(a.1, b.1))
        }
        _ => a == b,
    }
}

/// With elements in the order of their labels, which is not told, unless the query asks for an order.
fn ordered(mut answer: Value, query: &Query) -> Value {
    let is_sorted = ["sort", "topk(", "bottomk("]
        .iter()
        .any(|name| query.text.starts_with(name));
    if let Some(result) = answer["result"].as_array_mut()
        && result.iter().all(|item| item.get("metric").is_some())
        && !(is_sorted && matches!(query.reach, Reach::Instant(_)))
    {
        let key = |item: &Value| {
            let labels = item["metric"].as_object().unwrap().iter();
            labels
                .map(|(name, value)| (name.clone(), value.to_string()))
                .collect::<BTreeMap<_, _>>()
        };
        result.sort_by_cached_key(key);
    }
    answer
}

fn differences(others: &[Value]) -> Vec<String> {
    let source = Held::fixture();
    let queries = queries();
    assert_eq!(queries.len(), others.len(), "write golden.jsonl anew");
    let mut found = Vec::new();
    for (query, other) in queries.iter().zip(others) {
        let own = ordered(own(&source, query), query);
        let other = ordered(other.clone(), query);
        if !are_close(&own, &other) {
            let reach = query.reach;
            found.push(format!(
                "{} at {reach:?}\n  here       {own}\n  Prometheus {other}",
                query.text
            ));
        }
    }
    found
}

#[test]
fn answers_equal_those_of_prometheus() {
    if std::env::var_os("RADIOSONDE_PROMQL_GOLDEN").is_some() {
        return;
    }
    let golden = fs::read_to_string(folder().join("golden.jsonl")).unwrap();
    let golden: Vec<Value> = golden
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(golden.len() >= 200);
    let found = differences(&golden);
    assert!(
        found.is_empty(),
        "{} differ:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// A Prometheus over the fixture, which ends with this.
struct Prometheus {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

impl Prometheus {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let blocks = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .arg(folder().join("fixture.openmetrics"))
            .arg(data.path())
            .output()
            .unwrap();
        assert!(
            blocks.status.success(),
            "{}",
            String::from_utf8_lossy(&blocks.stderr)
        );
        let config = data.path().join("prometheus.yml");
        fs::write(&config, "global: {scrape_interval: 1h}\n").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--storage.tsdb.retention.time=100y")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Self {
            process,
            port,
            _folder: data,
        };
        let began = Instant::now();
        while !running.is_ready() {
            assert_eq!(
                running.process.try_wait().unwrap(),
                None,
                "Prometheus ended"
            );
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "Prometheus does not start"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }

    fn is_ready(&self) -> bool {
        let address = format!("http://127.0.0.1:{}/-/ready", self.port);
        ureq::get(address).call().is_ok()
    }

    fn answer(&self, query: &Query) -> Value {
        let seconds = |ms: i64| (ms / 1000).to_string();
        let (path, times) = match query.reach {
            Reach::Instant(at) => ("query", vec![("time", seconds(at))]),
            Reach::Range {
                start_ms,
                end_ms,
                step_ms,
            } => (
                "query_range",
                vec![
                    ("start", seconds(start_ms)),
                    ("end", seconds(end_ms)),
                    ("step", seconds(step_ms)),
                ],
            ),
        };
        let mut request = ureq::get(format!("http://127.0.0.1:{}/api/v1/{path}", self.port))
            .query("query", &query.text);
        for (name, value) in &times {
            request = request.query(*name, value);
        }
        let request = request.config().http_status_as_error(false).build();
        let mut text = String::new();
        let mut response = request.call().unwrap();
        response
            .body_mut()
            .as_reader()
            .read_to_string(&mut text)
            .unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        match answer["errorType"].as_str() {
            Some(word) => json!({ "error": word }),
            None => answer["data"].clone(),
        }
    }
}

/// The same queries asked of Prometheus now.
#[test]
fn a_real_prometheus_agrees() {
    if !is_installed("prometheus") || !is_installed("promtool") {
        eprintln!(
            "SKIPPED: neither prometheus nor promtool is installed; golden answers were checked alone"
        );
        return;
    }
    let prometheus = Prometheus::start();
    let answers: Vec<Value> = queries()
        .iter()
        .map(|query| prometheus.answer(query))
        .collect();
    if std::env::var("RADIOSONDE_PROMQL_GOLDEN").is_ok_and(|word| word == "write") {
        let lines: Vec<String> = answers.iter().map(Value::to_string).collect();
        fs::write(folder().join("golden.jsonl"), lines.join("\n") + "\n").unwrap();
    }
    let found = differences(&answers);
    assert!(
        found.is_empty(),
        "{} differ:\n{}",
        found.len(),
        found.join("\n")
    );
}
