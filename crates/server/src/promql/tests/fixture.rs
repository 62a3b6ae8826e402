//! The fixture as a source: OpenMetrics text, of the forms that it has.

use std::collections::BTreeMap;

use super::super::*;

/// When the fixture begins, in seconds since the Unix epoch.
pub(super) const START_S: i64 = 1_699_999_200;

const TEXT: &str = include_str!("../../../tests/promql/fixture.openmetrics");

/// Series in memory.
pub(super) struct Held(pub(super) Vec<Series>);

impl Held {
    pub(super) fn fixture() -> Self {
        let mut series: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let (rest, time) = line.rsplit_once(' ').unwrap();
            let (name, value) = rest.rsplit_once(' ').unwrap();
            let point = Point {
                time_ms: (time.parse::<f64>().unwrap() * 1000.0).round() as i64,
                value: value.parse().unwrap(),
            };
            series.entry(name).or_default().push(point);
        }
        let series = series.into_iter().map(|(name, points)| Series {
            labels: labels(name),
            points: Points::Floats(points),
        });
        Self(series.collect())
    }
}

/// The labels that a selector of equalities names.
pub(super) fn labels(selector: &str) -> Labels {
    let matchers = parse_selector(selector).unwrap();
    let pairs = matchers
        .iter()
        .map(|matcher| (matcher.label.as_str().into(), matcher.value.as_str().into()));
    Labels::new(pairs)
}

fn accepts(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers
        .iter()
        .all(|matcher| matcher.accepts(labels.get(&matcher.label)))
}

fn within<T: Clone>(points: &[T], time: impl Fn(&T) -> i64, window: Window) -> Vec<T> {
    let range = window.from_ms..=window.to_ms;
    let points = points.iter().filter(|point| range.contains(&time(point)));
    points.cloned().collect()
}

impl Source for Held {
    fn select(&self, matchers: &[Matcher], window: Window, _: usize) -> Result<Vec<Series>, Error> {
        let series = self
            .0
            .iter()
            .filter(|series| accepts(matchers, &series.labels));
        let series = series.map(|series| Series {
            labels: series.labels.clone(),
            points: match &series.points {
                Points::Floats(points) => Points::Floats(within(points, |it| it.time_ms, window)),
                Points::Histograms(points) => {
                    Points::Histograms(within(points, |(time, _)| *time, window))
                }
            },
        });
        Ok(series.filter(|series| series.points.len() > 0).collect())
    }

    fn series(&self, sets: &[Vec<Matcher>], _: Window) -> Result<Vec<Labels>, Error> {
        let labels = self.0.iter().map(|series| &series.labels);
        let wanted = labels.filter(|labels| {
            sets.is_empty() || sets.iter().any(|matchers| accepts(matchers, labels))
        });
        Ok(wanted.cloned().collect())
    }

    fn metadata(&self, _: Window) -> Result<Vec<Metadata>, Error> {
        Ok(Vec::new())
    }
}
