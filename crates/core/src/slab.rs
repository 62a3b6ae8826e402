//! Open spans of one thread: slots in fixed memory, found by an id that carries lane, slot and generation.
//!
//! The thread that owns the lane opens spans; any thread may enter, record on, clone or close one (async). Invariants:
//! - A slot's words are atomics, so no use of a stale or forged id can be undefined behaviour; a wrong generation is
//!   "no such span".
//! - The number of handles is 1 unless the span was cloned. Who finds 1 holds the only handle and needs no
//!   read-modify-write: nobody else can clone it. Who finds more subtracts atomically.
//! - Fields inline in the slot are written by the owning thread only. Other threads, and fields that do not fit, go to
//!   `extra` under its lock. Dropping the last handle happens after every use of a handle, so the closing thread
//!   sees both. A slot on the free list has one handle and no extra fields.
//! - A slot closed by another thread returns through `returned`, a stack that the owner takes whole.

mod extra;

use std::sync::OnceLock;

use tracing_core::Metadata;

use self::extra::Extra;
use crate::{
    batch,
    fields::{FieldBuffer, Full, Words, field_words, key},
    loss::{self, Lost},
    memory,
    sync::{AtomicU64, Ordering},
};

/// Words of a slot.
pub(crate) const SLOT_WORDS: usize = 64;
/// Slots of a chunk.
pub(crate) const CHUNK_SLOTS: usize = if cfg!(loom) { 2 } else { 512 };
/// Chunks a lane may have beside the first: 65,536 spans open at once on one thread.
const CHUNKS_MAX: usize = if cfg!(loom) { 1 } else { 127 };

// Positions in a slot. `TRACE_HIGH..=FLAGS` stand in the order of the context slot.
const GENERATION: usize = 0;
const HANDLES: usize = 1;
pub(crate) const TRACE_HIGH: usize = 2;
const FLAGS: usize = 7;
const START: usize = 8;
const INLINE_WORDS: usize = 9;
const HAS_EXTRA: usize = 10;
const NEXT_FREE: usize = 11;
/// The thread's number, [`AMENDED`] and [`COUNTED`].
const THREAD: usize = 12;
const FIELDS: usize = 13;
/// Words for fields inside a slot.
const FIELD_WORDS: usize = SLOT_WORDS - FIELDS;

/// Set beside the thread's number once a field was appended to an open span.
const AMENDED: u64 = 1 << 32;
/// Set beside the thread's number once an open span was counted as lost.
const COUNTED: u64 = 1 << 33;

const GENERATION_BITS: u32 = 28;
const SLOT_BITS: u32 = 20;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

/// A span's id within the process: lane (16 bits), slot (20 bits), generation (28 bits).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LocalId(pub(crate) u64);

impl LocalId {
    const fn new(lane: u16, slot: u32, generation: u64) -> Self {
        Self(
            (lane as u64) << (SLOT_BITS + GENERATION_BITS)
                | (slot as u64) << GENERATION_BITS
                | generation & GENERATION_MASK,
        )
    }

    /// The lane, from 1.
    #[inline]
    pub(crate) const fn lane(self) -> u16 {
        (self.0 >> (SLOT_BITS + GENERATION_BITS)) as u16
    }

    #[inline]
    const fn slot(self) -> usize {
        (self.0 >> GENERATION_BITS) as usize & ((1 << SLOT_BITS) - 1)
    }

    #[inline]
    const fn generation(self) -> u64 {
        self.0 & GENERATION_MASK
    }
}

/// What is known of a span when it opens.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    /// Trace (upper, lower half), span ID, parent ID, metadata address, flags and correlation.
    pub(crate) place: [u64; 6],
    pub(crate) thread: u32,
}

type Slot = [AtomicU64; SLOT_WORDS];
type Chunk = &'static [Slot];

/// The open spans of a lane.
pub(crate) struct Slab {
    lane: u16,
    first: &'static [Slot; CHUNK_SLOTS],
    /// Further chunks; more than 512 spans open at once on one thread are rare.
    chunks: [OnceLock<Chunk>; CHUNKS_MAX],
    /// How many of them exist; written by the owner.
    chunk_count: AtomicU64,
    /// Slot + 1 of the first free slot, 0 for none; used by the owner only.
    free: AtomicU64,
    /// Slot + 1 of the last slot that another thread closed.
    returned: AtomicU64,
    extra: Extra,
}

/// A slot that an id was checked against.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    slab: &'a Slab,
    slot: &'a Slot,
    index: usize,
}

