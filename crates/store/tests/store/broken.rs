//! Folders that are not as a store left them, and stores that have no room.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use radiosonde_store::{
    AppendError, Config, OpenError, Rows, Store,
    query::{Cell, Limits, QueryError},
    row::{LogRow, Origin, Value},
};

/// So many lines, which are alike.
pub(super) fn logs(count: usize) -> Rows {
    let mut rows = Rows::default();
    for number in 0..count {
        rows.log(&LogRow {
            origin: Origin::default(),
            time_unix_ns: number as i64,
            trace_id: None,
            span_id: None,
            severity: 9,
            event_name: "",
            body: "a line",
            attributes: &[],
        });
    }
    rows
}

fn count(store: &Store) -> i64 {
    let answer = store
        .sql("SELECT count(*) FROM logs", Limits::default())
        .unwrap();
    match answer.rows[0][0] {
        Cell::Int(count) => count,
        ref other => panic!("{other:?}"),
    }
}

fn log_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("log-")
        })
        .collect();
    files.sort();
    files
}

/// A folder as a killed program leaves it: `count` calls of one row each in the log, and nothing in segments.
fn killed(folder: &Path, count: usize) {
    let store = Store::open(Config::new(folder)).unwrap();
    for _ in 0..count {
        store.append(logs(1)).unwrap();
    }
    // Neither its keeper nor its log is ended in order.
    let copy = folder.join("copy");
    fs::create_dir(&copy).unwrap();
    let newest = log_files(folder).pop().unwrap();
    fs::copy(&newest, copy.join("log")).unwrap();
    drop(store);
    for path in [folder.join("logs"), folder.join("catalogue.sqlite")] {
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    for path in log_files(folder) {
        fs::remove_file(path).unwrap();
    }
    fs::rename(copy.join("log"), &newest).unwrap();
    fs::remove_dir(copy).unwrap();
}

#[test]
fn a_second_program_is_told_who_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _store = Store::open(Config::new(folder.path())).unwrap();
    let error = Store::open(Config::new(folder.path())).unwrap_err();
    assert!(
        matches!(error, OpenError::InUse { process: Some(process), .. } if process == std::process::id()),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("stop it, or name another folder"),
        "{error}"
    );
}

#[test]
fn a_log_that_was_cut_or_changed_gives_every_frame_before_the_damage() {
    let whole = tempfile::tempdir().unwrap();
    killed(whole.path(), 10);
    let log = log_files(whole.path()).pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    let frame = (bytes.len() - 8) / 10;
    let reopened = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(log.file_name().unwrap()), bytes).unwrap();
        let store = Store::open(Config::new(folder.path())).unwrap();
        assert_eq!(count(&store), store.recovery().rows as i64);
        // It goes on.
        store.append(logs(1)).unwrap();
        store.flush().unwrap();
        assert_eq!(count(&store), store.recovery().rows as i64 + 1);
        (store.recovery().rows, store.recovery().damaged_bytes)
    };
    assert_eq!(reopened(&bytes), (10, 0));
    assert_eq!(reopened(&bytes[..bytes.len() - 1]), (9, frame as u64 - 1));
    assert_eq!(reopened(&bytes[..8 + frame * 3 + 5]), (3, 5));
    assert_eq!(reopened(&bytes[..4]), (0, 4));
    let mut flipped = bytes.clone();
    flipped[8 + frame * 4 + frame / 2] ^= 1;
    assert_eq!(reopened(&flipped), (4, frame as u64 * 6));
}

#[test]
fn segments_that_are_missing_damaged_or_strange_are_said_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    for _ in 0..3 {
        store.append(logs(3)).unwrap();
        store.flush().unwrap();
    }
    drop(store);
    let segments = fs::read_dir(folder.path().join("logs")).unwrap();
    let mut segments: Vec<_> = segments.map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    fs::copy(
        &segments[1],
        folder.path().join("logs/000000000099.parquet"),
    )
    .unwrap();
    fs::write(folder.path().join("logs/notes.txt"), "mine").unwrap();
    fs::remove_file(&segments[0]).unwrap();
    let bytes = fs::read(&segments[2]).unwrap();
    fs::write(&segments[2], &bytes[..bytes.len() - 1]).unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let recovery = store.recovery();
    assert_eq!(
        (recovery.segments_missing, recovery.segments_damaged),
        (1, 1)
    );
    assert_eq!(count(&store), 3);
    assert!(segments[2].exists(), "it may be of use to somebody");
    assert!(!folder.path().join("logs/000000000099.parquet").exists());
    assert!(
        folder.path().join("logs/notes.txt").exists(),
        "what is not ours stays"
    );
}

