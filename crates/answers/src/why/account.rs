//! Puts an account together: trees, tiles, sums, verdict, and what is to be said beside it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::Span,
};

use super::{
    Account, Candidate, Cause, Evidence, Gap, Interval, RuledOut, SCHEMA, Segment, Subject,
    Telemetry,
    category::Category,
    findings,
    root::{Root, UNRECORDED, distinct},
    segments::{EVIDENCE_MAX, Hole, Sum, Sums},
    tile::{Tiling, tile},
    trace::{Trace, TraceRecords, index_of, labels},
    verdict::{Contender, contenders, decide},
};
use crate::units::share;

/// Most segments listed one by one; smaller ones of a category share a row.
const SEGMENTS_MAX: usize = 64;
/// The label of what smaller segments add up to.
const OTHERS: &str = "(others)";

/// The traces of an account with their time divided.
pub(super) struct Records<'a> {
    pub(super) traces: Vec<(Trace<'a>, Tiling)>,
}

/// Work that went on during a span on the path and ended after it: it may have been waited for until it had sent its
/// result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    /// The trace.
    pub(super) number: usize,
    pub(super) node: usize,
    /// How long both went on.
    pub(super) ns: u64,
}

impl Records<'_> {
    /// The suspect that went on for longest.
    pub(super) fn suspect(&self) -> Option<Suspect> {
        let all = self
            .traces
            .iter()
            .enumerate()
            .flat_map(|(number, (trace, tiling))| {
                let nodes = trace.nodes.iter().enumerate();
                nodes.filter_map(move |(index, node)| {
                    let parent = node
                        .parent
                        .filter(|&parent| node.outlived && tiling.path_ns[parent] > 0)?;
                    let around = &trace.nodes[parent];
                    Some(Suspect {
                        number,
                        node: index,
                        ns: around.end.saturating_sub(node.start.max(around.start)),
                    })
                })
            });
        all.max_by_key(|suspect| (suspect.ns, Reverse((suspect.number, suspect.node))))
    }

    /// The spans at these places: (anything, trace, node).
    pub(super) fn evidence(&self, places: &[(u64, usize, usize)]) -> Vec<Evidence> {
        places
            .iter()
            .map(|&(_, number, node)| self.witness(number, node))
            .collect()
    }

    fn witness(&self, number: usize, node: usize) -> Evidence {
        let trace = &self.traces[number].0;
        let node = &trace.nodes[node];
        Evidence {
            trace_id: trace.id,
            span_id: node.span_id,
            name: node.member.clone(),
            duration_ns: node.duration_ns(),
        }
    }

    /// Sums over the first trace without these nodes and what is below them.
    pub(super) fn sums_outside(&self, without: &[usize]) -> Sums {
        let mut sums = Sums::default();
        if let Some((trace, tiling)) = self.traces.first() {
            let without: BTreeSet<usize> = without.iter().copied().collect();
            let mut inside = vec![false; trace.nodes.len()];
            for (index, node) in trace.nodes.iter().enumerate() {
                inside[index] =
                    without.contains(&index) || node.parent.is_some_and(|parent| inside[parent]);
            }
            let rest = Tiling {
                pieces: tiling
                    .pieces
                    .iter()
                    .copied()
                    .filter(|piece| !inside[piece.node])
                    .collect(),
                path_ns: tiling.path_ns.clone(),
                cpu: tiling.cpu.clone(),
                readings: tiling.readings.clone(),
            };
            sums.add(0, trace, &rest);
        }
        sums
    }
}

type Traces<'a> = BTreeMap<TraceId, TraceRecords<'a>>;

/// Every trace's spans, found in one pass.
fn by_trace(spans: &[Span]) -> Traces<'_> {
    let mut traces = Traces::new();
    for span in spans {
        traces.entry(span.trace_id).or_default().spans.push(span);
    }
    traces
}

pub(super) fn candidates(spans: &[Span]) -> Vec<Candidate> {
    candidates_of(&by_trace(spans))
}

