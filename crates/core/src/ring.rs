//! The lane's ring: one writing thread, one reading pump, never blocks, never allocates.
//!
//! Positions count words since the start and never wrap (2^64 words). Invariants: `tail <= head <= tail + RING_WORDS`.
//! Only the writer stores `head`, only the pump stores `tail`. Words in `tail..head` are the pump's, all others the
//! writer's; `head` is stored with Release after the words, `tail` with Release after they were read.
//! When there is no room the frame that is being written is given up whole; the caller counts it.
//!
//! A frame that runs code of users while it is written is [opened](Ring::open): until it is done the ring has no room
//! for any other, so that a value that records something while it is formatted cannot write over it. What costs is
//! paid by such frames; all others see a ring that is full.

use crate::{
    fields::{Full, Words},
    loss::{self, Lost},
    sync::{AtomicU64, Ordering},
};

/// Words of a ring: 1 MiB, about 8,000 spans with three fields.
pub(crate) const RING_WORDS: usize = if cfg!(loom) { 8 } else { 1 << 17 };
/// Longest frame, so that one record cannot fill a lane.
pub(crate) const FRAME_WORDS_MAX: usize = RING_WORDS / 2;

const _: () = assert!(RING_WORDS.is_power_of_two());

/// The limit of a ring with an open frame: there is room for no word.
const OPEN: u64 = 0;

/// A ring over memory from [`crate::memory`].
pub(crate) struct Ring {
    words: &'static [AtomicU64; RING_WORDS],
    head: &'static AtomicU64,
    tail: &'static AtomicU64,
    /// How far the writer may go by its last look at `tail`, so that it touches the pump's cache line once a lap;
    /// [`OPEN`] while a frame is open.
    limit: AtomicU64,
}

impl Ring {
    pub(crate) fn new(
        words: &'static [AtomicU64; RING_WORDS],
        head: &'static AtomicU64,
        tail: &'static AtomicU64,
    ) -> Self {
        let limit = AtomicU64::new(tail.load(Ordering::Acquire) + RING_WORDS as u64);
        Self {
            words,
            head,
            tail,
            limit,
        }
    }

    /// Starts a frame that runs no code but ours. Only the thread that owns the lane may call this.
    #[inline]
    pub(crate) fn writer(&self) -> Writer<'_> {
        let start = self.head.load(Ordering::Relaxed);
        Writer {
            ring: self,
            start,
            at: start,
            limit: self.limit.load(Ordering::Relaxed),
            is_open: false,
            is_too_large: false,
        }
    }

    /// Starts a frame that runs code of users. There is no room for another one until the writer is gone.
    #[inline]
    pub(crate) fn open(&self) -> Writer<'_> {
        let mut writer = self.writer();
        writer.is_open = writer.limit != OPEN;
        self.limit.store(OPEN, Ordering::Relaxed);
        writer
    }

    /// Whether the calling thread, the owner, is writing an opened frame.
    pub(crate) fn is_open(&self) -> bool {
        self.limit.load(Ordering::Relaxed) == OPEN
    }

    /// Whether the longest frame would fit now.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting() <= (RING_WORDS - FRAME_WORDS_MAX) as u64
    }

    /// Appends everything written so far to `out` and gives the room back. Only the pump may call this.
    pub(crate) fn drain(&self, out: &mut Vec<u64>) {
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Relaxed);
        let waiting = head.wrapping_sub(tail);
        if waiting > RING_WORDS as u64 {
            // Somebody else wrote to the region. What it holds is nothing that could be read.
            self.tail.store(head, Ordering::Release);
            loss::count(Lost::Damaged, 1);
            return;
        }
        out.reserve(waiting as usize);
        let (from, to) = (tail as usize % RING_WORDS, head as usize % RING_WORDS);
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        if waiting == 0 {
            return;
        }
        if from < to {
            out.extend(self.words[from..to].iter().map(load));
        } else {
            out.extend(self.words[from..].iter().map(load));
            out.extend(self.words[..to].iter().map(load));
        }
        self.tail.store(head, Ordering::Release);
    }

    /// Words waiting for the pump.
    pub(crate) fn waiting(&self) -> u64 {
        self.head
            .load(Ordering::Relaxed)
            .saturating_sub(self.tail.load(Ordering::Relaxed))
    }
}

