//! Fields that keep coming: what a span holds beside its slot, however often it is recorded on.
//!
//! Invariants: a buffer holds whole fields; it never grows beyond what a record can carry; of a name that is recorded
//! over and over it keeps the last value, at the latest when it would double, and is full before that would take long:
//! looking for repetitions costs each field a few words, however many there are.

use std::cell::Cell;

use super::{Full, field_words, key};
use crate::{batch::HEADER_WORDS, ring::FRAME_WORDS_MAX, slab::SLOT_WORDS};

/// Most words of fields beside a slot, so that a span always fits a lane.
pub(crate) const FIELD_WORDS_MAX: usize = FRAME_WORDS_MAX.saturating_sub(HEADER_WORDS + SLOT_WORDS);
/// Words without which a buffer is full although nothing in it repeats: in fewer, names that repeat would have it looked
/// through for every few of them.
const SPARE_WORDS: usize = FIELD_WORDS_MAX / 16;
/// Words below which repetitions are left in.
const COMPACT_FROM: usize = 256;
/// Tracing allows 32 fields a callsite.
const NAMES_MAX: usize = 32;
/// Words of the buffer a thread keeps for one field: twice the longest text.
const SCRATCH_WORDS_KEPT: usize = super::TEXT_BYTES_MAX / 4;

/// The words of a span's fields.
#[derive(Debug, Default)]
pub(crate) struct FieldBuffer {
    words: Vec<u64>,
    /// Where repetitions are looked for next.
    compact_at: usize,
    /// There is no room, and nothing that repeats.
    is_full: bool,
}

impl FieldBuffer {
    /// Appends whole fields, or nothing where they are too much.
    pub(crate) fn append(&mut self, fields: &[u64]) -> Result<(), Full> {
        if self.is_full {
            return Err(Full);
        }
        if self.words.len() + fields.len() > self.compact_at.max(COMPACT_FROM) {
            compact(&mut self.words);
            let length = self.words.len() + fields.len();
            self.is_full = self.words.len() > FIELD_WORDS_MAX - SPARE_WORDS;
            if self.is_full || length > FIELD_WORDS_MAX {
                return Err(Full);
            }
            self.compact_at = (length * 2).min(FIELD_WORDS_MAX);
        }
        self.words.extend_from_slice(fields);
        Ok(())
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Forgets the fields and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.compact_at = 0;
        self.is_full = false;
    }

    /// Words that fit without asking for memory.
    pub(crate) fn capacity(&self) -> usize {
        self.words.capacity()
    }
}

/// Removes every field of a callsite's name that a later one replaces.
fn compact(words: &mut Vec<u64>) {
    #[cfg(all(test, not(loom)))]
    tests::LOOKED_AT.set(tests::LOOKED_AT.get() + words.len());
    let mut last = [0; NAMES_MAX];
    let mut at = 0;
    while let Some(&head) = words.get(at) {
        if let Some(place) = last.get_mut(usize::from(key(head))) {
            *place = at;
        }
        at += field_words(head);
    }
    let (mut from, mut to) = (0, 0);
    while let Some(&head) = words.get(from) {
        let end = (from + field_words(head)).min(words.len());
        let last = last.get(usize::from(key(head)));
        if last.is_none_or(|&last| last == from) {
            words.copy_within(from..end, to);
            to += end - from;
        }
        from = end;
    }
    words.truncate(to);
}

thread_local! {
    static SCRATCH: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

/// Calls `write` with an empty buffer. Values are formatted into it, so that code of users runs while nothing is locked
/// and nothing half written; a value that records something meanwhile gets a buffer of its own.
pub(crate) fn scratch<R>(write: impl FnOnce(&mut Vec<u64>) -> R) -> R {
    // A thread that is being torn down has none any more.
    let mut words = SCRATCH.try_with(Cell::take).unwrap_or_default();
    words.clear();
    let result = write(&mut words);
    if words.capacity() <= SCRATCH_WORDS_KEPT {
        let _ = SCRATCH.try_with(|place| place.set(words));
    }
    result
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::fields::{FieldReader, FieldWriter, KEY_LINK, RawField, ValueRef};

    thread_local! {
        /// Words in which repetitions were looked for.
        pub(super) static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    fn field(key: u16, value: u64) -> Vec<u64> {
        let mut words = Vec::new();
        FieldWriter(&mut words).u64(key, value).unwrap();
        words
    }

    #[test]
    fn what_is_recorded_over_and_over_takes_no_more_memory() {
        let mut buffer = FieldBuffer::default();
        buffer.append(&field(1, 17)).unwrap();
        for step in 0..1_000_000 {
            buffer.append(&field(0, step)).unwrap();
        }
        assert!(buffer.capacity() <= 4 * COMPACT_FROM);
        let fields: Vec<_> = FieldReader(buffer.words()).collect();
        let value = |key| {
            let found = fields.iter().rfind(|field| field.key == key);
            found.map(|field| field.value)
        };
        assert_eq!(value(0), Some(ValueRef::U64(999_999)));
        assert_eq!(value(1), Some(ValueRef::U64(17)));
    }

    #[test]
    fn what_cannot_be_replaced_is_kept_until_it_is_too_much() {
        let mut buffer = FieldBuffer::default();
        let mut link = Vec::new();
        FieldWriter(&mut link).u64s(KEY_LINK, &[1, 2, 3]).unwrap();
        let kept = (0..=FIELD_WORDS_MAX)
            .take_while(|_| buffer.append(&link).is_ok())
            .count();
        assert!(kept * link.len() > FIELD_WORDS_MAX - SPARE_WORDS - link.len());
        assert_eq!(buffer.append(&link), Err(Full), "and stays as it is");
        assert_eq!(FieldReader(buffer.words()).count(), kept);
    }

    #[test]
    fn a_full_buffer_costs_no_more_than_one_with_room() {
        let (mut link, mut buffer) = (Vec::new(), FieldBuffer::default());
        FieldWriter(&mut link).u64s(KEY_LINK, &[1, 2, 3]).unwrap();
        LOOKED_AT.set(0);
        let appended = 200_000;
        for number in 0..appended {
            let _ = buffer.append(&link);
            let _ = buffer.append(&field(0, number));
        }
        let each = LOOKED_AT.get() / appended as usize;
        assert!(each <= 16, "{each} words looked at for each field");
    }

    #[test]
    fn a_shorter_value_takes_the_place_of_a_longer_one() {
        let mut buffer = FieldBuffer::default();
        for length in (0..200).rev() {
            let mut words = Vec::new();
            let text = "x".repeat(length * 8);
            FieldWriter(&mut words).text(3, &text).unwrap();
            buffer.append(&words).unwrap();
        }
        compact(&mut buffer.words);
        let fields: Vec<RawField<'_>> = FieldReader(buffer.words()).collect();
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[0].value, ValueRef::Str(""));
    }
}
