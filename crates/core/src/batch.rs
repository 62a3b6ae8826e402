//! What the pump hands on: many records in one allocation, read by reference.
//!
//! A record is a frame: [`HEADER_WORDS`] words of header, then its fields. Frames in a [`Batch`] differ from frames
//! in a lane only in that their times are nanoseconds since the Unix epoch instead of clock ticks.
//!
//! Invariant: the description word of a frame is the address of a `&'static` description of the frame's kind.
//! Only [`Header::words`] makes frames, and it takes references.

mod build;

use std::{borrow::Cow, fmt, ptr, sync::Arc};

use tracing_core::Metadata;

use crate::{
    context::SAMPLED,
    correlation,
    event::Descriptor,
    fields::{FieldReader, KEY_INLINE, KEY_LINK, RawField, ValueRef},
    ids::{SpanId, TraceId},
    model::{
        Attributes, EventRecord, Link, Log, Place, Record, Resource, Severity, Span, SpanKind,
        Status, Text, Value,
    },
};

pub use build::Parts;

/// Words before a frame's fields.
pub(crate) const HEADER_WORDS: usize = 9;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Span = 1,
    Log = 2,
    Event = 3,
}

/// The head of a frame.
///
/// | word | span | log, event |
/// |---|---|---|
/// | 0 | kind (bits 0-7), trace flags (8-15), length in words (32-63) | the same |
/// | 1, 2 | trace ID, upper and lower half; 0 for none | the same |
/// | 3 | span ID | the current span's ID; 0 for none |
/// | 4 | parent's span ID; 0 for a root | the current span's parent |
/// | 5 | start | time |
/// | 6 | end | address of the current span's `Metadata`; 0 for none |
/// | 7 | address of its `Metadata` | address of its `Metadata` (log) or `Descriptor` (event) |
/// | 8 | thread (bits 0-31), correlation (32-63) | the same |
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) trace_high: u64,
    pub(crate) trace_low: u64,
    pub(crate) span_id: u64,
    pub(crate) parent_id: u64,
    pub(crate) time: u64,
    /// End of a span, or address of the current span's metadata.
    pub(crate) end_or_span: u64,
    pub(crate) description: u64,
    pub(crate) thread: u32,
    pub(crate) correlation: u32,
}

impl Header {
    /// Word 0 for a frame of `length` words in all.
    #[inline]
    pub(crate) const fn first_word(&self, length: usize) -> u64 {
        self.kind as u64 | (self.flags as u64) << 8 | (length as u64) << 32
    }

    /// The header as words.
    #[inline]
    pub(crate) const fn words(&self, length: usize) -> [u64; HEADER_WORDS] {
        [
            self.first_word(length),
            self.trace_high,
            self.trace_low,
            self.span_id,
            self.parent_id,
            self.time,
            self.end_or_span,
            self.description,
            self.thread as u64 | (self.correlation as u64) << 32,
        ]
    }
}

/// Length in words of the frame that starts with `first`.
#[inline]
pub(crate) const fn frame_length(first: u64) -> usize {
    (first >> 32) as usize
}

/// Position of the start or time in a frame.
pub(crate) const TIME_WORD: usize = 5;
/// Position of a span's end in a frame.
pub(crate) const END_WORD: usize = 6;

/// The address of `description`, to be turned back by [`static_ref`].
#[inline]
pub(crate) fn address<T>(description: &'static T) -> u64 {
    ptr::from_ref(description).expose_provenance() as u64
}

/// The description whose address [`address`] gave; `None` for 0.
#[inline]
fn static_ref<T>(address: u64) -> Option<&'static T> {
    // SAFETY: description words are only ever written by `address` from a `&'static T` of the frame kind's own
    // type (module invariant), so a non-zero word is the exposed address of a live, aligned, shared `T`.
    unsafe { ptr::with_exposed_provenance::<T>(address as usize).as_ref() }
}

/// The callsite whose address is `address`.
#[inline]
pub(crate) fn metadata_at(address: u64) -> Option<&'static Metadata<'static>> {
    static_ref(address)
}

/// Many records in the order in which the pump read them, with the resource that produced them.
#[derive(Debug)]
pub struct Batch {
    resource: Arc<Resource>,
    words: Vec<u64>,
    records: usize,
}

impl Batch {
    /// A batch without records.
    pub fn new(resource: Arc<Resource>) -> Self {
        Self {
            resource,
            words: Vec::new(),
            records: 0,
        }
    }

