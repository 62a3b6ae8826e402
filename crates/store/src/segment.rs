//! Segments: files of sorted rows that never change.
//!
//! Parquet with zstd, in types that every reader of Parquet knows. Beside each file of spans lies an index
//! of its traces ([`traces`]).
//!
//! Invariant: a file has its final name only when all of it is on the disk.

pub(crate) mod traces;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{AsArray, Float64Array, RecordBatch},
    compute::{max, min},
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema},
};
use parquet::{
    arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions},
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
    schema::types::ColumnPath,
};

use crate::{
    ClickHouseError,
    catalogue::{AttributeType, Segment},
    disk::Disk,
    table::{ATTRIBUTE_PREFIX, Table, WEIGHT},
};

/// Rows of a row group.
const GROUP_ROWS: usize = 262_144;
/// Rows of a page: what is read at least for one row.
const PAGE_ROWS: usize = 8_192;
/// How often the filter of trace identifiers may say that a trace is there that is not.
const FILTER_ERROR_RATE: f64 = 0.01;
/// Most bytes of a row group's dictionary of stacks. Each stack is written once; beyond this they would be written row by
/// row.
const STACKS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Rows handed to the writer at once, which bounds what it holds.
const WRITE_ROWS: usize = 65_536;

/// The segment's file in the data folder.
pub(crate) fn path(folder: &Path, table: Table, id: i64) -> PathBuf {
    folder.join(table.name()).join(format!("{id:012}.parquet"))
}

/// The number of the segment whose file, finished or not, has this name.
pub(crate) fn number(name: &str) -> Option<i64> {
    name.split_once('.')?.0.parse().ok()
}

/// A segment was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The rows could not be encoded.
    #[error("{path}: {source}")]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
    /// The catalogue could not be changed.
    #[error("the catalogue in {path}: {source}")]
    Catalogue {
        /// The data folder.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// ClickHouse did not take the rows.
    #[error(transparent)]
    ClickHouse(#[from] ClickHouseError),
    /// It was not done, for this reason.
    #[error("{0}")]
    Earlier(String),
}

/// Writes sorted rows as segment `id`.
pub(crate) fn write(
    disk: &dyn Disk,
    folder: &Path,
    table: Table,
    id: i64,
    rows: &RecordBatch,
    arrived_unix_ns: i64,
) -> Result<Segment, WriteError> {
    let path = path(folder, table, id);
    let rows = &without_idle_weight(rows);
    let bytes = encode(&path, table, rows)?;
    let written = put(disk, &path, &bytes).and_then(|()| match table {
        Table::Spans => put(disk, &traces::path(&path), &traces::encode(rows)),
        _ => Ok(()),
    });
    written.inspect_err(|_| discard(disk, &path))?;
    let times = rows
        .column_by_name(table.time_column())
        .map(AsArray::as_primitive::<Int64Type>);
    Ok(Segment {
        id,
        table,
        rows: rows.num_rows() as u64,
        bytes: bytes.len() as u64,
        first_unix_ns: times.and_then(min).unwrap_or(0),
        last_unix_ns: times.and_then(max).unwrap_or(0),
        arrived_unix_ns,
        level: 0,
        attributes: attributes(rows.schema_ref()),
    })
}

/// Removes the files of a segment that the catalogue does not have: a disk that is full is not to be filled by what each try
/// left. One that stays is removed when the store is opened again.
pub(crate) fn discard(disk: &dyn Disk, path: &Path) {
    let _ = disk.remove(path);
    let _ = disk.remove(&traces::path(path));
}

/// The rows without the column of weights, where every row stands for itself: what is not sampled costs nothing.
fn without_idle_weight(rows: &RecordBatch) -> RecordBatch {
    let mut rows = rows.clone();
    if let Ok(at) = rows.schema_ref().index_of(WEIGHT) {
        let weights = rows.column(at).as_primitive_opt::<Float64Type>();
        let is_idle = |weights: &Float64Array| weights.values().iter().all(|weight| *weight <= 1.0);
        if weights.is_some_and(is_idle) {
            rows.remove_column(at);
        }
    }
    rows
}

/// The attributes that have a column.
pub(crate) fn attributes(schema: &Schema) -> Arc<[(String, AttributeType)]> {
    let attribute = |field: &Arc<Field>| {
        let name = field.name().strip_prefix(ATTRIBUTE_PREFIX)?;
        let kind = match field.data_type() {
            DataType::Boolean => AttributeType::Bool,
            DataType::Int64 => AttributeType::Int,
            DataType::Float64 => AttributeType::Float,
            _ => AttributeType::Text,
        };
        Some((name.to_owned(), kind))
    };
    schema.fields().iter().filter_map(attribute).collect()
}

/// Writes a file under another name, makes it durable and gives it its own.
fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let unfinished = path.with_added_extension("tmp");
    let written = disk.remove(&unfinished).and_then(|()| {
        let mut file = disk.create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync()?;
        disk.rename(&unfinished, path)?;
        path.parent()
            .map_or(Ok(()), |folder| disk.sync_folder(folder))
    });
    written.map_err(|source| {
        // What is left of it is of no use, and may be what filled the disk.
        let _ = disk.remove(&unfinished);
        let path = path.to_owned();
        WriteError::Disk { path, source }
    })
}

fn encode(path: &Path, table: Table, rows: &RecordBatch) -> Result<Vec<u8>, WriteError> {
    let options = ArrowWriterOptions::new()
        .with_properties(properties(table, rows.schema_ref(), rows.num_rows()))
        // Readers are to see plain types, not how they were in our memory.
        .with_skip_arrow_metadata(true);
    let encoded = || {
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), rows.schema(), options)?;
        for start in (0..rows.num_rows()).step_by(WRITE_ROWS) {
            writer.write(&rows.slice(start, WRITE_ROWS.min(rows.num_rows() - start)))?;
        }
        writer.into_inner()
    };
    encoded().map_err(|source| {
        let path = path.to_owned();
        WriteError::Encode { path, source }
    })
}

/// How columns are encoded, by what repeats in them.
fn properties(table: Table, schema: &Schema, rows: usize) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page);
    // Of a span there may be many samples, but one row of spans.
    let is_repeated = matches!(table, Table::Spans | Table::Profiles);
    for field in schema.fields() {
        let column = ColumnPath::from(field.name().as_str());
        properties = match (field.name().as_str(), field.data_type()) {
            ("trace_id", _) => properties
                .set_column_dictionary_enabled(column.clone(), is_repeated)
                .set_column_bloom_filter_enabled(column.clone(), true)
                .set_column_bloom_filter_fpp(column.clone(), FILTER_ERROR_RATE)
                .set_column_bloom_filter_max_ndv(column, rows.min(GROUP_ROWS) as u64),
            ("span_id", _) if table == Table::Profiles => properties,
            ("stack", _) => properties
                .set_column_dictionary_page_size_limit(column.clone(), STACKS_BYTES_MAX)
                .set_column_statistics_enabled(column, EnabledStatistics::None),
            ("span_id" | "parent_span_id", _) => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_statistics_enabled(column, EnabledStatistics::None),
            // One after the other as they are: no two are alike, and all are read.
            ("durations", _) => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
                .set_column_statistics_enabled(column, EnabledStatistics::None),
            ("start_time" | "time" | "minute" | "duration" | "duration_max", _) => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED),
            ("body", _) => properties.set_column_dictionary_enabled(column, false),
            (_, DataType::Float64) => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT),
            _ => properties,
        };
    }
    properties.build()
}
