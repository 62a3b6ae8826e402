//! CPU readings: which spans share one, and how much of their time their thread can have waited.
//!
//! A reading is about the wall time of its span on one thread. Inner spans of the same thread without a reading of
//! their own share it; what other threads did meanwhile takes nothing away from it. So a thread that computed cannot
//! have waited for another one at the same time: work of other threads is on the path for no longer than the reading
//! leaves room for, counted from the end, where a thread waits for what it started.
//!
//! Invariants: no reading is of more time than its span lasted; the CPU time in the pieces of the spans of one reading
//! adds up to no more than that reading.

use super::{
    category::Category,
    tile::Piece,
    trace::{Node, Origin, Trace, note, tolerance_ns},
};

/// The part of a span's time, in percent, from which on a thread that computed cannot have waited as was declared.
const CONTRADICTS_PERCENT: u128 = 90;

/// Takes readings away that cannot be: a thread computes for no longer than time passes, but for how exactly both are
/// known.
pub(super) fn leave_out_impossible(trace: &mut Trace<'_>) {
    for node in &mut trace.nodes {
        let ns = node.duration_ns();
        let is_impossible = |cpu_ns: &mut u64| cpu_ns.saturating_sub(ns) > tolerance_ns(ns);
        if let Some(cpu_ns) = node.cpu_ns.take_if(is_impossible) {
            let by_ns = cpu_ns.saturating_sub(ns);
            note(&mut trace.notes.impossible_cpu, &node.member, by_ns);
        }
    }
}

/// Takes a declared wait for one that is only recognised where its thread computed nearly all the time: the reading then
/// divides it. What waits for a GPU may spin, so there a reading contradicts nothing; where something else did, the answer is
/// not sure and does not rule the wait out ([`Sums::doubted_ns`](super::segments::Sums::doubted_ns)).
pub(super) fn doubt_declared_waits(trace: &mut Trace<'_>) {
    for node in &mut trace.nodes {
        let is_wait = matches!(
            node.kind.category,
            Category::Queue | Category::Lock | Category::Io
        );
        let whole = u128::from(node.duration_ns());
        if let Some(cpu_ns) = node.cpu_ns
            && is_wait
            && node.kind.declared
            && whole > 0
            && u128::from(cpu_ns) * 100 >= whole * CONTRADICTS_PERCENT
        {
            node.kind.declared = false;
            node.origin = Origin::Recognised;
            note(&mut trace.notes.contradicted, &node.member, cpu_ns);
        }
    }
}

/// How much of a node's own time its thread computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuShare {
    /// The reading, by its place in [`Readings::heads`].
    pub(super) reading: usize,
    /// CPU time that is not in spans with a reading of their own.
    budget_ns: u64,
    /// The time in which it was spent.
    cover_ns: u64,
    /// Several nodes share the budget.
    shared: bool,
}

impl CpuShare {
    /// The CPU time in `ns` of own time, never more than that, and whether it is an estimate.
    pub(super) fn of(self, ns: u64) -> (u64, bool) {
        if self.cover_ns == 0 {
            return (0, true);
        }
        let on = u128::from(ns) * u128::from(self.budget_ns) / u128::from(self.cover_ns);
        let on = u64::try_from(on).unwrap_or(u64::MAX).min(ns);
        (on, self.shared || ns != self.cover_ns)
    }
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

/// Time of one part of a reading.
#[derive(Clone, Debug, Default)]
struct Cover {
    /// Nodes of this part.
    nodes: usize,
    /// Time in which the thread was in them and in nothing inside of them.
    ns: u64,
    /// CPU time spent in it.
    budget_ns: u64,
    /// Time in it that was given to other threads.
    lent_ns: u64,
    /// Own time of its nodes on the path.
    path_ns: u64,
}

impl Cover {
    fn new(mut stretches: Vec<(u64, u64)>, nodes: usize) -> Self {
        stretches.sort_unstable();
        let (mut ns, mut at) = (0, 0);
        for (start, end) in stretches {
            ns += end.saturating_sub(start.max(at));
            at = at.max(end);
        }
        Self {
            nodes,
            ns,
            ..Self::default()
        }
    }
}

/// Every reading of a trace.
#[derive(Debug)]
pub(super) struct Readings {
    /// The spans that carry one, with the part of it that no inner reading takes.
    pub(super) heads: Vec<(usize, u64)>,
    covers: Vec<[Cover; 3]>,
    /// For each node the reading that it shares.
    of: Vec<Option<(usize, Part)>>,
}

impl Readings {
    pub(super) fn new(trace: &Trace<'_>) -> Self {
        let mut readings = Self {
            heads: Vec::new(),
            covers: Vec::new(),
            of: vec![None; trace.nodes.len()],
        };
        for (index, node) in trace.nodes.iter().enumerate() {
            if let Some(cpu_ns) = node.cpu_ns {
                readings.gather(trace, index, cpu_ns);
            }
        }
        readings
    }

