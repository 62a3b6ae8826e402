//! `ExportMetricsServiceRequest` (opentelemetry/proto/metrics/v1/metrics.proto).

use super::{
    super::{
        DEPTH_MAX,
        attributes::{Attributes, Source},
        parts::{self, Buckets, Distribution, ExemplarItem, Range},
        readings::{Kind, Metric, NO_RECORDED_VALUE, Number, Points, Reading, Scratch},
        sink::{Id, Sink, Unreadable},
        wire::{Field, Malformed, Reader, repeated_fixed64, repeated_varint, zigzag},
    },
    Messages, items, key_value, object, utf8,
};

pub(super) fn read<'a>(request: &'a [u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let mut attributes = Attributes::default();
    let mut scratch = Scratch::default();
    items(request, sink, |sink, source, message: &'a [u8]| {
        metric(sink, source, message, &mut attributes, &mut scratch)
    })
}

/// Takes a `Metric{name=1, unit=3, data=5|7|9|10|11}`.
fn metric<'a>(
    sink: &mut Sink,
    source: &Source,
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
    scratch: &mut Scratch,
) -> Result<(), Unreadable> {
    let (mut name, mut unit, mut data) = (&[][..], &[][..], None);
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(text)) => name = text,
            (3, Field::Bytes(text)) => unit = text,
            (number @ (5 | 7 | 9 | 10 | 11), Field::Bytes(message)) => {
                data = Some((number, message));
            }
            _ => {}
        }
    }
    let Some((number, data)) = data else {
        return Ok(());
    };
    let (temporality, is_monotonic) = sums(data)?;
    let (name, unit) = (utf8(name), utf8(unit));
    let metric = Metric {
        name: &name,
        unit: &unit,
        kind: match number {
            5 => Kind::Gauge,
            7 => Kind::Sum { is_monotonic },
            11 => Kind::Summary,
            _ => Kind::Histogram,
        },
        temporality,
    };
    let mut points = Messages::new(data, 1);
    let mut at = 0;
    while let Some(message) = points.next()? {
        sink.at_point(at);
        at += 1;
        attributes.clear();
        scratch.clear();
        let reading = match number {
            5 | 7 => number_point(message, attributes, scratch),
            9 => histogram_point(message, attributes, scratch),
            10 => exponential_point(message, attributes, scratch),
            _ => summary_point(message, attributes, scratch),
        }?;
        if reading.flags & NO_RECORDED_VALUE == 0 {
            let mut taker = Points {
                sink: &mut *sink,
                source,
                metric,
            };
            taker.take(&reading, attributes, scratch)?;
        }
    }
    Ok(())
}

/// `aggregation_temporality=2` and `is_monotonic=3` of `Sum`, `Histogram` and `ExponentialHistogram`; others have neither.
fn sums(data: &[u8]) -> Result<(i64, bool), Malformed> {
    let (mut temporality, mut is_monotonic) = (0, false);
    let mut fields = Reader::new(data);
    while let Some(field) = fields.field()? {
        match field {
            (2, Field::Varint(number)) => temporality = number.cast_signed(),
            (3, Field::Varint(number)) => is_monotonic = number != 0,
            _ => {}
        }
    }
    Ok((temporality, is_monotonic))
}

/// `NumberDataPoint`.
fn number_point<'a>(
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
    scratch: &mut Scratch,
) -> Result<Reading, Unreadable> {
    let mut reading = Reading::default();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (2, Field::Fixed64(time)) => reading.start_unix_ns = time,
            (3, Field::Fixed64(time)) => reading.time_unix_ns = time,
            (4, Field::Fixed64(bits)) => {
                reading.number = Some(Number::Double(f64::from_bits(bits)));
            }
            (5, Field::Bytes(message)) => exemplar(&mut scratch.exemplars, message)?,
            (6, Field::Fixed64(bits)) => reading.number = Some(Number::Int(bits.cast_signed())),
            (7, Field::Bytes(entry)) => key_value(attributes, entry)?,
            (8, Field::Varint(flags)) => reading.flags = flags,
            _ => {}
        }
    }
    Ok(reading)
}

/// `HistogramDataPoint`.
fn histogram_point<'a>(
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
    scratch: &mut Scratch,
) -> Result<Reading, Unreadable> {
    let mut reading = Reading::default();
    let (mut counts, mut bounds) = (Vec::new(), Vec::new());
    let mut fields = Reader::new(message);
    while let Some((number, field)) = fields.field()? {
        match (number, field) {
            (2, Field::Fixed64(time)) => reading.start_unix_ns = time,
            (3, Field::Fixed64(time)) => reading.time_unix_ns = time,
            (4, Field::Fixed64(count)) => reading.count = count,
            (5, Field::Fixed64(bits)) => reading.sum = Some(f64::from_bits(bits)),
            (6, field) => repeated_fixed64(field, |count| parts::push_bucket(&mut counts, count))?,
            (7, field) => repeated_fixed64(field, |bits| {
                parts::push_bucket(&mut bounds, f64::from_bits(bits));
            })?,
            (8, Field::Bytes(message)) => exemplar(&mut scratch.exemplars, message)?,
            (9, Field::Bytes(entry)) => key_value(attributes, entry)?,
            (10, Field::Varint(flags)) => reading.flags = flags,
            (11, Field::Fixed64(bits)) => scratch.distribution.min = Some(f64::from_bits(bits)),
            (12, Field::Fixed64(bits)) => scratch.distribution.max = Some(f64::from_bits(bits)),
            _ => {}
        }
    }
    parts::check_buckets(&counts)?;
    parts::check_buckets(&bounds)?;
    scratch.distribution.buckets = Buckets::Explicit { counts, bounds };
    Ok(reading)
}

