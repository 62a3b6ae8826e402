//! Many batches of a table become one, in the order in which segments keep their rows.
//!
//! Batches have columns for the attributes that their own rows had. Here an attribute keeps a column where enough rows
//! have it; the values of others, and those of a type that most do not have, go into the column of the rest.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, FixedSizeBinaryArray, RecordBatch, StringBuilder,
        UInt32Array,
    },
    compute::{SortColumn, concat, lexsort_to_indices, take_record_batch},
    datatypes::{DataType, Field, Fields, Float64Type, Int64Type, Schema},
    error::ArrowError,
};
use radiosonde_core::hash::FoldState;

use crate::{
    columns::{push_json, push_json_text},
    rollup,
    row::Value,
    table::{ATTRIBUTE_PREFIX, REST, Table, missing},
};

/// An attribute has a column where one row in so many has it.
const ROWS_PER_VALUE_MAX: usize = 100;
/// Most attribute columns of a segment.
const ATTRIBUTES_MAX: usize = 200;

/// The rows of `batches` in one, sorted: spans by trace, traces by their earliest start; logs and profiles by time; points
/// by series and time; operations by minute, each once.
pub(crate) fn merged(table: Table, batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    if table == Table::Operations {
        return rollup::of_rollups(batches);
    }
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let kept = kept(batches, rows);
    let mut fields = table.columns();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len() + kept.len());
    for field in &fields {
        columns.push(if field.name() == REST {
            rest(batches, &kept)?
        } else {
            concatenated(batches, field)?
        });
    }
    for field in kept {
        columns.push(concatenated(batches, &field)?);
        fields.push(field);
    }
    let whole = RecordBatch::try_new(Arc::new(Schema::new(Fields::from(fields))), columns)?;
    sorted(table, &whole)
}

/// The attributes that keep a column, by how many rows have them.
fn kept(batches: &[RecordBatch], rows: usize) -> Vec<Arc<Field>> {
    let mut counts: HashMap<(&str, &DataType), usize> = HashMap::new();
    for batch in batches {
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if field.name().starts_with(ATTRIBUTE_PREFIX) {
                *counts.entry((field.name(), field.data_type())).or_default() +=
                    column.len() - column.null_count();
            }
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // The commonest type of a name comes first; names stand where two are as common.
    counts.sort_by(|(a, a_rows), (b, b_rows)| {
        (Reverse(a_rows), a.0, a.1.to_string()).cmp(&(Reverse(b_rows), b.0, b.1.to_string()))
    });
    let mut kept: Vec<Arc<Field>> = Vec::new();
    for ((name, data_type), with) in counts {
        if kept.len() == ATTRIBUTES_MAX || with * ROWS_PER_VALUE_MAX < rows {
            break;
        }
        if !kept.iter().any(|field| field.name() == name) {
            kept.push(Arc::new(Field::new(name, data_type.clone(), true)));
        }
    }
    kept
}

/// The column of `field` in all batches; what stands for nothing where a batch has none of this type.
fn concatenated(batches: &[RecordBatch], field: &Field) -> Result<ArrayRef, ArrowError> {
    let columns: Vec<ArrayRef> = batches
        .iter()
        .map(|batch| match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
            _ => missing(field, batch.num_rows()),
        })
        .collect();
    let columns: Vec<&dyn arrow::array::Array> = columns.iter().map(AsRef::as_ref).collect();
    concat(&columns)
}

/// The column of the rest in all batches, with the values of attributes that keep no column.
fn rest(batches: &[RecordBatch], kept: &[Arc<Field>]) -> Result<ArrayRef, ArrowError> {
    let columns: Result<Vec<ArrayRef>, _> =
        batches.iter().map(|batch| rest_of(batch, kept)).collect();
    let columns = columns?;
    let columns: Vec<&dyn arrow::array::Array> = columns.iter().map(AsRef::as_ref).collect();
    concat(&columns)
}

/// All attributes of each row as a JSON object; null where it has none.
pub(crate) fn folded(batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    rest_of(batch, &[])
}

