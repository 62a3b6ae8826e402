//! What one series gives to a value.

use super::{Point, Points, Reading, STALE, Series, Spread, ns};
use crate::distribution::Distribution;

/// What a series gives to the value of its group. All parts of a group are of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part<'a> {
    /// A number, which is added up.
    Number(f64),
    /// Values that were read one by one.
    Values(Vec<&'a [Point]>),
    /// What was measured in the time.
    Measured {
        sum: f64,
        distribution: Distribution,
    },
}

impl Part<'_> {
    /// Another part of the same group.
    pub(super) fn add(&mut self, other: Self) -> Result<(), &'static str> {
        match (&mut *self, other) {
            (Self::Number(sum), Self::Number(number)) => *sum += number,
            (Self::Values(values), Self::Values(others)) => values.extend(others),
            (
                Self::Measured { sum, distribution },
                Self::Measured {
                    sum: other,
                    distribution: others,
                },
            ) => {
                *sum += other;
                *distribution = distribution.plus(&others).ok_or(
                    "has series of unlike buckets, which cannot be one: leave out `by`, or narrow `of`",
                )?;
            }
            _ => return Err("has series of several kinds: narrow `of`"),
        }
        Ok(())
    }

    /// The value that they make together.
    pub(super) fn value(self, reading: Reading) -> Option<f64> {
        match (self, reading) {
            (Self::Number(number), _) => Some(number),
            (Self::Values(values), Reading::Quantile(quantile, _)) => {
                let values = values.into_iter().flatten().map(|point| point.value);
                quantile_of(values.collect(), quantile)
            }
            (Self::Measured { distribution, .. }, Reading::Quantile(quantile, _)) => {
                distribution.quantile(quantile)
            }
            (Self::Measured { distribution, .. }, Reading::Beyond(bound, _)) => {
                Some(distribution.count_above(bound))
            }
            (Self::Measured { sum, distribution }, _) => {
                let count = distribution.count();
                (count > 0.0).then(|| sum / count)
            }
            (Self::Values(_), _) => None,
        }
    }
}

/// What a series gives at a time; nothing where it has too few readings. The error is said of its metric.
pub(super) fn read<'a>(
    series: &'a Series<'_>,
    reading: Reading,
    at: u64,
) -> Result<Option<Part<'a>>, &'static str> {
    let Some(window) = reading.window() else {
        return last(&series.points, at);
    };
    let begin = at.saturating_sub(ns(window));
    match (&series.points, reading) {
        (Points::Counter(points), Reading::Rate(_) | Reading::Increase(_)) => {
            let grown = grown(points, series.since_unix_ns, begin, at);
            Ok(grown.and_then(|grown| grown.into_number(reading)))
        }
        (Points::Histogram(spreads), _) => {
            let grown = measured(spreads, series.since_unix_ns, begin, at);
            Ok(grown.and_then(|grown| match reading {
                Reading::Rate(_) | Reading::Increase(_) => grown.counted().into_number(reading),
                _ => Some(Part::Measured {
                    sum: grown.by.sum,
                    distribution: grown.by.distribution,
                }),
            }))
        }
        (Points::Gauge(points), Reading::Mean(_) | Reading::Quantile(..) | Reading::Beyond(..)) => {
            let within = between(points, begin, at);
            Ok((!within.is_empty()).then(|| of_gauge(within, reading)))
        }
        (Points::Counter(_), _) => {
            Err("is a counter: read its `rate` or its `increase`, or what is last")
        }
        (Points::Gauge(_), _) => {
            Err("is a gauge, which does not only grow: read its `mean`, or what is last")
        }
    }
}

fn last<'a>(points: &Points<'_>, at: u64) -> Result<Option<Part<'a>>, &'static str> {
    match points {
        Points::Counter(points) | Points::Gauge(points) => {
            let last = between(points, at.saturating_sub(ns(STALE)), at).last();
            Ok(last.map(|point| Part::Number(point.value)))
        }
        Points::Histogram(_) => Err(
            "is a histogram: read a `quantile`, the `mean`, or how many were `beyond` something",
        ),
    }
}

fn of_gauge(within: &[Point], reading: Reading) -> Part<'_> {
    match reading {
        Reading::Quantile(..) => Part::Values(vec![within]),
        Reading::Beyond(bound, _) => {
            let beyond = within.iter().filter(|point| point.value > bound).count();
            Part::Number(beyond as f64)
        }
        _ => {
            let sum: f64 = within.iter().map(|point| point.value).sum();
            Part::Number(sum / within.len() as f64)
        }
    }
}

/// The readings after `begin` up to and including `end`.
fn between(points: &[Point], begin: u64, end: u64) -> &[Point] {
    let until = points.partition_point(|point| point.time_unix_ns <= end);
    let points = &points[..until];
    let first = points.partition_point(|point| point.time_unix_ns <= begin);
    &points[first..]
}

