//! Everything that may be wrong with a rule, in one place.

use std::{collections::BTreeSet, time::Duration};

use super::{Fault, Rule};
use crate::{
    alerts::{
        Absence, Anomaly, BurnRate, Condition, Forecast, Measure, Reading, Selector, Threshold,
        template,
    },
    duration,
};

/// The longest that a rule looks back, waits or looks ahead.
const DURATION_MAX: Duration = Duration::from_secs(90 * 86_400);
/// Longest name of a rule.
const NAME_BYTES_MAX: usize = 200;
/// Labels that the engine sets.
const OWN_LABELS: [&str; 2] = ["alertname", "severity"];

/// Everything that is wrong with rules that are together, names that two of them have among it.
pub fn check_all(rules: &[Rule]) -> Vec<Fault> {
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for rule in rules {
        faults.extend(check(rule));
        if !names.insert(&rule.name) {
            faults.push(Fault {
                rule: rule.name.clone(),
                field: "name".to_owned(),
                message: "is there twice".to_owned(),
                mend: "call one of them otherwise".to_owned(),
            });
        }
    }
    faults
}

pub(super) fn check(rule: &Rule) -> Vec<Fault> {
    let mut checks = Checks {
        rule: &rule.name,
        kind: rule.condition.kind(),
        faults: Vec::new(),
    };
    checks.names(rule);
    checks.durations(rule);
    checks.texts(rule);
    match &rule.condition {
        Condition::Threshold(threshold) => checks.threshold(threshold),
        Condition::Absence(absence) => checks.absence(absence),
        Condition::BurnRate(burn) => checks.burn_rate(burn),
        Condition::Forecast(forecast) => checks.forecast(forecast),
        Condition::Anomaly(anomaly) => checks.anomaly(anomaly),
        Condition::Expression(text) => {
            checks.unless(
                !text.trim().is_empty(),
                "expression",
                "is empty",
                "write one in PromQL",
            );
        }
    }
    checks.faults
}

struct Checks<'r> {
    rule: &'r str,
    kind: &'static str,
    faults: Vec<Fault>,
}

