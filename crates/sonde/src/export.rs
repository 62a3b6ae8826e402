//! `sonde export`: what a collector has of some time, as a file that `sonde import` and any OTLP receiver can read.
//!
//! A zip of `traces.jsonl`, `logs.jsonl`, `metrics.jsonl` and `profiles.jsonl`: one OTLP request in JSON a line, as OpenTelemetry's file
//! exporter writes them. Or, where the file's name ends in `.html`, a page that shows it. Secrets are replaced before anything is
//! written.
//!
//! `sonde export grafana` and `sonde export prometheus-rules` ask no collector: they write what another program imports.

mod bundle;
mod clean;
mod grafana;
mod otlp;
mod profiles;
mod prometheus_rules;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context as _, bail};
use radiosonde::redact::Redaction;
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    cli::{
        Format,
        export::{ExportArguments, What},
    },
    collector::Collector,
    text,
};

/// Rows of one question: what a collector answers at most.
const PAGE_ROWS: usize = 5000;

/// A table: the file that it goes into, what is asked of it, and the request that its rows become.
struct Table {
    name: &'static str,
    /// What its rows are, as JSON and as people have it.
    rows: [&'static str; 2],
    file: &'static str,
    /// What is selected; the first two columns are a row's place, in which order rows come.
    columns: &'static str,
    time: &'static str,
    tie: &'static str,
    request: fn(&[Value], &Redaction) -> Value,
}

const TABLES: [Table; 4] = [
    Table {
        name: "spans",
        rows: ["spans", "spans"],
        file: "traces.jsonl",
        columns: "CAST(start_time AS BIGINT) AS at, span_id, trace_id, parent_span_id, duration, name, kind, status, status_message, \
                  links, scope, resource, attributes, weight",
        time: "start_time",
        tie: "span_id",
        request: otlp::traces,
    },
    Table {
        name: "logs",
        rows: ["logs", "logs"],
        file: "logs.jsonl",
        columns: "CAST(time AS BIGINT) AS at, body, trace_id, span_id, severity, event_name, scope, resource, attributes",
        time: "time",
        tie: "body",
        request: otlp::logs,
    },
    Table {
        name: "points",
        rows: ["points", "readings of metrics"],
        file: "metrics.jsonl",
        columns: "CAST(time AS BIGINT) AS at, series, name, unit, kind, CAST(start_time AS BIGINT) AS since, value, count, distribution, \
                  exemplars, scope, resource, attributes",
        time: "time",
        tie: "series",
        request: otlp::metrics,
    },
    Table {
        name: "profiles",
        rows: ["samples", "samples of profiles"],
        file: "profiles.jsonl",
        columns: "CAST(time AS BIGINT) AS at, stack, trace_id, span_id, type, unit, value, duration, scope, resource, attributes",
        time: "time",
        tie: "resource, type, stack, span_id, value",
        request: profiles::profiles,
    },
];

/// What standard output gets.
pub fn run(arguments: &ExportArguments) -> anyhow::Result<String> {
    match &arguments.what {
        Some(What::Grafana(arguments)) => return grafana::run(arguments),
        Some(What::PrometheusRules(arguments)) => return prometheus_rules::run(arguments),
        None => {}
    }
    let path = arguments.output.as_deref().context("name the file")?;
    let collector = Collector::new(&arguments.collector)?;
    let range = range(&collector, arguments)?;
    let is_page = path.extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("html") || extension.eq_ignore_ascii_case("htm")
    });
    if is_page {
        return bundle::write(&collector, arguments, path, range);
    }
    if !arguments.trace.is_empty() {
        bail!(
            "--trace is of pages alone; give the file a name that ends in .html, or leave --trace out"
        );
    }
    let cannot_write = || format!("cannot write {}", path.display());
    let mut zip = ZipWriter::new(BufWriter::new(
        File::create(path).with_context(cannot_write)?,
    ));
    let redaction = Redaction::default();
    let mut counts = Vec::new();
    for table in &TABLES {
        zip.start_file(table.file, SimpleFileOptions::default())
            .with_context(cannot_write)?;
        let rows = table.write(&collector, range, &redaction, &mut zip, path)?;
        counts.push((table.rows, rows));
    }
    zip.finish()
        .with_context(cannot_write)?
        .flush()
        .with_context(cannot_write)?;
    let named = counts
        .iter()
        .map(|([name, _], rows)| ((*name).to_owned(), json!(rows)))
        .collect();
    Ok(match arguments.format {
        Format::Json => text::json(&Value::Object(named)),
        Format::Text => {
            let words: Vec<String> = counts
                .iter()
                .map(|([_, words], rows)| format!("{rows} {words}"))
                .collect();
            format!("Wrote {} to {}.\n", words.join(", "), path.display())
        }
    })
}

/// The time that is asked for, in nanoseconds since the Unix epoch, as the collector understands it.
fn range(collector: &Collector, arguments: &ExportArguments) -> anyhow::Result<(i64, i64)> {
    let mut parameters = arguments.range.parameters();
    parameters.push(("buckets", "1"));
    let overview = collector.get("overview", &parameters)?;
    let number = |name: &str| overview[name].as_str().and_then(|text| text.parse().ok());
    let (from, to) = (number("from_unix_ns"), number("to_unix_ns"));
    from.zip(to).context(
        "the collector does not say which time it answers for; use one of the same version",
    )
}

impl Table {
    /// Writes all rows of the time, a page at a time, and says how many.
    fn write(
        &self,
        collector: &Collector,
        (from, to): (i64, i64),
        redaction: &Redaction,
        out: &mut impl Write,
        path: &Path,
    ) -> anyhow::Result<usize> {
        let Self {
            name,
            columns,
            time,
            tie,
            request,
            ..
        } = self;
        let at = |ns: i64| format!("arrow_cast({ns}, 'Timestamp(Nanosecond, Some(\"UTC\"))')");
        let mut written = 0;
        // Rows of one moment may be more than a page: how many of them were written is counted.
        let (mut since, mut skipped) = (from, 0_usize);
        loop {
            let statement = format!(
                "SELECT {columns} FROM {name} WHERE {time} >= {} AND {time} < {} ORDER BY {time}, {tie} LIMIT {PAGE_ROWS} OFFSET {skipped}",
                at(since),
                at(to)
            );
            let answer = collector.sql(&statement)?;
            let rows = text::list(&answer, "rows");
            if rows.is_empty() {
                return Ok(written);
            }
            writeln!(out, "{}", request(rows, redaction))
                .with_context(|| format!("cannot write {}", path.display()))?;
            written += rows.len();
            let last = rows[rows.len() - 1][0].as_i64().unwrap_or(to);
            let of_last = rows
                .iter()
                .rev()
                .take_while(|row| row[0].as_i64() == Some(last))
                .count();
            skipped = if last == since {
                skipped + rows.len()
            } else {
                of_last
            };
            since = last;
        }
    }
}