/// The value at `quantile` of the way through values in order, between two of them in proportion, as Prometheus'
/// `quantile_over_time` has it.
fn quantile_of(mut values: Vec<f64>, quantile: f64) -> Option<f64> {
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let rank = quantile.clamp(0.0, 1.0) * last as f64;
    let below = (rank.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let share = rank - below as f64;
    Some(values[below].mul_add(1.0 - share, values[above] * share))
}

/// By how much something grew, and in which time.
#[derive(Debug)]
struct Grown<T> {
    by: T,
    ns: u64,
}

impl Grown<f64> {
    fn into_number<'a>(self, reading: Reading) -> Option<Part<'a>> {
        match reading {
            Reading::Rate(_) => {
                (self.ns > 0).then(|| Part::Number(self.by / (self.ns as f64 / 1e9)))
            }
            _ => Some(Part::Number(self.by)),
        }
    }
}

impl Grown<Spread> {
    fn counted(&self) -> Grown<f64> {
        Grown {
            by: self.by.count,
            ns: self.ns,
        }
    }
}

/// By how much a total grew after `begin`: since the last reading up to then, or since it was nothing where that was later
/// and is known, or else since the first reading.
fn grown(points: &[Point], since: Option<u64>, begin: u64, end: u64) -> Option<Grown<f64>> {
    let within = between(points, begin, end);
    let (first, last) = (within.first()?, within.last()?);
    let before = points.partition_point(|point| point.time_unix_ns <= begin);
    let (mut total, from, rest) = match (before.checked_sub(1), since) {
        (Some(before), _) => (points[before].value, points[before].time_unix_ns, within),
        (None, Some(since)) if since >= begin => (0.0, since, within),
        (None, _) => (first.value, first.time_unix_ns, &within[1..]),
    };
    if rest.is_empty() {
        return None;
    }
    let mut by = 0.0;
    for point in rest {
        by += part_since(point.value, total);
        total = point.value;
    }
    Some(Grown {
        by,
        ns: last.time_unix_ns.saturating_sub(from),
    })
}

/// What came since a total was `before`: all of it where it has started anew.
fn part_since(total: f64, before: f64) -> f64 {
    if total < before {
        total
    } else {
        total - before
    }
}

/// What was measured after `begin`, as [`grown`] has it of totals.
fn measured(spreads: &[Spread], since: Option<u64>, begin: u64, end: u64) -> Option<Grown<Spread>> {
    let until = spreads.partition_point(|spread| spread.time_unix_ns <= end);
    let spreads = &spreads[..until];
    let before = spreads.partition_point(|spread| spread.time_unix_ns <= begin);
    let within = &spreads[before..];
    let (first, last) = (within.first()?, within.last()?);
    let (base, from, rest) = match (before.checked_sub(1), since) {
        (Some(before), _) => (Some(&spreads[before]), spreads[before].time_unix_ns, within),
        (None, Some(since)) if since >= begin => (None, since, within),
        (None, _) => (Some(first), first.time_unix_ns, &within[1..]),
    };
    if rest.is_empty() {
        return None;
    }
    Some(Grown {
        by: added(base, rest)?,
        ns: last.time_unix_ns.saturating_sub(from),
    })
}

/// What was measured since `base`. Where nothing started anew that is one difference, however many readings there are.
fn added(base: Option<&Spread>, rest: &[Spread]) -> Option<Spread> {
    let mut count = base.map_or(0.0, |base| base.count);
    let has_grown = rest.iter().all(|spread| {
        let has_grown = spread.count >= count;
        count = spread.count;
        has_grown
    });
    if has_grown {
        let last = rest.last()?;
        return Some(base.map_or_else(|| last.clone(), |base| difference(last, base)));
    }
    let mut before = base;
    let parts = rest.iter().map(|spread| {
        let part = match before {
            Some(before) if before.count <= spread.count => difference(spread, before),
            _ => spread.clone(),
        };
        before = Some(spread);
        part
    });
    parts.reduce(|sum, part| both(&sum, part))
}

/// What came since `before`: all of it where the buckets are others.
fn difference(last: &Spread, before: &Spread) -> Spread {
    match last.distribution.since(&before.distribution) {
        Some(distribution) => Spread {
            time_unix_ns: last.time_unix_ns,
            count: last.count - before.count,
            sum: last.sum - before.sum,
            distribution,
        },
        None => last.clone(),
    }
}

/// Two parts of what one series measured. Of such whose buckets changed in between, the later.
fn both(earlier: &Spread, later: Spread) -> Spread {
    match earlier.distribution.plus(&later.distribution) {
        Some(distribution) => Spread {
            time_unix_ns: later.time_unix_ns,
            count: earlier.count + later.count,
            sum: earlier.sum + later.sum,
            distribution,
        },
        None => later,
    }
}
