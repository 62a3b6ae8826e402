//! How the program is: named checks, and the worst of them.
//!
//! A program says what it knows of itself, or registers what is to be asked every so often:
//!
//! ```
//! use radiosonde::health::{CheckOptions, Status};
//!
//! let guard = radiosonde::init()?;
//! let health = guard.health();
//! health.update("model", Status::Degraded, "serves from the fallback");
//! health.check("scratch", CheckOptions::default(), || std::fs::metadata(std::env::temp_dir()))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Beside those, `init` keeps six of its own, every `health.check_interval`: `operations` (what part of the spans that ended
//! since the last look failed), `records` (whether any were lost), `exporters` (whether each delivers), `memory` (what of
//! the host's is in use), `queues` (how full the fullest one with a bound is) and `device` (the hottest and the fullest).
//!
//! What is asked over HTTP is one of four [`Probe`]s. [`endpoint`](crate::endpoint) answers them on a port of its own, and
//! [`HealthService`] inside any server that speaks `tower`, axum and hyper among them.
//!
//! Invariants: a name stands once; a later update or check replaces the earlier one. Precedence is that of [`Status`]; no
//! check at all is healthy. No request waits for a check: checks run on a thread of their own, one that does not return in
//! its time is critical, holds up no other, and is not begun again before it has returned. What is shown does not flap
//! ([`Patience`]). How they change is recorded as `health.worsened` and `health.recovered`.

mod check;
mod entry;
mod probe;
mod runner;
mod service;

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

pub use radiosonde_answers::health::{Level, Levels, Patience, Status};
use radiosonde_core::panics::drop_caught;
use serde::{Serialize, Serializer};

pub(crate) use self::probe::answer;
pub use self::{
    check::{Affects, CheckError, CheckOptions, INTERVAL_MIN, Outcome},
    probe::Probe,
    service::HealthService,
};
use self::{
    entry::{Entry, Scheduled},
    runner::Handle,
};
use crate::{encode::time, redact::Redaction};

/// Most checks kept; further names are refused.
pub const CHECKS_MAX: usize = 256;
/// Most bytes of a check's name or message; the rest is cut.
pub const TEXT_BYTES_MAX: usize = 1024;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: Cow<'static, str>,
    /// How it is.
    pub status: Status,
    /// What was seen; may be empty.
    pub message: String,
    /// What `?verbose` shows.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// More about a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Details {
    /// Which probes it has a part in, beside `/health`.
    pub affects: Affects,
    /// When it was last looked at, as RFC 3339 in UTC; `None` before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked: Option<String>,
    /// How long the last look took; `None` where somebody said how it is.
    #[serde(
        rename = "duration_ms",
        serialize_with = "milliseconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub duration: Option<Duration>,
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

/// The checks of a program, shared by those who make them and those who show them. Checks run for as long as one clone
/// lives; a check that holds a clone itself keeps all of them running.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Handle>);

impl Health {
    /// No checks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the check of this name, which has a part in readiness; secrets in `message` are replaced. Says whether it was
    /// kept: a new name is not once there are [`CHECKS_MAX`].
    pub fn update(
        &self,
        name: impl Into<Cow<'static, str>>,
        status: Status,
        message: impl Into<String>,
    ) -> bool {
        let outcome = Outcome::new(status, message).redacted();
        let (change, replaced) = {
            let mut state = self.0.lock();
            let now = self.0.now();
            let name = shortened(name.into());
            let index = state.position(&name);
            if index.is_none() && state.is_full() {
                return false;
            }
            // What was said before is what this one is compared with.
            let mut entry = Entry::new(state.next_id(), name, Affects::READINESS, Patience::NONE);
            if let Some(before) = index.map(|index| &state.entries[index]) {
                entry.take_over(before, now);
            }
            let change = entry.look(now, outcome, None);
            (change, state.put(index, entry))
        };
        // Whatever a program's check holds is dropped where it may take its time.
        drop_caught(replaced);
        if let Some(change) = change {
            change.record();
        }
        true
    }

    /// Runs `check` now and every [`CheckOptions::interval`], on a thread of its own and for [`CheckOptions::timeout`] at
    /// most. What it returns becomes an [`Outcome`]: nothing is healthy, an error is critical, `true` and `false` are
    /// healthy and critical, a [`Status`] is what it says. One that panics is critical.
    ///
    /// Until it has returned for the first time the program is not ready, where the check has a part in that.
    pub fn check<R: Into<Outcome>>(
        &self,
        name: impl Into<Cow<'static, str>>,
        options: CheckOptions,
        mut check: impl FnMut() -> R + Send + 'static,
    ) -> Result<(), CheckError> {
        let scheduled = Scheduled::new(options, Box::new(move || check().into()));
        let replaced = {
            let mut state = self.0.lock();
            let name = shortened(name.into());
            let index = state.position(&name);
            if index.is_none() && state.is_full() {
                let name = name.into_owned();
                return Err(CheckError::Full { name });
            }
            if !state.is_running {
                self.0.start().map_err(CheckError::Thread)?;
                state.is_running = true;
            }
            let mut entry = Entry::new(state.next_id(), name, options.affects, options.patience());
            entry.scheduled = Some(scheduled);
            state.put(index, entry)
        };
        drop_caught(replaced);
        self.0.changed.notify_all();
        Ok(())
    }

    /// Runs every registered check once more and waits until all have returned, or are known to hang, for `timeout` at
    /// most. `false` when the time was not enough.
    pub fn run_now(&self, timeout: Duration) -> bool {
        self.0
            .run_now(Instant::now() + timeout.min(Duration::from_hours(24)))
    }

    /// Forgets the check of this name.
    pub fn remove(&self, name: &str) {
        let removed = {
            let mut state = self.0.lock();
            let index = state.position(name);
            index.map(|index| state.entries.remove(index))
        };
        drop_caught(removed);
    }

    /// The worst of the checks.
    pub fn status(&self) -> Status {
        let now = self.0.now();
        let state = self.0.lock();
        Status::worst(state.entries.iter().filter_map(|entry| entry.counting(now)))
    }

    /// Whether the probe would be answered with 200, where `/health` fails from critical on.
    pub fn passes(&self, probe: Probe) -> bool {
        let now = self.0.now();
        let state = self.0.lock();
        probe.passes(state.entries.iter(), now, Status::Critical)
    }

    /// All checks now.
    pub fn report(&self) -> Report {
        let now = self.0.now();
        let state = self.0.lock();
        Report {
            status: Status::worst(state.entries.iter().filter_map(|entry| entry.counting(now))),
            checks: state.entries.iter().map(|entry| entry.shown(now)).collect(),
            timestamp: time::text(radiosonde_core::clock::now_unix_ns()),
        }
    }
}

fn shortened(mut name: Cow<'static, str>) -> Cow<'static, str> {
    if name.len() > TEXT_BYTES_MAX {
        let end = name.floor_char_boundary(TEXT_BYTES_MAX);
        name.to_mut().truncate(end);
    }
    name
}

impl Outcome {
    /// As it may be shown: without secrets, and no longer than a message may be.
    fn redacted(mut self) -> Self {
        self.message = Redaction::default().text(&self.message).into_owned();
        let end = self.message.floor_char_boundary(TEXT_BYTES_MAX);
        self.message.truncate(end);
        self
    }
}

#[expect(
    clippy::ref_option,
    reason = "serde hands over a reference to the field"
)]
fn milliseconds<S: Serializer>(duration: &Option<Duration>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(duration.unwrap_or_default().as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests;
