//! Why a request took as long as it did: its time, divided without a remainder, and a verdict or an honest "cannot
//! tell".
//!
//! [`trace`] accounts for one trace, [`span`] for a part of one, [`window`] for everything that ended in an interval,
//! [`selection`] for any requests together, with what the slow ones have that the typical ones have not.
//! The [`Account`] that comes back holds segments that add up to the measured time together with what is
//! unattributed, findings that cite spans, alternatives with the number that rules each out, what could not be
//! assessed and why, and a [`Verdict`]. It prints as a page of text and serialises with a stable schema.
//!
//! Invariants, each held by a property test:
//! * Segments and residual add up to the measured duration in whole nanoseconds, for every set of spans whatsoever.
//! * The same records give the same words, in whatever order they come.
//! * A cause is named only when no way of giving out the unattributed time would make another cause larger.

use std::fmt;

use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::{EventRecord, Log, Span},
};
use serde::{Serialize, Serializer};

use crate::compare::Side;

mod account;
mod category;
mod cpu;
pub(crate) mod findings;
mod patterns;
pub(crate) mod render;
mod reported;
pub(crate) mod root;
pub(crate) mod segments;
mod selection;
pub(crate) mod tile;
pub(crate) mod trace;
mod verdict;

pub use category::{Category, PHASE_ATTRIBUTE};
pub use selection::{Selection, Slow};
pub use trace::CPU_ATTRIBUTE;

/// The version of the JSON form. It changes when a field changes its meaning or goes away, not when one is added.
pub const SCHEMA: u32 = 1;

/// The records to answer from, in any order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telemetry<'a> {
    /// Spans that ended.
    pub spans: &'a [Span],
    /// Logs; those of a trace are cited where they warn of something.
    pub logs: &'a [Log],
    /// Events; those that report phases take part in the account.
    pub events: &'a [EventRecord],
}

/// Where the time of something went, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Account {
    /// The version of this form: [`SCHEMA`].
    pub schema: u32,
    /// What is accounted for.
    pub subject: Subject,
    /// The measured interval.
    pub interval: Interval,
    /// Spans that were read.
    pub spans: u64,
    /// Where the time went, largest first. With `residual_ns` they add up to the interval's duration.
    pub segments: Vec<Segment>,
    /// Time that nobody accounts for, in nanoseconds.
    pub residual_ns: u64,
    /// The largest stretches of that time, at most three.
    pub gaps: Vec<Gap>,
    /// The answer.
    pub verdict: Verdict,
    /// What else was seen.
    pub findings: Vec<Finding>,
    /// Kinds of time that were seen and cannot be the cause.
    pub ruled_out: Vec<RuledOut>,
    /// What the records do not say.
    pub not_assessed: Vec<NotAssessed>,
}

/// What an account is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// A trace, or the part of one under a span.
    Trace {
        /// The trace.
        #[serde(serialize_with = "as_text")]
        trace_id: TraceId,
        /// The span whose time it is.
        #[serde(serialize_with = "as_text")]
        span_id: SpanId,
        /// That span's name.
        name: String,
    },
    /// Everything that ended in an interval, each request's time counted by itself.
    Window {
        /// How many requests.
        requests: u64,
    },
    /// Requests that were selected, each one's time counted by itself.
    Selection {
        /// What they are, in words.
        of: String,
        /// How many requests.
        requests: u64,
    },
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// Start, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// End, in nanoseconds since the Unix epoch.
    pub end_unix_ns: u64,
    /// The measured time in nanoseconds: end minus start of a trace, the requests' sum of a window.
    pub duration_ns: u64,
}

/// Time of one kind under one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// What kind of time.
    pub category: Category,
    /// The spans' name, with numbers replaced by `*`.
    pub label: String,
    /// Its part of the measured time, in nanoseconds.
    pub duration_ns: u64,
    /// The same as a share, 0 to 1.
    pub share: f64,
    /// How many spans it lies in.
    pub spans: u64,
    /// Those spans' durations added up, whether or not at the same time, in nanoseconds.
    pub total_ns: u64,
    /// `measured`, or `estimated` where CPU time was spread evenly over a span.
    pub provenance: &'static str,
    /// The largest of those spans, at most three.
    pub evidence: Vec<Evidence>,
}

/// A span that shows what is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Its trace.
    #[serde(serialize_with = "as_text")]
    pub trace_id: TraceId,
    /// The span, or the span in which the phase was reported.
    #[serde(serialize_with = "as_text")]
    pub span_id: SpanId,
    /// The span's or phase's name.
    pub name: String,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
}

/// Time in which nothing recorded ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The span in whose own time it lies.
    pub inside: Evidence,
    /// The child that ended before it.
    pub after: Option<String>,
    /// The child that began after it.
    pub before: Option<String>,
    /// How long, in nanoseconds.
    pub duration_ns: u64,
}

