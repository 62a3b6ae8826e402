//! The bundle: one HTML file with the page and what it would ask a collector for, which opens without either.
//!
//! A collector is asked the page's questions, and each answer stands in the file as an element of its own,
//! `<script type="application/json" data-answer="traces/0af7...">`, which the page reads in place of asking
//! (`web/src/bundle.ts`). Secrets are replaced before anything is written.
//!
//! Invariant: an answer is in the file whole or not at all, and what is not there is said in `left_out`.

use std::{cmp::Reverse, collections::BTreeSet, fmt::Write as _, fs, path::Path, time::SystemTime};

use anyhow::{Context as _, bail};
use radiosonde_answers::units::{Bytes, Count};
use serde_json::{Value, json};

use super::clean::Cleaner;
use crate::{
    cli::{Format, export::ExportArguments},
    collector::{Collector, Parameters, encoded},
    text::{self, list, member},
};

/// Most bytes of all answers: what a browser opens without much waiting.
const ANSWERS_BYTES_MAX: usize = 64 * 1024 * 1024;
const LOGS_MAX: &str = "2000";
const METRICS_MAX: usize = 300;
/// Operations and services of which it is said where their time went, those that take most of it first.
const ACCOUNTS_MAX: usize = 12;
/// As many steps and nodes as the page asks for.
const OVERVIEW_STEPS: &str = "60";
const METRIC_STEPS: &str = "120";
const FLAME_NODES: &str = "10000";
/// What says how much is answered, not what is asked.
const EXTENTS: [&str; 3] = ["limit", "buckets", "nodes"];
/// Around traces that are named: how much is shown of what else was measured.
const AROUND_NS: i64 = 60_000_000_000;

/// What goes into the file.
struct Recorder<'c> {
    collector: &'c Collector,
    from: String,
    to: String,
    cleaner: Cleaner,
    /// By their questions, as JSON.
    answers: Vec<(String, String)>,
    bytes: usize,
    left_out: Vec<String>,
    /// Of a profiler, of any program.
    has_samples: bool,
}

/// Writes the file, and says what is in it.
pub fn write(
    collector: &Collector,
    arguments: &ExportArguments,
    path: &Path,
    range: (i64, i64),
) -> anyhow::Result<String> {
    let named = named(collector, &arguments.trace)?;
    let (from, to) = around(&named).unwrap_or(range);
    let mut recorder = Recorder::new(collector, from, to);
    recorder.numbers()?;
    let traces = if named.is_empty() {
        let (wanted, more) = recorder.chosen(arguments.traces as usize)?;
        recorder.logs(None)?;
        recorder.traces(wanted, more)
    } else {
        recorder.logs(Some(&named))?;
        recorder.traces(named, false)
    };
    // A collector that went away gave errors for answers.
    let status = collector.get("status", &Vec::new())?;
    let document = recorder.document(&status, &traces);
    fs::write(path, &document).with_context(|| format!("cannot write {}", path.display()))?;
    let (answers, left_out) = (recorder.answers.len(), &recorder.left_out);
    Ok(match arguments.format {
        Format::Json => text::json(
            &json!({"traces": traces.len(), "answers": answers, "bytes": document.len(), "left_out": left_out}),
        ),
        Format::Text => {
            let size = Bytes(document.len() as i64);
            let mut said = format!(
                "Wrote {} in {answers} answers to {}, {size}. A browser opens it without a server.\n",
                Count(traces.len() as u64, "trace"),
                path.display()
            );
            for words in left_out {
                // Writing to a string does not fail.
                let _ = writeln!(said, "Left out: {words}.");
            }
            said
        }
    })
}

/// The traces that the command line names, as the list of traces has them, each once.
fn named(collector: &Collector, ids: &[String]) -> anyhow::Result<Vec<Value>> {
    let mut found: Vec<Value> = Vec::new();
    for id in ids {
        let answer = collector.get(&format!("show/{}", encoded(id.trim())), &Vec::new())?;
        let trace_id = &answer["trace"]["trace_id"];
        let mut rows = list(&answer, "traces").iter();
        let Some(row) = rows.find(|row| row["trace_id"] == *trace_id) else {
            bail!("`{id}` is of no trace; `sonde traces` lists those there are");
        };
        if !found.contains(row) {
            found.push(row.clone());
        }
    }
    Ok(found)
}

