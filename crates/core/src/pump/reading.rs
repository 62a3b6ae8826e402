//! Reading lanes: which pump may, and what becomes of the words.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    batch::{Counts, END_WORD, HEADER_WORDS, Kind, TIME_WORD, frame_length, frames},
    clock::Clock,
    lane::{self, Lane},
};

/// The number of the last pump. Held while a ring is read, which only this one may do.
static READER: Mutex<u64> = Mutex::new(0);

pub(super) fn reader() -> MutexGuard<'static, u64> {
    READER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many records are in the lanes, which no pump that was started before reads any more.
pub(super) fn waiting_in_lanes() -> usize {
    let mut waiting = Counts::default();
    let mut words = Vec::new();
    let mut reader = reader();
    *reader += 1;
    for ring in lane::all().flat_map(Lane::rings) {
        words.clear();
        ring.drain(&mut words);
        frames(&words).for_each(|frame| waiting.add(frame[0]));
    }
    waiting.total()
}

/// Turns the times of the frames in `words` from ticks into Unix nanoseconds and counts the frames. Returns how many words
/// they take.
pub(super) fn convert(words: &mut [u64], clock: &Clock, counts: &mut Counts) -> usize {
    let mut at = 0;
    while let Some(&first) = words.get(at) {
        let length = frame_length(first);
        let end = at.saturating_add(length);
        if length < HEADER_WORDS || end > words.len() {
            break;
        }
        let frame = &mut words[at..end];
        if first as u8 == Kind::Span as u8 {
            let (start, end) = clock.span_unix_ns(frame[TIME_WORD], frame[END_WORD]);
            (frame[TIME_WORD], frame[END_WORD]) = (start, end);
        } else {
            frame[TIME_WORD] = clock.unix_ns(frame[TIME_WORD]);
        }
        counts.add(first);
        at = end;
    }
    at
}
