//! The readings that are kept of one series.

use std::borrow::Cow;

use super::{Point, Points, Read, ReadValue, Spread};
use crate::distribution::Distribution;

/// The readings of one series, by time.
#[derive(Debug)]
pub(super) struct Kept {
    since_unix_ns: Option<u64>,
    readings: Readings,
}

#[derive(Debug)]
enum Readings {
    Counter(Totals),
    Gauge(Vec<Point>),
    Histogram(Measured),
}

/// A counter's totals: what was read, and what there was before it started anew.
#[derive(Debug, Default)]
struct Totals {
    points: Vec<Point>,
    start_unix_ns: Option<u64>,
    read: f64,
    before: f64,
}

/// A histogram's, the same way.
#[derive(Debug, Default)]
struct Measured {
    spreads: Vec<Spread>,
    start_unix_ns: Option<u64>,
    read: f64,
    before: Option<(f64, Distribution)>,
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// It is not later than the one before.
    Late,
    /// It was taken, and others made room.
    It { thinned: u64 },
}

impl Kept {
    /// Nothing yet, of the kind of this reading.
    pub(super) fn new(read: &Read) -> Self {
        Self {
            since_unix_ns: read.since_unix_ns,
            readings: match read.value {
                ReadValue::Counter(_) => Readings::Counter(Totals::default()),
                ReadValue::Gauge(_) => Readings::Gauge(Vec::new()),
                ReadValue::Histogram { .. } => Readings::Histogram(Measured::default()),
            },
        }
    }

    /// Takes a reading. Readings up to `oldest_unix_ns` are given up, of which the last is still needed for what came since.
    pub(super) fn push(&mut self, read: Read, oldest_unix_ns: u64, points_max: usize) -> Took {
        let time = read.time_unix_ns;
        if time <= self.last_unix_ns() && self.len() > 0 {
            return Took::Late;
        }
        let started = read.since_unix_ns;
        match (&mut self.readings, read.value) {
            (Readings::Counter(totals), ReadValue::Counter(value)) => {
                totals.push(time, started, value);
            }
            (Readings::Gauge(points), ReadValue::Gauge(value)) => points.push(Point {
                time_unix_ns: time,
                value,
            }),
            (Readings::Histogram(spreads), ReadValue::Histogram { sum, distribution }) => {
                if spreads.push(time, started, sum, distribution) {
                    self.since_unix_ns = started;
                }
            }
            // A metric that became one of another kind.
            (_, value) => {
                let read = Read {
                    time_unix_ns: time,
                    since_unix_ns: started,
                    value,
                };
                *self = Self::new(&read);
                return self.push(read, oldest_unix_ns, points_max);
            }
        }
        self.expire(oldest_unix_ns);
        let mut thinned = 0;
        if self.len() > points_max {
            thinned = self.thin(2);
        }
        Took::It { thinned }
    }

    /// How many readings there are.
    fn len(&self) -> usize {
        match &self.readings {
            Readings::Counter(totals) => totals.points.len(),
            Readings::Gauge(points) => points.len(),
            Readings::Histogram(spreads) => spreads.spreads.len(),
        }
    }

    /// When it was read last.
    pub(super) fn last_unix_ns(&self) -> u64 {
        match &self.readings {
            Readings::Counter(Totals { points, .. }) | Readings::Gauge(points) => {
                points.last().map_or(0, |point| point.time_unix_ns)
            }
            Readings::Histogram(spreads) => spreads
                .spreads
                .last()
                .map_or(0, |spread| spread.time_unix_ns),
        }
    }

    pub(super) const fn since_unix_ns(&self) -> Option<u64> {
        self.since_unix_ns
    }

    /// How many numbers it takes.
    pub(super) fn cells(&self) -> usize {
        match &self.readings {
            Readings::Histogram(spreads) => spreads.spreads.iter().map(cells).sum(),
            _ => self.len(),
        }
    }

    /// Gives up every second reading of the first of so many `parts`, never the last one; how many.
    pub(super) fn thin(&mut self, parts: usize) -> u64 {
        let before = self.len();
        let until = (before / parts.max(1)).min(before.saturating_sub(1));
        match &mut self.readings {
            Readings::Counter(Totals { points, .. }) | Readings::Gauge(points) => {
                every_second(points, until);
            }
            Readings::Histogram(spreads) => every_second(&mut spreads.spreads, until),
        }
        (before - self.len()) as u64
    }

