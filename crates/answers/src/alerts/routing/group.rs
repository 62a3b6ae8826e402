//! Alerts that one receiver is told of together: what each is, what the receiver knows of it, and when it is told what.
//!
//! Invariant: `told` only follows what arrived. A notification on its way changes nothing, and one that failed is made anew
//! from what is true then.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use super::{
    super::{Alert, Labels, Phase},
    member::{Member, Told, Unsaid},
    notification::{Notification, Outcome, Reason},
    route::Pace,
};

const SECOND_NS: u64 = 1_000_000_000;
/// How long the answer to a notification may take before it counts as failed.
const FLIGHT_NS_MAX: u64 = 600 * SECOND_NS;
/// The first wait after a failure; each further one is twice as long.
const RETRY_NS_MIN: u64 = 5 * SECOND_NS;
/// The longest of them.
const RETRY_NS_MAX: u64 = 300 * SECOND_NS;
/// The wait after a refusal: somebody may have mended the address meanwhile.
const REFUSED_NS: u64 = 900 * SECOND_NS;
/// The longest that a receiver may ask to be left alone.
const RETRY_AFTER_NS_MAX: u64 = 3_600 * SECOND_NS;
/// How long it is tried to tell that something is resolved.
const RESOLVED_NS_MAX: u64 = 86_400 * SECOND_NS;

/// A notification that is on its way, and what it says.
#[derive(Clone, Debug, PartialEq)]
struct Flight {
    id: u64,
    time_unix_ns: u64,
    is_digest: bool,
    said: Vec<Said>,
}

#[derive(Clone, Debug, PartialEq)]
struct Said {
    fingerprint: u64,
    phase: Phase,
    is_named: bool,
    is_news: bool,
    firings: u64,
}

/// What did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) attempts: u32,
    pub(super) because: String,
    pub(super) retry_unix_ns: u64,
}

/// A member as part of a notification.
struct Listed<'a> {
    fingerprint: u64,
    member: &'a Member,
    is_news: bool,
}

/// What a group is told by, and to whom.
pub(super) struct Setting<'a> {
    pub(super) pace: &'a Pace,
    pub(super) sends_resolved: bool,
    pub(super) alerts_max: usize,
}

/// What became of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    None,
    /// It fires again.
    Firing,
    /// It is resolved.
    Resolved,
    /// It is resolved, and nobody heard of it.
    Unheard,
}

/// Alerts of one route that have the same group labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// The route's place in the tree.
    pub(super) node: usize,
    pub(super) labels: Labels,
    pub(super) members: BTreeMap<u64, Member>,
    /// When the last notification that arrived was made.
    pub(super) sent_unix_ns: Option<u64>,
    pub(super) failure: Option<Failure>,
    flight: Option<Flight>,
    /// When it has to be looked at; `None` where nothing is to come.
    pub(super) due_unix_ns: Option<u64>,
    /// When what hides some of it may end.
    pub(super) hidden_until_unix_ns: Option<u64>,
}

impl Group {
    pub(super) fn new(node: usize, labels: Labels) -> Self {
        Self {
            node,
            labels,
            members: BTreeMap::new(),
            sent_unix_ns: None,
            failure: None,
            flight: None,
            due_unix_ns: None,
            hidden_until_unix_ns: None,
        }
    }

    /// Takes in how a member is now; `None` where it is none.
    pub(super) fn take(
        &mut self,
        fingerprint: u64,
        alert: Alert,
        now: u64,
        setting: &Setting<'_>,
    ) -> Option<Turn> {
        let mut said = self.flight.iter().flat_map(|flight| &flight.said);
        let is_said = said.any(|said| said.fingerprint == fingerprint);
        let member = self.members.get_mut(&fingerprint)?;
        let before = member.alert.phase;
        member.take(alert, now, setting.pace);
        let turn = match (before, member.alert.phase) {
            (Phase::Firing, Phase::Resolved) if member.told == Told::Nothing && !is_said => {
                Turn::Unheard
            }
            (Phase::Firing, Phase::Resolved) => Turn::Resolved,
            (Phase::Resolved, Phase::Firing) => Turn::Firing,
            _ => Turn::None,
        };
        if turn == Turn::Resolved && !setting.sends_resolved {
            member.told = Told::Nothing;
        }
        self.schedule(setting.pace, now);
        Some(turn)
    }

    /// The earliest time of the next notification.
    fn floor(&self, pace: &Pace) -> u64 {
        let interval = self
            .sent_unix_ns
            .map_or(0, |sent| sent.saturating_add(pace.interval_ns));
        self.failure
            .as_ref()
            .map_or(0, |failure| failure.retry_unix_ns)
            .max(interval)
    }

    fn repeat(&self, pace: &Pace) -> Option<u64> {
        let is_due = self
            .members
            .values()
            .any(|member| member.is_known() && !member.is_hidden);
        self.sent_unix_ns
            .filter(|_| is_due)
            .map(|sent| sent.saturating_add(pace.repeat_ns))
    }

