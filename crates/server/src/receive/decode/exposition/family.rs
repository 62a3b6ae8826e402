//! A family of series: one metric with all its label sets, and what rows it becomes.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use super::{
    super::{
        attributes::{Attributes, Source},
        parts::{Buckets, Distribution, ExemplarItem, push_bucket, push_exemplar},
        readings::{Kind, Metric, Number, Points, Reading, Scratch},
        sink::{Id, Sink, Unreadable},
        text,
    },
    line::{Exemplar, Labels, Sample, number},
};

const NS_PER_S: f64 = 1e9;
/// `AggregationTemporality.CUMULATIVE`.
const CUMULATIVE: i64 = 2;

/// What a family is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
    /// A histogram of what is now: its counts go up and down.
    GaugeHistogram,
    Summary,
    #[default]
    Unknown,
}

impl Type {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "counter" => Self::Counter,
            "gauge" | "info" | "stateset" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            _ => Self::Unknown,
        }
    }

    /// What may stand after the family's name in that of a sample.
    const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["", "_total", "_created"],
            Self::Gauge | Self::Unknown => &["", "_info"],
            Self::Histogram => &["_bucket", "_sum", "_count", "_created"],
            Self::GaugeHistogram => &["_bucket", "_gsum", "_gcount", "_sum", "_count"],
            Self::Summary => &["", "_sum", "_count", "_created"],
        }
    }

    const fn is_histogram(self) -> bool {
        matches!(self, Self::Histogram | Self::GaugeHistogram)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Family<'a> {
    name: &'a str,
    /// The name of one that no line of `# TYPE` named.
    own_name: Cow<'a, str>,
    kind: Type,
    unit: Cow<'a, str>,
    /// In the order in which they came.
    series: Vec<Series<'a>>,
    by_labels: HashMap<Labels<'a>, usize>,
}

#[derive(Debug, Default)]
struct Series<'a> {
    labels: Labels<'a>,
    line: usize,
    /// The name under which a counter's or gauge's value came.
    name: Cow<'a, str>,
    value: Option<f64>,
    sum: Option<f64>,
    count: Option<f64>,
    created_s: Option<f64>,
    time_unix_ns: u64,
    /// Upper bounds and how many were at most that.
    buckets: Vec<(f64, f64)>,
    quantiles: Vec<(f64, f64)>,
    exemplars: Vec<Exemplar<'a>>,
}

/// A gauge of ours.
pub(super) fn gauge(name: &'static str, unit: &'static str, value: f64) -> Family<'static> {
    let series = Series {
        name: Cow::Borrowed(name),
        value: Some(value),
        ..Series::default()
    };
    Family {
        name,
        kind: Type::Gauge,
        unit: Cow::Borrowed(unit),
        series: vec![series],
        ..Family::default()
    }
}

impl<'a> Family<'a> {
    pub(super) fn new(name: &'a str, kind: Type) -> Self {
        Self {
            name,
            kind,
            ..Self::default()
        }
    }

    /// One of which nothing is known but its name.
    pub(super) fn unnamed(name: Cow<'a, str>) -> Self {
        Self {
            own_name: name,
            ..Self::default()
        }
    }

    pub(super) const fn name(&self) -> &'a str {
        self.name
    }

    pub(super) const fn set_type(&mut self, kind: Type) {
        self.kind = kind;
    }

    pub(super) fn set_unit(&mut self, name: &str, unit: &'a str) {
        if self.name == name {
            self.unit = Cow::Borrowed(unit);
        }
    }

    pub(super) const fn has_totals(&self) -> bool {
        !matches!(self.kind, Type::Gauge | Type::Unknown)
    }

    fn called(&self) -> &str {
        if self.name.is_empty() {
            &self.own_name
        } else {
            self.name
        }
    }

    /// Takes a sample, or gives it back where it is of another family.
    pub(super) fn take(&mut self, line: usize, mut sample: Sample<'a>) -> Option<Sample<'a>> {
        let suffix = match sample.name.strip_prefix(self.called()) {
            Some(suffix) if self.kind.suffixes().contains(&suffix) => suffix.to_owned(),
            _ => return Some(sample),
        };
        if self.called().is_empty() {
            return Some(sample);
        }
        let of_bucket = |label: &str| {
            (self.kind.is_histogram() && label == "le")
                || (self.kind == Type::Summary && label == "quantile")
        };
        let bound = sample.labels.iter().position(|(name, _)| of_bucket(name));
        let bound = bound.map(|at| sample.labels.remove(at).1);
        sample.labels.sort_unstable();
        let series = self.series(line, sample.labels);
        series.time_unix_ns = series.time_unix_ns.max(sample.time_unix_ns);
        series.exemplars.extend(sample.exemplar);
        let value = sample.value;
        match (suffix.as_str(), bound.as_deref().map(number)) {
            ("_bucket", Some(Some(bound))) => push_bucket(&mut series.buckets, (bound, value)),
            ("", Some(Some(quantile))) => push_bucket(&mut series.quantiles, (quantile, value)),
            ("_sum" | "_gsum", _) => series.sum = Some(value),
            ("_count" | "_gcount", _) => series.count = Some(value),
            ("_created", _) => series.created_s = Some(value),
            // A bucket without a bound, or with one that is no number, says nothing.
            ("_bucket", _) | ("", Some(None)) => {}
            _ => {
                series.name = sample.name;
                series.value = Some(value);
            }
        }
        None
    }

    fn series(&mut self, line: usize, labels: Labels<'a>) -> &mut Series<'a> {
        let next = self.series.len();
        let at = match self.by_labels.entry(labels) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                self.series.push(Series {
                    labels: free.key().clone(),
                    line,
                    ..Series::default()
                });
                *free.insert(next)
            }
        };
        &mut self.series[at]
    }

    /// Makes rows of it.
    pub(super) fn finish(
        self,
        sink: &mut Sink,
        source: &Source,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        let family_name = self.called().to_owned();
        let unit = if self.unit.is_empty() {
            unit_of(&family_name).to_owned()
        } else {
            ucum(&self.unit).to_owned()
        };
        for series in self.series {
            sink.at(0, 0, series.line);
            // What began and has no value yet.
            if series.value.is_none()
                && series.count.is_none()
                && series.buckets.is_empty()
                && series.quantiles.is_empty()
            {
                continue;
            }
            let kind = self.kind;
            series.finish(kind, &family_name, &unit, sink, source, scratch)?;
        }
        Ok(())
    }
}

