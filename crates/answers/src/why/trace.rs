//! One trace as a tree of timed nodes under the root that is asked about, however broken the spans are.
//!
//! Rules, in order:
//! 1. Of several spans with the same identifier the longest counts, and of several equal events one.
//! 2. A span whose parent was not recorded, and one of each ring of parents, stands directly under the root.
//! 3. A child that ends after its parent may not have been waited for and has no part in the parent's time, unless the
//!    excess is within [`tolerance_ns`] or the child is another process's answer, whose clock may differ; then it is cut.
//! 4. A child's time before its parent began is cut off.
//! 5. A CPU reading of more time than its span lasted is none.
//! 6. A declared wait in which the thread computed nearly all the time is taken for one that is only recognised.
//! 7. Phases reported by events become nodes under the span in which they were reported, unless spans of the same
//!    name exist.
//!
//! Every rule that leaves something out says so in [`Notes`]. The order of the input has no influence.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::{EventRecord, Span, SpanKind, Value},
};

use super::{
    category::{self, Category, Classified},
    cpu, reported,
    root::{Root, UNRECORDED, Unrecorded, distinct},
};

/// The attribute with a span's CPU time in nanoseconds, recorded on request.
pub const CPU_ATTRIBUTE: &str = "thread.cpu.duration";

/// A timed part of the trace: a span, or a phase that an event reported.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    /// The span, or the span in which the event was recorded.
    pub(crate) span_id: SpanId,
    pub(super) name: Cow<'a, str>,
    /// The name with numbers replaced by `*`, so that repetitions fall together.
    pub(crate) label: String,
    /// The name with its index, which tells repetitions apart.
    pub(crate) member: String,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) kind: Classified,
    pub(super) origin: Origin,
    pub(crate) failed: bool,
    pub(super) thread: u32,
    pub(super) cpu_ns: Option<u64>,
    pub(crate) parent: Option<usize>,
    /// Children that take part in this node's time: latest end first, then earliest start, then input order.
    pub(super) children: Vec<usize>,
    side: SpanKind,
    /// It has a part in its parent's time.
    admitted: bool,
    /// It has none because it ended after its parent.
    pub(super) outlived: bool,
}

/// How it is known what a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A span, recognised by a convention or its name.
    Recognised,
    /// A span that says itself what it is.
    Declared,
    /// A phase that an event reported.
    Reported,
}

impl Origin {
    /// Whether the program said what it is.
    pub(super) const fn is_declared(self) -> bool {
        !matches!(self, Self::Recognised)
    }
}

/// What was left out or repaired, in numbers.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) duplicates: u64,
    pub(super) repeated_events: u64,
    pub(super) orphans: u64,
    pub(super) rings: u64,
    /// Children that ended after their parent: how many, and one of them with its excess.
    pub(super) outlived: Option<Note>,
    /// Children that began before their parent.
    pub(super) early: Option<Note>,
    /// Children that do not touch their parent's time at all.
    pub(super) outside: Option<Note>,
    /// CPU readings that are longer than their span.
    pub(super) impossible_cpu: Option<Note>,
    /// Spans that were declared waits and computed nearly all the time: how many, and the one that computed longest.
    pub(super) contradicted: Option<Note>,
    /// Other roots of the same trace.
    pub(super) other_roots: u64,
}

/// How often something happened, and the largest case.
#[derive(Debug)]
pub(crate) struct Note {
    pub(super) count: u64,
    pub(super) name: String,
    pub(super) by_ns: u64,
}

impl Notes {
    /// Takes what another trace's notes say.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.duplicates += other.duplicates;
        self.repeated_events += other.repeated_events;
        self.orphans += other.orphans;
        self.rings += other.rings;
        self.other_roots += other.other_roots;
        for (place, more) in [
            (&mut self.outlived, &other.outlived),
            (&mut self.early, &other.early),
            (&mut self.outside, &other.outside),
            (&mut self.impossible_cpu, &other.impossible_cpu),
            (&mut self.contradicted, &other.contradicted),
        ] {
            if let Some(more) = more {
                note(place, &more.name, more.by_ns);
                if let Some(known) = place {
                    known.count += more.count - 1;
                }
            }
        }
    }
}

pub(super) fn note(place: &mut Option<Note>, name: &str, by_ns: u64) {
    let known = place.get_or_insert_with(|| Note {
        count: 0,
        name: name.to_owned(),
        by_ns,
    });
    known.count += 1;
    if by_ns > known.by_ns {
        known.by_ns = by_ns;
        name.clone_into(&mut known.name);
    }
}

/// The records of one trace, in any order.
#[derive(Debug, Default)]
pub(crate) struct TraceRecords<'a> {
    pub(crate) spans: Vec<&'a Span>,
    pub(crate) events: Vec<&'a EventRecord>,
}

/// A trace, rooted at node 0.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    pub(crate) id: TraceId,
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) notes: Notes,
    /// Spans of the trace, those left out included.
    pub(crate) spans: u64,
    /// Its root was recorded.
    pub(crate) complete: bool,
}