    /// Finds when it has to be looked at next.
    pub(super) fn schedule(&mut self, pace: &Pace, now: u64) {
        if let Some(flight) = &self.flight {
            self.due_unix_ns = Some(flight.time_unix_ns.saturating_add(FLIGHT_NS_MAX));
            return;
        }
        let shown = self.members.values().filter(|member| !member.is_hidden);
        let ready = shown.filter_map(|member| member.ready(pace, now));
        let next = ready.chain(self.repeat(pace)).min();
        let floor = self.floor(pace);
        self.due_unix_ns = next
            .map(|time| time.max(floor))
            .into_iter()
            .chain(self.hidden_until_unix_ns)
            .min();
    }

    /// Whether anything in it is hidden.
    pub(super) fn hides(&self) -> bool {
        self.members.values().any(|member| member.is_hidden)
    }

    /// The number of the notification on its way.
    pub(super) fn sending(&self) -> Option<u64> {
        self.flight.as_ref().map(|flight| flight.id)
    }

    /// The alerts of which there is something to say now, or `None` where nothing is to be sent. `hidden_until` is when a
    /// silence ends at the earliest.
    pub(super) fn look(
        &mut self,
        pace: &Pace,
        hides: impl Fn(&Alert) -> bool,
        hidden_until: Option<u64>,
        now: u64,
    ) -> Option<BTreeSet<u64>> {
        if let Some(flight) = &self.flight {
            if now < flight.time_unix_ns.saturating_add(FLIGHT_NS_MAX) {
                return None;
            }
            let outcome = Outcome::Failed {
                because: "nobody said whether it arrived".to_owned(),
                retry_after_ms: None,
            };
            self.flight = None;
            self.fail(outcome, now);
        }
        for member in self.members.values_mut() {
            let is_hidden = hides(&member.alert);
            member.look(is_hidden, now);
        }
        self.hidden_until_unix_ns = hidden_until.filter(|_| self.hides());
        let is_news = |member: &Member| {
            !member.is_hidden && member.ready(pace, now).is_some_and(|ready| ready <= now)
        };
        let news: BTreeSet<u64> = self
            .members
            .iter()
            .filter(|(_, member)| is_news(member))
            .map(|(&key, _)| key)
            .collect();
        let repeats = self.repeat(pace).is_some_and(|time| time <= now);
        if self.floor(pace) > now || (news.is_empty() && !repeats) {
            self.schedule(pace, now);
            return None;
        }
        Some(news)
    }

    /// Sends: what is said of the group now, because of `news`.
    pub(super) fn send(
        &mut self,
        id: u64,
        (receiver, group_key): (String, String),
        setting: &Setting<'_>,
        news: &BTreeSet<u64>,
        now: u64,
    ) -> Notification {
        let pace = setting.pace;
        let (listed, nameable) = self.listed(news);
        let named = nameable.min(setting.alerts_max);
        let is_firing = |listed: &&Listed<'_>| listed.member.alert.phase == Phase::Firing;
        let firing = listed.iter().filter(is_firing).count() as u64;
        let hidden = self
            .members
            .values()
            .filter(|member| member.is_hidden && member.is_known());
        let hidden = hidden.count() as u64;
        let status = if firing + hidden > 0 {
            Phase::Firing
        } else {
            Phase::Resolved
        };
        let reason = self.reason(pace, news, status, now);
        let notified = |listed: &Listed<'_>| listed.member.notified(listed.is_news, pace, now);
        let notification = Notification {
            id,
            time_unix_ns: now,
            receiver,
            group_key,
            group_labels: self.labels.clone(),
            reason,
            status,
            alerts: listed[..named].iter().map(notified).collect(),
            left_out: (listed.len() - named) as u64,
            firing,
            resolved: listed.len() as u64 - firing,
            hidden,
            repeat_unix_ns: now.saturating_add(pace.repeat_ns.max(pace.interval_ns)),
        };
        let said = listed.iter().enumerate().map(|(index, listed)| Said {
            fingerprint: listed.fingerprint,
            phase: listed.member.alert.phase,
            is_named: index < named,
            is_news: news.contains(&listed.fingerprint),
            firings: listed.member.unsaid_firings,
        });
        self.flight = Some(Flight {
            id,
            time_unix_ns: now,
            is_digest: reason == Reason::Digest,
            said: said.collect(),
        });
        self.schedule(pace, now);
        notification
    }

