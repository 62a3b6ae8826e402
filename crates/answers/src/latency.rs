//! Rolling statistics of a model's phases, and the rows that show them.
//!
//! A forward step reports phases by path: `embedding`, `forward`, `forward/block 3`, `forward/block 3/sdpa`, `output`,
//! `sampling`. A phase is reported when it ends, so a step's inner phases arrive before their root; the root's report
//! closes its step and the step's phases enter the window together.
//!
//! A model reports a hundred phases and more for every token, under the same paths each time: a path is taken apart once,
//! and found again by its text.
//!
//! Invariants:
//! * The window holds the last `steps_max` steps of each root phase, and no more than [`PATHS_MAX`] paths,
//!   [`PENDING_STEPS_MAX`] unfinished steps and [`PENDING_PHASES_MAX`] phases in each; what exceeds that is counted.
//! * New paths take the place of those that left the window, then of the root phases that have not ended for longest.
//! * Levels tile: at every level, in every step and in the sums over the window, the children's times plus `gap` minus
//!   `overlap` are the parent's time. `overlap` is there only where children ran at the same time.

mod path;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use self::path::{Path, PathMap, Paths};
use crate::units;

/// Separates the phases of a path. A phase's own name does not contain it.
pub const PATH_SEPARATOR: char = '/';
/// Steps of each root phase kept unless said otherwise.
pub const STEPS_MAX_DEFAULT: usize = 256;
/// Most paths a window keeps.
pub const PATHS_MAX: usize = 4096;
/// Paths of old root phases that make room at once, so that it is not looked for at every new one.
const ROOM: usize = PATHS_MAX / 8;
/// Deepest path a window keeps.
pub const DEPTH_MAX: usize = 8;
/// Most steps whose root has not ended yet; the oldest is given up for a newer one.
pub const PENDING_STEPS_MAX: usize = 64;
/// Most phases of one unfinished step.
pub const PENDING_PHASES_MAX: usize = 16_384;

/// A phase that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase<'a> {
    /// The forward step it belongs to; unique in the process, so that steps of several workers do not mix.
    pub step: u64,
    /// The path from the root phase, separated by [`PATH_SEPARATOR`].
    pub path: &'a str,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
}

/// What the window did not keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Phases beyond [`PATHS_MAX`] or given up for newer ones, beyond [`PENDING_PHASES_MAX`] or [`DEPTH_MAX`], or
    /// without a name.
    pub phases: u64,
    /// Steps given up because their root had not ended while [`PENDING_STEPS_MAX`] newer ones began.
    pub steps: u64,
}

/// The last steps of every root phase.
#[derive(Debug)]
pub struct Window {
    steps_max: usize,
    known: Paths,
    paths: PathMap<VecDeque<Sample>>,
    /// The root phases that have a path.
    closed: BTreeMap<String, Closed>,
    /// Steps closed by all root phases, and at which of them room was looked for last.
    closes: u64,
    room_sought_at: u64,
    /// Unfinished steps, oldest first: few, of which the newest is nearly always the one.
    pending: VecDeque<Pending>,
    /// The step that is being closed: what each path took, and how often it ran. Empty in between.
    totals: PathMap<(u64, u64)>,
    refused: Refused,
}

/// A step whose root phase has not ended.
#[derive(Debug)]
struct Pending {
    step: u64,
    phases: Vec<(Path, u64)>,
}

/// How often a root phase ended, and at which of all closes it did so last.
#[derive(Clone, Copy, Debug, Default)]
struct Closed {
    steps: u64,
    last: u64,
}

/// One path's time in one step.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Which step of the root phase.
    step: u64,
    ns: u64,
    calls: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self::new(STEPS_MAX_DEFAULT)
    }
}

impl Window {
    /// A window over the last `steps_max` steps (at least 1) of each root phase.
    pub fn new(steps_max: usize) -> Self {
        Self {
            steps_max: steps_max.max(1),
            known: Paths::default(),
            paths: PathMap::default(),
            closed: BTreeMap::new(),
            closes: 0,
            room_sought_at: 0,
            pending: VecDeque::new(),
            totals: PathMap::default(),
            refused: Refused::default(),
        }
    }

