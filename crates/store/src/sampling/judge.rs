//! The decision: from facts to verdicts, without looking at anything else.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, Instant},
};

use radiosonde_core::{hash::FoldState, ids::TraceId};

use super::{Round, Sampled, Sampling, Slow, Verdict, Verdicts, facts::Facts};

/// How long a few traces of an operation are all that are kept as rare.
const WINDOW: Duration = Duration::from_mins(1);
/// Most operations that are told apart in a window: beyond, they are one. Where names have numbers in them, each would be rare.
const OPERATIONS_MAX: usize = 1000;
/// Stands for operations beyond.
const OTHERS: u64 = u64::MAX;

/// How many traces of each operation there were in the last minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    began: Option<Instant>,
    traces: HashMap<u64, u32, FoldState>,
}

impl Window {
    fn turn(&mut self, now: Instant) {
        let is_over = |began: Instant| now.saturating_duration_since(began) >= WINDOW;
        if self.began.is_none_or(is_over) {
            self.began = Some(now);
            self.traces.clear();
        }
    }

    /// Counts a trace: as what operation, and the how many-th it is.
    fn count(&mut self, operation: u64) -> (u64, u32) {
        let is_known = self.traces.len() < OPERATIONS_MAX || self.traces.contains_key(&operation);
        let operation = if is_known { operation } else { OTHERS };
        let traces = self.traces.entry(operation).or_default();
        *traces = traces.saturating_add(1);
        (operation, *traces)
    }
}

/// Why a trace is kept, before chance is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Failed,
    Slow,
    Rare,
}

/// Decides about traces. `remembered` is what was decided about one before.
pub(super) fn judge(
    sampling: &Sampling,
    facts: &[Facts],
    remembered: impl Fn(u128) -> Option<Verdict>,
    mut window: Window,
    now: Instant,
) -> Round {
    window.turn(now);
    let mut sampled = Sampled::default();
    let mut verdicts = Verdicts::default();
    let mut news: Vec<(&Facts, Option<Rule>)> = Vec::new();
    let mut operations: HashMap<u64, Vec<usize>, FoldState> = HashMap::default();
    for trace in facts {
        let rule = own_rule(sampling, trace);
        if let Some(before) = remembered(trace.trace) {
            let is_late = rule.is_some() && before != Verdict::Rule;
            sampled.late += u64::from(is_late && before == Verdict::LeftOut);
            verdicts.insert(trace.trace, if is_late { Verdict::Rule } else { before });
            continue;
        }
        let (operation, count) = window.count(trace.operation);
        let rule = rule.or_else(|| (count <= sampling.rare).then_some(Rule::Rare));
        operations.entry(operation).or_default().push(news.len());
        news.push((trace, rule));
    }
    if let Slow::Share(share) = sampling.slow {
        for of_operation in operations.into_values() {
            keep_slowest(share, of_operation, &mut news);
        }
    }
    for (trace, rule) in news {
        let verdict = match rule {
            Some(_) => Verdict::Rule,
            None if keeps(sampling, trace.trace) => Verdict::Chance,
            None => Verdict::LeftOut,
        };
        *match (rule, verdict) {
            (Some(Rule::Failed), _) => &mut sampled.failed,
            (Some(Rule::Slow), _) => &mut sampled.slow,
            (Some(Rule::Rare), _) => &mut sampled.rare,
            (None, Verdict::LeftOut) => &mut sampled.left_out,
            (None, _) => &mut sampled.by_chance,
        } += 1;
        verdicts.insert(trace.trace, verdict);
    }
    Round {
        verdicts,
        weight: sampling.share.adjusted_count().max(1.0),
        window,
        sampled,
    }
}

/// The rule that keeps a trace for what it is itself.
fn own_rule(sampling: &Sampling, trace: &Facts) -> Option<Rule> {
    if trace.has_failed {
        return Some(Rule::Failed);
    }
    let is_slow = match sampling.slow {
        Slow::AtLeast(least) => u128::from(trace.duration_ns()) >= least.as_nanos(),
        Slow::Share(_) => false,
    };
    is_slow.then_some(Rule::Slow)
}

/// Keeps the slowest share of the traces of an operation, one at least, where nothing else keeps them.
fn keep_slowest(share: f64, mut traces: Vec<usize>, news: &mut [(&Facts, Option<Rule>)]) {
    let slowest = (traces.len() as f64 * share).ceil() as usize;
    traces.sort_unstable_by_key(|&at| (Reverse(news[at].0.duration_ns()), news[at].0.trace));
    for at in traces.into_iter().take(slowest) {
        news[at].1.get_or_insert(Rule::Slow);
    }
}

fn keeps(sampling: &Sampling, trace: u128) -> bool {
    TraceId::new(trace).is_none_or(|trace| sampling.share.keeps(trace))
}