    pub(crate) fn from_words(resource: Arc<Resource>, words: Vec<u64>, records: usize) -> Self {
        Self {
            resource,
            words,
            records,
        }
    }

    /// The memory, empty, for the next batch; given up where it grew far beyond a usual batch.
    pub(crate) fn into_words(mut self) -> Vec<u64> {
        self.words.clear();
        self.words.shrink_to(1 << 18);
        self.words
    }

    /// What produced the records.
    pub const fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// How many records there are.
    pub const fn len(&self) -> usize {
        self.records
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Memory the records take, in bytes.
    pub const fn bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// The records, in order.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        frames(&self.words).filter_map(RecordRef::new)
    }

    /// The spans among the records.
    pub fn spans(&self) -> impl Iterator<Item = SpanRef<'_>> {
        self.records().filter_map(|record| {
            if let RecordRef::Span(span) = record {
                Some(span)
            } else {
                None
            }
        })
    }

    /// The logs among the records.
    pub fn logs(&self) -> impl Iterator<Item = LogRef<'_>> {
        self.records().filter_map(|record| {
            if let RecordRef::Log(log) = record {
                Some(log)
            } else {
                None
            }
        })
    }

    /// The events among the records.
    pub fn events(&self) -> impl Iterator<Item = EventRef<'_>> {
        self.records().filter_map(|record| {
            if let RecordRef::Event(event) = record {
                Some(event)
            } else {
                None
            }
        })
    }

    /// Appends a copy of a record of another batch.
    pub fn push(&mut self, record: &RecordRef<'_>) {
        self.words.extend_from_slice(record.frame().0);
        self.records += 1;
    }

    /// A batch of the records for which `keep` is true.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&RecordRef<'_>) -> bool) -> Self {
        let mut batch = Self::new(Arc::clone(&self.resource));
        for frame in frames(&self.words) {
            if RecordRef::new(frame).is_some_and(|record| keep(&record)) {
                batch.words.extend_from_slice(frame);
                batch.records += 1;
            }
        }
        batch
    }
}

/// Walks frames laid end to end; stops at the first that cannot be one.
pub(crate) fn frames(words: &[u64]) -> impl Iterator<Item = &[u64]> {
    let mut rest = words;
    std::iter::from_fn(move || {
        let length = frame_length(*rest.first()?);
        if length < HEADER_WORDS {
            return None;
        }
        let (frame, tail) = rest.split_at_checked(length)?;
        rest = tail;
        Some(frame)
    })
}

/// A record in a batch.
#[derive(Clone, Copy, Debug)]
pub enum RecordRef<'a> {
    /// A span that ended.
    Span(SpanRef<'a>),
    /// A log.
    Log(LogRef<'a>),
    /// A typed event.
    Event(EventRef<'a>),
}

/// A span in a batch. See [`Span`] for what each part means.
#[derive(Clone, Copy)]
pub struct SpanRef<'a>(Frame<'a>);

/// A log in a batch. See [`Log`] for what each part means.
#[derive(Clone, Copy)]
pub struct LogRef<'a>(Frame<'a>);

/// An event in a batch. See [`EventRecord`] for what each part means.
#[derive(Clone, Copy)]
pub struct EventRef<'a>(Frame<'a>);

#[derive(Clone, Copy)]
struct Frame<'a>(&'a [u64]);

impl<'a> Frame<'a> {
    fn flags(self) -> u8 {
        (self.0[0] >> 8) as u8
    }

    fn trace_id(self) -> Option<TraceId> {
        TraceId::from_words(self.0[1], self.0[2])
    }

    fn thread(self) -> u32 {
        self.0[8] as u32
    }

    fn correlation_id(self) -> Option<Arc<str>> {
        correlation::text((self.0[8] >> 32) as u32)
    }

    fn metadata(self) -> &'static Metadata<'static> {
        static_ref(self.0[7]).unwrap_or(crate::subscriber::unknown_metadata())
    }

    fn raw_fields(self) -> FieldReader<'a> {
        FieldReader(&self.0[HEADER_WORDS..])
    }

    fn place(self) -> Option<PlaceRef> {
        Some(PlaceRef {
            trace_id: self.trace_id()?,
            span_id: SpanId::new(self.0[3])?,
            parent_id: SpanId::new(self.0[4]),
            span_name: static_ref::<Metadata<'static>>(self.0[6])
                .map_or("", |metadata| metadata.name()),
        })
    }

    /// Attributes named by tracing metadata. A key recorded twice appears once, with its last value.
    fn attributes(self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        let names = self.metadata().fields();
        let mut seen = 0_u64;
        // Tracing allows 32 fields a callsite, so every index has a bit.
        let repeated = self.raw_fields().any(|field| {
            let bit = 1_u64.checked_shl(u32::from(field.key)).unwrap_or(0);
            let again = seen & bit != 0;
            seen |= bit;
            again
        });
        let mut fields = self.raw_fields();
        std::iter::from_fn(move || {
            loop {
                let RawField { key, name, value } = fields.next()?;
                match key {
                    KEY_INLINE => return Some((name?, value)),
                    KEY_LINK => {}
                    _ if repeated && fields.clone().any(|later| later.key == key) => {}
                    _ => return Some((names.iter().nth(usize::from(key))?.name(), value)),
                }
            }
        })
    }
}

