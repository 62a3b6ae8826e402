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
    collections::HashMap,
};

use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::{EventRecord, Log, Resource, Severity, Span, SpanKind, Status, Value},
};

use super::{
    Side,
    lift::Attributes,
    tree::{Forest, Service},
};
use crate::why::{
    Evidence,
    root::Root,
    tile::tile,
    trace::{Notes, Trace, TraceRecords},
};

/// A span with what recorded it.
type Recorded<'a> = (&'a Resource, &'a Span);

/// What is kept of a request once its spans have been added up.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) trace_id: TraceId,
    /// Its root.
    pub(super) span_id: SpanId,
    /// The root's name.
    pub(super) name: String,
    pub(super) duration_ns: u64,
    /// The root failed.
    pub(super) failed: bool,
    /// Numbers of the attributes that its spans, resources and logs have, in ascending order.
    pub(super) attributes: Vec<u32>,
}

impl Request {
    /// Its root.
    pub(super) fn evidence(&self) -> Evidence {
        Evidence {
            trace_id: self.trace_id,
            span_id: self.span_id,
            name: self.name.clone(),
            duration_ns: self.duration_ns,
        }
    }
}

/// Both sides, read.
#[derive(Debug, Default)]
pub(super) struct Gathered<'a> {
    pub(super) requests: [Vec<Request>; 2],
    pub(super) spans: [u64; 2],
    pub(super) forest: Forest,
    pub(super) attributes: Attributes<'a>,
    pub(super) notes: [Notes; 2],
    /// Requests of which the root was not recorded.
    pub(super) rootless: [u64; 2],
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

impl<'a> Gathered<'a> {
    pub(super) fn new(sides: [&Side<'a>; 2]) -> Self {
        let mut gathered = Self::default();
        for (number, side) in sides.into_iter().enumerate() {
            gathered.side(number, side);
        }
        gathered
    }

    fn side(&mut self, side: usize, records: &Side<'a>) {
        let mut spans = records.spans.to_vec();
        spans.sort_unstable_by(|a, b| in_order(*a, *b));
        let beside = beside(records);
        for trace in spans.chunk_by(|a, b| a.1.trace_id == b.1.trace_id) {
            let trace_id = trace[0].1.trace_id;
            let (trace, again) = once_each(trace);
            self.notes[side].duplicates += again;
            let Divided {
                requests,
                unrecorded,
            } = divide(trace);
            for request in requests {
                let ids = request.iter().map(|(_, span)| span.span_id);
                let here = ids.chain(unrecorded);
                let here = here.filter_map(|span_id| beside.get(&(trace_id, span_id)));
                self.request(side, trace_id, &request, &here.collect::<Vec<_>>());
            }
        }
    }

    /// Adds up one request, whose spans these are.
    fn request(
        &mut self,
        side: usize,
        trace_id: TraceId,
        spans: &[Recorded<'a>],
        beside: &[&Beside<'a>],
    ) {
        let by_id: HashMap<SpanId, Recorded<'a>> = spans
            .iter()
            .map(|&recorded| (recorded.1.span_id, recorded))
            .collect();
        let records = TraceRecords {
            spans: spans.iter().map(|(_, span)| *span).collect(),
            events: beside
                .iter()
                .flat_map(|beside| beside.events.iter().copied())
                .collect(),
        };
        let Some(trace) = Trace::new(&records, trace_id, None) else {
            return;
        };
        // A root that was not recorded counts as its first part's service.
        let service = |span_id: &SpanId| Service::of(by_id.get(span_id).unwrap_or(&spans[0]).0);
        self.forest.add(side, &trace, &tile(&trace), service);
        let warnings = beside.iter().flat_map(|beside| &beside.warnings);
        let warnings = warnings.map(|log| log.message.as_ref());
        let attributes = self.attributes.gather(spans, warnings);
        let root = &trace.nodes[0];
        self.spans[side] += spans.len() as u64;
        self.rootless[side] += u64::from(!trace.complete);
        self.notes[side].merge(&trace.notes);
        self.requests[side].push(Request {
            trace_id,
            span_id: root.span_id,
            name: root.member.clone(),
            duration_ns: trace.duration_ns(),
            failed: root.failed,
            attributes,
        });
    }
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
