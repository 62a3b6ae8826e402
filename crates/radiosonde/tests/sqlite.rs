//! A recording in SQLite survives the death of the process that writes it.
//!
//! How much of it does, at a rate of events, is measured by a lane that no gate runs:
//! `RATE=20000 cargo test -p radiosonde --all-features --test sqlite -- --ignored --nocapture sqlite_loss`
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use radiosonde::{
    core::{
        model::{Record, Resource},
        pump,
        subscriber::Subscriber,
    },
    exporter::{
        Exporter,
        runner::{FanOut, Limits},
        sqlite::Sqlite,
    },
    recording::{LINE_BYTES_MAX, Recording, RecordingError},
    redact::Redaction,
    repeat::Thinning,
};

const FILE: &str = "RADIOSONDE_TEST_SQLITE_FILE";
/// Lines that are recorded and flushed before the child says so.
const FLUSHED: i64 = 2000;

fn recording(path: &Path, interval: Duration) -> pump::Pump {
    let exporter = Sqlite::open(path, Redaction::default()).unwrap();
    let exporters: Vec<(Box<dyn Exporter>, _)> = vec![(
        Box::new(exporter.with_interval(interval)),
        Limits::default(),
    )];
    let fan_out = FanOut::start(exporters, Thinning::default()).unwrap();
    let _ = tracing::subscriber::set_global_default(Subscriber::new());
    pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(fan_out)],
    })
    .unwrap()
}

/// The child: records, flushes, says so, and goes on recording until it is killed.
#[test]
fn child() {
    let Some(file) = env::var_os(FILE) else {
        return;
    };
    let pump = recording(file.as_ref(), Duration::from_millis(100));
    for n in 0..FLUSHED {
        tracing::info!(n, "before");
    }
    assert!(pump.flush(Duration::from_secs(60)));
    eprintln!("flushed");
    for n in 0.. {
        tracing::info!(n, "after");
        std::thread::sleep(Duration::from_micros(50));
    }
}

#[test]
fn a_killed_process_leaves_all_that_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.sqlite");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FILE, &file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .any(|line| line == "flushed");
    assert!(said, "the child ended early");
    // Some of what follows is committed, some is not, when SIGKILL comes.
    std::thread::sleep(Duration::from_millis(250));
    child.kill().unwrap();
    child.wait().unwrap();

    let connection = rusqlite::Connection::open(&file).unwrap();
    let check: String = connection
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let before: i64 = connection
        .query_row(
            "SELECT count(*) FROM metric_event WHERE data ->> 'message' = 'before'",
            (),
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(before, FLUSHED);
    let (records, skipped) = Recording::read(&file).unwrap();
    assert_eq!(skipped.lines, 0);
    assert!(records.len() as i64 >= FLUSHED);
}

#[test]
fn the_file_has_as_many_rows_as_there_were_records_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/folder/run.sqlite");
    let pump = recording(&file, Duration::from_secs(1));
    let span = tracing::info_span!("request", user = 7_u64, password = "hunter2");
    span.in_scope(|| {
        for n in 0..500_u64 {
            tracing::info!(n, "line");
        }
    });
    drop(span);
    assert!(pump.stop(Duration::from_secs(60)));
    let count = |sql: &str| -> i64 {
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection.query_row(sql, (), |row| row.get(0)).unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM metric_event"), 501);
    assert_eq!(
        count("SELECT count(*) FROM metric_event WHERE span_name = 'request'"),
        501
    );
    assert_eq!(
        count("SELECT count(*) FROM metric_event WHERE data LIKE '%hunter2%'"),
        0
    );
    assert_eq!(count("SELECT max(version) FROM schema_version"), 1);
    if let Ok(output) = Command::new("sqlite3")
        .arg(&file)
        .arg("select count(*) from metric_event")
        .output()
    {
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "501");
    }
    let (records, _) = Recording::read(&file).unwrap();
    let Some(Record::Span(span)) = records.last() else {
        panic!("the span ends last")
    };
    assert_eq!((span.name.as_ref(), span.parent_id), ("request", None));
}

