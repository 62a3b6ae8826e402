//! From records in any order to requests in one order.
//!
//! A trace is one request, under the root that [`why`](crate::why) gives it. Where a trace holds several (roots without
//! a parent, or what one process asked of another again and again under a parent that is recorded elsewhere), each of
//! those is a request by itself with what hangs below it.
//!
//! Invariant: every span is in one request, however broken the parents are; of several with one identifier it is the
//! longest.

use std::{
    cmp::{Ordering, Reverse},
    collections::{HashMap, HashSet},
    sync::Arc,
};

use radiosonde_core::{
    hash::FoldState,
    ids::{SpanId, TraceId},
    model::{self, EventRecord, Log, Resource, Severity, Span, SpanKind, Status, Value},
};

use crate::{compare::Side, why::root::Root};

/// A span with what recorded it.
pub(crate) type Recorded<'a> = (&'a Resource, &'a Span);

/// A span by its trace and its own identifier.
type Place = (TraceId, SpanId);
/// The parent of every span.
type Parents = HashMap<Place, Option<SpanId>, FoldState>;

/// Records that were read, in any order.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Spans, each with what recorded it. A resource that spans share is compared by its place first.
    pub spans: Vec<(Arc<Resource>, Span)>,
    /// Logs.
    pub logs: Vec<Log>,
    /// Events.
    pub events: Vec<EventRecord>,
}

impl Records {
    /// Every span with what recorded it, as [`Side`] takes them.
    pub fn spans(&self) -> Vec<(&Resource, &Span)> {
        let spans = self.spans.iter();
        spans.map(|(resource, span)| (&**resource, span)).collect()
    }

    /// These records as a side of a comparison; `spans` are [`Records::spans`].
    pub fn side<'a>(&'a self, name: &'a str, spans: &'a [(&'a Resource, &'a Span)]) -> Side<'a> {
        Side {
            name,
            spans,
            logs: &self.logs,
            events: &self.events,
        }
    }

    /// Keeps the `picked` spans and what is below them, and makes a request of each that is not below another; how many
    /// were, whose time is a part of that of others. Logs and events of other spans go as well.
    pub fn keep_below(&mut self, picked: &HashSet<(TraceId, SpanId)>) -> u64 {
        let parents = self.parents();
        let kept = below(&parents, picked);
        let is_kept = |place: Place| kept.get(&place).copied().unwrap_or(false);
        let mut inside = HashSet::new();
        self.spans.retain_mut(|(_, span)| {
            let place = (span.trace_id, span.span_id);
            span.parent_id = parents.get(&place).copied().flatten();
            if picked.contains(&place) {
                if span
                    .parent_id
                    .is_some_and(|parent| is_kept((span.trace_id, parent)))
                {
                    inside.insert(place);
                } else {
                    span.parent_id = None;
                }
            }
            is_kept(place)
        });
        let here = |place: Option<&model::Place>| {
            place.is_some_and(|place| is_kept((place.trace_id, place.span_id)))
        };
        self.logs.retain(|log| here(log.place.as_ref()));
        self.events.retain(|event| here(event.place.as_ref()));
        inside.len() as u64
    }

    /// The parent of every span; of several with one identifier that of the longest.
    fn parents(&self) -> Parents {
        let mut longest: HashMap<Place, Recorded<'_>, FoldState> = HashMap::default();
        for (resource, span) in &self.spans {
            let here = (&**resource, span);
            let known = longest.entry((span.trace_id, span.span_id)).or_insert(here);
            let longer = span.duration_ns().cmp(&known.1.duration_ns());
            if longer.then_with(|| in_order(*known, here)).is_gt() {
                *known = here;
            }
        }
        longest
            .into_iter()
            .map(|(place, (_, span))| (place, span.parent_id))
            .collect()
    }
}