/// How much later than its parent a child may seem to end: 1 % of the parent, at least 50 µs. Ends are stamped one
/// after the other, and threads are descheduled in between.
pub(super) const fn tolerance_ns(parent_ns: u64) -> u64 {
    let share = parent_ns / 100;
    if share > 50_000 { share } else { 50_000 }
}

impl<'a> Trace<'a> {
    /// The tree of `records`, which are those of `trace_id`, under `span_id` or, without one, under the trace's root.
    /// `None` when there is no such span.
    pub(crate) fn new(
        records: &TraceRecords<'a>,
        trace_id: TraceId,
        span_id: Option<SpanId>,
    ) -> Option<Self> {
        let (spans, duplicates) = distinct(records.spans.iter().copied());
        let root = match span_id {
            Some(id) => Root::Span(spans.iter().position(|span| span.span_id == id)?),
            None => Root::of(&spans)?,
        };
        let mut notes = Notes {
            duplicates,
            ..Notes::default()
        };
        let parents = parents(&spans, root, span_id.is_none(), &mut notes);
        let mut trace = Self {
            id: trace_id,
            nodes: Vec::new(),
            notes,
            spans: spans.len() as u64,
            complete: matches!(root, Root::Span(_)),
        };
        trace.grow(&spans, root, &parents);
        cpu::leave_out_impossible(&mut trace);
        cpu::doubt_declared_waits(&mut trace);
        reported::attach(&mut trace, &records.events);
        trace.inherit();
        trace.admit_children();
        Some(trace)
    }

    /// The whole measured time, in nanoseconds.
    pub(crate) fn duration_ns(&self) -> u64 {
        self.nodes[0].end - self.nodes[0].start
    }

    /// Adds the nodes below `root`, parents before children.
    fn grow(&mut self, spans: &[&'a Span], root: Root, parents: &[Option<usize>]) {
        let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (child, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children.entry(*parent).or_default().push(child);
            }
        }
        let mut waiting = vec![(root.place(spans), None)];
        while let Some((index, parent)) = waiting.pop() {
            let place = self.nodes.len();
            self.nodes.push(match root {
                Root::Unrecorded(root) if index == spans.len() => Node::unrecorded(root),
                _ => Node::from_span(spans[index], parent),
            });
            let below = children.remove(&index).unwrap_or_default();
            waiting.extend(below.into_iter().rev().map(|child| (child, Some(place))));
        }
    }

    /// Adds a phase that an event reported under the node `parent`, and says where.
    pub(super) fn push_reported(
        &mut self,
        parent: usize,
        name: Cow<'a, str>,
        times: (u64, u64),
        kind: Classified,
    ) -> usize {
        let (label, member) = labels(&name, None);
        let host = &self.nodes[parent];
        self.nodes.push(Node {
            span_id: host.span_id,
            name,
            label,
            member,
            start: times.0,
            end: times.1.max(times.0),
            kind,
            origin: Origin::Reported,
            failed: false,
            thread: host.thread,
            cpu_ns: None,
            parent: Some(parent),
            children: Vec::new(),
            side: SpanKind::Internal,
            admitted: false,
            outlived: false,
        });
        self.nodes.len() - 1
    }

    /// What is inside of something that the program declared is part of that, unless it is another service's own
    /// work. What is only recognised, by a name or an attribute, says nothing about what is inside of it: `mutex` may
    /// be held, and `fetch` may decompress.
    fn inherit(&mut self) {
        let mut said: Vec<Option<Category>> = Vec::with_capacity(self.nodes.len());
        for node in &mut self.nodes {
            let category = node.kind.category;
            let elsewhere = matches!(node.side, SpanKind::Server | SpanKind::Consumer);
            let outer = node.parent.and_then(|parent| said[parent]);
            let outer = outer.filter(|_| category == Category::Phase && !elsewhere);
            if let Some(outer) = outer.filter(|_| !node.origin.is_declared()) {
                node.kind.category = outer;
            }
            said.push(if node.kind.declared {
                Some(category)
            } else {
                outer
            });
        }
    }

    /// Decides which children take part in their parent's time, by rules 3 and 4, and puts them in order.
    fn admit_children(&mut self) {
        let mut admitted: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for index in 1..self.nodes.len() {
            let child = &self.nodes[index];
            let Some(place) = child.parent else { continue };
            let parent = &self.nodes[place];
            let tolerance = tolerance_ns(parent.end - parent.start);
            let late = child.end.saturating_sub(parent.end);
            let early = parent.start.saturating_sub(child.start);
            if child.start >= parent.end || child.end <= parent.start {
                // An empty span at the edge takes no time from anybody.
                if child.end > child.start || child.start > parent.end || child.end < parent.start {
                    let distance = parent
                        .start
                        .saturating_sub(child.end)
                        .max(child.start.saturating_sub(parent.end));
                    note(&mut self.notes.outside, &child.name, distance);
                }
            } else if late > tolerance && child.side != SpanKind::Server {
                note(&mut self.notes.outlived, &child.name, late);
                self.nodes[index].outlived = true;
            } else {
                if early > tolerance {
                    note(&mut self.notes.early, &child.name, early);
                }
                admitted[place].push(index);
            }
        }
        for (place, mut children) in admitted.into_iter().enumerate() {
            children.sort_by_key(|&child| {
                (
                    Reverse(self.nodes[child].end),
                    self.nodes[child].start,
                    child,
                )
            });
            for &child in &children {
                self.nodes[child].admitted = true;
            }
            self.nodes[place].children = children;
        }
    }
}

