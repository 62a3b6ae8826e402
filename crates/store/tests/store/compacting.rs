//! Small segments become large ones, and nobody who asks sees a difference.

use std::{
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::ids::TraceId;
use radiosonde_store::{
    Config, Rows, Store, Table,
    query::{Cell, Limits},
    row::{LogRow, Origin, PointKind, PointRow, SampleRow, SpanRow, Value},
};

const ORIGIN: Origin<'static> = Origin {
    service: "engine",
    resource: r#"{"service.name":"engine"}"#,
    scope: "model",
};

/// A span, a log, a reading and a sample; attributes have other names and types from flush to flush.
fn rows(number: u64) -> Rows {
    let mut rows = Rows::default();
    let (own, time) = (
        format!("own.{number}"),
        1_800_000_000_000_000_000 + number as i64,
    );
    let trace_id = u128::from(number % 5 + 1).to_be_bytes();
    let mixed = if number.is_multiple_of(2) {
        Value::Int(7)
    } else {
        Value::Text("seven")
    };
    let attributes = [
        ("number", Value::Int(number as i64)),
        (own.as_str(), Value::Bool(true)),
        ("mixed", mixed),
    ];
    rows.span(&SpanRow {
        origin: ORIGIN,
        trace_id,
        span_id: (number + 1).to_be_bytes(),
        parent_span_id: None,
        name: "decode",
        kind: "internal",
        status: "unset",
        status_message: "",
        start_unix_ns: time,
        duration_ns: 1_000,
        links: "",
        attributes: &attributes,
    });
    rows.log(&LogRow {
        origin: ORIGIN,
        time_unix_ns: time,
        trace_id: Some(trace_id),
        span_id: None,
        severity: 9,
        event_name: "",
        body: "line",
        attributes: &attributes,
    });
    rows.point(&PointRow {
        origin: ORIGIN,
        name: "requests",
        unit: "1",
        kind: PointKind::Counter,
        time_unix_ns: time,
        start_unix_ns: 0,
        value: number as f64,
        count: 0,
        distribution: "",
        exemplars: "",
        attributes: &[("device", Value::Text("cuda:0"))],
    });
    rows.sample(&SampleRow {
        attributes: &attributes,
        ..sample(number, time, trace_id)
    });
    rows
}

fn sample(number: u64, time: i64, trace_id: [u8; 16]) -> SampleRow<'static> {
    SampleRow {
        origin: ORIGIN,
        time_unix_ns: time,
        duration_ns: 0,
        trace_id: Some(trace_id),
        span_id: Some([7; 8]),
        kind: "cpu",
        unit: "nanoseconds",
        value: number as i64,
        thread: "worker",
        library: "torch",
        function: "leaf",
        stack: if number.is_multiple_of(3) {
            "main\nleaf"
        } else {
            "main\nother\nleaf"
        },
        attributes: &[],
    }
}

fn seen(store: &Store) -> Vec<Vec<Vec<Cell>>> {
    let operations = "SELECT minute, name, sum(count), quantile(merge(durations), 0.5) FROM operations GROUP BY 1, 2";
    let operations = store.sql(operations, Limits::default()).unwrap().rows;
    assert_eq!(
        (operations.len(), &operations[0][2]),
        (1, &Cell::Float(21.0))
    );
    let statements = [
        "SELECT trace_id, span_id, name, start_time, attributes['number'], attributes['mixed'], attributes['own.3'] FROM spans ORDER BY start_time",
        "SELECT time, trace_id, span_id, body, attributes['number'], attributes['mixed'] FROM logs ORDER BY time",
        "SELECT time, series, value, attributes['device'] FROM points ORDER BY time",
        "SELECT time, trace_id, span_id, type, unit, value, thread, library, function, stack, attributes['own.3'] FROM profiles ORDER BY time",
    ];
    statements
        .map(|statement| store.sql(statement, Limits::default()).unwrap().rows)
        .to_vec()
}

#[test]
fn small_segments_become_one_and_nothing_else_changes() {
    const FLUSHES: u64 = 21;
    let folder = tempfile::tempdir().unwrap();
    let config = || Config {
        // Only what is asked for is flushed.
        flush_interval: Duration::from_hours(1),
        ..Config::new(folder.path())
    };
    let store = Store::open(config()).unwrap();
    for number in 0..FLUSHES {
        store.append(rows(number)).unwrap();
        store.flush().unwrap();
    }
    // Of each table two of the next level, and what is left over.
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.segments().len() > Table::ALL.len() * (2 + 5) {
        assert!(Instant::now() < deadline, "{:#?}", store.segments());
        thread::sleep(Duration::from_millis(20));
    }
    for table in Table::ALL {
        let of_table: Vec<_> = store
            .segments()
            .into_iter()
            .filter(|segment| segment.table == table)
            .collect();
        // All spans are of one operation and minute.
        let rows = if table == Table::Operations {
            2 + 5
        } else {
            FLUSHES
        };
        assert_eq!(
            of_table.iter().map(|segment| segment.rows).sum::<u64>(),
            rows
        );
        assert_eq!(
            of_table.iter().filter(|segment| segment.level == 1).count(),
            2
        );
        let files = std::fs::read_dir(folder.path().join(table.name())).unwrap();
        let parquet = files
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|it| it == "parquet"));
        assert_eq!(
            parquet.count(),
            of_table.len(),
            "files that were replaced are gone"
        );
    }
    let compacted = seen(&store);
    assert!(compacted.iter().all(|rows| rows.len() as u64 == FLUSHES));
    let number = |rows: &[Vec<Cell>], column: usize| {
        rows.iter()
            .map(|row| row[column].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        number(&compacted[0], 4),
        (0..FLUSHES as i64).map(Cell::Int).collect::<Vec<_>>()
    );
    assert_eq!(compacted[0][1][5], Cell::Text("seven".to_owned()));
    let trace = TraceId::new(3).unwrap();
    assert_eq!(store.trace(trace).unwrap().len(), 2 * 4);
    drop(store);
    let store = Store::open(config()).unwrap();
    assert_eq!(seen(&store), compacted);
    assert_eq!(store.trace(trace).unwrap().len(), 2 * 4);
}
