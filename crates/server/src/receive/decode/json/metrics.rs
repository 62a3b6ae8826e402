//! `ExportMetricsServiceRequest`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        attributes::{Attributes, Source},
        parts::{self, Buckets, Distribution, ExemplarItem, Range},
        readings::{Kind, Metric, NO_RECORDED_VALUE, Number, Points, Reading, Scratch},
        sink::{Sink, Unreadable},
    },
    items, list,
    scalars::{Double, Enum, Integer, Text, id_of, text_of, unsigned_of},
    values,
};

/// What the names of temporalities begin with, and those of their values.
const TEMPORALITY_PREFIX: &str = "AGGREGATION_TEMPORALITY_";
const TEMPORALITIES: [&str; 3] = ["UNSPECIFIED", "DELTA", "CUMULATIVE"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a metric, which is an object")]
struct Described<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    unit: Option<Text<'a>>,
    #[serde(borrow, default)]
    gauge: Option<Data<'a>>,
    #[serde(borrow, default)]
    sum: Option<Data<'a>>,
    #[serde(borrow, default)]
    histogram: Option<Data<'a>>,
    #[serde(borrow, default)]
    exponential_histogram: Option<Data<'a>>,
    #[serde(borrow, default)]
    summary: Option<Data<'a>>,
}

/// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram` or `Summary`.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "a metric's data, which is an object"
)]
#[expect(
    clippy::struct_field_names,
    reason = "fields have the names that OTLP gives them"
)]
struct Data<'a> {
    #[serde(borrow, default)]
    data_points: Option<&'a RawValue>,
    #[serde(default)]
    aggregation_temporality: Option<Enum>,
    #[serde(default)]
    is_monotonic: Option<bool>,
}

/// A data point of any kind.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "a data point, which is an object"
)]
struct Point<'a> {
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(default)]
    start_time_unix_nano: Option<Integer>,
    #[serde(default)]
    time_unix_nano: Option<Integer>,
    #[serde(default)]
    as_double: Option<Double>,
    #[serde(default)]
    as_int: Option<Integer>,
    #[serde(default)]
    count: Option<Integer>,
    #[serde(default)]
    sum: Option<Double>,
    #[serde(borrow, default)]
    bucket_counts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    explicit_bounds: Option<&'a RawValue>,
    #[serde(default)]
    scale: Option<Integer>,
    #[serde(default)]
    zero_count: Option<Integer>,
    #[serde(default)]
    zero_threshold: Option<Double>,
    #[serde(borrow, default)]
    positive: Option<ExponentialBuckets<'a>>,
    #[serde(borrow, default)]
    negative: Option<ExponentialBuckets<'a>>,
    #[serde(default)]
    min: Option<Double>,
    #[serde(default)]
    max: Option<Double>,
    #[serde(borrow, default)]
    quantile_values: Option<&'a RawValue>,
    #[serde(borrow, default)]
    exemplars: Option<&'a RawValue>,
    #[serde(default)]
    flags: Option<Integer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "buckets, which are an object")]
struct ExponentialBuckets<'a> {
    #[serde(default)]
    offset: Option<Integer>,
    #[serde(borrow, default)]
    bucket_counts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(expecting = "a quantile and its value, which are an object")]
struct ValueAtQuantile {
    #[serde(default)]
    quantile: Option<Double>,
    #[serde(default)]
    value: Option<Double>,
}

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "an exemplar, which is an object"
)]
struct Exemplar<'a> {
    #[serde(borrow, default)]
    filtered_attributes: Option<&'a RawValue>,
    #[serde(default)]
    time_unix_nano: Option<Integer>,
    #[serde(default)]
    as_double: Option<Double>,
    #[serde(default)]
    as_int: Option<Integer>,
    #[serde(borrow, default)]
    span_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    trace_id: Option<Text<'a>>,
}

/// Which buckets points of a metric have.
#[derive(Clone, Copy)]
enum Shape {
    None,
    Explicit,
    Exponential,
}

pub(super) fn read<'a>(groups: Option<&'a RawValue>, sink: &mut Sink) -> Result<(), Unreadable> {
    let mut attributes = Attributes::default();
    let mut scratch = Scratch::default();
    items(groups, sink, |sink, source, given: Described<'a>| {
        metric(sink, source, &given, &mut attributes, &mut scratch)
    })
}

