//! Readings of one series of the store as one or more series in Prometheus' sense.
//!
//! Prometheus' totals only grow: what came since the reading before (delta temporality) is added up from the first reading
//! that was looked at, before which stands a zero where it is known since when that one counts. Exponential histograms become
//! `_bucket` series with bounds that all series of a query share, so that they can be summed by bound.

use std::{collections::BTreeMap, sync::Arc};

use radiosonde_answers::distribution::Distribution;

use crate::{
    api::metrics::distribution,
    promql::{Histogram, Point, go_number},
};

/// Finest scale of bounds that are made of exponential buckets: each is a twelfth above the one before.
const SCALE_MAX: i32 = 3;
/// Most bounds that are made of exponential buckets.
const BOUNDS_MAX: i64 = 160;

/// A reading of the store.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) time_ms: i64,
    /// Since when it counts; 0 where that is not known.
    pub(super) start_ms: i64,
    pub(super) value: f64,
    pub(super) count: f64,
    pub(super) distribution: Option<Buckets>,
}

/// A histogram's buckets.
#[derive(Clone, Debug)]
pub(super) enum Buckets {
    /// Bounds, and how many lie in each bucket, the last one above all bounds.
    Explicit(Vec<f64>, Vec<f64>),
    Exponential(Histogram),
}

impl Buckets {
    pub(super) fn read(json: &str, sum: f64) -> Option<Self> {
        Some(match distribution(json)? {
            Distribution::Exponential {
                scale,
                zero,
                positive,
                negative,
            } => Self::Exponential(Histogram {
                scale,
                sum,
                zero,
                positive,
                negative,
            }),
            Distribution::Explicit { bounds, counts } => Self::Explicit(bounds, counts),
        })
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Explicit(bounds, counts), Self::Explicit(others, more)) if bounds == others => {
                let counts = counts.iter().zip(more).map(|(a, b)| a + b).collect();
                Some(Self::Explicit(bounds.clone(), counts))
            }
            (Self::Exponential(own), Self::Exponential(other)) => {
                Some(Self::Exponential(own.plus(other, 1.0)))
            }
            _ => None,
        }
    }
}

/// Brings readings into the order of time, one for each millisecond, and adds up what came since the last where it is that.
pub(super) fn totals(mut readings: Vec<Reading>, is_delta: bool) -> Vec<Reading> {
    // Stable: of several in one millisecond the last stands, or, of what came, their sum.
    readings.sort_by_key(|reading| reading.time_ms);
    let mut out: Vec<Reading> = Vec::with_capacity(readings.len() + 1);
    if let Some(first) = readings.first()
        && is_delta
        && first.start_ms > 0
        && first.start_ms < first.time_ms
    {
        out.push(Reading {
            time_ms: first.start_ms,
            value: 0.0,
            count: 0.0,
            distribution: first.distribution.as_ref().map(Buckets::emptied),
            ..*first
        });
    }
    for mut reading in readings {
        if let Some(last) = out.last().filter(|_| is_delta) {
            reading.value += last.value;
            reading.count += last.count;
            if let (Some(own), Some(before)) = (&reading.distribution, &last.distribution) {
                reading.distribution = own.plus(before).or(reading.distribution);
            }
        }
        match out.last_mut() {
            Some(last) if last.time_ms == reading.time_ms => *last = reading,
            _ => out.push(reading),
        }
    }
    out
}

impl Buckets {
    /// The same buckets with nothing in them.
    fn emptied(&self) -> Self {
        match self {
            Self::Explicit(bounds, counts) => {
                Self::Explicit(bounds.clone(), vec![0.0; counts.len()])
            }
            Self::Exponential(histogram) => Self::Exponential(histogram.times(0.0)),
        }
    }
}

/// The bounds that exponential histograms are shown with.
#[derive(Clone, Debug, Default)]
pub(super) struct Grid {
    scale: i32,
    bounds: Vec<f64>,
}

