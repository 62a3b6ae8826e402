//! What metrics that only grow have grown by since they were last sent.
//!
//! Invariant: as many series are remembered as the last snapshot had. One that began anew, as its start says, or that stands
//! lower than before, has grown by all that it is.

use std::{collections::HashMap, fmt::Write as _};

use radiosonde_core::metrics::snapshot::{Buckets, Histogram, Labels, Number, Series};

/// What a series stood at when it was last sent.
#[derive(Clone, Debug)]
pub(super) struct Last {
    start_unix_ns: u64,
    value: Stood,
}

#[derive(Clone, Debug)]
enum Stood {
    Number(Number),
    Histogram(Histogram),
}

impl Last {
    pub(super) const fn number(series: &Series<Number>) -> Self {
        Self {
            start_unix_ns: series.start_unix_ns,
            value: Stood::Number(series.value),
        }
    }

    pub(super) fn histogram(series: &Series<Histogram>) -> Self {
        Self {
            start_unix_ns: series.start_unix_ns,
            value: Stood::Histogram(series.value.clone()),
        }
    }
}

/// Names a series among all of them.
pub(super) fn key(metric: &str, labels: &Labels) -> String {
    let mut key = metric.to_owned();
    for (name, value) in labels.iter() {
        // Writing to a string does not fail. Labels hold no separators of this kind.
        let _ = write!(key, "\u{1f}{name}\u{1e}{value}");
    }
    key
}

#[derive(Debug, Default)]
pub(super) struct Since {
    all: HashMap<String, (Last, u64)>,
    round: u64,
}

impl Since {
    /// A snapshot begins.
    pub(super) const fn begin(&mut self) {
        self.round += 1;
    }

    /// It ends: what was not in it is forgotten.
    pub(super) fn end(&mut self) {
        let round = self.round;
        self.all.retain(|_, (_, seen)| *seen == round);
    }

    /// What was sent is what growth is counted from.
    pub(super) fn commit(&mut self, key: String, last: Last) {
        self.all.insert(key, (last, self.round));
    }

    fn last(&mut self, key: &str, start_unix_ns: u64) -> Option<&Stood> {
        let (last, seen) = self.all.get_mut(key)?;
        *seen = self.round;
        (last.start_unix_ns == start_unix_ns).then_some(&last.value)
    }

    pub(super) fn number(&mut self, key: &str, series: &Series<Number>) -> Number {
        let now = series.value;
        let Some(&Stood::Number(before)) = self.last(key, series.start_unix_ns) else {
            return now;
        };
        match (now, before) {
            (Number::U64(now), Number::U64(before)) => {
                Number::U64(now.checked_sub(before).unwrap_or(now))
            }
            (Number::I64(now), Number::I64(before)) => {
                Number::I64(if now >= before { now - before } else { now })
            }
            (Number::F64(now), Number::F64(before)) => {
                Number::F64(if now >= before { now - before } else { now })
            }
            _ => now,
        }
    }

    pub(super) fn histogram(&mut self, key: &str, series: &Series<Histogram>) -> Histogram {
        let now = &series.value;
        match self.last(key, series.start_unix_ns) {
            Some(Stood::Histogram(before)) => less(now, before).unwrap_or_else(|| now.clone()),
            _ => now.clone(),
        }
    }
}

/// The value of a share of what was measured since. The largest is exact where it is the largest of all.
pub(super) fn quantile(
    grown: &Histogram,
    series: &Series<Histogram>,
    quantile: f64,
) -> Option<f64> {
    let is_all = grown.count == series.value.count;
    match grown.max {
        Some(max) if quantile >= 1.0 && is_all => Some(max),
        _ => grown.quantile(quantile),
    }
}

/// What `now` counts and `before` did not; none where their buckets cannot be compared or some are lower than before. Of
/// least and largest it is known only that they lie within those of all.
fn less(now: &Histogram, before: &Histogram) -> Option<Histogram> {
    Some(Histogram {
        count: now.count.checked_sub(before.count)?,
        sum: now.sum - before.sum,
        min: now.min,
        max: now.max,
        buckets: less_buckets(&now.buckets, &before.buckets)?,
    })
}

fn less_buckets(now: &Buckets, before: &Buckets) -> Option<Buckets> {
    match (now, before) {
        (
            Buckets::Explicit { bounds, counts },
            Buckets::Explicit {
                bounds: before_bounds,
                counts: before_counts,
            },
        ) if bounds == before_bounds => {
            let pairs = counts.iter().zip(before_counts);
            let counts = pairs.map(|(now, before)| now.checked_sub(*before));
            Some(Buckets::Explicit {
                bounds: bounds.clone(),
                counts: counts.collect::<Option<_>>()?,
            })
        }
        (
            Buckets::Exponential {
                scale,
                zero_count,
                offset,
                counts,
                negative_offset,
                negative_counts,
            },
            Buckets::Exponential {
                scale: before_scale,
                zero_count: before_zero_count,
                offset: before_offset,
                counts: before_counts,
                negative_offset: before_negative_offset,
                negative_counts: before_negative_counts,
            },
        ) => {
            // A histogram only ever gets coarser.
            let coarser = u32::try_from(before_scale.checked_sub(*scale)?).ok()?;
            let negative = (*before_negative_offset, &before_negative_counts[..]);
            Some(Buckets::Exponential {
                scale: *scale,
                zero_count: zero_count.checked_sub(*before_zero_count)?,
                offset: *offset,
                counts: less_run((*offset, counts), (*before_offset, before_counts), coarser)?,
                negative_offset: *negative_offset,
                negative_counts: less_run((*negative_offset, negative_counts), negative, coarser)?,
            })
        }
        _ => None,
    }
}

/// Buckets from an index on, less others whose index has `coarser` bits more. Bucket `i` of one scale lies in bucket
/// `i >> 1` of the scale below it (OpenTelemetry metrics data model, ExponentialHistogram, "Exponential Scale").
fn less_run(now: (i32, &[u64]), before: (i32, &[u64]), coarser: u32) -> Option<Vec<u64>> {
    let (offset, mut counts) = (now.0, now.1.to_vec());
    for (index, &count) in (before.0..).zip(before.1) {
        if count == 0 {
            continue;
        }
        let index = index
            .checked_shr(coarser)
            .unwrap_or(if index < 0 { -1 } else { 0 });
        let at = usize::try_from(index.checked_sub(offset)?).ok()?;
        let left = counts.get_mut(at)?;
        *left = left.checked_sub(count)?;
    }
    Some(counts)
}
