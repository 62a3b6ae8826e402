//! Series that are different to OpenTelemetry and one to Prometheus: label names that become the same, and labels without
//! text, which to Prometheus are not there.

use std::collections::{HashMap, HashSet};

use radiosonde_core::{
    metrics::snapshot::{Data, Histogram, Metric, Number, Series},
    model::{Text, Value},
};

use super::write::{LabelWriter, label_name};

type Labels = [(Text, Value)];

/// Names of labels that samples need for themselves.
type Names = &'static [&'static str];

/// The label sets of `metric` as a reader understands them, in the order of its series.
pub(in crate::encode) fn label_sets(metric: &Metric, reserved: Names) -> Vec<Vec<u8>> {
    each(metric, |all| {
        all.map(|labels| label_set(labels, reserved)).collect()
    })
}

/// One label set as a reader understands it.
pub(in crate::encode) fn label_set(labels: &Labels, reserved: Names) -> Vec<u8> {
    let mut out = Vec::new();
    let mut labels: Vec<_> = labels
        .iter()
        .filter(|(_, value)| !is_empty(value))
        .cloned()
        .collect();
    // The order of names that changed may have changed as well.
    labels.sort_by_cached_key(|(name, _)| label_name(name, reserved));
    LabelWriter::reserving(reserved).push(&mut out, &labels);
    out
}

/// The series of `metric`, by their place, that a reader would take for one before them.
pub(in crate::encode) fn of(metric: &Metric, reserved: Names) -> HashSet<usize> {
    if !each(metric, |all| may_have_any(all, reserved)) {
        return HashSet::new();
    }
    let mut shown = HashSet::new();
    let sets = label_sets(metric, reserved).into_iter().enumerate();
    sets.filter_map(|(place, set)| (!shown.insert(set)).then_some(place))
        .collect()
}

/// What is quick to see of the label sets: all of one metric tend to have the same names, and then none are alike.
fn may_have_any(all: &mut dyn Iterator<Item = &Labels>, reserved: Names) -> bool {
    let mut lists: HashMap<Vec<Vec<u8>>, &Labels> = HashMap::new();
    let mut last: Option<&Labels> = None;
    for labels in all {
        if labels.iter().any(|(_, value)| is_empty(value)) {
            return true;
        }
        if last.is_some_and(|last| has_names_of(labels, last)) {
            continue;
        }
        last = Some(labels);
        let mut names: Vec<_> = labels
            .iter()
            .map(|(name, _)| label_name(name, reserved))
            .collect();
        names.sort_unstable();
        names.dedup();
        if let Some(other) = lists.insert(names, labels)
            && !has_names_of(labels, other)
        {
            return true;
        }
    }
    false
}

fn has_names_of(labels: &Labels, others: &Labels) -> bool {
    let mut pairs = labels.iter().zip(others);
    labels.len() == others.len() && pairs.all(|((name, _), (other, _))| name == other)
}

/// Whether a label of this value is not there to Prometheus.
pub(in crate::encode) fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Str(text) if text.is_empty())
}

/// Gives the label sets of `metric` to `take`.
fn each<'a, T>(metric: &'a Metric, take: impl Fn(&mut dyn Iterator<Item = &'a Labels>) -> T) -> T {
    fn number(series: &Series<Number>) -> &Labels {
        &series.labels
    }
    fn histogram(series: &Series<Histogram>) -> &Labels {
        &series.labels
    }
    match &metric.data {
        Data::Counter(all) | Data::UpDownCounter(all) | Data::Gauge(all) => {
            take(&mut all.iter().map(number))
        }
        Data::Histogram(all) => take(&mut all.iter().map(histogram)),
    }
}
