//! `ExportLogsServiceRequest`.

use std::borrow::Cow;

use radiosonde_store::row::Value;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        attributes::{Attributes, Source},
        names,
        sink::{LogItem, Sink, Unreadable},
    },
    items,
    scalars::{Enum, Integer, Text, id_of, text_of, unsigned_of},
    values,
};

/// What the names of severities begin with, and those of their numbers.
const SEVERITY_PREFIX: &str = "SEVERITY_NUMBER_";
const SEVERITIES: [&str; 25] = [
    "UNSPECIFIED",
    "TRACE",
    "TRACE2",
    "TRACE3",
    "TRACE4",
    "DEBUG",
    "DEBUG2",
    "DEBUG3",
    "DEBUG4",
    "INFO",
    "INFO2",
    "INFO3",
    "INFO4",
    "WARN",
    "WARN2",
    "WARN3",
    "WARN4",
    "ERROR",
    "ERROR2",
    "ERROR3",
    "ERROR4",
    "FATAL",
    "FATAL2",
    "FATAL3",
    "FATAL4",
];

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "a log record, which is an object"
)]
struct LogRecord<'a> {
    #[serde(default)]
    time_unix_nano: Option<Integer>,
    #[serde(default)]
    observed_time_unix_nano: Option<Integer>,
    #[serde(default)]
    severity_number: Option<Enum>,
    #[serde(borrow, default)]
    severity_text: Option<Text<'a>>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(default)]
    dropped_attributes_count: Option<Integer>,
    #[serde(borrow, default)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    span_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    event_name: Option<Text<'a>>,
}

pub(super) fn read<'a>(groups: Option<&'a RawValue>, sink: &mut Sink) -> Result<(), Unreadable> {
    let mut attributes = Attributes::default();
    let mut json = String::new();
    items(groups, sink, |sink, source, given: LogRecord<'a>| {
        log(sink, source, &given, &mut attributes, &mut json)
    })
}

fn log<'a>(
    sink: &mut Sink,
    source: &Source,
    log: &LogRecord<'a>,
    attributes: &mut Attributes<'a>,
    json: &mut String,
) -> Result<(), Unreadable> {
    attributes.clear();
    values::take(attributes, log.attributes)?;
    match log.dropped_attributes_count.map_or(0, Integer::signed) {
        0 => {}
        count => attributes.push(Cow::Borrowed(names::DROPPED_ATTRIBUTES), Value::Int(count)),
    }
    let body = values::body(log.body, json)?;
    let item = LogItem {
        time_unix_ns: unsigned_of(log.time_unix_nano),
        observed_unix_ns: unsigned_of(log.observed_time_unix_nano),
        trace_id: id_of(log.trace_id.as_ref()),
        span_id: id_of(log.span_id.as_ref()),
        severity: Enum::number(log.severity_number.as_ref(), SEVERITY_PREFIX, &SEVERITIES),
        severity_text: text_of(log.severity_text.as_ref()),
        event_name: text_of(log.event_name.as_ref()),
        body: &body,
    };
    sink.log(source, &item, attributes)
}
