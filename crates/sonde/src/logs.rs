//! `sonde logs`: what was logged, and with `--follow` what is logged from here on.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    cli::{Format, LogsArguments},
    collector::{Collector, Parameters},
    text::{self, list, member},
};

/// How often it is asked what came.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
/// How far back each question goes while following: logs may arrive some time after they were written.
const FOLLOW_BACK: &str = "-2m";
/// Most lines that one question brings while following.
const FOLLOW_LIMIT: &str = "5000";

/// What standard output gets, unless it follows: then it writes itself, until its reader goes away.
pub fn run(arguments: &LogsArguments) -> anyhow::Result<String> {
    let collector = Collector::new(&arguments.collector)?;
    let limit = arguments.limit.to_string();
    let mut parameters = arguments.range.parameters();
    parameters.push(("limit", &limit));
    parameters.extend(wanted(arguments));
    if arguments.follow {
        // What is there already and is not shown at first is not to be taken for new.
        let there = recent(&collector, arguments)?;
        follow(
            &collector,
            arguments,
            &collector.get("logs", &parameters)?,
            &there,
        )?;
        return Ok(String::new());
    }
    let answer = collector.get("logs", &parameters)?;
    if arguments.format == Format::Json {
        return Ok(text::json(&answer));
    }
    let mut out: String = list(&answer, "logs").iter().rev().map(line).collect();
    if out.is_empty() {
        out.push_str("There are no such logs in this time. `sonde doctor` says what arrived; --from asks further back.\n");
    }
    if answer["more"] == true {
        out.push_str("There are older ones than are shown; --limit shows more.\n");
    }
    Ok(out)
}

fn wanted(arguments: &LogsArguments) -> Parameters<'_> {
    let named = [
        ("q", &arguments.text),
        ("service", &arguments.service),
        ("severity", &arguments.severity),
        ("trace_id", &arguments.trace),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect()
}

/// What was logged lately.
fn recent(collector: &Collector, arguments: &LogsArguments) -> anyhow::Result<Value> {
    let mut parameters = vec![("from", FOLLOW_BACK), ("limit", FOLLOW_LIMIT)];
    parameters.extend(wanted(arguments));
    collector.get("logs", &parameters)
}

/// Shows `first` and then whatever arrives that was not `there`, each once.
fn follow(
    collector: &Collector,
    arguments: &LogsArguments,
    first: &Value,
    there: &Value,
) -> anyhow::Result<()> {
    let lines = |answer: &Value| {
        list(answer, "logs")
            .iter()
            .map(Value::to_string)
            .collect::<HashSet<_>>()
    };
    let mut known = HashSet::new();
    let mut answer = first.clone();
    let mut is_first = true;
    loop {
        let logs = list(&answer, "logs");
        let mut out = String::new();
        for log in logs.iter().rev() {
            if !known.contains(&log.to_string()) {
                match arguments.format {
                    Format::Text => out.push_str(&line(log)),
                    Format::Json => {
                        out.push_str(&log.to_string());
                        out.push('\n');
                    }
                }
            }
        }
        // What is too old to be asked for again need not be known any more.
        known = lines(&answer);
        if std::mem::take(&mut is_first) {
            known.extend(lines(there));
        }
        let mut standard = io::stdout().lock();
        if standard
            .write_all(out.as_bytes())
            .and_then(|()| standard.flush())
            .is_err()
        {
            return Ok(());
        }
        drop(standard);
        thread::sleep(FOLLOW_INTERVAL);
        answer = recent(collector, arguments)?;
    }
}

/// A log as a line: when, how severe, from whom, and what.
pub fn line(log: &Value) -> String {
    let parts = [
        member(log, "event_name"),
        member(log, "body"),
        text::attributes(&log["attributes"]),
        log["trace_id"]
            .as_str()
            .map(|id| format!("trace={id}"))
            .unwrap_or_default(),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| text::plain(part))
        .collect();
    format!(
        "{}  {:<5}  {}  {}\n",
        text::time(&log["time_ms"]),
        member(log, "severity_text"),
        text::plain(&member(log, "service")),
        parts.join(" ")
    )
}
