//! `sonde import`: a recording, a profile, or what `sonde export` wrote, into a collector, as if it were sent now.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use radiosonde::core::model::{
    Attributes, EVENT_TYPE_ATTRIBUTE, EventRecord, Link, Log, Place, Record, Span, SpanKind,
    Status, Value as Recorded,
};
use serde_json::{Value, json};
use zip::ZipArchive;

use crate::{
    cli::{Format, ImportArguments},
    collector::{Collector, encoded},
    recording, text,
};

/// Records in a request.
const BATCH_MAX: usize = 2000;

/// What standard output gets.
pub fn run(arguments: &ImportArguments) -> anyhow::Result<String> {
    let collector = Collector::new(&arguments.collector)?;
    let Some(status) = collector.greet()? else {
        bail!(
            "no collector answers at {}; start one with `sonde serve`, or name another with --collector",
            collector.address()
        );
    };
    let endpoint = status["listening"]["otlp_http"]
        .as_str()
        .context("the collector does not say where it receives OTLP")?;
    let endpoint = &collector.receiver(endpoint);
    let mut imported = Imported::default();
    for file in &arguments.files {
        if is_exported(file)? {
            import_exported(&collector, endpoint, file, &mut imported)?;
            continue;
        }
        let service = arguments.service.clone().unwrap_or_else(|| name_of(file));
        if let Some(form) = profile_form(file)? {
            import_profile(&collector, endpoint, file, form, &service, &mut imported)?;
            continue;
        }
        import_recording(&collector, endpoint, file, &service, &mut imported)?;
    }
    let Imported {
        spans,
        logs,
        points,
        profiles,
        refused,
    } = imported;
    Ok(match arguments.format {
        Format::Json => text::json(
            &json!({"spans": spans, "logs": logs, "points": points, "profiles": profiles, "refused": refused}),
        ),
        Format::Text => {
            let refused = match refused {
                0 => String::new(),
                refused => format!("; {refused} were refused: `sonde doctor` says why"),
            };
            format!(
                "Imported {spans} spans, {logs} logs and events, {points} readings of metrics, {profiles} profiles{refused}.\n"
            )
        }
    })
}

/// What a file may be, for whom it is none of that.
const EXPECTED: &str = "name a recording of radiosonde (JSON lines or SQLite), a zip of `sonde export`, a profile of pprof, or folded \
                        stacks in a file whose name ends in .folded or .collapsed";

fn import_recording(
    collector: &Collector,
    endpoint: &str,
    file: &Path,
    service: &str,
    imported: &mut Imported,
) -> anyhow::Result<()> {
    let mut batch = Batch::new(collector, endpoint, service);
    let mut outcome = Ok(());
    let mut has_records = false;
    let unread = recording::for_each(file, |record| {
        has_records = true;
        if outcome.is_ok() {
            outcome = batch.take(&record, imported);
        }
    })?;
    outcome?;
    batch.send(imported)?;
    match unread.words() {
        Some(words) if !has_records => bail!(
            "{} is nothing that can be imported ({words}); {EXPECTED}",
            file.display()
        ),
        _ => unread.warn(file),
    }
    Ok(())
}

/// The first bytes of a zip (APPNOTE.TXT, section 4.3.7).
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
/// Longest request of a file: what a receiver takes at most.
const REQUEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

fn is_exported(file: &Path) -> anyhow::Result<bool> {
    let cannot_read = || format!("cannot read {}", file.display());
    let mut magic = [0; ZIP_MAGIC.len()];
    let read = File::open(file)
        .and_then(|mut file| file.read(&mut magic))
        .with_context(cannot_read)?;
    Ok(magic[..read] == *ZIP_MAGIC)
}

/// The first bytes of gzip (RFC 1952, section 2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Which form of a profile a file has, if it is one: pprof's, or folded stacks.
fn profile_form(file: &Path) -> anyhow::Result<Option<&'static str>> {
    let mut magic = [0; GZIP_MAGIC.len()];
    let read = File::open(file)
        .and_then(|mut file| file.read(&mut magic))
        .with_context(|| format!("cannot read {}", file.display()))?;
    let extension = file.extension().and_then(|extension| extension.to_str());
    Ok(match extension {
        _ if magic[..read] == *GZIP_MAGIC => Some("pprof"),
        Some("pb" | "pprof" | "prof") => Some("pprof"),
        Some("folded" | "collapsed") => Some("folded"),
        _ => None,
    })
}

