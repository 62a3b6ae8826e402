//! The one context: which trace and span the calling thread is in.
//!
//! Each lane has one slot of eight words ([`crate::memory`] says where), written when a span is entered or left or a
//! context is attached. Logs, events, metric exemplars, profilers and outgoing headers read this slot and nothing else.
//!
//! | word | what |
//! |---|---|
//! | 0 | sequence: odd while the slot is being written |
//! | 1, 2 | trace ID, upper and lower half |
//! | 3 | span ID; 0 when there is no context |
//! | 4 | the span's parent, 0 for none |
//! | 5 | address of the span's tracing `Metadata`, 0 for a remote or attached context |
//! | 6 | trace flags (bits 0-7), correlation handle (32-63) |
//! | 7 | depth of the stack |
//!
//! Invariant: a reader on the same thread (a signal handler) that sees an even sequence sees a whole context. A reader
//! on another thread reads the sequence before and after and takes the rest only if it is even and unchanged.

use std::{marker::PhantomData, sync::Arc};

use crate::{
    correlation,
    ids::{SpanId, TraceId},
    lane::{self, Lane},
    memory::{ENTRY_WORDS, STACK_DEPTH},
    sync::{AtomicU64, Ordering},
};

/// W3C trace flag: the trace is recorded.
pub const SAMPLED: u8 = 1;
/// W3C trace flag: the lower 56 bits of the trace ID are random.
pub const RANDOM: u8 = 2;

/// Stack entries that are not spans but attached contexts have this bit in their id.
const ATTACHED: u64 = 1 << 63;

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
    /// [`CORRELATION_BYTES_MAX`](correlation::CORRELATION_BYTES_MAX) bytes.
    #[must_use]
    pub fn with_correlation_id(mut self, id: &str) -> Self {
        self.correlation = correlation::handle(id);
        self
    }

    /// The caller's own request identifier, where one was given and is still remembered.
    pub fn correlation_id(&self) -> Option<Arc<str>> {
        correlation::text(self.correlation)
    }

    /// Makes this the calling thread's context until the guard is dropped.
    #[must_use = "the context is left when the guard is dropped"]
    pub fn attach(self) -> Attached {
        attach_place(&self.place())
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
    let id = lane::current().map(|lane| (lane, lane.context.attach(place)));
    Attached {
        id,
        not_send: PhantomData,
    }
}

/// Words 1-6 of the calling thread's slot; all 0 where it has none.
pub(crate) fn place() -> [u64; 6] {
    lane::existing().map_or([0; 6], |lane| lane.context.place())
}

/// Keeps a context attached to the thread; see [`Context::attach`].
pub struct Attached {
    id: Option<(&'static Lane, u64)>,
    not_send: PhantomData<*const ()>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some((lane, id)) = self.id {
            lane.context.leave(id);
        }
    }
}

/// The calling thread's context, if it is in one.
#[inline]
pub fn current() -> Option<Context> {
    lane::existing()?.context.read()
}

/// A lane's context slot and the stack behind it. Written by the owning thread only.
pub(crate) struct Slot {
    words: &'static [AtomicU64; 8],
    stack: &'static [[AtomicU64; ENTRY_WORDS]],
    attached: AtomicU64,
}

const DEPTH: usize = 7;

impl Slot {
    pub(crate) fn new(words: &'static [AtomicU64; 8], stack: &'static [AtomicU64]) -> Self {
        Self {
            words,
            stack: stack.as_chunks().0,
            attached: AtomicU64::new(ATTACHED),
        }
    }

    #[inline]
    fn load(&self, position: usize) -> u64 {
        self.words[position].load(Ordering::Relaxed)
    }

    /// Words 1-6 of the slot.
    #[inline]
    pub(crate) fn place(&self) -> [u64; 6] {
        std::array::from_fn(|offset| self.load(1 + offset))
    }

    pub(crate) fn read(&self) -> Option<Context> {
        Context::from_place(&self.place())
    }

    #[inline]
    fn write(&self, place: &[u64; 6]) {
        let sequence = self.load(0);
        self.words[0].store(sequence + 1, Ordering::Relaxed);
        for (word, &value) in self.words[1..7].iter().zip(place) {
            // Release keeps these behind the odd sequence; on x86-64 it is a plain store.
            word.store(value, Ordering::Release);
        }
        self.words[0].store(sequence + 2, Ordering::Release);
    }

    /// Enters `id`, a span's local id or an attached context.
    #[inline]
    pub(crate) fn enter(&self, id: u64, place: &[u64; 6]) {
        let depth = self.load(DEPTH);
        self.words[DEPTH].store(depth + 1, Ordering::Relaxed);
        // Deeper than the stack: the last entry stays the context, and leaving only counts down.
        let Some(entry) = self.stack.get(depth as usize) else {
            return;
        };
        entry[0].store(id, Ordering::Relaxed);
        for (word, &value) in entry[1..7].iter().zip(place) {
            word.store(value, Ordering::Relaxed);
        }
        self.write(place);
    }

    /// Leaves `id`, wherever on the stack it is.
    #[inline]
    pub(crate) fn leave(&self, id: u64) {
        let depth = self.load(DEPTH) as usize;
        if depth == 0 {
            return;
        }
        if depth > STACK_DEPTH {
            self.words[DEPTH].store(depth as u64 - 1, Ordering::Relaxed);
            return;
        }
        if self.stack[depth - 1][0].load(Ordering::Relaxed) == id || self.take_out(id, depth) {
            self.words[DEPTH].store(depth as u64 - 1, Ordering::Relaxed);
            self.restore(depth - 1);
        }
    }

    /// Removes an entry that is not the last one, by moving the later ones down.
    #[cold]
    fn take_out(&self, id: u64, depth: usize) -> bool {
        let Some(at) = self.stack[..depth]
            .iter()
            .rposition(|entry| entry[0].load(Ordering::Relaxed) == id)
        else {
            return false;
        };
        for index in at..depth - 1 {
            for position in 0..ENTRY_WORDS {
                let word = self.stack[index + 1][position].load(Ordering::Relaxed);
                self.stack[index][position].store(word, Ordering::Relaxed);
            }
        }
        true
    }

    #[inline]
    fn restore(&self, depth: usize) {
        match depth.checked_sub(1).and_then(|top| self.stack.get(top)) {
            Some(entry) => self.write(&std::array::from_fn(|offset| {
                entry[1 + offset].load(Ordering::Relaxed)
            })),
            None => self.write(&[0; 6]),
        }
    }

    /// The id of the innermost span entered on this thread, 0 for none.
    pub(crate) fn current_span(&self) -> u64 {
        let depth = (self.load(DEPTH) as usize).min(STACK_DEPTH);
        let ids = self.stack[..depth]
            .iter()
            .rev()
            .map(|entry| entry[0].load(Ordering::Relaxed));
        ids.into_iter().find(|id| id & ATTACHED == 0).unwrap_or(0)
    }

    fn attach(&self, place: &[u64; 6]) -> u64 {
        let id = self.attached.load(Ordering::Relaxed) + 1;
        self.attached.store(id, Ordering::Relaxed);
        self.enter(id, place);
        id
    }

    /// Forgets everything: the thread ends.
    pub(crate) fn clear(&self) {
        self.words[DEPTH].store(0, Ordering::Relaxed);
        self.write(&[0; 6]);
    }
}