impl<'a> RecordRef<'a> {
    fn new(frame: &'a [u64]) -> Option<Self> {
        match frame[0] as u8 {
            kind if kind == Kind::Span as u8 => Some(Self::Span(SpanRef(Frame(frame)))),
            kind if kind == Kind::Log as u8 => Some(Self::Log(LogRef(Frame(frame)))),
            kind if kind == Kind::Event as u8 => Some(Self::Event(EventRef(Frame(frame)))),
            _ => None,
        }
    }

    /// A copy that owns everything.
    pub fn to_record(&self) -> Record {
        match self {
            Self::Span(span) => Record::Span(span.to_span()),
            Self::Log(log) => Record::Log(log.to_log()),
            Self::Event(event) => Record::Event(event.to_event()),
        }
    }

    /// Nanoseconds since the Unix epoch: the end of a span, the time of a log or event.
    pub fn time_unix_ns(&self) -> u64 {
        match self {
            Self::Span(span) => span.end_unix_ns(),
            Self::Log(log) => log.time_unix_ns(),
            Self::Event(event) => event.time_unix_ns(),
        }
    }

    /// Whether its trace is recorded. Logs are kept in any case; spans outside the sample never get this far; an event
    /// outside the sample counts in its metrics and goes no further.
    pub fn is_kept(&self) -> bool {
        let frame = self.frame();
        !matches!(self, Self::Event(_))
            || frame.trace_id().is_none()
            || frame.flags() & SAMPLED != 0
    }

    /// The trace it belongs to, if any.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.frame().trace_id()
    }

    fn frame(&self) -> Frame<'a> {
        match self {
            Self::Span(SpanRef(frame))
            | Self::Log(LogRef(frame))
            | Self::Event(EventRef(frame)) => *frame,
        }
    }
}

/// Where in a trace a log or event happened, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceRef {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that was current.
    pub span_id: SpanId,
    /// That span's parent, unless it is a root.
    pub parent_id: Option<SpanId>,
    /// That span's name; empty where the span is in another process.
    pub span_name: &'static str,
}

impl PlaceRef {
    fn to_place(self) -> Place {
        Place {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            span_name: Cow::Borrowed(self.span_name),
        }
    }
}

macro_rules! common {
    ($($view:ident => $convert:ident),*) => { $(
        impl $view<'_> {
            /// The number of the recording thread within the process.
            pub fn thread(&self) -> u32 {
                self.0.thread()
            }

            /// W3C trace flags.
            pub fn flags(&self) -> u8 {
                self.0.flags()
            }

            /// The caller's own request identifier, where one was given.
            pub fn correlation_id(&self) -> Option<Arc<str>> {
                self.0.correlation_id()
            }
        }

        impl fmt::Debug for $view<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.$convert().fmt(f)
            }
        }
    )* };
}

common!(SpanRef => to_span, LogRef => to_log, EventRef => to_event);

/// What a span's `otel.*` fields say in place of its static description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides<'a> {
    /// `otel.name`: the name to show.
    pub name: Option<&'a str>,
    /// `otel.kind`.
    pub kind: Option<SpanKind>,
    /// `otel.status_code`: `true` for `OK`, `false` for `ERROR`.
    pub ok: Option<bool>,
    /// `otel.status_message` (also `otel.status_description`).
    pub message: Option<&'a str>,
}

impl<'a> SpanRef<'a> {
    /// The trace it belongs to.
    pub fn trace_id(&self) -> TraceId {
        self.0.trace_id().unwrap_or(TraceId::MAX)
    }

    /// Its own identifier.
    pub fn span_id(&self) -> SpanId {
        SpanId::new(self.0.0[3]).unwrap_or(SpanId::MAX)
    }

    /// The span that started it, unless it is a root.
    pub fn parent_id(&self) -> Option<SpanId> {
        SpanId::new(self.0.0[4])
    }

