//! `sonde trace`: one trace as a tree, with what was logged in it, and where its profile's samples are.

use std::{collections::HashMap, fmt::Write as _};

use serde_json::Value;

use crate::{
    cli::{Format, TraceArguments},
    collector::{Collector, encoded},
    flame,
    text::{self, list, member},
};

/// Width of the drawing of when a span ran, in characters.
const BAR_WIDTH: usize = 32;
/// Deepest level that is drawn further in than its parent.
const INDENT_MAX: usize = 24;

/// What standard output gets.
pub fn run(arguments: &TraceArguments) -> anyhow::Result<String> {
    let collector = Collector::new(&arguments.collector)?;
    let answer = collector.get(&format!("traces/{}", encoded(&arguments.id)), &Vec::new())?;
    Ok(match arguments.format {
        Format::Json => text::json(&answer),
        Format::Text => drawing(&answer) + &flame::of_trace(&collector, &answer),
    })
}

/// The spans as a tree, each with its logs under it.
pub fn drawing(trace: &Value) -> String {
    let spans = list(trace, "spans");
    let logs = list(trace, "logs");
    let mut out = format!(
        "trace {}  {} UTC  {}  {} spans, {} logs and events\n\n",
        member(trace, "trace_id"),
        text::time(&trace["start_ms"]),
        text::duration(&trace["duration_ns"]),
        spans.len(),
        logs.len()
    );
    let tree = Tree::new(spans, logs);
    let total = trace["duration_ns"].as_f64().unwrap_or(0.0);
    // Depth first, by a list of what is to come: a trace may be deeper than a stack. Spans that are each other's parents
    // have no root: they come last, each as if it were one.
    let mut is_shown = vec![false; spans.len()];
    let starts = (0..spans.len())
        .rev()
        .chain(tree.roots.iter().rev().copied());
    let mut next: Vec<(usize, usize)> = starts.map(|root| (root, 0)).collect();
    while let Some((at, depth)) = next.pop() {
        if std::mem::replace(&mut is_shown[at], true) {
            continue;
        }
        let span = &spans[at];
        let id = member(span, "span_id");
        out.push_str(&line(span, depth, total));
        for log in tree.logs.get(id.as_str()).into_iter().flatten() {
            out.push_str(&log_line(log, depth + 1));
        }
        let children = tree.children.get(id.as_str()).into_iter().flatten();
        next.extend(children.rev().map(|child| (*child, depth + 1)));
    }
    for log in &tree.homeless {
        out.push_str(&log_line(log, 0));
    }
    out
}

struct Tree<'a> {
    roots: Vec<usize>,
    children: HashMap<&'a str, Vec<usize>>,
    logs: HashMap<&'a str, Vec<&'a Value>>,
    /// Logs of no span that is here.
    homeless: Vec<&'a Value>,
}

impl<'a> Tree<'a> {
    fn new(spans: &'a [Value], logs: &'a [Value]) -> Self {
        let ids: HashMap<&str, usize> = spans
            .iter()
            .enumerate()
            .filter_map(|(at, span)| Some((span["span_id"].as_str()?, at)))
            .collect();
        let mut tree = Self {
            roots: Vec::new(),
            children: HashMap::new(),
            logs: HashMap::new(),
            homeless: Vec::new(),
        };
        for (at, span) in spans.iter().enumerate() {
            match span["parent_span_id"].as_str() {
                Some(parent) if ids.get(parent).is_some_and(|parent| *parent != at) => {
                    tree.children.entry(parent).or_default().push(at);
                }
                _ => tree.roots.push(at),
            }
        }
        for log in logs {
            match log["span_id"].as_str() {
                Some(span) if ids.contains_key(span) => {
                    tree.logs.entry(span).or_default().push(log);
                }
                _ => tree.homeless.push(log),
            }
        }
        tree
    }
}

fn line(span: &Value, depth: usize, total: f64) -> String {
    let mark = if span["status"] == "error" {
        "  ERROR "
    } else {
        ""
    };
    format!(
        "{}  {:>11}  {}{} [{}]{mark}{}\n",
        bar(&span["offset_ns"], &span["duration_ns"], total),
        text::duration(&span["duration_ns"]),
        "  ".repeat(depth.min(INDENT_MAX)),
        text::plain(&member(span, "name")),
        text::plain(&member(span, "service")),
        text::plain(&member(span, "status_message")),
    )
}

/// When a span ran within its trace, drawn to scale.
fn bar(offset: &Value, duration: &Value, total: f64) -> String {
    let cell = |ns: f64| {
        if total > 0.0 {
            (ns / total * BAR_WIDTH as f64) as usize
        } else {
            0
        }
    };
    let offset = offset.as_f64().unwrap_or(0.0);
    let first = cell(offset).min(BAR_WIDTH - 1);
    let last = cell(offset + duration.as_f64().unwrap_or(0.0)).clamp(first + 1, BAR_WIDTH);
    (0..BAR_WIDTH)
        .map(|at| {
            if (first..last).contains(&at) {
                '█'
            } else {
                '·'
            }
        })
        .collect()
}

fn log_line(log: &Value, depth: usize) -> String {
    let mut line = format!(
        "{}  {:>11}  {}- {} ",
        " ".repeat(BAR_WIDTH),
        "",
        "  ".repeat(depth.min(INDENT_MAX)),
        member(log, "severity_text"),
    );
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
    // Writing to a string does not fail.
    let _ = writeln!(line, "{}", parts.join(" "));
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trace_is_drawn_as_a_tree_with_its_logs() {
        let span = |id: &str, parent: Option<&str>, offset: u64, duration: u64| {
            json!({"span_id": id, "parent_span_id": parent, "name": id, "service": "s", "status": "unset",
                "offset_ns": offset, "duration_ns": duration})
        };
        let trace = json!({"trace_id": "t", "start_ms": 0, "duration_ns": 1000, "spans": [
            span("root", None, 0, 1000), span("first", Some("root"), 0, 250), span("leaf", Some("first"), 125, 125),
            span("second", Some("root"), 500, 500), span("orphan", Some("gone"), 10, 10),
        ], "logs": [
            {"span_id": "first", "severity_text": "WARN", "event_name": "", "body": "slow\u{7}", "attributes": {"n": 1}},
            {"span_id": null, "severity_text": "INFO", "event_name": "e", "body": "", "attributes": {}},
        ]});
        insta::assert_snapshot!(drawing(&trace));
    }

    #[test]
    fn a_span_that_is_its_own_parent_is_shown_once() {
        let trace = json!({"spans": [{"span_id": "a", "parent_span_id": "a", "name": "loop", "service": "s"}]});
        assert_eq!(drawing(&trace).matches("loop").count(), 1);
        let trace = json!({"spans": [
            {"span_id": "a", "parent_span_id": "b", "name": "loop", "service": "s"},
            {"span_id": "b", "parent_span_id": "a", "name": "loop", "service": "s"},
        ]});
        assert_eq!(drawing(&trace).matches("loop").count(), 2);
    }
}
