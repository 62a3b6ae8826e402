//! Exponential histograms as values, which the fixture's text has no form for.

use std::sync::Arc;

use super::{
    super::*,
    fixture::{Held, labels},
};

/// 2 more values in (1, 2] and 4 more in (2, 4] each minute, beginning anew at the fourth.
fn source() -> Held {
    let reading = |minute: i64, times: f64| {
        let histogram = Histogram {
            scale: 0,
            sum: 18.0 * times,
            zero: 0.0,
            positive: [(0, 2.0 * times), (1, 4.0 * times)].into(),
            negative: [].into(),
        };
        (minute * 60_000, Arc::new(histogram))
    };
    let readings = [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 1.0), (5, 2.0)];
    let points = readings.map(|(minute, times)| reading(minute, times));
    let series = ["a", "b"].map(|instance| Series {
        labels: labels(&format!("latency{{instance={instance:?}}}")),
        points: Points::Histograms(points.to_vec()),
    });
    Held(series.into())
}

fn ask(text: &str) -> String {
    let answer = evaluate(
        &source(),
        &parse(text).unwrap(),
        Reach::Instant(300_000),
        Limits::default(),
    );
    answer.map_or_else(
        |error| error.to_string(),
        |answer| json::write(&answer, 300_000),
    )
}

#[test]
fn rates_sums_and_quantiles_are_taken_of_histograms_themselves() {
    for (text, value) in [
        // Five minutes, begun anew once: 4 - 1, and 2.
        (
            "histogram_count(increase(latency{instance=\"a\"}[5m]))",
            "30",
        ),
        ("histogram_count(sum(increase(latency[5m])))", "60"),
        ("histogram_sum(sum(rate(latency[5m]))) * 300", "180"),
        // Two of six lie up to 2, and half of the others up to the middle of their bucket, by factors.
        (
            "histogram_quantile(0.3333333333333333, sum(rate(latency[5m])))",
            "2",
        ),
        (
            "histogram_fraction(0, 2, latency{instance=\"a\"})",
            "0.3333333333333333",
        ),
        ("count(latency)", "2"),
    ] {
        let answer = ask(text);
        let given: f64 = answer.split('"').rev().nth(1).unwrap().parse().unwrap();
        let value: f64 = value.parse().unwrap();
        assert!((given - value).abs() < 1e-9, "{text}: {answer}");
    }
    let middle: f64 = 2.0 * 2_f64.sqrt();
    let answer = ask("histogram_quantile(0.6666666666666666, latency{instance=\"a\"})");
    let given: f64 = answer.split('"').rev().nth(1).unwrap().parse().unwrap();
    assert!((given - middle).abs() < 1e-9, "{answer}");
}

#[test]
fn a_histogram_is_written_with_its_buckets() {
    let answer = ask("latency{instance=\"a\"}");
    assert!(
        answer.ends_with(r#""histogram":[300,{"count":"12","sum":"36","buckets":[[0,"1","2","4"],[0,"2","4","8"]]}]}]}"#),
        "{answer}"
    );
}

#[test]
fn what_is_not_supported_of_histograms_is_refused_by_name() {
    for (text, words) in [
        (
            "abs(latency)",
            "`abs` of the histogram latency{instance=\"a\"}",
        ),
        ("avg(latency)", "`avg` of the histogram"),
        (
            "avg_over_time(latency[5m])",
            "`avg_over_time` of the histogram",
        ),
        ("latency * 2", "`*` of the histogram"),
    ] {
        assert!(ask(text).contains(words), "{text}: {}", ask(text));
    }
}

#[test]
fn histograms_of_two_scales_meet_at_the_coarser() {
    let fine = Histogram {
        scale: 1,
        positive: [(0, 1.0), (1, 2.0), (2, 3.0)].into(),
        ..Histogram::default()
    };
    let coarse = Histogram {
        scale: 0,
        positive: [(0, 4.0)].into(),
        ..Histogram::default()
    };
    let sum = fine.plus(&coarse, 1.0);
    assert_eq!(sum.scale, 0);
    assert_eq!(sum.positive, [(0, 7.0), (1, 3.0)].into());
    assert_eq!(sum, coarse.plus(&fine, 1.0));
}
