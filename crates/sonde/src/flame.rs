//! `sonde flame`: where programs spend what profilers counted, as a tree, by library or by function, or as folded stacks for
//! other tools.

use std::fmt::Write as _;

use anyhow::bail;
use radiosonde_answers::units::{Bytes, Nanoseconds};
use serde_json::Value;

use crate::{
    cli::{
        Format,
        flame::{By, FlameArguments},
    },
    collector::{Collector, Parameters},
    text::{self, Side, list, member, table},
};

/// Nodes that are asked for: a text is read by people, folded stacks by programs.
const NODES_TEXT: &str = "2000";
const NODES_ALL: &str = "100000";
/// A node smaller than this part of the whole is not written.
const SHARE_MIN: f64 = 0.005;
/// How long before and after a trace there may be samples of it, by clocks that differ.
const AROUND_NS: i64 = 60_000_000_000;
/// Most rows of a ranking.
const ROWS_MAX: usize = 40;

/// What standard output gets.
pub fn run(arguments: &FlameArguments) -> anyhow::Result<String> {
    let collector = Collector::new(&arguments.collector)?;
    let is_all = arguments.by == By::Folded || arguments.format == Format::Json;
    let mut parameters = arguments.range.parameters();
    parameters.push(("nodes", if is_all { NODES_ALL } else { NODES_TEXT }));
    parameters.extend(wanted(arguments));
    let answer = collector.get("flame", &parameters)?;
    if arguments.format == Format::Json {
        return Ok(text::json(&answer));
    }
    if number(&answer["samples"]) + number(&answer["b_samples"]) == 0.0 {
        return Ok(nothing(&answer));
    }
    let flame = Flame::new(&answer);
    match arguments.by {
        By::Folded if flame.is_pair => {
            bail!("folded stacks have one side; leave out what --against names")
        }
        By::Folded => Ok(flame.folded()),
        By::Tree => Ok(flame.heading() + &flame.tree() + &flame.left_out()),
        By::Library => Ok(flame.heading() + &flame.libraries()),
        By::Function => Ok(flame.heading() + &flame.functions()),
    }
}

/// The libraries that the samples of a trace are charged to; empty where there are none.
pub fn of_trace(collector: &Collector, trace: &Value) -> String {
    let number = |name: &str| {
        let text = trace[name].as_str().and_then(|text| text.parse().ok());
        text.or_else(|| trace[name].as_i64()).unwrap_or(0_i64)
    };
    let (start, duration) = (number("start_unix_ns"), number("duration_ns"));
    let from = start.saturating_sub(AROUND_NS).to_string();
    let to = (start.saturating_add(duration))
        .saturating_add(AROUND_NS)
        .to_string();
    let id = member(trace, "trace_id");
    let parameters = vec![
        ("from", from.as_str()),
        ("to", &to),
        ("trace_id", &id),
        ("nodes", "1"),
    ];
    let Ok(answer) = collector.get("flame", &parameters) else {
        // The trace is an answer without them.
        return String::new();
    };
    if answer["samples"].as_u64().unwrap_or(0) == 0 {
        return String::new();
    }
    let flame = Flame::new(&answer);
    format!(
        "\nWhere its samples are, {}{}More: sonde flame --trace {id} --from {from} --to {to}\n",
        flame.heading(),
        flame.libraries()
    )
}

/// An answer as its heading, its tree and its libraries.
pub fn whole(answer: &Value) -> String {
    let flame = Flame::new(answer);
    let parts = [
        flame.heading(),
        flame.tree(),
        flame.left_out(),
        "\n".to_owned(),
        flame.libraries(),
    ];
    parts.concat()
}

fn wanted(arguments: &FlameArguments) -> Parameters<'_> {
    let named = [
        ("q", &arguments.text),
        ("service", &arguments.service),
        ("type", &arguments.kind),
        ("trace_id", &arguments.trace),
        ("span_id", &arguments.span),
        ("thread", &arguments.thread),
        ("b_from", &arguments.against_from),
        ("b_to", &arguments.against_to),
        ("b_service", &arguments.against_service),
        ("b_trace_id", &arguments.against_trace),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect()
}

