use super::*;
use crate::{
    alerts::{Sample, Selector},
    distribution::Distribution,
};

const SECOND: u64 = 1_000_000_000;

/// Whatever is asked for.
struct Given(Vec<Series<'static>>);

impl Source for Given {
    fn series<'s>(
        &'s self,
        selector: &Selector,
        _: u64,
        _: u64,
    ) -> Result<Vec<Series<'s>>, String> {
        let meant = self
            .0
            .iter()
            .filter(|series| selector.matches(&series.labels));
        Ok(meant.cloned().collect())
    }

    fn expression(&self, _: &str, _: u64) -> Result<Vec<Sample>, String> {
        Ok(Vec::new())
    }
}

fn points(readings: &[(u64, f64)]) -> Cow<'static, [Point]> {
    readings
        .iter()
        .map(|&(second, value)| Point {
            time_unix_ns: second * SECOND,
            value,
        })
        .collect()
}

fn series(device: &str, points: Points<'static>) -> Series<'static> {
    let labels = Labels::from([
        ("device".to_owned(), device.to_owned()),
        ("room".to_owned(), "1".to_owned()),
    ]);
    Series {
        labels: Cow::Owned(labels),
        since_unix_ns: None,
        points,
    }
}

fn counter(readings: &[(u64, f64)]) -> Series<'static> {
    series("a", Points::Counter(points(readings)))
}

fn gauge(device: &str, readings: &[(u64, f64)]) -> Series<'static> {
    series(device, Points::Gauge(points(readings)))
}

fn spread(second: u64, counts: [f64; 3]) -> Spread {
    let distribution = Distribution::Explicit {
        bounds: vec![1.0, 2.0],
        counts: counts.to_vec(),
    };
    Spread {
        time_unix_ns: second * SECOND,
        count: distribution.count(),
        sum: counts[0] * 0.5 + counts[1] * 1.5 + counts[2] * 2.5,
        distribution,
    }
}

fn values(measure: &Measure, given: Vec<Series<'static>>, second: u64) -> Result<Vec<f64>, String> {
    let given = Given(given);
    let at = second * SECOND;
    let loaded = Loaded::new(measure, &given, at, at)?;
    let values = loaded.at(at)?;
    Ok(values.into_iter().map(|measured| measured.value).collect())
}

fn one(reading: Reading, series: Series<'static>, second: u64) -> Option<f64> {
    let values = values(&Measure::new("m", reading), vec![series], second).unwrap();
    assert!(values.len() < 2);
    values.first().copied()
}

