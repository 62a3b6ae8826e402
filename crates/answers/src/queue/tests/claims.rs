//! What is claimed is so, and what is not known is not claimed.

use super::*;

#[test]
fn without_data_nothing_is_claimed() {
    let answer = assess(&Observed::new("shop", "orders"), STEADY.interval());
    assert_eq!(
        (&answer.depth, &answer.oldest, &answer.arrival, &answer.wait),
        (&None, &None, &None, &None)
    );
    assert_eq!(
        (
            answer.utilisation,
            answer.ahead.len(),
            answer.saturation.len(),
            answer.stuck.len()
        ),
        (None, 0, 0, 0)
    );
    insta::assert_snapshot!(answer, @r"
    shop orders
      Little's law  not assessed, because nothing received says how long items wait
      not assessed  the oldest waiter: neither a depth nor single items were received
      not assessed  utilisation: nothing says how many are being worked on
      not assessed  saturation of depth: 0 readings are too few to see a trend; 24 are needed
      not assessed  the depth: no gauge of it was received, and not every item
      not assessed  the arrival rate: nothing received counts arrivals, at least twice
      not assessed  the service rate: nothing received counts what is done, at least twice
      not assessed  the waiting time: neither items nor a histogram of waiting times were received
    ");
}

/// A worker that never ends an item, among three that do.
fn with_a_stuck_worker(seed: u64) -> (Observed, Interval, String) {
    let simulated = Simulated {
        seed,
        workers: 3,
        work_s: 0.2,
        seconds: 60.0,
        ..STEADY
    };
    let mut observed = simulated.observed();
    let stuck = observed
        .items
        .iter()
        .position(|item| {
            item.started_unix_ns > Some(START + 20 * S as i64)
                && item.worker.as_deref() == Some("worker-1")
        })
        .unwrap();
    let from = observed.items[stuck].started_unix_ns;
    observed.items[stuck].finished_unix_ns = None;
    let id = observed.items[stuck].id.clone();
    // What it would have worked on since waits.
    for item in &mut observed.items {
        if item.worker.as_deref() == Some("worker-1") && item.started_unix_ns > from {
            (item.started_unix_ns, item.finished_unix_ns, item.worker) = (None, None, None);
        }
    }
    (observed, simulated.interval(), id)
}

#[test]
fn a_stuck_worker_is_found() {
    for seed in 0..20 {
        let (observed, interval, item) = with_a_stuck_worker(seed);
        let answer = assess(&observed, interval);
        let [stuck] = &answer.stuck[..] else {
            panic!("{seed}: {answer}");
        };
        assert_eq!(
            (stuck.worker.as_deref(), stuck.item.as_ref()),
            (Some("worker-1"), Some(&item))
        );
        assert!(stuck.trace_id.is_some() && stuck.for_ns > 30 * S as u64);
        assert!(
            answer
                .to_string()
                .contains("STUCK         worker worker-1, at "),
            "{answer}"
        );
    }
}

#[test]
fn no_worker_that_works_is_called_stuck() {
    for seed in 0..200 {
        let simulated = Simulated {
            seed,
            workers: 3,
            work_s: 0.25,
            seconds: 60.0,
            ..STEADY
        };
        let answer = assess(&simulated.observed(), simulated.interval());
        assert_eq!(answer.stuck, [], "{seed}");
        let answer = assess(&simulated.read_every(1.0), simulated.interval());
        assert_eq!(answer.stuck, [], "{seed}");
    }
}

/// A worker that took up another item has left the first: its end was not reported.
#[test]
fn an_end_that_was_not_reported_is_no_stuck_worker() {
    let simulated = Simulated {
        seconds: 60.0,
        ..STEADY
    };
    let mut observed = simulated.observed();
    observed.items[30].finished_unix_ns = None;
    assert_eq!(assess(&observed, simulated.interval()).stuck, []);
}

/// Items wait, and the counter of what is done stands still.
#[test]
fn a_queue_that_stands_still_is_found_by_its_counter() {
    let simulated = Simulated {
        seconds: 120.0,
        ..STEADY
    };
    let mut read = simulated.read_every(1.0);
    let at = read.finished.len() / 2;
    let stands = read.finished[at].value;
    for (reading, depth) in read.finished.iter_mut().zip(&mut read.depth).skip(at) {
        (reading.value, depth.value) = (stands, depth.value + 5.0);
    }
    let answer = assess(&read, simulated.interval());
    assert_eq!(answer.stuck.len(), 1, "{answer}");
    assert_eq!(answer.stuck[0].worker, None);
    // Nobody waits: an idle queue is not stuck.
    read.depth.iter_mut().for_each(|depth| depth.value = 0.0);
    assert_eq!(assess(&read, simulated.interval()).stuck, []);
}

#[test]
fn who_waits_is_listed_by_age_with_the_trace() {
    let item = |id: &str, second: i64, started: Option<i64>| Item {
        id: id.to_owned(),
        trace_id: Some(format!("{second:032x}")),
        enqueued_unix_ns: Some(START + second * S as i64),
        started_unix_ns: started.map(|second| START + second * S as i64),
        ..Item::default()
    };
    let mut items = vec![
        item("b", 5, None),
        item("a", 2, None),
        item("done", 1, Some(3)),
    ];
    items.extend((0..30).map(|at| item(&format!("later-{at:02}"), 6 + at, None)));
    let observed = Observed {
        items,
        ..Observed::new("shop", "orders")
    };
    let interval = Interval {
        from_unix_ns: START,
        to_unix_ns: START + 100 * S as i64,
    };
    let answer = assess(&observed, interval);
    let names: Vec<&str> = answer
        .ahead
        .iter()
        .map(|ahead| ahead.item.as_str())
        .collect();
    assert_eq!(
        (names[0], names[1], names[2], names.len()),
        ("a", "b", "later-00", AHEAD_MAX)
    );
    assert_eq!(
        (answer.ahead_more, answer.depth.as_ref().unwrap().now),
        (12, 32.0)
    );
    let oldest = answer.oldest.unwrap();
    assert_eq!(
        (oldest.age_ns, oldest.is_at_most, oldest.trace_id),
        (98 * S as u64, false, Some(format!("{:032x}", 2)))
    );
}

/// Without items the oldest has waited no longer than since the queue was last empty.
#[test]
fn a_gauge_bounds_the_age_of_the_oldest() {
    let reading = |second: i64, value: f64| Reading {
        time_unix_ns: START + second * S as i64,
        value,
    };
    let mut observed = Observed {
        depth: vec![
            reading(0, 3.0),
            reading(10, 0.0),
            reading(20, 2.0),
            reading(30, 4.0),
        ],
        ..Observed::new("shop", "orders")
    };
    let interval = Interval {
        from_unix_ns: START,
        to_unix_ns: START + 40 * S as i64,
    };
    let oldest = assess(&observed, interval).oldest.unwrap();
    assert_eq!((oldest.age_ns, oldest.is_at_most), (30 * S as u64, true));
    observed.depth.remove(1);
    let answer = assess(&observed, interval);
    assert_eq!(answer.oldest, None);
    assert!(
        answer
            .not_assessed
            .iter()
            .any(|not| not.what == "the oldest waiter")
    );
}

/// A queue near its limit wanders far and returns: at most 1 of 100 are called growing.
#[test]
fn a_steady_queue_is_not_called_growing() {
    let growing = (0..400)
        .filter(|seed| {
            let simulated = Simulated {
                seed: *seed,
                work_s: 0.09,
                seconds: 600.0,
                ..STEADY
            };
            let answer = assess(&simulated.read_every(5.0), simulated.interval());
            !answer.saturation.is_empty()
        })
        .count();
    assert!(growing <= 4, "{growing} of 400");
}

/// More comes than is done: when the room ends is within the interval that is said, and without a capacity no time is said.
#[test]
fn a_queue_that_grows_says_when_it_is_full() {
    let (mut within, mut found) = (0, 0);
    for seed in 0..100 {
        let simulated = Simulated {
            seed,
            work_s: 0.2,
            seconds: 600.0,
            ..STEADY
        };
        // The first half is seen; when the capacity is reached is known from the second.
        let seen = Simulated {
            seconds: 300.0,
            ..simulated
        };
        let mut read = simulated.read_every(1.0);
        let full = read
            .depth
            .iter()
            .find(|reading| reading.value >= 2_000.0)
            .map(|reading| (reading.time_unix_ns - seen.interval().to_unix_ns) as f64 / S)
            .unwrap();
        let answer = assess(&read, seen.interval());
        assert!(answer.saturation[0].in_s.is_none() && answer.saturation[0].limit.is_none());
        read.capacity = Some(2_000.0);
        let answer = assess(&read, seen.interval());
        if let Some((earliest, latest)) = answer.saturation[0].in_interval_s {
            found += 1;
            within += usize::from((earliest..=latest).contains(&full));
        }
        assert!(
            matches!(answer.little, Little::NotAssessed { .. }),
            "{answer}"
        );
    }
    assert!(found == 100 && within >= 95, "{within} of {found}");
}

/// Memory that fills is a forecast of its own.
#[test]
fn memory_that_fills_is_said() {
    let used = (0..60_i64).map(|minute| Reading {
        time_unix_ns: START + minute * 60 * S as i64,
        value: 0.2 + 0.01 * minute as f64,
    });
    let observed = Observed {
        resources: vec![Resource {
            name: "KV cache".to_owned(),
            used: used.collect(),
            limit: Some(1.0),
        }],
        ..Observed::new("vllm", "waiting")
    };
    let interval = Interval {
        from_unix_ns: START,
        to_unix_ns: START + 3_600 * S as i64,
    };
    let answer = assess(&observed, interval);
    let [saturation] = &answer.saturation[..] else {
        panic!("{answer}");
    };
    // From 0.79 to 1 by 0.01 a minute.
    assert!(
        (saturation.in_s.unwrap() - 21.0 * 60.0).abs() < 90.0,
        "{saturation}"
    );
}
