//! The one context: which trace and span the calling thread is in.
//!
//! Each lane has one slot ([`crate::memory`] says where): a count of entries and the entries themselves, the innermost
//! last. The innermost entry is the context. It is written when a span is entered or left or a context is attached.
//! Logs, events, metric exemplars, profilers and outgoing headers read it and nothing else.
//!
//! | word of the slot | what |
//! |---|---|
//! | 0 | sequence: goes up before an entry is written |
//! | 1 | depth: how many entries are in use; 0 when there is no context |
//!
//! | word of an entry | what |
//! |---|---|
//! | 0 | local id of the span, or of the attachment |
//! | 1, 2 | trace ID, upper and lower half |
//! | 3 | span ID |
//! | 4 | the span's parent, 0 for none |
//! | 5 | address of the span's tracing `Metadata`, 0 for a remote or attached context |
//! | 6 | trace flags (bits 0-7); without a trace, what a caller decided of the next (8-9); correlation handle (32-63) |
//!
//! Invariant: entries below the depth are whole. So a reader on the same thread (a signal handler) needs no more than
//! the depth and the entry. A reader on another thread reads the sequence before and after and takes what it read only
//! if it did not change.
//!
//! A thread that is in more than [`STACK_DEPTH`] keeps the innermost in the last entry and those between it and the
//! others in memory of its own, so that readers see the context however deep it is.
//!
//! What is attached to a thread without a lane (recording is off, or there is no lane left) is kept beside, so that it
//! can be passed on, and moves into the slot when the thread gets a lane.

use std::{
    cell::RefCell,
    collections::VecDeque,
    marker::PhantomData,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic},
};

use crate::{
    correlation,
    ids::{SpanId, TraceId},
    lane::{self, Lane},
    loss::{self, Lost},
    memory::{ENTRY_WORDS, STACK_DEPTH},
    sync::{AtomicU64, Ordering},
};

/// W3C trace flag: the trace is recorded.
pub const SAMPLED: u8 = 1;
/// In word 6: a caller that sent no trace wants the one that begins here recorded, or not.
pub(crate) const ASKED_FOR: u64 = 1 << 8;
pub(crate) const DECLINED: u64 = 1 << 9;
/// W3C trace flag: the lower 56 bits of the trace ID are random.
pub const RANDOM: u8 = 2;

/// Entries that are not spans but attached contexts have this bit in their id.
const ATTACHED: u64 = 1 << 63;
/// Those that were attached while the thread had no lane have these.
const ATTACHED_BESIDE: u64 = ATTACHED | 1 << 62;

/// Which trace and span something belongs to. Small and `Copy`: take it where work starts and attach it where the work
/// goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace_id: TraceId,
    /// The current span, the parent of what starts next.
    pub span_id: SpanId,
    /// W3C trace flags: [`SAMPLED`], [`RANDOM`].
    pub flags: u8,
    correlation: u32,
}

impl Context {
    /// A context from another process.
    pub const fn remote(trace_id: TraceId, span_id: SpanId, flags: u8) -> Self {
        Self {
            trace_id,
            span_id,
            flags,
            correlation: 0,
        }
    }

    /// Whether the trace is recorded.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same context with the caller's own request identifier, which every record under it carries. Cut to
    /// [`CORRELATION_BYTES_MAX`](correlation::CORRELATION_BYTES_MAX) bytes; one with control characters is counted as
    /// malformed and left out. It is remembered while this is attached.
    #[must_use]
    pub fn with_correlation_id(mut self, id: &str) -> Self {
        self.correlation = correlation::handle(id);
        self
    }

    /// The caller's own request identifier, where one was given and is still remembered.
    pub fn correlation_id(&self) -> Option<Arc<str>> {
        correlation::text(self.correlation)
    }

    /// The same, which is remembered for as long as it is held.
    pub(crate) fn held_correlation_id(&self) -> Option<correlation::Held> {
        correlation::hold(self.correlation)
    }

    /// Makes this the calling thread's context until the guard is dropped.
    #[must_use = "the context is left when the guard is dropped"]
    pub fn attach(self) -> Attached {
        attach_with(&self.place(), self.held_correlation_id())
    }

    /// The context of a slot's words 1-6, if there is one.
    pub(crate) fn from_place(place: &[u64; 6]) -> Option<Self> {
        let [high, low, span, _, _, flags] = *place;
        Some(Self {
            trace_id: TraceId::from_words(high, low)?,
            span_id: SpanId::new(span)?,
            flags: flags as u8,
            correlation: (flags >> 32) as u32,
        })
    }