#[test]
fn what_is_no_recording_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to look at").unwrap();
    let error = Sqlite::open(&text, Redaction::default()).unwrap_err();
    assert!(error.to_string().contains("notes.txt"), "{error}");
    let newer = folder.path().join("newer.sqlite");
    let connection = rusqlite::Connection::open(&newer).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE schema_version (version INTEGER); INSERT INTO schema_version VALUES (99)",
        )
        .unwrap();
    let error = Recording::open(&newer).unwrap_err();
    assert!(matches!(error, RecordingError::Database { .. }));
    assert!(
        error.to_string().contains("schema_version is 99"),
        "{error}"
    );
}

#[test]
fn a_row_that_cannot_be_read_is_skipped_whatever_its_number_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.sqlite");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(
            r#"
            CREATE TABLE schema_version (version INTEGER);
            INSERT INTO schema_version VALUES (1);
            CREATE TABLE metric_event (id, ts, trace_id, span_id, parent_id, span_name, type, data);
            INSERT INTO metric_event (id, ts, type, data) VALUES
                ('one', 'no time', 'Log', '{}'),
                (2.5, '2026-01-31T12:34:56Z', 'Log', x'00'),
                (NULL, NULL, NULL, NULL),
                ('four', '2026-01-31T12:34:56Z', 'Log', '{"level":"INFO","message":"m"}');
            "#,
        )
        .unwrap();
    drop(connection);
    let (records, skipped) = Recording::read(&file).unwrap();
    assert!(
        matches!(&records[..], [Record::Log(log)] if log.message == "m"),
        "{records:?}"
    );
    assert_eq!(skipped.lines, 3);
}

#[test]
fn a_row_is_no_longer_than_a_line_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.sqlite");
    drop(Sqlite::open(&file, Redaction::default()).unwrap());
    let connection = rusqlite::Connection::open(&file).unwrap();
    let sql = "INSERT INTO metric_event (ts, type, data) VALUES ('2026-01-31T12:00:00Z', 'X', ?1)";
    // With the quotes two bytes too many, and as many as there may be.
    for bytes in [LINE_BYTES_MAX, LINE_BYTES_MAX - 2] {
        let data = format!("\"{}\"", "a".repeat(bytes));
        connection.execute(sql, (data,)).unwrap();
    }
    drop(connection);
    let (records, skipped) = Recording::read(&file).unwrap();
    assert_eq!((records.len(), skipped.lines), (1, 1));
    assert_eq!(skipped.first[0].line, 1);
    assert_eq!(skipped.first[0].reason, "longer than 4194304 bytes");
}

#[test]
fn a_closed_recording_is_read_without_writing_anything_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("100 % of #1? é.sqlite");
    drop(Sqlite::open(&file, Redaction::default()).unwrap());
    let link = folder.path().join("link.sqlite");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&file, &link).unwrap();
    #[cfg(not(unix))]
    std::fs::copy(&file, &link).unwrap();
    for path in [&file, &link] {
        let reading = Recording::open(path).unwrap();
        let (records, _) = Recording::read(path).unwrap();
        assert!(records.is_empty());
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["100 % of #1? é.sqlite", "link.sqlite"]);
        drop(reading);
    }

    // One that is being written is read with what only its log holds yet.
    let writer = rusqlite::Connection::open(&file).unwrap();
    writer
        .execute_batch(
            "INSERT INTO metric_event (ts, type, data) VALUES ('2026-01-31T12:00:00Z', 'X', '{}')",
        )
        .unwrap();
    assert_eq!(Recording::read(&file).unwrap().0.len(), 1);
    drop(writer);
}

