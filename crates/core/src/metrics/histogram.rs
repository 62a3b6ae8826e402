//! Histograms in a shard: one writer, any number of readers.
//!
//! Exponential buckets are an array of [`BUCKETS_MAX`] counts that starts at bucket `offset`. A value beyond the array
//! moves it, or halves the resolution until everything fits; that is rare, and the only time a reader has to wait.
//! The count is the sum of the buckets, so the two always agree; the sum of values may be one measurement ahead.
//!
//! Invariant: `version` is odd exactly while buckets are being moved, and then only the writer touches them.

use std::sync::{
    Arc, OnceLock,
    atomic::{
        AtomicI32, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
};

use super::{
    exemplar::{Origin, Reservoir, WINDOW_NS},
    exponential::{BUCKETS_MAX, Exponential, Run, SCALE_MAX, coarsening, finest_index},
    snapshot::Exemplar,
};
use crate::loss::{self, Lost};

/// Exponential buckets that share their exemplars.
const GROUP: usize = 8;
/// Groups of exemplars in an exponential histogram.
pub(super) const GROUPS: usize = BUCKETS_MAX / GROUP;

/// How a histogram's buckets are laid out. The same for every series of an instrument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Exponential,
    /// Upper bounds, rising.
    Explicit(Arc<[f64]>),
}

/// One thread's measurements of one series.
pub(super) struct HistogramCell {
    version: AtomicU64,
    sum: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    /// By group: a measurement above this is worth a look as an exemplar. A hint; the reservoir decides.
    floors: Box<[AtomicU64]>,
    reservoir: OnceLock<Reservoir>,
    buckets: Buckets,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a box around the usual variant would cost every measurement a load"
)]
enum Buckets {
    Exponential(Ladder),
    Explicit {
        bounds: Arc<[f64]>,
        counts: Box<[AtomicU64]>,
    },
}

/// Exponential buckets.
struct Ladder {
    /// How many times the resolution was halved.
    shift: AtomicU32,
    /// Index of `counts[0]`.
    offset: AtomicI32,
    zero: AtomicU64,
    counts: Counts,
    negative: OnceLock<Box<Negative>>,
}

struct Negative {
    offset: AtomicI32,
    counts: Counts,
}

type Counts = [AtomicU64; BUCKETS_MAX];

/// A histogram as read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) buckets: ReadBuckets,
}

#[derive(Debug)]
pub(super) enum ReadBuckets {
    Exponential(Exponential),
    Explicit(Vec<u64>),
}

#[inline]
fn add(number: &AtomicU64, amount: u64) {
    number.store(number.load(Relaxed).wrapping_add(amount), Relaxed);
}

#[inline]
fn float(number: &AtomicU64) -> f64 {
    f64::from_bits(number.load(Relaxed))
}

fn zero(counts: &[AtomicU64]) {
    for count in counts {
        count.store(0, Relaxed);
    }
}

fn loaded(counts: &[AtomicU64]) -> Vec<u64> {
    counts.iter().map(|count| count.load(Relaxed)).collect()
}

impl HistogramCell {
    pub(super) fn new(shape: &Shape) -> Self {
        let (groups, buckets) = match shape {
            Shape::Exponential => (GROUPS, Buckets::Exponential(Ladder::new())),
            Shape::Explicit(bounds) => {
                let counts: Box<[_]> = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
                let bounds = Arc::clone(bounds);
                (counts.len(), Buckets::Explicit { bounds, counts })
            }
        };
        let cell = Self {
            version: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            min: AtomicU64::new(0),
            max: AtomicU64::new(0),
            floors: (0..groups).map(|_| AtomicU64::new(0)).collect(),
            reservoir: OnceLock::new(),
            buckets,
        };
        cell.clear();
        cell
    }

