//! Exemplars: measurements that lead to the trace they were made in.
//!
//! A histogram keeps two for each group of buckets, the slowest and the last that failed; a counter keeps the last.
//! A slow or failed one stays for [`WINDOW_NS`] at least, so the trace of the largest measurement is always there to
//! be read.
//!
//! Invariant: a [`Place`] has one writer, the thread that owns the shard (or who holds the series alone, to clear it).
//! Readers take a place only when its version is even and the same before and after.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use super::{histogram::GROUPS, snapshot::Exemplar};
use crate::{
    clock, context,
    ids::{SpanId, TraceId},
};

/// How long an exemplar holds its place against smaller measurements.
pub(super) const WINDOW_NS: u64 = 60_000_000_000;

/// The trace in which a measurement was made, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Origin {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) time_unix_ns: u64,
}

/// The calling thread's trace, where it is in one that is recorded.
#[inline]
pub(super) fn current() -> Option<Origin> {
    let context = context::current()?;
    context.is_sampled().then(|| Origin {
        trace_id: context.trace_id,
        span_id: context.span_id,
        time_unix_ns: clock::now_unix_ns(),
    })
}

/// Room for one exemplar. Empty while the time is zero.
#[derive(Debug, Default)]
pub(super) struct Place {
    version: AtomicU64,
    value: AtomicU64,
    time_unix_ns: AtomicU64,
    trace_high: AtomicU64,
    trace_low: AtomicU64,
    span_id: AtomicU64,
}

impl Place {
    /// Replaces what is there.
    pub(super) fn write(&self, value: f64, origin: Origin) {
        let (high, low) = origin.trace_id.words();
        self.store([
            value.to_bits(),
            origin.time_unix_ns,
            high,
            low,
            origin.span_id.bits(),
        ]);
    }

    /// Makes the place empty.
    pub(super) fn clear(&self) {
        if self.time_unix_ns.load(Relaxed) != 0 {
            self.store([0; 5]);
        }
    }

    fn words(&self) -> [&AtomicU64; 5] {
        [
            &self.value,
            &self.time_unix_ns,
            &self.trace_high,
            &self.trace_low,
            &self.span_id,
        ]
    }

    fn store(&self, words: [u64; 5]) {
        let version = self.version.load(Relaxed);
        self.version.store(version + 1, Relaxed);
        fence(Release);
        for (place, word) in self.words().into_iter().zip(words) {
            place.store(word, Relaxed);
        }
        self.version.store(version + 2, Release);
    }

    /// What is there; nothing while it is being replaced, which the next reading will see.
    pub(super) fn read(&self) -> Option<(f64, Origin)> {
        let version = self.version.load(Acquire);
        let [value, time_unix_ns, high, low, span] = self.words().map(|word| word.load(Relaxed));
        fence(Acquire);
        if version % 2 == 1 || self.version.load(Relaxed) != version || time_unix_ns == 0 {
            return None;
        }
        let origin = Origin {
            trace_id: TraceId::from_words(high, low)?,
            span_id: SpanId::new(span)?,
            time_unix_ns,
        };
        Some((f64::from_bits(value), origin))
    }
}

/// The exemplars of a histogram in one shard: two places for each group of buckets.
#[derive(Debug)]
pub(super) struct Reservoir {
    groups: Box<[Group]>,
}

#[derive(Debug, Default)]
struct Group {
    slowest: Place,
    failed: Place,
}

impl Reservoir {
    pub(super) fn new(groups: usize) -> Self {
        Self {
            groups: (0..groups).map(|_| Group::default()).collect(),
        }
    }

    /// Takes the measurement where it deserves a place. Returns the value that the next slow one of the group has to
    /// exceed.
    pub(super) fn offer(&self, group: usize, value: f64, failed: bool, origin: Origin) -> f64 {
        let Some(Group {
            slowest,
            failed: last_failed,
        }) = self.groups.get(group)
        else {
            return f64::INFINITY;
        };
        if failed {
            last_failed.write(value, origin);
        }
        match slowest.read() {
            Some((held, at))
                if held >= value
                    && origin.time_unix_ns.saturating_sub(at.time_unix_ns) < WINDOW_NS =>
            {
                held
            }
            _ => {
                slowest.write(value, origin);
                value
            }
        }
    }

    /// When the slowest of a group was measured, if there is one.
    pub(super) fn slowest_unix_ns(&self, group: usize) -> Option<u64> {
        let (_, origin) = self.groups.get(group)?.slowest.read()?;
        Some(origin.time_unix_ns)
    }

    /// Every exemplar, the slowest ones first.
    pub(super) fn read(&self) -> impl Iterator<Item = Exemplar> {
        let places = |failed: bool| {
            self.groups.iter().filter_map(move |group| {
                let (value, origin) = if failed {
                    &group.failed
                } else {
                    &group.slowest
                }
                .read()?;
                Some(exemplar(value, origin, failed))
            })
        };
        places(false).chain(places(true))
    }

