//! A session is recorded from a collector that runs, and replayed: as text, and on a terminal.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use radiosonde::{
    config::{Config, Format, RawConfig},
    latency, memory,
};
use radiosonde_answers::units::{Bytes, Nanoseconds};

use super::*;

/// A collector that has a request, and what `sonde record` writes of it.
fn recorded(folder: &Path) -> PathBuf {
    let collector = Collector::start(&folder.join("data"));
    for (path, body) in request() {
        collector.send(path, &body);
    }
    record(&collector, folder)
}

fn record(collector: &Collector, folder: &Path) -> PathBuf {
    let file = folder.join("session.jsonl");
    let path = file.to_str().unwrap();
    let report = collector.json(&["record", path, "--for", "700ms", "--every", "200ms"]);
    assert!(report["polls"].as_u64() > Some(1), "{report}");
    assert_eq!(report["bytes"], fs::metadata(&file).unwrap().len());
    assert_eq!(report["failed"], 0);
    file
}

/// What is shown of a file, without a collector.
fn replayed(file: &Path, arguments: &[&str]) -> Output {
    let path = file.to_str().unwrap();
    sonde(&[&["top", "--replay", path, "--text"][..], arguments].concat())
        .output()
        .unwrap()
}

fn screens(file: &Path, arguments: &[&str]) -> String {
    let output = replayed(file, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn last_screen(screens: &str) -> String {
    let last = screens.rsplit("--- screen").next().unwrap();
    last.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn a_session_is_recorded_and_every_replay_of_it_is_the_same() {
    let folder = TempDir::new().unwrap();
    // The collector is gone when it is replayed.
    let file = recorded(folder.path());
    let shown = screens(&file, &[]);
    assert_eq!(shown, screens(&file, &[]));
    let polls = fs::read_to_string(&file).unwrap().lines().count() - 1;
    assert_eq!(shown.matches("--- screen").count(), polls);
    assert!(
        shown.contains("generate") && shown.contains(&format!("{polls}/{polls} ")),
        "{shown}"
    );
    // Each tab, and the account of the trace, which was recorded with it.
    let keys = ["100x20", "--keys", "23456.,2 "];
    let tabs = screens(&file, &keys);
    assert_eq!(tabs, screens(&file, &keys));
    for part in [
        "the queue is long",
        "http/json",
        "why: trace 0af7651916",
        "queue",
    ] {
        assert!(tabs.contains(part), "{part}\n{tabs}");
    }
    let end = last_screen(&tabs);
    assert!(
        end.contains(&format!("1/{polls} ")) && end.contains("PAUSED"),
        "{end}"
    );
}

#[test]
fn a_recording_that_was_cut_is_shown_and_one_that_is_damaged_is_not() {
    let folder = TempDir::new().unwrap();
    let file = recorded(folder.path());
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    fs::write(&file, &whole[..whole.len() - 3]).unwrap();
    let cut = replayed(&file, &[]);
    let said = String::from_utf8(cut.stderr).unwrap();
    assert!(
        cut.status.success()
            && said.contains(&format!(
                "session.jsonl:{}: the last line was being written",
                lines.len()
            )),
        "{said}"
    );
    let shown = String::from_utf8(cut.stdout).unwrap();
    assert_eq!(shown.matches("--- screen").count(), lines.len() - 2);
    fs::write(
        &file,
        format!("{}\n{}\n{}\n", lines[0], &lines[1][..20], lines[1]),
    )
    .unwrap();
    let said = String::from_utf8(replayed(&file, &[]).stderr).unwrap();
    assert!(
        said.contains("session.jsonl:2: ") && said.contains("head -n 1 "),
        "{said}"
    );
    fs::write(&file, "{\"timestamp\": 1}\n").unwrap();
    let foreign = replayed(&file, &[]);
    let said = String::from_utf8(foreign.stderr).unwrap();
    assert!(
        foreign.status.code() == Some(1)
            && said.contains("session.jsonl:1: this is no recording of `sonde record`"),
        "{said}"
    );
}

/// Until Ctrl-C, through a time in which the collector is away.
#[test]
fn a_recording_ends_well_when_it_is_told_to() {
    let folder = TempDir::new().unwrap();
    let mut collector = Collector::start(&folder.path().join("data"));
    let file = folder.path().join("session.jsonl");
    let child = sonde(&["record", file.to_str().unwrap(), "--every", "100ms"])
        .env("RADIOSONDE_COLLECTOR", &collector.page)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = || {
        fs::read_to_string(&file)
            .unwrap_or_default()
            .lines()
            .count()
    };
    until(|| lines() >= 3);
    collector.signal("-9");
    collector.child.wait().unwrap();
    let before = lines();
    until(|| lines() >= before + 3);
    let told = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let (said, report) = (
        String::from_utf8(output.stderr).unwrap(),
        String::from_utf8(output.stdout).unwrap(),
    );
    assert!(
        output.status.success() && said.contains("the first poll takes"),
        "{said}"
    );
    assert!(
        report.contains("It ended because it was told to end.")
            && report.contains("polls had no answer"),
        "{report}"
    );
    assert!(last_screen(&screens(&file, &[])).contains("no collector answers"));
    let again = collector.ask(&["record", file.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
}

/// Waits until it is so.
fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never was");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A terminal of `tmux`, which ends with the test.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// Runs `command` on 120 columns and 24 rows; `None` where there is no `tmux`.
    fn start(command: &str) -> Option<Self> {
        let terminal = Self {
            socket: format!("sonde-test-{}", std::process::id()),
        };
        let started = terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "120",
            "-y",
            "24",
            command,
            ";",
            "set-option",
            "-g",
            "status",
            "off",
        ]);
        started.is_some().then_some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("tmux")
            .args(["-u", "-L", &self.socket])
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).unwrap_or_default()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// A program with a model, as its process sees itself: the rows of its files, and its recording.
fn model(folder: &Path) -> ([Vec<Value>; 2], PathBuf) {
    let recording = folder.join("events.jsonl");
    let text = format!(
        "[metrics_log]\nenabled = true\ninterval = \"20ms\"\ndirectory = \"{}\"\n\
         [json_lines]\npath = \"{}\"\n[logging]\nconsole = false\n\
         [telemetry]\nsystem_interval = \"1h\"\n",
        folder.display(),
        recording.display()
    );
    let raw = RawConfig::parse(Format::Toml, &text, Path::new("radiosonde.toml")).unwrap();
    let guard = radiosonde::builder()
        .config(Config::new(raw).unwrap())
        .init()
        .unwrap();
    let host = memory::Collector::new(memory::HOST);
    for token in 1..=3 {
        let step = latency::Collector::install();
        drop(step.phase("embedding"));
        {
            let _forward = step.phase("forward");
            for block in 0..2 {
                let _block = step.block(block);
                let _sdpa = latency::phase("sdpa");
            }
        }
        host.kv_cache(token * 46_080, token);
    }
    let has = |rows: &[Value], path: &str, name: &str, is_it: &dyn Fn(&Value) -> bool| {
        let row = rows.iter().find(|row| row["path"] == path);
        row.is_some_and(|row| is_it(&row[name]))
    };
    let mut kept = [Vec::new(), Vec::new()];
    // Until nothing comes any more.
    until(|| {
        let now = ["-latency.jsonl", "-memory.jsonl"].map(|kind| last_rows(folder, kind));
        let is_all = has(&now[0], "forward", "count", &|count| *count == 3)
            && has(&now[1], "KV cache on cpu", "bytes", &|bytes| {
                *bytes == 3 * 46_080
            })
            && has(&now[1], "host", "bytes", &Value::is_number);
        std::thread::sleep(Duration::from_millis(100));
        let before = std::mem::replace(&mut kept, now);
        is_all && before == kept
    });
    drop(guard);
    (kept, recording)
}

/// The rows of the last line of the file that ends like this.
fn last_rows(folder: &Path, end: &str) -> Vec<Value> {
    let mut files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.to_string_lossy().ends_with(end));
    let text = fs::read_to_string(file.unwrap()).unwrap();
    let whole = text.rsplit_once('\n').map_or("[]", |(whole, _)| whole);
    serde_json::from_str(whole.lines().last().unwrap_or("[]")).unwrap()
}

/// A row as the tab of engines has it, without its marks: what is said of it, with single spaces.
fn shown(row: &Value) -> String {
    let ns = |name: &str| row[name].as_u64().map(|ns| Nanoseconds(ns).to_string());
    let cells = [
        row["label"].as_str().map(str::to_owned),
        ns("last_ns"),
        ns("avg_ns"),
        ns("p99_ns"),
        row["bytes"].as_i64().map(|bytes| Bytes(bytes).to_string()),
        row["share"]
            .as_f64()
            .map(|share| format!("{:.1} %", share * 100.0)),
        row["detail"].as_str().map(str::to_owned),
    ];
    words(&cells.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

fn words(line: &str) -> String {
    let words = line
        .split_whitespace()
        .filter(|word| !["▾", "▸"].contains(word));
    words.collect::<Vec<_>>().join(" ")
}

/// The keys that open every row, from the first.
fn opening(rows: &[Vec<Value>; 2]) -> String {
    let mut keys = String::from("s4");
    for rows in rows {
        let depth = |at: usize| rows.get(at).and_then(|row| row["depth"].as_u64());
        for at in 0..rows.len() {
            keys.push_str(if depth(at + 1) > depth(at) { "j " } else { "j" });
        }
        // On to the next heading, which is open from the start.
        keys.push('j');
    }
    keys
}

/// What a program writes of itself, what a collector makes of its recording, and what is on the screen.
#[test]
fn the_rows_of_a_program_are_those_on_the_screen_and_on_a_terminal() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(&folder.path().join("data"));
    let (rows, recording) = model(folder.path());
    collector.text(&[
        "import",
        recording.to_str().unwrap(),
        "--service",
        "trainer",
    ]);
    let file = record(&collector, folder.path());
    let keys = opening(&rows);
    let screen = last_screen(&screens(&file, &["200x60", "--keys", &keys]));
    let lines: Vec<String> = screen.lines().map(words).collect();
    let mut expected = Vec::new();
    for (kind, rows) in ["latency", "memory"].into_iter().zip(&rows) {
        expected.push(format!("trainer: {kind}"));
        expected.extend(rows.iter().map(shown));
    }
    assert_eq!(lines[2..][..expected.len()], expected, "{screen}");

    let polls = fs::read_to_string(&file).unwrap().lines().count() - 1;
    let file = file.to_str().unwrap();
    let Some(terminal) = Terminal::start(&format!("exec {SONDE} top --replay {file} --speed 1000"))
    else {
        eprintln!("SKIPPED: there is no tmux");
        return;
    };
    until(|| terminal.screen().contains(&format!("{polls}/{polls} ")));
    // To the second poll, and open a block.
    terminal.tmux(&["send-keys", "-l", "p<.s4jj jj "]).unwrap();
    let text = last_screen(&screens(
        Path::new(file),
        &["120x24", "--speed", "1000", "--keys", ".s4jj jj "],
    ));
    assert!(
        text.contains("block 0") && text.contains("PAUSED"),
        "{text}"
    );
    until(|| terminal.screen().trim_end() == text.trim_end());
    terminal.tmux(&["send-keys", "-l", "q"]).unwrap();
    until(|| terminal.tmux(&["has-session"]).is_none());
}
