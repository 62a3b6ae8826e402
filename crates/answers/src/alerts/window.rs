//! The readings of the last while, of many series, in bounded memory: what the library's own rules are evaluated against.
//!
//! Totals are kept so that they only grow: what starts anew goes on from where it was. So a counter may be thinned without
//! its increase being another.
//!
//! Invariants:
//! * There are at most [`WindowLimits::series_max`] series, each with at most [`WindowLimits::points_max`] readings, and all
//!   together take at most [`WindowLimits::cells_max`] numbers.
//! * What is given up is counted: readings and series that are refused, readings between which others were thinned out.
//! * A reading that is not later than the one before it changes nothing.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use radiosonde_core::metrics::snapshot::{
    Data, Histogram, Labels as SnapshotLabels, Number, Snapshot,
};

use super::{Labels, Point, Points, Sample, Selector, Series, Source, Spread, measure::ns};
use crate::distribution::Distribution;

mod kept;

use self::kept::{Kept, Took};

/// How much a [`Window`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// How far it goes back.
    pub span: Duration,
    /// How many series it has.
    pub series_max: usize,
    /// How many readings of each. Where a series has more, every second one of its older half goes.
    pub points_max: usize,
    /// How many numbers there are in all: a reading is one, one of a histogram two and its buckets. Where there are more,
    /// every second reading of all series goes.
    pub cells_max: usize,
}

impl Default for WindowLimits {
    /// An hour of 2,000 series, a reading every 15 s. A million numbers are about 16 MB, of histograms about twice that.
    fn default() -> Self {
        Self {
            span: Duration::from_secs(3_600),
            series_max: 2_000,
            points_max: 256,
            cells_max: 1_000_000,
        }
    }
}

/// What a [`Window`] gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowLoss {
    /// Readings of series that there was no room for.
    pub refused: u64,
    /// Readings that were not later than the one before.
    pub late: u64,
    /// Readings that made room for newer ones.
    pub thinned: u64,
}

/// A reading of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// When its total was nothing, in nanoseconds since the Unix epoch, where that is known.
    pub since_unix_ns: Option<u64>,
    /// What was read.
    pub value: ReadValue,
}

/// What was read, by the kind of its metric.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadValue {
    /// A total that only grows.
    Counter(f64),
    /// A value.
    Gauge(f64),
    /// A distribution since the start.
    Histogram {
        /// What was measured adds up to this.
        sum: f64,
        /// How it lies.
        distribution: Distribution,
    },
}

/// The readings of the last while.
#[derive(Debug)]
pub struct Window {
    limits: WindowLimits,
    metrics: BTreeMap<String, BTreeMap<Labels, Kept>>,
    series: usize,
    cells: usize,
    swept_unix_ns: u64,
    loss: WindowLoss,
}

impl Default for Window {
    fn default() -> Self {
        Self::new(WindowLimits::default())
    }
}

impl Window {
    /// An empty one.
    pub const fn new(limits: WindowLimits) -> Self {
        Self {
            limits,
            metrics: BTreeMap::new(),
            series: 0,
            cells: 0,
            swept_unix_ns: 0,
            loss: WindowLoss {
                refused: 0,
                late: 0,
                thinned: 0,
            },
        }
    }

    /// Takes a reading of every series of a snapshot.
    pub fn read(&mut self, snapshot: &Snapshot) {
        let time = snapshot.time_unix_ns;
        for metric in &snapshot.metrics {
            let mut push = |labels: &SnapshotLabels, since, value| {
                let read = Read {
                    time_unix_ns: time,
                    since_unix_ns: Some(since),
                    value,
                };
                self.push(&metric.name, own(labels), read);
            };
            match &metric.data {
                Data::Counter(series) => series.iter().for_each(|series| {
                    let value = ReadValue::Counter(number(series.value));
                    push(&series.labels, series.start_unix_ns, value);
                }),
                Data::UpDownCounter(series) | Data::Gauge(series) => {
                    series.iter().for_each(|series| {
                        let value = ReadValue::Gauge(number(series.value));
                        push(&series.labels, series.start_unix_ns, value);
                    });
                }
                Data::Histogram(series) => series.iter().for_each(|series| {
                    let value = histogram(&series.value);
                    push(&series.labels, series.start_unix_ns, value);
                }),
            }
        }
    }

