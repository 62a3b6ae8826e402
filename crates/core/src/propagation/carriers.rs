//! Carriers of the standard library: maps, lists, the process's environment and a child's.

use std::{
    collections::HashMap,
    env::{self, VarError},
    hash::BuildHasher,
    process::Command,
};

use super::{CORRELATION_NAMES, Extract, Inject, malformed};

impl<S: BuildHasher> Extract for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name)
            .or_else(|| {
                self.iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value)
            })
            .map(String::as_str)
    }
}

impl<S: BuildHasher> Inject for HashMap<String, String, S> {
    fn set(&mut self, name: &str, value: &str) {
        Inject::remove(self, name);
        self.insert(name.to_owned(), value.to_owned());
    }

    fn remove(&mut self, name: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }
}

impl<K: AsRef<str>, V: AsRef<str>> Extract for [(K, V)] {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| key.as_ref().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_ref())
    }

    fn get_all(&self, name: &str) -> Vec<&str> {
        self.iter()
            .filter(|(key, _)| key.as_ref().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_ref())
            .collect()
    }
}

impl Inject for Vec<(String, String)> {
    fn set(&mut self, name: &str, value: &str) {
        Inject::remove(self, name);
        self.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &str) {
        self.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }
}

/// The variable for a header's name: upper case, `_` for every other character (OpenTelemetry, "Environment Variables
/// as Context Propagation Carriers").
fn variable(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// The context that the process was started with: `TRACEPARENT`, `TRACESTATE`, `BAGGAGE` and `X_REQUEST_ID`, as
/// [`Inject`] for [`Command`] writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    variables: Vec<(&'static str, String)>,
}

impl Environment {
    /// Reads the process's environment. A variable that is not UTF-8 is left out and counted as malformed.
    pub fn read() -> Self {
        let names = ["traceparent", "tracestate", "baggage", "b3"];
        let read = |name| match env::var(variable(name)) {
            Ok(value) => Some((name, value)),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => malformed(),
        };
        let names = names.into_iter().chain(CORRELATION_NAMES);
        Self {
            variables: names.filter_map(read).collect(),
        }
    }
}

impl Extract for Environment {
    fn get(&self, name: &str) -> Option<&str> {
        Extract::get(&self.variables[..], name)
    }
}

/// The child inherits the context as environment variables.
impl Inject for Command {
    fn set(&mut self, name: &str, value: &str) {
        self.env(variable(name), value);
    }

    fn remove(&mut self, name: &str) {
        self.env_remove(variable(name));
    }
}