fn candidates_of(traces: &Traces<'_>) -> Vec<Candidate> {
    let mut candidates: Vec<_> = traces
        .iter()
        .filter_map(|(&trace_id, TraceRecords { spans, .. })| {
            let count = spans.len() as u64;
            let (spans, _) = distinct(spans.iter().copied());
            Some(match Root::of(&spans)? {
                Root::Span(index) => {
                    let root = spans[index];
                    Candidate {
                        trace_id,
                        span_id: root.span_id,
                        name: labels(&root.name, index_of(root)).1,
                        complete: true,
                        start_unix_ns: root.start_unix_ns,
                        duration_ns: root.duration_ns(),
                        spans: count,
                    }
                }
                Root::Unrecorded(root) => Candidate {
                    trace_id,
                    span_id: root.span_id,
                    name: UNRECORDED.to_owned(),
                    complete: false,
                    start_unix_ns: root.start,
                    duration_ns: root.end - root.start,
                    spans: count,
                },
            })
        })
        .collect();
    candidates.sort_by_key(|candidate| {
        (
            !candidate.complete,
            Reverse(candidate.duration_ns),
            candidate.start_unix_ns,
            candidate.trace_id,
        )
    });
    candidates
}

pub(super) fn of_trace(
    telemetry: &Telemetry<'_>,
    trace_id: TraceId,
    span_id: Option<SpanId>,
) -> Option<Account> {
    let spans = telemetry.spans.iter();
    let of_trace = TraceRecords {
        spans: spans.filter(|span| span.trace_id == trace_id).collect(),
        events: telemetry.events.iter().collect(),
    };
    let trace = Trace::new(&of_trace, trace_id, span_id)?;
    let root = &trace.nodes[0];
    let subject = Subject::Trace {
        trace_id,
        span_id: root.span_id,
        name: root.member.clone(),
    };
    let interval = Interval {
        start_unix_ns: root.start,
        end_unix_ns: root.end,
        duration_ns: trace.duration_ns(),
    };
    let tiling = tile(&trace);
    let records = Records {
        traces: vec![(trace, tiling)],
    };
    Some(account(telemetry, subject, interval, &records))
}

pub(super) fn of_window(
    telemetry: &Telemetry<'_>,
    start_unix_ns: u64,
    end_unix_ns: u64,
) -> Option<Account> {
    let mut all = by_trace(telemetry.spans);
    for event in telemetry.events {
        let place = event.place.as_ref();
        if let Some(trace) = place.and_then(|place| all.get_mut(&place.trace_id)) {
            trace.events.push(event);
        }
    }
    let wanted = candidates_of(&all).into_iter().filter(|candidate| {
        let end = candidate
            .start_unix_ns
            .saturating_add(candidate.duration_ns);
        candidate.complete && (start_unix_ns..end_unix_ns).contains(&end)
    });
    let traces: Vec<_> = wanted
        .filter_map(|candidate| Trace::new(all.get(&candidate.trace_id)?, candidate.trace_id, None))
        .map(|trace| {
            let tiling = tile(&trace);
            (trace, tiling)
        })
        .collect();
    if traces.is_empty() {
        return None;
    }
    let records = Records { traces };
    let interval = Interval {
        start_unix_ns,
        end_unix_ns,
        duration_ns: records
            .traces
            .iter()
            .fold(0, |sum, (trace, _)| sum.saturating_add(trace.duration_ns())),
    };
    let subject = Subject::Window {
        requests: records.traces.len() as u64,
    };
    Some(account(telemetry, subject, interval, &records))
}

