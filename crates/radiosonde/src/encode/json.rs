//! Records as JSON: `{"ts","trace_id","span_id","parent_id","span_name","event":{"type","data"}}`, one line each
//! (docs/recording.md). A batch is read by reference, an owned record gives the same bytes.
//!
//! Invariants: one record is one line and the only newline is its last byte; no field comes twice (the last value
//! wins); an identifier is never written as zero; secrets are replaced by the encoder's [`Redaction`].

mod cache;
mod callsite;
mod envelope;
#[cfg(feature = "backends")]
pub(crate) mod fields;
mod plain;
mod value;

#[cfg(feature = "otlp-http")]
pub(crate) mod text {
    //! Texts and numbers, for formats that are JSON of another shape.
    pub(crate) use super::value::{push_escaped, push_f64};
}

use std::fmt;

use radiosonde_core::{
    batch::{Batch, LogRef, RecordRef, SpanRef},
    ids::SpanId,
    model::{EventRecord, Link, Log, Record, Severity, Span, SpanKind, Status},
};

pub(crate) use self::envelope::envelope_of;
use self::{
    cache::{Names, Seen},
    callsite::Callsites,
    envelope::{Envelope, EnvelopePlace, owned_envelope},
    value::{JsonValue, push_hex_u64, push_text, push_u64},
};
use super::time::Rfc3339;
use crate::redact::{Redaction, Sensitivity};

/// The `type` of a span's line.
pub const SPAN_TYPE: &str = "Span";
/// The `type` of a log's line.
pub const LOG_TYPE: &str = "Log";

/// How span identifiers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Identifiers {
    /// 16 lower-case hexadecimal digits in quotes.
    #[default]
    Hexadecimal,
    /// Plain numbers, as programs that read the older line shape expect.
    Numbers,
}

/// Writes records as lines of JSON. Keep one for many batches: it remembers names and the last second.
pub struct JsonEncoder {
    identifiers: Identifiers,
    redaction: Redaction,
    clock: Rfc3339,
    names: Names,
    callsites: Callsites,
}

impl fmt::Debug for JsonEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonEncoder")
            .field("identifiers", &self.identifiers)
            .field("redaction", &self.redaction)
            .finish_non_exhaustive()
    }
}

/// What a span's `data` holds besides attributes and links.
struct SpanHead<'a> {
    start_unix_ns: u64,
    end_unix_ns: u64,
    severity: Severity,
    target: &'a str,
    kind: SpanKind,
    status: SpanStatus<'a>,
    thread: u32,
    correlation_id: Option<&'a str>,
}

#[derive(Clone, Copy)]
enum SpanStatus<'a> {
    Unset,
    Ok,
    Error(&'a str),
}

/// What a log's `data` holds besides attributes.
struct LogHead<'a> {
    severity: Severity,
    target: &'a str,
    message: &'a str,
    thread: u32,
    correlation_id: Option<&'a str>,
}

impl Default for JsonEncoder {
    fn default() -> Self {
        Self::new(Redaction::default())
    }
}

impl JsonEncoder {
    /// An encoder that replaces secrets as `redaction` says.
    pub fn new(redaction: Redaction) -> Self {
        Self {
            identifiers: Identifiers::default(),
            redaction,
            clock: Rfc3339::new(),
            names: Names::new(),
            callsites: Callsites::new(),
        }
    }

    /// The same with span identifiers written as `identifiers` says.
    #[must_use]
    pub const fn with_identifiers(mut self, identifiers: Identifiers) -> Self {
        self.identifiers = identifiers;
        self
    }

    /// Appends one line for each record of `batch`.
    pub fn batch(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        for record in batch.records() {
            self.line(&record, out);
        }
    }

    /// Appends the line of a record in a batch.
    pub fn line(&mut self, record: &RecordRef<'_>, out: &mut Vec<u8>) {
        self.envelope(&envelope_of(record), out);
        self.data(record, out);
        out.extend_from_slice(b"}}\n");
    }

    /// Appends the line of an owned record: the same bytes as for the record in a batch that it was copied from.
    pub fn owned_line(&mut self, record: &Record, out: &mut Vec<u8>) {
        self.envelope(&owned_envelope(record), out);
        match record {
            Record::Span(span) => self.owned_span(span, out),
            Record::Log(log) => self.owned_log(log, out),
            Record::Event(event) => self.owned_event(event, out),
        }
        out.extend_from_slice(b"}}\n");
    }