    /// What did not fit so far.
    pub const fn refused(&self) -> Refused {
        self.refused
    }

    /// Takes a phase that ended.
    pub fn record(&mut self, phase: Phase<'_>) {
        let Some(path) = self.known.path(phase.path) else {
            self.refused.phases += 1;
            return;
        };
        if path.parent().is_none() {
            self.close(phase.step, path, phase.duration_ns);
            return;
        }
        let phases = self.pending(phase.step);
        if phases.len() == PENDING_PHASES_MAX {
            self.refused.phases += 1;
        } else {
            phases.push((path, phase.duration_ns));
        }
    }

    /// The phases of a step that has not ended, which may begin now.
    fn pending(&mut self, step: u64) -> &mut Vec<(Path, u64)> {
        let known = self.pending.iter().rposition(|known| known.step == step);
        let at = known.unwrap_or_else(|| {
            if self.pending.len() == PENDING_STEPS_MAX {
                self.pending.pop_front();
                self.refused.steps += 1;
            }
            let phases = Vec::new();
            self.pending.push_back(Pending { step, phases });
            self.pending.len() - 1
        });
        &mut self.pending[at].phases
    }

    /// The root phase of a step ended: everything that waited for it enters the window.
    fn close(&mut self, step: u64, root: Path, duration_ns: u64) {
        let mut totals = std::mem::take(&mut self.totals);
        if let Some(at) = self.pending.iter().rposition(|known| known.step == step) {
            let waiting = &mut self.pending[at].phases;
            for (path, ns) in waiting.extract_if(.., |(path, _)| path.is_within(&root)) {
                let total = totals.entry(path).or_default();
                *total = (total.0.saturating_add(ns), total.1 + 1);
            }
            if waiting.is_empty() {
                self.pending.remove(at);
            }
        }
        imply_parents(&mut totals);
        self.closes += 1;
        let closed = self.closed.entry(root.root().to_owned()).or_default();
        closed.steps += 1;
        closed.last = self.closes;
        let number = closed.steps;
        totals.insert(root, (duration_ns, 1));
        let sample = |(ns, calls)| Sample {
            step: number,
            ns,
            calls,
        };
        let mut new = Vec::new();
        for (path, total) in totals.drain() {
            match self.paths.get_mut(&path) {
                Some(samples) => keep(samples, sample(total), self.steps_max),
                None => new.push((path, total)),
            }
        }
        // Where there may not be room for all of them, the outer ones come first.
        new.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (path, total) in new {
            self.insert(path, sample(total));
        }
        // Its memory serves the next step.
        self.totals = totals;
    }

    /// Takes the first sample of a path that the window does not have.
    fn insert(&mut self, path: Path, sample: Sample) {
        if self.paths.len() == PATHS_MAX && !self.make_room(path.root()) {
            self.refused.phases += 1;
            if path.parent().is_none() {
                self.closed.remove(path.root());
            }
            return;
        }
        keep(self.paths.entry(path).or_default(), sample, self.steps_max);
    }

    /// Forgets paths that left the window and, where there are none, the root phases that have not ended for longest,
    /// but not `keep`; `false` when there is no room. It is looked for once in a step.
    fn make_room(&mut self, keep: &str) -> bool {
        if std::mem::replace(&mut self.room_sought_at, self.closes) == self.closes {
            return false;
        }
        let oldest: BTreeMap<&str, u64> = self
            .closed
            .iter()
            .map(|(root, closed)| (root.as_str(), self.oldest(closed.steps)))
            .collect();
        self.paths.retain(|path, samples| {
            let oldest = oldest.get(path.root()).copied().unwrap_or(0);
            samples.back().is_some_and(|sample| sample.step > oldest)
        });
        if self.paths.len() < PATHS_MAX {
            return true;
        }
        let mut by_age: Vec<_> = self
            .closed
            .iter()
            .filter(|(root, _)| *root != keep)
            .map(|(root, closed)| (closed.last, root.clone()))
            .collect();
        by_age.sort_unstable();
        let mut sizes: HashMap<&str, usize> = HashMap::new();
        for path in self.paths.keys() {
            *sizes.entry(path.root()).or_default() += 1;
        }
        let mut free = 0;
        let enough = by_age.iter().take_while(|(_, root)| {
            let more = free < ROOM;
            free += sizes.get(root.as_str()).copied().unwrap_or(0);
            more
        });
        let gone: BTreeSet<String> = enough.map(|(_, root)| root.clone()).collect();
        self.closed.retain(|root, _| !gone.contains(root));
        self.paths.retain(|path, _| !gone.contains(path.root()));
        self.refused.phases += (PATHS_MAX - self.paths.len()) as u64;
        self.paths.len() < PATHS_MAX
    }

