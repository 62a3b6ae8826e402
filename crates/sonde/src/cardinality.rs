//! `sonde cardinality`: which labels make how many series, and what takes them away.

use std::fmt::Write as _;

use radiosonde_answers::units::Bytes;
use serde_json::Value;

use crate::{
    cli::{Format, cardinality::CardinalityArguments},
    collector::Collector,
    text::{self, Side, list, member, plain, table},
};

/// Rules that are shown: those that save the most.
const RULES_MAX: usize = 3;

/// What standard output gets.
pub fn run(arguments: &CardinalityArguments) -> anyhow::Result<String> {
    let limit = arguments.limit.to_string();
    let mut parameters = arguments.range.parameters();
    parameters.push(("limit", &limit));
    let said = [("service", &arguments.service), ("q", &arguments.metric)];
    parameters.extend(
        said.iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?))),
    );
    let answer = Collector::new(&arguments.collector)?.get("cardinality", &parameters)?;
    Ok(match arguments.format {
        Format::Json => text::json(&answer),
        Format::Text => words(&answer),
    })
}

fn words(answer: &Value) -> String {
    let metrics = list(answer, "metrics");
    if metrics.is_empty() {
        return "No readings of metrics were received in this time. `sonde doctor` says what arrived; --from asks further back.\n"
            .to_owned();
    }
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "{} series take {} before compression.",
        member(answer, "series"),
        bytes(answer, "bytes")
    );
    if answer["is_partial"] == true {
        let _ = writeln!(
            out,
            "There are more than {}, of which these are; ask for a service, a metric or a shorter time.",
            member(answer, "series_max")
        );
    }
    for metric in metrics {
        metric_words(&mut out, metric);
    }
    if answer["more_metrics"].as_u64() > Some(0) {
        let more = member(answer, "more_metrics");
        let _ = writeln!(
            out,
            "\n{more} metrics with fewer series are left out; --limit shows more."
        );
    }
    out.push_str(&rules(metrics));
    out
}

fn bytes(of: &Value, name: &str) -> Bytes {
    Bytes(of[name].as_i64().unwrap_or(0))
}

fn metric_words(out: &mut String, metric: &Value) {
    let services: Vec<String> = list(metric, "services")
        .iter()
        .map(|emitter| {
            format!(
                "{} {}",
                plain(&member(emitter, "service")),
                member(emitter, "series")
            )
        })
        .collect();
    let _ = writeln!(
        out,
        "\n{}: {} series, {}, from {}",
        plain(&member(metric, "name")),
        member(metric, "series"),
        bytes(metric, "bytes"),
        services.join(", ")
    );
    let row = |label: &Value| {
        let cell = |name: &str| member(label, name);
        let held = |held: &Value| format!("{} ({})", member(held, "value"), member(held, "series"));
        let top: Vec<String> = list(label, "top").iter().map(held).collect();
        let identifier = &label["identifier"];
        vec![
            cell("name"),
            cell("values"),
            cell("series_without"),
            cell("series_saved"),
            bytes(label, "bytes_saved").to_string(),
            if identifier.is_null() {
                String::new()
            } else {
                format!("identifiers: {}", member(identifier, "why"))
            },
            top.join(", "),
        ]
    };
    let rows: Vec<_> = list(metric, "labels").iter().map(row).collect();
    if rows.is_empty() {
        return;
    }
    let headings = [
        ("label", Side::Left),
        ("values", Side::Right),
        ("series without", Side::Right),
        ("saved", Side::Right),
        ("bytes", Side::Right),
        ("looks like", Side::Left),
        ("most series have", Side::Left),
    ];
    for line in table(&headings, &rows).lines() {
        out.extend(["    ", line, "\n"]);
    }
}

/// What takes away the identifiers that save the most.
fn rules(metrics: &[Value]) -> String {
    let labels = metrics.iter().flat_map(|metric| {
        list(metric, "labels")
            .iter()
            .map(move |label| (metric, label))
    });
    let mut found: Vec<(&Value, &Value)> = labels
        .filter(|(_, label)| !label["identifier"].is_null() && !label["rule"].is_null())
        .collect();
    found.sort_by_key(|(_, label)| std::cmp::Reverse(label["series_saved"].as_u64()));
    let mut out = String::new();
    for (metric, label) in found.into_iter().take(RULES_MAX) {
        let _ = writeln!(
            out,
            "\nWithout {}, {} has {} series and not {}. Where it is sent, by OpenTelemetry's configuration file:\n",
            plain(&member(label, "name")),
            plain(&member(metric, "name")),
            member(label, "series_without"),
            member(metric, "series"),
        );
        indented(&mut out, &label["rule"]["view"]);
        if label["rule"]["collector"].is_null() {
            out.push_str("\nThe collector does not add up histograms.\n");
        } else {
            out.push_str(
                "\nOr here, from now on, in the file of `sonde serve --metric-rules`:\n\n",
            );
            indented(&mut out, &label["rule"]["collector"]);
        }
    }
    out
}

fn indented(out: &mut String, text: &Value) {
    for line in text.as_str().unwrap_or_default().lines() {
        out.extend(["    ", &plain(line), "\n"]);
    }
}