/// What makes something slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It waited to be taken up.
    Queue,
    /// It waited for a lock.
    Lock,
    /// It loaded, compiled or warmed up.
    ColdStart,
    /// It turned values into bytes or bytes into values.
    Serialization,
    /// It ran in a Python worker.
    Python,
    /// It computed.
    Cpu,
    /// It did not run, for a reason that was not recorded.
    Wait,
    /// It waited for a disk, a network, a database or another service.
    Io,
    /// It made many small calls to such, one after the other.
    ManyCalls,
    /// A GPU computed.
    Gpu,
    /// It waited for a GPU.
    GpuWait,
    /// It moved data between host and device.
    Transfer,
    /// One of many alike took far longer than the others.
    Outlier,
    /// One named phase.
    Phase,
    /// Time between recorded spans, which nothing recorded explains.
    Gaps,
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// More than everything that could speak against it, by less than twice or by an estimate.
    Medium,
    /// At least 60 % of the time, and at least twice everything that could speak against it, without what is estimated.
    High,
}

/// The answer to "why is it slow".
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// This is why.
    Cause {
        /// The cause.
        cause: Cause,
        /// The spans' name, where one stands for it.
        label: Option<String>,
        /// How much of the time it is, in nanoseconds.
        duration_ns: u64,
        /// The same as a share, 0 to 1.
        share: f64,
        /// How sure that is.
        confidence: Confidence,
        /// The answer in a sentence.
        words: String,
        /// The spans that show it, at most three.
        evidence: Vec<Evidence>,
    },
    /// The records do not say.
    CannotTell {
        /// Why not, and what would help.
        because: String,
    },
}

/// Something seen that bears on the answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What, in a sentence.
    pub words: String,
    /// The spans that show it, at most three.
    pub evidence: Vec<Evidence>,
}

/// A kind of time that was seen and cannot be the cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuledOut {
    /// The kind.
    pub category: Category,
    /// The name, where all of it has one.
    pub label: Option<String>,
    /// What was seen of it, in nanoseconds.
    pub seen_ns: u64,
    /// What it could be at most, were all unattributed time of this kind, in nanoseconds.
    pub at_most_ns: u64,
    /// The same as a share, 0 to 1.
    pub at_most_share: f64,
}

/// Something the records do not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotAssessed {
    /// What.
    pub what: String,
    /// Why not, and what would help.
    pub because: String,
}

/// A trace that can be accounted for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The trace.
    #[serde(serialize_with = "as_text")]
    pub trace_id: TraceId,
    /// Its root.
    #[serde(serialize_with = "as_text")]
    pub span_id: SpanId,
    /// The root's name.
    pub name: String,
    /// Whether the root itself was recorded. Where it was not, it had not ended, and its time is that of its parts.
    pub complete: bool,
    /// The root's start, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// The root's duration, in nanoseconds.
    pub duration_ns: u64,
    /// How many spans the trace has.
    pub spans: u64,
}

fn as_text<T: fmt::Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Whether events of this type take part in an account: they report phases of what is going on.
pub fn takes_part(type_name: &str) -> bool {
    reported::takes_part(type_name)
}

/// Whether an attribute of this name is part of what a span is called: the number of a block, of a shard.
pub fn is_index(attribute: &str) -> bool {
    trace::is_index(attribute)
}

/// The traces among `spans`, slowest root first, those whose root was not recorded last.
pub fn candidates(spans: &[Span]) -> Vec<Candidate> {
    account::candidates(spans)
}

/// The account of a trace; `None` when none of its spans are among the records.
pub fn trace(telemetry: &Telemetry<'_>, trace_id: TraceId) -> Option<Account> {
    account::of_trace(telemetry, trace_id, None)
}

/// The account of a span and what is below it; `None` when it is not among the records.
pub fn span(telemetry: &Telemetry<'_>, trace_id: TraceId, span_id: SpanId) -> Option<Account> {
    account::of_trace(telemetry, trace_id, Some(span_id))
}

/// The account of the trace with the slowest root; `None` when there are no spans.
pub fn slowest(telemetry: &Telemetry<'_>) -> Option<Account> {
    let candidate = account::candidates(telemetry.spans).into_iter().next()?;
    trace(telemetry, candidate.trace_id)
}

/// The account of every trace whose root ended from `start_unix_ns` on and before `end_unix_ns`; `None` when there is
/// none. Each request's time counts by itself, so the measured time is the requests' sum.
pub fn window(telemetry: &Telemetry<'_>, start_unix_ns: u64, end_unix_ns: u64) -> Option<Account> {
    account::of_window(telemetry, start_unix_ns, end_unix_ns)
}

/// The account of all requests among `records`, each one's time counted by itself, and what the slow ones have that
/// the typical ones have not; `None` where there is none. `of` says what they are, unless they are everything.
pub fn selection(records: &Side<'_>, of: Option<&str>) -> Option<Selection> {
    selection::selection(records, of)
}

#[cfg(test)]
mod tests;