    /// The context as a slot's words 1-6.
    pub(crate) const fn place(&self) -> [u64; 6] {
        let (high, low) = self.trace_id.words();
        [
            high,
            low,
            self.span_id.bits(),
            0,
            0,
            self.flags as u64 | (self.correlation as u64) << 32,
        ]
    }
}

/// Makes `place`, words 1-6 of a slot, what the calling thread is in.
pub(crate) fn attach_place(place: &[u64; 6]) -> Attached {
    attach_with(place, None)
}

fn attach_with(place: &[u64; 6], correlation: Option<correlation::Held>) -> Attached {
    let lane = lane::kept().or_else(lane::uncounted);
    Attached {
        id: lane.map_or_else(
            || attach_beside(place),
            |lane| Some(lane.context.attach(place)),
        ),
        lane,
        _correlation: correlation,
        not_send: PhantomData,
    }
}

thread_local! {
    /// What is attached to the thread while it has no lane, the innermost last: an id, and words 1-6 of a slot.
    static BESIDE: RefCell<Vec<(u64, [u64; 6])>> = const { RefCell::new(Vec::new()) };
}

/// Uses the list of what is attached to the calling thread beside a lane. `None` while the thread ends.
fn beside<R>(with: impl FnOnce(&mut Vec<(u64, [u64; 6])>) -> R) -> Option<R> {
    BESIDE
        .try_with(|beside| Some(with(&mut *beside.try_borrow_mut().ok()?)))
        .ok()?
}

#[cold]
fn attach_beside(place: &[u64; 6]) -> Option<u64> {
    static LAST: atomic::AtomicU64 = atomic::AtomicU64::new(0);
    let id = ATTACHED_BESIDE | LAST.fetch_add(1, atomic::Ordering::Relaxed);
    beside(|beside| beside.push((id, *place)))?;
    Some(id)
}

#[cold]
fn leave_beside(id: u64) {
    beside(|beside| beside.retain(|&(other, _)| other != id));
    // The thread may have got a lane meanwhile.
    if let Some(lane) = lane::kept() {
        lane.context.leave(id);
    }
}

/// Words 1-6 of what each thread starts in.
static PROCESS: Mutex<[u64; 6]> = Mutex::new([0; 6]);

/// Makes `place` what each thread that gets a lane from now on starts in.
pub(crate) fn set_process_place(place: [u64; 6]) {
    *PROCESS.lock().unwrap_or_else(PoisonError::into_inner) = place;
}

fn process_place() -> [u64; 6] {
    *PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the calling thread is in, as words 1-6 of a slot, whether or not anything is recorded here; all 0 for nothing.
pub(crate) fn place() -> [u64; 6] {
    match lane::kept() {
        Some(lane) => lane.context.place(),
        None => beside(|beside| beside.last().map(|&(_, place)| place))
            .flatten()
            .unwrap_or_else(process_place),
    }
}

/// Keeps a context attached to the thread; see [`Context::attach`].
pub struct Attached {
    /// `None` where it could not be kept: the thread was ending.
    id: Option<u64>,
    /// Where it is kept; beside where there was no lane.
    lane: Option<&'static Lane>,
    /// Held, so that it is not forgotten.
    _correlation: Option<correlation::Held>,
    not_send: PhantomData<*const ()>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        match (self.id, self.lane) {
            (Some(id), Some(lane)) => lane.context.leave(id),
            (Some(id), None) => leave_beside(id),
            (None, _) => {}
        }
    }
}

/// The calling thread's context, if it is in one: what is recorded here now belongs to it. None where nothing is
/// recorded; what is passed on there is [`FullContext::current`](crate::propagation::FullContext::current).
#[inline]
pub fn current() -> Option<Context> {
    lane::existing()?.context.read()
}

/// A lane's context slot and its entries. Written by the owning thread only.
pub(crate) struct Slot {
    words: &'static [AtomicU64; 8],
    entries: &'static [Entry; STACK_DEPTH],
    attached: AtomicU64,
    /// What is between the entry before the last and the last, outermost first; empty unless all are in use.
    spilled: Mutex<VecDeque<[u64; ENTRY_WORDS]>>,
}

type Entry = [AtomicU64; ENTRY_WORDS];

/// Most entries beside those of the slot.
const SPILLED_MAX: usize = 1 << 16;
/// The entry that holds the innermost where all are in use.
const LAST: usize = STACK_DEPTH - 1;

const SEQUENCE: usize = 0;
const DEPTH: usize = 1;

impl Slot {
    /// `None` when there are fewer than [`STACK_DEPTH`] entries.
    pub(crate) fn new(
        words: &'static [AtomicU64; 8],
        entries: &'static [AtomicU64],
    ) -> Option<Self> {
        let entries = entries.as_chunks().0.first_chunk()?;
        Some(Self {
            words,
            entries,
            attached: AtomicU64::new(ATTACHED),
            spilled: Mutex::new(VecDeque::new()),
        })
    }

