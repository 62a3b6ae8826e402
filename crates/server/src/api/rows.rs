//! Statements and their rows.

use std::fmt::Write as _;

use radiosonde_store::query::{Answer, Cell};
use serde_json::value::RawValue;

/// The rows of an answer, each read from left to right.
#[derive(Debug)]
pub(crate) struct Rows {
    rows: std::vec::IntoIter<Vec<Cell>>,
    /// There were more.
    pub(super) more: bool,
}

/// A row, read from left to right. What is not there or of another type reads as nothing, zero or empty.
#[derive(Debug)]
pub(super) struct Row(std::vec::IntoIter<Cell>);

impl Rows {
    pub(crate) fn new(answer: Answer) -> Self {
        Self {
            more: answer.is_truncated,
            rows: answer.rows.into_iter(),
        }
    }
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        self.rows.next().map(|cells| Row(cells.into_iter()))
    }
}

impl Row {
    pub(crate) fn text(&mut self) -> String {
        self.text_or_none().unwrap_or_default()
    }

    pub(super) fn text_or_none(&mut self) -> Option<String> {
        match self.0.next() {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(&mut self) -> i64 {
        match self.0.next() {
            Some(Cell::Int(number)) => number,
            Some(Cell::Float(number)) => number as i64,
            _ => 0,
        }
    }

    pub(crate) fn number(&mut self) -> Option<f64> {
        match self.0.next() {
            Some(Cell::Int(number)) => Some(number as f64),
            Some(Cell::Float(number)) => Some(number),
            _ => None,
        }
    }

    /// JSON that the store has as text; `null` where it is none.
    pub(super) fn json(&mut self) -> Box<RawValue> {
        let text = self.text_or_none().unwrap_or_default();
        RawValue::from_string(text).unwrap_or_default()
    }
}

/// Text as SQL writes it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Several texts as SQL writes them in a list; a list of nothing matches nothing.
pub(crate) fn literals<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut list = String::new();
    for text in texts {
        let comma = if list.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(list, "{comma}{}", literal(text.as_ref()));
    }
    if list.is_empty() {
        "''".to_owned()
    } else {
        list
    }
}

/// Trace IDs, which are hexadecimal, as SQL writes them in a list.
pub(super) fn trace_ids<T: AsRef<str>>(ids: impl IntoIterator<Item = T>) -> String {
    let plain = |id: &T| id.as_ref().bytes().all(|byte| byte.is_ascii_hexdigit());
    let ids = ids.into_iter().filter(plain);
    literals(ids)
}

/// What [`joined`] puts between names: no name has it.
const SEPARATOR: char = '\u{1f}';

/// The distinct values of a column, as one text.
pub(super) fn joined(column: &str) -> String {
    format!("string_agg(DISTINCT {column}, '{SEPARATOR}')")
}

/// The names in a text that [`joined`] made, in order.
pub(super) fn split(text: &str) -> Vec<String> {
    let names = text.split(SEPARATOR).filter(|name| !name.is_empty());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// How many spans there were, by those that were kept: each stands for `weight`.
pub(super) fn spans_counted(weight: &str) -> String {
    format!("CAST(round(sum({weight})) AS BIGINT)")
}

/// How many of them failed.
pub(super) fn spans_failed(status: &str, weight: &str) -> String {
    format!("CAST(round(sum(CASE WHEN {status} = 'error' THEN {weight} ELSE 0 END)) AS BIGINT)")
}

/// A quantile of a column of spans, within a percent.
pub(super) fn quantile(of: f64, column: &str, weight: &str) -> String {
    format!("quantile(sketch({column}, {weight}), {of})")
}

/// Nanoseconds as milliseconds, which JavaScript's numbers hold.
pub(super) fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_quotes() {
        assert_eq!(
            literal("it's; DROP TABLE spans --"),
            "'it''s; DROP TABLE spans --'"
        );
        assert_eq!(literals(["a", "b'"]), "'a', 'b'''");
        assert_eq!(literals::<&str>([]), "''");
    }

    #[test]
    fn joined_names_come_apart_in_order() {
        assert_eq!(split("b\u{1f}a"), ["a", "b"]);
        assert!(split("").is_empty());
    }
}
