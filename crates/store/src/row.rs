//! Rows as they come in: borrowed from whatever a receiver decoded, copied once, into columns.

/// An attribute's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number; may be infinite or not a number.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Anything else, as JSON text: lists, maps, bytes, numbers beyond 64 bits, `null`.
    Json(&'a str),
}

/// Names and values in order. A name given twice keeps both; the last one is what queries see.
pub type Attributes<'a> = &'a [(&'a str, Value<'a>)];

/// What produced a row, as OpenTelemetry has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// `service.name`.
    pub service: &'a str,
    /// All attributes of the resource, as a JSON object.
    pub resource: &'a str,
    /// The instrumentation scope's name.
    pub scope: &'a str,
}

/// A span that ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpanRow<'a> {
    /// What made it.
    pub origin: Origin<'a>,
    /// The trace; not all zero.
    pub trace_id: [u8; 16],
    /// The span; not all zero.
    pub span_id: [u8; 8],
    /// The span that started it, unless it is a root.
    pub parent_span_id: Option<[u8; 8]>,
    /// Its name.
    pub name: &'a str,
    /// `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: &'static str,
    /// `unset`, `ok` or `error`.
    pub status: &'static str,
    /// What the status says; empty for nothing.
    pub status_message: &'a str,
    /// Start, in nanoseconds since the Unix epoch.
    pub start_unix_ns: i64,
    /// End minus start, in nanoseconds.
    pub duration_ns: i64,
    /// Links to other spans, as a JSON list; empty for none.
    pub links: &'a str,
    /// Attributes.
    pub attributes: Attributes<'a>,
}

/// A log, or a typed event: that is a log with a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogRow<'a> {
    /// What made it.
    pub origin: Origin<'a>,
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: i64,
    /// The trace it was written in.
    pub trace_id: Option<[u8; 16]>,
    /// The span it was written in.
    pub span_id: Option<[u8; 8]>,
    /// OpenTelemetry's severity number, 1 to 24; 0 for none.
    pub severity: i8,
    /// The event's name; empty for a log.
    pub event_name: &'a str,
    /// The text, or JSON where it was no text.
    pub body: &'a str,
    /// Attributes.
    pub attributes: Attributes<'a>,
}

/// What a profiler saw, once or several times at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRow<'a> {
    /// What made it.
    pub origin: Origin<'a>,
    /// When, in nanoseconds since the Unix epoch; the start of the profile, where a sample has no time of its own.
    pub time_unix_ns: i64,
    /// How long the profile took that it is of, in nanoseconds; 0 for a moment.
    pub duration_ns: i64,
    /// The trace that the thread was in.
    pub trace_id: Option<[u8; 16]>,
    /// The span that the thread was in.
    pub span_id: Option<[u8; 8]>,
    /// What is counted: `cpu`, `alloc_space` ...
    pub kind: &'a str,
    /// What it is counted in: `nanoseconds`, `bytes`, `count` ...
    pub unit: &'a str,
    /// How much of it.
    pub value: i64,
    /// The thread's name or number; empty where it is not known.
    pub thread: &'a str,
    /// The library that the value is charged to.
    pub library: &'a str,
    /// The function that ran.
    pub function: &'a str,
    /// The frames, a line each, the first that called the others first; of one text however often it comes.
    pub stack: &'a str,
    /// Attributes.
    pub attributes: Attributes<'a>,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointKind {
    /// A total that only grows.
    Counter,
    /// A total that goes up and down.
    UpDownCounter,
    /// A value that is set.
    Gauge,
    /// A distribution.
    Histogram,
}

impl PointKind {
    /// `counter`, `up_down_counter`, `gauge` or `histogram`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::UpDownCounter => "up_down_counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A reading of one series of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointRow<'a> {
    /// What made it.
    pub origin: Origin<'a>,
    /// The metric.
    pub name: &'a str,
    /// Its unit, as UCUM writes it.
    pub unit: &'a str,
    /// What it is.
    pub kind: PointKind,
    /// When it was read, in nanoseconds since the Unix epoch.
    pub time_unix_ns: i64,
    /// Since when it counts, in nanoseconds since the Unix epoch; 0 where that is not known.
    pub start_unix_ns: i64,
    /// The value; the sum, of a histogram.
    pub value: f64,
    /// How many were measured; 0 but for a histogram.
    pub count: i64,
    /// A histogram's buckets and extremes, as JSON in OTLP's own names; empty for other kinds.
    pub distribution: &'a str,
    /// Exemplars, as a JSON list; empty for none.
    pub exemplars: &'a str,
    /// The series' attributes.
    pub attributes: Attributes<'a>,
}
