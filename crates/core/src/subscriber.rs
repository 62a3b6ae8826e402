//! The global `tracing` subscriber: spans and logs straight into the calling thread's lane.
//!
//! Being the subscriber, not a layer on a registry, is what makes a span cost tens of nanoseconds: no shared slab, no
//! reference counts on parents, no extensions. Where the span lives on one thread nothing here locks, allocates, makes
//! a system call or uses an atomic read-modify-write.

mod visit;

use std::mem;

use tracing_core::{
    Callsite as _, Event, Interest, LevelFilter, Metadata,
    span::{Attributes, Current, Id, Record},
};

pub(crate) use self::visit::VectorVisitor;
use self::visit::{LateVisitor, SlotVisitor, WriterVisitor};
use crate::{
    batch::{HEADER_WORDS, Header, Kind, address},
    clock,
    context::{ASKED_FOR, DECLINED, RANDOM},
    event::FieldValue,
    fields::{Full, KEY_LINK},
    filter,
    lane::{self, Lane},
    loss::{self, Lost},
    record::{self, Attempt},
    ring::{FRAME_WORDS_MAX, Ring},
    sampling,
    slab::{Found, LocalId, Opening},
    sync::AtomicU64,
};

/// The id of a span that is not recorded.
const REFUSED: u64 = u64::MAX;

/// Records `tracing` spans and events. Make it the global default with
/// [`set_global_default`](tracing::subscriber::set_global_default), or let `radiosonde::init` do so.
#[derive(Debug, Default)]
pub struct Subscriber {
    _private: (),
}

impl Subscriber {
    /// A subscriber that asks [`filter`] what to record.
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl tracing_core::Subscriber for Subscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        filter::interest(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        filter::enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(filter::max_level_hint())
    }

    #[inline]
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let opened = lane::current().and_then(|lane| open(lane, attributes));
        let id = Id::from_u64(opened.unwrap_or(REFUSED));
        // Spans that are not recorded all have the same id.
        if opened.is_some() && filter::watches_spans() {
            filter::span_created(attributes, &id);
        }
        id
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some((lane, span)) = find(id) {
            record_on(lane, span, |visitor| values.record(visitor));
        }
        if filter::watches_spans() {
            filter::span_recorded(id, values);
        }
    }

    /// Nothing is known any more of a span that has ended: a link to it is counted and left out.
    fn record_follows_from(&self, id: &Id, follows: &Id) {
        let Some((lane, span)) = find(id) else { return };
        let Some((_, cause)) = find(follows) else {
            // Of a span that was not recorded there is nothing to link to.
            loss::count(Lost::LinkGone, u64::from(follows.into_u64() != REFUSED));
            return;
        };
        let [high, low, cause, ..] = cause.place();
        record_on(lane, span, |visitor| {
            visitor.write(KEY_LINK, &FieldValue::U64s(&[high, low, cause]));
        });
    }

    #[inline]
    fn event(&self, event: &Event<'_>) {
        let Some(lane) = lane::current() else { return };
        let place = if event.is_contextual() {
            lane.context.place()
        } else {
            event
                .parent()
                .and_then(find)
                .map_or([0; 6], |(_, span)| span.place())
        };
        write_event(lane, event, &place);
    }

    #[inline]
    fn enter(&self, id: &Id) {
        if let Some(lane) = lane::uncounted()
            && let Some((_, span)) = find_from(Some(lane), id.into_u64())
        {
            lane.context.enter(id.into_u64(), &span.place());
        }
        if filter::watches_spans() {
            filter::span_entered(id);
        }
    }

    #[inline]
    fn exit(&self, id: &Id) {
        if let Some(lane) = lane::kept() {
            lane.context.leave(id.into_u64());
        }
        if filter::watches_spans() {
            filter::span_exited(id);
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some((_, span)) = find(id) {
            span.add_handle();
        }
        id.clone()
    }

    #[inline]
    fn try_close(&self, id: Id) -> bool {
        let here = lane::uncounted();
        let Some((owner, span)) = find_from(here, id.into_u64()) else {
            return false;
        };
        if !span.drop_handle() {
            return false;
        }
        let end = clock::ticks();
        if filter::watches_spans() {
            filter::span_closed(&id);
        }
        if let Some(lane) = here {
            write_span(lane, &span, end);
        } else {
            // Counts why this thread cannot record.
            let _ = lane::current();
        }
        span.close(here.is_some_and(|lane| std::ptr::eq(lane, owner)));
        true
    }

    fn current_span(&self) -> Current {
        let id = lane::existing().map_or(0, |lane| lane.context.current_span());
        match find_from(lane::existing(), id).and_then(|(_, span)| span.metadata()) {
            Some(metadata) => Current::new(Id::from_u64(id), metadata),
            None => Current::none(),
        }
    }
}

/// Writes a log in `place`, words 1-6 of a context slot.
#[inline]
pub(crate) fn write_event(lane: &'static Lane, event: &Event<'_>, place: &[u64; 6]) {
    let description = address(event.metadata());
    record::write(lane, Kind::Log, place, description, |writer| {
        let mut visitor = WriterVisitor {
            writer,
            full: false,
        };
        event.record(&mut visitor);
        if visitor.full { Err(Full) } else { Ok(()) }
    });
}

/// The open span with this id and the lane it lives in, from any thread.
fn find(id: &Id) -> Option<(&'static Lane, Found<'static>)> {
    find_from(lane::existing(), id.into_u64())
}

