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
            let is_name = node.kind.category == Category::Phase;
            match cpu.of(index).zip(node.kind.by_cpu()) {
                Some((share, (computed, rest))) => {
                    let on = share.of(ns);
                    let estimated = share.estimated || ns != share.cover_ns;
                    self.segment(computed, on, place, node, estimated);
                    self.segment(rest, ns - on, place, node, estimated);
                }
                None if is_name && (index == 0 || !node.children.is_empty()) => {}
                None => self.segment(node.kind.category, ns, place, node, false),
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
            let is_hole = node.kind.category == Category::Phase
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

/// Nodes among which CPU time is spread, and how long they took.
#[derive(Debug, Default)]
struct Cover {
    ns: u64,
    nodes: Vec<usize>,
}

/// What is assumed of a node without a reading of its own.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// It computed like everything else that is inside of the reading.
    Work = 0,
    /// It is recognised as a wait, and took CPU time only where the others cannot have taken it all.
    Recognised = 1,
    /// The program said that it is a wait.
    Declared = 2,
}

impl Part {
    const fn of(node: &Node<'_>) -> Self {
        if !node.kind.category.leaves_cpu() {
            Self::Work
        } else if node.kind.by_cpu().is_some() {
            Self::Recognised
        } else {
            Self::Declared
        }
    }
}

struct CpuShares(Vec<Option<CpuShare>>);

impl CpuShares {
    fn new(trace: &Trace<'_>) -> Self {
        let mut shares = Self(vec![None; trace.nodes.len()]);
        for (index, node) in trace.nodes.iter().enumerate() {
            if let Some(cpu_ns) = node.cpu_ns {
                shares.spread(trace, index, cpu_ns);
            }
        }
        shares
    }

    /// Spreads the reading of a node over its own time and that of inner spans of the same thread that have none.
    fn spread(&mut self, trace: &Trace<'_>, index: usize, cpu_ns: u64) {
        let node = &trace.nodes[index];
        let mut budget_ns = cpu_ns;
        let mut covers = [Cover::default(), Cover::default(), Cover::default()];
        covers[Part::Work as usize] = Cover {
            ns: node.duration_ns(),
            nodes: vec![index],
        };
        let below = |outer: usize, part: Part| {
            let children = trace.nodes[outer].children.iter();
            children.map(move |&child| (child, part))
        };
        let mut waiting: Vec<_> = below(index, Part::Work).collect();
        while let Some((inner, outer)) = waiting.pop() {
            let inside = &trace.nodes[inner];
            let around = &mut covers[outer as usize].ns;
            *around = around.saturating_sub(inside.duration_ns());
            // Another thread's CPU time is not this one's.
            if inside.thread != node.thread {
                continue;
            }
            if let Some(known_ns) = inside.cpu_ns {
                budget_ns = budget_ns.saturating_sub(known_ns);
                continue;
            }
            let part = Part::of(inside);
            let cover = &mut covers[part as usize];
            cover.ns = cover.ns.saturating_add(inside.duration_ns());
            cover.nodes.push(inner);
            waiting.extend(below(inner, part));
        }
        let [work, recognised, _] = covers;
        let excess_ns = budget_ns.saturating_sub(work.ns);
        self.give(&work, budget_ns, work.nodes.len() > 1);
        if excess_ns > 0 {
            self.give(&recognised, excess_ns, true);
        }
    }

    fn give(&mut self, cover: &Cover, budget_ns: u64, estimated: bool) {
        for &node in &cover.nodes {
            self.0[node] = Some(CpuShare {
                budget_ns,
                cover_ns: cover.ns,
                estimated,
            });
        }
    }

    fn of(&self, node: usize) -> Option<CpuShare> {
        self.0[node]
    }
}
