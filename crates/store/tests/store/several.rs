//! Many traces read at once are those that were asked for, whole, from memory and from segments.

use radiosonde_core::{
    ids::TraceId,
    model::{Record, Span},
};
use radiosonde_store::{
    Config, Kept, Rows, Store,
    row::{LogRow, Origin, SpanRow},
};

const START: i64 = 1_800_000_000_000_000_000;
const ORIGIN: Origin<'static> = Origin {
    service: "engine",
    resource: r#"{"service.name":"engine"}"#,
    scope: "model",
};

/// A trace of so many spans, with a log of every kind.
fn push(rows: &mut Rows, trace: u8, spans: u8) {
    for span in 1..=spans {
        rows.span(&SpanRow {
            origin: ORIGIN,
            trace_id: [trace; 16],
            span_id: [span; 8],
            parent_span_id: (span > 1).then_some([1; 8]),
            name: "decode",
            kind: "internal",
            status: "unset",
            status_message: "",
            start_unix_ns: START + i64::from(trace) * 1_000 + i64::from(span),
            duration_ns: 10,
            links: "",
            attributes: &[],
        });
    }
    for (severity, event_name, body) in [
        (9, "", "begun"),
        (13, "", "the queue is long"),
        (5, "model.phase", ""),
    ] {
        rows.log(&LogRow {
            origin: ORIGIN,
            time_unix_ns: START + i64::from(trace) * 1_000,
            trace_id: Some([trace; 16]),
            span_id: Some([1; 8]),
            severity,
            event_name,
            body,
            attributes: &[],
        });
    }
}

fn id(trace: u8) -> TraceId {
    TraceId::new(u128::from_be_bytes([trace; 16])).unwrap()
}

fn spans(records: &[Kept]) -> Vec<(u8, u8)> {
    let number = |span: &Span| (span.trace_id.to_bytes()[0], span.span_id.to_bytes()[0]);
    let spans = records.iter().filter_map(|kept| match &kept.record {
        Record::Span(span) => Some(number(span)),
        _ => None,
    });
    spans.collect()
}

#[test]
fn many_traces_are_read_whole_and_the_first_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let mut rows = Rows::default();
    for trace in 1..=20 {
        push(&mut rows, trace, 3);
    }
    store.append(rows).unwrap();
    store.flush().unwrap();
    // One trace is in a segment and in memory, another in memory alone.
    let mut rows = Rows::default();
    push(&mut rows, 7, 5);
    push(&mut rows, 30, 2);
    store.append(rows).unwrap();

    let all = store.traces(&[id(30), id(7), id(2), id(99)], 100).unwrap();
    assert_eq!((all.read, all.left_out), (4, 0));
    let found = [(2, 3), (7, 5), (30, 2)];
    let found = found.map(|(trace, spans)| (1..=spans).map(move |span| (trace, span)));
    let found: Vec<_> = found.into_iter().flatten().collect();
    assert_eq!(spans(&all.records), found);
    let logged: Vec<_> = all
        .records
        .iter()
        .filter_map(|kept| match &kept.record {
            Record::Log(log) => Some(log.message.to_string()),
            Record::Event(event) => Some(event.name.to_string()),
            Record::Span(_) => None,
        })
        .collect();
    // Two of trace 7 came twice, with what was sent twice.
    assert_eq!(logged.len(), 8);
    assert!(
        logged
            .iter()
            .all(|text| text == "the queue is long" || text == "model.phase")
    );

    let few = store.traces(&[id(30), id(2), id(7)], 5).unwrap();
    assert_eq!(few.read, 2);
    assert_eq!(
        spans(&few.records),
        [(2, 1), (2, 2), (2, 3), (30, 1), (30, 2)]
    );
    let one = store.traces(&[id(7), id(2)], 1).unwrap();
    assert_eq!((one.read, spans(&one.records).len()), (1, 5));
    assert_eq!((one.records.len(), one.left_out), (6, 3));
    assert_eq!(store.traces(&[], 5).unwrap().records, []);
}
