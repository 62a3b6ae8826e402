//! Runs the checks: one thread decides which is due and waits for it, another one runs it.
//!
//! Invariants: one check runs at a time. A run that does not return in its time is left behind with its thread, and the
//! next check gets a new one, so that threads are as many as checks hang, and two. What a run that was left behind says
//! when it returns is too old, and counts for nothing.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::panics::{drop_caught, panic_text};

use super::{
    CHECKS_MAX, Outcome, Status,
    entry::{Run, State},
};

/// The checks, for as long as somebody has a part in them.
#[derive(Default)]
pub(super) struct Handle(Arc<Shared>);

impl std::ops::Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self
            .lock()
            .entries
            .iter()
            .map(|entry| entry.name.clone())
            .collect();
        f.debug_tuple("Checks").field(&names).finish()
    }
}

impl Handle {
    /// Starts the thread that runs them.
    pub(super) fn start(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("radiosonde-health".to_owned());
        thread.spawn(move || schedule(&shared)).map(drop)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) changed: Condvar,
    origin: Instant,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            origin: Instant::now(),
        }
    }
}

/// A run that is to be made.
struct Job {
    id: u64,
    number: u64,
    run: Run,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State>,
        left: Option<Duration>,
    ) -> MutexGuard<'s, State> {
        let Some(left) = left else {
            let waited = self.changed.wait(state);
            return waited.unwrap_or_else(PoisonError::into_inner);
        };
        let waited = self.changed.wait_timeout(state, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The check that has been due for longest, once one is, and how long it may take. `None` at the end.
    fn next(&self) -> Option<(Job, Duration)> {
        let mut state = self.lock();
        loop {
            if state.stop {
                return None;
            }
            let now = self.now();
            let has_room = state.hanging < CHECKS_MAX;
            let waiting = state.entries.iter_mut().filter_map(|entry| {
                let scheduled = entry.scheduled.as_mut()?;
                scheduled.run.is_some().then_some((entry.id, scheduled))
            });
            let first = waiting.min_by_key(|(_, scheduled)| scheduled.due);
            let left = match first.filter(|_| has_room) {
                Some((id, scheduled)) if scheduled.due <= now => {
                    let Some(run) = scheduled.run.take() else {
                        continue;
                    };
                    scheduled.begun += 1;
                    scheduled.due = now.saturating_add(scheduled.options.interval());
                    let (number, timeout) = (scheduled.begun, scheduled.options.timeout);
                    state.waits_for = Some((id, number));
                    state.has_returned = false;
                    return Some((Job { id, number, run }, timeout));
                }
                first => first.map(|(_, scheduled)| scheduled.due.saturating_sub(now)),
            };
            state = self.wait(state, left);
        }
    }

    /// Waits for the run that was begun last. `false` when it did not return in time: it is left behind.
    fn is_done_within(&self, timeout: Duration) -> bool {
        let deadline = self.now().saturating_add(timeout);
        let mut state = self.lock();
        while let Some((id, _)) = state.waits_for {
            if state.stop {
                return false;
            }
            let now = self.now();
            if state.has_returned || now < deadline {
                let left = deadline.checked_sub(now);
                let left = left.filter(|_| !state.has_returned);
                state = self.wait(state, left);
                continue;
            }
            state.waits_for = None;
            state.hanging += 1;
            let told = state.by_id(id).and_then(|entry| entry.hang(now));
            drop(state);
            self.changed.notify_all();
            if let Some(told) = told {
                told.record();
            }
            return false;
        }
        true
    }

    /// Takes in how a run ended.
    fn ended(&self, job: Job, outcome: Outcome, duration: Duration) {
        let Job { id, number, run } = job;
        let (is_in_time, told) = {
            let mut state = self.lock();
            let now = self.now();
            let is_in_time = state.waits_for == Some((id, number));
            state.has_returned |= is_in_time;
            let entry = state.by_id(id).filter(|_| is_in_time);
            let told = entry.and_then(|entry| entry.look(now, outcome, Some(duration)));
            (is_in_time, told)
        };
        // Before anybody hears that the run is over, so that who waited for it finds what it changed.
        if let Some(told) = told {
            told.record();
        }
        let unwanted = {
            let mut state = self.lock();
            let now = self.now();
            if is_in_time {
                state.waits_for = None;
            } else {
                state.hanging = state.hanging.saturating_sub(1);
            }
            let entry = state.by_id(id);
            match entry.and_then(|entry| entry.scheduled.as_mut()) {
                Some(scheduled) => {
                    if !is_in_time {
                        scheduled.due = now.saturating_add(scheduled.options.interval());
                    }
                    (scheduled.hangs, scheduled.ended) = (false, number);
                    scheduled.run = Some(run);
                    None
                }
                None => Some(run),
            }
        };
        self.changed.notify_all();
        // Forgotten while it ran.
        drop_caught(unwanted);
    }

    /// Makes every check due, and waits for those that return.
    pub(super) fn run_now(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        let mut asked = Vec::new();
        for entry in &mut state.entries {
            if let Some(scheduled) = &mut entry.scheduled {
                scheduled.due = Duration::ZERO;
                asked.push((entry.id, scheduled.begun));
            }
        }
        self.changed.notify_all();
        loop {
            let waits = asked.iter().any(|&(id, begun)| {
                let scheduled = state.by_id(id).and_then(|entry| entry.scheduled.as_ref());
                scheduled.is_some_and(|scheduled| !scheduled.hangs && scheduled.ended <= begun)
            });
            if !waits {
                return true;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            state = self.wait(state, Some(left));
        }
    }
}

fn schedule(shared: &Arc<Shared>) {
    let mut worker: Option<Sender<Job>> = None;
    while let Some((job, timeout)) = shared.next() {
        match hand_over(worker.take(), job, shared) {
            Ok(sender) => worker = Some(sender),
            Err((job, error)) => {
                let message = format!("no thread to run it on: {error}");
                let outcome = Outcome::new(Status::Unknown, message);
                shared.ended(job, outcome, Duration::ZERO);
                continue;
            }
        }
        if !shared.is_done_within(timeout) {
            // It ends when its run returns.
            worker = None;
        }
    }
}

/// Gives `job` to the thread that runs checks, or to a new one where there is none.
fn hand_over(
    worker: Option<Sender<Job>>,
    job: Job,
    shared: &Arc<Shared>,
) -> Result<Sender<Job>, (Job, io::Error)> {
    let worker = match worker {
        Some(worker) => worker,
        None => match start_worker(shared) {
            Ok(worker) => worker,
            Err(error) => return Err((job, error)),
        },
    };
    match worker.send(job) {
        Ok(()) => Ok(worker),
        Err(mpsc::SendError(job)) => Err((job, io::ErrorKind::BrokenPipe.into())),
    }
}

fn start_worker(shared: &Arc<Shared>) -> io::Result<Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let shared = Arc::clone(shared);
    let thread = thread::Builder::new().name("radiosonde-check".to_owned());
    thread.spawn(move || {
        for mut job in jobs {
            let started = Instant::now();
            let outcome = match catch_unwind(AssertUnwindSafe(&mut job.run)) {
                Ok(outcome) => outcome,
                Err(panic) => {
                    let message = format!("panicked: {}", panic_text(&*panic));
                    drop_caught(panic);
                    Outcome::new(Status::Critical, message)
                }
            };
            shared.ended(job, outcome.redacted(), started.elapsed());
        }
    })?;
    Ok(sender)
}
