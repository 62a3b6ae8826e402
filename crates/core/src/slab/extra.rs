//! Fields beside the slots: those that other threads record, and those that do not fit.
//!
//! Invariant: nothing runs under the lock but copies of words.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::fields::{FieldBuffer, Full};

/// Words of buffers a lane keeps for its next spans: 256 KiB.
const SPARE_WORDS_MAX: usize = 1 << 15;

/// The side table of a slab, by slot.
#[derive(Default)]
pub(super) struct Extra(Mutex<Table>);

#[derive(Default)]
struct Table {
    open: HashMap<usize, FieldBuffer>,
    /// Empty buffers, and the words they have room for together.
    spare: Vec<FieldBuffer>,
    spare_words: usize,
}

impl Extra {
    /// Appends whole fields to those of `slot`.
    pub(super) fn append(&self, slot: usize, fields: &[u64]) -> Result<(), Full> {
        let mut table = self.lock();
        let Table {
            open,
            spare,
            spare_words,
        } = &mut *table;
        let buffer = open.entry(slot).or_insert_with(|| {
            let buffer = spare.pop().unwrap_or_default();
            *spare_words -= buffer.capacity();
            buffer
        });
        buffer.append(fields)
    }

    /// Takes the fields of `slot` out.
    pub(super) fn take(&self, slot: usize) -> FieldBuffer {
        self.lock().open.remove(&slot).unwrap_or_default()
    }

    /// Keeps the memory of a buffer for a later span, unless that is too much.
    pub(super) fn give_back(&self, mut buffer: FieldBuffer) {
        buffer.clear();
        let mut table = self.lock();
        let words = table.spare_words + buffer.capacity();
        if words <= SPARE_WORDS_MAX {
            table.spare_words = words;
            table.spare.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
