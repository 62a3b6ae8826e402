//! Which span a trace is the time of, and what stands for it where it was not recorded.
//!
//! The root is the longest span without a parent; without one, the longest whose parent was not recorded; without one,
//! the longest. Ties go to the one that starts first. Several spans under one parent that was not recorded are parts of
//! a request that had not ended when the recording did: their envelope stands for it. A span that serves what another
//! process asked for is a request by itself, and so is each of several that all have one name: a program's requests, all
//! of whose parent is in the process that started it.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use radiosonde_core::{
    ids::SpanId,
    model::{Span, SpanKind},
};

/// The name of a root that was not recorded.
pub(super) const UNRECORDED: &str = "(not recorded)";

/// The root of distinct spans.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Root {
    /// The span at this place.
    Span(usize),
    /// It was not recorded.
    Unrecorded(Unrecorded),
}

/// What is known of a root that was not recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unrecorded {
    pub(crate) span_id: SpanId,
    /// The first start and the last end of its recorded children.
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Root {
    pub(crate) fn of(spans: &[&Span]) -> Option<Self> {
        let ids: BTreeSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
        let rank = |span: &Span| match span.parent_id {
            None => 0,
            Some(parent) if !ids.contains(&parent) => 1,
            Some(_) => 2,
        };
        let index = (0..spans.len()).min_by_key(|&index| {
            (
                rank(spans[index]),
                Reverse(spans[index].duration_ns()),
                index,
            )
        })?;
        let unrecorded = spans[index].parent_id.filter(|_| {
            rank(spans[index]) == 1
                && !matches!(spans[index].kind, SpanKind::Server | SpanKind::Consumer)
        });
        let Some(span_id) = unrecorded else {
            return Some(Self::Span(index));
        };
        let parts = || spans.iter().filter(|span| span.parent_id == Some(span_id));
        let is_one_of_many = parts().all(|part| part.name == spans[index].name);
        Some(if is_one_of_many {
            Self::Span(index)
        } else {
            let start = parts().map(|span| span.start_unix_ns).min().unwrap_or(0);
            let end = parts().map(|span| span.end_unix_ns).max().unwrap_or(0);
            Self::Unrecorded(Unrecorded {
                span_id,
                start,
                end: end.max(start),
            })
        })
    }

    /// Its place among `spans`; behind them where it is none of them.
    pub(super) const fn place(self, spans: &[&Span]) -> usize {
        match self {
            Self::Span(index) => index,
            Self::Unrecorded(_) => spans.len(),
        }
    }
}

/// The spans of a trace in an order that does not depend on the input's, each identifier once, and how many were not.
pub(super) fn distinct<'a>(spans: impl Iterator<Item = &'a Span>) -> (Vec<&'a Span>, u64) {
    let mut spans: Vec<_> = spans.collect();
    spans.sort_by(|a, b| {
        let key = |span: &Span| {
            (
                span.start_unix_ns,
                Reverse(span.end_unix_ns),
                span.span_id,
                span.parent_id,
                span.thread,
            )
        };
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    let all = spans.len();
    let mut longest: HashMap<SpanId, u64> = HashMap::new();
    for span in &spans {
        let duration = longest.entry(span.span_id).or_default();
        *duration = span.duration_ns().max(*duration);
    }
    let mut seen = BTreeSet::new();
    spans.retain(|span| longest[&span.span_id] == span.duration_ns() && seen.insert(span.span_id));
    let duplicates = all - spans.len();
    (spans, duplicates as u64)
}
