//! What spans add up to by minute and operation is what they are themselves, wherever they are.

use std::{fmt::Write as _, time::Duration};

use proptest::prelude::*;
use radiosonde_store::{
    Config, Rows, Store, Table,
    query::{Cell, Limits, QueryError},
    row::{Attributes, Origin, SpanRow, Value},
};

const MINUTE_NS: i64 = 60_000_000_000;
/// A minute begins.
const START_UNIX_NS: i64 = 30_000_000 * MINUTE_NS;

/// A span, by what its operation and sums are made of.
#[derive(Clone, Debug)]
struct Sent {
    service: &'static str,
    name: &'static str,
    kind: &'static str,
    is_root: bool,
    has_failed: bool,
    start_unix_ns: i64,
    duration_ns: i64,
    /// In halves, so that sums of floats are exact.
    weight_halves: u8,
}

/// What happens to a store.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Sent>),
    /// The same spans once more, because their acknowledgement was lost.
    AppendAgain,
    Flush,
    Reopen,
}

fn sent() -> impl Strategy<Value = Sent> {
    let label = prop::sample::select;
    (
        label(vec!["gateway", "engine"]),
        label(vec!["decode", "attend", "POST /generate"]),
        label(vec!["internal", "server"]),
        any::<bool>(),
        any::<bool>(),
        // Most are of the last minutes, some come a day late.
        prop_oneof![4 => 0..3 * MINUTE_NS, 1 => -1_440 * MINUTE_NS..0],
        prop_oneof![0..1_000_i64, 0..10_000_000_000_i64],
        2..20_u8,
    )
        .prop_map(
            |(service, name, kind, is_root, has_failed, late, duration_ns, weight_halves)| Sent {
                service,
                name,
                kind,
                is_root,
                has_failed,
                start_unix_ns: START_UNIX_NS + late,
                duration_ns,
                weight_halves,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(sent(), 1..20).prop_map(Step::Append),
        1 => Just(Step::AppendAgain),
        4 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

/// Rows of spans that are numbered from `first` on.
fn rows(spans: &[Sent], first: u64) -> Rows {
    let mut rows = Rows::default();
    for (number, sent) in (first..).zip(spans) {
        let row = SpanRow {
            origin: Origin {
                service: sent.service,
                resource: "{}",
                scope: "model",
            },
            trace_id: [1; 16],
            span_id: (number + 1).to_be_bytes(),
            parent_span_id: (!sent.is_root).then_some([1; 8]),
            name: sent.name,
            kind: sent.kind,
            status: if sent.has_failed { "error" } else { "unset" },
            status_message: "",
            start_unix_ns: sent.start_unix_ns,
            duration_ns: sent.duration_ns,
            links: "",
            attributes: &[],
        };
        rows.sampled_span(&row, f64::from(sent.weight_halves) / 2.0);
    }
    rows
}

/// The columns of operations, of all spans and of operations.
const OF_SPANS: &str = "SELECT CAST(date_bin(INTERVAL '1 minute', start_time) AS BIGINT), service, scope, name, kind, \
    parent_span_id IS NULL, sum(weight), sum(CASE WHEN status = 'error' THEN weight ELSE 0.0 END), \
    sum(CAST(duration AS DOUBLE) * weight), max(duration), quantile(sketch(duration, weight), 0.5), \
    quantile(sketch(duration, weight), 0.99) FROM spans GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6";
const OF_OPERATIONS: &str = "SELECT CAST(minute AS BIGINT), service, scope, name, kind, is_root, \
    sum(count), sum(errors), sum(duration_sum), max(duration_max), quantile(merge(durations), 0.5), \
    quantile(merge(durations), 0.99) FROM operations GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6";

fn ask(store: &Store, statement: &str) -> Vec<Vec<Cell>> {
    store.sql(statement, Limits::default()).unwrap().rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn operations_say_what_all_spans_say(steps in prop::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let config = || Config {
            // Only what is asked for is flushed; what is compacted meanwhile is up to the keeper.
            flush_interval: Duration::from_hours(1),
            ..Config::new(folder.path())
        };
        let mut store = Store::open(config()).unwrap();
        let (mut count, mut last) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Append(spans) => {
                    store.append(rows(&spans, count)).unwrap();
                    count += spans.len() as u64;
                    last = spans;
                }
                Step::AppendAgain => {
                    store.append(rows(&last, count - last.len() as u64)).unwrap();
                }
                Step::Flush => store.flush().unwrap(),
                Step::Reopen => {
                    drop(store);
                    store = Store::open(config()).unwrap();
                    // Who is known to have been sent is forgotten.
                    last = Vec::new();
                }
            }
            prop_assert_eq!(ask(&store, OF_OPERATIONS), ask(&store, OF_SPANS));
        }
        let spans = ask(&store, "SELECT count(*) FROM spans");
        prop_assert_eq!(&spans[0][0], &Cell::Int(count as i64));
    }
}

/// A span that began in the minute of this number.
fn span(number: u64, minute: i64, attributes: Attributes<'_>) -> Rows {
    let mut rows = Rows::default();
    rows.span(&SpanRow {
        origin: Origin {
            service: "engine",
            resource: "{}",
            scope: "model",
        },
        trace_id: [1; 16],
        span_id: (number + 1).to_be_bytes(),
        parent_span_id: None,
        name: "decode",
        kind: "internal",
        status: "unset",
        status_message: "",
        start_unix_ns: START_UNIX_NS + minute * MINUTE_NS + 1,
        duration_ns: 1_000,
        links: "",
        attributes,
    });
    rows
}

/// Text that hardly becomes smaller when it is compressed.
fn incompressible(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    while text.len() < 20_000 {
        // xorshift64, which is random enough for a compressor.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        write!(text, "{state:016x}").unwrap();
    }
    text
}

#[test]
fn operations_stay_when_their_spans_go_for_want_of_room() {
    const ROOM: u64 = 1024 * 1024;
    const SPANS: u64 = 200;
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        size_bytes_max: ROOM,
        ..Config::new(folder.path())
    };
    let store = Store::open(config).unwrap();
    for number in 0..SPANS {
        let text = incompressible(number);
        let attributes = [("body", Value::Text(&text))];
        store.append(span(number, 0, &attributes)).unwrap();
        if number % 20 == 0 {
            store.flush().unwrap();
        }
    }
    store.flush().unwrap();
    // The keeper looks after retention once it has answered.
    let bytes = || store.segments().iter().map(|of| of.bytes).sum::<u64>();
    while bytes() > ROOM {
        std::thread::yield_now();
    }
    let spans = ask(&store, "SELECT count(*) FROM spans");
    assert!(matches!(spans[0][0], Cell::Int(count) if count < SPANS as i64));
    let operations = ask(&store, "SELECT sum(count) FROM operations");
    assert_eq!(operations[0][0], Cell::Float(SPANS as f64));
    assert_eq!(store.operations_since_unix_ns(), i64::MIN);
}