    /// Gives up what is too old, some at a time so that the rest is seldom moved.
    fn expire(&mut self, oldest: u64) {
        let old = match &self.readings {
            Readings::Counter(Totals { points, .. }) | Readings::Gauge(points) => {
                points.partition_point(|point| point.time_unix_ns <= oldest)
            }
            Readings::Histogram(spreads) => spreads
                .spreads
                .partition_point(|spread| spread.time_unix_ns <= oldest),
        };
        let old = old.saturating_sub(1);
        if old * 8 < self.len() {
            return;
        }
        match &mut self.readings {
            Readings::Counter(Totals { points, .. }) | Readings::Gauge(points) => {
                drop(points.drain(..old));
            }
            Readings::Histogram(spreads) => drop(spreads.spreads.drain(..old)),
        }
    }

    /// The readings after `from` up to and including `until`.
    pub(super) fn between(&self, from: u64, until: u64) -> Points<'_> {
        match &self.readings {
            Readings::Counter(totals) => Points::Counter(slice(
                &totals.points,
                |point| point.time_unix_ns,
                from,
                until,
            )),
            Readings::Gauge(points) => {
                Points::Gauge(slice(points, |point| point.time_unix_ns, from, until))
            }
            Readings::Histogram(spreads) => {
                let spreads = &spreads.spreads;
                Points::Histogram(slice(spreads, |spread| spread.time_unix_ns, from, until))
            }
        }
    }
}

impl Totals {
    fn push(&mut self, time: u64, started: Option<u64>, value: f64) {
        let last = self.points.last().map(|point| point.time_unix_ns);
        if is_anew(last, self.start_unix_ns, started) || value < self.read {
            self.before += self.read;
        }
        self.start_unix_ns = started;
        self.read = value;
        self.points.push(Point {
            time_unix_ns: time,
            value: self.before + value,
        });
    }
}

impl Measured {
    /// Whether all before it was given up, because its buckets are others.
    fn push(
        &mut self,
        time: u64,
        started: Option<u64>,
        sum: f64,
        distribution: Distribution,
    ) -> bool {
        let count = distribution.count();
        let last = self.spreads.last();
        let is_anew = is_anew(
            last.map(|last| last.time_unix_ns),
            self.start_unix_ns,
            started,
        );
        if let Some(last) = last
            && (is_anew || count < self.read)
        {
            self.before = Some((last.sum, last.distribution.clone()));
        }
        self.start_unix_ns = started;
        self.read = count;
        let whole = match &self.before {
            None => Some((sum, distribution.clone())),
            Some((before, earlier)) => {
                let together = earlier.plus(&distribution);
                together.map(|together| (before + sum, together))
            }
        };
        let is_comparable = whole.as_ref().is_some_and(|(_, whole)| {
            last.is_none_or(|last| whole.since(&last.distribution).is_some())
        });
        let (sum, distribution) = match whole {
            Some(whole) if is_comparable => whole,
            _ => {
                self.spreads.clear();
                self.before = None;
                (sum, distribution)
            }
        };
        self.spreads.push(Spread {
            time_unix_ns: time,
            count: distribution.count(),
            sum,
            distribution,
        });
        !is_comparable
    }
}

/// Whether a total started from nothing after it was read last, as it says itself.
fn is_anew(last: Option<u64>, before: Option<u64>, started: Option<u64>) -> bool {
    match (last, started) {
        (Some(last), Some(started)) => started > last && before != Some(started),
        _ => false,
    }
}

fn cells(spread: &Spread) -> usize {
    2 + match &spread.distribution {
        Distribution::Explicit { counts, .. } => counts.len(),
        Distribution::Exponential {
            positive, negative, ..
        } => positive.len() + negative.len(),
    }
}

fn every_second<T>(items: &mut Vec<T>, until: usize) {
    let mut index = 0;
    items.retain(|_| {
        index += 1;
        index > until || index % 2 == 1
    });
}

fn slice<T: Clone>(items: &[T], time: impl Fn(&T) -> u64, from: u64, until: u64) -> Cow<'_, [T]> {
    let end = items.partition_point(|item| time(item) <= until);
    let items = &items[..end];
    let first = items.partition_point(|item| time(item) <= from);
    Cow::Borrowed(&items[first..])
}
