//! Everything as written, by source, and its way into settings.

use std::{fmt, path::Path, sync::Arc};

use super::{
    ConfigError,
    duration::Unit,
    nearest::nearest,
    settings::{KEYS, Key},
    value::{Problem, Setting},
    written::{Node, Source, Written},
};
use crate::redact::{REDACTED, Redaction, Sensitivity};

/// A configuration as written: everything is optional, and each value knows its source. What is added later wins.
#[derive(Clone, Default)]
pub struct RawConfig {
    pub(super) entries: Vec<Entry>,
    /// What was wrong with it already as written: unknown keys.
    pub(super) errors: Vec<ConfigError>,
    /// What was wrong with it and is to be passed over.
    pub(super) passed_over: Vec<ConfigError>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// [`Key::path`].
    pub(super) path: &'static str,
    pub(super) value: Written,
    pub(super) unit: Unit,
    pub(super) source: Source,
}

impl fmt::Debug for RawConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values stay out: they may be secrets.
        let sources = self.entries.iter().map(|entry| (entry.path, &entry.source));
        f.debug_map().entries(sources).finish()
    }
}

impl RawConfig {
    /// Adds everything in `stronger`, which wins where both say something.
    #[must_use]
    pub fn overlaid_by(mut self, stronger: Self) -> Self {
        self.entries.extend(stronger.entries);
        self.errors.extend(stronger.errors);
        self.passed_over.extend(stronger.passed_over);
        self
    }

    /// Whether nothing is said.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.errors.is_empty()
    }

    /// A value given in code by `method`.
    pub(crate) fn set(
        &mut self,
        path: &'static str,
        method: &'static str,
        value: impl Into<Given>,
    ) {
        self.entries.push(Entry {
            path,
            value: value.into().0,
            unit: Unit::Seconds,
            source: Source::Code { method },
        });
    }

    /// Adds what a file or the environment says, or says that it says it twice.
    pub(super) fn add_once(&mut self, entry: Entry) {
        let Some(first) = self.entries.iter().find(|other| other.path == entry.path) else {
            self.entries.push(entry);
            return;
        };
        let first_key = first.source.key_or(first.path);
        let place = match &first.source {
            Source::File {
                line: Some(line), ..
            } => format!(" in line {line}"),
            _ => String::new(),
        };
        let problem = format!("sets {}, as {first_key}{place} already does", entry.path);
        let key = entry.source.key_or(entry.path).to_owned();
        self.errors.push(ConfigError::new(
            entry.source,
            key,
            "",
            problem,
            "leave one of them out",
        ));
    }

    /// Takes the tables of a file apart.
    pub(super) fn add_tree(&mut self, tree: Vec<(String, Node)>, file: &Arc<Path>) {
        self.add_table("", tree, file);
    }

    fn add_table(&mut self, prefix: &str, table: Vec<(String, Node)>, file: &Arc<Path>) {
        for (name, node) in table {
            let written_key = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            let source = Source::File {
                path: Arc::clone(file),
                line: node.line,
                key: written_key.clone(),
            };
            if let Some((key, unit)) = find(&written_key) {
                self.add_once(Entry {
                    path: key.path,
                    value: node.value,
                    unit,
                    source,
                });
                continue;
            }
            match node.value {
                Written::Table(inner) if is_section(&written_key) => {
                    self.add_table(&written_key, inner, file);
                }
                value => self.errors.push(unknown(source, &written_key, &value)),
            }
        }
    }
}

/// The setting that `written` names, and what it says about bare numbers.
pub(super) fn find(written: &str) -> Option<(&'static Key, Unit)> {
    let named = |name: &str| {
        KEYS.iter()
            .find(|key| key.path == name || key.also.contains(&name))
    };
    if let Some(key) = named(written) {
        return Some((key, Unit::None));
    }
    let (name, unit) = Unit::of_key(written)?;
    named(name)
        .filter(|key| key.has_unit)
        .map(|key| (key, unit))
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .flat_map(|key| std::iter::once(key.path).chain(key.also.iter().copied()))
}

