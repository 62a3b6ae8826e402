//! Messages: `<PRI>1 TIME HOST APP PROCID MSGID [SD] BOM text`, each behind its length and a space, as they go over TCP.

use std::{fmt::Write as _, process, sync::Arc};

use radiosonde_core::{
    ValueRef,
    batch::{Batch, EventRef, LogRef, PlaceRef, RecordRef, SpanRef},
    model::{Resource, Severity, Value},
};

use super::{Facility, SyslogConfig};
use crate::{
    encode::{otlp::Signal, time::Rfc3339},
    exporter::queued::{Format, Queue},
    redact::Redaction,
};

/// The enterprise number that RFC 5612 sets aside for documentation: we have none of our own.
const TRACE_ELEMENT: &str = "otel@32473";
const ATTRIBUTES_ELEMENT: &str = "attributes@32473";

/// Most characters of the fields of the header and of names in structured data (RFC 5424, section 6).
const HOST_LETTERS_MAX: usize = 255;
const APP_LETTERS_MAX: usize = 48;
const MESSAGE_ID_LETTERS_MAX: usize = 32;
const NAME_LETTERS_MAX: usize = 32;

/// Bytes after which another payload is begun.
const PAYLOAD_BYTES: usize = 256 * 1024;

/// Writes records as messages.
pub(super) struct Messages {
    facility: Facility,
    app_name: Option<String>,
    byte_order_mark: bool,
    bytes_max: usize,
    redaction: Redaction,
    clock: Rfc3339,
    /// Host, app and process of the resource seen last, as they stand in the header.
    origin: String,
    origin_of: Option<Arc<Resource>>,
    message: String,
    time: Vec<u8>,
}

impl Messages {
    pub(super) fn new(config: &SyslogConfig, bytes_max: usize) -> Self {
        Self {
            facility: config.facility,
            app_name: config.app_name.clone(),
            byte_order_mark: config.byte_order_mark,
            bytes_max,
            redaction: Redaction::default(),
            clock: Rfc3339::new(),
            origin: String::new(),
            origin_of: None,
            message: String::new(),
            time: Vec::new(),
        }
    }

    fn read_resource(&mut self, resource: &Arc<Resource>) {
        let is_known = |of: &Arc<Resource>| Arc::ptr_eq(of, resource);
        if self.origin_of.as_ref().is_some_and(is_known) {
            return;
        }
        let text = |name: &str| resource.attribute(name).map(ToString::to_string);
        let host = text("host.name").unwrap_or_default();
        let app = match &self.app_name {
            Some(name) => name,
            None => resource.service_name(),
        };
        let process = text("process.pid").unwrap_or_else(|| process::id().to_string());
        self.origin.clear();
        for (field, letters_max) in [
            (&*host, HOST_LETTERS_MAX),
            (app, APP_LETTERS_MAX),
            (&*process, 128),
        ] {
            push_field(field, letters_max, &mut self.origin);
            self.origin.push(' ');
        }
        self.origin_of = Some(Arc::clone(resource));
    }

    /// Begins a message, up to its structured data.
    fn begin(&mut self, severity: Severity, unix_ns: u64, message_id: &str) {
        let priority = self.facility.code() * 8 + code(severity);
        self.message.clear();
        self.time.clear();
        self.clock.write(unix_ns, &mut self.time);
        // Six digits of a second at most (RFC 5424, section 6.2.3).
        let time = std::str::from_utf8(&self.time).unwrap_or_default();
        let time = time.get(..26).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(self.message, "<{priority}>1 {time}Z {}", self.origin);
        push_field(message_id, MESSAGE_ID_LETTERS_MAX, &mut self.message);
        self.message.push(' ');
    }

    /// The element that says where in a trace a record belongs.
    fn trace(&mut self, place: Option<(String, String, Option<String>)>) {
        let Some((trace_id, span_id, parent_id)) = place else {
            return;
        };
        self.message.push('[');
        self.message.push_str(TRACE_ELEMENT);
        push_parameter("trace_id", &trace_id, &mut self.message);
        push_parameter("span_id", &span_id, &mut self.message);
        if let Some(parent_id) = parent_id {
            push_parameter("parent_id", &parent_id, &mut self.message);
        }
        self.message.push(']');
    }

