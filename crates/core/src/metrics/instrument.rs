//! Instruments and their series: one instrument for each metric name, one series for each label set, bounded in number.
//!
//! Invariants:
//! - An instrument has at most `series_max` series; further label sets share the overflow series.
//! - A series can only be forgotten while nobody holds a handle of it: its `Arc` is then held by the table alone, which
//!   is checked under the table's write lock, where nobody can be handed another one.

use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{
        Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    histogram::Shape,
    labels::{self, Asked},
    self_metrics,
    shard::{self, HISTOGRAM_SLOTS, NOBODY, NUMBER_SLOTS},
    snapshot::Labels,
};
use crate::{
    hash::{FoldState, Prehashed},
    model::Text,
};

/// What a metric is and what it counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A total of whole numbers that only grows.
    CounterU64,
    /// A total that only grows.
    CounterF64,
    /// A total of whole numbers that goes up and down.
    UpDownCounterI64,
    /// A total that goes up and down.
    UpDownCounterF64,
    /// A value that is set.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The bits of a gauge that was never set: a NaN that no computation gives.
pub(super) const UNSET: u64 = 0x7ff8_5e70_0000_0000;

/// Where a series' value is.
#[derive(Debug)]
pub(super) enum Store {
    /// In this slot of every shard.
    Number(u32),
    /// Here: the last write of any thread stands, so one place serves all threads without a sum.
    Gauge(AtomicU64),
    /// In this slot of every shard, laid out like this.
    Histogram { slot: u32, shape: Shape },
}

/// One label set of an instrument.
#[derive(Debug)]
pub struct Series {
    pub(super) labels: Labels,
    start_unix_ns: AtomicU64,
    /// Somebody was told when it started.
    is_shown: AtomicBool,
    pub(super) store: Store,
    /// Somebody asked for the series since it was last looked at.
    touched: AtomicBool,
    /// What it was when last looked at: a total, a gauge's bits, a number of measurements.
    seen: AtomicU64,
    /// When it was last seen to have changed.
    changed_unix_ns: AtomicU64,
}

impl Series {
    fn new(labels: Labels, store: Store, now_unix_ns: u64) -> Arc<Self> {
        Arc::new(Self {
            labels,
            start_unix_ns: AtomicU64::new(now_unix_ns),
            is_shown: AtomicBool::new(false),
            store,
            touched: AtomicBool::new(false),
            seen: AtomicU64::new(0),
            changed_unix_ns: AtomicU64::new(now_unix_ns),
        })
    }

    /// When it started, which stays so from here on.
    pub(super) fn start_unix_ns(&self) -> u64 {
        self.is_shown.store(true, Relaxed);
        self.start_unix_ns.load(Relaxed)
    }

    /// It has a measurement that was made at this time, before it was there itself. Once it was shown that changes nothing:
    /// another start would be another series to those who were shown the first.
    pub(super) fn began(&self, unix_ns: u64) {
        if !self.is_shown.load(Relaxed) {
            self.start_unix_ns.fetch_min(unix_ns, Relaxed);
        }
    }

    /// Notes what the series is now. Returns for how many nanoseconds it has been the same.
    pub(super) fn look(&self, value: u64, now_unix_ns: u64) -> u64 {
        let touched = self.touched.load(Relaxed);
        if touched {
            self.touched.store(false, Relaxed);
        }
        if touched || self.seen.load(Relaxed) != value {
            self.seen.store(value, Relaxed);
            self.changed_unix_ns.store(now_unix_ns, Relaxed);
            return 0;
        }
        now_unix_ns.saturating_sub(self.changed_unix_ns.load(Relaxed))
    }

    /// Whether nobody asked for the series since it was last looked at and it has not changed for so long.
    pub(super) fn is_idle(&self, now_unix_ns: u64, idle_ns: u64) -> bool {
        !self.touched.load(Relaxed)
            && now_unix_ns.saturating_sub(self.changed_unix_ns.load(Relaxed)) >= idle_ns
    }
}

/// The static side of a metric.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) name: Text,
    /// What it means.
    pub(super) help: Text,
    pub(super) unit: Text,
    pub(super) kind: Kind,
    /// Of histograms.
    pub(super) shape: Shape,
    pub(super) series_max: usize,
}

/// A metric: what it is, and its series.
#[derive(Debug)]
pub(super) struct Instrument {
    pub(super) is: Description,
    /// Nothing that is measured with it is shown.
    hidden: bool,
    state: FoldState,
    table: RwLock<Table>,
    overflow: OnceLock<Arc<Series>>,
}

/// The series, found by hash.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    /// The first entry of each hash.
    heads: HashMap<u64, usize, BuildHasherDefault<Prehashed>>,
    /// Cleared histogram slots, which have this instrument's bounds and so stay with it.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    series: Arc<Series>,
    hash: u64,
    /// The next entry with the same hash.
    next: Option<usize>,
}

impl Table {
    fn find(&self, hash: u64, asked: &Asked<'_>) -> Option<&Arc<Series>> {
        let mut at = self.heads.get(&hash).copied();
        while let Some(entry) = at.and_then(|at| self.entries.get(at)) {
            if labels::are(&entry.series.labels, asked) {
                return Some(&entry.series);
            }
            at = entry.next;
        }
        None
    }

