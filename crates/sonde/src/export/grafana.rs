//! `sonde export grafana`: dashboards for Grafana, from the events that Radiosonde defines.

use std::{fs, path::Path};

use anyhow::Context as _;
use radiosonde::dashboards::{self, Dashboard};
use radiosonde_core::events::BUILT_IN;
use serde_json::{Value, json};

use crate::{
    cli::{Format, export::GrafanaArguments},
    text,
};

/// What standard output gets.
pub fn run(arguments: &GrafanaArguments) -> anyhow::Result<String> {
    let dashboards = dashboards::grafana(BUILT_IN);
    if arguments.out == Path::new("-") {
        let all: Result<Vec<Value>, _> = dashboards
            .iter()
            .map(|dashboard| serde_json::from_str(&dashboard.json))
            .collect();
        return Ok(text::json(&Value::Array(all?)));
    }
    let files = write(&arguments.out, &dashboards)?;
    Ok(match arguments.format {
        Format::Json => text::json(&json!({ "files": files })),
        Format::Text => {
            let titled = dashboards.iter().zip(&files);
            let lines = titled.map(|(dashboard, file)| format!("{file}  {}", dashboard.title));
            lines.collect::<Vec<_>>().join("\n") + "\n"
        }
    })
}

/// The files that were written.
fn write(folder: &Path, dashboards: &[Dashboard]) -> anyhow::Result<Vec<String>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let write = |dashboard: &Dashboard| {
        let path = folder.join(&dashboard.file);
        fs::write(&path, &dashboard.json)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    };
    dashboards.iter().map(write).collect()
}
