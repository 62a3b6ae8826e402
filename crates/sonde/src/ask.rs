//! Questions to a collector, one function each: what is asked, and how its answer reads.

mod follow;
pub mod promql;

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    cli::{DoctorArguments, Format, MetricsArguments, TracesArguments, query::QueryArguments},
    collector::{Collector, encoded},
    text::{self, Side, list, member, table},
};

/// `sonde traces`.
pub fn traces(arguments: &TracesArguments) -> anyhow::Result<String> {
    let limit = arguments.limit.to_string();
    let mut parameters = arguments.range.parameters();
    parameters.extend([("order", arguments.order.as_str()), ("limit", &limit)]);
    parameters.extend(arguments.filter.as_deref().map(|filter| ("q", filter)));
    parameters.extend(
        arguments
            .service
            .as_deref()
            .map(|service| ("service", service)),
    );
    let answer = Collector::new(&arguments.collector)?.get("traces", &parameters)?;
    Ok(match arguments.format {
        Format::Json => text::json(&answer),
        Format::Text => listing(&answer, "traces", trace_table),
    })
}

/// A table of traces, as the API has them.
pub fn trace_table(traces: &[Value]) -> String {
    let rows: Vec<_> = traces
        .iter()
        .map(|trace| {
            vec![
                member(trace, "trace_id"),
                text::time(&trace["start_ms"]),
                text::duration(&trace["duration_ns"]),
                member(trace, "spans"),
                member(trace, "errors"),
                member(trace, "service"),
                member(trace, "name"),
            ]
        })
        .collect();
    table(
        &[
            ("trace", Side::Left),
            ("start (UTC)", Side::Left),
            ("duration", Side::Right),
            ("spans", Side::Right),
            ("errors", Side::Right),
            ("service", Side::Left),
            ("name", Side::Left),
        ],
        &rows,
    )
}

/// `sonde metrics`.
pub fn metrics(arguments: &MetricsArguments) -> anyhow::Result<String> {
    let mut parameters = arguments.range.parameters();
    parameters.extend(
        arguments
            .service
            .as_deref()
            .map(|service| ("service", service)),
    );
    let collector = Collector::new(&arguments.collector)?;
    let Some(name) = &arguments.name else {
        let answer = collector.get("metrics", &parameters)?;
        return Ok(match arguments.format {
            Format::Json => text::json(&answer),
            Format::Text => listing(&answer, "metrics", metric_table),
        });
    };
    parameters.push(("buckets", "20"));
    let answer = collector.get(&format!("metrics/{}", encoded(name)), &parameters)?;
    Ok(match arguments.format {
        Format::Json => text::json(&answer),
        Format::Text => readings(&answer),
    })
}

fn metric_table(metrics: &[Value]) -> String {
    let row = |metric: &Value| {
        let services: Vec<String> = list(metric, "services")
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        vec![
            member(metric, "name"),
            member(metric, "unit"),
            member(metric, "kind"),
            member(metric, "series"),
            services.join(" "),
        ]
    };
    table(
        &[
            ("metric", Side::Left),
            ("unit", Side::Left),
            ("kind", Side::Left),
            ("series", Side::Right),
            ("services", Side::Left),
        ],
        &metrics.iter().map(row).collect::<Vec<_>>(),
    )
}

/// What each series of a metric was at each step.
fn readings(answer: &Value) -> String {
    let unit = member(answer, "unit");
    let (headings, is_histogram) = match member(answer, "kind").as_str() {
        "counter" => (
            vec![("time (UTC)", Side::Left), ("a second", Side::Right)],
            false,
        ),
        "histogram" => {
            let names = ["count", "p50", "p95", "p99"].map(|name| (name, Side::Right));
            (
                std::iter::once(("time (UTC)", Side::Left))
                    .chain(names)
                    .collect(),
                true,
            )
        }
        _ => (
            vec![("time (UTC)", Side::Left), ("value", Side::Right)],
            false,
        ),
    };
    let mut out = format!(
        "{} [{unit}], {}\n",
        member(answer, "name"),
        member(answer, "kind")
    );
    for series in list(answer, "series") {
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "\n{} {}",
            member(series, "service"),
            text::plain(&text::attributes(&series["attributes"]))
        );
        let row = |point: &Value| {
            let number = |at: usize| {
                point[at]
                    .as_f64()
                    .map_or_else(String::new, |number| format!("{number:.6}"))
            };
            let time = text::time(&point[0]);
            if is_histogram {
                vec![time, point[1].to_string(), number(3), number(4), number(5)]
            } else {
                vec![time, number(1)]
            }
        };
        out.push_str(&table(
            &headings,
            &list(series, "points").iter().map(row).collect::<Vec<_>>(),
        ));
    }
    if answer["more"] == true {
        out.push_str("There are more series than are shown.\n");
    }
    out
}

/// `sonde query`.
pub fn query(arguments: &QueryArguments) -> anyhow::Result<String> {
    if let Some(query) = &arguments.promql {
        return promql::ask(query, arguments);
    }
    let statement = arguments.statement.as_deref().unwrap_or_default();
    if arguments.follow {
        return follow::follow(statement, arguments);
    }
    let answer = Collector::new(&arguments.collector)?.sql(statement)?;
    if arguments.format == Format::Json {
        return Ok(text::json(&answer));
    }
    let columns = list(&answer, "columns");
    let names: Vec<String> = columns
        .iter()
        .map(|column| member(column, "name"))
        .collect();
    let side = |column: &Value| match column["type"].as_str() {
        Some("integer" | "number") => Side::Right,
        _ => Side::Left,
    };
    let headings: Vec<_> = names
        .iter()
        .map(String::as_str)
        .zip(columns.iter().map(side))
        .collect();
    let cell = |cell: &Value| match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows: Vec<Vec<String>> = list(&answer, "rows")
        .iter()
        .map(|row| row.as_array().into_iter().flatten().map(cell).collect())
        .collect();
    let mut out = table(&headings, &rows);
    if answer["more"] == true {
        out.push_str("There are more rows than are shown; ask for fewer with LIMIT and WHERE.\n");
    }
    Ok(out)
}

