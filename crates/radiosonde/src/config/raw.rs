//! Everything as written, by source, and its way into settings.

use std::{fmt, path::Path, sync::Arc};

use super::{
    ConfigError,
    duration::Unit,
    exporters::RawExporter,
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
    /// The tables of `[[exporters]]`.
    pub(super) exporters: Vec<RawExporter>,
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
        self.exporters.extend(stronger.exporters);
        self.errors.extend(stronger.errors);
        self.passed_over.extend(stronger.passed_over);
        self
    }

    /// Whether nothing is said.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.exporters.is_empty() && self.errors.is_empty()
    }

    /// The same for a program that tries the destinations while another may run with them: what waits is kept in memory
    /// alone, and nothing is replaced or left out that is kept for the other.
    #[cfg(feature = "backends")]
    pub(crate) fn for_trial(mut self) -> Self {
        self.set("otlp.spool_bytes_max", "probe::run", 0_u64);
        for exporter in &mut self.exporters {
            exporter.is_trial = true;
        }
        self
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
            let key = meant(&written_key);
            if let Some((key, unit)) = find(&key) {
                self.add_once(Entry {
                    path: key.path,
                    value: node.value,
                    unit,
                    source,
                });
                continue;
            }
            match node.value {
                Written::List(tables) if EXPORTERS.contains(&key.as_str()) => {
                    self.add_exporters(tables, &source);
                }
                value if EXPORTERS.contains(&key.as_str()) => {
                    let mend = "write [[exporters]], and the keys of one below it";
                    let shown = value.to_string();
                    self.errors.push(ConfigError::new(
                        source,
                        written_key,
                        shown,
                        "is no list of tables",
                        mend,
                    ));
                }
                Written::Table(inner) if key.is_empty() || is_section(&key) => {
                    self.add_table(&written_key, inner, file);
                }
                value => self.errors.push(unknown(source, &written_key, &value)),
            }
        }
    }

    /// Takes the tables of `[[exporters]]`, whose list is at `source`.
    fn add_exporters(&mut self, tables: Vec<Node>, source: &Source) {
        for (index, node) in tables.into_iter().enumerate() {
            let mut source = source.clone();
            if let Source::File { line, key, .. } = &mut source {
                *line = node.line.or(*line);
                *key = format!("{key}[{index}]");
            }
            match node.value {
                Written::Table(entries) => self.exporters.push(RawExporter {
                    source,
                    entries,
                    is_trial: false,
                }),
                value => {
                    let key = source.key_or("exporters").to_owned();
                    let mend = "write [[exporters]], and the keys of one below it";
                    let error =
                        ConfigError::new(source, key, value.to_string(), "is no table", mend);
                    self.errors.push(error);
                }
            }
        }
    }
}

/// Names of the list of exporters; the second is that of the design notes.
const EXPORTERS: [&str; 2] = ["exporters", "export_options.exporters"];
/// The table in which a file of the design notes has all of ours.
const OUTER: &str = "metal_telemetry";

/// The key that `written` stands for: the design notes write `SlowOperationThresholdMs`, and all in one table. Empty for
/// that table itself.
fn meant(written: &str) -> String {
    if !written.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return written.to_owned();
    }
    let plain = snake_case(written);
    match plain.strip_prefix(OUTER) {
        Some("") => String::new(),
        Some(inner) if inner.starts_with('.') => inner[1..].to_owned(),
        _ => plain,
    }
}

/// `ReportingInterval` as `reporting_interval`.
pub(super) fn snake_case(written: &str) -> String {
    let mut plain = String::with_capacity(written.len() + 8);
    let mut after_small = false;
    for letter in written.chars() {
        if letter.is_ascii_uppercase() && after_small {
            plain.push('_');
        }
        after_small = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        plain.push(letter.to_ascii_lowercase());
    }
    plain
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
    names().chain(EXPORTERS).any(|path| {
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
