//! Exponential histograms as Prometheus' native ones (Prometheus documentation, Native Histograms: Data model).
//!
//! OpenTelemetry numbers a bucket by its lower bound and Prometheus by its upper one, so that bucket `i` of the one is
//! `i + 1` of the other. Scale and schema are the same number where both have it.
//!
//! Invariant: the count is the sum of all buckets, also of a histogram that is recorded to while it is read.

use radiosonde_core::metrics::snapshot::Buckets;

use crate::encode::otlp::wire::{Wire, varint_bytes};

/// The finest and the coarsest schema that Prometheus knows.
const SCHEMA_MAX: i32 = 8;
const SCHEMA_MIN: i32 = -4;

/// Up to where measurements count as zero, as a power of two: what Prometheus' own clients take unless told otherwise.
const ZERO_EXPONENT: i32 = -128;

/// So many empty buckets in a row are written out, as a new span would take more room.
const GAP_MAX: i32 = 2;

/// Field numbers of a message that holds a native histogram.
#[derive(Clone, Copy, Debug)]
pub(in crate::encode) struct Fields {
    pub(in crate::encode) schema: u32,
    pub(in crate::encode) zero_threshold: u32,
    pub(in crate::encode) zero_count: u32,
    /// Spans, and counts behind them.
    pub(in crate::encode) negative: (u32, u32),
    pub(in crate::encode) positive: (u32, u32),
}

/// A native histogram without its sum.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::encode) struct Native {
    pub(in crate::encode) count: u64,
    schema: i32,
    zero_count: u64,
    positive: Side,
    negative: Side,
}

/// The buckets above zero, or those below it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Side {
    /// Runs of buckets: how far behind the end of the one before, and how many.
    spans: Vec<(i32, u32)>,
    /// Each count less the one before.
    deltas: Vec<i64>,
}

impl Native {
    /// One without measurements.
    #[cfg(feature = "backends")]
    pub(in crate::encode) const EMPTY: Self = Self {
        count: 0,
        schema: 0,
        zero_count: 0,
        positive: Side {
            spans: Vec::new(),
            deltas: Vec::new(),
        },
        negative: Side {
            spans: Vec::new(),
            deltas: Vec::new(),
        },
    };

    /// The histogram of `buckets`; `None` where they are explicit, or too coarse for any schema.
    pub(in crate::encode) fn of(buckets: &Buckets) -> Option<Self> {
        let Buckets::Exponential {
            scale,
            zero_count,
            offset,
            counts,
            negative_offset,
            negative_counts,
        } = buckets
        else {
            return None;
        };
        let schema = (*scale).min(SCHEMA_MAX);
        if schema < SCHEMA_MIN {
            return None;
        }
        let by = scale.abs_diff(schema);
        let zero = match schema {
            0.. => ZERO_EXPONENT << schema,
            _ => ZERO_EXPONENT >> -schema,
        };
        let (positive, near_zero) = Side::new((*offset, counts), by, zero);
        let (negative, below_zero) = Side::new((*negative_offset, negative_counts), by, zero);
        let zero_count = zero_count + near_zero + below_zero;
        Some(Self {
            count: zero_count + positive.count() + negative.count(),
            schema,
            zero_count,
            positive,
            negative,
        })
    }

    /// Appends all but count and sum, whose numbers and kinds differ from message to message.
    pub(in crate::encode) fn write(&self, wire: &mut Wire, fields: Fields) {
        wire.varint_field(fields.schema, zigzag(self.schema.into()));
        wire.double_field(fields.zero_threshold, f64::from(ZERO_EXPONENT).exp2());
        wire.varint_field(fields.zero_count, self.zero_count);
        self.negative.write(wire, fields.negative);
        self.positive.write(wire, fields.positive);
    }
}

