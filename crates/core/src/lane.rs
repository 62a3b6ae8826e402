//! Lanes: what each recording thread owns, and the registry that hands them out.
//!
//! A lane is one region of memory ([`crate::memory`]) with the thread's context slot, its open spans and its ring to
//! the pump. Invariants:
//! - A lane has at most one owning thread. A thread that ends gives its lane back, the next thread takes it over with
//!   whatever it still holds; lanes are never freed, so threads that come and go leak none.
//! - [`current`] neither locks nor allocates after a thread's first use.

mod names;

pub use self::names::thread_name;

use std::{
    cell::Cell,
    marker::PhantomData,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize},
    },
};

use crate::{
    clock,
    context::Slot,
    loss::{self, Lost},
    memory::{
        self, CONTEXT_START, HEAD, LAYOUT_VERSION, MAGIC, REGION_WORDS, RING_START, SLAB_START,
        TAIL,
    },
    random,
    ring::{RING_WORDS, Ring},
    slab::{CHUNK_SLOTS, SLOT_WORDS, Slab},
    sync::{AtomicU64, Ordering},
};

/// Most threads that can record at once.
pub const LANES_MAX: usize = 4096;

/// How deep records may be made while others are written.
const INNER_RINGS: usize = 3;
/// Words between the head and the tail of an inner ring: a cache line.
const LINE_WORDS: usize = 8;

/// What one recording thread owns.
pub(crate) struct Lane {
    /// Its number, from 1.
    pub(crate) index: u16,
    pub(crate) context: Slot,
    pub(crate) slab: Slab,
    pub(crate) ring: Ring,
    /// Where records go that are made while a frame is open in `ring` and in the inner rings before: by a value that
    /// records something while it is formatted. There are none until the first such record.
    inner: [OnceLock<Ring>; INNER_RINGS],
    /// State of the identifier generator; used by the owner only.
    random: AtomicU64,
    /// What that state grows by.
    increment: u64,
    /// The number of the thread that owns it.
    thread: AtomicU32,
    words: &'static [AtomicU64],
}

impl Lane {
    fn new(index: u16, words: &'static [AtomicU64]) -> Option<Self> {
        words[0].store(MAGIC, Ordering::Relaxed);
        words[1].store(LAYOUT_VERSION, Ordering::Relaxed);
        let slab = &words[SLAB_START..SLAB_START + CHUNK_SLOTS * SLOT_WORDS];
        let (state, increment) = random::seed();
        Some(Self {
            index,
            context: Slot::new(
                words[CONTEXT_START..].first_chunk()?,
                &words[memory::STACK_START..SLAB_START],
            )?,
            slab: Slab::new(index, slab)?,
            ring: Ring::new(
                words[RING_START..].first_chunk()?,
                &words[HEAD],
                &words[TAIL],
            ),
            inner: [const { OnceLock::new() }; INNER_RINGS],
            random: AtomicU64::new(state),
            increment,
            thread: AtomicU32::new(0),
            words,
        })
    }

    /// The number of the owning thread: the operating system's where it has one.
    #[inline]
    pub(crate) fn thread(&self) -> u32 {
        self.thread.load(Ordering::Relaxed)
    }

    /// The first inner ring without an open frame, made where there is none so far. `None` where records are nested
    /// too deeply or there is no memory. Only the owning thread may call this.
    pub(crate) fn inner_ring(&self) -> Option<&Ring> {
        let is_free = |ring: &&OnceLock<Ring>| ring.get().is_none_or(|ring| !ring.is_open());
        let place = self.inner.iter().find(is_free)?;
        if let Some(ring) = place.get() {
            return Some(ring);
        }
        let words = memory::words(RING_WORDS + 2 * LINE_WORDS)?;
        let ring = Ring::new(
            words.first_chunk()?,
            &words[RING_WORDS],
            &words[RING_WORDS + LINE_WORDS],
        );
        Some(place.get_or_init(|| ring))
    }

    /// Every ring of the lane, for the pump.
    pub(crate) fn rings(&self) -> impl Iterator<Item = &Ring> {
        let inner = self.inner.iter().map_while(OnceLock::get);
        std::iter::once(&self.ring).chain(inner)
    }

    /// The next 64 random bits. Only the owning thread may call this.
    #[inline]
    pub(crate) fn random(&self) -> u64 {
        let (state, value) = random::next(self.random.load(Ordering::Relaxed), self.increment);
        self.random.store(state, Ordering::Relaxed);
        value
    }
}

