//! One table of `[[exporters]]`: keys are taken out of it one by one, and what is left was not known.

use std::{env, fs, path::PathBuf};

use crate::{
    config::{
        ConfigError,
        duration::Unit,
        nearest::nearest,
        raw::shown_of_unknown,
        value::{Problem, Setting},
        written::{Node, Source, Written},
    },
    redact::REDACTED,
};

/// Largest file that holds a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A destination as written.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct RawExporter {
    /// Where the table begins; its key is that of the list.
    pub(in crate::config) source: Source,
    /// Its keys in order.
    pub(in crate::config) entries: Vec<(String, Node)>,
    /// Whether it is only tried, while another program may run with it.
    pub(in crate::config) is_trial: bool,
}

/// A destination's keys while they are being read.
#[derive(Debug)]
pub(super) struct Table {
    raw: RawExporter,
    is_taken: Vec<bool>,
    /// Every key that was asked for: what is known in such a table.
    known: Vec<&'static str>,
    secrets: Vec<&'static str>,
    errors: Vec<ConfigError>,
}

impl Table {
    pub(super) fn new(raw: RawExporter) -> Self {
        Self {
            is_taken: vec![false; raw.entries.len()],
            raw,
            known: Vec::new(),
            secrets: Vec::new(),
            errors: Vec::new(),
        }
    }

    pub(super) const fn source(&self) -> &Source {
        &self.raw.source
    }

