//! `sonde catalog`: the events and metrics that Radiosonde defines, from the very descriptions that record them.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::bail;
use radiosonde_core::{
    catalogue::{self, METRIC_ALIASES, MetricAlias},
    event::{Descriptor, FieldDescriptor, Role},
    events::BUILT_IN,
};
use serde_json::{Value, json};

use crate::{
    cli::{Format, config::CatalogArguments},
    text::{self, Side, list, member, table},
};

/// Most names that are proposed where there is no such one.
const PROPOSALS_MAX: usize = 8;

/// What standard output gets.
pub fn run(arguments: &CatalogArguments) -> anyhow::Result<String> {
    let mut catalogue = catalogue();
    if let Some(name) = &arguments.name {
        catalogue = chosen(&catalogue, name)?;
    }
    Ok(match arguments.format {
        Format::Json => text::json(&catalogue),
        Format::Text => words(&catalogue),
    })
}

/// All of it: events in the order of the documentation, metrics by their names.
fn catalogue() -> Value {
    let mut metrics: BTreeMap<&str, Metric> = BTreeMap::new();
    for event in BUILT_IN {
        for (name, kind, unit) in catalogue::metrics(event) {
            let metric = metrics.entry(name).or_insert_with(|| Metric {
                kind,
                unit,
                meaning: meaning(event, name),
                events: Vec::new(),
            });
            metric.events.push(event.name);
        }
    }
    let metrics = metrics.iter().map(|(name, metric)| metric.json(name));
    json!({
        "events": BUILT_IN.iter().map(|event| event_json(event)).collect::<Vec<_>>(),
        "metrics": metrics.collect::<Vec<_>>(),
    })
}

struct Metric {
    kind: &'static str,
    unit: &'static str,
    meaning: String,
    /// Those that feed it.
    events: Vec<&'static str>,
}

impl Metric {
    fn json(&self, name: &str) -> Value {
        let aliases = METRIC_ALIASES.iter().filter(|alias| alias.metric == name);
        let alias = |alias: &MetricAlias| json!({"name": alias.alias, "times": alias.times});
        json!({
            "name": name,
            "kind": self.kind,
            "unit": self.unit,
            "meaning": self.meaning,
            "events": self.events,
            "aliases": aliases.map(alias).collect::<Vec<_>>(),
        })
    }
}

/// What a metric of an event means.
fn meaning(event: &Descriptor, metric: &str) -> String {
    let field = event
        .fields
        .iter()
        .find(|field| of_field(field).is_some_and(|(_, name)| name == metric));
    match field {
        Some(field) => field.description.to_owned(),
        None => format!("How often: {}", event.description),
    }
}

/// The kind and the name of the metric that a field feeds.
const fn of_field(field: &FieldDescriptor) -> Option<(&'static str, &'static str)> {
    match field.role {
        Role::Counter { metric } => Some(("counter", metric)),
        Role::Gauge { metric } => Some(("gauge", metric)),
        Role::Histogram { metric, .. } => Some(("histogram", metric)),
        Role::Label | Role::Attribute => None,
    }
}

fn event_json(event: &Descriptor) -> Value {
    json!({
        "name": event.name,
        "type": event.type_name,
        "level": event.severity.text().to_lowercase(),
        "meaning": event.description,
        "aliases": event.aliases,
        "counted_by": event.count,
        "fields": event.fields.iter().map(field_json).collect::<Vec<_>>(),
    })
}

fn field_json(field: &FieldDescriptor) -> Value {
    let (role, metric) = match (&field.role, of_field(field)) {
        (_, Some((kind, metric))) => (kind, Some(metric)),
        (Role::Label, None) => ("label", None),
        _ => ("attribute", None),
    };
    let aliases = field.aliases.iter();
    json!({
        "name": field.name,
        "kind": field.field_type.word(),
        "role": role,
        "metric": metric,
        "unit": field.unit,
        "meaning": field.description,
        "aliases": aliases.map(|alias| json!({"name": alias.name, "times": alias.times})).collect::<Vec<_>>(),
    })
}

/// What has this name: an event by any of its names, else a metric by any of its names with the events that feed it.
fn chosen(catalogue: &Value, name: &str) -> anyhow::Result<Value> {
    let is_event =
        |event: &&Value| event["name"] == name || event["type"] == name || has(event, name);
    if let Some(event) = list(catalogue, "events").iter().find(is_event) {
        let feeds = |metric: &&Value| list(metric, "events").contains(&event["name"]);
        let metrics: Vec<_> = list(catalogue, "metrics").iter().filter(feeds).collect();
        return Ok(json!({"events": [event], "metrics": metrics}));
    }
    let is_metric = |metric: &&Value| metric["name"] == name || has(metric, name);
    if let Some(metric) = list(catalogue, "metrics").iter().find(is_metric) {
        let feeds = |event: &&Value| list(metric, "events").contains(&event["name"]);
        let events: Vec<_> = list(catalogue, "events").iter().filter(feeds).collect();
        return Ok(json!({"events": events, "metrics": [metric]}));
    }
    let all = ["events", "metrics"]
        .into_iter()
        .flat_map(|kind| list(catalogue, kind));
    let names = all.map(|entry| member(entry, "name"));
    let wanted = name.to_lowercase();
    let alike: Vec<_> = names
        .filter(|known| known.contains(&wanted))
        .take(PROPOSALS_MAX)
        .collect();
    if alike.is_empty() {
        bail!(
            "Radiosonde defines no event and no metric `{name}`; `sonde catalog` lists all, `sonde metrics` what programs sent"
        );
    }
    bail!(
        "Radiosonde defines no event and no metric `{name}`; there is {}",
        alike.join(", ")
    )
}

