//! The forest as a list that has an end: the nodes that contribute most, and the sum of the others.

use std::cmp::Reverse;

use super::{
    Difference, Node, NodeSide, Presence, Tree,
    durations::{difference_of_means, nearest},
    requests::Gathered,
    tree::{ABOVE, Tally},
    verdict::Judge,
};
use crate::units::share;

/// Most nodes listed for what they contribute themselves.
const CONTRIBUTORS_MAX: usize = 400;
/// Most nodes listed in all; what is left goes to those that have most below them.
const NODES_MAX: usize = 500;

/// The tree of both sides; empty when a side is. The place `named` is listed in any case.
pub(super) fn tree(
    gathered: &Gathered<'_>,
    difference: Option<&Difference>,
    judge: &Judge<'_>,
    named: Option<u32>,
) -> Tree {
    let Some(difference) = difference else {
        return Tree::default();
    };
    let places = &gathered.forest.places;
    let of = judge.of;
    let own: Vec<i64> = places
        .iter()
        .map(|place| difference_of_means(place.sides.each_ref().map(|tally| tally.own.sum), of))
        .collect();
    let listed = listed(gathered, &own, of, named);
    let mut is_listed = vec![false; places.len()];
    for &place in &listed {
        is_listed[place as usize] = true;
    }
    let mut unlisted = [0_u128; 2];
    for place in (1..places.len()).filter(|&place| !is_listed[place]) {
        for (sum, tally) in unlisted.iter_mut().zip(&places[place].sides) {
            *sum += tally.own.sum;
        }
    }
    let unlisted_self_difference_ns = difference_of_means(unlisted, of);
    let sum = listed
        .iter()
        .fold(i128::from(unlisted_self_difference_ns), |sum, &place| {
            sum + i128::from(own[place as usize])
        });
    let above = listed_above(gathered, &is_listed);
    Tree {
        nodes: listed
            .iter()
            .map(|&place| node(gathered, of, place, above[place as usize]))
            .collect(),
        unlisted: (places.len() - 1 - listed.len()) as u64,
        unlisted_self_difference_ns,
        rounding_ns: (i128::from(difference.mean_ns) - sum) as i64,
        mix_difference_ns: judge.mix.ns.round() as i64,
    }
}

/// The places to list, largest contribution first.
fn listed(gathered: &Gathered<'_>, own: &[i64], of: [u64; 2], named: Option<u32>) -> Vec<u32> {
    let places = &gathered.forest.places;
    let path = |place: u32| {
        let sums = places[place as usize].sides.each_ref();
        difference_of_means(sums.map(|tally| tally.path.sum), of).unsigned_abs()
    };
    let contribution = |place: u32| (Reverse(own[place as usize].unsigned_abs()), place);
    let mut all: Vec<u32> = (1..places.len() as u32).collect();
    all.sort_by_cached_key(|&place| contribution(place));
    if all.len() > NODES_MAX {
        let mut others = all.split_off(CONTRIBUTORS_MAX);
        others.sort_by_cached_key(|&place| (named != Some(place), Reverse(path(place)), place));
        others.truncate(NODES_MAX - CONTRIBUTORS_MAX);
        all.extend(others);
        all.sort_by_cached_key(|&place| contribution(place));
    }
    all
}

/// For each place the nearest listed one above it.
fn listed_above(gathered: &Gathered<'_>, is_listed: &[bool]) -> Vec<Option<u32>> {
    let mut above: Vec<Option<u32>> = Vec::with_capacity(is_listed.len());
    for place in &gathered.forest.places {
        // A parent comes before its children; the first place is its own.
        let parent = place.parent as usize;
        above.push(match above.get(parent) {
            Some(_) if is_listed[parent] => Some(place.parent),
            Some(further) => *further,
            None => None,
        });
    }
    above
}

fn node(gathered: &Gathered<'_>, of: [u64; 2], number: u32, parent: Option<u32>) -> Node {
    let forest = &gathered.forest;
    let place = &forest.places[number as usize];
    let [first, second] = &place.sides;
    let difference = |sum: fn(&Tally) -> u128| difference_of_means([sum(first), sum(second)], of);
    let sides = [side(first, of[0]), side(second, of[1])];
    let calls_difference = sides[1].calls_per_request - sides[0].calls_per_request;
    let [first_side, second_side] = sides;
    Node {
        id: number,
        parent: parent.filter(|&parent| parent != ABOVE),
        depth: place.depth - 1,
        service: forest.service(number).to_owned(),
        label: forest.label(number).to_owned(),
        presence: match (first.requests, second.requests) {
            (0, _) => Presence::Added,
            (_, 0) => Presence::Removed,
            _ => Presence::Both,
        },
        first: first_side,
        second: second_side,
        calls_difference,
        total_difference_ns: difference(|tally| tally.total_ns),
        self_difference_ns: difference(|tally| tally.own.sum),
        path_difference_ns: difference(|tally| tally.path.sum),
    }
}

fn side(tally: &Tally, requests: u64) -> NodeSide {
    let calls = u64::try_from(tally.calls.sum).unwrap_or(u64::MAX);
    NodeSide {
        requests: tally.requests,
        calls,
        failed: tally.failed,
        calls_per_request: share(calls, requests),
        total_ns: nearest(tally.total_ns, requests),
        self_ns: nearest(tally.own.sum, requests),
        path_ns: nearest(tally.path.sum, requests),
        evidence: tally.longest.clone(),
    }
}
