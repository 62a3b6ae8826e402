//! What `sonde serve` is told to take from metrics: a file, which is read and looked at here.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use radiosonde_server::{Config, MetricRule};

use super::{Setting, Shown, file, shown_file};
use crate::cli::serve::ServeArguments;

/// The environment's variable with the file.
const VARIABLE: &str = "RADIOSONDE_METRIC_RULES";

/// The file, and what it holds.
#[derive(Clone, Debug)]
pub(super) struct MetricRules {
    file: Setting<Option<PathBuf>>,
    rules: Vec<MetricRule>,
}

impl MetricRules {
    pub(super) fn new(said: &ServeArguments) -> anyhow::Result<Self> {
        let file = file(said.metric_rules.as_ref(), VARIABLE);
        let rules = match &file.value {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("cannot read the rules in {}", path.display()))?;
                MetricRule::parse(&text)
                    .with_context(|| format!("the rules in {} are wrong", path.display()))?
            }
            None => Vec::new(),
        };
        Ok(Self { file, rules })
    }

    /// Tells a server.
    pub(super) fn apply(&self, config: &mut Config) {
        config.metric_rules.clone_from(&self.rules);
    }

    pub(super) fn shown(&self) -> Shown {
        shown_file(&self.file, VARIABLE)
    }
}
