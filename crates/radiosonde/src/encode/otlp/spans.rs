//! Spans as OTLP `Span` messages (opentelemetry/proto/trace/v1/trace.proto).

use radiosonde_core::{
    ValueRef,
    batch::{Batch, SpanRef},
    model::{Severity, SpanKind},
};

use super::{
    Encoder, Request, Signal, grouped,
    values::key_value,
    wire::{BYTES, FIXED32, FIXED64, VARINT, Wire, tag},
};

/// `Span` field numbers.
mod field {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START: u32 = 7;
    pub(super) const END: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
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

fn span(wire: &mut Wire, span: SpanRef<'_>) {
    let open = wire.open(2, SPAN_LENGTH_BYTES);
    let mut block = [0; 38];
    let mut used = identifier(&mut block, 0, field::TRACE_ID, span.trace_id().to_bytes());
    used = identifier(&mut block, used, field::SPAN_ID, span.span_id().to_bytes());
    if let Some(parent) = span.parent_id() {
        used = identifier(&mut block, used, field::PARENT_SPAN_ID, parent.to_bytes());
    }
    wire.put_block(&block, used);
    let overrides = span.overrides();
    let metadata = span.metadata();
    wire.text_field(field::NAME, overrides.name.unwrap_or(metadata.name()));
    wire.put(&kind_and_times(span, overrides.kind.unwrap_or_default()));
    for (name, value) in span.attributes() {
        key_value(wire, field::ATTRIBUTES, name, &value);
    }
    let thread = ValueRef::U64(u64::from(span.thread()));
    key_value(wire, field::ATTRIBUTES, "thread.id", &thread);
    let severity = Severity::from(*metadata.level());
    if severity != Severity::Info {
        key_value(
            wire,
            field::ATTRIBUTES,
            "level",
            &ValueRef::Str(severity.text()),
        );
    }
    if let Some(id) = span.correlation_id() {
        key_value(
            wire,
            field::ATTRIBUTES,
            "correlation.id",
            &ValueRef::Str(&id),
        );
    }
    for link in span.links() {
        let mut block = [0; 30];
        block[0] = tag(field::LINKS, BYTES);
        block[1] = 28;
        let used = identifier(&mut block, 2, 1, link.trace_id.to_bytes());
        identifier(&mut block, used, 2, link.span_id.to_bytes());
        wire.put(&block);
    }
    if let Some(ok) = overrides.ok {
        status(wire, ok, overrides.message);
    }
    if span.flags() != 0 {
        wire.put(&flags(field::FLAGS, span.flags()));
    }
    wire.close(open);
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
