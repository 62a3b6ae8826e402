//! Rules in the form of Prometheus' files: ours written for a Prometheus, and theirs read.
//!
//! ```yaml
//! groups:
//!   - name: gpu
//!     rules:
//!       - alert: allocations_fail
//!         expr: sum by (backend) (increase(gpu_operation_errors_total[5m])) >= 3
//! ```
//!
//! The types have the shape of the file; [`PrometheusFile::to_yaml`] and [`PrometheusFile::from_yaml`] are its text. What one side
//! has no form for is said, never left out in silence.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Condition, Labels, Rule, Severity,
    defaults::{self, Defaults},
    template,
};
use crate::{
    duration,
    prometheus_name::{Kind, label_name},
};

mod promql;
mod yaml;

pub use self::yaml::YamlError;

/// The group of rules that name none.
const GROUP: &str = "radiosonde";
/// The label that keeps a severity which is none of ours.
const OTHER_SEVERITY: &str = "exported_severity";

/// A file of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrometheusFile {
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<PrometheusGroup>,
}

/// Rules that are evaluated one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrometheusGroup {
    /// Its name, of which a file has no two.
    pub name: String,
    /// How often it is evaluated, as in `15s`; else as Prometheus is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Its rules.
    #[serde(default)]
    pub rules: Vec<PrometheusRule>,
}

/// A rule. One that records has no `alert`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrometheusRule {
    /// The alert's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// The name of the series that a recording rule makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// PromQL.
    pub expr: String,
    /// How long that has to hold, as in `5m`.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<String>,
    /// How long it fires on, as in `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<String>,
    /// Labels of its alerts.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Texts of its alerts.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
}

/// What a metric is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricKind {
    /// Its kind.
    pub kind: Kind,
    /// Its UCUM unit.
    pub unit: String,
}

/// What is to be said about the rules beside them: each names the rule.
pub type Remarks = Vec<String>;

/// What a metric of the catalogue of events is (docs/events.md).
pub fn catalogued(metric: &str) -> Option<MetricKind> {
    let events = radiosonde_core::catalogue::all().into_iter();
    let (_, kind, unit) = events
        .flat_map(radiosonde_core::catalogue::metrics)
        .find(|(name, ..)| *name == metric)?;
    Some(MetricKind {
        kind: match kind {
            "counter" => Kind::Counter,
            "histogram" => Kind::Histogram,
            _ => Kind::Gauge,
        },
        unit: unit.to_owned(),
    })
}

/// The text of a file with the rules that come with Radiosonde, over the metrics of the catalogue. What is to be said about them
/// is in its comments.
pub fn default_rules(settings: &Defaults) -> String {
    let (file, remarks) = write(&defaults::rules(settings), &catalogued);
    let mut comments = vec![
        "The alerts that come with Radiosonde, written by `sonde export prometheus-rules`, for a Prometheus that scrapes".to_owned(),
        "/metrics of programs with this library. Each says in `action` what to do.".to_owned(),
    ];
    comments.extend(remarks);
    file.to_yaml(&comments)
}

/// Rules as Prometheus has them, over metrics as our `/metrics` shows them. `kind_of` says what a metric is. A rule that has no
/// form there is left out, and what means something else there is said.
pub fn write(
    rules: &[Rule],
    kind_of: &dyn Fn(&str) -> Option<MetricKind>,
) -> (PrometheusFile, Remarks) {
    let mut remarks = Remarks::new();
    let mut groups: BTreeMap<String, PrometheusGroup> = BTreeMap::new();
    for rule in rules {
        let mut told = Vec::new();
        let written = promql::of(rule, kind_of, &mut told);
        let words = |words: String| format!("rule `{}`: {words}", rule.name);
        remarks.extend(told.into_iter().map(words));
        let expr = match written {
            Ok(expr) => expr,
            Err(because) => {
                remarks.push(words(format!("left out: {because}")));
                continue;
            }
        };
        let interval = rule.interval.map(shown);
        let base = if rule.group.is_empty() {
            GROUP
        } else {
            &rule.group
        };
        // Rules of one group may have intervals of their own here, and have none there.
        let name = match &interval {
            Some(interval) => format!("{base}_{interval}"),
            None => base.to_owned(),
        };
        let group = groups
            .entry(name.clone())
            .or_insert_with(|| PrometheusGroup {
                name,
                interval,
                rules: Vec::new(),
            });
        group.rules.push(written_rule(rule, expr));
    }
    let file = PrometheusFile {
        groups: groups.into_values().collect(),
    };
    (file, remarks)
}

fn written_rule(rule: &Rule, expr: String) -> PrometheusRule {
    let lasting = |duration: Duration| (!duration.is_zero()).then(|| shown(duration));
    let severity = ("severity".to_owned(), rule.severity.label().to_owned());
    let labels = rule
        .labels
        .iter()
        .map(|(name, value)| (label_name(name), value.replace("{{", "{{ \"{{\" }}")))
        .chain(std::iter::once(severity));
    let annotations = rule.annotations.iter().map(|(name, text)| {
        let text = template::rewrite(text, |place| place_there(place, &rule.unit));
        (label_name(name), text)
    });
    PrometheusRule {
        alert: Some(rule.name.clone()),
        record: None,
        expr,
        for_: lasting(rule.for_),
        keep_firing_for: lasting(rule.keep_firing_for),
        labels: labels.collect(),
        annotations: annotations.collect(),
    }
}

