//! A rule: what is wrong when, how long that has to last, and what people are told.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Condition, Labels, Severity, written::Written};

mod check;

pub use self::check::check_all;

/// What is wrong when. Data: it comes from a file by serde, or from code by [`Rule::new`].
///
/// ```
/// use std::time::Duration;
/// use radiosonde_answers::alerts::{Condition, Limit, Measure, Reading, Rule, Selector, Severity, Threshold};
///
/// let five_minutes = Duration::from_secs(300);
/// let errors = Selector::new("gpu.operation.errors").with("error.type", "*memory*");
/// let measure = Measure::new(errors, Reading::Increase(five_minutes)).by(["op_name"]);
/// let rule = Rule::new("allocations_fail", Condition::Threshold(Threshold::new(measure, Limit::AtLeast(3.0))))
///     .severity(Severity::Error)
///     .keep_firing_for(five_minutes)
///     .summary("{{labels.op_name}} found no memory {{value}} times in five minutes")
///     .action("Make batches smaller, or give the process a larger device.");
/// assert!(rule.check().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Rule {
    /// What it is called: the label `alertname`. No other rule of an engine has it.
    pub name: String,
    /// What is wrong when.
    pub condition: Condition,
    /// How long that has to be so before anybody is told; nothing: at once.
    pub for_: Duration,
    /// How long it goes on firing after that is no longer so.
    pub keep_firing_for: Duration,
    /// How urgent it is: the label `severity`.
    pub severity: Severity,
    /// UCUM unit of the value, by which texts show it: `s`, `By`, `1`, `{token}`, or empty.
    pub unit: String,
    /// Labels that its alerts have beside those of what was measured.
    pub labels: Labels,
    /// What people read. `summary` in a line, `description` in a few, `action`: what to do about it. `{{value}}` and
    /// `{{labels.NAME}}` stand for what was measured.
    pub annotations: Labels,
    /// With which other rules it belongs together where rules are shown or written; empty: with none.
    pub group: String,
    /// How often it is evaluated; `None`: whenever the engine is asked.
    pub interval: Option<Duration>,
}

impl Rule {
    /// A rule without texts, of severity warning, that fires at once.
    pub fn new(name: impl Into<String>, condition: Condition) -> Self {
        Self {
            name: name.into(),
            condition,
            for_: Duration::ZERO,
            keep_firing_for: Duration::ZERO,
            severity: Severity::default(),
            unit: String::new(),
            labels: Labels::new(),
            annotations: Labels::new(),
            group: String::new(),
            interval: None,
        }
    }

    /// How long that has to be so before anybody is told.
    #[must_use]
    pub const fn for_(mut self, duration: Duration) -> Self {
        self.for_ = duration;
        self
    }

    /// How long it goes on firing after that is no longer so.
    #[must_use]
    pub const fn keep_firing_for(mut self, duration: Duration) -> Self {
        self.keep_firing_for = duration;
        self
    }

    /// How urgent it is.
    #[must_use]
    pub const fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// UCUM unit of the value.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// A label that its alerts have.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// What is wrong, in a line.
    #[must_use]
    pub fn summary(self, text: impl Into<String>) -> Self {
        self.annotation("summary", text)
    }

    /// What is wrong, in a few lines.
    #[must_use]
    pub fn description(self, text: impl Into<String>) -> Self {
        self.annotation("description", text)
    }

    /// What to do about it.
    #[must_use]
    pub fn action(self, text: impl Into<String>) -> Self {
        self.annotation("action", text)
    }

    /// Another text that people read.
    #[must_use]
    pub fn annotation(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.annotations.insert(name.into(), text.into());
        self
    }

    /// With which other rules it belongs together.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// How often it is evaluated.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// The metrics that it is about, as far as it says: what an expression is about is between it and whoever answers it.
    pub fn metrics(&self) -> Vec<&str> {
        let of_measure = match &self.condition {
            Condition::Threshold(threshold) => &threshold.measure,
            Condition::Forecast(forecast) => &forecast.measure,
            Condition::Anomaly(anomaly) => &anomaly.measure,
            Condition::Absence(absence) => return vec![&absence.of.metric],
            Condition::BurnRate(burn) => return vec![&burn.errors.metric, &burn.total.metric],
            Condition::Expression(_) => return Vec::new(),
        };
        let selectors = std::iter::once(&of_measure.of).chain(&of_measure.per);
        selectors.map(|selector| &*selector.metric).collect()
    }

    /// Everything that is wrong with it.
    pub fn check(&self) -> Vec<Fault> {
        check::check(self)
    }
}

/// The rules of a file: `[[rules]]` in TOML.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// In the order of the file.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What is wrong with a rule, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule's name.
    pub rule: String,
    /// Which of its fields, as in a file: `threshold.window`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do.
    pub mend: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            field,
            message,
            mend,
        } = self;
        write!(f, "rule `{rule}`, `{field}`: {message}; {mend}")
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests;
