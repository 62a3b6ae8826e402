//! What is exported, and imported again.

use std::fs;

use super::*;

#[test]
fn what_was_exported_is_the_same_where_it_is_imported() {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (first, second) = (
        Collector::start(here.path()),
        Collector::start(there.path()),
    );
    for (path, body) in request() {
        first.send(path, &body);
    }
    let file = here.path().join("session.zip");
    let file = file.to_str().unwrap();
    let written = first.json(&["export", file]);
    assert_eq!(
        written,
        json!({"spans": 2, "logs": 1, "points": 1, "samples": 0})
    );
    let imported = second.json(&["import", file]);
    assert_eq!(
        imported,
        json!({"spans": 2, "logs": 1, "points": 1, "profiles": 0, "refused": 0})
    );
    for statement in [
        "SELECT * FROM spans ORDER BY span_id",
        "SELECT * FROM logs",
        "SELECT * FROM points",
    ] {
        let rows = |collector: &Collector| collector.json(&["query", statement])["rows"].clone();
        assert_eq!(rows(&first), rows(&second), "{statement}");
    }
}

#[test]
fn an_export_keeps_for_how_many_a_span_stands() {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (first, second) = (
        Collector::start(here.path()),
        Collector::start(there.path()),
    );
    let start = now_ns() - 1_000_000_000;
    let states = [
        "ot=th:f3333333333333",
        "vendor=a,ot=rv:ab;th:c",
        "vendor=a",
        "",
    ];
    let spans: Vec<Value> = (1..)
        .zip(states)
        .map(|(number, state)| {
            json!({"traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"), "name": "order", "kind": 2,
                "traceState": state, "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + number).to_string()})
        })
        .collect();
    first.send(
        "/v1/traces",
        &json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}),
    );
    let file = here.path().join("session.zip");
    let file = file.to_str().unwrap();
    first.json(&["export", file]);
    second.json(&["import", file]);
    let kept = |collector: &Collector| {
        let statement =
            "SELECT span_id, weight, attributes['w3c.tracestate'] FROM spans ORDER BY span_id";
        let rows = collector.json(&["query", statement])["rows"].clone();
        let weights: Vec<f64> = (0..4).map(|at| rows[at][1].as_f64().unwrap()).collect();
        (weights, rows)
    };
    let ((before, _), (after, rows)) = (kept(&first), kept(&second));
    for (before, after) in before.iter().zip(&after) {
        assert!((before / after - 1.0).abs() < 1e-9, "{before} {after}");
    }
    assert!(
        (after[0] - 20.0).abs() < 1e-6 && (after[1] - 4.0).abs() < 1e-9,
        "{after:?}"
    );
    assert_eq!(rows[1][2], "ot=th:c;rv:ab,vendor=a", "{rows}");
    assert_eq!(rows[2][2], "vendor=a", "{rows}");
}

#[test]
fn a_file_of_which_nothing_can_be_imported_is_refused() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(&folder.path().join("data"));
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let zip = |name: &str, members: &[&str]| {
        let mut zip = zip::ZipWriter::new(fs::File::create(path(name)).unwrap());
        for member in members {
            zip.start_file(*member, zip::write::SimpleFileOptions::default())
                .unwrap();
        }
        zip.finish().unwrap();
        path(name)
    };
    fs::write(path("passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(path("program"), b"\x7fELF\x02\x01\x00\xff\xfe\n\x00\x01").unwrap();
    for file in [
        path("passwd"),
        path("program"),
        zip("other.zip", &["photo.jpg"]),
    ] {
        let refused = collector.ask(&["import", &file]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(
            refused.status.code() == Some(1)
                && said.contains(&file)
                && said.contains("sonde export"),
            "{said}"
        );
    }
    let mixed = collector.ask(&["import", &zip("mixed.zip", &["traces.jsonl", "photo.jpg"])]);
    let said = String::from_utf8(mixed.stderr).unwrap();
    assert!(
        mixed.status.success() && said.contains("photo.jpg"),
        "{said}"
    );
}

/// The dashboards for Grafana ask what Prometheus understands; a collector is asked in its place just as well.
#[test]
fn every_query_of_the_dashboards_is_understood_here_too() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let all = collector.text(&["export", "grafana", "--out", "-"]);
    let all: Vec<Value> = serde_json::from_str(&all).unwrap();
    let panels = all
        .iter()
        .flat_map(|dashboard| dashboard["panels"].as_array().unwrap());
    let queries = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut asked = 0;
    for query in queries {
        let query = query["expr"].as_str().unwrap();
        let query = query
            .replace("$service", ".*")
            .replace("$__rate_interval", "5m");
        let address = format!("{}/prometheus/api/v1/query", collector.page);
        let mut answer = ureq::get(address).query("query", &query).call().unwrap();
        let answer: Value =
            serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        asked += 1;
    }
    assert!(asked > 100, "{asked}");
}
