//! What a run's report says: what came of it, and why its slowest request took as long as it did.

use std::{
    ffi::OsString,
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{count, since};
use crate::{
    cli::Format,
    collector::{Collector, Parameters},
    text::{self, list, member},
};

/// Most requests that are looked at for the slowest.
const TRACES_MAX: &str = "1000";

/// A run that ended.
pub struct Run<'a> {
    pub command: &'a [OsString],
    pub service: &'a str,
    pub exit_code: u8,
    pub duration: Duration,
    pub began: SystemTime,
    /// Lines that the program wrote.
    pub lines: u64,
    /// All that was observed here has reached the collector.
    pub is_delivered: bool,
    /// The trace of the run itself.
    pub trace_id: Option<String>,
}

/// The report; where the collector does not answer any more, it says so.
pub fn make(run: &Run<'_>, collector: &Collector, stays: bool, format: Format) -> String {
    let answers = Answers::ask(run, collector);
    match (format, answers) {
        (Format::Json, Ok(answers)) => text::json(&answers.json(run)),
        (Format::Json, Err(error)) => {
            text::json(&json!({"exit_code": run.exit_code, "error": format!("{error:#}")}))
        }
        (Format::Text, Ok(answers)) => answers.text(run, collector, stays),
        (Format::Text, Err(error)) => format!("{}  There is no report: {error:#}\n", heading(run)),
    }
}

/// What the collector has of the run.
struct Answers {
    traces: Value,
    overview: Value,
    /// The account of the slowest request.
    why: Option<Value>,
}

impl Answers {
    fn ask(run: &Run<'_>, collector: &Collector) -> anyhow::Result<Self> {
        let from = since(run.began);
        let range: Parameters<'_> = vec![("from", &from)];
        let with = |more: Parameters<'static>| range.iter().copied().chain(more).collect();
        let traces = collector.get(
            "traces",
            &with(vec![("order", "slowest"), ("limit", TRACES_MAX)]),
        )?;
        let overview = collector.get("overview", &with(vec![("buckets", "1")]))?;
        let slowest = Self::slowest(run, &traces);
        let why = slowest
            .map(|id| collector.get(&format!("traces/{id}/why"), &Vec::new()))
            .transpose()?;
        Ok(Self {
            traces,
            overview,
            why,
        })
    }

    /// The slowest trace with spans of the program. That of the run itself has them where the program took its context up.
    fn slowest(run: &Run<'_>, traces: &Value) -> Option<String> {
        let is_its = |trace: &&Value| {
            run.trace_id.as_deref() != trace["trace_id"].as_str()
                || trace["spans"].as_u64() > Some(1)
        };
        list(traces, "traces")
            .iter()
            .find(is_its)
            .map(|trace| member(trace, "trace_id"))
    }

    fn json(&self, run: &Run<'_>) -> Value {
        json!({
            "command": run.command.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>(),
            "service": run.service,
            "exit_code": run.exit_code,
            "duration_ns": run.duration.as_nanos() as u64,
            "log_lines": run.lines,
            "delivered": run.is_delivered,
            "trace_id": run.trace_id,
            "traces": self.traces["traces"],
            "services": self.overview["services"],
            "operations": self.overview["operations"],
            "why": self.why,
        })
    }

    fn text(&self, run: &Run<'_>, collector: &Collector, stays: bool) -> String {
        let mut out = heading(run);
        let traces = list(&self.traces, "traces");
        let sum = |name: &str| {
            traces
                .iter()
                .filter_map(|trace| trace[name].as_u64())
                .sum::<u64>()
        };
        let spans = sum("spans").saturating_sub(1);
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "  {spans} spans, {} of them errors; {} lines",
            sum("errors"),
            run.lines
        );
        if !run.is_delivered {
            out.push_str(
                "  Not all lines reached the collector; `sonde doctor` says what was refused.\n",
            );
        }
        if spans == 0 {
            let _ = writeln!(
                out,
                "  The program sent no spans. Instrument it with OpenTelemetry (Python: `pip install opentelemetry-distro \
                 opentelemetry-exporter-otlp`, then `sonde run -- opentelemetry-instrument python app.py`) or with radiosonde."
            );
        }
        out.push_str(&self.operations());
        if let Some(why) = &self.why {
            let _ = writeln!(out, "\n  The slowest request:\n");
            for line in member(why, "text").lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
        if stays {
            let _ = writeln!(out, "\n  Everything is at {}", collector.address());
        } else {
            out.push_str(
                "\n  `sonde serve` shows everything on its page, this run and earlier ones.\n",
            );
        }
        out
    }

    fn operations(&self) -> String {
        const SHOWN_MAX: usize = 8;
        if count(&self.overview, "operations") == 0 {
            return String::new();
        }
        let row = |operation: &Value| {
            let columns =
                ["p50_ns", "p95_ns", "total_ns"].map(|name| text::duration(&operation[name]));
            let names = ["service", "name", "count", "errors"].map(|name| member(operation, name));
            names.into_iter().chain(columns).collect()
        };
        let rows: Vec<Vec<String>> = list(&self.overview, "operations")
            .iter()
            .take(SHOWN_MAX)
            .map(row)
            .collect();
        let left = [
            ("service", text::Side::Left),
            ("operation", text::Side::Left),
        ];
        let right =
            ["count", "errors", "p50", "p95", "total"].map(|name| (name, text::Side::Right));
        let headings: Vec<_> = left.into_iter().chain(right).collect();
        let table = text::table(&headings, &rows);
        table
            .lines()
            .fold("\n".to_owned(), |out, line| format!("{out}  {line}\n"))
    }
}

fn heading(run: &Run<'_>) -> String {
    let command: Vec<_> = run
        .command
        .iter()
        .map(|part| part.to_string_lossy())
        .collect();
    format!(
        "\nsonde: `{}` ended with {} after {:.1} s\n",
        text::plain(&command.join(" ")),
        run.exit_code,
        run.duration.as_secs_f64()
    )
}
