//! Answers of the collector as lines of a table.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::text::{self, list, member};

/// A line of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub cells: Vec<String>,
    /// Something is wrong with what it shows.
    pub is_bad: bool,
    /// The trace that it leads to.
    pub trace: Option<String>,
    /// What it is opened by, where there is something below it.
    pub path: Option<String>,
}

/// The headings of each tab's table, and how wide each column is; the last takes what is left.
pub const HEADINGS: [&[(&str, u16)]; 6] = [
    &[
        ("count", 9),
        ("errors", 8),
        ("p50", 11),
        ("p95", 11),
        ("p99", 11),
        ("total", 11),
        ("service", 16),
        ("operation", 0),
    ],
    &[
        ("start (UTC)", 24),
        ("duration", 11),
        ("spans", 7),
        ("errors", 7),
        ("service", 20),
        ("name", 0),
    ],
    &[
        ("time (UTC)", 24),
        ("level", 6),
        ("service", 20),
        ("message", 0),
    ],
    &[
        ("phase or part", 44),
        ("last", 11),
        ("mean", 11),
        ("p99", 11),
        ("bytes", 12),
        ("share", 7),
        ("what else", 0),
    ],
    &[
        ("queue", 34),
        ("waiting", 9),
        ("oldest", 14),
        ("in/s", 9),
        ("out/s", 9),
        ("busy", 8),
        ("what else", 0),
    ],
    &[
        ("peer", 22),
        ("protocol", 14),
        ("signal", 9),
        ("accepted", 11),
        ("refused", 9),
        ("client or reason", 0),
    ],
];

pub fn operations(answer: &Value) -> Vec<Line> {
    let line = |operation: &Value| {
        let durations =
            ["p50_ns", "p95_ns", "p99_ns", "total_ns"].map(|name| text::duration(&operation[name]));
        let mut cells = vec![member(operation, "count"), member(operation, "errors")];
        cells.extend(durations);
        cells.extend(["service", "name"].map(|name| text::plain(&member(operation, name))));
        Line {
            cells,
            is_bad: operation["errors"].as_i64() > Some(0),
            ..Line::default()
        }
    };
    list(answer, "operations").iter().map(line).collect()
}

pub fn traces(answer: &Value) -> Vec<Line> {
    let line = |trace: &Value| Line {
        cells: vec![
            text::time(&trace["start_ms"]),
            text::duration(&trace["duration_ns"]),
            member(trace, "spans"),
            member(trace, "errors"),
            text::plain(&member(trace, "service")),
            text::plain(&member(trace, "name")),
        ],
        is_bad: trace["errors"].as_i64() > Some(0),
        trace: trace["trace_id"].as_str().map(str::to_owned),
        path: None,
    };
    list(answer, "traces").iter().map(line).collect()
}

pub fn logs(answer: &Value) -> Vec<Line> {
    let line = |log: &Value| {
        let parts = [
            member(log, "event_name"),
            member(log, "body"),
            text::attributes(&log["attributes"]),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|part| !part.is_empty())
            .map(|part| text::plain(part))
            .collect();
        Line {
            cells: vec![
                text::time(&log["time_ms"]),
                member(log, "severity_text"),
                text::plain(&member(log, "service")),
                parts.join(" "),
            ],
            is_bad: log["severity"].as_i64() >= Some(17),
            trace: log["trace_id"].as_str().map(str::to_owned),
            path: None,
        }
    };
    list(answer, "logs").iter().map(line).collect()
}

/// Rows of latency and memory by engine, of which those are shown whose outer rows are open.
pub fn engines(answer: &Value, open: &BTreeSet<String>) -> Vec<Line> {
    let mut lines = Vec::new();
    for engine in list(answer, "engines") {
        let service = member(engine, "service");
        for (kind, rows) in [
            ("latency", list(engine, "latency")),
            ("memory", list(engine, "memory")),
        ] {
            if rows.is_empty() {
                continue;
            }
            let root = format!("{service} {kind}");
            // The outermost are open from the start: to open them is to close them.
            let is_shown = !open.contains(&root);
            lines.push(Line {
                cells: vec![format!(
                    "{} {}: {kind}",
                    mark(is_shown),
                    text::plain(&service)
                )],
                path: Some(root.clone()),
                ..Line::default()
            });
            if is_shown {
                push_rows(&root, rows, open, &mut lines);
            }
        }
    }
    lines
}

fn push_rows(root: &str, rows: &[Value], open: &BTreeSet<String>, lines: &mut Vec<Line>) {
    // The paths that are open, from the outermost inwards.
    let mut hidden_below: Option<u64> = None;
    for (at, row) in rows.iter().enumerate() {
        let depth = row["depth"].as_u64().unwrap_or(0);
        if hidden_below.is_some_and(|hidden| depth > hidden) {
            continue;
        }
        hidden_below = None;
        let has_more = rows
            .get(at + 1)
            .is_some_and(|next| next["depth"].as_u64() > Some(depth));
        let path = format!("{root} {}", member(row, "path"));
        let is_open = open.contains(&path);
        if has_more && !is_open {
            hidden_below = Some(depth);
        }
        let sign = if has_more { mark(is_open) } else { " " };
        let bytes = row["bytes"]
            .as_i64()
            .map(|bytes| radiosonde_answers::units::Bytes(bytes).to_string());
        let share = row["share"]
            .as_f64()
            .map(|share| format!("{:.1} %", share * 100.0));
        lines.push(Line {
            cells: vec![
                format!(
                    "  {}{sign} {}",
                    "  ".repeat(depth.min(8) as usize),
                    text::plain(&member(row, "label"))
                ),
                text::duration(&row["last_ns"]),
                text::duration(&row["avg_ns"]),
                text::duration(&row["p99_ns"]),
                bytes.unwrap_or_default(),
                share.unwrap_or_default(),
                text::plain(&member(row, "detail")),
            ],
            path: has_more.then_some(path),
            ..Line::default()
        });
    }
}

