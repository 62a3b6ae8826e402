//! Rows as ClickHouse takes them: a stream of Arrow with one batch.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, DictionaryArray, Int32Array, Int64Array, RecordBatch,
        StringArray, UInt32Array,
    },
    datatypes::{DataType, Field, Int32Type, Schema},
    error::ArrowError,
    ipc::{
        CompressionType,
        writer::{IpcWriteOptions, StreamWriter},
    },
};
use radiosonde_core::hash::FoldState;

use super::tables::{ORIGIN, column_name};
use crate::{
    merge,
    table::{REST, Table},
};

/// The rows with all their attributes in one column, and where they are from.
pub(super) fn stamped(
    table: Table,
    rows: &RecordBatch,
    writer: i64,
    stamp: i64,
    arrived: u32,
) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for field in table.columns() {
        let column = if field.name() == REST {
            merge::folded(rows)?
        } else {
            let column = rows.column_by_name(field.name()).ok_or_else(|| {
                ArrowError::SchemaError(format!("a batch has no column {}", field.name()))
            })?;
            distinct(column)?
        };
        let kind = column.data_type().clone();
        fields.push(Field::new(
            column_name(field.name()),
            kind,
            field.is_nullable(),
        ));
        columns.push(column);
    }
    let count = rows.num_rows();
    let origin: [ArrayRef; 3] = [
        Arc::new(Int64Array::from(vec![writer; count])),
        Arc::new(Int64Array::from(vec![stamp; count])),
        Arc::new(UInt32Array::from(vec![arrived; count])),
    ];
    for ((name, _), column) in ORIGIN.iter().zip(origin) {
        fields.push(Field::new(*name, column.data_type().clone(), false));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// A column of labels with each text once, without which ClickHouse takes none; any other column as it is.
fn distinct(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !matches!(column.data_type(), DataType::Dictionary(..)) {
        return Ok(Arc::clone(column));
    }
    let labels = column.as_dictionary::<Int32Type>();
    let texts = labels.values().as_string::<i32>();
    let mut numbers: HashMap<&str, i32, FoldState> = HashMap::default();
    let mut kept = Vec::new();
    let mut by_text = vec![None; texts.len()];
    let mut number_of = |key: i32| {
        let at = key as usize;
        *by_text[at].get_or_insert_with(|| {
            let text = texts.value(at);
            *numbers.entry(text).or_insert_with(|| {
                kept.push(text);
                kept.len() as i32 - 1
            })
        })
    };
    // Texts that no row has any more are left out as well.
    let keys: Int32Array = labels
        .keys()
        .iter()
        .map(|key| key.map(&mut number_of))
        .collect();
    let texts = Arc::new(StringArray::from_iter_values(kept));
    Ok(Arc::new(DictionaryArray::try_new(keys, texts)?))
}

/// A stream of one batch.
pub(super) fn stream(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let options =
        IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new_with_options(&mut bytes, &rows.schema(), options)?;
    writer.write(rows)?;
    writer.finish()?;
    drop(writer);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_is_there_once_and_only_where_a_row_has_it() {
        let keys = Int32Array::from(vec![Some(3), Some(0), None, Some(2)]);
        let texts = Arc::new(StringArray::from(vec!["a", "unused", "a", "b"]));
        let labels: ArrayRef = Arc::new(DictionaryArray::try_new(keys, texts).unwrap());
        let column = distinct(&labels).unwrap();
        let column = column.as_dictionary::<Int32Type>();
        let texts: Vec<_> = column
            .values()
            .as_string::<i32>()
            .iter()
            .flatten()
            .collect();
        assert_eq!(texts, ["b", "a"]);
        let keys: Vec<_> = column.keys().iter().collect();
        assert_eq!(keys, [Some(0), Some(1), None, Some(1)]);
    }
}
