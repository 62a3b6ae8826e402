//! The tables, and the columns that every one of their batches and segments has.
//!
//! Types are those that every reader of Parquet knows: 64-bit integers for times, plain text, fixed binary for
//! identifiers. Attributes follow as columns of their own ([`crate::columns`]).

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, new_null_array},
    datatypes::{DataType, Field},
};

/// What a column of an attribute is called: this, then its name.
pub const ATTRIBUTE_PREFIX: &str = "attributes.";
/// The column of attributes that have none of their own: a JSON object.
pub const REST: &str = "attributes_rest";
/// The column of spans that says for how many each stands. A segment in which each stands for itself has it not, nor has what
/// was kept before there was sampling.
pub const WEIGHT: &str = "weight";

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Spans that ended.
    Spans = 1,
    /// Logs and typed events.
    Logs = 2,
    /// Readings of metrics.
    Points = 3,
    /// Samples of profiles.
    Profiles = 4,
    /// Spans added up by minute and operation (`rollup`).
    Operations = 5,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 5] = [
        Self::Spans,
        Self::Logs,
        Self::Points,
        Self::Profiles,
        Self::Operations,
    ];

    /// Its name in queries and in the data folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Logs => "logs",
            Self::Points => "points",
            Self::Profiles => "profiles",
            Self::Operations => "operations",
        }
    }

    /// The table of which rows in memory are what this one's are made of.
    pub(crate) const fn source(self) -> Self {
        match self {
            Self::Operations => Self::Spans,
            own => own,
        }
    }

    /// The table with this number, as the log has it.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == number)
    }

    /// The column by which rows are found in time.
    pub const fn time_column(self) -> &'static str {
        match self {
            Self::Spans => "start_time",
            Self::Logs | Self::Points | Self::Profiles => "time",
            Self::Operations => "minute",
        }
    }

    /// The columns that every batch has, in order; [`REST`] is the last of them, but for [`Table::Operations`], which has no
    /// attributes.
    pub fn columns(self) -> Vec<Arc<Field>> {
        let text = |name| field(name, DataType::Utf8, false);
        let id = |name, bytes, nullable| field(name, DataType::FixedSizeBinary(bytes), nullable);
        let own = match self {
            Self::Spans => vec![
                id("trace_id", 16, false),
                id("span_id", 8, false),
                id("parent_span_id", 8, true),
                number("start_time"),
                number("duration"),
                label("name"),
                label("kind"),
                label("status"),
                text("status_message"),
                text("links"),
                field(WEIGHT, DataType::Float64, false),
            ],
            Self::Logs => vec![
                number("time"),
                id("trace_id", 16, true),
                id("span_id", 8, true),
                field("severity", DataType::Int8, false),
                label("event_name"),
                text("body"),
            ],
            Self::Points => vec![
                number("time"),
                number("start_time"),
                number("series"),
                label("name"),
                label("unit"),
                label("kind"),
                field("value", DataType::Float64, false),
                number("count"),
                text("distribution"),
                text("exemplars"),
            ],
            Self::Profiles => vec![
                number("time"),
                number("duration"),
                id("trace_id", 16, true),
                id("span_id", 8, true),
                label("type"),
                label("unit"),
                number("value"),
                label("thread"),
                label("library"),
                label("function"),
                label("stack"),
            ],
            Self::Operations => return operations(),
        };
        let shared = [
            label("service"),
            label("scope"),
            label("resource"),
            field(REST, DataType::Utf8, true),
        ];
        own.into_iter().chain(shared).collect()
    }
}

/// The columns of [`Table::Operations`].
fn operations() -> Vec<Arc<Field>> {
    vec![
        number("minute"),
        label("service"),
        label("scope"),
        label("name"),
        label("kind"),
        field("is_root", DataType::Boolean, false),
        field("count", DataType::Float64, false),
        field("errors", DataType::Float64, false),
        field("duration_sum", DataType::Float64, false),
        number("duration_max"),
        field("durations", DataType::Binary, false),
    ]
}

fn field(name: &str, data_type: DataType, nullable: bool) -> Arc<Field> {
    Arc::new(Field::new(name, data_type, nullable))
}

fn label(name: &str) -> Arc<Field> {
    field(name, label_type(), false)
}

fn number(name: &str) -> Arc<Field> {
    field(name, DataType::Int64, false)
}

/// The values of a column that is not there.
pub(crate) fn missing(field: &Field, rows: usize) -> ArrayRef {
    match field.name().as_str() {
        WEIGHT => Arc::new(Float64Array::from(vec![1.0; rows])),
        _ => new_null_array(field.data_type(), rows),
    }
}

/// The type in memory of text that repeats from row to row. In a segment it is plain text, which every reader knows.
pub(crate) fn label_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}
