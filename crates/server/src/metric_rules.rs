//! Rules about metrics, as they are written: which label is taken from which metric as it comes.
//!
//! ```toml
//! [[metrics.rules]]
//! metric = "http.server.requests"   # as it is sent
//! drop_label = "user_id"
//! service = "shop"                  # of every service where it is left out
//! ```

use serde::Deserialize;

use crate::receive::Rules;

/// Most rules of a file.
const RULES_MAX: usize = 1000;

/// A rule: a label that is taken from a metric.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRule {
    /// The metric, by the name that it is sent with.
    pub metric: String,
    /// The label, by the name that it is sent with.
    pub drop_label: String,
    /// Of which service; of every one where there is none.
    pub service: Option<String>,
}

/// A file of rules says something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// It is no such file; where, and what is wrong.
    #[error("{0}")]
    Toml(String),
    /// A rule has an empty name in it.
    #[error("rule {0} has an empty `{1}`; name it, or remove the rule")]
    Empty(usize, &'static str),
    /// There are too many.
    #[error(
        "there are {0} rules, and at most {RULES_MAX} are read; leave labels out where they are sent"
    )]
    TooMany(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metrics {
    rules: Vec<MetricRule>,
}

impl MetricRule {
    /// Reads the rules of a file.
    ///
    /// # Errors
    ///
    /// Says at which line the file is no TOML or has a setting that is not known, or which rule names nothing.
    pub fn parse(text: &str) -> Result<Vec<Self>, RulesError> {
        let file: File =
            toml::from_str(text).map_err(|error| RulesError::Toml(error.to_string()))?;
        let rules = file.metrics.rules;
        if rules.len() > RULES_MAX {
            return Err(RulesError::TooMany(rules.len()));
        }
        for (number, rule) in (1..).zip(&rules) {
            let names = [
                ("metric", Some(&rule.metric)),
                ("drop_label", Some(&rule.drop_label)),
                ("service", rule.service.as_ref()),
            ];
            let empty = names
                .iter()
                .find(|(_, name)| name.is_some_and(String::is_empty));
            if let Some((setting, _)) = empty {
                return Err(RulesError::Empty(number, setting));
            }
        }
        Ok(rules)
    }
}

/// What receivers do about them.
pub(crate) fn rules(written: Vec<MetricRule>) -> Rules {
    let rules = written.into_iter();
    Rules::new(rules.map(|rule| (rule.metric, rule.service, rule.drop_label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_rules_is_read() {
        let text = "[[metrics.rules]]\nmetric = \"requests\"\ndrop_label = \"user_id\"\n\n\
                    [[metrics.rules]]\nmetric = \"a.b\"\ndrop_label = \"c\"\nservice = \"shop\"\n";
        let rules = MetricRule::parse(text).unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(
            (rules[0].metric.as_str(), rules[0].service.as_deref()),
            ("requests", None)
        );
        assert_eq!(rules[1].service.as_deref(), Some("shop"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let said = |text: &str| MetricRule::parse(text).unwrap_err().to_string();
        let unknown = said("[[metrics.rules]]\nmetric = \"a\"\ndrop_labels = \"b\"\n");
        assert!(
            unknown.contains("line 3") && unknown.contains("drop_label"),
            "{unknown}"
        );
        let missing = said("[[metrics.rules]]\nmetric = \"a\"\n");
        assert!(missing.contains("drop_label"), "{missing}");
        let empty = said("[[metrics.rules]]\nmetric = \"a\"\ndrop_label = \"\"\n");
        assert_eq!(
            empty,
            "rule 1 has an empty `drop_label`; name it, or remove the rule"
        );
        assert!(said("rules = 1").contains("line 1"));
        let many = "[[metrics.rules]]\nmetric = \"a\"\ndrop_label = \"b\"\n".repeat(RULES_MAX + 1);
        assert!(said(&many).contains("at most 1000"));
    }
}
