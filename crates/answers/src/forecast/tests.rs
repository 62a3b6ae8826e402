//! Leaks, heaps and queues that are simulated, so that the truth is known.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
/// 2026-11-30T00:00:00Z.
const START: u64 = 1_795_996_800 * SECOND;
const GB: f64 = 1e9;
const MB: f64 = 1e6;

/// S. Vigna's SplitMix64, and the sum of twelve even numbers for a normal one.
struct Random(u64);

impl Random {
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() - 6.0
    }
}

/// Readings every second.
fn readings(seconds: u64, mut value: impl FnMut(f64) -> f64) -> Vec<Reading> {
    (0..seconds)
        .map(|second| Reading {
            time_unix_ns: START + second * SECOND,
            value: value(second as f64),
        })
        .collect()
}

fn outlook(readings: &[Reading], limit: f64) -> Outlook {
    forecast(readings, Limit::AtMost(limit), &Settings::default())
}

fn reach(outlook: Outlook) -> Reach {
    match outlook {
        Outlook::Reaches(reach) => reach,
        other => panic!("it is reached: {other:?}"),
    }
}

fn reason(outlook: Outlook) -> Reason {
    match outlook {
        Outlook::Abstains { because } => because,
        other => panic!("nothing can be said: {other:?}"),
    }
}

#[test]
fn a_leak_is_predicted_within_a_tenth_at_half_way_and_its_interval_is_right() {
    let mut within = 0;
    for seed in 0..200 {
        let mut random = Random(seed);
        let leak = readings(50, |second| second * 10.0 * MB + 5.0 * MB * random.normal());
        let reach = reach(outlook(&leak, GB));
        // The last reading is at second 49, and the limit is reached at second 100.
        assert!((reach.in_s - 51.0).abs() < 5.1, "{seed}: {reach:?}");
        assert_eq!(reach.model, Model::Line);
        assert!(reach.fit > 0.9);
        assert_eq!(
            reach.at_unix_ns,
            START + 49 * SECOND + (reach.in_s * 1e9) as u64
        );
        within += u32::from(reach.in_interval_s.0 <= 51.0 && 51.0 <= reach.in_interval_s.1);
    }
    assert!(within >= 198, "{within} of 200");
}

#[test]
fn what_is_collected_again_and_again_is_no_leak() {
    for seed in 0..50 {
        let mut random = Random(seed);
        let period = 20.0 + 20.0 * random.even();
        let heap = readings(600, |second| {
            200.0 * MB + second % period / period * 600.0 * MB + 10.0 * MB * random.normal()
        });
        // Wherever in a tooth one looks, once there is more than one.
        for end in (100..600).step_by(7) {
            let because = reason(outlook(&heap[..end], GB));
            let is_sawtooth = matches!(
                because,
                Reason::Sawtooth { .. } | Reason::FewLowPoints { .. }
            );
            assert!(is_sawtooth, "{seed} {end}: {because:?}");
        }
    }
}

#[test]
fn a_heap_whose_low_points_rise_is_forecast_by_them() {
    for seed in 0..50 {
        let mut random = Random(seed);
        let heap = readings(600, |second| {
            100.0 * MB + second * MB + second % 30.0 * 5.0 * MB + 3.0 * MB * random.normal()
        });
        let reach = reach(outlook(&heap, GB));
        // What is left after a collection is 100 MB and 1 MB a second: 900 s, of which 599 are over.
        assert_eq!(reach.model, Model::LowPoints);
        assert!((reach.in_s - 301.0).abs() < 30.0, "{seed}: {reach:?}");
    }
}

