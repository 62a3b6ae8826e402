//! Which labels make how many series, who sends them, what they cost, and which of them are identifiers.
//!
//! Invariant: what is said to be left without a label is counted, not estimated: the label is taken away from every series, and
//! those that are then the same are counted once. Bytes are an estimate, by a formula that is written down at [`Series::bytes`].
//!
//! Deterministic: the same series give the same report, in whichever order they come.

mod identifier;
mod rule;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use serde::Serialize;

pub use self::{
    identifier::{Identifier, Kind},
    rule::Rule,
};

/// Bytes of a reading, before compression: its time and start in nanoseconds, and its value, eight bytes each.
pub const READING_BYTES: u64 = 24;
/// Values of a label that are shown.
const TOP: usize = 3;

/// One series, as it was received.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Who sent it, by name.
    pub service: String,
    /// What tells one sender from another of the same service: the resource, or anything else that differs between them.
    pub sender: String,
    /// The metric, by the name that it was sent with.
    pub metric: String,
    /// `counter`, `gauge`, `up_down_counter` or `histogram`.
    pub kind: String,
    /// Names and values, each name once.
    pub labels: Vec<(String, String)>,
    /// When its first reading is from, in nanoseconds since the Unix epoch: values that grow with it may be numbers.
    pub first_unix_ns: i64,
    /// Readings of it.
    pub readings: u64,
    /// Bytes of the distributions and exemplars of all its readings.
    pub payload_bytes: u64,
}

impl Series {
    /// What it takes before compression: the text of its labels once, [`READING_BYTES`] for each reading, and what its
    /// readings have besides.
    pub fn bytes(&self) -> u64 {
        let labels = self.labels.iter();
        let text: usize = labels.map(|(name, value)| name.len() + value.len()).sum();
        (text as u64)
            .saturating_add(self.readings.saturating_mul(READING_BYTES))
            .saturating_add(self.payload_bytes)
    }

    /// What tells it from other series once this label is gone.
    fn without<'a>(&'a self, dropped: Option<&str>) -> u64 {
        let mut labels: Vec<&'a (String, String)> = self
            .labels
            .iter()
            .filter(|(name, _)| Some(name.as_str()) != dropped)
            .collect();
        labels.sort_unstable();
        // Its keys are fixed, so that the same series give the same report.
        let mut hasher = DefaultHasher::new();
        (&self.service, &self.sender, labels).hash(&mut hasher);
        hasher.finish()
    }
}

/// A value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The value.
    pub value: String,
    /// How many series have it.
    pub series: usize,
}

/// What a label costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// How many different values it has.
    pub values: usize,
    /// Those that most series have.
    pub top: Vec<Held>,
    /// Who sends it.
    pub services: Vec<String>,
    /// How many series the metric would have without it.
    pub series_without: usize,
    /// How many that saves.
    pub series_saved: usize,
    /// How many bytes that saves, where series that become one are read as often as the one of them that is read most.
    pub bytes_saved: u64,
    /// Why it looks like an identifier, where it does.
    pub identifier: Option<Identifier>,
    /// What takes it away, where that saves anything.
    pub rule: Option<Rule>,
}

/// Who sends a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Emitter {
    /// The service.
    pub service: String,
    /// Its series of the metric.
    pub series: usize,
    /// What they take.
    pub bytes: u64,
}

/// A metric and its labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// How many series it has.
    pub series: usize,
    /// What they take.
    pub bytes: u64,
    /// Who sends it, those with the most series first.
    pub services: Vec<Emitter>,
    /// Its labels, those that save the most series first.
    pub labels: Vec<Label>,
}

/// The metrics that were received, those with the most series first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Series of all metrics.
    pub series: usize,
    /// What they take.
    pub bytes: u64,
    /// The metrics.
    pub metrics: Vec<Metric>,
}

/// What these series say. A series that is given twice is counted once, with the bytes of the larger.
pub fn report(series: &[Series]) -> Report {
    let mut by_metric: BTreeMap<(&str, &str), Vec<&Series>> = BTreeMap::new();
    for one in series {
        let metric = (one.metric.as_str(), one.kind.as_str());
        by_metric.entry(metric).or_default().push(one);
    }
    let metrics = by_metric.into_iter();
    let mut metrics: Vec<Metric> = metrics
        .map(|((name, kind), series)| metric(name, kind, &series))
        .collect();
    metrics.sort_by(|left, right| {
        (right.series, right.bytes, &left.name).cmp(&(left.series, left.bytes, &right.name))
    });
    Report {
        series: metrics.iter().map(|metric| metric.series).sum(),
        bytes: metrics.iter().map(|metric| metric.bytes).sum(),
        metrics,
    }
}

