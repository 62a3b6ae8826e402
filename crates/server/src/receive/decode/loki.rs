//! Logs as Grafana's agents send them to Loki: `PushRequest` of its push API, in JSON or protobuf (grafana.com, "Loki HTTP API";
//! github.com/grafana/loki, `pkg/push/push.proto`).
//!
//! Labels of a stream are attributes of each of its logs, and so is structured metadata; a label that names the service is
//! `service.name`, one that names a level is the severity, and `trace_id` and `span_id` are the log's own.

mod labels;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    attributes::{Attributes, Source},
    json::{
        list, members, parse, plain,
        scalars::{Integer, Text, text_of, unsigned_of},
    },
    protobuf::{Messages, nanoseconds, utf8},
    sink::{Id, LogItem, Sink, Unreadable},
    text,
};

/// Labels that name the service, the first of which that is there does: those by which Loki finds it itself.
const SERVICE: [&str; 11] = [
    "service_name",
    "service",
    "app",
    "application",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "component",
    "workload",
    "job",
];
/// The service of a stream that names none.
const SERVICE_DEFAULT: &str = "loki";
/// Most labels of a stream: as many as attributes of an item, and one that says that there were more.
const LABELS_MAX: usize = super::attributes::ATTRIBUTES_MAX + 1;

/// In which of its forms a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Protobuf,
}

/// Reads a request into `sink`.
pub(super) fn read(form: Form, request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    match form {
        Form::Json => read_json(request, sink),
        Form::Protobuf => read_protobuf(request, sink),
    }
}

/// The stream at hand.
#[derive(Default)]
struct Stream<'a> {
    source: Source,
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Stream<'a> {
    fn push(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        if self.labels.len() < LABELS_MAX {
            self.labels.push((name, value));
        }
    }

    /// All labels are there.
    fn begin(&mut self) -> Result<(), Unreadable> {
        if self.labels.len() >= LABELS_MAX {
            let why = "a stream has more than 4096 labels";
            return Err(Unreadable::Malformed(why.to_owned()));
        }
        let of = |wanted: &&str| {
            let found = self.labels.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| &**value)
        };
        let service = SERVICE.iter().find_map(of).unwrap_or(SERVICE_DEFAULT);
        if self.source.origin().service != service {
            let mut attributes = Attributes::default();
            attributes.push_text(Cow::Borrowed("service.name"), Cow::Borrowed(service));
            self.source.set_resource(&attributes);
        }
        Ok(())
    }
}

/// What is said of the log at hand.
#[derive(Default)]
struct Entry<'a> {
    attributes: Attributes<'a>,
    level: Cow<'a, str>,
    trace_id: Id<16>,
    span_id: Id<8>,
}

impl<'a> Entry<'a> {
    /// Begins with the next log of a stream.
    fn begin(&mut self, stream: &Stream<'a>) {
        self.attributes.clear();
        self.level = Cow::Borrowed("");
        (self.trace_id, self.span_id) = (Id::Missing, Id::Missing);
        for (name, value) in &stream.labels {
            self.take(name.clone(), value.clone());
        }
    }

    /// Takes a label, or a piece of structured metadata.
    fn take(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        match &*name {
            "trace_id" | "traceID" | "traceId" | "traceid" => self.trace_id = trace_id(&value),
            "span_id" | "spanID" | "spanId" | "spanid" => self.span_id = Id::from_hex(&value),
            "level" | "detected_level" | "severity" => {
                self.level.clone_from(&value);
                self.attributes.push_text(name, value);
            }
            _ => self.attributes.push_text(name, value),
        }
    }

    fn finish(
        &self,
        sink: &mut Sink,
        stream: &Stream<'_>,
        time_unix_ns: u64,
        line: &str,
    ) -> Result<(), Unreadable> {
        let item = LogItem {
            time_unix_ns,
            trace_id: self.trace_id,
            span_id: self.span_id,
            severity_text: &self.level,
            body: line,
            ..LogItem::default()
        };
        sink.log(&stream.source, &item, &self.attributes)
    }
}

/// A trace's identifier, which may be of 64 bits.
fn trace_id(given: &str) -> Id<16> {
    match text::from_hex::<8>(given) {
        Some(low) => Id::from_bytes(&[[0; 8], low].concat()),
        None => Id::from_hex(given),
    }
}

#[derive(Deserialize)]
#[serde(expecting = "a push request, which is an object")]
struct GivenRequest<'a> {
    #[serde(borrow)]
    streams: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(expecting = "a stream, which is an object")]
struct GivenStream<'a> {
    #[serde(borrow, default)]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default)]
    values: Option<&'a RawValue>,
}

/// `{"streams": [{"stream": {labels}, "values": [[time, line, {metadata}]]}]}`.
fn read_json(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let Ok(text) = std::str::from_utf8(request) else {
        return Err(Unreadable::Malformed("it is not UTF-8".to_owned()));
    };
    let request: GivenRequest<'_> = parse(text)?;
    let mut entry = Entry::default();
    let mut stream = Stream::default();
    list(
        Some(request.streams),
        |stream_at, given: GivenStream<'_>| {
            stream.labels.clear();
            members(given.stream, |Text(name), value| {
                stream.push(name, plain::text(value)?);
                Ok(())
            })?;
            stream.begin()?;
            list(given.values, |at, value: &RawValue| {
                sink.at(stream_at, 0, at);
                entry.begin(&stream);
                let (mut time, mut line) = (None, None);
                list(Some(value), |part, given: &RawValue| {
                    match part {
                        0 => time = Some(parse::<Integer>(given.get())?),
                        1 => line = Some(parse::<Text<'_>>(given.get())?),
                        2 => members(Some(given), |Text(name), value| {
                            entry.take(name, plain::text(value)?);
                            Ok(())
                        })?,
                        _ => {}
                    }
                    Ok(())
                })?;
                if line.is_none() {
                    let why = "a value is not a list of a time and a line";
                    return Err(Unreadable::Malformed(why.to_owned()));
                }
                entry.finish(sink, &stream, unsigned_of(time), text_of(line.as_ref()))
            })
        },
    )
}

/// `PushRequest{streams=1}`, `Stream{labels=1, entries=2}`, `Entry{timestamp=1, line=2, structured_metadata=3}`,
/// `LabelPair{name=1, value=2}`.
fn read_protobuf(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let mut entry = Entry::default();
    let mut stream = Stream::default();
    let mut streams = Messages::new(request, 1);
    let mut stream_at = 0;
    while let Some(message) = streams.next()? {
        stream.labels.clear();
        let given = Messages::new(message, 1).last()?.unwrap_or_default();
        let Ok(given) = std::str::from_utf8(given) else {
            return Err(Unreadable::Malformed("labels are not UTF-8".to_owned()));
        };
        labels::each(given, |name, value| stream.push(name, value))?;
        stream.begin()?;
        let mut entries = Messages::new(message, 2);
        let mut at = 0;
        while let Some(message) = entries.next()? {
            sink.at(stream_at, 0, at);
            at += 1;
            entry.begin(&stream);
            let mut metadata = Messages::new(message, 3);
            while let Some(pair) = metadata.next()? {
                let part = |number| Messages::new(pair, number).last();
                let (name, value) = (part(1)?.unwrap_or_default(), part(2)?.unwrap_or_default());
                entry.take(utf8(name), utf8(value));
            }
            let time = Messages::new(message, 1).last()?.unwrap_or_default();
            let line = Messages::new(message, 2).last()?.unwrap_or_default();
            entry.finish(sink, &stream, nanoseconds(time)?, &utf8(line))?;
        }
        stream_at += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