impl Checks<'_> {
    fn unless(
        &mut self,
        is_right: bool,
        field: &str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        if !is_right {
            self.faults.push(Fault {
                rule: self.rule.to_owned(),
                field: field.to_owned(),
                message: message.into(),
                mend: mend.into(),
            });
        }
    }

    /// A field of the condition.
    fn inside(&self, field: &str) -> String {
        format!("{}.{field}", self.kind)
    }

    fn names(&mut self, rule: &Rule) {
        let name = &rule.name;
        let is_fit = !name.trim().is_empty()
            && name.len() <= NAME_BYTES_MAX
            && !name.chars().any(char::is_control);
        self.unless(
            is_fit,
            "name",
            "is empty, too long or more than a line",
            format!("call it something of at most {NAME_BYTES_MAX} bytes"),
        );
        for label in rule.labels.keys() {
            let field = format!("labels.{label}");
            self.unless(!label.is_empty(), &field, "has no name", "give it one");
            let is_own = OWN_LABELS.contains(&label.as_str());
            let mend = "leave it out: it is made of `name` and `severity`";
            self.unless(!is_own, &field, "is not yours to set", mend);
        }
    }

    fn durations(&mut self, rule: &Rule) {
        self.short(rule.for_, "for");
        self.short(rule.keep_firing_for, "keep_firing_for");
        if let Some(interval) = rule.interval {
            self.duration(interval, "interval");
        }
    }

    fn texts(&mut self, rule: &Rule) {
        for (name, text) in &rule.annotations {
            if let Some(place) = template::unknown(text) {
                self.unless(
                    false,
                    &format!("annotations.{name}"),
                    format!("`{{{{{place}}}}}` stands for nothing"),
                    "say `{{value}}` or `{{labels.NAME}}`",
                );
            }
        }
    }

    fn short(&mut self, duration: Duration, field: &str) {
        let longest = duration::show(DURATION_MAX);
        self.unless(
            duration <= DURATION_MAX,
            field,
            format!("is longer than {longest}"),
            format!("say at most `{longest}`"),
        );
    }

    fn duration(&mut self, duration: Duration, field: &str) {
        self.short(duration, field);
        let mend = "say how long, as in `5m`";
        self.unless(!duration.is_zero(), field, "is no time at all", mend);
    }

    fn number(&mut self, value: f64, field: &str) {
        let mend = "say one, as in `0.9`";
        self.unless(value.is_finite(), field, "is not a number", mend);
    }

    fn selector(&mut self, selector: &Selector, field: &str) {
        let mend = "name one, as in `gpu.operation.errors`";
        let is_named = !selector.metric.trim().is_empty();
        self.unless(is_named, field, "names no metric", mend);
    }

    fn by(&mut self, by: Option<&Vec<String>>) {
        let field = self.inside("by");
        let mut seen = BTreeSet::new();
        for label in by.into_iter().flatten() {
            let is_fit = !label.is_empty() && seen.insert(label);
            let message = format!("has `{label}` twice or without a name");
            self.unless(is_fit, &field, message, "name each label once");
        }
    }

    fn measure(&mut self, measure: &Measure) {
        self.selector(&measure.of, &self.inside("of"));
        if let Some(per) = &measure.per {
            self.selector(per, &self.inside("per"));
        }
        self.by(measure.by.as_ref());
        if let Some(window) = measure.reading.window() {
            self.duration(window, &self.inside("reading"));
        }
        match measure.reading {
            Reading::Quantile(quantile, _) => self.unless(
                (0.0..=1.0).contains(&quantile),
                &self.inside("reading.quantile"),
                "is no share",
                "say one from 0 to 1, as in `0.99`",
            ),
            Reading::Beyond(bound, _) => self.number(bound, &self.inside("reading.beyond")),
            _ => {}
        }
    }

    fn threshold(&mut self, threshold: &Threshold) {
        self.measure(&threshold.measure);
        let limit = threshold.limit;
        self.number(limit.value(), &self.inside(limit.word()));
        if let Some(resolve_at) = threshold.resolve_at {
            let field = self.inside("resolve_at");
            self.number(resolve_at, &field);
            let (is_inside, side) = if limit.is_upper() {
                (resolve_at <= limit.value(), "at most")
            } else {
                (resolve_at >= limit.value(), "at least")
            };
            self.unless(
                is_inside || !resolve_at.is_finite(),
                &field,
                "is further out than the limit, so that what fires would be resolved at once",
                format!("say {side} `{}`", limit.value()),
            );
        }
    }

    fn absence(&mut self, absence: &Absence) {
        self.selector(&absence.of, &self.inside("of"));
        self.by(absence.by.as_ref());
        self.duration(absence.since, &self.inside("since"));
    }

    fn burn_rate(&mut self, burn: &BurnRate) {
        self.selector(&burn.errors, &self.inside("errors"));
        self.selector(&burn.total, &self.inside("total"));
        self.by(burn.by.as_ref());
        let objective = burn.objective;
        self.unless(
            objective > 0.0 && objective < 1.0,
            &self.inside("objective"),
            "is not between 0 and 1",
            "say the share that has to succeed, as in `0.999`",
        );
        let field = self.inside("windows");
        let mend = "leave it out for the defaults";
        self.unless(!burn.windows.is_empty(), &field, "is empty", mend);
        for window in &burn.windows {
            self.duration(window.long, &field);
            self.duration(window.short, &field);
            self.unless(
                window.short < window.long,
                &field,
                "has a short time that is not shorter than the long one",
                "say a twelfth of the long one",
            );
            let share = window.times * (1.0 - objective);
            self.unless(
                window.times > 0.0 && share < 1.0,
                &field,
                format!(
                    "{} times the budget's pace is {} % of all, which is never exceeded",
                    window.times,
                    template::number(100.0 * share)
                ),
                "say fewer `times`",
            );
        }
    }

    fn forecast(&mut self, forecast: &Forecast) {
        self.measure(&forecast.measure);
        self.number(forecast.reaches, &self.inside("reaches"));
        self.duration(forecast.within, &self.inside("within"));
        self.duration(forecast.history, &self.inside("history"));
    }

    fn anomaly(&mut self, anomaly: &Anomaly) {
        self.measure(&anomaly.measure);
        self.duration(anomaly.history, &self.inside("history"));
    }
}