#[test]
fn it_is_known_from_when_on_operations_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config {
        size_bytes_max: 1,
        ..Config::new(folder.path())
    };
    let store = Store::open(config()).unwrap();
    for minute in 0..3 {
        store.append(span(minute, minute as i64, &[])).unwrap();
        store.flush().unwrap();
    }
    let of_operations = || {
        let segments = store.segments();
        let of_table = segments.iter().filter(|of| of.table == Table::Operations);
        of_table.count()
    };
    while of_operations() > 1 {
        std::thread::yield_now();
    }
    let since = START_UNIX_NS + 2 * MINUTE_NS;
    assert_eq!(store.operations_since_unix_ns(), since);
    drop(store);
    let store = Store::open(config()).unwrap();
    assert_eq!(store.operations_since_unix_ns(), since);
}

#[test]
fn what_is_no_sketch_and_what_does_not_arrive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let numbers = "SELECT quantile(merge(duration), 0.5) FROM spans";
    let refused = store.sql(numbers, Limits::default()).unwrap_err();
    assert!(matches!(refused, QueryError::Statement(_)), "{refused:?}");
    let refused = store.tail("SELECT count FROM operations").unwrap_err();
    assert!(refused.to_string().contains("follow spans"), "{refused}");
    // Nothing is of no quantile.
    let none = ask(
        &store,
        "SELECT quantile(merge(durations), 0.5), sum(count) FROM operations",
    );
    assert_eq!(none, [[Cell::Null, Cell::Null]]);
}