/// For every span whether it is picked or below one that is.
fn below(parents: &Parents, picked: &HashSet<Place>) -> HashMap<Place, bool, FoldState> {
    let mut kept: HashMap<Place, bool, FoldState> = HashMap::default();
    for &place in parents.keys() {
        let mut walked = Vec::new();
        let mut at = place;
        let found = loop {
            let Some(parent) = parents.get(&at) else {
                break false;
            };
            if let Some(known) = kept.get(&at) {
                break *known;
            }
            // Where the walk comes back to a span of its own, that is a ring of which none is picked.
            let is_picked = picked.contains(&at);
            kept.insert(at, is_picked);
            walked.push(at);
            match parent {
                _ if is_picked => break true,
                Some(parent) => at.1 = *parent,
                None => break false,
            }
        };
        for place in walked {
            kept.insert(place, found);
        }
    }
    kept
}

/// A request, read: its spans and what was recorded inside of them.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) trace_id: TraceId,
    /// Each identifier once; never empty.
    pub(crate) spans: Vec<Recorded<'a>>,
    pub(crate) events: Vec<&'a EventRecord>,
    /// Logs of at least `WARN`.
    pub(crate) warnings: Vec<&'a Log>,
}

/// Requests, and how many spans came again.
#[derive(Debug, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) requests: Vec<Part<'a>>,
    pub(crate) duplicates: u64,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(records: &Side<'a>) -> Self {
        let mut parts = Self::default();
        let mut spans = records.spans.to_vec();
        spans.sort_unstable_by(|a, b| in_order(*a, *b));
        let beside = beside(records);
        for trace in spans.chunk_by(|a, b| a.1.trace_id == b.1.trace_id) {
            let trace_id = trace[0].1.trace_id;
            let (trace, again) = once_each(trace);
            parts.duplicates += again;
            let Divided {
                requests,
                unrecorded,
            } = divide(trace);
            for spans in requests {
                let ids = spans.iter().map(|(_, span)| span.span_id);
                let here = ids.chain(unrecorded);
                let here = here.filter_map(|span_id| beside.get(&(trace_id, span_id)));
                let here: Vec<&Beside<'a>> = here.collect();
                let events = here.iter().flat_map(|beside| &beside.events);
                let warnings = here.iter().flat_map(|beside| &beside.warnings);
                parts.requests.push(Part {
                    trace_id,
                    events: events.copied().collect(),
                    warnings: warnings.copied().collect(),
                    spans,
                });
            }
        }
        parts
    }
}

/// The events and warnings of a span.
#[derive(Debug, Default)]
struct Beside<'a> {
    events: Vec<&'a EventRecord>,
    warnings: Vec<&'a Log>,
}

/// The same of every span.
type Besides<'a> = HashMap<(TraceId, SpanId), Beside<'a>>;

/// A trace, divided.
struct Divided<'a> {
    /// The spans of each request.
    requests: Vec<Vec<Recorded<'a>>>,
    /// The root of the only request, where it was not recorded.
    unrecorded: Option<SpanId>,
}

/// Events and warnings by span.
fn beside<'a>(records: &Side<'a>) -> Besides<'a> {
    let mut all = Besides::new();
    for event in records.events {
        if let Some(place) = &event.place {
            let here = all.entry((place.trace_id, place.span_id)).or_default();
            here.events.push(event);
        }
    }
    for log in records.logs {
        if let Some(place) = &log.place
            && log.severity >= Severity::Warn
        {
            let here = all.entry((place.trace_id, place.span_id)).or_default();
            here.warnings.push(log);
        }
    }
    all
}

/// The spans of a trace, each identifier once, and how many were left out.
fn once_each<'a>(trace: &[Recorded<'a>]) -> (Vec<Recorded<'a>>, u64) {
    let mut longest: HashMap<SpanId, usize> = HashMap::with_capacity(trace.len());
    for (place, (_, span)) in trace.iter().enumerate() {
        let known = longest.entry(span.span_id).or_insert(place);
        if span.duration_ns() > trace[*known].1.duration_ns() {
            *known = place;
        }
    }
    let kept = trace.iter().enumerate();
    let kept: Vec<_> = kept
        .filter(|(place, (_, span))| longest[&span.span_id] == *place)
        .map(|(_, recorded)| *recorded)
        .collect();
    let again = trace.len() - kept.len();
    (kept, again as u64)
}

