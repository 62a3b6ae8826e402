//! Which spans came lately, so that one that is sent again is kept once: a sender whose acknowledgement was lost sends all of
//! a batch again, mostly within seconds.
//!
//! Spans of the generation that is being filled and of the one before are known, and those that the log has when the
//! store is opened. They are known by a hash of 64 bits that nobody outside can choose: of a thousand million spans one
//! in forty thousand cases would be taken for another.

use std::{
    collections::HashSet,
    hash::BuildHasher as _,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    error::ArrowError,
};
use radiosonde_core::hash::FoldState;

use crate::{merge::trace_number, table::Table};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    hasher: FoldState,
    sets: Mutex<Sets>,
}

#[derive(Debug, Default)]
struct Sets {
    current: HashSet<u64, FoldState>,
    last: HashSet<u64, FoldState>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Sets> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new generation begins.
    pub(crate) fn turn(&self) {
        let mut sets = self.lock();
        sets.last = mem::take(&mut sets.current);
    }

    /// Takes note of the spans among `batches` and leaves out those that are known.
    pub(crate) fn note(&self, batches: &mut Vec<(Table, RecordBatch)>) -> Result<(), ArrowError> {
        let of_spans = batches
            .iter_mut()
            .filter(|(table, _)| *table == Table::Spans);
        for (_, batch) in of_spans {
            let hashes = self.hashes(batch);
            let mut sets = self.lock();
            let mut is_new = |hash: &u64| !sets.last.contains(hash) && sets.current.insert(*hash);
            let new: Vec<bool> = hashes.iter().map(&mut is_new).collect();
            drop(sets);
            if new.contains(&false) {
                *batch = filter_record_batch(batch, &BooleanArray::from(new))?;
            }
        }
        batches.retain(|(_, batch)| batch.num_rows() > 0);
        Ok(())
    }

    /// Forgets the spans among `batches`: they were not kept, and will be sent again.
    pub(crate) fn forget(&self, batches: &[(Table, RecordBatch)]) {
        for (_, batch) in batches.iter().filter(|(table, _)| *table == Table::Spans) {
            let hashes = self.hashes(batch);
            let mut sets = self.lock();
            for hash in hashes {
                sets.current.remove(&hash);
                sets.last.remove(&hash);
            }
        }
    }

    fn hashes(&self, batch: &RecordBatch) -> Vec<u64> {
        let column = |name| {
            batch
                .column_by_name(name)
                .map(AsArray::as_fixed_size_binary)
        };
        let (Some(traces), Some(spans)) = (column("trace_id"), column("span_id")) else {
            return Vec::new();
        };
        let hash = |row| {
            self.hasher
                .hash_one((trace_number(traces, row), spans.value(row)))
        };
        (0..batch.num_rows()).map(hash).collect()
    }
}
