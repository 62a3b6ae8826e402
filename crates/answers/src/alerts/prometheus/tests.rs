use super::*;
use crate::alerts::{
    Absence, Anomaly, BurnRate, BurnWindow, Direction, Forecast, Limit, Measure, Pattern, Reading,
    Selector, Threshold,
    defaults::{Defaults, rules},
};

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// The expression of a condition over metrics of the catalogue, or why there is none.
fn expression(condition: Condition) -> String {
    let rule = Rule::new("a rule", condition).label("team", "x");
    let (file, remarks) = write(&[rule], &catalogued);
    match file.groups.first() {
        Some(group) => group.rules[0].expr.clone(),
        None => remarks.concat(),
    }
}

fn above(measure: Measure) -> String {
    let condition = Condition::Threshold(Threshold::new(measure, Limit::Above(3.0)));
    expression(condition)
}

#[test]
fn readings_have_their_functions() {
    let five = minutes(5);
    let errors = Selector::new("gpu.operation.errors")
        .with("error.type", "*memory*")
        .without("op_name", "a\"b")
        .and(
            "backend",
            Pattern::Is(vec!["cuda".to_owned(), "m.s".to_owned()]),
        );
    assert_eq!(
        above(Measure::new(errors, Reading::Increase(five)).by(["op_name", "hw.id"])),
        r#"sum by (op_name, hw_id) (increase(gpu_operation_errors_total{backend=~"cuda|m\\.s",error_type=~".*memory.*",op_name!="a\"b"}[5m])) > 3"#
    );
    let of = |metric: &str, reading| Measure::new(metric, reading);
    for (measure, text) in [
        (
            of("hw.gpu.memory.usage", Reading::Last).per("hw.gpu.memory.limit"),
            "hw_gpu_memory_usage_bytes / hw_gpu_memory_limit_bytes > 3",
        ),
        (
            of("hw.gpu.utilization", Reading::Mean(five)).by::<String>([]),
            "sum(avg_over_time(hw_gpu_utilization_ratio[5m])) > 3",
        ),
        (
            of("gpu.operation.duration", Reading::Quantile(0.99, five)).by(["op_name"]),
            "histogram_quantile(0.99, sum by (op_name, le) (increase(gpu_operation_duration_seconds_bucket[5m]))) > 3",
        ),
        (
            of("gpu.operation.duration", Reading::Mean(five)),
            "(increase(gpu_operation_duration_seconds_sum[5m]) / increase(gpu_operation_duration_seconds_count[5m])) > 3",
        ),
        (
            of("gpu.operation.duration", Reading::Rate(five)),
            "rate(gpu_operation_duration_seconds_count[5m]) > 3",
        ),
        (
            of("gpu.operation.duration", Reading::Beyond(0.1, five)),
            "(increase(gpu_operation_duration_seconds_count[5m]) - ignoring (le) increase(gpu_operation_duration_seconds_bucket{le=\"0.125\"}[5m])) > 3",
        ),
        (
            of("hw.gpu.utilization", Reading::Quantile(0.5, five)),
            "quantile_over_time(0.5, hw_gpu_utilization_ratio[5m]) > 3",
        ),
        (
            of("hw.gpu.utilization", Reading::Beyond(0.9, five)),
            "count_over_time((hw_gpu_utilization_ratio > 0.9)[5m:]) > 3",
        ),
    ] {
        assert_eq!(above(measure), text);
    }
}

#[test]
fn conditions_have_their_form_or_a_reason() {
    let load = || Measure::new("hw.gpu.utilization", Reading::Last);
    let threshold = Threshold::new(load(), Limit::AtMost(0.5)).resolve_at(0.75);
    assert_eq!(
        expression(Condition::Threshold(threshold)),
        r#"hw_gpu_utilization_ratio <= 0.5 or (hw_gpu_utilization_ratio <= 0.75 and ignoring (alertname, alertstate, severity, team) ALERTS{alertname="a rule",alertstate="firing"})"#
    );
    let absence = |by| {
        expression(Condition::Absence(Absence {
            of: Selector::new("worker.crashes"),
            by,
            since: minutes(5),
        }))
    };
    assert_eq!(absence(None), "absent_over_time(worker_crashes_total[5m])");
    assert_eq!(
        absence(Some(vec!["device".to_owned()])),
        "count by (device) (last_over_time(worker_crashes_total[1d])) unless count by (device) (last_over_time(worker_crashes_total[5m]))"
    );
    let burn = BurnRate {
        errors: "gpu.operation.errors".into(),
        total: "gpu.operation.count".into(),
        by: None,
        objective: 0.999,
        windows: BurnWindow::DEFAULTS[..1].to_vec(),
    };
    assert_eq!(
        expression(Condition::BurnRate(burn)),
        "(sum(increase(gpu_operation_errors_total[1h])) / sum(increase(gpu_operation_count_total[1h])) / (1 - 0.999) > 14.4 \
         and sum(increase(gpu_operation_errors_total[5m])) / sum(increase(gpu_operation_count_total[5m])) / (1 - 0.999) > 14.4)"
    );
    let forecast = Forecast {
        measure: load(),
        reaches: 1.0,
        falls: false,
        within: minutes(60),
        history: minutes(30),
    };
    assert_eq!(
        expression(Condition::Forecast(forecast)),
        "predict_linear(hw_gpu_utilization_ratio[30m], 3600) >= 1"
    );
    let anomaly = Anomaly {
        measure: load(),
        direction: Direction::Above,
        history: minutes(60),
    };
    let told = expression(Condition::Anomaly(anomaly));
    assert!(
        told.contains("rule `a rule`: left out: Prometheus cannot say what is normal"),
        "{told}"
    );
    let told = above(Measure::new("no.such", Reading::Last));
    assert!(
        told.contains("nobody says of what kind and unit `no.such` is"),
        "{told}"
    );
}

