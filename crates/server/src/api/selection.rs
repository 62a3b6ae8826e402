//! Which requests an answer is about, and their records: a trace, or all that are as described in a time.
//!
//! What is read is bounded. The newest come first, by whole traces, and what was left out is said in the answer.

use std::collections::HashSet;

use radiosonde_answers::{
    requests::Records,
    why::{self, NotAssessed},
};
use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::Record,
};
use radiosonde_store::Kept;
use serde::Serialize;

use super::{
    Api, filter,
    params::Range,
    rows::{Row, literal},
    trace::{identifier, records},
    traces::recent,
};
use crate::problem::Problem;

/// Most spans that are read of a selection, unless one trace alone has more; and as many events and warnings.
pub(super) const SPANS_MAX: usize = 50_000;
/// Most traces.
const TRACES_MAX: usize = 5_000;
/// The scope of the span that stands for the run of a whole program, which is nobody's request.
const RUN: &str = "sonde::run";

/// What requests are like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Described {
    /// A filter over spans.
    pub(super) q: Option<String>,
    pub(super) service: Option<String>,
    /// The name of the spans that are the requests; without it, requests are what traces are of.
    pub(super) operation: Option<String>,
    /// `service.version` of the resource.
    pub(super) version: Option<String>,
}

/// Which requests.
#[derive(Clone, Debug)]
pub(super) enum Selector {
    /// Those of one trace, or one span and what is below it.
    Trace(TraceId, Option<SpanId>),
    /// Those that are as described.
    Described(Described, Range),
}

/// Records, and how much of what was asked for they are.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) records: Records,
    pub(super) extent: Extent,
    /// Operations inside of an operation of the same name.
    inside: u64,
    /// Events and warnings for which there was no room.
    left_out: u64,
    /// About how many traces those stand for that are there, where they are a sample.
    stands_for: Option<u64>,
}

/// How much was read of how much.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Extent {
    traces: u64,
    /// How many there are; `None` where they could not be counted.
    of_traces: Option<u64>,
    spans: u64,
}

impl Described {
    /// The condition that a span is so; empty where every one is.
    pub(super) fn condition(&self) -> Result<String, Problem> {
        let mut all = String::new();
        let mut and = |condition: &str| {
            all.push_str(" AND ");
            all.push_str(condition);
        };
        if let Some(q) = &self.q {
            and(&filter::condition(q)?);
        }
        if let Some(service) = &self.service {
            and(&format!("service = {}", literal(service)));
        }
        if let Some(operation) = &self.operation {
            and(&format!("name = {}", literal(operation)));
        }
        if let Some(version) = &self.version {
            let version = literal(version);
            and(&format!(
                "CAST(resource['service.version'] AS VARCHAR) = {version}"
            ));
        }
        Ok(all)
    }

