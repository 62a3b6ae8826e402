//! What the benches promise: one row of the table.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Which number of the samples is compared.
///
/// The least is the cost itself where one thread runs undisturbed; the median is what happens where threads meet.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Statistic {
    Min,
    #[default]
    Median,
}

/// One row: our measure, and either a peer's with the most that ours may be of it, or a budget of its own.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub what: String,
    pub unit: String,
    /// Our side, as `CASE:MEASURE`.
    pub ours: String,
    /// The peer's side, as `CASE:MEASURE`.
    #[serde(default)]
    pub peer: Option<String>,
    /// The peer's name and version.
    #[serde(default)]
    pub peer_name: Option<String>,
    #[serde(default)]
    pub statistic: Statistic,
    /// The most that ours may be, as a part of the peer's; without it the ratio is only shown.
    #[serde(default)]
    pub limit: Option<f64>,
    /// The most that ours may be, in the row's unit.
    #[serde(default)]
    pub budget: Option<f64>,
}

impl Row {
    /// Whether a user who asked for `prefix` means this row.
    pub fn is_named(&self, prefix: Option<&str>) -> bool {
        prefix.is_none_or(|prefix| self.what.starts_with(prefix) || self.ours.starts_with(prefix))
    }

    fn check(&self) -> Result<()> {
        let is_measure = |name: &str| {
            name.split_once(':')
                .is_some_and(|(case, measure)| !case.is_empty() && !measure.is_empty())
        };
        ensure!(
            is_measure(&self.ours),
            "`ours` is not CASE:MEASURE: {}",
            self.ours
        );
        ensure!(
            self.peer.as_deref().is_none_or(is_measure),
            "`peer` is not CASE:MEASURE: {:?}",
            self.peer
        );
        ensure!(
            self.peer.is_some() != self.budget.is_some(),
            "a row has either a peer or a budget"
        );
        ensure!(
            self.peer.is_some() == self.peer_name.is_some(),
            "a peer has a name"
        );
        ensure!(
            self.limit.is_none() || self.peer.is_some(),
            "a limit is a part of a peer's measure"
        );
        Ok(())
    }
}

/// Reads the rows that the benches print.
pub fn parse(text: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let row: Row = serde_json::from_str(line).with_context(|| format!("not a row: {line}"))?;
        row.check().with_context(|| format!("row `{}`", row.what))?;
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_peer_or_a_budget() {
        let rows = parse(concat!(
            r#"{"what":"a","unit":"ns","ours":"x:caller","peer":"y:caller","peer_name":"y","limit":0.4,"statistic":"min"}"#,
            "\n\n",
            r#"{"what":"b","unit":"allocations","ours":"x:allocations","budget":0}"#,
        ))
        .unwrap();
        assert_eq!(rows[0].statistic, Statistic::Min);
        assert_eq!(
            (rows[1].statistic, rows[1].budget),
            (Statistic::Median, Some(0.0))
        );
    }

    #[test]
    fn rows_that_promise_nothing_or_twice_are_refused() {
        for bad in [
            r#"{"what":"a","unit":"ns","ours":"x:caller"}"#,
            r#"{"what":"a","unit":"ns","ours":"x","budget":1}"#,
            r#"{"what":"a","unit":"ns","ours":"x:c","budget":1,"limit":1}"#,
            r#"{"what":"a","unit":"ns","ours":"x:c","peer":"y:c"}"#,
            r#"{"what":"a","unit":"ns","ours":"x:c","peer":"y:c","peer_name":"y","budget":1}"#,
            r#"{"what":"a","unit":"ns","ours":"x:c","budgit":1}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rows_are_chosen_by_their_text_or_their_case() {
        let row = &parse(
            r#"{"what":"counter handle","unit":"ns","ours":"metric.counter:caller","budget":1}"#,
        )
        .unwrap()[0];
        for (prefix, is_named) in [
            (None, true),
            (Some("counter"), true),
            (Some("metric."), true),
            (Some("handle"), false),
        ] {
            assert_eq!(row.is_named(prefix), is_named, "{prefix:?}");
        }
    }
}
