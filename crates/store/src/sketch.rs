//! Numbers counted by logarithmic buckets, of which quantiles are read.
//!
//! A number's bucket is its exponent and the upper six bits of its fraction, which are the upper bits of its representation
//! (IEEE 754). A bucket is at most 1/64 wide, and a quantile is the middle of the bucket that holds it, so it is off by 0.8 %
//! at most. Sketches merge by adding, so that what was asked of parts holds for the whole.
//!
//! Counts are in [`UNITS`] of one, so that weights need not be whole.
//!
//! As bytes a sketch is how often all counts were halved (one byte), how many there are together, and for each bucket, the
//! least first, how far it is from the one before and its count. All but the first are numbers in groups of seven bits, the
//! lowest first, of which all but the last have the upper bit set (LEB128). Five durations take some 15 bytes.

use std::mem::size_of;

/// Bits of a number's representation below those that tell its bucket: the fraction's 52 but for six.
const SHIFT: u32 = 46;
/// The bucket of zero: as many lie below it as there are of either sign.
const MIDDLE: u32 = 1 << (63 - SHIFT);

/// Into how many parts a count of one is divided.
pub(crate) const UNITS: u64 = 1024;
/// How often counts are halved at most: where all weights are whole, one takes one byte.
const HALVED_MAX: u32 = UNITS.ilog2();

/// Counts by bucket, the least first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sketch(Vec<(u32, u64)>);

impl Sketch {
    pub(crate) fn add(&mut self, bucket: u32, count: u64) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (bucket, count)),
        }
    }

    /// Adds what a sketch has that was written; what is not whole is left out.
    pub(crate) fn merge(&mut self, bytes: &[u8]) {
        if let Some((_, entries)) = read(bytes) {
            for (bucket, count) in entries {
                self.add(bucket, count);
            }
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends it as bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let bits = self.0.iter().fold(0, |bits, (_, count)| bits | count);
        let halved = bits.trailing_zeros().min(HALVED_MAX);
        let counts = self.0.iter().map(|(_, count)| count >> halved);
        out.push(halved as u8);
        push(out, counts.fold(0, u64::saturating_add));
        let mut before = 0;
        for (bucket, count) in &self.0 {
            push(out, u64::from(bucket - before));
            push(out, count >> halved);
            before = *bucket;
        }
    }

    /// Memory of its buckets.
    pub(crate) const fn size(&self) -> usize {
        self.0.capacity() * size_of::<(u32, u64)>()
    }
}

/// The bucket of a number: buckets stand in the order of their numbers. `None` for what is no number.
pub(crate) fn bucket(number: f64) -> Option<u32> {
    let place = ((number + 0.0).to_bits() << 1 >> 1 >> SHIFT) as u32;
    (!number.is_nan()).then(|| {
        if number < 0.0 {
            MIDDLE - 1 - place
        } else {
            MIDDLE + place
        }
    })
}

/// A weight in [`UNITS`]. What is no number becomes zero, and what is too much the most there is.
pub(crate) fn units(weight: f64) -> u64 {
    (weight * UNITS as f64).round() as u64
}

/// The quantile of a sketch that was written, by the nearest rank.
pub(crate) fn quantile(bytes: &[u8], share: f64) -> Option<f64> {
    let (all, mut entries) = read(bytes)?;
    let rank = ((share.clamp(0.0, 1.0) * all as f64).ceil() as u64).max(1);
    let mut below = 0_u64;
    entries
        .find(|(_, count)| {
            below = below.saturating_add(*count);
            below >= rank
        })
        .map(|(bucket, _)| middle(bucket))
}

/// The number in the middle of a bucket.
fn middle(bucket: u32) -> f64 {
    let (place, sign) = if bucket < MIDDLE {
        (MIDDLE - 1 - bucket, -1.0)
    } else {
        (bucket - MIDDLE, 1.0)
    };
    if place == 0 {
        return 0.0;
    }
    let lower = f64::from_bits(u64::from(place) << SHIFT);
    let upper = f64::from_bits(u64::from(place + 1) << SHIFT);
    // Beyond the last one there is infinity.
    sign * if upper.is_finite() {
        f64::midpoint(lower, upper)
    } else {
        lower
    }
}

/// Buckets and counts of a sketch that was written.
struct Entries<'a> {
    bytes: &'a [u8],
    halved: u32,
    bucket: u32,
}