/// The account of these traces.
pub(super) fn account(
    telemetry: &Telemetry<'_>,
    subject: Subject,
    interval: Interval,
    records: &Records<'_>,
) -> Account {
    let mut sums = Sums::default();
    for (number, (trace, tiling)) in records.traces.iter().enumerate() {
        sums.add(number, trace, tiling);
    }
    let contenders = contenders(&sums);
    let residual_ns = sums.residual_ns();
    Account {
        schema: SCHEMA,
        spans: records.traces.iter().map(|(trace, _)| trace.spans).sum(),
        segments: segments(records, &sums, interval.duration_ns),
        residual_ns,
        gaps: gaps(records, &sums.holes),
        verdict: decide(records, &sums, &contenders, interval.duration_ns),
        findings: findings::findings(telemetry, records, &sums, interval.duration_ns),
        ruled_out: ruled_out(&contenders, &sums, interval.duration_ns),
        not_assessed: findings::not_assessed(records, &sums, interval.duration_ns),
        subject,
        interval,
    }
}

fn segments(records: &Records<'_>, sums: &Sums, duration_ns: u64) -> Vec<Segment> {
    let mut sorted: Vec<(Category, &str, Sum)> = sums
        .segments
        .iter()
        .map(|((category, label), sum)| (*category, label.as_str(), sum.clone()))
        .collect();
    let order = |a: &(Category, &str, Sum), b: &(Category, &str, Sum)| {
        b.2.ns
            .cmp(&a.2.ns)
            .then_with(|| (a.0, a.1).cmp(&(b.0, b.1)))
    };
    sorted.sort_by(order);
    if sorted.len() > SEGMENTS_MAX {
        let mut rest: BTreeMap<Category, Sum> = BTreeMap::new();
        for (category, _, sum) in sorted.split_off(SEGMENTS_MAX) {
            rest.entry(category).or_default().merge(&sum);
        }
        sorted.extend(
            rest.into_iter()
                .map(|(category, sum)| (category, OTHERS, sum)),
        );
        sorted.sort_by(order);
    }
    sorted
        .into_iter()
        .map(|(category, label, sum)| Segment {
            category,
            label: label.to_owned(),
            duration_ns: sum.ns,
            share: share(sum.ns, duration_ns),
            spans: sum.spans,
            total_ns: sum.total_ns,
            provenance: if sum.estimated_ns > 0 {
                "estimated"
            } else {
                "measured"
            },
            evidence: records.evidence(&sum.longest),
        })
        .collect()
}

fn gaps(records: &Records<'_>, holes: &[Hole]) -> Vec<Gap> {
    let mut largest: Vec<&Hole> = holes.iter().collect();
    // Holes come in the order of time, which decides between equal ones.
    largest.sort_by_key(|hole| Reverse(hole.ns));
    largest.truncate(EVIDENCE_MAX);
    largest
        .into_iter()
        .map(|hole| {
            let (number, node) = hole.place;
            let name = |child: Option<usize>| {
                child.map(|child| records.traces[number].0.nodes[child].member.clone())
            };
            Gap {
                inside: records.witness(number, node),
                after: name(hole.after),
                before: name(hole.before),
                duration_ns: hole.ns,
            }
        })
        .collect()
}

/// What was seen and stays below the largest even with all of the unattributed time.
fn ruled_out(contenders: &[Contender], sums: &Sums, duration_ns: u64) -> Vec<RuledOut> {
    let Some((top, others)) = contenders.split_first() else {
        return Vec::new();
    };
    let at_most_ns = |other: &Contender| {
        let hidden_ns = match other.cause {
            Cause::Cpu => sums.hidden_cpu_ns,
            Cause::Queue | Cause::Lock | Cause::Io => sums.doubted_ns,
            _ => 0,
        };
        let unseen_ns = sums.residual_ns().saturating_add(hidden_ns);
        other.sum.ns.saturating_add(unseen_ns).min(duration_ns)
    };
    others
        .iter()
        .map(|other| RuledOut {
            category: other.category,
            label: other.only_label().map(str::to_owned),
            seen_ns: other.sum.ns,
            at_most_ns: at_most_ns(other),
            at_most_share: share(at_most_ns(other), duration_ns),
        })
        .filter(|other| other.at_most_ns < top.sum.ns)
        .take(6)
        .collect()
}
