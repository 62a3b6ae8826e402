//! The requests of both sides laid over each other: one node for each path of (service, name with numbers replaced by
//! `*`) from a root, with what it adds up to on each side.
//!
//! Self time is what `why`'s tiling gives to a span: its part of the critical path without what its children have. Of
//! children that run at the same time, the one that the parent waited for has the time. So the self times of all
//! nodes add up to the requests' durations, to the nanosecond, and their differences to the difference of the means.
//!
//! Invariant: the parent of a node has a smaller number than the node. Number 0 is above every root.

use std::{cmp::Reverse, collections::HashMap};

use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::Resource,
};

use super::chance::Counts;
use crate::why::{
    Evidence,
    segments::EVIDENCE_MAX,
    tile::Tiling,
    trace::{Node, Trace},
};

/// The number of what is above every root.
pub(super) const ABOVE: u32 = 0;

/// What a span belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service<'a>(&'a str);

impl<'a> Service<'a> {
    pub(super) fn of(resource: &'a Resource) -> Self {
        Self(resource.service_name())
    }
}

/// A sum over requests and the sum of its squares, which says how much requests differ.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    pub(super) sum: u128,
    squares: f64,
}

impl Moments {
    fn add(&mut self, of_request: u64) {
        self.sum += u128::from(of_request);
        self.squares += of_request as f64 * of_request as f64;
    }

    /// The mean over `requests` and the square of its standard error.
    pub(super) fn mean(&self, requests: u64) -> (f64, f64) {
        let n = requests as f64;
        let mean = self.sum as f64 / n;
        let variance = (self.squares - self.sum as f64 * mean).max(0.0) / (n - 1.0).max(1.0);
        (mean, variance / n)
    }
}

/// What a node adds up to on one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Requests that have it.
    pub(super) requests: u64,
    pub(super) calls: Moments,
    /// Calls that failed.
    pub(super) failed: u64,
    /// Whole durations, at the same time or not, waited for or not.
    pub(super) total_ns: u128,
    /// Self time.
    pub(super) own: Moments,
    /// Self time of the node and of all that is below it.
    pub(super) path: Moments,
    /// The longest spans, longest first.
    pub(super) longest: Vec<Evidence>,
}

impl Tally {
    /// Keeps the span where it is one of the longest; of equal ones those of the first traces.
    fn witness(&mut self, trace_id: TraceId, node: &Node<'_>) {
        let duration_ns = node.duration_ns();
        let order = |witness: &Evidence| {
            (
                Reverse(witness.duration_ns),
                witness.trace_id,
                witness.span_id,
            )
        };
        let this = (Reverse(duration_ns), trace_id, node.span_id);
        let place = self.longest.partition_point(|known| order(known) <= this);
        if place == EVIDENCE_MAX {
            return;
        }
        let witness = Evidence {
            trace_id,
            span_id: node.span_id,
            name: node.member.clone(),
            duration_ns,
        };
        self.longest.insert(place, witness);
        self.longest.truncate(EVIDENCE_MAX);
    }
}

/// A node of the forest.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) parent: u32,
    /// The number of edges to what is above every root.
    pub(super) depth: u32,
    service: u32,
    label: u32,
    /// It has children on either side.
    pub(super) has_children: bool,
    pub(super) sides: [Tally; 2],
}

/// What one request adds to a node.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    calls: u64,
    failed: u64,
    total_ns: u128,
    own_ns: u64,
    path_ns: u64,
}

/// Every path of both sides.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) places: Vec<Place>,
    numbers: HashMap<(u32, u32, u32), u32>,
    texts: Vec<String>,
    known_texts: HashMap<String, u32>,
    /// What the request that is being added adds to each place.
    parts: Vec<Part>,
}