/// A place of a text of ours, in the language of their templates.
fn place_there(place: &str, unit: &str) -> String {
    match place.strip_prefix("labels.") {
        Some(name) => format!("{{{{ $labels.{} }}}}", label_name(name)),
        None => match unit {
            "s" => "{{ $value | humanizeDuration }}".to_owned(),
            "1" => "{{ $value | humanizePercentage }}".to_owned(),
            "By" => "{{ $value | humanize1024 }}B".to_owned(),
            _ => "{{ $value }}".to_owned(),
        },
    }
}

/// A duration as Prometheus reads it, to the millisecond.
fn shown(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    duration::show(Duration::from_millis(ms.max(1)))
}

/// Rules of a file of Prometheus, each with its expression as it stands. Rules that record are left out, and places of texts
/// that call functions are not filled: both are said.
pub fn read(file: &PrometheusFile) -> (Vec<Rule>, Remarks) {
    let mut remarks = Remarks::new();
    let mut rules: Vec<Rule> = Vec::new();
    for group in &file.groups {
        for written in &group.rules {
            match read_rule(group, written, &mut remarks) {
                Ok(mut rule) => {
                    // A name may be there several times in Prometheus, as for two severities of one thing.
                    let count = (1..=rules.len() as u32 + 1).find(|count| {
                        let name = numbered(&rule.name, *count);
                        rules.iter().all(|known| known.name != name)
                    });
                    rule.name = numbered(&rule.name, count.unwrap_or(1));
                    rules.push(rule);
                }
                Err(because) => remarks.push(because),
            }
        }
    }
    (rules, remarks)
}

fn numbered(name: &str, count: u32) -> String {
    if count == 1 {
        name.to_owned()
    } else {
        format!("{name} ({count})")
    }
}

fn read_rule(
    group: &PrometheusGroup,
    written: &PrometheusRule,
    remarks: &mut Remarks,
) -> Result<Rule, String> {
    let Some(name) = &written.alert else {
        let record = written.record.as_deref().unwrap_or("");
        return Err(format!(
            "group `{}`: the rule that records `{record}` is left out: only alerts are evaluated here",
            group.name
        ));
    };
    let lasting = |field: &str, text: Option<&String>| {
        text.map(|text| {
            duration_of(text).ok_or_else(|| {
                format!("rule `{name}`, `{field}`: `{text}` is no duration; say one as in `5m`. It is left out")
            })
        })
        .transpose()
    };
    let mut rule = Rule::new(name, Condition::Expression(written.expr.clone())).group(&group.name);
    rule.interval = lasting("interval", group.interval.as_ref())?;
    rule.for_ = lasting("for", written.for_.as_ref())?.unwrap_or_default();
    rule.keep_firing_for =
        lasting("keep_firing_for", written.keep_firing_for.as_ref())?.unwrap_or_default();
    for (label, value) in &written.labels {
        match (label.as_str(), severity_of(value)) {
            ("alertname", _) => {}
            ("severity", Some(severity)) => rule.severity = severity,
            ("severity", None) => {
                remarks.push(format!(
                    "rule `{name}`: the severity `{value}` is none of info, warning, error and critical; it is a warning here, \
                     and `{value}` its label `{OTHER_SEVERITY}`"
                ));
                rule = rule.label(OTHER_SEVERITY, value);
            }
            _ => rule = rule.label(label, value),
        }
    }
    for (annotation, text) in &written.annotations {
        let text = template::rewrite(text, |place| {
            place_here(place).unwrap_or_else(|| {
                remarks.push(format!(
                    "rule `{name}`, `annotations.{annotation}`: `{{{{ {place} }}}}` is not filled here"
                ));
                format!("[{place}]")
            })
        });
        rule = rule.annotation(annotation, text);
    }
    match &rule.check()[..] {
        [] => Ok(rule),
        [fault, ..] => Err(format!("{fault}. It is left out")),
    }
}

fn severity_of(word: &str) -> Option<Severity> {
    match word.to_ascii_lowercase().as_str() {
        "info" | "information" | "none" => Some(Severity::Info),
        "warning" | "warn" => Some(Severity::Warning),
        "error" => Some(Severity::Error),
        "critical" | "page" => Some(Severity::Critical),
        _ => None,
    }
}

/// A place of a text of theirs in our form: a value, by whatever function it is shown, or a label.
fn place_here(place: &str) -> Option<String> {
    let (what, function) = match place.split_once('|') {
        Some((what, function)) => (what.trim(), function.trim()),
        None => (place, ""),
    };
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match what {
        "$value" | ".Value" if is_plain(function) || function.starts_with("printf ") => {
            Some("{{value}}".to_owned())
        }
        _ if function.is_empty() => {
            let label = what
                .strip_prefix("$labels.")
                .or_else(|| what.strip_prefix(".Labels."))?;
            is_plain(label).then(|| format!("{{{{labels.{label}}}}}"))
        }
        _ => None,
    }
}

/// A duration of Prometheus: numbers with units, with weeks and years among them.
fn duration_of(text: &str) -> Option<Duration> {
    const DAY_S: u64 = 86_400;
    let mut sum = Duration::ZERO;
    let mut rest = text.trim();
    for (unit, seconds) in [("y", 365 * DAY_S), ("w", 7 * DAY_S)] {
        if let Some((number, after)) = rest.split_once(unit)
            && let Ok(number) = number.parse::<u64>()
        {
            sum = sum.checked_add(Duration::from_secs(number.checked_mul(seconds)?))?;
            rest = after;
            if rest.is_empty() {
                return Some(sum);
            }
        }
    }
    match rest {
        "0" => Some(sum),
        _ => sum.checked_add(duration::parse(rest)?),
    }
}

#[cfg(test)]
mod tests;
