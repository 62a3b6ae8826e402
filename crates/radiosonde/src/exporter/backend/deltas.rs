//! What came between two readings of the same series, for backends that add up and take no totals since a start.
//!
//! Invariants: the sum of what is given is the total that was read; a series that started anew, or shrank, is taken to have
//! begun from zero. What is remembered is the series of the last snapshot, whose number the registry bounds.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash as _, Hasher as _},
};

use radiosonde_answers::distribution::Distribution;
use radiosonde_core::{
    hash::FoldState,
    metrics::snapshot::{Buckets, Histogram, Labels, Number, Series},
    model::Value,
};

/// What was measured between two readings, of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::exporter) struct Spread {
    pub(in crate::exporter) count: u64,
    pub(in crate::exporter) sum: f64,
    /// By value; `None` where nothing was measured.
    distribution: Distribution,
    /// Smallest and largest since the series started: no value between the readings lies outside.
    range: (f64, f64),
}

impl Spread {
    /// The value below which `share` of what was measured lies.
    pub(in crate::exporter) fn quantile(&self, share: f64) -> Option<f64> {
        let (min, max) = self.range;
        let value = self.distribution.quantile(share)?.max(min).min(max);
        value.is_finite().then_some(value)
    }
}

/// What came since the last reading, and over how long.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::exporter) struct Delta<T> {
    pub(in crate::exporter) value: T,
    pub(in crate::exporter) interval_ns: u64,
}

impl<T> Delta<T> {
    /// The interval in whole seconds, at least one, as backends count it.
    pub(in crate::exporter) fn interval_s(&self) -> u64 {
        const HALF_NS: u64 = 500_000_000;
        ((self.interval_ns + HALF_NS) / 1_000_000_000).max(1)
    }
}

#[derive(Debug)]
enum Total {
    Number(Number),
    Histogram(u64, f64, Distribution),
}

#[derive(Debug)]
struct Known {
    start_unix_ns: u64,
    time_unix_ns: u64,
    total: Total,
}

/// Remembers the last reading of each series.
#[derive(Debug, Default)]
pub(in crate::exporter) struct Deltas {
    /// Two of them, so that no two series are taken for one.
    hashers: [FoldState; 2],
    known: HashMap<(u64, u64), Known, FoldState>,
    time_unix_ns: u64,
}

impl Deltas {
    /// Begins to read the snapshot of `time_unix_ns`.
    pub(in crate::exporter) fn begin(&mut self, time_unix_ns: u64) {
        self.time_unix_ns = time_unix_ns;
    }

    /// Forgets the series that were not in the snapshot.
    pub(in crate::exporter) fn end(&mut self) {
        let time_unix_ns = self.time_unix_ns;
        self.known
            .retain(|_, known| known.time_unix_ns == time_unix_ns);
    }

    /// What the counter `name` grew by.
    pub(in crate::exporter) fn number(
        &mut self,
        name: &str,
        series: &Series<Number>,
    ) -> Delta<Number> {
        let (since, before) = self.replace(name, series, Total::Number(series.value));
        let grown = before.and_then(|total| match total {
            Total::Number(before) => difference(series.value, before),
            Total::Histogram(..) => None,
        });
        self.delta(series.start_unix_ns, since, grown, series.value)
    }

    /// What the histogram `name` was given.
    pub(in crate::exporter) fn histogram(
        &mut self,
        name: &str,
        series: &Series<Histogram>,
    ) -> Delta<Spread> {
        let now = &series.value;
        let distribution = distribution(&now.buckets);
        let total = Total::Histogram(now.count, now.sum, distribution.clone());
        let (since, before) = self.replace(name, series, total);
        let range = (
            now.min.unwrap_or(f64::NEG_INFINITY),
            now.max.unwrap_or(f64::INFINITY),
        );
        let spread = |count, sum, distribution| Spread {
            count,
            sum,
            distribution,
            range,
        };
        let grown = before.and_then(|total| match total {
            Total::Histogram(count, sum, before) => Some(spread(
                now.count.checked_sub(count)?,
                now.sum - sum,
                distribution.since(&before)?,
            )),
            Total::Number(_) => None,
        });
        let whole = spread(now.count, now.sum, distribution);
        self.delta(series.start_unix_ns, since, grown, whole)
    }

    /// `grown` since `since`, or all of it since the series started.
    fn delta<T>(
        &self,
        start_unix_ns: u64,
        since: Option<u64>,
        grown: Option<T>,
        whole: T,
    ) -> Delta<T> {
        let (value, since) = match (grown, since) {
            (Some(grown), Some(since)) => (grown, since),
            _ => (whole, start_unix_ns),
        };
        Delta {
            value,
            interval_ns: self.time_unix_ns.saturating_sub(since),
        }
    }

    /// Remembers `total`; gives when the series was read before and what it was, unless it started anew since.
    fn replace<T>(
        &mut self,
        name: &str,
        series: &Series<T>,
        total: Total,
    ) -> (Option<u64>, Option<Total>) {
        let [first, second] = &self.hashers;
        let key = (
            hash(first, name, &series.labels),
            hash(second, name, &series.labels),
        );
        let now = Known {
            start_unix_ns: series.start_unix_ns,
            time_unix_ns: self.time_unix_ns,
            total,
        };
        match self.known.insert(key, now) {
            Some(before) if before.start_unix_ns == series.start_unix_ns => {
                (Some(before.time_unix_ns), Some(before.total))
            }
            _ => (None, None),
        }
    }
}