fn import_profile(
    collector: &Collector,
    endpoint: &str,
    file: &Path,
    form: &str,
    service: &str,
    imported: &mut Imported,
) -> anyhow::Result<()> {
    let body = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let service = encoded(service);
    let address = format!("{endpoint}/api/v1/profiles/{form}?service={service}");
    let answer = collector.send_bytes(&address, &body)?;
    let refused = rejected(&answer, "rejectedProfiles");
    imported.refused += refused;
    // A file of pprof has a profile for each of its types, and says of none how many those are.
    imported.profiles += u64::from(refused == 0);
    Ok(())
}

/// What is in a zip of `sonde export`: the member, where it is sent, and what an answer calls what it refused.
const MEMBERS: [(&str, &str, &str); 4] = [
    ("traces.jsonl", "/v1/traces", "rejectedSpans"),
    ("logs.jsonl", "/v1/logs", "rejectedLogRecords"),
    ("metrics.jsonl", "/v1/metrics", "rejectedDataPoints"),
    (
        "profiles.jsonl",
        "/v1development/profiles",
        "rejectedProfiles",
    ),
];
/// So many members that are not read are named.
const UNKNOWN_NAMED_MAX: usize = 5;

/// Says what of a zip is not read; where that is all of it, the zip is none of ours.
fn check_members(file: &Path, members: &[String]) -> anyhow::Result<()> {
    let is_known = |name: &&String| MEMBERS.iter().any(|(known, ..)| known == name);
    let (known, unknown): (Vec<&String>, Vec<&String>) = members.iter().partition(is_known);
    let mut told: Vec<String> = unknown
        .iter()
        .take(UNKNOWN_NAMED_MAX)
        .map(|name| text::plain(name))
        .collect();
    if unknown.len() > told.len() {
        told.push(format!("and {} more", unknown.len() - told.len()));
    }
    let (path, told) = (file.display(), told.join(", "));
    if known.is_empty() {
        let held = match told.as_str() {
            "" => "nothing",
            told => told,
        };
        bail!("{path} is no zip of `sonde export`: it holds {held}; {EXPECTED}");
    }
    if !unknown.is_empty() {
        // A warning that cannot be written changes nothing about what is imported.
        let _ = writeln!(
            io::stderr(),
            "sonde: {path} holds what `sonde export` does not write and what is not imported: {told}"
        );
    }
    Ok(())
}

/// Sends each request of the file as it is.
fn import_exported(
    collector: &Collector,
    endpoint: &str,
    file: &Path,
    imported: &mut Imported,
) -> anyhow::Result<()> {
    let cannot_read = || {
        format!(
            "cannot read {}; is it what `sonde export` wrote?",
            file.display()
        )
    };
    let mut zip =
        ZipArchive::new(File::open(file).with_context(cannot_read)?).with_context(cannot_read)?;
    let names: Vec<String> = zip
        .file_names()
        .map(|name| name.map_or_else(|_| "a name that is no text".to_owned(), Cow::into_owned))
        .collect();
    check_members(file, &names)?;
    for (name, path, rejected_name) in MEMBERS {
        let Ok(entry) = zip.by_name(name) else {
            continue;
        };
        let mut lines = BufReader::new(entry);
        let mut line = Vec::new();
        while (&mut lines)
            .take(REQUEST_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .with_context(cannot_read)?
            > 0
        {
            let request: Value = serde_json::from_slice(&line).with_context(cannot_read)?;
            let answer = collector.send(&format!("{endpoint}{path}"), &request)?;
            let refused = rejected(&answer, rejected_name);
            let sent = items(&request).saturating_sub(refused);
            match name {
                "traces.jsonl" => imported.spans += sent,
                "logs.jsonl" => imported.logs += sent,
                "metrics.jsonl" => imported.points += sent,
                _ => imported.profiles += sent,
            }
            imported.refused += refused;
            line.clear();
        }
    }
    Ok(())
}

/// How many spans, logs, metrics with one reading each, or profiles a request has.
fn items(request: &Value) -> u64 {
    let of = |value: &Value, names: [&str; 4]| {
        let found = names.into_iter().find_map(|name| value[name].as_array());
        found.cloned().unwrap_or_default()
    };
    let resources = of(
        request,
        [
            "resourceSpans",
            "resourceLogs",
            "resourceMetrics",
            "resourceProfiles",
        ],
    );
    let scopes = resources.iter().flat_map(|resource| {
        of(
            resource,
            ["scopeSpans", "scopeLogs", "scopeMetrics", "scopeProfiles"],
        )
    });
    scopes
        .map(|scope| of(&scope, ["spans", "logRecords", "metrics", "profiles"]).len() as u64)
        .sum()
}

/// A recording does not say whose it is: its file's name does.
fn name_of(file: &Path) -> String {
    file.file_stem()
        .unwrap_or(file.as_os_str())
        .to_string_lossy()
        .into_owned()
}

#[derive(Debug, Default)]
struct Imported {
    spans: u64,
    logs: u64,
    points: u64,
    profiles: u64,
    refused: u64,
}

/// Records that wait to be sent.
struct Batch<'a> {
    collector: &'a Collector,
    endpoint: &'a str,
    resource: Value,
    spans: Vec<Value>,
    logs: Vec<Value>,
}

