//! What survives a restart, and other rules.

use super::*;

fn high() -> Rule {
    Rule::new("high", Condition::Threshold(above_90())).for_(minutes(2))
}

/// An engine whose rule fires for `a` and is pending for `b` since the last minute, and what it left, as text.
fn left() -> (Script, String) {
    let (mut script, mut engine) = (Script::default(), engine(high()));
    for minute in 0..4 {
        let now = START + minute * MINUTE;
        script.gauge("a", now, 95.0);
        script.gauge("b", now, if minute == 3 { 95.0 } else { 1.0 });
        engine.evaluate(&script, now);
    }
    let phases: Vec<Phase> = engine.active().map(|alert| alert.phase).collect();
    assert_eq!(phases, [Phase::Firing, Phase::Pending]);
    (script, serde_json::to_string(&engine.state()).unwrap())
}

fn restored(text: &str, rule: Rule, now: u64) -> (Engine, Vec<Change>) {
    let mut engine = engine(rule);
    let changes = engine.restore(serde_json::from_str(text).unwrap(), now);
    (engine, changes)
}

#[test]
fn a_restart_neither_resolves_nor_tells_twice() {
    let (_, text) = left();
    let now = START + 4 * MINUTE;
    let (mut engine, changes) = restored(&text, high(), now);
    assert_eq!(changes, []);
    // Nothing was measured yet.
    let mut script = Script::default();
    assert_eq!(engine.evaluate(&script, now), []);
    assert_eq!(engine.active().count(), 1);
    script.gauge("a", now + MINUTE, 95.0);
    assert_eq!(engine.evaluate(&script, now + MINUTE), []);
    script.gauge("a", now + 2 * MINUTE, 1.0);
    let changes = engine.evaluate(&script, now + 2 * MINUTE);
    assert_eq!(told(&changes), ["6 a Resolved 1"]);
}

#[test]
fn what_was_pending_goes_on_after_a_short_while_and_not_after_a_long_one() {
    let (mut script, text) = left();
    let now = START + 5 * MINUTE;
    let (mut engine, _) = restored(&text, high(), now);
    script.gauge("a", now, 95.0);
    script.gauge("b", now, 95.0);
    assert_eq!(told(&engine.evaluate(&script, now)), ["5 b Firing 95"]);
    let later = START + 60 * MINUTE;
    let (mut engine, changes) = restored(&text, high(), later);
    assert_eq!(changes, []);
    script.gauge("a", later, 95.0);
    script.gauge("b", later, 95.0);
    assert_eq!(engine.evaluate(&script, later), []);
    assert_eq!(engine.active().count(), 2);
}

#[test]
fn what_fires_by_a_rule_that_is_gone_or_other_is_resolved() {
    let (_, text) = left();
    let now = START + 4 * MINUTE;
    let other = Rule::new("other", Condition::Threshold(above_90()));
    let (engine, changes) = restored(&text, other, now);
    assert_eq!(told(&changes), ["4 a Resolved 95"]);
    assert_eq!(changes[0].alert.annotations["resolved"], "its rule is gone");
    assert_eq!(engine.active().count(), 0);
    let (mut engine, changes) = restored(&text, high().label("team", "x"), now);
    assert_eq!(told(&changes), ["4 a Resolved 95"]);
    let wrong = Rule::new("", Condition::Expression("x".to_owned()));
    assert_eq!(engine.replace(vec![wrong], now).unwrap_err().len(), 1);
    assert_eq!(engine.rules().count(), 1);
}

#[test]
fn rules_are_replaced_and_alerts_go_on() {
    let (mut script, text) = left();
    let now = START + 4 * MINUTE;
    let (mut engine, _) = restored(&text, high(), now);
    let more = Rule::new("more", Condition::Threshold(above_90()));
    let changes = engine.replace(vec![more, high()], now).unwrap();
    assert_eq!(changes, []);
    script.gauge("a", now, 95.0);
    script.gauge("b", now, 1.0);
    let changes = engine.evaluate(&script, now);
    assert_eq!(told(&changes), ["4 a Firing 95"]);
    assert_eq!(changes[0].alert.name(), "more");
}

#[test]
fn an_absence_that_is_told_is_not_told_again() {
    let condition = Condition::Absence(Absence {
        of: Selector::new("load"),
        by: None,
        since: minutes(5),
    });
    let rule = Rule::new("silent", condition);
    let script = Script::default();
    let mut first = engine(rule.clone());
    let changes = (0..7).flat_map(|minute| first.evaluate(&script, START + minute * MINUTE));
    assert_eq!(told(&changes.collect::<Vec<_>>()), ["5 - Firing -"]);
    let text = serde_json::to_string(&first.state()).unwrap();
    let (mut second, changes) = restored(&text, rule, START + 60 * MINUTE);
    assert_eq!(changes, []);
    assert_eq!(second.evaluate(&script, START + 60 * MINUTE), []);
    assert_eq!(second.active().count(), 1);
}
