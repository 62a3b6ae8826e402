//! Batches that did not come through a lane: what tests, benches and replays put into one by hand.
//!
//! Invariant: frames are those the pump writes. A name that the static description knows is written by index, any
//! other one inline.

use tracing_core::Metadata;

use super::{Batch, HEADER_WORDS, Header, Kind, address};
use crate::{
    correlation,
    event::{self, Event},
    fields::{FieldWriter, Full, KEY_INLINE, KEY_LINK, ValueRef},
    ids::{SpanId, TraceId},
    model::Link,
};

/// What records of every kind have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// A span's own identifier; for a log or event the current span's.
    pub span_id: Option<SpanId>,
    /// That span's parent.
    pub parent_id: Option<SpanId>,
    /// W3C trace flags.
    pub flags: u8,
    /// Start of a span, time of a log or event, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// The number of the recording thread.
    pub thread: u32,
    /// The caller's own request identifier; empty for none.
    pub correlation_id: &'a str,
    /// Names and values, in order. An event takes none: its fields are its own.
    pub attributes: &'a [(&'a str, ValueRef<'a>)],
    /// Spans that a span follows from.
    pub links: &'a [Link],
}

impl Parts<'_> {
    fn header(&self, kind: Kind, end_or_span: u64, description: u64) -> Header {
        let (trace_high, trace_low) = self.trace_id.map_or((0, 0), TraceId::words);
        Header {
            kind,
            flags: self.flags,
            amended: true,
            trace_high,
            trace_low,
            span_id: self.span_id.map_or(0, SpanId::bits),
            parent_id: self.parent_id.map_or(0, SpanId::bits),
            time: self.time_unix_ns,
            end_or_span,
            description,
            thread: self.thread,
            correlation: correlation::handle(self.correlation_id),
        }
    }

    fn write(
        &self,
        metadata: &'static Metadata<'static>,
        words: &mut Vec<u64>,
    ) -> Result<(), Full> {
        let mut writer = FieldWriter(words);
        for (name, value) in self.attributes {
            let known = metadata
                .fields()
                .iter()
                .position(|field| field.name() == *name);
            let key = if let Some(index) = known {
                index as u16
            } else {
                writer.name(name)?;
                KEY_INLINE
            };
            write_value(&mut writer, key, *value)?;
        }
        for link in self.links {
            let (high, low) = link.trace_id.words();
            writer.u64s(KEY_LINK, &[high, low, link.span_id.bits()])?;
        }
        Ok(())
    }
}

fn write_value(
    writer: &mut FieldWriter<'_, Vec<u64>>,
    key: u16,
    value: ValueRef<'_>,
) -> Result<(), Full> {
    match value {
        ValueRef::Bool(value) => writer.bool(key, value),
        ValueRef::I64(value) => writer.i64(key, value),
        ValueRef::U64(value) => writer.u64(key, value),
        ValueRef::F64(value) => writer.f64(key, value),
        ValueRef::Str(text) => writer.text(key, text),
        ValueRef::U64s(values) => writer.u64s(key, values),
        ValueRef::Shapes(shapes) => {
            let lists: Vec<&[u64]> = shapes.iter().collect();
            writer.shapes(key, &lists)
        }
    }
}

impl Batch {
    /// Adds a span that ended at `end_unix_ns`.
    pub fn push_span(
        &mut self,
        metadata: &'static Metadata<'static>,
        parts: &Parts<'_>,
        end_unix_ns: u64,
    ) {
        let header = parts.header(Kind::Span, end_unix_ns, address(metadata));
        self.push_frame(&header, |words| parts.write(metadata, words));
    }

    /// Adds a log written while `span` was current.
    pub fn push_log(
        &mut self,
        metadata: &'static Metadata<'static>,
        span: Option<&'static Metadata<'static>>,
        parts: &Parts<'_>,
    ) {
        let header = parts.header(Kind::Log, span.map_or(0, address), address(metadata));
        self.push_frame(&header, |words| parts.write(metadata, words));
    }

    /// Adds `event`, recorded while `span` was current.
    pub fn push_event<E: Event>(
        &mut self,
        event: &E,
        span: Option<&'static Metadata<'static>>,
        parts: &Parts<'_>,
    ) {
        let header = parts.header(Kind::Event, span.map_or(0, address), address(E::DESCRIPTOR));
        self.push_frame(&header, |words| event::encode(event, words));
    }

    fn push_frame(
        &mut self,
        header: &Header,
        fields: impl FnOnce(&mut Vec<u64>) -> Result<(), Full>,
    ) {
        let start = self.words.len();
        self.words.extend_from_slice(&header.words(HEADER_WORDS));
        // A vector has room for every field.
        let _ = fields(&mut self.words);
        self.words[start] = header.first_word(self.words.len() - start);
        self.counts.add(self.words[start]);
    }
}