    /// The element with a record's own attributes. Those without room are left out, and said to be.
    fn attributes<'a>(&mut self, all: impl Iterator<Item = (&'a str, ValueRef<'a>)>) {
        // What of the message is for structured data: the text is more to people.
        let room = self.bytes_max / 2;
        let (mut element, mut left_out) = (String::new(), 0_u32);
        for (name, value) in all {
            let clean = self.redaction.attribute(name, value);
            let value = clean.unwrap_or_else(|| Value::from(value).to_string());
            let begin = element.len();
            push_parameter(name, &value, &mut element);
            if self.message.len() + element.len() > room {
                element.truncate(begin);
                left_out += 1;
            }
        }
        if left_out > 0 {
            push_parameter("attributes_left_out", &left_out.to_string(), &mut element);
        }
        if !element.is_empty() {
            let _ = write!(self.message, "[{ATTRIBUTES_ELEMENT}{element}]");
        }
    }

    /// Ends a message with its text, cut to the limit, and puts it behind its length.
    fn end(&mut self, text: &str, begun: usize, out: &mut Vec<u8>) {
        if self.message.len() == begun {
            self.message.push('-');
        }
        if !text.is_empty() {
            self.message.push(' ');
            if self.byte_order_mark {
                self.message.push('\u{feff}');
            }
            self.message.push_str(&self.redaction.text(text));
        }
        let end = self.message.floor_char_boundary(self.bytes_max);
        push_message(&self.message.as_bytes()[..end], out);
    }

    fn log(&mut self, log: &LogRef<'_>, out: &mut Vec<u8>) {
        let severity = Severity::from(*log.metadata().level());
        self.begin(severity, log.time_unix_ns(), log.target());
        let begun = self.message.len();
        self.trace(log.place().map(identifiers));
        self.attributes(log.attributes());
        self.end(log.message(), begun, out);
    }

    fn event(&mut self, event: &EventRef<'_>, out: &mut Vec<u8>) {
        let descriptor = event.descriptor();
        self.begin(descriptor.severity, event.time_unix_ns(), descriptor.name);
        let begun = self.message.len();
        self.trace(event.place().map(identifiers));
        self.attributes(event.fields());
        self.end(descriptor.type_name, begun, out);
    }

    fn span(&mut self, span: &SpanRef<'_>, out: &mut Vec<u8>) {
        let overrides = span.overrides();
        let severity = match overrides.ok {
            Some(false) => Severity::Error,
            _ => Severity::from(*span.metadata().level()),
        };
        self.begin(severity, span.end_unix_ns(), "span");
        let begun = self.message.len();
        let parent_id = span.parent_id().map(|id| id.to_string());
        let place = (
            span.trace_id().to_string(),
            span.span_id().to_string(),
            parent_id,
        );
        self.trace(Some(place));
        self.attributes(span.attributes());
        let duration_ns = span.end_unix_ns().saturating_sub(span.start_unix_ns());
        let outcome = match (overrides.ok, overrides.message) {
            (Some(false), Some(message)) => format!(" failed: {message}"),
            (Some(false), None) => " failed".to_owned(),
            _ => String::new(),
        };
        let milliseconds = duration_ns as f64 / 1e6;
        let text = format!("{} took {milliseconds} ms{outcome}", span.name());
        self.end(&text, begun, out);
    }
}

impl Format for Messages {
    fn encode(&mut self, batch: &Batch, queue: &mut Queue<'_>) {
        self.read_resource(batch.resource());
        let takes_spans = queue.takes(Signal::Traces);
        let mut all = [
            (Signal::Logs, 0, Vec::new()),
            (Signal::Traces, 0, Vec::new()),
        ];
        for record in batch.records() {
            let (signal, records, body) = match record {
                RecordRef::Span(_) => &mut all[1],
                RecordRef::Log(_) | RecordRef::Event(_) => &mut all[0],
            };
            match record {
                RecordRef::Span(_) if !takes_spans => continue,
                RecordRef::Span(span) => self.span(&span, body),
                RecordRef::Log(log) => self.log(&log, body),
                RecordRef::Event(event) => self.event(&event, body),
            }
            *records += 1;
            if body.len() >= PAYLOAD_BYTES {
                queue.push(*signal, std::mem::take(records), std::mem::take(body));
            }
        }
        for (signal, records, body) in all {
            queue.push(signal, records, body);
        }
    }
}

