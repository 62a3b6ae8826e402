//! Functions of the readings of one series in a range, as Prometheus 2.42 computes them (promql/functions.go).
//!
//! None where there are too few readings for an answer. Sums are compensated (Neumaier), as Prometheus' are, so that they
//! do not depend on how many readings there are.

#![expect(
    clippy::unnecessary_wraps,
    reason = "functions that always have an answer stand in one table with those that may have none"
)]

use super::super::source::Point;

/// The readings of a series in a range.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// Without marks of staleness, at least one.
    pub(crate) points: &'a [Point],
    /// The range, both ends included, in milliseconds since the Unix epoch.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// The moment of evaluation.
    pub(crate) now_ms: i64,
    /// The arguments that are scalars.
    pub(crate) parameters: [f64; 2],
}

impl Frame<'_> {
    fn first(&self) -> Option<Point> {
        self.points.first().copied()
    }

    fn latest(&self) -> Option<Point> {
        self.points.last().copied()
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|point| point.value)
    }

    /// The last reading but one, and the last.
    fn last_two(&self) -> Option<(Point, Point)> {
        match *self.points {
            [.., before, last] => Some((before, last)),
            _ => None,
        }
    }
}

/// A sum and what rounding took from it.
#[derive(Clone, Copy, Debug, Default)]
struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
    }

    fn get(self) -> f64 {
        // Where the sum is infinite, what was lost is no number.
        if self.sum.is_infinite() {
            self.sum
        } else {
            self.sum + self.lost
        }
    }
}

/// The increase of a range, carried on to its ends where readings come close to them.
///
/// Prometheus: `extrapolatedRate`. A counter is not carried on to before it was zero.
pub(crate) fn extrapolation(
    (from_ms, to_ms): (i64, i64),
    (first_ms, last_ms): (i64, i64),
    count: usize,
    to_zero_s: Option<f64>,
) -> f64 {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let mut to_start = seconds(first_ms - from_ms);
    let to_end = seconds(to_ms - last_ms);
    let sampled = seconds(last_ms - first_ms);
    let average = sampled / (count as f64 - 1.0);
    if let Some(to_zero) = to_zero_s.filter(|to_zero| *to_zero < to_start) {
        to_start = to_zero;
    }
    let threshold = average * 1.1;
    let reach = |gap: f64| if gap < threshold { gap } else { average / 2.0 };
    (sampled + reach(to_start) + reach(to_end)) / sampled
}

fn extrapolated(frame: &Frame<'_>, is_counter: bool) -> Option<f64> {
    let (first, last) = (frame.first()?, frame.latest()?);
    if frame.points.len() < 2 {
        return None;
    }
    let mut result = last.value - first.value;
    if is_counter {
        let resets = frame.points.windows(2);
        result += resets
            .filter(|pair| pair[1].value < pair[0].value)
            .map(|pair| pair[0].value)
            .sum::<f64>();
    }
    let sampled = (last.time_ms - first.time_ms) as f64 / 1000.0;
    let grows = is_counter && result > 0.0 && first.value >= 0.0;
    let to_zero = grows.then(|| sampled * (first.value / result));
    let ends = (first.time_ms, last.time_ms);
    let range = (frame.from_ms, frame.to_ms);
    Some(result * extrapolation(range, ends, frame.points.len(), to_zero))
}

pub(super) fn increase(frame: &Frame<'_>) -> Option<f64> {
    extrapolated(frame, true)
}

pub(super) fn rate(frame: &Frame<'_>) -> Option<f64> {
    let seconds = (frame.to_ms - frame.from_ms) as f64 / 1000.0;
    Some(extrapolated(frame, true)? / seconds)
}

pub(super) fn delta(frame: &Frame<'_>) -> Option<f64> {
    extrapolated(frame, false)
}

pub(super) fn irate(frame: &Frame<'_>) -> Option<f64> {
    let (before, last) = frame.last_two()?;
    let seconds = (last.time_ms - before.time_ms) as f64 / 1000.0;
    let came = if last.value < before.value {
        last.value
    } else {
        last.value - before.value
    };
    (seconds > 0.0).then(|| came / seconds)
}

pub(super) fn idelta(frame: &Frame<'_>) -> Option<f64> {
    let (before, last) = frame.last_two()?;
    (last.time_ms > before.time_ms).then_some(last.value - before.value)
}

/// Equal, as numbers are: zero has no sign, and what is no number equals nothing.
pub(crate) fn is_same(a: f64, b: f64) -> bool {
    a.partial_cmp(&b).is_some_and(std::cmp::Ordering::is_eq)
}

/// The line through the readings with the least squares: its slope in a second, and its value at `origin_ms`.
fn line(points: &[Point], origin_ms: i64) -> Option<(f64, f64)> {
    let first = points.first().filter(|_| points.len() >= 2)?;
    let is_level = points.iter().all(|point| is_same(point.value, first.value));
    if is_level {
        let is_finite = first.value.is_finite();
        return Some(if is_finite {
            (0.0, first.value)
        } else {
            (f64::NAN, f64::NAN)
        });
    }
    let [mut x, mut y, mut xy, mut xx] = [Compensated::default(); 4];
    for point in points {
        let at = (point.time_ms - origin_ms) as f64 / 1000.0;
        x.add(at);
        y.add(point.value);
        xy.add(at * point.value);
        xx.add(at * at);
    }
    let n = points.len() as f64;
    let (x, y, xy, xx) = (x.get(), y.get(), xy.get(), xx.get());
    let slope = (xy - x * y / n) / (xx - x * x / n);
    Some((slope, y / n - slope * x / n))
}

