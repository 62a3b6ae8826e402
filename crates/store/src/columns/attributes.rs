//! A column for each attribute, and one for what has none.

use std::{cmp::Reverse, collections::HashMap, fmt::Write as _, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringArray,
        StringBuilder,
    },
    datatypes::Field,
};
use radiosonde_core::hash::FoldState;

use super::{Attributes, KEYS_MAX, Value};
use crate::{merge::push_object, table::ATTRIBUTE_PREFIX};

/// How many more places without a value than with one the columns of a batch have at most: a few keys in one of many rows cost no
/// more than that. Values for which there would be more go to the rest.
const IDLE_MAX: usize = 2 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct AttributeColumns {
    columns: Vec<Column>,
    numbers: HashMap<String, usize, FoldState>,
    places: Places,
    /// Rows' JSON objects of what has no column.
    rest: StringBuilder,
    /// The rest of the row at hand.
    row: String,
}

/// Places of columns so far.
#[derive(Debug, Default)]
struct Places {
    filled: usize,
    idle: usize,
}

impl Places {
    /// Whether there may be so many more without a value.
    const fn may_idle(&self, more: usize) -> bool {
        self.idle + more <= self.filled + IDLE_MAX
    }
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
                self.columns[number].push(row, value, &mut self.places)
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
        let short = self.short(rows);
        let (mut columns, mut moved) = (Vec::with_capacity(self.columns.len()), Vec::new());
        for (column, is_short) in self.columns.into_iter().zip(short) {
            if is_short {
                let (key, length) = (column.key.clone(), column.rows);
                moved.push((key, column.finish(length).1));
            } else {
                columns.push(column.finish(rows));
            }
        }
        let mut rest = self.rest.finish();
        if !moved.is_empty() {
            rest = with_moved(&rest, &moved);
        }
        (Arc::new(rest), columns)
    }

    /// Which columns end so early that there would be too many places without a value if they were filled up.
    fn short(&self, rows: usize) -> Vec<bool> {
        let mut order: Vec<usize> = (0..self.columns.len()).collect();
        order.sort_by_key(|number| Reverse(self.columns[*number].rows));
        let mut short = vec![false; order.len()];
        let mut missing = 0;
        for number in order {
            missing += rows - self.columns[number].rows;
            short[number] = !self.places.may_idle(missing);
        }
        short
    }
}

/// The rest's column with the values of columns that are no more.
fn with_moved(rest: &StringArray, moved: &[(String, ArrayRef)]) -> StringArray {
    let mut whole = StringBuilder::with_capacity(rest.len(), rest.value_data().len());
    let mut json = String::new();
    for row in 0..rest.len() {
        let own = rest.is_valid(row).then(|| rest.value(row));
        let here = moved.iter().filter(|(_, values)| row < values.len());
        let here: Vec<(&str, &ArrayRef)> =
            here.map(|(key, values)| (key.as_str(), values)).collect();
        json.clear();
        push_object(&mut json, &here, own, row);
        whole.append_option((!json.is_empty()).then_some(&json));
    }
    whole.finish()
}

impl Column {
    /// Takes the value of `row` where it has this column's type, is the row's first, and leaves not too many rows before it
    /// without one.
    fn push(&mut self, row: usize, value: Value<'_>, places: &mut Places) -> bool {
        if self.rows > row {
            return false;
        }
        let missing = row - self.rows;
        if !places.may_idle(missing) {
            return false;
        }
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
        places.filled += 1;
        places.idle += missing;
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

#[cfg(test)]
mod tests {
    use arrow::array::AsArray as _;

    use super::*;

    const ROWS: usize = 100_000;

    /// Which rows have keys, in words and as a rule.
    type Case = (&'static str, fn(usize) -> bool);

    /// So many rows, of which those that `has` says have as many keys as there may be columns, each with the row's number.
    fn finished(rows: usize, has: impl Fn(usize) -> bool) -> (ArrayRef, Vec<(Field, ArrayRef)>) {
        let keys: Vec<String> = (0..KEYS_MAX).map(|number| format!("k{number}")).collect();
        let mut columns = AttributeColumns::default();
        for row in 0..rows {
            let value = Value::Int(row as i64);
            let of_row: Vec<(&str, Value<'_>)> = if has(row) {
                keys.iter().map(|key| (key.as_str(), value)).collect()
            } else {
                Vec::new()
            };
            columns.push(row, &of_row);
        }
        columns.finish(rows)
    }

    /// The value of a key in a row, wherever it is.
    fn value(found: &(ArrayRef, Vec<(Field, ArrayRef)>), key: &str, row: usize) -> Option<i64> {
        let (rest, columns) = found;
        let name = format!("{ATTRIBUTE_PREFIX}{key}");
        let column = columns.iter().find(|(field, _)| *field.name() == name);
        let numbers =
            column.map(|(_, values)| values.as_primitive::<arrow::datatypes::Int64Type>());
        if let Some(numbers) = numbers.filter(|numbers| numbers.is_valid(row)) {
            return Some(numbers.value(row));
        }
        let rest = rest.as_string::<i32>();
        let object = rest.is_valid(row).then(|| rest.value(row))?;
        let object: serde_json::Value = serde_json::from_str(object).unwrap();
        object[key].as_i64()
    }

    #[test]
    fn keys_of_a_few_rows_do_not_cost_a_place_in_every_row() {
        let cases: [Case; 4] = [
            ("the first", |row| row == 0),
            ("the last", |row| row == ROWS - 1),
            ("both", |row| row == 0 || row == ROWS - 1),
            ("some", |row| row % 50_000 == 7),
        ];
        for (what, has) in cases {
            let found = finished(ROWS, has);
            let places: usize = found.1.iter().map(|(_, values)| values.len()).sum();
            assert!(places <= IDLE_MAX + 4 * KEYS_MAX, "{what}: {places}");
            assert_eq!(found.0.len(), ROWS);
            for row in [0, 7, 8, 50_007, ROWS - 1] {
                let expected = has(row).then_some(row as i64);
                for key in ["k0", "k100", "k255"] {
                    assert_eq!(value(&found, key, row), expected, "{what}: {key} of {row}");
                }
            }
        }
    }

    #[test]
    fn rows_that_are_alike_have_columns_however_many_they_are() {
        let found = finished(20_000, |row| row % 2 == 0);
        assert_eq!((found.1.len(), found.0.null_count()), (KEYS_MAX, 20_000));
    }
}