    /// The newest step that is no longer in the window of a root phase that ended `steps` times.
    const fn oldest(&self, steps: u64) -> u64 {
        steps.saturating_sub(self.steps_max as u64)
    }

    /// The samples of `path` that are still in the window: a phase that has not run for a while leaves it.
    fn samples(&self, path: &Path) -> impl Iterator<Item = Sample> {
        let closed = self.closed.get(path.root()).copied().unwrap_or_default();
        let oldest = self.oldest(closed.steps);
        self.paths
            .get(path)
            .into_iter()
            .flatten()
            .copied()
            .filter(move |sample| sample.step > oldest)
    }
}

/// Adds a sample to those of a path, of which there are at most `steps_max`.
fn keep(samples: &mut VecDeque<Sample>, sample: Sample, steps_max: usize) {
    samples.push_back(sample);
    if samples.len() > steps_max {
        samples.pop_front();
    }
}

/// Gives every inner path whose own time was not reported in this step the sum of its children.
fn imply_parents(totals: &mut PathMap<(u64, u64)>) {
    let is_missing = |parent: &Path, reported: &PathMap<(u64, u64)>| {
        parent.parent().is_some() && !reported.contains_key(parent)
    };
    let mut missing: Vec<Path> = Vec::new();
    for path in totals.keys() {
        // What is outside of one that was reported is looked at when its own turn comes.
        let outer = std::iter::successors(path.parent(), |path| path.parent());
        missing.extend(outer.take_while(|path| is_missing(path, totals)).cloned());
    }
    if missing.is_empty() {
        return;
    }
    // The innermost first, so that what is inside of a parent is known when its own turn comes.
    missing.sort_unstable_by(|a, b| b.names().len().cmp(&a.names().len()).then_with(|| a.cmp(b)));
    missing.dedup();
    let mut sums: PathMap<u64> = missing.iter().map(|path| (path.clone(), 0)).collect();
    for (path, (ns, _)) in totals.iter() {
        if let Some(sum) = path.parent().and_then(|parent| sums.get_mut(parent)) {
            *sum = sum.saturating_add(*ns);
        }
    }
    for path in missing {
        let ns = sums.get(&path).copied().unwrap_or(0);
        if let Some(sum) = path.parent().and_then(|parent| sums.get_mut(parent)) {
            *sum = sum.saturating_add(ns);
        }
        totals.insert(path, (ns, 1));
    }
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// A phase that was measured.
    Phase,
    /// The parent's time in which none of its phases ran: derived by subtraction.
    Gap,
    /// How much longer the phases took together than their parent, because they ran at the same time.
    Overlap,
}

/// A phase's statistics over the window. A phase that runs several times in a step counts with its sum in that step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// The path from the root phase: `forward/block 3/sdpa`.
    pub path: String,
    /// How many phases it is inside of.
    pub depth: usize,
    /// The last part of the path.
    pub label: String,
    /// A phase, or what its siblings leave over.
    pub kind: RowKind,
    /// The newest step, in nanoseconds.
    pub last_ns: u64,
    /// The mean step, in nanoseconds.
    pub avg_ns: u64,
    /// The median step, in nanoseconds (nearest rank).
    pub p50_ns: u64,
    /// The 99th percentile, in nanoseconds (nearest rank).
    pub p99_ns: u64,
    /// The sum over the window, in nanoseconds.
    pub sum_ns: u64,
    /// How many steps of the window it ran in.
    pub count: u64,
    /// How many times it ran in them.
    pub calls: u64,
    /// Its share of all root phases' time in the window, 0 to 1.
    pub share: f64,
}