/// The time of traces, and a little before and after it.
fn around(traces: &[Value]) -> Option<(i64, i64)> {
    let start = |row: &Value| member(row, "start_unix_ns").parse::<i64>().ok();
    let end = |row: &Value| Some(start(row)?.saturating_add(row["duration_ns"].as_i64()?));
    let first = traces.iter().filter_map(start).min()?;
    let last = traces.iter().filter_map(end).max()?;
    Some((
        first.saturating_sub(AROUND_NS),
        last.saturating_add(AROUND_NS),
    ))
}

impl<'c> Recorder<'c> {
    fn new(collector: &'c Collector, from: i64, to: i64) -> Self {
        Self {
            collector,
            from: from.to_string(),
            to: to.to_string(),
            cleaner: Cleaner::default(),
            answers: Vec::new(),
            bytes: 0,
            left_out: Vec::new(),
            has_samples: false,
        }
    }

    /// Asks in the bundle's time, by a path whose parts are encoded.
    fn ask(&self, path: &str, filters: &Parameters<'_>) -> anyhow::Result<Value> {
        let mut parameters = vec![("from", self.from.as_str()), ("to", self.to.as_str())];
        parameters.extend(filters);
        self.collector.get(path, &parameters)
    }

    /// Puts an answer into the bundle, and says whether there was room for it.
    fn put(&mut self, parts: &[&str], filters: &Parameters<'_>, answer: &Value) -> bool {
        let mut clean = answer.clone();
        self.cleaner.clean(&mut clean);
        let json = clean.to_string();
        if self.bytes + json.len() > ANSWERS_BYTES_MAX {
            return false;
        }
        self.bytes += json.len();
        let question = self.question(parts, filters);
        self.answers.push((question, json));
        true
    }

    /// A question as `web/src/bundle.ts` puts it: the path, and the filters by their names. Each part is clean by itself, as it
    /// is where the page has it from.
    fn question(&self, parts: &[&str], filters: &Parameters<'_>) -> String {
        let parts: Vec<String> = parts.iter().map(|part| self.cleaner.text(part)).collect();
        let mut filters: Vec<String> = filters
            .iter()
            .filter(|(name, _)| !EXTENTS.contains(name))
            .map(|(name, value)| format!("{name}={}", self.cleaner.text(value)))
            .collect();
        filters.sort();
        let mark = if filters.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", parts.join("/"), filters.join("&"))
    }

    /// Asks, and puts in the answer; an error is an answer too.
    fn record(&mut self, parts: &[&str], filters: &Parameters<'_>) -> Value {
        let path: Vec<String> = parts.iter().map(|part| encoded(part)).collect();
        let answer = self.ask(&path.join("/"), filters);
        let answer = answer.unwrap_or_else(|error| error_answer(&error));
        if !self.put(parts, filters, &answer) {
            let question = self.question(parts, filters);
            let words = format!("the answer to `{question}`, for which there was no room");
            self.left_out.push(words);
        }
        answer
    }

    /// What stands on every page but those of traces and logs.
    fn numbers(&mut self) -> anyhow::Result<()> {
        let overview = self.ask("overview", &vec![("buckets", OVERVIEW_STEPS)])?;
        self.put(&["overview"], &Vec::new(), &overview);
        for path in ["map", "workers", "queues", "engines"] {
            self.record(&[path], &Vec::new());
        }
        self.metrics()?;
        self.flames();
        self.accounts(&overview);
        Ok(())
    }