impl Grid {
    /// Bounds for all of these: as fine as the coarsest of them and as [`BOUNDS_MAX`] allow.
    pub(super) fn of(histograms: &[&Histogram]) -> Self {
        let finest = histograms.iter().map(|it| it.scale).min();
        let Some(mut scale) = finest.map(|scale| scale.clamp(-10, SCALE_MAX)) else {
            return Self::default();
        };
        // By halves, until there are few enough.
        loop {
            let at_scale =
                |index: i32, own: i32| i64::from(index >> (own.clamp(-10, 20) - scale).max(0));
            let (mut positive, mut negative) = (Span::default(), Span::default());
            let mut has_zero = false;
            for histogram in histograms {
                has_zero |= histogram.zero > 0.0;
                for index in histogram.positive.keys() {
                    positive.take(at_scale(*index, histogram.scale));
                }
                for index in histogram.negative.keys() {
                    negative.take(at_scale(*index, histogram.scale));
                }
            }
            if positive.length() + negative.length() <= BOUNDS_MAX || scale <= -10 {
                return Self::from_spans(scale, positive, negative, has_zero);
            }
            scale -= 1;
        }
    }

    fn from_spans(scale: i32, positive: Span, negative: Span, has_zero: bool) -> Self {
        let bound = |index: i64| Histogram::bound(scale, index.clamp(-1 << 30, 1 << 30) as i32);
        let mut bounds: Vec<f64> = Vec::new();
        // A negative bucket ends at its bound nearer to zero.
        bounds.extend(negative.indexes().rev().map(|index| -bound(index)));
        if has_zero || negative.length() > 0 {
            bounds.push(0.0);
        }
        if positive.length() > 0 && bounds.is_empty() {
            // What lies below the first bucket, so that its own lower bound is known.
            bounds.push(bound(positive.first));
        }
        bounds.extend(positive.indexes().map(|index| bound(index + 1)));
        bounds.retain(|bound| bound.is_finite());
        bounds.dedup();
        Self { scale, bounds }
    }

    /// How many of a histogram lie below or at each bound.
    fn below<'g>(&'g self, histogram: &Histogram) -> impl Iterator<Item = (f64, f64)> + use<'g> {
        let held = histogram.at_scale(self.scale).buckets();
        let (mut next, mut below) = (0, 0.0);
        self.bounds.iter().map(move |bound| {
            // Bounds are made by the same sums as buckets, but for the sides of zero.
            let reach = bound + bound.abs() * 1e-9;
            while let Some((_, _, count)) = held.get(next).filter(|(_, upper, _)| *upper <= reach) {
                below += count;
                next += 1;
            }
            (*bound, below)
        })
    }
}

/// From which index to which.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: i64,
    last: i64,
}

impl Default for Span {
    fn default() -> Self {
        Self { first: 0, last: -1 }
    }
}

impl Span {
    fn take(&mut self, index: i64) {
        if self.length() == 0 {
            (self.first, self.last) = (index, index);
        }
        self.first = self.first.min(index);
        self.last = self.last.max(index);
    }

    const fn length(self) -> i64 {
        self.last - self.first + 1
    }

    fn indexes(self) -> std::ops::RangeInclusive<i64> {
        self.first..=self.last
    }
}

/// A bound's text and the readings of its series.
pub(super) type Bounded = (String, Vec<Point>);

/// The `_bucket` series of readings, by their bounds; `times` is what values are multiplied by. At most `points_max`
/// readings of them, else `None`.
pub(super) fn series(
    readings: &[Reading],
    grid: &Grid,
    times: f64,
    points_max: usize,
) -> Option<Vec<Bounded>> {
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    let mut out: Vec<Bounded> = Vec::new();
    let mut points = 0_usize;
    let mut push = |bound: f64, time_ms: i64, count: f64| {
        let place = *places.entry(bound.to_bits()).or_insert_with(|| {
            out.push((go_number(bound), Vec::new()));
            out.len() - 1
        });
        out[place].1.push(Point {
            time_ms,
            value: count,
        });
        points += 1;
        points <= points_max
    };
    for reading in readings {
        let fits = match &reading.distribution {
            Some(Buckets::Explicit(bounds, counts)) => {
                let mut below = 0.0;
                bounds.iter().zip(counts).all(|(bound, count)| {
                    below += count;
                    push(bound * times, reading.time_ms, below)
                })
            }
            Some(Buckets::Exponential(histogram)) => grid
                .below(histogram)
                .all(|(bound, below)| push(bound * times, reading.time_ms, below)),
            None => true,
        };
        if !fits || !push(f64::INFINITY, reading.time_ms, reading.count) {
            return None;
        }
    }
    Some(out)
}