fn is_section(name: &str) -> bool {
    names().any(|path| {
        path.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn unknown(source: Source, written: &str, value: &Written) -> ConfigError {
    if is_section(written) {
        let example = names()
            .find(|name| name.starts_with(&format!("{written}.")))
            .unwrap_or_default();
        let mend = format!("write its keys below it, such as {example}");
        let value = shown_of_unknown(written, value, false);
        return ConfigError::new(source, written, value, "is a table of keys", mend);
    }
    let sections = names().filter_map(|path| Some(path.split_once('.')?.0));
    let last = written.rsplit('.').next().unwrap_or(written);
    let near = nearest(written, names())
        .or_else(|| nearest(written, sections))
        // The right name in the wrong section.
        .or_else(|| names().find(|path| path.ends_with(&format!(".{last}"))));
    let mend = near.map_or_else(leave_it_out, |near| format!("did you mean {near}?"));
    let value = shown_of_unknown(written, value, near.is_some_and(is_secret));
    ConfigError::new(source, written, value, "unknown key", mend)
}

/// What to do about a key that resembles none.
pub(super) fn leave_it_out() -> String {
    "leave it out; `radiosonde::config::reference()` lists every key".to_owned()
}

/// The value of a key that is not known, which may be a secret: by the name that was meant, by its own name, or by what
/// it looks like.
pub(super) fn shown_of_unknown(name: &str, value: &Written, is_secret: bool) -> String {
    let redaction = Redaction::default();
    let is_open = redaction.sensitivity(name) == Sensitivity::Open;
    match value {
        Written::Nothing | Written::List(_) | Written::Table(_) => String::new(),
        _ if is_secret || !is_open => REDACTED.to_owned(),
        Written::Text(text) | Written::Raw(text) => {
            Written::Text(redaction.text(text).into_owned()).to_string()
        }
        _ => value.to_string(),
    }
}

/// A value given in code.
pub(crate) struct Given(Written);

impl From<bool> for Given {
    fn from(value: bool) -> Self {
        Self(Written::Bool(value))
    }
}

impl From<f64> for Given {
    fn from(value: f64) -> Self {
        Self(Written::Float(value))
    }
}

impl From<u64> for Given {
    fn from(value: u64) -> Self {
        Self(i64::try_from(value).map_or(Written::Float(value as f64), Written::Integer))
    }
}

impl From<String> for Given {
    fn from(value: String) -> Self {
        Self(Written::Text(value))
    }
}

impl From<&'static str> for Given {
    fn from(value: &'static str) -> Self {
        Self(Written::Text(value.to_owned()))
    }
}

impl From<&Path> for Given {
    fn from(value: &Path) -> Self {
        Self(Written::Path(value.to_owned()))
    }
}

impl From<std::time::Duration> for Given {
    fn from(value: std::time::Duration) -> Self {
        Self(Written::Float(value.as_secs_f64()))
    }
}

impl From<Vec<(String, String)>> for Given {
    fn from(pairs: Vec<(String, String)>) -> Self {
        let node = |(name, value)| (name, Node::new(Written::Text(value)));
        Self(Written::Table(pairs.into_iter().map(node).collect()))
    }
}

/// Takes values out of a [`RawConfig`] one setting at a time, and remembers where each came from.
pub(super) struct Resolver {
    raw: RawConfig,
    pub(super) sources: Vec<(&'static str, Source)>,
    /// What files and variables say, as it stands there; lists and tables have other words for it.
    pub(super) written: Vec<(&'static str, String)>,
    pub(super) errors: Vec<ConfigError>,
}

impl Resolver {
    pub(super) fn new(mut raw: RawConfig) -> Self {
        Self {
            errors: std::mem::take(&mut raw.errors),
            raw,
            sources: Vec::new(),
            written: Vec::new(),
        }
    }

    /// The setting at `path`: what the strongest source says, or its default.
    pub(super) fn take<S: Setting>(&mut self, path: &'static str, default: impl Fn() -> S) -> S {
        let Some(entry) = self.raw.entries.iter().rfind(|entry| entry.path == path) else {
            self.sources.push((path, Source::Default));
            return default();
        };
        self.sources.push((path, entry.source.clone()));
        match S::read(&entry.value, entry.unit) {
            Ok(value) => {
                let is_code = matches!(entry.source, Source::Code { .. });
                if !is_code && !matches!(entry.value, Written::List(_) | Written::Table(_)) {
                    self.written.push((path, entry.value.to_string()));
                }
                value
            }
            Err(problem) => {
                let Problem { what, mend } = match &entry.value {
                    Written::Path(path) if path.to_str().is_none() => Problem::not_utf8(),
                    _ => problem,
                };
                let shown = if is_secret(path) {
                    "[redacted]".to_owned()
                } else {
                    entry.value.to_string()
                };
                let key = entry.source.key_or(path).to_owned();
                self.errors.push(ConfigError::new(
                    entry.source.clone(),
                    key,
                    shown,
                    what,
                    mend,
                ));
                default()
            }
        }
    }
}

pub(super) fn is_secret(path: &str) -> bool {
    KEYS.iter().any(|key| key.path == path && key.is_secret)
}
