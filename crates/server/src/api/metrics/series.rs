//! One series: its readings, and what they say of each step.

use std::collections::BTreeMap;

use radiosonde_answers::distribution::Distribution;
use serde::{Deserialize, Serialize};

use crate::api::{params::Range, rows::ms};

/// A reading of a series.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) time_ns: i64,
    /// Since when a total counts; 0 where that is not known.
    pub(super) start_ns: i64,
    /// The value; of a histogram the sum.
    pub(super) value: f64,
    pub(super) count: f64,
    pub(super) distribution: Option<Distribution>,
}

/// What a step shows.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Point {
    /// When, and the value.
    Value(f64, f64),
    /// When, how many, their sum, and three quantiles.
    Histogram(f64, f64, f64, Option<f64>, Option<f64>, Option<f64>),
}

impl Reading {
    /// Multiplies what was measured, such as milliseconds as seconds.
    pub(super) fn scale(&mut self, times: f64) {
        self.value *= times;
        // What is multiplied by one is as it was, whatever its form.
        if (times - 1.0).abs() < f64::EPSILON {
            return;
        }
        self.distribution = match self.distribution.take() {
            Some(Distribution::Explicit { mut bounds, counts }) => {
                bounds.iter_mut().for_each(|bound| *bound *= times);
                Some(Distribution::Explicit { bounds, counts })
            }
            // Its bounds are powers of a base: of others nothing would be exact.
            _ => None,
        };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// The readings of a series so far.
#[derive(Debug)]
pub(super) struct Series {
    kind: Kind,
    is_delta: bool,
    range: Range,
    step_ns: i64,
    last: Option<Reading>,
    steps: BTreeMap<i64, Step>,
}

/// What came in a step.
#[derive(Debug, Default)]
struct Step {
    value: f64,
    count: f64,
    /// How long what came took to come.
    seconds: f64,
    distribution: Option<Distribution>,
}

impl Series {
    pub(super) fn new(kind: &str, is_delta: bool, range: Range, step_ns: i64) -> Self {
        Self {
            kind: match kind {
                "counter" => Kind::Counter,
                "histogram" => Kind::Histogram,
                _ => Kind::Gauge,
            },
            is_delta,
            range,
            step_ns,
            last: None,
            steps: BTreeMap::new(),
        }
    }

    /// Takes the next reading in time.
    pub(super) fn take(&mut self, reading: Reading) {
        let is_within = (self.range.from_ns..self.range.to_ns).contains(&reading.time_ns);
        let at = (reading.time_ns - self.range.from_ns).div_euclid(self.step_ns);
        if is_within && reading.value.is_finite() {
            if self.kind == Kind::Gauge {
                self.steps.entry(at).or_default().value = reading.value;
            } else if let Some(came) = self.came(&reading) {
                self.steps.entry(at).or_default().add(came);
            }
        }
        self.last = Some(reading);
    }

    /// What came between the last reading and this one. Nothing is known of a total's first reading.
    fn came(&self, reading: &Reading) -> Option<Step> {
        let whole = |since_ns: i64| Step {
            value: reading.value,
            count: reading.count,
            seconds: (reading.time_ns - since_ns) as f64 / 1e9,
            distribution: reading.distribution.clone(),
        };
        if self.is_delta {
            let began = if reading.start_ns > 0 {
                reading.start_ns
            } else {
                reading.time_ns - self.step_ns
            };
            return Some(whole(began));
        }
        let Some(last) = &self.last else {
            // A total that began within the time asked for is all of what came.
            return (reading.start_ns >= self.range.from_ns).then(|| whole(reading.start_ns));
        };
        let is_reset = reading.start_ns != last.start_ns
            || reading.value < last.value
            || reading.count < last.count;
        if is_reset {
            return Some(whole(reading.start_ns.max(last.time_ns)));
        }
        let distribution = match (&reading.distribution, &last.distribution) {
            (Some(now), Some(then)) => now.since(then),
            _ => None,
        };
        Some(Step {
            value: reading.value - last.value,
            count: reading.count - last.count,
            seconds: (reading.time_ns - last.time_ns) as f64 / 1e9,
            distribution,
        })
    }

    pub(super) fn points(self) -> Vec<Point> {
        let Self {
            kind,
            range,
            step_ns,
            steps,
            ..
        } = self;
        let point = |(at, step): (i64, Step)| {
            let time = ms(range.from_ns + at * step_ns);
            let quantile = |of| step.distribution.as_ref()?.quantile(of);
            match kind {
                Kind::Gauge => Some(Point::Value(time, step.value)),
                Kind::Counter => {
                    (step.seconds > 0.0).then(|| Point::Value(time, step.value / step.seconds))
                }
                Kind::Histogram => {
                    let (half, high, highest) = (quantile(0.5), quantile(0.95), quantile(0.99));
                    Some(Point::Histogram(
                        time, step.count, step.value, half, high, highest,
                    ))
                }
            }
        };
        steps.into_iter().filter_map(point).collect()
    }
}

impl Step {
    fn add(&mut self, other: Self) {
        self.value += other.value;
        self.count += other.count;
        self.seconds += other.seconds;
        self.distribution = match (self.distribution.take(), other.distribution) {
            (Some(own), Some(other)) => own.plus(&other).or(Some(other)),
            (own, other) => own.or(other),
        };
    }
}

/// A histogram as receivers keep it, under the names of OTLP's messages.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Json {
    explicit_bounds: Vec<f64>,
    bucket_counts: Vec<f64>,
    scale: Option<i32>,
    zero_count: f64,
    positive: Side,
    negative: Side,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Side {
    offset: i32,
    bucket_counts: Vec<f64>,
}

/// The distribution that a row has as JSON; `None` where it is no histogram.
pub(crate) fn distribution(json: &str) -> Option<Distribution> {
    if json.is_empty() {
        return None;
    }
    let json: Json = serde_json::from_str(json).ok()?;
    let side = |side: &Side| {
        let counts = side.bucket_counts.iter().copied().enumerate();
        let indexed =
            counts.map(|(place, count)| (side.offset.saturating_add(place as i32), count));
        indexed.filter(|(_, count)| *count > 0.0).collect()
    };
    match json.scale {
        Some(scale) => Some(Distribution::Exponential {
            scale,
            zero: json.zero_count,
            positive: side(&json.positive),
            negative: side(&json.negative),
        }),
        None if json.bucket_counts.len() == json.explicit_bounds.len() + 1 => {
            Some(Distribution::Explicit {
                bounds: json.explicit_bounds,
                counts: json.bucket_counts,
            })
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn series(kind: &str) -> Series {
        let range = Range {
            from_ns: 100 * S,
            to_ns: 200 * S,
        };
        Series::new(kind, false, range, 10 * S)
    }

    fn reading(time_s: i64, start_s: i64, value: f64) -> Reading {
        Reading {
            time_ns: time_s * S,
            start_ns: start_s * S,
            value,
            count: value,
            distribution: None,
        }
    }

    #[test]
    fn a_counter_shows_its_rate_and_survives_a_restart() {
        let mut series = series("counter");
        for reading in [
            reading(95, 1, 50.0),
            reading(105, 1, 70.0),
            reading(115, 1, 90.0),
            reading(125, 120, 15.0),
        ] {
            series.take(reading);
        }
        assert_eq!(
            series.points(),
            [
                Point::Value(100e3, 2.0),
                Point::Value(110e3, 2.0),
                Point::Value(120e3, 3.0)
            ]
        );
    }

    #[test]
    fn the_first_reading_of_an_old_total_says_nothing() {
        let mut old = series("counter");
        old.take(reading(105, 1, 70.0));
        assert!(old.points().is_empty());
        let mut young = series("counter");
        young.take(reading(110, 100, 70.0));
        assert_eq!(young.points(), [Point::Value(110e3, 7.0)]);
    }

    #[test]
    fn a_gauge_shows_its_last_reading_of_a_step() {
        let mut series = series("gauge");
        for at in [101, 109, 121, 205] {
            series.take(reading(at, 0, at as f64));
        }
        assert_eq!(
            series.points(),
            [Point::Value(100e3, 109.0), Point::Value(120e3, 121.0)]
        );
    }

    #[test]
    fn both_forms_of_histograms_are_read() {
        let explicit =
            distribution(r#"{"explicit_bounds":[1,2],"bucket_counts":[1,2,0],"min":0.5}"#);
        assert_eq!(explicit.map(|it| it.count()), Some(3.0));
        let exponential = distribution(
            r#"{"scale":3,"zero_count":1,"positive":{"offset":-2,"bucket_counts":[4]}}"#,
        );
        assert_eq!(exponential.map(|it| it.count()), Some(5.0));
        assert_eq!(distribution("[]"), None);
        assert_eq!(distribution(""), None);
    }

    #[test]
    fn histograms_show_what_came_in_a_step() {
        let mut series = series("histogram");
        for (at, count) in [(95, 4.0), (105, 10.0)] {
            let bounds = vec![1.0];
            let counts = vec![count, 0.0];
            let distribution = Some(Distribution::Explicit { bounds, counts });
            series.take(Reading {
                distribution,
                ..reading(at, 1, count)
            });
        }
        let points = series.points();
        let [Point::Histogram(_, count, sum, median, ..)] = points[..] else {
            panic!("{points:?}");
        };
        assert_eq!((count as u64, sum as u64), (6, 6));
        assert!((median.unwrap() - 0.5).abs() < 1e-9);
    }
}
