//! The one vocabulary of both halves: span, log, event, metric, resource. These are the owned forms, used where
//! telemetry is kept, read back or compared; the record path carries the same things by reference
//! ([`RecordRef`](crate::batch::RecordRef)).

use std::{borrow::Cow, fmt};

use crate::ids::{SpanId, TraceId};

/// Text that is usually a name known at compile time.
pub type Text = Cow<'static, str>;

/// An attribute's value, as OTLP's `AnyValue` can hold.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Value {
    /// No value (JSON `null`).
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A floating-point number.
    F64(f64),
    /// Text.
    Str(Text),
    /// Values in order.
    List(Vec<Value>),
    /// Named values in order.
    Map(Attributes),
}

/// Names and values, in the order in which they were recorded.
pub type Attributes = Vec<(Text, Value)>;

/// How severe a log or event is, and how detailed a span is. Numbers are OpenTelemetry's `SeverityNumber`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Severity {
    /// 1: finest detail.
    Trace = 1,
    /// 5: for someone looking into a problem.
    Debug = 5,
    /// 9: worth knowing.
    #[default]
    Info = 9,
    /// 13: something is off.
    Warn = 13,
    /// 17: an operation failed.
    Error = 17,
}

impl Severity {
    /// `TRACE`, `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }

    /// The severity with this name, in either case.
    pub fn from_text(text: &str) -> Option<Self> {
        [
            Self::Trace,
            Self::Debug,
            Self::Info,
            Self::Warn,
            Self::Error,
        ]
        .into_iter()
        .find(|severity| severity.text().eq_ignore_ascii_case(text))
    }
}

impl From<Severity> for tracing_core::Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Trace => Self::TRACE,
            Severity::Debug => Self::DEBUG,
            Severity::Info => Self::INFO,
            Severity::Warn => Self::WARN,
            Severity::Error => Self::ERROR,
        }
    }
}

impl From<tracing_core::Level> for Severity {
    fn from(level: tracing_core::Level) -> Self {
        match level {
            tracing_core::Level::TRACE => Self::Trace,
            tracing_core::Level::DEBUG => Self::Debug,
            tracing_core::Level::INFO => Self::Info,
            tracing_core::Level::WARN => Self::Warn,
            tracing_core::Level::ERROR => Self::Error,
        }
    }
}

/// What kind of work a span is, as OTLP's `SpanKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Work inside the process.
    #[default]
    Internal = 1,
    /// Answering a request.
    Server = 2,
    /// Making a request.
    Client = 3,
    /// Putting work into a queue.
    Producer = 4,
    /// Taking work out of a queue.
    Consumer = 5,
}

impl SpanKind {
    /// The kind named by tracing's `otel.kind` field, in either case.
    pub fn from_text(text: &str) -> Option<Self> {
        [
            Self::Internal,
            Self::Server,
            Self::Client,
            Self::Producer,
            Self::Consumer,
        ]
        .into_iter()
        .find(|kind| kind.text().eq_ignore_ascii_case(text))
    }

    /// `internal`, `server`, `client`, `producer` or `consumer`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// Whether the work of a span succeeded, as OTLP's `Status`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// Nothing was said.
    #[default]
    Unset,
    /// Said to have succeeded.
    Ok,
    /// Failed, with a message that may be empty.
    Error(Text),
}

/// A reference to another span, in this trace or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The other span's trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
}

/// Timed, named work in a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own identifier.
    pub span_id: SpanId,
    /// The span that started it, unless it is a root.
    pub parent_id: Option<SpanId>,
    /// Its name, of low cardinality.
    pub name: Text,
    /// The module or component that made it.
    pub target: Text,
    /// Start, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// End, in nanoseconds since the Unix epoch, never before the start.
    pub end_unix_ns: u64,
    /// Level of detail.
    pub severity: Severity,
    /// Kind of work.
    pub kind: SpanKind,
    /// Outcome.
    pub status: Status,
    /// The number of the recording thread within the process.
    pub thread: u32,
    /// The caller's own request identifier, where one was given.
    pub correlation_id: Option<Text>,
    /// Attributes in order of recording; a key recorded twice stands once, with its last value.
    pub attributes: Attributes,
    /// Spans that this one follows from.
    pub links: Vec<Link>,
}

