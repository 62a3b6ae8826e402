use super::*;
use crate::alerts::{
    Absence, Anomaly, BurnRate, BurnWindow, Direction, Forecast, Limit, Measure, Reading, Selector,
    Threshold,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A rule of each kind.
fn of_every_kind() -> Vec<Rule> {
    let errors = Selector::new("gpu.operation.errors").with("error.type", "*memory*");
    let increase = Measure::new(errors.clone(), Reading::Increase(5 * MINUTE)).by(["op_name"]);
    let share = Measure::new("hw.gpu.memory.usage", Reading::Last).per("hw.gpu.memory.limit");
    let slow = Measure::new("gpu.operation.duration", Reading::Beyond(0.1, 15 * MINUTE));
    let burn = |windows| {
        Condition::BurnRate(BurnRate {
            errors: errors.clone(),
            total: Selector::new("gpu.operation.count"),
            by: None,
            objective: 0.999,
            windows,
        })
    };
    let own = BurnWindow {
        long: 10 * MINUTE,
        short: MINUTE,
        times: 2.0,
    };
    vec![
        Rule::new(
            "increase",
            Condition::Threshold(Threshold::new(increase, Limit::AtLeast(3.0))),
        )
        .severity(Severity::Critical)
        .group("gpu")
        .label("team", "serving")
        .summary("{{value}} on {{labels.op_name}}"),
        Rule::new(
            "share",
            Condition::Threshold(Threshold::new(share.clone(), Limit::Above(0.9)).resolve_at(0.85)),
        )
        .for_(MINUTE)
        .unit("1"),
        Rule::new(
            "slow",
            Condition::Threshold(Threshold::new(slow, Limit::AtLeast(10.0))),
        )
        .keep_firing_for(MINUTE),
        Rule::new(
            "absent",
            Condition::Absence(Absence {
                of: Selector::new("m").without("device", "cpu"),
                by: Some(vec!["device".to_owned()]),
                since: 5 * MINUTE,
            }),
        ),
        Rule::new("burn", burn(BurnWindow::DEFAULTS.to_vec())),
        Rule::new("burn_fast", burn(vec![own])),
        Rule::new(
            "forecast",
            Condition::Forecast(Forecast {
                measure: share.clone(),
                reaches: 1.0,
                falls: false,
                within: 60 * MINUTE,
                history: 30 * MINUTE,
            }),
        ),
        Rule::new(
            "anomaly",
            Condition::Anomaly(Anomaly {
                measure: share,
                direction: Direction::Above,
                history: 60 * MINUTE,
            }),
        ),
        Rule::new("text", Condition::Expression("up == 0".to_owned())).interval(MINUTE),
    ]
}

#[test]
fn every_kind_is_right_and_reads_back() {
    let rules = of_every_kind();
    assert_eq!(check_all(&rules), []);
    let file = RuleFile { rules };
    let text = serde_json::to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<RuleFile>(&text).unwrap(), file);
}

#[test]
fn a_file_in_toml_is_the_rules_in_code() {
    let file: RuleFile = toml::from_str(
        r#"
        [[rules]]
        name = "increase"
        severity = "critical"
        group = "gpu"
        labels = { team = "serving" }
        annotations = { summary = "{{value}} on {{labels.op_name}}" }
        [rules.threshold]
        of = { metric = "gpu.operation.errors", where = { "error.type" = "*memory*" } }
        by = ["op_name"]
        reading = { increase = "5m" }
        at_least = 3

        [[rules]]
        name = "share"
        for = "1m"
        unit = "1"
        threshold = { of = "hw.gpu.memory.usage", per = "hw.gpu.memory.limit", above = 0.9, resolve_at = 0.85 }

        [[rules]]
        name = "slow"
        keep_firing_for = "60s"
        threshold = { of = "gpu.operation.duration", reading = { beyond = 0.1, over = "15m" }, at_least = 10.0 }

        [[rules]]
        name = "absent"
        absence = { of = { metric = "m", where = { device = { not = "cpu" } } }, by = ["device"], since = "5m" }

        [[rules]]
        name = "burn"
        [rules.burn_rate]
        errors = { metric = "gpu.operation.errors", where = { "error.type" = "*memory*" } }
        total = "gpu.operation.count"
        objective = 0.999
        "#,
    )
    .unwrap();
    assert_eq!(file.rules, of_every_kind()[..5]);
}

