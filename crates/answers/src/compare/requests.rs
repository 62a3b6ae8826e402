//! Both sides, read: every request's spans added up, and what is kept of it.

use std::collections::HashMap;

use radiosonde_core::ids::{SpanId, TraceId};

use super::{
    lift::Attributes,
    tree::{Forest, Service},
};
use crate::{
    requests::{Part, Parts, Recorded},
    why::{
        Evidence,
        tile::tile,
        trace::{Notes, Trace, TraceRecords},
    },
};

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

impl<'a> Gathered<'a> {
    pub(super) fn new(sides: [&Parts<'a>; 2]) -> Self {
        let mut gathered = Self::default();
        for (number, side) in sides.into_iter().enumerate() {
            gathered.notes[number].duplicates += side.duplicates;
            for request in &side.requests {
                gathered.request(number, request);
            }
        }
        gathered
    }

    /// Adds up one request.
    fn request(&mut self, side: usize, request: &Part<'a>) {
        let spans = &request.spans;
        let by_id: HashMap<SpanId, Recorded<'a>> = spans
            .iter()
            .map(|&recorded| (recorded.1.span_id, recorded))
            .collect();
        let records = TraceRecords {
            spans: spans.iter().map(|(_, span)| *span).collect(),
            events: request.events.clone(),
        };
        let Some(trace) = Trace::new(&records, request.trace_id, None) else {
            return;
        };
        // A root that was not recorded counts as its first part's service.
        let service = |span_id: &SpanId| Service::of(by_id.get(span_id).unwrap_or(&spans[0]).0);
        self.forest.add(side, &trace, &tile(&trace), service);
        let warnings = request.warnings.iter().map(|log| log.message.as_ref());
        let attributes = self.attributes.gather(spans, warnings);
        let root = &trace.nodes[0];
        self.spans[side] += spans.len() as u64;
        self.rootless[side] += u64::from(!trace.complete);
        self.notes[side].merge(&trace.notes);
        self.requests[side].push(Request {
            trace_id: request.trace_id,
            span_id: root.span_id,
            name: root.member.clone(),
            duration_ns: trace.duration_ns(),
            failed: root.failed,
            attributes,
        });
    }
}