    /// Appends the `data` object of a record in a batch.
    pub(crate) fn data(&mut self, record: &RecordRef<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        let is_plain = match record {
            RecordRef::Span(span) => self.plain_span(span, out),
            RecordRef::Log(log) => self.plain_log(log, out),
            RecordRef::Event(event) => self.plain_event(event, out),
        };
        if is_plain {
            return;
        }
        out.truncate(start);
        match record {
            RecordRef::Span(span) => self.span(span, out),
            RecordRef::Log(log) => self.log(log, out),
            RecordRef::Event(event) => self.object(|| event.fields(), out),
        }
    }

    /// Appends the time of a record as it stands in `ts`.
    #[cfg(feature = "sqlite")]
    pub(crate) fn time(&mut self, unix_ns: u64, out: &mut Vec<u8>) {
        self.clock.write(unix_ns, out);
    }

    /// What is replaced.
    #[cfg(feature = "sqlite")]
    pub(crate) const fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    fn envelope(&mut self, envelope: &Envelope<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"ts\":\"");
        self.clock.write(envelope.time_unix_ns, out);
        match &envelope.place {
            Some(place) => self.place(place, out),
            None => out.extend_from_slice(
                b"\",\"trace_id\":null,\"span_id\":null,\"parent_id\":null,\"span_name\":null",
            ),
        }
        out.extend_from_slice(b",\"event\":{\"type\":");
        out.extend_from_slice(self.names.get(envelope.type_name, &self.redaction).text());
        out.extend_from_slice(b",\"data\":");
    }

    fn place(&self, place: &EnvelopePlace<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\",\"trace_id\":\"");
        let (high, low) = place.trace_id.words();
        push_hex_u64(high, out);
        push_hex_u64(low, out);
        out.extend_from_slice(b"\",\"span_id\":");
        self.identifier(place.span_id, out);
        out.extend_from_slice(b",\"parent_id\":");
        match place.parent_id {
            Some(parent_id) => self.identifier(parent_id, out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"span_name\":");
        if place.span_name.is_empty() {
            out.extend_from_slice(b"null");
        } else {
            self.text(place.span_name, out);
        }
    }

    fn identifier(&self, id: SpanId, out: &mut Vec<u8>) {
        match self.identifiers {
            Identifiers::Hexadecimal => {
                out.push(b'"');
                push_hex_u64(id.bits(), out);
                out.push(b'"');
            }
            Identifiers::Numbers => push_u64(id.bits(), out),
        }
    }

    /// Text in quotes, without secrets.
    fn text(&self, text: &str, out: &mut Vec<u8>) {
        push_text(text, &self.redaction, out);
    }

    fn span(&mut self, span: &SpanRef<'_>, out: &mut Vec<u8>) {
        let overrides = span.overrides();
        let metadata = span.metadata();
        let correlation_id = span.correlation_id();
        let head = SpanHead {
            start_unix_ns: span.start_unix_ns(),
            end_unix_ns: span.end_unix_ns(),
            severity: Severity::from(*metadata.level()),
            target: metadata.target(),
            kind: overrides.kind.unwrap_or_default(),
            status: match overrides.ok {
                None => SpanStatus::Unset,
                Some(true) => SpanStatus::Ok,
                Some(false) => SpanStatus::Error(overrides.message.unwrap_or_default()),
            },
            thread: span.thread(),
            correlation_id: correlation_id.as_deref(),
        };
        self.span_data(&head, || span.attributes(), span.links(), out);
    }

    fn owned_span(&mut self, span: &Span, out: &mut Vec<u8>) {
        let head = SpanHead {
            start_unix_ns: span.start_unix_ns,
            end_unix_ns: span.end_unix_ns,
            severity: span.severity,
            target: &span.target,
            kind: span.kind,
            status: match &span.status {
                Status::Unset => SpanStatus::Unset,
                Status::Ok => SpanStatus::Ok,
                Status::Error(message) => SpanStatus::Error(message),
            },
            thread: span.thread,
            correlation_id: span.correlation_id.as_deref(),
        };
        let attributes = || {
            span.attributes
                .iter()
                .map(|(name, value)| (name.as_ref(), value))
        };
        self.span_data(&head, attributes, span.links.iter().copied(), out);
    }

    fn span_data<'a, V: JsonValue, I: Iterator<Item = (&'a str, V)>>(
        &mut self,
        head: &SpanHead<'_>,
        attributes: impl Fn() -> I,
        links: impl Iterator<Item = Link>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"{\"start\":\"");
        self.clock.write(head.start_unix_ns, out);
        out.extend_from_slice(b"\",\"end\":\"");
        self.clock.write(head.end_unix_ns, out);
        out.extend_from_slice(b"\",\"duration_ns\":");
        push_u64(head.end_unix_ns.saturating_sub(head.start_unix_ns), out);
        self.level_and_target(b",\"level\":\"", head.severity, head.target, out);
        out.extend_from_slice(b",\"kind\":\"");
        out.extend_from_slice(head.kind.text().as_bytes());
        out.extend_from_slice(match head.status {
            SpanStatus::Unset => b"\",\"status\":\"unset\"",
            SpanStatus::Ok => b"\",\"status\":\"ok\"",
            SpanStatus::Error(_) => b"\",\"status\":\"error\"".as_slice(),
        });
        if let SpanStatus::Error(message) = head.status
            && !message.is_empty()
        {
            out.extend_from_slice(b",\"message\":");
            self.text(message, out);
        }
        self.thread_and_correlation(head.thread, head.correlation_id, out);
        out.extend_from_slice(b",\"attributes\":");
        self.object(attributes, out);
        out.extend_from_slice(b",\"links\":[");
        for (index, link) in links.enumerate() {
            out.extend_from_slice(if index == 0 {
                b"{\"trace_id\":\""
            } else {
                b",{\"trace_id\":\"".as_slice()
            });
            let (high, low) = link.trace_id.words();
            push_hex_u64(high, out);
            push_hex_u64(low, out);
            out.extend_from_slice(b"\",\"span_id\":");
            self.identifier(link.span_id, out);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }

    fn log(&mut self, log: &LogRef<'_>, out: &mut Vec<u8>) {
        let correlation_id = log.correlation_id();
        let head = LogHead {
            severity: Severity::from(*log.metadata().level()),
            target: log.target(),
            message: log.message(),
            thread: log.thread(),
            correlation_id: correlation_id.as_deref(),
        };
        self.log_data(&head, || log.attributes(), out);
    }

    fn owned_log(&mut self, log: &Log, out: &mut Vec<u8>) {
        let head = LogHead {
            severity: log.severity,
            target: &log.target,
            message: &log.message,
            thread: log.thread,
            correlation_id: log.correlation_id.as_deref(),
        };
        self.log_data(
            &head,
            || {
                log.attributes
                    .iter()
                    .map(|(name, value)| (name.as_ref(), value))
            },
            out,
        );
    }

    fn log_data<'a, V: JsonValue, I: Iterator<Item = (&'a str, V)>>(
        &mut self,
        head: &LogHead<'_>,
        attributes: impl Fn() -> I,
        out: &mut Vec<u8>,
    ) {
        self.level_and_target(b"{\"level\":\"", head.severity, head.target, out);
        out.extend_from_slice(b",\"message\":");
        self.text(head.message, out);
        self.thread_and_correlation(head.thread, head.correlation_id, out);
        out.extend_from_slice(b",\"attributes\":");
        self.object(attributes, out);
        out.push(b'}');
    }

    fn owned_event(&mut self, event: &EventRecord, out: &mut Vec<u8>) {
        // Data of an unknown type that is no object is kept under an empty name (docs/recording.md).
        if let [(name, value)] = event.data.as_slice()
            && name.is_empty()
        {
            (&value).push(Sensitivity::Open, &self.redaction, out);
            return;
        }
        self.object(
            || {
                event
                    .data
                    .iter()
                    .map(|(name, value)| (name.as_ref(), value))
            },
            out,
        );
    }

    fn level_and_target(
        &mut self,
        before: &[u8],
        severity: Severity,
        target: &str,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(before);
        out.extend_from_slice(severity.text().as_bytes());
        out.extend_from_slice(b"\",\"target\":");
        out.extend_from_slice(self.names.get(target, &self.redaction).text());
    }

    fn thread_and_correlation(
        &mut self,
        thread: u32,
        correlation_id: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b",\"thread\":");
        push_u64(u64::from(thread), out);
        if let Some(correlation_id) = correlation_id {
            out.extend_from_slice(b",\"correlation_id\":");
            self.text(correlation_id, out);
        }
    }

    /// An object of `fields`. A name that comes twice stands once, with its last value.
    fn object<'a, V: JsonValue, I: Iterator<Item = (&'a str, V)>>(
        &mut self,
        fields: impl Fn() -> I,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let mut seen = Seen::default();
        out.push(b'{');
        for (name, value) in fields() {
            let known = self.names.get(name, &self.redaction);
            if seen.insert(known.slot()) {
                out.truncate(start);
                let unique = cache::last_of_each(fields());
                self.unique_object(unique, out);
                return;
            }
            out.extend_from_slice(known.key(out.len() == start + 1));
            value.push(known.sensitivity(), &self.redaction, out);
        }
        out.push(b'}');
    }

    fn unique_object<V: JsonValue>(&mut self, fields: Vec<(&str, V)>, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(b'{');
        for (name, value) in fields {
            let known = self.names.get(name, &self.redaction);
            out.extend_from_slice(known.key(out.len() == start + 1));
            value.push(known.sensitivity(), &self.redaction, out);
        }
        out.push(b'}');
    }
}
