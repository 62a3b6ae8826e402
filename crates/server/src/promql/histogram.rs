//! Exponential histograms as values: what `rate`, `sum` and `histogram_quantile` do with them.
//!
//! Buckets grow by a factor of 2^(2^-scale); bucket `i` is of values above factor^i up to factor^(i+1) (OpenTelemetry's
//! metrics data model, "Exponential Buckets"). Where two have different scales, the finer becomes as coarse as the other.

use std::collections::BTreeMap;

/// Coarsest and finest scale of OpenTelemetry's data model.
const SCALES: std::ops::RangeInclusive<i32> = -10..=20;

/// An exponential histogram. Counts are numbers, because rates of them are histograms too.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) scale: i32,
    pub(crate) sum: f64,
    /// How many are zero or nearly so.
    pub(crate) zero: f64,
    pub(crate) positive: BTreeMap<i32, f64>,
    /// By the index of the bucket of the absolute value.
    pub(crate) negative: BTreeMap<i32, f64>,
}

/// Lower bound, upper bound, and how many lie between.
pub(crate) type Bucket = (f64, f64, f64);

impl Histogram {
    /// How many were measured.
    pub(crate) fn count(&self) -> f64 {
        self.zero + self.positive.values().sum::<f64>() + self.negative.values().sum::<f64>()
    }

    /// This and `times` another.
    pub(crate) fn plus(&self, other: &Self, times: f64) -> Self {
        let mut sum = self.at_scale(other.scale);
        let other = other.at_scale(sum.scale);
        sum.sum += times * other.sum;
        sum.zero += times * other.zero;
        for (own, others) in [
            (&mut sum.positive, &other.positive),
            (&mut sum.negative, &other.negative),
        ] {
            for (index, count) in others {
                *own.entry(*index).or_default() += times * count;
            }
        }
        sum
    }

    /// With every count so many times as large.
    pub(crate) fn times(&self, factor: f64) -> Self {
        let scaled = |counts: &BTreeMap<i32, f64>| {
            let counts = counts.iter();
            counts
                .map(|(index, count)| (*index, count * factor))
                .collect()
        };
        Self {
            scale: self.scale,
            sum: self.sum * factor,
            zero: self.zero * factor,
            positive: scaled(&self.positive),
            negative: scaled(&self.negative),
        }
    }

    /// Whether a total that was `earlier` began anew since: one of its buckets holds less.
    pub(crate) fn is_reset_since(&self, earlier: &Self) -> bool {
        let difference = self.plus(earlier, -1.0);
        let counts = difference
            .positive
            .values()
            .chain(difference.negative.values());
        difference.zero < 0.0 || counts.into_iter().any(|count| *count < 0.0)
    }

    /// No finer than `coarser`.
    pub(crate) fn at_scale(&self, coarser: i32) -> Self {
        let limit = |scale: i32| scale.clamp(*SCALES.start(), *SCALES.end());
        let (own, wanted) = (limit(self.scale), limit(coarser));
        let by = (own - wanted).max(0);
        let merged = |counts: &BTreeMap<i32, f64>| {
            let mut merged = BTreeMap::new();
            for (index, count) in counts {
                *merged.entry(index >> by).or_default() += count;
            }
            merged
        };
        Self {
            scale: own.min(wanted),
            sum: self.sum,
            zero: self.zero,
            positive: merged(&self.positive),
            negative: merged(&self.negative),
        }
    }

    /// The upper bound of the positive bucket before `index`, which is the lower bound of bucket `index`.
    pub(crate) fn bound(scale: i32, index: i32) -> f64 {
        (f64::from(index) * (-f64::from(scale)).exp2()).exp2()
    }

    /// The buckets that hold something, from the least values to the greatest.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let bound = |index: i32| Self::bound(self.scale, index);
        let negative = self.negative.iter().rev();
        let negative = negative
            .map(|(index, count)| (-bound(index.saturating_add(1)), -bound(*index), *count));
        let positive = self
            .positive
            .iter()
            .map(|(index, count)| (bound(*index), bound(index.saturating_add(1)), *count));
        negative
            .chain(std::iter::once((0.0, 0.0, self.zero)))
            .chain(positive)
            .filter(|(.., count)| *count != 0.0)
            .collect()
    }

    /// The value below which the share `of` of all lies; within its bucket by equal factors.
    pub(crate) fn quantile(&self, of: f64) -> f64 {
        let total = self.count();
        if of.is_nan() || total.is_nan() || total == 0.0 {
            return f64::NAN;
        }
        if of < 0.0 {
            return f64::NEG_INFINITY;
        }
        if of > 1.0 {
            return f64::INFINITY;
        }
        let rank = of * total;
        let (mut below, mut found) = (0.0, f64::NAN);
        for bucket in self.buckets() {
            found = within(bucket, (rank - below) / bucket.2);
            below += bucket.2;
            if below >= rank {
                break;
            }
        }
        found
    }

    /// Which share of all lies between two values.
    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> f64 {
        let total = self.count();
        if total == 0.0 || [total, lower, upper].iter().any(|value| value.is_nan()) {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        (self.below(upper) - self.below(lower)) / total
    }

    /// How many lie below a value.
    fn below(&self, value: f64) -> f64 {
        let share = |&(lower, upper, count): &Bucket| {
            if value >= upper {
                count
            } else if value <= lower {
                0.0
            } else {
                // As `within`, read backwards.
                count * (value / lower).ln() / (upper / lower).ln()
            }
        };
        self.buckets().iter().map(share).sum()
    }
}

/// The value at a share of the way through a bucket, by equal factors.
fn within((lower, upper, _): Bucket, share: f64) -> f64 {
    if lower == 0.0 && upper == 0.0 {
        return 0.0;
    }
    let share = share.clamp(0.0, 1.0);
    lower * (upper / lower).powf(share)
}