impl<'a> Batch<'a> {
    fn new(collector: &'a Collector, endpoint: &'a str, service: &str) -> Self {
        Self {
            collector,
            endpoint,
            resource: json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}),
            spans: Vec::new(),
            logs: Vec::new(),
        }
    }

    fn take(&mut self, record: &Record, imported: &mut Imported) -> anyhow::Result<()> {
        match record {
            Record::Span(span) => self
                .spans
                .push(scoped(&span.target, "spans", &span_json(span))),
            Record::Log(log) => self
                .logs
                .push(scoped(&log.target, "logRecords", &log_json(log))),
            Record::Event(event) => self.logs.push(scoped("", "logRecords", &event_json(event))),
        }
        if self.spans.len() + self.logs.len() >= BATCH_MAX {
            self.send(imported)?;
        }
        Ok(())
    }

    fn send(&mut self, imported: &mut Imported) -> anyhow::Result<()> {
        let resource = &self.resource;
        let spans = std::mem::take(&mut self.spans);
        if !spans.is_empty() {
            imported.spans += spans.len() as u64;
            let body = json!({"resourceSpans": [{"resource": resource, "scopeSpans": spans}]});
            let answer = self
                .collector
                .send(&format!("{}/v1/traces", self.endpoint), &body)?;
            let refused = rejected(&answer, "rejectedSpans");
            imported.spans -= refused;
            imported.refused += refused;
        }
        let logs = std::mem::take(&mut self.logs);
        if !logs.is_empty() {
            imported.logs += logs.len() as u64;
            let body = json!({"resourceLogs": [{"resource": resource, "scopeLogs": logs}]});
            let answer = self
                .collector
                .send(&format!("{}/v1/logs", self.endpoint), &body)?;
            let refused = rejected(&answer, "rejectedLogRecords");
            imported.logs -= refused;
            imported.refused += refused;
        }
        Ok(())
    }
}

/// How many items a partial success says were not taken.
fn rejected(answer: &Value, name: &str) -> u64 {
    let rejected = &answer["partialSuccess"][name];
    let text = rejected.as_str().and_then(|text| text.parse().ok());
    rejected.as_u64().or(text).unwrap_or(0)
}

fn scoped(scope: &str, items: &str, item: &Value) -> Value {
    json!({"scope": {"name": scope}, items: [item]})
}

fn span_json(span: &Span) -> Value {
    let (code, message) = match &span.status {
        Status::Unset => (0, ""),
        Status::Ok => (1, ""),
        Status::Error(message) => (2, message.as_ref()),
    };
    let kind = match span.kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    };
    let link = |link: &Link| json!({"traceId": link.trace_id.to_string(), "spanId": link.span_id.to_string()});
    json!({
        "traceId": span.trace_id.to_string(),
        "spanId": span.span_id.to_string(),
        "parentSpanId": span.parent_id.map(|id| id.to_string()).unwrap_or_default(),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": span.start_unix_ns.to_string(),
        "endTimeUnixNano": span.end_unix_ns.to_string(),
        "status": {"code": code, "message": message},
        "links": span.links.iter().map(link).collect::<Vec<_>>(),
        "attributes": attributes(&span.attributes, span.thread, span.correlation_id.as_deref()),
    })
}

