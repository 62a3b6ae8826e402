//! `sonde why` as a user runs it: the program itself on files that radiosonde's own exporters wrote.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails there")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use radiosonde::{
    encode::json::JsonEncoder,
    exporter::{json_lines::JsonLines, sqlite::Sqlite},
    redact::Redaction,
};
use tracing::{info_span, warn};

fn sonde(arguments: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sonde"))
        .arg("why")
        .arg(file)
        .args(arguments)
        .output()
        .expect("the program was built for this test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Three requests, of which the second waits in a queue and one span alone says nothing; recorded for real.
fn record(folder: &Path) -> (PathBuf, PathBuf) {
    // There is one recording a process.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (lines, database) = (folder.join("events.jsonl"), folder.join("telemetry.sqlite"));
    let guard = radiosonde::builder()
        .exporter(JsonLines::open(&lines, JsonEncoder::default()).expect("a new file"))
        .exporter(Sqlite::open(&database, Redaction::default()).expect("a new file"))
        .init()
        .expect("recording starts");
    for queued_ms in [2, 120, 1] {
        let request = info_span!("request", queued_ms);
        let _entered = request.enter();
        {
            let _queue = info_span!("queue").entered();
            thread::sleep(Duration::from_millis(queued_ms));
        }
        let _work = info_span!("generate").entered();
        if queued_ms > 100 {
            warn!("the queue is long");
        }
        thread::sleep(Duration::from_millis(3));
    }
    let lonely = info_span!("lonely").entered();
    thread::sleep(Duration::from_millis(1));
    drop(lonely);
    drop(guard);
    (lines, database)
}

#[test]
fn a_recorded_run_is_answered_from_both_formats() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, database) = record(folder.path());

    let listed = text(&sonde(&["--list"], &lines).stdout);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(
        listed
            .lines()
            .next()
            .is_some_and(|first| first.ends_with("3 spans  request")),
        "{listed}"
    );

    let answers = [&lines, &database].map(|file| {
        let output = sonde(&[], file);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        text(&output.stdout)
    });
    assert_eq!(answers[0], answers[1]);
    assert!(
        answers[0].contains("Why: it waited in a queue: "),
        "{}",
        answers[0]
    );
    assert!(
        answers[0].contains("a warning was logged: \"the queue is long\""),
        "{}",
        answers[0]
    );

    let document: serde_json::Value =
        serde_json::from_slice(&sonde(&["--format", "json"], &lines).stdout).expect("JSON");
    assert_eq!(document["schema"], 1);
    assert_eq!(document["verdict"]["cause"], "queue");
    let tiled: u64 = document["segments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|segment| segment["duration_ns"].as_u64().expect("a number"))
        .sum();
    assert_eq!(
        Some(tiled + document["residual_ns"].as_u64().expect("a number")),
        document["interval"]["duration_ns"].as_u64()
    );
}

#[test]
fn a_trace_a_span_and_a_window_can_be_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, database) = record(folder.path());
    let listed = text(&sonde(&["--list"], &lines).stdout);
    let document: serde_json::Value =
        serde_json::from_slice(&sonde(&["--format", "json"], &lines).stdout).expect("JSON");

    let lonely = listed
        .lines()
        .find(|line| line.ends_with("lonely"))
        .and_then(|line| line.split_whitespace().next())
        .expect("it is listed");
    let unsure = sonde(&["--trace", &lonely[..12]], &lines);
    assert_eq!(unsure.status.code(), Some(0));
    assert!(
        text(&unsure.stdout).contains("Why: cannot tell, because"),
        "{}",
        text(&unsure.stdout)
    );

    let all = text(&sonde(&["--window"], &lines).stdout);
    assert!(all.starts_with("4 requests took "), "{all}");
    let span_id = document["verdict"]["evidence"][0]["span_id"]
        .as_str()
        .expect("text");
    let part = text(&sonde(&["--span", span_id], &lines).stdout);
    assert!(part.starts_with("`queue` took "), "{part}");
    let listing: serde_json::Value =
        serde_json::from_slice(&sonde(&["--list", "--format", "json"], &database).stdout)
            .expect("JSON");
    assert_eq!(listing["traces"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_request_that_had_not_ended_is_listed_last_and_by_no_other_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let span = |trace: u32, id: u32, parent: &str, name: &str, end: u32, attributes: &str| {
        format!(
            r#"{{"trace_id":"{trace:032x}","span_id":"{id:016x}","parent_id":{parent},"span_name":"{name}","event":{{"type":"Span","data":{{"start":"2026-01-01T00:00:00Z","end":"2026-01-01T00:00:0{end}Z","attributes":{attributes}}}}}}}"#
        )
    };
    let lines = [
        span(1, 2, r#""0000000000000001""#, "queue", 4, "{}"),
        span(1, 3, r#""0000000000000001""#, "decode", 7, "{}"),
        span(2, 4, "null", "request", 1, r#"{"index":5}"#),
    ];
    let file = folder.path().join("killed.jsonl");
    std::fs::write(&file, lines.join("\n")).expect("a new file");
    insta::assert_snapshot!(text(&sonde(&["--list"], &file).stdout), @r"
      00000000000000000000000000000002      1.000 s       1 span   request 5
      00000000000000000000000000000001      7.000 s       2 spans  (not recorded)
    ");
    let answer = text(&sonde(&[], &file).stdout);
    assert!(answer.starts_with("`request 5` took "), "{answer}");
    let window = text(&sonde(&["--window"], &file).stdout);
    assert!(window.starts_with("1 request took "), "{window}");
}

#[test]
fn what_cannot_be_answered_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let fails = |file: &str, content: Option<&str>, arguments: &[&str], code: i32| {
        let path = folder.path().join(file);
        if let Some(content) = content {
            std::fs::write(&path, content).expect("a new file");
        }
        let output = sonde(arguments, &path);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
        text(&output.stderr).replace(&folder.path().display().to_string(), "DIR")
    };
    let span = r#"{"ts":"2026-01-01T00:00:00Z","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","parent_id":null,"span_name":"request","event":{"type":"Span","data":{"start":"2026-01-01T00:00:00Z","end":"2026-01-01T00:00:01Z"}}}"#;
    let messages = [
        fails("missing.jsonl", None, &[], 1),
        fails("empty.jsonl", Some(""), &[], 1),
        fails("not.jsonl", Some("what is this\nand this\n"), &[], 1),
        fails(
            "one.jsonl",
            Some(&format!("{span}\n")),
            &["--trace", "ffff"],
            1,
        ),
        fails("one.jsonl", None, &["--span", "1"], 1),
        fails("one.jsonl", None, &["--span", "00000000000000aa"], 1),
    ];
    insta::assert_snapshot!(messages.concat(), @r"
    sonde: cannot read DIR/missing.jsonl: No such file or directory (os error 2); check that it exists and that you may read it
    sonde: DIR/empty.jsonl holds no spans; record some with radiosonde's JSON-lines or SQLite exporter
    sonde: DIR/not.jsonl holds no spans: line 1: not JSON that can be read: expected value at byte 1, and 1 more such line. Is it a recording? Radiosonde's JSON-lines and SQLite exporters write them
    sonde: DIR/one.jsonl has no trace ffff; the slowest it has are
      0af7651916cd43dd8448eb211c80319c      1.000 s       1 span   request
    `--list` shows all
    sonde: `1` is not a span ID: give its 16 hexadecimal digits
    sonde: trace 0af7651916cd43dd8448eb211c80319c in DIR/one.jsonl has no span 00000000000000aa; give `--trace` as well if it is in another
    ");
    std::fs::write(
        folder.path().join("one.jsonl"),
        format!("{span}\ndamaged\n"),
    )
    .expect("a file");
    let damaged = sonde(&[], &folder.path().join("one.jsonl"));
    assert_eq!(damaged.status.code(), Some(0));
    assert!(
        text(&damaged.stderr).contains("one.jsonl line 2: "),
        "{}",
        text(&damaged.stderr)
    );
    let usage = fails("one.jsonl", None, &["--window", "soon"], 2);
    assert!(usage.contains("500ms, 30s, 5m, 1h or 7d"), "{usage}");
}