#[test]
fn more_than_memory_holds_is_refused_with_a_delay() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        memory_bytes_max: 1,
        ..Config::new(folder.path())
    };
    let store = Store::open(config).unwrap();
    store.append(logs(1)).unwrap();
    // The keeper may have written the first row away already.
    let refused =
        (0..10_000).any(|_| matches!(store.append(logs(1)), Err(AppendError::Busy { .. })));
    assert!(refused);
    store.flush().unwrap();
    store.append(logs(1)).unwrap();
}

#[test]
fn the_oldest_segments_go_where_there_is_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let config = |size_bytes_max| Config {
        size_bytes_max,
        ..Config::new(folder.path())
    };
    let store = Store::open(config(u64::MAX)).unwrap();
    for _ in 0..4 {
        store.append(logs(10)).unwrap();
        store.flush().unwrap();
    }
    let segments = store.segments();
    drop(store);
    let room = segments[2].bytes + segments[3].bytes;
    let store = Store::open(config(room + 1)).unwrap();
    store.append(logs(1)).unwrap();
    store.flush().unwrap();
    // The keeper looks after retention once it has answered.
    while store
        .segments()
        .iter()
        .map(|segment| segment.bytes)
        .sum::<u64>()
        > room + 1
    {
        std::thread::yield_now();
    }
    let kept = store.segments();
    assert!(
        kept.iter().all(|segment| segment.id > segments[1].id),
        "{kept:?}"
    );
    // Files go when nobody reads them any more, which the keeper may do a moment longer.
    let files = || fs::read_dir(folder.path().join("logs")).unwrap().count();
    while files() > kept.len() {
        std::thread::yield_now();
    }
    assert_eq!(files(), kept.len());
}

/// Logs that hardly become smaller when they are compressed.
fn incompressible(first: u64, rows: u64) -> Rows {
    let mut rows_of = Rows::default();
    let mut state = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for row in 0..rows {
        let mut body = format!("{:08} ", first + row);
        while body.len() < 200 {
            // xorshift64, which is random enough for a compressor.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            write!(body, "{state:016x}").unwrap();
        }
        rows_of.log(&LogRow {
            origin: Origin::default(),
            time_unix_ns: (first + row) as i64,
            trace_id: None,
            span_id: None,
            severity: 9,
            event_name: "",
            body: &body,
            attributes: &[],
        });
    }
    rows_of
}

#[test]
fn the_newest_rows_stay_however_little_room_there_is() {
    const ROOM: u64 = 2 * 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        size_bytes_max: ROOM,
        ..Config::new(folder.path())
    };
    let store = Store::open(config).unwrap();
    let mut sent = 0;
    while sent < 100_000 {
        store.append(incompressible(sent, 500)).unwrap();
        sent += 500;
    }
    store.flush().unwrap();
    let bytes = || store.segments().iter().map(|of| of.bytes).sum::<u64>();
    while bytes() > ROOM {
        std::thread::yield_now();
    }
    assert!(bytes() > ROOM / 2, "{} bytes are left", bytes());
    let ask = "SELECT min(substr(body, 1, 8)), max(substr(body, 1, 8)), count(*) FROM logs";
    let answer = store.sql(ask, Limits::default()).unwrap();
    let [Cell::Text(first), Cell::Text(last), Cell::Int(rows)] = &answer.rows[0][..] else {
        panic!("{:?}", answer.rows);
    };
    assert_eq!(last, "00099999");
    let first: i64 = first.parse().unwrap();
    assert!(first > 0 && *rows == 100_000 - first, "{answer:?}");
}

/// Bytes of the segments that are on the disk, whether the catalogue knows of them or not.
fn segments_on_disk(folder: &Path) -> u64 {
    let files = fs::read_dir(folder.join("logs")).into_iter().flatten();
    // One that goes meanwhile takes no room.
    let sizes = files.filter_map(|file| file.ok()?.metadata().ok());
    sizes.map(|file| file.len()).sum()
}

