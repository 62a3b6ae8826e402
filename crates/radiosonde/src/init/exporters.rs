//! The exporters that a configuration asks for.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use radiosonde_core::{batch::RecordRef, model::Severity};

use super::{InitError, running::Toggles};
use crate::{
    config::{Color, Config, ConsoleShow, ExporterSettings, LogFormat, Settings},
    encode::json::JsonEncoder,
    exporter::{
        ExportError, Exporter,
        choice::Chosen,
        console::{Colour, Console, Format, Stream},
        json_lines::JsonLines,
        runner::Limits,
    },
    redact::Redaction,
};

/// How long lines of a JSON-lines file may wait in memory.
const JSON_LINES_INTERVAL: Duration = Duration::from_secs(1);

type Limited = (Box<dyn Exporter>, Limits);

/// Opens every exporter that `config` names, and adds the program's own.
pub(super) fn open(
    config: &Config,
    own: Vec<Box<dyn Exporter>>,
    toggles: &Arc<Toggles>,
) -> Result<Vec<Limited>, InitError> {
    let limits = Limits {
        queue_records_max: usize::try_from(config.export.queue_records_max).unwrap_or(usize::MAX),
        timeout: config.export.timeout,
        when_full: config.recording.when_full.into(),
        ..Limits::default()
    };
    let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
    if config.logging.console {
        exporters.push(Box::new(Switching::new(config, Arc::clone(toggles))));
    }
    // What makes no file comes before what does: nothing is left behind by an `init` that fails.
    exporters.extend(otlp(config)?);
    if let Some(path) = &config.sqlite.path {
        exporters.push(sqlite(config, path)?);
    }
    if let Some(path) = &config.json_lines.path {
        let encoder = JsonEncoder::new(Redaction::default());
        let buffering = crate::exporter::json_lines::Buffering {
            interval: JSON_LINES_INTERVAL,
            ..Default::default()
        };
        let lines = JsonLines::open(path, encoder);
        let lines = lines.map_err(|error| refused(config, "json_lines.path", error))?;
        exporters.push(Box::new(lines.with_buffering(buffering)));
    }
    for settings in config.exporters() {
        exporters.push(destination(config, settings)?);
    }
    exporters.extend(own);
    Ok(exporters
        .into_iter()
        .map(|exporter| (exporter, limits))
        .collect())
}

/// What is said about the setting that names a file which could not be opened.
pub(super) fn refused(config: &Config, path: &'static str, error: ExportError) -> InitError {
    let (problem, mend) = match error {
        ExportError::Write { source, mend, .. } => (format!("cannot be written: {source}"), mend),
        other => (other.to_string(), ""),
    };
    config.refuse(path, problem, mend).into()
}

/// Opens one of `[[exporters]]`.
fn destination(
    config: &Config,
    settings: &ExporterSettings,
) -> Result<Box<dyn Exporter>, InitError> {
    let opened = settings.plan.open();
    let exporter = opened.map_err(|problem| settings.refuse(problem))?;
    if settings.choice.is_everything() && settings.name == exporter.name() {
        return Ok(exporter);
    }
    Ok(Box::new(Chosen {
        name: kept(&settings.name),
        choice: settings.choice.clone(),
        internal_metrics: config.metrics.internal.clone(),
        exporter,
    }))
}

/// `name` for as long as the process lives, once however often it is asked for.
fn kept(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(name);
    name
}

#[cfg(feature = "sqlite")]
fn sqlite(config: &Config, path: &std::path::Path) -> Result<Box<dyn Exporter>, InitError> {
    match crate::exporter::sqlite::Sqlite::open(path, Redaction::default()) {
        Ok(sqlite) => Ok(Box::new(sqlite)),
        Err(error) => Err(refused(config, "sqlite.path", error)),
    }
}

#[cfg(not(feature = "sqlite"))]
const fn sqlite(_: &Config, _: &std::path::Path) -> Result<Box<dyn Exporter>, InitError> {
    Err(InitError::FeatureMissing {
        setting: "sqlite.path",
        feature: "sqlite",
    })
}

#[cfg(feature = "otlp-http")]
fn otlp(settings: &Settings) -> Result<Option<Box<dyn Exporter>>, InitError> {
    super::otlp::open(settings)
}

#[cfg(not(feature = "otlp-http"))]
fn otlp(settings: &Settings) -> Result<Option<Box<dyn Exporter>>, InitError> {
    if settings.telemetry.endpoint.is_some() || settings.telemetry.tracing {
        return Err(InitError::FeatureMissing {
            setting: "telemetry.endpoint",
            feature: "otlp-http",
        });
    }
    Ok(None)
}

/// The console, in the format that is chosen at the moment. Unless it shows everything it shows logs, and of the events
/// those that warn; spans and measurements are for other exporters.
struct Switching {
    show: ConsoleShow,
    json: Console,
    human: Console,
    toggles: Arc<Toggles>,
}

impl Switching {
    fn new(settings: &Settings, toggles: Arc<Toggles>) -> Self {
        let colour = match settings.logging.color {
            Color::Auto => Colour::Auto,
            Color::Always => Colour::Always,
            Color::Never => Colour::Never,
        };
        let console = |format| Console::new(Stream::Stderr, format, colour, Redaction::default());
        Self {
            show: settings.logging.show,
            json: console(Format::Json),
            human: console(Format::Human),
            toggles,
        }
    }

    fn current(&mut self) -> &mut Console {
        match self.toggles.log_format() {
            LogFormat::Json => &mut self.json,
            LogFormat::Human => &mut self.human,
        }
    }
}

impl Exporter for Switching {
    fn name(&self) -> &'static str {
        "console"
    }

    fn export(&mut self, batch: &radiosonde_core::batch::Batch) -> Result<(), ExportError> {
        if self.show == ConsoleShow::All {
            return self.current().export(batch);
        }
        let shown = batch.filtered(is_shown);
        if shown.is_empty() {
            return Ok(());
        }
        self.current().export(&shown)
    }
}

fn is_shown(record: &RecordRef<'_>) -> bool {
    match record {
        RecordRef::Span(_) => false,
        RecordRef::Log(_) => true,
        RecordRef::Event(event) => event.descriptor().severity >= Severity::Warn,
    }
}
