//! Writing logs and typed events into the calling thread's lane.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{
    batch::{HEADER_WORDS, Header, Kind, address},
    clock,
    event::{self, Descriptor, Event, EventValue},
    fields::Full,
    lane::{self, Lane},
    loss::{self, Lost},
    ring::{FRAME_WORDS_MAX, Writer},
};

/// Longest time a caller waits for room, where it was told to wait.
const WAIT_MAX: Duration = Duration::from_secs(1);

static WAIT: AtomicBool = AtomicBool::new(false);

/// What happens to a record that finds its lane full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// The record is refused and counted; the caller never waits.
    #[default]
    Refuse,
    /// The caller waits for the pump, for at most a second; after that the record is refused and counted.
    Wait,
}

/// Chooses what happens to records that find their lane full, from now on and for every thread.
pub fn when_full(choice: WhenFull) {
    WAIT.store(choice == WhenFull::Wait, Relaxed);
}

/// Records a typed event under the calling thread's current span.
///
/// Fields are evaluated before this is called: use `record!`, which first asks whether anybody listens.
#[inline]
pub fn record<E: Event + ?Sized>(event: &E) {
    write_event(E::DESCRIPTOR, |words| event::encode(event, words));
}

/// Records an event of `descriptor` whose fields have these values, in order.
pub fn record_values(descriptor: &'static Descriptor, values: &[&dyn EventValue]) {
    write_event(descriptor, |words| event::encode_values(values, words));
}

/// Records an event of `descriptor` whose fields carry their own names.
pub(crate) fn record_named(descriptor: &'static Descriptor, fields: &[(&str, &dyn EventValue)]) {
    write_event(descriptor, |words| event::encode_named(fields, words));
}

#[inline]
fn write_event(
    descriptor: &'static Descriptor,
    fields: impl Fn(&mut Writer<'_>) -> Result<(), Full>,
) {
    if let Some(lane) = lane::current() {
        let place = lane.context.place();
        write(lane, Kind::Event, &place, address(descriptor), fields);
    }
}

/// Writes a log or event frame at `place` (words 1-6 of a context slot).
#[inline]
pub(crate) fn write(
    lane: &'static Lane,
    kind: Kind,
    place: &[u64; 6],
    description: u64,
    fields: impl Fn(&mut Writer<'_>) -> Result<(), Full>,
) {
    let header = Header {
        kind,
        flags: place[5] as u8,
        trace_high: place[0],
        trace_low: place[1],
        span_id: place[2],
        parent_id: place[3],
        time: clock::ticks(),
        end_or_span: place[4],
        description,
        thread: lane.thread(),
        correlation: (place[5] >> 32) as u32,
    };
    write_frame(lane, &header, fields);
}

/// Writes a frame of any kind.
#[inline]
pub(crate) fn write_frame(
    lane: &'static Lane,
    header: &Header,
    fields: impl Fn(&mut Writer<'_>) -> Result<(), Full>,
) {
    if !try_write(lane, header, &fields) {
        retry(|| try_write(lane, header, &fields), lane);
    }
}

#[inline]
fn try_write(
    lane: &Lane,
    header: &Header,
    fields: impl Fn(&mut Writer<'_>) -> Result<(), Full>,
) -> bool {
    let mut writer = lane.ring.writer();
    if !writer.reserve(HEADER_WORDS) {
        return false;
    }
    writer.put_all(&header.words(0));
    if fields(&mut writer).is_err() {
        return false;
    }
    let length = writer.len();
    if length > FRAME_WORDS_MAX {
        loss::count(Lost::RecordTooLarge, 1);
        return true;
    }
    writer.put_at(0, header.first_word(length));
    writer.commit();
    true
}

/// The lane was full: waits where that was asked for, else counts the loss.
#[cold]
#[inline(never)]
pub(crate) fn retry(mut attempt: impl FnMut() -> bool, lane: &Lane) {
    if lane.ring.waiting() == 0 {
        // It does not fit into an empty lane and never will.
        loss::count(Lost::RecordTooLarge, 1);
        return;
    }
    let deadline = Instant::now() + WAIT_MAX;
    while WAIT.load(Relaxed) && lane::recording() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(50));
        if attempt() {
            return;
        }
    }
    loss::count(Lost::LaneFull, 1);
}
