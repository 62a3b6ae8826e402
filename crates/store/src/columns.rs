//! Rows become columns: fixed ones by table, and one for each attribute that rows have.
//!
//! A key gets a column of the type that its first value has; a value of another type, one that no column can hold, and
//! those of keys beyond [`KEYS_MAX`] go into [`REST`](crate::table::REST) as JSON. So no value is lost, and queries over
//! an attribute read that attribute alone.

mod attributes;
mod label;
mod profiles;
pub(crate) mod record;

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, FixedSizeBinaryBuilder, Float64Builder, Int8Builder, Int64Builder, RecordBatch,
        StringBuilder,
    },
    datatypes::{Fields, Schema},
    error::ArrowError,
};

pub(crate) use self::attributes::{push_json, push_json_text};
pub use self::record::object;
use self::{attributes::AttributeColumns, label::LabelColumn, profiles::ProfileColumns};
use crate::{
    row::{Attributes, LogRow, Origin, PointRow, SampleRow, SpanRow, Value},
    series,
    table::Table,
};

/// Most attribute columns of a batch.
pub const KEYS_MAX: usize = 256;

/// Most services whose newest row is known of a call.
const SERVICES_MAX: usize = 64;

/// Rows of one call, by table.
#[derive(Debug, Default)]
pub struct Rows {
    /// By service, the latest time of its rows.
    newest: Vec<(String, i64)>,
    // Columns have room for a thousand rows from the start, and most calls have rows of one table.
    spans: Option<SpanColumns>,
    logs: Option<LogColumns>,
    points: Option<PointColumns>,
    profiles: Option<ProfileColumns>,
}

impl Rows {
    /// Takes a span that stands for itself.
    pub fn span(&mut self, row: &SpanRow<'_>) {
        self.sampled_span(row, 1.0);
    }

    /// Takes a span that stands for `weight` of its like, because whoever sent it left others out; for itself where that is no
    /// number from 1 on.
    pub fn sampled_span(&mut self, row: &SpanRow<'_>, weight: f64) {
        self.note(
            row.origin,
            row.start_unix_ns.saturating_add(row.duration_ns),
        );
        let is_weight = weight.is_finite() && weight >= 1.0;
        let spans = self.spans.get_or_insert_default();
        spans.push(row, if is_weight { weight } else { 1.0 });
    }

    /// Takes a log or event.
    pub fn log(&mut self, row: &LogRow<'_>) {
        self.note(row.origin, row.time_unix_ns);
        self.logs.get_or_insert_default().push(row);
    }

    /// Takes a reading of a metric.
    pub fn point(&mut self, row: &PointRow<'_>) {
        self.note(row.origin, row.time_unix_ns);
        self.points.get_or_insert_default().push(row);
    }

    /// Takes a sample of a profile.
    pub fn sample(&mut self, row: &SampleRow<'_>) {
        self.profiles.get_or_insert_default().push(row);
    }

    /// The services that rows are of, and the latest time of a row of each; a span's is its end. Of a call with rows of very many
    /// services, the first ones.
    pub fn newest(&self) -> impl Iterator<Item = (&str, i64)> {
        self.newest
            .iter()
            .map(|(service, time)| (service.as_str(), *time))
    }

    fn note(&mut self, origin: Origin<'_>, time_unix_ns: i64) {
        // Rows of a service follow each other.
        let known = self
            .newest
            .iter()
            .rposition(|(service, _)| service == origin.service);
        if let Some(at) = known {
            let newest = &mut self.newest[at].1;
            *newest = (*newest).max(time_unix_ns);
        } else if self.newest.len() < SERVICES_MAX {
            self.newest.push((origin.service.to_owned(), time_unix_ns));
        }
    }

    /// How many rows there are, in all tables.
    pub fn len(&self) -> usize {
        let spans = self.spans.as_ref().map_or(0, |spans| spans.shared.rows);
        let logs = self.logs.as_ref().map_or(0, |logs| logs.shared.rows);
        let points = self.points.as_ref().map_or(0, |points| points.shared.rows);
        let samples = self.profiles.as_ref().map_or(0, |all| all.shared.rows);
        spans + logs + points + samples
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches of the tables that have rows.
    pub(crate) fn finish(self) -> Result<Vec<(Table, RecordBatch)>, ArrowError> {
        let tables = [
            self.spans.map(SpanColumns::finish),
            self.logs.map(LogColumns::finish),
            self.points.map(PointColumns::finish),
            self.profiles.map(ProfileColumns::finish),
        ];
        let mut batches = Vec::new();
        for columns in tables.into_iter().flatten() {
            let (table, shared, columns) = columns?;
            batches.push((table, shared.batch(table, columns)?));
        }
        Ok(batches)
    }
}

/// The columns that every table has.
#[derive(Debug, Default)]
struct Shared {
    rows: usize,
    service: LabelColumn,
    scope: LabelColumn,
    resource: LabelColumn,
    attributes: AttributeColumns,
}

impl Shared {
    fn push(&mut self, origin: Origin<'_>, attributes: Attributes<'_>) {
        self.service.push(origin.service);
        self.scope.push(origin.scope);
        self.resource.push(origin.resource);
        self.attributes.push(self.rows, attributes);
        self.rows += 1;
    }