fn nothing(answer: &Value) -> String {
    let types: Vec<String> = list(answer, "types")
        .iter()
        .map(|row| member(row, "type"))
        .collect();
    let mut out = String::from("There are no samples of this in this time. ");
    if types.is_empty() {
        out.push_str("`sonde import profile.pb.gz` takes a profile of pprof, and profilers send OTLP to /v1development/profiles; --from asks further back.\n");
    } else {
        // Writing to a string does not fail.
        let _ = writeln!(out, "There is {}; --type names one.", types.join(", "));
    }
    out
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// An answer with its columns at hand.
struct Flame<'a> {
    answer: &'a Value,
    unit: String,
    is_pair: bool,
    /// Of each side, at least 1.
    whole: [f64; 2],
    names: Vec<String>,
    children: Vec<Vec<usize>>,
}

impl<'a> Flame<'a> {
    fn new(answer: &'a Value) -> Self {
        let nodes = &answer["nodes"];
        let frames = list(answer, "frames");
        let parents = list(nodes, "parent");
        let places = list(nodes, "frame");
        let index = |value: &Value| value.as_u64().map_or(usize::MAX, |index| index as usize);
        let mut children = vec![Vec::new(); parents.len()];
        let mut names = vec!["all".to_owned()];
        for (node, (parent, frame)) in parents.iter().zip(places).enumerate().skip(1) {
            let name = frames
                .get(index(frame))
                .map(|frame| member(frame, "function"));
            names.push(name.unwrap_or_default());
            if let Some(children) = children.get_mut(index(parent)) {
                children.push(node);
            }
        }
        Self {
            answer,
            unit: member(answer, "unit"),
            is_pair: !answer["b_total"].is_null(),
            whole: ["total", "b_total"].map(|name| number(&answer[name]).abs().max(1.0)),
            names,
            children,
        }
    }

    fn amount(&self, value: f64) -> String {
        match self.unit.as_str() {
            "nanoseconds" => Nanoseconds(value.max(0.0) as u64).to_string(),
            "bytes" => Bytes(value as i64).to_string(),
            _ => format!("{value}"),
        }
    }

    fn heading(&self) -> String {
        let of = |prefix: &str| {
            let member = |name: &str| number(&self.answer[format!("{prefix}{name}")]);
            let (total, samples, stacks) = (member("total"), member("samples"), member("stacks"));
            format!(
                "{} in {samples} samples of {stacks} stacks",
                self.amount(total)
            )
        };
        let against = if self.is_pair {
            format!("\nagainst {}", of("b_"))
        } else {
            String::new()
        };
        let (kind, unit) = (member(self.answer, "type"), &self.unit);
        format!("{kind} ({unit}): {}{against}\n\n", of(""))
    }

    fn left_out(&self) -> String {
        match number(&self.answer["left_out"]) {
            0.0 => String::new(),
            left_out => {
                format!(
                    "Smaller nodes that are left out: {left_out}; --format json has more of them.\n"
                )
            }
        }
    }

    /// A value as its part of the whole; of two sides both, and by how much the first is more.
    fn shares(&self, values: [f64; 2]) -> String {
        let share = |side: usize| 100.0 * values[side] / self.whole[side];
        if self.is_pair {
            let more = share(0) - share(1);
            format!("{:5.1} % {:5.1} % {more:+6.1}", share(0), share(1))
        } else {
            format!("{:5.1} %", share(0))
        }
    }

    fn values(&self, node: usize, own: bool) -> [f64; 2] {
        let names = if own {
            ["own", "b_own"]
        } else {
            ["total", "b_total"]
        };
        names.map(|name| number(&self.answer["nodes"][name][node]))
    }

    fn tree(&self) -> String {
        let mut out = String::new();
        // The last one is looked at first.
        let mut open = vec![(0, 0)];
        while let Some((node, depth)) = open.pop() {
            let values = self.values(node, false);
            let share = (0..2).map(|side| values[side].abs() / self.whole[side]);
            if share.fold(0.0, f64::max) < SHARE_MIN {
                continue;
            }
            let (amount, name) = (self.amount(values[0]), text::plain(&self.names[node]));
            // Writing to a string does not fail.
            let _ = writeln!(
                out,
                "{}  {amount:>10}  {:depth$}{name}",
                self.shares(values),
                ""
            );
            open.extend(
                self.children[node]
                    .iter()
                    .rev()
                    .map(|child| (*child, depth + 1)),
            );
        }
        out
    }

