//! Rows read back as the model's spans and logs: what answers are made from.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Int8Type, Int64Type},
    error::ArrowError,
};
use radiosonde_core::{
    hash::FoldState,
    ids::{SpanId, TraceId},
    model::{
        Attributes, EVENT_TYPE_ATTRIBUTE, EventRecord, Link, Log, Place, Record, Resource,
        Severity, Span, SpanKind, Status, Value,
    },
};

use crate::{
    columns::record::{CORRELATION, LEVEL, THREAD},
    merge, row,
    table::{ATTRIBUTE_PREFIX, REST},
};

/// A record and what produced it.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What produced it.
    pub resource: Arc<Resource>,
    /// The span, log or event.
    pub record: Record,
}

/// Reads batches of one table; resources that come again are shared.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    resources: HashMap<String, Arc<Resource>, FoldState>,
}

impl Reader {
    /// The spans of a batch of spans. One whose identifiers are all zero, which none that was taken has, is left out.
    pub(crate) fn spans(&mut self, batch: &RecordBatch) -> Result<Vec<Kept>, ArrowError> {
        let columns = Columns::new(batch)?;
        let text = |name| columns.text(name);
        let (name, kind, status) = (text("name")?, text("kind")?, text("status")?);
        let (message, links) = (text("status_message")?, text("links")?);
        let (start, duration) = (columns.numbers("start_time")?, columns.numbers("duration")?);
        let mut spans = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let (Some(trace_id), Some(span_id)) =
                (columns.trace_id(row)?, columns.span_id("span_id", row)?)
            else {
                continue;
            };
            let mut attributes = columns.attributes(row);
            let start_unix_ns = start.value(row).cast_unsigned();
            let span = Span {
                trace_id,
                span_id,
                parent_id: columns.span_id("parent_span_id", row)?,
                name: Cow::Owned(name.value(row).to_owned()),
                target: Cow::Owned(columns.scope.value(row).to_owned()),
                start_unix_ns,
                end_unix_ns: start_unix_ns.saturating_add_signed(duration.value(row)),
                severity: take_text(&mut attributes, LEVEL)
                    .and_then(|level| Severity::from_text(&level))
                    .unwrap_or_default(),
                kind: SpanKind::from_text(kind.value(row)).unwrap_or_default(),
                status: match status.value(row) {
                    "ok" => Status::Ok,
                    "error" => Status::Error(Cow::Owned(message.value(row).to_owned())),
                    _ => Status::Unset,
                },
                thread: take_thread(&mut attributes),
                correlation_id: take_text(&mut attributes, CORRELATION),
                attributes,
                links: links_of(links.value(row)),
            };
            let resource = self.resource(columns.resource.value(row));
            spans.push(Kept {
                resource,
                record: Record::Span(span),
            });
        }
        Ok(spans)
    }

    /// The logs and events of a batch of logs.
    pub(crate) fn logs(&mut self, batch: &RecordBatch) -> Result<Vec<Kept>, ArrowError> {
        let columns = Columns::new(batch)?;
        let (event_name, body) = (columns.text("event_name")?, columns.text("body")?);
        let time = columns.numbers("time")?;
        let severity = columns.column("severity")?.as_primitive::<Int8Type>();
        let mut logs = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let place = columns.trace_id(row)?.zip(columns.span_id("span_id", row)?);
            let place = place.map(|(trace_id, span_id)| Place {
                trace_id,
                span_id,
                parent_id: None,
                span_name: Cow::Borrowed(""),
            });
            let mut attributes = columns.attributes(row);
            let time_unix_ns = time.value(row).cast_unsigned();
            let severity = severity_of(severity.value(row));
            let thread = take_thread(&mut attributes);
            let correlation_id = take_text(&mut attributes, CORRELATION);
            let record = if event_name.value(row).is_empty() {
                Record::Log(Log {
                    time_unix_ns,
                    place,
                    severity,
                    target: Cow::Owned(columns.scope.value(row).to_owned()),
                    message: Cow::Owned(body.value(row).to_owned()),
                    thread,
                    correlation_id,
                    attributes,
                })
            } else {
                let name: Cow<'static, str> = Cow::Owned(event_name.value(row).to_owned());
                let type_name = take_text(&mut attributes, EVENT_TYPE_ATTRIBUTE);
                Record::Event(EventRecord {
                    time_unix_ns,
                    place,
                    type_name: type_name.unwrap_or_else(|| name.clone()),
                    name,
                    severity,
                    thread,
                    correlation_id,
                    data: attributes,
                })
            };
            let resource = self.resource(columns.resource.value(row));
            logs.push(Kept { resource, record });
        }
        Ok(logs)
    }

    fn resource(&mut self, json: &str) -> Arc<Resource> {
        if let Some(known) = self.resources.get(json) {
            return Arc::clone(known);
        }
        let attributes = attributes_from_json(json);
        let resource = Arc::new(Resource { attributes });
        self.resources
            .insert(json.to_owned(), Arc::clone(&resource));
        resource
    }
}

/// The columns of a batch, by name. Labels are plain text here.
struct Columns<'b> {
    batch: &'b RecordBatch,
    scope: StringArray,
    resource: StringArray,
    rest: StringArray,
    attributes: Vec<(&'b str, ArrayRef)>,
}