#[test]
fn what_is_no_recording_says_what_it_is_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| {
        let error = match Recording::open(path) {
            Err(error) => error.to_string(),
            Ok(_) => Recording::read(path).unwrap_err().to_string(),
        };
        error.replace(&folder.path().display().to_string(), "DIR")
    };
    let foreign = folder.path().join("foreign.sqlite");
    let connection = rusqlite::Connection::open(&foreign).unwrap();
    connection.execute_batch("CREATE TABLE t (a)").unwrap();
    // Tables of the same names, of somebody else.
    let others = [
        "CREATE TABLE metric_event (a); CREATE TABLE schema_version (version); INSERT INTO schema_version VALUES (1)",
        "CREATE TABLE schema_version (version TEXT); INSERT INTO schema_version VALUES ('abc')",
        "CREATE TABLE schema_version (a)",
    ];
    for (number, tables) in others.into_iter().enumerate() {
        let file = folder.path().join(format!("other{number}.sqlite"));
        let other = rusqlite::Connection::open(&file).unwrap();
        other.execute_batch(tables).unwrap();
        drop(other);
        assert_eq!(
            refused(&file).replace(&format!("other{number}"), "foreign"),
            refused(&foreign)
        );
    }
    let damaged = folder.path().join("damaged.sqlite");
    std::fs::write(
        &damaged,
        [b"SQLite format 3\0".as_slice(), &[0xff; 5000]].concat(),
    )
    .unwrap();
    let mut words = vec![refused(folder.path()), refused(&foreign), refused(&damaged)];
    if cfg!(unix) {
        // What a shell gives for `<(command)` is a pipe.
        let pipe = folder.path().join("pipe");
        if Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
        {
            words.push(refused(&pipe));
        }
    }
    assert_eq!(
        words,
        [
            "cannot read DIR: it is a folder; name the recording in it",
            "cannot read DIR/foreign.sqlite as a recording: it is a SQLite file, but not a recording; name a file that radiosonde's SQLite exporter wrote",
            "cannot read DIR/damaged.sqlite as a recording: file is not a database; the file is damaged or cut off: take a whole copy of it, or save what is left with `sqlite3 FILE .recover`",
            "cannot read DIR/pipe: it is a pipe or device, and a recording is read more than once; write it to a file and name that",
        ]
    );
}

#[test]
fn a_database_in_memory_is_refused() {
    for path in ["", ":memory:", "file::memory:", "file:x?mode=memory"] {
        let error = Sqlite::open(Path::new(path), Redaction::default()).unwrap_err();
        assert!(error.to_string().contains("name a SQLite file"), "{error}");
        assert!(!Path::new(path).exists());
    }
}

/// How much of the end a killed process takes with it.
#[cfg(unix)]
mod loss {
    use std::{
        env,
        hash::{BuildHasher as _, RandomState},
        os::unix::fs::FileExt as _,
        path::Path,
        process::{Command, Stdio},
        time::{Duration, Instant, SystemTime},
    };

    use radiosonde::{Event, core::record};

    /// Where the child of [`sqlite_loss`] records.
    const LOSS_FOLDER: &str = "RADIOSONDE_TEST_LOSS_FOLDER";
    /// How many events it records in a second.
    const RATE: &str = "RATE";
    const RATE_DEFAULT: u64 = 20_000;
    /// How often it is killed.
    const ROUNDS: &str = "ROUNDS";
    const ROUNDS_DEFAULT: u64 = 20;

    /// Something happened, once more.
    #[derive(Event)]
    #[event(name = "loss.tick", target = "loss")]
    struct LossTick {
        /// How many were recorded before.
        number: u64,
        /// When, in nanoseconds since 1970.
        at_unix_ns: u64,
    }

    fn number_of(variable: &str, default: u64) -> u64 {
        env::var(variable).map_or(default, |text| text.parse().unwrap())
    }

