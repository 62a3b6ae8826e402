//! What the report needs of a recording, kept in memory: rows and the spans of requests.

use std::sync::{Arc, Mutex, PoisonError};

use radiosonde::core::batch::Batch;
use radiosonde::core::loss::Lost;
use radiosonde::core::model::{Record, Span};
use radiosonde::exporter::{ExportError, Exporter};
use radiosonde::rows::Rows;
use radiosonde_answers::latency::LatencyRow;
use radiosonde_answers::memory::MemoryRow;
use serde::Serialize;

/// Most spans kept for accounts; a run of 100 requests fits.
const SPANS_MAX: usize = 1_000_000;
/// Steps whose latency counts in the rows.
const STEPS_MAX: usize = 4096;

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
    /// What was lost, by reason; empty when nothing was.
    pub lost: Vec<Loss>,
    /// Where a step's time goes.
    pub latency: Vec<LatencyRow>,
    /// Where the memory is.
    pub memory: Vec<MemoryRow>,
    /// The slowest request's time, accounted for.
    pub slowest: Option<Account>,
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

struct Kept {
    rows: Rows,
    spans: Vec<Span>,
    counts: [u64; 3],
}

impl Default for Keep {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Kept {
            rows: Rows::new(STEPS_MAX),
            spans: Vec::new(),
            counts: [0; 3],
        })))
    }
}

impl Exporter for Keep {
    fn name(&self) -> &'static str {
        "demo-report"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.rows.observe(batch);
        for record in batch.records() {
            match record.to_record() {
                Record::Span(span) => {
                    kept.counts[0] += 1;
                    if kept.spans.len() < SPANS_MAX {
                        kept.spans.push(span);
                    }
                }
                Record::Log(_) => kept.counts[1] += 1,
                Record::Event(_) => kept.counts[2] += 1,
            }
        }
        Ok(())
    }
}

impl Keep {
    /// What was seen, once everything was `delivered` or `lost`.
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
            latency: kept.rows.latency(),
            memory: kept.rows.memory(),
            slowest: slowest(&kept.spans),
        }
    }
}

fn slowest(spans: &[Span]) -> Option<Account> {
    let request = spans
        .iter()
        .filter(|span| span.name == "request")
        .max_by_key(|span| (span.duration_ns(), span.span_id))?;
    let telemetry = radiosonde_answers::why::Telemetry {
        spans,
        ..Default::default()
    };
    let account = radiosonde_answers::why::trace(&telemetry, request.trace_id)?;
    Some(Account {
        text: account.to_string(),
        account,
    })
}