static LANES: [OnceLock<Lane>; LANES_MAX] = [const { OnceLock::new() }; LANES_MAX];
static COUNT: AtomicU32 = AtomicU32::new(0);
static FREE: Mutex<Vec<&'static Lane>> = Mutex::new(Vec::new());
/// How many there are in [`FREE`], for a look without the lock.
static FREE_COUNT: AtomicUsize = AtomicUsize::new(0);
/// Whether anything is recorded at all: set while a pump runs.
static RECORDING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The lane that this thread records into. Without a destructor, so that reading it costs one load.
    static OPEN: Cell<Option<&'static Lane>> = const { Cell::new(None) };
    /// Why there is none.
    static CLOSED: Cell<Closed> = const { Cell::new(Closed::Unused) };
    /// Gives the lane back when the thread ends.
    static EXIT: Exit = const { Exit };
}

#[derive(Clone, Copy)]
enum Closed {
    /// Nothing recorded so far.
    Unused,
    /// One of our own threads, or inside [`silence`]: nothing is recorded and nothing counted as lost.
    Silent(Option<&'static Lane>),
    /// There was no lane for the thread; there may be one later.
    Limit,
    /// The thread's destructors run.
    Gone,
}

struct Exit;

impl Drop for Exit {
    fn drop(&mut self) {
        let silent = match CLOSED.replace(Closed::Gone) {
            Closed::Silent(lane) => lane,
            _ => None,
        };
        if let Some(lane) = OPEN.take().or(silent) {
            lane.context.clear();
            lane.words[2].store(0, Ordering::Relaxed);
            names::ended(lane.thread());
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            free.push(lane);
            FREE_COUNT.store(free.len(), Ordering::Relaxed);
        }
    }
}

/// The calling thread's lane for a record, or `None` when nothing is recorded here: no pump runs, the thread is silent,
/// or it has no lane, and then the record is counted as lost.
#[inline]
pub(crate) fn current() -> Option<&'static Lane> {
    if !crate::COMPILED_IN || !RECORDING.load(Ordering::Relaxed) {
        return None;
    }
    OPEN.get().or_else(|| acquire(1))
}

/// The same for what is no record, such as entering a span: nothing is counted.
#[inline]
pub(crate) fn uncounted() -> Option<&'static Lane> {
    if !crate::COMPILED_IN || !RECORDING.load(Ordering::Relaxed) {
        return None;
    }
    OPEN.get().or_else(|| acquire(0))
}

/// The calling thread's lane if it already has one; counts nothing and makes none.
#[inline]
pub(crate) fn existing() -> Option<&'static Lane> {
    if !crate::COMPILED_IN {
        return None;
    }
    OPEN.get()
}

/// The calling thread's lane, even while the thread is silent or recording is off: what the thread is in stands there
/// all the while.
#[inline]
pub(crate) fn kept() -> Option<&'static Lane> {
    if !crate::COMPILED_IN {
        return None;
    }
    OPEN.get().or_else(silent_lane)
}

#[cold]
#[inline(never)]
fn acquire(records: u64) -> Option<&'static Lane> {
    let reason = match CLOSED.get() {
        Closed::Silent(_) => return None,
        Closed::Gone => Lost::ThreadExiting,
        Closed::Limit if FREE_COUNT.load(Ordering::Relaxed) == 0 => Lost::LaneLimit,
        // Registers the destructor; a thread that is already being torn down cannot.
        Closed::Unused if EXIT.try_with(|_| ()).is_err() => Lost::ThreadExiting,
        Closed::Unused | Closed::Limit => match take() {
            Some(lane) => {
                OPEN.set(Some(lane));
                CLOSED.set(Closed::Unused);
                return Some(lane);
            }
            None => Lost::LaneLimit,
        },
    };
    CLOSED.set(match reason {
        Lost::LaneLimit => Closed::Limit,
        _ => Closed::Gone,
    });
    loss::count(reason, records);
    None
}

fn take() -> Option<&'static Lane> {
    let lane = match recycled() {
        Some(lane) => lane,
        None => create()?,
    };
    let thread = thread_number();
    lane.thread.store(thread, Ordering::Relaxed);
    lane.words[2].store(u64::from(thread), Ordering::Relaxed);
    names::started(thread);
    lane.context.begin();
    Some(lane)
}

fn recycled() -> Option<&'static Lane> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let lane = free.pop();
    FREE_COUNT.store(free.len(), Ordering::Relaxed);
    lane
}

