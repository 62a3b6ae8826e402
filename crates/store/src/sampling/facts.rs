//! What is known of traces: from the columns of their spans.

use std::{collections::HashMap, hash::BuildHasher as _};

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    datatypes::Int64Type,
    error::ArrowError,
};
use radiosonde_core::hash::FoldState;

use crate::{
    merge::trace_number,
    read::{column, plain},
};

/// A trace, by the spans that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) trace: u128,
    /// Its root's service and name, or of its earliest span where no root is there.
    pub(super) operation: u64,
    pub(super) has_failed: bool,
    start_unix_ns: i64,
    end_unix_ns: i64,
    /// Whether the operation is a root's, and when that span began.
    named_by: (bool, i64),
}

impl Facts {
    /// From the start of its first span to the end of its last.
    pub(super) const fn duration_ns(&self) -> u64 {
        self.end_unix_ns
            .saturating_sub(self.start_unix_ns)
            .unsigned_abs()
    }
}

/// The traces that have spans in `generation`, in the order in which those came.
pub(super) fn gather(
    hasher: &FoldState,
    generation: &[RecordBatch],
    others: &[RecordBatch],
) -> Result<Vec<Facts>, ArrowError> {
    let mut facts = Vec::new();
    let mut places = HashMap::default();
    for batch in generation {
        add(hasher, batch, &mut facts, &mut places, true)?;
    }
    for batch in others {
        add(hasher, batch, &mut facts, &mut places, false)?;
    }
    Ok(facts)
}

fn add(
    hasher: &FoldState,
    batch: &RecordBatch,
    facts: &mut Vec<Facts>,
    places: &mut HashMap<u128, usize, FoldState>,
    may_be_new: bool,
) -> Result<(), ArrowError> {
    let traces = column(batch, "trace_id")?.as_fixed_size_binary();
    let parents = column(batch, "parent_span_id")?;
    let starts = column(batch, "start_time")?.as_primitive::<Int64Type>();
    let durations = column(batch, "duration")?.as_primitive::<Int64Type>();
    let (service, name) = (plain(batch, "service")?, plain(batch, "name")?);
    let status = plain(batch, "status")?;
    for row in 0..batch.num_rows() {
        let start_unix_ns = starts.value(row);
        let span = Facts {
            trace: trace_number(traces, row),
            operation: hasher.hash_one((service.value(row), name.value(row))),
            has_failed: status.value(row) == "error",
            start_unix_ns,
            end_unix_ns: start_unix_ns.saturating_add(durations.value(row)),
            // False is less: a root comes before what is none.
            named_by: (parents.is_valid(row), start_unix_ns),
        };
        match places.get(&span.trace) {
            Some(&at) => facts[at].join(&span),
            None if may_be_new => {
                places.insert(span.trace, facts.len());
                facts.push(span);
            }
            None => {}
        }
    }
    Ok(())
}

impl Facts {
    fn join(&mut self, span: &Self) {
        self.has_failed |= span.has_failed;
        self.start_unix_ns = self.start_unix_ns.min(span.start_unix_ns);
        self.end_unix_ns = self.end_unix_ns.max(span.end_unix_ns);
        if span.named_by < self.named_by {
            (self.named_by, self.operation) = (span.named_by, span.operation);
        }
    }

    /// A trace of one span that began at zero.
    #[cfg(test)]
    pub(super) const fn of(
        trace: u128,
        operation: u64,
        has_failed: bool,
        duration_ns: i64,
    ) -> Self {
        Self {
            trace,
            operation,
            has_failed,
            start_unix_ns: 0,
            end_unix_ns: duration_ns,
            named_by: (false, 0),
        }
    }
}
