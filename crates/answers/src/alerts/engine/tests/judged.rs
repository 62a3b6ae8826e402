//! Forecasts and anomalies, from readings to changes.

use super::*;
use crate::alerts::{Anomaly, Direction, Forecast};

/// Noise around zero, of deviation 1 or so, that is the same each time: twelve equal chances less their mean, by the
/// multiplier of Knuth's MMIX.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut sum = -6.0;
        for _ in 0..12 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            sum += (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        }
        sum
    }
}

fn load() -> Measure {
    Measure::new("load", Reading::Last)
}

/// The seconds at which things changed, of a value that is read each second.
fn seconds(condition: Condition, seconds: u64, value: impl Fn(u64) -> f64) -> Vec<(u64, Change)> {
    let mut engine = engine(Rule::new("judged", condition).unit("By"));
    let mut script = Script {
        window: Window::new(WindowLimits {
            points_max: 4_000,
            ..WindowLimits::default()
        }),
        ..Script::default()
    };
    let mut all = Vec::new();
    for second in 0..seconds {
        let now = START + second * SECOND;
        script.gauge("a", now, value(second));
        if second % 5 == 0 {
            let changes = engine.evaluate(&script, now);
            all.extend(changes.into_iter().map(|change| (second, change)));
        }
    }
    assert_eq!(engine.rules().next().unwrap().error, None);
    all
}

fn anomaly() -> Condition {
    Condition::Anomaly(Anomaly {
        measure: load(),
        direction: Direction::Above,
        history: minutes(60),
    })
}

#[test]
fn an_hour_of_noise_raises_nothing_and_a_threefold_step_is_found_in_15_seconds() {
    for seed in 0..5 {
        let mut noise = Noise(seed);
        let noise: Vec<f64> = (0..3_600).map(|_| 20.0 + 2.0 * noise.next()).collect();
        let quiet = seconds(anomaly(), 3_600, |second| noise[second as usize]);
        assert_eq!(quiet, [], "{seed}");
        let stepped = |second: u64| {
            let times = if second >= 60 { 3.0 } else { 1.0 };
            times * noise[second as usize]
        };
        let found = seconds(anomaly(), 90, stepped);
        let (second, change) = &found[0];
        assert!((60..75).contains(second), "{seed}: {second}");
        let words = &change.alert.annotations["explanation"];
        assert!(words.contains("a step up to"), "{words}");
    }
}

fn leaks_to(gigabytes: f64) -> Condition {
    Condition::Forecast(Forecast {
        measure: load(),
        reaches: gigabytes * 1e9,
        falls: false,
        within: minutes(2),
        history: minutes(60),
    })
}

#[test]
fn a_leak_is_told_before_it_is_full_and_a_sawtooth_is_not() {
    // Ten megabytes a second: full after 100 seconds, so that two minutes are left at once.
    let told = seconds(leaks_to(1.0), 90, |second| second as f64 * 10e6);
    let (second, change) = &told[0];
    assert!(*second <= 50, "{second}");
    assert_eq!(change.alert.phase, Phase::Firing);
    let words = &change.alert.annotations["explanation"];
    assert!(words.contains("reaches"), "{words}");
    let collected = |second: u64| (200 + 20 * (second % 20)) as f64 * 1e6;
    assert_eq!(seconds(leaks_to(1.0), 1_200, collected), []);
    // It is read where it is already, too.
    let full = seconds(leaks_to(0.5), 10, |_| 600e6);
    assert_eq!(
        full[0].1.alert.annotations["explanation"],
        "it is there already"
    );
}
