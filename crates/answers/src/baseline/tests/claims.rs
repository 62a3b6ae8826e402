//! What is found, how soon, and how often something is claimed that is not there.

use super::{
    noise::{Random, SHAPES, Series, Shape},
    *,
};

const SEEDS: u64 = 40;

/// What a series was called in its first seconds, where that is anything but learning and normal.
fn anomalies(shape: Shape, seed: u64, seconds: u64, every_s: u64) -> Vec<Anomaly> {
    let mut series = Series::new(shape, seed);
    let mut baseline = Baseline::new(Settings::default());
    let mut found: Vec<Anomaly> = Vec::new();
    for reading in 0..seconds / every_s {
        if let Verdict::Anomalous(anomaly) = baseline.observe(at(reading * every_s), series.next())
            && found
                .last()
                .is_none_or(|last| last.found_unix_ns != anomaly.found_unix_ns)
        {
            found.push(anomaly);
        }
    }
    found
}

/// Readings at a cadence, at some time so many times as large.
fn step(shape: Shape, seed: u64, every_s: u64, step_s: u64, times: f64) -> Option<Anomaly> {
    let mut series = Series::new(shape, seed);
    let mut baseline = Baseline::new(Settings::default());
    (0..(step_s + 600) / every_s).find_map(|reading| {
        let second = reading * every_s;
        let value = series.next() * if second >= step_s { times } else { 1.0 };
        match baseline.observe(at(second), value) {
            Verdict::Anomalous(anomaly) => Some(anomaly),
            _ => None,
        }
    })
}

#[test]
fn an_hour_of_stationary_noise_raises_nothing() {
    for shape in SHAPES {
        let claims: usize = (0..SEEDS)
            .map(|seed| anomalies(shape, seed, HOUR_S, 1).len())
            .sum();
        assert_eq!(claims, 0, "{shape:?}");
    }
}

#[test]
fn a_threefold_step_after_a_minute_is_found_within_15_seconds() {
    let shapes = [
        Shape::Gaussian,
        Shape::LogNormal,
        Shape::Poisson,
        Shape::Constant,
        Shape::Integer,
    ];
    for shape in shapes {
        for seed in 0..SEEDS {
            let found = step(shape, seed, 1, 60, 3.0).expect("it is found");
            assert_eq!(found.direction, Direction::Up);
            assert!(found.found_unix_ns >= at(60), "{shape:?} {seed}");
            let after_s = (found.found_unix_ns - at(60)) / SECOND;
            assert!(after_s < 15, "{shape:?} {seed}: {after_s} s");
        }
    }
}

#[test]
fn the_onset_of_a_step_is_known_within_30_seconds() {
    for shape in [
        Shape::Gaussian,
        Shape::LogNormal,
        Shape::Poisson,
        Shape::Integer,
    ] {
        for seed in 0..SEEDS {
            let found = step(shape, seed, 5, 1_800, 3.0).expect("it is found");
            let off_s = found.since_unix_ns.abs_diff(at(1_800)) / SECOND;
            assert!(off_s < 30, "{shape:?} {seed}: {off_s} s");
        }
    }
}

/// Requests a second over a week: more by day than by night, less at the weekend, with noise.
fn quiet_week(random: &mut Random, second: u64) -> f64 {
    let hour = second as f64 / HOUR_S as f64;
    let of_day = 1.0 + 0.5 * (std::f64::consts::TAU * (hour - 9.0) / 24.0).sin();
    let weekend = if hour / 24.0 % 7.0 >= 5.0 { 0.7 } else { 1.0 };
    200.0 * of_day * weekend * (0.1 * random.normal()).exp()
}

#[test]
fn seven_quiet_days_raise_less_than_one_alert_a_day() {
    let mut claims = 0;
    for seed in 0..3 {
        let mut random = Random(seed);
        let mut baseline = Baseline::new(Settings::default());
        let mut last = None;
        for reading in 0..7 * 24 * HOUR_S / 15 {
            let value = quiet_week(&mut random, reading * 15);
            if let Verdict::Anomalous(anomaly) = baseline.observe(at(reading * 15), value) {
                claims += u32::from(last != Some(anomaly.found_unix_ns));
                last = Some(anomaly.found_unix_ns);
            }
        }
    }
    assert_eq!(claims, 0);
}
