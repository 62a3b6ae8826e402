use std::sync::Arc;

use proptest::prelude::*;
use radiosonde_core::{
    metrics::snapshot::{Buckets, Metric, Series as Of},
    model::{Resource, Value},
};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn limits(series_max: usize, points_max: usize, cells_max: usize) -> WindowLimits {
    WindowLimits {
        span: Duration::from_secs(3_600),
        series_max,
        points_max,
        cells_max,
    }
}

fn device(name: &str) -> Labels {
    Labels::from([("device".to_owned(), name.to_owned())])
}

fn read(second: u64, value: ReadValue) -> Read {
    Read {
        time_unix_ns: second * SECOND,
        since_unix_ns: None,
        value,
    }
}

fn push(window: &mut Window, name: &str, second: u64, value: f64) {
    window.push("m", device(name), read(second, ReadValue::Counter(value)));
}

/// The seconds and values of a counter or gauge.
fn kept(window: &Window, from: u64, until: u64) -> Vec<(u64, f64)> {
    let series = window
        .series(&"m".into(), from * SECOND, until * SECOND)
        .unwrap();
    match &series[0].points {
        Points::Counter(points) | Points::Gauge(points) => points
            .iter()
            .map(|point| (point.time_unix_ns / SECOND, point.value))
            .collect(),
        Points::Histogram(_) => panic!("no histogram was read"),
    }
}

#[test]
fn totals_only_grow_and_late_readings_change_nothing() {
    let mut window = Window::default();
    for (second, value) in [(10, 5.0), (20, 7.0), (20, 9.0), (15, 9.0), (30, 2.0)] {
        push(&mut window, "a", second, value);
    }
    assert_eq!(kept(&window, 0, 100), [(10, 5.0), (20, 7.0), (30, 9.0)]);
    assert_eq!(kept(&window, 10, 20), [(20, 7.0)]);
    assert_eq!(window.loss().late, 2);
}

#[test]
fn a_series_says_itself_that_it_started_anew() {
    let mut window = Window::default();
    for (second, since, value) in [(10, 0, 5.0), (20, 15, 6.0), (30, 15, 8.0)] {
        let read = Read {
            time_unix_ns: second * SECOND,
            since_unix_ns: Some(since * SECOND),
            value: ReadValue::Counter(value),
        };
        window.push("m", device("a"), read);
    }
    assert_eq!(kept(&window, 0, 100), [(10, 5.0), (20, 11.0), (30, 13.0)]);
    let series = window.series(&"m".into(), 0, u64::MAX).unwrap();
    assert_eq!(series[0].since_unix_ns, Some(0));
}

#[test]
fn what_there_is_no_room_for_is_counted_and_what_is_idle_makes_room() {
    let mut window = Window::new(limits(2, 100, 1_000));
    push(&mut window, "a", 10, 1.0);
    push(&mut window, "b", 10, 1.0);
    push(&mut window, "c", 10, 1.0);
    assert_eq!((window.series_count(), window.loss().refused), (2, 1));
    push(&mut window, "b", 3_600, 2.0);
    push(&mut window, "c", 3_700, 1.0);
    let series = window.series(&"m".into(), 0, u64::MAX).unwrap();
    let devices: Vec<&str> = series
        .iter()
        .map(|series| &*series.labels["device"])
        .collect();
    assert_eq!(devices, ["b", "c"]);
}

#[test]
fn a_metric_may_become_one_of_another_kind() {
    let mut window = Window::default();
    push(&mut window, "a", 10, 5.0);
    window.push("m", device("a"), read(20, ReadValue::Gauge(1.0)));
    assert_eq!(kept(&window, 0, 100), [(20, 1.0)]);
}

fn spread(scale: i32, counts: &[u64]) -> ReadValue {
    ReadValue::Histogram {
        sum: counts.iter().sum::<u64>() as f64,
        distribution: Distribution::from(&Buckets::Exponential {
            scale,
            zero_count: 0,
            offset: 0,
            counts: counts.to_vec(),
            negative_offset: 0,
            negative_counts: Vec::new(),
        }),
    }
}

#[test]
fn histograms_grow_too_whatever_becomes_of_their_scale() {
    let mut window = Window::default();
    for (second, value) in [
        (10, spread(3, &[4, 0, 2])),
        (20, spread(2, &[6, 2])),
        (30, spread(2, &[1])),
    ] {
        window.push("m", device("a"), read(second, value));
    }
    let series = window.series(&"m".into(), 0, u64::MAX).unwrap();
    let Points::Histogram(spreads) = &series[0].points else {
        panic!("histograms were read");
    };
    let counts: Vec<f64> = spreads.iter().map(|spread| spread.count).collect();
    assert_eq!(counts, [6.0, 8.0, 9.0]);
    let grown = spreads[2].distribution.since(&spreads[0].distribution);
    assert_eq!(grown.as_ref().map(Distribution::count), Some(3.0));
}

#[test]
fn a_snapshot_is_read_series_by_series() {
    let labels: SnapshotLabels = Arc::from([("n".into(), Value::U64(7))]);
    let series = |value| {
        vec![Of {
            labels: Arc::clone(&labels),
            start_unix_ns: 5,
            value,
            exemplars: Vec::new(),
        }]
    };
    let metric = |name: &'static str, data| Metric {
        name: name.into(),
        description: "".into(),
        unit: "".into(),
        data,
    };
    let mut window = Window::default();
    window.read(&Snapshot {
        resource: Arc::new(Resource::default()),
        start_unix_ns: 5,
        time_unix_ns: 10 * SECOND,
        metrics: vec![
            metric("m", Data::Counter(series(Number::U64(3)))),
            metric("g", Data::UpDownCounter(series(Number::I64(-3)))),
        ],
    });
    assert_eq!(kept(&window, 0, 100), [(10, 3.0)]);
    let of = window.series(&"g".into(), 0, u64::MAX).unwrap();
    assert_eq!(of[0].labels["n"], "7");
    assert_eq!(of[0].since_unix_ns, Some(5));
    let text = window.expression("up", 0).unwrap_err();
    assert!(text.contains("say it as a threshold"), "{text}");
}

proptest! {
    #[test]
    fn memory_is_bounded_and_no_increase_is_another(
        steps in prop::collection::vec((0_u64..5, 0.0_f64..10.0, 0_usize..6), 1..400),
    ) {
        let mut window = Window::new(limits(4, 16, 40));
        let mut totals = [0.0_f64; 6];
        let mut second = 1;
        for (later, more, series) in steps {
            second += later;
            totals[series] = if more > 9.5 { 0.5 } else { totals[series] + more };
            push(&mut window, &series.to_string(), second, totals[series]);
            let all = window.series(&"m".into(), 0, u64::MAX).unwrap();
            let cells: usize = all.iter().map(|series| match &series.points {
                Points::Counter(points) => {
                    let rises = points.windows(2).all(|pair| {
                        pair[0].value <= pair[1].value && pair[0].time_unix_ns < pair[1].time_unix_ns
                    });
                    assert!(rises, "{points:?}");
                    assert!(points.len() <= 16);
                    points.len()
                }
                _ => 0,
            }).sum();
            prop_assert!(cells <= 40 && all.len() <= 4);
            prop_assert_eq!(cells, window.cells);
        }
    }
}
