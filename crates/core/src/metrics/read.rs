//! Reading: sums each series over the shards and merges distributions.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    exemplar,
    exponential::{Exponential, SCALE_MAX, finest_index},
    histogram::{ReadBuckets, Reading, Shape},
    instrument::{Instrument, Kind, Series, Store, UNSET},
    shard::{NumberReader, Shard},
    snapshot::{self, Buckets, Data, Exemplar, Histogram, Metric, Number},
};

/// What every series is read with.
pub(super) struct Reader<'a> {
    pub(super) shards: &'a [&'static Shard],
    pub(super) numbers: &'a NumberReader,
    pub(super) now_unix_ns: u64,
    pub(super) idle_ns: u64,
}

impl Reader<'_> {
    /// The metric, if it has a series with a value, and whether a series has been idle for too long.
    pub(super) fn metric(&self, instrument: &Instrument) -> (Option<Metric>, bool) {
        let add_whole = |left: u64, right: u64| left.wrapping_add(right);
        let add_float = |left, right| (f64::from_bits(left) + f64::from_bits(right)).to_bits();
        let (data, has_idle) = match instrument.is.kind {
            Kind::CounterU64 => {
                let (read, has_idle) = self.numbers::<true>(instrument, add_whole, Number::U64);
                (Data::Counter(read), has_idle)
            }
            Kind::CounterF64 => {
                let (read, has_idle) = self.numbers::<true>(instrument, add_float, float);
                (Data::Counter(read), has_idle)
            }
            Kind::UpDownCounterI64 => {
                let signed = |bits| Number::I64(bits as i64);
                let (read, has_idle) = self.numbers::<false>(instrument, add_whole, signed);
                (Data::UpDownCounter(read), has_idle)
            }
            Kind::UpDownCounterF64 => {
                let (read, has_idle) = self.numbers::<false>(instrument, add_float, float);
                (Data::UpDownCounter(read), has_idle)
            }
            Kind::Gauge => {
                let (read, has_idle) = self.numbers::<false>(instrument, add_whole, float);
                (Data::Gauge(read), has_idle)
            }
            Kind::Histogram => self.histograms(instrument),
        };
        let description = &instrument.is;
        let metric = Metric {
            name: description.name.clone(),
            description: description.help.clone(),
            unit: description.unit.clone(),
            data,
        };
        ((!is_empty(&metric.data)).then_some(metric), has_idle)
    }

    fn is_idle(&self, series: &Series, value: u64) -> bool {
        series.look(value, self.now_unix_ns) >= self.idle_ns
    }

    /// The series of a counter or gauge, and whether one has been idle for too long.
    fn numbers<const EXEMPLARS: bool>(
        &self,
        instrument: &Instrument,
        sum: impl Fn(u64, u64) -> u64,
        convert: impl Fn(u64) -> Number,
    ) -> (Vec<snapshot::Series<Number>>, bool) {
        let mut read = Vec::with_capacity(instrument.series_count());
        let mut has_idle = false;
        instrument.for_each_series(|series| {
            let (bits, newest) = match &series.store {
                Store::Number(slot) => self.number::<EXEMPLARS>(*slot, &sum),
                Store::Gauge(bits) => (bits.load(Relaxed), None),
                Store::Histogram { .. } => return,
            };
            // One that was asked for and never set takes a place too.
            has_idle |= self.is_idle(series, bits);
            if bits == UNSET && matches!(series.store, Store::Gauge(_)) {
                return;
            }
            let exemplars = newest.map_or_else(Vec::new, |exemplar| vec![exemplar]);
            read.push(with_labels(series, convert(bits), exemplars));
        });
        (read, has_idle)
    }

    /// The bits of a number's sum over the shards, and its newest exemplar.
    fn number<const EXEMPLARS: bool>(
        &self,
        slot: u32,
        sum: impl Fn(u64, u64) -> u64,
    ) -> (u64, Option<Exemplar>) {
        let mut total = 0;
        let mut newest: Option<Exemplar> = None;
        for page in self.numbers.pages(slot) {
            total = sum(total, page.number(slot).load(Relaxed));
            if EXEMPLARS && let Some((value, origin)) = page.take_exemplar(slot) {
                let is_newer = newest
                    .as_ref()
                    .is_none_or(|held| held.time_unix_ns < origin.time_unix_ns);
                if is_newer {
                    newest = Some(exemplar::exemplar(value, origin, false));
                }
            }
        }
        (total, newest)
    }

    fn histograms(&self, instrument: &Instrument) -> (Data, bool) {
        let mut read = Vec::with_capacity(instrument.series_count());
        let mut has_idle = false;
        instrument.for_each_series(|series| {
            let (histogram, exemplars) = self.histogram(series);
            has_idle |= self.is_idle(series, histogram.count);
            read.push(with_labels(series, histogram, exemplars));
        });
        (Data::Histogram(read), has_idle)
    }

    fn histogram(&self, series: &Series) -> (Histogram, Vec<Exemplar>) {
        let mut total = Total::default();
        if let Store::Histogram { slot, shape } = &series.store {
            if let Shape::Explicit(bounds) = shape {
                total.counts.resize(bounds.len() + 1, 0);
            }
            for shard in self.shards {
                if let Some(cell) = shard.existing_histogram(*slot) {
                    let (reading, exemplars) = cell.read();
                    cell.open_windows(self.now_unix_ns);
                    total.add(reading, exemplars);
                }
            }
            total.finish(shape)
        } else {
            total.finish(&Shape::Exponential)
        }
    }
}

