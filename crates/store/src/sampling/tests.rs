//! What is kept, and what the weights add up to.

use proptest::prelude::*;

use super::{facts::Facts, *};

/// Identifiers spread evenly over all there are (a Weyl sequence), so that shares are exact to within a few.
fn trace(number: u64) -> u128 {
    u128::from(number + 1) << 64 | u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn sampling(ratio: f64) -> Sampling {
    Sampling::new(Threshold::from_ratio(ratio).unwrap())
}

/// No rule but that of failures.
fn by_chance(ratio: f64) -> Sampling {
    Sampling {
        slow: Slow::Share(0.0),
        rare: 0,
        ..sampling(ratio)
    }
}

/// A sampler and a clock that moves when it is told to.
struct Bench {
    sampler: Sampler,
    now: Instant,
}

impl Bench {
    fn new(sampling: Sampling) -> Self {
        Self {
            sampler: Sampler::new(sampling),
            now: Instant::now(),
        }
    }

    /// Judges, and lets it be so.
    fn judge(&mut self, facts: &[Facts]) -> Verdicts {
        let Sampler {
            sampling, window, ..
        } = &self.sampler;
        let remembered = |trace| {
            let Sampler { current, last, .. } = &self.sampler;
            current.get(&trace).or_else(|| last.get(&trace)).copied()
        };
        let round = judge::judge(sampling, facts, remembered, window.clone(), self.now);
        let verdicts = round.verdicts.clone();
        self.sampler.commit(round);
        verdicts
    }
}

/// For how many traces the kept ones stand.
fn estimate(sampling: &Sampling, verdicts: &Verdicts) -> f64 {
    let weight = |verdict: &Verdict| match verdict {
        Verdict::Rule => 1.0,
        Verdict::Chance => sampling.share.adjusted_count(),
        Verdict::LeftOut => 0.0,
    };
    verdicts.values().map(weight).sum()
}

#[test]
fn what_failed_is_slow_or_rare_is_kept_and_of_the_others_a_share() {
    let sampling = Sampling {
        slow: Slow::AtLeast(Duration::from_secs(1)),
        rare: 3,
        ..sampling(0.1)
    };
    let mut bench = Bench::new(sampling);
    let facts: Vec<Facts> = (0..10_000)
        .map(|number| {
            let operation = u64::from(number % 5_000 == 0);
            let duration_ns = if number % 1_000 == 7 {
                1_000_000_000
            } else {
                1_000
            };
            Facts::of(trace(number), operation, number % 100 == 50, duration_ns)
        })
        .collect();
    let verdicts = bench.judge(&facts);
    let sampled = bench.sampler.sampled();
    // Two of an operation, of which three a minute are rare, and the first three of the other.
    assert_eq!((sampled.failed, sampled.slow, sampled.rare), (100, 10, 5));
    let others = 10_000 - 115;
    assert_eq!(sampled.by_chance + sampled.left_out, others);
    assert!(
        (sampled.by_chance as f64 - others as f64 / 10.0).abs() < 30.0,
        "{sampled:?}"
    );
    let estimate = estimate(&sampling, &verdicts);
    assert!((estimate / 10_000.0 - 1.0).abs() < 0.03, "{estimate}");
    assert!(verdicts[&trace(0)] == Verdict::Rule && verdicts[&trace(5_000)] == Verdict::Rule);
}

#[test]
fn the_slowest_share_of_each_operation_is_kept() {
    let mut bench = Bench::new(Sampling {
        slow: Slow::Share(0.02),
        ..by_chance(0.001)
    });
    let facts: Vec<Facts> = (0..1_000)
        .map(|number| Facts::of(trace(number), number % 2, false, number as i64))
        .collect();
    let verdicts = bench.judge(&facts);
    assert_eq!(bench.sampler.sampled().slow, 20);
    assert!((980..1_000).all(|number| verdicts[&trace(number)] == Verdict::Rule));
}

#[test]
fn operations_are_rare_by_the_minute_and_many_names_are_one() {
    let mut bench = Bench::new(Sampling {
        rare: 2,
        ..by_chance(1e-9)
    });
    let of_one = |from: u64| (from..from + 10).map(|number| Facts::of(trace(number), 1, false, 1));
    bench.judge(&of_one(0).collect::<Vec<_>>());
    bench.now += Duration::from_secs(59);
    bench.judge(&of_one(10).collect::<Vec<_>>());
    assert_eq!(bench.sampler.sampled().rare, 2);
    bench.now += Duration::from_secs(1);
    bench.judge(&of_one(20).collect::<Vec<_>>());
    assert_eq!(bench.sampler.sampled().rare, 4);
    bench.now += Duration::from_mins(1);
    let names = (100..10_100).map(|number| Facts::of(trace(number), number, false, 1));
    bench.judge(&names.collect::<Vec<_>>());
    assert_eq!(bench.sampler.sampled().rare, 4 + 1_000 + 2);
}

#[test]
fn spans_that_come_late_follow_their_trace_unless_they_failed() {
    let mut bench = Bench::new(by_chance(1e-9));
    let quiet = Facts::of(trace(1), 1, false, 1);
    assert_eq!(bench.judge(&[quiet])[&trace(1)], Verdict::LeftOut);
    assert_eq!(bench.judge(&[quiet])[&trace(1)], Verdict::LeftOut);
    let failed = Facts::of(trace(1), 1, true, 1);
    assert_eq!(bench.judge(&[failed])[&trace(1)], Verdict::Rule);
    assert_eq!(bench.judge(&[quiet])[&trace(1)], Verdict::Rule);
    let sampled = bench.sampler.sampled();
    assert_eq!((sampled.left_out, sampled.late), (1, 1));
}

#[test]
fn verdicts_are_remembered_up_to_a_bound() {
    let mut bench = Bench::new(by_chance(0.5));
    for part in 0..8 {
        let from = part * 100_000;
        let facts = (from..from + 100_000).map(|number| Facts::of(trace(number), 1, false, 1));
        bench.judge(&facts.collect::<Vec<_>>());
    }
    let Sampler { current, last, .. } = &bench.sampler;
    assert!(current.len() <= VERDICTS && last.len() <= VERDICTS);
    let newest = trace(799_999);
    assert!(current.contains_key(&newest) || last.contains_key(&newest));
}

#[test]
fn two_collectors_keep_the_same_by_chance_and_a_larger_share_keeps_more() {
    let facts: Vec<Facts> = (0..2_000)
        .map(|number| Facts::of(trace(number), 1, false, 1))
        .collect();
    let mut reversed = facts.clone();
    reversed.reverse();
    let one = Bench::new(by_chance(0.2)).judge(&facts);
    let other = Bench::new(by_chance(0.2)).judge(&reversed);
    let generous = Bench::new(by_chance(0.4)).judge(&facts);
    assert_eq!(one, other);
    let kept = |verdicts: &Verdicts, trace| verdicts[trace] != Verdict::LeftOut;
    assert!(
        one.keys()
            .all(|trace| !kept(&one, trace) || kept(&generous, trace))
    );
}

fn any_facts() -> impl Strategy<Value = Vec<Vec<Facts>>> {
    let facts = (
        0..60_u64,
        0..4_u64,
        prop::bool::weighted(0.2),
        0..5_000_000_000_i64,
    );
    let facts = facts.prop_map(|(number, operation, has_failed, duration_ns)| {
        Facts::of(trace(number), operation, has_failed, duration_ns)
    });
    let round = prop::collection::vec(facts, 0..40).prop_map(|mut round| {
        // A trace is judged once in a round.
        let mut known = std::collections::HashSet::new();
        round.retain(|facts| known.insert(facts.trace));
        round
    });
    prop::collection::vec(round, 1..5)
}

proptest! {
    #[test]
    fn every_trace_that_failed_is_kept_whatever_comes_when(
        rounds in any_facts(), ratio in 1e-6..1.0_f64, rare in 0..4_u32, slow_ms in prop::option::of(0..5_000_u64),
    ) {
        let slow = slow_ms.map_or(Slow::Share(0.01), |ms| Slow::AtLeast(Duration::from_millis(ms)));
        let sampling = Sampling { slow, rare, ..sampling(ratio) };
        let (mut bench, mut again) = (Bench::new(sampling), Bench::new(sampling));
        for round in &rounds {
            let verdicts = bench.judge(round);
            prop_assert_eq!(&verdicts, &again.judge(round), "the same spans, the same verdicts");
            for facts in round {
                let verdict = verdicts[&facts.trace];
                if facts.has_failed {
                    prop_assert_eq!(verdict, Verdict::Rule);
                }
                if slow_ms.is_some_and(|ms| facts.duration_ns() >= ms * 1_000_000) {
                    prop_assert_eq!(verdict, Verdict::Rule);
                }
            }
        }
        let Sampled { failed, slow, rare, by_chance, left_out, .. } = bench.sampler.sampled();
        let traces: std::collections::HashSet<u128> = rounds.iter().flatten().map(|facts| facts.trace).collect();
        prop_assert_eq!(failed + slow + rare + by_chance + left_out, traces.len() as u64);
    }

    #[test]
    fn weights_add_up_to_what_happened(one_in in 2..40_u64, failing in 2..50_u64, slow in 0.0..0.05_f64, rare in 0..20_u32) {
        let sampling = Sampling { slow: Slow::Share(slow), rare, ..sampling(1.0 / one_in as f64) };
        let mut bench = Bench::new(sampling);
        let facts: Vec<Facts> = (0..20_000_u64)
            .map(|number| {
                let place = number.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
                Facts::of(trace(number), number % 3, place % failing == 0, (place % 1_000) as i64)
            })
            .collect();
        let verdicts = bench.judge(&facts);
        let estimate = estimate(&sampling, &verdicts);
        // A sample of 20,000 in 40 is off by less than five of its deviations of 4.5 %.
        prop_assert!((estimate / 20_000.0 - 1.0).abs() < 0.2, "{}", estimate);
    }
}
