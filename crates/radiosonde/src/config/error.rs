//! What is wrong with a configuration: all of it, each with its place, its value and its mend.

use std::fmt;

use super::written::Source;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    source: Source,
    key: String,
    /// The value as written, without secrets; empty where there is none to show.
    value: String,
    problem: String,
    mend: String,
}

impl ConfigError {
    pub(super) fn new(
        source: Source,
        key: impl Into<String>,
        value: impl Into<String>,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            source,
            key: key.into(),
            value: value.into(),
            problem: problem.into(),
            mend: mend.into(),
        }
    }

    /// Where the value comes from.
    pub const fn place(&self) -> &Source {
        &self.source
    }

    /// The key, as the person who wrote the value calls it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as written, without secrets; empty where there is none to show.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variable's name is both the place and the key.
        if let Source::Environment { .. } = self.source {
            write!(f, "environment: {}", self.key)?;
        } else {
            write!(f, "{}", self.source)?;
            if !self.key.is_empty() {
                write!(f, ": {}", self.key)?;
            }
        }
        if !self.value.is_empty() {
            write!(f, " = {}", self.value)?;
        }
        write!(f, ": {}", self.problem)?;
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong, in the order in which it was found. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// The errors.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
