//! The table: pure functions from rows and samples to what people and programs read.

use std::{collections::BTreeMap, fmt::Write, fs};

use anyhow::Result;
use serde::Serialize;

use super::{
    case::Samples,
    row::{Row, Statistic},
};

/// What stands for a peer where a row has a budget instead.
const BUDGET: &str = "budget";

/// Least and median of some samples, in the row's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub min: f64,
    pub median: f64,
}

impl Measured {
    /// A number that was counted, not sampled.
    pub fn exact(value: f64) -> Self {
        Self {
            min: value,
            median: value,
        }
    }

    fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let (min, upper) = (*sorted.first()?, *sorted.get(middle)?);
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], upper)
        } else {
            upper
        };
        Some(Self { min, median })
    }

    fn get(self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Min => self.min,
            Statistic::Median => self.median,
        }
    }
}

/// One line of the table. A budget is a peer that is always as fast as promised, so that a line holds exactly when its
/// ratio is at most its limit.
#[derive(Debug)]
pub struct Line {
    what: String,
    unit: String,
    statistic: Statistic,
    /// `None` when the case failed.
    ours: Option<Measured>,
    peer: Option<Measured>,
    peer_name: String,
    limit: Option<f64>,
}

impl Line {
    pub fn new(row: &Row, samples: &BTreeMap<String, Samples>) -> Self {
        let measured = |name: &str| samples.get(name).and_then(|samples| Measured::of(samples));
        Self {
            what: row.what.clone(),
            unit: row.unit.clone(),
            statistic: row.statistic,
            ours: measured(&row.ours),
            peer: row
                .peer
                .as_deref()
                .map_or(row.budget.map(Measured::exact), measured),
            peer_name: row.peer_name.clone().unwrap_or_else(|| BUDGET.to_owned()),
            limit: if row.budget.is_some() {
                Some(1.0)
            } else {
                row.limit
            },
        }
    }

    /// A line whose number was counted, against a budget.
    pub fn counted(what: &str, unit: &str, ours: Measured, budget: f64) -> Self {
        Self {
            what: what.to_owned(),
            unit: unit.to_owned(),
            statistic: Statistic::Median,
            ours: Some(ours),
            peer: Some(Measured::exact(budget)),
            peer_name: BUDGET.to_owned(),
            limit: Some(1.0),
        }
    }

    fn compared(&self) -> Option<(f64, f64)> {
        Some((
            self.ours?.get(self.statistic),
            self.peer?.get(self.statistic),
        ))
    }

    /// Ours as a part of the peer's; none when a side is missing, or the peer's is 0.
    fn ratio(&self) -> Option<f64> {
        self.compared()
            .filter(|(_, peer)| *peer != 0.0)
            .map(|(ours, peer)| ours / peer)
    }

    /// Whether ours is at most its limit. A line without a limit holds once it is measured.
    pub fn holds(&self) -> bool {
        self.compared()
            .is_some_and(|(ours, peer)| self.limit.is_none_or(|limit| ours <= limit * peer))
    }
}

/// The lines as a Markdown table, with the sum of what does not hold below.
pub fn markdown(lines: &[Line]) -> String {
    let mut out = String::from(
        "| what | ours, min / median | peer | peer's, min / median | ratio | at most | holds |\n|---|---:|---|---:|---:|---:|---|\n",
    );
    for line in lines {
        let side = |side: Option<Measured>| {
            side.map_or_else(
                || "failed".to_owned(),
                |m| format!("{} / {} {}", short(m.min), short(m.median), line.unit),
            )
        };
        let optional = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), short);
        let of = match line.statistic {
            Statistic::Min => " (of min)",
            Statistic::Median => "",
        };
        let holds = match (line.holds(), line.limit) {
            (true, Some(_)) => "yes",
            (true, None) => "shown",
            (false, _) => "**no**",
        };
        let cells = [
            line.what.clone(),
            side(line.ours),
            line.peer_name.clone(),
            side(line.peer),
            format!("{}{of}", optional(line.ratio())),
            optional(line.limit),
            holds.to_owned(),
        ];
        let _ = writeln!(out, "| {} |", cells.join(" | ")); // writing to a String cannot fail
    }
    let broken = lines.iter().filter(|line| !line.holds()).count();
    let _ = writeln!(out, "\nrows: {}, not holding: {broken}", lines.len());
    out
}

/// Three significant digits: what repeated runs agree on at best.
fn short(number: f64) -> String {
    let digits_before_point = if number == 0.0 {
        1
    } else {
        number.abs().log10().floor() as i32 + 1
    };
    let decimals = usize::try_from(3 - digits_before_point).unwrap_or(0).min(4);
    format!("{number:.decimals$}")
}

#[derive(Serialize)]
struct JsonLine<'a> {
    what: &'a str,
    ours: Option<f64>,
    peer: Option<f64>,
    peer_name: &'a str,
    unit: &'a str,
    ratio: Option<f64>,
    limit: Option<f64>,
    holds: bool,
}

/// The lines as a JSON list.
pub fn json(lines: &[Line]) -> Result<String> {
    let lines: Vec<JsonLine<'_>> = lines
        .iter()
        .map(|line| JsonLine {
            what: &line.what,
            ours: line.ours.map(|ours| ours.get(line.statistic)),
            peer: line.peer.map(|peer| peer.get(line.statistic)),
            peer_name: &line.peer_name,
            unit: &line.unit,
            ratio: line.ratio(),
            limit: line.limit,
            holds: line.holds(),
        })
        .collect();
    Ok(serde_json::to_string_pretty(&lines)? + "\n")
}

/// One line about the machine, because times do not travel and ratios do.
pub fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{model}, {cores} cores, load {load} at the end\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(
            Measured::of(&[3.0, 1.0, 2.0]),
            Some(Measured {
                min: 1.0,
                median: 2.0
            })
        );
        assert_eq!(
            Measured::of(&[4.0, 1.0]),
            Some(Measured {
                min: 1.0,
                median: 2.5
            })
        );
        assert_eq!(Measured::of(&[]), None);
    }

    #[test]
    fn a_budget_holds_up_to_itself() {
        let line = |ours, budget| Line::counted("what", "packages", Measured::exact(ours), budget);
        assert!(line(5.0, 5.0).holds());
        assert!(!line(6.0, 5.0).holds());
        assert!(line(0.0, 0.0).holds(), "no allocation of none");
        assert!(!line(1.0, 0.0).holds());
        assert_eq!(line(1.0, 0.0).ratio(), None, "JSON has no infinity");
    }

    #[test]
    fn three_digits_are_shown() {
        let shown = [0.0, 0.061, 0.4, 9.123, 41.25, 1234.5, 0.000_04].map(short);
        assert_eq!(
            shown,
            ["0.00", "0.0610", "0.400", "9.12", "41.2", "1234", "0.0000"]
        );
    }
}
