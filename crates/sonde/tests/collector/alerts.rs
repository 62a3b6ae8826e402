//! Alerts from a metric that is sent to a webhook that is called: whoever is told, silenced, tested, and what was told before
//! a collector was killed.

use std::{
    io::Read as _,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::*;

/// Takes requests, and keeps their bodies.
struct Hook {
    url: String,
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = bytes.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                kept.lock()
                    .unwrap()
                    .push(serde_json::from_slice(&body).unwrap());
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { url, bodies }
    }

    fn count(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }

    /// The first body that is as `is`, once it is there.
    fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, || {
            let bodies = self.bodies.lock().unwrap();
            bodies.iter().find(|body| is(body)).cloned()
        })
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{what}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// A collector that watches a queue, and tells `hook`.
fn collector(folder: &Path, hook: &Hook) -> Collector {
    let file = folder.join("alerts.toml");
    let text = format!(
        r#"
        [[rules]]
        name = "queue_is_long"
        threshold = {{ of = "test.queue.depth", above = 10 }}
        annotations = {{ summary = "{{{{value}}}} wait in {{{{labels.queue}}}}", action = "Add a worker." }}

        [route]
        receiver = "team"
        group_wait = "0s"
        group_interval = "1s"
        flap_firings = 0

        [receivers.team]
        kind = "webhook"
        url = "{}"
        "#,
        hook.url
    );
    std::fs::write(&file, text).unwrap();
    Collector::start_with(&folder.join("data"), |command| {
        command.arg("--alerts").arg(&file);
    })
}

fn send_depth(collector: &Collector, depth: f64) {
    let point = json!({
        "timeUnixNano": now_ns().to_string(),
        "asDouble": depth,
        "attributes": [{"key": "queue", "value": {"stringValue": "orders"}}],
    });
    let metric = json!({"name": "test.queue.depth", "gauge": {"dataPoints": [point]}});
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]});
    let url = format!("{}/v1/metrics", collector.otlp_http);
    let sent = faults::post(&url, &body.to_string());
    assert_eq!(sent.status, 200, "{}", sent.text);
}

fn firing(collector: &Collector) -> Vec<String> {
    let answer = collector.json(&["alerts"]);
    let alerts = answer["alerts"].as_array().unwrap().iter();
    let firing = alerts.filter(|alert| alert["phase"] == "firing");
    let names = firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned());
    names.filter(|name| name == "queue_is_long").collect()
}

#[test]
fn an_alert_is_told_once_survives_kill_9_and_its_end_is_told() {
    let folder = TempDir::new().unwrap();
    let hook = Hook::start();
    let running = collector(folder.path(), &hook);
    send_depth(&running, 25.0);
    let told = hook.wait("nobody was told", |body| body["status"] == "firing");
    let alert = &told["alerts"][0];
    assert_eq!(alert["labels"]["alertname"], "queue_is_long");
    assert_eq!(alert["labels"]["queue"], "orders");
    assert_eq!(alert["annotations"]["summary"], "25 wait in orders");
    assert_eq!(alert["annotations"]["action"], "Add a worker.");
    assert_eq!(firing(&running), ["queue_is_long"]);
    let shown = running.text(&["alerts"]);
    assert!(
        shown.contains("queue_is_long") && shown.contains("Add a worker."),
        "{shown}"
    );
    // What is known is written every 15 s.
    thread::sleep(Duration::from_secs(17));
    let before = hook.count();
    // It is killed.
    drop(running);

    let running = collector(folder.path(), &hook);
    send_depth(&running, 30.0);
    until("it does not fire on", || {
        (!firing(&running).is_empty()).then_some(())
    });
    thread::sleep(Duration::from_secs(6));
    assert_eq!(hook.count(), before, "told again after a restart");
    send_depth(&running, 3.0);
    let told = hook.wait("its end is not told", |body| body["status"] == "resolved");
    assert_eq!(told["alerts"][0]["labels"]["queue"], "orders");
    assert!(firing(&running).is_empty());
}

#[test]
fn a_silence_keeps_an_alert_back_and_a_rehearsal_says_what_was() {
    let folder = TempDir::new().unwrap();
    let hook = Hook::start();
    let running = collector(folder.path(), &hook);
    let made = running.text(&[
        "alerts",
        "silence",
        "alertname=queue_is_long",
        "--for",
        "1h",
    ]);
    assert!(made.starts_with("silence-"), "{made}");
    send_depth(&running, 25.0);
    until("it does not fire", || {
        (!firing(&running).is_empty()).then_some(())
    });
    let held = running.json(&["alerts"]);
    assert_eq!(held["held"][0]["because"]["kind"], "silenced", "{held}");
    assert_eq!(hook.count(), 0);
    assert!(running.text(&["alerts"]).contains("silenced"));

    let tested = running.text(&["alerts", "test", "team"]);
    assert!(tested.contains("arrived"), "{tested}");
    let told = hook.wait("the test did not arrive", |_| true);
    assert_eq!(told["alerts"][0]["labels"]["alertname"], "RadiosondeTest");
    let unknown = running.ask(&["alerts", "test", "nobody"]);
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said.contains("there is no receiver `nobody`"), "{said}");

    let id = made.split_whitespace().next().unwrap();
    running.text(&["alerts", "unsilence", id]);
    hook.wait("nobody was told after the silence", |body| {
        body["alerts"][0]["labels"]["alertname"] == "queue_is_long"
    });

    let rehearsed = running.json(&["alerts", "backtest", "queue_is_long", "--from", "-10m"]);
    let again = running.json(&["alerts", "backtest", "queue_is_long", "--from", "-10m"]);
    let first = &rehearsed["changes"][0]["alert"];
    assert_eq!(first["labels"]["queue"], "orders", "{rehearsed}");
    assert_eq!(rehearsed["messages"][0]["receiver"], "team");
    let labels = |answer: &Value| answer["changes"][0]["alert"]["labels"].clone();
    assert_eq!(labels(&rehearsed), labels(&again));
}

#[test]
fn a_file_that_is_wrong_is_told_whole_before_anything_starts() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("alerts.toml");
    let text = "[[rules]]\nname = \"a\"\nthreshold = { of = \"m\", above = 1 }\n[route]\nreceiver = \"nobody\"\n";
    std::fs::write(&file, text).unwrap();
    let mut command = serve();
    command.arg("--data").arg(folder.path().join("data"));
    command.arg("--alerts").arg(&file);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("alerts.toml") && said.contains("`nobody` is no receiver"),
        "{said}"
    );
}