/// Appends a message behind its length.
pub(super) fn push_message(message: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{} ", message.len()).as_bytes());
    out.extend_from_slice(message);
}

/// Reads messages as they stand in a payload.
pub(super) fn messages(mut body: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let digits = body.iter().position(|byte| *byte == b' ')?;
        let length = std::str::from_utf8(&body[..digits]).ok()?.parse().ok()?;
        let (message, rest) = body[digits + 1..].split_at_checked(length)?;
        body = rest;
        Some(message)
    })
}

fn identifiers(place: PlaceRef) -> (String, String, Option<String>) {
    let parent_id = place.parent_id.map(|id| id.to_string());
    (
        place.trace_id.to_string(),
        place.span_id.to_string(),
        parent_id,
    )
}

/// The code of a severity (RFC 5424, table 2).
const fn code(severity: Severity) -> u8 {
    match severity {
        Severity::Error => 3,
        Severity::Warn => 4,
        Severity::Info => 6,
        Severity::Debug | Severity::Trace => 7,
    }
}

/// A field of the header: visible ASCII, or `-` for nothing.
fn push_field(text: &str, letters_max: usize, out: &mut String) {
    if text.is_empty() {
        out.push('-');
    }
    let letters = text.chars().take(letters_max);
    out.extend(letters.map(|letter| {
        if letter.is_ascii_graphic() {
            letter
        } else {
            '_'
        }
    }));
}

/// ` name="value"`, where the value's `"`, `\` and `]` are escaped (RFC 5424, section 6.3.3).
fn push_parameter(name: &str, value: &str, out: &mut String) {
    out.push(' ');
    let letters = name.chars().take(NAME_LETTERS_MAX);
    out.extend(letters.map(|letter| match letter {
        '=' | ']' | '"' => '_',
        letter if letter.is_ascii_graphic() => letter,
        _ => '_',
    }));
    if name.is_empty() {
        out.push('_');
    }
    out.push_str("=\"");
    for letter in value.chars() {
        if matches!(letter, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value of a parameter, read as RFC 5424 has it.
    fn read(parameter: &str) -> (String, String) {
        let (name, rest) = parameter
            .strip_prefix(' ')
            .unwrap()
            .split_once("=\"")
            .unwrap();
        let mut value = String::new();
        let mut letters = rest.chars();
        loop {
            match letters.next().unwrap() {
                '\\' => value.push(letters.next().unwrap()),
                '"' => break,
                ']' => panic!("a bracket that is not escaped"),
                letter => value.push(letter),
            }
        }
        assert_eq!(letters.next(), None);
        (name.to_owned(), value)
    }

    proptest! {
        #[test]
        fn a_value_comes_back_whatever_it_holds(name in ".{0,50}", value in "[a-z\"\\\\\\]\n\u{e4}\u{1f600}]{0,50}") {
            let mut out = String::new();
            push_parameter(&name, &value, &mut out);
            let (name, read) = read(&out);
            prop_assert!((1..=32).contains(&name.len()) && name.bytes().all(|letter| letter.is_ascii_graphic()));
            prop_assert!(!name.contains([']', '=', '"']));
            prop_assert_eq!(read, value);
        }

        #[test]
        fn messages_come_back_from_a_payload(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10)) {
            let mut payload = Vec::new();
            all.iter().for_each(|message| push_message(message, &mut payload));
            let read: Vec<Vec<u8>> = messages(&payload).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(read, all);
        }

        #[test]
        fn no_payload_is_too_strange_to_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = messages(&bytes).count();
        }
    }
}
