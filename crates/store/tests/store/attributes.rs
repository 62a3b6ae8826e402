//! Attributes of any shape are read back as they came, from memory and from segments, whatever else rows have.

use std::collections::BTreeMap;

use proptest::prelude::*;
use radiosonde_core::{ids::TraceId, model};
use radiosonde_store::{
    Config, Rows, Store,
    query::{Cell, Limits},
    row::{LogRow, Origin, SpanRow, Value},
};

/// A value that an attribute may have.
#[derive(Clone, Debug)]
enum Given {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<i64>),
}

impl Given {
    fn json(&self) -> String {
        match self {
            Self::List(values) => serde_json::to_string(values).unwrap(),
            _ => String::new(),
        }
    }

    fn value<'a>(&'a self, json: &'a str) -> Value<'a> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Text(text) => Value::Text(text),
            Self::List(_) => Value::Json(json),
        }
    }

    fn model(&self) -> model::Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(text) => text.clone().into(),
            Self::List(values) => {
                model::Value::List(values.iter().map(|value| (*value).into()).collect())
            }
        }
    }
}

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![
        any::<bool>().prop_map(Given::Bool),
        any::<i64>().prop_map(Given::Int),
        (-1e12..1e12).prop_map(Given::Float),
        "[a-z\"\\\\\n é]{0,6}".prop_map(Given::Text),
        proptest::collection::vec(any::<i64>(), 0..3).prop_map(Given::List),
    ]
}

type Row = BTreeMap<String, Given>;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    // Few keys, so that types of one key differ; some that one row in hundreds has.
    let key = prop_oneof![9 => "[abc]", 1 => "rare[0-9]{3}", 1 => "[a-c\"\\. ]{2}"];
    let row = proptest::collection::btree_map(key, given(), 0..5);
    proptest::collection::vec(row, 1..300)
}

fn append(store: &Store, rows: &[Row]) {
    for (call, chunk) in rows.chunks(100).enumerate() {
        let mut columns = Rows::default();
        for (at, row) in chunk.iter().enumerate() {
            let number = (call * 100 + at) as u64;
            let jsons: Vec<String> = row.values().map(Given::json).collect();
            let attributes: Vec<_> = row
                .iter()
                .zip(&jsons)
                .map(|((key, given), json)| (key.as_str(), given.value(json)))
                .collect();
            columns.span(&SpanRow {
                origin: Origin::default(),
                trace_id: 7_u128.to_be_bytes(),
                span_id: (number + 1).to_be_bytes(),
                parent_span_id: None,
                name: "",
                kind: "internal",
                status: "unset",
                status_message: "",
                start_unix_ns: number as i64,
                duration_ns: 0,
                links: "",
                attributes: &attributes,
            });
        }
        store.append(columns).unwrap();
    }
}

fn read(store: &Store) -> Vec<BTreeMap<String, model::Value>> {
    let spans = store.trace(TraceId::new(7).unwrap()).unwrap();
    let attributes = |kept: radiosonde_store::Kept| match kept.record {
        model::Record::Span(span) => span
            .attributes
            .into_iter()
            .map(|(key, value)| (key.into_owned(), value))
            .collect(),
        other => panic!("{other:?}"),
    };
    spans.into_iter().map(attributes).collect()
}

fn answers(store: &Store) -> Vec<Vec<Cell>> {
    let statement = "SELECT attributes['a'], attributes['b'], attributes['rare123'] FROM spans ORDER BY start_time";
    store.sql(statement, Limits::default()).unwrap().rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn attributes_of_any_shape_stay_what_they_are(rows in rows()) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Config::new(folder.path())).unwrap();
        append(&store, &rows);
        let model: Vec<BTreeMap<String, model::Value>> = rows
            .iter()
            .map(|row| row.iter().map(|(key, given)| (key.clone(), given.model())).collect())
            .collect();
        prop_assert_eq!(&read(&store), &model);
        let fresh = answers(&store);
        store.flush().unwrap();
        prop_assert_eq!(&read(&store), &model);
        let flushed = answers(&store);
        for ((row, fresh), flushed) in rows.iter().zip(&fresh).zip(&flushed) {
            for (at, key) in ["a", "b", "rare123"].into_iter().enumerate() {
                let is_there = |cell: &Cell| *cell != Cell::Null;
                // A column has one type for all rows; a value that has no form in it is null.
                prop_assert!(row.contains_key(key) || !is_there(&fresh[at]));
                prop_assert!(row.contains_key(key) || !is_there(&flushed[at]));
                if matches!(flushed[at], Cell::Text(_)) && matches!(fresh[at], Cell::Text(_)) {
                    prop_assert_eq!(&fresh[at], &flushed[at]);
                }
            }
        }
    }
}

