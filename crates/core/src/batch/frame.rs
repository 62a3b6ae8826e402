//! The layout of a frame: what the lanes carry and a batch holds.
//!
//! Invariant: the description word of a frame is the address of a `&'static` description of the frame's kind.
//! Only [`Header::words`] makes frames, and it takes references.

use std::{ptr, sync::Arc};

use tracing_core::Metadata;

use super::PlaceRef;
use crate::{
    correlation,
    fields::{FieldReader, KEY_INLINE, KEY_LINK, RawField, ValueRef},
    ids::{SpanId, TraceId},
};

/// Words before a frame's fields.
pub(crate) const HEADER_WORDS: usize = 9;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Span = 1,
    Log = 2,
    Event = 3,
}

/// The head of a frame.
///
/// | word | span | log, event |
/// |---|---|---|
/// | 0 | kind (bits 0-7), trace flags (8-15), amended (16), length in words (32-63) | the same |
/// | 1, 2 | trace ID, upper and lower half; 0 for none | the same |
/// | 3 | span ID | the current span's ID; 0 for none |
/// | 4 | parent's span ID; 0 for a root | the current span's parent |
/// | 5 | start | time |
/// | 6 | end | address of the current span's `Metadata`; 0 for none |
/// | 7 | address of its `Metadata` | address of its `Metadata` (log) or `Descriptor` (event) |
/// | 8 | thread (bits 0-31), correlation (32-63) | the same |
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    /// Whether fields were added after the span was opened: only then may one of them replace another.
    pub(crate) amended: bool,
    pub(crate) trace_high: u64,
    pub(crate) trace_low: u64,
    pub(crate) span_id: u64,
    pub(crate) parent_id: u64,
    pub(crate) time: u64,
    /// End of a span, or address of the current span's metadata.
    pub(crate) end_or_span: u64,
    pub(crate) description: u64,
    pub(crate) thread: u32,
    pub(crate) correlation: u32,
}

impl Header {
    /// Word 0 for a frame of `length` words in all.
    #[inline]
    pub(crate) const fn first_word(&self, length: usize) -> u64 {
        self.kind as u64
            | (self.flags as u64) << 8
            | (self.amended as u64) << AMENDED_BIT
            | (length as u64) << 32
    }

    /// The header as words.
    #[inline]
    pub(crate) const fn words(&self, length: usize) -> [u64; HEADER_WORDS] {
        [
            self.first_word(length),
            self.trace_high,
            self.trace_low,
            self.span_id,
            self.parent_id,
            self.time,
            self.end_or_span,
            self.description,
            self.thread as u64 | (self.correlation as u64) << 32,
        ]
    }
}

/// Position of `amended` in the first word.
const AMENDED_BIT: u32 = 16;

/// Length in words of the frame that starts with `first`.
#[inline]
pub(crate) const fn frame_length(first: u64) -> usize {
    (first >> 32) as usize
}

/// Position of the start or time in a frame.
pub(crate) const TIME_WORD: usize = 5;
/// Position of a span's end in a frame.
pub(crate) const END_WORD: usize = 6;

/// The address of `description`, to be turned back by [`static_ref`].
#[inline]
pub(crate) fn address<T>(description: &'static T) -> u64 {
    ptr::from_ref(description).expose_provenance() as u64
}

/// The description whose address [`address`] gave; `None` for 0.
#[inline]
pub(super) fn static_ref<T>(address: u64) -> Option<&'static T> {
    // SAFETY: description words are only ever written by `address` from a `&'static T` of the frame kind's own
    // type (module invariant), so a non-zero word is the exposed address of a live, aligned, shared `T`.
    unsafe { ptr::with_exposed_provenance::<T>(address as usize).as_ref() }
}

/// The callsite whose address is `address`.
#[inline]
pub(crate) fn metadata_at(address: u64) -> Option<&'static Metadata<'static>> {
    static_ref(address)
}

/// Walks frames laid end to end; stops at the first that cannot be one.
pub(crate) fn frames(words: &[u64]) -> impl Iterator<Item = &[u64]> {
    let mut rest = words;
    std::iter::from_fn(move || {
        let length = frame_length(*rest.first()?);
        if length < HEADER_WORDS {
            return None;
        }
        let (frame, tail) = rest.split_at_checked(length)?;
        rest = tail;
        Some(frame)
    })
}

