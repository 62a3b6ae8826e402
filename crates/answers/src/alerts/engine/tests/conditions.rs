//! Each kind of condition, from readings to changes.

use super::*;

fn burn(windows: Vec<BurnWindow>) -> Rule {
    Rule::new(
        "burns",
        Condition::BurnRate(BurnRate {
            errors: Selector::new("errors"),
            total: Selector::new("requests"),
            by: None,
            objective: 0.999,
            windows,
        }),
    )
}

/// The minute after the start of failures at which a share of 0.001 for ever is burnt too fast, where `share` fail.
fn burns_at(windows: &[BurnWindow], share: f64) -> Option<u64> {
    let (mut script, mut engine) = (Script::long(), engine(burn(windows.to_vec())));
    let (mut errors, mut requests) = (0.0, 0.0);
    let quiet = 4 * 24 * 60;
    for minute in 0..quiet + 24 * 60 {
        let now = START + minute * MINUTE;
        script.push("errors", &[], now, ReadValue::Counter(errors));
        script.push("requests", &[], now, ReadValue::Counter(requests));
        requests += 1_000.0;
        if minute >= quiet {
            errors += 1_000.0 * share;
            if !engine.evaluate(&script, now).is_empty() {
                return Some(minute - quiet);
            }
        }
    }
    None
}

#[test]
fn a_budget_that_burns_too_fast_is_told_at_the_right_minute() {
    let [hour, six_hours, three_days] = BurnWindow::DEFAULTS;
    // Everything fails: 1.44 % of an hour is 0.864 minutes.
    assert_eq!(burns_at(&[hour], 1.0), Some(1));
    // Two of 100 fail: 1.44 % of the hour after 43.2 minutes.
    assert_eq!(burns_at(&[hour], 0.02), Some(44));
    // At 1.4 % an hour never has 1.44 %, but six hours have 0.6 % after 154.3 minutes.
    assert_eq!(burns_at(&[hour], 0.014), None);
    assert_eq!(burns_at(&[hour, six_hours], 0.014), Some(155));
    // At ten times the pace of the budget three days have theirs after 7.2 hours, and six hours have 0.6 % after 3.6.
    assert_eq!(burns_at(&[three_days], 0.01), Some(433));
    assert_eq!(burns_at(&BurnWindow::DEFAULTS, 0.01), Some(217));
    assert_eq!(burns_at(&BurnWindow::DEFAULTS, 0.0005), None);
}

#[test]
fn a_burn_ends_soon_after_its_cause() {
    let mut engine = engine(burn(BurnWindow::DEFAULTS[..1].to_vec()));
    let mut script = Script::long();
    let (mut errors, mut requests) = (0.0, 0.0);
    let mut all = Vec::new();
    for minute in 0..120 {
        let now = START + minute * MINUTE;
        script.push("errors", &[], now, ReadValue::Counter(errors));
        script.push("requests", &[], now, ReadValue::Counter(requests));
        requests += 100.0;
        errors += if (60..70).contains(&minute) {
            100.0
        } else {
            0.0
        };
        all.extend(engine.evaluate(&script, now));
    }
    let minutes: Vec<u64> = all
        .iter()
        .map(|change| (change.time_unix_ns - START) / MINUTE)
        .collect();
    // The hour remembers; the five minutes are clean at minute 75.
    assert_eq!(minutes, [61, 75]);
}

#[test]
fn each_group_that_was_there_has_to_go_on() {
    let absence = |by: Option<Vec<String>>| {
        let condition = Condition::Absence(Absence {
            of: Selector::new("load").with("room", "1"),
            by,
            since: minutes(5),
        });
        engine(Rule::new("silent", condition))
    };
    let (mut each, mut whole) = (absence(Some(vec!["device".to_owned()])), absence(None));
    let mut script = Script::default();
    let (mut by_device, mut all) = (Vec::new(), Vec::new());
    for minute in 0..30 {
        let now = START + minute * MINUTE;
        let mut read = |device: &str| {
            let own = [("device", device), ("room", "1")];
            script.push("load", &own, now, ReadValue::Gauge(1.0));
        };
        if !(10..20).contains(&minute) {
            read("a");
        }
        if minute < 12 {
            read("b");
        }
        by_device.extend(told(&each.evaluate(&script, now)));
        all.extend(whole.evaluate(&script, now));
    }
    assert_eq!(
        by_device,
        ["14 a Firing -", "16 b Firing -", "20 a Resolved -"]
    );
    assert_eq!(told(&all), ["16 - Firing -", "20 - Resolved -"]);
    assert_eq!(all[0].alert.labels["room"], "1");
}

#[test]
fn what_was_never_there_is_absent_after_as_long() {
    let condition = Condition::Absence(Absence {
        of: Selector::new("load"),
        by: None,
        since: minutes(5),
    });
    let mut engine = engine(Rule::new("silent", condition));
    let script = Script::default();
    let changes = (0..10).flat_map(|minute| engine.evaluate(&script, START + minute * MINUTE));
    assert_eq!(told(&changes.collect::<Vec<_>>()), ["5 - Firing -"]);
}

#[test]
fn each_sample_of_an_expression_is_an_alert() {
    let mut engine = engine(Rule::new("text", Condition::Expression("x > 1".to_owned())));
    let mut script = Script::default();
    let sample = |device, value| Sample {
        labels: labels(&[("device", device)]),
        value,
    };
    script.samples = vec![sample("b", 2.0), sample("a", 3.0)];
    let changes = engine.evaluate(&script, START);
    assert_eq!(told(&changes), ["0 a Firing 3", "0 b Firing 2"]);
    script.samples = vec![sample("b", 2.0)];
    let changes = engine.evaluate(&script, START + MINUTE);
    assert_eq!(told(&changes), ["1 a Resolved 3"]);
    script.samples = vec![sample("b", 2.0), sample("b", 3.0)];
    assert_eq!(engine.evaluate(&script, START + 2 * MINUTE), []);
    let error = engine.rules().next().unwrap().error.unwrap().to_owned();
    assert_eq!(
        error,
        r#"two samples of the answer have the labels {device="b"}"#
    );
}