#[test]
fn keys_without_end_are_kept_and_do_not_make_columns_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    // Each call brings as many new keys as its rows may have columns, and one that all have.
    for call in 0..30 {
        let keys: Vec<String> = (0..250)
            .map(|key| format!("key{}", call * 250 + key))
            .collect();
        let mut attributes: Vec<_> = keys
            .iter()
            .map(|key| (key.as_str(), Value::Int(call)))
            .collect();
        attributes.push(("common", Value::Int(call)));
        let mut rows = Rows::default();
        rows.log(&LogRow {
            origin: Origin::default(),
            time_unix_ns: call,
            trace_id: None,
            span_id: None,
            severity: 9,
            event_name: "",
            body: "a line",
            attributes: &attributes,
        });
        store.append(rows).unwrap();
    }
    for _ in 0..2 {
        let all = store
            .sql("SELECT * FROM logs LIMIT 1", Limits::default())
            .unwrap();
        assert!(all.columns.len() < 1100, "{}", all.columns.len());
        let statement = "SELECT CAST(time AS BIGINT) FROM logs WHERE CAST(attributes['key7499'] AS BIGINT) = 29 \
                         OR CAST(attributes['key0'] AS BIGINT) = 0 OR attributes['common'] = 7 ORDER BY 1";
        let answer = store.sql(statement, Limits::default()).unwrap();
        assert_eq!(
            answer.rows,
            [[Cell::Int(0)], [Cell::Int(7)], [Cell::Int(29)]]
        );
        store.flush().unwrap();
    }
}

#[test]
fn a_row_may_have_more_keys_than_there_are_columns_and_one_of_them_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let keys: Vec<String> = (0..1000).map(|number| format!("key{number}")).collect();
    let mut attributes: Vec<_> = keys
        .iter()
        .map(|key| (key.as_str(), Value::Int(1)))
        .collect();
    attributes.push(("key5", Value::Int(2)));
    let mut rows = Rows::default();
    rows.span(&SpanRow {
        origin: Origin::default(),
        trace_id: 7_u128.to_be_bytes(),
        span_id: 1_u64.to_be_bytes(),
        parent_span_id: None,
        name: "",
        kind: "internal",
        status: "unset",
        status_message: "",
        start_unix_ns: 0,
        duration_ns: 0,
        links: "",
        attributes: &attributes,
    });
    store.append(rows).unwrap();
    for _ in 0..2 {
        let found = &read(&store)[0];
        assert_eq!(
            (found.len(), &found["key5"], &found["key999"]),
            (1000, &2_i64.into(), &1_i64.into())
        );
        store.flush().unwrap();
    }
    assert_eq!(store.segments()[0].attributes.len(), 200);
}

#[test]
fn an_attribute_that_is_of_another_type_in_another_segment_is_among_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let values = [Value::Int(200), Value::Float(1.5), Value::Text("OK")];
    for (time_unix_ns, value) in (0..).zip(values) {
        let mut rows = Rows::default();
        rows.log(&LogRow {
            origin: Origin::default(),
            time_unix_ns,
            trace_id: None,
            span_id: None,
            severity: 9,
            event_name: "",
            body: "answered",
            attributes: &[("status", value), ("number", Value::Int(7))],
        });
        store.append(rows).unwrap();
        store.flush().unwrap();
    }
    let statement = "SELECT attributes, attributes['status'], json_value(attributes, 'status'), attributes['number'] FROM logs ORDER BY time";
    let answer = store.sql(statement, Limits::default()).unwrap();
    let expected = [("200", "200"), ("1.5", "1.5"), ("\"OK\"", "OK")];
    for (row, (json, text)) in answer.rows.iter().zip(expected) {
        let Cell::Text(all) = &row[0] else {
            panic!("{row:?}");
        };
        assert!(all.contains(&format!("\"status\":{json}")), "{all}");
        let text = || Cell::Text(text.to_owned());
        assert_eq!(row[1..], [text(), text(), Cell::Int(7)]);
    }
    assert_eq!(answer.rows.len(), 3);
}
