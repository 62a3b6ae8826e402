//! What people read.

use super::*;

fn anomaly(kind: Kind, season: Season) -> Anomaly {
    Anomaly {
        kind,
        direction: Direction::Up,
        expected: Expected {
            low: 12.0,
            median: 13.0,
            high: 15.0,
            season,
            since_unix_ns: at(0),
            readings: 128,
        },
        value: 39.0,
        since_unix_ns: at(7_200),
        found_unix_ns: at(7_207),
        score: 26.0,
    }
}

fn fact(second: u64, what: What, name: &str, before: Option<&str>, after: Option<&str>) -> Fact {
    Fact {
        at_unix_ns: at(second),
        what,
        name: name.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    }
}

#[test]
fn an_anomaly_says_what_is_normal_since_when_and_what_changed() {
    let facts = [
        fact(
            7_190,
            What::Configuration,
            "batch.size_max of chat",
            Some("8"),
            Some("32"),
        ),
        fact(
            7_160,
            What::Deploy,
            "service.version of chat",
            Some("1.4.0"),
            Some("1.5.0"),
        ),
        fact(
            6_000,
            What::Deploy,
            "service.version of old",
            Some("1"),
            Some("2"),
        ),
        fact(7_220, What::Device, "GPU 3", Some("healthy"), None),
        fact(
            6_600,
            What::Model,
            "gen_ai.request.model",
            None,
            Some("llama-3.1-8b"),
        ),
        fact(9_000, What::Other, "too late", None, None),
    ];
    let explained = explain(&anomaly(Kind::Step, Season::HourOfWeek), "ms", &facts);
    insta::assert_snapshot!(explained, @r"
    a step up to 39.0 ms since 2026-11-30 02:00:00 UTC
    normal: 12.0 to 15.0 ms at this hour of the week
    changed about then:
    - deploy service.version of chat: 1.4.0 became 1.5.0, 40 s before
    - configuration batch.size_max of chat: 8 became 32, 10 s before
    - model gen_ai.request.model: llama-3.1-8b is new, 10 min before
    - device GPU 3: healthy went away, 20 s after
    ");
    let mut turned = facts.clone();
    turned.reverse();
    assert_eq!(
        explain(&anomaly(Kind::Step, Season::HourOfWeek), "ms", &turned),
        explained
    );
}

#[test]
fn where_nothing_is_known_to_have_changed_that_is_said() {
    let mut spike = anomaly(Kind::Spike, Season::Recent);
    (spike.expected.low, spike.expected.high, spike.value) = (0.001, 0.004, 0.25);
    insta::assert_snapshot!(explain(&spike, "1", &[]), @r"
    a spike of failures to 25.0 % since 2026-11-30 02:00:00 UTC
    normal: 0.100 to 0.400 % since 2026-11-30 00:00:00 UTC
    changed: nothing that is known, in the 15 min before
    ");
}

#[test]
fn more_changes_than_anybody_reads_are_counted() {
    let many: Vec<Fact> = (0..14)
        .map(|at| {
            fact(
                7_000 + at,
                What::Other,
                &format!("setting {at}"),
                None,
                None,
            )
        })
        .collect();
    let explained = explain(&anomaly(Kind::Trend, Season::HourOfDay), "By", &many);
    assert_eq!(
        (explained.changed.len(), explained.changed_more),
        (CHANGES_MAX, 4)
    );
    assert_eq!(explained.normal, "12 to 15 B at this hour of the day");
}

#[test]
fn a_verdict_has_a_json_form() {
    let said = |verdict| serde_json::to_string(&verdict).expect("it is JSON");
    insta::assert_snapshot!(said(Verdict::Learning { readings_more: 29, seconds_more: 30.0 }), @r#"{"verdict":"learning","readings_more":29,"seconds_more":30.0}"#);
    insta::assert_snapshot!(said(Verdict::Anomalous(anomaly(Kind::Step, Season::Recent))), @r#"{"verdict":"anomalous","kind":"step","direction":"up","expected":{"low":12.0,"median":13.0,"high":15.0,"season":"recent","since_unix_ns":1795996800000000000,"readings":128},"value":39.0,"since_unix_ns":1796004000000000000,"found_unix_ns":1796004007000000000,"score":26.0}"#);
}
