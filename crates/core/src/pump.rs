//! The pump: one thread that empties every lane, turns ticks into time and hands batches on.
//!
//! It wakes by a timed park, the sooner the faster lanes fill; recording threads never wake it. Lanes are read at each
//! wake-up, so that they have room; what was read is handed on some times a second, because each time those who take it
//! find nothing of theirs in the processor's caches, which costs a busy program more than a hundred records do.
//! [`Pump::flush`] does. Invariants: a flush that returns `true` means that everything recorded before it was handed to
//! every consumer and each said that it is delivered; stopping and dropping never wait longer than their deadline; a
//! pump that was left behind because a consumer hung reads no lane once another one was started.

mod reading;
mod requests;

use std::{
    cell::Cell,
    fmt, mem, panic,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub use self::requests::Handle;
use self::{
    reading::{convert, reader},
    requests::Shared,
};
use crate::{
    batch::{Batch, Counts},
    clock::Clock,
    lane::{self, Lane},
    loss::{self, Lost},
    model::Resource,
    panics::drop_caught,
    ring::RING_WORDS,
};

/// Shortest park.
const PARK_MIN: Duration = Duration::from_millis(1);
/// Longest park while little comes: a program that is quiet may write anything next, and has the time to wake the pump often.
/// A lane of [`RING_WORDS`] words takes a third of a million records a second that come then.
const PARK_QUIET_MAX: Duration = Duration::from_millis(20);
/// Longest park while much comes all the time. Each wake-up costs a program that computes more than a hundred records do,
/// and one that records steadily has shown how fast it does.
const PARK_MAX: Duration = Duration::from_millis(50);
/// Words of the fullest lane below which little came.
const QUIET_WORDS: usize = RING_WORDS / 64;
/// By how much of itself the park grows each time little came. A program that has written much at once will again, and
/// what is read soon is read from the processor's caches: for some tenths of a second it is.
const PARK_GROWTH: u32 = 8;
/// How long records wait in a batch for others.
const GATHER: Duration = Duration::from_millis(250);
/// How long a record waits before it is handed to consumers, at most, while none of them holds the pump up.
pub const HOLD_MAX: Duration = GATHER.saturating_add(PARK_MAX);
/// How long they wait where a log is among them: people read those as they come.
const GATHER_LOGS: Duration = Duration::from_millis(50);
/// Words of a lane from which on the next park is the shortest.
const BUSY_WORDS: usize = RING_WORDS / 4;
/// A lane this full when it is read is read again at once.
const PRESSED_WORDS: usize = RING_WORDS / 2;
/// Words in a batch before it is handed on.
const BATCH_WORDS_MAX: usize = 1 << 16;
/// How long dropping the pump waits for its last flush.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of the time to stop is kept at most for consumers to count and say what they could not deliver.
const END_RESERVE_MAX: Duration = Duration::from_millis(500);
/// Stands in for a deadline that no clock can show: ten years.
const FAR: Duration = Duration::from_hours(24 * 365 * 10);

/// The moment `timeout` from now; one too far away to be told is ten years off.
pub fn deadline_in(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + FAR)
}

/// Takes batches from the pump: aggregation, handlers, exporters. Called on the pump's thread, so it hands on and
/// returns; whatever may block has a thread and a bounded queue of its own.
pub trait Consumer: Send {
    /// Takes a batch.
    fn consume(&mut self, batch: &Arc<Batch>);

    /// Delivers everything taken so far, by `deadline` at the latest. `false` when something is still waiting then.
    fn flush(&mut self, deadline: Instant) -> bool {
        let _ = deadline;
        true
    }
}

/// What a pump needs.
pub struct Config {
    /// What produces the telemetry.
    pub resource: Arc<Resource>,
    /// Who takes batches, in order.
    pub consumers: Vec<Box<dyn Consumer>>,
}

/// A pump could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A pump runs already: there is one a process.
    AlreadyRunning,
    /// The operating system gave no thread.
    Thread(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRunning => {
                f.write_str("recording is already on in this process; keep the first guard instead")
            }
            Self::Thread(error) => write!(f, "cannot start the pump's thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::AlreadyRunning => None,
            Self::Thread(error) => Some(error),
        }
    }
}

static RUNNING: Mutex<bool> = Mutex::new(false);