impl Side {
    /// The buckets of a run after `by` halvings of its resolution, and how many measurements are in those up to the one
    /// numbered `zero`.
    fn new((offset, counts): (i32, &[u64]), by: u32, zero: i32) -> (Self, u64) {
        let (mut side, mut near_zero) = (Self::default(), 0);
        let mut buckets: Vec<(i32, u64)> = Vec::with_capacity(counts.len());
        for (index, &count) in (offset..).zip(counts).filter(|&(_, &count)| count > 0) {
            let index = (index >> by.min(31)).saturating_add(1);
            if index <= zero {
                near_zero += count;
                continue;
            }
            match buckets.last_mut() {
                Some((last, sum)) if *last == index => *sum += count,
                _ => buckets.push((index, count)),
            }
        }
        let (mut next, mut before) = (0, 0);
        for (index, count) in buckets {
            let gap = index - next;
            match side.spans.last_mut() {
                Some((_, length)) if gap <= GAP_MAX => {
                    for _ in 0..gap {
                        side.deltas.push(-before);
                        before = 0;
                    }
                    *length += gap as u32 + 1;
                }
                _ => side.spans.push((gap, 1)),
            }
            side.deltas.push(count as i64 - before);
            (next, before) = (index + 1, count as i64);
        }
        (side, near_zero)
    }

    fn count(&self) -> u64 {
        let mut last = 0_i64;
        let counts = self.deltas.iter().map(|delta| {
            last += delta;
            last as u64
        });
        counts.sum()
    }

    fn write(&self, wire: &mut Wire, (spans, deltas): (u32, u32)) {
        for &(offset, length) in &self.spans {
            let span = wire.open(spans, 1);
            wire.varint_field(1, zigzag(offset.into()));
            wire.varint_field(2, length.into());
            wire.close(span);
        }
        if self.deltas.is_empty() {
            return;
        }
        let sizes = self.deltas.iter();
        wire.length_field(
            deltas,
            sizes.map(|&delta| varint_bytes(zigzag(delta))).sum(),
        );
        self.deltas
            .iter()
            .for_each(|&delta| wire.varint(zigzag(delta)));
    }
}

/// `sint32` and `sint64`: small magnitudes of either sign become small numbers.
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exponential(scale: i32, offset: i32, counts: &[u64]) -> Buckets {
        Buckets::Exponential {
            scale,
            zero_count: 3,
            offset,
            counts: counts.to_vec(),
            negative_offset: 0,
            negative_counts: vec![],
        }
    }

    /// Each bucket that is not empty: its index and count.
    fn read(side: &Side) -> Vec<(i32, u64)> {
        let (mut read, mut index, mut count) = (Vec::new(), 0, 0);
        let mut deltas = side.deltas.iter();
        for &(offset, length) in &side.spans {
            index += offset;
            for _ in 0..length {
                count += deltas.next().unwrap();
                if count > 0 {
                    read.push((index, count as u64));
                }
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        read
    }

    #[test]
    fn short_gaps_are_written_out_and_long_ones_begin_a_span() {
        let native = Native::of(&exponential(0, -1, &[2, 0, 0, 5, 0, 0, 0, 1])).unwrap();
        assert_eq!(native.positive.spans, [(0, 4), (3, 1)]);
        assert_eq!(native.positive.deltas, [2, -2, 0, 5, -4]);
        assert_eq!((native.count, native.zero_count), (11, 3));
        assert_eq!(native.negative, Side::default());
    }

    #[test]
    fn what_no_schema_has_is_made_coarser_or_left_out() {
        let native = Native::of(&exponential(10, 0, &[1, 1, 1, 1, 7])).unwrap();
        assert_eq!(native.schema, 8);
        assert_eq!(read(&native.positive), [(1, 4), (2, 7)]);
        assert_eq!(Native::of(&exponential(-5, 0, &[1])), None);
    }

    #[test]
    fn what_is_below_the_threshold_is_in_the_zero_bucket() {
        // Scale 1: bucket -257 ends at 2^-128, and the next one begins there.
        let native = Native::of(&exponential(1, -258, &[1, 1, 1])).unwrap();
        assert_eq!((native.zero_count, native.count), (5, 6));
        assert_eq!(read(&native.positive), [(-255, 1)]);
        let coarse = Native::of(&exponential(-4, -9, &[1, 1])).unwrap();
        assert_eq!((coarse.zero_count, coarse.count), (4, 5));
        assert_eq!(read(&coarse.positive), [(-7, 1)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_bucket_reads_back(
            offset in -200..200_i32,
            counts in proptest::collection::vec(prop_oneof![Just(0), 0..1000_u64], 0..160),
        ) {
            let native = Native::of(&exponential(5, offset, &counts)).unwrap();
            let expected: Vec<_> = (offset + 1..)
                .zip(counts.iter().copied())
                .filter(|&(_, count)| count > 0)
                .collect();
            prop_assert_eq!(read(&native.positive), expected);
            prop_assert_eq!(native.count, 3 + counts.iter().sum::<u64>());
        }
    }
}
