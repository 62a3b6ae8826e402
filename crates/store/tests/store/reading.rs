//! A store as its users see it: what was acknowledged is there, once, before and after every passage.

use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::{
        EventRecord, Link, Place, Record, Severity, Span, SpanKind, Status, Value as ModelValue,
    },
};
use radiosonde_store::{
    Config, Rows, Store, Table,
    query::{Cell, Limits},
    row::{LogRow, Origin, PointKind, PointRow, SpanRow, Value},
};

const ORIGIN: Origin<'static> = Origin {
    service: "engine",
    resource: r#"{"service.name":"engine","host.name":"box"}"#,
    scope: "model",
};

fn span(number: u64) -> Rows {
    let mut rows = Rows::default();
    push_span(&mut rows, number);
    rows
}

fn push_span(rows: &mut Rows, number: u64) {
    let path = format!("/path/{}", number % 3);
    rows.span(&SpanRow {
        origin: ORIGIN,
        trace_id: u128::from(number / 4 + 1).to_be_bytes(),
        span_id: (number + 1).to_be_bytes(),
        parent_span_id: (!number.is_multiple_of(4)).then(|| (number / 4 * 4 + 1).to_be_bytes()),
        name: "decode",
        kind: "internal",
        status: if number.is_multiple_of(10) {
            "error"
        } else {
            "unset"
        },
        status_message: "",
        start_unix_ns: 1_800_000_000_000_000_000 + number as i64,
        duration_ns: 1_000,
        links: "",
        attributes: &[
            ("http.route", Value::Text(&path)),
            ("tokens", Value::Int(number as i64)),
            ("shape", Value::Json("[1,2]")),
        ],
    });
}

fn ask(store: &Store, statement: &str) -> Vec<Vec<Cell>> {
    store.sql(statement, Limits::default()).unwrap().rows
}