    /// Whether `key` is written.
    #[cfg_attr(
        not(any(feature = "backends", feature = "brokers")),
        expect(dead_code, reason = "kinds of these features ask for it")
    )]
    pub(super) fn says(&self, key: &str) -> bool {
        let mut entries = self.raw.entries.iter();
        entries.any(|(written, _)| same(written, key))
    }

    /// Whether the destination is only tried: nothing is kept on the disk then, and nothing there is replaced.
    #[cfg(any(feature = "syslog", feature = "brokers", feature = "backends"))]
    pub(super) const fn is_trial(&self) -> bool {
        self.raw.is_trial
    }

    /// What `key` says, or its default.
    pub(super) fn take<S: Setting>(&mut self, key: &'static str, default: impl Fn() -> S) -> S {
        self.take_some(key).unwrap_or_else(default)
    }

    /// What `key` says, if anything.
    pub(super) fn take_some<S: Setting>(&mut self, key: &'static str) -> Option<S> {
        self.known.push(key);
        for index in 0..self.raw.entries.len() {
            let (written_key, node) = &self.raw.entries[index];
            let unit = if same(written_key, key) {
                Unit::None
            } else {
                match Unit::of_key(&plain(written_key)) {
                    Some((name, unit)) if S::HAS_UNIT && same(name, key) => unit,
                    _ => continue,
                }
            };
            self.is_taken[index] = true;
            match S::read(&node.value, unit) {
                Ok(value) => return Some(value),
                Err(Problem { what, mend }) => {
                    let (what, mend) = (what.into_owned(), mend.into_owned());
                    self.refuse(key, what, mend);
                    return None;
                }
            }
        }
        None
    }

    /// What `key` says, which must be there; an error where it is not.
    pub(super) fn need<S: Setting>(&mut self, key: &'static str, example: &str) -> Option<S> {
        let errors = self.errors.len();
        let value = self.take_some(key);
        if value.is_none() && errors == self.errors.len() {
            self.refuse(
                "",
                format!("has no {key}"),
                format!("write {key} = {example}"),
            );
        }
        value
    }

    /// A secret: what `key` says, or the environment variable that `KEY_env` names, or the file that `KEY_file` names.
    /// Whoever reads the configuration file need not know it then.
    #[cfg_attr(
        not(any(feature = "backends", feature = "brokers")),
        expect(dead_code, reason = "kinds of these features ask for it")
    )]
    pub(super) fn secret(&mut self, [key, env_key, file_key]: [&'static str; 3]) -> Option<String> {
        self.secrets.push(key);
        let plain: Option<String> = self.take_some(key);
        let variable: Option<String> = self.take_some(env_key);
        let file: Option<PathBuf> = self.take_some(file_key);
        let said = usize::from(plain.is_some())
            + usize::from(variable.is_some())
            + usize::from(file.is_some());
        if said > 1 {
            let problem = format!("is said by more than one of {key}, {env_key} and {file_key}");
            self.refuse(key, problem, "leave all but one out");
        }
        if let Some(variable) = variable {
            return match env::var(&variable) {
                Ok(value) if !value.is_empty() => Some(value),
                _ => {
                    let problem = format!("names {variable}, which is not set");
                    self.refuse(env_key, problem, "set the variable, or name another one");
                    None
                }
            };
        }
        if let Some(path) = file {
            let too_large = fs::metadata(&path).is_ok_and(|found| found.len() > SECRET_BYTES_MAX);
            return match fs::read_to_string(&path) {
                Ok(text) if !too_large && !text.trim().is_empty() => Some(text.trim().to_owned()),
                Ok(_) => {
                    self.refuse(file_key, "holds no secret", "name the file that does");
                    None
                }
                Err(error) => {
                    let problem = format!("cannot be read: {error}");
                    self.refuse(file_key, problem, "make the file readable");
                    None
                }
            };
        }
        plain
    }

    /// Says what is wrong with `key`, or with the whole table where it is empty.
    pub(super) fn refuse(
        &mut self,
        key: &'static str,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let entry = self
            .raw
            .entries
            .iter()
            .find(|(written, _)| same(written, key));
        let value = match entry {
            Some(_) if self.is_secret(key) => REDACTED.to_owned(),
            Some((_, node)) => node.value.to_string(),
            None => String::new(),
        };
        let node = entry.map(|(written, node)| (written.clone(), node.line));
        let (source, key) = self.place(node);
        self.errors
            .push(ConfigError::new(source, key, value, problem, mend));
    }

    fn is_secret(&self, key: &str) -> bool {
        self.secrets.iter().any(|secret| same(secret, key)) || same(key, "headers")
    }

    /// Where a key is, and what it is called there.
    fn place(&self, node: Option<(String, Option<usize>)>) -> (Source, String) {
        let list = self.raw.source.key_or("exporters").to_owned();
        let Some((written, line)) = node else {
            return (self.raw.source.clone(), list);
        };
        let key = format!("{list}.{written}");
        let source = match &self.raw.source {
            Source::File {
                path, line: begin, ..
            } => Source::File {
                path: path.clone(),
                line: line.or(*begin),
                key: key.clone(),
            },
            other => other.clone(),
        };
        (source, key)
    }

    /// Every key that was written, with its value as it may be shown.
    pub(super) fn shown(&self) -> Vec<(String, String)> {
        let shown = |(key, node): &(String, Node)| {
            let value = match &node.value {
                _ if self.is_secret(key) => format!("{REDACTED:?}"),
                Written::List(_) | Written::Table(_) => "\"...\"".to_owned(),
                value => shown_of_unknown(key, value, false),
            };
            (plain(key), value)
        };
        self.raw.entries.iter().map(shown).collect()
    }

    /// What was wrong with the table, the keys that nobody asked for among it.
    pub(super) fn finish(mut self) -> Vec<ConfigError> {
        let entries = self.raw.entries.iter().zip(&self.is_taken);
        let left: Vec<(String, Node)> = entries
            .filter(|(_, is_taken)| !**is_taken)
            .map(|(entry, _)| entry.clone())
            .collect();
        // Without a kind nothing is known of the keys.
        if !self.known.contains(&"name") {
            return self.errors;
        }
        for (written, node) in left {
            let twice = self.known.iter().any(|known| same(&written, known));
            let near = nearest(&plain(&written), self.known.iter().copied());
            let (problem, mend) = match near {
                _ if twice => ("is said twice", "leave one of them out".to_owned()),
                Some(near) => ("unknown key", format!("did you mean {near}?")),
                None => (
                    "unknown key",
                    format!("leave it out; known here: {}", self.known.join(", ")),
                ),
            };
            let is_secret = near.is_some_and(|near| self.is_secret(near));
            let value = shown_of_unknown(&written, &node.value, is_secret);
            let (source, key) = self.place(Some((written, node.line)));
            self.errors
                .push(ConfigError::new(source, key, value, problem, mend));
        }
        self.errors
    }
}

/// `Enabled` and `connectionString` are `enabled` and `connection_string`.
fn plain(written: &str) -> String {
    crate::config::raw::snake_case(written)
}

fn same(written: &str, key: &str) -> bool {
    written == key || plain(written) == key
}
