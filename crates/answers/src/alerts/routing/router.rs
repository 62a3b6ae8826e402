//! The machine: changes and times go in, notifications come out, and what came of them goes in again.
//!
//! Invariant: a group is looked at when it is due, when something in it changed, or when something that hid a part of it
//! ended; so an hour in which nothing happens costs nothing.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use serde::{Deserialize, Serialize};

use super::{
    super::{Alert, Change, Labels, Phase, calendar},
    Plan,
    group::{Group, Setting, Turn},
    inhibit::Inhibitor,
    member::{Member, Told},
    notification::{Notification, Outcome, Reason},
    silence::{Silence, SilenceError, Silences},
};

mod held;
mod state;

pub use self::{
    held::{Because, Failing, Held},
    state::{State, StateError},
};

/// Most groups that are kept.
pub const GROUPS_MAX: usize = 10_000;
/// Most alerts that are kept, each counted once for every group it is in.
pub const MEMBERS_MAX: usize = 20_000;
/// How often it is looked for what nobody needs any longer, in nanoseconds.
const PRUNE_NS: u64 = 60_000_000_000;

/// What happened so far, also before a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Notifications that were given out, each attempt counted.
    pub sent: u64,
    /// Those that arrived.
    pub delivered: u64,
    /// Those that did not, and are tried again.
    pub failed: u64,
    /// Those that the receiver does not want.
    pub refused: u64,
    /// Digests among those given out.
    pub digests: u64,
    /// Alerts that were resolved before anybody was told of them, counted for each group.
    pub unheard: u64,
    /// Alerts that were left out of a notification beyond the most that its receiver takes, counted for each.
    pub left_out: u64,
    /// Alerts for which there was no room, beyond [`GROUPS_MAX`] or [`MEMBERS_MAX`]: nobody is told of them.
    pub no_room: u64,
    /// Alerts whose resolution did not arrive for a day, and is not tried again.
    pub given_up: u64,
    /// Alerts that a receiver was told of which the configuration no longer has, so that nobody tells it of their end.
    pub orphaned: u64,
}

/// Who is told what, and when.
#[derive(Clone, Debug)]
pub struct Router {
    plan: Plan,
    groups: BTreeMap<u64, Group>,
    /// By route and group labels.
    by_labels: BTreeMap<(usize, Labels), u64>,
    /// The groups that each alert is in, by its fingerprint.
    places: BTreeMap<u64, BTreeSet<u64>>,
    members: usize,
    /// The group of each notification on its way.
    flights: BTreeMap<u64, u64>,
    inhibitor: Inhibitor,
    silences: Silences,
    /// The versions of silences and inhibitions at the last look.
    seen: (u64, u64),
    now_unix_ns: u64,
    pruned_unix_ns: u64,
    next_group: u64,
    next_notification: u64,
    counts: Counts,
}

impl Router {
    /// One that knows of no alert.
    pub fn new(plan: Plan) -> Self {
        let inhibitor = Inhibitor::new(&plan.inhibitions);
        Self {
            plan,
            groups: BTreeMap::new(),
            by_labels: BTreeMap::new(),
            places: BTreeMap::new(),
            members: 0,
            flights: BTreeMap::new(),
            inhibitor,
            silences: Silences::default(),
            seen: (0, 0),
            now_unix_ns: 0,
            pruned_unix_ns: 0,
            next_group: 0,
            next_notification: 1,
            counts: Counts::default(),
        }
    }