#[test]
fn what_is_steady_or_wanders_is_hardly_ever_said_to_run_out() {
    let mut claims = [0; 2];
    for seed in 0..400 {
        let mut random = Random(seed);
        let steady = readings(300, |_| 500.0 + 20.0 * random.normal());
        claims[0] += u32::from(!matches!(
            outlook(&steady, 1_000.0),
            Outlook::Abstains { .. }
        ));
        let mut level = 500.0;
        let wanders = readings(300, |_| {
            level += random.normal();
            level
        });
        claims[1] += u32::from(!matches!(
            outlook(&wanders, 1_000.0),
            Outlook::Abstains { .. }
        ));
    }
    assert_eq!(claims[0], 0);
    assert!(claims[1] <= 4, "{claims:?} of 400");
}

#[test]
fn where_it_bends_the_latest_readings_count() {
    let mut random = Random(1);
    let bent = readings(400, |second| {
        100.0 + (second - 200.0).max(0.0) * 2.0 + random.normal()
    });
    let reach = reach(outlook(&bent, 600.0));
    assert_eq!(reach.model, Model::LatestLine);
    assert!((reach.in_s - 51.0).abs() < 3.0, "{reach:?}");
}

#[test]
fn free_space_runs_out_downwards() {
    let mut random = Random(1);
    let free = readings(100, |second| 500.0 - second * 3.0 + random.normal());
    let reach = reach(forecast(&free, Limit::AtLeast(50.0), &Settings::default()));
    assert!((reach.in_s - 51.0).abs() < 3.0, "{reach:?}");
    assert!(reach.per_s < 0.0 && reach.now > 190.0 && (reach.limit - 50.0).abs() < 1e-9);
}

#[test]
fn each_reason_for_saying_nothing_is_told() {
    let mut random = Random(1);
    let few = readings(10, |second| second);
    insta::assert_snapshot!(reason(outlook(&few, 1e3)), @"10 readings are too few to see a trend; 24 are needed");
    let steady = readings(100, |_| 5.0);
    insta::assert_snapshot!(reason(outlook(&steady, 1e3)), @"it does not surely go towards the limit");
    let slow = readings(100, |second| second);
    insta::assert_snapshot!(reason(outlook(&slow, 1e6)), @"it would be in 11 d, and what was seen tells 16 min ahead");
    let teeth = readings(200, |second| second % 20.0);
    insta::assert_snapshot!(reason(outlook(&teeth, 1e3)), @"it fell back 9 times, and its low points do not surely rise");
    insta::assert_snapshot!(reason(outlook(&teeth[..50], 1e3)), @"it falls back, and 2 low points are too few to see where they go; 6 are needed");
    let noisy = readings(200, |second| second + random.normal());
    let strict = Settings {
        fit_min: 0.999,
        ..Settings::default()
    };
    insta::assert_snapshot!(reason(forecast(&noisy, Limit::AtMost(300.0), &strict)), @"a line explains 98 % of the spread, and 100 % are needed");
    assert_eq!(
        outlook(&readings(50, |second| second), 10.0),
        Outlook::Reached { now: 49.0 }
    );
}

#[test]
fn a_reach_is_told_in_a_sentence() {
    let leak = readings(50, |second| second * 10.0 * MB);
    insta::assert_snapshot!(reach(outlook(&leak, GB)).words("By"), @"reaches 953.7 MiB in 51 s (51 s to 51 s), at 2026-11-30 00:01:40 UTC, by 9.5 MiB a second: a line through 50 readings, which explains 100 % of their spread");
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn any_readings_in_any_order_give_the_same_answer(
        mut readings in proptest::collection::vec((any::<u64>(), any::<f64>()), 0..300),
        limit in any::<f64>(),
        falls in any::<bool>(),
    ) {
        let limit = if falls { Limit::AtLeast(limit) } else { Limit::AtMost(limit) };
        let said = |readings: &[(u64, f64)]| {
            let readings: Vec<Reading> = readings
                .iter()
                .map(|&(time_unix_ns, value)| Reading { time_unix_ns, value })
                .collect();
            format!("{:?}", forecast(&readings, limit, &Settings::default()))
        };
        let before = said(&readings);
        readings.reverse();
        prop_assert_eq!(before, said(&readings));
    }
}
