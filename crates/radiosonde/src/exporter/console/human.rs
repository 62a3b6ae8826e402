//! Lines for people: time, level, what, attributes, and where in a trace, each at its place.

use std::{fmt::Write as _, io::Write as _};

use radiosonde_core::{
    ValueRef,
    batch::{Batch, EventRef, LogRef, PlaceRef, RecordRef, SpanRef},
    ids::{SpanId, TraceId},
    model::Severity,
};

use crate::redact::Redaction;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";

/// Digits of an identifier that are shown: enough to find it among those on a screen.
const ID_DIGITS: usize = 8;

/// Writes records as lines for people.
pub(in crate::exporter) struct Human {
    coloured: bool,
    redaction: Redaction,
    line: String,
}

impl Human {
    pub(in crate::exporter) const fn new(coloured: bool, redaction: Redaction) -> Self {
        Self {
            coloured,
            redaction,
            line: String::new(),
        }
    }

    pub(super) fn batch(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        for record in batch.records() {
            self.record(&record, out);
        }
    }

    /// Appends the line of one record.
    pub(in crate::exporter) fn record(&mut self, record: &RecordRef<'_>, out: &mut Vec<u8>) {
        self.line.clear();
        self.time(record.time_unix_ns());
        match record {
            RecordRef::Span(span) => self.span(span),
            RecordRef::Log(log) => self.log(log),
            RecordRef::Event(event) => self.event(event),
        }
        // Writing to a vector does not fail.
        let _ = writeln!(out, "{}", self.line);
    }

    fn style(&mut self, style: &str) {
        if self.coloured {
            self.line.push_str(style);
        }
    }

    /// Hours to milliseconds, UTC.
    fn time(&mut self, unix_ns: u64) {
        let of_day_ms = unix_ns / 1_000_000 % 86_400_000;
        let (hour, minute) = (of_day_ms / 3_600_000, of_day_ms / 60_000 % 60);
        let (second, millisecond) = (of_day_ms / 1000 % 60, of_day_ms % 1000);
        self.style(DIM);
        let _ = write!(
            self.line,
            "{hour:02}:{minute:02}:{second:02}.{millisecond:03}"
        );
        self.style(RESET);
    }

    /// The column after the time, five wide.
    fn level(&mut self, text: &str, style: &str) {
        self.line.push(' ');
        self.style(style);
        let _ = write!(self.line, "{text:<5}");
        self.style(RESET);
        self.line.push(' ');
    }

    fn log(&mut self, log: &LogRef<'_>) {
        let severity = Severity::from(*log.metadata().level());
        self.level(severity.text(), severity_style(severity));
        self.style(DIM);
        self.text(log.target());
        self.line.push(':');
        self.style(RESET);
        self.line.push(' ');
        self.text(log.message());
        self.attributes(log.attributes());
        self.place(log.place());
    }

    fn span(&mut self, span: &SpanRef<'_>) {
        self.level("SPAN", "\x1b[36m");
        let duration_ns = span.end_unix_ns().saturating_sub(span.start_unix_ns());
        let _ = write!(self.line, "{:>8} ", duration_text(duration_ns));
        self.style(BOLD);
        self.text(span.name());
        self.style(RESET);
        let overrides = span.overrides();
        if overrides.ok == Some(false) {
            self.style("\x1b[31m");
            self.line.push_str(" failed");
            self.style(RESET);
            if let Some(message) = overrides.message {
                self.line.push_str(": ");
                self.text(message);
            }
        }
        self.attributes(span.attributes());
        self.style(DIM);
        let _ = write!(self.line, "  [{}", short_span(span.span_id()));
        if let Some(parent_id) = span.parent_id() {
            let _ = write!(self.line, " < {}", short_span(parent_id));
        }
        let _ = write!(self.line, " in {}]", short_trace(span.trace_id()));
        self.style(RESET);
    }

    fn event(&mut self, event: &EventRef<'_>) {
        self.level("EVENT", "\x1b[35m");
        self.style(BOLD);
        self.text(event.descriptor().type_name);
        self.style(RESET);
        self.attributes(event.fields());
        self.place(event.place());
    }

    fn place(&mut self, place: Option<PlaceRef>) {
        let Some(place) = place else { return };
        self.style(DIM);
        self.line.push_str("  [");
        if !place.span_name.is_empty() {
            self.text(place.span_name);
            self.line.push(' ');
        }
        let _ = write!(
            self.line,
            "{} in {}]",
            short_span(place.span_id),
            short_trace(place.trace_id)
        );
        self.style(RESET);
    }

    fn attributes<'a>(&mut self, attributes: impl Iterator<Item = (&'a str, ValueRef<'a>)>) {
        for (name, value) in attributes {
            self.line.push_str("  ");
            self.style(DIM);
            self.text(name);
            self.line.push('=');
            self.style(RESET);
            match self.redaction.attribute(name, value) {
                Some(clean) => self.quoted(&clean),
                None => self.value(value),
            }
        }
    }

    fn value(&mut self, value: ValueRef<'_>) {
        let _ = match value {
            ValueRef::Bool(value) => write!(self.line, "{value}"),
            ValueRef::I64(value) => write!(self.line, "{value}"),
            ValueRef::U64(value) => write!(self.line, "{value}"),
            ValueRef::F64(value) => write!(self.line, "{value}"),
            ValueRef::Str(text) => {
                self.quoted(text);
                Ok(())
            }
            ValueRef::U64s(values) => write!(self.line, "{values:?}"),
            ValueRef::Shapes(shapes) => {
                write!(self.line, "{:?}", shapes.iter().collect::<Vec<_>>())
            }
        };
    }

    /// Text as a value: in quotes where it would not read as one word.
    fn quoted(&mut self, text: &str) {
        let is_word = !text.is_empty() && !text.contains([' ', '=', '"']);
        if is_word {
            self.clean(text);
        } else {
            let _ = write!(self.line, "{text:?}");
        }
    }

    /// Text without secrets and control characters.
    fn text(&mut self, text: &str) {
        let clean = self.redaction.text(text).into_owned();
        self.clean(&clean);
    }

    fn clean(&mut self, text: &str) {
        for character in text.chars() {
            if character.is_control() {
                self.line.extend(character.escape_debug());
            } else {
                self.line.push(character);
            }
        }
    }
}

const fn severity_style(severity: Severity) -> &'static str {
    match severity {
        Severity::Trace => "\x1b[2m",
        Severity::Debug => "\x1b[34m",
        Severity::Info => "\x1b[32m",
        Severity::Warn => "\x1b[33m",
        Severity::Error => "\x1b[1;31m",
    }
}

fn short_span(id: SpanId) -> String {
    shortened(id.to_string())
}

fn short_trace(id: TraceId) -> String {
    shortened(id.to_string())
}

fn shortened(mut hexadecimal: String) -> String {
    hexadecimal.truncate(ID_DIGITS);
    hexadecimal
}

/// A duration with three significant digits and the unit that suits it.
fn duration_text(duration_ns: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "µs")];
    for (unit_ns, unit) in units {
        if duration_ns >= unit_ns {
            let value = duration_ns as f64 / unit_ns as f64;
            let decimals = if value < 10.0 {
                2
            } else {
                usize::from(value < 100.0)
            };
            return format!("{value:.decimals$} {unit}");
        }
    }
    format!("{duration_ns} ns")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_fitting_unit() {
        for (duration_ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1500, "1.50 µs"),
            (12_345_678, "12.3 ms"),
            (999_000_000, "999 ms"),
            (61_000_000_000, "61.0 s"),
        ] {
            assert_eq!(duration_text(duration_ns), text);
        }
    }
}
