//! What a run's report says: what came of it, and why its slowest request took as long as it did.

use std::{ffi::OsString, fmt::Write as _, time::SystemTime};

use serde_json::{Value, json};

use super::{
    child::Ended,
    selection::{Selection, Sums},
};
use crate::{
    cli::Format,
    collector::Collector,
    text::{self, list, member},
};

/// Most requests that are listed, the slowest first; all of them are counted.
const TRACES_MAX: &str = "1000";

/// A run that ended.
pub struct Run<'a> {
    pub command: &'a [OsString],
    pub service: &'a str,
    /// By which its telemetry is known.
    pub id: &'a str,
    pub ended: Ended,
    pub began: SystemTime,
    /// All that was observed here has reached the collector.
    pub is_delivered: bool,
    /// The run's own span.
    pub own: Option<Own>,
}

/// The span of the run itself, which is no telemetry of the program.
pub struct Own {
    pub trace_id: String,
    pub span_id: String,
    /// Its trace began outside of the run, and has spans of others.
    pub is_shared: bool,
}

/// The report; where the collector does not answer any more, it says so.
pub fn make(run: &Run<'_>, collector: &Collector, stays: bool, format: Format) -> String {
    let answers = Answers::ask(run, collector);
    match (format, answers) {
        (Format::Json, Ok(answers)) => text::json(&answers.json(run)),
        (Format::Json, Err(error)) => {
            text::json(&json!({"exit_code": run.ended.code, "error": format!("{error:#}")}))
        }
        (Format::Text, Ok(answers)) => answers.text(run, collector, stays),
        (Format::Text, Err(error)) => format!("{}  There is no report: {error:#}\n", heading(run)),
    }
}

/// What the collector has of the run.
struct Answers {
    sums: Sums,
    traces: Value,
    services: Vec<Value>,
    operations: Vec<Value>,
    /// The account of the slowest request.
    why: Option<Value>,
}

impl Answers {
    fn ask(run: &Run<'_>, collector: &Collector) -> anyhow::Result<Self> {
        let selection = Selection::new(run.id, run.began, run.own.as_ref());
        let filter = selection.filter();
        let traces = collector.get(
            "traces",
            &vec![
                ("from", selection.from()),
                ("q", filter.as_str()),
                ("order", "slowest"),
                ("limit", TRACES_MAX),
            ],
        )?;
        let slowest = Self::slowest(run, &traces);
        let why = slowest
            .map(|id| collector.get(&format!("traces/{id}/why"), &Vec::new()))
            .transpose()?;
        Ok(Self {
            sums: selection.sums(collector)?,
            services: selection.services(collector)?,
            operations: selection.operations(collector)?,
            traces,
            why,
        })
    }

    /// The slowest trace with spans of the program. That of the run itself has them where the program took its context up.
    fn slowest(run: &Run<'_>, traces: &Value) -> Option<String> {
        let own = run.own.as_ref().map(|own| own.trace_id.as_str());
        let is_its =
            |trace: &&Value| own != trace["trace_id"].as_str() || trace["spans"].as_u64() > Some(1);
        list(traces, "traces")
            .iter()
            .find(is_its)
            .map(|trace| member(trace, "trace_id"))
    }

    fn json(&self, run: &Run<'_>) -> Value {
        json!({
            "command": run.command.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>(),
            "service": run.service,
            "run_id": run.id,
            "exit_code": run.ended.code,
            "duration_ns": run.ended.duration.as_nanos() as u64,
            "log_lines": run.ended.lines,
            "delivered": run.is_delivered,
            "trace_id": run.own.as_ref().map(|own| &own.trace_id),
            "spans": self.sums.spans,
            "errors": self.sums.errors,
            "traces": self.traces["traces"],
            "more_traces": self.traces["more"],
            "services": self.services,
            "operations": self.operations,
            "why": self.why,
        })
    }

    fn text(&self, run: &Run<'_>, collector: &Collector, stays: bool) -> String {
        let mut out = heading(run);
        let Sums { spans, errors } = self.sums;
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "  {spans} spans, {errors} of them errors; {} lines",
            run.ended.lines
        );
        if run.ended.is_survived {
            out.push_str(
                "  What the program started runs on; what that writes from here on is neither shown nor kept.\n",
            );
        }
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
        if self.operations.is_empty() {
            return String::new();
        }
        let row = |operation: &Value| {
            let columns =
                ["p50_ns", "p95_ns", "total_ns"].map(|name| text::duration(&operation[name]));
            let names = ["service", "name", "count", "errors"].map(|name| member(operation, name));
            names.into_iter().chain(columns).collect()
        };
        let rows: Vec<Vec<String>> = self.operations.iter().take(SHOWN_MAX).map(row).collect();
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
        run.ended.code,
        run.ended.duration.as_secs_f64()
    )
}
