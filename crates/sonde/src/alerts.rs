//! `sonde alerts`: what fires, who is kept from hearing of it, and what rules would have done.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::{
    cli::{
        Format,
        alerts::{
            AlertsArguments, AlertsCommand, BacktestArguments, ListArguments, SilenceArguments,
        },
    },
    collector::{Collector, encoded},
    text::{self, Side, list, member, table},
};

/// `sonde alerts`.
pub fn run(arguments: &AlertsArguments) -> anyhow::Result<String> {
    match &arguments.command {
        None => listing(&arguments.list),
        Some(AlertsCommand::List(list)) => listing(list),
        Some(AlertsCommand::Silence(silence)) => silenced(silence),
        Some(AlertsCommand::Unsilence(unsilence)) => {
            let collector = Collector::new(&unsilence.collector)?;
            collector.delete(&format!("silences/{}", encoded(&unsilence.id)))?;
            Ok(format!("{} has ended.\n", text::plain(&unsilence.id)))
        }
        Some(AlertsCommand::Test(test)) => {
            let collector = Collector::new(&test.collector)?;
            let path = format!("alerts/test/{}", encoded(&test.receiver));
            collector.post(&path, &Vec::new(), &json!({}))?;
            let name = text::plain(&test.receiver);
            Ok(format!("The message to {name} arrived.\n"))
        }
        Some(AlertsCommand::Backtest(backtest)) => rehearsed(backtest),
    }
}

fn listing(arguments: &ListArguments) -> anyhow::Result<String> {
    let answer = Collector::new(&arguments.collector)?.get("alerts", &Vec::new())?;
    if arguments.format == Format::Json {
        return Ok(text::json(&answer));
    }
    let mut out = alerts(&answer);
    let silences: Vec<Vec<String>> = list(&answer, "silences").iter().map(silence_row).collect();
    if !silences.is_empty() {
        let heads = [
            ("silence", Side::Left),
            ("until (UTC)", Side::Left),
            ("alerts", Side::Left),
            ("comment", Side::Left),
        ];
        let _ = write!(out, "\n{}", table(&heads, &silences));
    }
    let held: Vec<Vec<String>> = list(&answer, "held").iter().map(held_row).collect();
    if !held.is_empty() {
        let heads = [
            ("kept from", Side::Left),
            ("alert", Side::Left),
            ("because", Side::Left),
        ];
        let _ = write!(out, "\n{}", table(&heads, &held));
    }
    for failing in list(&answer, "failing") {
        let _ = writeln!(
            out,
            "\nNothing arrives at {}: {}",
            text::plain(&member(failing, "receiver")),
            text::plain(&member(failing, "because"))
        );
    }
    if arguments.rules {
        let rows: Vec<_> = list(&answer, "rules").iter().map(rule_row).collect();
        let heads = [
            ("rule", Side::Left),
            ("kind", Side::Left),
            ("severity", Side::Left),
            ("pending", Side::Right),
            ("firing", Side::Right),
            ("error", Side::Left),
        ];
        let _ = write!(out, "\n{}", table(&heads, &rows));
    }
    if answer["receivers"]
        .as_object()
        .is_some_and(serde_json::Map::is_empty)
    {
        out.push_str(
            "\nNobody is told: `sonde serve --alerts FILE` with receivers (docs/alert-routing.md).\n",
        );
    }
    Ok(out)
}

fn alerts(answer: &Value) -> String {
    let alerts = list(answer, "alerts");
    if alerts.is_empty() {
        let rules = list(answer, "rules").len();
        return format!("Nothing fires, of {rules} rules.\n");
    }
    let mut out = String::new();
    for alert in alerts {
        let labels = &alert["labels"];
        let name = text::plain(&member(labels, "alertname"));
        let phase = text::plain(&member(alert, "phase"));
        let severity = text::plain(&member(alert, "severity"));
        let since = text::time_ns(&alert["started_unix_ns"]);
        let _ = writeln!(
            out,
            "{phase}  {severity}  {name}  since {since}  {}",
            labels_text(labels)
        );
        for key in ["summary", "description", "action"] {
            let words = text::plain(&member(&alert["annotations"], key));
            if !words.is_empty() {
                let _ = writeln!(out, "    {words}");
            }
        }
    }
    out
}

/// An alert's labels but for its name and severity.
fn labels_text(labels: &Value) -> String {
    let Some(labels) = labels.as_object() else {
        return String::new();
    };
    let others = labels
        .iter()
        .filter(|(name, _)| !["alertname", "severity"].contains(&name.as_str()));
    let words: Vec<String> = others
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    text::plain(&words.join(" "))
}

fn rule_row(rule: &Value) -> Vec<String> {
    let error = rule["error"].as_str().unwrap_or_default();
    vec![
        member(rule, "name"),
        member(rule, "kind"),
        member(rule, "severity"),
        member(rule, "pending"),
        member(rule, "firing"),
        error.to_owned(),
    ]
}

fn silence_row(silence: &Value) -> Vec<String> {
    let matchers: Vec<&str> = list(silence, "matchers")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    vec![
        member(silence, "id"),
        text::time_ns(&silence["ends_unix_ns"]),
        matchers.join(" "),
        member(silence, "comment"),
    ]
}

