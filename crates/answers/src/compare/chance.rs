//! How likely a difference is where there is none: exact tests of counts, a rank test of durations, and what testing
//! many things at once costs.
//!
//! Sources:
//! * Two shares: Fisher's exact test, two-sided by adding up every table that is no likelier than the one seen
//!   (R. A. Fisher, "Statistical Methods for Research Workers", 5th ed. 1934, section 21.02).
//! * How far two shares are apart at least: the interval of R. G. Newcombe, "Interval estimation for the difference
//!   between independent proportions", Statistics in Medicine 17 (1998), 873-890, method 10, from two intervals of
//!   E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.
//! * Many tables at once: R. E. Tarone, "A modified Bonferroni method for discrete data", Biometrics 46 (1990),
//!   515-522: a table whose margins allow no small probability is no chance for a false claim and costs nothing.
//! * Durations: the rank-sum test of H. B. Mann and D. R. Whitney, Annals of Mathematical Statistics 18 (1947), 50-60,
//!   in its normal approximation with corrections for continuity and for ties.

/// How often a comparison may claim something of sides that are alike, for each kind of claim.
pub(super) const FALSE_CLAIMS: f64 = 0.01;
/// The standard normal deviate that is exceeded in either direction with probability [`FALSE_CLAIMS`].
pub(super) const DEVIATE: f64 = 2.576;
/// The same for a probability of 5 %, for intervals.
const DEVIATE_INTERVAL: f64 = 1.96;
/// Rounding that may not make equally likely tables differ.
const LOG_TOLERANCE: f64 = 1e-7;

/// How many of each side's requests have something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Requests that have it, on the first and on the second side.
    pub(super) have: [u64; 2],
    /// All requests of each side.
    pub(super) of: [u64; 2],
}

impl Counts {
    fn share(self, side: usize) -> f64 {
        crate::units::share(self.have[side], self.of[side])
    }

    /// The second side's share less the first's, and the bound of its 95 % interval that is nearer to none (0 where
    /// the interval holds 0).
    pub(super) fn difference(self) -> (f64, f64) {
        let share = [self.share(0), self.share(1)];
        let [first, second] = [wilson(share[0], self.of[0]), wilson(share[1], self.of[1])];
        let difference = share[1] - share[0];
        let away = |a: f64, b: f64| a.hypot(b);
        let bound = if difference > 0.0 {
            (difference - away(share[1] - second.0, first.1 - share[0])).max(0.0)
        } else {
            (difference + away(second.1 - share[1], share[0] - first.0)).min(0.0)
        };
        (difference, bound)
    }
}

/// Wilson's 95 % interval of a share of so many.
fn wilson(share: f64, of: u64) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let n = of as f64;
    let z2 = DEVIATE_INTERVAL * DEVIATE_INTERVAL;
    let centre = share + z2 / (2.0 * n);
    let half = DEVIATE_INTERVAL * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    ((centre - half) / scale, (centre + half) / scale)
}

/// Fisher's exact test for up to so many requests.
#[derive(Debug)]
pub(super) struct Exact {
    /// The natural logarithm of each number's factorial.
    log_factorial: Vec<f64>,
}

impl Exact {
    pub(super) fn new(requests_max: u64) -> Self {
        let mut log_factorial = Vec::with_capacity(requests_max as usize + 1);
        let mut sum = 0.0;
        log_factorial.push(sum);
        for number in 1..=requests_max {
            sum += (number as f64).ln();
            log_factorial.push(sum);
        }
        Self { log_factorial }
    }

    fn log_choose(&self, n: u64, k: u64) -> f64 {
        let at = |number: u64| self.log_factorial[number as usize];
        at(n) - at(k) - at(n - k)
    }

    /// The logarithm of the probability that, of `have` requests in all, `first` are on the first side.
    fn log_probability(&self, of: [u64; 2], have: u64, first: u64) -> f64 {
        self.log_choose(of[0], first) + self.log_choose(of[1], have - first)
            - self.log_choose(of[0] + of[1], have)
    }

    /// The probability of a table at least as unlikely as this one, were the sides alike.
    pub(super) fn probability(&self, counts: Counts) -> f64 {
        let have = counts.have[0] + counts.have[1];
        let (least, most) = extremes(counts.of, have);
        let seen = self.log_probability(counts.of, have, counts.have[0]);
        (least..=most)
            .map(|first| self.log_probability(counts.of, have, first))
            .filter(|&log| log <= seen + LOG_TOLERANCE)
            .map(f64::exp)
            .sum::<f64>()
            .min(1.0)
    }

    /// The smallest probability that any table with these margins has.
    pub(super) fn least(&self, counts: Counts) -> f64 {
        let have = counts.have[0] + counts.have[1];
        let (least, most) = extremes(counts.of, have);
        let low = self.log_probability(counts.of, have, least);
        let high = self.log_probability(counts.of, have, most);
        let both = least != most && (low - high).abs() <= LOG_TOLERANCE;
        low.min(high).exp() * if both { 2.0 } else { 1.0 }
    }
}

/// The fewest and the most of `have` that can be on the first side.
fn extremes(of: [u64; 2], have: u64) -> (u64, u64) {
    (have.saturating_sub(of[1]), have.min(of[0]))
}

