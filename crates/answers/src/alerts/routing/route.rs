//! The tree of routes: an alert goes in at its root and comes out at every deepest route that matches.

use serde::Deserialize;

use super::{
    super::Labels,
    duration,
    matcher::{Matcher, all_match},
};

/// Most routes of a tree.
pub const ROUTES_MAX: usize = 1_000;
/// Deepest route of a tree.
pub const ROUTE_DEPTH_MAX: usize = 16;
/// Most times that an alert may have to fire before it is called flapping.
pub const FLAP_FIRINGS_MAX: usize = 20;

/// A route as written. What is not written is its parent's, but for `matchers`, `continue` and `mute_times`, which are each
/// route's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Who is told.
    pub receiver: Option<String>,
    /// Alerts that have the same values of these labels are told of together. `["..."]`: each alert by itself.
    pub group_by: Option<Vec<String>>,
    /// How long the first alert of a group waits for others. 30 s.
    pub group_wait: Option<String>,
    /// How long after a notification a group's next one may come. 5 m.
    pub group_interval: Option<String>,
    /// How long after a notification what still fires is told of again. 4 h.
    pub repeat_interval: Option<String>,
    /// An alert that fires so many times within `flap_window` is flapping: it is told of by digests. 3; 0 turns that off.
    pub flap_firings: Option<usize>,
    /// 1 h.
    pub flap_window: Option<String>,
    /// Which alerts it is for: those that all of these match.
    pub matchers: Vec<String>,
    /// Whether the routes after it are asked as well.
    #[serde(rename = "continue")]
    pub goes_on: bool,
    /// Times at which nothing is sent.
    pub mute_times: Vec<String>,
    /// Routes for some of its alerts.
    pub routes: Vec<Route>,
}

/// How alerts are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
enum GroupBy {
    Labels(Vec<String>),
    Everything,
}

/// What a route says about times, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) wait_ns: u64,
    pub(super) interval_ns: u64,
    pub(super) repeat_ns: u64,
    pub(super) flap_firings: usize,
    pub(super) flap_window_ns: u64,
}

/// Alertmanager's defaults, and ours for flapping: the pattern of its issue 3048, which fires every 20 minutes, is one.
const PACE: Pace = Pace {
    wait_ns: 30_000_000_000,
    interval_ns: 300_000_000_000,
    repeat_ns: 14_400_000_000_000,
    flap_firings: 3,
    flap_window_ns: 3_600_000_000_000,
};

/// A route as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// What tells it from others, also after a restart: the matchers on the way to it.
    pub(super) key: String,
    pub(super) receiver: String,
    pub(super) pace: Pace,
    /// Places in the configuration's list.
    pub(super) mute_times: Vec<usize>,
    group_by: GroupBy,
    matchers: Vec<Matcher>,
    goes_on: bool,
    children: Vec<usize>,
}

impl Node {
    /// The labels that an alert's group has in common.
    pub(super) fn group(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::Everything => labels.clone(),
            GroupBy::Labels(names) => {
                let shared = names.iter().filter_map(|name| labels.get_key_value(name));
                shared
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect()
            }
        }
    }

    /// The group's name, in Alertmanager's form: `{}/{severity="critical"}:{service="chat"}`.
    pub(super) fn group_key(&self, group: &Labels) -> String {
        format!(
            "{}:{}",
            self.key,
            braced(
                group
                    .iter()
                    .map(|(name, value)| format!("{name}={value:?}"))
            )
        )
    }
}

fn braced(parts: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
}

/// The tree as meant, its root first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
}

impl Tree {
    /// The places of the routes that an alert takes, in their order.
    pub(super) fn taken(&self, labels: &Labels) -> Vec<usize> {
        let mut taken = Vec::new();
        if !self.nodes.is_empty() {
            self.take(0, labels, &mut taken);
        }
        taken
    }

    fn take(&self, index: usize, labels: &Labels, taken: &mut Vec<usize>) -> bool {
        let node = &self.nodes[index];
        if !all_match(&node.matchers, labels) {
            return false;
        }
        let before = taken.len();
        for &child in &node.children {
            if self.take(child, labels, taken) && !self.nodes[child].goes_on {
                break;
            }
        }
        if taken.len() == before {
            taken.push(index);
        }
        true
    }
}

/// What a tree is checked against, and where faults go.
pub(super) struct Surroundings<'a> {
    pub(super) has_receiver: &'a dyn Fn(&str) -> bool,
    /// Whether there is anybody to tell.
    pub(super) has_receivers: bool,
    pub(super) mute_time: &'a dyn Fn(&str) -> Option<usize>,
    pub(super) fault: &'a mut dyn FnMut(String, String),
}

/// What a route has of its parent.
#[derive(Clone)]
struct Inherited {
    key: String,
    receiver: String,
    pace: Pace,
    group_by: GroupBy,
}

impl Route {
    /// The tree as meant.
    pub(super) fn check(&self, around: &mut Surroundings<'_>) -> Tree {
        let mut tree = Tree::default();
        // Where there is nobody, nobody is told.
        if self.receiver.is_none() && around.has_receivers {
            (around.fault)(
                "route.receiver".to_owned(),
                "is missing; the root names who is told where no other route matches".to_owned(),
            );
        }
        if !self.matchers.is_empty() || self.goes_on {
            (around.fault)(
                "route".to_owned(),
                "is for every alert; put `matchers` and `continue` into its `routes`".to_owned(),
            );
        }
        let parent = Inherited {
            key: String::new(),
            receiver: String::new(),
            pace: PACE,
            group_by: GroupBy::Labels(vec!["alertname".to_owned()]),
        };
        self.add(&parent, "route", 0, &mut tree, around);
        tree
    }

