//! Where measurements are kept: for each thread a shard that only it writes, in pages that appear when first touched.
//!
//! A series is a slot number, the same in every shard; its value is the sum over the shards. Writing is a load and a
//! store, so threads never wait for one another and share no cache line.
//!
//! Invariants:
//! - A shard has one writer at a time: the thread that leases it, or who holds [`late`]'s lock.
//! - Shards and pages are never freed. When a thread ends, its shard keeps its values and goes to the next new thread,
//!   so there are as many shards as there were threads at once and no count is lost.
//! - A slot is cleared by [`Slots::release`] only, when no handle of its series is left, so nobody writes it then.
//! - Slot 0 is nobody's: handles that must not be seen write there and nothing reads it.

use std::{
    cell::Cell,
    sync::{
        LazyLock, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    exemplar::{Origin, Place},
    histogram::{HistogramCell, Shape},
};

/// Numbers in a page: 2 KiB.
const NUMBERS: usize = 1 << NUMBER_BITS;
const NUMBER_BITS: u32 = 8;
/// Histograms in a page.
const HISTOGRAMS: usize = 1 << HISTOGRAM_BITS;
const HISTOGRAM_BITS: u32 = 7;
const NUMBER_PAGES: usize = 1024;
const HISTOGRAM_PAGES: usize = 512;

/// Most counter series in a process.
pub(super) const NUMBERS_MAX: usize = NUMBERS * NUMBER_PAGES;
/// Most histogram series in a process.
pub(super) const HISTOGRAMS_MAX: usize = HISTOGRAMS * HISTOGRAM_PAGES;

/// The slot that nothing reads.
pub(super) const NOBODY: u32 = 0;

/// One thread's measurements.
#[repr(align(128))]
pub(super) struct Shard {
    numbers: [OnceLock<Box<NumberPage>>; NUMBER_PAGES],
    histograms: [OnceLock<Box<HistogramPage>>; HISTOGRAM_PAGES],
}

/// Numbers, with room for an exemplar each once one is taken. Aligned so that no two threads' pages share a cache line.
#[repr(align(128))]
pub(super) struct NumberPage {
    slots: [AtomicU64; NUMBERS],
    /// Whether the next measurement is to leave an exemplar: set by whoever reads, cleared by the writer.
    armed: [AtomicBool; NUMBERS],
    exemplars: OnceLock<Box<[Place]>>,
}

struct HistogramPage([OnceLock<Box<HistogramCell>>; HISTOGRAMS]);

impl Shard {
    fn leak() -> &'static Self {
        Box::leak(Box::new(Self {
            numbers: [const { OnceLock::new() }; NUMBER_PAGES],
            histograms: [const { OnceLock::new() }; HISTOGRAM_PAGES],
        }))
    }

    /// The page of a number, made when it is not there yet.
    #[inline]
    pub(super) fn number_page(&self, slot: u32) -> &NumberPage {
        let page = &self.numbers[page_of(slot)];
        match page.get() {
            Some(page) => page,
            None => Self::make_number_page(page),
        }
    }

    #[cold]
    fn make_number_page(page: &OnceLock<Box<NumberPage>>) -> &NumberPage {
        page.get_or_init(|| {
            Box::new(NumberPage {
                slots: [const { AtomicU64::new(0) }; NUMBERS],
                armed: [const { AtomicBool::new(true) }; NUMBERS],
                exemplars: OnceLock::new(),
            })
        })
    }

    /// The histogram in a slot, made in the given shape when it is not there yet.
    #[inline]
    pub(super) fn histogram(&self, slot: u32, shape: &Shape) -> &HistogramCell {
        match self.existing_histogram(slot) {
            Some(cell) => cell,
            None => self.make_histogram(slot, shape),
        }
    }

    /// The histogram in a slot, if this thread has recorded in it.
    #[inline]
    pub(super) fn existing_histogram(&self, slot: u32) -> Option<&HistogramCell> {
        let page = self.histograms[(slot >> HISTOGRAM_BITS) as usize % HISTOGRAM_PAGES].get()?;
        Some(page.0[slot as usize % HISTOGRAMS].get()?)
    }

    #[cold]
    fn make_histogram(&self, slot: u32, shape: &Shape) -> &HistogramCell {
        let page = self.histograms[(slot >> HISTOGRAM_BITS) as usize % HISTOGRAM_PAGES]
            .get_or_init(|| Box::new(HistogramPage([const { OnceLock::new() }; HISTOGRAMS])));
        page.0[slot as usize % HISTOGRAMS].get_or_init(|| Box::new(HistogramCell::new(shape)))
    }
}

