use std::time::Duration;

use super::*;
use crate::alerts::{
    Absence, BurnRate, BurnWindow, Condition, Labels, Limit, Measure, Phase, Read, ReadValue,
    Reading, Sample, Selector, Series, Severity, Threshold, Window, WindowLimits,
};

mod conditions;
mod judged;
mod model;
mod restarts;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// When tests begin.
const START: u64 = 1_700_000_000 * SECOND;

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A source that tests write to, and that can fail.
#[derive(Debug, Default)]
struct Script {
    window: Window,
    samples: Vec<Sample>,
    is_away: bool,
}

impl Script {
    /// Keeps readings of four days.
    fn long() -> Self {
        Self {
            window: Window::new(WindowLimits {
                span: Duration::from_secs(4 * 86_400),
                points_max: 10_000,
                ..WindowLimits::default()
            }),
            ..Self::default()
        }
    }

    fn gauge(&mut self, device: &str, time_unix_ns: u64, value: f64) {
        self.push(
            "load",
            &[("device", device)],
            time_unix_ns,
            ReadValue::Gauge(value),
        );
    }

    fn push(&mut self, metric: &str, own: &[(&str, &str)], time_unix_ns: u64, value: ReadValue) {
        let read = Read {
            time_unix_ns,
            since_unix_ns: None,
            value,
        };
        self.window.push(metric, labels(own), read);
    }
}

impl Source for Script {
    fn series<'s>(
        &'s self,
        selector: &Selector,
        from_unix_ns: u64,
        until_unix_ns: u64,
    ) -> Result<Vec<Series<'s>>, String> {
        if self.is_away {
            return Err("the store is away".to_owned());
        }
        self.window.series(selector, from_unix_ns, until_unix_ns)
    }

    fn expression(&self, _: &str, _: u64) -> Result<Vec<Sample>, String> {
        Ok(self.samples.clone())
    }
}

/// Fires where the load is above 90.
fn above_90() -> Threshold {
    Threshold::new(Measure::new("load", Reading::Last), Limit::Above(90.0))
}

fn engine(rule: Rule) -> Engine {
    Engine::new(vec![rule]).unwrap()
}

/// What changed, as `minute device phase value`.
fn told(changes: &[Change]) -> Vec<String> {
    let told = changes.iter().map(|change| {
        let alert = &change.alert;
        let minute = (change.time_unix_ns - START) / MINUTE;
        let device = alert.labels.get("device").map_or("-", String::as_str);
        let value = alert
            .value
            .map_or("-".to_owned(), |value| value.to_string());
        format!("{minute} {device} {:?} {value}", alert.phase)
    });
    told.collect()
}

/// Evaluates once a minute with these values of one device.
fn run(engine: &mut Engine, values: &[f64]) -> Vec<String> {
    let mut script = Script::default();
    let mut all = Vec::new();
    for (minute, value) in (0..).zip(values) {
        let now = START + minute * MINUTE;
        script.gauge("a", now, *value);
        all.extend(told(&engine.evaluate(&script, now)));
    }
    all
}

#[test]
fn one_life_from_pending_to_resolved() {
    let rule = Rule::new("high", Condition::Threshold(above_90()))
        .for_(minutes(2))
        .keep_firing_for(minutes(3));
    let mut engine = engine(rule);
    let values = [
        95.0, 50.0, 95.0, 96.0, 97.0, 50.0, 50.0, 98.0, 50.0, 50.0, 50.0,
    ];
    assert_eq!(
        run(&mut engine, &values),
        ["4 a Firing 97", "10 a Resolved 50"]
    );
    assert_eq!(engine.active().count(), 0);
}

#[test]
fn what_fires_goes_on_until_it_is_back_across_the_other_limit() {
    let rule = Rule::new("high", Condition::Threshold(above_90().resolve_at(80.0)));
    let values = [85.0, 91.0, 85.0, 89.0, 81.0, 80.0, 85.0, 91.0];
    assert_eq!(
        run(&mut engine(rule), &values),
        ["1 a Firing 91", "5 a Resolved 80", "7 a Firing 91"]
    );
}

#[test]
fn while_it_is_kept_only_the_limit_itself_begins_anew() {
    let threshold = above_90().resolve_at(80.0);
    let rule = Rule::new("high", Condition::Threshold(threshold)).keep_firing_for(minutes(2));
    // Back across 80 at minute 1, and 85 afterwards is no reason to go on.
    let values = [95.0, 70.0, 85.0, 85.0];
    assert_eq!(
        run(&mut engine(rule), &values),
        ["0 a Firing 95", "2 a Resolved 85"]
    );
}

