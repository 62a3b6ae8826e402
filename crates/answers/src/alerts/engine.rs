//! The engine: rules, evaluated against a source of measurements at times that it is told.
//!
//! Each rule has, for each series or group of which its condition holds, an alert with one life:
//!
//! ```text
//!             holds           for as long as `for`              back across `resolve_at`,
//!  (nothing) ───────▶ pending ───────────────────▶ firing ────▶ for as long as `keep_firing_for` ────▶ resolved
//!                        │ no longer                  ▲                        │ holds again
//!                        ▼                            └────────────────────────┘
//!                    (nothing)
//! ```
//!
//! Invariants:
//! * What is resolved was firing, and was handed over as that.
//! * A source that fails changes no alert; the rule's status says so.
//! * A series that is not measured any more neither fires nor is called well: its alert fires on for five minutes, and is
//!   then resolved with an annotation `resolved` that says why.
//! * The same rules, measurements and times give the same changes, in whatever order a source has its series.
//! * A rule has at most [`ALERTS_MAX`] alerts; what is beyond that is counted and shown.
//! * After [`Engine::restore`] nothing is told twice, and nothing is resolved because nobody measured in between.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Alert, Change, Fault, Rule, Source, check_all, verdict::Court};

mod active;
mod entry;

use self::entry::{Entry, Saved};

/// Alerts of one rule at most.
pub const ALERTS_MAX: usize = 1_000;

/// Rules and what has become of them.
#[derive(Debug)]
pub struct Engine {
    entries: Vec<Entry>,
}

/// How a rule is.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleStatus<'e> {
    /// The rule.
    pub rule: &'e Rule,
    /// When it was evaluated last, well or not, in nanoseconds since the Unix epoch; `None`: never.
    pub evaluated_unix_ns: Option<u64>,
    /// How long that took, in nanoseconds, where the driver has a clock ([`Engine::evaluate_timed`]).
    pub duration_ns: Option<u64>,
    /// Why it could not be evaluated then; `None`: it was.
    pub error: Option<&'e str>,
    /// How often it could not be evaluated.
    pub errors: u64,
    /// Alerts that are pending.
    pub pending: usize,
    /// Alerts that are firing.
    pub firing: usize,
    /// Series or groups of which its condition held at the last evaluation and that have no alert because of [`ALERTS_MAX`].
    pub left_out: u64,
}

/// What an engine knows beside its rules: what is kept over a restart. Its form is serde's and belongs to this version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    rules: BTreeMap<String, Saved>,
}

impl Engine {
    /// An engine for these rules, with no alerts. The error is everything that is wrong with them.
    pub fn new(rules: Vec<Rule>) -> Result<Self, Vec<Fault>> {
        let faults = check_all(&rules);
        if faults.is_empty() {
            Ok(Self {
                entries: rules.into_iter().map(Entry::new).collect(),
            })
        } else {
            Err(faults)
        }
    }

    /// Evaluates every rule that is due, and hands over what changed: in the order of the rules, then of the alerts' labels.
    /// Times should rise; at one that does not, nothing has lasted any longer.
    pub fn evaluate(&mut self, source: &dyn Source, now_unix_ns: u64) -> Vec<Change> {
        self.run(source, now_unix_ns, None)
    }

    /// The same, and notes how long each rule took by the driver's own clock: nanoseconds since any moment.
    pub fn evaluate_timed(
        &mut self,
        source: &dyn Source,
        now_unix_ns: u64,
        clock_ns: &dyn Fn() -> u64,
    ) -> Vec<Change> {
        self.run(source, now_unix_ns, Some(clock_ns))
    }

    fn run(
        &mut self,
        source: &dyn Source,
        now_unix_ns: u64,
        clock_ns: Option<&dyn Fn() -> u64>,
    ) -> Vec<Change> {
        let court = Court {
            source,
            now_unix_ns,
        };
        let mut changes = Vec::new();
        for entry in &mut self.entries {
            if entry.is_due(now_unix_ns) {
                let begun = clock_ns.map(|clock| clock());
                changes.extend(entry.evaluate(&court));
                let ended = clock_ns.map(|clock| clock());
                entry.took(begun.zip(ended));
            }
        }
        changes
    }

    /// Every rule, in their order, and how it is.
    pub fn rules(&self) -> impl Iterator<Item = RuleStatus<'_>> {
        self.entries.iter().map(Entry::status)
    }

    /// Every alert that is pending or firing: in the order of the rules, then of their series' labels.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.entries.iter().flat_map(Entry::alerts)
    }

    /// What to keep over a restart.
    pub fn state(&self) -> State {
        let rules = self.entries.iter().map(Entry::save);
        State {
            rules: rules.collect(),
        }
    }

    /// Takes up what another engine left, in place of what this one knew. What was firing by a rule that is not there any more,
    /// or that gives its alerts other labels now, is resolved.
    pub fn restore(&mut self, state: State, now_unix_ns: u64) -> Vec<Change> {
        let mut saved = state.rules;
        let mut changes = Vec::new();
        for entry in &mut self.entries {
            if let Some(saved) = saved.remove(&entry.rule().name) {
                changes.extend(entry.restore(saved, now_unix_ns));
            }
        }
        let gone = saved.into_values();
        changes.extend(gone.flat_map(|saved| saved.give_up(now_unix_ns)));
        changes
    }

    /// Other rules from now on, as after a file of them has changed. What goes on by name goes on firing. The error is
    /// everything that is wrong with them; then nothing changes.
    pub fn replace(
        &mut self,
        rules: Vec<Rule>,
        now_unix_ns: u64,
    ) -> Result<Vec<Change>, Vec<Fault>> {
        let state = self.state();
        let mut next = Self::new(rules)?;
        let changes = next.restore(state, now_unix_ns);
        *self = next;
        Ok(changes)
    }
}

#[cfg(test)]
mod tests;