#[test]
fn the_default_rules_are_written_and_loaded_again() {
    let defaults = rules(&Defaults::default());
    let (file, remarks) = write(&defaults, &catalogued);
    let written: usize = file.groups.iter().map(|group| group.rules.len()).sum();
    assert_eq!((file.groups.len(), written), (5, defaults.len()));
    // A bound that our buckets do not have, and a gauge that is looked at now and then.
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    let text = serde_json::to_string(&file).unwrap();
    let (loaded, remarks) = read(&serde_json::from_str(&text).unwrap());
    assert_eq!((loaded.len(), remarks), (defaults.len(), Vec::new()));
    for rule in &defaults {
        let again = loaded.iter().find(|again| again.name == rule.name).unwrap();
        assert_eq!(again.severity, rule.severity);
        assert_eq!((again.for_, &again.group), (rule.for_, &rule.group));
        assert_eq!(again.keep_firing_for, rule.keep_firing_for);
        assert_eq!(again.annotations["action"], rule.annotations["action"]);
        assert!(matches!(again.condition, Condition::Expression(_)));
        assert!(crate::alerts::Engine::new(loaded.clone()).is_ok());
    }
    let hot = &file.groups[0].rules[1];
    assert_eq!(
        hot.annotations["summary"],
        "{{ $labels.hw_id }} is at {{ $value }}"
    );
}

#[test]
fn rules_of_others_are_read_and_what_is_not_is_said() {
    let text = r#"{"groups": [{"name": "node", "interval": "1m", "limit": 0, "rules": [
        {"record": "a:b", "expr": "sum(b)"},
        {"alert": "Down", "expr": "up == 0", "for": "1h30m", "labels": {"severity": "page", "team": "x"},
         "annotations": {"summary": "{{ $labels.job }} at {{ $value | humanize }}, {{ printf \"%.2f\" $value }}"}},
        {"alert": "Down", "expr": "up == 2", "for": "1w1d", "labels": {"severity": "ticket"}},
        {"alert": "Bad", "expr": "up", "for": "soon"}
    ]}]}"#;
    let (rules, remarks) = read(&serde_json::from_str(text).unwrap());
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["Down", "Down (2)"]);
    let (first, second) = (&rules[0], &rules[1]);
    assert_eq!(first.for_, minutes(90));
    assert_eq!(first.interval, Some(minutes(1)));
    assert_eq!(first.severity, Severity::Critical);
    assert_eq!(first.labels["team"], "x");
    assert_eq!(
        first.annotations["summary"],
        "{{labels.job}} at {{value}}, [printf \"%.2f\" $value]"
    );
    assert_eq!(second.for_, Duration::from_secs(8 * 86_400));
    assert_eq!(second.labels["exported_severity"], "ticket");
    let told = remarks.join("\n");
    for words in [
        "the rule that records `a:b` is left out",
        "rule `Down`, `annotations.summary`: `{{ printf \"%.2f\" $value }}` is not filled here",
        "the severity `ticket` is none of",
        "rule `Bad`, `for`: `soon` is no duration; say one as in `5m`. It is left out",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn durations_of_prometheus() {
    for (text, seconds) in [
        ("5m", 300),
        ("1y", 31_536_000),
        ("2w", 1_209_600),
        ("1w12h", 648_000),
        ("0", 0),
    ] {
        assert_eq!(
            duration_of(text),
            Some(Duration::from_secs(seconds)),
            "{text}"
        );
    }
    assert_eq!(duration_of("w"), None);
    assert_eq!(duration_of("99999999999999999y"), None);
    assert_eq!(shown(Duration::from_nanos(1)), "1ms");
}