fn rest_of(batch: &RecordBatch, kept: &[Arc<Field>]) -> Result<ArrayRef, ArrowError> {
    let schema = batch.schema_ref();
    let own = batch
        .column_by_name(REST)
        .ok_or_else(|| ArrowError::SchemaError(format!("a batch has no column {REST}")))?;
    let is_kept = |field: &Field| {
        kept.iter()
            .any(|kept| kept.name() == field.name() && kept.data_type() == field.data_type())
    };
    let moved: Vec<(&str, &ArrayRef)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| !is_kept(field))
        .filter_map(|(field, column)| Some((field.name().strip_prefix(ATTRIBUTE_PREFIX)?, column)))
        .collect();
    if moved.is_empty() {
        return Ok(Arc::clone(own));
    }
    let own = own.as_string::<i32>();
    let mut rest = StringBuilder::with_capacity(own.len(), own.value_data().len());
    let mut json = String::new();
    for row in 0..own.len() {
        json.clear();
        let own = own.is_valid(row).then(|| own.value(row));
        push_object(&mut json, &moved, own, row);
        rest.append_option((!json.is_empty()).then_some(&json));
    }
    Ok(Arc::new(rest.finish()))
}

/// Appends a row's attributes as a JSON object: those of `columns`, then those of the object `rest`, so that of a name
/// that was given twice the last value stands last. Nothing where there is none.
pub(crate) fn push_object(
    json: &mut String,
    columns: &[(&str, &ArrayRef)],
    rest: Option<&str>,
    row: usize,
) {
    let start = json.len();
    for (key, column) in columns.iter().filter(|(_, column)| column.is_valid(row)) {
        json.push(if json.len() == start { '{' } else { ',' });
        push_json_text(json, key);
        json.push(':');
        push_json(json, value(column, row));
    }
    match rest.and_then(|rest| rest.strip_prefix('{')) {
        Some(rest) => {
            json.push(if json.len() == start { '{' } else { ',' });
            json.push_str(rest);
        }
        None if json.len() > start => json.push('}'),
        None => {}
    }
}

/// The value of an attribute's column in a row in which it has one.
pub(crate) fn value(column: &ArrayRef, row: usize) -> Value<'_> {
    match column.data_type() {
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Value::Text(column.as_string::<i32>().value(row)),
        _ => Value::Json("null"),
    }
}

fn sorted(table: Table, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |name| {
        batch
            .column_by_name(name)
            .map(Arc::clone)
            .ok_or_else(|| ArrowError::SchemaError(format!("a batch has no column {name}")))
    };
    let order = match table {
        Table::Spans => by_trace(&column("trace_id")?, &column("start_time")?),
        Table::Logs | Table::Profiles | Table::Operations => by(&[column(table.time_column())?])?,
        Table::Points => by(&[column("series")?, column("time")?])?,
    };
    take_record_batch(batch, &order)
}

fn by(columns: &[ArrayRef]) -> Result<UInt32Array, ArrowError> {
    let columns: Vec<SortColumn> = columns
        .iter()
        .map(|values| SortColumn {
            values: Arc::clone(values),
            options: None,
        })
        .collect();
    lexsort_to_indices(&columns, None)
}

/// Spans of a trace together, traces in the order of their earliest start: identifiers repeat where they are near, and a
/// trace is read in one piece.
fn by_trace(trace_ids: &ArrayRef, starts: &ArrayRef) -> UInt32Array {
    let trace_ids = trace_ids.as_fixed_size_binary();
    let starts = starts.as_primitive::<Int64Type>();
    let mut earliest: HashMap<u128, i64, FoldState> = HashMap::default();
    for row in 0..starts.len() {
        let first = earliest
            .entry(trace_number(trace_ids, row))
            .or_insert(i64::MAX);
        *first = (*first).min(starts.value(row));
    }
    let mut order: Vec<_> = (0..starts.len())
        .map(|row| {
            let trace = trace_number(trace_ids, row);
            let first = earliest.get(&trace).copied().unwrap_or_default();
            (first, trace, starts.value(row), row as u32)
        })
        .collect();
    order.sort_unstable();
    UInt32Array::from_iter_values(order.into_iter().map(|(_, _, _, row)| row))
}

/// A trace's identifier as a number, in the order of its bytes.
pub(crate) fn trace_number(trace_ids: &FixedSizeBinaryArray, row: usize) -> u128 {
    trace_ids
        .value(row)
        .try_into()
        .map_or(0, u128::from_be_bytes)
}
