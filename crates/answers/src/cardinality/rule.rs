//! What takes a label away: at the collector, or where it comes from.

use std::fmt::Write as _;

use serde::Serialize;

/// What takes a label away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// For the file of `sonde serve --metric-rules`, as TOML; none for a histogram, of which the collector cannot add up series.
    pub collector: Option<String>,
    /// For the program that sends it: a view, as OpenTelemetry's configuration file has it (declarative configuration,
    /// `meter_provider`).
    pub view: String,
}

impl Rule {
    /// The rule that takes `label` from `metric`.
    pub(super) fn of(metric: &str, kind: &str, label: &str) -> Self {
        let (metric, label) = (quoted(metric), quoted(label));
        Self {
            collector: (kind != "histogram")
                .then(|| format!("[[metrics.rules]]\nmetric = {metric}\ndrop_label = {label}\n")),
            view: format!(
                "meter_provider:\n  views:\n    - selector: {{instrument_name: {metric}}}\n      stream: {{attribute_keys: {{excluded: [{label}]}}}}\n"
            ),
        }
    }
}

/// A text as TOML, YAML and JSON all have it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_the_metric_and_the_label_whatever_they_are() {
        let rule = Rule::of("http.requests", "counter", "user\"id\n");
        assert_eq!(
            rule.collector.unwrap(),
            "[[metrics.rules]]\nmetric = \"http.requests\"\ndrop_label = \"user\\\"id\\u000a\"\n"
        );
        assert!(rule.view.contains("excluded: [\"user\\\"id\\u000a\"]"));
        assert_eq!(Rule::of("a", "histogram", "b").collector, None);
    }
}
