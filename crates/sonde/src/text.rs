//! Answers as text for people: tables, times, durations.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use radiosonde_answers::units::Nanoseconds;
use serde_json::Value;

/// Widest cell of a table but the last, in characters.
const CELL_WIDTH_MAX: usize = 60;

/// On which side of a column its cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// A table with a heading. Cells are made fit to be shown; the last column is as wide as it likes.
pub fn table(headings: &[(&str, Side)], rows: &[Vec<String>]) -> String {
    let last = headings.len().saturating_sub(1);
    let shown: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .enumerate()
                .map(|(at, cell)| fit(cell, at < last))
                .collect()
        })
        .collect();
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(at, (heading, _))| {
            let cells = shown.iter().filter_map(|row| row.get(at));
            cells
                .map(|cell| cell.chars().count())
                .chain([heading.chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    let names: Vec<String> = headings
        .iter()
        .map(|(heading, _)| (*heading).to_owned())
        .collect();
    for row in std::iter::once(&names).chain(&shown) {
        let mut line = String::new();
        for (at, ((_, side), width)) in headings.iter().zip(&widths).enumerate() {
            let cell = row.get(at).map_or("", String::as_str);
            // Writing to a string does not fail.
            let _ = match side {
                Side::Left if at == last => write!(line, "{cell}"),
                Side::Left => write!(line, "{cell:<width$}  "),
                Side::Right => write!(line, "{cell:>width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One line without control characters, which a terminal would obey, cut where it is long.
fn fit(cell: &str, is_bounded: bool) -> String {
    let cell = plain(cell);
    if !is_bounded || cell.chars().count() <= CELL_WIDTH_MAX {
        return cell;
    }
    cell.chars().take(CELL_WIDTH_MAX - 1).chain(['…']).collect()
}

/// Text without control characters.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A duration of nanoseconds.
pub fn duration(value: &Value) -> String {
    value.as_f64().map_or_else(String::new, |ns| {
        Nanoseconds(ns.max(0.0) as u64).to_string()
    })
}

/// A moment in milliseconds since the Unix epoch, as `2026-11-28 21:30:05.123` in UTC.
pub fn time(value: &Value) -> String {
    let time = value
        .as_f64()
        .and_then(|ms| DateTime::<Utc>::from_timestamp_micros((ms * 1e3) as i64));
    time.map_or_else(String::new, |time| {
        time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
    })
}

/// A moment in nanoseconds since the Unix epoch, in the same form.
pub fn time_ns(value: &Value) -> String {
    value.as_u64().map_or_else(String::new, |ns| {
        let time = DateTime::<Utc>::from_timestamp_nanos(i64::try_from(ns).unwrap_or(i64::MAX));
        time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
    })
}

/// A member as text: a text as it is, anything else as JSON, nothing as nothing.
pub fn member(object: &Value, name: &str) -> String {
    match &object[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The members of a list, of which there may be none.
pub fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object[name].as_array().map_or(&[], Vec::as_slice)
}

/// Attributes as `name=value`, in order.
pub fn attributes(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let pairs = pairs.map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}

/// One JSON document and an end of line.
pub fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [
            vec!["a".into(), "12".into(), "first\nsecond".into()],
            vec!["longer".into(), "3".into(), String::new()],
        ];
        let text = table(
            &[
                ("name", Side::Left),
                ("n", Side::Right),
                ("text", Side::Left),
            ],
            &rows,
        );
        assert_eq!(
            text,
            "name     n  text\na       12  first second\nlonger   3\n"
        );
    }

    #[test]
    fn values_are_shown_as_people_read_them() {
        assert_eq!(duration(&json!(1_500_000)), "1.5 ms");
        assert_eq!(time(&json!(1_700_000_000_123.4)), "2023-11-14 22:13:20.123");
        assert_eq!(attributes(&json!({"a": 1, "b": "x"})), "a=1 b=x");
        assert_eq!(plain("a\u{1b}[31mb"), "a [31mb");
    }
}
