//! What can be said of a distribution that was read: percentiles, and several as one.

use std::fmt;

use super::{
    exponential::{Exponential, Run, upper_bound},
    snapshot::{Buckets, Histogram},
};

/// Two histograms have different buckets, one of them explicit ones, so they cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundsDiffer;

impl fmt::Display for BoundsDiffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the histograms have different explicit bounds; give both the same, or use exponential buckets")
    }
}

impl std::error::Error for BoundsDiffer {}

impl Histogram {
    /// Adds what `other` counted. Exponential histograms meet at the finest resolution that both have and that fits.
    pub fn merge(&mut self, other: &Self) -> Result<(), BoundsDiffer> {
        match (&mut self.buckets, &other.buckets) {
            (
                Buckets::Explicit { bounds, counts },
                Buckets::Explicit {
                    bounds: other_bounds,
                    counts: other_counts,
                },
            ) if bounds == other_bounds => {
                for (count, other) in counts.iter_mut().zip(other_counts) {
                    *count += other;
                }
            }
            (mine @ Buckets::Exponential { .. }, Buckets::Exponential { .. }) => {
                let mut total = exponential(mine);
                total.merge(exponential(&other.buckets));
                *mine = Buckets::from(total);
            }
            _ => return Err(BoundsDiffer),
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = [self.min, other.min].into_iter().flatten().reduce(f64::min);
        self.max = [self.max, other.max].into_iter().flatten().reduce(f64::max);
        Ok(())
    }

    /// The value below or at which a share `quantile` (0 to 1) of the measurements lie, or `None` without any.
    ///
    /// For exponential buckets the answer is off by at most half a bucket's width: a factor of `2^(2^-scale / 2)`,
    /// 1.1 % at the finest resolution. For explicit buckets it is interpolated within the bucket.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        // The smallest rank with at least that share at or below it.
        let rank = ((quantile.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (low, high, count) in self.buckets.ranges() {
            if below + count >= rank {
                let value = match &self.buckets {
                    Buckets::Exponential { .. } => middle(low, high),
                    Buckets::Explicit { .. } => {
                        let low = low.max(self.min.unwrap_or(low));
                        let high = high.min(self.max.unwrap_or(high));
                        low + (high - low) * (rank - below) as f64 / count as f64
                    }
                };
                let value = self.min.map_or(value, |min| value.max(min));
                return Some(self.max.map_or(value, |max| value.min(max)));
            }
            below += count;
        }
        self.max
    }
}

/// The geometric middle, from which both ends are equally many times away.
fn middle(low: f64, high: f64) -> f64 {
    if high.is_infinite() {
        low
    } else {
        low.signum() * (low.abs().sqrt() * high.abs().sqrt())
    }
}

impl Buckets {
    /// The buckets that hold something, from the lowest: above what, up to what, how many. Of negative exponential
    /// buckets the lower end belongs to the bucket and the upper does not.
    pub fn ranges(&self) -> Vec<(f64, f64, u64)> {
        match self {
            Self::Explicit { bounds, counts } => {
                let lows = std::iter::once(f64::NEG_INFINITY).chain(bounds.iter().copied());
                let highs = bounds.iter().copied().chain([f64::INFINITY]);
                lows.zip(highs)
                    .zip(counts)
                    .filter(|&(_, &count)| count > 0)
                    .map(|((low, high), &count)| (low, high, count))
                    .collect()
            }
            Self::Exponential {
                scale,
                zero_count,
                offset,
                counts,
                negative_offset,
                negative_counts,
            } => {
                let range = |(index, &count): (i32, &u64)| {
                    let low = upper_bound(index - 1, *scale);
                    (low, upper_bound(index, *scale), count)
                };
                let negative = (*negative_offset..).zip(negative_counts).map(range);
                let mut ranges: Vec<_> = negative
                    .map(|(low, high, count)| (-high, -low, count))
                    .collect();
                ranges.reverse();
                ranges.push((0.0, 0.0, *zero_count));
                ranges.extend((*offset..).zip(counts).map(range));
                ranges.retain(|&(_, _, count)| count > 0);
                ranges
            }
        }
    }
}

fn exponential(buckets: &Buckets) -> Exponential {
    match buckets {
        Buckets::Exponential {
            scale,
            zero_count,
            offset,
            counts,
            negative_offset,
            negative_counts,
        } => Exponential {
            scale: *scale,
            zero: *zero_count,
            positive: Run::new(*offset, counts),
            negative: Run::new(*negative_offset, negative_counts),
        },
        Buckets::Explicit { .. } => Exponential::EMPTY,
    }
}

impl From<Exponential> for Buckets {
    fn from(read: Exponential) -> Self {
        Self::Exponential {
            scale: read.scale,
            zero_count: read.zero,
            offset: read.positive.offset,
            counts: read.positive.counts,
            negative_offset: read.negative.offset,
            negative_counts: read.negative.counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{Registry, snapshot::Data};

    fn recorded(values: &[f64], bounds: &[f64]) -> Histogram {
        let registry = Registry::new();
        let builder = registry.histogram("h");
        let builder = if bounds.is_empty() {
            builder
        } else {
            builder.bounds(bounds)
        };
        let handle = builder.handle();
        // Several threads, so that reading has to merge shards.
        std::thread::scope(|scope| {
            for part in values.chunks(values.len().div_ceil(3).max(1)) {
                let handle = &handle;
                scope.spawn(move || part.iter().for_each(|&value| handle.record(value)));
            }
        });
        let Data::Histogram(mut series) = registry
            .snapshot(&std::sync::Arc::default())
            .metrics
            .remove(0)
            .data
        else {
            panic!("not a histogram")
        };
        series.remove(0).value
    }

    #[test]
    fn explicit_buckets_interpolate_and_differing_ones_do_not_merge() {
        let mut left = recorded(&[1.0, 2.0, 3.0, 4.0], &[2.0, 4.0]);
        assert_eq!(left.quantile(0.5), Some(2.0));
        assert_eq!(left.quantile(1.0), Some(4.0));
        assert_eq!(left.merge(&recorded(&[1.0], &[2.0])), Err(BoundsDiffer));
        left.merge(&recorded(&[8.0], &[2.0, 4.0])).unwrap();
        assert_eq!((left.count, left.sum, left.max), (5, 18.0, Some(8.0)));
        assert_eq!(recorded(&[], &[]).quantile(0.5), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 48 }))]
        #[test]
        fn a_quantile_of_merged_histograms_is_within_its_bucket(
            left in proptest::collection::vec(1e-6..1e3_f64, 1..120),
            right in proptest::collection::vec(prop_oneof![1e-9..1e-3_f64, 1.0..1e6_f64, -1e3..-1e-3_f64], 1..120),
            quantile in 0.0..=1.0_f64,
        ) {
            let mut merged = recorded(&left, &[]);
            merged.merge(&recorded(&right, &[])).unwrap();
            let mut all = [left, right].concat();
            all.sort_by(f64::total_cmp);
            prop_assert_eq!(merged.count, all.len() as u64);
            let rank = ((quantile * all.len() as f64).ceil() as usize).max(1);
            let (exact, found) = (all[rank - 1], merged.quantile(quantile).unwrap());
            let Buckets::Exponential { scale, .. } = merged.buckets else { panic!() };
            let base = f64::from(-scale).exp2().exp2();
            let error = (found / exact).max(exact / found);
            prop_assert!(error <= base * (1.0 + 1e-12), "{} {} {} {}", exact, found, base, scale);
        }
    }
}
