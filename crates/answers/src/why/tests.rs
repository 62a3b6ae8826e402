use std::borrow::Cow;

use proptest::prelude::*;
use radiosonde_core::model::{Attributes, Place, Severity, SpanKind, Status, Value};

use super::*;

mod broken;
mod readings;
mod scenarios;
mod selection;
mod size;

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const MS: u64 = 1_000_000;

fn trace_id() -> TraceId {
    TraceId::new(TRACE).unwrap()
}

fn id(number: u64) -> SpanId {
    SpanId::new(number).unwrap()
}

/// A trace under construction. Times are in milliseconds from its start.
struct Script {
    spans: Vec<Span>,
    events: Vec<EventRecord>,
    logs: Vec<Log>,
}

impl Script {
    /// A root span called `request` of this length; it is span 1.
    fn new(ms: u64) -> Self {
        let mut script = Self {
            spans: Vec::new(),
            events: Vec::new(),
            logs: Vec::new(),
        };
        script.push(None, "request", 0, ms);
        script
    }

    fn push(&mut self, parent: Option<u64>, name: &str, start: u64, end: u64) -> u64 {
        let number = self.spans.len() as u64 + 1;
        self.spans.push(Span {
            trace_id: trace_id(),
            span_id: id(number),
            parent_id: parent.map(id),
            name: Cow::Owned(name.to_owned()),
            target: Cow::Borrowed("test"),
            start_unix_ns: 1_000_000_000 * MS + start * MS,
            end_unix_ns: 1_000_000_000 * MS + end * MS,
            severity: Severity::Info,
            kind: SpanKind::Internal,
            status: Status::Unset,
            thread: 1,
            correlation_id: None,
            attributes: Attributes::new(),
            links: Vec::new(),
        });
        number
    }

    /// A child of the span `parent`, from `start` to `end`; its number.
    fn span(&mut self, parent: u64, name: &str, start: u64, end: u64) -> u64 {
        self.push(Some(parent), name, start, end)
    }

    fn with(&mut self, span: u64, key: &'static str, value: impl Into<Value>) -> &mut Self {
        let attributes = &mut self.spans[span as usize - 1].attributes;
        attributes.push((Cow::Borrowed(key), value.into()));
        self
    }

    fn cpu(&mut self, span: u64, ms: u64) -> &mut Self {
        self.with(span, CPU_ATTRIBUTE, ms * MS)
    }

    fn kind(&mut self, span: u64, kind: SpanKind) -> &mut Self {
        self.spans[span as usize - 1].kind = kind;
        self
    }

    fn thread(&mut self, span: u64, thread: u32) -> &mut Self {
        self.spans[span as usize - 1].thread = thread;
        self
    }

    fn place(&self, span: u64) -> Place {
        let span = &self.spans[span as usize - 1];
        Place {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_id: span.parent_id,
            span_name: span.name.clone(),
        }
    }

    fn event(
        &mut self,
        span: u64,
        type_name: &'static str,
        end: u64,
        data: Vec<(&'static str, Value)>,
    ) {
        self.events.push(EventRecord {
            time_unix_ns: 1_000_000_000 * MS + end * MS,
            place: Some(self.place(span)),
            type_name: Cow::Borrowed(type_name),
            name: Cow::Borrowed(""),
            severity: Severity::Info,
            thread: 1,
            correlation_id: None,
            data: data
                .into_iter()
                .map(|(name, value)| (Cow::Borrowed(name), value))
                .collect(),
        });
    }

    fn warn(&mut self, span: u64, at: u64, message: &'static str) {
        self.logs.push(Log {
            time_unix_ns: 1_000_000_000 * MS + at * MS,
            place: Some(self.place(span)),
            severity: Severity::Warn,
            target: Cow::Borrowed("test"),
            message: Cow::Borrowed(message),
            thread: 1,
            correlation_id: None,
            attributes: Attributes::new(),
        });
    }

    fn telemetry(&self) -> Telemetry<'_> {
        Telemetry {
            spans: &self.spans,
            logs: &self.logs,
            events: &self.events,
        }
    }

    fn account(&self) -> Account {
        let account = slowest(&self.telemetry()).unwrap();
        assert_tiles(&account);
        account
    }
}

fn assert_tiles(account: &Account) {
    let segments: u64 = account
        .segments
        .iter()
        .map(|segment| segment.duration_ns)
        .sum();
    assert_eq!(
        segments + account.residual_ns,
        account.interval.duration_ns,
        "{account}"
    );
}

/// The cause, or `None` for "cannot tell".
fn cause(account: &Account) -> Option<Cause> {
    match &account.verdict {
        Verdict::Cause { cause, .. } => Some(*cause),
        Verdict::CannotTell { .. } => None,
    }
}