impl Span {
    /// End minus start, in nanoseconds.
    pub const fn duration_ns(&self) -> u64 {
        self.end_unix_ns.saturating_sub(self.start_unix_ns)
    }

    /// The attribute with this name.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        find(&self.attributes, name)
    }
}

/// Where in a trace a log or event happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that was current.
    pub span_id: SpanId,
    /// That span's parent, unless it is a root.
    pub parent_id: Option<SpanId>,
    /// That span's name; empty where the span is in another process.
    pub span_name: Text,
}

/// A line of text with attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// Where, when a span was current.
    pub place: Option<Place>,
    /// How severe.
    pub severity: Severity,
    /// The module or component that wrote it.
    pub target: Text,
    /// The text.
    pub message: Text,
    /// Number of the recording thread within the process.
    pub thread: u32,
    /// The caller's own request identifier, where one was given.
    pub correlation_id: Option<Text>,
    /// Attributes in order.
    pub attributes: Attributes,
}

/// A typed fact. `type_name` and `data` are the JSON shape `{"type", "data"}`; a type that this build does not
/// know is kept as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRecord {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// Where, when a span was current.
    pub place: Option<Place>,
    /// The `type` in JSON, for example `GpuOpCompleted`.
    pub type_name: Text,
    /// The OpenTelemetry-style event name, for example `gpu.op`; empty where the type is unknown.
    pub name: Text,
    /// How severe.
    pub severity: Severity,
    /// Number of the recording thread within the process.
    pub thread: u32,
    /// The caller's own request identifier, where one was given.
    pub correlation_id: Option<Text>,
    /// The `data` in JSON.
    pub data: Attributes,
}

impl EventRecord {
    /// The field of `data` with this name.
    pub fn field(&self, name: &str) -> Option<&Value> {
        find(&self.data, name)
    }
}

/// The attribute in which an event's type travels where it is a log of OpenTelemetry, which has a place for its name alone.
pub const EVENT_TYPE_ATTRIBUTE: &str = "radiosonde.event.type";

/// One record of any signal.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A span that ended.
    Span(Span),
    /// A log.
    Log(Log),
    /// A typed event.
    Event(EventRecord),
}

/// What produces the telemetry, as OpenTelemetry's resource: `service.name`, `host.name`, `process.pid` ...
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Resource {
    /// Attributes in order.
    pub attributes: Attributes,
}

impl Resource {
    /// The attribute with this name.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        find(&self.attributes, name)
    }

    /// `service.name`, or `unknown_service` as OpenTelemetry prescribes.
    pub fn service_name(&self) -> &str {
        self.attribute("service.name")
            .and_then(Value::as_str)
            .unwrap_or("unknown_service")
    }
}

fn find<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a Value> {
    attributes
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

impl Value {
    /// The text, where it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number as `f64`, where it is a number.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F64(value) => Some(value),
            Self::I64(value) => Some(value as f64),
            Self::U64(value) => Some(value as f64),
            _ => None,
        }
    }

    /// The number as `u64`, where it is a whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U64(value) => Some(value),
            Self::I64(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::I64(value) => write!(f, "{value}"),
            Self::U64(value) => write!(f, "{value}"),
            Self::F64(value) => write!(f, "{value}"),
            Self::Str(text) => f.write_str(text),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),* $(,)?) => { $(
        impl From<$type> for Value {
            fn from(value: $type) -> Self { Self::$variant(value.into()) }
        }
    )* };
}

value_from!(bool => Bool, i32 => I64, i64 => I64, u32 => U64, u64 => U64, f32 => F64, f64 => F64, &'static str => Str, String => Str, Text => Str);