fn difference(now: Number, before: Number) -> Option<Number> {
    match (now, before) {
        (Number::U64(now), Number::U64(before)) => now.checked_sub(before).map(Number::U64),
        (Number::I64(now), Number::I64(before)) if now >= before => {
            now.checked_sub(before).map(Number::I64)
        }
        (Number::F64(now), Number::F64(before)) if now >= before => Some(Number::F64(now - before)),
        _ => None,
    }
}

fn hash(state: &FoldState, name: &str, labels: &Labels) -> u64 {
    let mut hasher = state.build_hasher();
    name.hash(&mut hasher);
    for (name, value) in labels.iter() {
        name.hash(&mut hasher);
        match value {
            Value::Str(text) => text.hash(&mut hasher),
            Value::Bool(value) => value.hash(&mut hasher),
            Value::I64(value) => value.hash(&mut hasher),
            Value::U64(value) => value.hash(&mut hasher),
            Value::F64(value) => value.to_bits().hash(&mut hasher),
            value @ (Value::Null | Value::List(_) | Value::Map(_)) => {
                value.to_string().hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

fn distribution(buckets: &Buckets) -> Distribution {
    let indexed = |offset: i32, counts: &[u64]| {
        let held = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        held.map(|(at, count)| (offset.saturating_add(at as i32), *count as f64))
            .collect()
    };
    match buckets {
        Buckets::Explicit { bounds, counts } => Distribution::Explicit {
            bounds: bounds.to_vec(),
            counts: counts.iter().map(|count| *count as f64).collect(),
        },
        Buckets::Exponential {
            scale,
            zero_count,
            offset,
            counts,
            negative_offset,
            negative_counts,
        } => Distribution::Exponential {
            scale: *scale,
            zero: *zero_count as f64,
            positive: indexed(*offset, counts),
            negative: indexed(*negative_offset, negative_counts),
        },
    }
}

/// A number as backends take it.
pub(in crate::exporter) fn as_f64(number: Number) -> f64 {
    match number {
        Number::U64(number) => number as f64,
        Number::I64(number) => number as f64,
        Number::F64(number) => number,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn series<T>(label: u64, start_unix_ns: u64, value: T) -> Series<T> {
        Series {
            labels: Arc::new([("label".into(), Value::U64(label))]),
            start_unix_ns,
            value,
            exemplars: Vec::new(),
        }
    }

    fn read(deltas: &mut Deltas, time_unix_ns: u64, series: &Series<Number>) -> (Number, u64) {
        deltas.begin(time_unix_ns);
        let delta = deltas.number("n", series);
        deltas.end();
        (delta.value, delta.interval_ns)
    }

    #[test]
    fn a_counter_gives_what_it_grew_by_and_all_of_it_after_a_reset() {
        let mut deltas = Deltas::default();
        let number = |value| Number::U64(value);
        let mut at = |time, start, value| read(&mut deltas, time, &series(1, start, number(value)));
        assert_eq!(at(1_000, 400, 5), (number(5), 600));
        assert_eq!(at(2_000, 400, 12), (number(7), 1_000));
        assert_eq!(at(3_000, 400, 12), (number(0), 1_000));
        assert_eq!(at(4_000, 3_500, 2), (number(2), 500), "it started anew");
        assert_eq!(at(5_000, 3_500, 1), (number(1), 1_500), "it shrank");
    }

    #[test]
    fn a_histogram_gives_the_quantiles_of_what_came_since() {
        let histogram = |counts: [u64; 3], sum| Histogram {
            count: counts.iter().sum(),
            sum,
            min: Some(0.5),
            max: Some(9.0),
            buckets: Buckets::Explicit {
                bounds: Arc::new([1.0, 8.0]),
                counts: counts.to_vec(),
            },
        };
        let mut deltas = Deltas::default();
        deltas.begin(1);
        let first = deltas.histogram("h", &series(1, 0, histogram([10, 0, 0], 8.0)));
        assert_eq!((first.value.count, first.interval_s()), (10, 1));
        assert!(first.value.quantile(0.99).unwrap() <= 1.0);
        deltas.begin(10_000_000_001);
        let second = deltas.histogram("h", &series(1, 0, histogram([10, 4, 0], 28.0)));
        assert_eq!(second.interval_s(), 10);
        assert_eq!((second.value.count, second.value.sum), (4, 20.0));
        let low = second.value.quantile(0.0).unwrap();
        assert!((1.0..=8.0).contains(&low), "{low}");
    }

    #[test]
    fn what_is_no_longer_read_is_forgotten() {
        let mut deltas = Deltas::default();
        for round in 0..100 {
            deltas.begin(round);
            for label in 0..10 {
                deltas.number("n", &series(round * 10 + label, 0, Number::U64(1)));
            }
            deltas.end();
        }
        assert_eq!(deltas.known.len(), 10);
    }

    proptest! {
        #[test]
        fn the_deltas_add_up_to_the_total(steps in proptest::collection::vec(0_u64..1000, 1..20)) {
            let mut deltas = Deltas::default();
            let (mut total, mut sum) = (0, 0);
            for (at, step) in steps.into_iter().enumerate() {
                total += step;
                let (value, _) = read(&mut deltas, at as u64, &series(1, 0, Number::U64(total)));
                let Number::U64(value) = value else { panic!("{value:?}") };
                sum += value;
            }
            prop_assert_eq!(sum, total);
        }
    }
}