    /// Not a test by itself: records events at a rate until it is killed, and notes each in a file that has it at once, which
    /// its death does not undo.
    #[test]
    #[ignore = "run by the measurement as a process of its own"]
    fn child_that_ticks() {
        let Some(folder) = env::var_os(LOSS_FOLDER) else {
            return;
        };
        let folder = Path::new(&folder);
        let rate = number_of(RATE, RATE_DEFAULT);
        let noted = std::fs::File::create(folder.join("noted")).unwrap();
        let _guard = radiosonde::builder()
            .console(false)
            .discover(false)
            .filter("loss")
            .sqlite(folder.join("run.sqlite"))
            .init()
            .unwrap();
        let started = Instant::now();
        let mut number = 0;
        loop {
            let due = started.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000;
            while u128::from(number) < due {
                let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let at_unix_ns = at.unwrap().as_nanos() as u64;
                record(&LossTick { number, at_unix_ns });
                number += 1;
                let note = [number.to_le_bytes(), at_unix_ns.to_le_bytes()].concat();
                noted.write_all_at(&note, 0).unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How many events there are, and when the last one was recorded.
    #[derive(Clone, Copy, Debug)]
    struct Ticks {
        /// One more than the last one's number.
        numbered: u64,
        /// All of them.
        count: u64,
        at_unix_ns: u64,
    }

    fn noted(folder: &Path) -> Ticks {
        let note = std::fs::read(folder.join("noted")).unwrap();
        let number = |at: usize| u64::from_le_bytes(note[at..at + 8].try_into().unwrap());
        Ticks {
            numbered: number(0),
            count: number(0),
            at_unix_ns: number(8),
        }
    }

    fn committed(folder: &Path) -> Ticks {
        let connection = rusqlite::Connection::open(folder.join("run.sqlite")).unwrap();
        let all = "SELECT count(*), ifnull(max(data ->> 'number') + 1, 0), ifnull(max(data ->> 'at_unix_ns'), 0) \
               FROM metric_event WHERE type = 'LossTick'";
        let row = connection.query_row(all, (), |row| {
            let number = |at| row.get::<_, i64>(at).map(|number| number as u64);
            Ok(Ticks {
                count: number(0)?,
                numbered: number(1)?,
                at_unix_ns: number(2)?,
            })
        });
        row.unwrap()
    }

    /// A measurement, not a test: kills a process that records `RATE` events a second at a random moment, `ROUNDS` times, and
    /// prints how much of the end its database lacks. Settings are read from the environment, such as
    /// `RADIOSONDE_RECORDING_WHEN_FULL=wait`.
    #[test]
    #[ignore = "a measurement of a minute and more: see the top of this file"]
    fn sqlite_loss() {
        let (rate, rounds) = (
            number_of(RATE, RATE_DEFAULT),
            number_of(ROUNDS, ROUNDS_DEFAULT),
        );
        let mut losses_ms = Vec::new();
        for round in 1..=rounds {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let mut child = Command::new(env::current_exe().unwrap())
                .args(["--exact", "loss::child_that_ticks", "--ignored"])
                .env(LOSS_FOLDER, folder.path())
                .env(RATE, rate.to_string())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            // Some commits, and then anywhere between two.
            let random_ms = RandomState::new().hash_one(round) % 2000;
            std::thread::sleep(Duration::from_millis(2500 + random_ms));
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            child.kill().unwrap();
            child.wait().unwrap();
            let (noted, kept) = (noted(folder.path()), committed(folder.path()));
            // The last event may have been recorded and not noted any more.
            assert!(kept.numbered <= noted.numbered + 1, "{kept:?}, {noted:?}");
            let lost_ms = noted.at_unix_ns.saturating_sub(kept.at_unix_ns) / 1_000_000;
            println!(
                "round {round} of {rounds}: of {} events the last {lost_ms} ms are missing ({} events), and {} before them",
                noted.count,
                noted.numbered.saturating_sub(kept.numbered),
                kept.numbered - kept.count,
            );
            losses_ms.push(lost_ms);
        }
        losses_ms.sort_unstable();
        println!(
            "killed {rounds} times at {rate} events a second: the end that is missing is {} ms in the middle, {} ms at most",
            losses_ms[losses_ms.len() / 2],
            losses_ms[losses_ms.len() - 1],
        );
    }
}