/// What there is to know about what arrives: who sent what, what was refused, what was checked, and the collector's own state.
pub fn diagnosis(collector: &Collector) -> anyhow::Result<Value> {
    let get = |name: &str| collector.get(name, &Vec::new());
    let mut answer = get("doctor")?;
    answer["status"] = get("status")?;
    answer["checks"] = get("checks")?["checks"].take();
    Ok(answer)
}

/// `sonde doctor`.
pub fn doctor(arguments: &DoctorArguments) -> anyhow::Result<String> {
    let collector = Collector::new(&arguments.collector)?;
    let answer = diagnosis(&collector)?;
    if arguments.format == Format::Json {
        return Ok(text::json(&answer));
    }
    let status = &answer["status"];
    let listening = &status["listening"];
    let mut out = format!(
        "Collector {} at {}\n  OTLP/HTTP {}   OTLP/gRPC {}\n  data in {}\n",
        member(status, "version"),
        member(listening, "page"),
        member(listening, "otlp_http"),
        member(listening, "otlp_grpc"),
        member(&status["store"], "folder"),
    );
    let senders = list(&answer, "senders");
    if senders.is_empty() {
        // It may listen at addresses that are none to send to.
        let endpoint = collector.receiver(&member(listening, "otlp_http"));
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "\nNothing has arrived since it started. Set OTEL_EXPORTER_OTLP_ENDPOINT={endpoint} and \
             OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf for your program, or start it by `sonde run -- PROGRAM`."
        );
    } else {
        let row = |sender: &Value| {
            let columns = ["peer", "protocol", "signal", "accepted", "refused"];
            let mut row: Vec<String> = columns.iter().map(|name| member(sender, name)).collect();
            row.push(text::time(&sender["last_ms"]));
            row.push(member(sender, "client"));
            row
        };
        out.push_str("\nWho sent what:\n");
        out.push_str(&table(
            &[
                ("peer", Side::Left),
                ("protocol", Side::Left),
                ("signal", Side::Left),
                ("accepted", Side::Right),
                ("refused", Side::Right),
                ("last (UTC)", Side::Left),
                ("client", Side::Left),
            ],
            &senders.iter().map(row).collect::<Vec<_>>(),
        ));
    }
    out.push_str(&scrapes(list(&answer, "scrapes")));
    out.push_str(&refusals(list(&answer, "refusals")));
    out.push_str(&checked(list(&answer, "checks")));
    Ok(out)
}

/// What was looked at, and what to do about what is not well.
fn checked(checks: &[Value]) -> String {
    let mut out = String::from("\nWhat was checked:\n");
    for check in checks {
        let outcome = match member(check, "outcome").as_str() {
            "pass" => "pass",
            "warn" => "WARN",
            _ => "?",
        };
        let words = text::plain(&member(check, "words"));
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "  {outcome:<4}  {:<8}  {words}",
            member(check, "check")
        );
        if let Some(mend) = check["mend"].as_str() {
            let _ = writeln!(out, "        {}", text::plain(mend));
        }
    }
    out
}

/// How the targets are that are scraped; nothing where there are none.
fn scrapes(scrapes: &[Value]) -> String {
    if scrapes.is_empty() {
        return String::new();
    }
    let row = |scrape: &Value| {
        let state = if scrape["is_up"] == true {
            "up"
        } else {
            "DOWN"
        };
        vec![
            state.to_owned(),
            member(scrape, "job"),
            member(scrape, "url"),
            member(scrape, "samples"),
            text::time(&scrape["last_ms"]),
            member(scrape, "error"),
        ]
    };
    let headings = [
        ("target", Side::Left),
        ("job", Side::Left),
        ("address", Side::Left),
        ("readings", Side::Right),
        ("last (UTC)", Side::Left),
        ("why", Side::Left),
    ];
    let table = table(&headings, &scrapes.iter().map(row).collect::<Vec<_>>());
    format!("\nWhat is scraped:\n{table}")
}

fn refusals(refusals: &[Value]) -> String {
    let mut out = String::from(if refusals.is_empty() {
        "\nNothing was refused.\n"
    } else {
        "\nWhat was refused:\n"
    });
    for refusal in refusals {
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "  {} from {} ({}), {} x: {}\n    {}",
            text::time(&refusal["time_ms"]),
            member(refusal, "peer"),
            member(refusal, "protocol"),
            member(refusal, "count"),
            text::plain(&member(refusal, "reason")),
            text::plain(&member(refusal, "mend")),
        );
    }
    out
}

/// A table, or that there is nothing to show in it.
fn listing(answer: &Value, name: &str, table: impl Fn(&[Value]) -> String) -> String {
    let rows = list(answer, name);
    if rows.is_empty() {
        return format!(
            "There are no {name} in this time. `sonde doctor` says what arrived; --from asks further back.\n"
        );
    }
    let mut out = table(rows);
    if answer["more"] == true {
        out.push_str("There are more than are shown; --limit shows more.\n");
    }
    out
}
