use super::*;
use crate::{
    alerts::{Change, Engine, Labels, Phase, Read, ReadValue, Window, check_all},
    distribution::Distribution,
};

const MINUTE_NS: u64 = 60_000_000_000;
const START: u64 = 1_700_000_000_000_000_000;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Takes a reading of a metric with these labels.
type Push<'p> = dyn FnMut(&str, &[(&str, &str)], ReadValue) + 'p;

/// What the default rules say of metrics that `write` writes, four times a minute for an hour.
fn scenario(write: impl Fn(&mut Push<'_>, f64)) -> Vec<Change> {
    let mut engine = Engine::new(rules(&Defaults::default())).unwrap();
    let mut window = Window::default();
    let mut changes = Vec::new();
    for quarter in 0..240 {
        let now = START + quarter * MINUTE_NS / 4;
        let mut push = |metric: &str, own: &[(&str, &str)], value| {
            let read = Read {
                time_unix_ns: now,
                since_unix_ns: Some(START - 1),
                value,
            };
            window.push(metric, labels(own), read);
        };
        write(&mut push, quarter as f64 / 4.0);
        changes.extend(engine.evaluate(&window, now));
    }
    changes
}

/// That a rule fires once and is resolved, what it says, and that nothing else fires.
fn fires(name: &str, summary: &str, action: &str, changes: &[Change]) {
    let of_rule: Vec<&Change> = changes
        .iter()
        .filter(|change| change.alert.name() == name)
        .collect();
    let (first, last) = (of_rule.first().unwrap(), of_rule.last().unwrap());
    assert_eq!(first.alert.phase, Phase::Firing, "{name}");
    assert_eq!(last.alert.phase, Phase::Resolved, "{name}");
    let resolved = of_rule
        .iter()
        .filter(|change| change.alert.phase == Phase::Resolved);
    assert_eq!(resolved.count(), 1, "{name}");
    let annotations = &first.alert.annotations;
    assert_eq!(annotations["summary"], summary);
    assert!(annotations["action"].contains(action), "{annotations:?}");
}

/// The names of what fired.
fn names(changes: &[Change]) -> Vec<&str> {
    let mut names: Vec<&str> = changes.iter().map(|change| change.alert.name()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// How many there were after a minute, where `each` a minute come from minute 10 to 13.
fn burst(minute: f64, each: f64) -> f64 {
    ((minute - 10.0).clamp(0.0, 3.0) * each).floor()
}

fn errors(kind: &'static str, each: f64) -> Vec<Change> {
    scenario(|push, minute| {
        let own = [
            ("backend", "cuda"),
            ("error.type", kind),
            ("op_name", "matmul"),
        ];
        push(
            "gpu.operation.errors",
            &own,
            ReadValue::Counter(burst(minute, each)),
        );
    })
}

#[test]
fn the_default_rules_are_right_and_each_says_what_to_do() {
    let rules = rules(&Defaults::default());
    assert_eq!(check_all(&rules), []);
    let families: std::collections::BTreeSet<&str> =
        rules.iter().map(|rule| rule.group.as_str()).collect();
    assert_eq!(families.len(), 5);
    for rule in &rules {
        assert!(rule.annotations["action"].len() > 20, "{}", rule.name);
        assert!(!rule.keep_firing_for.is_zero(), "{}", rule.name);
    }
}

#[test]
fn three_allocations_that_fail_in_five_minutes() {
    let changes = errors("out_of_memory", 1.0);
    assert_eq!(names(&changes), ["allocations_fail"]);
    fires(
        "allocations_fail",
        "3 allocations of cuda failed in five minutes",
        "sonde memory",
        &changes,
    );
    assert_eq!(errors("out_of_memory", 0.7), []);
}

#[test]
fn five_kernels_that_fail_in_ten_minutes() {
    let changes = errors("launch_failed", 2.0);
    assert_eq!(names(&changes), ["kernels_fail"]);
    fires(
        "kernels_fail",
        "matmul failed 5 times on cuda in ten minutes",
        "sonde logs",
        &changes,
    );
    let changes = errors("launch_failed", 4.0);
    assert_eq!(names(&changes), ["errors_are_many", "kernels_fail"]);
}

#[test]
fn ten_operations_that_are_slow_in_fifteen_minutes() {
    let changes = scenario(|push, minute| {
        let slow = burst(minute, 4.0);
        let distribution = Distribution::Explicit {
            bounds: vec![0.01, 0.1, 1.0],
            counts: vec![(minute * 100.0).floor(), 0.0, slow, 0.0],
        };
        let sum = minute + slow * 0.2;
        let own = [("op_name", "matmul"), ("backend", "cuda")];
        let value = ReadValue::Histogram { sum, distribution };
        push("gpu.operation.duration", &own, value);
    });
    assert_eq!(names(&changes), ["operations_are_slow"]);
    fires(
        "operations_are_slow",
        "matmul took more than 100ms 10 times in fifteen minutes",
        "sonde why",
        &changes,
    );
}

#[test]
fn a_device_whose_memory_fills_and_that_is_busy() {
    let changes = scenario(|push, minute| {
        let own = [("hw.id", "cuda:0")];
        let during = (10.0..20.0).contains(&minute);
        let share = if during {
            0.8 + (minute - 10.0) * 0.021
        } else {
            0.5
        };
        push("hw.gpu.memory.limit", &own, ReadValue::Gauge(80e9));
        push("hw.gpu.memory.usage", &own, ReadValue::Gauge(80e9 * share));
        let busy = if during { 0.97 } else { 0.4 };
        push("hw.gpu.utilization", &own, ReadValue::Gauge(busy));
    });
    assert_eq!(
        names(&changes),
        [
            "gpu_is_busy",
            "gpu_memory_is_filling",
            "gpu_memory_is_full",
            "gpu_memory_is_high"
        ]
    );
    fires(
        "gpu_memory_is_filling",
        "The memory of cuda:0 is 87.35 % full",
        "before allocations fail",
        &changes,
    );
    fires(
        "gpu_is_busy",
        "cuda:0 was more than 85 % busy in 10 readings of five minutes",
        "sonde queue",
        &changes,
    );
}

#[test]
fn a_device_that_is_lost_hot_or_kills_its_workers() {
    let changes = errors("device_lost", 0.4);
    assert_eq!(names(&changes), ["device_is_lost"]);
    fires(
        "device_is_lost",
        "cuda lost its device",
        "Restart",
        &changes,
    );
    let changes = scenario(|push, minute| {
        let during = (10.0..15.0).contains(&minute);
        let celsius = if during { 93.0 } else { 60.0 };
        push(
            "hw.temperature",
            &[("hw.id", "cuda:0")],
            ReadValue::Gauge(celsius),
        );
        let crashes = burst(minute, 1.0);
        push(
            "worker.crashes",
            &[("device", "cuda:0"), ("type", "signal")],
            ReadValue::Counter(crashes),
        );
    });
    assert_eq!(names(&changes), ["device_is_hot", "workers_crash"]);
    fires("device_is_hot", "cuda:0 is at 93 °C", "fans", &changes);
    fires(
        "workers_crash",
        "3 workers on cuda:0 died in ten minutes",
        "sonde logs",
        &changes,
    );
}

#[test]
fn a_setting_moves_its_rule() {
    let defaults = Defaults {
        slow_operation: Duration::from_millis(50),
        gpu_utilization: 0.8,
        memory_utilization: 0.75,
        ..Defaults::default()
    };
    let text = serde_json::to_string(&rules(&defaults)).unwrap();
    for words in [
        "more than 50ms",
        "more than 80 % busy",
        "\"above\":0.75",
        "\"above\":0.833333",
        "\"above\":0.916667",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