fn log_json(log: &Log) -> Value {
    let mut json = placed(log.time_unix_ns, log.place.as_ref(), log.severity as u8);
    json["body"] = json!({"stringValue": log.message});
    json["attributes"] = attributes(&log.attributes, log.thread, log.correlation_id.as_deref());
    json
}

fn event_json(event: &EventRecord) -> Value {
    let mut json = placed(
        event.time_unix_ns,
        event.place.as_ref(),
        event.severity as u8,
    );
    let name = if event.name.is_empty() {
        &event.type_name
    } else {
        &event.name
    };
    json["eventName"] = json!(name);
    json["attributes"] = attributes(&event.data, event.thread, event.correlation_id.as_deref());
    if let Some(list) = json["attributes"].as_array_mut() {
        list.push(json!({"key": EVENT_TYPE_ATTRIBUTE, "value": {"stringValue": event.type_name}}));
    }
    json
}

fn placed(time_unix_ns: u64, place: Option<&Place>, severity: u8) -> Value {
    let mut json = json!({"timeUnixNano": time_unix_ns.to_string(), "severityNumber": severity});
    if let Some(place) = place {
        json["traceId"] = json!(place.trace_id.to_string());
        json["spanId"] = json!(place.span_id.to_string());
    }
    json
}

/// Attributes, and what our own records have besides: as our exporter sends them.
fn attributes(attributes: &Attributes, thread: u32, correlation_id: Option<&str>) -> Value {
    let own = attributes
        .iter()
        .map(|(name, value)| json!({"key": name, "value": value_json(value)}));
    let mut list: Vec<Value> = own.collect();
    if thread != 0 {
        list.push(json!({"key": "thread.id", "value": {"intValue": thread.to_string()}}));
    }
    if let Some(id) = correlation_id {
        list.push(json!({"key": "correlation.id", "value": {"stringValue": id}}));
    }
    Value::Array(list)
}

fn value_json(value: &Recorded) -> Value {
    match value {
        Recorded::Null => json!({}),
        Recorded::Bool(value) => json!({"boolValue": value}),
        Recorded::I64(value) => json!({"intValue": value.to_string()}),
        Recorded::U64(value) => match i64::try_from(*value) {
            Ok(value) => json!({"intValue": value.to_string()}),
            // OTLP has no whole numbers beyond those of 64 bits with a sign.
            Err(_) => json!({"stringValue": value.to_string()}),
        },
        Recorded::F64(value) if value.is_finite() => json!({"doubleValue": value}),
        Recorded::F64(value) => {
            json!({"doubleValue": value.to_string().replace("inf", "Infinity")})
        }
        Recorded::Str(text) => json!({"stringValue": text}),
        Recorded::List(values) => {
            json!({"arrayValue": {"values": values.iter().map(value_json).collect::<Vec<_>>()}})
        }
        Recorded::Map(entries) => json!({"kvlistValue": {"values": attributes(entries, 0, None)}}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_otlp() {
        let value = |value| value_json(&value).to_string();
        assert_eq!(
            value(Recorded::U64(u64::MAX)),
            r#"{"stringValue":"18446744073709551615"}"#
        );
        assert_eq!(
            value(Recorded::F64(f64::NEG_INFINITY)),
            r#"{"doubleValue":"-Infinity"}"#
        );
        assert_eq!(
            value(Recorded::List(vec![Recorded::Bool(true)])),
            r#"{"arrayValue":{"values":[{"boolValue":true}]}}"#
        );
        let entries = vec![("a".into(), Recorded::I64(1))];
        assert_eq!(
            value(Recorded::Map(entries)),
            r#"{"kvlistValue":{"values":[{"key":"a","value":{"intValue":"1"}}]}}"#
        );
    }

    #[test]
    fn what_was_rejected_may_be_a_number_or_text() {
        assert_eq!(
            rejected(
                &json!({"partialSuccess": {"rejectedSpans": "3"}}),
                "rejectedSpans"
            ),
            3
        );
        assert_eq!(
            rejected(
                &json!({"partialSuccess": {"rejectedSpans": 3}}),
                "rejectedSpans"
            ),
            3
        );
        assert_eq!(rejected(&json!({}), "rejectedSpans"), 0);
    }
}
