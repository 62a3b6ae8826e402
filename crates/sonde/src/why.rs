//! `sonde why`: finds the request and accounts for it, in a recording or in a collector.
//!
//! A file is read twice: once for what it takes to find the slowest request, once for that request's records. So
//! memory follows the spans there are, not what is attached to them.

use std::{fmt::Write as _, path::Path};

use anyhow::bail;
use radiosonde::core::{
    ids::{SpanId, TraceId},
    model::{EventRecord, Log, Place, Record, Span},
};
use radiosonde_answers::{
    units::Nanoseconds,
    why::{self, Account, Candidate, Telemetry},
};
use serde::Serialize;

use crate::{
    ask,
    cli::{Format, SelectionArguments, WhyArguments},
    collector::{Collector, Parameters, encoded},
    recording::{self, Unread},
    text,
};

/// How many requests an error message names.
const NAMED_MAX: usize = 5;

/// What standard output gets.
pub fn run(arguments: &WhyArguments) -> anyhow::Result<String> {
    let Some(path) = arguments.file.as_deref() else {
        return ask(arguments);
    };
    let (spans, unread) = outlines(path)?;
    if spans.is_empty() {
        bail!("{} holds no spans{}", path.display(), mend(&unread));
    }
    unread.warn(path);
    let candidates = why::candidates(&spans);
    if arguments.list {
        return list(path, candidates, arguments.format);
    }
    let account = match &arguments.window {
        Some(last) => window(path, &candidates, *last)?,
        None => one(path, arguments, &candidates)?,
    };
    match arguments.format {
        Format::Text => Ok(account.to_string()),
        Format::Json => json(&account),
    }
}

/// Asks a collector.
fn ask(arguments: &WhyArguments) -> anyhow::Result<String> {
    let collector = Collector::new(&arguments.collector)?;
    let selection = &arguments.selection;
    if arguments.list {
        let mut parameters = vec![("order", "slowest"), ("limit", "100")];
        parameters.extend(selection.parameters());
        let answer = collector.get("traces", &parameters)?;
        return Ok(match arguments.format {
            Format::Json => text::json(&answer),
            Format::Text => ask::trace_table(text::list(&answer, "traces")),
        });
    }
    let parameters = selection.parameters();
    let answer = if parameters.is_empty() {
        let trace = match &arguments.trace {
            Some(id) => id.clone(),
            None => slowest(&collector)?,
        };
        let span = arguments.span.as_deref().map(|span| ("span", span));
        let path = format!("traces/{}/why", encoded(&trace));
        collector.get(&path, &span.into_iter().collect())?
    } else {
        collector.get("why", &parameters)?
    };
    Ok(match arguments.format {
        Format::Json => text::json(&answer),
        Format::Text => text::member(&answer, "text"),
    })
}

/// The slowest trace of the last hour.
fn slowest(collector: &Collector) -> anyhow::Result<String> {
    let answer = collector.get("traces", &vec![("order", "slowest"), ("limit", "1")])?;
    match text::list(&answer, "traces") {
        [trace, ..] => Ok(text::member(trace, "trace_id")),
        [] => {
            bail!("the collector has no traces of the last hour; `sonde doctor` says what arrived")
        }
    }
}

impl SelectionArguments {
    /// As the API takes them.
    fn parameters(&self) -> Parameters<'_> {
        let given = [
            ("service", &self.service),
            ("operation", &self.operation),
            ("version", &self.service_version),
            ("q", &self.filter),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let given = given.into_iter();
        given
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect()
    }
}

fn mend(unread: &Unread) -> String {
    match unread.words() {
        Some(words) => format!(
            ": {words}. Is it a recording? Radiosonde's JSON-lines and SQLite exporters write them"
        ),
        None => "; record some with radiosonde's JSON-lines or SQLite exporter".to_owned(),
    }
}

fn json(document: &impl Serialize) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(text)
}

/// Every span without what is attached to it, except for what it is called by.
fn outlines(path: &Path) -> anyhow::Result<(Vec<Span>, Unread)> {
    let mut spans = Vec::new();
    let unread = recording::for_each(path, |record| {
        if let Record::Span(span) = record {
            spans.push(Span {
                target: "".into(),
                correlation_id: None,
                attributes: span
                    .attributes
                    .into_iter()
                    .filter(|(name, _)| why::is_index(name))
                    .collect(),
                links: Vec::new(),
                ..span
            });
        }
    })?;
    Ok((spans, unread))
}

/// The records of the traces that are asked for.
#[derive(Default)]
struct Records {
    spans: Vec<Span>,
    logs: Vec<Log>,
    events: Vec<EventRecord>,
}

