//! A store that keeps a sample: what is kept, what it stands for, and that nothing acknowledged is lost before it is judged.
#![expect(
    clippy::float_cmp,
    reason = "counts are whole numbers, which floats have exactly"
)]

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use radiosonde_core::sampling::Threshold;
use radiosonde_store::{
    Config, Rows, Sampling, Slow, Store,
    query::{Cell, Limits},
    row::{Origin, SpanRow},
};

/// Spread evenly over all identifiers.
fn trace(number: u64) -> [u8; 16] {
    let low = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (u128::from(number + 1) << 64 | u128::from(low)).to_be_bytes()
}

/// The root and a child of each of these traces; the child of every hundredth fails.
fn traces(numbers: std::ops::Range<u64>) -> Rows {
    let mut rows = Rows::default();
    for number in numbers {
        push(&mut rows, number, 1, "unset");
        let has_failed = number.is_multiple_of(100);
        push(
            &mut rows,
            number,
            2,
            if has_failed { "error" } else { "unset" },
        );
    }
    rows
}

fn push(rows: &mut Rows, number: u64, span: u64, status: &'static str) {
    rows.span(&SpanRow {
        origin: Origin {
            service: "shop",
            resource: "{}",
            scope: "test",
        },
        trace_id: trace(number),
        span_id: span.to_be_bytes(),
        parent_span_id: (span > 1).then(|| 1_u64.to_be_bytes()),
        name: if span == 1 { "order" } else { "pay" },
        kind: "internal",
        status,
        status_message: "",
        start_unix_ns: 1_800_000_000_000_000_000 + number as i64,
        duration_ns: 1_000 + number as i64,
        links: "",
        attributes: &[],
    });
}

fn config(folder: &tempfile::TempDir) -> Config {
    let mut sampling = Sampling::new(Threshold::from_ratio(0.1).unwrap());
    sampling.slow = Slow::AtLeast(Duration::from_secs(1));
    sampling.rare = 0;
    Config {
        sampling: Some(sampling),
        ..Config::new(folder.path())
    }
}

fn numbers(store: &Store, statement: &str) -> Vec<f64> {
    let answer = store.sql(statement, Limits::default()).unwrap();
    let number = |cell: &Cell| match cell {
        Cell::Int(number) => *number as f64,
        Cell::Float(number) => *number,
        other => panic!("{other:?}"),
    };
    answer.rows[0].iter().map(number).collect()
}

const COUNTS: &str = "SELECT count(*), sum(weight), sum(CASE WHEN status = 'error' THEN weight ELSE 0 END), \
                      count(DISTINCT trace_id) FROM spans";

#[test]
fn a_sample_stands_for_all_that_came_before_and_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(config(&folder)).unwrap();
    store.append(traces(0..5_000)).unwrap();
    assert_eq!(
        numbers(&store, COUNTS)[0],
        10_000.0,
        "all is there until it is judged"
    );
    store.flush().unwrap();
    let check = |store: &Store| {
        let [spans, weight, errors, traces] = numbers(store, COUNTS)[..] else {
            panic!("four numbers");
        };
        // Fifty that failed, and a tenth of the others; each with both of its spans.
        assert!((530.0..=560.0).contains(&traces), "{traces}");
        assert!((spans - 2.0 * traces).abs() < f64::EPSILON, "{spans}");
        assert!((weight / 10_000.0 - 1.0).abs() < 0.03, "{weight}");
        assert!((errors - 50.0).abs() < f64::EPSILON, "{errors}");
        let quantile = "SELECT quantile(sketch(duration, weight), 0.5) FROM spans";
        let median = numbers(store, quantile)[0];
        assert!((median / 3_500.0 - 1.0).abs() < 0.05, "{median}");
    };
    check(&store);
    // What spans add up to is of all that came.
    let all = "SELECT sum(count), sum(errors), quantile(merge(durations), 0.5) FROM operations";
    let all = numbers(&store, all);
    assert_eq!(all[..2], [10_000.0, 50.0]);
    assert!((all[2] / 3_500.0 - 1.0).abs() < 0.01, "{all:?}");
    let sampled = store.sampled().unwrap();
    assert_eq!((sampled.failed, sampled.slow, sampled.rare), (50, 0, 0));
    assert_eq!(sampled.early, 5_000, "a flush does not wait");
    assert_eq!(sampled.spans_kept + sampled.spans_left_out, 10_000);
    drop(store);
    check(&Store::open(config(&folder)).unwrap());
}