    /// Takes a reading of a series.
    pub fn push(&mut self, metric: &str, labels: Labels, read: Read) {
        let now = read.time_unix_ns;
        let is_known = self
            .metrics
            .get(metric)
            .is_some_and(|series| series.contains_key(&labels));
        if !is_known && !self.makes_room(now) {
            self.loss.refused += 1;
            return;
        }
        let series = self.metrics.entry(metric.to_owned()).or_default();
        let kept = series.entry(labels).or_insert_with(|| Kept::new(&read));
        let before = kept.cells();
        match kept.push(
            read,
            now.saturating_sub(ns(self.limits.span)),
            self.limits.points_max,
        ) {
            Took::Late => self.loss.late += 1,
            Took::It { thinned } => self.loss.thinned += thinned,
        }
        self.cells = (self.cells + kept.cells()).saturating_sub(before);
        self.series += usize::from(!is_known);
        while self.cells > self.limits.cells_max && self.halve() {}
    }

    /// How many series there are.
    pub const fn series_count(&self) -> usize {
        self.series
    }

    /// What was given up so far.
    pub const fn loss(&self) -> WindowLoss {
        self.loss
    }

    /// Whether there is room for another series; series that were not read for as long as it goes back make some.
    fn makes_room(&mut self, now: u64) -> bool {
        let is_full = |window: &Self| {
            window.series >= window.limits.series_max || window.cells >= window.limits.cells_max
        };
        let span = ns(self.limits.span);
        // Not looked for at every series that comes too many.
        if is_full(self) && now.saturating_sub(self.swept_unix_ns) >= span / 16 {
            self.swept_unix_ns = now;
            let oldest = now.saturating_sub(span);
            for series in self.metrics.values_mut() {
                series.retain(|_, kept| {
                    let is_live = kept.last_unix_ns() > oldest;
                    if !is_live {
                        self.series -= 1;
                        self.cells = self.cells.saturating_sub(kept.cells());
                    }
                    is_live
                });
            }
            self.metrics.retain(|_, series| !series.is_empty());
        }
        !is_full(self)
    }

    /// Gives up every second reading; whether there were any to give up.
    fn halve(&mut self) -> bool {
        let mut thinned = 0;
        let mut cells = 0;
        for kept in self.metrics.values_mut().flat_map(BTreeMap::values_mut) {
            thinned += kept.thin(1);
            cells += kept.cells();
        }
        self.cells = cells;
        self.loss.thinned += thinned;
        thinned > 0
    }
}

impl Source for Window {
    fn series<'s>(
        &'s self,
        selector: &Selector,
        from_unix_ns: u64,
        until_unix_ns: u64,
    ) -> Result<Vec<Series<'s>>, String> {
        let Some(series) = self.metrics.get(&selector.metric) else {
            return Ok(Vec::new());
        };
        let meant = series.iter().filter(|(labels, _)| selector.matches(labels));
        Ok(meant
            .map(|(labels, kept)| Series {
                labels: Cow::Borrowed(labels),
                since_unix_ns: kept.since_unix_ns(),
                points: kept.between(from_unix_ns, until_unix_ns),
            })
            .collect())
    }

    fn expression(&self, _: &str, _: u64) -> Result<Vec<Sample>, String> {
        Err("a program does not answer PromQL about itself: say it as a threshold, or give the rule to `sonde serve`".to_owned())
    }
}

fn own(labels: &SnapshotLabels) -> Labels {
    let labels = labels.iter();
    labels
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

fn number(number: Number) -> f64 {
    match number {
        Number::U64(value) => value as f64,
        Number::I64(value) => value as f64,
        Number::F64(value) => value,
    }
}

fn histogram(histogram: &Histogram) -> ReadValue {
    ReadValue::Histogram {
        sum: histogram.sum,
        distribution: Distribution::from(&histogram.buckets),
    }
}

#[cfg(test)]
mod tests;
