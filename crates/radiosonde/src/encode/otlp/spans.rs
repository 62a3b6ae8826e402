//! Spans as OTLP `Span` messages (opentelemetry/proto/trace/v1/trace.proto).

use radiosonde_core::{
    ValueRef,
    batch::{Batch, FieldKey, Overrides, SpanRef, is_override},
    model::SpanKind,
};

use super::{
    Encoder, Request, Signal,
    callsites::{Callsites, KEY_BYTES, Key},
    grouped,
    values::{Any as _, key_value},
    wire::{BYTES, FIXED32, FIXED64, VARINT, Wire, put_varint, tag},
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

/// Writes `bytes` behind their tag and length at `at` and says where they end.
#[inline]
fn identifier<const N: usize>(block: &mut [u8], at: usize, field: u32, bytes: [u8; N]) -> usize {
    block[at] = tag(field, BYTES);
    block[at + 1] = N as u8;
    block[at + 2..at + 2 + N].copy_from_slice(&bytes);
    at + 2 + N
}

fn span(wire: &mut Wire, callsites: &mut Callsites, span: SpanRef<'_>) {
    let callsite = callsites.get(span.metadata());
    let open = wire.open(2, SPAN_LENGTH_BYTES);
    wire.put_with::<38>(|block| {
        let used = identifier(block, 0, field::TRACE_ID, span.trace_id().to_bytes());
        let used = identifier(block, used, field::SPAN_ID, span.span_id().to_bytes());
        match span.parent_id() {
            Some(parent) => identifier(block, used, field::PARENT_SPAN_ID, parent.to_bytes()),
            None => used,
        }
    });
    let overrides = if callsite.overridable {
        span.overrides()
    } else {
        Overrides::default()
    };
    match overrides.name {
        Some(name) => wire.text_field(NAME, name),
        None => wire.put_slice(&callsite.name),
    }
    wire.put(&kind_and_times(span, overrides.kind.unwrap_or_default()));
    let mut links = false;
    span.visit_fields(|key, value| match key {
        FieldKey::Described(index) => {
            if let Some(key) = callsite.keys.get(index)
                && !(callsite.overridable && is_override(key.name))
            {
                described(wire, key, &value);
            }
        }
        FieldKey::Named(name) if is_override(name) => {}
        FieldKey::Named(name) => key_value(wire, ATTRIBUTES, name, &value),
        FieldKey::Link => links = true,
    });
    thread(wire, span.thread());
    wire.put_slice(&callsite.common);
    if let Some(id) = span.correlation_id() {
        key_value(wire, ATTRIBUTES, "correlation.id", &ValueRef::Str(&id));
    }
    if links {
        self::links(wire, span);
    }
    if let Some(ok) = overrides.ok {
        status(wire, ok, overrides.message);
    }
    if span.flags() != 0 {
        wire.put(&flags(field::FLAGS, span.flags()));
    }
    wire.close(open);
}

/// Bytes of the largest attribute that is put together in one block: a known name and a number.
const ATTRIBUTE_BYTES: usize = 64;

/// Appends an attribute whose name is encoded already.
#[inline]
fn described(wire: &mut Wire, key: &Key, value: &ValueRef<'_>) {
    let size = value.size();
    // Tag, lengths of the pair and of the value: all lengths below 128 take one byte.
    let pair = key.used + 1 + size;
    if key.used == 0 || pair > 127 {
        return key_value(wire, ATTRIBUTES, key.name, value);
    }
    wire.put_with::<ATTRIBUTE_BYTES>(|block| {
        block[0] = tag(ATTRIBUTES, BYTES);
        block[1] = pair as u8;
        block[2..2 + KEY_BYTES].copy_from_slice(&key.block);
        block[2 + key.used] = size as u8;
        key.used + 3
    });
    value.write(wire);
}

/// Appends `thread.id`.
#[inline]
fn thread(wire: &mut Wire, thread: u32) {
    const HEAD: &[u8; 16] = b"\x4a\x00\x0a\x09thread.id\x12\x00\x18";
    wire.put_with::<32>(|block| {
        block[..16].copy_from_slice(HEAD);
        let number = put_varint(&mut block[16..], u64::from(thread));
        block[1] = 14 + number as u8;
        block[14] = 1 + number as u8;
        16 + number
    });
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

#[inline]
fn kind_and_times(span: SpanRef<'_>, kind: SpanKind) -> [u8; 20] {
    let mut block = [0; 20];
    block[0] = tag(field::KIND, VARINT);
    block[1] = kind as u8;
    block[2] = tag(field::START, FIXED64);
    block[3..11].copy_from_slice(&span.start_unix_ns().to_le_bytes());
    block[11] = tag(field::END, FIXED64);
    block[12..].copy_from_slice(&span.end_unix_ns().to_le_bytes());
    block
}

/// `Status`: OK is 1, error 2 with a message.
fn status(wire: &mut Wire, ok: bool, message: Option<&str>) {
    let open = wire.open(field::STATUS, 1);
    if !ok {
        wire.text_field(2, message.unwrap_or_default());
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
