//! Series of metrics: `/api/v2/series` and `/api/v1/series`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        attributes::Attributes,
        json::{
            list, parse,
            scalars::{Double, Enum, Text, text_of},
        },
        names,
        protobuf::{Messages, utf8},
        readings::{Kind, Metric, Number, Points, Reading, Scratch},
        sink::{Reason, Sink, Unreadable},
        wire::{Field, Reader},
    },
    Origin, Tags,
};

const NS_PER_S: f64 = 1e9;
/// `AggregationTemporality.CUMULATIVE`: what is said of readings besides is among their attributes.
const CUMULATIVE: i64 = 2;
/// `MetricType` of version 2, whose names are those of version 1.
const TYPES: [&str; 4] = ["unspecified", "count", "rate", "gauge"];
const COUNT: i64 = 1;
const RATE: i64 = 2;

/// Units by Datadog's names, and as UCUM has them; others are in braces.
const UNITS: [(&str, &str); 10] = [
    ("second", "s"),
    ("millisecond", "ms"),
    ("microsecond", "us"),
    ("nanosecond", "ns"),
    ("byte", "By"),
    ("kibibyte", "KiBy"),
    ("mebibyte", "MiBy"),
    ("gibibyte", "GiBy"),
    ("percent", "%"),
    ("fraction", "1"),
];

/// What all points of a series have in common.
#[derive(Default)]
struct Series<'a> {
    name: Cow<'a, str>,
    unit: Cow<'a, str>,
    host: Cow<'a, str>,
    kind: i64,
    interval_s: f64,
    tags: Tags<'a>,
}

impl Series<'_> {
    /// How many seconds a value is of, where it is of what came since the reading before.
    fn since_s(&self) -> Option<f64> {
        let has_interval = self.interval_s > 0.0;
        (self.kind == COUNT || self.kind == RATE && has_interval).then_some(self.interval_s)
    }

    /// Makes rows of points, which `points` hands to what it is given: seconds since the Unix epoch, and a value.
    fn finish(
        &self,
        sink: &mut Sink,
        origin: &mut Origin,
        scratch: &mut Scratch,
        points: impl FnOnce(
            &mut dyn FnMut(f64, Option<f64>) -> Result<(), Unreadable>,
        ) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut attributes = Attributes::default();
        self.tags.give(&mut attributes);
        let since_s = self.since_s();
        if since_s.is_some() {
            let temporality = Cow::Borrowed(names::TEMPORALITY);
            attributes.push_text(temporality, Cow::Borrowed(names::DELTA));
        }
        if attributes.has_too_many() {
            sink.reject(Reason::Attributes);
            return Ok(());
        }
        let is_monotonic = true;
        let unit = unit(&self.unit);
        let metric = Metric {
            name: &self.name,
            unit: &unit,
            kind: since_s.map_or(Kind::Gauge, |_| Kind::Sum { is_monotonic }),
            temporality: CUMULATIVE,
        };
        let source = origin.set([&self.tags.service, &self.host, "", ""]);
        let mut at = 0;
        points(&mut |time_s, value| {
            sink.at_point(at);
            at += 1;
            let times = if self.kind == RATE {
                since_s.unwrap_or(1.0)
            } else {
                1.0
            };
            let reading = Reading {
                start_unix_ns: since_s.map_or(0, |since_s| nanoseconds(time_s - since_s)),
                time_unix_ns: nanoseconds(time_s),
                number: value.map(|value| Number::Double(value * times)),
                ..Reading::default()
            };
            scratch.clear();
            let mut points = Points {
                sink,
                source,
                metric,
            };
            points.take(&reading, &mut attributes, scratch)
        })
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    // What is less than zero, or no number, is no time: 0.
    (seconds * NS_PER_S) as u64
}

fn unit(name: &str) -> Cow<'static, str> {
    let known = UNITS.iter().find(|(known, _)| *known == name);
    match known {
        Some((_, unit)) => Cow::Borrowed(unit),
        None if name.is_empty() => Cow::Borrowed(""),
        None => Cow::Owned(format!("{{{name}}}")),
    }
}

#[derive(Deserialize)]
#[serde(expecting = "a list of series, which is an object")]
struct GivenRequest<'a> {
    #[serde(borrow)]
    series: &'a RawValue,
}

