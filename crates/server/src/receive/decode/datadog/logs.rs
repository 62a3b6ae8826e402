//! Logs: `/api/v2/logs` and `/v1/input`, objects whose names mean what Datadog's "Reserved attributes" say.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    super::{
        attributes::Attributes,
        json::{list, members, parse, plain, scalars::Text},
        sink::{Id, LogItem, Sink, Unreadable},
        text,
        time::rfc3339_unix_ns,
    },
    Origin, Tags,
};

const NS_PER_MS: u64 = 1_000_000;

/// What a log says under the names that mean something.
#[derive(Default)]
struct Log<'a> {
    message: Cow<'a, str>,
    service: Cow<'a, str>,
    host: Cow<'a, str>,
    environment: Cow<'a, str>,
    version: Cow<'a, str>,
    status: Cow<'a, str>,
    tags: Cow<'a, str>,
    time_unix_ns: u64,
    trace_id: Id<16>,
    span_id: Id<8>,
}

/// Reads a list of logs, or one alone.
pub(super) fn read(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let Ok(text) = std::str::from_utf8(request) else {
        return Err(Unreadable::Malformed("it is not UTF-8".to_owned()));
    };
    let whole: &RawValue = parse(text)?;
    let mut origin = Origin::default();
    let mut attributes = Attributes::default();
    if whole.get().starts_with('{') {
        return log(whole, sink, &mut origin, &mut attributes);
    }
    list(Some(whole), |at, given: &RawValue| {
        sink.at(0, 0, at);
        log(given, sink, &mut origin, &mut attributes)
    })
}

fn log<'a>(
    given: &'a RawValue,
    sink: &mut Sink,
    origin: &mut Origin,
    attributes: &mut Attributes<'a>,
) -> Result<(), Unreadable> {
    attributes.clear();
    let mut log = Log::default();
    members(Some(given), |Text(key), value| {
        if key == "dd" && value.get().starts_with('{') {
            return members(Some(value), |Text(key), value| {
                log.correlation(&key, value, attributes)
            });
        }
        log.member(key, value, attributes)
    })?;
    let mut tags = Tags::default();
    match &log.tags {
        Cow::Borrowed(given) => given
            .split(',')
            .for_each(|tag| tags.take(Cow::Borrowed(tag))),
        Cow::Owned(given) => given
            .split(',')
            .for_each(|tag| tags.take(Cow::Owned(tag.to_owned()))),
    }
    for (key, value) in tags.others {
        match &*key {
            "env" if log.environment.is_empty() => log.environment = value,
            "version" if log.version.is_empty() => log.version = value,
            _ => attributes.push_text(key, value),
        }
    }
    if log.service.is_empty() {
        log.service = tags.service;
    }
    let item = LogItem {
        time_unix_ns: log.time_unix_ns,
        trace_id: log.trace_id,
        span_id: log.span_id,
        severity_text: &log.status,
        body: &log.message,
        ..LogItem::default()
    };
    let source = origin.set([&log.service, &log.host, &log.environment, &log.version]);
    sink.log(source, &item, attributes)
}

impl<'a> Log<'a> {
    fn member(
        &mut self,
        key: Cow<'a, str>,
        value: &'a RawValue,
        attributes: &mut Attributes<'a>,
    ) -> Result<(), Unreadable> {
        match &*key {
            "message" => self.message = plain::text(value)?,
            "service" => self.service = plain::text(value)?,
            "host" | "hostname" => self.host = plain::text(value)?,
            "status" | "level" | "severity" => self.status = plain::text(value)?,
            "ddtags" => self.tags = plain::text(value)?,
            "timestamp" | "date" | "@timestamp" => self.time_unix_ns = time(value)?,
            "trace_id" => self.trace_id = trace_id(&plain::text(value)?),
            "span_id" => self.span_id = span_id(&plain::text(value)?),
            _ => match key.strip_prefix("dd.") {
                Some(own) => self.correlation(own, value, attributes)?,
                None => plain::take(attributes, key, value)?,
            },
        }
        Ok(())
    }

    /// Takes what Datadog's libraries add to logs, under `dd.` or in an object `dd`.
    fn correlation(
        &mut self,
        key: &str,
        value: &'a RawValue,
        attributes: &mut Attributes<'a>,
    ) -> Result<(), Unreadable> {
        match key {
            "trace_id" => self.trace_id = trace_id(&plain::text(value)?),
            "span_id" => self.span_id = span_id(&plain::text(value)?),
            "service" => self.service = plain::text(value)?,
            "env" => self.environment = plain::text(value)?,
            "version" => self.version = plain::text(value)?,
            _ => plain::take(attributes, Cow::Owned(format!("dd.{key}")), value)?,
        }
        Ok(())
    }
}

/// Milliseconds since the Unix epoch as a number or its text, or a time of RFC 3339; 0 for anything else.
fn time(value: &RawValue) -> Result<u64, Unreadable> {
    let text = plain::text(value)?;
    let milliseconds = text.parse::<f64>().ok();
    Ok(match milliseconds {
        Some(milliseconds) => (milliseconds * NS_PER_MS as f64) as u64,
        None => rfc3339_unix_ns(&text).unwrap_or(0),
    })
}

/// A trace's identifier: hexadecimal where it has 32 digits, else the decimal number of its lower half.
fn trace_id(given: &str) -> Id<16> {
    if let Some(id) = text::from_hex::<16>(given) {
        return Id::from_bytes(&id);
    }
    given
        .parse::<u128>()
        .map_or(Id::Missing, |id| Id::from_bytes(&id.to_be_bytes()))
}

/// A span's identifier: a decimal number, or hexadecimal.
fn span_id(given: &str) -> Id<8> {
    given.parse::<u64>().map_or_else(
        |_| Id::from_hex(given),
        |id| Id::from_bytes(&id.to_be_bytes()),
    )
}
