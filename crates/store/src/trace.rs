//! A trace by its identifier: its spans and what was logged in it.

use std::fs::File;

use arrow::{
    array::{Array as _, AsArray, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    error::ArrowError,
};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter, RowSelection, RowSelector,
        },
    },
    data_type::FixedLenByteArray,
    errors::ParquetError,
};
use radiosonde_core::{ids::TraceId, model::Record};

use crate::{
    merge::trace_number,
    query::QueryError,
    read::{Kept, Reader},
    segment::traces::{self, Run},
    shared::{Held, Shared},
    table::Table,
};

/// The records of `trace`: its spans by their start, then logs and events by their time. A span that was sent twice is
/// there once.
pub(crate) fn records(shared: &Shared, trace: TraceId) -> Result<Vec<Kept>, QueryError> {
    let mut reader = Reader::default();
    let mut records = rows(shared, Table::Spans, trace, &mut |batch| {
        reader.spans(batch)
    })?;
    records.sort_by_key(key);
    records.dedup_by_key(|kept| key(kept));
    let mut logs = rows(shared, Table::Logs, trace, &mut |batch| reader.logs(batch))?;
    logs.sort_by_key(key);
    records.append(&mut logs);
    Ok(records)
}

/// What tells two records of a kind apart, in order of time.
pub(crate) const fn key(kept: &Kept) -> (u64, u64) {
    match &kept.record {
        Record::Span(span) => (span.start_unix_ns, span.span_id.bits()),
        Record::Log(log) => (log.time_unix_ns, 0),
        Record::Event(event) => (event.time_unix_ns, 0),
    }
}

fn rows(
    shared: &Shared,
    table: Table,
    trace: TraceId,
    read: &mut dyn FnMut(&RecordBatch) -> Result<Vec<Kept>, ArrowError>,
) -> Result<Vec<Kept>, QueryError> {
    let snapshot = shared.snapshot(table);
    let id = trace;
    let trace = id.bits();
    let mut found = Vec::new();
    if let Some(elsewhere) = &snapshot.elsewhere {
        for batch in elsewhere.of_traces(&[id], None)? {
            found.append(&mut read(&of_trace(&batch?, trace)?)?);
        }
    }
    for held in &snapshot.segments {
        let failed =
            |error: ParquetError| QueryError::Failed(format!("{}: {error}", held.path.display()));
        let batches = match table {
            Table::Spans => spans_in_segment(held, trace),
            Table::Logs | Table::Points | Table::Profiles | Table::Operations => {
                logs_in_segment(held, trace)
            }
        };
        for batch in batches.map_err(failed)? {
            found.append(&mut read(&of_trace(&batch, trace)?)?);
        }
    }
    for batch in &snapshot.memory {
        found.append(&mut read(&of_trace(batch, trace)?)?);
    }
    Ok(found)
}

/// The rows of traces whose identifiers begin like this one's, by the segment's index.
fn spans_in_segment(held: &Held, trace: u128) -> Result<Vec<RecordBatch>, ParquetError> {
    let runs = traces::find(&traces::path(&held.path), trace)?;
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&held.path)?)?
        .with_row_selection(selection(&runs))
        .build()?;
    Ok(reader.collect::<Result<_, _>>()?)
}

/// The rows of this trace, where the segment's filters say that there may be any.
fn logs_in_segment(held: &Held, trace: u128) -> Result<Vec<RecordBatch>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&held.path)?)?;
    let Some(column) = builder
        .schema()
        .fields()
        .iter()
        .position(|field| field.name() == "trace_id")
    else {
        return Ok(Vec::new());
    };
    let mut groups = Vec::new();
    for group in 0..builder.metadata().num_row_groups() {
        let filter = builder.get_row_group_column_bloom_filter(group, column)?;
        let id = FixedLenByteArray::from(trace.to_be_bytes().to_vec());
        if filter.is_none_or(|filter| filter.check(&id)) {
            groups.push(group);
        }
    }
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let mask = ProjectionMask::leaves(builder.parquet_schema(), [column]);
    // Other columns are decoded only where this one is the trace's.
    let is_its = ArrowPredicateFn::new(mask, move |batch| Ok(is_of_trace(&batch, trace)));
    let reader = builder
        .with_row_groups(groups)
        .with_row_filter(RowFilter::new(vec![Box::new(is_its)]))
        .build()?;
    Ok(reader.collect::<Result<_, _>>()?)
}

/// The rows that are in any of these runs, which may be the same.
pub(crate) fn selection(runs: &[Run]) -> RowSelection {
    let mut runs = runs.to_vec();
    runs.sort_unstable_by_key(|run| run.first);
    runs.dedup();
    let mut selectors = Vec::new();
    let mut at = 0;
    for run in runs {
        selectors.push(RowSelector::skip((run.first - at) as usize));
        selectors.push(RowSelector::select(run.rows as usize));
        at = run.first + run.rows;
    }
    selectors.into()
}

/// The rows of `batch` that belong to the trace.
fn of_trace(batch: &RecordBatch, trace: u128) -> Result<RecordBatch, ArrowError> {
    filter_record_batch(batch, &is_of_trace(batch, trace))
}

fn is_of_trace(batch: &RecordBatch, trace: u128) -> BooleanArray {
    let ids = batch
        .column_by_name("trace_id")
        .map(AsArray::as_fixed_size_binary);
    let is_its = |row| ids.is_some_and(|ids| ids.is_valid(row) && trace_number(ids, row) == trace);
    (0..batch.num_rows())
        .map(is_its)
        .collect::<Vec<bool>>()
        .into()
}