fn float(bits: u64) -> Number {
    Number::F64(f64::from_bits(bits))
}

fn with_labels<T>(series: &Series, value: T, exemplars: Vec<Exemplar>) -> snapshot::Series<T> {
    snapshot::Series {
        labels: Arc::clone(&series.labels),
        start_unix_ns: series.start_unix_ns(),
        value,
        exemplars,
    }
}

fn is_empty(data: &Data) -> bool {
    match data {
        Data::Counter(series) | Data::UpDownCounter(series) | Data::Gauge(series) => {
            series.is_empty()
        }
        Data::Histogram(series) => series.is_empty(),
    }
}

/// A histogram's shards, added up.
struct Total {
    sum: f64,
    min: f64,
    max: f64,
    exponential: Exponential,
    counts: Vec<u64>,
    exemplars: Vec<Exemplar>,
}

impl Default for Total {
    fn default() -> Self {
        Self {
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            exponential: Exponential::EMPTY,
            counts: Vec::new(),
            exemplars: Vec::new(),
        }
    }
}

impl Total {
    fn add(&mut self, reading: Reading, exemplars: Vec<Exemplar>) {
        self.sum += reading.sum;
        self.min = self.min.min(reading.min);
        self.max = self.max.max(reading.max);
        self.exemplars.extend(exemplars);
        match reading.buckets {
            ReadBuckets::Exponential(read) => self.exponential.merge(read),
            ReadBuckets::Explicit(counts) => {
                for (total, count) in self.counts.iter_mut().zip(counts) {
                    *total += count;
                }
            }
        }
    }

    fn finish(self, shape: &Shape) -> (Histogram, Vec<Exemplar>) {
        let Exponential {
            scale,
            zero,
            positive,
            negative,
        } = self.exponential;
        let (count, buckets, exemplars) = match shape {
            Shape::Explicit(bounds) => (
                self.counts.iter().sum(),
                Buckets::Explicit {
                    bounds: Arc::clone(bounds),
                    counts: self.counts,
                },
                exemplar::reduce(self.exemplars, |value| {
                    bounds.partition_point(|&bound| bound < value)
                }),
            ),
            Shape::Exponential => (
                zero + positive.counts.iter().sum::<u64>() + negative.counts.iter().sum::<u64>(),
                Buckets::Exponential {
                    scale,
                    zero_count: zero,
                    offset: positive.offset,
                    counts: positive.counts,
                    negative_offset: negative.offset,
                    negative_counts: negative.counts,
                },
                exemplar::reduce(self.exemplars, |value| exponential_group(value, scale)),
            ),
        };
        // The buckets may be one measurement behind the extremes while somebody records.
        let has_extremes = count > 0 && self.min <= self.max;
        let histogram = Histogram {
            count,
            sum: self.sum,
            min: has_extremes.then_some(self.min),
            max: has_extremes.then_some(self.max),
            buckets,
        };
        (histogram, exemplars)
    }
}

/// Which measurements share an exemplar: those in the same eight buckets; all that are not positive.
fn exponential_group(value: f64, scale: i32) -> usize {
    if value > 0.0 {
        let index = finest_index(value.to_bits()) >> (SCALE_MAX - scale) >> 3;
        // Never negative after the shift: the smallest index is -1022 * 32.
        (index + (1 << 16)) as usize
    } else {
        0
    }
}