    fn insert(&mut self, hash: u64, series: Arc<Series>) {
        let next = self.heads.insert(hash, self.entries.len());
        self.entries.push(Entry { series, hash, next });
    }

    /// Takes out the series that `forget` chooses among those without a handle.
    fn take_idle(&mut self, mut forget: impl FnMut(&Series) -> bool) -> Vec<Series> {
        let mut forgotten = Vec::new();
        let mut kept = Vec::with_capacity(self.entries.len());
        for mut entry in std::mem::take(&mut self.entries) {
            // `get_mut` succeeds only for the last holder, after everything that other holders did.
            if Arc::get_mut(&mut entry.series).is_some_and(|series| forget(series)) {
                forgotten.extend(Arc::into_inner(entry.series));
            } else {
                kept.push(entry);
            }
        }
        self.heads.clear();
        for entry in kept {
            self.insert(entry.hash, entry.series);
        }
        forgotten
    }
}

impl Instrument {
    pub(super) fn new(description: Description) -> Self {
        Self {
            is: description,
            hidden: false,
            state: FoldState::default(),
            table: RwLock::default(),
            overflow: OnceLock::new(),
        }
    }

    /// An instrument whose handles work and whose measurements are not shown.
    pub(super) fn hidden(description: Description) -> Self {
        Self {
            hidden: true,
            ..Self::new(description)
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series of a label set, made when it is not there yet. The overflow series when there are too many; the
    /// second value then is true.
    pub(super) fn series(&self, asked: &Asked<'_>) -> (Arc<Series>, bool) {
        if self.hidden {
            return (self.overflow(), false);
        }
        let asked = labels::normalised(asked);
        let hash = labels::hash(&asked, &self.state);
        let found = |table: &Table| {
            table.find(hash, &asked).map(|series| {
                if !series.touched.load(Relaxed) {
                    series.touched.store(true, Relaxed);
                }
                Arc::clone(series)
            })
        };
        let is_full = {
            let table = self.read();
            if let Some(series) = found(&table) {
                return (series, false);
            }
            table.entries.len() >= self.is.series_max
        };
        if !is_full {
            let mut table = self.write();
            if let Some(series) = found(&table) {
                return (series, false);
            }
            if table.entries.len() < self.is.series_max
                && let Some(store) = self.store(table.free.pop())
            {
                let series = Series::new(labels::keep(&asked), store, crate::clock::now_unix_ns());
                table.insert(hash, Arc::clone(&series));
                return (series, false);
            }
        }
        self_metrics::count_overflow();
        (self.overflow(), true)
    }

    /// Room for a series, if there is any.
    fn store(&self, free_histogram: Option<u32>) -> Option<Store> {
        Some(match self.is.kind {
            Kind::Gauge => Store::Gauge(AtomicU64::new(UNSET)),
            Kind::Histogram => Store::Histogram {
                slot: free_histogram.or_else(|| HISTOGRAM_SLOTS.take())?,
                shape: self.is.shape.clone(),
            },
            _ => Store::Number(NUMBER_SLOTS.take()?),
        })
    }

    /// The series of all label sets beyond the limit.
    fn overflow(&self) -> Arc<Series> {
        let series = self.overflow.get_or_init(|| {
            let store = (!self.hidden).then(|| self.store(None)).flatten();
            let store = store.unwrap_or_else(|| match self.is.kind {
                Kind::Gauge => Store::Gauge(AtomicU64::new(UNSET)),
                Kind::Histogram => Store::Histogram {
                    slot: NOBODY,
                    shape: Shape::Exponential,
                },
                _ => Store::Number(NOBODY),
            });
            Series::new(labels::overflow(), store, crate::clock::now_unix_ns())
        });
        Arc::clone(series)
    }

    /// Hands the series there are to `each`, the overflow series last. New label sets wait meanwhile; measuring does not.
    pub(super) fn for_each_series(&self, each: impl FnMut(&Series)) {
        let table = self.read();
        let series = table.entries.iter().map(|entry| &*entry.series);
        series
            .chain(self.overflow.get().map(|series| &**series))
            .for_each(each);
    }

    /// How many series there are.
    pub(super) fn series_count(&self) -> usize {
        self.read().entries.len() + usize::from(self.overflow.get().is_some())
    }

    /// Forgets the series that `forget` chooses among those of which nobody holds a handle, and clears their slots.
    /// Returns how many.
    pub(super) fn forget(&self, forget: impl FnMut(&Series) -> bool) -> usize {
        let mut table = self.write();
        let forgotten = table.take_idle(forget);
        let (mut numbers, mut histograms) = (Vec::new(), Vec::new());
        for series in &forgotten {
            match series.store {
                Store::Number(slot) => numbers.push(slot),
                Store::Histogram { slot, .. } => histograms.push(slot),
                Store::Gauge(_) => {}
            }
        }
        if !numbers.is_empty() {
            shard::release_numbers(&numbers);
        }
        if !histograms.is_empty() {
            shard::clear_histograms(&histograms);
            table.free.extend(histograms);
        }
        forgotten.len()
    }
}
