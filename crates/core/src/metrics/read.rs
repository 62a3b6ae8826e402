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
        let all = instrument.all_series();
        let mut has_idle = false;
        let mut looked = |series: &Series, value| {
            has_idle |= series.look(value, self.now_unix_ns) >= self.idle_ns;
        };
        let numbers = |convert: fn(u64) -> Number, looked: &mut dyn FnMut(&Series, u64)| {
            let mut read = Vec::with_capacity(all.len());
            for series in &all {
                if let Some((bits, exemplars)) = self.number(series, convert) {
                    looked(series, bits);
                    read.push(with_labels(series, convert(bits), exemplars));
                }
            }
            read
        };
        let data = match instrument.is.kind {
            Kind::CounterU64 => Data::Counter(numbers(Number::U64, &mut looked)),
            Kind::CounterF64 => Data::Counter(numbers(float, &mut looked)),
            Kind::UpDownCounterI64 => {
                Data::UpDownCounter(numbers(|bits| Number::I64(bits as i64), &mut looked))
            }
            Kind::UpDownCounterF64 => Data::UpDownCounter(numbers(float, &mut looked)),
            Kind::Gauge => Data::Gauge(numbers(float, &mut looked)),
            Kind::Histogram => {
                let mut read = Vec::with_capacity(all.len());
                for series in &all {
                    let (histogram, exemplars) = self.histogram(series);
                    looked(series, histogram.count);
                    read.push(with_labels(series, histogram, exemplars));
                }
                Data::Histogram(read)
            }
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

    /// The bits of a number's value, if it has one, and its exemplar.
    fn number(&self, series: &Series, convert: fn(u64) -> Number) -> Option<(u64, Vec<Exemplar>)> {
        let slot = match &series.store {
            Store::Number(slot) => *slot,
            Store::Gauge(bits) => {
                let bits = bits.load(Relaxed);
                return (bits != UNSET).then(|| (bits, Vec::new()));
            }
            Store::Histogram { .. } => return None,
        };
        let is_float = matches!(convert(0), Number::F64(_));
        let is_total = !matches!(convert(0), Number::I64(_));
        let mut total = 0;
        let mut newest = None;
        for page in self.numbers.pages(slot) {
            let bits = page.number(slot).load(Relaxed);
            total = if is_float {
                (f64::from_bits(total) + f64::from_bits(bits)).to_bits()
            } else {
                bits.wrapping_add(total)
            };
            if is_total && let Some((value, origin)) = page.take_exemplar(slot) {
                let exemplar = exemplar::exemplar(value, origin, false);
                newest = newest.max_by_time(exemplar);
            }
        }
        Some((total, newest.into_iter().collect()))
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
        start_unix_ns: series.start_unix_ns,
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

trait Newest {
    fn max_by_time(self, other: Exemplar) -> Self;
}

impl Newest for Option<Exemplar> {
    fn max_by_time(self, other: Exemplar) -> Self {
        match self {
            Some(held) if held.time_unix_ns >= other.time_unix_ns => Some(held),
            _ => Some(other),
        }
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
