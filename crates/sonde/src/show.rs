//! `sonde show`: all that is known of one identifier, in one output.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    ask::trace_table,
    cli::{Format, show::ShowArguments},
    collector::{Collector, encoded},
    flame, logs,
    text::{self, Side, list, member, table},
    trace,
};

/// What standard output gets.
pub fn run(arguments: &ShowArguments) -> anyhow::Result<String> {
    let parameters = vec![
        ("from", arguments.from.as_str()),
        ("to", arguments.to.as_str()),
    ];
    let path = format!("show/{}", encoded(arguments.id.trim()));
    let answer = Collector::new(&arguments.collector)?.get(&path, &parameters)?;
    Ok(match arguments.format {
        Format::Json => text::json(&answer),
        Format::Text => words(&answer),
    })
}

fn words(answer: &Value) -> String {
    let mut out = heading(answer);
    let found = &answer["trace"];
    if !found.is_null() {
        out.push_str(&trace::drawing(found));
    }
    let outside = list(answer, "logs");
    if !outside.is_empty() {
        out.push_str("\nLogs with this ID outside of the trace\n");
        out.extend(outside.iter().rev().map(logs::line));
    }
    if !found.is_null() {
        out.push_str(&exemplars(list(answer, "exemplars")));
        out.push_str(&samples(&answer["flame"], &member(found, "trace_id")));
    }
    if answer["more"] == true {
        out.push_str("\nThere is more than is shown; a shorter time shows less of it at once (--from, --to).\n");
    }
    out
}

/// What the identifier is of, where that is not plain from what follows.
fn heading(answer: &Value) -> String {
    let id = text::plain(&member(answer, "id"));
    let traces = list(answer, "traces");
    let spans = list(&answer["trace"], "spans");
    match member(answer, "kind").as_str() {
        "span" => {
            let is_it = |span: &&Value| member(span, "span_id").eq_ignore_ascii_case(&id);
            let name = spans.iter().find(is_it);
            let name = name.map_or_else(String::new, |span| {
                format!(
                    " `{}` of `{}`",
                    member(span, "name"),
                    member(span, "service")
                )
            });
            format!("{id} is the span{}\n\n", text::plain(&name))
        }
        "correlation" if traces.len() > 1 => format!(
            "{id} is a correlation ID of {} traces; the newest is shown, `sonde show TRACE` shows another\n\n{}\n",
            traces.len(),
            trace_table(traces)
        ),
        "correlation" => format!("{id} is a correlation ID\n\n"),
        _ => String::new(),
    }
}

fn exemplars(exemplars: &[Value]) -> String {
    if exemplars.is_empty() {
        return "\nNo metric has an exemplar that names this trace.\n".to_owned();
    }
    let row = |exemplar: &Value| {
        let value = format!("{} {}", member(exemplar, "value"), member(exemplar, "unit"));
        vec![
            member(exemplar, "metric"),
            value.trim_end().to_owned(),
            text::time(&exemplar["time_ms"]),
            member(exemplar, "span_id"),
            member(exemplar, "service"),
            text::attributes(&exemplar["attributes"]),
        ]
    };
    let headings = [
        ("metric", Side::Left),
        ("value", Side::Right),
        ("time (UTC)", Side::Left),
        ("span", Side::Left),
        ("service", Side::Left),
        ("labels", Side::Left),
    ];
    let rows: Vec<_> = exemplars.iter().map(row).collect();
    format!(
        "\nExemplars: what metrics measured in it\n{}",
        table(&headings, &rows)
    )
}

fn samples(flame: &Value, trace_id: &str) -> String {
    if flame.is_null() {
        return "\nNo profile has samples of this trace.\n".to_owned();
    }
    let mut out = String::from("\nWhere its samples are: ");
    out.push_str(&flame::whole(flame));
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "More: sonde flame --trace {trace_id} --from {} --to {}",
        member(flame, "from_unix_ns"),
        member(flame, "to_unix_ns")
    );
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trace() -> Value {
        json!({"trace_id": "0af7", "start_ms": 0, "duration_ns": 1_000_000, "logs": [
            {"span_id": "b7ad", "severity_text": "WARN", "event_name": "", "body": "slow", "attributes": {}},
        ], "spans": [{"span_id": "b7ad", "name": "generate", "service": "engine", "status": "unset",
            "offset_ns": 0, "duration_ns": 1_000_000}]})
    }

    #[test]
    fn everything_of_a_request_is_one_page() {
        let listed = |id: &str| {
            json!({"trace_id": id, "start_ms": 0, "duration_ns": 1_000_000, "spans": 1, "errors": 0,
            "service": "engine", "name": "generate"})
        };
        let answer = json!({
            "id": "abc123", "kind": "correlation", "more": true, "traces": [listed("0af7"), listed("0af6")], "trace": trace(),
            "logs": [{"time_ms": 5, "severity_text": "INFO", "service": "jobs", "event_name": "", "body": "queued\u{7}",
                "attributes": {"request_id": "abc123"}, "trace_id": null}],
            "exemplars": [{"metric": "gen_ai.server.request.duration", "unit": "s", "value": 0.08, "time_ms": 80,
                "span_id": "b7ad", "service": "engine", "attributes": {"model": "tiny"}}],
            "flame": {"type": "cpu", "unit": "nanoseconds", "total": 100, "samples": 2, "stacks": 1, "left_out": 0,
                "from_unix_ns": "1", "to_unix_ns": "2", "frames": [{"function": "main"}],
                "nodes": {"parent": [0, 0], "frame": [0, 0], "own": [0, 100], "total": [100, 100]},
                "functions": [], "libraries": [{"library": "torch", "charged": 100, "own": 100, "total": 100}]},
        });
        insta::assert_snapshot!(words(&answer));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let answer = json!({"id": "b7ad", "kind": "span", "traces": [], "trace": trace(), "logs": [], "exemplars": []});
        let words = words(&answer);
        assert!(
            words.starts_with("b7ad is the span `generate` of `engine`\n\ntrace 0af7"),
            "{words}"
        );
        assert!(
            words.ends_with("names this trace.\n\nNo profile has samples of this trace.\n"),
            "{words}"
        );
    }
}
