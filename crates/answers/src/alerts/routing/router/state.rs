//! What outlives a restart, also one with another configuration.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    super::{
        super::{Labels, Phase},
        Plan,
        group::{Failure, Group},
        member::{Member, Told},
        silence::Silences,
    },
    Counts, Router,
};

/// The version of the form. It changes when a field changes its meaning or goes away, not when one is added.
const VERSION: u32 = 1;

/// Everything that a router knows but its configuration. Its form is of no concern to others; serde writes and reads it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    version: u32,
    now_unix_ns: u64,
    pruned_unix_ns: u64,
    next_notification: u64,
    /// Which configuration it is of.
    plan: u64,
    /// Something that hid alerts has ended since they were looked at.
    is_stale: bool,
    groups: Vec<Saved>,
    silences: Silences,
    counts: Counts,
}

/// A group, by what it is called in any configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Saved {
    route: String,
    receiver: String,
    labels: Labels,
    members: Vec<Member>,
    sent_unix_ns: Option<u64>,
    hidden_until_unix_ns: Option<u64>,
    failure: Option<Failure>,
}

/// Why a state is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// It is of another version of this program.
    Version(u32),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Version(version) = self;
        write!(
            f,
            "the state of alerts has version {version}, and this program reads version {VERSION}; start without it"
        )
    }
}

impl std::error::Error for StateError {}

/// What receivers were told of alerts whose groups are no more: by receiver and fingerprint.
type Carried = BTreeMap<(String, u64), Member>;

impl Router {
    /// What is to be kept. A notification on its way is not part of it: after a restart it is sent again, because nobody
    /// knows whether it arrived.
    pub fn save(&self) -> State {
        let groups = self.groups.values().map(|group| {
            let node = &self.plan.tree.nodes[group.node];
            Saved {
                route: node.key.clone(),
                receiver: node.receiver.clone(),
                labels: group.labels.clone(),
                members: group.members.values().cloned().collect(),
                sent_unix_ns: group.sent_unix_ns,
                hidden_until_unix_ns: group.hidden_until_unix_ns,
                failure: group.failure.clone(),
            }
        });
        State {
            version: VERSION,
            now_unix_ns: self.now_unix_ns,
            pruned_unix_ns: self.pruned_unix_ns,
            next_notification: self.next_notification,
            plan: self.plan.number(),
            is_stale: self.is_stale(),
            groups: groups.collect(),
            silences: self.silences.clone(),
            counts: self.counts,
        }
    }

    /// Goes on from what was kept. Where the configuration is another, alerts go into the groups that they have in it, and
    /// what their receivers were told of them goes along.
    pub fn restore(plan: Plan, state: State) -> Result<Self, StateError> {
        if state.version != VERSION {
            return Err(StateError::Version(state.version));
        }
        let mut router = Self::new(plan);
        router.now_unix_ns = state.now_unix_ns;
        router.pruned_unix_ns = state.pruned_unix_ns;
        // No version is ever like this, so that whatever is hidden is looked at.
        let is_stale = state.is_stale || state.plan != router.plan.number();
        router.seen = if is_stale {
            (u64::MAX, u64::MAX)
        } else {
            router.seen
        };
        router.next_notification = state.next_notification;
        router.silences = state.silences;
        router.counts = state.counts;
        let (mut alerts, mut carried) = (Vec::new(), Carried::new());
        for saved in state.groups {
            alerts.extend(saved.members.iter().map(|member| member.alert.clone()));
            if let Some(node) = router.node_of(&saved) {
                router.put_back(node, saved);
            } else {
                let told = saved
                    .members
                    .into_iter()
                    .filter(|member| member.told != Told::Nothing);
                carried.extend(
                    told.map(|member| {
                        ((saved.receiver.clone(), member.alert.fingerprint()), member)
                    }),
                );
            }
        }
        for alert in alerts {
            let fingerprint = alert.fingerprint();
            for node in router.plan.tree.taken(&alert.labels) {
                let receiver = router.plan.tree.nodes[node].receiver.clone();
                let told = carried
                    .get(&(receiver, fingerprint))
                    .map(|member| (member.told, member.told_unix_ns));
                // What is resolved is over, unless its receiver still believes otherwise.
                if alert.phase == Phase::Firing || told.is_some() {
                    router.place(node, alert.clone(), told.unwrap_or((Told::Nothing, None)));
                }
            }
            if alert.phase == Phase::Firing && router.places.contains_key(&fingerprint) {
                router.inhibitor.take(&router.plan.inhibitions, &alert);
            }
        }
        carried.retain(|(receiver, fingerprint), _| !router.tells(receiver, *fingerprint));
        router.counts.orphaned += carried.len() as u64;
        Ok(router)
    }

    /// The route that a group was of, where the configuration still has it and groups by the same labels.
    fn node_of(&self, saved: &Saved) -> Option<usize> {
        let nodes = &self.plan.tree.nodes;
        let found = nodes
            .iter()
            .position(|node| node.key == saved.route && node.receiver == saved.receiver)?;
        let is_same = |member: &Member| nodes[found].group(&member.alert.labels) == saved.labels;
        saved.members.iter().all(is_same).then_some(found)
    }

    fn put_back(&mut self, node: usize, saved: Saved) {
        self.next_group += 1;
        let id = self.next_group;
        let mut group = Group::new(node, saved.labels.clone());
        group.sent_unix_ns = saved.sent_unix_ns;
        group.hidden_until_unix_ns = saved.hidden_until_unix_ns;
        group.failure = saved.failure;
        for member in saved.members {
            let fingerprint = member.alert.fingerprint();
            self.places.entry(fingerprint).or_default().insert(id);
            group.members.insert(fingerprint, member);
        }
        self.members += group.members.len();
        let pace = self.plan.tree.nodes[node].pace;
        group.schedule(&pace, self.now_unix_ns);
        self.groups.insert(id, group);
        self.by_labels.insert((node, saved.labels), id);
    }

    fn tells(&self, receiver: &str, fingerprint: u64) -> bool {
        let places = self.places.get(&fingerprint).into_iter().flatten();
        let mut groups = places.filter_map(|id| self.groups.get(id));
        groups.any(|group| self.plan.tree.nodes[group.node].receiver == receiver)
    }
}
