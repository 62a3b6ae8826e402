//! Prometheus' native histograms: buckets in spans, a count for each, of which whole ones are differences from the one before.
//!
//! Prometheus' bucket of an index ends at that power of the base, OpenTelemetry's begins there, so that theirs is ours of one less.

use super::{
    super::{
        parts::{BUCKETS_MAX, Buckets, Distribution, Range, check_buckets, push_bucket},
        protobuf::Messages,
        readings::Reading,
        sink::{Reason, Unreadable},
        wire::{Field, Malformed, Reader, repeated_fixed64, repeated_varint, zigzag, zigzag64},
    },
    nanoseconds,
};

/// Prometheus' mark that a series has ended, among the numbers that are none (`model/value/value.go`).
const STALE: u64 = 0x7ff0_0000_0000_0002;
/// The schema of buckets whose bounds are listed.
const CUSTOM: i32 = -53;
/// The coarsest and the finest of buckets between powers.
const SCHEMAS: std::ops::RangeInclusive<i32> = -9..=52;

/// Whether a value says that its series has ended.
pub(super) const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE
}

/// What lies on the wire of one side of zero.
#[derive(Default)]
struct Side {
    /// Of the buckets in the order of spans.
    counts: Vec<u64>,
    /// What the last difference led to.
    last: i64,
}

impl Side {
    /// Differences, each a `sint64`.
    fn differences(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        repeated_varint(field, |number| {
            self.last = self.last.wrapping_add(zigzag64(number));
            push_bucket(&mut self.counts, self.last.max(0).cast_unsigned());
        })
    }

    /// Counts that may be parts of one.
    fn floats(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        repeated_fixed64(field, |bits| {
            push_bucket(&mut self.counts, whole(f64::from_bits(bits)));
        })
    }

    /// Puts counts where `spans`, each `BucketSpan{offset=1, length=2}`, say.
    fn laid_out(&self, mut spans: Messages<'_>) -> Result<Result<Range, Reason>, Unreadable> {
        check_buckets(&self.counts)?;
        let mut counts = self.counts.iter();
        let mut range = Range::default();
        let (mut next, mut first) = (0_i64, None);
        while let Some(span) = spans.next()? {
            let (mut offset, mut length) = (0, 0);
            let mut fields = Reader::new(span);
            while let Some(field) = fields.field()? {
                match field {
                    (1, Field::Varint(number)) => offset = i64::from(zigzag(number)),
                    (2, Field::Varint(number)) => length = number,
                    _ => {}
                }
            }
            next = next.saturating_add(offset);
            for _ in 0..length {
                let Some(count) = counts.next() else {
                    return Ok(Err(Reason::Spans));
                };
                let Ok(at) = usize::try_from(next - *first.get_or_insert(next)) else {
                    return Ok(Err(Reason::Spans));
                };
                if at < range.counts.len() {
                    return Ok(Err(Reason::Spans));
                }
                // Whatever is between spans is empty, and within the same bound.
                range.counts.resize(at.min(BUCKETS_MAX + 1), 0);
                check_buckets(&range.counts)?;
                range.counts.push(*count);
                next += 1;
            }
        }
        let offset = i32::try_from(first.unwrap_or(0));
        Ok(match (counts.next(), offset) {
            (None, Ok(offset)) => {
                range.offset = offset;
                Ok(range)
            }
            _ => Err(Reason::Spans),
        })
    }
}

fn whole(count: f64) -> u64 {
    // What is less than zero, or no number, is none.
    count.round() as u64
}

/// Reads a `Histogram{count_int=1, count_float=2, sum=3, schema=4, zero_threshold=5, zero_count_int=6, zero_count_float=7,
/// negative_spans=8, negative_deltas=9, negative_counts=10, positive_spans=11, positive_deltas=12, positive_counts=13,
/// timestamp=15, custom_values=16, start_timestamp=17}`.
pub(super) fn read(
    message: &[u8],
    distribution: &mut Distribution,
) -> Result<Result<Reading, Reason>, Unreadable> {
    let mut reading = Reading {
        sum: Some(0.0),
        ..Reading::default()
    };
    let (mut schema, mut zero_threshold, mut zero_count) = (0, 0.0, 0);
    let (mut negative, mut positive) = (Side::default(), Side::default());
    let mut bounds = Vec::new();
    let mut fields = Reader::new(message);
    while let Some((number, field)) = fields.field()? {
        match (number, field) {
            (1, Field::Varint(count)) => reading.count = count,
            (2, Field::Fixed64(bits)) => reading.count = whole(f64::from_bits(bits)),
            (3, Field::Fixed64(bits)) => reading.sum = Some(f64::from_bits(bits)),
            (4, Field::Varint(number)) => schema = zigzag(number),
            (5, Field::Fixed64(bits)) => zero_threshold = f64::from_bits(bits),
            (6, Field::Varint(count)) => zero_count = count,
            (7, Field::Fixed64(bits)) => zero_count = whole(f64::from_bits(bits)),
            (9, field) => negative.differences(field)?,
            (10, field) => negative.floats(field)?,
            (12, field) => positive.differences(field)?,
            (13, field) => positive.floats(field)?,
            (15, Field::Varint(time)) => reading.time_unix_ns = nanoseconds(time),
            (16, field) => repeated_fixed64(field, |bits| {
                push_bucket(&mut bounds, f64::from_bits(bits));
            })?,
            (17, Field::Varint(time)) => reading.start_unix_ns = nanoseconds(time),
            _ => {}
        }
    }
    let positive = positive.laid_out(Messages::new(message, 11))?;
    let negative = negative.laid_out(Messages::new(message, 8))?;
    let (Ok(positive), Ok(negative)) = (positive, negative) else {
        return Ok(Err(Reason::Spans));
    };
    check_buckets(&bounds)?;
    distribution.buckets = if schema == CUSTOM {
        match explicit(&positive, bounds) {
            Some(buckets) => buckets,
            None => return Ok(Err(Reason::Spans)),
        }
    } else if SCHEMAS.contains(&schema) {
        Buckets::Exponential {
            scale: schema,
            zero_count,
            zero_threshold,
            positive: ours(positive),
            negative: ours(negative),
        }
    } else {
        return Ok(Err(Reason::Spans));
    };
    Ok(Ok(reading))
}

/// Buckets between bounds of their own, of which the first is 0.
fn explicit(range: &Range, bounds: Vec<f64>) -> Option<Buckets> {
    let first = usize::try_from(range.offset).ok()?;
    let mut counts = vec![0; bounds.len() + 1];
    let places = counts.get_mut(first..first.checked_add(range.counts.len())?)?;
    places.copy_from_slice(&range.counts);
    Some(Buckets::Explicit { counts, bounds })
}

fn ours(range: Range) -> Range {
    Range {
        offset: if range.counts.is_empty() {
            0
        } else {
            range.offset.saturating_sub(1)
        },
        ..range
    }
}
