//! What the report needs of a recording, kept in memory: counts, and the spans of the slowest request.
//!
//! Spans are kept as the recording has them, and become owned ones when the report is made: a run has hundreds for every
//! token, and the report shows one request's.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use radiosonde::core::batch::{Batch, RecordRef, SpanRef};
use radiosonde::core::ids::TraceId;
use radiosonde::core::loss::Lost;
use radiosonde::core::model::Span;
use radiosonde::exporter::{ExportError, Exporter};
use radiosonde_answers::latency::LatencyRow;
use radiosonde_answers::memory::MemoryRow;
use serde::Serialize;

use crate::cost::Cost;

/// Most spans kept for accounts.
const SPANS_MAX: usize = 1_000_000;
/// Spans from which on those of requests that were not the slowest are given up.
const SPANS_LOOSE: usize = 50_000;

/// What radiosonde saw.
#[derive(Debug, Clone, Serialize)]
pub struct Observed {
    /// Whether every record reached its destination.
    pub delivered: bool,
    /// Spans recorded.
    pub spans: u64,
    /// Logs recorded.
    pub logs: u64,
    /// Typed events recorded.
    pub events: u64,
    /// The share of requests that is recorded: below 1 everything here is of a sample of them.
    pub sample_ratio: f64,
    /// What was lost, by reason; empty when nothing was.
    pub lost: Vec<Loss>,
    /// Where a step's time goes, over the last steps.
    pub latency: Vec<LatencyRow>,
    /// Where the memory is.
    pub memory: Vec<MemoryRow>,
    /// The time of the slowest request that was recorded, accounted for.
    pub slowest: Option<Account>,
    /// What recording costs; absent unless `--recording alternate`.
    pub cost: Option<Cost>,
}

/// Records lost for one reason.
#[derive(Debug, Clone, Serialize)]
pub struct Loss {
    /// The reason.
    pub reason: &'static str,
    /// How many.
    pub records: u64,
}

/// An account of one request's time: the document for programs, the text for people.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// The account's words, drawn to scale.
    #[serde(skip)]
    pub text: String,
    /// The account itself.
    #[serde(flatten)]
    pub account: radiosonde_answers::why::Account,
}

/// Keeps what the report needs. Clones share what they keep.
#[derive(Clone)]
pub struct Keep(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    counts: [u64; 3],
    /// Batches of spans, and how many they hold.
    spans: Vec<Batch>,
    span_count: usize,
    /// The number of spans from which on it is tried to give some up.
    room: usize,
    /// The slowest request that ended.
    slowest: Option<Ended>,
    /// Other requests that ended, whose spans are still kept.
    others: HashSet<TraceId>,
}

/// A request that ended; the slowest is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ended {
    duration_ns: u64,
    trace_id: TraceId,
}

impl Default for Keep {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Kept {
            room: SPANS_LOOSE,
            ..Kept::default()
        })))
    }
}

impl Exporter for Keep {
    fn name(&self) -> &'static str {
        "demo-report"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spans = batch.filtered(|record| match record {
            RecordRef::Span(span) => {
                kept.counts[0] += 1;
                if span.name() == "request" {
                    kept.ended(*span);
                }
                true
            }
            RecordRef::Log(_) => {
                kept.counts[1] += 1;
                false
            }
            RecordRef::Event(_) => {
                kept.counts[2] += 1;
                false
            }
        });
        kept.keep(spans);
        Ok(())
    }
}

impl Kept {
    fn ended(&mut self, request: SpanRef<'_>) {
        let ended = Ended {
            duration_ns: request
                .end_unix_ns()
                .saturating_sub(request.start_unix_ns()),
            trace_id: request.trace_id(),
        };
        let faster = match self.slowest {
            Some(slowest) if slowest >= ended => Some(ended),
            _ => self.slowest.replace(ended),
        };
        self.others.extend(faster.map(|request| request.trace_id));
    }

    fn keep(&mut self, spans: Batch) {
        if spans.is_empty() || self.span_count >= SPANS_MAX {
            return;
        }
        self.span_count += spans.len();
        self.spans.push(spans);
        if self.span_count < self.room {
            return;
        }
        let others = std::mem::take(&mut self.others);
        for batch in &mut self.spans {
            *batch =
                batch.filtered(|record| record.trace_id().is_none_or(|id| !others.contains(&id)));
        }
        self.spans.retain(|batch| !batch.is_empty());
        self.span_count = self.spans.iter().map(Batch::len).sum();
        self.room = (2 * self.span_count).max(SPANS_LOOSE);
    }

    fn account(&self) -> Option<Account> {
        let trace_id = self.slowest?.trace_id;
        let spans: Vec<Span> = self
            .spans
            .iter()
            .flat_map(Batch::spans)
            .filter(|span| span.trace_id() == trace_id)
            .map(|span| span.to_span())
            .collect();
        let telemetry = radiosonde_answers::why::Telemetry {
            spans: &spans,
            ..Default::default()
        };
        let account = radiosonde_answers::why::trace(&telemetry, trace_id)?;
        Some(Account {
            text: account.to_string(),
            account,
        })
    }
}

impl Keep {
    /// What was seen, once everything was `delivered` or `lost`, without rows, as if every request was recorded.
    pub fn observed(&self, delivered: bool, lost: &[(Lost, u64)]) -> Observed {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [spans, logs, events] = kept.counts;
        Observed {
            delivered: delivered && lost.is_empty(),
            spans,
            logs,
            events,
            lost: lost
                .iter()
                .map(|&(reason, records)| Loss {
                    reason: reason.label(),
                    records,
                })
                .collect(),
            sample_ratio: 1.0,
            latency: Vec::new(),
            memory: Vec::new(),
            slowest: kept.account(),
            cost: None,
        }
    }
}