fn create() -> Option<&'static Lane> {
    clock::init();
    let mut count = COUNT.load(Ordering::Relaxed);
    if count as usize == LANES_MAX {
        return None;
    }
    // Before a number is taken, which could not be given back where there is no memory.
    let words = memory::words(REGION_WORDS)?;
    loop {
        if count as usize == LANES_MAX {
            return None;
        }
        match COUNT.compare_exchange_weak(count, count + 1, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => count = now,
        }
    }
    let lane = Lane::new(count as u16 + 1, words)?;
    Some(LANES[count as usize].get_or_init(|| lane))
}

/// The lane with this number.
#[inline]
pub(crate) fn by_index(index: u16) -> Option<&'static Lane> {
    LANES.get(usize::from(index).wrapping_sub(1))?.get()
}

/// Every lane that exists.
pub(crate) fn all() -> impl Iterator<Item = &'static Lane> {
    LANES[..COUNT.load(Ordering::Acquire) as usize]
        .iter()
        .filter_map(OnceLock::get)
}

/// Counts the spans that are open as lost, once nothing is recorded any more and for good, and says how many they are. One
/// that was counted before is not counted again.
pub fn count_open_spans() -> u64 {
    let open = all().map(|lane| lane.slab.count_open()).sum();
    loss::count(Lost::SpanOpen, open);
    open
}

/// How many lanes exist, in use or waiting for the next thread.
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed) as usize
}

/// Says whether records are taken; the pump switches it.
pub(crate) fn set_recording(recording: bool) {
    RECORDING.store(recording, Ordering::Relaxed);
}

/// Whether records are taken: while a pump runs, and not while it stops.
#[inline]
pub fn recording() -> bool {
    RECORDING.load(Ordering::Relaxed)
}

/// While the guard lives, the calling thread records nothing. Threads that export telemetry hold one, so that their
/// own spans and logs do not feed back.
#[must_use = "recording resumes when the guard is dropped"]
pub fn silence() -> Silence {
    let before = (OPEN.get(), CLOSED.get());
    match before {
        (Some(lane), _) => CLOSED.set(Closed::Silent(Some(lane))),
        (None, Closed::Unused | Closed::Limit) => CLOSED.set(Closed::Silent(None)),
        (None, Closed::Silent(_) | Closed::Gone) => {}
    }
    OPEN.set(None);
    Silence {
        before,
        not_send: PhantomData,
    }
}

/// See [`silence`].
pub struct Silence {
    before: (Option<&'static Lane>, Closed),
    not_send: PhantomData<*const ()>,
}

impl Drop for Silence {
    fn drop(&mut self) {
        if matches!(CLOSED.get(), Closed::Gone) {
            // The thread ends, and its lane may be another's by now.
            return;
        }
        // A silence inside another one leaves the outer one's; a lane that `aloud` got meanwhile stays the thread's.
        if let (before, closed @ (Closed::Unused | Closed::Limit | Closed::Gone)) = self.before {
            OPEN.set(before.or(silent_lane()));
            CLOSED.set(closed);
        }
    }
}

#[cold]
fn silent_lane() -> Option<&'static Lane> {
    match CLOSED.get() {
        Closed::Silent(lane) => lane,
        Closed::Unused | Closed::Limit | Closed::Gone => None,
    }
}

/// Whether the calling thread holds a [`silence`], as every thread does that telemetry passes through.
pub fn is_silent() -> bool {
    matches!(CLOSED.get(), Closed::Silent(_))
}

/// Lets a silent thread record until the guard is dropped, for the few things that Radiosonde says about itself from
/// its own threads. What is recorded here must not be something that each export brings about anew.
#[must_use = "the thread is silent again when the guard is dropped"]
pub fn aloud() -> Aloud {
    let was_silent = matches!(CLOSED.get(), Closed::Silent(_));
    if was_silent {
        OPEN.set(silent_lane());
        CLOSED.set(Closed::Unused);
    }
    Aloud {
        was_silent,
        not_send: PhantomData,
    }
}

/// See [`aloud`].
pub struct Aloud {
    was_silent: bool,
    not_send: PhantomData<*const ()>,
}

impl Drop for Aloud {
    fn drop(&mut self) {
        if self.was_silent && !matches!(CLOSED.get(), Closed::Gone) {
            CLOSED.set(Closed::Silent(OPEN.take()));
        }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
fn thread_number() -> u32 {
    // SAFETY: `gettid` takes no arguments and cannot fail.
    (unsafe { libc::gettid() }) as u32
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn thread_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
