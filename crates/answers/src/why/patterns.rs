//! Shapes of a trace that say more than a sum of times: one of many alike that is slow, and many small calls in a row.

use std::collections::{BTreeMap, HashMap};

use super::{category::Category, tile::Tiling, trace::Trace};

/// Fewest spans alike before one of them is called slow.
const ALIKE_MIN: usize = 4;
/// How many times the median of the others it takes.
const OUTLIER_TIMES: u64 = 3;
/// Fewest calls that are many.
const CALLS_MIN: u64 = 10;

/// One of many alike that took far longer than the others.
#[derive(Debug)]
pub(super) struct Outlier {
    /// Its name with its number: `block 17`.
    pub(super) member: String,
    /// The slowest span of it.
    pub(super) node: usize,
    /// All spans of it, by node.
    pub(super) nodes: Vec<usize>,
    /// How many there are alike, itself included.
    pub(super) alike: usize,
    pub(super) duration_ns: u64,
    pub(super) median_ns: u64,
    /// How much of the critical path would go away were it like the others.
    pub(super) excess_ns: u64,
    /// It was the first of them.
    pub(super) first: bool,
    /// The member is one span, or one of its spans stands out by itself.
    pub(super) once: bool,
}

/// Calls to the outside that follow each other.
#[derive(Debug)]
pub(super) struct ManyCalls {
    pub(super) label: String,
    pub(super) calls: u64,
    pub(super) path_ns: u64,
    /// The slowest of them.
    pub(super) nodes: Vec<usize>,
    /// Whose children they are.
    pub(super) parent: usize,
}

/// The nodes that are alike: same name, numbers aside, below spans that are alike.
fn alike(trace: &Trace<'_>) -> BTreeMap<u32, Vec<usize>> {
    let mut paths: HashMap<(u32, &str), u32> = HashMap::new();
    let mut path_of = Vec::with_capacity(trace.nodes.len());
    let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, node) in trace.nodes.iter().enumerate() {
        // Parents come before their children.
        let outer = node.parent.map_or(0, |parent| path_of[parent]);
        let next = paths.len() as u32 + 1;
        let path = *paths.entry((outer, &node.label)).or_insert(next);
        path_of.push(path);
        groups.entry(path).or_default().push(index);
    }
    groups
}

/// What one of a group adds up to.
#[derive(Default)]
struct Member {
    duration_ns: u64,
    path_ns: u64,
    start: u64,
    nodes: Vec<usize>,
}

/// The outlier that costs at least `least_ns`; of several, one that is inside of the others.
pub(super) fn outlier(trace: &Trace<'_>, tiling: &Tiling, least_ns: u64) -> Option<Outlier> {
    let mut depths: Vec<usize> = Vec::with_capacity(trace.nodes.len());
    for node in &trace.nodes {
        depths.push(node.parent.map_or(0, |parent| depths[parent] + 1));
    }
    alike(trace)
        .into_values()
        .rev()
        .filter_map(|group| outlier_of(trace, tiling, &group))
        .filter(|outlier| outlier.excess_ns >= least_ns.max(1))
        .max_by_key(|outlier| (depths[outlier.node], outlier.excess_ns))
}

/// The spans of a group by what tells them apart: their name, or else their number.
fn members_of<'t>(
    trace: &'t Trace<'_>,
    tiling: &Tiling,
    group: &[usize],
    by_name: bool,
) -> BTreeMap<(&'t str, usize), Member> {
    let mut members: BTreeMap<(&str, usize), Member> = BTreeMap::new();
    for (number, &index) in group.iter().enumerate() {
        let node = &trace.nodes[index];
        let member = members
            .entry((&node.member, if by_name { 0 } else { number }))
            .or_default();
        member.start = if member.nodes.is_empty() {
            node.start
        } else {
            member.start.min(node.start)
        };
        member.duration_ns = member.duration_ns.saturating_add(node.duration_ns());
        member.path_ns += tiling.path_ns[index];
        member.nodes.push(index);
    }
    members
}

fn outlier_of(trace: &Trace<'_>, tiling: &Tiling, group: &[usize]) -> Option<Outlier> {
    if group.len() < ALIKE_MIN {
        return None;
    }
    let names: std::collections::BTreeSet<&str> = group
        .iter()
        .map(|&node| trace.nodes[node].member.as_str())
        .collect();
    // Spans with one and the same name are told apart by themselves.
    let by_name = names.len() >= ALIKE_MIN;
    if !by_name && names.len() > 1 {
        return None;
    }
    let mut members = members_of(trace, tiling, group, by_name);
    let alike = members.len();
    let first = members
        .iter()
        .min_by_key(|(key, member)| (member.start, **key))
        .map(|(key, _)| *key)?;
    let (key, slow) = members
        .iter()
        .max_by_key(|(key, member)| (member.duration_ns, std::cmp::Reverse(**key)))?;
    let (key, slow_ns) = (*key, slow.duration_ns);
    let slow = members.remove(&key)?;
    let median_ns = median(members.values().map(|member| member.duration_ns).collect());
    let excess_ns = slow.path_ns.min(slow_ns.saturating_sub(median_ns));
    if slow_ns < median_ns.saturating_mul(OUTLIER_TIMES) {
        return None;
    }
    let node = slow
        .nodes
        .iter()
        .copied()
        .max_by_key(|&node| trace.nodes[node].duration_ns())?;
    let others = median(
        group
            .iter()
            .filter(|&&other| other != node)
            .map(|&other| trace.nodes[other].duration_ns())
            .collect(),
    );
    let once = slow.nodes.len() == 1
        || trace.nodes[node].duration_ns().saturating_sub(others) >= excess_ns / 10 * 6;
    Some(Outlier {
        member: trace.nodes[node].member.clone(),
        node,
        nodes: slow.nodes,
        alike,
        duration_ns: if once {
            trace.nodes[node].duration_ns()
        } else {
            slow_ns
        },
        median_ns: if once { others } else { median_ns },
        excess_ns,
        first: key == first,
        once,
    })
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    crate::latency::nearest_rank(&values, 50)
}

/// The longest row of small calls to the outside that one span made.
pub(super) fn many_calls(trace: &Trace<'_>, tiling: &Tiling) -> Option<ManyCalls> {
    let mut rows: BTreeMap<(usize, &str), ManyCalls> = BTreeMap::new();
    for (index, node) in trace.nodes.iter().enumerate() {
        let Some(parent) = node.parent else { continue };
        let path_ns = tiling.path_ns[index];
        if node.kind.category == Category::Io
            && trace.nodes[parent].kind.category != Category::Io
            && path_ns > 0
        {
            let row = rows
                .entry((parent, &node.label))
                .or_insert_with(|| ManyCalls {
                    label: node.label.clone(),
                    calls: 0,
                    path_ns: 0,
                    nodes: Vec::new(),
                    parent,
                });
            row.calls += 1;
            row.path_ns += path_ns;
            row.nodes.push(index);
        }
    }
    let mut longest = rows
        .into_values()
        .filter(|row| row.calls >= CALLS_MIN)
        // Many are slow together, not because of one among them.
        .filter(|row| {
            row.nodes
                .iter()
                .all(|&node| tiling.path_ns[node] <= row.path_ns / 4)
        })
        .max_by_key(|row| (row.path_ns, std::cmp::Reverse(row.parent)))?;
    longest
        .nodes
        .sort_by_key(|&node| (std::cmp::Reverse(tiling.path_ns[node]), node));
    longest.nodes.truncate(super::segments::EVIDENCE_MAX);
    Some(longest)
}