impl Series<'_> {
    fn finish(
        self,
        kind: Type,
        family_name: &str,
        unit: &str,
        sink: &mut Sink,
        source: &Source,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        // Prometheus' mark that a series has ended, and a gauge that has no value.
        let is_plain = !kind.is_histogram() && kind != Type::Summary;
        if is_plain && self.value.is_none_or(f64::is_nan) {
            return Ok(());
        }
        scratch.clear();
        for exemplar in &self.exemplars {
            push(&mut scratch.exemplars, exemplar)?;
        }
        let mut attributes = Attributes::default();
        for (name, value) in &self.labels {
            attributes.push_text(Cow::Borrowed(name), Cow::Borrowed(value));
        }
        if kind == Type::GaugeHistogram {
            attributes.push_text(
                Cow::Borrowed("radiosonde.kind"),
                Cow::Borrowed("gaugehistogram"),
            );
        }
        let reading = Reading {
            start_unix_ns: self.created_s.map_or(0, |s| (s * NS_PER_S) as u64),
            time_unix_ns: self.time_unix_ns,
            flags: 0,
            number: self.value.map(Number::Double),
            count: self.count.or_else(|| largest(&self.buckets)).unwrap_or(0.0) as u64,
            sum: self.sum,
        };
        let (kind, name) = match kind {
            Type::Counter => (Kind::Sum { is_monotonic: true }, &*self.name),
            Type::Gauge | Type::Unknown => (Kind::Gauge, &*self.name),
            Type::Histogram | Type::GaugeHistogram => {
                scratch.distribution = distribution(self.buckets, reading.count);
                (Kind::Histogram, family_name)
            }
            Type::Summary => {
                scratch.quantiles = self.quantiles;
                scratch.quantiles.retain(|(_, value)| !value.is_nan());
                (Kind::Summary, family_name)
            }
        };
        let metric = Metric {
            name,
            unit,
            kind,
            temporality: CUMULATIVE,
        };
        let mut points = Points {
            sink,
            source,
            metric,
        };
        points.take(&reading, &mut attributes, scratch)
    }
}

fn largest(buckets: &[(f64, f64)]) -> Option<f64> {
    buckets
        .iter()
        .map(|(_, count)| *count)
        .max_by(f64::total_cmp)
}

/// Counts of at most each bound as counts between bounds. Where they fall there is one count too few, which the sink
/// refuses.
fn distribution(mut buckets: Vec<(f64, f64)>, count: u64) -> Distribution {
    buckets.retain(|(bound, _)| !bound.is_nan());
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets.dedup_by(|a, b| a.0.total_cmp(&b.0).is_eq());
    let mut bounds: Vec<f64> = buckets.iter().map(|(bound, _)| *bound).collect();
    let mut below: Vec<u64> = buckets.iter().map(|(_, count)| *count as u64).collect();
    if bounds.last() == Some(&f64::INFINITY) {
        bounds.pop();
    } else {
        below.push(count);
    }
    let mut counts = Vec::with_capacity(below.len());
    let mut before = 0;
    for at_most in below {
        let Some(between) = at_most.checked_sub(before) else {
            break;
        };
        counts.push(between);
        before = at_most;
    }
    Distribution {
        buckets: Buckets::Explicit { counts, bounds },
        min: None,
        max: None,
    }
}

fn push(list: &mut String, exemplar: &Exemplar<'_>) -> Result<(), Unreadable> {
    let label = |wanted: &str| {
        let found = exemplar.labels.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value)
    };
    let item = ExemplarItem {
        time_unix_ns: exemplar.time_unix_ns,
        value: Some(exemplar.value),
        trace_id: Id::from_hex(label("trace_id")),
        span_id: Id::from_hex(label("span_id")),
    };
    let mut others = Attributes::default();
    for (name, value) in &exemplar.labels {
        if name != "trace_id" && name != "span_id" {
            others.push_text(Cow::Borrowed(name), Cow::Borrowed(value));
        }
    }
    let write = (others.len() > 0).then_some(|out: &mut String| {
        text::object(out, &others.all());
        Ok(())
    });
    push_exemplar(list, &item, write)
}

/// The unit that a name ends with (OpenMetrics, "Units and base units"), as UCUM.
pub(in super::super) fn unit_of(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let last = name.rsplit('_').next().unwrap_or(name);
    match ucum(last) {
        known if known != last => UNITS
            .iter()
            .find(|(_, unit)| *unit == known)
            .map_or("", |(_, unit)| unit),
        _ => "",
    }
}

/// Units as Prometheus' names spell them, and as UCUM has them.
const UNITS: [(&str, &str); 9] = [
    ("seconds", "s"),
    ("milliseconds", "ms"),
    ("microseconds", "us"),
    ("bytes", "By"),
    ("celsius", "Cel"),
    ("joules", "J"),
    ("watts", "W"),
    ("volts", "V"),
    ("ratio", "1"),
];

fn ucum(unit: &str) -> &str {
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    known.map_or(unit, |(_, ucum)| ucum)
}
