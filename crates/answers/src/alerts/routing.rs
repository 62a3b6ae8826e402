//! What becomes of alerts that fire: who is told, when, how often, and what is kept from them and why.
//!
//! ```text
//! changes ─▶ routes ─▶ groups ─▶ hidden? ─▶ flapping? ─▶ notification ─▶ arrived? ─▶ told
//! ```
//!
//! [`Routing`] is the configuration as written, [`Plan`] as meant, [`Router`] the machine that has a state. It is driven
//! by times that come in as numbers.
//!
//! Invariants, each held by a test:
//! * A receiver is told that an alert is resolved only where word that it fires had arrived there, or where the same message
//!   says how often it fired (a digest).
//! * Of a group at most one notification arrives in its `group_interval`.
//! * What arrived is known again after [`Router::save`] and [`Router::restore`], at whatever point.
//! * A silence or an inhibition keeps back that something fires, never that it is resolved. A mute time keeps all back, and
//!   it is told afterwards.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Labels, alert};

mod duration;
mod group;
mod inhibit;
mod matcher;
mod member;
mod mute;
mod notification;
mod receiver;
mod route;
mod router;
mod silence;

pub use self::{
    matcher::{MATCHER_BYTES_MAX, Matcher, Operator},
    mute::{MuteSpan, MuteTimes},
    notification::{Notification, Notified, Outcome, Reason},
    receiver::{
        ALERTS_MAX, ALERTS_READ_MAX, Email, Encryption, Hook, PagerDuty, Receiver, Secret, Webhook,
    },
    route::{FLAP_FIRINGS_MAX, ROUTE_DEPTH_MAX, ROUTES_MAX, Route},
    router::{Because, Counts, Failing, GROUPS_MAX, Held, MEMBERS_MAX, Router, State, StateError},
    silence::{SILENCE_EXPRESSIONS_MAX, SILENCE_MATCHERS_MAX, SILENCES_MAX, Silence, SilenceError},
};

/// Most receivers, inhibition rules and mute times, of each kind.
const ENTRIES_MAX: usize = 1_000;

/// The configuration as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routing {
    /// The root of the tree.
    pub route: Route,
    /// Who may be told, by name.
    pub receivers: BTreeMap<String, Receiver>,
    /// Which alerts make others needless.
    pub inhibit: Vec<Inhibit>,
    /// Times at which routes are silent.
    pub mute_times: Vec<MuteTimes>,
}

/// An inhibition rule as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inhibit {
    /// While an alert fires that all of these match,
    pub source: Vec<String>,
    /// those that all of these match are not told of,
    pub target: Vec<String>,
    /// where both have the same values of these labels.
    pub equal: Vec<String>,
}

/// Something wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where: `route.routes[0].matchers[1]`.
    pub place: String,
    /// What is wrong, and what to write.
    pub words: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.words)
    }
}

/// Everything that is wrong with a configuration, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Faults {}

/// The configuration as meant: every name is known, and every matcher is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    tree: route::Tree,
    receivers: BTreeMap<String, Receiver>,
    inhibitions: Vec<inhibit::Inhibition>,
    mutes: Vec<mute::Mute>,
}

/// A route that an alert takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Who is told.
    pub receiver: String,
    /// The group it is told of in.
    pub group_key: String,
    /// The labels that the group has in common.
    pub group_labels: Labels,
    /// The mute time that holds then.
    pub muted_by: Option<String>,
}

impl Routing {
    /// Checks all of it at once.
    pub fn check(&self) -> Result<Plan, Faults> {
        let mut faults = Vec::new();
        let mut fault = |place: String, words: String| faults.push(Fault { place, words });
        let has_receiver = |name: &str| self.receivers.contains_key(name);
        let mute_time = |name: &str| self.mute_times.iter().position(|times| times.name == name);
        let tree = self.route.check(&mut route::Surroundings {
            has_receiver: &has_receiver,
            has_receivers: !self.receivers.is_empty(),
            mute_time: &mute_time,
            fault: &mut fault,
        });
        for (name, receiver) in &self.receivers {
            receiver.check(|key, words| fault(format!("receivers.{name}.{key}"), words));
        }
        let inhibitions = self.inhibitions(&mut fault);
        let mut mutes = Vec::new();
        for (index, times) in self.mute_times.iter().enumerate() {
            let place = format!("mute_times[{index}]");
            if times.name.is_empty() || mute_time(&times.name) != Some(index) {
                fault(
                    format!("{place}.name"),
                    format!("`{}` is empty or another's; give each its own", times.name),
                );
            }
            mutes.push(times.check(|inside, words| fault(format!("{place}.{inside}"), words)));
        }
        for (key, count) in [
            ("receivers", self.receivers.len()),
            ("inhibit", self.inhibit.len()),
            ("mute_times", self.mute_times.len()),
        ] {
            if count > ENTRIES_MAX {
                fault(
                    key.to_owned(),
                    format!("has {count} entries, at most {ENTRIES_MAX}"),
                );
            }
        }
        if faults.is_empty() {
            Ok(Plan {
                tree,
                receivers: self.receivers.clone(),
                inhibitions,
                mutes,
            })
        } else {
            Err(Faults(faults))
        }
    }

    fn inhibitions(&self, fault: &mut dyn FnMut(String, String)) -> Vec<inhibit::Inhibition> {
        let mut inhibitions = Vec::new();
        for (index, rule) in self.inhibit.iter().enumerate() {
            let mut side = |name: &str, texts: &[String]| {
                let place = format!("inhibit[{index}].{name}");
                if texts.is_empty() {
                    fault(
                        place.clone(),
                        "is empty, so that it would mean every alert; name a label".to_owned(),
                    );
                }
                route::matchers(texts, &place, fault)
            };
            let (source, target) = (side("source", &rule.source), side("target", &rule.target));
            inhibitions.push(inhibit::Inhibition {
                source,
                target,
                equal: rule.equal.clone(),
            });
        }
        inhibitions
    }
}

impl Plan {
    /// The receiver of that name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.get(name)
    }

    /// All receivers, by name.
    pub const fn receivers(&self) -> &BTreeMap<String, Receiver> {
        &self.receivers
    }

    /// Which routes an alert of these labels takes, and whether they are silent at that time, which may be any.
    pub fn explain(&self, labels: &Labels, time_unix_ns: u64) -> Vec<Taken> {
        let routes = self
            .tree
            .taken(labels)
            .into_iter()
            .map(|index| &self.tree.nodes[index]);
        routes
            .map(|node| {
                let group_labels = node.group(labels);
                Taken {
                    receiver: node.receiver.clone(),
                    group_key: node.group_key(&group_labels),
                    group_labels,
                    muted_by: self.muted_by(node, time_unix_ns).map(str::to_owned),
                }
            })
            .collect()
    }

    /// A number that another plan hardly has, but for its receivers.
    fn number(&self) -> u64 {
        alert::hash([format!("{:?}", (&self.tree, &self.inhibitions, &self.mutes)).as_str()])
    }

    fn muted_by(&self, node: &route::Node, time_unix_ns: u64) -> Option<&str> {
        let mut mutes = node.mute_times.iter().map(|&index| &self.mutes[index]);
        mutes
            .find(|mute| mute.holds(time_unix_ns))
            .map(|mute| mute.name.as_str())
    }
}

#[cfg(test)]
mod tests;
