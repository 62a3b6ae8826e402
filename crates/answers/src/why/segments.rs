//! Pieces added up by kind of time and name, with CPU time splitting what is not known further.
//!
//! A piece goes to its node's category. Where the category is only a name, a CPU reading splits it into on-CPU and
//! off-CPU; without one, a span with nothing inside it is a named phase, and the time that a span with children does
//! not hand on is left over: nobody said what it was.
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
    /// Some of it rests on CPU time spread evenly over a span.
    pub(super) estimated: bool,
    /// The program said itself what it is.
    pub(super) declared: bool,
    /// The longest pieces' nodes: (nanoseconds, trace, node).
    pub(super) longest: Vec<(u64, usize, usize)>,
}

/// Most spans that one statement cites.
pub(super) const EVIDENCE_MAX: usize = 3;

impl Sum {
    fn add(&mut self, ns: u64, place: (usize, usize), node: &Node<'_>, estimated: bool) {
        self.ns = self.ns.saturating_add(ns);
        self.spans += 1;
        self.total_ns = self.total_ns.saturating_add(node.duration_ns());
        self.estimated |= estimated;
        self.declared |= node.origin.is_declared();
        self.longest.push((ns, place.0, place.1));
        self.keep_longest();
    }

    /// Takes another sum's time and evidence.
    pub(super) fn merge(&mut self, other: &Self) {
        self.ns = self.ns.saturating_add(other.ns);
        self.spans += other.spans;
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.estimated |= other.estimated;
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
}

impl Sums {
    /// Adds the pieces of the trace with this number.
    pub(super) fn add(&mut self, number: usize, trace: &Trace<'_>, tiling: &Tiling) {
        let cpu = CpuShares::new(trace);
        self.with_cpu += trace
            .nodes
            .iter()
            .filter(|node| node.cpu_ns.is_some())
            .count() as u64;
        let mut own: BTreeMap<usize, u64> = BTreeMap::new();
        for piece in &tiling.pieces {
            *own.entry(piece.node).or_default() += piece.duration_ns();
        }
        for (&index, &ns) in &own {
            let node = &trace.nodes[index];
            let place = (number, index);
            let is_name = node.category == Category::Phase;
            match cpu.of(index).filter(|_| is_name) {
                Some(share) => {
                    let on = share.of(ns);
                    let estimated = share.estimated || ns != share.cover_ns;
                    self.segment(Category::OnCpu, on, place, node, estimated);
                    self.segment(Category::OffCpu, ns - on, place, node, estimated);
                }
                None if is_name && (index == 0 || !node.children.is_empty()) => {}
                None => self.segment(node.category, ns, place, node, false),
            }
        }
        self.holes(number, trace, tiling, &cpu);
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
    fn holes(&mut self, number: usize, trace: &Trace<'_>, tiling: &Tiling, cpu: &CpuShares) {
        for piece in &tiling.pieces {
            let node = &trace.nodes[piece.node];
            let is_hole = node.category == Category::Phase
                && cpu.of(piece.node).is_none()
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

/// How much of a node's own time its thread computed.
#[derive(Clone, Copy, Debug)]
struct CpuShare {
    /// CPU time that is not in spans with a reading of their own.
    budget_ns: u64,
    /// The time in which it was spent.
    cover_ns: u64,
    /// The node shares its budget with spans that have no reading.
    estimated: bool,
}

impl CpuShare {
    /// The CPU time in `ns` of own time, never more than that.
    fn of(self, ns: u64) -> u64 {
        if self.cover_ns == 0 {
            return 0;
        }
        let on = u128::from(ns) * u128::from(self.budget_ns) / u128::from(self.cover_ns);
        u64::try_from(on).unwrap_or(u64::MAX).min(ns)
    }
}

struct CpuShares(Vec<Option<CpuShare>>);

impl CpuShares {
    /// Spreads each reading over the span's own time and that of inner spans of the same thread that have none.
    fn new(trace: &Trace<'_>) -> Self {
        let mut shares = vec![None; trace.nodes.len()];
        for (index, node) in trace.nodes.iter().enumerate() {
            let Some(cpu_ns) = node.cpu_ns else { continue };
            let mut share = CpuShare {
                budget_ns: cpu_ns,
                cover_ns: node.duration_ns(),
                estimated: false,
            };
            let mut covered = vec![index];
            let mut waiting = node.children.clone();
            while let Some(inner) = waiting.pop() {
                let inside = &trace.nodes[inner];
                let known_ns = inside.cpu_ns.filter(|_| inside.thread == node.thread);
                if known_ns.is_none() && inside.thread == node.thread && !inside.category.is_wait()
                {
                    share.estimated = true;
                    covered.push(inner);
                    waiting.extend(&inside.children);
                } else {
                    // Waits take no CPU time, and another thread's is not this one's.
                    share.budget_ns = share.budget_ns.saturating_sub(known_ns.unwrap_or(0));
                    share.cover_ns = share.cover_ns.saturating_sub(inside.duration_ns());
                }
            }
            for inner in covered {
                shares[inner] = Some(share);
            }
        }
        Self(shares)
    }

    fn of(&self, node: usize) -> Option<CpuShare> {
        self.0[node]
    }
}
