//! What readings of metrics become, whichever way they came: one row each, but of a summary one for each of its quantiles,
//! its count and its sum.

use std::borrow::Cow;

use radiosonde_store::row::{PointKind, Value};

use super::{
    attributes::{Attributes, Source},
    names,
    parts::Distribution,
    sink::{PointItem, Reason, Sink, Unreadable},
};

/// `DataPointFlags.NO_RECORDED_VALUE_MASK`: the series has ended, and this is no reading.
pub(super) const NO_RECORDED_VALUE: u64 = 1;
/// `AggregationTemporality.DELTA`.
const DELTA: i64 = 1;

/// What all readings of a metric have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric<'a> {
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    pub(super) kind: Kind,
    /// `AggregationTemporality`.
    pub(super) temporality: i64,
}

/// OTLP's kinds of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Sum { is_monotonic: bool },
    Histogram,
    Summary,
}

impl Kind {
    const fn row(self) -> PointKind {
        match self {
            Self::Gauge | Self::Summary => PointKind::Gauge,
            Self::Sum { is_monotonic: true } => PointKind::Counter,
            Self::Sum {
                is_monotonic: false,
            } => PointKind::UpDownCounter,
            Self::Histogram => PointKind::Histogram,
        }
    }
}

/// A number of either type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Int(i64),
    Double(f64),
}

impl Number {
    pub(super) const fn get(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

/// What a data point has besides what is in [`Scratch`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    pub(super) start_unix_ns: u64,
    pub(super) time_unix_ns: u64,
    pub(super) flags: u64,
    /// Of gauges and sums.
    pub(super) number: Option<Number>,
    /// Of histograms and summaries.
    pub(super) count: u64,
    /// Of histograms and summaries.
    pub(super) sum: Option<f64>,
}

/// Lists of the data point at hand.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// A JSON list without its end.
    pub(super) exemplars: String,
    pub(super) distribution: Distribution,
    /// Quantiles and their values.
    pub(super) quantiles: Vec<(f64, f64)>,
    json: String,
    name: String,
}

impl Scratch {
    /// Begins with the next data point.
    pub(super) fn clear(&mut self) {
        self.exemplars.clear();
        self.distribution = Distribution::default();
        self.quantiles.clear();
    }
}

/// Takes the readings of a metric.
pub(super) struct Points<'a, 's> {
    pub(super) sink: &'s mut Sink,
    pub(super) source: &'s Source,
    pub(super) metric: Metric<'a>,
}

impl Points<'_, '_> {
    /// Takes a reading.
    pub(super) fn take(
        &mut self,
        reading: &Reading,
        attributes: &mut Attributes<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        if self.metric.temporality == DELTA {
            attributes.push_text(
                Cow::Borrowed(names::TEMPORALITY),
                Cow::Borrowed(names::DELTA),
            );
        }
        super::parts::close_list(&mut scratch.exemplars);
        match self.metric.kind {
            Kind::Gauge | Kind::Sum { .. } => {
                let value = reading.number.map(Number::get).ok_or(Reason::Value);
                self.point(reading, value, attributes, &scratch.exemplars)?;
                Ok(())
            }
            Kind::Histogram => self.histogram(reading, attributes, scratch),
            Kind::Summary => self.summary(reading, attributes, scratch),
        }
    }

    fn item<'b>(&self, reading: &Reading, value: Result<f64, Reason>) -> PointItem<'b> {
        PointItem {
            name: "",
            unit: "",
            kind: self.metric.kind.row(),
            start_unix_ns: reading.start_unix_ns,
            time_unix_ns: reading.time_unix_ns,
            value,
            count: 0,
            distribution: "",
            exemplars: "",
        }
    }

    fn point(
        &mut self,
        reading: &Reading,
        value: Result<f64, Reason>,
        attributes: &Attributes<'_>,
        exemplars: &str,
    ) -> Result<bool, Unreadable> {
        let point = PointItem {
            name: self.metric.name,
            unit: self.metric.unit,
            exemplars,
            ..self.item(reading, value)
        };
        self.sink.point(self.source, &point, attributes)
    }

    fn histogram(
        &mut self,
        reading: &Reading,
        attributes: &Attributes<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        scratch.json.clear();
        scratch.distribution.write(&mut scratch.json);
        // One without a sum measures what may be negative: a sum that is not known is no number.
        let sum = reading.sum.unwrap_or(f64::NAN);
        let point = PointItem {
            name: self.metric.name,
            unit: self.metric.unit,
            count: reading.count,
            distribution: &scratch.json,
            exemplars: &scratch.exemplars,
            ..self.item(reading, scratch.distribution.check().map(|()| sum))
        };
        self.sink.point(self.source, &point, attributes)?;
        Ok(())
    }

    fn summary(
        &mut self,
        reading: &Reading,
        attributes: &mut Attributes<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        for (suffix, value, unit) in [
            (names::COUNT_SUFFIX, reading.count as f64, ""),
            (
                names::SUM_SUFFIX,
                reading.sum.unwrap_or(0.0),
                self.metric.unit,
            ),
        ] {
            scratch.name.clear();
            if !self.metric.name.is_empty() {
                scratch.name.push_str(self.metric.name);
                scratch.name.push_str(suffix);
            }
            let point = PointItem {
                name: &scratch.name,
                unit,
                kind: PointKind::Counter,
                ..self.item(reading, Ok(value))
            };
            if !self.sink.point(self.source, &point, attributes)? {
                return Ok(());
            }
        }
        let own = attributes.len();
        for &(quantile, value) in &scratch.quantiles {
            attributes.truncate(own);
            attributes.push(Cow::Borrowed(names::QUANTILE), Value::Float(quantile));
            self.point(reading, Ok(value), attributes, "")?;
        }
        Ok(())
    }
}