/// The requests of a trace, each with its spans. What hangs below no request's root belongs to the trace's main one.
fn divide(trace: Vec<Recorded<'_>>) -> Divided<'_> {
    let spans: Vec<&Span> = trace.iter().map(|(_, span)| *span).collect();
    let main = match Root::of(&spans) {
        Some(Root::Span(main)) => main,
        root => {
            let unrecorded = match root {
                Some(Root::Unrecorded(root)) => Some(root.span_id),
                _ => None,
            };
            return Divided {
                requests: vec![trace],
                unrecorded,
            };
        }
    };
    let places: HashMap<SpanId, usize> = spans
        .iter()
        .enumerate()
        .map(|(place, span)| (span.span_id, place))
        .collect();
    let parents: Vec<Option<usize>> = spans
        .iter()
        .map(|span| places.get(&span.parent_id?).copied())
        .collect();
    let serves = |span: &Span| matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
    let root = spans[main];
    let is_request = |place: usize| {
        let span = spans[place];
        parents[place].is_none()
            && parents[main].is_none()
            && span.parent_id == root.parent_id
            && (root.parent_id.is_none() || serves(span) || span.name == root.name)
    };
    let mut requests = vec![Vec::new(); spans.len()];
    for (recorded, root) in trace.iter().zip(roots(&parents, main, is_request)) {
        requests[root].push(*recorded);
    }
    requests.retain(|request| !request.is_empty());
    Divided {
        requests,
        unrecorded: None,
    }
}

/// For each span the root of the request that it hangs below, or `main`.
fn roots(parents: &[Option<usize>], main: usize, is_request: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut under: Vec<Option<usize>> = vec![None; parents.len()];
    for start in 0..parents.len() {
        let mut walked = Vec::new();
        let mut at = start;
        let found = loop {
            if let Some(known) = under[at] {
                break known;
            }
            // Where the walk comes back to a span of its own, that is a ring, which hangs below nothing.
            under[at] = Some(main);
            walked.push(at);
            match parents[at] {
                Some(parent) => at = parent,
                None if is_request(at) => break at,
                None => break main,
            }
        };
        for place in walked {
            under[place] = Some(found);
        }
    }
    under.into_iter().map(|root| root.unwrap_or(main)).collect()
}

/// An order that depends on nothing but the records: two that are equal in it are alike in all that counts.
fn in_order(a: Recorded<'_>, b: Recorded<'_>) -> Ordering {
    let key = |span: &Span| {
        (
            span.trace_id,
            span.start_unix_ns,
            Reverse(span.end_unix_ns),
            span.span_id,
            span.parent_id,
            span.thread,
        )
    };
    let outcome = |span: &Span| (span.kind as u8, matches!(span.status, Status::Error(_)));
    let (resource_a, span_a) = a;
    let (resource_b, span_b) = b;
    key(span_a)
        .cmp(&key(span_b))
        .then_with(|| span_a.name.cmp(&span_b.name))
        .then_with(|| outcome(span_a).cmp(&outcome(span_b)))
        .then_with(|| compare_all(&span_a.attributes, &span_b.attributes))
        .then_with(|| compare_all(&resource_a.attributes, &resource_b.attributes))
}

fn compare_all<K: Ord>(a: &[(K, Value)], b: &[(K, Value)]) -> Ordering {
    let pairs = a.iter().zip(b).map(|((key, value), (other_key, other))| {
        key.cmp(other_key)
            .then_with(|| compare_values(value, other))
    });
    let different = pairs.into_iter().find(|order| order.is_ne());
    different.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Values by kind and then by content. What is inside of lists and maps takes no part in a comparison, so they count
/// as alike.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    let kind = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::I64(_) => 2,
        Value::U64(_) => 3,
        Value::F64(_) => 4,
        Value::Str(_) => 5,
        Value::List(_) => 6,
        Value::Map(_) => 7,
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::I64(a), Value::I64(b)) => a.cmp(b),
        (Value::U64(a), Value::U64(b)) => a.cmp(b),
        (Value::F64(a), Value::F64(b)) => a.total_cmp(b),
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        _ => kind(a).cmp(&kind(b)),
    }
}
