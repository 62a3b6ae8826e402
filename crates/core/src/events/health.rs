//! How a program is: that a health check shows something else than before.

use crate::Event;

/// A health check shows something worse than before.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "health.worsened",
    level = "warn",
    count = "health.changes.worse"
)]
pub struct HealthWorsened<'a> {
    /// The check.
    #[label]
    pub check: &'a str,
    /// What it shows: `unknown`, `degraded` or `critical`.
    #[label]
    pub status: &'a str,
    /// What it showed.
    pub previous: &'a str,
    /// What was seen.
    pub message: &'a str,
}

/// A health check shows something better than before.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "health.recovered", count = "health.changes.better")]
pub struct HealthRecovered<'a> {
    /// The check.
    #[label]
    pub check: &'a str,
    /// What it shows: `healthy`, `unknown` or `degraded`.
    #[label]
    pub status: &'a str,
    /// What it showed.
    pub previous: &'a str,
    /// What was seen.
    pub message: &'a str,
}
