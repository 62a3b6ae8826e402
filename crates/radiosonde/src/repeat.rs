//! What happens to a batch before any exporter sees it: identical lines in a row become one line and one that says
//! how often it came again, a line of code may be held to a rate, and events outside the trace sample are left out.
//!
//! Invariants: a line is only folded into the line directly before it among the logs; every line that is not passed
//! on is counted, either in the "repeated" line or under `Lost::RateLimited`. A batch in which nothing changes is
//! passed on as it is, without a copy.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use radiosonde_core::{
    ValueRef,
    batch::{Batch, LogRef, Parts, RecordRef},
    loss::{self, Lost},
    model::Severity,
};
use tracing::{Callsite as _, Level, Metadata, metadata::Kind};

const SECOND_NS: u64 = 1_000_000_000;
/// A line that keeps coming is reported this often.
const REPORT_INTERVAL_NS: u64 = 10 * SECOND_NS;
/// Callsites whose rate is followed; further ones are not limited.
const CALLSITES_MAX: usize = 4096;

/// How lines are thinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thinning {
    /// Whether identical lines in a row become one.
    pub fold: bool,
    /// How many lines a second one line of code may write; `None` for as many as it likes.
    pub lines_per_second_max: Option<u32>,
}

impl Default for Thinning {
    /// Folds, and limits nothing.
    fn default() -> Self {
        Self {
            fold: true,
            lines_per_second_max: None,
        }
    }
}

static VOLUME: [AtomicU64; SEVERITIES.len()] = [const { AtomicU64::new(0) }; SEVERITIES.len()];
const SEVERITIES: [Severity; 5] = [
    Severity::Trace,
    Severity::Debug,
    Severity::Info,
    Severity::Warn,
    Severity::Error,
];

/// How many log lines the program has written at each severity, those that were thinned out included.
pub fn volume() -> [(Severity, u64); SEVERITIES.len()] {
    std::array::from_fn(|index| (SEVERITIES[index], VOLUME[index].load(Relaxed)))
}

/// The state between batches.
#[derive(Debug)]
pub(crate) struct Thinner {
    thinning: Thinning,
    /// The last line, alone in a batch of its own.
    last: Option<Batch>,
    /// How often it came again, and when it first and last did.
    repeated: u64,
    first_unix_ns: u64,
    last_unix_ns: u64,
    /// Lines in the current second, by the address of the callsite's description.
    rates: HashMap<usize, Rate>,
}

#[derive(Debug, Default)]
struct Rate {
    second: u64,
    lines: u32,
}

impl Thinner {
    pub(crate) fn new(thinning: Thinning) -> Self {
        Self {
            thinning,
            last: None,
            repeated: 0,
            first_unix_ns: 0,
            last_unix_ns: 0,
            rates: HashMap::new(),
        }
    }

    /// What exporters get of `batch`.
    pub(crate) fn thin(&mut self, batch: &Arc<Batch>) -> Arc<Batch> {
        let last = self.last.take();
        let mut previous = last.as_ref().and_then(|last| last.logs().next());
        let mut changed: Option<Batch> = None;
        let mut volume = [0_u64; SEVERITIES.len()];
        for (index, record) in batch.records().enumerate() {
            let keep = match &record {
                RecordRef::Log(log) => {
                    volume[severity_index(log)] += 1;
                    let before = previous.replace(*log);
                    self.takes(log, before.as_ref(), || {
                        changed.get_or_insert_with(|| first_records(batch, index))
                    })
                }
                RecordRef::Span(_) => true,
                RecordRef::Event(_) => record.is_kept(),
            };
            if !keep {
                changed.get_or_insert_with(|| first_records(batch, index));
            } else if let Some(out) = &mut changed {
                out.push(&record);
            }
        }
        for (total, lines) in VOLUME.iter().zip(volume) {
            total.fetch_add(lines, Relaxed);
        }
        if let Some(previous) = previous {
            if self.last_unix_ns.saturating_sub(self.first_unix_ns) >= REPORT_INTERVAL_NS {
                let out = changed.get_or_insert_with(|| first_records(batch, batch.len()));
                self.report(&previous, out);
            }
            let mut last = Batch::new(Arc::clone(batch.resource()));
            last.push(&RecordRef::Log(previous));
            self.last = Some(last);
        }
        changed.map_or_else(|| Arc::clone(batch), Arc::new)
    }

