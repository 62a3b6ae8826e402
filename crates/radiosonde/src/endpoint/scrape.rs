//! Reading metrics for a scrape. Code of the program takes part in it: sources of metrics, which may hang or panic.
//!
//! Invariants: one thread reads at a time; nobody waits for it longer than [`REQUEST_TIMEOUT`], and for one that hangs
//! already nobody waits at all.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::Instant,
};

use radiosonde_core::metrics::snapshot::Snapshot;

use super::REQUEST_TIMEOUT;

type Read = dyn Fn() -> Snapshot + Send + Sync;

/// Reads metrics, one scrape after the other.
pub(super) struct Reader {
    read: Arc<Read>,
    turn: Arc<Turn>,
}

/// Since when somebody reads.
#[derive(Default)]
struct Turn {
    since: Mutex<Option<Instant>>,
    ended: Condvar,
}

/// The turn of the thread that reads; dropping it, in a panic too, lets the next one begin.
struct Taken(Arc<Turn>);

impl Drop for Taken {
    fn drop(&mut self) {
        *self.0.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.ended.notify_one();
    }
}

impl Turn {
    /// `None` when the turn before does not end in time.
    fn take(self: &Arc<Self>, deadline: Instant) -> Option<Taken> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(started) = *since {
            let until = deadline.min(started + REQUEST_TIMEOUT);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let wait = self.ended.wait_timeout(since, left);
            since = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        *since = Some(Instant::now());
        Some(Taken(Arc::clone(self)))
    }
}

impl Reader {
    pub(super) fn new(read: impl Fn() -> Snapshot + Send + Sync + 'static) -> Self {
        Self {
            read: Arc::new(read),
            turn: Arc::default(),
        }
    }

    /// The metrics as they are now; `None` when they cannot be read in time.
    pub(super) fn read(&self) -> Option<Snapshot> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let turn = self.turn.take(deadline)?;
        let read = Arc::clone(&self.read);
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("radiosonde-http".to_owned())
            .spawn(move || {
                let _silence = radiosonde_core::silence();
                let _turn = turn;
                // Whoever asked may be gone.
                let _ = sender.send(read());
            })
            .ok()?;
        let left = deadline.saturating_duration_since(Instant::now());
        receiver.recv_timeout(left).ok()
    }
}