    fn add(
        &self,
        parent: &Inherited,
        place: &str,
        depth: usize,
        tree: &mut Tree,
        around: &mut Surroundings<'_>,
    ) -> Option<usize> {
        if depth >= ROUTE_DEPTH_MAX || tree.nodes.len() >= ROUTES_MAX {
            let words = format!(
                "there are at most {ROUTES_MAX} routes, {ROUTE_DEPTH_MAX} deep; put matchers together"
            );
            (around.fault)(place.to_owned(), words);
            return None;
        }
        let matchers = matchers(&self.matchers, &format!("{place}.matchers"), around.fault);
        let own = Inherited {
            key: key(parent, &matchers, tree),
            receiver: self
                .receiver
                .clone()
                .unwrap_or_else(|| parent.receiver.clone()),
            pace: self.pace(parent.pace, place, around.fault),
            group_by: self.group_by(&parent.group_by, place, around.fault),
        };
        if let Some(name) = self
            .receiver
            .as_ref()
            .filter(|name| !(around.has_receiver)(name))
        {
            (around.fault)(
                format!("{place}.receiver"),
                format!("`{name}` is no receiver; name one of `receivers`, or add it there"),
            );
        }
        let mut mute_times = Vec::new();
        for (index, name) in self.mute_times.iter().enumerate() {
            match (around.mute_time)(name) {
                Some(found) => mute_times.push(found),
                None => (around.fault)(
                    format!("{place}.mute_times[{index}]"),
                    format!("`{name}` is no mute time; name one of `mute_times`, or add it there"),
                ),
            }
        }
        let index = tree.nodes.len();
        tree.nodes.push(Node {
            key: own.key.clone(),
            receiver: own.receiver.clone(),
            pace: own.pace,
            mute_times,
            group_by: own.group_by.clone(),
            matchers,
            goes_on: self.goes_on,
            children: Vec::new(),
        });
        for (number, child) in self.routes.iter().enumerate() {
            let added = child.add(
                &own,
                &format!("{place}.routes[{number}]"),
                depth + 1,
                tree,
                around,
            );
            tree.nodes[index].children.extend(added);
        }
        Some(index)
    }

    fn group_by(
        &self,
        parent: &GroupBy,
        place: &str,
        fault: &mut dyn FnMut(String, String),
    ) -> GroupBy {
        let Some(names) = &self.group_by else {
            return parent.clone();
        };
        if !names.iter().any(|name| name == "...") {
            return GroupBy::Labels(names.clone());
        }
        if names.len() > 1 {
            fault(
                format!("{place}.group_by"),
                "`...` is every label; write it alone".to_owned(),
            );
        }
        GroupBy::Everything
    }

    fn pace(&self, parent: Pace, place: &str, fault: &mut dyn FnMut(String, String)) -> Pace {
        let mut read = |key: &str, text: Option<&str>, else_ns: u64, least_ns: u64| {
            let Some(text) = text else {
                return else_ns;
            };
            let enough = |ns: u64| {
                let words = || {
                    format!(
                        "`{text}` is too short; write at least {} ms",
                        least_ns / 1_000_000
                    )
                };
                if ns >= least_ns { Ok(ns) } else { Err(words()) }
            };
            duration::parse(text)
                .and_then(enough)
                .unwrap_or_else(|words| {
                    fault(format!("{place}.{key}"), words);
                    else_ns
                })
        };
        let own = Pace {
            wait_ns: read("group_wait", self.group_wait.as_deref(), parent.wait_ns, 0),
            interval_ns: read(
                "group_interval",
                self.group_interval.as_deref(),
                parent.interval_ns,
                INTERVAL_NS_MIN,
            ),
            repeat_ns: read(
                "repeat_interval",
                self.repeat_interval.as_deref(),
                parent.repeat_ns,
                INTERVAL_NS_MIN,
            ),
            flap_window_ns: read(
                "flap_window",
                self.flap_window.as_deref(),
                parent.flap_window_ns,
                INTERVAL_NS_MIN,
            ),
            flap_firings: self.flap_firings.unwrap_or(parent.flap_firings),
        };
        let is_wrong = |firings: &usize| *firings == 1 || *firings > FLAP_FIRINGS_MAX;
        if let Some(firings) = self.flap_firings.filter(is_wrong) {
            let words = format!("is {firings}; write 2 to {FLAP_FIRINGS_MAX}, or 0 for none");
            fault(format!("{place}.flap_firings"), words);
        }
        own
    }
}

/// Shortest time between two notifications, in nanoseconds.
const INTERVAL_NS_MIN: u64 = 1_000_000_000;

/// Matchers as meant; what is wrong goes to `fault`.
pub(super) fn matchers(
    texts: &[String],
    place: &str,
    fault: &mut dyn FnMut(String, String),
) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(matcher) => matchers.push(matcher),
            Err(words) => fault(format!("{place}[{index}]"), words),
        }
    }
    matchers
}

/// `{}` for the root, `{}/{severity="critical"}` below it, with a number where others have the same matchers.
fn key(parent: &Inherited, matchers: &[Matcher], tree: &Tree) -> String {
    let own = braced(matchers.iter().map(ToString::to_string));
    if parent.key.is_empty() {
        return own;
    }
    let key = format!("{}/{own}", parent.key);
    let is_new = |key: &String| tree.nodes.iter().all(|node| node.key != *key);
    let numbered = (2..).map(|number| format!("{key}#{number}"));
    std::iter::once(key.clone())
        .chain(numbered)
        .find(is_new)
        .unwrap_or(key)
}