/// By what to multiply probabilities whose least possible values are `least`, so that the chance of any false claim
/// stays below [`FALSE_CLAIMS`]: the smallest `k` of which at most `k` can reach `FALSE_CLAIMS / k`.
pub(super) fn correction(mut least: Vec<f64>) -> u64 {
    least.sort_by(f64::total_cmp);
    let reach = |k: u64| least.partition_point(|&p| p <= FALSE_CLAIMS / k as f64) as u64;
    (1..=least.len() as u64)
        .find(|&k| reach(k) <= k)
        .unwrap_or(1)
}

/// The probability that durations as alike as can be differ in rank as much as these; both are sorted.
pub(super) fn rank_sum(first: &[u64], second: &[u64]) -> f64 {
    let (of_first, of_second) = (first.len() as f64, second.len() as f64);
    let all = of_first + of_second;
    let (mut rest, mut others) = (first, second);
    let (mut ranks, mut ties, mut before) = (0.0, 0.0, 0.0);
    while let Some(&value) = rest.first().into_iter().chain(others.first()).min() {
        let run = |side: &[u64]| side.iter().take_while(|&&ns| ns == value).count();
        let (here, there) = (run(rest), run(others));
        let equal = (here + there) as f64;
        // Equal ones share the mean of the ranks that they take.
        ranks += here as f64 * (before + f64::midpoint(1.0, equal));
        ties += equal * (equal * equal - 1.0);
        before += equal;
        (rest, others) = (&rest[here..], &others[there..]);
    }
    let away = (ranks - of_first * (all + 1.0) / 2.0).abs();
    let variance = of_first * of_second / 12.0 * ((all + 1.0) - ties / (all * (all - 1.0)));
    if variance > 0.0 {
        two_sided((away - 0.5).max(0.0) / variance.sqrt())
    } else {
        1.0
    }
}

/// The probability that a standard normal variable is at least this far from 0, to within 2e-7: M. Abramowitz and
/// I. A. Stegun, "Handbook of Mathematical Functions" (1964), formula 7.1.26.
pub(super) fn two_sided(deviate: f64) -> f64 {
    let x = deviate.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ];
    let sum = series.into_iter().fold(0.0, |sum, a| (sum + a) * t);
    (sum * (-x * x).exp()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(a: u64, of_a: u64, b: u64, of_b: u64) -> Counts {
        Counts {
            have: [a, b],
            of: [of_a, of_b],
        }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }

    /// The tea-tasting table (3 of 4 against 1 of 4), and a table for which R's `fisher.test` gives 0.002759.
    #[test]
    fn fishers_test_agrees_with_published_values() {
        let exact = Exact::new(100);
        close(exact.probability(counts(3, 4, 1, 4)), 34.0 / 70.0);
        close(exact.probability(counts(4, 4, 0, 4)), 2.0 / 70.0);
        close(exact.probability(counts(1, 12, 9, 12)), 0.002_759_456);
        close(exact.probability(counts(0, 50, 0, 50)), 1.0);
        close(exact.least(counts(1, 4, 3, 4)), 2.0 / 70.0);
    }

    /// Newcombe's table II, example (a): 56 of 70 against 48 of 80 is 0.0524 to 0.3339 by method 10.
    #[test]
    fn the_interval_agrees_with_newcombes() {
        let (difference, bound) = counts(48, 80, 56, 70).difference();
        close(difference, 0.2);
        assert!((bound - 0.0524).abs() < 5e-5, "{bound}");
        let (difference, bound) = counts(56, 70, 48, 80).difference();
        close(difference, -0.2);
        assert!((bound + 0.0524).abs() < 5e-5, "{bound}");
        assert!(counts(5, 10, 6, 10).difference().1.abs() < 1e-12);
    }

    #[test]
    fn a_test_that_cannot_claim_costs_nothing() {
        assert_eq!(correction(vec![0.5; 1000]), 1);
        assert_eq!(correction(vec![1e-9; 30]), 30);
        let mut mixed = vec![1e-9; 3];
        mixed.extend(vec![0.004; 1000]);
        assert_eq!(correction(mixed), 3);
        assert_eq!(correction(Vec::new()), 1);
    }

    #[test]
    fn ranks_tell_a_shift_and_only_that() {
        let first: Vec<u64> = (0..20).collect();
        let second: Vec<u64> = (20..40).collect();
        assert!(rank_sum(&first, &second) < 1e-6);
        assert!(rank_sum(&first, &first) > 0.99);
        close(rank_sum(&[7; 9], &[7; 9]), 1.0);
        // R: wilcox.test(c(1,2,3,4,5), c(4,5,6,7,8), exact = FALSE)
        assert!((rank_sum(&[1, 2, 3, 4, 5], &[4, 5, 6, 7, 8]) - 0.035_62).abs() < 1e-4);
    }

    #[test]
    fn the_normal_tail_agrees_with_tables() {
        close(two_sided(0.0), 1.0);
        close(two_sided(1.96), 0.049_995_8);
        close(two_sided(DEVIATE), 0.009_995);
    }
}