    #[inline]
    fn depth(&self) -> usize {
        self.words[DEPTH].load(Ordering::Relaxed) as usize
    }

    #[inline]
    fn set_depth(&self, depth: usize) {
        // Release: an entry is whole before it counts.
        self.words[DEPTH].store(depth as u64, Ordering::Release);
    }

    /// Says that an entry is about to change.
    #[inline]
    fn step(&self) {
        let sequence = self.words[SEQUENCE].load(Ordering::Relaxed);
        self.words[SEQUENCE].store(sequence + 1, Ordering::Relaxed);
    }

    /// Words 1-6 of the innermost entry; zeros when there is none.
    #[inline]
    pub(crate) fn place(&self) -> [u64; 6] {
        let Some(entry) = self.entries.get(self.depth().wrapping_sub(1)) else {
            return [0; 6];
        };
        std::array::from_fn(|offset| entry[1 + offset].load(Ordering::Relaxed))
    }

    pub(crate) fn read(&self) -> Option<Context> {
        Context::from_place(&self.place())
    }

    /// Enters `id`, a span's local id or an attached context.
    #[inline]
    pub(crate) fn enter(&self, id: u64, place: &[u64; 6]) {
        let depth = self.depth();
        let Some(entry) = self.entries.get(depth) else {
            return self.enter_deep(id, place);
        };
        self.write(entry, id, place);
        self.set_depth(depth + 1);
    }