    /// Finds the spans that share the reading of `head`.
    fn gather(&mut self, trace: &Trace<'_>, head: usize, cpu_ns: u64) {
        let thread = trace.nodes[head].thread;
        let reading = self.heads.len();
        let mut budget_ns = cpu_ns;
        let mut nodes = [0; 3];
        let mut stretches = [Vec::new(), Vec::new(), Vec::new()];
        let whole = (trace.nodes[head].start, trace.nodes[head].end);
        let mut waiting = vec![(head, Part::Work, whole)];
        while let Some((index, part, (start, end))) = waiting.pop() {
            self.of[index] = Some((reading, part));
            nodes[part as usize] += 1;
            // Looking back from the end, as children are in order.
            let mut at = end;
            for &inner in &trace.nodes[index].children {
                let child = &trace.nodes[inner];
                // Another thread's CPU time is not this one's.
                if child.thread != thread {
                    continue;
                }
                let inside = (child.start.max(start), child.end.min(end));
                if inside.0 >= inside.1 {
                    continue;
                }
                if inside.1 < at {
                    stretches[part as usize].push((inside.1, at));
                }
                at = at.min(inside.0);
                match child.cpu_ns {
                    Some(known_ns) => budget_ns = budget_ns.saturating_sub(known_ns),
                    None => waiting.push((inner, Part::of(child), inside)),
                }
            }
            if start < at {
                stretches[part as usize].push((start, at));
            }
        }
        let [work, recognised, declared] = stretches;
        let mut covers = [
            Cover::new(work, nodes[0]),
            Cover::new(recognised, nodes[1]),
            Cover::new(declared, nodes[2]),
        ];
        covers[Part::Work as usize].budget_ns = budget_ns;
        covers[Part::Recognised as usize].budget_ns =
            budget_ns.saturating_sub(covers[Part::Work as usize].ns);
        self.heads.push((head, budget_ns));
        self.covers.push(covers);
    }

    /// How much of `ns` of the own time of `node` its thread can have waited for `child`; that much is taken for it.
    pub(super) fn lend(&mut self, trace: &Trace<'_>, node: usize, child: usize, ns: u64) -> u64 {
        match self.of[node] {
            Some((reading, part @ (Part::Work | Part::Recognised)))
                if trace.nodes[child].thread != trace.nodes[node].thread =>
            {
                let cover = &mut self.covers[reading][part as usize];
                let room_ns = cover.ns.saturating_sub(cover.budget_ns) - cover.lent_ns;
                let lent_ns = ns.min(room_ns);
                cover.lent_ns += lent_ns;
                lent_ns
            }
            _ => ns,
        }
    }

    /// Spreads each reading over the own time of its spans, once that is known.
    pub(super) fn spread(&mut self, pieces: &[Piece]) -> Vec<Option<CpuShare>> {
        for piece in pieces {
            if let Some((reading, part)) = self.of[piece.node] {
                self.covers[reading][part as usize].path_ns += piece.duration_ns();
            }
        }
        let share = |(reading, part): (usize, Part)| {
            let cover: &Cover = &self.covers[reading][part as usize];
            let shared = match part {
                Part::Work => cover.nodes > 1,
                Part::Recognised if cover.budget_ns > 0 => true,
                Part::Recognised | Part::Declared => return None,
            };
            Some(CpuShare {
                reading,
                budget_ns: cover.budget_ns,
                // What was lent may lie in an inner span's time.
                cover_ns: (cover.ns - cover.lent_ns).max(cover.path_ns),
                shared,
            })
        };
        self.of.iter().map(|of| of.and_then(share)).collect()
    }
}