fn table(rows: &[Vec<Cell>]) -> String {
    let line = |row: &Vec<Cell>| {
        row.iter()
            .map(|cell| format!("{cell:?}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn count(store: &Store) -> i64 {
    match ask(store, "SELECT count(*) FROM spans")[0][0] {
        Cell::Int(count) => count,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn rows_are_seen_at_once_in_segments_and_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    for number in 0..20 {
        store.append(span(number)).unwrap();
    }
    let seen = |store: &Store| {
        let grouped = "SELECT attributes['http.route'] AS route, sum(attributes['tokens']) AS tokens, \
                       count(*) AS spans FROM spans GROUP BY 1 ORDER BY 1";
        let whole = "SELECT attributes, attributes['shape'], resource['host.name'], name, start_time FROM spans \
                     WHERE trace_id = '00000000000000000000000000000002' ORDER BY span_id";
        (ask(store, grouped), ask(store, whole))
    };
    let fresh = seen(&store);
    insta::assert_snapshot!(table(&fresh.0), @r#"
    Text("/path/0") Int(63) Int(7)
    Text("/path/1") Int(70) Int(7)
    Text("/path/2") Int(57) Int(6)
    "#);
    insta::assert_snapshot!(table(&fresh.1), @r#"
    Text("{\"http.route\":\"/path/1\",\"tokens\":4,\"shape\":[1,2]}") Text("[1,2]") Text("box") Text("decode") Text("2027-01-15T08:00:00.000000004Z")
    Text("{\"http.route\":\"/path/2\",\"tokens\":5,\"shape\":[1,2]}") Text("[1,2]") Text("box") Text("decode") Text("2027-01-15T08:00:00.000000005Z")
    Text("{\"http.route\":\"/path/0\",\"tokens\":6,\"shape\":[1,2]}") Text("[1,2]") Text("box") Text("decode") Text("2027-01-15T08:00:00.000000006Z")
    Text("{\"http.route\":\"/path/1\",\"tokens\":7,\"shape\":[1,2]}") Text("[1,2]") Text("box") Text("decode") Text("2027-01-15T08:00:00.000000007Z")
    "#);
    store.flush().unwrap();
    // One of spans, and one of what they add up to.
    assert_eq!((store.rows_in_memory(), store.segments().len()), (0, 2));
    assert_eq!(seen(&store), fresh);
    store.append(span(20)).unwrap();
    assert_eq!(count(&store), 21);
    drop(store);
    let store = Store::open(Config::new(folder.path())).unwrap();
    assert_eq!(count(&store), 21);
}

#[test]
fn a_trace_has_its_spans_by_their_start_and_what_was_logged_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    for number in (0..8).rev().chain([5]) {
        store.append(span(number)).unwrap();
    }
    let mut rows = Rows::default();
    for (trace, body) in [(2_u128, "second"), (1, "of another trace"), (2, "first")] {
        rows.log(&LogRow {
            origin: ORIGIN,
            time_unix_ns: if body == "first" { 1 } else { 2 },
            trace_id: Some(trace.to_be_bytes()),
            span_id: Some(5_u64.to_be_bytes()),
            severity: 13,
            event_name: if body == "first" { "queue.left" } else { "" },
            body,
            attributes: &[("thread.id", Value::Int(3))],
        });
    }
    store.append(rows).unwrap();
    let trace = |number| store.trace(TraceId::new(number).unwrap()).unwrap();
    for _ in 0..2 {
        let kept = trace(2);
        let spans: Vec<u64> = kept
            .iter()
            .filter_map(|kept| match &kept.record {
                Record::Span(span) => Some(span.span_id.bits()),
                Record::Log(_) | Record::Event(_) => None,
            })
            .collect();
        assert_eq!(
            spans,
            [5, 6, 7, 8],
            "that which was sent twice is there once"
        );
        let [.., Record::Event(event), Record::Log(log)] = &kept
            .iter()
            .map(|kept| kept.record.clone())
            .collect::<Vec<_>>()[..]
        else {
            panic!("{kept:?}")
        };
        assert_eq!(
            (&*event.name, event.thread, &*log.message),
            ("queue.left", 3, "second")
        );
        assert_eq!(
            log.place.as_ref().map(|place| place.span_id.bits()),
            Some(5)
        );
        assert_eq!(kept[0].resource.service_name(), "engine");
        assert!(trace(77).is_empty());
        store.flush().unwrap();
    }
}

#[test]
fn all_tables_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let mut rows = Rows::default();
    rows.log(&LogRow {
        origin: ORIGIN,
        time_unix_ns: 1_800_000_000_000_000_000,
        trace_id: None,
        span_id: None,
        severity: 17,
        event_name: "",
        body: "out of memory",
        attributes: &[("device", Value::Text("cuda:0"))],
    });
    rows.point(&PointRow {
        origin: ORIGIN,
        name: "queue.depth",
        unit: "{request}",
        kind: PointKind::Gauge,
        time_unix_ns: 1_800_000_000_000_000_000,
        start_unix_ns: 0,
        value: 7.5,
        count: 0,
        distribution: "",
        exemplars: "",
        attributes: &[("queue", Value::Text("requests"))],
    });
    assert_eq!(rows.len(), 2);
    store.append(rows).unwrap();
    for _ in 0..2 {
        let logs = ask(
            &store,
            "SELECT body, severity FROM logs WHERE body LIKE '%memory%'",
        );
        assert_eq!(
            logs,
            [[Cell::Text("out of memory".to_owned()), Cell::Int(17)]]
        );
        let points = ask(
            &store,
            "SELECT value FROM points WHERE attributes['queue'] = 'requests'",
        );
        assert_eq!(points, [[Cell::Float(7.5)]]);
        store.flush().unwrap();
    }
    let tables: Vec<Table> = store
        .segments()
        .iter()
        .map(|segment| segment.table)
        .collect();
    assert_eq!(tables, [Table::Logs, Table::Points]);
}

#[test]
fn the_models_records_come_back_as_they_were() {
    let trace_id = TraceId::new(9).unwrap();
    let attributes = vec![
        ("flag".into(), true.into()),
        ("least".into(), i64::MIN.into()),
        ("most".into(), u64::MAX.into()),
        ("ratio".into(), 0.1.into()),
        ("text".into(), "a \"quoted\" line\n".into()),
        (
            "list".into(),
            ModelValue::List(vec![1_i64.into(), "two".into(), ModelValue::Null]),
        ),
        (
            "map".into(),
            ModelValue::Map(vec![("key".into(), 0.5.into())]),
        ),
    ];
    let span = Record::Span(Span {
        trace_id,
        span_id: SpanId::new(1).unwrap(),
        parent_id: SpanId::new(2),
        name: "generate".into(),
        target: "engine".into(),
        start_unix_ns: 5,
        end_unix_ns: 9,
        severity: Severity::Debug,
        kind: SpanKind::Server,
        status: Status::Error("out of memory".into()),
        thread: 3,
        correlation_id: Some("request-7".into()),
        attributes: attributes.clone(),
        links: vec![Link {
            trace_id,
            span_id: SpanId::new(8).unwrap(),
        }],
    });
    let event = Record::Event(EventRecord {
        time_unix_ns: 7,
        place: Some(Place {
            trace_id,
            span_id: SpanId::new(1).unwrap(),
            parent_id: None,
            span_name: "".into(),
        }),
        type_name: "GpuOpCompleted".into(),
        name: "gpu.op".into(),
        severity: Severity::Info,
        thread: 3,
        correlation_id: None,
        data: attributes,
    });
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let mut rows = Rows::default();
    for record in [&span, &event] {
        rows.record(ORIGIN, record);
    }
    store.append(rows).unwrap();
    for _ in 0..2 {
        let kept = store.trace(trace_id).unwrap();
        let kept: Vec<Record> = kept.into_iter().map(|kept| sorted(kept.record)).collect();
        assert_eq!(kept, [sorted(span.clone()), sorted(event.clone())]);
        store.flush().unwrap();
    }
}

/// Attributes have no order in a store.
fn sorted(mut record: Record) -> Record {
    match &mut record {
        Record::Span(span) => span.attributes.sort_by(|(a, _), (b, _)| a.cmp(b)),
        Record::Log(log) => log.attributes.sort_by(|(a, _), (b, _)| a.cmp(b)),
        Record::Event(event) => event.data.sort_by(|(a, _), (b, _)| a.cmp(b)),
    }
    record
}

#[test]
fn a_span_that_is_sent_again_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let batch = |numbers: std::ops::Range<u64>| {
        let mut rows = Rows::default();
        numbers.for_each(|number| push_span(&mut rows, number));
        rows
    };
    store.append(batch(0..10)).unwrap();
    store.append(batch(5..15)).unwrap();
    assert_eq!(count(&store), 15);
    store.flush().unwrap();
    store.append(batch(0..16)).unwrap();
    assert_eq!(count(&store), 16);
    drop(store);
    let store = Store::open(Config::new(folder.path())).unwrap();
    assert_eq!(count(&store), 16);
}
