//! Distributions as histograms tell them: what came between two readings, merged, and their quantiles.
//!
//! Invariants: a quantile lies within the bucket that holds it; taking away and adding leave out nothing, and where two
//! exponential histograms have different scales the finer one becomes as coarse as the other (OpenTelemetry's metrics data
//! model, "Exponential Histogram: Scale").

use std::collections::BTreeMap;

use radiosonde_core::metrics::snapshot::Buckets;

/// Coarsest and finest scale that OpenTelemetry's data model uses.
const SCALES: std::ops::RangeInclusive<i32> = -10..=20;

/// Counts by bucket.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Buckets between bounds that were chosen: one more count than bounds.
    Explicit {
        /// Upper bounds, inclusive, ascending.
        bounds: Vec<f64>,
        /// How many lie in each bucket, the last one above all bounds.
        counts: Vec<f64>,
    },
    /// Buckets whose bounds grow by a factor of 2^(2^-scale).
    Exponential {
        /// How fine: -10 to 20.
        scale: i32,
        /// How many are zero or nearly so.
        zero: f64,
        /// How many are positive, by the index of their bucket.
        positive: BTreeMap<i32, f64>,
        /// How many are negative, by the index of the bucket of their absolute value.
        negative: BTreeMap<i32, f64>,
    },
}

/// What a program's own histogram holds. Buckets without measurements are left out of exponential ones.
impl From<&Buckets> for Distribution {
    fn from(buckets: &Buckets) -> Self {
        let held = |offset: i32, counts: &[u64]| {
            let counts = (offset..).zip(counts).filter(|(_, count)| **count > 0);
            counts
                .map(|(index, count)| (index, *count as f64))
                .collect()
        };
        match buckets {
            Buckets::Explicit { bounds, counts } => Self::Explicit {
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
            } => Self::Exponential {
                scale: *scale,
                zero: *zero_count as f64,
                positive: held(*offset, counts),
                negative: held(*negative_offset, negative_counts),
            },
        }
    }
}

/// A bucket of a histogram: its bounds, and how many it holds.
type Bucket = (f64, f64, f64);

impl Distribution {
    /// How many were measured.
    pub fn count(&self) -> f64 {
        match self {
            Self::Explicit { counts, .. } => counts.iter().sum(),
            Self::Exponential {
                zero,
                positive,
                negative,
                ..
            } => zero + positive.values().sum::<f64>() + negative.values().sum::<f64>(),
        }
    }