    fn batch(self, table: Table, own: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
        let Self {
            rows,
            service,
            scope,
            resource,
            attributes,
        } = self;
        let (rest, attributes) = attributes.finish(rows);
        let mut fields = table.columns();
        let mut columns = own;
        columns.extend([service.finish()?, scope.finish()?, resource.finish()?, rest]);
        for (field, column) in attributes {
            fields.push(Arc::new(field));
            columns.push(column);
        }
        RecordBatch::try_new(Arc::new(Schema::new(Fields::from(fields))), columns)
    }
}

#[derive(Debug)]
struct SpanColumns {
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    parent_span_id: FixedSizeBinaryBuilder,
    start: Int64Builder,
    duration: Int64Builder,
    name: LabelColumn,
    kind: LabelColumn,
    status: LabelColumn,
    status_message: StringBuilder,
    links: StringBuilder,
    weight: Float64Builder,
    shared: Shared,
}

impl Default for SpanColumns {
    fn default() -> Self {
        Self {
            trace_id: FixedSizeBinaryBuilder::new(16),
            span_id: FixedSizeBinaryBuilder::new(8),
            parent_span_id: FixedSizeBinaryBuilder::new(8),
            start: Int64Builder::new(),
            duration: Int64Builder::new(),
            name: LabelColumn::default(),
            kind: LabelColumn::default(),
            status: LabelColumn::default(),
            status_message: StringBuilder::new(),
            links: StringBuilder::new(),
            weight: Float64Builder::new(),
            shared: Shared::default(),
        }
    }
}

impl SpanColumns {
    fn push(&mut self, row: &SpanRow<'_>, weight: f64) {
        id(&mut self.trace_id, Some(row.trace_id));
        id(&mut self.span_id, Some(row.span_id));
        id(&mut self.parent_span_id, row.parent_span_id);
        self.start.append_value(row.start_unix_ns);
        self.duration.append_value(row.duration_ns);
        self.name.push(row.name);
        self.kind.push(row.kind);
        self.status.push(row.status);
        self.status_message.append_value(row.status_message);
        self.links.append_value(row.links);
        self.weight.append_value(weight);
        self.shared.push(row.origin, row.attributes);
    }

    fn finish(mut self) -> Result<(Table, Shared, Vec<ArrayRef>), ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.parent_span_id.finish()),
            Arc::new(self.start.finish()),
            Arc::new(self.duration.finish()),
            self.name.finish()?,
            self.kind.finish()?,
            self.status.finish()?,
            Arc::new(self.status_message.finish()),
            Arc::new(self.links.finish()),
            Arc::new(self.weight.finish()),
        ];
        Ok((Table::Spans, self.shared, columns))
    }
}

#[derive(Debug)]
struct LogColumns {
    time: Int64Builder,
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    severity: Int8Builder,
    event_name: LabelColumn,
    body: StringBuilder,
    shared: Shared,
}

impl Default for LogColumns {
    fn default() -> Self {
        Self {
            time: Int64Builder::new(),
            trace_id: FixedSizeBinaryBuilder::new(16),
            span_id: FixedSizeBinaryBuilder::new(8),
            severity: Int8Builder::new(),
            event_name: LabelColumn::default(),
            body: StringBuilder::new(),
            shared: Shared::default(),
        }
    }
}

impl LogColumns {
    fn push(&mut self, row: &LogRow<'_>) {
        self.time.append_value(row.time_unix_ns);
        id(&mut self.trace_id, row.trace_id);
        id(&mut self.span_id, row.span_id);
        self.severity.append_value(row.severity);
        self.event_name.push(row.event_name);
        self.body.append_value(row.body);
        self.shared.push(row.origin, row.attributes);
    }

    fn finish(mut self) -> Result<(Table, Shared, Vec<ArrayRef>), ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.severity.finish()),
            self.event_name.finish()?,
            Arc::new(self.body.finish()),
        ];
        Ok((Table::Logs, self.shared, columns))
    }
}

#[derive(Debug, Default)]
struct PointColumns {
    time: Int64Builder,
    start: Int64Builder,
    series: Int64Builder,
    name: LabelColumn,
    unit: LabelColumn,
    kind: LabelColumn,
    value: Float64Builder,
    count: Int64Builder,
    distribution: StringBuilder,
    exemplars: StringBuilder,
    shared: Shared,
}

impl PointColumns {
    fn push(&mut self, row: &PointRow<'_>) {
        self.time.append_value(row.time_unix_ns);
        self.start.append_value(row.start_unix_ns);
        self.series.append_value(series::number(row));
        self.name.push(row.name);
        self.unit.push(row.unit);
        self.kind.push(row.kind.text());
        self.value.append_value(row.value);
        self.count.append_value(row.count);
        self.distribution.append_value(row.distribution);
        self.exemplars.append_value(row.exemplars);
        self.shared.push(row.origin, row.attributes);
    }

    fn finish(mut self) -> Result<(Table, Shared, Vec<ArrayRef>), ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.start.finish()),
            Arc::new(self.series.finish()),
            self.name.finish()?,
            self.unit.finish()?,
            self.kind.finish()?,
            Arc::new(self.value.finish()),
            Arc::new(self.count.finish()),
            Arc::new(self.distribution.finish()),
            Arc::new(self.exemplars.finish()),
        ];
        Ok((Table::Points, self.shared, columns))
    }
}

/// Appends an identifier, which has the column's width by its type.
fn id<const BYTES: usize>(column: &mut FixedSizeBinaryBuilder, id: Option<[u8; BYTES]>) {
    match id {
        Some(id) if column.append_value(id).is_ok() => {}
        _ => column.append_null(),
    }
}
