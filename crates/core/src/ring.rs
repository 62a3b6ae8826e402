//! The lane's ring: one writing thread, one reading pump, never blocks, never allocates.
//!
//! Positions count words since the start and never wrap (2^64 words). Invariants: `tail <= head <= tail + RING_WORDS`.
//! Only the writer stores `head`, only the pump stores `tail`. Words in `tail..head` are the pump's, all others the
//! writer's; `head` is stored with Release after the words, `tail` with Release after they were read.
//! When there is no room the frame that is being written is given up whole; the caller counts it.

use crate::{
    fields::{Full, Words},
    sync::{AtomicU64, Ordering},
};

/// Words of a ring: 1 MiB, about 8,000 spans with three fields.
pub(crate) const RING_WORDS: usize = if cfg!(loom) { 8 } else { 1 << 17 };
/// Longest frame, so that one record cannot fill a lane.
pub(crate) const FRAME_WORDS_MAX: usize = RING_WORDS / 2;

const _: () = assert!(RING_WORDS.is_power_of_two());

/// A ring over memory from [`crate::memory`].
pub(crate) struct Ring {
    words: &'static [AtomicU64; RING_WORDS],
    head: &'static AtomicU64,
    tail: &'static AtomicU64,
    /// The writer's last look at `tail`, so that it touches the pump's cache line once a lap.
    tail_seen: AtomicU64,
}

impl Ring {
    pub(crate) fn new(
        words: &'static [AtomicU64; RING_WORDS],
        head: &'static AtomicU64,
        tail: &'static AtomicU64,
    ) -> Self {
        let tail_seen = AtomicU64::new(tail.load(Ordering::Acquire));
        Self {
            words,
            head,
            tail,
            tail_seen,
        }
    }

    /// Starts a frame. Only the thread that owns the lane may call this.
    #[inline]
    pub(crate) fn writer(&self) -> Writer<'_> {
        let start = self.head.load(Ordering::Relaxed);
        let limit = self.tail_seen.load(Ordering::Relaxed) + RING_WORDS as u64;
        Writer {
            ring: self,
            start,
            at: start,
            limit,
        }
    }

    /// Appends everything written so far to `out` and gives the room back. Only the pump may call this.
    pub(crate) fn drain(&self, out: &mut Vec<u64>) {
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Relaxed);
        out.reserve((head - tail) as usize);
        let (from, to) = (tail as usize % RING_WORDS, head as usize % RING_WORDS);
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        if head - tail == 0 {
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
}

impl Writer<'_> {
    /// Whether `count` more words fit.
    #[inline]
    pub(crate) fn reserve(&mut self, count: usize) -> bool {
        if self.at + count as u64 <= self.limit {
            return true;
        }
        self.look_again();
        self.at + count as u64 <= self.limit
    }

    #[cold]
    fn look_again(&mut self) {
        let tail = self.ring.tail.load(Ordering::Acquire);
        self.ring.tail_seen.store(tail, Ordering::Relaxed);
        self.limit = tail + RING_WORDS as u64;
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

    /// Replaces word `position` of the frame.
    #[inline]
    pub(crate) fn put_at(&mut self, position: usize, word: u64) {
        self.ring.words[(self.start as usize + position) % RING_WORDS]
            .store(word, Ordering::Relaxed);
    }

    /// Shows the frame to the pump.
    #[inline]
    pub(crate) fn commit(self) {
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
