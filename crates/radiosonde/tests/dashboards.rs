//! The dashboards, asked of a real Prometheus that scraped a program which records every event: no query is wrong, and
//! none is without an answer. Needs Debian's `prometheus` package, and says so when it is not there.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

mod dashboards {
    pub mod everything;
    pub mod prometheus;
}

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde::{
    core::events::BUILT_IN,
    dashboards::{Dashboard, grafana},
};
use serde_json::Value;

use self::dashboards::{
    everything,
    prometheus::{Prometheus, is_installed, serve},
};

/// A query of a panel, by the place where it stands.
fn queries(dashboards: &[Dashboard]) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for dashboard in dashboards {
        let json: Value = serde_json::from_str(&dashboard.json).unwrap();
        for panel in json["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let place = format!("{}: {}", dashboard.file, panel["title"]);
                queries.push((place, target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    queries
}

/// As Grafana fills in what is chosen.
fn filled(query: &str) -> String {
    query
        .replace("$service", ".*")
        .replace("$__rate_interval", "1m")
}

#[test]
fn every_query_of_every_panel_has_an_answer_of_a_prometheus() {
    if !is_installed() {
        return;
    }
    let guard = radiosonde::builder()
        .service_name("trainer")
        .console(false)
        .discover(false)
        .filter("trace")
        .http("127.0.0.1:0")
        .init()
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let recording = thread::spawn(move || {
        for step in 0.. {
            if stopped.load(Relaxed) {
                return;
            }
            everything::once(step);
            thread::sleep(Duration::from_millis(100));
        }
    });
    let prometheus = Prometheus::start("trainer", guard.http_address().unwrap());
    let mut open = queries(&grafana(BUILT_IN));
    assert!(open.len() > 100, "{} queries", open.len());
    let deadline = Instant::now() + Duration::from_mins(1);
    while !open.is_empty() && Instant::now() < deadline {
        open.retain(|(place, query)| {
            let answer = prometheus.query(&filled(query));
            assert_eq!(answer["status"], "success", "{place}: {query}: {answer}");
            answer["data"]["result"].as_array().unwrap().is_empty()
        });
        thread::sleep(Duration::from_millis(500));
    }
    stop.store(true, Relaxed);
    recording.join().unwrap();
    assert!(open.is_empty(), "without an answer: {open:#?}");
    let services = prometheus.label_values("job", "target_info");
    assert_eq!(services["data"], serde_json::json!(["trainer"]));
}

#[test]
fn shares_are_what_was_recorded() {
    if !is_installed() {
        return;
    }
    // One of four operations of one kind fails; of another all do, of a third none.
    let program = serve(|scrapes| {
        let line = |metric: &str, op: &str, times: u64| {
            let value = times * scrapes;
            format!("gpu_operation_{metric}_total{{op_name=\"{op}\",backend=\"mlx\"}} {value}\n")
        };
        line("count", "some", 3)
            + &line("count", "none", 4)
            + &line("errors", "some", 1)
            + &line("errors", "all", 4)
    });
    let prometheus = Prometheus::start("trainer", program);
    let all = queries(&grafana(BUILT_IN));
    let (_, query) = all
        .iter()
        .find(|(place, _)| place == "radiosonde-operations.json: \"Error rate\"")
        .unwrap();
    let expected = [("all", 1.0), ("none", 0.0), ("some", 0.25)];
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let shares = prometheus.values(&filled(query), "op_name");
        let as_expected = shares.len() == 3
            && shares
                .iter()
                .zip(expected)
                .all(|((op, share), (name, wanted))| op == name && (share - wanted).abs() < 1e-9);
        if as_expected {
            return;
        }
        assert!(Instant::now() < deadline, "{shares:?}");
        thread::sleep(Duration::from_millis(300));
    }
}