    /// Moves every exemplar of an exponential histogram to the group that `group_of` gives its value now that the
    /// buckets have changed. What was there waits on the stack, so that no memory is asked for.
    pub(super) fn rehome(&self, group_of: impl Fn(f64) -> usize) {
        let held: [_; GROUPS] = std::array::from_fn(|at| {
            let group = self.groups.get(at)?;
            Some((group.slowest.read(), group.failed.read()))
        });
        self.clear();
        let place_of = |value| self.groups.get(group_of(value));
        for (slowest, failed) in held.into_iter().flatten() {
            if let Some((value, origin)) = slowest
                && let Some(Group { slowest, .. }) = place_of(value)
                && slowest.read().is_none_or(|(held, _)| held < value)
            {
                slowest.write(value, origin);
            }
            if let Some((value, origin)) = failed
                && let Some(Group { failed, .. }) = place_of(value)
                && failed
                    .read()
                    .is_none_or(|(_, held)| held.time_unix_ns < origin.time_unix_ns)
            {
                failed.write(value, origin);
            }
        }
    }

    /// The value that a slow measurement of the group has to exceed: that of the slowest, if there is one.
    pub(super) fn floor(&self, group: usize) -> f64 {
        let slowest = self
            .groups
            .get(group)
            .and_then(|group| group.slowest.read());
        slowest.map_or(f64::NEG_INFINITY, |(value, _)| value)
    }

    /// Makes every place empty.
    pub(super) fn clear(&self) {
        for group in &self.groups {
            group.slowest.clear();
            group.failed.clear();
        }
    }
}

/// The exemplar as snapshots carry it.
pub(super) fn exemplar(value: f64, origin: Origin, failed: bool) -> Exemplar {
    Exemplar {
        value,
        time_unix_ns: origin.time_unix_ns,
        trace_id: origin.trace_id,
        span_id: origin.span_id,
        failed,
    }
}

/// Of the exemplars of all shards, the slowest and the last failed of each group that `group_of` gives.
pub(super) fn reduce(exemplars: Vec<Exemplar>, group_of: impl Fn(f64) -> usize) -> Vec<Exemplar> {
    let mut best = std::collections::BTreeMap::<(usize, bool), Exemplar>::new();
    for exemplar in exemplars {
        let key = (group_of(exemplar.value), exemplar.failed);
        let better = best.get(&key).is_none_or(|held| {
            if exemplar.failed {
                exemplar.time_unix_ns > held.time_unix_ns
            } else {
                exemplar.value > held.value
            }
        });
        if better {
            best.insert(key, exemplar);
        }
    }
    best.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(trace: u128, time_unix_ns: u64) -> Origin {
        Origin {
            trace_id: TraceId::new(trace).unwrap(),
            span_id: SpanId::new(7).unwrap(),
            time_unix_ns,
        }
    }

    /// Offers and compares what has to be exceeded next, bit for bit.
    fn offer(
        reservoir: &Reservoir,
        (group, value, failed): (usize, f64, bool),
        at: Origin,
        next: f64,
    ) {
        let floor = reservoir.offer(group, value, failed, at);
        assert_eq!(floor.to_bits(), next.to_bits(), "{floor} is not {next}");
    }

    #[test]
    fn the_slowest_stays_for_its_window_and_the_last_failed_beside_it() {
        let reservoir = Reservoir::new(2);
        offer(&reservoir, (0, 1.0, false), origin(1, 10), 1.0);
        offer(&reservoir, (0, 3.0, false), origin(2, 20), 3.0);
        offer(&reservoir, (0, 2.0, true), origin(3, 30), 3.0);
        offer(&reservoir, (0, 1.5, true), origin(4, 40), 3.0);
        let seen: Vec<_> = reservoir
            .read()
            .map(|exemplar| (exemplar.value, exemplar.trace_id.bits(), exemplar.failed))
            .collect();
        assert_eq!(seen, [(3.0, 2, false), (1.5, 4, true)]);
        // After its window even a smaller one takes the place.
        offer(&reservoir, (0, 0.5, false), origin(5, 20 + WINDOW_NS), 0.5);
    }

    #[test]
    fn moving_to_one_group_keeps_the_slowest() {
        let reservoir = Reservoir::new(3);
        reservoir.offer(0, 1.0, false, origin(1, 10));
        reservoir.offer(1, 5.0, false, origin(2, 11));
        reservoir.offer(2, 4.0, false, origin(3, 12));
        reservoir.rehome(|_| 1);
        let seen: Vec<_> = reservoir.read().map(|exemplar| exemplar.value).collect();
        assert_eq!(seen, [5.0]);
        assert_eq!(reservoir.floor(1).to_bits(), 5.0_f64.to_bits());
        assert!(reservoir.floor(0) < f64::MIN);
    }

    #[test]
    fn a_reader_never_sees_half_an_exemplar() {
        let place = Place::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..20_000_u64 {
                    let origin = Origin {
                        trace_id: TraceId::from_words(n, n).unwrap(),
                        span_id: SpanId::new(n).unwrap(),
                        time_unix_ns: n,
                    };
                    place.write(n as f64, origin);
                }
            });
            for _ in 0..20_000 {
                if let Some((value, origin)) = place.read() {
                    let n = origin.time_unix_ns;
                    assert_eq!((value, origin.trace_id.words()), (n as f64, (n, n)));
                    assert_eq!(origin.span_id.bits(), n);
                }
            }
        });
    }
}