    /// Records a measurement. `origin` is asked only when the measurement deserves to be an exemplar.
    #[inline]
    pub(super) fn record(&self, value: f64, failed: bool, origin: impl FnOnce() -> Option<Origin>) {
        let group = match &self.buckets {
            Buckets::Exponential(ladder) => {
                // One comparison for all of: positive, not zero, finite.
                if value.to_bits().wrapping_sub(1) < f64::INFINITY.to_bits() - 1 {
                    let index = finest_index(value.to_bits()) >> ladder.shift.load(Relaxed);
                    let at = index.wrapping_sub(ladder.offset.load(Relaxed)) as u32 as usize;
                    if let Some(count) = ladder.counts.get(at) {
                        add(count, 1);
                        at / GROUP
                    } else {
                        self.record_beyond(ladder, finest_index(value.to_bits()))
                    }
                } else if let Some(group) = self.record_unusual(ladder, value) {
                    group
                } else {
                    return;
                }
            }
            Buckets::Explicit { bounds, counts } => {
                if !value.is_finite() {
                    return refuse();
                }
                let at = bounds.iter().take_while(|&&bound| bound < value).count();
                add(&counts[at], 1);
                at
            }
        };
        self.sum
            .store((float(&self.sum) + value).to_bits(), Relaxed);
        if value < float(&self.min) {
            self.min.store(value.to_bits(), Relaxed);
        }
        if value > float(&self.max) {
            self.max.store(value.to_bits(), Relaxed);
        }
        if (failed || value > float(&self.floors[group]))
            && let Some(origin) = origin()
        {
            self.offer(group, value, failed, origin);
        }
    }

    #[cold]
    #[inline(never)]
    fn offer(&self, group: usize, value: f64, failed: bool, origin: Origin) {
        let reservoir = self
            .reservoir
            .get_or_init(|| Reservoir::new(self.floors.len()));
        let floor = reservoir.offer(group, value, failed, origin);
        self.floors[group].store(floor.to_bits(), Relaxed);
    }

    /// Zero, a negative number, or something that is not a finite number.
    #[cold]
    #[inline(never)]
    fn record_unusual(&self, ladder: &Ladder, value: f64) -> Option<usize> {
        if value == 0.0 {
            add(&ladder.zero, 1);
        } else if value.is_finite() {
            self.record_negative(ladder, value);
        } else {
            refuse();
            return None;
        }
        // Nothing positive is below these, so they share the first group.
        Some(0)
    }

    fn record_negative(&self, ladder: &Ladder, value: f64) {
        let negative = ladder.negative.get_or_init(|| {
            Box::new(Negative {
                offset: AtomicI32::new(0),
                counts: [const { AtomicU64::new(0) }; BUCKETS_MAX],
            })
        });
        let finest = finest_index(value.abs().to_bits());
        let at = |finest: i32| {
            let index = finest >> ladder.shift.load(Relaxed);
            index.wrapping_sub(negative.offset.load(Relaxed)) as u32 as usize
        };
        if at(finest) >= BUCKETS_MAX {
            self.rearrange(ladder, finest, true);
        }
        add(&negative.counts[at(finest)], 1);
    }

    /// Makes room for the bucket and counts it. Returns its group.
    #[cold]
    #[inline(never)]
    fn record_beyond(&self, ladder: &Ladder, finest: i32) -> usize {
        self.rearrange(ladder, finest, false);
        let at = ladder.place(finest);
        add(&ladder.counts[at], 1);
        at / GROUP
    }

    /// Moves the buckets of one sign, and halves the resolution of both where needed, so that bucket `finest` has a
    /// place. Asks for no memory: a program may measure something slower than ever at any time.
    fn rearrange(&self, ladder: &Ladder, finest: i32, is_negative: bool) {
        let index = finest >> ladder.shift.load(Relaxed);
        let positive = Some((&ladder.offset, &ladder.counts));
        let negative = ladder.negative.get().map(|n| (&n.offset, &n.counts));
        let (grows, other) = if is_negative {
            (negative, positive)
        } else {
            (positive, negative)
        };
        let Some((offset, counts)) = grows else {
            return;
        };
        let (first, last) = ends(offset, counts, Some(index)).unwrap_or((index, index));
        let by = coarsening(first, last);
        self.begin();
        ladder.shift.store(ladder.shift.load(Relaxed) + by, Relaxed);
        shift(offset, counts, by, Some(index));
        if let Some((offset, counts)) = other {
            shift(offset, counts, by, None);
        }
        self.rehome_exemplars(ladder);
        self.end();
    }

    fn rehome_exemplars(&self, ladder: &Ladder) {
        if let Some(reservoir) = self.reservoir.get() {
            reservoir.rehome(|value| ladder.group(value));
            for (group, floor) in self.floors.iter().enumerate() {
                floor.store(reservoir.floor(group).to_bits(), Relaxed);
            }
        }
    }

    fn begin(&self) {
        self.version.store(self.version.load(Relaxed) + 1, Relaxed);
        fence(Release);
    }

    fn end(&self) {
        self.version.store(self.version.load(Relaxed) + 1, Release);
    }