#[test]
fn traces_wait_for_their_spans_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.flush_interval = Duration::from_millis(1);
    let store = Store::open(config.clone()).unwrap();
    store.append(traces(1..51)).unwrap();
    // Its turn has come, but not that of its traces.
    sleep(Duration::from_millis(200));
    assert_eq!(store.rows_in_memory(), 100);
    // What happens at once: nobody writes segments.
    std::mem::forget(store);
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    config.folder = copy.path().to_owned();
    if let Some(sampling) = &mut config.sampling {
        sampling.wait = Duration::from_millis(50);
    }
    let store = Store::open(config).unwrap();
    assert_eq!(store.recovery().rows, 100);
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.rows_in_memory() > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(20));
    }
    let sampled = store.sampled().unwrap();
    assert_eq!(
        (sampled.by_chance + sampled.left_out, sampled.early),
        (50, 0)
    );
}

#[test]
fn a_failure_that_comes_late_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(config(&folder)).unwrap();
    let left_out = (0..u64::MAX).find(|&number| {
        let low = u64::from_be_bytes(trace(number)[8..].try_into().unwrap());
        number % 100 != 0 && low << 8 < 1 << 63
    });
    let number = left_out.unwrap();
    store.append(traces(number..number + 1)).unwrap();
    store.flush().unwrap();
    let count = || numbers(&store, "SELECT count(*) FROM spans")[0];
    assert_eq!(count(), 0.0);
    let mut late = Rows::default();
    push(&mut late, number, 3, "unset");
    store.append(late).unwrap();
    store.flush().unwrap();
    assert_eq!(count(), 0.0, "it follows its trace");
    let mut failed = Rows::default();
    push(&mut failed, number, 4, "error");
    store.append(failed).unwrap();
    store.flush().unwrap();
    assert_eq!(count(), 1.0);
    let sampled = store.sampled().unwrap();
    assert_eq!(
        (sampled.left_out, sampled.late, sampled.spans_left_out),
        (1, 1, 3)
    );
}

#[test]
fn a_span_that_its_sender_sampled_stands_for_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let origin = Origin {
        service: "shop",
        resource: "{}",
        scope: "test",
    };
    let row = |number: u64| SpanRow {
        origin,
        trace_id: trace(number),
        span_id: [1; 8],
        parent_span_id: None,
        name: "order",
        kind: "internal",
        status: "unset",
        status_message: "",
        start_unix_ns: 1_800_000_000_000_000_000,
        duration_ns: 1,
        links: "",
        attributes: &[],
    };
    let mut rows = Rows::default();
    rows.span(&row(1));
    rows.sampled_span(&row(2), 4.0);
    rows.sampled_span(&row(3), f64::NAN);
    store.append(rows).unwrap();
    let weight = || numbers(&store, "SELECT sum(weight) FROM spans")[0];
    assert_eq!(weight(), 6.0);
    store.flush().unwrap();
    assert_eq!(weight(), 6.0);
    // A segment of spans that stand for themselves has no such column.
    let mut rows = Rows::default();
    rows.span(&row(5));
    store.append(rows).unwrap();
    store.flush().unwrap();
    assert_eq!(weight(), 7.0);
    assert_eq!(
        numbers(&store, "SELECT count(*) FROM spans WHERE weight > 1")[0],
        1.0
    );
}