/// The rows of `window`: root phases in the order embedding, forward, output, sampling, then others by name; below
/// each its phases in natural order (`block 2` before `block 10`), then `gap`, and `overlap` where phases ran at the
/// same time.
pub fn build_latency_rows(window: &Window) -> Vec<LatencyRow> {
    let mut children: HashMap<&Path, Vec<&Path>> = HashMap::new();
    let mut roots = Vec::new();
    let mut paths: Vec<&Path> = window.paths.keys().collect();
    paths.sort_unstable();
    for path in paths {
        match path.parent() {
            Some(parent) => children.entry(parent).or_default().push(path),
            None => roots.push(path),
        }
    }
    let whole = roots
        .iter()
        .flat_map(|root| window.samples(root))
        .fold(0_u64, |sum, sample| sum.saturating_add(sample.ns));
    let builder = RowBuilder {
        window,
        children,
        whole,
    };
    let mut rows = Vec::new();
    for root in roots {
        builder.push(root, &mut rows);
    }
    rows
}

struct RowBuilder<'a> {
    window: &'a Window,
    children: HashMap<&'a Path, Vec<&'a Path>>,
    /// All root phases' time in the window.
    whole: u64,
}

impl RowBuilder<'_> {
    /// Appends the rows of `path` and everything below it. Depth is bounded by [`DEPTH_MAX`].
    fn push(&self, path: &Path, rows: &mut Vec<LatencyRow>) {
        let samples: Vec<_> = self.window.samples(path).collect();
        let Some(row) = self.row(path, RowKind::Phase, &samples) else {
            return;
        };
        rows.push(row);
        let Some(children) = self.children.get(path) else {
            return;
        };
        let before = rows.len();
        for child in children {
            self.push(child, rows);
        }
        if rows.len() > before {
            self.push_rest(path, &samples, children, rows);
        }
    }

    /// Appends what the children of `path` leave over, or take too much.
    fn push_rest(
        &self,
        path: &Path,
        samples: &[Sample],
        children: &[&Path],
        rows: &mut Vec<LatencyRow>,
    ) {
        let mut inside: HashMap<u64, u64> = HashMap::new();
        for sample in children.iter().flat_map(|child| self.window.samples(child)) {
            let sum = inside.entry(sample.step).or_default();
            *sum = sum.saturating_add(sample.ns);
        }
        let rest = |difference: fn(u64, u64) -> u64| -> Vec<Sample> {
            samples
                .iter()
                .map(|sample| Sample {
                    ns: difference(sample.ns, inside.get(&sample.step).copied().unwrap_or(0)),
                    ..*sample
                })
                .collect()
        };
        let named = |name: &str| self.window.known.inside(Some(path.clone()), name);
        rows.extend(self.row(&named("gap"), RowKind::Gap, &rest(u64::saturating_sub)));
        let overlap = rest(|own, inside| inside.saturating_sub(own));
        if overlap.iter().any(|sample| sample.ns > 0) {
            rows.extend(self.row(&named("overlap"), RowKind::Overlap, &overlap));
        }
    }

    fn row(&self, path: &Path, kind: RowKind, samples: &[Sample]) -> Option<LatencyRow> {
        let last = samples.last()?;
        let mut sorted: Vec<u64> = samples.iter().map(|sample| sample.ns).collect();
        sorted.sort_unstable();
        let sum = sorted.iter().fold(0_u64, |sum, ns| sum.saturating_add(*ns));
        let count = sorted.len() as u64;
        Some(LatencyRow {
            depth: path.names().len() - 1,
            label: path.names().last()?.clone(),
            path: path.text(),
            kind,
            last_ns: last.ns,
            avg_ns: sum / count,
            p50_ns: nearest_rank(&sorted, 50),
            p99_ns: nearest_rank(&sorted, 99),
            sum_ns: sum,
            count,
            calls: samples.iter().map(|sample| sample.calls).sum(),
            share: units::share(sum, self.whole),
        })
    }
}

/// The smallest value that at least `percent` of the sorted values do not exceed; 0 of none.
pub(crate) fn nearest_rank(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
