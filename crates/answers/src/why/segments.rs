//! Pieces added up by kind of time and name, with CPU time splitting what is not known further.
//!
//! A piece goes to its node's category, unless a CPU reading of the thread says otherwise: it splits what is only a
//! name into on-CPU and off-CPU, and takes what was computed out of a wait that is only recognised. Without a reading,
//! a span with nothing inside it is a named phase, and the time that a span with children does not hand on is left
//! over: nobody said what it was.
//!
//! Invariant: segments and gaps together are as long as the pieces.

use std::collections::BTreeMap;

use super::{
    category::Category,
    tile::Tiling,
    trace::{Node, Trace},
};

/// Time of one kind under one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) ns: u64,
    /// Spans that it lies in.
    pub(super) spans: u64,
    /// The spans' whole durations, at the same time or not, on the path or not.
    pub(super) total_ns: u64,
    /// How much of it rests on CPU time spread evenly over a span.
    pub(super) estimated_ns: u64,
    /// The program said itself what it is.
    pub(super) declared: bool,
    /// The longest pieces' nodes: (nanoseconds, trace, node).
    pub(super) longest: Vec<(u64, usize, usize)>,
}

/// Most spans that one statement cites.
pub(crate) const EVIDENCE_MAX: usize = 3;

impl Sum {
    fn add(&mut self, ns: u64, place: (usize, usize), node: &Node<'_>, estimated: bool) {
        self.ns = self.ns.saturating_add(ns);
        self.spans += 1;
        self.total_ns = self.total_ns.saturating_add(node.duration_ns());
        if estimated {
            self.estimated_ns = self.estimated_ns.saturating_add(ns);
        }
        self.declared |= node.origin.is_declared();
        self.longest.push((ns, place.0, place.1));
        self.keep_longest();
    }

    /// Takes another sum's time and evidence.
    pub(super) fn merge(&mut self, other: &Self) {
        self.ns = self.ns.saturating_add(other.ns);
        self.spans += other.spans;
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.estimated_ns = self.estimated_ns.saturating_add(other.estimated_ns);
        self.declared |= other.declared;
        self.longest.extend(&other.longest);
        self.keep_longest();
    }

    fn keep_longest(&mut self) {
        self.longest
            .sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        self.longest.truncate(EVIDENCE_MAX);
    }
}

/// A stretch that nobody accounts for.
#[derive(Clone, Debug)]
pub(super) struct Hole {
    pub(super) ns: u64,
    /// The trace and the node in whose own time it lies.
    pub(super) place: (usize, usize),
    /// The children before and after it.
    pub(super) after: Option<usize>,
    pub(super) before: Option<usize>,
}

/// Everything added up, over one or several traces.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) segments: BTreeMap<(Category, String), Sum>,
    pub(super) holes: Vec<Hole>,
    /// Spans with a CPU reading.
    pub(super) with_cpu: u64,
    /// CPU time that readings found on the path and that lies in segments of another kind.
    pub(super) hidden_cpu_ns: u64,
    /// At most so much of what threads computed was in waits that were declared, in which they may have spun.
    pub(super) doubted_ns: u64,
}

impl Sums {
    /// Adds the pieces of the trace with this number.
    pub(super) fn add(&mut self, number: usize, trace: &Trace<'_>, tiling: &Tiling) {
        let mut seen = vec![0_u64; tiling.readings.len()];
        self.with_cpu += tiling.readings.len() as u64;
        if let Some(note) = &trace.notes.contradicted {
            let at_most = note.by_ns.saturating_mul(note.count);
            self.doubted_ns = self.doubted_ns.saturating_add(at_most);
        }
        let mut own: BTreeMap<usize, u64> = BTreeMap::new();
        for piece in &tiling.pieces {
            *own.entry(piece.node).or_default() += piece.duration_ns();
        }
        for (&index, &ns) in &own {
            let node = &trace.nodes[index];
            let place = (number, index);
            let is_name = node.kind.category == Category::Phase;
            match tiling.cpu[index].zip(node.kind.by_cpu()) {
                Some((share, (computed, rest))) => {
                    let (on, estimated) = share.of(ns);
                    if computed == Category::OnCpu {
                        seen[share.reading] += on;
                    }
                    self.segment(computed, on, place, node, estimated);
                    self.segment(rest, ns - on, place, node, estimated);
                }
                None if is_name && (index == 0 || !node.children.is_empty()) => {}
                None => self.segment(node.kind.category, ns, place, node, false),
            }
        }
        for (&(head, cpu_ns), seen) in tiling.readings.iter().zip(seen) {
            let at_most = cpu_ns.min(tiling.path_ns[head]);
            self.hidden_cpu_ns += at_most.saturating_sub(seen);
        }
        self.holes(number, trace, tiling);
    }

    fn segment(
        &mut self,
        category: Category,
        ns: u64,
        place: (usize, usize),
        node: &Node<'_>,
        estimated: bool,
    ) {
        if ns > 0 {
            self.segments
                .entry((category, node.label.clone()))
                .or_default()
                .add(ns, place, node, estimated);
        }
    }

    /// The pieces that [`Sums::add`] gave to nobody.
    fn holes(&mut self, number: usize, trace: &Trace<'_>, tiling: &Tiling) {
        for piece in &tiling.pieces {
            let node = &trace.nodes[piece.node];
            let is_hole = node.kind.category == Category::Phase
                && tiling.cpu[piece.node].is_none()
                && (!node.children.is_empty() || piece.node == 0);
            if is_hole {
                self.holes.push(Hole {
                    ns: piece.duration_ns(),
                    place: (number, piece.node),
                    after: piece.after,
                    before: piece.before,
                });
            }
        }
    }

    /// What nobody accounts for, in nanoseconds.
    pub(super) fn residual_ns(&self) -> u64 {
        self.holes
            .iter()
            .fold(0, |sum, hole| sum.saturating_add(hole.ns))
    }
}