    /// What was measured since `earlier`, of the same series. `None` where `earlier` is no earlier reading of it: its buckets
    /// are others or hold more, as after a restart.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let difference = self.combine(earlier, -1.0)?;
        difference.has_only_counts().then_some(difference)
    }

    /// Both together; `None` where their buckets cannot be compared.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        self.combine(other, 1.0)
    }

    /// The value below which the share `quantile` (0 to 1) of all lie, between the bounds of its bucket in proportion, as
    /// Prometheus' `histogram_quantile` has it. `None` where nothing was measured.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let rank = quantile.clamp(0.0, 1.0) * self.count();
        let buckets = self.buckets();
        let mut below = 0.0;
        let held = buckets.iter().filter(|(.., count)| *count > 0.0);
        let mut found = None;
        for (lower, upper, count) in held {
            found = Some(self.within(*lower, *upper, (rank - below) / count));
            below += count;
            if below >= rank {
                break;
            }
        }
        found
    }

    /// How many were greater than `bound`; of the bucket that it lies in, in proportion as [`Self::quantile`] has it. What lies
    /// above the highest of bounds that were chosen is greater than that one, and of no other is it known to be.
    pub fn count_above(&self, bound: f64) -> f64 {
        let mut buckets = self.buckets();
        let beyond = match self {
            Self::Explicit { .. } => buckets.pop().filter(|(lower, ..)| bound <= *lower),
            Self::Exponential { .. } => None,
        };
        let above = buckets.into_iter().map(|(lower, upper, count)| {
            if bound < lower {
                count
            } else if bound >= upper {
                0.0
            } else {
                count * (1.0 - self.share(lower, upper, bound))
            }
        });
        above.sum::<f64>() + beyond.map_or(0.0, |(.., count)| count)
    }

    /// Which share of a bucket lies below a value in it: what [`Self::within`] has the other way round.
    fn share(&self, lower: f64, upper: f64, value: f64) -> f64 {
        let share = match self {
            Self::Exponential { .. } if lower > 0.0 || upper < 0.0 => {
                (value / lower).ln() / (upper / lower).ln()
            }
            _ => (value - lower) / (upper - lower),
        };
        share.clamp(0.0, 1.0)
    }

    fn combine(&self, other: &Self, sign: f64) -> Option<Self> {
        match (self, other) {
            (
                Self::Explicit { bounds, counts },
                Self::Explicit {
                    bounds: others,
                    counts: more,
                },
            ) => {
                let is_same = bounds == others && counts.len() == more.len();
                is_same.then(|| Self::Explicit {
                    bounds: bounds.clone(),
                    counts: counts
                        .iter()
                        .zip(more)
                        .map(|(a, b)| sign.mul_add(*b, *a))
                        .collect(),
                })
            }
            (Self::Exponential { scale, .. }, Self::Exponential { scale: others, .. }) => {
                let scale = *scale.min(others);
                let (mut sum, more) = (self.at_scale(scale)?, other.at_scale(scale)?);
                if let (
                    Self::Exponential {
                        zero,
                        positive,
                        negative,
                        ..
                    },
                    Self::Exponential {
                        zero: z,
                        positive: p,
                        negative: n,
                        ..
                    },
                ) = (&mut sum, &more)
                {
                    *zero += sign * z;
                    for (own, others) in [(positive, p), (negative, n)] {
                        others.iter().for_each(|(index, count)| {
                            *own.entry(*index).or_default() += sign * count;
                        });
                    }
                }
                Some(sum)
            }
            _ => None,
        }
    }

    /// The same, no finer than `scale`.
    fn at_scale(&self, coarser: i32) -> Option<Self> {
        let Self::Exponential {
            scale,
            zero,
            positive,
            negative,
        } = self
        else {
            return None;
        };
        if !SCALES.contains(scale) || !SCALES.contains(&coarser) {
            return None;
        }
        let by = scale - coarser;
        let merged = |buckets: &BTreeMap<i32, f64>| {
            let mut merged = BTreeMap::new();
            for (index, count) in buckets {
                *merged.entry(index >> by.max(0)).or_default() += count;
            }
            merged
        };
        Some(Self::Exponential {
            scale: (*scale).min(coarser),
            zero: *zero,
            positive: merged(positive),
            negative: merged(negative),
        })
    }

    fn has_only_counts(&self) -> bool {
        match self {
            Self::Explicit { counts, .. } => counts.iter().all(|count| *count >= 0.0),
            Self::Exponential {
                zero,
                positive,
                negative,
                ..
            } => {
                *zero >= 0.0
                    && positive
                        .values()
                        .chain(negative.values())
                        .all(|count| *count >= 0.0)
            }
        }
    }

    /// The buckets from the least values to the greatest.
    fn buckets(&self) -> Vec<Bucket> {
        match self {
            Self::Explicit { bounds, counts } => {
                let first = bounds.first().copied().unwrap_or(0.0);
                // What lies below the lowest bound is taken to begin at zero, where that is below it.
                let lowers = std::iter::once(first.min(0.0)).chain(bounds.iter().copied());
                // Nothing is known of what lies above the highest bound but that.
                let last = bounds.last().copied().unwrap_or(0.0);
                let uppers = bounds.iter().copied().chain(std::iter::once(last));
                lowers
                    .zip(uppers)
                    .zip(counts)
                    .map(|((lower, upper), count)| (lower, upper, *count))
                    .collect()
            }
            Self::Exponential {
                scale,
                zero,
                positive,
                negative,
            } => {
                let bound = |index: i32| (f64::from(index) * (-f64::from(*scale)).exp2()).exp2();
                let negative = negative.iter().rev().map(|(index, count)| {
                    (-bound(index.saturating_add(1)), -bound(*index), *count)
                });
                let positive = positive
                    .iter()
                    .map(|(index, count)| (bound(*index), bound(index.saturating_add(1)), *count));
                negative
                    .chain(std::iter::once((0.0, 0.0, *zero)))
                    .chain(positive)
                    .collect()
            }
        }
    }

    /// The value at `share` of the way through a bucket: in equal steps, or by equal factors where bounds grow so.
    fn within(&self, lower: f64, upper: f64, share: f64) -> f64 {
        let share = share.clamp(0.0, 1.0);
        let value = match self {
            Self::Exponential { .. } if lower > 0.0 => lower * (upper / lower).powf(share),
            Self::Exponential { .. } if upper < 0.0 => lower * (upper / lower).powf(share),
            _ => (upper - lower).mul_add(share, lower),
        };
        value.clamp(lower, upper)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn explicit(counts: &[f64]) -> Distribution {
        Distribution::Explicit {
            bounds: vec![1.0, 2.0, 4.0],
            counts: counts.to_vec(),
        }
    }

    /// What a histogram of this scale makes of positive values.
    fn exponential(scale: i32, values: &[f64]) -> Distribution {
        let mut positive = BTreeMap::new();
        for value in values {
            let index = (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1;
            *positive.entry(index).or_default() += 1.0;
        }
        Distribution::Exponential {
            scale,
            zero: 0.0,
            positive,
            negative: BTreeMap::new(),
        }
    }

    #[test]
    fn quantiles_lie_between_the_bounds_of_their_bucket() {
        let distribution = explicit(&[0.0, 10.0, 10.0, 0.0]);
        assert_eq!(distribution.quantile(0.25), Some(1.5));
        assert_eq!(distribution.quantile(0.5), Some(2.0));
        assert_eq!(distribution.quantile(1.0), Some(4.0));
        // Above all bounds nothing is known but the highest of them.
        assert_eq!(explicit(&[0.0, 0.0, 0.0, 5.0]).quantile(0.5), Some(4.0));
        assert_eq!(explicit(&[0.0; 4]).quantile(0.5), None);
    }

    #[test]
    fn what_came_between_two_readings_is_their_difference() {
        let (earlier, later) = (
            explicit(&[1.0, 2.0, 0.0, 0.0]),
            explicit(&[1.0, 5.0, 1.0, 0.0]),
        );
        assert_eq!(later.since(&earlier), Some(explicit(&[0.0, 3.0, 1.0, 0.0])));
        assert_eq!(earlier.since(&later), None);
        assert_eq!(later.since(&exponential(3, &[1.0])), None);
    }

    #[test]
    fn scales_meet_at_the_coarser_one() {
        let (fine, coarse) = (
            exponential(4, &[3.0, 5.0, 5.1]),
            exponential(1, &[3.0, 5.0]),
        );
        let both = fine.plus(&coarse).unwrap();
        assert_eq!(both, exponential(1, &[3.0, 5.0, 5.1, 3.0, 5.0]));
    }

    #[test]
    fn what_is_above_a_bound_is_counted_by_bucket() {
        let distribution = explicit(&[4.0, 10.0, 10.0, 3.0]);
        let above = |bound| Some(distribution.count_above(bound));
        assert_eq!(above(1.0), Some(23.0));
        assert_eq!(above(1.5), Some(18.0));
        assert_eq!(above(4.0), Some(3.0));
        assert_eq!(above(4.5), Some(0.0));
        assert_eq!(above(-1.0), Some(27.0));
        let fine = exponential(4, &[0.05, 0.2, 0.3]);
        assert_eq!(Some(fine.count_above(0.1)), Some(2.0));
    }

    proptest! {
        #[test]
        fn quantiles_of_exponential_buckets_are_as_close_as_the_scale_says(
            mut values in prop::collection::vec(0.001_f64..1e6, 1..200),
            scale in 0_i32..8,
            quantile in 0.0_f64..1.0,
        ) {
            let told = exponential(scale, &values).quantile(quantile).unwrap();
            values.sort_by(f64::total_cmp);
            let rank = (quantile * values.len() as f64).ceil().max(1.0) as usize - 1;
            let factor = (-f64::from(scale)).exp2().exp2();
            let real = values[rank];
            prop_assert!(told <= real * factor * 1.000_001 && told >= real / factor / 1.000_001, "{told} {real}");
        }

        #[test]
        fn adding_and_taking_away_cancel(
            a in prop::collection::vec(0.001_f64..1e6, 0..50),
            b in prop::collection::vec(0.001_f64..1e6, 0..50),
        ) {
            let (a, b) = (exponential(3, &a), exponential(3, &b));
            let both = a.plus(&b).unwrap();
            let back = both.since(&b).unwrap();
            prop_assert!((back.count() - a.count()).abs() < 1e-9);
            prop_assert_eq!(back.quantile(0.5), a.quantile(0.5));
        }
    }
}