    #[inline]
    fn write(&self, entry: &Entry, id: u64, place: &[u64; 6]) {
        self.step();
        entry[0].store(id, Ordering::Relaxed);
        for (word, &value) in entry[1..7].iter().zip(place) {
            // Release keeps these behind the sequence; on x86-64 it is a plain store.
            word.store(value, Ordering::Release);
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_deep(&self, id: u64, place: &[u64; 6]) {
        let mut spilled = self.spilled();
        if spilled.len() == SPILLED_MAX {
            loss::count(Lost::ContextLimit, 1);
            return;
        }
        let entry = &self.entries[LAST];
        spilled.push_back(load(entry));
        // A signal handler in between sees the context outside.
        self.set_depth(LAST);
        self.write(entry, id, place);
        self.set_depth(STACK_DEPTH);
    }

    fn spilled(&self) -> MutexGuard<'_, VecDeque<[u64; ENTRY_WORDS]>> {
        self.spilled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves `id`, wherever among the entries it is.
    #[inline]
    pub(crate) fn leave(&self, id: u64) {
        let depth = self.depth();
        // The last entry may have others behind it that are not in the slot.
        if let Some(entry) = self.entries[..LAST].get(depth.wrapping_sub(1))
            && entry[0].load(Ordering::Relaxed) == id
        {
            self.set_depth(depth - 1);
        } else if depth < STACK_DEPTH {
            self.take_out(id, depth, None);
        } else {
            self.leave_deep(id);
        }
    }

    #[cold]
    #[inline(never)]
    fn leave_deep(&self, id: u64) {
        let mut spilled = self.spilled();
        if self.entries[LAST][0].load(Ordering::Relaxed) == id {
            self.set_depth(LAST);
            if let Some(inner) = spilled.pop_back() {
                self.step();
                store(&self.entries[LAST], &inner);
                self.set_depth(STACK_DEPTH);
            }
        } else if let Some(at) = spilled.iter().rposition(|entry| entry[0] == id) {
            spilled.remove(at);
        } else {
            self.take_out(id, STACK_DEPTH, Some(&mut spilled));
        }
    }

    /// Removes an entry that is not the innermost, by moving the inner ones outwards. The first of those that are
    /// `spilled` comes into the slot.
    #[cold]
    fn take_out(&self, id: u64, depth: usize, spilled: Option<&mut VecDeque<[u64; ENTRY_WORDS]>>) {
        let Some(at) = self.entries[..depth]
            .iter()
            .rposition(|entry| entry[0].load(Ordering::Relaxed) == id)
        else {
            return;
        };
        let next = spilled.and_then(VecDeque::pop_front);
        // A signal handler in between sees the context outside of the one that is left.
        self.set_depth(at);
        self.step();
        let end = if next.is_some() { LAST } else { depth };
        for index in at..end - 1 {
            store(&self.entries[index], &load(&self.entries[index + 1]));
        }
        if let Some(next) = next {
            store(&self.entries[end - 1], &next);
            self.set_depth(STACK_DEPTH);
        } else {
            self.set_depth(depth - 1);
        }
    }

    /// The id of the innermost span entered on this thread, 0 for none.
    pub(crate) fn current_span(&self) -> u64 {
        let is_span = |id: &u64| id & ATTACHED == 0;
        let entered = &self.entries[..self.depth().min(STACK_DEPTH)];
        let mut ids = entered
            .iter()
            .rev()
            .map(|entry| entry[0].load(Ordering::Relaxed));
        if entered.len() < STACK_DEPTH {
            return ids.find(is_span).unwrap_or(0);
        }
        let spilled = self.spilled();
        let spilled = spilled.iter().rev().map(|entry| entry[0]);
        let innermost = ids.next().into_iter();
        innermost
            .chain(spilled)
            .chain(ids)
            .find(is_span)
            .unwrap_or(0)
    }

    /// A thread takes the lane: it starts in what the process was started in, and in what was attached to it before.
    pub(crate) fn begin(&self) {
        let place = process_place();
        if place != [0; 6] {
            self.attach(&place);
        }
        for (id, place) in beside(mem::take).unwrap_or_default() {
            self.enter(id, &place);
        }
    }

    fn attach(&self, place: &[u64; 6]) -> u64 {
        let id = self.attached.load(Ordering::Relaxed) + 1;
        self.attached.store(id, Ordering::Relaxed);
        self.enter(id, place);
        id
    }

    /// Forgets everything: the thread ends.
    pub(crate) fn clear(&self) {
        self.set_depth(0);
        self.spilled().clear();
    }
}

fn load(entry: &Entry) -> [u64; ENTRY_WORDS] {
    std::array::from_fn(|position| entry[position].load(Ordering::Relaxed))
}

fn store(entry: &Entry, words: &[u64; ENTRY_WORDS]) {
    for (place, &word) in entry.iter().zip(words) {
        place.store(word, Ordering::Release);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory;

    fn slot() -> Slot {
        let words = memory::words(8 + STACK_DEPTH * ENTRY_WORDS).unwrap();
        Slot::new(words.first_chunk().unwrap(), &words[8..]).unwrap()
    }

    /// A slot beside what it should hold: ids, outermost first.
    struct Checked(Slot, Vec<u64>);

    impl Checked {
        fn enter(&mut self, id: u64) {
            self.0.enter(id, &[0, 0, id, 0, 0, 0]);
            self.1.push(id);
            self.check();
        }

        fn leave(&mut self, id: u64) {
            self.0.leave(id);
            if let Some(at) = self.1.iter().rposition(|&entered| entered == id) {
                self.1.remove(at);
            }
            self.check();
        }

        fn check(&self) {
            let innermost = self.1.last().copied().unwrap_or(0);
            assert_eq!(self.0.place(), [0, 0, innermost, 0, 0, 0]);
            let span = self.1.iter().rfind(|&&id| id & ATTACHED == 0);
            assert_eq!(self.0.current_span(), span.copied().unwrap_or(0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 32 }))]
        #[test]
        fn whatever_is_left_the_innermost_that_remains_is_the_context(
            steps in proptest::collection::vec(any::<u32>(), 0..if cfg!(miri) { 80 } else { 1_500 }),
            outermost_first in any::<bool>(),
        ) {
            let mut slot = Checked(slot(), Vec::new());
            for step in steps {
                let (what, which) = (step % 8, (step / 8) as usize);
                let entered = slot.1.get(which % slot.1.len().max(1)).copied();
                match (what, entered) {
                    (0, Some(id)) => slot.leave(id),
                    (1, Some(id)) => slot.enter(id),
                    (2, _) => slot.leave(u64::from(step)),
                    (3, _) => slot.enter(u64::from(step) | ATTACHED),
                    _ => slot.enter(u64::from(step) + 1),
                }
            }
            while let Some(&id) = if outermost_first { slot.1.first() } else { slot.1.last() } {
                slot.leave(id);
            }
            prop_assert!(slot.0.spilled().is_empty());
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "enters thousands of spans, which takes Miri minutes")]
    fn what_is_deeper_than_can_be_told_apart_is_counted_and_leaves_nothing_behind() {
        let slot = slot();
        let before = loss::total(Lost::ContextLimit);
        let deepest = (STACK_DEPTH + SPILLED_MAX) as u64;
        for id in 1..=deepest + 2 {
            slot.enter(id, &[0, 0, id, 0, 0, 0]);
        }
        assert_eq!(loss::total(Lost::ContextLimit) - before, 2);
        assert_eq!(slot.place()[2], deepest);
        for id in (1..=deepest + 2).rev() {
            slot.leave(id);
        }
        assert_eq!(slot.place(), [0; 6]);
    }
}
