//! Base-2 exponential buckets: which bucket a value falls into, without a logarithm, and how distributions of
//! different resolution become one.
//!
//! Bucket `i` at scale `s` holds values in `(2^(i/2^s), 2^((i+1)/2^s)]` (OpenTelemetry metrics data model,
//! ExponentialHistogram). Two neighbouring buckets `2i` and `2i+1` of one scale are bucket `i` of the next coarser one,
//! so a value is placed once at [`SCALE_MAX`] and every coarser scale is a shift.
//!
//! Invariant: [`upper_bound`] of the bucket that [`finest_index`] gives is the smallest bound that is not below the
//! value, exactly: both read the same table.

/// The finest resolution: 32 buckets for each doubling, so that a bucket is at most 2.2 % wide.
pub(super) const SCALE_MAX: i32 = 5;

/// Most buckets of either sign (OpenTelemetry metrics SDK, base2 exponential bucket histogram aggregation: MaxSize).
pub(super) const BUCKETS_MAX: usize = 160;

const SUBDIVISIONS: usize = 1 << SCALE_MAX;
const MANTISSA_BITS: u32 = 52;
const MANTISSA_MASK: u64 = (1 << MANTISSA_BITS) - 1;
const EXPONENT_BIAS: i32 = 1023;
const EXPONENT_MIN: i32 = -1022;
const GUESS_BITS: u32 = 6;

/// Mantissa of the largest `f64` that is not above `2^(k/32)`; the last entry is above every mantissa.
const BOUNDARIES: [u64; SUBDIVISIONS + 1] = boundaries();

/// How many boundaries are at or below a mantissa with these upper bits. The narrowest subdivision is 2^(1/32) - 1 =
/// 0.0219 wide and a step here is 1/64 = 0.0156, so at most one more boundary lies inside a step.
const GUESSES: [u8; 1 << GUESS_BITS] = guesses();

const fn boundaries() -> [u64; SUBDIVISIONS + 1] {
    const FRACTION_BITS: u32 = 62;
    const ONE: u128 = 1 << FRACTION_BITS;
    // roots[n] = 2^(1/2^(n+1)): each is the square root of the one before.
    let mut roots = [0_u128; SCALE_MAX as usize];
    let mut root = 2 * ONE;
    let mut n = 0;
    while n < roots.len() {
        root = (root << FRACTION_BITS).isqrt();
        roots[n] = root;
        n += 1;
    }
    let mut table = [u64::MAX; SUBDIVISIONS + 1];
    let mut k = 0;
    while k < SUBDIVISIONS {
        let mut product = ONE;
        let mut n = 0;
        while n < roots.len() {
            if k >> (roots.len() - 1 - n) & 1 == 1 {
                product = (product * roots[n]) >> FRACTION_BITS;
            }
            n += 1;
        }
        table[k] = ((product - ONE) >> (FRACTION_BITS - MANTISSA_BITS)) as u64;
        k += 1;
    }
    table
}

const fn guesses() -> [u8; 1 << GUESS_BITS] {
    let mut table = [0; 1 << GUESS_BITS];
    let mut step = 0;
    while step < table.len() {
        let mantissa = (step as u64) << (MANTISSA_BITS - GUESS_BITS);
        let mut k = 1;
        while BOUNDARIES[k] <= mantissa {
            k += 1;
        }
        table[step] = (k - 1) as u8;
        step += 1;
    }
    table
}

/// The bucket at [`SCALE_MAX`] of a positive finite number given by its bits. Subnormal numbers count as the smallest
/// normal one.
#[inline]
pub(super) fn finest_index(bits: u64) -> i32 {
    // Bounds belong to the bucket below them, so the number just below decides.
    let below = bits.max(f64::MIN_POSITIVE.to_bits()) - 1;
    let exponent = (below >> MANTISSA_BITS) as i32 - EXPONENT_BIAS;
    let mantissa = below & MANTISSA_MASK;
    let guess = usize::from(GUESSES[(mantissa >> (MANTISSA_BITS - GUESS_BITS)) as usize]);
    let sub = guess + usize::from(mantissa >= BOUNDARIES[guess + 1]);
    (exponent << SCALE_MAX) + sub as i32
}

/// The upper bound of bucket `index` at `scale`: the largest value in it. Infinite where no `f64` is above the bucket.
pub fn upper_bound(index: i32, scale: i32) -> f64 {
    let next = i64::from(index) + 1;
    let (exponent, fraction) = if scale > 0 {
        let fraction = next & ((1 << scale) - 1);
        (
            next >> scale,
            BOUNDARIES[(fraction << (SCALE_MAX - scale.min(SCALE_MAX))) as usize],
        )
    } else {
        (next.checked_shl(scale.unsigned_abs()).unwrap_or(0), 0)
    };
    if exponent > i64::from(EXPONENT_BIAS) {
        f64::INFINITY
    } else if exponent < i64::from(EXPONENT_MIN) {
        0.0
    } else {
        f64::from_bits((((exponent + i64::from(EXPONENT_BIAS)) as u64) << MANTISSA_BITS) | fraction)
    }
}

/// Counts of consecutive buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) offset: i32,
    pub(super) counts: Vec<u64>,
}

impl Run {
    /// The run without empty buckets at its ends.
    pub(super) fn new(offset: i32, counts: &[u64]) -> Self {
        let Some(first) = counts.iter().position(|&count| count > 0) else {
            return Self::default();
        };
        let last = counts.iter().rposition(|&count| count > 0).unwrap_or(first);
        Self {
            offset: offset + first as i32,
            counts: counts[first..=last].to_vec(),
        }
    }

    fn last(&self) -> i32 {
        self.offset + self.counts.len() as i32 - 1
    }