/// How a record names a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKey<'a> {
    /// By its index into the names of the callsite.
    Described(usize),
    /// By its own name.
    Named(&'a str),
    /// Not an attribute: a link to another span, as [`SpanRef::links`](super::SpanRef::links) reads it.
    Link,
}

/// A frame, read.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a>(pub(super) &'a [u64]);

impl<'a> Frame<'a> {
    pub(super) fn flags(self) -> u8 {
        (self.0[0] >> 8) as u8
    }

    pub(super) fn trace_id(self) -> Option<TraceId> {
        TraceId::from_words(self.0[1], self.0[2])
    }

    pub(super) fn thread(self) -> u32 {
        self.0[8] as u32
    }

    pub(super) fn correlation(self) -> u32 {
        (self.0[8] >> 32) as u32
    }

    pub(super) fn correlation_id(self) -> Option<Arc<str>> {
        correlation::text(self.correlation())
    }

    pub(super) fn metadata(self) -> &'static Metadata<'static> {
        static_ref(self.0[7]).unwrap_or_else(crate::subscriber::unknown_metadata)
    }

    pub(super) fn raw_fields(self) -> FieldReader<'a> {
        FieldReader(&self.0[HEADER_WORDS..])
    }

    pub(super) fn field_words(self) -> usize {
        self.0.len() - HEADER_WORDS
    }

    pub(super) fn place(self) -> Option<PlaceRef> {
        Some(PlaceRef {
            trace_id: self.trace_id()?,
            span_id: SpanId::new(self.0[3])?,
            parent_id: SpanId::new(self.0[4]),
            span_name: static_ref::<Metadata<'static>>(self.0[6])
                .map_or("", |metadata| metadata.name()),
        })
    }

    /// Attributes named by tracing metadata. A key recorded twice appears once, with its last value.
    pub(super) fn attributes(self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        let described = self.metadata().fields();
        let repeated = self.repeats_a_key();
        let mut fields = self.raw_fields();
        // Fields mostly come in the order of their names: going on from the last name finds the next in one step.
        let (mut names, mut passed) = (described.iter(), 0);
        std::iter::from_fn(move || {
            loop {
                let RawField { key, name, value } = fields.next()?;
                match key {
                    KEY_INLINE => return Some((name?, value)),
                    KEY_LINK => {}
                    _ if repeated && fields.clone().any(|later| later.key == key) => {}
                    _ => {
                        let index = usize::from(key);
                        if index < passed {
                            (names, passed) = (described.iter(), 0);
                        }
                        let name = names.nth(index - passed)?.name();
                        passed = index + 1;
                        return Some((name, value));
                    }
                }
            }
        })
    }

    /// Hands every field to `visit`, by index into the names of the callsite where it has one. A key recorded twice
    /// appears once, with its last value.
    #[inline]
    pub(super) fn visit(self, mut visit: impl FnMut(FieldKey<'a>, ValueRef<'a>)) {
        let repeated = self.repeats_a_key();
        let mut at = 0;
        self.raw_fields().visit(|RawField { key, name, value }| {
            at += 1;
            // One place that calls, so that reader and visitor become one loop.
            let key = match (key, name) {
                (KEY_INLINE, Some(name)) => FieldKey::Named(name),
                (KEY_INLINE, None) => return,
                (KEY_LINK, _) => FieldKey::Link,
                _ if repeated && self.raw_fields().skip(at).any(|later| later.key == key) => return,
                _ => FieldKey::Described(usize::from(key)),
            };
            visit(key, value);
        });
    }

    /// Whether a name of the callsite occurs more than once.
    fn repeats_a_key(self) -> bool {
        self.0[0] >> AMENDED_BIT & 1 != 0 && self.finds_a_key_again()
    }

    #[cold]
    fn finds_a_key_again(self) -> bool {
        let mut seen = 0_u64;
        self.raw_fields().keys().any(|key| {
            // Tracing allows 32 fields a callsite, so every index has a bit.
            let bit = 1_u64.checked_shl(u32::from(key)).unwrap_or(0);
            let again = seen & bit != 0;
            seen |= bit;
            again
        })
    }
}
