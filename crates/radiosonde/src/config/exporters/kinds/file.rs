//! The table of files with rotation.

use std::path::PathBuf;

use super::{Plan, Table};
use crate::{
    config::{
        choice::choose,
        duration::Unit,
        value::{Problem, Setting, quoted},
        written::Written,
    },
    exporter::file::{FileConfig, Files, Format, Rotation},
};

pub(super) fn plan(table: &mut Table) -> Option<Plan> {
    let directory: Option<PathBuf> = table.need("directory", "\"logs\"");
    let usual = FileConfig::new(directory.clone().unwrap_or_default());
    let config = FileConfig {
        rotation: table.take("rotation", || usual.rotation),
        keep_days: table.take("keep_days", || usual.keep_days),
        keep_runs: table.take("keep_runs", || usual.keep_runs),
        per_target: table.take("per_target", || usual.per_target),
        format: table.take("format", || usual.format),
        file_bytes_max: table.take("file_bytes_max", || usual.file_bytes_max),
        ..usual.clone()
    };
    directory.map(|_| Plan::new(move || Files::open(&config)))
}

impl Setting for Rotation {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        choose(written, &[("runs", Self::Runs), ("daily", Self::Daily)])
    }

    fn show(&self) -> Option<String> {
        let name = match self {
            Self::Runs => "runs",
            Self::Daily => "daily",
        };
        Some(quoted(name))
    }
}

impl Setting for Format {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        choose(written, &[("json", Self::Json), ("human", Self::Human)])
    }

    fn show(&self) -> Option<String> {
        let name = match self {
            Self::Json => "json",
            Self::Human => "human",
        };
        Some(quoted(name))
    }
}
