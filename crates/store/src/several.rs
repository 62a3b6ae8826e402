//! Many traces at once: what answers over a selection are made from.
//!
//! The index beside each segment says how many spans a trace has before any is read, so what does not fit is left out by
//! whole traces. Of what was logged only that is read which answers are made from: events, and logs of at least `WARN`.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
};

use arrow::{
    array::{Array as _, AsArray, BooleanArray, RecordBatch},
    compute::{cast, filter_record_batch},
    datatypes::{DataType, Int8Type},
    error::ArrowError,
};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter},
    },
    errors::ParquetError,
};
use radiosonde_core::{
    hash::FoldState,
    ids::TraceId,
    model::{Record, Severity},
};

use crate::{
    merge::trace_number,
    query::QueryError,
    read::{Kept, Reader},
    segment::traces::{self, Run},
    shared::{Held, Shared},
    table::Table,
    trace::{key, selection},
};

/// How long before and after its spans something may have been logged in a trace.
const AROUND_NS: i64 = 60 * 1_000_000_000;

/// Traces that were read together.
#[derive(Debug, Default)]
pub struct Traces {
    /// Their records, the spans of each trace by their start, then events and warnings by their time.
    pub records: Vec<Kept>,
    /// How many of the traces that were asked for they are of: the first ones.
    pub read: usize,
    /// Events and warnings that were left out because there were too many.
    pub left_out: u64,
}

/// Traces by their identifiers.
type Wanted = HashSet<u128, FoldState>;

/// The records of the first of `traces` that together have at most `rows_max` spans, and of at least one.
pub(crate) fn records(
    shared: &Shared,
    traces: &[TraceId],
    rows_max: usize,
) -> Result<Traces, QueryError> {
    let snapshot = shared.snapshot(Table::Spans);
    let mut runs = Vec::with_capacity(snapshot.segments.len());
    for held in &snapshot.segments {
        let found = traces::find_all(&traces::path(&held.path), traces);
        runs.push(found.map_err(|error| failed(held, &error.into()))?);
    }
    let of_memory = counts(&snapshot.memory, traces);
    let of_elsewhere = match &snapshot.elsewhere {
        Some(elsewhere) if !traces.is_empty() => elsewhere.counts(traces)?,
        _ => HashMap::default(),
    };
    let spans_of = |place: usize| {
        let rows = |runs: &Vec<Vec<Run>>| -> usize {
            runs[place].iter().map(|run| run.rows as usize).sum()
        };
        let trace = traces[place].bits();
        let others = [&of_memory, &of_elsewhere].map(|counts| counts.get(&trace).copied());
        others.into_iter().flatten().sum::<usize>() + runs.iter().map(rows).sum::<usize>()
    };
    let mut spans = 0_usize;
    let fits = |place: &usize| {
        spans = spans.saturating_add(spans_of(*place));
        *place == 0 || spans <= rows_max
    };
    let read = (0..traces.len()).take_while(fits).count();
    let wanted: Wanted = traces[..read].iter().map(|trace| trace.bits()).collect();
    let mut reader = Reader::default();
    let mut records = Vec::new();
    for (held, runs) in snapshot.segments.iter().zip(&runs) {
        let runs: Vec<Run> = runs[..read].iter().flatten().copied().collect();
        let batches = spans_in_segment(held, &runs).map_err(|error| failed(held, &error))?;
        for batch in batches {
            records.append(&mut reader.spans(&of_traces(&batch, &wanted)?)?);
        }
    }
    for batch in &snapshot.memory {
        records.append(&mut reader.spans(&of_traces(batch, &wanted)?)?);
    }
    if let Some(elsewhere) = snapshot.elsewhere.as_ref().filter(|_| read > 0) {
        for batch in elsewhere.of_traces(&traces[..read], None)? {
            records.append(&mut reader.spans(&of_traces(&batch?, &wanted)?)?);
        }
    }
    records.sort_by_key(|kept| (trace_of(kept), key(kept)));
    records.dedup_by_key(|kept| (trace_of(kept), key(kept)));
    let mut all = Traces {
        records,
        read,
        left_out: 0,
    };
    let wanted = (&traces[..read], &wanted);
    all.add_logged(shared, wanted, &mut reader, rows_max)?;
    Ok(all)
}

