//! A thread that runs collectors: every so often, and when it is asked to.
//!
//! Invariants: nobody waits for a run without a deadline. A collector that hangs holds up those of its own thread and
//! nobody else, and is said to be off until it returns.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use radiosonde_core::{events::CollectorThrottled, panics::drop_caught};

use crate::budget::{Change, Cost, Meter, Pace};

/// Something that runs every so often.
pub(in crate::init) struct Collector {
    pub(in crate::init) name: &'static str,
    pub(in crate::init) interval: Duration,
    /// Whether it runs at the start too, not only after the first interval.
    pub(in crate::init) at_once: bool,
    pub(in crate::init) run: Box<dyn FnMut() + Send>,
}

/// A thread that runs collectors. Dropping it asks it to stop and waits for nothing.
pub(in crate::init) struct Thread {
    remote: Remote,
    handle: Option<JoinHandle<()>>,
}

/// What others may ask of such a thread.
#[derive(Clone)]
pub(in crate::init) struct Remote(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stop: bool,
    ended: bool,
    /// Rounds asked for, and rounds answered.
    asked: u64,
    answered: u64,
    busy: Option<Busy>,
}

/// The run that is under way.
struct Busy {
    collector: &'static str,
    since: Instant,
    said: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while `waits`, until `deadline` at most. `false` when the time was not enough.
    fn wait_while(&self, deadline: Instant, waits: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        while waits(&state) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Says that the thread ended, however it ends.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

impl Thread {
    /// Starts it. Each collector may use `share` of one processor.
    pub(in crate::init) fn start(
        name: &str,
        collectors: Vec<Collector>,
        share: f64,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut worker = Worker::new(collectors, share, Arc::clone(&shared));
        let ended = Ended(Arc::clone(&shared));
        let handle = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _ended = ended;
                worker.run();
            })?;
        Ok(Self {
            remote: Remote(shared),
            handle: Some(handle),
        })
    }

    /// For others to ask.
    pub(in crate::init) fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Begins no more runs.
    pub(super) fn ask_to_stop(&self) {
        self.remote.0.lock().stop = true;
        self.remote.0.changed.notify_all();
    }