fn held_row(held: &Value) -> Vec<String> {
    let because = &held["because"];
    let kind = member(because, "kind");
    let by = member(because, "by");
    vec![
        member(held, "receiver"),
        member(&held["alert"]["labels"], "alertname"),
        format!("{kind} {by}").trim().to_owned(),
    ]
}

fn silenced(arguments: &SilenceArguments) -> anyhow::Result<String> {
    let matchers: Vec<String> = arguments.matchers.iter().map(|text| quoted(text)).collect();
    let body = json!({
        "matchers": matchers,
        "seconds": arguments.length.as_secs(),
        "comment": arguments.comment,
        "created_by": std::env::var("USER").unwrap_or_default(),
    });
    let answer = Collector::new(&arguments.collector)?.post("silences", &Vec::new(), &body)?;
    if arguments.format == Format::Json {
        return Ok(text::json(&answer));
    }
    let id = member(&answer, "id");
    Ok(format!(
        "{id} keeps them silent. To end it: sonde alerts unsilence {id}\n"
    ))
}

/// A matcher with its value in quotes, which a shell takes away.
fn quoted(text: &str) -> String {
    for operator in ["!=", "=~", "!~", "="] {
        if let Some((name, value)) = text.split_once(operator)
            && !name.contains(['=', '!', '~'])
            && !value.starts_with('"')
        {
            return format!("{name}{operator}{}", json!(value));
        }
    }
    text.to_owned()
}

fn rehearsed(arguments: &BacktestArguments) -> anyhow::Result<String> {
    let (from, until) = (
        unix_ns(&arguments.range.from)?,
        unix_ns(&arguments.range.to)?,
    );
    let mut body = json!({"from_unix_ns": from, "until_unix_ns": until});
    if let Some(rule) = &arguments.rule {
        body["rule"] = json!(rule);
    }
    if let Some(path) = &arguments.rules {
        let read = std::fs::read_to_string(path);
        let text = read.with_context(|| format!("cannot read {}", path.display()))?;
        let table: toml::Table = text
            .parse()
            .with_context(|| format!("{} is not TOML", path.display()))?;
        let Some(rules) = table.get("rules") else {
            bail!("{} has no rules; write [[rules]]", path.display());
        };
        body["rules"] = json!(rules);
    }
    let answer = Collector::new(&arguments.collector)?.post(
        "alerts/rehearsal",
        &arguments.range.parameters(),
        &body,
    )?;
    if arguments.format == Format::Json {
        return Ok(text::json(&answer));
    }
    Ok(rehearsal(&answer))
}

fn rehearsal(answer: &Value) -> String {
    let changes = list(answer, "changes");
    let mut out = format!(
        "{} evaluations, {} changes, {} messages.\n",
        member(answer, "evaluations"),
        changes.len(),
        list(answer, "messages").len()
    );
    let row = |change: &Value| {
        let alert = &change["alert"];
        vec![
            text::time_ns(&change["time_unix_ns"]),
            member(alert, "phase"),
            member(&alert["labels"], "alertname"),
            labels_text(&alert["labels"]),
            member(&alert["annotations"], "summary"),
        ]
    };
    if !changes.is_empty() {
        let heads = [
            ("time (UTC)", Side::Left),
            ("phase", Side::Left),
            ("alert", Side::Left),
            ("labels", Side::Left),
            ("summary", Side::Left),
        ];
        let rows: Vec<_> = changes.iter().map(row).collect();
        let _ = write!(out, "\n{}", table(&heads, &rows));
    }
    for told in list(answer, "messages") {
        let _ = writeln!(
            out,
            "\n{}  {} ({}), {} alerts",
            text::time_ns(&told["time_unix_ns"]),
            text::plain(&member(told, "receiver")),
            member(told, "kind"),
            member(told, "alerts")
        );
        let payload = match &told["payload"] {
            Value::String(mail) => mail.clone(),
            payload => payload.to_string(),
        };
        let lines: Vec<String> = payload
            .lines()
            .map(|line| format!("    {}", text::plain(line)))
            .collect();
        let _ = writeln!(out, "{}", lines.join("\n"));
    }
    for pair in list(answer, "noise") {
        let noise = &pair[1];
        if noise["fired"].as_u64().unwrap_or(0) > 0 {
            let _ = writeln!(
                out,
                "\n{}: fired {} times, {} of them over within five minutes, {} of them again within ten (noise {:.2})",
                text::plain(pair[0].as_str().unwrap_or_default()),
                member(noise, "fired"),
                member(noise, "short"),
                member(noise, "flapped"),
                noise["score"].as_f64().unwrap_or(0.0)
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_gets_the_quotes_that_a_shell_took() {
        for (said, meant) in [
            ("alertname=slow", "alertname=\"slow\""),
            ("alertname=~slow.*", "alertname=~\"slow.*\""),
            ("a!=b", "a!=\"b\""),
            ("a!~b=c", "a!~\"b=c\""),
            ("a=\"b\"", "a=\"b\""),
            ("nothing", "nothing"),
        ] {
            assert_eq!(quoted(said), meant);
        }
    }
}
