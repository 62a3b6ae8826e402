//! A column for each attribute, and one for what has none.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder},
    datatypes::Field,
};
use radiosonde_core::hash::FoldState;

use super::{Attributes, KEYS_MAX, Value};
use crate::table::ATTRIBUTE_PREFIX;

#[derive(Debug, Default)]
pub(super) struct AttributeColumns {
    columns: Vec<Column>,
    numbers: HashMap<String, usize, FoldState>,
    /// Rows' JSON objects of what has no column.
    rest: StringBuilder,
    /// The rest of the row at hand.
    row: String,
}

#[derive(Debug)]
struct Column {
    key: String,
    rows: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
}

impl AttributeColumns {
    /// Takes the attributes of row `row`; rows come in order and none is left out.
    pub(super) fn push(&mut self, row: usize, attributes: Attributes<'_>) {
        // Rows that are alike have the same keys in the same order.
        let mut likely = 0;
        for &(key, value) in attributes {
            let number = match self.columns.get(likely) {
                Some(column) if column.key == key => Some(likely),
                _ => self.number(key, value),
            };
            let is_kept = number.is_some_and(|number| {
                likely = number + 1;
                self.columns[number].push(row, value)
            });
            if !is_kept {
                self.push_rest(key, value);
            }
        }
        if self.row.is_empty() {
            self.rest.append_null();
        } else {
            self.row.push('}');
            self.rest.append_value(&self.row);
            self.row.clear();
        }
    }

    /// The column of `key`, which is made for `value` where there is none and may be one.
    fn number(&mut self, key: &str, value: Value<'_>) -> Option<usize> {
        if let Some(&number) = self.numbers.get(key) {
            return Some(number);
        }
        let number = self.columns.len();
        let values = Values::for_value(value).filter(|_| number < KEYS_MAX)?;
        self.columns.push(Column {
            key: key.to_owned(),
            rows: 0,
            values,
        });
        self.numbers.insert(key.to_owned(), number);
        Some(number)
    }

    fn push_rest(&mut self, key: &str, value: Value<'_>) {
        self.row.push(if self.row.is_empty() { '{' } else { ',' });
        push_json_text(&mut self.row, key);
        self.row.push(':');
        push_json(&mut self.row, value);
    }

    /// The rest's column, and those of attributes, each with `rows` rows.
    pub(super) fn finish(mut self, rows: usize) -> (ArrayRef, Vec<(Field, ArrayRef)>) {
        let columns = self.columns.into_iter().map(|column| column.finish(rows));
        (Arc::new(self.rest.finish()), columns.collect())
    }
}

impl Column {
    /// Takes the value of `row` where it has this column's type and is the row's first.
    fn push(&mut self, row: usize, value: Value<'_>) -> bool {
        if self.rows > row {
            return false;
        }
        let missing = row - self.rows;
        match (&mut self.values, value) {
            (Values::Bool(values), Value::Bool(value)) => {
                values.append_nulls(missing);
                values.append_value(value);
            }
            (Values::Int(values), Value::Int(value)) => {
                values.append_nulls(missing);
                values.append_value(value);
            }
            (Values::Float(values), Value::Float(value)) => {
                values.append_nulls(missing);
                values.append_value(value);
            }
            (Values::Text(values), Value::Text(value)) => {
                values.append_nulls(missing);
                values.append_value(value);
            }
            _ => return false,
        }
        self.rows = row + 1;
        true
    }

    fn finish(self, rows: usize) -> (Field, ArrayRef) {
        let missing = rows - self.rows;
        let values: ArrayRef = match self.values {
            Values::Bool(mut values) => {
                values.append_nulls(missing);
                Arc::new(values.finish())
            }
            Values::Int(mut values) => {
                values.append_nulls(missing);
                Arc::new(values.finish())
            }
            Values::Float(mut values) => {
                values.append_nulls(missing);
                Arc::new(values.finish())
            }
            Values::Text(mut values) => {
                values.append_nulls(missing);
                Arc::new(values.finish())
            }
        };
        let name = format!("{ATTRIBUTE_PREFIX}{}", self.key);
        (Field::new(name, values.data_type().clone(), true), values)
    }
}

impl Values {
    fn for_value(value: Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Bool(_) => Self::Bool(BooleanBuilder::new()),
            Value::Int(_) => Self::Int(Int64Builder::new()),
            Value::Float(_) => Self::Float(Float64Builder::new()),
            Value::Text(_) => Self::Text(StringBuilder::new()),
            Value::Json(_) => return None,
        })
    }
}

/// Appends `value` as JSON. Numbers that JSON has no words for become text.
pub(crate) fn push_json(out: &mut String, value: Value<'_>) {
    // Writing to a string does not fail.
    let _ = match value {
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Float(value) if value.is_finite() => write!(out, "{value:?}"),
        Value::Float(value) => write!(out, "\"{value}\""),
        Value::Text(text) => {
            push_json_text(out, text);
            Ok(())
        }
        Value::Json(json) => out.write_str(json),
    };
}

/// Appends `text` as a JSON string.
pub(crate) fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !matches!(byte, b'"' | b'\\' | 0..0x20) {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}