impl Slab {
    /// `None` when `first` is shorter than a chunk.
    pub(crate) fn new(lane: u16, first: &'static [AtomicU64]) -> Option<Self> {
        let slab = Self {
            lane,
            first: first.as_chunks().0.first_chunk()?,
            chunks: [const { OnceLock::new() }; CHUNKS_MAX],
            chunk_count: AtomicU64::new(0),
            free: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            extra: Extra::default(),
        };
        slab.free_all(slab.first, 0);
        Some(slab)
    }

    #[cold]
    fn add_chunk(&self, words: &'static [AtomicU64]) {
        let (slots, _) = words.as_chunks::<SLOT_WORDS>();
        let count = self.chunk_count.load(Ordering::Relaxed) as usize;
        if self.chunks[count].set(slots).is_err() {
            return;
        }
        self.chunk_count.store(count as u64 + 1, Ordering::Relaxed);
        self.free_all(slots, (count + 1) * CHUNK_SLOTS);
    }

    /// Puts new slots, numbered from `start`, on the free list.
    fn free_all(&self, slots: &[Slot], start: usize) {
        let mut next = self.free.load(Ordering::Relaxed);
        for (offset, slot) in slots.iter().enumerate().rev() {
            slot[HANDLES].store(1, Ordering::Relaxed);
            slot[NEXT_FREE].store(next, Ordering::Relaxed);
            next = (start + offset) as u64 + 1;
        }
        self.free.store(next, Ordering::Relaxed);
    }

    #[inline]
    fn slot(&self, index: usize) -> Option<&Slot> {
        self.first.get(index).or_else(|| self.far_slot(index))
    }

    #[cold]
    fn far_slot(&self, index: usize) -> Option<&Slot> {
        let chunk = self.chunks.get(index / CHUNK_SLOTS - 1)?.get()?;
        chunk.get(index % CHUNK_SLOTS)
    }

    /// The open span with this id, from any thread.
    #[inline]
    pub(crate) fn find(&self, id: LocalId) -> Option<Found<'_>> {
        let slot = self.slot(id.slot())?;
        let current = slot[GENERATION].load(Ordering::Relaxed) & GENERATION_MASK == id.generation();
        current.then_some(Found {
            slab: self,
            slot,
            index: id.slot(),
        })
    }

    /// A slot for a new span, with one handle and no fields. Only the owning thread may call this.
    /// `None` when [`CHUNKS_MAX`] chunks are full or there is no memory.
    #[inline]
    pub(crate) fn open(&self, opening: &Opening) -> Option<(LocalId, Found<'_>)> {
        let mut free = self.free.load(Ordering::Relaxed);
        if free == 0 {
            free = self.refill()?;
        }
        let index = free as usize - 1;
        let slot = self.slot(index)?;
        self.free
            .store(slot[NEXT_FREE].load(Ordering::Relaxed), Ordering::Relaxed);
        for (offset, word) in opening.place.into_iter().enumerate() {
            slot[TRACE_HIGH + offset].store(word, Ordering::Relaxed);
        }
        slot[INLINE_WORDS].store(0, Ordering::Relaxed);
        slot[THREAD].store(u64::from(opening.thread), Ordering::Relaxed);
        let id = LocalId::new(
            self.lane,
            index as u32,
            slot[GENERATION].load(Ordering::Relaxed),
        );
        Some((
            id,
            Found {
                slab: self,
                slot,
                index,
            },
        ))
    }

    /// How many spans are open that would be recorded and were not counted before, from any thread. Spans may close
    /// meanwhile, and are among them or not; none may open.
    pub(crate) fn count_open(&self) -> u64 {
        let chunks = self.chunk_count.load(Ordering::Relaxed) as usize + 1;
        let mut is_free = vec![false; chunks * CHUNK_SLOTS];
        for list in [&self.free, &self.returned] {
            let mut link = list.load(Ordering::Acquire);
            // It only grows at its front where no span opens, and has an end whatever else happens.
            while let Some(place) = is_free.get_mut((link as usize).wrapping_sub(1))
                && !std::mem::replace(place, true)
            {
                let slot = self.slot(link as usize - 1);
                link = slot.map_or(0, |slot| slot[NEXT_FREE].load(Ordering::Relaxed));
            }
        }
        let taken = (0..is_free.len()).filter(|&index| !is_free[index]);
        let counted = taken.filter(|&index| {
            self.slot(index).is_some_and(|slot| {
                slot[FLAGS].load(Ordering::Relaxed) & 1 != 0
                    && slot[THREAD].fetch_or(COUNTED, Ordering::Relaxed) & COUNTED == 0
            })
        });
        counted.count() as u64
    }

    #[cold]
    fn refill(&self) -> Option<u64> {
        let returned = self.returned.swap(0, Ordering::Acquire);
        if returned != 0 {
            self.free.store(returned, Ordering::Relaxed);
            return Some(returned);
        }
        if self.chunk_count.load(Ordering::Relaxed) as usize == CHUNKS_MAX {
            return None;
        }
        self.add_chunk(memory::words(CHUNK_SLOTS * SLOT_WORDS)?);
        Some(self.free.load(Ordering::Relaxed))
    }
}

