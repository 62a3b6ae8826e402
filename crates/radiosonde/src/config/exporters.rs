//! `[[exporters]]`: destinations beside OTLP, the console and files, each a table of its own with the keys of its kind.
//!
//! ```toml
//! [[exporters]]
//! type = "datadog"
//! endpoint = "https://api.datadoghq.eu"
//! token_env = "DD_API_KEY"
//! ```
//!
//! docs/exporters.md has every kind and its keys.

mod kinds;
mod table;

use std::fmt;

use radiosonde_core::filter::Filter;

pub(crate) use self::kinds::Plan;
pub(super) use self::table::RawExporter;
use self::table::Table;
use super::{
    ConfigError, ConfigErrors,
    value::{Problem, Setting},
    written::Source,
};
use crate::exporter::choice::{Audience, Choice};

/// Most destinations in one configuration.
const EXPORTERS_MAX: usize = 64;

/// A destination, as meant.
#[derive(Clone)]
pub struct ExporterSettings {
    /// What it is called in reports; the kind unless said. Each name stands once.
    pub name: String,
    /// What kind of destination it is.
    pub kind: &'static str,
    /// What of the telemetry is for it.
    pub(crate) choice: Choice,
    /// How it is opened.
    pub(crate) plan: Plan,
    source: Source,
    /// Every key that was written, with its value as it may be shown.
    shown: Vec<(String, String)>,
}

impl PartialEq for ExporterSettings {
    /// Whether both were written alike, at the same place.
    fn eq(&self, other: &Self) -> bool {
        (
            &self.name,
            self.kind,
            &self.choice,
            &self.source,
            &self.shown,
        ) == (
            &other.name,
            other.kind,
            &other.choice,
            &other.source,
            &other.shown,
        )
    }
}

impl fmt::Debug for ExporterSettings {
    /// Without what may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExporterSettings")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl ExporterSettings {
    /// Where it is configured.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// What is said about it where it turned out not to work.
    pub(crate) fn refuse(&self, problem: String) -> ConfigErrors {
        let key = self.source.key_or("exporters").to_owned();
        ConfigError::new(self.source.clone(), key, "", problem, "").into()
    }

    /// As a table of a TOML file, secrets replaced.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n[[exporters]] # {}", self.source)?;
        for (key, value) in &self.shown {
            writeln!(f, "{key} = {value}")?;
        }
        Ok(())
    }
}

/// What the tables in `raw` mean; those that are not enabled are checked and left out.
pub(super) fn resolve(
    raw: Vec<RawExporter>,
    errors: &mut Vec<ConfigError>,
) -> Vec<ExporterSettings> {
    let mut all: Vec<ExporterSettings> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let mut table = Table::new(raw);
        if index == EXPORTERS_MAX {
            let problem = format!("is one of more than {EXPORTERS_MAX} exporters");
            table.refuse("", problem, "leave some out");
            errors.extend(table.finish());
            break;
        }
        let exporter = one(&mut table);
        let (shown, source) = (table.shown(), table.source().clone());
        let taken = exporter.as_ref().and_then(|(name, ..)| {
            let same = |other: &&ExporterSettings| other.name == *name;
            all.iter().find(same).map(|_| name.clone())
        });
        if let Some(name) = taken {
            let problem = format!("is called {name:?}, as another exporter is");
            table.refuse("", problem, "give it a `name` of its own");
        }
        let broken = table.finish();
        if let (Some((name, kind, is_enabled, choice, plan)), true) = (exporter, broken.is_empty())
            && is_enabled
        {
            all.push(ExporterSettings {
                name,
                kind,
                choice,
                plan,
                source,
                shown,
            });
        }
        errors.extend(broken);
    }
    all
}

type One = (String, &'static str, bool, Choice, Plan);

/// What one table means; what is wrong with it is in the table.
fn one(table: &mut Table) -> Option<One> {
    let kind = kinds::kind(table)?;
    let name = table.take("name", || kind.name.to_owned());
    let is_enabled = table.take("enabled", || true);
    let choice = Choice {
        filter: table.take_some::<Filter>("filter"),
        metrics: table.take("metrics", Vec::new),
        audience: table.take("audience", Audience::default),
    };
    let plan = (kind.plan)(table)?;
    Some((name, kind.name, is_enabled, choice, plan))
}

impl Setting for Audience {
    fn read(written: &super::written::Written, _: super::duration::Unit) -> Result<Self, Problem> {
        super::choice::choose(
            written,
            &[("internal", Self::Internal), ("external", Self::External)],
        )
    }

    fn show(&self) -> Option<String> {
        let name = match self {
            Self::Internal => "internal",
            Self::External => "external",
        };
        Some(super::value::quoted(name))
    }
}