pub(super) fn deriv(frame: &Frame<'_>) -> Option<f64> {
    let (slope, _) = line(frame.points, frame.first()?.time_ms)?;
    Some(slope)
}

pub(super) fn predict_linear(frame: &Frame<'_>) -> Option<f64> {
    let (slope, now) = line(frame.points, frame.now_ms)?;
    Some(slope * frame.parameters[0] + now)
}

/// Double exponential smoothing; factors that are not between 0 and 1 are refused before (`evaluate/call.rs`).
pub(super) fn holt_winters(frame: &Frame<'_>) -> Option<f64> {
    let [smoothing, trending] = frame.parameters;
    let [first, second, ..] = *frame.points else {
        return None;
    };
    let (mut before, mut smooth, mut trend) = (0.0, first.value, second.value - first.value);
    for (at, point) in frame.points.iter().enumerate().skip(1) {
        let scaled = smoothing * point.value;
        if at > 1 {
            trend = trending * (smooth - before) + (1.0 - trending) * trend;
        }
        let next = scaled + (1.0 - smoothing) * (smooth + trend);
        (before, smooth) = (smooth, next);
    }
    Some(smooth)
}

pub(super) fn changes(frame: &Frame<'_>) -> Option<f64> {
    let differs = |pair: &&[Point]| {
        let (before, after) = (pair[0].value, pair[1].value);
        !(is_same(before, after) || before.is_nan() && after.is_nan())
    };
    Some(frame.points.windows(2).filter(differs).count() as f64)
}

pub(super) fn resets(frame: &Frame<'_>) -> Option<f64> {
    let falls = |pair: &&[Point]| pair[1].value < pair[0].value;
    Some(frame.points.windows(2).filter(falls).count() as f64)
}

pub(super) fn sum(frame: &Frame<'_>) -> Option<f64> {
    let mut sum = Compensated::default();
    frame.values().for_each(|value| sum.add(value));
    Some(sum.get())
}

pub(super) fn avg(frame: &Frame<'_>) -> Option<f64> {
    let sum = sum(frame)?;
    if sum.is_finite() {
        return Some(sum / frame.points.len() as f64);
    }
    // The sum may be too large for a number where the mean is not.
    let mut mean = Compensated::default();
    for (at, value) in frame.values().enumerate() {
        let own = mean.get();
        if own.is_infinite() && (value.is_finite() || is_same(value, own)) {
            continue;
        }
        let n = at as f64 + 1.0;
        mean.add(value / n - own / n);
    }
    Some(mean.get())
}

pub(super) fn count(frame: &Frame<'_>) -> Option<f64> {
    Some(frame.points.len() as f64)
}

pub(super) fn present(_: &Frame<'_>) -> Option<f64> {
    Some(1.0)
}

pub(super) fn last(frame: &Frame<'_>) -> Option<f64> {
    Some(frame.latest()?.value)
}

pub(super) fn max(frame: &Frame<'_>) -> Option<f64> {
    frame.values().reduce(|max, value| {
        if value > max || max.is_nan() {
            value
        } else {
            max
        }
    })
}

pub(super) fn min(frame: &Frame<'_>) -> Option<f64> {
    frame.values().reduce(|min, value| {
        if value < min || min.is_nan() {
            value
        } else {
            min
        }
    })
}

/// The variance of all of a population (Welford), compensated.
pub(super) fn stdvar(frame: &Frame<'_>) -> Option<f64> {
    Some(variance(frame.values()))
}

pub(super) fn stddev(frame: &Frame<'_>) -> Option<f64> {
    Some(stdvar(frame)?.sqrt())
}

pub(super) fn quantile_over_time(frame: &Frame<'_>) -> Option<f64> {
    Some(quantile(frame.parameters[0], frame.values().collect()))
}

/// The variance of all of a population.
pub(crate) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut squares, mut n) = (Compensated::default(), Compensated::default(), 0.0);
    for value in values {
        n += 1.0;
        let off = value - mean.get();
        mean.add(off / n);
        squares.add(off * (value - mean.get()));
    }
    squares.get() / n
}

/// The quantile of values, between the two nearest in proportion.
pub(crate) fn quantile(of: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || of.is_nan() {
        return f64::NAN;
    }
    if of < 0.0 {
        return f64::NEG_INFINITY;
    }
    if of > 1.0 {
        return f64::INFINITY;
    }
    // What is no number comes first.
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let last = values.len() - 1;
    let rank = of * last as f64;
    let below = (rank.floor() as usize).min(last);
    let weight = rank - rank.floor();
    values[below] * (1.0 - weight) + values[(below + 1).min(last)] * weight
}
