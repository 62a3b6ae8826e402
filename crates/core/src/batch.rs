//! What the pump hands on: many records in one allocation, read by reference.
//!
//! A record is a frame ([`frame`]): a header of words, then its fields. Frames in a [`Batch`] differ from frames in a lane
//! only in that their times are nanoseconds since the Unix epoch instead of clock ticks.

mod build;
mod frame;
mod log;
mod span;

use std::{borrow::Cow, fmt, sync::Arc};

use self::frame::Frame;
use crate::{
    context::SAMPLED,
    fields::{KEY_INLINE, KEY_LINK, ValueRef},
    ids::{SpanId, TraceId},
    model::{Attributes, Place, Record, Resource, Text, Value},
};

pub(crate) use self::frame::{
    END_WORD, HEADER_WORDS, Header, Kind, TIME_WORD, address, frame_length, frames, metadata_at,
};
pub use self::{
    build::Parts,
    frame::FieldKey,
    log::{EventRef, LogRef},
    span::{Overrides, SpanRef, is_override},
};

/// Many records in the order in which the pump read them, with the resource that produced them.
#[derive(Debug)]
pub struct Batch {
    resource: Arc<Resource>,
    words: Vec<u64>,
    counts: Counts,
}

/// How many records of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Spans.
    pub spans: usize,
    /// Logs.
    pub logs: usize,
    /// Typed events.
    pub events: usize,
}

impl Counts {
    /// Counts the frame that starts with `first`.
    #[inline]
    pub(crate) const fn add(&mut self, first: u64) {
        match first as u8 {
            kind if kind == Kind::Span as u8 => self.spans += 1,
            kind if kind == Kind::Log as u8 => self.logs += 1,
            _ => self.events += 1,
        }
    }

    /// Records of any kind.
    pub const fn total(self) -> usize {
        self.spans + self.logs + self.events
    }
}

impl Batch {
    /// A batch without records.
    pub fn new(resource: Arc<Resource>) -> Self {
        Self {
            resource,
            words: Vec::new(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn from_words(resource: Arc<Resource>, words: Vec<u64>, counts: Counts) -> Self {
        Self {
            resource,
            words,
            counts,
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
        self.counts.total()
    }

    /// How many records of each kind there are.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
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
        let frame = record.frame().0;
        self.words.extend_from_slice(frame);
        self.counts.add(frame[0]);
    }

    /// A batch of the records for which `keep` is true.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&RecordRef<'_>) -> bool) -> Self {
        let mut batch = Self::new(Arc::clone(&self.resource));
        for frame in frames(&self.words) {
            if RecordRef::new(frame).is_some_and(|record| keep(&record)) {
                batch.words.extend_from_slice(frame);
                batch.counts.add(frame[0]);
            }
        }
        batch
    }
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
        impl<'a> $view<'a> {
            /// Every field as it stands in the record, in order and with repetitions: its index among the fields of
            /// the static description, and its value. The index is `None` for a field with a name of its own and for
            /// a link. For encoders that remember what they know of a description.
            pub fn indexed_fields(
                &self,
            ) -> impl Iterator<Item = (Option<usize>, ValueRef<'a>)> + use<'a> {
                self.0.raw_fields().map(|field| {
                    let is_index = !matches!(field.key, KEY_INLINE | KEY_LINK);
                    (is_index.then_some(usize::from(field.key)), field.value)
                })
            }

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
