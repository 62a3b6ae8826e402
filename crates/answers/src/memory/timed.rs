//! Readings and moves put in order of time.
//!
//! Records of several threads come thread by thread and not by time. What depends on their order (how much a cache
//! grew, what a pool holds after its last reading) is therefore computed over the last [`RECENT_MAX`] of them, sorted,
//! and only what leaves that window is added up for good.
//!
//! Invariant: in whatever order records come, what is told is the same as if they had come by time, as long as none
//! comes after [`RECENT_MAX`] newer ones of the same cache or pool. One that does is left out, and the caller counts
//! it.

use std::collections::VecDeque;

/// Most readings of a cache, and moves of a pool, that are kept sorted: what a thread's lane holds of them.
pub(super) const RECENT_MAX: usize = 1024;

/// Puts `item` where it belongs. Most are newer than all others, so the place is looked for from the end.
fn insert<T: Ord>(recent: &mut VecDeque<T>, item: T) {
    let newer = recent.iter().rev().take_while(|other| **other > item);
    let place = recent.len() - newer.count();
    recent.insert(place, item);
}

/// What a KV cache held at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KvReading {
    pub(super) time_unix_ns: u64,
    pub(super) tokens: u64,
    pub(super) bytes: u64,
}

/// The KV caches of a device.
#[derive(Debug, Default)]
pub(super) struct Cache {
    recent: VecDeque<KvReading>,
    /// The newest reading that left `recent`.
    before: KvReading,
    /// Growth up to that reading.
    grown: Growth,
    /// Most bytes of any reading.
    bytes_max: u64,
}

/// Bytes and tokens by which a cache grew, over all readings in which tokens grew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) bytes: u64,
    pub(super) tokens: u64,
}

impl Growth {
    fn add(&mut self, from: KvReading, to: KvReading) {
        if to.tokens > from.tokens && to.bytes >= from.bytes {
            self.bytes = self.bytes.saturating_add(to.bytes - from.bytes);
            self.tokens = self.tokens.saturating_add(to.tokens - from.tokens);
        }
    }
}

impl Cache {
    /// Takes a reading; `false` when it is too old to be put in its place.
    #[must_use]
    pub(super) fn read(&mut self, reading: KvReading) -> bool {
        if reading < self.before {
            return false;
        }
        self.bytes_max = self.bytes_max.max(reading.bytes);
        insert(&mut self.recent, reading);
        if self.recent.len() > RECENT_MAX
            && let Some(oldest) = self.recent.pop_front()
        {
            self.grown.add(self.before, oldest);
            self.before = oldest;
        }
        true
    }

    /// Most bytes that it held at once.
    pub(super) const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The newest reading.
    pub(super) fn latest(&self) -> KvReading {
        self.recent.back().copied().unwrap_or(self.before)
    }

    /// How much it grew, over all readings.
    pub(super) fn grown(&self) -> Growth {
        let (mut grown, mut before) = (self.grown, self.before);
        for &reading in &self.recent {
            grown.add(before, reading);
            before = reading;
        }
        grown
    }
}

/// What an allocator said about a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PoolReading {
    pub(super) time_unix_ns: u64,
    pub(super) used_bytes: u64,
    pub(super) reserved_bytes: Option<u64>,
}

/// A pool of a device.
#[derive(Debug, Default)]
pub(super) struct Pool {
    read: Option<PoolReading>,
    /// Allocations and releases (negative) since that reading, by time.
    recent: VecDeque<(u64, i64)>,
    /// The same that left `recent`, added up, and when the newest of them was.
    before: i64,
    before_unix_ns: u64,
    outstanding: i64,
}

impl Pool {
    /// Takes a reading; `false` when it is too old to tell what moved since. An older one than the newest says nothing.
    #[must_use]
    pub(super) fn read(&mut self, reading: PoolReading) -> bool {
        if self.read.is_some_and(|newest| reading < newest) {
            return true;
        }
        if reading.time_unix_ns < self.before_unix_ns {
            return false;
        }
        self.recent.retain(|&(at, _)| at > reading.time_unix_ns);
        self.before = 0;
        self.read = Some(reading);
        true
    }

    /// Takes an allocation, or a release as a negative number of bytes.
    pub(super) fn moved(&mut self, time_unix_ns: u64, bytes: i64) {
        self.outstanding = self.outstanding.saturating_add(bytes);
        // Between the allocator's own readings, its figure moves with what is allocated and released.
        if self
            .read
            .is_some_and(|read| time_unix_ns <= read.time_unix_ns)
        {
            return;
        }
        insert(&mut self.recent, (time_unix_ns, bytes));
        if self.recent.len() > RECENT_MAX
            && let Some((at, bytes)) = self.recent.pop_front()
        {
            self.before = self.before.saturating_add(bytes);
            self.before_unix_ns = self.before_unix_ns.max(at);
        }
    }

    /// Allocations minus releases, in bytes.
    pub(super) const fn outstanding(&self) -> i64 {
        self.outstanding
    }

    /// What the allocator took from the device, in bytes, where it says so.
    pub(super) fn reserved_bytes(&self) -> Option<u64> {
        self.read?.reserved_bytes
    }

    /// What is in use by the allocator's own figure, where there is one.
    pub(super) fn used_bytes(&self) -> Option<u64> {
        let moved = self.recent.iter().map(|&(_, bytes)| bytes);
        let moved = moved.fold(self.before, i64::saturating_add);
        Some(self.read?.used_bytes.saturating_add_signed(moved))
    }
}
