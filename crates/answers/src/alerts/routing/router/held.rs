//! What is kept from a receiver, and why.

use serde::Serialize;

use super::{
    super::{
        super::{Alert, Labels, Phase, calendar},
        group::Group,
        member::{Member, Unsaid},
    },
    Router,
};

/// Why a receiver is not told of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Because {
    /// A mute time holds.
    Muted {
        /// Its name.
        by: String,
    },
    /// A silence holds.
    Silenced {
        /// Its name.
        by: String,
        /// When it ends, in nanoseconds since the Unix epoch.
        until_unix_ns: u64,
    },
    /// Another alert fires that says enough.
    Inhibited {
        /// The rule's place in the configuration.
        rule: usize,
        /// The labels of the other.
        by: Labels,
    },
    /// A notification of its group is on its way.
    Sending,
    /// The last notification of its group did not arrive.
    Failing {
        /// How often one did not.
        attempts: u32,
        /// Why the last did not.
        because: String,
        /// When it is tried again, in nanoseconds since the Unix epoch.
        until_unix_ns: u64,
    },
    /// It fires and is resolved again and again, and is told of by a digest.
    Flapping {
        /// How often it began to fire of late.
        firings: u64,
        /// When the digest comes, should nothing change, in nanoseconds since the Unix epoch.
        until_unix_ns: u64,
    },
    /// Its group waits for other alerts, or since its last notification.
    Waiting {
        /// Until when, in nanoseconds since the Unix epoch.
        until_unix_ns: u64,
    },
}

/// An alert of which a receiver has not the last word.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// Who is not told.
    pub receiver: String,
    /// Of which group it is.
    pub group_key: String,
    /// The alert as it is.
    pub alert: Alert,
    /// Why not.
    pub because: Because,
}

/// A group of which notifications do not arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failing {
    /// Who is not reached.
    pub receiver: String,
    /// Of which group.
    pub group_key: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub because: String,
    /// When it is tried again, in nanoseconds since the Unix epoch.
    pub retry_unix_ns: u64,
}

impl Router {
    /// Every alert of which a receiver has not the last word at that time, or that is hidden from it, and why; by
    /// receiver, group and labels.
    pub fn held(&self, now_unix_ns: u64) -> Vec<Held> {
        let members = self
            .groups
            .values()
            .flat_map(|group| group.members.values().map(move |member| (group, member)));
        let mut held: Vec<Held> = members
            .filter_map(|(group, member)| {
                let because = self.because(group, member, now_unix_ns)?;
                let node = &self.plan.tree.nodes[group.node];
                Some(Held {
                    receiver: node.receiver.clone(),
                    group_key: node.group_key(&group.labels),
                    alert: member.alert.clone(),
                    because,
                })
            })
            .collect();
        let order = |held: &Held| {
            (
                held.receiver.clone(),
                held.group_key.clone(),
                held.alert.labels.clone(),
            )
        };
        held.sort_by_cached_key(order);
        held
    }

    fn because(&self, group: &Group, member: &Member, now: u64) -> Option<Because> {
        let node = &self.plan.tree.nodes[group.node];
        let (labels, unsaid) = (&member.alert.labels, member.unsaid());
        if member.alert.phase == Phase::Firing {
            if let Some(silence) = self.silences.by(labels, now) {
                return Some(Because::Silenced {
                    by: silence.id.clone(),
                    until_unix_ns: silence.ends_unix_ns,
                });
            }
            if let Some((rule, source)) = self.inhibitor.by(&self.plan.inhibitions, labels) {
                return Some(Because::Inhibited {
                    rule,
                    by: self.labels_of(source),
                });
            }
        }
        let flaps = member
            .held_until(&node.pace, now)
            .filter(|_| member.firings >= node.pace.flap_firings as u64);
        if unsaid == Unsaid::Nothing && flaps.is_none() {
            return None;
        }
        if let Some(by) = self.plan.muted_by(node, now) {
            return Some(Because::Muted { by: by.to_owned() });
        }
        if group.sending().is_some() {
            return Some(Because::Sending);
        }
        if let Some(failure) = &group.failure {
            let (attempts, because) = (failure.attempts, failure.because.clone());
            return Some(Because::Failing {
                attempts,
                because,
                until_unix_ns: failure.retry_unix_ns,
            });
        }
        let due = group
            .due_unix_ns
            .unwrap_or_else(|| calendar::next_minute(now));
        Some(match flaps {
            Some(until) => Because::Flapping {
                firings: member.firings,
                until_unix_ns: until.max(due),
            },
            None => Because::Waiting { until_unix_ns: due },
        })
    }

    fn labels_of(&self, fingerprint: u64) -> Labels {
        let group = self
            .places
            .get(&fingerprint)
            .and_then(|places| places.first());
        let member = group.and_then(|id| self.groups.get(id)?.members.get(&fingerprint));
        member
            .map(|member| member.alert.labels.clone())
            .unwrap_or_default()
    }

    /// Every group of which the last notification did not arrive.
    pub fn failing(&self) -> Vec<Failing> {
        let failing = self
            .groups
            .values()
            .filter_map(|group| Some((group, group.failure.as_ref()?)));
        failing
            .map(|(group, failure)| {
                let node = &self.plan.tree.nodes[group.node];
                Failing {
                    receiver: node.receiver.clone(),
                    group_key: node.group_key(&group.labels),
                    attempts: failure.attempts,
                    because: failure.because.clone(),
                    retry_unix_ns: failure.retry_unix_ns,
                }
            })
            .collect()
    }
}
