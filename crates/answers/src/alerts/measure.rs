//! One value for each series or group of series, at any time of what was loaded.
//!
//! Invariants: a value is made of readings alone, nothing is extrapolated; where there are too few readings there is no
//! value, and not zero.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use super::{Labels, Measure, Point, Points, Reading, Series, Source, Spread};

mod part;

use self::part::Part;

/// How long a reading stands for what came after it: as long as with Prometheus (its `query.lookback-delta`).
pub(super) const STALE: Duration = Duration::from_secs(300);

/// The value of a series or a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measured<'a> {
    pub labels: Cow<'a, Labels>,
    pub value: f64,
}

/// What a series or a group is, and its values by time.
type Past<'a> = (Cow<'a, Labels>, Cow<'a, [Point]>);

/// The series that a measure is made of.
#[derive(Debug)]
pub(super) struct Loaded<'s, 'm> {
    measure: &'m Measure,
    of: Vec<Series<'s>>,
    per: Option<Vec<Series<'s>>>,
}

/// Nanoseconds of a duration; one of centuries is as long as there is.
pub(super) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<'s, 'm> Loaded<'s, 'm> {
    /// What is needed for values from `from_unix_ns` to `until_unix_ns`.
    pub(super) fn new(
        measure: &'m Measure,
        source: &'s dyn Source,
        from_unix_ns: u64,
        until_unix_ns: u64,
    ) -> Result<Self, String> {
        let window = measure.reading.window().map_or(0, ns);
        let from = from_unix_ns.saturating_sub(window.saturating_add(ns(STALE)));
        let load = |selector| source.series(selector, from, until_unix_ns);
        Ok(Self {
            measure,
            of: load(&measure.of)?,
            per: measure.per.as_ref().map(load).transpose()?,
        })
    }

    /// The values at a time.
    pub(super) fn at(&self, time_unix_ns: u64) -> Result<Vec<Measured<'_>>, String> {
        let values = self.values(&self.of, &self.measure.of.metric, time_unix_ns)?;
        let (Some(per), Some(selector)) = (&self.per, &self.measure.per) else {
            return Ok(values);
        };
        let divisors: BTreeMap<Cow<'_, Labels>, f64> = self
            .values(per, &selector.metric, time_unix_ns)?
            .into_iter()
            .map(|measured| (measured.labels, measured.value))
            .collect();
        let shares = values.into_iter().filter_map(|measured| {
            let divisor = *divisors.get(&measured.labels)?;
            (divisor != 0.0).then(|| Measured {
                value: measured.value / divisor,
                ..measured
            })
        });
        Ok(shares.collect())
    }

    /// The values after a time up to another, in equal steps that lie at multiples of the step, so that the next evaluation
    /// sees the same ones: 240 in `span_ns`. Of plain values, each as it was read.
    pub(super) fn past(
        &self,
        from_unix_ns: u64,
        until_unix_ns: u64,
        span_ns: u64,
    ) -> Result<Vec<Past<'_>>, String> {
        if self.measure.by.is_none()
            && self.per.is_none()
            && self.measure.reading == Reading::Last
            && let Some(plain) = self.plain(from_unix_ns)
        {
            return Ok(plain);
        }
        let step = step_ns(span_ns);
        let mut past: BTreeMap<Cow<'_, Labels>, Vec<Point>> = BTreeMap::new();
        let mut time = (from_unix_ns / step + 1).saturating_mul(step);
        while time <= until_unix_ns {
            for measured in self.at(time)? {
                past.entry(measured.labels).or_default().push(Point {
                    time_unix_ns: time,
                    value: measured.value,
                });
            }
            time = time.saturating_add(step);
        }
        let past = past.into_iter();
        Ok(past
            .map(|(labels, points)| (labels, Cow::Owned(points)))
            .collect())
    }

    /// Every series as it was read; `None` where one is a histogram.
    fn plain(&self, from_unix_ns: u64) -> Option<Vec<Past<'_>>> {
        let plain = self.of.iter().map(|series| match &series.points {
            Points::Counter(points) | Points::Gauge(points) => {
                let first = points.partition_point(|point| point.time_unix_ns <= from_unix_ns);
                let labels = Cow::Borrowed(&*series.labels);
                Some((labels, Cow::Borrowed(&points[first..])))
            }
            Points::Histogram(_) => None,
        });
        plain.collect()
    }

    fn values<'a>(
        &self,
        series: &'a [Series<'s>],
        metric: &str,
        at: u64,
    ) -> Result<Vec<Measured<'a>>, String> {
        let reading = self.measure.reading;
        let parts = series.iter().filter_map(|series| {
            let part = part::read(series, reading, at).transpose()?;
            Some(part.map(|part| (series, part)))
        });
        let wrong = |words: &str| format!("`{metric}` {words}");
        let Some(by) = &self.measure.by else {
            let mut values = Vec::with_capacity(series.len());
            for part in parts {
                let (series, part) = part.map_err(wrong)?;
                values.extend(part.value(reading).map(|value| Measured {
                    labels: Cow::Borrowed(&*series.labels),
                    value,
                }));
            }
            return Ok(values);
        };
        let mut groups: BTreeMap<Labels, Part<'a>> = BTreeMap::new();
        for part in parts {
            let (series, part) = part.map_err(wrong)?;
            match groups.entry(group(&series.labels, by)) {
                Entry::Vacant(place) => {
                    place.insert(part);
                }
                Entry::Occupied(mut sum) => sum.get_mut().add(part).map_err(wrong)?,
            }
        }
        let values = groups.into_iter().filter_map(|(labels, part)| {
            let value = part.value(reading)?;
            Some(Measured {
                labels: Cow::Owned(labels),
                value,
            })
        });
        Ok(values.collect())
    }
}

/// Values in the past of a forecast or an anomaly where they have to be computed.
const STEPS: u64 = 240;
/// The shortest time between two of them.
const STEP_NS_MIN: u64 = 1_000_000_000;

const fn step_ns(span_ns: u64) -> u64 {
    let step = span_ns / STEPS;
    if step > STEP_NS_MIN {
        step
    } else {
        STEP_NS_MIN
    }
}

/// How old the last value of a past may be for it to be measured still.
pub(super) fn fresh_ns(span_ns: u64) -> u64 {
    ns(STALE).max(step_ns(span_ns).saturating_mul(2))
}

/// The labels of the group that a series belongs to: those that it has of `by`.
pub(super) fn group(labels: &Labels, by: &[String]) -> Labels {
    let of_group = by.iter().filter_map(|name| labels.get_key_value(name));
    of_group
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