    fn metrics(&mut self) -> anyhow::Result<()> {
        let mut answer = self.ask("metrics", &Vec::new())?;
        let metrics = answer["metrics"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        let (kept, rest) = metrics.split_at(metrics.len().min(METRICS_MAX));
        for metric in kept {
            let name = member(metric, "name");
            self.record(&["metrics", &name], &vec![("buckets", METRIC_STEPS)]);
        }
        if !rest.is_empty() {
            self.left_out.push(format!("{} metrics", rest.len()));
            answer["more"] = json!(true);
        }
        answer["metrics"] = json!(kept);
        self.put(&["metrics"], &Vec::new(), &answer);
        Ok(())
    }

    /// Flame graphs of the time, and of each type and service by itself.
    fn flames(&mut self) {
        let nodes = ("nodes", FLAME_NODES);
        let flame = self.record(&["flame"], &vec![nodes]);
        self.has_samples = flame["samples"].as_i64().is_some_and(|samples| samples > 0);
        let names = |name: &str| -> BTreeSet<String> {
            let types = list(&flame, "types").iter();
            types.map(|row| member(row, name)).collect()
        };
        let (kinds, services) = (names("type"), names("service"));
        for kind in &kinds {
            self.record(&["flame"], &vec![nodes, ("type", kind)]);
        }
        for service in &services {
            self.record(&["flame"], &vec![nodes, ("service", service)]);
            for kind in &kinds {
                self.record(
                    &["flame"],
                    &vec![nodes, ("service", service), ("type", kind)],
                );
            }
        }
    }

    /// Where the time of all requests went, and of those of a service or an operation.
    fn accounts(&mut self, overview: &Value) {
        self.record(&["why"], &Vec::new());
        for row in list(overview, "services").iter().take(ACCOUNTS_MAX) {
            let service = member(row, "service");
            self.record(&["why"], &vec![("service", &service)]);
        }
        let mut operations: Vec<&Value> = list(overview, "operations").iter().collect();
        operations.sort_by_key(|row| Reverse(row["total_ns"].as_i64()));
        for row in operations.into_iter().take(ACCOUNTS_MAX) {
            let (service, name) = (member(row, "service"), member(row, "name"));
            self.record(&["why"], &vec![("operation", &name), ("service", &service)]);
        }
    }

    /// The newest logs, or all of the traces that are named.
    fn logs(&mut self, named: Option<&[Value]>) -> anyhow::Result<()> {
        let limit = ("limit", LOGS_MAX);
        let answer = match named {
            None => self.ask("logs", &vec![limit])?,
            Some(traces) => {
                let (mut logs, mut more) = (Vec::new(), false);
                for trace in traces {
                    let id = member(trace, "trace_id");
                    let answer = self.ask("logs", &vec![limit, ("trace_id", &id)])?;
                    logs.extend_from_slice(list(&answer, "logs"));
                    more |= answer["more"] == true;
                }
                // The newest first. Times are decimals of one length.
                logs.sort_by_key(|log| Reverse(member(log, "time_unix_ns")));
                json!({"logs": logs, "more": more})
            }
        };
        if answer["more"] == true {
            let words = format!("logs but the newest {}", list(&answer, "logs").len());
            self.left_out.push(words);
        }
        if !self.put(&["logs"], &Vec::new(), &answer) {
            bail!(
                "the logs of this time are too large for one file; give a shorter time (--from, --to)"
            );
        }
        Ok(())
    }

    /// The traces to show: the slowest, those that failed, and then the newest, and whether there are more.
    fn chosen(&self, most: usize) -> anyhow::Result<(Vec<Value>, bool)> {
        let some = (most / 4).max(1).to_string();
        let all = most.to_string();
        let slowest = self.ask("traces", &vec![("order", "slowest"), ("limit", &some)])?;
        let failed = self.ask("traces", &vec![("q", "status = error"), ("limit", &some)])?;
        let newest = self.ask("traces", &vec![("limit", &all)])?;
        let mut rows: Vec<Value> = Vec::new();
        for row in [&slowest, &failed, &newest]
            .into_iter()
            .flat_map(|answer| list(answer, "traces"))
        {
            let is_new = !rows
                .iter()
                .any(|known| known["trace_id"] == row["trace_id"]);
            if is_new && rows.len() < most {
                rows.push(row.clone());
            }
        }
        Ok((rows, newest["more"] == true))
    }

    /// Puts in each trace with its account, and the list of those for which there was room.
    fn traces(&mut self, wanted: Vec<Value>, more: bool) -> Vec<Value> {
        let (mut rows, mut full) = (Vec::new(), 0_usize);
        for row in wanted {
            if self.trace(&member(&row, "trace_id")) {
                rows.push(row);
            } else {
                full += 1;
            }
        }
        if full > 0 {
            self.left_out.push(format!(
                "{full} traces for which there was no room, or which the collector no longer has"
            ));
        }
        if more {
            self.left_out.push(
                "traces other than the slowest, those that failed, and the newest".to_owned(),
            );
        }
        rows.sort_by_key(|row| Reverse(member(row, "start_unix_ns")));
        let listed = json!({"traces": rows, "more": more || full > 0});
        self.put(&["traces"], &Vec::new(), &listed);
        rows
    }

    fn trace(&mut self, id: &str) -> bool {
        let path = format!("traces/{}", encoded(id));
        // It may have become too old for the store since it was listed.
        let Ok(trace) = self.collector.get(&path, &Vec::new()) else {
            return false;
        };
        let (answers, bytes) = (self.answers.len(), self.bytes);
        let why = self.collector.get(&format!("{path}/why"), &Vec::new());
        let why = why.unwrap_or_else(|error| error_answer(&error));
        let fits = self.put(&["traces", id], &Vec::new(), &trace)
            && self.put(&["traces", id, "why"], &Vec::new(), &why);
        if !fits {
            self.answers.truncate(answers);
            self.bytes = bytes;
        } else if self.has_samples {
            let filters = vec![("nodes", FLAME_NODES), ("trace_id", id)];
            self.record(&["flame"], &filters);
        }
        fits
    }

    /// The file, with what became known of secrets in later answers replaced in the earlier ones too.
    fn document(&self, status: &Value, traces: &[Value]) -> String {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let manifest = json!({
            "schema": 1,
            "version": status["version"],
            "made_ms": now.as_millis() as u64,
            "from_unix_ns": self.from,
            "to_unix_ns": self.to,
            "traces": traces.len(),
            // A bundle of one trace begins with it.
            "first": match traces { [only] => format!("/traces/{}", member(only, "trace_id")), _ => "/".to_owned() },
            "left_out": self.left_out,
        });
        let manifest = manifest.to_string();
        let clean = self.cleaner.scrub(&manifest).unwrap_or(manifest);
        let mut elements = element("id", "radiosonde-bundle", &clean);
        for (question, json) in &self.answers {
            let clean = self.cleaner.scrub(json);
            let question = self.cleaner.scrub_text(question);
            elements.push_str(&element(
                "data-answer",
                &question,
                clean.as_ref().unwrap_or(json),
            ));
        }
        radiosonde_server::standalone(&elements)
    }
}

/// What the page shows where there is no answer.
fn error_answer(error: &anyhow::Error) -> Value {
    json!({"error": {"message": format!("{error:#}"), "mend": null}})
}

/// JSON as a part of a document of HTML, where nothing in it can end its element.
fn element(attribute: &str, value: &str, json: &str) -> String {
    let value = value
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let json = json.replace('<', "\\u003c");
    format!("<script type=\"application/json\" {attribute}=\"{value}\">{json}</script>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_answer_ends_its_element() {
        let json = json!({"body": "</script><script>alert(1)</script><!--"}).to_string();
        let element = element("data-answer", "why?operation=\"<b>&\"", &json);
        assert_eq!(element.matches('<').count(), 2, "{element}");
        assert!(
            element.contains("why?operation=&quot;&lt;b&gt;&amp;&quot;"),
            "{element}"
        );
        let inside = element
            .split_once('>')
            .unwrap()
            .1
            .split_once("</script>")
            .unwrap()
            .0;
        assert_eq!(
            serde_json::from_str::<Value>(inside).unwrap().to_string(),
            json
        );
    }

    #[test]
    fn the_time_of_traces_begins_before_the_first_and_ends_after_the_last() {
        let row =
            |start: &str, duration: i64| json!({"start_unix_ns": start, "duration_ns": duration});
        let time = around(&[row("100000000000", 5), row("90000000000", 2)]);
        assert_eq!(time, Some((30_000_000_000, 160_000_000_005)));
        assert_eq!(around(&[]), None);
    }
}
