//! Alerts as written in a file:
//!
//! ```toml
//! defaults = true            # the families of rules that come with Radiosonde
//!
//! [[rules]]
//! name = "queue_is_long"
//! threshold = { metric = "worker.pool.queue.depth", above = 100 }
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
    routing::{Plan, Routing},
};

/// What a file of alerts means.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertFile {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Who is told of them.
    pub plan: Plan,
}

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
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let one = |error: &dyn fmt::Display| FileError(vec![error.to_string()]);
        let mut table: toml::Table = text.parse().map_err(|error| one(&error))?;
        let with_defaults = match table.remove("defaults") {
            None => true,
            Some(toml::Value::Boolean(value)) => value,
            Some(_) => return Err(one(&"`defaults` is true or false")),
        };
        let mut rules = toml::Table::new();
        if let Some(list) = table.remove("rules") {
            rules.insert("rules".to_owned(), list);
        }
        let rules: RuleFile = rules.try_into().map_err(|error| one(&error))?;
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
            Ok(plan) if faults.is_empty() => Ok(Self { rules: all, plan }),
            Ok(_) => Err(FileError(faults)),
            Err(wrong) => {
                faults.extend(wrong.0.iter().map(ToString::to_string));
                Err(FileError(faults))
            }
        }
    }
}