/// A frame that is being written; nothing of it is seen before [`commit`](Writer::commit).
pub(crate) struct Writer<'a> {
    ring: &'a Ring,
    start: u64,
    at: u64,
    limit: u64,
    /// Whether it was [opened](Ring::open) and no other frame was open then.
    is_open: bool,
    is_too_large: bool,
}

impl Drop for Writer<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_open {
            self.ring.limit.store(self.limit, Ordering::Relaxed);
        }
    }
}

impl Writer<'_> {
    /// Whether `count` more words fit.
    #[inline]
    pub(crate) fn reserve(&mut self, count: usize) -> bool {
        if self.at + count as u64 <= self.limit {
            return true;
        }
        self.look_again(count);
        self.at + count as u64 <= self.limit
    }

    #[cold]
    fn look_again(&mut self, count: usize) {
        if self.len() + count > FRAME_WORDS_MAX {
            self.is_too_large = true;
        }
        if self.is_too_large || !self.is_open && self.ring.is_open() {
            return;
        }
        self.limit = self.ring.tail.load(Ordering::Acquire) + RING_WORDS as u64;
        if !self.is_open {
            self.ring.limit.store(self.limit, Ordering::Relaxed);
        }
    }

    /// Whether a lane accepts no frame of this length, however empty it is.
    pub(crate) fn is_too_large(&self) -> bool {
        self.is_too_large || self.len() > FRAME_WORDS_MAX
    }

    /// Words written to the frame so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        (self.at - self.start) as usize
    }

    /// Appends a word for which [`reserve`](Self::reserve) said that there is room.
    #[inline]
    pub(crate) fn put(&mut self, word: u64) {
        debug_assert!(self.at < self.limit);
        self.ring.words[self.at as usize % RING_WORDS].store(word, Ordering::Relaxed);
        self.at += 1;
    }

    /// Appends words for which [`reserve`](Self::reserve) said that there is room.
    #[inline]
    pub(crate) fn put_all<const N: usize>(&mut self, words: &[u64; N]) {
        let from = self.at as usize % RING_WORDS;
        if let Some(places) = self.ring.words[from..].first_chunk::<N>() {
            places
                .iter()
                .zip(words)
                .for_each(|(place, &word)| place.store(word, Ordering::Relaxed));
            self.at += N as u64;
        } else {
            words.iter().for_each(|&word| self.put(word));
        }
    }

    /// Appends words that are in a slot, for which [`reserve`](Self::reserve) said that there is room.
    #[inline]
    pub(crate) fn put_from(&mut self, words: &[AtomicU64]) {
        let from = self.at as usize % RING_WORDS;
        if let Some(places) = self.ring.words[from..].get(..words.len()) {
            places.iter().zip(words).for_each(|(place, word)| {
                place.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
            });
            self.at += words.len() as u64;
        } else {
            words
                .iter()
                .for_each(|word| self.put(word.load(Ordering::Relaxed)));
        }
    }

    /// Replaces word `position` of the frame.
    #[inline]
    pub(crate) fn put_at(&mut self, position: usize, word: u64) {
        self.ring.words[(self.start as usize + position) % RING_WORDS]
            .store(word, Ordering::Relaxed);
    }

    /// Shows the frame to the pump.
    #[inline]
    pub(crate) fn commit(self) {
        // An opened one makes room for others only after this.
        self.ring.head.store(self.at, Ordering::Release);
    }
}

