//! The way of most records: one pass over the fields, with everything static taken from the callsite.
//!
//! Invariant: where these return `true` they have written the bytes that the general way writes; where they return
//! `false` what they have written is to be cut off.

use radiosonde_core::{
    ValueRef,
    batch::{EventRef, LogRef, SpanRef},
};

use super::{
    JsonEncoder,
    callsite::Callsite,
    value::{JsonValue as _, push_text, push_u64},
};
use crate::redact::Redaction;

impl JsonEncoder {
    #[inline]
    pub(super) fn plain_log(&mut self, log: &LogRef<'_>, out: &mut Vec<u8>) -> bool {
        let callsite = self.callsites.log(log.metadata(), &self.redaction);
        let mut fields = log.indexed_fields();
        // The macros put the message first.
        let Some((index, ValueRef::Str(message))) = fields.next() else {
            return false;
        };
        if !callsite.is_plain || index.is_none() || index != callsite.message {
            return false;
        }
        out.extend_from_slice(&callsite.head);
        push_text(message, &self.redaction, out);
        out.extend_from_slice(b",\"thread\":");
        push_u64(u64::from(log.thread()), out);
        if let Some(id) = log.correlation_id() {
            out.extend_from_slice(b",\"correlation_id\":");
            push_text(&id, &self.redaction, out);
        }
        out.extend_from_slice(b",\"attributes\":");
        let is_plain = object(callsite, callsite.message, fields, &self.redaction, out);
        out.push(b'}');
        is_plain
    }

    #[inline]
    pub(super) fn plain_span(&mut self, span: &SpanRef<'_>, out: &mut Vec<u8>) -> bool {
        let callsite = self.callsites.span(span.metadata(), &self.redaction);
        if !callsite.is_plain {
            return false;
        }
        let (start, end) = (span.start_unix_ns(), span.end_unix_ns());
        out.extend_from_slice(b"{\"start\":\"");
        self.clock.write(start, out);
        out.extend_from_slice(b"\",\"end\":\"");
        self.clock.write(end, out);
        out.extend_from_slice(b"\",\"duration_ns\":");
        push_u64(end.saturating_sub(start), out);
        out.extend_from_slice(&callsite.head);
        push_u64(u64::from(span.thread()), out);
        if let Some(id) = span.correlation_id() {
            out.extend_from_slice(b",\"correlation_id\":");
            push_text(&id, &self.redaction, out);
        }
        out.extend_from_slice(b",\"attributes\":");
        let is_plain = object(callsite, None, span.indexed_fields(), &self.redaction, out);
        out.extend_from_slice(b",\"links\":[]}");
        is_plain
    }

    #[inline]
    pub(super) fn plain_event(&mut self, event: &EventRef<'_>, out: &mut Vec<u8>) -> bool {
        let callsite = self.callsites.event(event.descriptor(), &self.redaction);
        callsite.is_plain && object(callsite, None, event.indexed_fields(), &self.redaction, out)
    }
}

/// An object of `fields`, `written` being one that stands elsewhere already. `false` for a field that the callsite
/// does not know, or that comes again.
#[inline]
fn object<'a>(
    callsite: &Callsite,
    written: Option<usize>,
    fields: impl Iterator<Item = (Option<usize>, ValueRef<'a>)>,
    redaction: &Redaction,
    out: &mut Vec<u8>,
) -> bool {
    let mut seen = written.map_or(0, |index| 1_u64 << index);
    let mut first = true;
    out.push(b'{');
    for (index, value) in fields {
        let Some((index, key)) = index.and_then(|index| Some((index, callsite.keys.get(index)?)))
        else {
            return false;
        };
        let bit = 1_u64 << index;
        if seen & bit != 0 {
            return false;
        }
        seen |= bit;
        out.extend_from_slice(key.json(first));
        value.push(key.sensitivity, redaction, out);
        first = false;
    }
    out.push(b'}');
    true
}