fn refusal(condition: &str) -> String {
    let text = format!("[[rules]]\nname = \"a rule\"\n{condition}\n");
    toml::from_str::<RuleFile>(&text).unwrap_err().to_string()
}

/// Conditions that are wrong, and what is said of each.
const REFUSED: &[(&str, &str)] = &[
    (
        "",
        "rule `a rule`, `condition`: there is none; say one of threshold",
    ),
    (
        "expression = 'x'\nabsence = { of = 'x', since = '5m' }",
        "there is more than one",
    ),
    (
        "threshold = { of = 'x' }",
        "`threshold`: has not one limit; say one of above",
    ),
    (
        "threshold = { of = 'x', above = 1, below = 0 }",
        "has not one limit",
    ),
    (
        "threshold = { of = 'x', above = 1, reading = { quantile = 0.9 } }",
        "`threshold.reading`: is not one reading",
    ),
    (
        "threshold = { of = 'x', above = 1, reading = { rate = '5m', over = '5m' } }",
        "is not one reading",
    ),
    (
        "threshold = { of = 'x', above = 1, reading = { rate = '0s' } }",
        "`threshold.reading`: is no time at all; say how long, as in `5m`",
    ),
    (
        "threshold = { of = 'x', above = 1, reading = { rate = 'five' } }",
        "`five` is no duration; say one as in `5m`",
    ),
    (
        "threshold = { of = 'x', above = 1, resolve_at = 2 }",
        "`threshold.resolve_at`: is further out than the limit, so that what fires would be resolved at once; say at most `1`",
    ),
    (
        "threshold = { of = 'x', below = 1, resolve_at = 0.5 }",
        "say at least `1`",
    ),
    (
        "threshold = { of = '', above = nan }",
        "`threshold.of`: names no metric",
    ),
    (
        "threshold = { of = '', above = nan }",
        "`threshold.above`: is not a number",
    ),
    (
        "threshold = { of = 'x', above = 1, over = 3 }",
        "unknown field `over`",
    ),
    (
        "burn_rate = { errors = 'x', total = 'y', objective = 99.9 }",
        "`burn_rate.objective`: is not between 0 and 1",
    ),
    (
        "burn_rate = { errors = 'x', total = 'y', objective = 0.9 }",
        "14.4 times the budget's pace is 144 % of all",
    ),
    (
        "expression = ' '",
        "`expression`: is empty; write one in PromQL",
    ),
    (
        "for = '100d'\nexpression = 'x'",
        "`for`: is longer than 90d; say at most `90d`",
    ),
    (
        "labels = { severity = 'page' }\nexpression = 'x'",
        "`labels.severity`: is not yours to set",
    ),
    (
        "annotations = { summary = '{{ $value }}' }\nexpression = 'x'",
        "`annotations.summary`: `{{$value}}` stands for nothing",
    ),
];

#[test]
fn what_does_not_fit_names_the_rule_the_field_and_the_mend() {
    for (condition, words) in REFUSED {
        let told = refusal(condition);
        assert!(told.contains(words), "{condition}: {told}");
    }
}

#[test]
fn two_rules_of_one_name_are_a_fault() {
    let rule = Rule::new("one", Condition::Expression("x".to_owned()));
    let faults = check_all(&[rule.clone(), rule]);
    let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert_eq!(
        told,
        ["rule `one`, `name`: is there twice; call one of them otherwise"]
    );
}