impl Default for Forest {
    fn default() -> Self {
        let above = Place {
            parent: ABOVE,
            depth: 0,
            service: 0,
            label: 0,
            has_children: false,
            sides: Default::default(),
        };
        Self {
            places: vec![above],
            numbers: HashMap::new(),
            texts: vec![String::new()],
            known_texts: HashMap::new(),
            parts: vec![Part::default()],
        }
    }
}

impl Forest {
    pub(super) fn label(&self, place: u32) -> &str {
        &self.texts[self.places[place as usize].label as usize]
    }

    pub(super) fn service(&self, place: u32) -> &str {
        &self.texts[self.places[place as usize].service as usize]
    }

    /// The labels from the root to a place, at most the last so many.
    pub(super) fn path(&self, place: u32, labels_max: usize) -> Vec<String> {
        let mut labels = Vec::new();
        let mut at = place;
        while at != ABOVE && labels.len() < labels_max {
            labels.push(self.label(at).to_owned());
            at = self.places[at as usize].parent;
        }
        labels.reverse();
        labels
    }

    /// All spans belong to one service, which then goes without saying.
    pub(super) fn has_one_service(&self) -> bool {
        let mut services = self.places.iter().skip(1).map(|place| place.service);
        let first = services.next();
        services.all(|service| Some(service) == first)
    }

    /// How many requests of each side have the place.
    pub(super) fn counts(&self, place: u32, of: [u64; 2]) -> Counts {
        let sides = &self.places[place as usize].sides;
        Counts {
            have: [sides[0].requests, sides[1].requests],
            of,
        }
    }

    /// Adds a request to a side.
    pub(super) fn add<'a>(
        &mut self,
        side: usize,
        trace: &Trace<'_>,
        tiling: &Tiling,
        service: impl Fn(&SpanId) -> Service<'a>,
    ) {
        let mut place_of: Vec<u32> = Vec::with_capacity(trace.nodes.len());
        let mut touched = Vec::new();
        for node in &trace.nodes {
            // Parents come before their children.
            let parent = node.parent.map_or(ABOVE, |parent| place_of[parent]);
            let service = self.text(service(&node.span_id).0);
            let label = self.text(&node.label);
            place_of.push(self.place(parent, service, label));
        }
        for ((node, &place), &path_ns) in trace.nodes.iter().zip(&place_of).zip(&tiling.path_ns) {
            let part = &mut self.parts[place as usize];
            if part.calls == 0 {
                touched.push(place);
            }
            part.calls += 1;
            part.failed += u64::from(node.failed);
            part.total_ns += u128::from(node.duration_ns());
            part.path_ns = part.path_ns.saturating_add(path_ns);
            self.places[place as usize].sides[side].witness(trace.id, node);
        }
        for piece in &tiling.pieces {
            let own_ns = &mut self.parts[place_of[piece.node] as usize].own_ns;
            *own_ns = own_ns.saturating_add(piece.duration_ns());
        }
        let above = &mut self.places[ABOVE as usize].sides[side];
        above.requests += 1;
        above.path.add(trace.duration_ns());
        for place in touched {
            let part = std::mem::take(&mut self.parts[place as usize]);
            let tally = &mut self.places[place as usize].sides[side];
            tally.requests += 1;
            tally.calls.add(part.calls);
            tally.failed += part.failed;
            tally.total_ns += part.total_ns;
            tally.own.add(part.own_ns);
            tally.path.add(part.path_ns);
        }
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.known_texts.get(text) {
            return known;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.known_texts.insert(text.to_owned(), number);
        number
    }

    fn place(&mut self, parent: u32, service: u32, label: u32) -> u32 {
        let next = self.places.len() as u32;
        let place = *self.numbers.entry((parent, service, label)).or_insert(next);
        if place == next {
            let above = &mut self.places[parent as usize];
            above.has_children = true;
            let depth = above.depth + 1;
            self.places.push(Place {
                parent,
                depth,
                service,
                label,
                has_children: false,
                sides: Default::default(),
            });
            self.parts.push(Part::default());
        }
        place
    }
}