    /// What was recorded so far. Waits while the buckets are being moved, which takes about a microsecond.
    pub(super) fn read(&self) -> (Reading, Vec<Exemplar>) {
        loop {
            let version = self.version.load(Acquire);
            if version.is_multiple_of(2) {
                let reading = Reading {
                    sum: float(&self.sum),
                    min: float(&self.min),
                    max: float(&self.max),
                    buckets: self.buckets.read(),
                };
                let exemplars = self.reservoir.get().map(|held| held.read().collect());
                fence(Acquire);
                if self.version.load(Relaxed) == version {
                    return (reading, exemplars.unwrap_or_default());
                }
            }
            std::thread::yield_now();
        }
    }

    /// Lets the next traced measurement be the exemplar wherever the slowest has had its window.
    pub(super) fn open_windows(&self, now_unix_ns: u64) {
        let Some(reservoir) = self.reservoir.get() else {
            return;
        };
        for (group, floor) in self.floors.iter().enumerate() {
            let stale = reservoir
                .slowest_unix_ns(group)
                .is_some_and(|at| now_unix_ns.saturating_sub(at) >= WINDOW_NS);
            if stale {
                floor.store(f64::NEG_INFINITY.to_bits(), Relaxed);
            }
        }
    }

    /// Forgets everything. No handle of the series may be left.
    pub(super) fn clear(&self) {
        self.begin();
        self.sum.store(0.0_f64.to_bits(), Relaxed);
        self.min.store(f64::INFINITY.to_bits(), Relaxed);
        self.max.store(f64::NEG_INFINITY.to_bits(), Relaxed);
        for floor in &self.floors {
            floor.store(f64::NEG_INFINITY.to_bits(), Relaxed);
        }
        if let Some(reservoir) = self.reservoir.get() {
            reservoir.clear();
        }
        match &self.buckets {
            Buckets::Explicit { counts, .. } => zero(counts),
            Buckets::Exponential(ladder) => ladder.clear(),
        }
        self.end();
    }
}

/// The first and the last bucket that is in use or is about to be.
fn ends(offset: &AtomicI32, counts: &Counts, also: Option<i32>) -> Option<(i32, i32)> {
    let used = |count: &AtomicU64| count.load(Relaxed) > 0;
    let offset = offset.load(Relaxed);
    let first = counts.iter().position(used).map(|at| offset + at as i32);
    let last = counts.iter().rposition(used).map(|at| offset + at as i32);
    let first = first.into_iter().chain(also).min()?;
    let last = last.into_iter().chain(also).max()?;
    Some((first, last))
}

/// Adds each count to the bucket that it belongs to after `by` halvings of the resolution, where `also` has a place.
fn shift(offset: &AtomicI32, counts: &Counts, by: u32, also: Option<i32>) {
    let Some((first, last)) = ends(offset, counts, also) else {
        return;
    };
    let (first, last) = (first >> by, last >> by);
    let held = counts.each_ref().map(|count| count.load(Relaxed));
    let from = offset.load(Relaxed);
    // Centred, so that growth in either direction has room.
    let to = first - (BUCKETS_MAX as i32 - (last - first + 1)) / 2;
    offset.store(to, Relaxed);
    zero(counts);
    for (index, count) in (from..).zip(held).filter(|&(_, count)| count > 0) {
        let at = (index >> by).wrapping_sub(to) as u32 as usize;
        if let Some(place) = counts.get(at) {
            add(place, count);
        }
    }
}

#[cold]
fn refuse() {
    loss::count(Lost::InvalidMeasurement, 1);
}

impl Buckets {
    fn read(&self) -> ReadBuckets {
        match self {
            Self::Explicit { counts, .. } => ReadBuckets::Explicit(loaded(counts)),
            Self::Exponential(ladder) => {
                let (positive, negative) = ladder.runs();
                ReadBuckets::Exponential(Exponential {
                    scale: SCALE_MAX - ladder.shift.load(Relaxed) as i32,
                    zero: ladder.zero.load(Relaxed),
                    positive,
                    negative,
                })
            }
        }
    }
}

impl Ladder {
    fn new() -> Self {
        Self {
            shift: AtomicU32::new(0),
            offset: AtomicI32::new(0),
            zero: AtomicU64::new(0),
            counts: [const { AtomicU64::new(0) }; BUCKETS_MAX],
            negative: OnceLock::new(),
        }
    }

    /// Where the bucket is in `counts`; beyond its end when it has no place.
    fn place(&self, finest: i32) -> usize {
        let index = finest >> self.shift.load(Relaxed);
        index.wrapping_sub(self.offset.load(Relaxed)) as u32 as usize
    }

    /// The exemplar group of a value that was recorded.
    fn group(&self, value: f64) -> usize {
        if value > 0.0 {
            self.place(finest_index(value.to_bits())) / GROUP
        } else {
            0
        }
    }