/// The readings as histograms themselves, where they are exponential.
pub(super) fn whole(readings: &[Reading]) -> Vec<(i64, Arc<Histogram>)> {
    let whole = readings
        .iter()
        .filter_map(|reading| match &reading.distribution {
            Some(Buckets::Exponential(histogram)) => {
                Some((reading.time_ms, Arc::new(histogram.clone())))
            }
            _ => None,
        });
    whole.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(time_ms: i64, start_ms: i64, value: f64) -> Reading {
        Reading {
            time_ms,
            start_ms,
            value,
            count: value,
            distribution: Buckets::read(
                r#"{"explicit_bounds":[1,2],"bucket_counts":[1,0,2]}"#,
                0.0,
            ),
        }
    }

    #[test]
    fn what_came_is_added_up_from_a_zero() {
        let given = vec![reading(300, 200, 3.0), reading(200, 100, 3.0)];
        let totals = totals(given.clone(), true);
        let values: Vec<_> = totals.iter().map(|it| (it.time_ms, it.value)).collect();
        assert_eq!(values, [(100, 0.0), (200, 3.0), (300, 6.0)]);
        let buckets = series(&totals, &Grid::default(), 1e3, 100).unwrap();
        let texts: Vec<_> = buckets.iter().map(|(bound, _)| bound.as_str()).collect();
        assert_eq!(texts, ["1000", "2000", "+Inf"]);
        let last: Vec<_> = buckets.iter().map(|(_, points)| points[2].value).collect();
        assert_eq!(last, [2.0, 2.0, 6.0]);
        assert_eq!(series(&totals, &Grid::default(), 1.0, 8), None);
        // Totals stay what they are.
        assert!((super::totals(given, false)[1].value - 3.0).abs() < 1e-9);
    }

    #[test]
    fn exponential_histograms_share_bounds_that_hold_their_quantiles() {
        let histogram = |scale: i32, offset: i32, count: usize| {
            let json = format!(
                r#"{{"scale":{scale},"zero_count":1,"positive":{{"offset":{offset},"bucket_counts":{:?}}}}}"#,
                vec![1; count]
            );
            match Buckets::read(&json, 0.0) {
                Some(Buckets::Exponential(histogram)) => histogram,
                other => panic!("{other:?}"),
            }
        };
        let (fine, coarse) = (histogram(20, -500, 1000), histogram(2, 0, 8));
        let grid = Grid::of(&[&fine, &coarse]);
        assert_eq!(grid.scale, 2);
        assert!(grid.bounds[0].abs() < 1e-9);
        assert!(grid.bounds.len() <= 12, "{:?}", grid.bounds);
        for histogram in [&fine, &coarse] {
            let below: Vec<_> = grid.below(histogram).collect();
            assert_eq!(below[0], (0.0, 1.0));
            assert!((below.last().unwrap().1 - histogram.count()).abs() < 1e-9);
            assert!(below.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        }
        // Each bucket of `coarse` has a bound of its own.
        let count_at_two = grid
            .below(&coarse)
            .find(|(bound, _)| (*bound - 2.0).abs() < 1e-9);
        assert!((count_at_two.unwrap().1 - 5.0).abs() < 1e-9);
        let wide = histogram(3, -4000, 8000);
        assert!(Grid::of(&[&wide]).bounds.len() <= BOUNDS_MAX as usize + 2);
    }
}