    /// Start, in nanoseconds since the Unix epoch.
    pub fn start_unix_ns(&self) -> u64 {
        self.0.0[TIME_WORD]
    }

    /// End, in nanoseconds since the Unix epoch.
    pub fn end_unix_ns(&self) -> u64 {
        self.0.0[END_WORD].max(self.start_unix_ns())
    }

    /// Name, target, level and source location as written at the callsite.
    pub fn metadata(&self) -> &'static Metadata<'static> {
        self.0.metadata()
    }

    /// The name to show: `otel.name` where it was recorded, else the callsite's.
    pub fn name(&self) -> &'a str {
        self.overrides().name.unwrap_or(self.metadata().name())
    }

    /// Attributes in order, without the `otel.*` fields that [`overrides`](Self::overrides) reads. A field recorded
    /// twice appears once, with its last value.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        self.0
            .attributes()
            .filter(|(name, _)| !(name.starts_with("otel.") && is_override(name)))
    }

    /// What `otel.*` fields say about name, kind and status.
    pub fn overrides(&self) -> Overrides<'a> {
        let mut overrides = Overrides::default();
        if !self
            .metadata()
            .fields()
            .iter()
            .any(|field| field.name().starts_with("otel."))
        {
            return overrides;
        }
        for (name, value) in self.0.attributes() {
            let ValueRef::Str(text) = value else { continue };
            match name {
                "otel.name" => overrides.name = Some(text),
                "otel.kind" => overrides.kind = SpanKind::from_text(text),
                "otel.status_code" => overrides.ok = Some(text.eq_ignore_ascii_case("ok")),
                "otel.status_message" | "otel.status_description" => overrides.message = Some(text),
                _ => {}
            }
        }
        overrides
    }

    /// Spans that this one follows from.
    pub fn links(&self) -> impl Iterator<Item = Link> + use<'a> {
        self.0
            .raw_fields()
            .filter_map(|field| match (field.key, field.value) {
                (KEY_LINK, ValueRef::U64s(&[high, low, span])) => Some(Link {
                    trace_id: TraceId::from_words(high, low)?,
                    span_id: SpanId::new(span)?,
                }),
                _ => None,
            })
    }

    /// A copy that owns everything.
    pub fn to_span(&self) -> Span {
        let overrides = self.overrides();
        let metadata = self.metadata();
        Span {
            trace_id: self.trace_id(),
            span_id: self.span_id(),
            parent_id: self.parent_id(),
            name: overrides
                .name
                .map_or(Cow::Borrowed(metadata.name()), |name| {
                    Cow::Owned(name.to_owned())
                }),
            target: Cow::Borrowed(metadata.target()),
            start_unix_ns: self.start_unix_ns(),
            end_unix_ns: self.end_unix_ns(),
            severity: Severity::from(*metadata.level()),
            kind: overrides.kind.unwrap_or_default(),
            status: match overrides.ok {
                None => Status::Unset,
                Some(true) => Status::Ok,
                Some(false) => {
                    Status::Error(Cow::Owned(overrides.message.unwrap_or_default().to_owned()))
                }
            },
            thread: self.thread(),
            correlation_id: self
                .correlation_id()
                .map(|id| Cow::Owned(id.as_ref().to_owned())),
            attributes: owned(self.attributes()),
            links: self.links().collect(),
        }
    }
}

fn is_override(name: &str) -> bool {
    matches!(
        name,
        "otel.name"
            | "otel.kind"
            | "otel.status_code"
            | "otel.status_message"
            | "otel.status_description"
    )
}

impl<'a> LogRef<'a> {
    /// When, in nanoseconds since the Unix epoch.
    pub fn time_unix_ns(&self) -> u64 {
        self.0.0[TIME_WORD]
    }

    /// Where, when a span was current.
    pub fn place(&self) -> Option<PlaceRef> {
        self.0.place()
    }

    /// Name, target, level and source location as written at the callsite.
    pub fn metadata(&self) -> &'static Metadata<'static> {
        self.0.metadata()
    }