    fn folded(&self) -> String {
        let mut out = String::new();
        let mut open = vec![(0, String::new())];
        while let Some((node, path)) = open.pop() {
            let own = self.values(node, true)[0];
            if own != 0.0 && node > 0 {
                // Writing to a string does not fail.
                let _ = writeln!(out, "{path} {own}");
            }
            for child in self.children[node].iter().rev() {
                let name = text::plain(&self.names[*child]).replace(';', ":");
                let path = if node == 0 {
                    name
                } else {
                    format!("{path};{name}")
                };
                open.push((*child, path));
            }
        }
        out
    }

    fn libraries(&self) -> String {
        let row = |row: &Value| {
            let of = |name: &str| [number(&row[name]), number(&row[format!("b_{name}")])];
            vec![
                self.shares(of("charged")),
                self.amount(of("charged")[0]),
                self.amount(of("own")[0]),
                self.amount(of("total")[0]),
                member(row, "library"),
            ]
        };
        let headings = [
            (
                if self.is_pair {
                    "charged, against"
                } else {
                    "charged"
                },
                Side::Right,
            ),
            ("", Side::Right),
            ("own", Side::Right),
            ("with callees", Side::Right),
            ("library", Side::Left),
        ];
        let rows: Vec<_> = list(self.answer, "libraries")
            .iter()
            .take(ROWS_MAX)
            .map(row)
            .collect();
        table(&headings, &rows)
    }

    fn functions(&self) -> String {
        let row = |row: &Value| {
            let of = |name: &str| [number(&row[name]), number(&row[format!("b_{name}")])];
            vec![
                self.shares(of("own")),
                self.amount(of("own")[0]),
                self.amount(of("total")[0]),
                member(row, "library"),
                member(row, "function"),
            ]
        };
        let headings = [
            (
                if self.is_pair { "own, against" } else { "own" },
                Side::Right,
            ),
            ("", Side::Right),
            ("with callees", Side::Right),
            ("library", Side::Left),
            ("function", Side::Left),
        ];
        let rows: Vec<_> = list(self.answer, "functions")
            .iter()
            .take(ROWS_MAX)
            .map(row)
            .collect();
        table(&headings, &rows)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        json!({
            "type": "cpu", "unit": "nanoseconds", "total": 200, "samples": 3, "stacks": 2, "left_out": 1,
            "frames": [{"function": "main"}, {"function": "a;b"}, {"function": "tiny"}],
            "nodes": {"parent": [0, 0, 1, 1], "frame": [0, 0, 1, 2], "own": [0, 20, 180, 0], "total": [200, 200, 180, 0]},
            "functions": [], "libraries": [{"library": "torch", "charged": 150, "own": 100, "total": 200}],
        })
    }

    #[test]
    fn a_tree_leaves_out_what_is_small() {
        let answer = answer();
        let flame = Flame::new(&answer);
        let text = flame.heading() + &flame.tree() + &flame.left_out();
        insta::assert_snapshot!(text, @r#"
    cpu (nanoseconds): 200 ns in 3 samples of 2 stacks

    100.0 %      200 ns  all
    100.0 %      200 ns   main
     90.0 %      180 ns    a;b
    Smaller nodes that are left out: 1; --format json has more of them.
    "#);
        insta::assert_snapshot!(flame.libraries(), @r#"
    charged             own  with callees  library
     75.0 %  150 ns  100 ns        200 ns  torch
    "#);
        assert_eq!(flame.folded(), "main 20\nmain;a:b 180\n");
    }

    #[test]
    fn two_sides_are_laid_beside_each_other() {
        let mut answer = answer();
        answer["b_total"] = json!(100);
        answer["nodes"]["b_total"] = json!([100, 100, 0, 0]);
        answer["nodes"]["b_own"] = json!([0, 100, 0, 0]);
        let flame = Flame::new(&answer);
        insta::assert_snapshot!(flame.tree(), @r#"
    100.0 % 100.0 %   +0.0      200 ns  all
    100.0 % 100.0 %   +0.0      200 ns   main
     90.0 %   0.0 %  +90.0      180 ns    a;b
    "#);
    }
}