fn metric(name: &str, kind: &str, series: &[&Series]) -> Metric {
    let (whole, bytes) = merged(series, None);
    let names: BTreeSet<&str> = series
        .iter()
        .flat_map(|one| one.labels.iter().map(|(name, _)| name.as_str()))
        .collect();
    let mut labels: Vec<Label> = names
        .into_iter()
        .map(|label| self::label(name, kind, label, series, (whole, bytes)))
        .collect();
    labels.sort_by(|left, right| {
        (right.series_saved, right.values, &left.name).cmp(&(
            left.series_saved,
            left.values,
            &right.name,
        ))
    });
    Metric {
        name: name.to_owned(),
        kind: kind.to_owned(),
        series: whole,
        bytes,
        services: emitters(series),
        labels,
    }
}

fn label(
    metric: &str,
    kind: &str,
    name: &str,
    series: &[&Series],
    (whole, whole_bytes): (usize, u64),
) -> Label {
    let having = series
        .iter()
        .filter_map(|one| Some((*one, value(one, name)?)));
    // When each value was first seen, for what grows with time is counted by somebody; and which series have it.
    let mut values: BTreeMap<&str, (i64, HashSet<u64>)> = BTreeMap::new();
    let mut services = BTreeSet::new();
    for (one, value) in having {
        let (seen, series) = values.entry(value).or_insert((i64::MAX, HashSet::new()));
        *seen = one.first_unix_ns.min(*seen);
        series.insert(one.without(None));
        services.insert(one.service.clone());
    }
    let (without, without_bytes) = merged(series, Some(name));
    let series_saved = whole.saturating_sub(without);
    let mut top: Vec<Held> = values
        .iter()
        .map(|(value, (_, series))| Held {
            value: (*value).to_owned(),
            series: series.len(),
        })
        .collect();
    // Of equal ones the order of the values stays.
    top.sort_by_key(|held| std::cmp::Reverse(held.series));
    top.truncate(TOP);
    let mut in_time: Vec<(i64, &str)> = values
        .iter()
        .map(|(value, (seen, _))| (*seen, *value))
        .collect();
    in_time.sort_unstable();
    let in_time: Vec<&str> = in_time.into_iter().map(|(_, value)| value).collect();
    Label {
        name: name.to_owned(),
        values: values.len(),
        top,
        services: services.into_iter().collect(),
        series_without: without,
        series_saved,
        bytes_saved: whole_bytes.saturating_sub(without_bytes),
        identifier: identifier::of(name, &in_time),
        rule: (series_saved > 0).then(|| Rule::of(metric, kind, name)),
    }
}

fn value<'a>(series: &'a Series, name: &str) -> Option<&'a str> {
    let found = series.labels.iter().find(|(label, _)| label == name);
    found.map(|(_, value)| value.as_str())
}

/// How many series there are without this label, and what they take.
fn merged(series: &[&Series], dropped: Option<&str>) -> (usize, u64) {
    let mut sizes: HashMap<u64, u64> = HashMap::with_capacity(series.len());
    for one in series {
        let gone = dropped.and_then(|name| Some(name.len() + value(one, name)?.len()));
        let bytes = one.bytes().saturating_sub(gone.unwrap_or(0) as u64);
        let size = sizes.entry(one.without(dropped)).or_default();
        *size = bytes.max(*size);
    }
    let bytes = sizes
        .values()
        .fold(0, |sum: u64, size| sum.saturating_add(*size));
    (sizes.len(), bytes)
}

fn emitters(series: &[&Series]) -> Vec<Emitter> {
    let mut by_service: BTreeMap<&str, Vec<&Series>> = BTreeMap::new();
    for &one in series {
        by_service.entry(&one.service).or_default().push(one);
    }
    let mut emitters: Vec<Emitter> = by_service
        .into_iter()
        .map(|(service, series)| {
            let (count, bytes) = merged(&series, None);
            Emitter {
                service: service.to_owned(),
                series: count,
                bytes,
            }
        })
        .collect();
    emitters
        .sort_by(|left, right| (right.series, &left.service).cmp(&(left.series, &right.service)));
    emitters
}

#[cfg(test)]
mod tests;
