//! A query in PromQL. Nothing panics, whatever it is and whatever the readings are; a refusal says why and what to do.

use std::{sync::Arc, time::Duration};

use super::promql::{
    Error, Histogram, Labels, Limits, Matcher, Metadata, Point, Points, Reach, Series, Source,
    Window, evaluate, json, parse,
};

/// A few series of odd readings.
struct Odd;

impl Source for Odd {
    fn select(&self, matchers: &[Matcher], window: Window, _: usize) -> Result<Vec<Series>, Error> {
        let values = [0.0, -1.5, f64::NAN, f64::INFINITY, 1e300, 7.0, 2.0];
        let floats = |from: usize| {
            let times = (0_i64..).map(|at| at * 30_000);
            let values = values.iter().cycle().skip(from);
            let points = times.zip(values).take(40).map(|(time_ms, value)| Point {
                time_ms,
                value: *value,
            });
            let range = window.from_ms..=window.to_ms;
            Points::Floats(
                points
                    .filter(|point| range.contains(&point.time_ms))
                    .collect(),
            )
        };
        let histogram = Arc::new(Histogram {
            scale: 3,
            sum: f64::NAN,
            zero: 1.0,
            positive: [(i32::MIN, 1.0), (0, 2.0), (i32::MAX, 3.0)].into(),
            negative: [(4, 1.0)].into(),
        });
        let histograms = [(0, Arc::clone(&histogram)), (60_000, histogram)];
        let series = ["0.5", "1", "+Inf", ""]
            .into_iter()
            .enumerate()
            .map(|(at, le)| Series {
                labels: labels(&[("__name__", "a"), ("le", le), ("job", "x")]),
                points: floats(at),
            });
        let series = series.chain([
            Series {
                labels: labels(&[("__name__", "b"), ("job", "x")]),
                points: floats(3),
            },
            Series {
                labels: labels(&[("__name__", "h")]),
                points: Points::Histograms(histograms.into()),
            },
        ]);
        let accepts = |series: &Series| {
            let mut matchers = matchers.iter();
            matchers.all(|matcher| matcher.accepts(series.labels.get(&matcher.label)))
        };
        Ok(series.filter(accepts).collect())
    }

    fn series(&self, _: &[Vec<Matcher>], _: Window) -> Result<Vec<Labels>, Error> {
        Ok(Vec::new())
    }

    fn metadata(&self, _: Window) -> Result<Vec<Metadata>, Error> {
        Ok(Vec::new())
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into())),
    )
}

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let query = match parse(text) {
        Ok(query) => query,
        Err(error) => {
            assert!(!error.message.is_empty() && !error.mend.is_empty());
            return;
        }
    };
    let limits = Limits {
        points_max: 5_000,
        series_max: 50,
        steps_max: 20,
        timeout: Duration::from_secs(2),
    };
    let range = Reach::Range {
        start_ms: 300_000,
        end_ms: 600_000,
        step_ms: 60_000,
    };
    for reach in [Reach::Instant(400_000), range, Reach::Instant(i64::MIN / 4)] {
        match evaluate(&Odd, &query, reach, limits) {
            Ok(answer) => assert!(json::write(&answer, 0).starts_with('{')),
            Err(error) => assert!(!error.message.is_empty() && !error.mend.is_empty()),
        }
    }
}