    /// The same in words; `None` where it is everything.
    pub(super) fn words(&self) -> Option<String> {
        let operation = self.operation.as_ref().map(|name| format!("`{name}`"));
        let service = self.service.as_ref().map(|name| match operation {
            Some(_) => format!(" of `{name}`"),
            None => format!("`{name}`"),
        });
        let version = self.version.as_ref().map(|name| format!("version {name}"));
        let filter = self.q.as_ref().map(|q| format!("({q})"));
        let named = operation.into_iter().chain(service).collect::<String>();
        let parts = [Some(named), version, filter].into_iter().flatten();
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

impl Selector {
    /// Reads the records, without those of the trace `except`.
    pub(super) fn read(&self, api: &Api, except: Option<TraceId>) -> Result<Read, Problem> {
        match self {
            Self::Trace(trace_id, span_id) => one(api, *trace_id, *span_id),
            Self::Described(described, range) => match described.operation {
                Some(_) => operations(api, described, *range, except),
                None => whole(api, described, *range, except),
            },
        }
    }
}

impl Read {
    /// What of the requests called `name` was not read, to be said in the answer.
    pub(super) fn not_assessed(&self, name: &str) -> Vec<NotAssessed> {
        let mut all = Vec::new();
        let mut say = |what: &str, because: String| {
            all.push(NotAssessed {
                what: format!("{what}{name}"),
                because,
            });
        };
        let Extent {
            traces, of_traces, ..
        } = self.extent;
        if of_traces != Some(traces) {
            let of = of_traces.map_or_else(|| "more".to_owned(), |all| all.to_string());
            say(
                "older requests",
                format!(
                    "the newest {traces} of {of} traces were read; an answer reads at most {SPANS_MAX} spans and {TRACES_MAX} traces of a side"
                ),
            );
        }
        if let Some(stands_for) = self.stands_for {
            say(
                "requests that sampling left out",
                format!(
                    "what is kept of about {stands_for} traces is a sample, with more of those that failed, were slow or rare; numbers and shares are of what was read"
                ),
            );
        }
        if self.left_out > 0 {
            say(
                "some of what was logged",
                format!(
                    "{} left out; at most {SPANS_MAX} are read",
                    match self.left_out {
                        1 => "1 event or warning was".to_owned(),
                        more => format!("{more} events and warnings were"),
                    }
                ),
            );
        }
        if self.inside > 0 {
            say(
                "operations inside of their like",
                format!(
                    "{} inside of another of the same name, of whose time theirs is a part",
                    match self.inside {
                        1 => "1 is".to_owned(),
                        more => format!("{more} are"),
                    }
                ),
            );
        }
        all
    }

    fn of(kept: Vec<Kept>) -> Self {
        let mut records = Records::default();
        for Kept { resource, record } in kept {
            match record {
                Record::Span(span) => records.spans.push((resource, span)),
                Record::Log(log) => records.logs.push(log),
                Record::Event(event) if why::takes_part(&event.type_name) => {
                    records.events.push(event);
                }
                Record::Event(_) => {}
            }
        }
        Self {
            records,
            ..Self::default()
        }
    }

    /// Keeps what is picked, and counts.
    fn keep_below(mut self, picked: &HashSet<(TraceId, SpanId)>) -> Self {
        self.inside = self.records.keep_below(picked);
        self
    }

    fn with_extent(mut self, traces: usize, of_traces: Option<u64>) -> Self {
        self.extent = Extent {
            traces: traces as u64,
            of_traces,
            spans: self.records.spans.len() as u64,
        };
        self
    }
}

fn one(api: &Api, trace_id: TraceId, span_id: Option<SpanId>) -> Result<Read, Problem> {
    let read = Read::of(records(api, trace_id)?);
    let Some(span_id) = span_id else {
        return Ok(read.with_extent(1, Some(1)));
    };
    let is_it = |span: SpanId| span == span_id;
    if !read
        .records
        .spans
        .iter()
        .any(|(_, span)| is_it(span.span_id))
    {
        return Err(no_span(trace_id, span_id));
    }
    let read = read.keep_below(&HashSet::from([(trace_id, span_id)]));
    Ok(read.with_extent(1, Some(1)))
}

/// A trace has no such span.
pub(super) fn no_span(trace_id: TraceId, span_id: SpanId) -> Problem {
    let message = format!("trace {trace_id} has no span {span_id}");
    let mend = format!("`sonde trace {trace_id} --format json` has the spans' identifiers");
    Problem::not_found(message, mend)
}

/// Whole traces of which a span is as described, the newest first.
fn whole(
    api: &Api,
    described: &Described,
    range: Range,
    except: Option<TraceId>,
) -> Result<Read, Problem> {
    let wanted = described.condition()?;
    let (ids, more) = recent(api, range, &wanted, TRACES_MAX)?;
    let mut ids: Vec<TraceId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    ids.retain(|&id| Some(id) != except);
    let traces = api.store.traces(&ids, SPANS_MAX)?;
    let read = Read {
        left_out: traces.left_out,
        ..Read::of(traces.records)
    };
    let of_traces = if more {
        counted(api, "count(DISTINCT trace_id)", range, &wanted)
    } else {
        Some(ids.len() as u64)
    };
    let mut read = read.with_extent(traces.read, of_traces);
    read.stands_for = stands_for(api, range, &wanted);
    read.records.spans.retain(|(_, span)| span.target != RUN);
    Ok(read)
}

/// Spans of one name with what is below them, the newest first.
fn operations(
    api: &Api,
    described: &Described,
    range: Range,
    except: Option<TraceId>,
) -> Result<Read, Problem> {
    let wanted = described.condition()?;
    let statement = format!(
        "SELECT trace_id, span_id FROM spans WHERE {}{wanted} ORDER BY start_time DESC, trace_id, span_id LIMIT {}",
        range.contains("start_time"),
        SPANS_MAX + 1
    );
    let place = |mut row: Row| -> Option<(TraceId, SpanId)> {
        Some((row.text().parse().ok()?, row.text().parse().ok()?))
    };
    let places = api.rows(&statement, SPANS_MAX + 1)?.filter_map(place);
    let mut places: Vec<_> = places.filter(|&(trace, _)| Some(trace) != except).collect();
    let more = places.len() > SPANS_MAX;
    places.truncate(SPANS_MAX);
    let mut seen = HashSet::new();
    let mut ids: Vec<TraceId> = places.iter().map(|&(trace, _)| trace).collect();
    ids.retain(|&id| seen.insert(id));
    let of_traces = if more {
        counted(api, "count(DISTINCT trace_id)", range, &wanted)
    } else {
        Some(ids.len() as u64)
    };
    ids.truncate(TRACES_MAX);
    let traces = api.store.traces(&ids, SPANS_MAX)?;
    let read = Read {
        left_out: traces.left_out,
        ..Read::of(traces.records)
    };
    let mut read = read.keep_below(&places.into_iter().collect());
    read.stands_for = stands_for(api, range, &wanted);
    Ok(read.with_extent(traces.read, of_traces))
}

/// About how many traces there were that are as described; `None` where those that are kept are all of them.
fn stands_for(api: &Api, range: Range, wanted: &str) -> Option<u64> {
    let described = format!("FROM spans WHERE {}{wanted}", range.contains("start_time"));
    let sampled = format!("SELECT 1 {described} AND weight > 1 LIMIT 1");
    api.rows(&sampled, 1).ok()?.next()?;
    let traces = format!("SELECT max(weight) AS weight {described} GROUP BY trace_id");
    let statement = format!("SELECT CAST(round(sum(weight)) AS BIGINT) FROM ({traces})");
    let mut row = api.rows(&statement, 1).ok()?.next()?;
    u64::try_from(row.int()).ok()
}

/// A number over all that is as described; `None` where there is too much to count.
fn counted(api: &Api, what: &str, range: Range, wanted: &str) -> Option<u64> {
    let statement = format!(
        "SELECT {what} FROM spans WHERE {}{wanted}",
        range.contains("start_time")
    );
    let mut row = api.rows(&statement, 1).ok()?.next()?;
    u64::try_from(row.int()).ok()
}

/// The trace, and the span if one is asked for.
pub(super) fn place(trace: &str, span: Option<&str>) -> Result<(TraceId, Option<SpanId>), Problem> {
    let trace_id = identifier(trace)?;
    let Some(text) = span else {
        return Ok((trace_id, None));
    };
    match text.to_ascii_lowercase().parse() {
        Ok(span_id) => Ok((trace_id, Some(span_id))),
        Err(_) => Err(Problem::bad_request(
            format!("`{text}` is no span ID"),
            "give its 16 hexadecimal digits",
        )),
    }
}
