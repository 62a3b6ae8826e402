//! Counts of requests, in slots of an hour.

use std::collections::VecDeque;

use crate::baseline::window::SPAN_NS;

const SLOTS_MAX: usize = 128;
/// With fewer slots how they differ says nothing, and so few stay however old they are: what is known of a rare series is
/// normal until something newer is known.
const SLOTS_MIN: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) failed: f64,
    pub(super) all: f64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.failed += other.failed;
        self.all += other.all;
    }

    pub(super) fn share(self) -> f64 {
        if self.all > 0.0 {
            self.failed / self.all
        } else {
            0.0
        }
    }

    /// The interval of E. B. Wilson (1927), as `compare` uses it.
    pub(super) fn wilson(self, deviate: f64) -> (f64, f64) {
        if self.all <= 0.0 {
            return (0.0, 1.0);
        }
        let (n, share, z2) = (self.all, self.share(), deviate * deviate);
        let centre = share + z2 / (2.0 * n);
        let half = deviate * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z2 / n;
        (
            ((centre - half) / scale).max(0.0),
            ((centre + half) / scale).min(1.0),
        )
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    time_unix_ns: u64,
    counts: Counts,
}

/// Counts in order of time, of at most an hour and in at most 128 slots: when these are full, neighbours become one.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    slots: VecDeque<Slot>,
    /// How long a slot is at least, in nanoseconds.
    slot_ns: u64,
}

impl Slots {
    pub(super) const NONE: Self = Self {
        slots: VecDeque::new(),
        slot_ns: 0,
    };

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn all(&self) -> Counts {
        let mut all = Counts::default();
        for slot in &self.slots {
            all.add(slot.counts);
        }
        all
    }

    /// How much more the slots differ than requests that fail on their own would; at least 1.
    pub(super) fn dispersion(&self) -> f64 {
        let share = self.all().share();
        let variance = share * (1.0 - share);
        if self.slots.len() < SLOTS_MIN || variance <= 0.0 {
            return 1.0;
        }
        let of = |slot: &Slot| {
            let off = slot.counts.failed - slot.counts.all * share;
            off * off / (slot.counts.all * variance)
        };
        let sum: f64 = self.slots.iter().map(of).sum();
        (sum / (self.slots.len() - 1) as f64).max(1.0)
    }

    pub(super) fn append(&mut self, later: Self) {
        for slot in later.slots {
            self.push(slot.time_unix_ns, slot.counts);
        }
    }

    pub(super) fn push(&mut self, time_unix_ns: u64, counts: Counts) {
        let is_old = |slot: &Slot| time_unix_ns.saturating_sub(slot.time_unix_ns) > SPAN_NS;
        while self.slots.len() > SLOTS_MIN && self.slots.front().is_some_and(is_old) {
            self.slots.pop_front();
        }
        if let Some(last) = self.slots.back_mut()
            && time_unix_ns.saturating_sub(last.time_unix_ns) < self.slot_ns
        {
            last.counts.add(counts);
            return;
        }
        if self.slots.len() == SLOTS_MAX {
            self.halve();
        }
        self.slots.push_back(Slot {
            time_unix_ns,
            counts,
        });
    }

    /// Two neighbouring slots become one.
    fn halve(&mut self) {
        let mut halved: VecDeque<Slot> = VecDeque::with_capacity(SLOTS_MAX);
        for (at, slot) in self.slots.drain(..).enumerate() {
            match halved.back_mut() {
                Some(last) if at % 2 == 1 => last.counts.add(slot.counts),
                _ => halved.push_back(slot),
            }
        }
        let first = halved.front().map_or(0, |slot| slot.time_unix_ns);
        let last = halved.back().map_or(0, |slot| slot.time_unix_ns);
        self.slot_ns = (last - first) / halved.len().max(1) as u64;
        self.slots = halved;
    }
}
