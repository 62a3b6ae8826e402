//! How the program is: named checks, and the worst of them.
//!
//! Radiosonde keeps three of its own, every `health.check_interval`: `operations` (what part of the spans that ended
//! since the last look failed), `records` (whether any were lost) and `exporters` (whether each delivers). A program
//! adds what it knows of itself:
//!
//! ```
//! use radiosonde::health::Status;
//!
//! let guard = radiosonde::init()?;
//! guard.health().update("model", Status::Degraded, "serves from the fallback");
//! # Ok::<(), radiosonde::InitError>(())
//! ```
//!
//! Invariant: a name stands once; a later update replaces the earlier one. Precedence is critical, degraded, unknown,
//! healthy. No check at all is healthy: a program that says nothing about itself answers, and that is what it proves.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use crate::{encode::time, redact::Redaction};

/// Most checks kept; further names are refused.
pub const CHECKS_MAX: usize = 256;
/// Most bytes of a check's name or message; the rest is cut.
pub const TEXT_BYTES_MAX: usize = 1024;

/// How something is. The order is the precedence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It works.
    #[default]
    Healthy,
    /// It cannot be told.
    Unknown,
    /// It works, worse than it should.
    Degraded,
    /// It does not work.
    Critical,
}

impl Status {
    /// `healthy`, `unknown`, `degraded` or `critical`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Critical => "critical",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: Cow<'static, str>,
    /// How it is.
    pub status: Status,
    /// What was seen; may be empty.
    pub message: String,
}

/// All checks at one moment, as `/health` shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of the checks.
    pub status: Status,
    /// The checks, in the order in which their names first came.
    pub checks: Vec<Check>,
    /// When, as RFC 3339 in UTC.
    pub timestamp: String,
}

/// The checks of a program, shared by those who make them and those who show them.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Vec<Check>>>);

impl Health {
    /// No checks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the check of this name; secrets in `message` are replaced. Says whether it was kept: a new name is not once there are [`CHECKS_MAX`].
    pub fn update(
        &self,
        name: impl Into<Cow<'static, str>>,
        status: Status,
        message: impl Into<String>,
    ) -> bool {
        let (mut name, message) = (name.into(), message.into());
        let mut message = Redaction::default().text(&message).into_owned();
        if name.len() > TEXT_BYTES_MAX {
            let end = name.floor_char_boundary(TEXT_BYTES_MAX);
            name.to_mut().truncate(end);
        }
        message.truncate(message.floor_char_boundary(TEXT_BYTES_MAX));
        let mut checks = self.lock();
        let check = Check {
            name,
            status,
            message,
        };
        let known = checks.iter().position(|other| other.name == check.name);
        match known {
            Some(index) => checks[index] = check,
            None if checks.len() == CHECKS_MAX => return false,
            None => checks.push(check),
        }
        true
    }

    /// Forgets the check of this name.
    pub fn remove(&self, name: &str) {
        self.lock().retain(|check| check.name != name);
    }

    /// The worst of the checks.
    pub fn status(&self) -> Status {
        worst(&self.lock())
    }

    /// All checks now.
    pub fn report(&self) -> Report {
        let checks = self.lock().clone();
        Report {
            status: worst(&checks),
            checks,
            timestamp: time::text(radiosonde_core::clock::now_unix_ns()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Check>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn worst(checks: &[Check]) -> Status {
    checks
        .iter()
        .map(|check| check.status)
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_and_the_worst_check_decides() {
        let health = Health::new();
        assert_eq!(health.status(), Status::Healthy);
        let worst = [
            ("model", Status::Healthy, Status::Healthy),
            ("device", Status::Unknown, Status::Unknown),
            ("collector", Status::Degraded, Status::Degraded),
            ("disk", Status::Critical, Status::Critical),
            ("disk", Status::Healthy, Status::Degraded),
            ("collector", Status::Healthy, Status::Unknown),
        ];
        for (name, status, expected) in worst {
            assert!(health.update(name, status, ""));
            assert_eq!(health.status(), expected, "{name}");
        }
        health.remove("device");
        let report = health.report();
        assert_eq!(report.status, Status::Healthy);
        let names: Vec<_> = report
            .checks
            .iter()
            .map(|check| check.name.as_ref())
            .collect();
        assert_eq!(names, ["model", "collector", "disk"]);
    }

    #[test]
    fn checks_and_their_texts_are_bounded() {
        let health = Health::new();
        assert!(health.update(
            "é".repeat(TEXT_BYTES_MAX),
            Status::Healthy,
            "é".repeat(TEXT_BYTES_MAX)
        ));
        let check = health.report().checks.remove(0);
        assert!(check.name.len() <= TEXT_BYTES_MAX && check.message.len() <= TEXT_BYTES_MAX);
        for index in 1..CHECKS_MAX {
            assert!(health.update(index.to_string(), Status::Healthy, ""));
        }
        assert!(!health.update("one more", Status::Critical, ""));
        assert!(health.update("1", Status::Critical, ""));
        assert_eq!(health.status(), Status::Critical);
    }
}
