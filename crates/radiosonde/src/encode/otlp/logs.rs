//! Logs and events as OTLP `LogRecord` messages (opentelemetry/proto/logs/v1/logs.proto).

use std::sync::Arc;

use radiosonde_core::{
    ValueRef,
    batch::{Batch, EventRef, LogRef, PlaceRef, RecordRef},
    model::{EVENT_TYPE_ATTRIBUTE, Severity},
};

use crate::redact::Redaction;

use super::{
    Encoder, Request, Signal,
    callsites::Callsites,
    grouped,
    values::{attribute, delimited, key_value},
    wire::{FIXED32, FIXED64, VARINT, Wire, tag},
};

/// `LogRecord` field numbers.
mod field {
    pub(super) const TIME: u32 = 1;
    pub(super) const SEVERITY_NUMBER: u32 = 2;
    pub(super) const SEVERITY_TEXT: u32 = 3;
    pub(super) const BODY: u32 = 5;
    pub(super) const ATTRIBUTES: u32 = 6;
    pub(super) const FLAGS: u32 = 8;
    pub(super) const TRACE_ID: u32 = 9;
    pub(super) const SPAN_ID: u32 = 10;
    pub(super) const OBSERVED_TIME: u32 = 11;
    pub(super) const EVENT_NAME: u32 = 12;
}

/// Bytes kept for a record's length: right from 128 bytes to 16 KiB.
const RECORD_LENGTH_BYTES: usize = 2;

#[derive(Clone, Copy)]
enum LogOrEvent<'a> {
    Log(LogRef<'a>),
    Event(EventRef<'a>),
}

impl<'a> LogOrEvent<'a> {
    fn target(self) -> &'a str {
        match self {
            Self::Log(log) => log.target(),
            Self::Event(event) => event.descriptor().target,
        }
    }
}

pub(super) fn encode(encoder: &mut Encoder, batch: &Batch, send: &mut impl FnMut(Request<'_>)) {
    let records = batch.records().filter_map(|record| match record {
        RecordRef::Log(log) => Some(LogOrEvent::Log(log)),
        RecordRef::Event(event) => Some(LogOrEvent::Event(event)),
        RecordRef::Span(_) => None,
    });
    let write =
        |wire: &mut Wire, names: &mut Callsites, redaction: &Redaction, record: LogOrEvent<'_>| {
            let open = wire.open(2, RECORD_LENGTH_BYTES);
            match record {
                LogOrEvent::Log(record) => log(wire, names, redaction, record),
                LogOrEvent::Event(record) => event(wire, names, redaction, record),
            }
            wire.close(open);
        };
    grouped(
        encoder,
        Signal::Logs,
        records,
        LogOrEvent::target,
        write,
        send,
    );
}

fn log(wire: &mut Wire, names: &mut Callsites, redaction: &Redaction, log: LogRef<'_>) {
    head(
        wire,
        log.time_unix_ns(),
        Severity::from(*log.metadata().level()),
    );
    let message = log.message();
    let message = redaction.text(message);
    wire.length_field(field::BODY, delimited(message.len()));
    wire.bytes_field(1, message.as_bytes());
    attributes(wire, names, redaction, log.attributes());
    tail(
        wire,
        redaction,
        log.thread(),
        log.correlation_id(),
        log.flags(),
        log.place(),
    );
}

fn event(wire: &mut Wire, names: &mut Callsites, redaction: &Redaction, event: EventRef<'_>) {
    let descriptor = event.descriptor();
    head(wire, event.time_unix_ns(), descriptor.severity);
    attributes(wire, names, redaction, event.fields());
    let type_name = ValueRef::Str(descriptor.type_name);
    key_value(wire, field::ATTRIBUTES, EVENT_TYPE_ATTRIBUTE, &type_name);
    tail(
        wire,
        redaction,
        event.thread(),
        event.correlation_id(),
        event.flags(),
        event.place(),
    );
    wire.text_field(field::EVENT_NAME, descriptor.name);
}

fn attributes<'a>(
    wire: &mut Wire,
    names: &mut Callsites,
    redaction: &Redaction,
    attributes: impl Iterator<Item = (&'a str, ValueRef<'a>)>,
) {
    for (name, value) in attributes {
        let sensitivity = names.sensitivities.of(name, redaction);
        attribute(
            wire,
            field::ATTRIBUTES,
            (name, value),
            sensitivity,
            redaction,
        );
    }
}

fn head(wire: &mut Wire, time_unix_ns: u64, severity: Severity) {
    let mut block = [0; 20];
    block[0] = tag(field::TIME, FIXED64);
    block[1..9].copy_from_slice(&time_unix_ns.to_le_bytes());
    block[9] = tag(field::OBSERVED_TIME, FIXED64);
    block[10..18].copy_from_slice(&time_unix_ns.to_le_bytes());
    block[18] = tag(field::SEVERITY_NUMBER, VARINT);
    block[19] = severity as u8;
    wire.put(&block);
    wire.text_field(field::SEVERITY_TEXT, severity.text());
}

fn tail(
    wire: &mut Wire,
    redaction: &Redaction,
    thread: u32,
    correlation_id: Option<Arc<str>>,
    flags: u8,
    place: Option<PlaceRef>,
) {
    let thread = ValueRef::U64(u64::from(thread));
    key_value(wire, field::ATTRIBUTES, "thread.id", &thread);
    if let Some(id) = correlation_id {
        key_value(
            wire,
            field::ATTRIBUTES,
            "correlation.id",
            &ValueRef::Str(&redaction.text(&id)),
        );
    }
    if flags != 0 {
        wire.put(&[tag(field::FLAGS, FIXED32), flags, 0, 0, 0]);
    }
    if let Some(place) = place {
        wire.bytes_field(field::TRACE_ID, &place.trace_id.to_bytes());
        wire.bytes_field(field::SPAN_ID, &place.span_id.to_bytes());
    }
}
