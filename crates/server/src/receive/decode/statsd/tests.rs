//! Datagrams as clients send them, and as they should not be.

use std::fs;

use proptest::prelude::*;
use radiosonde_store::{
    Config, Store,
    query::{Cell, Limits},
};

use super::*;

const FROM: i64 = 1_800_000_000_000_000_000;
const TO: i64 = FROM + 10_000_000_000;

fn rows(aggregate: &mut Aggregate) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let (rows, counts, rejected) = aggregate.finish(FROM, TO, &Arc::default()).unwrap();
    assert_eq!((rows.len() as u64, rejected.items), (counts.points, 0));
    if rows.is_empty() {
        return Vec::new();
    }
    store.append(rows).unwrap();
    let statement = "SELECT service, name, unit, kind, value, count, attributes FROM points ORDER BY name, attributes";
    let answer = store.sql(statement, Limits::default()).unwrap();
    let cell = |cell: &Cell| match cell {
        Cell::Text(text) => text.clone(),
        Cell::Int(value) => value.to_string(),
        Cell::Float(value) => value.to_string(),
        _ => "-".to_owned(),
    };
    let row = |row: &Vec<Cell>| row.iter().map(cell).collect::<Vec<_>>().join(" | ");
    answer.rows.iter().map(row).collect()
}

#[test]
fn lines_are_added_up_by_kind_and_tags() {
    let mut aggregate = Aggregate::default();
    let taken = aggregate.take(
        b"jobs:1|c\njobs:2|c|@0.5\njobs:1|c|#b:2,a:1,flag\njobs:4|c|#flag,a:1,b:2|c:container|T1656581400\n\
          fuel:300|g\nfuel:-10|g\nfuel:+4|g\ntook:320|ms|@0.1\ntook:12:14|ms\nsize:0.5|h\nsize:1.5|d\n\
          users:anna|s\nusers:b:ert|s\nusers:anna|s\nof:1|c|#service:shop,env:live\n",
    );
    assert_eq!(
        taken,
        Taken {
            kept: 15,
            malformed: 0,
            crowded: 0
        }
    );
    assert_eq!(
        rows(&mut aggregate),
        [
            "statsd | fuel |  | gauge | 294 | 0 | -",
            r#"statsd | jobs |  | counter | 5 | 0 | {"radiosonde.temporality":"delta","a":"1","b":"2","flag":"true"}"#,
            r#"statsd | jobs |  | counter | 5 | 0 | {"radiosonde.temporality":"delta"}"#,
            r#"shop | of |  | counter | 1 | 0 | {"env":"live","radiosonde.temporality":"delta"}"#,
            r#"statsd | size |  | histogram | 2 | 2 | {"radiosonde.temporality":"delta"}"#,
            r#"statsd | took | ms | histogram | 3226 | 12 | {"radiosonde.temporality":"delta"}"#,
            "statsd | users |  | gauge | 2 | 0 | -",
        ]
    );
}

#[test]
fn counters_begin_again_and_gauges_keep_their_value() {
    let mut aggregate = Aggregate::default();
    aggregate.take(b"jobs:3|c\nfuel:10|g");
    assert_eq!(rows(&mut aggregate).len(), 2);
    assert_eq!(rows(&mut aggregate), Vec::<String>::new());
    aggregate.take(b"jobs:1|c\nfuel:+5|g");
    assert_eq!(
        rows(&mut aggregate),
        [
            "statsd | fuel |  | gauge | 15 | 0 | -",
            r#"statsd | jobs |  | counter | 1 | 0 | {"radiosonde.temporality":"delta"}"#,
        ]
    );
}

#[test]
fn lines_that_are_none_are_counted_and_cost_no_other() {
    let mut aggregate = Aggregate::default();
    let malformed = [
        "a",
        "a:1",
        ":1|c",
        "a:|c",
        "a:x|c",
        "a:1|",
        "a:1|q",
        "a:1|c|@2",
        "a:1|c|@0",
        "a:nan|g",
        "a:inf|g",
        "a:1:x|ms",
        "_e{5,4}:title|text",
        "_sc|name|0",
        "a:1e999|g",
    ];
    let datagram = format!("good:1|c\n{}\n\n \nalso:1|c", malformed.join("\n"));
    assert_eq!(
        aggregate.take(datagram.as_bytes()),
        Taken {
            kept: 2,
            malformed: malformed.len() as u64,
            crowded: 0
        }
    );
    assert_eq!(aggregate.take(b"\xff\xfe:1|c").kept, 1);
}

#[test]
fn there_are_bounds() {
    let mut aggregate = Aggregate::default();
    for number in 0..SERIES_MAX {
        aggregate.take(format!("n{number}:1|c").as_bytes());
    }
    assert_eq!(
        aggregate.take(b"one.more:1|c\nn0:1|c"),
        Taken {
            kept: 1,
            malformed: 0,
            crowded: 1
        }
    );
    let mut aggregate = Aggregate::default();
    for exponent in -300..300 {
        aggregate.take(format!("wide:1e{exponent}|h\nwide:-1e{exponent}|h\nwide:0|h").as_bytes());
    }
    let (rows, counts, rejected) = aggregate.finish(FROM, TO, &Arc::default()).unwrap();
    assert_eq!((rows.len(), counts.points, rejected.items), (1, 1, 0));
}

fn check(data: &[u8]) {
    let mut aggregate = Aggregate::default();
    aggregate.take(data);
    let (rows, counts, rejected) = aggregate.finish(FROM, TO, &Arc::default()).unwrap();
    assert_eq!((rows.len() as u64, rejected.items), (counts.points, 0));
}

/// The seeds of the fuzz target.
#[test]
fn fuzz_seeds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/statsd");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let seed = fs::read(entry.unwrap().path()).unwrap();
        seeds += 1;
        for at in 0..=seed.len() {
            check(&seed[..at]);
        }
    }
    assert!(seeds > 0);
}

proptest! {
    #[test]
    fn any_datagram_is_answered(text in "[a-c:|@#,.0-9+\\-\ncgmshd]{0,200}") {
        check(text.as_bytes());
    }
}
