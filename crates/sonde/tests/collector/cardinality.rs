//! A label that makes too many series: found, taken away by the rule that is proposed, and nothing of before is lost.

use serde_json::{Value, json};

use super::{Collector, TempDir, now_ns, sonde};

const USERS: u64 = 30;

/// What a program sends whose requests are counted by route, and, by somebody's mistake, by who asked.
fn requests(each: u64) -> Value {
    let text = |name: &str, value: &str| json!({"key": name, "value": {"stringValue": value}});
    let now = now_ns();
    let points: Vec<Value> = (0..USERS)
        .flat_map(|user| ["/cart", "/pay"].map(|route| (user, route)))
        .map(|(user, route)| {
            let user = format!("user-{}", (user * 17) % 31);
            json!({
                "startTimeUnixNano": (now - 60_000_000_000).to_string(),
                "timeUnixNano": now.to_string(),
                "asInt": each.to_string(),
                "attributes": [text("http.route", route), text("user_id", &user)],
            })
        })
        .collect();
    let sum = json!({"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points});
    json!({"resourceMetrics": [{
        "resource": {"attributes": [text("service.name", "shop")]},
        "scopeMetrics": [{"metrics": [{"name": "shop.requests", "sum": sum}]}],
    }]})
}

#[test]
fn an_injected_user_id_is_found_its_rule_takes_it_away_and_history_stays() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    collector.send("/v1/metrics", &requests(1));
    let report = collector.json(&["cardinality"]);
    let metric = &report["metrics"][0];
    let label = &metric["labels"][0];
    assert_eq!(
        (&metric["name"], &metric["series"]),
        (&json!("shop.requests"), &json!(60))
    );
    assert_eq!(metric["services"][0]["service"], "shop");
    assert_eq!(
        (&label["name"], &label["series_without"]),
        (&json!("user_id"), &json!(2))
    );
    assert_eq!(label["identifier"]["kind"], "numbered");
    let said = collector.text(&["cardinality", "requests"]);
    for words in [
        "Without user_id, shop.requests has 2 series and not 60.",
        "[[metrics.rules]]",
        "excluded: [\"user_id\"]",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    drop(collector);

    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, label["rule"]["collector"].as_str().unwrap()).unwrap();
    let data = folder.path().to_owned();
    let collector = Collector::start_with(&data, |command| {
        command.arg("--metric-rules").arg(&rules);
    });
    for each in [2, 5] {
        collector.send("/v1/metrics", &requests(each));
    }
    let rows = |statement: &str| collector.json(&["query", statement])["rows"].clone();
    let kept = "SELECT count(DISTINCT series), count(*) FROM points WHERE attributes['user_id'] IS NULL AND name = 'shop.requests'";
    assert_eq!(rows(kept), json!([[2, 4]]));
    // Thirty users with three requests more each.
    let grown = "SELECT DISTINCT max(value) FROM points WHERE attributes['user_id'] IS NULL AND name = 'shop.requests' GROUP BY series";
    assert_eq!(rows(grown), json!([[90.0]]));
    let before = "SELECT count(DISTINCT series), sum(value) FROM points WHERE attributes['user_id'] IS NOT NULL";
    assert_eq!(rows(before), json!([[60, 60.0]]));
}

#[test]
fn a_file_of_rules_that_is_wrong_is_named_with_the_line() {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules.toml");
    std::fs::write(
        &rules,
        "[[metrics.rules]]\nmetric = \"a\"\ndrop_labels = \"b\"\n",
    )
    .unwrap();
    let output = sonde(&["serve", "--metric-rules"])
        .arg(&rules)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("rules.toml") && said.contains("line 3"),
        "{said}"
    );
}