/// The same, where the calling thread's lane is already at hand: most spans live in it, and are found without touching
/// the registry.
#[inline]
fn find_from(here: Option<&'static Lane>, id: u64) -> Option<(&'static Lane, Found<'static>)> {
    let id = LocalId(id);
    let lane = match here {
        Some(lane) if lane.index == id.lane() => lane,
        _ => lane::by_index(id.lane())?,
    };
    Some((lane, lane.slab.find(id)?))
}

#[inline]
fn open(lane: &'static Lane, attributes: &Attributes<'_>) -> Option<u64> {
    let metadata = attributes.metadata();
    let around = lane.context.place();
    let parent = if attributes.is_contextual() {
        Some(around).filter(|place| place[2] != 0)
    } else {
        attributes
            .parent()
            .and_then(find)
            .map(|(_, span)| span.place())
    };
    let span_id = lane.random();
    let place = match parent {
        Some([high, low, parent_id, _, _, flags]) => {
            [high, low, span_id, parent_id, address(metadata), flags]
        }
        None => root(lane, span_id, address(metadata), around[5]),
    };
    let Some((id, span)) = lane.slab.open(&Opening {
        place,
        thread: lane.thread(),
    }) else {
        loss::count(Lost::SlabFull, 1);
        return None;
    };
    if !metadata.fields().is_empty() {
        let unfinished = Unfinished(span);
        let mut visitor = SlotVisitor {
            inline: span.inline(),
            span,
            is_root: parent.is_none(),
            priority: None,
        };
        attributes.record(&mut visitor);
        mem::forget(unfinished);
        let priority = visitor.priority;
        visitor.inline.commit();
        if let Some(keep) = priority {
            span.set_sampled(keep);
        }
    }
    span.set_start(clock::ticks());
    Some(id.0)
}

/// Frees the slot of a span one of whose values panicked.
struct Unfinished(Found<'static>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.close(true);
    }
}

/// The place of a span that starts a trace. It keeps the correlation ID in `around`, the flags of the slot, and follows
/// the decision there: a caller may bring a request ID, or a decision, without a trace.
#[inline]
pub(crate) fn root(lane: &Lane, span_id: u64, metadata: u64, around: u64) -> [u64; 6] {
    let (high, low) = (lane.random(), lane.random());
    let sampled = match around & (ASKED_FOR | DECLINED) {
        0 => sampling::keeps(low),
        decision => decision == ASKED_FOR,
    };
    let flags = u64::from(RANDOM) | u64::from(sampled);
    let correlation = around & !u64::from(u32::MAX);
    [high, low, span_id, 0, metadata, flags | correlation]
}

/// Writes a finished span into `lane`, unless it is outside the sample.
#[inline]
fn write_span(lane: &'static Lane, span: &Found<'_>, end: u64) {
    if !span.sampled() {
        return;
    }
    if span.has_extra() {
        write_span_and_extra(lane, span, end);
    } else {
        write_span_with(lane, span, end, &[]);
    }
}

#[cold]
#[inline(never)]
fn write_span_and_extra(lane: &'static Lane, span: &Found<'_>, end: u64) {
    let extra = span.take_extra();
    write_span_with(lane, span, end, extra.words());
    span.give_back_extra(extra);
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "its second use is the cold one, which must not keep the first from inlining"
)]
fn write_span_with(lane: &'static Lane, span: &Found<'_>, end: u64, extra: &[u64]) {
    let fields = span.inline_fields();
    let length = HEADER_WORDS + fields.len() + extra.len();
    if length > FRAME_WORDS_MAX {
        loss::count(Lost::RecordTooLarge, 1);
        return;
    }
    let [
        trace_high,
        trace_low,
        span_id,
        parent_id,
        description,
        flags,
    ] = span.place();
    let header = Header {
        kind: Kind::Span,
        flags: flags as u8,
        amended: span.is_amended() || !extra.is_empty(),
        trace_high,
        trace_low,
        span_id,
        parent_id,
        time: span.start(),
        end_or_span: end,
        description,
        thread: span.thread(),
        correlation: (flags >> 32) as u32,
    };
    if write_frame(&lane.ring, &header, fields, extra) != Attempt::Written {
        record::settle(lane, Attempt::Full, |ring| {
            write_frame(ring, &header, fields, extra)
        });
    }
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "its second use is the cold retry, which must not keep the first from inlining"
)]
fn write_frame(ring: &Ring, header: &Header, fields: &[AtomicU64], extra: &[u64]) -> Attempt {
    let length = HEADER_WORDS + fields.len() + extra.len();
    let mut writer = ring.writer();
    if !writer.reserve(length) {
        return Attempt::Full;
    }
    writer.put_all(&header.words(length));
    writer.put_from(fields);
    extra.iter().for_each(|&word| writer.put(word));
    writer.commit();
    Attempt::Written
}

/// Appends fields to a span that is open. The owning thread writes inline while there is room, others into the side
/// table.
fn record_on(
    owner: &'static Lane,
    span: Found<'static>,
    write: impl FnOnce(&mut LateVisitor<'static>),
) {
    write(&mut LateVisitor {
        span,
        is_owner: lane::existing().is_some_and(|lane| std::ptr::eq(lane, owner)),
    });
}

/// What a record whose callsite is missing is shown as; a batch never holds one.
pub(crate) fn unknown_metadata() -> &'static Metadata<'static> {
    tracing::callsite!(name: "unknown", kind: tracing::metadata::Kind::EVENT, fields: ).metadata()
}