impl<'a> Found<'a> {
    #[inline]
    fn load(&self, position: usize) -> u64 {
        self.slot[position].load(Ordering::Relaxed)
    }

    /// Trace, span, parent, metadata, flags and correlation, in the order of the context slot.
    #[inline]
    pub(crate) fn place(&self) -> [u64; 6] {
        std::array::from_fn(|offset| self.load(TRACE_HIGH + offset))
    }

    #[inline]
    pub(crate) fn set_start(&self, ticks: u64) {
        self.slot[START].store(ticks, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn start(&self) -> u64 {
        self.load(START)
    }

    #[inline]
    pub(crate) fn thread(&self) -> u32 {
        self.load(THREAD) as u32
    }

    /// Says that a field was appended to the open span. Only the owning thread may call this.
    pub(crate) fn amend(&self) {
        self.slot[THREAD].store(self.load(THREAD) | AMENDED, Ordering::Relaxed);
    }

    /// Whether [`amend`](Self::amend) was called.
    #[inline]
    pub(crate) fn is_amended(&self) -> bool {
        self.load(THREAD) & AMENDED != 0
    }

    #[inline]
    pub(crate) fn sampled(&self) -> bool {
        self.load(FLAGS) & 1 != 0
    }

    /// Replaces the trace flags, before the span is shown to anybody.
    pub(crate) fn set_sampled(&self, sampled: bool) {
        let flags = self.load(FLAGS);
        self.slot[FLAGS].store(flags & !1 | u64::from(sampled), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn add_handle(&self) {
        self.slot[HANDLES].fetch_add(1, Ordering::Relaxed);
    }

    /// Gives one handle back. `true` when it was the last, after which the caller must [`close`](Self::close).
    #[inline]
    pub(crate) fn drop_handle(&self) -> bool {
        // Acquire and Release order every use of a handle before the close, as in `Arc`.
        if self.slot[HANDLES].load(Ordering::Acquire) == 1 {
            return true;
        }
        let last = self.slot[HANDLES].fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            // A free slot has one handle, for its next span.
            self.slot[HANDLES].store(1, Ordering::Relaxed);
        }
        last
    }

    /// The inline fields, for the owning thread to append to.
    #[inline]
    pub(crate) fn inline(self) -> Inline<'a> {
        Inline {
            slot: self.slot,
            at: self.load(INLINE_WORDS) as usize,
        }
    }

    /// Gives the inline field with this head, the last of its key, another value. `false` when there is none. Only the
    /// owning thread may call this.
    pub(crate) fn replace(&self, head: u64, word: u64) -> bool {
        let fields = self.inline_fields();
        let (mut at, mut last) = (0, None);
        while let Some(found) = fields.get(at) {
            let found = found.load(Ordering::Relaxed);
            if key(found) == key(head) {
                last = (found == head).then_some(at + 1);
            }
            at += field_words(found);
        }
        let value = last.and_then(|at| fields.get(at));
        value
            .inspect(|value| value.store(word, Ordering::Relaxed))
            .is_some()
    }

    /// Appends whole fields from any thread, or counts them where they are too much.
    #[cold]
    pub(crate) fn extra(&self, fields: &[u64]) {
        let appended = self.slab.extra.append(self.index, fields);
        self.slot[HAS_EXTRA].store(1, Ordering::Release);
        if appended.is_err() {
            loss::count(Lost::FieldLimit, 1);
        }
    }

    /// The inline field words.
    #[inline]
    pub(crate) fn inline_fields(&self) -> &'a [AtomicU64] {
        let count = (self.load(INLINE_WORDS) as usize).min(FIELD_WORDS);
        &self.slot[FIELDS..FIELDS + count]
    }

    /// Whether there are fields beside the inline ones.
    #[inline]
    pub(crate) fn has_extra(&self) -> bool {
        self.slot[HAS_EXTRA].load(Ordering::Acquire) != 0
    }

    /// Takes the fields beside the inline ones; to be handed to [`give_back_extra`](Self::give_back_extra).
    #[cold]
    pub(crate) fn take_extra(&self) -> FieldBuffer {
        self.slot[HAS_EXTRA].store(0, Ordering::Relaxed);
        self.slab.extra.take(self.index)
    }

    /// Keeps the memory of fields for the lane's next span.
    #[cold]
    pub(crate) fn give_back_extra(&self, fields: FieldBuffer) {
        self.slab.extra.give_back(fields);
    }

    /// The callsite.
    pub(crate) fn metadata(&self) -> Option<&'static Metadata<'static>> {
        batch::metadata_at(self.load(TRACE_HIGH + 4))
    }

    /// Ends the span: its id finds nothing from here on and its slot is free. `owner` says whether the calling
    /// thread owns the lane.
    #[inline]
    pub(crate) fn close(&self, owner: bool) {
        if self.has_extra() {
            self.give_back_extra(self.take_extra());
        }
        let generation = self.load(GENERATION);
        self.slot[GENERATION].store(generation.wrapping_add(1), Ordering::Relaxed);
        let link = self.index as u64 + 1;
        if owner {
            self.slot[NEXT_FREE].store(self.slab.free.load(Ordering::Relaxed), Ordering::Relaxed);
            self.slab.free.store(link, Ordering::Relaxed);
        } else {
            self.give_back(link);
        }
    }

    #[cold]
    fn give_back(&self, link: u64) {
        let mut last = self.slab.returned.load(Ordering::Relaxed);
        loop {
            self.slot[NEXT_FREE].store(last, Ordering::Relaxed);
            match self.slab.returned.compare_exchange_weak(
                last,
                link,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => last = now,
            }
        }
    }
}

/// The inline field words of a slot, as a sink.
pub(crate) struct Inline<'a> {
    slot: &'a Slot,
    at: usize,
}