/// Whether an alias is called so.
fn has(entry: &Value, name: &str) -> bool {
    list(entry, "aliases")
        .iter()
        .any(|alias| *alias == name || alias["name"] == name)
}

fn words(catalogue: &Value) -> String {
    let mut out = String::new();
    for event in list(catalogue, "events") {
        out.push_str(&event_words(event));
        out.push('\n');
    }
    let metrics = list(catalogue, "metrics");
    if !metrics.is_empty() {
        out.push_str("Metrics\n");
        out.push_str(&metrics_words(metrics));
    }
    out
}

fn event_words(event: &Value) -> String {
    let aliases: Vec<String> = names(event);
    let also = match aliases.as_slice() {
        [] => String::new(),
        aliases => format!(", also {}", aliases.join(", ")),
    };
    let counted = match member(event, "counted_by").as_str() {
        "" => String::new(),
        metric => format!(", counted by {metric}"),
    };
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "{}  {}\n  type {}, level {}{also}{counted}",
        member(event, "name"),
        member(event, "meaning"),
        member(event, "type"),
        member(event, "level"),
    );
    let row = |field: &Value| {
        let role = match (member(field, "role").as_str(), member(field, "metric")) {
            ("attribute", _) => String::new(),
            (role, metric) => format!("{role} {metric}").trim_end().to_owned(),
        };
        let cell = |name: &str| member(field, name);
        vec![
            cell("name"),
            cell("kind"),
            role,
            cell("unit"),
            cell("meaning"),
        ]
    };
    let headings = [
        ("field", Side::Left),
        ("kind", Side::Left),
        ("role", Side::Left),
        ("unit", Side::Left),
        ("meaning", Side::Left),
    ];
    let fields: Vec<_> = list(event, "fields").iter().map(row).collect();
    if fields.is_empty() {
        return out;
    }
    for line in table(&headings, &fields).lines() {
        out.extend(["    ", line, "\n"]);
    }
    out
}

fn metrics_words(metrics: &[Value]) -> String {
    let row = |metric: &Value| {
        let cell = |name: &str| member(metric, name);
        let events = list(metric, "events").iter().filter_map(Value::as_str);
        vec![
            cell("name"),
            cell("kind"),
            cell("unit"),
            events.collect::<Vec<_>>().join(" "),
            names(metric).join(" "),
            cell("meaning"),
        ]
    };
    let headings = [
        ("metric", Side::Left),
        ("kind", Side::Left),
        ("unit", Side::Left),
        ("of the event", Side::Left),
        ("also called", Side::Left),
        ("meaning", Side::Left),
    ];
    table(&headings, &metrics.iter().map(row).collect::<Vec<_>>())
}

/// The names of the aliases.
fn names(entry: &Value) -> Vec<String> {
    let aliases = list(entry, "aliases").iter();
    let names = aliases.map(|alias| alias["name"].as_str().or_else(|| alias.as_str()));
    names.flatten().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> Result<Value, String> {
        chosen(&catalogue(), name).map_err(|error| error.to_string())
    }

    #[test]
    fn one_event_is_shown_with_its_fields_and_metrics() {
        insta::assert_snapshot!(words(&shown("gpu.op").unwrap()));
        for name in ["GpuOpCompleted", "gpu_op_completed"] {
            assert_eq!(shown(name), shown("gpu.op"), "{name}");
        }
    }

    #[test]
    fn a_metric_is_found_by_any_of_its_names() {
        let found = shown("metal_operation_duration_ms").unwrap();
        assert_eq!(found["metrics"][0]["name"], "gpu.operation.duration");
        assert_eq!(found["events"][0]["name"], "gpu.op");
        assert_eq!(found, shown("gpu.operation.duration").unwrap());
    }

    #[test]
    fn what_is_not_known_is_said_with_what_is_like_it() {
        assert!(
            shown("gpu.operation")
                .unwrap_err()
                .contains("there is gpu.operation.count")
        );
        assert!(
            shown("nothing like it")
                .unwrap_err()
                .contains("`sonde catalog` lists all")
        );
    }

    /// The same events, fields and metrics as docs/events.md, which is made of the same descriptions.
    #[test]
    fn all_of_the_documentation_is_there() {
        let words = words(&catalogue());
        let page = catalogue::markdown();
        let headings = page
            .lines()
            .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'));
        let mut count = 0;
        for name in headings {
            count += 1;
            assert!(
                words
                    .lines()
                    .any(|line| line.starts_with(&format!("{name}  "))),
                "{name}"
            );
        }
        assert_eq!(count, BUILT_IN.len());
        for alias in METRIC_ALIASES {
            assert!(words.contains(alias.alias), "{}", alias.alias);
        }
    }
}