impl Traces {
    /// Adds events and warnings of the traces, at most so many.
    fn add_logged(
        &mut self,
        shared: &Shared,
        (traces, wanted): (&[TraceId], &Wanted),
        reader: &mut Reader,
        rows_max: usize,
    ) -> Result<(), QueryError> {
        let times = self.records.iter().filter_map(|kept| match &kept.record {
            Record::Span(span) => Some((span.start_unix_ns, span.end_unix_ns)),
            _ => None,
        });
        let Some((first, last)) = times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
            return Ok(());
        };
        let first = first.cast_signed().saturating_sub(AROUND_NS);
        let last = last.cast_signed().saturating_add(AROUND_NS);
        let snapshot = shared.snapshot(Table::Logs);
        let mut logged = Vec::new();
        for held in &snapshot.segments {
            let segment = &held.segment;
            if segment.last_unix_ns < first || segment.first_unix_ns > last {
                continue;
            }
            let batches = logs_in_segment(held, wanted).map_err(|error| failed(held, &error))?;
            for batch in batches {
                logged.append(&mut reader.logs(&batch?)?);
                // What is over is counted, and not kept while the others are read.
                self.cut(&mut logged, rows_max);
            }
        }
        for batch in &snapshot.memory {
            let is_its = is_logged_in(batch, wanted)?;
            logged.append(&mut reader.logs(&filter_record_batch(batch, &is_its)?)?);
            self.cut(&mut logged, rows_max);
        }
        if let Some(elsewhere) = &snapshot.elsewhere {
            let warning = Severity::Warn as i8;
            let also = format!(
                "time BETWEEN {first} AND {last} AND (severity >= {warning} OR event_name != '')"
            );
            for batch in elsewhere.of_traces(traces, Some(&also))? {
                let batch = batch?;
                let is_its = is_logged_in(&batch, wanted)?;
                logged.append(&mut reader.logs(&filter_record_batch(&batch, &is_its)?)?);
                self.cut(&mut logged, rows_max);
            }
        }
        logged.sort_by_key(|kept| (trace_of(kept), key(kept)));
        self.records.append(&mut logged);
        Ok(())
    }

    fn cut(&mut self, logged: &mut Vec<Kept>, rows_max: usize) {
        self.left_out += logged.len().saturating_sub(rows_max) as u64;
        logged.truncate(rows_max);
    }
}

fn failed(held: &Held, error: &ParquetError) -> QueryError {
    QueryError::Failed(format!("{}: {error}", held.path.display()))
}

fn trace_of(kept: &Kept) -> u128 {
    let place = match &kept.record {
        Record::Span(span) => return span.trace_id.bits(),
        Record::Log(log) => &log.place,
        Record::Event(event) => &event.place,
    };
    place.as_ref().map_or(0, |place| place.trace_id.bits())
}

/// How many rows of `batches` each of the traces has.
fn counts(batches: &[RecordBatch], traces: &[TraceId]) -> HashMap<u128, usize, FoldState> {
    let mut counts: HashMap<u128, usize, FoldState> =
        traces.iter().map(|trace| (trace.bits(), 0)).collect();
    for batch in batches {
        let Some(ids) = batch.column_by_name("trace_id") else {
            continue;
        };
        let ids = ids.as_fixed_size_binary();
        for row in 0..batch.num_rows() {
            if ids.is_valid(row)
                && let Some(count) = counts.get_mut(&trace_number(ids, row))
            {
                *count += 1;
            }
        }
    }
    counts
}

fn spans_in_segment(held: &Held, runs: &[Run]) -> Result<Vec<RecordBatch>, ParquetError> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&held.path)?)?
        .with_row_selection(selection(runs))
        .build()?;
    Ok(reader.collect::<Result<_, _>>()?)
}

/// The columns that tell whether something logged is read.
const LOGGED: [&str; 3] = ["trace_id", "severity", "event_name"];

fn logs_in_segment(
    held: &Held,
    wanted: &Wanted,
) -> Result<impl Iterator<Item = Result<RecordBatch, ArrowError>>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&held.path)?)?;
    let fields = builder.schema().fields().iter().enumerate();
    let places = fields.filter(|(_, field)| LOGGED.contains(&field.name().as_str()));
    let places: Vec<usize> = places.map(|(place, _)| place).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), places);
    let wanted = wanted.clone();
    // Other columns are decoded only where these say so.
    let is_its = ArrowPredicateFn::new(mask, move |batch| is_logged_in(&batch, &wanted));
    builder
        .with_row_filter(RowFilter::new(vec![Box::new(is_its)]))
        .build()
}

/// The rows of `batch` that belong to one of the traces.
fn of_traces(batch: &RecordBatch, wanted: &Wanted) -> Result<RecordBatch, ArrowError> {
    let is_its: Vec<bool> = (0..batch.num_rows())
        .map(|row| is_of(batch, row, wanted))
        .collect();
    filter_record_batch(batch, &BooleanArray::from(is_its))
}

fn is_of(batch: &RecordBatch, row: usize, wanted: &Wanted) -> bool {
    let ids = batch.column_by_name("trace_id");
    let ids = ids.map(AsArray::as_fixed_size_binary);
    ids.is_some_and(|ids| ids.is_valid(row) && wanted.contains(&trace_number(ids, row)))
}

/// Which rows are events or warnings of one of the traces.
fn is_logged_in(batch: &RecordBatch, wanted: &Wanted) -> Result<BooleanArray, ArrowError> {
    let column = |name: &str| {
        batch
            .column_by_name(name)
            .ok_or_else(|| ArrowError::SchemaError(format!("a batch has no column {name}")))
    };
    let severity = column("severity")?.as_primitive::<Int8Type>();
    let event_name = cast(column("event_name")?, &DataType::Utf8)?;
    let event_name = event_name.as_string::<i32>();
    let is_its = |row: usize| {
        (severity.value(row) >= Severity::Warn as i8 || !event_name.value(row).is_empty())
            && is_of(batch, row, wanted)
    };
    Ok((0..batch.num_rows())
        .map(is_its)
        .collect::<Vec<bool>>()
        .into())
}
