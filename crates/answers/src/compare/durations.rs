//! How long requests took on each side, and whether that differs by more than chance.
//!
//! Two questions, each with half of the chance for a false claim: are requests of one side slower as a rule (rank
//! sum), and does one side have more of the slowest twentieth of all requests (Fisher's exact test)? The second sees
//! a long tail, which hardly moves ranks.

use super::{
    Bucket, Difference, Durations,
    chance::{Counts, Exact, rank_sum},
    requests::Request,
};

/// Fewest requests of each side with which the two questions can be answered at all.
pub(super) const REQUESTS_MIN: u64 = 8;

/// Both sides' durations in ascending order.
pub(super) fn sorted(requests: &[Vec<Request>; 2]) -> [Vec<u64>; 2] {
    let of = |side: &[Request]| {
        let mut durations: Vec<u64> = side.iter().map(|request| request.duration_ns).collect();
        durations.sort_unstable();
        durations
    };
    [of(&requests[0]), of(&requests[1])]
}

/// The durations of a side, which are sorted; `None` when there are none.
pub(super) fn summary(sorted: &[u64], errors: u64) -> Option<Durations> {
    let (&min_ns, &max_ns) = (sorted.first()?, sorted.last()?);
    Some(Durations {
        requests: sorted.len() as u64,
        errors,
        mean_ns: nearest(sum(sorted), sorted.len() as u64),
        min_ns,
        p50_ns: percentile(sorted, 50),
        p95_ns: percentile(sorted, 95),
        max_ns,
    })
}

/// The smallest duration that at least so many per cent are no longer than; `sorted` is not empty.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

fn sum(durations: &[u64]) -> u128 {
    durations.iter().map(|&ns| u128::from(ns)).sum()
}

/// `sum / count` to the nearest whole number.
pub(super) fn nearest(sum: u128, count: u64) -> u64 {
    let count = u128::from(count.max(1));
    u64::try_from((sum + count / 2) / count).unwrap_or(u64::MAX)
}

/// The second mean less the first, of sums over so many requests, to the nearest whole number (halves away from 0).
pub(super) fn difference_of_means(sums: [u128; 2], requests: [u64; 2]) -> i64 {
    let [n, m] = requests.map(|count| i128::from(count.max(1)));
    let signed = |sum: u128| i128::try_from(sum).unwrap_or(i128::MAX);
    let whole = signed(sums[1]).saturating_mul(n) - signed(sums[0]).saturating_mul(m);
    let away = whole.signum() * (n * m / 2);
    clamp((whole + away) / (n * m))
}

