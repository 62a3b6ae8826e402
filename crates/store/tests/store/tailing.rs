//! Who follows a statement sees what arrives, once, whatever its time is and wherever the store has put it since.

use radiosonde_store::{
    Config, Rows, Store,
    query::{Arrived, Cell, Limits, QueryError},
    row::{LogRow, Origin, Value},
};

fn log(rows: &mut Rows, time_unix_ns: i64, body: &str, step: i64) {
    rows.log(&LogRow {
        origin: Origin {
            service: "engine",
            resource: "{}",
            scope: "",
        },
        time_unix_ns,
        trace_id: None,
        span_id: None,
        severity: 9,
        event_name: "",
        body,
        attributes: &[("step", Value::Int(step))],
    });
}

fn append(store: &Store, bodies: &[&str]) {
    let mut rows = Rows::default();
    for (step, body) in bodies.iter().enumerate() {
        log(&mut rows, 1_800_000_000_000_000_000, body, step as i64);
    }
    store.append(rows).unwrap();
}

fn texts(arrived: Option<&Arrived>) -> Vec<String> {
    let rows = arrived.into_iter().flat_map(|arrived| &arrived.answer.rows);
    rows.map(|row| match &row[0] {
        Cell::Text(text) => text.clone(),
        other => format!("{other:?}"),
    })
    .collect()
}

#[test]
fn what_arrives_is_seen_once_also_when_it_is_late_or_in_a_segment_already() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    append(&store, &["before"]);
    let tail = store
        .tail("SELECT body FROM logs WHERE severity >= 9 AND attributes['step'] < 2 ORDER BY body DESC")
        .unwrap();
    assert_eq!(tail.columns()[0].name, "body");
    let next = || store.arrived(&tail, Limits::default()).unwrap();
    assert_eq!(next(), None, "what was there already is not new");
    append(&store, &["a", "b", "c"]);
    store.flush().unwrap();
    assert_eq!(
        texts(next().as_ref()),
        ["b", "a"],
        "in a segment, and filtered"
    );
    assert_eq!(next(), None);
    let mut late = Rows::default();
    log(&mut late, 5, "late", 0);
    store.append(late).unwrap();
    assert_eq!(texts(next().as_ref()), ["late"]);
}

#[test]
fn statements_that_add_up_do_so_over_what_arrived_together() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let tail = store.tail("SELECT count(*) FROM logs").unwrap();
    append(&store, &["a", "b"]);
    append(&store, &["c"]);
    let first = Limits {
        rows_max: 2,
        ..Limits::default()
    };
    let arrived = store.arrived(&tail, first).unwrap();
    assert!(arrived.as_ref().is_some_and(|arrived| arrived.more));
    assert_eq!(texts(arrived.as_ref()), ["Int(2)"]);
    assert_eq!(
        texts(store.arrived(&tail, first).unwrap().as_ref()),
        ["Int(1)"]
    );
}

#[test]
fn a_statement_that_cannot_be_followed_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    for statement in [
        "SELECT 1",
        "DROP TABLE logs",
        "SELECT nothing FROM logs",
        "SELECT",
    ] {
        let refused = store.tail(statement);
        assert!(
            matches!(refused, Err(QueryError::Statement(_))),
            "{statement}: {refused:?}"
        );
    }
}
