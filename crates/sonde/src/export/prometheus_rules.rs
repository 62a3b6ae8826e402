//! `sonde export prometheus-rules`: the alerts that come with Radiosonde, for a Prometheus that scrapes programs with this library.

use std::{fs, path::Path};

use anyhow::Context as _;
use radiosonde_answers::alerts::{defaults::Defaults, prometheus};

use crate::cli::export::PrometheusRulesArguments;

/// What standard output gets.
pub fn run(arguments: &PrometheusRulesArguments) -> anyhow::Result<String> {
    let text = prometheus::default_rules(&Defaults::default());
    let path = &arguments.out;
    if path == Path::new("-") {
        return Ok(text);
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(format!(
        "Wrote {}. Name it under rule_files in prometheus.yml.\n",
        path.display()
    ))
}