/// The parent of every span in the tree under `root`, with rule 2; `None` for the root and for spans outside.
fn parents(
    spans: &[&Span],
    root: Root,
    whole_trace: bool,
    notes: &mut Notes,
) -> Vec<Option<usize>> {
    let mut index: HashMap<SpanId, usize> = spans
        .iter()
        .enumerate()
        .map(|(place, span)| (span.span_id, place))
        .collect();
    if let Root::Unrecorded(unrecorded) = root {
        index.insert(unrecorded.span_id, spans.len());
    }
    let root = root.place(spans);
    let mut parents: Vec<Option<usize>> = vec![None; spans.len().max(root + 1)];
    for (place, span) in spans.iter().enumerate() {
        if place == root {
            continue;
        }
        match span.parent_id.map(|parent| index.get(&parent)) {
            Some(Some(parent)) => parents[place] = Some(*parent),
            // A span asked for by its identifier has only what hangs below it.
            Some(None) if whole_trace => {
                notes.orphans += 1;
                parents[place] = Some(root);
            }
            Some(None) => {}
            None => notes.other_roots += 1,
        }
    }
    break_rings(&mut parents, root, whole_trace, notes);
    parents
}

/// Hangs the first span of each ring of parents under the root, or cuts it off when only a part is asked for.
fn break_rings(parents: &mut [Option<usize>], root: usize, whole_trace: bool, notes: &mut Notes) {
    // 0: not seen, otherwise the walk in which it was seen.
    let mut seen = vec![0_usize; parents.len()];
    seen[root] = usize::MAX;
    for start in 0..parents.len() {
        let walk = start + 1;
        let mut at = start;
        while seen[at] == 0 {
            seen[at] = walk;
            match parents[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if seen[at] == walk && parents[at].is_some() {
            notes.rings += 1;
            parents[at] = whole_trace.then_some(root);
        }
    }
}

impl<'a> Node<'a> {
    fn from_span(span: &'a Span, parent: Option<usize>) -> Self {
        let kind = category::classify(span);
        let (label, member) = labels(&span.name, index_of(span));
        Self {
            span_id: span.span_id,
            name: Cow::Borrowed(&span.name),
            label,
            member,
            start: span.start_unix_ns,
            end: span.end_unix_ns.max(span.start_unix_ns),
            kind,
            origin: if kind.declared {
                Origin::Declared
            } else {
                Origin::Recognised
            },
            failed: matches!(span.status, radiosonde_core::model::Status::Error(_)),
            thread: span.thread,
            cpu_ns: span.attribute(CPU_ATTRIBUTE).and_then(Value::as_u64),
            parent,
            children: Vec::new(),
            side: span.kind,
            admitted: false,
            outlived: false,
        }
    }

    /// The node of a root that was not recorded.
    fn unrecorded(root: Unrecorded) -> Self {
        Self {
            span_id: root.span_id,
            name: Cow::Borrowed(UNRECORDED),
            label: UNRECORDED.to_owned(),
            member: UNRECORDED.to_owned(),
            start: root.start,
            end: root.end,
            kind: Classified {
                category: Category::Phase,
                declared: false,
            },
            origin: Origin::Recognised,
            failed: false,
            thread: 0,
            cpu_ns: None,
            parent: None,
            children: Vec::new(),
            side: SpanKind::Internal,
            admitted: false,
            outlived: false,
        }
    }

    /// Whether it has a part in its parent's time.
    pub(super) const fn takes_part(&self) -> bool {
        self.admitted
    }

    pub(crate) const fn duration_ns(&self) -> u64 {
        self.end - self.start
    }
}

/// Attributes by which programs tell repetitions of a span apart.
const INDEX_ATTRIBUTES: [&str; 7] = [
    "index",
    "block",
    "block_id",
    "block.index",
    "layer",
    "layer_id",
    "layer.index",
];

/// Whether an attribute of this name is part of what a span is called.
pub(super) fn is_index(attribute: &str) -> bool {
    INDEX_ATTRIBUTES.contains(&attribute)
}

/// The number by which a program tells repetitions of a span apart.
pub(super) fn index_of(span: &Span) -> Option<u64> {
    INDEX_ATTRIBUTES
        .into_iter()
        .find_map(|name| span.attribute(name).and_then(Value::as_u64))
}

/// A name with its numbers replaced by `*`, and with its index: (`block *`, `block 3`).
pub(crate) fn labels(name: &str, index: Option<u64>) -> (String, String) {
    let mut label = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '0'..='9' if label.ends_with('*') => {}
            '0'..='9' => label.push('*'),
            // A name is shown on one line.
            c if c.is_control() => label.push(' '),
            c => label.push(c),
        }
    }
    match index {
        Some(index) if label == name => (format!("{label} *"), format!("{name} {index}")),
        _ => (
            label,
            name.chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect(),
        ),
    }
}