/// Index of the page in which a number's slot is.
#[inline]
pub(super) const fn page_of(slot: u32) -> usize {
    (slot >> NUMBER_BITS) as usize % NUMBER_PAGES
}

impl NumberPage {
    /// The number in `slot`.
    #[inline]
    pub(super) fn number(&self, slot: u32) -> &AtomicU64 {
        &self.slots[slot as usize % NUMBERS]
    }

    /// Whether the next measurement is to leave an exemplar.
    #[inline]
    pub(super) fn is_armed(&self, slot: u32) -> bool {
        self.armed[slot as usize % NUMBERS].load(Relaxed)
    }

    /// Leaves an exemplar.
    pub(super) fn keep_exemplar(&self, slot: u32, value: f64, origin: Origin) {
        let places = self
            .exemplars
            .get_or_init(|| (0..NUMBERS).map(|_| Place::default()).collect());
        places[slot as usize % NUMBERS].write(value, origin);
        self.armed[slot as usize % NUMBERS].store(false, Relaxed);
    }

    /// The exemplar, asking the writer for a new one.
    pub(super) fn take_exemplar(&self, slot: u32) -> Option<(f64, Origin)> {
        let armed = &self.armed[slot as usize % NUMBERS];
        // The load keeps a line that nobody else touches from travelling for nothing.
        if !armed.load(Relaxed) {
            armed.store(true, Relaxed);
        }
        self.exemplars.get()?[slot as usize % NUMBERS].read()
    }

    fn clear(&self, slot: u32) {
        self.number(slot).store(0, Relaxed);
        self.armed[slot as usize % NUMBERS].store(true, Relaxed);
        if let Some(places) = self.exemplars.get() {
            places[slot as usize % NUMBERS].clear();
        }
    }
}

struct Pool {
    all: Vec<&'static Shard>,
    free: Vec<&'static Shard>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    all: Vec::new(),
    free: Vec::new(),
});

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_shard() -> &'static Shard {
    let mut pool = lock(&POOL);
    pool.free.pop().unwrap_or_else(|| {
        let shard = Shard::leak();
        pool.all.push(shard);
        shard
    })
}

/// Every shard there is.
pub(super) fn all() -> Vec<&'static Shard> {
    lock(&POOL).all.clone()
}

