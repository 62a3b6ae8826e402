//! kill -9 at random moments: what was acknowledged is there, and there once.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use radiosonde_store::{
    Config, Rows, Store,
    query::{Cell, Limits},
    row::{Origin, SampleRow, SpanRow},
};

/// Where the child finds its folder, and from which number on it appends.
const FOLDER: &str = "RADIOSONDE_STORE_TEST_FOLDER";
const FIRST: &str = "RADIOSONDE_STORE_TEST_FIRST";

/// Moments at which the child is killed; `cargo xtask kill` asks for more.
fn rounds() -> u64 {
    env::var("RADIOSONDE_KILL_POINTS")
        .ok()
        .map_or(50, |rounds| rounds.parse().unwrap())
}

/// Small enough that logs, segments and the catalogue change all the time.
fn config(folder: &Path) -> Config {
    Config {
        flush_rows: 64,
        ..Config::new(folder)
    }
}

fn rows(number: u64) -> Rows {
    let mut rows = Rows::default();
    let origin = Origin {
        service: "killed",
        resource: "{}",
        scope: "",
    };
    rows.sample(&SampleRow {
        origin,
        time_unix_ns: number as i64,
        duration_ns: 0,
        trace_id: None,
        span_id: None,
        kind: "cpu",
        unit: "nanoseconds",
        value: 1,
        thread: "",
        library: "work",
        function: "work",
        stack: "main\nwork",
        attributes: &[],
    });
    rows.span(&SpanRow {
        origin,
        trace_id: u128::from(number / 8 + 1).to_be_bytes(),
        span_id: (number + 1).to_be_bytes(),
        parent_span_id: None,
        name: "work",
        kind: "internal",
        status: "unset",
        status_message: "",
        start_unix_ns: number as i64,
        duration_ns: 1,
        links: "",
        attributes: &[],
    });
    rows
}

#[test]
#[ignore = "the process that the test below starts and kills"]
fn appends_until_it_is_killed() {
    let folder = env::var_os(FOLDER).unwrap();
    let first: u64 = env::var(FIRST).unwrap().parse().unwrap();
    let store = Store::open(config(Path::new(&folder))).unwrap();
    let mut out = std::io::stdout().lock();
    for number in first.. {
        store.append(rows(number)).unwrap();
        // One write each, so that what the parent reads was acknowledged.
        out.write_all(format!("acknowledged {number}\n").as_bytes())
            .unwrap();
    }
}

/// Starts the child, kills it after `time`, and says how many it acknowledged in all. The time counts from its first
/// acknowledgement where `after_first`, else from its start, so that opening is interrupted too.
fn kill_after(time: Duration, after_first: bool, folder: &Path, first: u64) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "kill::appends_until_it_is_killed",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (say, heard) = mpsc::channel();
    let reader = thread::spawn(move || {
        let numbers = lines.map_while(Result::ok);
        numbers
            .filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok())
            .inspect(|_| {
                let _ = say.send(());
            })
            .last()
    });
    if after_first {
        heard.recv().unwrap();
    }
    thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap().map_or(first, |last| last + 1)
}

fn number(store: &Store, statement: &str) -> u64 {
    match store.sql(statement, Limits::default()).unwrap().rows[0][0] {
        Cell::Int(number) => number.try_into().unwrap(),
        ref other => panic!("{statement}: {other:?}"),
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    // Spans and samples so far.
    let mut kept = (0, 0);
    let mut moment = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..rounds() {
        moment = moment.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        let time = Duration::from_millis(moment % 120);
        let acknowledged = kill_after(time, round % 2 == 0, folder.path(), kept.0);
        let store = Store::open(config(folder.path())).unwrap();
        let rows = number(&store, "SELECT count(*) FROM spans");
        let distinct = number(&store, "SELECT count(DISTINCT span_id) FROM spans");
        assert_eq!(rows, distinct, "round {round}: there is a row twice");
        let added_up = number(
            &store,
            "SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM operations",
        );
        assert_eq!(
            rows, added_up,
            "round {round}: spans and what they add up to"
        );
        let samples = number(&store, "SELECT count(*) FROM profiles");
        let distinct = number(&store, "SELECT count(DISTINCT time) FROM profiles");
        assert_eq!(samples, distinct, "round {round}: there is a sample twice");
        // One more may have been written whose acknowledgement never came; of that one, a table's rows may be there and
        // another's not, because the system may be killed between two pages of a write.
        let (before_rows, before_samples) = kept;
        let acknowledged = acknowledged - before_rows;
        for (what, added) in [
            ("spans", rows - before_rows),
            ("samples", samples - before_samples),
        ] {
            assert!(
                (acknowledged..=acknowledged + 1).contains(&added),
                "round {round}: {acknowledged} acknowledged, {added} {what} kept, {:?}",
                store.recovery()
            );
        }
        kept = (rows, samples);
    }
    assert!(kept.0 >= rounds() / 2, "{kept:?}");
}
