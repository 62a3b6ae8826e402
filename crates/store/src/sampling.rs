//! Tail sampling: which traces are kept, decided when they have ended.
//!
//! All spans that are taken go into the log and into memory, so that nothing that was acknowledged waits where it could be
//! lost. A trace is judged when the oldest generation that has spans of it becomes segments, by all of its spans that are in
//! memory then. Those of a trace that is not kept do not become rows of the segment. Logs, events, readings and
//! samples always do.
//!
//! What is kept by a rule (it failed, was slow, is rare) stands for itself. Of the others a share is kept by trace
//! identifier, the same in every collector with the same share, and each span of theirs stands for as many as were like it:
//! its [`WEIGHT`].
//!
//! Invariants: every span of a trace that failed is kept from the failure's judgement on, also where others of the trace were left
//! out before; what is kept and with which weight depends on the spans, the order in which they came, and the times given, on
//! nothing else; memory is bounded: so many verdicts, so many operations.

mod facts;
mod judge;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{AsArray as _, BooleanArray, Float64Array, RecordBatch},
    compute::filter_record_batch,
    datatypes::Float64Type,
    error::ArrowError,
};
use radiosonde_core::{hash::FoldState, sampling::Threshold};
use serde::Serialize;

use self::judge::Window;
use crate::{merge::trace_number, read::column, table::WEIGHT};

/// Traces whose verdict is remembered, at least; at most twice as many.
const VERDICTS: usize = 262_144;

/// Which traces are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The share that is kept of traces that no rule keeps.
    pub share: Threshold,
    /// Which traces are slow; those are kept.
    pub slow: Slow,
    /// So many traces of each operation are kept every minute, the first.
    pub rare: u32,
    /// How long a trace waits for spans, after the last of its generation came.
    pub wait: Duration,
}

/// Which traces are slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slow {
    /// Those that took at least so long.
    AtLeast(Duration),
    /// The slowest share of each operation among those that are judged together; one at least.
    Share(f64),
}

impl Sampling {
    /// This share, the slowest hundredth of each operation, five traces of each a minute, and ten seconds.
    pub const fn new(share: Threshold) -> Self {
        Self {
            share,
            slow: Slow::Share(0.01),
            rare: 5,
            wait: Duration::from_secs(10),
        }
    }
}

/// What became of traces and spans since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sampled {
    /// Traces that were kept because a span of theirs failed.
    pub failed: u64,
    /// Traces that were kept because they were slow.
    pub slow: u64,
    /// Traces that were kept because there are few like them.
    pub rare: u64,
    /// Traces that were kept by chance: each stands for several.
    pub by_chance: u64,
    /// Traces that were left out.
    pub left_out: u64,
    /// Traces of which spans failed or were slow after others of theirs had been left out, so that a part of each is kept.
    pub late: u64,
    /// Traces that were judged before they had waited, because memory was full, or because somebody asked for it.
    pub early: u64,
    /// Spans that were kept.
    pub spans_kept: u64,
    /// Spans that were left out.
    pub spans_left_out: u64,
}

/// What is decided about a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is kept whatever chance says, and stands for itself.
    Rule,
    /// It is kept, and stands for others.
    Chance,
    /// It is not kept.
    LeftOut,
}

type Verdicts = HashMap<u128, Verdict, FoldState>;

/// Judges, and remembers.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    hasher: FoldState,
    current: Verdicts,
    last: Verdicts,
    window: Window,
    sampled: Sampled,
}

/// What was decided about the traces of a generation, and is not final yet.
#[derive(Debug)]
pub(crate) struct Round {
    verdicts: Verdicts,
    /// How many a trace that is kept by chance stands for.
    weight: f64,
    window: Window,
    sampled: Sampled,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling) -> Self {
        Self {
            sampling,
            hasher: FoldState::default(),
            current: Verdicts::default(),
            last: Verdicts::default(),
            window: Window::default(),
            sampled: Sampled::default(),
        }
    }

    pub(crate) const fn sampled(&self) -> Sampled {
        self.sampled
    }

    /// Judges the traces that have spans in `generation`, by those that are in `others` as well.
    pub(crate) fn judge(
        &self,
        generation: &[RecordBatch],
        others: &[RecordBatch],
        is_early: bool,
        now: Instant,
    ) -> Result<Round, ArrowError> {
        let facts = facts::gather(&self.hasher, generation, others)?;
        let remembered = |trace: u128| {
            self.current
                .get(&trace)
                .or_else(|| self.last.get(&trace))
                .copied()
        };
        let mut round = judge::judge(&self.sampling, &facts, remembered, self.window.clone(), now);
        if is_early {
            let Sampled {
                failed,
                slow,
                rare,
                by_chance,
                left_out,
                ..
            } = round.sampled;
            round.sampled.early = failed + slow + rare + by_chance + left_out;
        }
        Ok(round)
    }

    /// What `round` decided is so: its generation is in segments.
    pub(crate) fn commit(&mut self, round: Round) {
        self.window = round.window;
        self.sampled.add(&round.sampled);
        for (trace, verdict) in round.verdicts {
            if self.current.len() >= VERDICTS {
                self.last = mem::take(&mut self.current);
            }
            self.current.insert(trace, verdict);
        }
    }
}

impl Round {
    /// The rows of `batch` that are kept, with their weights.
    pub(crate) fn kept(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let traces = column(batch, "trace_id")?.as_fixed_size_binary();
        let verdicts: Vec<Verdict> = (0..batch.num_rows())
            .map(|row| self.verdicts.get(&trace_number(traces, row)))
            // Every trace of the generation was judged.
            .map(|verdict| verdict.copied().unwrap_or(Verdict::Rule))
            .collect();
        let is_kept: BooleanArray = verdicts
            .iter()
            .map(|verdict| Some(*verdict != Verdict::LeftOut))
            .collect();
        let kept = is_kept.true_count() as u64;
        self.sampled.spans_kept += kept;
        self.sampled.spans_left_out += batch.num_rows() as u64 - kept;
        let batch = self.weighed(batch, &verdicts)?;
        filter_record_batch(&batch, &is_kept)
    }

    /// The batch with the weights that follow from the verdicts. One that a sender kept as the sample of a smaller share stands
    /// for more already: by the same trace identifier, so that the larger of both weights holds.
    fn weighed(
        &self,
        batch: &RecordBatch,
        verdicts: &[Verdict],
    ) -> Result<RecordBatch, ArrowError> {
        let Some((at, _)) = batch.schema_ref().column_with_name(WEIGHT) else {
            return Err(ArrowError::SchemaError(format!(
                "a batch has no column {WEIGHT}"
            )));
        };
        let own = batch.column(at).as_primitive::<Float64Type>().values();
        let weights = own
            .iter()
            .zip(verdicts)
            .map(|(own, verdict)| match verdict {
                Verdict::Chance => own.max(self.weight),
                Verdict::Rule | Verdict::LeftOut => *own,
            });
        let mut columns = batch.columns().to_vec();
        columns[at] = Arc::new(Float64Array::from_iter_values(weights));
        RecordBatch::try_new(batch.schema(), columns)
    }
}

impl Sampled {
    fn add(&mut self, other: &Self) {
        self.failed += other.failed;
        self.slow += other.slow;
        self.rare += other.rare;
        self.by_chance += other.by_chance;
        self.left_out += other.left_out;
        self.late += other.late;
        self.early += other.early;
        self.spans_kept += other.spans_kept;
        self.spans_left_out += other.spans_left_out;
    }
}