/// `ExponentialHistogramDataPoint`.
fn exponential_point<'a>(
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
    scratch: &mut Scratch,
) -> Result<Reading, Unreadable> {
    let mut reading = Reading::default();
    let mut distribution = Distribution::default();
    let (mut scale, mut zero_count, mut zero_threshold) = (0, 0, 0.0);
    let (mut positive, mut negative) = (Range::default(), Range::default());
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(entry)) => key_value(attributes, entry)?,
            (2, Field::Fixed64(time)) => reading.start_unix_ns = time,
            (3, Field::Fixed64(time)) => reading.time_unix_ns = time,
            (4, Field::Fixed64(count)) => reading.count = count,
            (5, Field::Fixed64(bits)) => reading.sum = Some(f64::from_bits(bits)),
            (6, Field::Varint(number)) => scale = zigzag(number),
            (7, Field::Fixed64(count)) => zero_count = count,
            (8, Field::Bytes(message)) => buckets(&mut positive, message)?,
            (9, Field::Bytes(message)) => buckets(&mut negative, message)?,
            (10, Field::Varint(flags)) => reading.flags = flags,
            (11, Field::Bytes(message)) => exemplar(&mut scratch.exemplars, message)?,
            (12, Field::Fixed64(bits)) => distribution.min = Some(f64::from_bits(bits)),
            (13, Field::Fixed64(bits)) => distribution.max = Some(f64::from_bits(bits)),
            (14, Field::Fixed64(bits)) => zero_threshold = f64::from_bits(bits),
            _ => {}
        }
    }
    distribution.buckets = Buckets::Exponential {
        scale,
        zero_count,
        zero_threshold,
        positive,
        negative,
    };
    scratch.distribution = distribution;
    Ok(reading)
}

/// `ExponentialHistogramDataPoint.Buckets{offset=1, bucket_counts=2}`.
fn buckets(range: &mut Range, message: &[u8]) -> Result<(), Unreadable> {
    let mut fields = Reader::new(message);
    while let Some((number, field)) = fields.field()? {
        match (number, field) {
            (1, Field::Varint(number)) => range.offset = zigzag(number),
            (2, field) => {
                repeated_varint(field, |count| parts::push_bucket(&mut range.counts, count))?;
            }
            _ => {}
        }
    }
    parts::check_buckets(&range.counts)
}

/// `SummaryDataPoint`.
fn summary_point<'a>(
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
    scratch: &mut Scratch,
) -> Result<Reading, Unreadable> {
    let mut reading = Reading::default();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (2, Field::Fixed64(time)) => reading.start_unix_ns = time,
            (3, Field::Fixed64(time)) => reading.time_unix_ns = time,
            (4, Field::Fixed64(count)) => reading.count = count,
            (5, Field::Fixed64(bits)) => reading.sum = Some(f64::from_bits(bits)),
            (6, Field::Bytes(message)) => {
                parts::push_bucket(&mut scratch.quantiles, quantile(message)?);
            }
            (7, Field::Bytes(entry)) => key_value(attributes, entry)?,
            (8, Field::Varint(flags)) => reading.flags = flags,
            _ => {}
        }
    }
    parts::check_buckets(&scratch.quantiles)?;
    Ok(reading)
}

/// `SummaryDataPoint.ValueAtQuantile{quantile=1, value=2}`.
fn quantile(message: &[u8]) -> Result<(f64, f64), Malformed> {
    let (mut quantile, mut value) = (0.0, 0.0);
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Fixed64(bits)) => quantile = f64::from_bits(bits),
            (2, Field::Fixed64(bits)) => value = f64::from_bits(bits),
            _ => {}
        }
    }
    Ok((quantile, value))
}

/// Appends an `Exemplar`.
fn exemplar(list: &mut String, message: &[u8]) -> Result<(), Malformed> {
    let mut exemplar = ExemplarItem::default();
    let mut has_attributes = false;
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (2, Field::Fixed64(time)) => exemplar.time_unix_ns = time,
            (3, Field::Fixed64(bits)) => exemplar.value = Some(f64::from_bits(bits)),
            (4, Field::Bytes(id)) => exemplar.span_id = Id::from_bytes(id),
            (5, Field::Bytes(id)) => exemplar.trace_id = Id::from_bytes(id),
            (6, Field::Fixed64(bits)) => exemplar.value = Some(bits.cast_signed() as f64),
            (7, Field::Bytes(_)) => has_attributes = true,
            _ => {}
        }
    }
    let attributes = |out: &mut String| object(out, Messages::new(message, 7), DEPTH_MAX);
    parts::push_exemplar(list, &exemplar, has_attributes.then_some(attributes))
}
