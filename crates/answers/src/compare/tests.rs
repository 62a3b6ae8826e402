use std::borrow::Cow;

use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::{Attributes, Place, Severity, SpanKind, Status, Value},
};

use super::*;

mod planted;
mod properties;
mod scenarios;
mod size;

const MS: u64 = 1_000_000;

fn trace_id(number: u64) -> TraceId {
    TraceId::new(number.into()).unwrap()
}

fn span_id(number: u64) -> SpanId {
    SpanId::new(number).unwrap()
}

fn resource(attributes: &[(&'static str, &str)]) -> Resource {
    let owned = |(key, value): &(&'static str, &str)| {
        (Cow::Borrowed(*key), Value::from((*value).to_owned()))
    };
    Resource {
        attributes: attributes.iter().map(owned).collect(),
    }
}

fn span(trace: u64, number: u64, parent: Option<u64>, name: &str, times: (u64, u64)) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: span_id(number),
        parent_id: parent.map(span_id),
        name: Cow::Owned(name.to_owned()),
        target: Cow::Borrowed("test"),
        start_unix_ns: times.0,
        end_unix_ns: times.1,
        severity: Severity::Info,
        kind: SpanKind::Internal,
        status: Status::Unset,
        thread: 1,
        correlation_id: None,
        attributes: Attributes::new(),
        links: Vec::new(),
    }
}

/// A side under construction: requests one after the other, each span with its resource's place.
struct World {
    resources: Vec<Resource>,
    spans: Vec<(usize, Span)>,
    logs: Vec<Log>,
    /// Added to every number, so that two sides share none.
    numbers: u64,
    /// Where the next child of each open span begins.
    at: u64,
}

impl World {
    fn new(numbers: u64) -> Self {
        Self {
            resources: vec![resource(&[("service.name", "api")])],
            spans: Vec::new(),
            logs: Vec::new(),
            numbers,
            at: 0,
        }
    }

    /// A request of this name; its children follow each other from its start.
    fn request(&mut self, name: &str, ns: u64) -> u64 {
        self.at = 1_000 * MS;
        let number = self.next();
        let times = (self.at, self.at + ns);
        self.spans
            .push((0, span(number, number, None, name, times)));
        number
    }

    fn next(&self) -> u64 {
        self.numbers + self.spans.len() as u64 + 1
    }

    /// The next child of a span, this long.
    fn child(&mut self, parent: u64, name: &str, ns: u64) -> u64 {
        let number = self.inside(parent, name, ns);
        self.at += ns;
        number
    }

    /// A child that begins where the last one ended and leaves the place for children of its own.
    fn inside(&mut self, parent: u64, name: &str, ns: u64) -> u64 {
        let number = self.next();
        let trace = self.get(parent).trace_id;
        let mut child = span(1, number, Some(parent), name, (self.at, self.at + ns));
        child.trace_id = trace;
        self.spans.push((0, child));
        number
    }

    fn get(&mut self, number: u64) -> &mut Span {
        &mut self.spans[(number - self.numbers) as usize - 1].1
    }

    fn with(&mut self, number: u64, key: &'static str, value: impl Into<Value>) {
        let pair = (Cow::Borrowed(key), value.into());
        self.get(number).attributes.push(pair);
    }

    fn fail(&mut self, number: u64) {
        self.get(number).status = Status::Error(Cow::Borrowed("failed"));
    }

    fn place(&mut self, number: u64) -> Place {
        let span = self.get(number);
        Place {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_id: span.parent_id,
            span_name: span.name.clone(),
        }
    }

    fn warn(&mut self, number: u64, message: &str) {
        let place = self.place(number);
        self.logs.push(Log {
            time_unix_ns: 1,
            place: Some(place),
            severity: Severity::Warn,
            target: Cow::Borrowed("test"),
            message: Cow::Owned(message.to_owned()),
            thread: 1,
            correlation_id: None,
            attributes: Attributes::new(),
        });
    }

    fn spans(&self) -> Vec<(&Resource, &Span)> {
        let spans = self.spans.iter();
        spans
            .map(|(resource, span)| (&self.resources[*resource], span))
            .collect()
    }
}

/// Compares two worlds and checks what always holds.
fn compared(names: [&str; 2], first: &World, second: &World) -> Comparison {
    let (first_spans, second_spans) = (first.spans(), second.spans());
    let mut sides = [
        Side::new(names[0], &first_spans),
        Side::new(names[1], &second_spans),
    ];
    sides[0].logs = &first.logs;
    sides[1].logs = &second.logs;
    let comparison = compare(&sides[0], &sides[1]);
    assert_tiles(&comparison);
    comparison
}

fn assert_tiles(comparison: &Comparison) {
    let tree = &comparison.tree;
    let listed: i64 = tree.nodes.iter().map(|node| node.self_difference_ns).sum();
    let all = listed + tree.unlisted_self_difference_ns + tree.rounding_ns;
    let mean_ns = comparison
        .difference
        .map_or(0, |difference| difference.mean_ns);
    assert_eq!(all, mean_ns);
    let rounded = tree.nodes.len() as u64 + 2;
    assert!(
        tree.rounding_ns.unsigned_abs() <= rounded / 2,
        "{}",
        tree.rounding_ns
    );
}

/// How, and by which label; `None` for "cannot tell".
fn named(comparison: &Comparison) -> Option<(Change, &str)> {
    match &comparison.verdict {
        Verdict::Contributor { change, path, .. } => Some((*change, path.last()?)),
        Verdict::CannotTell { .. } => None,
    }
}

fn because(comparison: &Comparison) -> &str {
    match &comparison.verdict {
        Verdict::Contributor { words, .. } => panic!("named: {words}"),
        Verdict::CannotTell { because } => because,
    }
}

/// Numbers that are random enough and always the same: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable
/// pseudorandom number generators" (2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// About `mean`, within a quarter of it to either side.
    fn about(&mut self, mean: u64) -> u64 {
        mean * 3 / 4 + self.below(mean / 2 + 1)
    }

    /// Whether something of this probability in per cent happens.
    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
