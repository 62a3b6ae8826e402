//! Why a query has no answer.

use std::fmt;

/// What kind of failure it is; Prometheus' API has a word and a status for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The text is no query, or not one that is supported.
    Query,
    /// The query cannot be answered with the data that there is.
    Execution,
    /// It took longer than it may.
    Timeout,
    /// The source failed.
    Internal,
}

/// A query that has no answer: what is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) fault: Fault,
    pub(crate) message: String,
    pub(crate) mend: String,
}

impl Error {
    pub(crate) fn new(fault: Fault, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            fault,
            message: message.into(),
            mend: mend.into(),
        }
    }

    /// The text is no query; `at` is a place in it, in bytes.
    pub(crate) fn at(text: &str, at: usize, message: impl fmt::Display, mend: &str) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let message = format!("line {line}, column {column}: {message}");
        Self::new(Fault::Query, message, mend)
    }

    pub(crate) fn execution(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Fault::Execution, message, mend)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.mend)
    }
}

impl std::error::Error for Error {}