/// Queues, and below those that are open who waits in them.
pub fn queues(answer: &Value, open: &BTreeSet<String>) -> Vec<Line> {
    let mut lines = Vec::new();
    for queue in list(answer, "queues") {
        let name = queue_name(queue);
        let path = format!("queue {name}");
        let is_open = open.contains(&path);
        let stuck = list(queue, "stuck");
        let per_s = |name: &str| number(&queue[name]["per_s"], 2);
        let busy = queue["utilisation"].as_f64();
        lines.push(Line {
            cells: vec![
                format!("{} {name}", mark(is_open)),
                number(&queue["depth"]["now"], 0),
                oldest(&queue["oldest"]),
                per_s("arrival"),
                per_s("service_rate"),
                busy.map(|share| format!("{:.1} %", share * 100.0))
                    .unwrap_or_default(),
                queue_notes(queue),
            ],
            is_bad: !stuck.is_empty(),
            path: Some(path),
            trace: None,
        });
        if is_open {
            push_waiting(queue, stuck, &mut lines);
        }
    }
    lines
}

fn push_waiting(queue: &Value, stuck: &[Value], lines: &mut Vec<Line>) {
    let line = |first: String, age: String, what: String, trace: Option<&str>| Line {
        cells: vec![
            first,
            String::new(),
            age,
            String::new(),
            String::new(),
            String::new(),
            what,
        ],
        trace: trace.map(str::to_owned),
        ..Line::default()
    };
    for stuck in stuck {
        let words = text::plain(&member(stuck, "words"));
        lines.push(Line {
            is_bad: true,
            ..line(
                "    stuck".to_owned(),
                text::duration(&stuck["for_ns"]),
                words,
                stuck["trace_id"].as_str(),
            )
        });
    }
    for ahead in list(queue, "ahead") {
        let item = format!("    {}", text::plain(&member(ahead, "item")));
        let trace = ahead["trace_id"].as_str();
        let what = trace.map(|id| format!("trace {id}")).unwrap_or_default();
        lines.push(line(item, text::duration(&ahead["age_ns"]), what, trace));
    }
    if let Some(more) = queue["ahead_more"].as_u64().filter(|more| *more > 0) {
        lines.push(line(
            format!("    and {more} more"),
            String::new(),
            String::new(),
            None,
        ));
    }
}

/// The service, the queue, and what tells it from others.
fn queue_name(queue: &Value) -> String {
    let attributes = text::attributes(&queue["attributes"]);
    let name = format!(
        "{} {} {attributes}",
        member(queue, "service"),
        member(queue, "queue")
    );
    text::plain(name.trim_end())
}

fn oldest(oldest: &Value) -> String {
    let age = text::duration(&oldest["age_ns"]);
    if oldest["is_at_most"] == true {
        format!("≤ {age}")
    } else {
        age
    }
}

/// What is stuck, whether the numbers agree, what runs out.
fn queue_notes(queue: &Value) -> String {
    let mut notes = Vec::new();
    if !list(queue, "stuck").is_empty() {
        notes.push("STUCK".to_owned());
    }
    let little = &queue["little"];
    if little["kind"] == "assessed" {
        let sign = if little["holds"] == true { "=" } else { "≠" };
        notes.push(format!(
            "L {} {sign} λW {}",
            number(&little["l"], 2),
            number(&little["lambda_w"], 2)
        ));
    }
    for saturation in list(queue, "saturation") {
        let what = text::plain(&member(saturation, "what"));
        let ns = saturation["in_s"]
            .as_f64()
            .map(|seconds| (seconds * 1e9) as u64);
        notes.push(match ns {
            Some(ns) => format!(
                "{what} full in {}",
                radiosonde_answers::units::Nanoseconds(ns)
            ),
            None => format!("{what} grows"),
        });
    }
    notes.join("   ")
}

fn number(value: &Value, decimals: usize) -> String {
    let number = value.as_f64();
    number
        .map(|number| format!("{number:.decimals$}"))
        .unwrap_or_default()
}

const fn mark(is_open: bool) -> &'static str {
    if is_open { "▾" } else { "▸" }
}

pub fn doctor(answer: &Value) -> Vec<Line> {
    let sender = |sender: &Value| {
        let names = [
            "peer", "protocol", "signal", "accepted", "refused", "client",
        ];
        Line {
            cells: names
                .map(|name| text::plain(&member(sender, name)))
                .to_vec(),
            is_bad: sender["refused"].as_i64() > Some(0),
            ..Line::default()
        }
    };
    let refusal = |refusal: &Value| Line {
        cells: vec![
            member(refusal, "peer"),
            member(refusal, "protocol"),
            String::new(),
            String::new(),
            member(refusal, "count"),
            text::plain(&format!(
                "{}; {}",
                member(refusal, "reason"),
                member(refusal, "mend")
            )),
        ],
        is_bad: true,
        ..Line::default()
    };
    let senders = list(answer, "senders").iter().map(sender);
    senders
        .chain(list(answer, "refusals").iter().map(refusal))
        .collect()
}
