//! One rule and its alerts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ALERTS_MAX, RuleStatus,
    active::{Active, Fate, labels},
};
use crate::alerts::{
    Alert, Change, Labels, Phase, Rule,
    measure::{STALE, ns},
    verdict::{Absent, Court, Memory, Verdict},
};

/// A rule, and what it knows.
#[derive(Debug)]
pub(super) struct Entry {
    rule: Rule,
    /// By the labels of their series or group.
    alerts: BTreeMap<Labels, Active>,
    memory: Memory,
    evaluated_unix_ns: Option<u64>,
    duration_ns: Option<u64>,
    error: Option<String>,
    errors: u64,
    left_out: u64,
    /// Counts evaluations, so that alerts without a verdict are known.
    round: u64,
}

/// What is kept of it over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    evaluated_unix_ns: Option<u64>,
    alerts: Vec<(Labels, Active)>,
    absent: Absent,
}

/// A verdict of something that has no alert yet.
struct Candidate {
    labels: Labels,
    value: Option<f64>,
    words: Option<String>,
}

impl Candidate {
    fn verdict(&self) -> Verdict<'_> {
        Verdict {
            labels: &self.labels,
            value: self.value,
            holds: true,
            stays: true,
            words: self.words.clone(),
        }
    }
}

impl Entry {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            alerts: BTreeMap::new(),
            memory: Memory::default(),
            evaluated_unix_ns: None,
            duration_ns: None,
            error: None,
            errors: 0,
            left_out: 0,
            round: 0,
        }
    }

    pub(super) const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Whether its interval is over. A clock that went back does not make it wait.
    pub(super) fn is_due(&self, now: u64) -> bool {
        let (Some(interval), Some(before)) = (self.rule.interval, self.evaluated_unix_ns) else {
            return true;
        };
        now < before || now - before >= ns(interval)
    }

    pub(super) fn evaluate(&mut self, court: &Court<'_>) -> Vec<Change> {
        let now = court.now_unix_ns;
        self.round += 1;
        self.evaluated_unix_ns = Some(now);
        let (rule, alerts, round) = (&self.rule, &mut self.alerts, self.round);
        let mut changes = Vec::new();
        let mut over = Vec::new();
        let mut candidates = Vec::new();
        let outcome = court.try_each(rule, &mut self.memory, &mut |verdict| {
            let known = (!alerts.is_empty()).then(|| alerts.get_mut(verdict.labels));
            if let Some(active) = known.flatten() {
                active.round = round;
                match active.see(rule, &verdict, now) {
                    Fate::GoesOn(change) => changes.extend(change),
                    Fate::Ends(change) => {
                        changes.extend(change);
                        over.push(verdict.labels.clone());
                    }
                }
            } else if verdict.holds {
                candidates.push(Candidate {
                    labels: verdict.labels.clone(),
                    value: verdict.value,
                    words: verdict.words,
                });
            }
        });
        let missing = match outcome {
            Ok(missing) => missing,
            Err(error) => {
                self.error = Some(error);
                self.errors += 1;
                return Vec::new();
            }
        };
        self.error = None;
        over.iter().for_each(|labels| drop(alerts.remove(labels)));
        alerts.retain(|_, active| {
            if active.round == round {
                return true;
            }
            match active.miss(rule, missing, now) {
                Fate::GoesOn(change) => {
                    changes.extend(change);
                    true
                }
                Fate::Ends(change) => {
                    changes.extend(change);
                    false
                }
            }
        });
        self.admit(candidates, now, &mut changes);
        changes.sort_by(|left, right| left.alert.labels.cmp(&right.alert.labels));
        changes
    }

    /// Makes alerts of what holds now, in the order of labels, as far as there is room.
    fn admit(&mut self, mut candidates: Vec<Candidate>, now: u64, changes: &mut Vec<Change>) {
        candidates.sort_by(|left, right| left.labels.cmp(&right.labels));
        let room = ALERTS_MAX.saturating_sub(self.alerts.len());
        self.left_out = candidates.len().saturating_sub(room) as u64 + self.memory.watches.left_out;
        for candidate in candidates.into_iter().take(room) {
            let (mut active, change) = Active::new(&self.rule, &candidate.verdict(), now);
            active.round = self.round;
            changes.extend(change);
            self.alerts.insert(candidate.labels, active);
        }
    }

    /// Notes when the last evaluation began and ended.
    pub(super) fn took(&mut self, times: Option<(u64, u64)>) {
        self.duration_ns = times.map(|(begun, ended)| ended.saturating_sub(begun));
    }

    pub(super) fn status(&self) -> RuleStatus<'_> {
        let count = |phase| self.alerts().filter(|alert| alert.phase == phase).count();
        RuleStatus {
            rule: &self.rule,
            evaluated_unix_ns: self.evaluated_unix_ns,
            duration_ns: self.duration_ns,
            error: self.error.as_deref(),
            errors: self.errors,
            pending: count(Phase::Pending),
            firing: count(Phase::Firing),
            left_out: self.left_out,
        }
    }

    pub(super) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().map(|active| &active.alert)
    }

    pub(super) fn save(&self) -> (String, Saved) {
        let alerts = self.alerts.iter();
        let saved = Saved {
            evaluated_unix_ns: self.evaluated_unix_ns,
            alerts: alerts
                .map(|(labels, active)| (labels.clone(), active.clone()))
                .collect(),
            absent: self.memory.absent.clone(),
        };
        (self.rule.name.clone(), saved)
    }

    /// Takes up what was saved. What was pending starts anew where nobody looked for longer than a reading stands for what
    /// came after it.
    pub(super) fn restore(&mut self, saved: Saved, now: u64) -> Vec<Change> {
        let before = saved.evaluated_unix_ns.unwrap_or(0);
        let is_fresh = now.saturating_sub(before) < ns(STALE);
        let mut changes = Vec::new();
        self.alerts.clear();
        for (series, mut active) in saved.alerts {
            if labels(&self.rule, &series) != active.alert.labels {
                changes.extend(active.give_up("its rule gives other labels now", now));
            } else if active.alert.phase == Phase::Firing || is_fresh {
                active.resume(now);
                self.alerts.insert(series, active);
            }
        }
        self.evaluated_unix_ns = saved.evaluated_unix_ns;
        self.memory = Memory {
            absent: saved.absent,
            ..Memory::default()
        };
        let alerts = &self.alerts;
        if !is_fresh {
            self.memory
                .absent
                .resume(now, |group| alerts.contains_key(group));
        }
        changes
    }
}

impl Saved {
    /// What it had, where there is no such rule any more.
    pub(super) fn give_up(self, now: u64) -> Vec<Change> {
        let alerts = self.alerts.into_iter();
        alerts
            .filter_map(|(_, active)| active.give_up("its rule is gone", now))
            .collect()
    }
}
