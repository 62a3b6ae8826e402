//! What queueing theory says of a queue is what is said of it.

use proptest::prelude::*;

use super::*;

fn close(a: f64, b: f64, share: f64) -> bool {
    (a - b).abs() <= share * a.abs().max(b.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// L = λW within 5 %, whichever way a queue of exponential times and one worker is seen.
    #[test]
    fn a_simulated_queue_follows_littles_law(seed in any::<u64>(), load in 0.4_f64..0.85) {
        let simulated = Simulated { seed, work_s: load / 10.0, ..STEADY };
        let by_items = assess(&simulated.observed(), simulated.interval());
        let numbers_of_items = numbers(&by_items.little);
        prop_assert!(numbers_of_items.holds && close(numbers_of_items.l, numbers_of_items.lambda_w, 0.05), "{by_items}");
        let read = simulated.read_every(0.05);
        let by_gauges = assess(&read, simulated.interval());
        let numbers_of_gauges = numbers(&by_gauges.little);
        prop_assert!(numbers_of_gauges.holds && close(numbers_of_gauges.l, numbers_of_gauges.lambda_w, 0.05), "{by_gauges}");
        prop_assert_eq!((numbers_of_gauges.l_source, numbers_of_gauges.w_source), (Source::Gauge, Source::Histogram));
        prop_assert!(close(by_items.arrival.unwrap().per_s, by_gauges.arrival.unwrap().per_s, 0.01));
    }

    /// Whatever the order of the records, the answer is the same.
    #[test]
    fn the_order_of_the_records_has_no_influence(seed in any::<u64>()) {
        let simulated = Simulated { seconds: 30.0, ..STEADY };
        let mut observed = simulated.read_every(0.5);
        observed.items = simulated.items();
        let answer = assess(&observed, simulated.interval());
        let mut random = Random(seed);
        let mut shuffled = observed.clone();
        for at in (1..shuffled.items.len()).rev() {
            shuffled.items.swap(at, (random.next() * (at + 1) as f64) as usize);
        }
        for list in [&mut shuffled.depth, &mut shuffled.finished, &mut shuffled.in_service] {
            list.reverse();
        }
        shuffled.waits.reverse();
        prop_assert_eq!(answer, assess(&shuffled, simulated.interval()));
    }
}

/// Of one worker with load ρ: Lq = ρ² / (1 - ρ), Wq = Lq / λ (L. Kleinrock, "Queueing Systems", volume 1, 1975, section
/// 3.2); the worker is busy for ρ of the time.
#[test]
fn a_long_simulation_has_the_numbers_of_theory() {
    let simulated = Simulated {
        seconds: 20_000.0,
        ..STEADY
    };
    let answer = assess(&simulated.observed(), simulated.interval());
    let (load, lambda) = (0.7, 10.0);
    let waiting = load * load / (1.0 - load);
    assert!(close(numbers(&answer.little).l, waiting, 0.05), "{answer}");
    assert!(close(
        answer.wait.unwrap().mean_ns as f64 / S,
        waiting / lambda,
        0.05
    ));
    assert!(close(answer.utilisation.unwrap(), load, 0.02));
    assert!(close(answer.arrival.unwrap().per_s, lambda, 0.02));
    assert!(close(answer.service_rate.unwrap().per_s, lambda, 0.02));
    assert!(close(answer.work_mean_ns.unwrap() as f64 / S, 0.07, 0.02));
    assert_eq!(
        (answer.workers, &answer.stuck, &answer.saturation),
        (Some(1.0), &vec![], &vec![])
    );
}

/// Four workers: the share of their time that they work is λ times the work over their number.
#[test]
fn several_workers_share_the_work() {
    let simulated = Simulated {
        workers: 4,
        work_s: 0.3,
        ..STEADY
    };
    let read = assess(&simulated.read_every(0.1), simulated.interval());
    assert!(close(read.utilisation.unwrap(), 0.75, 0.05), "{read}");
    assert_eq!(read.arrival.unwrap().source, Source::Balance);
    assert!(numbers(&read.little).holds);
}

/// A histogram of half the items is not of this queue.
#[test]
fn numbers_that_do_not_belong_together_disagree() {
    let simulated = Simulated {
        work_s: 0.08,
        ..STEADY
    };
    let mut read = simulated.read_every(0.1);
    for waits in &mut read.waits {
        (waits.count, waits.sum_s) = ((waits.count / 2.0).floor(), waits.sum_s / 2.0);
    }
    let answer = assess(&read, simulated.interval());
    assert!(!numbers(&answer.little).holds, "{answer}");
    assert!(answer.to_string().contains("DISAGREE"));
}

/// A counter that begins again from nothing goes on counting.
#[test]
fn a_restart_does_not_make_rates_negative() {
    let reading = |second: i64, value: f64| Reading {
        time_unix_ns: START + second * S as i64,
        value,
    };
    let observed = Observed {
        finished: vec![
            reading(0, 100.0),
            reading(10, 150.0),
            reading(20, 20.0),
            reading(30, 50.0),
        ],
        ..Observed::new("shop", "orders")
    };
    let interval = Interval {
        from_unix_ns: START,
        to_unix_ns: START + 31 * S as i64,
    };
    let answer = assess(&observed, interval);
    // 50, then 20 since it began again, then 30, in 30 s.
    assert!(close(
        answer.service_rate.unwrap().per_s,
        100.0 / 30.0,
        1e-9
    ));
}