impl Inline<'_> {
    /// Pushes all of `fields`, or nothing where there is no room.
    pub(crate) fn append(&mut self, fields: &[u64]) -> bool {
        let places = self.slot[FIELDS + self.at..].get(..fields.len());
        let Some(places) = places else { return false };
        for (place, &word) in places.iter().zip(fields) {
            place.store(word, Ordering::Relaxed);
        }
        self.at += fields.len();
        true
    }

    /// Makes what was pushed part of the span.
    #[inline]
    pub(crate) fn commit(self) {
        self.slot[INLINE_WORDS].store(self.at as u64, Ordering::Relaxed);
    }
}

impl Words for Inline<'_> {
    #[inline]
    fn push(&mut self, word: u64) -> Result<(), Full> {
        let Some(place) = self.slot[FIELDS..].get(self.at) else {
            return Err(Full);
        };
        place.store(word, Ordering::Relaxed);
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn position(&self) -> usize {
        self.at
    }

    fn set(&mut self, position: usize, word: u64) {
        self.slot[FIELDS + position].store(word, Ordering::Relaxed);
    }

    fn rewind(&mut self, position: usize) {
        self.at = position;
    }
}

#[cfg(test)]
fn slab() -> &'static Slab {
    let words = memory::words(CHUNK_SLOTS * SLOT_WORDS);
    let slab = words.and_then(|words| Slab::new(1, words));
    Box::leak(Box::new(slab.unwrap_or_else(|| unreachable!())))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    const OPENING: Opening = Opening {
        place: [1, 2, 3, 0, 0, 1],
        thread: 9,
    };

    #[test]
    fn open_spans_are_counted_once_and_closed_or_unsampled_ones_never() {
        let slab = slab();
        let open = || slab.open(&OPENING).unwrap().1;
        // Into a second chunk, so that none is passed over.
        let spans: Vec<_> = (0..CHUNK_SLOTS + 10).map(|_| open()).collect();
        spans[1].close(true);
        spans[2].close(false);
        spans[3].set_sampled(false);
        spans[4].amend();
        assert_eq!(slab.count_open(), CHUNK_SLOTS as u64 + 7);
        assert_eq!(slab.count_open(), 0);
        assert!(spans[4].is_amended());
        assert_eq!(spans[4].thread(), OPENING.thread);
        let again = open();
        assert_eq!(slab.count_open(), 1);
        again.close(true);
        spans.iter().skip(4).for_each(|span| span.close(true));
        assert_eq!(slab.count_open(), 0);
    }

    #[test]
    fn a_closed_span_is_not_found_and_its_slot_serves_the_next() {
        let slab = slab();
        let (id, span) = slab.open(&OPENING).unwrap();
        assert_eq!((span.place(), span.thread()), (OPENING.place, 9));
        assert!(span.drop_handle());
        span.close(true);
        assert!(slab.find(id).is_none());
        let (next, _) = slab.open(&OPENING).unwrap();
        assert_ne!(next, id);
        assert!(slab.find(id).is_none() && slab.find(next).is_some());
    }

    #[test]
    fn more_spans_than_a_chunk_get_further_chunks_and_no_slot_twice() {
        let slab = slab();
        let ids: HashSet<u64> = (0..CHUNK_SLOTS * 3)
            .map(|_| slab.open(&OPENING).unwrap().0.0)
            .collect();
        assert_eq!(ids.len(), CHUNK_SLOTS * 3);
        for &id in &ids {
            slab.find(LocalId(id)).unwrap().close(true);
        }
        let again = (0..CHUNK_SLOTS * 3).filter(|_| slab.open(&OPENING).is_some());
        assert_eq!(again.count(), CHUNK_SLOTS * 3);
        assert_eq!(slab.chunk_count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn slots_closed_elsewhere_come_back() {
        let slab = slab();
        for _ in 0..10 {
            let ids: Vec<LocalId> = (0..CHUNK_SLOTS)
                .map(|_| slab.open(&OPENING).unwrap().0)
                .collect();
            thread::scope(|scope| {
                for half in ids.chunks(CHUNK_SLOTS / 2) {
                    scope.spawn(move || {
                        half.iter()
                            .for_each(|&id| slab.find(id).unwrap().close(false));
                    });
                }
            });
        }
        assert_eq!(slab.chunk_count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn fields_that_do_not_fit_are_kept_beside_and_forgotten_with_the_span() {
        let slab = slab();
        let (_, span) = slab.open(&OPENING).unwrap();
        let mut inline = span.inline();
        assert!((0..FIELD_WORDS as u64).all(|word| inline.push(word).is_ok()));
        assert!(inline.push(0).is_err());
        inline.commit();
        span.extra(&[17]);
        assert_eq!(span.inline_fields().len(), FIELD_WORDS);
        let extra = span.take_extra();
        assert_eq!(extra.words(), [17]);
        span.give_back_extra(extra);
        span.extra(&[18]);
        span.close(true);
        let (_, next) = slab.open(&OPENING).unwrap();
        assert!(!next.has_extra() && next.inline_fields().is_empty());
    }

    #[test]
    fn forged_ids_find_nothing_or_a_span_and_never_panic() {
        let slab = slab();
        for id in [
            0,
            1,
            u64::MAX,
            1 << 48,
            (1 << 48) | (600 << 28),
            (1 << 48) | (0xf_ffff << 28),
        ] {
            let _ = slab.find(LocalId(id));
        }
    }
}

/// `cargo xtask loom` explores every interleaving of these.
#[cfg(all(test, loom))]
mod loom_models {
    use super::*;

    const OPENING: Opening = Opening {
        place: [1, 2, 3, 0, 0, 1],
        thread: 9,
    };

    #[test]
    fn of_two_handles_exactly_one_drop_is_the_last() {
        loom::model(|| {
            let slab = slab();
            let (id, span) = slab.open(&OPENING).unwrap();
            span.add_handle();
            let other =
                loom::thread::spawn(move || slab.find(id).is_some_and(|span| span.drop_handle()));
            let here = span.drop_handle();
            assert!(here ^ other.join().unwrap());
        });
    }

    #[test]
    fn a_slot_closed_elsewhere_is_never_given_out_twice() {
        loom::model(|| {
            let slab = slab();
            let (first, _) = slab.open(&OPENING).unwrap();
            let (second, _) = slab.open(&OPENING).unwrap();
            let closing = loom::thread::spawn(move || {
                for id in [first, second] {
                    slab.find(id).unwrap().close(false);
                }
            });
            let third = slab.open(&OPENING).map(|(id, _)| id);
            let fourth = slab.open(&OPENING).map(|(id, _)| id);
            closing.join().unwrap();
            assert!(third.is_none() || third.map(LocalId::slot) != fourth.map(LocalId::slot));
        });
    }
}
