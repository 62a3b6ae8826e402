//! Spans as OTLP `Span` messages (opentelemetry/proto/trace/v1/trace.proto).

use std::cell::Cell;

use radiosonde_core::{
    ValueRef,
    batch::{Batch, FieldKey, Overrides, SpanRef, is_override},
    model::SpanKind,
};

use crate::redact::Redaction;

use super::{
    Encoder, Request, Signal,
    callsites::Callsites,
    grouped,
    values::{key_value, key_value_write},
    wire::{BYTES, FIXED32, FIXED64, Tail, VARINT, VARINT_BYTES_MAX, Wire, put_varint, tag},
};

/// `Span.name`.
pub(super) const NAME: u32 = 5;
/// `Span.attributes`.
pub(super) const ATTRIBUTES: u32 = 9;

/// The other `Span` field numbers.
mod field {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const KIND: u32 = 6;
    pub(super) const START: u32 = 7;
    pub(super) const END: u32 = 8;
    pub(super) const LINKS: u32 = 13;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;
}

/// Bytes kept for a span's length: right from 128 bytes to 16 KiB.
const SPAN_LENGTH_BYTES: usize = 2;

pub(super) fn encode(encoder: &mut Encoder, batch: &Batch, send: &mut impl FnMut(Request<'_>)) {
    let target = |span: SpanRef<'_>| span.metadata().target();
    grouped(encoder, Signal::Traces, batch.spans(), target, span, send);
}

/// Bytes of what every span has: identifiers, kind, times, thread and flags.
const COMMON_BYTES: usize = 128;

/// Bytes that a word of a span's fields becomes at most, names of callsites included; one that becomes more is
/// written twice.
const WORD_BYTES: usize = 64;

fn span(wire: &mut Wire, callsites: &mut Callsites, redaction: &Redaction, span: SpanRef<'_>) {
    let callsite = callsites.get(span.metadata(), redaction);
    let overrides = if callsite.overridable {
        span.overrides()
    } else {
        Overrides::default()
    };
    let open = wire.open(2, SPAN_LENGTH_BYTES);
    let bytes = COMMON_BYTES
        + callsite.name.len()
        + callsite.common.len()
        + WORD_BYTES * span.field_words();
    let has_links = Cell::new(false);
    wire.append(bytes, |tail| {
        identifiers(tail, span);
        match overrides.name {
            // proto3 leaves out what is empty.
            Some("") => {}
            Some(name) => tail.bytes_field(NAME, redaction.text(name).as_bytes()),
            None => tail.put_slice(&callsite.name),
        }
        kind_and_times(tail, span, overrides.kind.unwrap_or_default());
        span.visit_fields(|key, value| match key {
            FieldKey::Described(index) => {
                if let Some(key) = callsite.keys.get(index)
                    && !(callsite.overridable && is_override(key.name()))
                {
                    key.write(tail, value, redaction);
                }
            }
            FieldKey::Named(name) if is_override(name) => {}
            FieldKey::Named(name) => {
                tail.aside(move |tail| match redaction.attribute(name, value) {
                    None => key_value_write(tail, ATTRIBUTES, name, &value),
                    Some(clean) => {
                        key_value_write(tail, ATTRIBUTES, name, &ValueRef::Str(&clean));
                    }
                });
            }
            FieldKey::Link => has_links.set(true),
        });
        thread(tail, span.thread());
        tail.put_slice(&callsite.common);
        if span.flags() != 0 {
            tail.put(&flags(field::FLAGS, span.flags()));
        }
    });
    if let Some(id) = span.correlation_id() {
        let id = redaction.text(&id);
        key_value(wire, ATTRIBUTES, "correlation.id", &ValueRef::Str(&id));
    }
    if has_links.get() {
        links(wire, span);
    }
    if let Some(ok) = overrides.ok {
        let message = redaction.text(overrides.message.unwrap_or_default());
        status(wire, ok, &message);
    }
    wire.close(open);
}

/// Writes `bytes` behind their tag and length at `at` and says where they end.
#[inline]
fn identifier<const N: usize>(block: &mut [u8], at: usize, field: u32, bytes: [u8; N]) -> usize {
    block[at] = tag(field, BYTES);
    block[at + 1] = N as u8;
    block[at + 2..at + 2 + N].copy_from_slice(&bytes);
    at + 2 + N
}

#[inline]
fn identifiers(tail: &mut Tail<'_>, span: SpanRef<'_>) {
    if let Some(block) = tail.block::<38>() {
        let used = identifier(block, 0, field::TRACE_ID, span.trace_id().to_bytes());
        let mut used = identifier(block, used, field::SPAN_ID, span.span_id().to_bytes());
        if let Some(parent) = span.parent_id() {
            used = identifier(block, used, field::PARENT_SPAN_ID, parent.to_bytes());
        }
        tail.advance(used);
    }
}

#[inline]
fn kind_and_times(tail: &mut Tail<'_>, span: SpanRef<'_>, kind: SpanKind) {
    if let Some(block) = tail.block::<20>() {
        block[0] = tag(field::KIND, VARINT);
        block[1] = kind as u8;
        block[2] = tag(field::START, FIXED64);
        block[3..11].copy_from_slice(&span.start_unix_ns().to_le_bytes());
        block[11] = tag(field::END, FIXED64);
        block[12..].copy_from_slice(&span.end_unix_ns().to_le_bytes());
        tail.advance(20);
    }
}

/// Appends `thread.id`.
#[inline]
fn thread(tail: &mut Tail<'_>, thread: u32) {
    const HEAD: &[u8; 16] = b"\x4a\x00\x0a\x09thread.id\x12\x00\x18";
    if let Some(block) = tail.block::<26>() {
        block[..16].copy_from_slice(HEAD);
        let mut number = [0; VARINT_BYTES_MAX];
        let used = put_varint(&mut number, u64::from(thread));
        block[16..].copy_from_slice(&number);
        block[1] = 14 + used as u8;
        block[14] = 1 + used as u8;
        tail.advance(16 + used);
    }
}

fn links(wire: &mut Wire, span: SpanRef<'_>) {
    for link in span.links() {
        let mut block = [0; 30];
        block[0] = tag(field::LINKS, BYTES);
        block[1] = 28;
        let used = identifier(&mut block, 2, 1, link.trace_id.to_bytes());
        identifier(&mut block, used, 2, link.span_id.to_bytes());
        wire.put(&block);
    }
}

/// `Status`: OK is 1, error 2 with a message.
fn status(wire: &mut Wire, ok: bool, message: &str) {
    let open = wire.open(field::STATUS, 1);
    if !ok {
        wire.text_field(2, message);
    }
    wire.varint_field(3, if ok { 1 } else { 2 });
    wire.close(open);
}

/// W3C trace flags as a fixed32 whose field number takes two bytes of tag.
#[inline]
fn flags(field: u32, flags: u8) -> [u8; 6] {
    let key = field << 3 | FIXED32;
    [key as u8 | 0x80, (key >> 7) as u8, flags, 0, 0, 0]
}
