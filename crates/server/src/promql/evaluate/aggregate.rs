//! Aggregations (promql/engine.go: aggregation).

use std::{collections::HashMap, sync::Arc};

use super::super::{
    Error, Labels,
    expression::{Aggregation, Expression, Grouping},
    functions::window::{is_same, quantile, variance},
    labels::NAME,
};
use super::{Element, Evaluator, Value};

impl Grouping {
    /// The labels of the group that an element belongs to.
    fn key(&self, labels: &Labels) -> Labels {
        if self.is_without {
            return labels
                .filtered(|name| name != NAME && !self.labels.iter().any(|it| it == name));
        }
        if self.labels.is_empty() {
            return Labels::default();
        }
        labels.filtered(|name| self.labels.iter().any(|it| it == name))
    }

    /// The elements of each group, groups in the order of their first element.
    fn groups(&self, elements: Vec<Element>) -> Vec<(Labels, Vec<Element>)> {
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut groups: Vec<(Labels, Vec<Element>)> = Vec::new();
        for element in elements {
            let key = self.key(&element.labels);
            let place = *places.entry(key.clone()).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(element);
        }
        groups
    }
}

impl Evaluator {
    pub(super) fn aggregate(
        &self,
        aggregation: Aggregation,
        parameter: Option<&Expression>,
        of: &Expression,
        grouping: &Grouping,
        at: i64,
    ) -> Result<Value, Error> {
        let parameter = parameter
            .map(|parameter| self.value(parameter, at))
            .transpose()?
            .unwrap_or(Value::Scalar(f64::NAN));
        let groups = grouping.groups(self.vector(of, at)?);
        let mut out = Vec::with_capacity(groups.len());
        match aggregation {
            Aggregation::Topk | Aggregation::Bottomk => {
                let most = whole_number(aggregation, parameter.scalar())?;
                for (_, elements) in groups {
                    only_floats(aggregation, &elements)?;
                    out.extend(extremes(aggregation, elements, most));
                }
            }
            Aggregation::CountValues => {
                let label = parameter.text();
                super::call::check_label(&label)?;
                for (key, elements) in groups {
                    self.in_time()?;
                    only_floats(aggregation, &elements)?;
                    out.extend(count_values(&label, &key, &elements));
                }
            }
            _ => {
                let parameter = parameter.scalar();
                for (labels, elements) in groups {
                    out.push(one(aggregation, parameter, labels, &elements)?);
                }
            }
        }
        Ok(Value::Vector(super::unique(out)?))
    }
}

/// What `topk` and `bottomk` are told: how many.
fn whole_number(aggregation: Aggregation, value: f64) -> Result<usize, Error> {
    // 2^63, beyond which Prometheus refuses.
    const MOST: f64 = 9_223_372_036_854_775_808.0;
    if value.is_nan() || value.abs() >= MOST {
        let name = aggregation.name();
        return Err(Error::execution(
            format!("`{name}` is asked for {value} elements"),
            "give a whole number",
        ));
    }
    Ok(value.max(0.0) as usize)
}

fn only_floats(aggregation: Aggregation, elements: &[Element]) -> Result<(), Error> {
    match elements.iter().find(|element| element.histogram.is_some()) {
        Some(element) => {
            let name = aggregation.name();
            Err(Error::execution(
                format!(
                    "`{name}` of the histogram {} is not supported",
                    element.labels
                ),
                "sum histograms, or take histogram_quantile, histogram_count or histogram_sum of them first",
            ))
        }
        None => Ok(()),
    }
}

/// The `most` greatest or least; what is no number is neither.
fn extremes(aggregation: Aggregation, mut elements: Vec<Element>, most: usize) -> Vec<Element> {
    let is_top = aggregation == Aggregation::Topk;
    elements.sort_by(|a, b| {
        let (nan, other) = (a.value.is_nan(), b.value.is_nan());
        let order = a.value.partial_cmp(&b.value);
        let order = order.unwrap_or(std::cmp::Ordering::Equal);
        nan.cmp(&other)
            .then(if is_top { order.reverse() } else { order })
    });
    elements.truncate(most);
    elements
}

fn count_values(label: &str, key: &Labels, elements: &[Element]) -> Vec<Element> {
    let mut counts: Vec<(Labels, f64)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for element in elements {
        let labels = key.with(label, go_number(element.value));
        let place = *places.entry(labels.clone()).or_insert_with(|| {
            counts.push((labels, 0.0));
            counts.len() - 1
        });
        counts[place].1 += 1.0;
    }
    let counts = counts.into_iter();
    counts
        .map(|(labels, count)| Element::float(labels, count))
        .collect()
}

/// A number as Prometheus writes it: the shortest that reads back as itself, without an exponent.
pub(crate) fn go_number(value: f64) -> String {
    match value {
        _ if value == f64::INFINITY => "+Inf".to_owned(),
        _ if value == f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => value.to_string(),
    }
}

fn one(
    aggregation: Aggregation,
    parameter: f64,
    labels: Labels,
    elements: &[Element],
) -> Result<Element, Error> {
    let values = || elements.iter().map(|element| element.value);
    let n = elements.len() as f64;
    let value = match aggregation {
        Aggregation::Count => n,
        Aggregation::Group => 1.0,
        Aggregation::Sum if elements.iter().any(|element| element.histogram.is_some()) => {
            return sum_of_histograms(labels, elements);
        }
        _ => {
            only_floats(aggregation, elements)?;
            match aggregation {
                Aggregation::Sum => values().sum(),
                Aggregation::Avg => average(values()),
                Aggregation::Min => extreme(values(), |value, known| value < known),
                Aggregation::Max => extreme(values(), |value, known| value > known),
                Aggregation::Stdvar => variance(values()),
                Aggregation::Stddev => variance(values()).sqrt(),
                _ => quantile(parameter, values().collect()),
            }
        }
    };
    Ok(Element::float(labels, value))
}

fn extreme(values: impl Iterator<Item = f64>, is_beyond: impl Fn(f64, f64) -> bool) -> f64 {
    values
        .reduce(|known, value| {
            if is_beyond(value, known) || known.is_nan() {
                value
            } else {
                known
            }
        })
        .unwrap_or(f64::NAN)
}

/// The mean, which may be a number where the sum is too large for one.
fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut n) = (0.0_f64, 0.0);
    for value in values {
        n += 1.0;
        let is_lost = mean.is_infinite() && (value.is_finite() || is_same(value, mean));
        if n < 2.0 {
            mean = value;
        } else if !is_lost {
            mean += value / n - mean / n;
        }
    }
    mean
}

fn sum_of_histograms(labels: Labels, elements: &[Element]) -> Result<Element, Error> {
    let mut sum: Option<super::Histogram> = None;
    for element in elements {
        let Some(histogram) = &element.histogram else {
            return Err(Error::execution(
                format!("`sum` meets numbers and histograms in the group {labels}"),
                "select metrics of one kind",
            ));
        };
        sum = Some(match sum {
            Some(sum) => sum.plus(histogram, 1.0),
            None => (**histogram).clone(),
        });
    }
    Ok(Element {
        histogram: sum.map(Arc::new),
        ..Element::float(labels, f64::NAN)
    })
}
