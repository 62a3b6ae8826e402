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
    pump,
    ring::{Ring, Writer},
};

/// Longest time a caller waits for room, where it was told to wait.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long it sleeps before it looks for the first time, and at most. Each look costs the processor some microseconds, and the
/// pump may sleep for milliseconds.
const LOOK_MIN: Duration = Duration::from_micros(50);
const LOOK_MAX: Duration = Duration::from_micros(400);

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

/// Waits until the calling thread's lane has room for any record, for at most a second, whatever was chosen by
/// [`when_full`]; `false` when there is none by then. It is for loops that record much at once and may wait; where
/// nothing is recorded there is nothing to wait for.
pub fn wait_for_lane() -> bool {
    lane::current().is_none_or(|lane| wait_for_room(&lane.ring, || true))
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
        amended: false,
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

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Written,
    /// There is no room, or a frame is open.
    Full,
    /// There never will be.
    TooLarge,
}

/// Writes a frame of any kind. `fields` may run code of users, and may be called twice.
#[inline]
pub(crate) fn write_frame(
    lane: &'static Lane,
    header: &Header,
    fields: impl Fn(&mut Writer<'_>) -> Result<(), Full>,
) {
    let attempt = try_write(&lane.ring, header, &fields);
    if attempt != Attempt::Written {
        settle(lane, attempt, |ring| try_write(ring, header, &fields));
    }
}

#[inline]
fn try_write(
    ring: &Ring,
    header: &Header,
    fields: impl Fn(&mut Writer<'_>) -> Result<(), Full>,
) -> Attempt {
    let mut writer = ring.open();
    if !writer.reserve(HEADER_WORDS) {
        return Attempt::Full;
    }
    writer.put_all(&header.words(0));
    let written = fields(&mut writer);
    if writer.is_too_large() {
        return Attempt::TooLarge;
    }
    if written.is_err() {
        return Attempt::Full;
    }
    writer.put_at(0, header.first_word(writer.len()));
    writer.commit();
    Attempt::Written
}

/// A frame was not written at the first attempt: writes it elsewhere where a frame is open, waits where that was asked
/// for, else counts the loss.
#[cold]
#[inline(never)]
pub(crate) fn settle(
    lane: &'static Lane,
    first: Attempt,
    mut attempt: impl FnMut(&Ring) -> Attempt,
) {
    let reason = match first {
        Attempt::Full if lane.ring.is_open() => match lane.inner_ring().map(attempt) {
            Some(Attempt::Written) => return,
            Some(Attempt::Full) => Lost::LaneFull,
            Some(Attempt::TooLarge) => Lost::RecordTooLarge,
            None => Lost::TooDeep,
        },
        // What does not fit where the longest frame has room is too large.
        Attempt::Full if wait_for_room(&lane.ring, || WAIT.load(Relaxed)) => {
            match attempt(&lane.ring) {
                Attempt::Written => return,
                Attempt::Full => Lost::LaneFull,
                Attempt::TooLarge => Lost::RecordTooLarge,
            }
        }
        Attempt::Full => Lost::LaneFull,
        Attempt::TooLarge => Lost::RecordTooLarge,
        Attempt::Written => return,
    };
    loss::count(reason, 1);
}

/// Whether the pump has made room for any frame since, or does so while it is waited for.
fn wait_for_room(ring: &Ring, wait: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + WAIT_MAX;
    let mut pause = LOOK_MIN;
    loop {
        if ring.has_room() {
            return true;
        }
        // The pump itself would wait for nobody.
        if !wait() || pump::is_here() || !lane::recording() || Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(LOOK_MAX);
    }
}