fn metric<'a>(
    sink: &mut Sink,
    source: &Source,
    given: &Described<'a>,
    attributes: &mut Attributes<'a>,
    scratch: &mut Scratch,
) -> Result<(), Unreadable> {
    let is_monotonic = given
        .sum
        .as_ref()
        .and_then(|sum| sum.is_monotonic)
        .unwrap_or_default();
    let kinds = [
        (&given.gauge, Kind::Gauge, Shape::None),
        (&given.sum, Kind::Sum { is_monotonic }, Shape::None),
        (&given.histogram, Kind::Histogram, Shape::Explicit),
        (
            &given.exponential_histogram,
            Kind::Histogram,
            Shape::Exponential,
        ),
        (&given.summary, Kind::Summary, Shape::None),
    ];
    let found = kinds
        .into_iter()
        .find_map(|(data, kind, shape)| Some((data.as_ref()?, kind, shape)));
    let Some((data, kind, shape)) = found else {
        return Ok(());
    };
    let metric = Metric {
        name: text_of(given.name.as_ref()),
        unit: text_of(given.unit.as_ref()),
        kind,
        temporality: Enum::number(
            data.aggregation_temporality.as_ref(),
            TEMPORALITY_PREFIX,
            &TEMPORALITIES,
        ),
    };
    list(data.data_points, |at, point: Point<'a>| {
        sink.at_point(at);
        let reading = reading(&point, shape, attributes, scratch)?;
        if reading.flags & NO_RECORDED_VALUE != 0 {
            return Ok(());
        }
        let mut taker = Points {
            sink: &mut *sink,
            source,
            metric,
        };
        taker.take(&reading, attributes, scratch)
    })
}

fn reading<'a>(
    point: &Point<'a>,
    shape: Shape,
    attributes: &mut Attributes<'a>,
    scratch: &mut Scratch,
) -> Result<Reading, Unreadable> {
    attributes.clear();
    values::take(attributes, point.attributes)?;
    scratch.clear();
    list(point.exemplars, |_, given: Exemplar<'a>| {
        exemplar(&mut scratch.exemplars, &given)
    })?;
    list(point.quantile_values, |_, given: ValueAtQuantile| {
        let of = |number: Option<Double>| number.unwrap_or_default().0;
        parts::push_bucket(
            &mut scratch.quantiles,
            (of(given.quantile), of(given.value)),
        );
        Ok(())
    })?;
    parts::check_buckets(&scratch.quantiles)?;
    let buckets = match shape {
        Shape::None => Buckets::default(),
        Shape::Explicit => Buckets::Explicit {
            counts: counts(point.bucket_counts)?,
            bounds: bounds(point.explicit_bounds)?,
        },
        Shape::Exponential => Buckets::Exponential {
            scale: small(point.scale),
            zero_count: unsigned_of(point.zero_count),
            zero_threshold: point.zero_threshold.unwrap_or_default().0,
            positive: range(point.positive.as_ref())?,
            negative: range(point.negative.as_ref())?,
        },
    };
    scratch.distribution = Distribution {
        buckets,
        min: point.min.map(|min| min.0),
        max: point.max.map(|max| max.0),
    };
    let double = point.as_double.map(|value| Number::Double(value.0));
    Ok(Reading {
        start_unix_ns: unsigned_of(point.start_time_unix_nano),
        time_unix_ns: unsigned_of(point.time_unix_nano),
        flags: unsigned_of(point.flags),
        number: double.or(point.as_int.map(|value| Number::Int(value.signed()))),
        count: unsigned_of(point.count),
        sum: point.sum.map(|sum| sum.0),
    })
}

/// A number of 32 bits; those beyond are at its ends.
fn small(number: Option<Integer>) -> i32 {
    let number = number.unwrap_or_default().signed();
    number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

fn counts(given: Option<&RawValue>) -> Result<Vec<u64>, Unreadable> {
    let mut counts = Vec::new();
    list(given, |_, count: Integer| {
        parts::push_bucket(&mut counts, count.unsigned());
        Ok(())
    })?;
    parts::check_buckets(&counts)?;
    Ok(counts)
}

fn bounds(given: Option<&RawValue>) -> Result<Vec<f64>, Unreadable> {
    let mut bounds = Vec::new();
    list(given, |_, bound: Double| {
        parts::push_bucket(&mut bounds, bound.0);
        Ok(())
    })?;
    parts::check_buckets(&bounds)?;
    Ok(bounds)
}

fn range(given: Option<&ExponentialBuckets<'_>>) -> Result<Range, Unreadable> {
    let Some(given) = given else {
        return Ok(Range::default());
    };
    Ok(Range {
        offset: small(given.offset),
        counts: counts(given.bucket_counts)?,
    })
}

fn exemplar(exemplars: &mut String, given: &Exemplar<'_>) -> Result<(), Unreadable> {
    let double = given.as_double.map(|value| value.0);
    let item = ExemplarItem {
        time_unix_ns: unsigned_of(given.time_unix_nano),
        value: double.or(given.as_int.map(|value| value.signed() as f64)),
        trace_id: id_of(given.trace_id.as_ref()),
        span_id: id_of(given.span_id.as_ref()),
    };
    let attributes = given
        .filtered_attributes
        .filter(|list| values::has_any(list));
    let attributes = attributes.map(|list| move |out: &mut String| values::object(out, list));
    parts::push_exemplar(exemplars, &item, attributes)
}
