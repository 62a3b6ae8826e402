//! What is kept in ClickHouse is answered as what is kept in the folder: each row once, whatever happens on the way.
//!
//! The engine is ClickHouse's own, that of chdb, behind a thin HTTP front of ours: ClickHouse's server is not among the tests.

mod debian;
mod front;
mod golden;
mod silent;

use std::{fs, path::Path};

use radiosonde_core::ids::TraceId;
use radiosonde_store::{
    Config, OpenError, Store, WriteError,
    query::{Cell, Limits, QueryError},
};

use self::front::Front;

/// A store in `folder` that keeps what is older in a database of the front.
fn config(folder: &Path, front: &Front, database: &str) -> Config {
    Config {
        clickhouse: Some(front.url(database).parse().unwrap()),
        ..Config::new(folder)
    }
}

fn ask(store: &Store, statement: &str) -> Vec<Vec<Cell>> {
    store.sql(statement, Limits::default()).unwrap().rows
}

fn count(store: &Store) -> i64 {
    match ask(store, "SELECT count(*) FROM spans")[0][0] {
        Cell::Int(count) => count,
        ref other => panic!("{other:?}"),
    }
}

/// How many spans ClickHouse has.
fn count_there(front: &Front, database: &str) -> String {
    front
        .ask(&format!("SELECT count() FROM {database}.spans"))
        .trim()
        .to_owned()
}

#[test]
fn both_places_give_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let Some(front) = Front::start(folder.path()) else {
        return;
    };
    let here = Store::open(Config::new(folder.path().join("here"))).unwrap();
    let there = Store::open(config(&folder.path().join("there"), &front, "golden")).unwrap();
    let mixed = Store::open(config(&folder.path().join("mixed"), &front, "mixed")).unwrap();
    for part in 0..golden::PARTS {
        for store in [&here, &there, &mixed] {
            store.append(golden::rows(part)).unwrap();
        }
        if part + 1 < golden::PARTS {
            mixed.flush().unwrap();
        }
        here.flush().unwrap();
        there.flush().unwrap();
    }
    assert_eq!(there.rows_in_memory(), 0);
    assert!(there.segments().is_empty(), "they are elsewhere");
    let expected = golden::answers(&here);
    golden::same(&golden::answers(&there), &expected);
    golden::same(&golden::answers(&mixed), &expected);
}

#[test]
fn what_was_written_before_the_process_ended_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(front) = Front::start(folder.path()) else {
        return;
    };
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let store = Store::open(config(&data, &front, "crash")).unwrap();
    store.append(golden::rows(0)).unwrap();
    let spans = count(&store);
    // As the folder is when the process ends after ClickHouse has the rows and before the catalogue says so.
    copy_folder(&data, &copy);
    store.flush().unwrap();
    assert_eq!(
        (count(&store), count_there(&front, "crash")),
        (spans, spans.to_string())
    );
    drop(store);
    let store = Store::open(config(&copy, &front, "crash")).unwrap();
    assert!(store.rows_in_memory() > 0);
    assert_eq!(count(&store), spans, "of both it sees one");
    store.append(golden::rows(1)).unwrap();
    let all = count(&store);
    assert!(all > spans);
    store.flush().unwrap();
    assert_eq!(
        (count(&store), count_there(&front, "crash")),
        (all, all.to_string())
    );
    drop(store);
    // A folder that is put back from a copy begins some generations anew; what they get is not taken for what they had.
    let again = folder.path().join("again");
    copy_folder(&copy, &again);
    for (part, folder) in [(2, &copy), (3, &again)] {
        let store = Store::open(config(folder, &front, "crash")).unwrap();
        let before = count(&store);
        store.append(golden::rows(part)).unwrap();
        store.flush().unwrap();
        assert_eq!(count(&store), before + spans, "{part}");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn while_clickhouse_is_away_nothing_is_lost_and_nothing_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some(front) = Front::start(folder.path()) else {
        return;
    };
    let data = folder.path().join("data");
    let config = config(&data, &front, "away");
    let store = Store::open(config.clone()).unwrap();
    store.append(golden::rows(0)).unwrap();
    store.flush().unwrap();
    let before = count(&store);
    let tail = store.tail("SELECT name FROM spans").unwrap();
    let port = front.port();
    drop(front);
    store.append(golden::rows(1)).unwrap();
    let arrived = store.arrived(&tail, Limits::default()).unwrap().unwrap();
    assert!(
        !arrived.answer.rows.is_empty(),
        "who follows sees what comes"
    );
    let error = store.sql("SELECT count(*) FROM spans", Limits::default());
    let Err(QueryError::Elsewhere(error)) = error else {
        panic!("{error:?}");
    };
    let words = error.to_string();
    // Also where nothing was to be written since.
    assert_eq!(store.elsewhere().unwrap().failed.as_ref(), Some(&words));
    assert!(
        words.contains("cannot be reached") && words.contains("/away"),
        "{words}"
    );
    let trace = store.trace(TraceId::new(1).unwrap()).unwrap_err();
    assert!(trace.to_string().contains("cannot be reached"), "{trace}");
    let error = store.flush().unwrap_err();
    assert!(matches!(error, WriteError::Earlier(_)), "{error:?}");
    let state = store.elsewhere().unwrap();
    // It holds the folder.
    drop(tail);
    assert!(
        state
            .failed
            .is_some_and(|failed| failed.contains("nothing listens there"))
    );
    drop(store);
    // It can be opened, and takes rows, before ClickHouse is there again.
    let store = Store::open(config).unwrap();
    assert!(store.elsewhere().unwrap().failed.is_some());
    store.append(golden::rows(2)).unwrap();
    let front = Front::again(folder.path(), port);
    let all = count(&store);
    assert!(all > before);
    store.flush().unwrap();
    assert_eq!(store.elsewhere().unwrap().failed, None);
    assert_eq!(
        (count(&store), count_there(&front, "away")),
        (all, all.to_string())
    );
    assert_eq!(store.rows_in_memory(), 0);
}

