//! Who had each nanosecond: the critical path through the tree, from the end backwards.
//!
//! At any moment the time belongs to the deepest span that its parent was waiting for. Among children that run at the
//! same time it is the one that ends last, because the parent could not go on before it; of two that end together, the
//! one that started first. Time in which no child runs is the span's own, and so is time in which the parent computed
//! itself, as its CPU reading shows, whatever ran on other threads.
//!
//! Invariant: the pieces follow each other without a hole or overlap from the root's start to its end.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    cpu::{CpuShare, Readings},
    trace::Trace,
};

/// A stretch of time that belongs to a node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(crate) node: usize,
    /// The children of the node that ended before it and that began after it.
    pub(super) after: Option<usize>,
    pub(super) before: Option<usize>,
}

impl Piece {
    pub(crate) const fn duration_ns(&self) -> u64 {
        self.end - self.start
    }
}

/// The trace's time, divided.
#[derive(Debug)]
pub(crate) struct Tiling {
    /// In order of time; none is empty.
    pub(crate) pieces: Vec<Piece>,
    /// For each node how much of the critical path lies inside of it, children included.
    pub(crate) path_ns: Vec<u64>,
    /// For each node what its thread computed in its own time, where a reading says so.
    pub(super) cpu: Vec<Option<CpuShare>>,
    /// The nodes that carry a CPU reading, with the part of it that no inner reading takes.
    pub(super) readings: Vec<(usize, u64)>,
}

/// Divides the root's time among the nodes.
pub(crate) fn tile(trace: &Trace<'_>) -> Tiling {
    let root = &trace.nodes[0];
    let mut tiling = Tiling {
        pieces: Vec::new(),
        path_ns: vec![0; trace.nodes.len()],
        cpu: Vec::new(),
        readings: Vec::new(),
    };
    let mut readings = Readings::new(trace);
    let mut waiting = vec![(0, root.start, root.end)];
    while let Some((node, start, end)) = waiting.pop() {
        tiling.path_ns[node] += end - start;
        let within = (node, start, end);
        divide(
            trace,
            within,
            &mut readings,
            &mut tiling.pieces,
            &mut waiting,
        );
    }
    tiling.pieces.sort_unstable();
    tiling.cpu = readings.spread(&tiling.pieces);
    tiling.readings = readings.heads;
    tiling
}

/// Divides the time of `node` between `start` and `end` into its own pieces and its children's, who wait to be
/// divided in turn. Each child gets at most one stretch: up to where a later one took over.
fn divide(
    trace: &Trace<'_>,
    (node, start, end): (usize, u64, u64),
    readings: &mut Readings,
    pieces: &mut Vec<Piece>,
    waiting: &mut Vec<(usize, u64, u64)>,
) {
    let mut rest = trace.nodes[node].children.iter().copied().peekable();
    // Children that have not ended yet when looking back from `at`, by (latest end, earliest start, first).
    let mut running = BinaryHeap::new();
    let mut at = end;
    let mut later = None;
    while at > start {
        while let Some(child) = rest.next_if(|&child| trace.nodes[child].end >= at) {
            running.push((
                trace.nodes[child].end,
                Reverse(trace.nodes[child].start),
                Reverse(child),
            ));
        }
        // Looking back, `at` only falls: a child that has not started by now never runs again.
        while running
            .peek()
            .is_some_and(|(_, Reverse(from), _)| *from >= at)
        {
            running.pop();
        }
        if let Some((_, Reverse(from), Reverse(child))) = running.pop() {
            let waited_ns = readings.lend(trace, node, child, at - from.max(start));
            if waited_ns > 0 {
                waiting.push((child, at - waited_ns, at));
                later = Some(child);
                at -= waited_ns;
            }
        } else {
            let earlier = rest
                .peek()
                .copied()
                .filter(|&child| trace.nodes[child].end > start);
            let from = earlier.map_or(start, |child| trace.nodes[child].end);
            pieces.push(Piece {
                start: from,
                end: at,
                node,
                after: earlier,
                before: later,
            });
            at = from;
        }
    }
}