    /// What is still to be said about the last line, if anything.
    pub(crate) fn finish(&mut self) -> Option<Batch> {
        let last = self.last.take()?;
        let mut out = Batch::new(Arc::clone(last.resource()));
        if let Some(log) = last.logs().next() {
            self.report(&log, &mut out);
        }
        self.last = Some(last);
        (!out.is_empty()).then_some(out)
    }

    /// Whether the line is passed on. A report about the line `before` goes to what `out` gives.
    fn takes<'o>(
        &mut self,
        log: &LogRef<'_>,
        before: Option<&LogRef<'_>>,
        out: impl FnOnce() -> &'o mut Batch,
    ) -> bool {
        if let Some(before) = before {
            if self.thinning.fold && log.repeats(before) {
                if self.repeated == 0 {
                    self.first_unix_ns = log.time_unix_ns();
                }
                self.repeated += 1;
                self.last_unix_ns = log.time_unix_ns();
                return false;
            }
            if self.repeated > 0 {
                self.report(before, out());
            }
        }
        self.is_within_rate(log)
    }

    /// Says in `out` how often the line `like` came again since the last report.
    fn report(&mut self, like: &LogRef<'_>, out: &mut Batch) {
        if self.repeated > 0 {
            let message = format!("repeated {} times", self.repeated);
            let place = like.place();
            let correlation_id = like.correlation_id();
            let parts = Parts {
                trace_id: place.map(|place| place.trace_id),
                span_id: place.map(|place| place.span_id),
                parent_id: place.and_then(|place| place.parent_id),
                flags: like.flags(),
                time_unix_ns: self.last_unix_ns,
                thread: like.thread(),
                correlation_id: correlation_id.as_deref().unwrap_or_default(),
                attributes: &[
                    ("message", ValueRef::Str(&message)),
                    ("repeated", ValueRef::U64(self.repeated)),
                ],
                links: &[],
            };
            out.push_log(repeated_metadata(), like.span(), &parts);
        }
        self.repeated = 0;
        self.first_unix_ns = 0;
        self.last_unix_ns = 0;
    }

    fn is_within_rate(&mut self, log: &LogRef<'_>) -> bool {
        let Some(lines_max) = self.thinning.lines_per_second_max else {
            return true;
        };
        let callsite = std::ptr::from_ref(log.metadata()).addr();
        if self.rates.len() >= CALLSITES_MAX && !self.rates.contains_key(&callsite) {
            return true;
        }
        let rate = self.rates.entry(callsite).or_default();
        let second = log.time_unix_ns() / SECOND_NS;
        if rate.second != second {
            *rate = Rate { second, lines: 0 };
        }
        rate.lines = rate.lines.saturating_add(1);
        let within = rate.lines <= lines_max;
        if !within {
            loss::count(Lost::RateLimited, 1);
        }
        within
    }
}

fn repeated_metadata() -> &'static Metadata<'static> {
    tracing::callsite! {
        name: "repeated",
        kind: Kind::EVENT,
        target: "radiosonde",
        level: Level::INFO,
        fields: message, repeated
    }
    .metadata()
}

fn severity_index(log: &LogRef<'_>) -> usize {
    let severity = Severity::from(*log.metadata().level());
    SEVERITIES
        .iter()
        .position(|&other| other == severity)
        .unwrap_or_default()
}

/// A batch of the first `count` records of `batch`.
fn first_records(batch: &Batch, count: usize) -> Batch {
    let mut first = Batch::new(Arc::clone(batch.resource()));
    for record in batch.records().take(count) {
        first.push(&record);
    }
    first
}