impl Words for Writer<'_> {
    #[inline]
    fn push(&mut self, word: u64) -> Result<(), Full> {
        if !self.reserve(1) {
            return Err(Full);
        }
        self.put(word);
        Ok(())
    }

    #[inline]
    fn position(&self) -> usize {
        self.len()
    }

    #[inline]
    fn set(&mut self, position: usize, word: u64) {
        self.put_at(position, word);
    }

    fn rewind(&mut self, position: usize) {
        self.at = self.start + position as u64;
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::memory;

    fn ring() -> Ring {
        let words = memory::words(RING_WORDS + 2).unwrap();
        Ring::new(
            words.first_chunk().unwrap(),
            &words[RING_WORDS],
            &words[RING_WORDS + 1],
        )
    }

    fn write(ring: &Ring, words: &[u64]) -> bool {
        let mut writer = ring.writer();
        if !writer.reserve(words.len()) {
            return false;
        }
        words.iter().for_each(|&word| writer.put(word));
        writer.commit();
        true
    }

    #[test]
    fn a_full_ring_refuses_whole_frames_and_has_room_again_once_read() {
        let ring = ring();
        let frame = vec![7; RING_WORDS / 4];
        assert!((0..4).all(|_| write(&ring, &frame)));
        assert!(!write(&ring, &[1]));
        let mut out = Vec::new();
        ring.drain(&mut out);
        assert_eq!(out.len(), RING_WORDS);
        assert!(write(&ring, &frame[..5]));
        out.clear();
        ring.drain(&mut out);
        assert_eq!(out, [7; 5]);
    }

    #[test]
    fn frames_that_wrap_around_the_end_are_whole() {
        let ring = ring();
        let mut out = Vec::new();
        let mut next = 0;
        for _ in 0..RING_WORDS / 4 {
            let frame: Vec<u64> = (next..next + 9).collect();
            next += 9;
            let mut writer = ring.writer();
            assert!(writer.reserve(9));
            writer.put_all::<9>(frame.as_slice().try_into().unwrap());
            writer.put_at(0, frame[0]);
            writer.commit();
            ring.drain(&mut out);
        }
        assert!(out.iter().copied().eq(0..next));
    }

    #[test]
    fn an_open_frame_leaves_no_room_for_another_until_it_is_done() {
        let ring = ring();
        let mut outer = ring.open();
        assert!(outer.reserve(2));
        outer.put(1);
        assert!(ring.is_open() && !write(&ring, &[9]));
        assert!(!ring.open().reserve(1), "nor for one that is opened inside");
        assert!(ring.is_open(), "which leaves the outer one open");
        outer.put(2);
        outer.commit();
        assert!(!ring.is_open() && write(&ring, &[3]));
        drop(ring.open());
        assert!(write(&ring, &[4]), "one that was given up makes room too");
        let mut out = Vec::new();
        ring.drain(&mut out);
        assert_eq!(out, [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_too_large_is_known_before_the_ring_is_empty() {
        let ring = ring();
        assert!(write(&ring, &[0; 8]));
        let mut writer = ring.writer();
        let fitted = (0..RING_WORDS).take_while(|_| writer.push(0).is_ok());
        assert_eq!(fitted.count(), RING_WORDS - 8);
        assert!(writer.is_too_large());
        let half = vec![0; FRAME_WORDS_MAX];
        assert!(write(&ring, &half) && !ring.has_room());
        let mut writer = ring.writer();
        assert!(!writer.reserve(FRAME_WORDS_MAX) && !writer.is_too_large());
    }

    #[test]
    fn a_head_that_cannot_be_is_passed_over() {
        let ring = ring();
        let mut out = Vec::new();
        for head in [RING_WORDS as u64 * 2, 5] {
            ring.head.store(head, Ordering::Relaxed);
            ring.drain(&mut out);
            assert!(out.is_empty() && ring.waiting() == 0);
        }
    }

    #[test]
    fn a_frame_that_was_given_up_is_never_seen() {
        let ring = ring();
        {
            let mut writer = ring.writer();
            assert!(writer.reserve(3));
            writer.put(1);
        }
        assert!(write(&ring, &[2]));
        let mut out = Vec::new();
        ring.drain(&mut out);
        assert_eq!(out, [2]);
    }
}

/// `cargo xtask loom` explores every interleaving of these.
#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use crate::memory;

    fn ring() -> &'static Ring {
        let words = memory::words(RING_WORDS + 2).unwrap();
        Box::leak(Box::new(Ring::new(
            words.first_chunk().unwrap(),
            &words[RING_WORDS],
            &words[RING_WORDS + 1],
        )))
    }

    #[test]
    fn the_pump_sees_whole_frames_in_order_and_no_word_twice() {
        loom::model(|| {
            let ring = ring();
            let writing = loom::thread::spawn(move || {
                let mut written = Vec::new();
                for frame in 0..4_u64 {
                    let mut writer = ring.writer();
                    if writer.reserve(3) {
                        (0..3).for_each(|word| writer.put(frame * 3 + word));
                        writer.commit();
                        written.extend(frame * 3..frame * 3 + 3);
                    }
                }
                written
            });
            let mut read = Vec::new();
            for _ in 0..2 {
                ring.drain(&mut read);
                assert_eq!(read.len() % 3, 0, "half a frame");
            }
            let written = writing.join().unwrap();
            ring.drain(&mut read);
            assert_eq!(read, written);
        });
    }
}
