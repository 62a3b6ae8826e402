//! One alert's life.

use serde::{Deserialize, Serialize};

use crate::alerts::{
    Alert, Change, Labels, Phase, Rule,
    measure::{STALE, ns},
    template::{self, Facts},
    verdict::{Missing, Verdict},
};

/// An alert that is pending or firing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Active {
    pub alert: Alert,
    /// The condition holds, by `resolve_at` where it is firing.
    is_on: bool,
    /// When it held last, in nanoseconds since the Unix epoch.
    held_unix_ns: u64,
    /// When there was a verdict last, in nanoseconds since the Unix epoch.
    seen_unix_ns: u64,
    /// How the last verdict is known.
    words: Option<String>,
    /// The evaluation of that verdict.
    #[serde(skip)]
    pub round: u64,
}

/// What becomes of an alert.
#[derive(Debug, PartialEq)]
pub(super) enum Fate {
    /// It goes on, and whoever is told of changes is told.
    GoesOn(Option<Change>),
    /// It is over.
    Ends(Option<Change>),
}

/// The annotation in which a rule's judge says how it knows.
const EXPLANATION: &str = "explanation";
/// The annotation that says why an alert is resolved, where it is not because things are well.
const RESOLVED: &str = "resolved";

impl Active {
    /// One whose condition holds for the first time.
    pub(super) fn new(rule: &Rule, verdict: &Verdict<'_>, now: u64) -> (Self, Option<Change>) {
        let mut active = Self {
            alert: Alert {
                labels: labels(rule, verdict.labels),
                annotations: Labels::new(),
                severity: rule.severity,
                phase: Phase::Pending,
                value: verdict.value,
                started_unix_ns: now,
                fired_unix_ns: None,
                resolved_unix_ns: None,
            },
            is_on: true,
            held_unix_ns: now,
            seen_unix_ns: now,
            words: verdict.words.clone(),
            round: 0,
        };
        active.annotate(rule);
        let change = active.fire_if_due(rule, now);
        (active, change)
    }

    /// A verdict of it.
    pub(super) fn see(&mut self, rule: &Rule, verdict: &Verdict<'_>, now: u64) -> Fate {
        let is_pending = self.alert.phase == Phase::Pending;
        self.is_on = verdict.holds || !is_pending && self.is_on && verdict.stays;
        self.seen_unix_ns = now;
        self.alert.value = verdict.value.or(self.alert.value);
        if self.is_on {
            self.held_unix_ns = now;
            self.words.clone_from(&verdict.words);
        }
        self.go_on(rule, now)
    }

    /// There is no verdict of it.
    pub(super) fn miss(&mut self, rule: &Rule, missing: Missing, now: u64) -> Fate {
        match missing {
            Missing::MeansNo => {
                self.is_on = false;
                self.seen_unix_ns = now;
                self.go_on(rule, now)
            }
            Missing::IsUnknown if self.alert.phase == Phase::Pending => Fate::Ends(None),
            Missing::IsUnknown => {
                let is_kept = now.saturating_sub(self.seen_unix_ns) < ns(STALE)
                    || now.saturating_sub(self.held_unix_ns) < ns(rule.keep_firing_for);
                if is_kept {
                    Fate::GoesOn(None)
                } else {
                    Fate::Ends(self.clone().give_up("it is not measured any more", now))
                }
            }
        }
    }

    fn go_on(&mut self, rule: &Rule, now: u64) -> Fate {
        if self.alert.phase == Phase::Pending {
            if !self.is_on {
                return Fate::Ends(None);
            }
            self.annotate(rule);
            return Fate::GoesOn(self.fire_if_due(rule, now));
        }
        let is_kept = now.saturating_sub(self.held_unix_ns) < ns(rule.keep_firing_for);
        if self.is_on || is_kept {
            let is_other = self.annotate(rule);
            return Fate::GoesOn(is_other.then(|| self.change(now)));
        }
        Fate::Ends(self.resolve(now))
    }

    /// Resolved for another reason than that things are well; nothing where it never fired.
    pub(super) fn give_up(mut self, because: &str, now: u64) -> Option<Change> {
        self.alert
            .annotations
            .insert(RESOLVED.to_owned(), because.to_owned());
        self.resolve(now)
    }

    /// After nobody ran for a while: nothing was measured in that time, so none of it counts.
    pub(super) fn resume(&mut self, now: u64) {
        self.seen_unix_ns = now;
    }

    fn resolve(&mut self, now: u64) -> Option<Change> {
        let was_told = self.alert.phase == Phase::Firing;
        self.alert.phase = Phase::Resolved;
        self.alert.resolved_unix_ns = Some(now);
        was_told.then(|| self.change(now))
    }

    fn fire_if_due(&mut self, rule: &Rule, now: u64) -> Option<Change> {
        let lasts = now.saturating_sub(self.alert.started_unix_ns);
        (lasts >= ns(rule.for_)).then(|| {
            self.alert.phase = Phase::Firing;
            self.alert.fired_unix_ns = Some(now);
            self.change(now)
        })
    }

    /// Fills the texts; whether they are others than before.
    fn annotate(&mut self, rule: &Rule) -> bool {
        let facts = Facts {
            value: self.alert.value,
            unit: &rule.unit,
            labels: &self.alert.labels,
        };
        let filled = rule
            .annotations
            .iter()
            .map(|(name, text)| (name.clone(), template::render(text, facts)));
        let words = self
            .words
            .iter()
            .map(|words| (EXPLANATION.to_owned(), words.clone()));
        // What a rule says itself has precedence.
        let annotations: Labels = words.chain(filled).collect();
        let is_other = annotations != self.alert.annotations;
        self.alert.annotations = annotations;
        is_other
    }

    fn change(&self, now: u64) -> Change {
        Change {
            time_unix_ns: now,
            alert: self.alert.clone(),
        }
    }
}

/// The labels of an alert: the series' and the rule's. Where both have one, the series' is called `exported_` and its name, as
/// Prometheus does where a target has a label that it sets itself; so two series stay two alerts.
pub(super) fn labels(rule: &Rule, series: &Labels) -> Labels {
    let own = [
        ("alertname".to_owned(), rule.name.clone()),
        ("severity".to_owned(), rule.severity.label().to_owned()),
    ];
    let mut labels: Labels = rule.labels.clone().into_iter().chain(own).collect();
    for (given, value) in series {
        let mut name = given.clone();
        while labels.contains_key(&name) || name != *given && series.contains_key(&name) {
            name = format!("exported_{name}");
        }
        labels.insert(name, value.clone());
    }
    labels
}
