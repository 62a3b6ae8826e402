//! The table of checks: what each was last seen as, what it shows, and when it is due.

use std::{borrow::Cow, mem, time::Duration};

use radiosonde_answers::health::{Change, Track};
use radiosonde_core::{
    clock::now_unix_ns,
    events::{HealthRecovered, HealthWorsened},
    record,
};

use super::{Affects, CHECKS_MAX, Check, CheckOptions, Details, Outcome, Patience, Status};
use crate::encode::time;

/// What a program registered.
pub(super) type Run = Box<dyn FnMut() -> Outcome + Send>;

/// A check by its name.
pub(super) struct Entry {
    /// Unlike that of any other, also of one that had the name before.
    pub(super) id: u64,
    pub(super) name: Cow<'static, str>,
    pub(super) affects: Affects,
    pub(super) track: Track,
    /// Whether it has been healthy or degraded once.
    pub(super) has_passed: bool,
    /// `None` before the first look.
    seen: Option<Seen>,
    /// `None` where somebody says how it is.
    pub(super) scheduled: Option<Scheduled>,
}

/// The last look.
struct Seen {
    outcome: Outcome,
    unix_ns: u64,
    since_start: Duration,
    duration: Option<Duration>,
}

/// When a check runs.
pub(super) struct Scheduled {
    pub(super) options: CheckOptions,
    /// `None` while it runs.
    pub(super) run: Option<Run>,
    pub(super) due: Duration,
    pub(super) hangs: bool,
    /// Runs that were begun, and the number of the last that ended.
    pub(super) begun: u64,
    pub(super) ended: u64,
}

impl Scheduled {
    /// Due at once.
    pub(super) const fn new(options: CheckOptions, run: Run) -> Self {
        Self {
            options,
            run: Some(run),
            due: Duration::ZERO,
            hangs: false,
            begun: 0,
            ended: 0,
        }
    }
}

/// What changed about a check, to be recorded when no lock is held.
pub(super) struct Told {
    name: String,
    change: Change,
    message: String,
}

impl Told {
    pub(super) fn record(&self) {
        let (check, message) = (&self.name, &self.message);
        let (status, previous) = (self.change.to.label(), self.change.from.label());
        if self.change.to > self.change.from {
            record!(HealthWorsened {
                check,
                status,
                previous,
                message,
            });
        } else {
            record!(HealthRecovered {
                check,
                status,
                previous,
                message,
            });
        }
    }
}

impl Entry {
    pub(super) const fn new(
        id: u64,
        name: Cow<'static, str>,
        affects: Affects,
        patience: Patience,
    ) -> Self {
        Self {
            id,
            name,
            affects,
            track: Track::new(patience),
            has_passed: false,
            seen: None,
            scheduled: None,
        }
    }

    /// Begins with what `before` shows.
    pub(super) fn take_over(&mut self, before: &Self, now: Duration) {
        if before.track.is_known() {
            self.track.look(now, before.track.status(now));
        }
    }

    /// Takes in what a look said.
    pub(super) fn look(
        &mut self,
        now: Duration,
        outcome: Outcome,
        duration: Option<Duration>,
    ) -> Option<Told> {
        let change = if outcome.is_absent {
            self.track.settle(now, Status::Unknown)
        } else {
            self.track.look(now, outcome.status)
        };
        self.see(now, outcome, duration, change)
    }

    /// Takes in that a run does not return.
    pub(super) fn hang(&mut self, now: Duration) -> Option<Told> {
        let scheduled = self.scheduled.as_mut()?;
        scheduled.hangs = true;
        let CheckOptions {
            timeout, hanging, ..
        } = scheduled.options;
        let outcome = Outcome::new(hanging, format!("did not answer within {timeout:?}"));
        let change = self.track.settle(now, hanging);
        self.see(now, outcome, Some(timeout), change)
    }

    fn see(
        &mut self,
        now: Duration,
        outcome: Outcome,
        duration: Option<Duration>,
        change: Option<Change>,
    ) -> Option<Told> {
        let shown = self.track.status(now);
        self.has_passed |= outcome.is_absent || matches!(shown, Status::Healthy | Status::Degraded);
        let was_absent = self
            .seen
            .as_ref()
            .is_some_and(|seen| seen.outcome.is_absent);
        let is_absent = outcome.is_absent;
        let message = outcome.message.clone();
        self.seen = Some(Seen {
            outcome,
            unix_ns: now_unix_ns(),
            since_start: now,
            duration,
        });
        // That something came or went is no change of how it is.
        let change = change.filter(|_| !was_absent && !is_absent)?;
        Some(Told {
            name: self.name.clone().into_owned(),
            change,
            message,
        })
    }

    /// How it is, where that has a part in how the program is.
    pub(super) fn counting(&self, now: Duration) -> Option<Status> {
        let is_absent = self
            .seen
            .as_ref()
            .is_some_and(|seen| seen.outcome.is_absent);
        (!is_absent).then(|| self.track.status(now))
    }

    /// As it is shown.
    pub(super) fn shown(&self, now: Duration) -> Check {
        let status = self.track.status(now);
        let looked = self.seen.as_ref();
        Check {
            name: self.name.clone(),
            status,
            message: self.message(status, now),
            details: Some(Details {
                affects: self.affects,
                looked: looked.map(|seen| time::text(seen.unix_ns)),
                duration: looked.and_then(|seen| seen.duration),
            }),
        }
    }

    /// What the last look said, and how that fits with what is shown.
    fn message(&self, shown: Status, now: Duration) -> String {
        let Some(seen) = &self.seen else {
            return "not looked at yet".to_owned();
        };
        let Outcome {
            status, message, ..
        } = &seen.outcome;
        if *status == shown {
            return message.clone();
        }
        let colon = if message.is_empty() { "" } else { ": " };
        if shown == Status::Unknown {
            let age = now.saturating_sub(seen.since_start).as_secs();
            return format!(
                "not looked at for {age} s; then it was {}{colon}{message}",
                status.label()
            );
        }
        format!("the last look was {}{colon}{message}", status.label())
    }
}

/// All checks, and the run that is under way.
#[derive(Default)]
pub(super) struct State {
    pub(super) entries: Vec<Entry>,
    /// Whether there is a thread that runs them.
    pub(super) is_running: bool,
    pub(super) stop: bool,
    /// The run that the thread waits for: the check's id and the run's number.
    pub(super) waits_for: Option<(u64, u64)>,
    /// Whether that run has returned, and only what it changed is still to be recorded.
    pub(super) has_returned: bool,
    /// Runs that nobody waits for any more.
    pub(super) hanging: usize,
    ids: u64,
}

impl State {
    pub(super) const fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }

    pub(super) fn by_id(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// Whether there is no place for a new name.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= CHECKS_MAX
    }

    /// Puts `entry` into the place `index`, or behind the others, and gives back what was there.
    pub(super) fn put(&mut self, index: Option<usize>, entry: Entry) -> Option<Entry> {
        if let Some(index) = index {
            return Some(mem::replace(&mut self.entries[index], entry));
        }
        self.entries.push(entry);
        None
    }
}
