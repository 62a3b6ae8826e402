//! A collector that keeps what is older in a ClickHouse: its engine, behind a thin HTTP front of ours.

#[expect(dead_code, reason = "the store's tests use all of it")]
#[path = "../../../store/tests/store/clickhouse/front.rs"]
mod front;

use serde_json::Value;
use tempfile::TempDir;

use self::front::Front;
use super::{Collector, every_command_finds_it, request};

fn status(collector: &Collector) -> Value {
    let mut response = ureq::get(format!("{}/api/v1/status", collector.page))
        .call()
        .unwrap();
    serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
}

#[test]
fn what_went_to_clickhouse_is_found_by_every_command() {
    let folder = TempDir::new().unwrap();
    let Some(front) = Front::start(folder.path()) else {
        return;
    };
    let data = folder.path().join("data");
    let place = front.url("telemetry");
    let start = || {
        Collector::start_with(&data, |command| {
            command.args(["--clickhouse", &place]);
        })
    };
    let mut collector = start();
    for (path, body) in request() {
        collector.send(path, &body);
    }
    every_command_finds_it(&collector);
    // A collector that is told to end writes what it has.
    collector.signal("-TERM");
    assert_eq!(collector.child.wait().unwrap().code(), Some(0));
    let spans = front.ask("SELECT count() FROM telemetry.spans");
    assert_eq!(spans.trim(), "2");
    let files = std::fs::read_dir(data.join("spans")).unwrap();
    assert_eq!(files.count(), 0, "rows are there, and not in the folder");
    let collector = start();
    every_command_finds_it(&collector);
    let there = &status(&collector)["store"]["clickhouse"];
    assert_eq!(there["place"], Value::from(place.clone()));
    assert_eq!(there["failed"], Value::Null);
    let doctor = collector.text(&["doctor"]);
    assert!(doctor.contains("is kept in ClickHouse at"), "{doctor}");
    drop(front);
    let query = collector.ask(&["query", "SELECT count(*) FROM spans"]);
    let said = String::from_utf8(query.stderr).unwrap();
    assert!(
        query.status.code() == Some(1) && said.contains("cannot be reached"),
        "{said}"
    );
}