/// A series of either version.
#[derive(Deserialize)]
#[serde(expecting = "a series, which is an object")]
struct GivenSeries<'a> {
    #[serde(borrow, default)]
    metric: Option<Text<'a>>,
    #[serde(borrow, default)]
    unit: Option<Text<'a>>,
    #[serde(borrow, default)]
    host: Option<Text<'a>>,
    #[serde(rename = "type", default)]
    kind: Option<Enum>,
    /// In seconds.
    #[serde(default)]
    interval: Option<Double>,
    #[serde(borrow, default)]
    tags: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resources: Option<&'a RawValue>,
    #[serde(borrow, default)]
    points: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(expecting = "a resource, which is an object")]
struct GivenResource<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
}

/// A point: a list of a time and a value, as in version 1, or an object of both, as in version 2.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a point, which is [time, value] or an object of timestamp and value"
)]
enum GivenPoint {
    Pair(Double, Option<Double>),
    Named {
        #[serde(default)]
        timestamp: Double,
        #[serde(default)]
        value: Option<Double>,
    },
}

/// Reads series in JSON, of either version.
pub(super) fn read_json(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let Ok(text) = std::str::from_utf8(request) else {
        return Err(Unreadable::Malformed("it is not UTF-8".to_owned()));
    };
    let request: GivenRequest<'_> = parse(text)?;
    let (mut origin, mut scratch) = (Origin::default(), Scratch::default());
    list(Some(request.series), |at, given: GivenSeries<'_>| {
        sink.at(0, 0, at);
        let mut series = Series {
            name: given.metric.unwrap_or_default().0,
            unit: given.unit.unwrap_or_default().0,
            host: given.host.unwrap_or_default().0,
            kind: Enum::number(given.kind.as_ref(), "", &TYPES),
            interval_s: given.interval.unwrap_or_default().0,
            tags: Tags::default(),
        };
        list(given.tags, |_, Text(tag)| {
            series.tags.take(tag);
            Ok(())
        })?;
        list(given.resources, |_, resource: GivenResource<'_>| {
            if text_of(resource.kind.as_ref()) == "host" {
                series.host = resource.name.unwrap_or_default().0;
            }
            Ok(())
        })?;
        series.finish(sink, &mut origin, &mut scratch, |take| {
            list(given.points, |_, point: GivenPoint| match point {
                GivenPoint::Pair(time_s, value)
                | GivenPoint::Named {
                    timestamp: time_s,
                    value,
                } => take(time_s.0, value.map(|value| value.0)),
            })
        })
    })
}

/// Reads `MetricPayload{series=1}` (github.com/DataDog/agent-payload, `proto/metrics/agent_payload.proto`).
pub(super) fn read_protobuf(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let (mut origin, mut scratch) = (Origin::default(), Scratch::default());
    let mut all = Messages::new(request, 1);
    let mut at = 0;
    while let Some(message) = all.next()? {
        sink.at(0, 0, at);
        at += 1;
        let series = series_of(message)?;
        series.finish(sink, &mut origin, &mut scratch, |take| {
            // `MetricPoint{value=1, timestamp=2}`.
            let mut points = Messages::new(message, 4);
            while let Some(point) = points.next()? {
                let (mut value, mut time) = (0.0, 0);
                let mut fields = Reader::new(point);
                while let Some(field) = fields.field()? {
                    match field {
                        (1, Field::Fixed64(bits)) => value = f64::from_bits(bits),
                        (2, Field::Varint(seconds)) => time = seconds.cast_signed(),
                        _ => {}
                    }
                }
                take(time as f64, Some(value))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// `MetricSeries{resources=1{type=1, name=2}, metric=2, tags=3, type=5, unit=6, interval=8}`.
fn series_of(message: &[u8]) -> Result<Series<'_>, Unreadable> {
    let mut series = Series::default();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(resource)) => {
                let kind = Messages::new(resource, 1).last()?;
                if kind == Some(b"host") {
                    let name = Messages::new(resource, 2).last()?;
                    series.host = utf8(name.unwrap_or_default());
                }
            }
            (2, Field::Bytes(name)) => series.name = utf8(name),
            (3, Field::Bytes(tag)) => series.tags.take(utf8(tag)),
            (5, Field::Varint(kind)) => series.kind = kind.cast_signed(),
            (6, Field::Bytes(name)) => series.unit = utf8(name),
            (8, Field::Varint(seconds)) => series.interval_s = seconds.cast_signed() as f64,
            _ => {}
        }
    }
    Ok(series)
}