/// How many a sketch counts, and its buckets; `None` where the bytes are none.
fn read(mut bytes: &[u8]) -> Option<(u64, Entries<'_>)> {
    let (halved, rest) = bytes.split_first()?;
    let halved = u32::from(*halved);
    bytes = rest;
    if halved > HALVED_MAX {
        return None;
    }
    let all = pull(&mut bytes)?.saturating_mul(1 << halved);
    let entries = Entries {
        bytes,
        halved,
        bucket: 0,
    };
    Some((all, entries))
}

impl Iterator for Entries<'_> {
    type Item = (u32, u64);

    fn next(&mut self) -> Option<(u32, u64)> {
        let step = u32::try_from(pull(&mut self.bytes)?).ok()?;
        let count = pull(&mut self.bytes)?;
        // Whoever makes bytes up gets the last bucket at most.
        self.bucket = self.bucket.saturating_add(step).min(2 * MIDDLE - 1);
        Some((self.bucket, count.saturating_mul(1 << self.halved)))
    }
}

fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(sketch: &Sketch) -> Vec<u8> {
        let mut bytes = Vec::new();
        sketch.write(&mut bytes);
        bytes
    }

    #[test]
    fn buckets_stand_in_the_order_of_numbers() {
        let numbers = [
            f64::NEG_INFINITY,
            -1e300,
            -2.0,
            -1e-9,
            0.0,
            1e-300,
            0.5,
            1.0,
            1.02,
            1e9,
            f64::INFINITY,
        ];
        let buckets: Vec<_> = numbers
            .iter()
            .map(|number| bucket(*number).unwrap())
            .collect();
        assert!(buckets.is_sorted(), "{buckets:?}");
        assert!(buckets.iter().all(|bucket| *bucket < 2 * MIDDLE));
        assert_eq!(bucket(-0.0), bucket(0.0));
        assert_eq!(bucket(f64::NAN), None);
        assert!(middle(bucket(0.0).unwrap()).abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn a_few_durations_take_a_few_bytes() {
        let mut sketch = Sketch::default();
        for duration in [1_000.0, 1_050.0, 3_000.0, 20_000.0, 20_100.0] {
            sketch.add(bucket(duration).unwrap(), UNITS);
        }
        let bytes = written(&sketch);
        assert!(bytes.len() <= 15, "{}", bytes.len());
        assert_eq!(quantile(&bytes, 0.0), quantile(&bytes, 0.2));
        assert!((quantile(&bytes, 0.5).unwrap() / 3_000.0 - 1.0).abs() < 0.01);
    }

    #[test]
    fn what_is_not_whole_is_left_out() {
        for bytes in [&[][..], &[255], &[0], &[11, 1, 0, 1], &[0, 0x80, 0x80]] {
            assert_eq!(quantile(bytes, 0.5), None, "{bytes:?}");
            let mut sketch = Sketch::default();
            sketch.merge(bytes);
            assert!(sketch.is_empty(), "{bytes:?}");
        }
        let mut most = Sketch::default();
        let one = bucket(1.0).unwrap();
        most.add(one, u64::MAX);
        most.add(one, u64::MAX);
        most.add(one + 1, u64::MAX);
        assert_eq!(quantile(&written(&most), 0.5), Some(middle(one)));
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_a_percent(mut numbers in prop::collection::vec(-1e12_f64..1e12, 1..300), share in 0.0_f64..=1.0) {
            let mut halves = [Sketch::default(), Sketch::default()];
            for (at, number) in numbers.iter().enumerate() {
                halves[at % 2].add(bucket(*number).unwrap(), UNITS);
            }
            let mut whole = Sketch::default();
            halves.iter().for_each(|half| whole.merge(&written(half)));
            let told = quantile(&written(&whole), share).unwrap();
            numbers.sort_by(f64::total_cmp);
            let rank = ((share * numbers.len() as f64).ceil() as usize).max(1) - 1;
            prop_assert!((told - numbers[rank]).abs() <= 0.008 * numbers[rank].abs() + f64::MIN_POSITIVE, "{told} {}", numbers[rank]);
        }

        #[test]
        fn what_is_written_is_read(counts in prop::collection::btree_map(0..2 * MIDDLE, 1..u64::MAX, 0..50)) {
            let sketch = Sketch(counts.into_iter().collect());
            let mut again = Sketch::default();
            again.merge(&written(&sketch));
            prop_assert_eq!(again, sketch);
        }

        #[test]
        fn bytes_that_are_made_up_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..100), share in 0.0_f64..=1.0) {
            let mut sketch = Sketch::default();
            sketch.merge(&bytes);
            let _ = (written(&sketch), quantile(&bytes, share));
        }
    }
}