    /// What is said in which order, and how many of it from the first on may be said by name: what was only counted before
    /// is only counted when it is resolved, because nobody knows it by its name.
    fn listed(&self, news: &BTreeSet<u64>) -> (Vec<Listed<'_>>, usize) {
        let members = self.members.iter();
        let shown = members.filter(|(key, member)| news.contains(key) || member.is_shown());
        let mut listed: Vec<Listed<'_>> = shown
            .map(|(&fingerprint, member)| Listed {
                fingerprint,
                member,
                is_news: news.contains(&fingerprint) || member.unsaid() != Unsaid::Nothing,
            })
            .collect();
        let is_nameless =
            |member: &Member| member.told == Told::Counted && member.alert.phase == Phase::Resolved;
        listed.sort_by_cached_key(|listed| {
            let alert = &listed.member.alert;
            let urgency = (Reverse(listed.is_news), Reverse(alert.severity));
            (
                is_nameless(listed.member),
                urgency,
                alert.started_unix_ns,
                alert.labels.clone(),
            )
        });
        let nameable = listed
            .iter()
            .filter(|listed| !is_nameless(listed.member))
            .count();
        (listed, nameable)
    }

    fn reason(&self, pace: &Pace, news: &BTreeSet<u64>, status: Phase, now: u64) -> Reason {
        let is_held = |fingerprint: &u64| self.members[fingerprint].held_until(pace, now).is_some();
        if news.is_empty() {
            Reason::Repeat
        } else if news.iter().all(is_held) {
            Reason::Digest
        } else if status == Phase::Resolved {
            Reason::Resolved
        } else if self
            .members
            .values()
            .all(|member| member.told == Told::Nothing)
        {
            Reason::New
        } else {
            Reason::Changed
        }
    }

    /// Takes in what came of its notification; whether it was the one on its way.
    pub(super) fn answered(
        &mut self,
        id: u64,
        outcome: Outcome,
        setting: &Setting<'_>,
        now: u64,
    ) -> bool {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else {
            return false;
        };
        if outcome == Outcome::Delivered {
            self.arrived(&flight, setting);
        } else {
            self.fail(outcome, now);
        }
        self.schedule(setting.pace, now);
        true
    }

    fn arrived(&mut self, flight: &Flight, setting: &Setting<'_>) {
        self.failure = None;
        self.sent_unix_ns = Some(flight.time_unix_ns);
        for said in &flight.said {
            let Some(member) = self.members.get_mut(&said.fingerprint) else {
                continue;
            };
            member.told = match (said.phase, said.is_named, member.told) {
                (Phase::Firing, false, Told::Nothing) => Told::Counted,
                (Phase::Firing, false, told) => told,
                (Phase::Firing, true, _) => Told::Named,
                _ => Told::Nothing,
            };
            if member.alert.phase == Phase::Resolved && !setting.sends_resolved {
                member.told = Told::Nothing;
            }
            member.told_unix_ns = Some(flight.time_unix_ns);
            member.unsaid_firings = member.unsaid_firings.saturating_sub(said.firings);
            if flight.is_digest && said.is_news {
                (member.firings, member.firings_unix_ns) =
                    (member.unsaid_firings, flight.time_unix_ns);
            }
        }
    }

    fn fail(&mut self, outcome: Outcome, now: u64) {
        let attempts = self
            .failure
            .as_ref()
            .map_or(0, |failure| failure.attempts)
            .saturating_add(1);
        let (because, wait_ns) = match outcome {
            Outcome::Delivered => return,
            Outcome::Refused { because } => (because, REFUSED_NS),
            Outcome::Failed {
                because,
                retry_after_ms,
            } => {
                let asked_ns = retry_after_ms
                    .unwrap_or(0)
                    .saturating_mul(1_000_000)
                    .min(RETRY_AFTER_NS_MAX);
                let own_ns = RETRY_NS_MIN
                    .saturating_mul(1 << (attempts - 1).min(16))
                    .min(RETRY_NS_MAX);
                (because, own_ns.max(asked_ns))
            }
        };
        self.failure = Some(Failure {
            attempts,
            because,
            retry_unix_ns: now.saturating_add(wait_ns),
        });
    }

    /// Lets go of what nobody has to be told any longer, at once or once it can no longer be part of flapping. Returns what
    /// is gone, and how many of it were to be told that they are resolved.
    pub(super) fn prune(&mut self, pace: &Pace, at_once: bool, now: u64) -> (Vec<u64>, u64) {
        if self.flight.is_some() {
            return (Vec::new(), 0);
        }
        let (mut gone, mut given_up) = (Vec::new(), 0);
        self.members.retain(|&fingerprint, member| {
            if member.alert.phase != Phase::Resolved {
                return true;
            }
            let age_ns = now.saturating_sub(member.waiting_unix_ns);
            let is_kept = match member.told {
                Told::Nothing => !at_once && pace.flap_firings > 0 && age_ns < pace.flap_window_ns,
                Told::Counted | Told::Named => age_ns < RESOLVED_NS_MAX,
            };
            if !is_kept {
                gone.push(fingerprint);
                given_up += u64::from(member.told != Told::Nothing);
            }
            is_kept
        });
        (gone, given_up)
    }

    /// Whether nothing would be lost without it.
    pub(super) fn is_done(&self, pace: &Pace, now: u64) -> bool {
        self.members.is_empty() && self.flight.is_none() && self.floor(pace) <= now
    }
}