#[test]
fn several_stores_write_the_same_tables_and_see_each_others_rows() {
    let folder = tempfile::tempdir().unwrap();
    let Some(front) = Front::start(folder.path()) else {
        return;
    };
    // One had rows in its folder before; they stay there, and are seen by it alone.
    let first = folder.path().join("first");
    let store = Store::open(Config::new(&first)).unwrap();
    store.append(golden::rows(0)).unwrap();
    let in_folder = count(&store);
    drop(store);
    let first = Store::open(config(&first, &front, "shared")).unwrap();
    first.append(golden::rows(1)).unwrap();
    let in_memory = count(&first) - in_folder;
    let second = Store::open(config(&folder.path().join("second"), &front, "shared")).unwrap();
    assert_eq!(count(&second), 0);
    first.flush().unwrap();
    assert_eq!(
        (count(&first), count(&second)),
        (in_folder + in_memory, in_memory)
    );
    second.append(golden::rows(2)).unwrap();
    let of_second = count(&second) - in_memory;
    second.flush().unwrap();
    assert_eq!(count(&first), in_folder + in_memory + of_second);
    drop(second);
    // What has columns is known to one that has none of it in memory.
    let third = Store::open(config(&folder.path().join("third"), &front, "shared")).unwrap();
    let tokens = "SELECT max(attributes['tokens']) > 9 FROM spans";
    assert_eq!(ask(&third, tokens), [[Cell::Bool(true)]]);
}

#[test]
fn what_is_wrong_there_is_named_before_anything_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let Some(front) = Front::start(folder.path()) else {
        return;
    };
    front.ask("CREATE DATABASE other");
    front.ask(
        "CREATE TABLE other.logs (time DateTime, body String) ENGINE = MergeTree ORDER BY time",
    );
    let refused = |database: &str, front: &Front| {
        let config = config(&folder.path().join("data"), front, database);
        match Store::open(config) {
            Err(OpenError::ClickHouse(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let words = refused("other", &front);
    assert!(
        words.contains("`logs`") && words.contains("column `time` of type DateTime"),
        "{words}"
    );
    front.ask("CREATE TABLE other.old AS other.logs");
    front.ask("DROP TABLE other.logs");
    front.ask("CREATE TABLE other.logs (time Int64) ENGINE = MergeTree ORDER BY time");
    let words = refused("other", &front);
    assert!(
        words.contains("ALTER TABLE `other`.`logs` ADD COLUMN `trace_id`"),
        "{words}"
    );
    let front = front.guarded("me", "secret");
    let words = refused("guarded", &front);
    assert!(words.contains("RADIOSONDE_CLICKHOUSE_PASSWORD"), "{words}");
    let mut config = config(&folder.path().join("data"), &front, "guarded");
    let place = config.clickhouse.unwrap();
    config.clickhouse = Some(place.or_user(Some("me".to_owned()), Some("secret".to_owned())));
    let store = Store::open(config).unwrap();
    store.append(golden::rows(0)).unwrap();
    store.flush().unwrap();
    assert!(count(&store) > 0);
    assert!(!format!("{store:?}").contains("secret"));
}