    /// Stops it, waiting for a run that is under way until `deadline` at most; one that hangs is left behind.
    pub(super) fn stop(mut self, deadline: Instant) {
        self.ask_to_stop();
        let ended = self.remote.0.wait_while(deadline, |state| !state.ended);
        if let Some(handle) = self.handle.take()
            && ended
        {
            // It has said that it is at its end.
            let _ = handle.join();
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

impl Remote {
    /// Runs every collector of the thread once more, waiting until `deadline` at most. `false` when the time was not
    /// enough, or when the thread has ended.
    pub(in crate::init) fn run_now(&self, deadline: Instant) -> bool {
        let ticket = {
            let mut state = self.0.lock();
            state.asked += 1;
            state.asked
        };
        self.0.changed.notify_all();
        let waits = |state: &State| state.answered < ticket && !state.ended;
        self.0.wait_while(deadline, waits) && self.0.lock().answered >= ticket
    }

    /// Says of a run that takes longer than `limit` that its collector is off. Once a run.
    pub(in crate::init) fn say_if_stuck(&self, limit: Duration) {
        let stuck = {
            let mut state = self.0.lock();
            state
                .busy
                .as_mut()
                .filter(|busy| !busy.said && busy.since.elapsed() >= limit)
                .map(|busy| {
                    busy.said = true;
                    busy.collector
                })
        };
        if let Some(collector) = stuck {
            radiosonde_core::record!(CollectorThrottled {
                collector,
                cost: 0.0,
                limit: 0.0,
                action: "off until it returns",
            });
        }
    }
}

struct Worker {
    tasks: Vec<(Collector, Meter)>,
    origin: Instant,
    shared: Arc<Shared>,
}

impl Worker {
    fn new(collectors: Vec<Collector>, share: f64, shared: Arc<Shared>) -> Self {
        let tasks = collectors
            .into_iter()
            .map(|collector| {
                let first = if collector.at_once {
                    Duration::ZERO
                } else {
                    collector.interval
                };
                let meter = Meter::new(collector.interval, share, first);
                (collector, meter)
            })
            .collect();
        Self {
            tasks,
            origin: Instant::now(),
            shared,
        }
    }

    fn run(&mut self) {
        loop {
            let (asked, all) = {
                let state = self.shared.lock();
                (state.asked, state.asked > state.answered)
            };
            for task in 0..self.tasks.len() {
                let is_due = self.tasks[task].1.due() <= self.origin.elapsed();
                if !(is_due || all) {
                    continue;
                }
                if !self.begin(task) {
                    return;
                }
                self.run_task(task);
                self.shared.lock().busy = None;
            }
            let Some(next) = self.tasks.iter().map(|(_, meter)| meter.due()).min() else {
                return;
            };
            let mut state = self.shared.lock();
            state.answered = asked;
            self.shared.changed.notify_all();
            if state.stop {
                return;
            }
            if state.asked == asked {
                let wait = next.saturating_sub(self.origin.elapsed());
                let waited = self.shared.changed.wait_timeout(state, wait);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Notes that a run begins. `false` when the thread is to stop instead.
    fn begin(&self, task: usize) -> bool {
        let mut state = self.shared.lock();
        if state.stop {
            return false;
        }
        state.busy = Some(Busy {
            collector: self.tasks[task].0.name,
            since: Instant::now(),
            said: false,
        });
        true
    }

    fn run_task(&mut self, task: usize) {
        let (collector, meter) = &mut self.tasks[task];
        let (started, cpu_before) = (Instant::now(), thread_cpu());
        let outcome = catch_unwind(AssertUnwindSafe(&mut collector.run));
        let cost = Cost {
            elapsed: started.elapsed(),
            cpu: thread_cpu()
                .zip(cpu_before)
                .map_or(started.elapsed(), |(after, before)| {
                    after.saturating_sub(before)
                }),
        };
        let now = self.origin.elapsed();
        let change = match outcome {
            Ok(()) => meter.ran(now, cost),
            Err(panic) => {
                drop_caught(panic);
                Some(meter.failed(now, cost))
            }
        };
        if let Some(change) = change {
            say(collector.name, change);
        }
    }
}

fn say(collector: &str, change: Change) {
    let action = match change.pace {
        Pace::Off => "off".to_owned(),
        pace @ Pace::Every(_) => pace.to_string(),
    };
    radiosonde_core::record!(CollectorThrottled {
        collector,
        cost: change.cost,
        limit: change.limit,
        action: &action,
    });
}

/// Processor time that the calling thread has used.
#[cfg(unix)]
fn thread_cpu() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
}

/// The platform has no clock for it: the time that passed stands in.
#[cfg(not(unix))]
fn thread_cpu() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn never(run: impl FnMut() + Send + 'static) -> Vec<Collector> {
        vec![Collector {
            name: "test",
            interval: Duration::MAX,
            at_once: false,
            run: Box::new(run),
        }]
    }

    fn soon(timeout: Duration) -> Instant {
        Instant::now() + timeout
    }

    #[test]
    fn a_collector_whose_interval_never_ends_runs_when_asked_to() {
        let (sender, runs) = mpsc::channel();
        let run = move || sender.send(()).unwrap();
        let thread = Thread::start("radiosonde-test", never(run), 1.0).unwrap();
        let remote = thread.remote();
        for _ in 0..3 {
            assert!(remote.run_now(soon(LONG)));
            runs.recv().unwrap();
        }
        assert!(runs.try_recv().is_err());
        thread.stop(soon(LONG));
        assert!(!remote.run_now(soon(LONG)), "it has ended");
    }

    #[test]
    fn nobody_waits_for_a_run_that_hangs_for_longer_than_the_deadline() {
        let (release, hanging) = mpsc::channel::<()>();
        let thread = Thread::start(
            "radiosonde-test",
            never(move || {
                let _ = hanging.recv();
            }),
            1.0,
        )
        .unwrap();
        let remote = thread.remote();
        assert!(!remote.run_now(soon(Duration::from_millis(20))));
        assert!(remote.0.lock().busy.is_some());
        remote.say_if_stuck(LONG);
        assert!(remote.0.lock().busy.as_ref().is_some_and(|busy| !busy.said));
        remote.say_if_stuck(Duration::ZERO);
        assert!(remote.0.lock().busy.as_ref().is_some_and(|busy| busy.said));
        thread.stop(soon(Duration::from_millis(20)));
        assert!(!remote.0.lock().ended);
        drop(release);
        assert!(remote.0.wait_while(soon(LONG), |state| !state.ended));
    }

    #[test]
    fn a_collector_that_panics_answers_who_asked() {
        let thread = Thread::start("radiosonde-test", never(|| panic!("no such device")), 1.0);
        assert!(thread.unwrap().remote().run_now(soon(LONG)));
    }

    #[test]
    fn a_collector_whose_panic_panics_again_when_dropped_is_asked_again() {
        struct Endless;

        impl Drop for Endless {
            fn drop(&mut self) {
                std::panic::resume_unwind(Box::new(Self));
            }
        }

        let run = || std::panic::resume_unwind(Box::new(Endless));
        let thread = Thread::start("radiosonde-test", never(run), 1.0).unwrap();
        for _ in 0..2 {
            assert!(thread.remote().run_now(soon(LONG)));
        }
    }
}