impl Records {
    fn read(path: &Path, wanted: impl Fn(TraceId) -> bool) -> anyhow::Result<Self> {
        let mut records = Self::default();
        let at = |place: &Option<Place>| place.as_ref().is_some_and(|place| wanted(place.trace_id));
        recording::for_each(path, |record| match record {
            Record::Span(span) if wanted(span.trace_id) => records.spans.push(span),
            Record::Log(log) if at(&log.place) => records.logs.push(log),
            Record::Event(event) if at(&event.place) => records.events.push(event),
            _ => {}
        })?;
        Ok(records)
    }

    fn telemetry(&self) -> Telemetry<'_> {
        Telemetry {
            spans: &self.spans,
            logs: &self.logs,
            events: &self.events,
        }
    }
}

fn one(path: &Path, arguments: &WhyArguments, candidates: &[Candidate]) -> anyhow::Result<Account> {
    let trace_id = match &arguments.trace {
        Some(start) => find(path, start, candidates)?,
        None => candidates[0].trace_id,
    };
    let records = Records::read(path, |trace| trace == trace_id)?;
    let account = match &arguments.span {
        Some(text) => {
            let Ok(span_id) = text.parse::<SpanId>() else {
                bail!("`{text}` is not a span ID: give its 16 hexadecimal digits");
            };
            why::span(&records.telemetry(), trace_id, span_id)
        }
        None => why::trace(&records.telemetry(), trace_id),
    };
    match (account, &arguments.span) {
        (Some(account), _) => Ok(account),
        (None, Some(span)) => bail!(
            "trace {trace_id} in {} has no span {span}; give `--trace` as well if it is in another",
            path.display()
        ),
        (None, None) => bail!(
            "{} changed while it was read and no longer holds trace {trace_id}; ask again",
            path.display()
        ),
    }
}

/// The trace whose ID begins with `start`.
fn find(path: &Path, start: &str, candidates: &[Candidate]) -> anyhow::Result<TraceId> {
    // A UUID is the same identifier with hyphens.
    let wanted = start.replace('-', "").to_ascii_lowercase();
    let matching: Vec<_> = candidates
        .iter()
        .filter(|candidate| candidate.trace_id.to_string().starts_with(&wanted))
        .collect();
    match matching.as_slice() {
        [only] => Ok(only.trace_id),
        [] => bail!(
            "{} has no trace {start}; the slowest it has are\n{}`--list` shows all",
            path.display(),
            table(candidates.iter().take(NAMED_MAX))
        ),
        several => bail!(
            "{start} begins {} trace IDs in {}; give more digits, for example of\n{}",
            several.len(),
            path.display(),
            table(several.iter().copied().take(NAMED_MAX)).trim_end()
        ),
    }
}

fn window(
    path: &Path,
    candidates: &[Candidate],
    last: Option<std::time::Duration>,
) -> anyhow::Result<Account> {
    // One whose root was not recorded did not end.
    let ended = || candidates.iter().filter(|candidate| candidate.complete);
    let end_of = |candidate: &Candidate| {
        candidate
            .start_unix_ns
            .saturating_add(candidate.duration_ns)
    };
    let end = ended().map(end_of).max().unwrap_or(0).saturating_add(1);
    let first = ended().map(end_of).min().unwrap_or(0);
    let start = last.map_or(first, |last| {
        end.saturating_sub(u64::try_from(last.as_nanos()).unwrap_or(u64::MAX))
    });
    let traces: std::collections::BTreeSet<TraceId> = ended()
        .filter(|candidate| end_of(candidate) >= start)
        .map(|candidate| candidate.trace_id)
        .collect();
    let records = Records::read(path, |trace| traces.contains(&trace))?;
    match why::window(&records.telemetry(), start, end) {
        Some(account) => Ok(account),
        None => bail!(
            "no request ended in that window of {}; give a longer one",
            path.display()
        ),
    }
}

/// The document of `--list`.
#[derive(Serialize)]
struct Listing<'a> {
    schema: u32,
    file: &'a Path,
    traces: Vec<Candidate>,
}

fn list(path: &Path, candidates: Vec<Candidate>, format: Format) -> anyhow::Result<String> {
    match format {
        Format::Text => Ok(table(candidates.iter())),
        Format::Json => json(&Listing {
            schema: why::SCHEMA,
            file: path,
            traces: candidates,
        }),
    }
}

fn table<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> String {
    let mut text = String::new();
    for candidate in candidates {
        let name: String = candidate
            .name
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  {}  {:>11}  {:>6} {}  {name}",
            candidate.trace_id,
            Nanoseconds(candidate.duration_ns),
            candidate.spans,
            if candidate.spans == 1 {
                "span "
            } else {
                "spans"
            }
        );
    }
    text
}
