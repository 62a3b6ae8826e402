//! Records that do not come through our own subscriber: from a layer on somebody's registry, or from the `log` crate.
//! For `radiosonde`'s own use; the layout of records stays private to this crate.

use std::fmt;

use tracing_core::{
    Event, Metadata,
    span::{Attributes, Record},
};

use crate::{
    batch::{Header, Kind, address},
    clock,
    context::SAMPLED,
    event::FieldValue,
    fields::{FieldBuffer, FieldWriter, Full, KEY_INLINE, KEY_LINK, Words as _, scratch},
    lane,
    loss::{self, Lost},
    record,
    ring::Writer,
    subscriber::{self, VectorVisitor},
};

/// A span that another subscriber keeps.
#[derive(Debug)]
pub struct OpenSpan {
    /// Words 1-6 of a context slot.
    place: [u64; 6],
    start: u64,
    thread: u32,
    fields: FieldBuffer,
}

/// Fields of a span, formatted: nothing that a user wrote runs when they are [added](OpenSpan::add).
#[derive(Debug)]
pub struct Recorded(Vec<u64>);

impl Recorded {
    /// Formats what is recorded on a span.
    pub fn new(values: &Record<'_>) -> Self {
        let mut visitor = VectorVisitor::default();
        values.record(&mut visitor);
        Self(visitor.words)
    }
}

/// Where a span is: what it is a parent, a cause or the surroundings by. A copy, so that nothing stays locked while the
/// fields of something else are formatted.
#[derive(Clone, Copy, Debug)]
pub struct Place([u64; 6]);

impl OpenSpan {
    /// Starts a span now. `parent` is the explicit parent; without one, a contextual span is a child of what the thread
    /// is in. `None` where nothing is recorded.
    pub fn start(attributes: &Attributes<'_>, parent: Option<Place>) -> Option<Self> {
        let lane = lane::current()?;
        let around = lane.context.place();
        let parent = match parent {
            Some(parent) => Some(parent.0),
            None => Some(around).filter(|place| attributes.is_contextual() && place[2] != 0),
        };
        let span_id = lane.random();
        let metadata = address(attributes.metadata());
        let mut place = match parent {
            Some([high, low, parent_id, _, _, flags]) => {
                [high, low, span_id, parent_id, metadata, flags]
            }
            None => subscriber::root(lane, span_id, metadata, around[5]),
        };
        let mut visitor = VectorVisitor::default();
        attributes.record(&mut visitor);
        if let (Some(keep), None) = (visitor.priority, parent) {
            place[5] = place[5] & !u64::from(SAMPLED) | u64::from(keep);
        }
        let mut open = Self {
            place,
            start: clock::ticks(),
            thread: lane.thread(),
            fields: FieldBuffer::default(),
        };
        open.append(&visitor.words);
        Some(open)
    }

    /// Adds fields.
    pub fn add(&mut self, recorded: &Recorded) {
        self.append(&recorded.0);
    }

    fn append(&mut self, fields: &[u64]) {
        if self.fields.append(fields).is_err() {
            loss::count(Lost::FieldLimit, 1);
        }
    }

    /// Where it is.
    pub const fn place(&self) -> Place {
        Place(self.place)
    }

    /// Links to a span that this one follows from.
    pub fn follows(&mut self, cause: Place) {
        let [high, low, cause, ..] = cause.0;
        scratch(|words| {
            // A vector takes every field.
            let _ = FieldValue::U64s(&[high, low, cause]).write(KEY_LINK, words);
            self.append(words);
        });
    }

    /// The thread enters the span, which `id` names on this thread.
    pub fn enter(&self, id: u64) {
        if let Some(lane) = lane::uncounted() {
            lane.context.enter(id, &self.place);
        }
    }

    /// The thread leaves the span.
    pub fn leave(id: u64) {
        if let Some(lane) = lane::kept() {
            lane.context.leave(id);
        }
    }

    /// Ends the span now and writes it into the calling thread's lane, unless it is outside the sample.
    pub fn finish(self) {
        let [
            trace_high,
            trace_low,
            span_id,
            parent_id,
            description,
            flags,
        ] = self.place;
        let end = clock::ticks();
        if flags & u64::from(SAMPLED) == 0 {
            return;
        }
        let Some(lane) = lane::current() else { return };
        let header = Header {
            kind: Kind::Span,
            flags: flags as u8,
            amended: true,
            trace_high,
            trace_low,
            span_id,
            parent_id,
            time: self.start,
            end_or_span: end,
            description,
            thread: self.thread,
            correlation: (flags >> 32) as u32,
        };
        record::write_frame(lane, &header, |writer| {
            let mut words = self.fields.words().iter();
            words.try_for_each(|&word| writer.push(word))
        });
    }
}

/// Writes an event of another subscriber as a log, in `span`, or else in what the thread is in where the event is
/// contextual.
pub fn event(event: &Event<'_>, span: Option<Place>) {
    let Some(lane) = lane::current() else { return };
    let place = match span {
        Some(place) => place.0,
        None if event.is_contextual() => lane.context.place(),
        None => [0; 6],
    };
    subscriber::write_event(lane, event, &place);
}

/// Takes the fields of a log.
pub struct Fields<'w, 'r> {
    writer: &'w mut Writer<'r>,
    full: bool,
}

/// A field's value.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Str(&'a str),
    Display(fmt::Arguments<'a>),
}

impl Fields<'_, '_> {
    /// Adds the field at `index` of the log's metadata.
    pub fn put(&mut self, index: u16, value: Value<'_>) {
        let value = match value {
            Value::Bool(value) => FieldValue::Bool(value),
            Value::I64(value) => FieldValue::I64(value),
            Value::U64(value) => FieldValue::U64(value),
            Value::F64(value) => FieldValue::F64(value),
            Value::Str(value) => FieldValue::Str(value),
            Value::Display(value) => FieldValue::Display(value),
        };
        self.full |= value.write(index, self.writer).is_err();
    }

    /// Adds a field whose name is known only now.
    pub fn put_named(&mut self, name: &str, value: Value<'_>) {
        self.full |= FieldWriter(self.writer).name(name).is_err();
        self.put(KEY_INLINE, value);
    }
}

/// Writes a log in what the thread is in. `fields` may be called more than once.
pub fn log(metadata: &'static Metadata<'static>, fields: impl Fn(&mut Fields<'_, '_>)) {
    let Some(lane) = lane::current() else { return };
    let place = lane.context.place();
    record::write(lane, Kind::Log, &place, address(metadata), |writer| {
        let mut sink = Fields {
            writer,
            full: false,
        };
        fields(&mut sink);
        if sink.full { Err(Full) } else { Ok(()) }
    });
}