#[test]
fn texts_and_labels_are_the_rules_and_the_series() {
    let rule = Rule::new("high", Condition::Threshold(above_90()))
        .severity(Severity::Critical)
        .unit("%")
        .label("device", "gpu")
        .summary("{{labels.exported_device}} is at {{value}}");
    let mut engine = engine(rule);
    let mut script = Script::default();
    script.gauge("a", START, 95.5);
    let changes = engine.evaluate(&script, START);
    let alert = &changes[0].alert;
    assert_eq!(
        alert.labels,
        labels(&[
            ("alertname", "high"),
            ("device", "gpu"),
            ("exported_device", "a"),
            ("severity", "critical")
        ])
    );
    assert_eq!(alert.annotations, labels(&[("summary", "a is at 95.5 %")]));
    assert_eq!(engine.evaluate(&script, START + MINUTE), []);
    script.gauge("a", START + 2 * MINUTE, 96.0);
    let changes = engine.evaluate(&script, START + 2 * MINUTE);
    assert_eq!(changes[0].alert.phase, Phase::Firing);
    assert_eq!(changes[0].alert.annotations["summary"], "a is at 96 %");
    assert_eq!(changes[0].alert.fired_unix_ns, Some(START));
}

#[test]
fn a_source_that_fails_changes_no_alert_and_is_shown() {
    let mut engine = engine(Rule::new("high", Condition::Threshold(above_90())));
    let mut script = Script::default();
    script.gauge("a", START, 95.0);
    assert_eq!(engine.evaluate(&script, START).len(), 1);
    script.is_away = true;
    for minute in 1..20 {
        assert_eq!(engine.evaluate(&script, START + minute * MINUTE), []);
    }
    let status = engine.rules().next().unwrap();
    assert_eq!(status.error, Some("the store is away"));
    assert_eq!((status.errors, status.firing), (19, 1));
    script.is_away = false;
    script.gauge("a", START + 20 * MINUTE, 50.0);
    let clock = std::cell::Cell::new(0);
    let changes = engine.evaluate_timed(&script, START + 20 * MINUTE, &|| {
        clock.set(clock.get() + 7);
        clock.get()
    });
    assert_eq!(told(&changes), ["20 a Resolved 50"]);
    let status = engine.rules().next().unwrap();
    assert_eq!((status.error, status.duration_ns), (None, Some(7)));
}

#[test]
fn a_series_that_is_gone_is_not_called_well() {
    let mut engine = engine(Rule::new("high", Condition::Threshold(above_90())));
    let mut script = Script::default();
    script.gauge("a", START, 95.0);
    let mut all = Vec::new();
    for minute in 0..12 {
        all.extend(engine.evaluate(&script, START + minute * MINUTE));
    }
    // A reading stands for five minutes, and for five more nobody knows.
    assert_eq!(told(&all), ["0 a Firing 95", "9 a Resolved 95"]);
    let annotations = &all[1].alert.annotations;
    assert_eq!(annotations["resolved"], "it is not measured any more");
}

#[test]
fn a_rule_has_so_many_alerts_and_no_more() {
    let mut engine = engine(Rule::new("high", Condition::Threshold(above_90())));
    let mut script = Script::default();
    for device in 0..ALERTS_MAX + 5 {
        script.gauge(&format!("{device:05}"), START, 95.0);
    }
    let changes = engine.evaluate(&script, START);
    assert_eq!(changes.len(), ALERTS_MAX);
    assert_eq!(changes[0].alert.labels["device"], "00000");
    assert_eq!(engine.rules().next().unwrap().left_out, 5);
}

#[test]
fn a_rule_is_evaluated_as_often_as_it_says() {
    let rule = Rule::new("high", Condition::Threshold(above_90())).interval(minutes(5));
    let mut engine = engine(rule);
    let mut script = Script::default();
    let mut evaluated = Vec::new();
    for minute in [0, 1, 4, 5, 9, 10, 3, 4] {
        let now = START + minute * MINUTE;
        script.gauge("a", now, 1.0);
        engine.evaluate(&script, now);
        evaluated.push(engine.rules().next().unwrap().evaluated_unix_ns == Some(now));
    }
    // The clock went back at the last but one.
    assert_eq!(
        evaluated,
        [true, false, false, true, false, true, true, false]
    );
}

#[test]
fn rules_that_are_wrong_are_refused_with_all_that_is_wrong() {
    let rule = Rule::new("", Condition::Expression(String::new()));
    assert_eq!(Engine::new(vec![rule]).unwrap_err().len(), 2);
}