impl<'b> Columns<'b> {
    fn new(batch: &'b RecordBatch) -> Result<Self, ArrowError> {
        let fields = batch.schema_ref().fields().iter().zip(batch.columns());
        let attributes = fields
            .filter_map(|(field, column)| {
                Some((
                    field.name().strip_prefix(ATTRIBUTE_PREFIX)?,
                    Arc::clone(column),
                ))
            })
            .collect();
        Ok(Self {
            batch,
            scope: plain(batch, "scope")?,
            resource: plain(batch, "resource")?,
            rest: plain(batch, REST)?,
            attributes,
        })
    }

    fn column(&self, name: &str) -> Result<&'b ArrayRef, ArrowError> {
        column(self.batch, name)
    }

    fn text(&self, name: &str) -> Result<StringArray, ArrowError> {
        plain(self.batch, name)
    }

    fn numbers(&self, name: &str) -> Result<&'b arrow::array::Int64Array, ArrowError> {
        Ok(self.column(name)?.as_primitive::<Int64Type>())
    }

    fn trace_id(&self, row: usize) -> Result<Option<TraceId>, ArrowError> {
        let ids = self.column("trace_id")?.as_fixed_size_binary();
        let is_there = ids.is_valid(row);
        Ok(is_there
            .then(|| merge::trace_number(ids, row))
            .and_then(TraceId::new))
    }

    fn span_id(&self, name: &str, row: usize) -> Result<Option<SpanId>, ArrowError> {
        let ids = self.column(name)?.as_fixed_size_binary();
        let bytes = ids
            .is_valid(row)
            .then(|| ids.value(row).try_into().ok())
            .flatten();
        Ok(bytes.map(u64::from_be_bytes).and_then(SpanId::new))
    }

    fn attributes(&self, row: usize) -> Attributes {
        let own = self
            .attributes
            .iter()
            .filter(|(_, column)| column.is_valid(row));
        let own = own.map(|(name, column)| {
            let value = match merge::value(column, row) {
                row::Value::Bool(value) => Value::Bool(value),
                row::Value::Int(value) => Value::I64(value),
                row::Value::Float(value) => Value::F64(value),
                row::Value::Text(text) => Value::Str(Cow::Owned(text.to_owned())),
                row::Value::Json(_) => Value::Null,
            };
            (Cow::Owned((*name).to_owned()), value)
        });
        let mut attributes: Attributes = own.collect();
        if self.rest.is_valid(row) {
            for (name, value) in attributes_from_json(self.rest.value(row)) {
                // The last of a name stands.
                attributes.retain(|(known, _)| *known != name);
                attributes.push((name, value));
            }
        }
        attributes
    }
}

pub(crate) fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, ArrowError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| ArrowError::SchemaError(format!("a batch has no column {name}")))
}

pub(crate) fn plain(batch: &RecordBatch, name: &str) -> Result<StringArray, ArrowError> {
    Ok(cast(column(batch, name)?, &DataType::Utf8)?
        .as_string::<i32>()
        .clone())
}

/// The attributes that a JSON object is, as answers to statements have them; none where it is no object.
pub fn attributes_from_json(json: &str) -> Attributes {
    match serde_json::from_str(json) {
        Ok(serde_json::Value::Object(object)) => object
            .into_iter()
            .map(|(name, value)| (Cow::Owned(name), value_of(value)))
            .collect(),
        _ => Attributes::new(),
    }
}

fn value_of(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::I64)
            .or_else(|| number.as_u64().map(Value::U64))
            .unwrap_or_else(|| Value::F64(number.as_f64().unwrap_or(f64::NAN))),
        serde_json::Value::String(text) => Value::Str(Cow::Owned(text)),
        serde_json::Value::Array(values) => Value::List(values.into_iter().map(value_of).collect()),
        serde_json::Value::Object(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(name, value)| (Cow::Owned(name), value_of(value)))
                .collect(),
        ),
    }
}

/// The links in a JSON list of `{"trace_id", "span_id"}`.
fn links_of(json: &str) -> Vec<Link> {
    #[derive(serde::Deserialize)]
    struct Ids {
        trace_id: String,
        span_id: String,
    }
    let ids: Vec<Ids> = serde_json::from_str(json).unwrap_or_default();
    let link = |ids: Ids| {
        Some(Link {
            trace_id: ids.trace_id.parse().ok()?,
            span_id: ids.span_id.parse().ok()?,
        })
    };
    ids.into_iter().filter_map(link).collect()
}

/// OpenTelemetry's severity numbers in fours (logs data model, SeverityNumber); fatal is an error here.
const fn severity_of(number: i8) -> Severity {
    match number {
        1..=4 => Severity::Trace,
        5..=8 => Severity::Debug,
        13..=16 => Severity::Warn,
        17.. => Severity::Error,
        _ => Severity::Info,
    }
}

fn take(attributes: &mut Attributes, name: &str) -> Option<Value> {
    let at = attributes.iter().position(|(known, _)| known == name)?;
    Some(attributes.remove(at).1)
}

fn take_thread(attributes: &mut Attributes) -> u32 {
    let at = attributes
        .iter()
        .position(|(name, value)| name == THREAD && value.as_u64().is_some());
    let thread = at.and_then(|at| attributes.remove(at).1.as_u64());
    thread
        .and_then(|thread| thread.try_into().ok())
        .unwrap_or(0)
}

fn take_text(attributes: &mut Attributes, name: &str) -> Option<Cow<'static, str>> {
    match take(attributes, name)? {
        Value::Str(text) => Some(text),
        other => Some(Cow::Owned(other.to_string())),
    }
}
