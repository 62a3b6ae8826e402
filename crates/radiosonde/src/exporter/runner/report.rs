//! What an exporter's fault looks like to people, one line, and the desk at which it waits to be said.
//!
//! Standard error may be a pipe that nobody reads: whoever writes to it waits then, for as long as that takes. So one
//! thread writes, and nobody waits for it but the end, and that not for long. For each exporter at most one line waits;
//! a newer one takes its place.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use radiosonde_core::{
    ValueRef,
    batch::{Batch, Parts},
    clock,
    loss::Lost,
    model::Resource,
};
use tracing::{Callsite as _, Level, Metadata, metadata::Kind};

/// How often one exporter's faults are reported.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// How often exporters are looked at for something to report.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the thread at the desk does next.
pub(super) enum Next {
    Look,
    Say(String),
    End,
}

/// Where lines wait to be said.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whom each is about, and the line.
    waiting: Vec<(usize, String)>,
    is_saying: bool,
    has_ended: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a line to be said, in place of an older one with the same `about`.
    pub(super) fn say(&self, about: usize, message: String) {
        let mut state = self.lock();
        state.waiting.retain(|(other, _)| *other != about);
        state.waiting.push((about, message));
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for something to do.
    pub(super) fn next(&self) -> Next {
        let look_at = Instant::now() + LOOK_INTERVAL;
        let mut state = self.lock();
        loop {
            if !state.waiting.is_empty() {
                state.is_saying = true;
                return Next::Say(state.waiting.remove(0).1);
            }
            if state.has_ended {
                return Next::End;
            }
            let left = look_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Look;
            }
            let wait = self.changed.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The line that [`next`](Self::next) gave is said.
    pub(super) fn said(&self) {
        self.lock().is_saying = false;
        self.changed.notify_all();
    }

    /// Waits until everything is said, until `deadline` at most. Nothing is looked at any more.
    pub(super) fn end(&self, deadline: Instant) {
        let mut state = self.lock();
        state.has_ended = true;
        self.changed.notify_all();
        while (state.is_saying || !state.waiting.is_empty())
            && let Some(left) = deadline.checked_duration_since(Instant::now())
        {
            let wait = self.changed.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        // Nobody reads it in time: the thread need not write it to whoever comes later.
        state.waiting.clear();
    }
}

/// What went wrong since the last report.
#[derive(Debug, Default)]
pub(super) struct Fault {
    pub(super) lost: Vec<(Lost, u64)>,
    /// The last error of each kind, oldest first.
    pub(super) errors: Vec<String>,
}

/// Most errors in one report.
const ERRORS_MAX: usize = 4;

impl Fault {
    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.lost.is_empty()
    }

    /// Adds what went wrong. Of two that say the same but for numbers, or of which one says more, one is kept.
    pub(super) fn note(&mut self, error: String) {
        let kind = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        let new = kind(&error);
        self.errors.retain(|known| !new.contains(&kind(known)));
        if self.errors.iter().any(|known| kind(known).contains(&new)) {
            return;
        }
        if self.errors.len() == ERRORS_MAX {
            self.errors.remove(0);
        }
        self.errors.push(error);
    }

    pub(super) fn lost(&mut self, reason: Lost, records: u64) {
        match self.lost.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, total)) => *total += records,
            None => self.lost.push((reason, records)),
        }
    }

    /// Adds what went wrong after it.
    pub(super) fn join(&mut self, later: Self) {
        for error in later.errors {
            self.note(error);
        }
        for (reason, records) in later.lost {
            self.lost(reason, records);
        }
    }

    /// What happened to the exporter called `name`, and what it cost.
    pub(super) fn message(&self, name: &str) -> String {
        let mut message = match &self.errors[..] {
            [] => format!("exporter {name}: it does not keep up"),
            errors => format!("exporter {name}: {}", errors.join("; ")),
        };
        for (index, (reason, records)) in self.lost.iter().enumerate() {
            let before = if index == 0 {
                "; lost since the last report:"
            } else {
                ","
            };
            // Writing to a string does not fail.
            let _ = write!(message, "{before} {records} records ({})", reason.label());
        }
        message
    }

    fn records(&self) -> u64 {
        self.lost.iter().map(|(_, records)| records).sum()
    }
}

/// The fault as a log record for the other exporters.
pub(super) fn batch(resource: &Arc<Resource>, name: &str, fault: &Fault, message: &str) -> Batch {
    let mut batch = Batch::new(Arc::clone(resource));
    let parts = Parts {
        time_unix_ns: clock::now_unix_ns(),
        attributes: &[
            ("message", ValueRef::Str(message)),
            ("exporter", ValueRef::Str(name)),
            ("lost", ValueRef::U64(fault.records())),
        ],
        ..Parts::default()
    };
    batch.push_log(metadata(), None, &parts);
    batch
}

fn metadata() -> &'static Metadata<'static> {
    tracing::callsite! {
        name: "exporter fault",
        kind: Kind::EVENT,
        target: "radiosonde",
        level: Level::WARN,
        fields: message, exporter, lost
    }
    .metadata()
}

/// Writes the line on standard error. When that is gone too there is nobody left to tell.
pub(super) fn say(message: &str) {
    let _ = writeln!(io::stderr(), "radiosonde: {message}");
}