    /// The configuration.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What happened so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes in what changed. An alert waits from when it comes in here, however long ago it began, so that after a start
    /// what inhibits it may come first.
    pub fn take(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.now_unix_ns = self.now_unix_ns.max(change.time_unix_ns);
            self.take_alert(change.alert);
        }
    }

    fn take_alert(&mut self, alert: Alert) {
        let fingerprint = alert.fingerprint();
        let mut goes_in = alert.phase == Phase::Firing && !self.places.contains_key(&fingerprint);
        for id in self.places.get(&fingerprint).into_iter().flatten() {
            let Some(group) = self.groups.get_mut(id) else {
                continue;
            };
            let setting = setting(&self.plan, group.node);
            let turn = group.take(fingerprint, alert.clone(), self.now_unix_ns, &setting);
            self.counts.unheard += u64::from(turn == Some(Turn::Unheard));
            // Some of its groups may have forgotten it already, and others not.
            goes_in |= turn == Some(Turn::Firing);
        }
        if goes_in {
            for node in self.plan.tree.taken(&alert.labels) {
                self.place(node, alert.clone(), (Told::Nothing, None));
            }
        }
        if self.places.contains_key(&fingerprint) {
            self.inhibitor.take(&self.plan.inhibitions, &alert);
        }
    }

    /// Puts an alert into its group of a route, unless it is there.
    fn place(&mut self, node: usize, alert: Alert, (told, told_unix_ns): (Told, Option<u64>)) {
        let now = self.now_unix_ns;
        if self.members >= MEMBERS_MAX || self.groups.len() >= GROUPS_MAX {
            // The memory of flapping makes room, looked for once at a time.
            if self.pruned_unix_ns < now {
                self.prune(true);
            }
        }
        let labels = self.plan.tree.nodes[node].group(&alert.labels);
        let key = (node, labels);
        let known = self.by_labels.get(&key).copied();
        if self.members >= MEMBERS_MAX || (known.is_none() && self.groups.len() >= GROUPS_MAX) {
            self.counts.no_room += 1;
            return;
        }
        let id = known.unwrap_or_else(|| {
            self.next_group += 1;
            self.groups
                .insert(self.next_group, Group::new(node, key.1.clone()));
            self.by_labels.insert(key, self.next_group);
            self.next_group
        });
        let fingerprint = alert.fingerprint();
        let pace = self.plan.tree.nodes[node].pace;
        if let Some(group) = self.groups.get_mut(&id)
            && let Entry::Vacant(member) = group.members.entry(fingerprint)
        {
            member.insert(Member::new(alert, told, told_unix_ns, now, &pace));
            group.sent_unix_ns = group.sent_unix_ns.max(told_unix_ns);
            group.schedule(&pace, now);
            self.members += 1;
            self.places.entry(fingerprint).or_default().insert(id);
        }
    }

    /// Takes in which alerts fire, by their fingerprints, as after a start: all others that were are resolved.
    pub fn reconcile(&mut self, firing: &BTreeSet<u64>, now_unix_ns: u64) {
        self.now_unix_ns = self.now_unix_ns.max(now_unix_ns);
        let members = self.groups.values().flat_map(|group| &group.members);
        let over: BTreeMap<u64, Alert> = members
            .filter(|(fingerprint, member)| {
                member.alert.phase == Phase::Firing && !firing.contains(fingerprint)
            })
            .map(|(&fingerprint, member)| {
                let alert = Alert {
                    phase: Phase::Resolved,
                    resolved_unix_ns: Some(now_unix_ns),
                    ..member.alert.clone()
                };
                (fingerprint, alert)
            })
            .collect();
        over.into_values().for_each(|alert| self.take_alert(alert));
    }

    /// What is to be sent now. Each notification is on its way until [`Router::answered`] says what came of it, or for ten
    /// minutes; meanwhile nothing else is said of its group.
    pub fn advance(&mut self, now_unix_ns: u64) -> Vec<Notification> {
        self.now_unix_ns = self.now_unix_ns.max(now_unix_ns);
        let now = self.now_unix_ns;
        let is_stale = self.is_stale();
        self.seen = (self.silences.version(), self.inhibitor.version());
        let is_due = |group: &Group| {
            group.due_unix_ns.is_some_and(|due| due <= now) || (is_stale && group.hides())
        };
        let due: Vec<u64> = self
            .groups
            .iter()
            .filter(|(_, group)| is_due(group))
            .map(|(&id, _)| id)
            .collect();
        let notifications = due.into_iter().filter_map(|id| self.look(id)).collect();
        if now >= self.pruned_unix_ns.saturating_add(PRUNE_NS) {
            self.prune(false);
        }
        notifications
    }

    fn look(&mut self, id: u64) -> Option<Notification> {
        let now = self.now_unix_ns;
        let group = self.groups.get_mut(&id)?;
        let node = &self.plan.tree.nodes[group.node];
        if self.plan.muted_by(node, now).is_some() && group.sending().is_none() {
            group.due_unix_ns = Some(calendar::next_minute(now));
            return None;
        }
        let hides = |alert: &Alert| {
            self.silences.by(&alert.labels, now).is_some()
                || self
                    .inhibitor
                    .by(&self.plan.inhibitions, &alert.labels)
                    .is_some()
        };
        let setting = setting(&self.plan, group.node);
        let news = group.look(setting.pace, hides, self.silences.next_end(now), now)?;
        let number = self.next_notification;
        self.next_notification += 1;
        let names = (node.receiver.clone(), node.group_key(&group.labels));
        let notification = group.send(number, names, &setting, &news, now);
        self.flights.insert(number, id);
        self.counts.sent += 1;
        self.counts.digests += u64::from(notification.reason == Reason::Digest);
        self.counts.left_out += notification.left_out;
        Some(notification)
    }

    /// Takes in what came of a notification. `false` where it is not on its way: it was answered before, or not for so long
    /// that it is made anew.
    pub fn answered(&mut self, id: u64, outcome: Outcome, now_unix_ns: u64) -> bool {
        self.now_unix_ns = self.now_unix_ns.max(now_unix_ns);
        let Some(group) = self
            .flights
            .remove(&id)
            .and_then(|group| self.groups.get_mut(&group))
        else {
            return false;
        };
        let count = match outcome {
            Outcome::Delivered => &mut self.counts.delivered,
            Outcome::Failed { .. } => &mut self.counts.failed,
            Outcome::Refused { .. } => &mut self.counts.refused,
        };
        let setting = setting(&self.plan, group.node);
        let is_known = group.answered(id, outcome, &setting, self.now_unix_ns);
        *count += u64::from(is_known);
        is_known
    }

    /// When [`Router::advance`] is to be called next, in nanoseconds since the Unix epoch; `None` where nothing is to come
    /// until something changes.
    pub fn next_due(&self) -> Option<u64> {
        if self.is_stale() && self.groups.values().any(Group::hides) {
            return Some(self.now_unix_ns);
        }
        self.groups
            .values()
            .filter_map(|group| group.due_unix_ns)
            .min()
    }

    /// Something that hid alerts may have ended since they were looked at.
    fn is_stale(&self) -> bool {
        self.seen != (self.silences.version(), self.inhibitor.version())
    }

    /// Makes a silence, and gives it its name.
    pub fn silence(&mut self, silence: Silence, now_unix_ns: u64) -> Result<String, SilenceError> {
        self.silences.add(silence, now_unix_ns)
    }

    /// Ends a silence.
    pub fn expire_silence(&mut self, id: &str, now_unix_ns: u64) -> Result<(), SilenceError> {
        self.silences.expire(id, now_unix_ns)
    }

    /// The silences that are kept, the oldest first, also those that are over or have not begun.
    pub fn silences(&self) -> &[Silence] {
        self.silences.kept()
    }

    fn prune(&mut self, at_once: bool) {
        let now = self.now_unix_ns;
        self.pruned_unix_ns = now;
        let groups = &self.groups;
        self.flights
            .retain(|number, id| groups.get(id).and_then(Group::sending) == Some(*number));
        let mut done = Vec::new();
        for (&id, group) in &mut self.groups {
            let pace = self.plan.tree.nodes[group.node].pace;
            let (gone, given_up) = group.prune(&pace, at_once, now);
            self.members -= gone.len();
            self.counts.given_up += given_up;
            for fingerprint in gone {
                if let Some(places) = self.places.get_mut(&fingerprint) {
                    places.remove(&id);
                    if places.is_empty() {
                        self.places.remove(&fingerprint);
                    }
                }
            }
            if group.is_done(&pace, now) {
                done.push(id);
            }
        }
        for id in done {
            if let Some(group) = self.groups.remove(&id) {
                self.by_labels.remove(&(group.node, group.labels));
            }
        }
    }
}

/// What a group of that route is told by.
fn setting(plan: &Plan, node: usize) -> Setting<'_> {
    let node = &plan.tree.nodes[node];
    // A plan names no receiver that it has not.
    let receiver = plan.receivers.get(&node.receiver);
    Setting {
        pace: &node.pace,
        sends_resolved: receiver.is_none_or(super::Receiver::sends_resolved),
        alerts_max: receiver.map_or(super::ALERTS_MAX, super::Receiver::alerts_max),
    }
}

#[cfg(test)]
mod tests;
