//! What others ask of the pump's thread, and what it has done of it.

use std::{
    process,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::{deadline_in, reading::waiting_in_lanes};
use crate::{
    lane,
    loss::{self, Lost},
};

/// Asks a pump from anywhere: a panic hook, a signal thread, another task.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    pump: Thread,
}

/// How far the pump is to have come with what was recorded.
#[derive(Clone, Copy)]
enum Until {
    HandedOn,
    Delivered,
}

impl Handle {
    pub(super) const fn new(shared: Arc<Shared>, pump: Thread) -> Self {
        Self { shared, pump }
    }

    /// Hands on everything recorded so far and waits until it is delivered, for at most `timeout`. `false` when the
    /// time was not enough, when called on the pump's own thread, when the pump has ended, or in the child of a fork,
    /// which has none.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.ask(Until::Delivered, timeout)
    }

    /// Hands on everything recorded so far and waits until every consumer has taken it, delivered or not, for at most
    /// `timeout`: from there on metrics have what was measured before. `false` as for [`Handle::flush`].
    pub fn hand_on(&self, timeout: Duration) -> bool {
        self.ask(Until::HandedOn, timeout)
    }

    fn ask(&self, until: Until, timeout: Duration) -> bool {
        if thread::current().id() == self.pump.id() || self.is_forked() {
            return false;
        }
        let deadline = deadline_in(timeout);
        let mut requests = self.shared.lock();
        let ticket = requests.ask(until, deadline);
        self.pump.unpark();
        while requests.done(until) < ticket {
            let left = deadline.checked_duration_since(Instant::now());
            let Some(left) = left.filter(|_| !requests.ended) else {
                return false;
            };
            requests = self.shared.wait(requests, left);
        }
        match until {
            Until::HandedOn => true,
            Until::Delivered => requests.delivered_all,
        }
    }

    /// Lets the pump's thread end and waits for it, until `deadline` at most. `false` when it has not ended then.
    pub(super) fn end(&self, deadline: Instant) -> bool {
        let mut requests = self.shared.lock();
        requests.stop = true;
        self.pump.unpark();
        while !requests.ended
            && let Some(left) = deadline.checked_duration_since(Instant::now())
        {
            requests = self.shared.wait(requests, left);
        }
        requests.ended
    }

    /// Records nothing from here on. What was recorded is still handed on: for a process that is about to end, in
    /// which other threads would go on recording behind the last flush.
    pub fn close(&self) {
        lane::set_recording(false);
    }

    /// Counts as lost what consumers or handlers have not returned from by now, and what nobody has read behind it: for a
    /// recording that is over, or a process that is about to end.
    pub fn give_up(&self) {
        let left = self.shared.in_hand.load(Relaxed) + waiting_in_lanes();
        // A signal may end the process while recording ends.
        let counted = self.shared.left_behind.fetch_max(left, Relaxed);
        loss::count(Lost::ShutdownDeadline, left.saturating_sub(counted) as u64);
    }

    /// Records that were lost because a consumer or handler did not return before recording ended. It may have had some
    /// of those that it was called with.
    pub fn left_behind(&self) -> usize {
        self.shared.left_behind.load(Relaxed)
    }

    /// Whether this is the child of a fork of the process that the pump runs in.
    pub fn is_forked(&self) -> bool {
        process::id() != self.shared.process
    }
}

pub(super) struct Shared {
    requests: Mutex<Requests>,
    answered: Condvar,
    /// Records that consumers are being called with, and those that were counted as lost because one did not return.
    pub(super) in_hand: AtomicUsize,
    pub(super) left_behind: AtomicUsize,
    /// The process that has the pump's thread: the child of a fork has a copy of this, and no such thread.
    process: u32,
}

/// Every request has a ticket; one that is done is done for all tickets before it.
pub(super) struct Requests {
    asked: u64,
    /// The last ticket that waits for delivery, and the latest deadline among those that do.
    to_deliver: u64,
    deadline: Instant,
    pub(super) handed_on: u64,
    /// The last ticket whose records every consumer was told to deliver, and whether all did.
    pub(super) delivered: u64,
    pub(super) delivered_all: bool,
    stop: bool,
    /// The thread has dropped every consumer.
    pub(super) ended: bool,
}

/// What the pump's thread is asked for.
pub(super) struct Asked {
    /// The last ticket.
    pub(super) ticket: u64,
    /// Whether somebody waits until records are handed on.
    pub(super) to_hand_on: bool,
    /// Until when consumers may deliver, where somebody waits for that.
    pub(super) to_deliver: Option<Instant>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            requests: Mutex::new(Requests {
                asked: 0,
                to_deliver: 0,
                deadline: Instant::now(),
                handed_on: 0,
                delivered: 0,
                delivered_all: true,
                stop: false,
                ended: false,
            }),
            answered: Condvar::new(),
            in_hand: AtomicUsize::new(0),
            left_behind: AtomicUsize::new(0),
            process: process::id(),
        }
    }

    /// What waits to be done; `None` when the thread is to end.
    pub(super) fn asked(&self) -> Option<Asked> {
        let requests = self.lock();
        (!requests.stop).then(|| Asked {
            ticket: requests.asked,
            to_hand_on: requests.asked > requests.handed_on,
            to_deliver: requests.waits_for_delivery().then_some(requests.deadline),
        })
    }

    /// Says what was done to those who wait for it.
    pub(super) fn answer(&self, say: impl FnOnce(&mut Requests)) {
        say(&mut self.lock());
        self.answered.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        requests: MutexGuard<'a, Requests>,
        left: Duration,
    ) -> MutexGuard<'a, Requests> {
        let wait = self.answered.wait_timeout(requests, left);
        wait.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Requests {
    fn ask(&mut self, until: Until, deadline: Instant) -> u64 {
        let others_wait = self.waits_for_delivery();
        self.asked += 1;
        if matches!(until, Until::Delivered) {
            // The deadline of a flush that is answered is nobody's any more.
            self.deadline = if others_wait {
                self.deadline.max(deadline)
            } else {
                deadline
            };
            self.to_deliver = self.asked;
        }
        self.asked
    }

    const fn done(&self, until: Until) -> u64 {
        match until {
            Until::HandedOn => self.handed_on,
            Until::Delivered => self.delivered,
        }
    }

    const fn waits_for_delivery(&self) -> bool {
        self.delivered < self.to_deliver
    }
}