thread_local! {
    static IS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is a pump's.
pub(crate) fn is_here() -> bool {
    IS_HERE.get()
}

/// A running pump. Dropping it flushes, for at most five seconds, and stops recording.
pub struct Pump {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Starts the pump; from here on records are taken.
pub fn start(config: Config) -> Result<Pump, StartError> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if *running {
        return Err(StartError::AlreadyRunning);
    }
    let shared = Arc::new(Shared::new());
    let number = {
        let mut reader = reader();
        *reader += 1;
        *reader
    };
    let worker = Worker {
        number,
        shared: Arc::clone(&shared),
        clock: Clock::start(),
        resource: config.resource,
        consumers: config.consumers.into_iter().map(Some).collect(),
        words: Vec::new(),
        counts: Counts::default(),
        began: Instant::now(),
    };
    let thread = thread::Builder::new()
        .name("radiosonde-pump".to_owned())
        .spawn(move || worker.live())
        .map_err(StartError::Thread)?;
    lane::set_recording(true);
    *running = true;
    Ok(Pump {
        handle: Handle::new(shared, thread.thread().clone()),
        thread: Some(thread),
    })
}

impl Pump {
    /// A handle that can flush from anywhere.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Hands on everything recorded so far and waits until it is delivered, for at most `timeout`. `false` when the
    /// time was not enough.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.handle.flush(timeout)
    }

    /// Flushes for at most `timeout` and stops recording. `false` when the time was not enough, and in the child of a
    /// fork, which has no pump: there nothing is waited for.
    pub fn stop(mut self, timeout: Duration) -> bool {
        self.halt(timeout)
    }

    fn halt(&mut self, timeout: Duration) -> bool {
        let Some(thread) = self.thread.take() else {
            return true;
        };
        lane::set_recording(false);
        if self.handle.is_forked() {
            // There is no such thread to detach from.
            mem::forget(thread);
            return false;
        }
        let deadline = deadline_in(timeout);
        let delivered = self
            .handle
            .flush(timeout.saturating_sub(END_RESERVE_MAX.min(timeout / 2)));
        // Even where not everything was delivered: consumers count what they could not deliver when they are dropped.
        // One that hangs is left behind.
        let ended = self.handle.end(deadline);
        if ended {
            // It has said that it is at its end.
            let _ = thread.join();
        } else {
            self.handle.give_up();
        }
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = false;
        delivered
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.halt(DROP_TIMEOUT);
    }
}

struct Worker {
    /// Among the pumps of the process.
    number: u64,
    shared: Arc<Shared>,
    clock: Clock,
    resource: Arc<Resource>,
    /// `None` where a consumer panicked.
    consumers: Vec<Option<Box<dyn Consumer>>>,
    words: Vec<u64>,
    counts: Counts,
    /// When the batch was begun.
    began: Instant,
}

impl Worker {
    fn live(mut self) {
        let _silence = lane::silence();
        IS_HERE.set(true);
        self.run();
        let Self {
            shared, consumers, ..
        } = self;
        // A destructor that panics keeps nobody from the others.
        consumers.into_iter().for_each(drop_caught);
        shared.answer(|requests| requests.ended = true);
    }

    fn run(&mut self) {
        let mut park = PARK_MIN;
        while let Some(asked) = self.shared.asked() {
            let most = self.drain();
            if asked.to_hand_on || self.is_due() {
                self.hand_on();
            }
            if asked.to_hand_on {
                self.shared
                    .answer(|requests| requests.handed_on = asked.ticket);
            }
            if let Some(deadline) = asked.to_deliver {
                self.deliver(asked.ticket, deadline);
            }
            if most >= PRESSED_WORDS || asked.to_hand_on {
                continue;
            }
            park = match most {
                BUSY_WORDS.. => PARK_MIN,
                QUIET_WORDS.. => (park + park / PARK_GROWTH).min(PARK_MAX),
                _ => (park + park / PARK_GROWTH).min(PARK_QUIET_MAX),
            };
            thread::park_timeout(park);
        }
        // What came while a consumer held the pump up.
        self.drain();
        self.hand_on();
    }

    /// Whether what was read has waited for long enough.
    fn is_due(&self) -> bool {
        let gather = if self.counts.logs > 0 {
            GATHER_LOGS
        } else {
            GATHER
        };
        !self.words.is_empty() && self.began.elapsed() >= gather
    }

    /// Reads every lane once. Says how many words came from the fullest.
    fn drain(&mut self) -> usize {
        let mut most = 0;
        for ring in lane::all().flat_map(Lane::rings) {
            let start = self.words.len();
            {
                let reader = reader();
                if *reader != self.number {
                    return 0;
                }
                ring.drain(&mut self.words);
            }
            let read = self.words.len() - start;
            if read == 0 {
                continue;
            }
            most = most.max(read);
            if start == 0 {
                self.began = Instant::now();
            }
            let whole = convert(&mut self.words[start..], &self.clock, &mut self.counts);
            if whole < read {
                // What follows is no frame, and must not stand before those of the next lane.
                self.words.truncate(start + whole);
                loss::count(Lost::Damaged, 1);
            }
            if self.words.len() >= BATCH_WORDS_MAX {
                self.hand_on();
            }
        }
        // Everything converted so far is in the past, as a new anchor requires.
        self.clock.refresh();
        most
    }

    fn hand_on(&mut self) {
        if self.words.is_empty() {
            return;
        }
        let (words, counts) = (mem::take(&mut self.words), mem::take(&mut self.counts));
        let resource = Arc::clone(&self.resource);
        let batch = Arc::new(Batch::from_words(resource, words, counts));
        self.shared.in_hand.store(batch.len(), Relaxed);
        self.each(|consumer| consumer.consume(&batch));
        self.shared.in_hand.store(0, Relaxed);
        // When every consumer is done with it, its memory serves the next batch.
        if let Some(batch) = Arc::into_inner(batch) {
            self.words = batch.into_words();
        }
    }

    /// Calls every consumer; one that panics is set aside and counted.
    fn each(&mut self, mut call: impl FnMut(&mut dyn Consumer)) {
        for place in &mut self.consumers {
            let Some(consumer) = place else { continue };
            let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| call(consumer.as_mut())));
            if let Err(panic) = outcome {
                loss::count(Lost::ExporterFailed, 1);
                drop_caught(panic);
                drop_caught(place.take());
            }
        }
    }

    fn deliver(&mut self, ticket: u64, deadline: Instant) {
        let mut all = true;
        self.each(|consumer| all &= consumer.flush(deadline));
        self.shared.answer(|requests| {
            requests.delivered = ticket;
            requests.delivered_all = all;
        });
    }
}
