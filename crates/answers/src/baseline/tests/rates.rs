//! Spikes of failures, by counts.

use proptest::prelude::*;

use super::{noise::Random, *};

/// So many requests a second, of which this share fails until a second and that share after.
fn spike(seed: u64, requests: f64, before: f64, spike_s: u64, after: f64) -> Option<Anomaly> {
    let mut random = Random(seed);
    let mut rate = ErrorRate::new(RateSettings::default());
    (0..spike_s + 300).find_map(|second| {
        let share = if second < spike_s { before } else { after };
        let count = random.poisson(requests) as u64;
        let failed = (0..count).filter(|_| random.even() < share).count() as u64;
        match rate.observe(at(second), failed, count) {
            Verdict::Anomalous(anomaly) => Some(anomaly),
            _ => None,
        }
    })
}

#[test]
fn one_of_two_that_fails_is_no_spike() {
    let mut rate = ErrorRate::new(RateSettings::default());
    for second in 0..600 {
        rate.observe(at(second), 0, 1);
    }
    for second in 600..603 {
        assert!(matches!(rate.observe(at(second), 1, 2), Verdict::Normal(_)));
        rate.observe(at(second) + 1, 0, 20);
    }
}

#[test]
fn a_threefold_share_of_failures_is_found_within_15_seconds() {
    for seed in 0..40 {
        let found = spike(seed, 200.0, 0.02, 60, 0.06).expect("it is found");
        assert!(found.found_unix_ns >= at(60), "{seed}");
        let after_s = (found.found_unix_ns - at(60)) / SECOND;
        assert!(after_s < 15, "{seed}: {after_s} s");
        assert!(found.since_unix_ns.abs_diff(at(60)) < 10 * SECOND);
        assert!((0.03..0.12).contains(&found.value), "{}", found.value);
    }
}

#[test]
fn an_outage_of_a_quiet_service_is_found_in_a_few_requests() {
    for seed in 0..20 {
        let found = spike(seed, 1.0, 0.0, 120, 1.0).expect("it is found");
        assert!(found.found_unix_ns >= at(120) && found.found_unix_ns < at(140));
    }
}

#[test]
fn an_hour_of_usual_failures_raises_nothing() {
    for seed in 0..40 {
        for (requests, share) in [
            (100.0, 0.02),
            (10.0, 0.1),
            (0.5, 0.05),
            (20.0, 0.0),
            (5.0, 0.5),
        ] {
            assert_eq!(
                spike(seed, requests, share, HOUR_S, share),
                None,
                "{seed} {requests} {share}"
            );
        }
    }
}

#[test]
fn failures_that_always_come_together_are_no_spike() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut rate = ErrorRate::new(RateSettings::default());
        for second in 0..HOUR_S {
            // One reading in ten has ten failures: a client that tries again and again.
            let failed = if second == 0 || random.even() < 0.1 {
                10
            } else {
                0
            };
            let verdict = rate.observe(at(second), failed, 100);
            assert!(
                !matches!(verdict, Verdict::Anomalous(_)),
                "{seed} {second}: {verdict:?}"
            );
        }
    }
}

#[test]
fn a_spike_ends_soon_after_the_failures_or_becomes_normal() {
    let mut rate = ErrorRate::new(RateSettings::default());
    let mut feed = |from: u64, to: u64, failed: u64| {
        (from..to)
            .map(|second| rate.observe(at(second), failed, 20))
            .last()
    };
    assert!(matches!(feed(0, 600, 0), Some(Verdict::Normal(_))));
    assert!(matches!(feed(600, 660, 10), Some(Verdict::Anomalous(_))));
    assert!(matches!(feed(660, 680, 0), Some(Verdict::Normal(_))));
    assert!(matches!(feed(680, 4_200, 10), Some(Verdict::Anomalous(_))));
    assert!(matches!(feed(4_200, 4_400, 10), Some(Verdict::Normal(_))));
    assert_eq!(
        rate.adopted().map(|adopted| adopted.since_unix_ns),
        Some(at(680))
    );
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn any_counts_are_taken_within_the_same_memory(
        readings in proptest::collection::vec((0_u64..20_000_000_000, any::<u64>(), any::<u64>()), 1..400),
    ) {
        let mut rate = ErrorRate::new(RateSettings::default());
        let mut now = START;
        for (at, (further, failed, requests)) in readings.into_iter().enumerate() {
            now = if at % 7 == 6 { now - further } else { now + further };
            rate.observe(now, failed, requests);
            prop_assert!(rate.retained() <= 128 + 128 + 8);
        }
    }
}
