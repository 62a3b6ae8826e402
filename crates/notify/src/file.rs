//! Alerts as written in a file:
//!
//! ```toml
//! defaults = true            # the families of rules that come with Radiosonde
//! prometheus_rules = ["engine.rules.yml"]    # rules of Prometheus, in files beside this one
//!
//! [[rules]]
//! name = "queue_is_long"
//! threshold = { of = "worker.pool.queue.depth", above = 100 }
//! for = "2m"
//!
//! [route]
//! receiver = "team"
//!
//! [receivers.team]
//! kind = "slack"
//! url = "https://hooks.slack.com/services/..."
//! ```
//!
//! docs/alerts.md has the rules' keys, docs/alert-routing.md the others.

use std::fmt;

use radiosonde_answers::alerts::{
    Engine, Rule, RuleFile,
    defaults::{self, Defaults},
    prometheus::{self, PrometheusFile},
    routing::{Plan, Routing},
};

/// What a file of alerts means.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertFile {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Who is told of them.
    pub plan: Plan,
    /// What of rules of Prometheus is left out or means something else here: each names the file and the rule.
    pub remarks: Vec<String>,
}

/// Reads the text of a file of Prometheus' rules by the name that a file of alerts has for it; why it cannot be read.
pub type ReadRules<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// What is wrong with a file of alerts: every fault on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError(Vec<String>);

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for FileError {}

impl AlertFile {
    /// Reads the text of a file that names no others.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        Self::parse_with(text, &|_| {
            Err("rules of Prometheus are read where a file of alerts is".to_owned())
        })
    }

    /// Reads the text of a file, and by `read` those that it names.
    pub fn parse_with(text: &str, read: ReadRules<'_>) -> Result<Self, FileError> {
        let one = |error: &dyn fmt::Display| FileError(vec![error.to_string()]);
        let mut table: toml::Table = text.parse().map_err(|error| one(&error))?;
        let with_defaults = match table.remove("defaults") {
            None => true,
            Some(toml::Value::Boolean(value)) => value,
            Some(_) => return Err(one(&"`defaults` is true or false")),
        };
        let (foreign, remarks) = match table.remove("prometheus_rules") {
            None => Default::default(),
            Some(names) => foreign(names, read)?,
        };
        let mut rules = toml::Table::new();
        if let Some(list) = table.remove("rules") {
            rules.insert("rules".to_owned(), list);
        }
        let mut rules: RuleFile = rules.try_into().map_err(|error| one(&error))?;
        rules.rules.extend(foreign);
        let routing: Routing = table.try_into().map_err(|error| one(&error))?;
        let mut all = if with_defaults {
            defaults::rules(&Defaults::default())
        } else {
            Vec::new()
        };
        // A rule of the file with the name of one of ours takes its place.
        all.retain(|ours| !rules.rules.iter().any(|rule| rule.name == ours.name));
        all.extend(rules.rules);
        let mut faults = Vec::new();
        if let Err(wrong) = Engine::new(all.clone()) {
            faults.extend(wrong.iter().map(ToString::to_string));
        }
        match routing.check() {
            Ok(plan) if faults.is_empty() => Ok(Self {
                rules: all,
                plan,
                remarks,
            }),
            Ok(_) => Err(FileError(faults)),
            Err(wrong) => {
                faults.extend(wrong.0.iter().map(ToString::to_string));
                Err(FileError(faults))
            }
        }
    }
}

/// The rules of the files of Prometheus that are named, and what is to be said of them.
fn foreign(names: toml::Value, read: ReadRules<'_>) -> Result<(Vec<Rule>, Vec<String>), FileError> {
    let one = |words: String| FileError(vec![words]);
    let names: Vec<String> = names.try_into().map_err(|_| {
        one("`prometheus_rules` is a list of files, as in [\"engine.rules.yml\"]".to_owned())
    })?;
    let (mut all, mut remarks) = (Vec::new(), Vec::new());
    for name in names {
        let of_file = |words: &dyn fmt::Display| one(format!("{name}: {words}"));
        let text = read(&name).map_err(|error| of_file(&error))?;
        let file = PrometheusFile::from_yaml(&text).map_err(|error| of_file(&error))?;
        let (rules, said) = prometheus::read(&file);
        all.extend(rules);
        remarks.extend(said.iter().map(|said| format!("{name}: {said}")));
    }
    Ok((all, remarks))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "
groups:
- name: engine
  rules:
  - alert: device_is_hot
    expr: hw_temperature_celsius > 70
  - record: x
    expr: up
";

    fn parsed(text: &str) -> Result<AlertFile, String> {
        let read = |name: &str| match name {
            "engine.rules.yml" => Ok(RULES.to_owned()),
            _ => Err("no such file".to_owned()),
        };
        AlertFile::parse_with(text, &read).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_of_prometheus_stand_beside_ours_and_what_is_left_out_is_said() {
        let file = parsed("prometheus_rules = [\"engine.rules.yml\"]").unwrap();
        let ours = AlertFile::parse("").unwrap();
        // A rule with the name of one of ours takes its place.
        assert_eq!(file.rules.len(), ours.rules.len());
        let hot = file.rules.iter().find(|rule| rule.name == "device_is_hot");
        assert_eq!(hot.unwrap().group, "engine");
        assert_eq!(file.remarks.len(), 1, "{:?}", file.remarks);
        assert!(file.remarks[0].starts_with("engine.rules.yml: group `engine`"));
        assert!(ours.remarks.is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let error = parsed("prometheus_rules = [\"other.yml\"]").unwrap_err();
        assert_eq!(error, "other.yml: no such file");
        let error = parsed("prometheus_rules = \"other.yml\"").unwrap_err();
        assert!(error.contains("is a list of files"), "{error}");
    }
}