/// A thread's hold on its shard; gives it back when the thread ends.
struct Lease(&'static Shard);

impl Drop for Lease {
    fn drop(&mut self) {
        SHARD.set(None);
        lock(&POOL).free.push(self.0);
    }
}

thread_local! {
    // No destructor and a constant start, so that reading it is one load. `LEASE` holds the shard and clears this.
    static SHARD: Cell<Option<&'static Shard>> = const { Cell::new(None) };
    static LEASE: Lease = Lease(take_shard());
}

/// The shard of threads that are ending and have given theirs back.
fn late() -> MutexGuard<'static, &'static Shard> {
    static LATE: LazyLock<Mutex<&'static Shard>> = LazyLock::new(|| Mutex::new(take_shard()));
    lock(&LATE)
}

/// Runs `write` with the calling thread's shard. `write` must not measure anything itself.
#[inline]
pub(super) fn with<R>(write: impl FnOnce(&Shard) -> R) -> R {
    match SHARD.get() {
        Some(shard) => write(shard),
        None => first_touch(write),
    }
}

#[cold]
#[inline(never)]
fn first_touch<R>(write: impl FnOnce(&Shard) -> R) -> R {
    match LEASE.try_with(|lease| lease.0) {
        Ok(shard) => {
            SHARD.set(Some(shard));
            write(shard)
        }
        Err(_) => write(*late()),
    }
}

/// Gives out slot numbers of one kind.
pub(super) struct Slots {
    max: usize,
    state: Mutex<SlotState>,
}

struct SlotState {
    next: u32,
    free: Vec<u32>,
}

/// Slots of counters.
pub(super) static NUMBER_SLOTS: Slots = Slots::new(NUMBERS_MAX);
/// Slots of histograms. Only slots that were never used: used ones stay with their instrument, whose bounds they have.
pub(super) static HISTOGRAM_SLOTS: Slots = Slots::new(HISTOGRAMS_MAX);

impl Slots {
    const fn new(max: usize) -> Self {
        let state = SlotState {
            next: NOBODY + 1,
            free: Vec::new(),
        };
        Self {
            max,
            state: Mutex::new(state),
        }
    }

    /// A slot that is zero in every shard, or `None` when all are taken.
    pub(super) fn take(&self) -> Option<u32> {
        let mut state = lock(&self.state);
        state.free.pop().or_else(|| {
            let slot = state.next;
            ((slot as usize) < self.max).then(|| {
                state.next += 1;
                slot
            })
        })
    }
}

/// Clears the counters in `slots` in every shard and gives the slots back. No handle of their series may be left.
pub(super) fn release_numbers(slots: &[u32]) {
    for shard in all() {
        for &slot in slots {
            if let Some(page) = shard.numbers[page_of(slot)].get() {
                page.clear(slot);
            }
        }
    }
    lock(&NUMBER_SLOTS.state).free.extend_from_slice(slots);
}

/// Clears the histograms in `slots` in every shard. No handle of their series may be left.
pub(super) fn clear_histograms(slots: &[u32]) {
    for shard in all() {
        for &slot in slots {
            if let Some(cell) = shard.existing_histogram(slot) {
                cell.clear();
            }
        }
    }
}

/// The pages of every shard, by page number, so that reading many series looks each page up once.
pub(super) struct NumberReader(Vec<Vec<&'static NumberPage>>);

impl NumberReader {
    pub(super) fn new(shards: &[&'static Shard]) -> Self {
        let used = lock(&NUMBER_SLOTS.state).next as usize;
        let pages = (0..used.div_ceil(NUMBERS)).map(|page| {
            shards
                .iter()
                .filter_map(|shard| shard.numbers[page].get().map(|page| &**page))
                .collect()
        });
        Self(pages.collect())
    }

    /// The pages that hold a slot.
    #[inline]
    pub(super) fn pages(&self, slot: u32) -> &[&'static NumberPage] {
        self.0.get(page_of(slot)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(slot: u32) -> u64 {
        let reader = NumberReader::new(&all());
        let pages = reader.pages(slot).iter();
        pages.map(|page| page.number(slot).load(Relaxed)).sum()
    }

    fn add(slot: u32) {
        with(|shard| {
            let number = shard.number_page(slot).number(slot);
            number.store(number.load(Relaxed) + 1, Relaxed);
        });
    }

    #[test]
    fn thousands_of_threads_leave_their_counts_and_few_shards() {
        let slot = NUMBER_SLOTS.take().unwrap();
        let before = all().len();
        for _ in 0..250 {
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| add(slot));
                }
            });
        }
        assert_eq!(total(slot), 2000);
        // Other tests run at the same time and lease shards too.
        assert!(all().len() - before < 64, "{} shards", all().len() - before);
        release_numbers(&[slot]);
        assert_eq!(total(slot), 0);
    }

    #[test]
    fn a_thread_counts_even_while_its_locals_are_destroyed() {
        struct Late(u32);
        impl Drop for Late {
            fn drop(&mut self) {
                add(self.0);
            }
        }
        thread_local!(static LATE: Cell<Option<Late>> = const { Cell::new(None) });
        let slot = NUMBER_SLOTS.take().unwrap();
        std::thread::spawn(move || {
            // Registered before the shard's own destructor, which therefore runs first.
            LATE.set(Some(Late(slot)));
            add(slot);
        })
        .join()
        .unwrap();
        assert_eq!(total(slot), 2);
    }
}