/// So many MiB, into a twentieth of that: 10,240 into 512 by `RADIOSONDE_RETENTION_MIB`, fewer in the gate.
#[test]
fn however_much_comes_there_is_one_segment_too_many_at_most_and_the_oldest_go_first() {
    let mib = std::env::var("RADIOSONDE_RETENTION_MIB").map_or(160, |mib| mib.parse().unwrap());
    let (sent_max, room) = (mib * 1024 * 1024, mib * 1024 * 1024 / 20);
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        size_bytes_max: room,
        ..Config::new(folder.path())
    };
    let store = Store::open(config).unwrap();
    let (mut rows, mut most, mut oldest) = (0, 0, 0);
    while rows * 200 < sent_max {
        match store.append(incompressible(rows, 2_000)) {
            Ok(()) => rows += 2_000,
            Err(AppendError::Busy { .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Err(other) => panic!("{other}"),
        }
        most = most.max(segments_on_disk(folder.path()));
        let segments = store.segments();
        if let Some(first) = segments.iter().map(|of| of.first_unix_ns).min() {
            assert!(first >= oldest, "what went is there again");
            oldest = first;
        }
    }
    store.flush().unwrap();
    let first_kept = "SELECT CAST(min(substr(body, 1, 8)) AS BIGINT), count(*) FROM logs";
    let answer = store.sql(first_kept, Limits::default()).unwrap();
    let [Cell::Int(first), Cell::Int(kept)] = answer.rows[0][..] else {
        panic!("{:?}", answer.rows);
    };
    assert_eq!(first + kept, rows as i64, "a row between others went");
    // A segment is of what fits into an eighth of the room, and stands beside what it was made of for a moment.
    let one_too_many = room + room / 8 + room / 16;
    println!(
        "{} MiB at most, of {mib} MiB, {kept} rows of {rows} kept",
        most >> 20
    );
    assert!(most <= one_too_many, "{most} bytes, room for {room}");
}

#[test]
fn a_segment_that_is_larger_than_the_room_stays_until_another_comes() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        size_bytes_max: 1,
        ..Config::new(folder.path())
    };
    let store = Store::open(config).unwrap();
    for _ in 0..3 {
        store.append(logs(10)).unwrap();
        store.flush().unwrap();
    }
    // The keeper looks after retention once it has answered.
    while store.segments().len() > 1 {
        std::thread::yield_now();
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!((store.segments().len(), count(&store)), (1, 10));
}

#[test]
fn segments_go_when_they_are_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        age_max: std::time::Duration::ZERO,
        ..Config::new(folder.path())
    };
    let store = Store::open(config).unwrap();
    store.append(logs(1)).unwrap();
    store.flush().unwrap();
    // The keeper looks after retention once it has answered.
    while !store.segments().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(count(&store), 0);
}

#[test]
fn a_comparison_that_no_value_allows_is_the_fault_of_the_statement() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let mut rows = Rows::default();
    for value in [Value::Text("x"), Value::Int(5)] {
        rows.log(&LogRow {
            origin: Origin::default(),
            time_unix_ns: 0,
            trace_id: None,
            span_id: None,
            severity: 9,
            event_name: "",
            body: "a line",
            attributes: &[("mixed", value)],
        });
    }
    store.append(rows).unwrap();
    // In memory, and as a segment, whose reader evaluates the filter.
    for _ in 0..2 {
        let statement = "SELECT count(*) FROM logs WHERE attributes['mixed'] = 5";
        let error = store.sql(statement, Limits::default()).unwrap_err();
        assert!(matches!(error, QueryError::Statement(_)), "{error:?}");
        store.flush().unwrap();
    }
}

#[test]
fn statements_that_write_are_refused_and_mistakes_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    store.append(logs(3)).unwrap();
    let path = folder.path().join("out.parquet");
    for statement in [
        "DROP TABLE logs".to_owned(),
        "INSERT INTO logs SELECT * FROM logs".to_owned(),
        "DELETE FROM logs".to_owned(),
        "CREATE TABLE other AS SELECT 1".to_owned(),
        format!("COPY logs TO '{}'", path.display()),
        "CREATE EXTERNAL TABLE passwd STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT nothing FROM logs".to_owned(),
        "SELECT * FROM logs WHERE trace_id = 'xyz'".to_owned(),
        "this is no statement".to_owned(),
    ] {
        let error = store.sql(&statement, Limits::default()).unwrap_err();
        assert!(
            matches!(error, QueryError::Statement(_)),
            "{statement}: {error:?}"
        );
    }
    assert!(!path.exists());
    assert_eq!(count(&store), 3);
    let few = Limits {
        rows_max: 2,
        ..Limits::default()
    };
    let answer = store.sql("SELECT body FROM logs", few).unwrap();
    assert_eq!((answer.rows.len(), answer.is_truncated), (2, true));
    let short = Limits {
        timeout: std::time::Duration::from_millis(50),
        ..Limits::default()
    };
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000)";
    let error = store.sql(endless, short).unwrap_err();
    assert!(matches!(error, QueryError::Timeout(_)), "{error:?}");
}