    /// Halves the resolution `by` times.
    pub(super) fn coarsen(&mut self, by: u32) {
        if by == 0 || self.counts.is_empty() {
            return;
        }
        let offset = self.offset >> by;
        let mut counts = vec![0; ((self.last() >> by) - offset + 1) as usize];
        for (index, &count) in (self.offset..).zip(&self.counts) {
            counts[((index >> by) - offset) as usize] += count;
        }
        *self = Self { offset, counts };
    }

    /// Adds `other`, which has the same resolution.
    fn add(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.clone_from(other);
            return;
        }
        let offset = self.offset.min(other.offset);
        let mut counts = vec![0; (self.last().max(other.last()) - offset + 1) as usize];
        for run in [&*self, other] {
            for (index, &count) in (run.offset..).zip(&run.counts) {
                counts[(index - offset) as usize] += count;
            }
        }
        *self = Self { offset, counts };
    }
}

/// How many halvings of the resolution make `first..=last` fit into [`BUCKETS_MAX`] buckets.
pub(super) fn coarsening(first: i32, last: i32) -> u32 {
    let mut by = 0;
    while (last >> by) - (first >> by) >= BUCKETS_MAX as i32 {
        by += 1;
    }
    by
}

/// Exponential buckets of both signs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exponential {
    pub(super) scale: i32,
    pub(super) zero: u64,
    pub(super) positive: Run,
    pub(super) negative: Run,
}

impl Exponential {
    pub(super) const EMPTY: Self = Self {
        scale: SCALE_MAX,
        zero: 0,
        positive: Run {
            offset: 0,
            counts: Vec::new(),
        },
        negative: Run {
            offset: 0,
            counts: Vec::new(),
        },
    };

    /// Halves the resolution `by` times.
    pub(super) fn coarsen(&mut self, by: u32) {
        self.positive.coarsen(by);
        self.negative.coarsen(by);
        self.scale -= by as i32;
    }

    /// Adds `other` at the finest resolution that both have and that fits.
    pub(super) fn merge(&mut self, mut other: Self) {
        let scale = self.scale.min(other.scale);
        self.coarsen((self.scale - scale) as u32);
        other.coarsen((other.scale - scale) as u32);
        self.zero += other.zero;
        self.positive.add(&other.positive);
        self.negative.add(&other.negative);
        let by = [&self.positive, &self.negative]
            .into_iter()
            .filter(|run| !run.counts.is_empty())
            .map(|run| coarsening(run.offset, run.last()))
            .max()
            .unwrap_or(0);
        self.coarsen(by);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn boundaries_are_powers_of_two_to_the_last_bit_or_the_one_before() {
        for (k, &mantissa) in BOUNDARIES[..SUBDIVISIONS].iter().enumerate() {
            let expected = ((k as f64 / 32.0).exp2() - 1.0) * (1_u64 << MANTISSA_BITS) as f64;
            assert!(
                (mantissa as f64 - expected).abs() <= 1.0,
                "{k}: {mantissa} {expected}"
            );
        }
        // sqrt(2) to 52 bits, rounded down.
        assert_eq!(BOUNDARIES[16], 0x6_a09e_667f_3bcc);
    }

    #[test]
    fn powers_of_two_are_the_upper_bounds_of_their_buckets() {
        assert_eq!(finest_index(1.0_f64.to_bits()), -1);
        assert_eq!(finest_index(2.0_f64.to_bits()), 31);
        assert_eq!(finest_index(2.0_f64.next_up().to_bits()), 32);
        assert_eq!(upper_bound(31, 5).to_bits(), 2.0_f64.to_bits());
        assert_eq!(upper_bound(0, 0).to_bits(), 2.0_f64.to_bits());
        assert_eq!(upper_bound(0, -1).to_bits(), 4.0_f64.to_bits());
        assert!(upper_bound(finest_index(f64::MAX.to_bits()), 5).is_infinite());
        assert_eq!(finest_index(1), finest_index(f64::MIN_POSITIVE.to_bits()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]
        #[test]
        fn a_value_is_above_the_bound_below_it_and_not_above_its_own(
            bits in f64::MIN_POSITIVE.to_bits()..f64::INFINITY.to_bits(), shift in 0..10_i32,
        ) {
            let (value, scale) = (f64::from_bits(bits), SCALE_MAX - shift);
            let index = finest_index(bits) >> shift;
            prop_assert!(value <= upper_bound(index, scale));
            prop_assert!(value > upper_bound(index - 1, scale));
        }

        #[test]
        fn merging_keeps_every_count_in_its_range(
            left in proptest::collection::vec((-3000_i32..3000, 1_u64..9), 0..40),
            right in proptest::collection::vec((-3000_i32..3000, 1_u64..9), 0..40),
            shift in 0..4_u32,
        ) {
            let build = |pairs: &[(i32, u64)], by: u32| {
                let mut all = Exponential::EMPTY;
                for &(index, count) in pairs {
                    let mut one = Exponential::EMPTY;
                    one.positive = Run { offset: index, counts: vec![count] };
                    all.merge(one);
                }
                all.coarsen(by);
                all
            };
            let mut merged = build(&left, shift);
            merged.merge(build(&right, 0));
            prop_assert!(merged.positive.counts.len() <= BUCKETS_MAX);
            let by = (SCALE_MAX - merged.scale) as u32;
            let mut expected = std::collections::BTreeMap::<i32, u64>::new();
            for (index, count) in left.iter().chain(&right) {
                *expected.entry(index >> by).or_default() += count;
            }
            let found: std::collections::BTreeMap<i32, u64> = (merged.positive.offset..)
                .zip(merged.positive.counts.iter().copied())
                .filter(|&(_, count)| count > 0)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