fn clamp(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// What differs between the sides' durations, second less first; `None` when a side is empty.
pub(super) fn difference(
    sorted: &[Vec<u64>; 2],
    sides: &[Option<Durations>; 2],
    exact: &Exact,
) -> Option<Difference> {
    let [Some(first), Some(second)] = sides else {
        return None;
    };
    let of = [first.requests, second.requests];
    let less = |a: u64, b: u64| clamp(i128::from(b) - i128::from(a));
    let errors = Counts {
        have: [first.errors, second.errors],
        of,
    };
    let is_tested = of.iter().all(|&requests| requests >= REQUESTS_MIN);
    Some(Difference {
        mean_ns: difference_of_means([sum(&sorted[0]), sum(&sorted[1])], of),
        p50_ns: less(first.p50_ns, second.p50_ns),
        p95_ns: less(first.p95_ns, second.p95_ns),
        error_share: errors.difference().0,
        chance: is_tested.then(|| chance(sorted, of, exact)),
        chance_of_errors: exact.probability(errors),
    })
}

/// The chance that sides as alike as can be differ as much, in rank or in their share of the slowest.
fn chance(sorted: &[Vec<u64>; 2], of: [u64; 2], exact: &Exact) -> f64 {
    let mut pooled = sorted.concat();
    pooled.sort_unstable();
    let slow = percentile(&pooled, 95);
    let slower = |side: &[u64]| (side.len() - side.partition_point(|&ns| ns <= slow)) as u64;
    let tail = Counts {
        have: [slower(&sorted[0]), slower(&sorted[1])],
        of,
    };
    // Two chances to be wrong: each counts twice.
    let least = rank_sum(&sorted[0], &sorted[1]).min(exact.probability(tail));
    (2.0 * least).min(1.0)
}

/// Both sides' durations in common buckets from the shortest to the longest, those in between that are empty included.
pub(super) fn histogram(sorted: &[Vec<u64>; 2]) -> Vec<Bucket> {
    let ends = || {
        sorted
            .iter()
            .flat_map(|side| side.first().into_iter().chain(side.last()))
    };
    let (Some(&least), Some(&most)) = (ends().min(), ends().max()) else {
        return Vec::new();
    };
    (bucket_of(least)..=bucket_of(most))
        .map(|bucket| {
            let (from_ns, below_ns) = (lower_bound(bucket), lower_bound(bucket + 1));
            let below =
                |side: &[u64], bound: u128| side.partition_point(|&ns| u128::from(ns) < bound);
            let count = |side: &[u64]| (below(side, below_ns) - below(side, from_ns)) as u64;
            Bucket {
                from_ns: u64::try_from(from_ns).unwrap_or(u64::MAX),
                below_ns: u64::try_from(below_ns).unwrap_or(u64::MAX),
                first: count(&sorted[0]),
                second: count(&sorted[1]),
            }
        })
        .collect()
}

/// The number of a duration's bucket. A power of two is divided into four equal parts, as in HdrHistogram, so that
/// every bound is a whole number and no bucket is wider than a quarter of its lower bound.
fn bucket_of(ns: u64) -> u32 {
    if ns < 4 {
        return ns as u32;
    }
    let power = ns.ilog2();
    (power - 1) * 4 + ((ns >> (power - 2)) & 3) as u32
}

/// The shortest duration in a bucket; past the last one the first that is in none.
fn lower_bound(bucket: u32) -> u128 {
    if bucket < 4 {
        return u128::from(bucket);
    }
    u128::from(4 + bucket % 4) << (bucket / 4 - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_durations_that_were_measured() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 50), 50);
        assert_eq!(percentile(&hundred, 95), 95);
        assert_eq!(percentile(&[7], 50), 7);
        assert_eq!(percentile(&[7, 9], 50), 7);
        assert_eq!(percentile(&[7, 9], 95), 9);
    }

    #[test]
    fn means_are_rounded_to_the_nearest() {
        assert_eq!(nearest(7, 2), 4);
        assert_eq!(difference_of_means([3, 2], [2, 1]), 1);
        assert_eq!(difference_of_means([2, 3], [1, 2]), -1);
        assert_eq!(difference_of_means([10, 40], [1, 3]), 3);
        assert_eq!(
            difference_of_means([0, u128::from(u64::MAX)], [1, 1]),
            i64::MAX
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn a_duration_lies_in_its_bucket(ns: u64, shift in 0_u32..64) {
            let ns = ns >> shift;
            let bucket = bucket_of(ns);
            prop_assert!(lower_bound(bucket) <= u128::from(ns));
            prop_assert!(u128::from(ns) < lower_bound(bucket + 1));
            prop_assert!(lower_bound(bucket + 1) - lower_bound(bucket) <= lower_bound(bucket).max(4) / 4);
        }

        #[test]
        fn every_request_is_in_one_bucket(
            first in prop::collection::vec(0_u64..1 << 40, 0..40),
            second in prop::collection::vec(any::<u64>(), 0..40),
        ) {
            let (mut first, mut second) = (first, second);
            first.sort_unstable();
            second.sort_unstable();
            let buckets = histogram(&[first.clone(), second.clone()]);
            let total = |count: fn(&Bucket) -> u64| buckets.iter().map(count).sum::<u64>();
            prop_assert_eq!(total(|bucket| bucket.first), first.len() as u64);
            prop_assert_eq!(total(|bucket| bucket.second), second.len() as u64);
            prop_assert!(buckets.windows(2).all(|pair| pair[0].below_ns == pair[1].from_ns));
        }
    }
}