const fn window(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_counter_grows_by_what_was_counted_and_nothing_is_extrapolated() {
    let total = [(0, 5.0), (60, 7.0), (120, 7.0), (180, 10.0)];
    let increase = |seconds, at| one(Reading::Increase(window(seconds)), counter(&total), at);
    assert_eq!(increase(120, 180), Some(3.0));
    // The reading before the window tells what was there when it began.
    assert_eq!(increase(100, 180), Some(3.0));
    assert_eq!(increase(600, 180), Some(5.0));
    assert_eq!(increase(120, 500), None);
    assert_eq!(increase(30, 0), None);
    let rate = one(Reading::Rate(window(120)), counter(&total), 180);
    assert_eq!(rate, Some(3.0 / 120.0));
    assert_eq!(one(Reading::Last, counter(&total), 200), Some(10.0));
    assert_eq!(one(Reading::Last, counter(&total), 480), None);
}

#[test]
fn a_total_that_falls_has_started_anew() {
    let total = [(0, 5.0), (60, 9.0), (120, 2.0), (180, 3.0)];
    let increase = one(Reading::Increase(window(200)), counter(&total), 180);
    assert_eq!(increase, Some(4.0 + 2.0 + 1.0));
}

#[test]
fn what_was_counted_before_the_first_reading_counts_where_the_start_is_known() {
    let mut first = counter(&[(60, 3.0)]);
    let increase =
        |series: &Series<'static>| one(Reading::Increase(window(120)), series.clone(), 100);
    assert_eq!(increase(&first), None);
    first.since_unix_ns = Some(50 * SECOND);
    assert_eq!(increase(&first), Some(3.0));
    let rate = one(Reading::Rate(window(120)), first.clone(), 100);
    assert_eq!(rate, Some(0.3));
}

#[test]
fn a_gauge_is_read_by_its_values() {
    let load = [(0, 100.0), (60, 1.0), (120, 3.0), (180, 8.0)];
    let read = |reading| one(reading, gauge("a", &load), 180);
    assert_eq!(read(Reading::Last), Some(8.0));
    assert_eq!(read(Reading::Mean(window(180))), Some(4.0));
    assert_eq!(read(Reading::Quantile(0.5, window(180))), Some(3.0));
    assert_eq!(read(Reading::Quantile(0.75, window(180))), Some(5.5));
    assert_eq!(read(Reading::Beyond(2.0, window(180))), Some(2.0));
    assert_eq!(one(Reading::Mean(window(60)), gauge("a", &load), 400), None);
}

#[test]
fn a_histogram_is_read_by_what_it_measured_in_the_time() {
    let spreads = vec![
        spread(0, [10.0, 0.0, 0.0]),
        spread(60, [12.0, 4.0, 0.0]),
        // Started anew.
        spread(120, [1.0, 0.0, 1.0]),
        spread(180, [1.0, 2.0, 1.0]),
    ];
    let read = |reading, at| {
        let points = Points::Histogram(Cow::Owned(spreads.clone()));
        one(reading, series("a", points), at)
    };
    let all = window(180);
    assert_eq!(read(Reading::Increase(all), 60), Some(6.0));
    assert_eq!(read(Reading::Increase(all), 180), Some(6.0 + 2.0 + 2.0));
    assert_eq!(read(Reading::Beyond(1.0, all), 180), Some(4.0 + 1.0 + 2.0));
    assert_eq!(
        read(Reading::Mean(all), 60),
        Some((2.0 * 0.5 + 4.0 * 1.5) / 6.0)
    );
    assert_eq!(read(Reading::Quantile(0.5, all), 60), Some(1.25));
}

#[test]
fn series_that_agree_are_one_and_shares_are_of_equal_labels() {
    let load = || vec![gauge("a", &[(5, 2.0)]), gauge("b", &[(5, 6.0)])];
    let by = |by: &[&str]| Measure::new("m", Reading::Last).by(by.iter().copied());
    assert_eq!(values(&by(&[]), load(), 10), Ok(vec![8.0]));
    assert_eq!(values(&by(&["device"]), load(), 10), Ok(vec![2.0, 6.0]));
    let quantile = Measure::new("m", Reading::Quantile(0.5, window(60))).by(["room"]);
    assert_eq!(values(&quantile, load(), 10), Ok(vec![4.0]));
    let share = Measure::new(Selector::new("m").with("device", "a"), Reading::Last).per("m");
    assert_eq!(values(&share, load(), 10), Ok(vec![1.0]));
    let of_all = by(&[]).per(Selector::new("m").with("device", "b"));
    assert_eq!(values(&of_all, load(), 10), Ok(vec![8.0 / 6.0]));
    let zero = vec![gauge("a", &[(5, 0.0)])];
    assert_eq!(values(&share, zero, 10), Ok(vec![]));
}

#[test]
fn what_a_kind_cannot_say_is_said_with_the_mend() {
    let read = |reading, series| values(&Measure::new("m", reading), vec![series], 60).unwrap_err();
    let load = [(0, 1.0), (60, 2.0)];
    assert_eq!(
        read(Reading::Rate(window(60)), gauge("a", &load)),
        "`m` is a gauge, which does not only grow: read its `mean`, or what is last"
    );
    assert!(read(Reading::Mean(window(60)), counter(&load)).contains("is a counter"));
    let histogram = Points::Histogram(Cow::Owned(vec![spread(60, [1.0, 0.0, 0.0])]));
    assert!(read(Reading::Last, series("a", histogram)).contains("is a histogram"));
    let both = vec![counter(&load), gauge("a", &load)];
    let together = Measure::new("m", Reading::Last).by::<String>([]);
    assert_eq!(values(&together, both, 60), Ok(vec![4.0]));
}

#[test]
fn the_past_is_seen_at_the_same_times_by_every_evaluation() {
    let total: Vec<(u64, f64)> = (0..100)
        .map(|minute| (60 * minute, minute as f64))
        .collect();
    let given = Given(vec![counter(&total)]);
    let measure = Measure::new("m", Reading::Increase(window(120)));
    let past = |second: u64| -> Vec<u64> {
        let (from, until) = ((second - 2400) * SECOND, second * SECOND);
        let loaded = Loaded::new(&measure, &given, from, until).unwrap();
        let past = loaded.past(from, until, 2400 * SECOND).unwrap();
        let (_, points) = &past[0];
        assert!(points.iter().all(|point| (point.value - 2.0).abs() < 1.1));
        points
            .iter()
            .map(|point| point.time_unix_ns / SECOND)
            .collect()
    };
    let (earlier, later) = (past(4003), past(4007));
    assert_eq!(earlier.len(), 240);
    assert_eq!(earlier, later);
    assert!(earlier.iter().all(|second| second % 10 == 0));
}