    /// The `message` field, or empty.
    pub fn message(&self) -> &'a str {
        self.0
            .attributes()
            .find_map(|(name, value)| message_text(name, value))
            .unwrap_or_default()
    }

    /// The module or component that wrote it: for records of the `log` crate the one they name, else the callsite's.
    pub fn target(&self) -> &'a str {
        let metadata = self.metadata();
        if metadata.fields().field(LOG_TARGET).is_none() {
            return metadata.target();
        }
        let named = self.0.attributes().find_map(|(name, value)| match value {
            ValueRef::Str(text) if name == LOG_TARGET => Some(text),
            _ => None,
        });
        named.unwrap_or(metadata.target())
    }

    /// Attributes in order, without the message and the target.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        self.0
            .attributes()
            .filter(|&(name, value)| name != LOG_TARGET && message_text(name, value).is_none())
    }

    /// The static description of the span that was current, unless there was none or it is in another process.
    pub fn span(&self) -> Option<&'static Metadata<'static>> {
        static_ref(self.0.0[6])
    }

    /// Whether this is the same line as `other` again: written at the same place in the code, in the same span and
    /// thread, with the same message and attributes. Only the time may differ.
    pub fn repeats(&self, other: &LogRef<'_>) -> bool {
        let (this, other) = (self.0.0, other.0.0);
        this[0] == other[0]
            && this[1..TIME_WORD] == other[1..TIME_WORD]
            && this[TIME_WORD + 1..] == other[TIME_WORD + 1..]
    }

    /// A copy that owns everything.
    pub fn to_log(&self) -> Log {
        Log {
            time_unix_ns: self.time_unix_ns(),
            place: self.place().map(PlaceRef::to_place),
            severity: Severity::from(*self.metadata().level()),
            target: Cow::Owned(self.target().to_owned()),
            message: Cow::Owned(self.message().to_owned()),
            thread: self.thread(),
            correlation_id: self
                .correlation_id()
                .map(|id| Cow::Owned(id.as_ref().to_owned())),
            attributes: owned(self.attributes()),
        }
    }
}

/// The field in which the bridge from the `log` crate carries a record's own target.
pub(crate) const LOG_TARGET: &str = "log.target";

fn message_text<'a>(name: &str, value: ValueRef<'a>) -> Option<&'a str> {
    match value {
        ValueRef::Str(text) if name == "message" => Some(text),
        _ => None,
    }
}

impl<'a> EventRef<'a> {
    /// When, in nanoseconds since the Unix epoch.
    pub fn time_unix_ns(&self) -> u64 {
        self.0.0[TIME_WORD]
    }

    /// Where, when a span was current.
    pub fn place(&self) -> Option<PlaceRef> {
        self.0.place()
    }

    /// What the event is.
    pub fn descriptor(&self) -> &'static Descriptor {
        static_ref(self.0.0[7]).unwrap_or(&crate::event::UNKNOWN)
    }

    /// The fields that have a value, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        let descriptors = self.descriptor().fields;
        self.0
            .raw_fields()
            .filter_map(move |field| match field.key {
                KEY_INLINE => Some((field.name?, field.value)),
                key => Some((descriptors.get(usize::from(key))?.name, field.value)),
            })
    }

    /// The fields that the descriptor describes, by index into [`Descriptor::fields`].
    pub fn described_fields(&self) -> impl Iterator<Item = (usize, ValueRef<'a>)> + use<'a> {
        let count = self.descriptor().fields.len();
        self.0
            .raw_fields()
            .map(|field| (usize::from(field.key), field.value))
            .filter(move |&(key, _)| key < count)
    }

    /// A copy that owns everything.
    pub fn to_event(&self) -> EventRecord {
        let descriptor = self.descriptor();
        EventRecord {
            time_unix_ns: self.time_unix_ns(),
            place: self.place().map(PlaceRef::to_place),
            type_name: Cow::Borrowed(descriptor.type_name),
            name: Cow::Borrowed(descriptor.name),
            severity: descriptor.severity,
            thread: self.thread(),
            correlation_id: self
                .correlation_id()
                .map(|id| Cow::Owned(id.as_ref().to_owned())),
            data: owned(self.fields()),
        }
    }
}

fn owned<'a>(fields: impl Iterator<Item = (&'a str, ValueRef<'a>)>) -> Attributes {
    fields
        .map(|(name, value)| (Text::Owned(name.to_owned()), Value::from(value)))
        .collect()
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        let list =
            |values: &[u64]| Self::List(values.iter().map(|&value| Self::U64(value)).collect());
        match value {
            ValueRef::Bool(value) => Self::Bool(value),
            ValueRef::I64(value) => Self::I64(value),
            ValueRef::U64(value) => Self::U64(value),
            ValueRef::F64(value) => Self::F64(value),
            ValueRef::Str(text) => Self::Str(Cow::Owned(text.to_owned())),
            ValueRef::U64s(values) => list(values),
            ValueRef::Shapes(shapes) => Self::List(shapes.iter().map(list).collect()),
        }
    }
}
