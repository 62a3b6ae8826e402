//! Programs that a newcomer runs first, run as a newcomer would.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{packages, shell};

/// No example may keep a reader waiting longer.
const EXAMPLE_SECONDS_MAX: u64 = 60;

/// Keys that every recorded line has (docs: the recording format).
const LINE_KEYS: [&str; 6] = [
    "ts",
    "trace_id",
    "span_id",
    "parent_id",
    "span_name",
    "event",
];

/// Runs every program of `examples/`, each in an empty folder of its own.
pub fn examples() -> Result<()> {
    let programs = packages::build_programs(
        packages::select_all(shell::cargo().args(["build", "--bins"]))?,
        packages::EXAMPLES,
    )?;
    for program in &programs {
        let folder = shell::scratch(&format!("examples/{}", program.name))?;
        let mut command = shell::tool(&program.path);
        shell::run_within(
            command.current_dir(&folder),
            Duration::from_secs(EXAMPLE_SECONDS_MAX),
        )?;
    }
    println!("examples: {} ran", programs.len());
    Ok(())
}

/// Runs the demo with the tiny model and checks what it leaves behind.
pub fn demo() -> Result<()> {
    let folder = shell::scratch("demo")?;
    let mut command = shell::tool(packages::build_demo()?);
    command
        .args([
            "--model",
            "tiny",
            "--requests",
            "6",
            "--once",
            "--format",
            "json",
            "--out",
        ])
        .arg(&folder);
    println!("$ {}", shell::line(&command));
    let report = shell::output(&mut command)?;
    let report: Value =
        serde_json::from_str(&report).context("standard output is not one JSON value")?;
    ensure!(report.is_object(), "the report is not an object: {report}");
    let saved =
        fs::read_to_string(folder.join("report.json")).context("the demo left no report.json")?;
    let saved: Value = serde_json::from_str(&saved).context("report.json is not JSON")?;
    ensure!(
        saved == report,
        "report.json is not what standard output says"
    );
    let counted = recorded_lines(&folder.join("events.jsonl"))?;
    let lines = counted.lines();
    println!(
        "demo: {lines} recorded lines, a report with {} parts",
        report.as_object().map_or(0, serde_json::Map::len)
    );
    report_agrees(&report, &counted)?;
    rows_equal_lines(&folder.join("telemetry.sqlite"), lines)
}

/// How many lines of each kind a recording has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    spans: usize,
    logs: usize,
    events: usize,
}

impl Counted {
    const fn lines(&self) -> usize {
        self.spans + self.logs + self.events
    }
}

/// What the report says was recorded is what the recording holds.
fn report_agrees(report: &Value, counted: &Counted) -> Result<()> {
    let observed = &report["observed"];
    for (kind, lines) in [
        ("spans", counted.spans),
        ("logs", counted.logs),
        ("events", counted.events),
    ] {
        ensure!(
            observed[kind] == lines,
            "the report counts {} {kind}, and the recording has {lines}",
            observed[kind]
        );
    }
    Ok(())
}

/// Counts the lines of a recording, each of which must be whole.
fn recorded_lines(path: &Path) -> Result<Counted> {
    let text =
        fs::read_to_string(path).with_context(|| format!("the demo left no {}", path.display()))?;
    ensure!(
        !text.is_empty() && text.ends_with('\n'),
        "{} is empty or its last line is torn",
        path.display()
    );
    let mut counted = Counted::default();
    for (index, line) in text.lines().enumerate() {
        let place = || format!("{}:{}", path.display(), index + 1);
        let line: Value = serde_json::from_str(line).with_context(place)?;
        for key in LINE_KEYS {
            ensure!(
                line.get(key).is_some(),
                "{}: has no `{key}`: {line}",
                place()
            );
        }
        let event = &line["event"];
        ensure!(
            event["type"].is_string() && event.get("data").is_some(),
            "{}: its event has no type or no data",
            place()
        );
        match event["type"].as_str() {
            Some("Span") => counted.spans += 1,
            Some("Log") => counted.logs += 1,
            _ => counted.events += 1,
        }
    }
    Ok(counted)
}

/// Every line of the recording is one row of the database too. Asked of Python's own SQLite, which is not ours.
fn rows_equal_lines(database: &Path, lines: usize) -> Result<()> {
    ensure!(
        database.is_file(),
        "the demo left no {}",
        database.display()
    );
    let query = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('select count(*) from metric_event').fetchone()[0])";
    if !shell::works(shell::tool("python3").args(["-c", "import sqlite3"])) {
        println!(
            "demo: SKIPPED counting the rows of {}: there is no python3 with sqlite3",
            database.display()
        );
        return Ok(());
    }
    let rows = shell::output(shell::tool("python3").args(["-c", query]).arg(database))?;
    if rows.trim() != lines.to_string() {
        bail!(
            "{} has {} rows, and the recording {lines} lines",
            database.display(),
            rows.trim()
        );
    }
    println!("demo: {lines} rows in the database");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(text: &str) -> Result<Counted> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), text)?;
        recorded_lines(file.path())
    }

    #[test]
    fn whole_recordings_are_counted() {
        let line = r#"{"ts":1,"trace_id":null,"span_id":null,"parent_id":null,"span_name":null,"event":{"type":"Log","data":{}}}"#;
        let span = line.replace("Log", "Span");
        let event = line.replace("Log", "cache.evicted");
        let counted = Counted {
            spans: 1,
            logs: 2,
            events: 1,
        };
        let text = format!("{line}\n{span}\n{event}\n{line}\n");
        assert_eq!(recording(&text).unwrap(), counted);
    }

    #[test]
    fn a_report_that_counts_otherwise_is_refused() {
        let counted = Counted {
            spans: 3,
            logs: 2,
            events: 1,
        };
        let report =
            |spans: u64| serde_json::json!({"observed": {"spans": spans, "logs": 2, "events": 1}});
        assert!(report_agrees(&report(3), &counted).is_ok());
        let error = report_agrees(&report(4), &counted).unwrap_err().to_string();
        assert_eq!(error, "the report counts 4 spans, and the recording has 3");
        assert!(report_agrees(&serde_json::json!({"observed": null}), &counted).is_err());
    }

    #[test]
    fn damaged_recordings_are_refused_by_place() {
        let line = r#"{"ts":1,"trace_id":null,"span_id":null,"parent_id":null,"span_name":null,"event":{"type":"Log","data":{}}}"#;
        for bad in [
            String::new(),
            line.to_owned(),
            format!("{line}\n{{\n"),
            format!("{line}\n{{}}\n"),
            format!("{line}\n{}\n", line.replace("type", "kind")),
        ] {
            assert!(recording(&bad).is_err(), "{bad}");
        }
        let error = format!("{:#}", recording(&format!("{line}\n{{}}\n")).unwrap_err());
        assert!(error.contains(":2: has no `ts`"), "{error}");
    }
}
