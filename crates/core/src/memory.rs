//! Where lanes live: one region of words a lane, in the heap or in a mapped file.
//!
//! A region's layout is fixed, so that a profiler's signal handler, a flight recorder or another process can read it:
//!
//! | words | what |
//! |---|---|
//! | 0 | [`MAGIC`] |
//! | 1 | [`LAYOUT_VERSION`] |
//! | 2 | operating-system thread id of the thread that owns the lane, 0 when none does |
//! | 8-15 | the context slot's sequence and depth ([`crate::context`]) |
//! | 16 | ring head: words written, ever |
//! | 24 | ring tail: words read, ever |
//! | [`STACK_START`].. | [`STACK_DEPTH`] entries of 8 words: entered spans and attached contexts, outermost first |
//! | [`SLAB_START`].. | [`CHUNK_SLOTS`] slots of [`SLOT_WORDS`] words: open spans |
//! | [`RING_START`].. | [`RING_WORDS`] words: frames on their way to the pump |
//!
//! Invariant: a region lives as long as the process and is zero when first given out. Zeroed pages cost no memory
//! until they are written.

use std::sync::OnceLock;

use crate::{
    ring::RING_WORDS,
    slab::{CHUNK_SLOTS, SLOT_WORDS},
    sync::AtomicU64,
};

/// First word of a region: `RSLANE` and a zero.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"RSLANE\0\0");
/// Version of the layout above.
pub(crate) const LAYOUT_VERSION: u64 = 1;
/// Where the context slot starts.
pub(crate) const CONTEXT_START: usize = 8;
/// The ring's head, on a cache line of its own.
pub(crate) const HEAD: usize = 16;
/// The ring's tail, on a cache line of its own.
pub(crate) const TAIL: usize = 24;
/// Entered spans and attached contexts that a region holds; the last is the innermost of those that are deeper.
pub(crate) const STACK_DEPTH: usize = 256;
/// Words of an entry of the stack.
pub(crate) const ENTRY_WORDS: usize = 8;
/// Where the stack starts.
pub(crate) const STACK_START: usize = 64;
/// Where the slab's first chunk starts.
pub(crate) const SLAB_START: usize = STACK_START + STACK_DEPTH * ENTRY_WORDS;
/// Where the ring starts.
pub(crate) const RING_START: usize = SLAB_START + CHUNK_SLOTS * SLOT_WORDS;
/// Words of a region.
pub(crate) const REGION_WORDS: usize = RING_START + RING_WORDS;

/// Gives out zeroed memory that is never taken back.
pub trait Source: Send + Sync {
    /// `count` zeroed words, or `None` when there is no more.
    fn words(&self, count: usize) -> Option<&'static [AtomicU64]>;
}

static SOURCE: OnceLock<Box<dyn Source>> = OnceLock::new();

/// Takes all later regions from `source`, for example from a mapped file. Returns `false` when a source was already
/// chosen, by this function or by the first region.
pub fn set_source(source: Box<dyn Source>) -> bool {
    SOURCE.set(source).is_ok()
}

/// `count` zeroed words from the chosen source, the heap unless [`set_source`] said otherwise.
pub(crate) fn words(count: usize) -> Option<&'static [AtomicU64]> {
    SOURCE.get_or_init(|| Box::new(Heap)).words(count)
}

struct Heap;

impl Source for Heap {
    #[cfg(not(loom))]
    fn words(&self, count: usize) -> Option<&'static [AtomicU64]> {
        let words = Box::<[AtomicU64]>::new_zeroed_slice(count);
        // SAFETY: an `AtomicU64` has the layout of a `u64`, for which all zeros is a valid value.
        Some(Box::leak(unsafe { words.assume_init() }))
    }

    #[cfg(loom)]
    fn words(&self, count: usize) -> Option<&'static [AtomicU64]> {
        Some(Box::leak((0..count).map(|_| AtomicU64::new(0)).collect()))
    }
}