    fn runs(&self) -> (Run, Run) {
        let positive = Run::new(self.offset.load(Relaxed), &loaded(&self.counts));
        let negative = self.negative.get().map_or_else(Run::default, |negative| {
            Run::new(negative.offset.load(Relaxed), &loaded(&negative.counts))
        });
        (positive, negative)
    }

    fn clear(&self) {
        self.shift.store(0, Relaxed);
        self.zero.store(0, Relaxed);
        zero(&self.counts);
        if let Some(negative) = self.negative.get() {
            zero(&negative.counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(cell: &HistogramCell) -> u64 {
        match cell.read().0.buckets {
            ReadBuckets::Explicit(counts) => counts.iter().sum(),
            ReadBuckets::Exponential(read) => {
                let runs = read.positive.counts.iter().chain(&read.negative.counts);
                read.zero + runs.sum::<u64>()
            }
        }
    }

    fn exponential(cell: &HistogramCell) -> Exponential {
        match cell.read().0.buckets {
            ReadBuckets::Exponential(read) => read,
            ReadBuckets::Explicit(_) => panic!("explicit buckets"),
        }
    }

    #[test]
    fn what_is_not_a_finite_number_is_refused_and_counted() {
        let cells = [Shape::Exponential, Shape::Explicit([1.0].into())]
            .map(|shape| HistogramCell::new(&shape));
        let before = loss::total(Lost::InvalidMeasurement);
        for cell in cells {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                cell.record(value, false, || None);
            }
            assert_eq!(count(&cell), 0);
        }
        assert!(loss::total(Lost::InvalidMeasurement) - before >= 6);
    }

    #[test]
    fn bounds_belong_to_the_bucket_below_them() {
        let cell = HistogramCell::new(&Shape::Explicit([1.0, 2.0].into()));
        for value in [-1.0, 1.0, 1.5, 2.0, 2.5] {
            cell.record(value, false, || None);
        }
        let ReadBuckets::Explicit(counts) = cell.read().0.buckets else {
            panic!()
        };
        assert_eq!(counts, [2, 2, 1]);
    }

    #[test]
    fn a_reader_during_writes_sees_counts_that_only_grow() {
        const WRITES: u64 = 200_000;
        let cell = HistogramCell::new(&Shape::Exponential);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                // Rising by a factor, so that the buckets are moved again and again.
                let mut value = 1e-300_f64;
                for n in 0..WRITES {
                    cell.record(if n % 7 == 0 { -value } else { value }, false, || None);
                    if n % 100 == 0 {
                        value *= 2.0;
                    }
                }
            });
            let mut last = 0;
            while !writer.is_finished() {
                let now = count(&cell);
                assert!((last..=WRITES).contains(&now), "{last} {now}");
                last = now;
            }
        });
        assert_eq!(count(&cell), WRITES);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]
        #[test]
        fn equals_a_model_that_keeps_every_value(
            values in proptest::collection::vec(
                prop_oneof![Just(0.0), -1e9..1e9_f64, 1e-9..1e-3_f64, any::<f64>()], 1..200,
            ),
        ) {
            let cell = HistogramCell::new(&Shape::Exponential);
            for &value in &values {
                cell.record(value, false, || None);
            }
            let kept: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
            let (reading, _) = cell.read();
            let read = exponential(&cell);
            prop_assert_eq!(count(&cell), kept.len() as u64);
            prop_assert_eq!(read.zero, kept.iter().filter(|&&value| value == 0.0).count() as u64);
            let naive = kept.iter().fold(0.0, |sum, value| sum + value);
            prop_assert_eq!(reading.sum.to_bits(), naive.to_bits());
            let max = kept.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let min = kept.iter().copied().fold(f64::INFINITY, f64::min);
            // Adding zero makes the negative zero positive.
            let bits = |value: f64| (value + 0.0).to_bits();
            prop_assert_eq!([reading.min, reading.max].map(bits), [min, max].map(bits));
            let by = (SCALE_MAX - read.scale) as u32;
            for (run, sign) in [(&read.positive, 1.0), (&read.negative, -1.0)] {
                prop_assert!(run.counts.len() <= BUCKETS_MAX);
                for (index, &count) in (run.offset..).zip(&run.counts) {
                    let expected = kept.iter().filter(|&&value| {
                        value * sign > 0.0 && finest_index(value.abs().to_bits()) >> by == index
                    });
                    prop_assert_eq!(count, expected.count() as u64);
                }
            }
        }
    }
}
