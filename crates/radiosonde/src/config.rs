//! Configuration in two phases: as written, then as meant.
//!
//! [`RawConfig`] is what files, environment variables and code say; everything in it is optional and knows its source.
//! [`Config`] is what it means: every value has its type, every rule was checked, and everything that is wrong is
//! reported at once, before anything starts. No file and no variable at all is a good configuration.
//!
//! Stronger sources win: code, then the environment, then the file, then the defaults.
//!
//! | in a file | in the environment |
//! |---|---|
//! | `[telemetry]` `system_interval = "5s"` | `RADIOSONDE_TELEMETRY_SYSTEM_INTERVAL=5s` |
//! | `system_interval_ms = 5000` | `RADIOSONDE_TELEMETRY_SYSTEM_INTERVAL_MS=5000` |
//!
//! [`reference()`] lists every key.

mod choice;
mod duration;
mod effective;
mod environment;
mod error;
mod exporters;
mod file;
mod nearest;
mod pem;
mod raw;
mod rules;
mod settings;
mod value;
mod written;

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

pub use self::{
    choice::{
        Color, ConsoleShow, ExemplarFilter, HealthFailsFrom, LogFormat, OtlpCompression,
        OtlpProtocol, Sampler, WhenFull,
    },
    effective::{Effective, reference},
    error::{ConfigError, ConfigErrors},
    exporters::ExporterSettings,
    file::{FILE_NAMES, Format},
    raw::RawConfig,
    settings::{
        AlertsSettings, CallsSettings, ExportSettings, GpuSettings, HealthSettings, HttpSettings,
        JsonLinesSettings, LoggingSettings, MetricsLogSettings, MetricsSettings, OtlpSettings,
        ProfilingSettings, RecordingSettings, ReportingSettings, ServiceSettings, Settings,
        SignalSettings, SqliteSettings, TelemetrySettings,
    },
    written::Source,
};
use self::{environment::FILE_VARIABLE, raw::Resolver};

/// A configuration that is right. Reads like its [`Settings`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    settings: Settings,
    exporters: Vec<ExporterSettings>,
    sources: Vec<(&'static str, Source)>,
    passed_over: Vec<ConfigError>,
}

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl Config {
    /// What `raw` means, or everything that is wrong with it. Tries whether the places that would be written to can be.
    pub fn new(raw: RawConfig) -> Result<Self, ConfigErrors> {
        Self::resolve(raw, true)
    }

    /// [`new`](Self::new) without a look at the file system.
    pub fn check(raw: RawConfig) -> Result<Self, ConfigErrors> {
        Self::resolve(raw, false)
    }

    fn resolve(raw: RawConfig, with_files: bool) -> Result<Self, ConfigErrors> {
        let passed_over = raw.passed_over.clone();
        let tables = raw.exporters.clone();
        let mut resolver = Resolver::new(raw);
        let settings = Settings::resolve(&mut resolver);
        let broken = rules::check(&settings, &resolver, with_files);
        let mut errors = resolver.errors;
        errors.extend(broken);
        let exporters = exporters::resolve(tables, &mut errors);
        if errors.is_empty() {
            Ok(Self {
                settings,
                exporters,
                sources: resolver.sources,
                passed_over,
            })
        } else {
            Err(ConfigErrors(errors))
        }
    }

    /// What this process's file and environment say, overlaid by `code`.
    pub fn load(code: RawConfig) -> Result<Self, ConfigErrors> {
        let variables: Vec<_> = std::env::vars_os().collect();
        let named = variables
            .iter()
            .find(|(name, value)| name == FILE_VARIABLE && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value));
        let file = match RawConfig::find_file(named, Path::new(""))? {
            Some(path) => RawConfig::read(&path)?,
            None => RawConfig::default(),
        };
        let environment = RawConfig::from_environment(variables);
        Self::new(file.overlaid_by(environment).overlaid_by(code))
    }

    /// Where the value of a key, such as `otlp.timeout`, comes from.
    pub fn source(&self, key: &str) -> &Source {
        static DEFAULT: Source = Source::Default;
        self.sources
            .iter()
            .find(|(path, _)| *path == key)
            .map_or(&DEFAULT, |(_, source)| source)
    }

    /// The destinations of `[[exporters]]` that are enabled.
    pub fn exporters(&self) -> &[ExporterSettings] {
        &self.exporters
    }

    /// Keys that somebody set although nothing reads them, in this version or beside the other settings, with the source
    /// of each.
    pub fn without_effect(&self) -> impl Iterator<Item = (&'static str, &Source)> {
        self.sources
            .iter()
            .filter(|(path, source)| *source != Source::Default && !self.has_effect(path))
            .map(|(path, source)| (*path, source))
    }

    /// What OpenTelemetry's variables for samplers and propagators say that is not known here. Other programs read the same
    /// variables and may know it, so it counts as not set (OpenTelemetry specification, Environment Variables: Enum).
    pub fn passed_over(&self) -> &[ConfigError] {
        &self.passed_over
    }

    fn has_effect(&self, path: &str) -> bool {
        let goes_by_rate = self.recording.sampler.goes_by_rate();
        settings::has_effect(path) && (path != "recording.sample_rate" || goes_by_rate)
    }

    /// What is said about the setting at `path`, whose value turned out not to work.
    pub(crate) fn refuse(
        &self,
        path: &'static str,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> ConfigErrors {
        let source = self.source(path).clone();
        let shown = settings::KEYS.iter().zip(self.settings.shown());
        let value = shown
            .filter(|(key, _)| key.path == path && !key.is_secret)
            .find_map(|(_, value)| value)
            .unwrap_or_default();
        let key = source.key_or(path).to_owned();
        ConfigError::new(source, key, value, problem, mend).into()
    }

    /// The configuration as TOML, each value with its source, secrets replaced.
    pub const fn effective(&self) -> Effective<'_> {
        Effective(self)
    }
}
