//! One alert of a group: how it is, what the receiver knows of it, and how often it turned of late.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{
    super::{Alert, Phase},
    notification::Notified,
    route::{FLAP_FIRINGS_MAX, Pace},
};

/// What a receiver believes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Told {
    /// Nothing, or that it is resolved.
    Nothing,
    /// That so many more fire, it among them.
    Counted,
    /// That it fires.
    Named,
}

/// What is to be said of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsaid {
    Nothing,
    Firing,
    Resolved,
}

/// One alert of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) alert: Alert,
    pub(super) told: Told,
    /// When word of it arrived last.
    pub(super) told_unix_ns: Option<u64>,
    /// When it began to fire (`true`) and was resolved of late, within the window of flapping.
    turns: VecDeque<(u64, bool)>,
    /// How often it began to fire since `firings_unix_ns`.
    pub(super) firings: u64,
    pub(super) firings_unix_ns: u64,
    /// How often since word of it arrived.
    pub(super) unsaid_firings: u64,
    /// Since when there is something to say that nothing hides.
    pub(super) waiting_unix_ns: u64,
    pub(super) is_hidden: bool,
}

impl Member {
    pub(super) fn new(
        alert: Alert,
        told: Told,
        told_unix_ns: Option<u64>,
        now: u64,
        pace: &Pace,
    ) -> Self {
        let mut member = Self {
            alert,
            told,
            told_unix_ns,
            turns: VecDeque::new(),
            firings: 0,
            firings_unix_ns: now,
            unsaid_firings: 0,
            waiting_unix_ns: now,
            is_hidden: false,
        };
        member.remember(now, pace);
        member
    }

    /// Takes in how it is now. A change of its phase is a turn.
    pub(super) fn take(&mut self, alert: Alert, now: u64, pace: &Pace) {
        let turned = alert.phase != self.alert.phase;
        self.alert = alert;
        if turned {
            self.waiting_unix_ns = now;
            self.is_hidden = false;
            self.remember(now, pace);
        }
    }

    fn remember(&mut self, now: u64, pace: &Pace) {
        let fires = self.alert.phase == Phase::Firing;
        let too_old = |time: u64| time.saturating_add(pace.flap_window_ns) <= now;
        while self.turns.front().is_some_and(|&(time, _)| too_old(time))
            || self.turns.len() >= 2 * FLAP_FIRINGS_MAX
        {
            self.turns.pop_front();
        }
        if self.turns.is_empty() {
            (self.firings, self.firings_unix_ns, self.unsaid_firings) = (0, now, 0);
        }
        self.firings += u64::from(fires);
        self.unsaid_firings += u64::from(fires);
        if pace.flap_firings > 0 {
            self.turns.push_back((now, fires));
        }
    }

    pub(super) const fn unsaid(&self) -> Unsaid {
        match (self.alert.phase, self.told) {
            (Phase::Firing, Told::Nothing) => Unsaid::Firing,
            (Phase::Resolved, Told::Counted | Told::Named) => Unsaid::Resolved,
            _ => Unsaid::Nothing,
        }
    }

    /// It fires, and the receiver believes so.
    pub(super) fn is_known(&self) -> bool {
        self.alert.phase == Phase::Firing && self.told != Told::Nothing
    }

    /// It is part of what is said of its group, whatever is new.
    pub(super) fn is_shown(&self) -> bool {
        self.unsaid() == Unsaid::Resolved || (self.alert.phase == Phase::Firing && !self.is_hidden)
    }

    /// Whether it began to fire so often in the window before its last turn, which is no longer ago than that.
    fn is_flapping(&self, pace: &Pace, now: u64) -> bool {
        let Some(&(last, _)) = self.turns.back() else {
            return false;
        };
        let within = |time: u64, until: u64| time.saturating_add(pace.flap_window_ns) > until;
        let fired = self
            .turns
            .iter()
            .filter(|&&(time, fires)| fires && within(time, last));
        within(last, now) && pace.flap_firings > 0 && fired.count() >= pace.flap_firings
    }

    /// Until when nothing is said of it singly, because it flaps and the receiver knows of it: until it has been as it is
    /// for twice as long as ever before of late, and at most until it would be told of again anyway. The time in which word
    /// of it came last does not count: where that was a digest, it had become calm.
    pub(super) fn held_until(&self, pace: &Pace, now: u64) -> Option<u64> {
        let told = self.told_unix_ns.filter(|_| self.is_flapping(pace, now))?;
        let times = self.turns.iter().map(|&(time, _)| time);
        let pairs = times.clone().zip(times.clone().skip(1));
        let gaps = pairs
            .filter(|(from, to)| !(*from..*to).contains(&told))
            .map(|(from, to)| to.saturating_sub(from));
        let calm_ns = (2 * gaps.max().unwrap_or(0))
            .max(pace.interval_ns)
            .min(pace.flap_window_ns / 2);
        let calm = times.last()?.saturating_add(calm_ns);
        Some(calm.min(told.saturating_add(pace.repeat_ns)))
    }

    /// When what is to be said of it may be said, were nothing hidden.
    pub(super) fn ready(&self, pace: &Pace, now: u64) -> Option<u64> {
        match (self.unsaid(), self.held_until(pace, now)) {
            (Unsaid::Nothing, Some(until)) => {
                (self.unsaid_firings >= pace.flap_firings as u64).then_some(until)
            }
            (Unsaid::Nothing, None) => None,
            (_, Some(until)) => Some(until),
            (_, None) => Some(self.waiting_unix_ns.saturating_add(pace.wait_ns)),
        }
    }

    /// Takes in whether something hides it. What was hidden waits for others once more: where a source and its target are
    /// resolved one after the other, nobody has to hear of the target.
    pub(super) fn look(&mut self, hides: bool, now: u64) {
        let hides = hides && self.alert.phase == Phase::Firing;
        if self.is_hidden && !hides && self.unsaid() == Unsaid::Firing {
            self.waiting_unix_ns = now;
        }
        self.is_hidden = hides;
    }

    pub(super) fn notified(&self, is_news: bool, pace: &Pace, now: u64) -> Notified {
        let recent = self
            .turns
            .back()
            .filter(|(time, _)| time.saturating_add(pace.flap_window_ns) > now);
        let (firings, last) = recent.map_or((0, 0), |&(time, _)| (self.firings, time));
        Notified {
            alert: self.alert.clone(),
            is_news,
            firings,
            firings_over_ns: last.saturating_sub(self.firings_unix_ns),
        }
    }
}
