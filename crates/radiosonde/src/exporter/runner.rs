//! Runs exporters: each on a thread of its own behind a bounded queue that shares batches.
//!
//! Invariants: [`FanOut::consume`] never waits for an exporter, unless waiting is asked for, and then at most for the
//! exporter's timeout, and never for standard error. An exporter that panics or hangs is set aside, and harms no other.
//! Every record that an exporter does not get is counted under a reason, and what went wrong is said once a minute: to
//! the other exporters, or on standard error where none of them is a console. When a fan-out is gone, all its losses are
//! counted and, where standard error takes it, said.

mod load;
mod queue;
mod report;
mod worker;

use std::{
    convert::Infallible,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::{
    WhenFull, batch::Batch, metrics::snapshot::Snapshot, model::Resource, panics::caught,
    pump::Consumer,
};

use self::{
    load::{Account, Load},
    queue::Queue,
    report::Desk,
    worker::Worker,
};
use super::Exporter;
use crate::repeat::{Thinner, Thinning};

/// How long dropping waits for exporters where no flush before said how much time there is.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it waits at most where one did.
const DROP_TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// How long it waits at least: exporters that have delivered or kept everything need no longer to end.
const DROP_TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// How much earlier than its caller's deadline exporters must be back from a flush at most, so that what they say is
/// heard and told while the caller still waits.
const FLUSH_RESERVE_MAX: Duration = Duration::from_millis(250);

/// How much waits for an exporter, and how patient we are with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records in the queue.
    pub queue_records_max: usize,
    /// Memory of the batches in the queue, in bytes.
    pub queue_bytes_max: usize,
    /// How long one call may take before the exporter is taken to hang.
    pub timeout: Duration,
    /// The first pause of an exporter that panicked; it doubles with each panic in a row, up to a minute.
    pub pause: Duration,
    /// What happens to a batch for which the queue has no room: refused, or the pump waits.
    pub when_full: WhenFull,
}

impl Default for Limits {
    /// 65,536 records in 8 MiB, 30 s, 1 s, refuse.
    fn default() -> Self {
        Self {
            queue_records_max: 65_536,
            queue_bytes_max: 8 * 1024 * 1024,
            timeout: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            when_full: WhenFull::Refuse,
        }
    }
}

/// An exporter's queue and thread.
struct Lane {
    name: &'static str,
    queue: Arc<Queue>,
    /// The last flush did not deliver everything.
    is_behind: AtomicBool,
    is_stopped: AtomicBool,
    /// Says nothing, and is disconnected when the thread ends.
    thread: Mutex<Receiver<Infallible>>,
}

impl Lane {
    /// Lets the thread end.
    fn stop(&self) {
        self.is_stopped.store(true, Relaxed);
        self.queue.stop();
    }

    /// Waits for the thread to end, and gives nothing up where it does not.
    fn wait(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = thread.recv_timeout(left);
    }
}

/// Ends the exporters' threads.
fn stop_all(lanes: &[Lane], deadline: Instant) {
    lanes.iter().for_each(Lane::stop);
    for lane in lanes {
        lane.queue.wait_for_end(deadline);
    }
}

/// What the threads of a [`FanOut`] have in common.
struct Shared {
    lanes: Vec<Lane>,
    /// That of what came last: reports carry it.
    resource: Mutex<Arc<Resource>>,
    desk: Desk,
    /// Held while the exporters end, by whoever is first; the others find nothing left to do.
    has_ended: Mutex<bool>,
}

impl Shared {
    fn resource(&self) -> MutexGuard<'_, Arc<Resource>> {
        self.resource.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn came_from(&self, resource: &Arc<Resource>) {
        let mut known = self.resource();
        if !Arc::ptr_eq(&known, resource) {
            *known = Arc::clone(resource);
        }
    }

    /// Tells the healthy exporters what went wrong with the others.
    fn report(&self, is_last: bool) {
        for (index, lane) in self.lanes.iter().enumerate() {
            let Some(fault) = lane.queue.take_fault(is_last) else {
                continue;
            };
            let message = fault.message(lane.name);
            let resource = Arc::clone(&self.resource());
            let report = report::batch(&resource, lane.name, &fault, &message);
            let report = Load::new(Arc::new(report));
            let mut on_console = false;
            for other in &self.lanes {
                if !Arc::ptr_eq(&other.queue, &lane.queue)
                    && !other.is_stopped.load(Relaxed)
                    && !other.queue.is_failing()
                {
                    on_console |= other.name == "console";
                    other.queue.push_batch(&report);
                }
            }
            if !on_console {
                self.desk.say(index, message);
            }
        }
    }

    /// Ends the exporters in `time`: what they still have is delivered, or counted and said.
    fn end(&self, time: Duration) {
        let mut has_ended = self
            .has_ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if mem::replace(&mut *has_ended, true) {
            return;
        }
        let now = Instant::now();
        self.report(true);
        // First those that are likely to give something up, so that the others still take what is said of it.
        let behind = |lane: &&Lane| lane.is_behind.load(Relaxed);
        self.lanes.iter().filter(behind).for_each(Lane::stop);
        for lane in self.lanes.iter().filter(behind) {
            if !lane.queue.is_failing() {
                lane.wait(now + time / 2);
            }
        }
        self.report(true);
        stop_all(&self.lanes, now + time);
        for (index, lane) in self.lanes.iter().enumerate() {
            if let Some(fault) = lane.queue.take_fault(true) {
                // Beside what was said of it a moment ago, not in its place.
                let about = self.lanes.len() + index;
                self.desk.say(about, fault.message(lane.name));
            }
        }
        self.desk
            .end((now + time).max(Instant::now() + DROP_TIMEOUT_MIN));
    }

    /// Reports every so often, whether batches come or not, and says what is to be said on standard error.
    fn run_desk(&self) {
        let _silence = radiosonde_core::silence();
        loop {
            match self.desk.next() {
                report::Next::Look => {
                    for lane in &self.lanes {
                        lane.queue.look();
                    }
                    self.report(false);
                }
                report::Next::Say(message) => {
                    report::say(&message);
                    self.desk.said();
                }
                report::Next::End => return,
            }
        }
    }
}

/// The exporters of a [`FanOut`], for any thread.
#[derive(Clone)]
pub struct Exporters(Arc<Shared>);

impl Exporters {
    /// Queues the snapshot for every exporter. One that has no room goes without; the next snapshot holds all that
    /// this one did.
    pub fn send_metrics(&self, snapshot: &Arc<Snapshot>) {
        self.0.came_from(&snapshot.resource);
        for lane in &self.0.lanes {
            lane.queue.push_metrics(snapshot);
        }
    }

    /// Ends them, in `time`, for a process that is about to end: what they still have is delivered, or counted and said.
    pub(crate) fn end(&self, time: Duration) {
        self.0.end(time);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lanes.len()
    }

    /// Those that do not deliver now: the name of each, and what it said last.
    pub fn failing(&self) -> Vec<(&'static str, String)> {
        self.0
            .lanes
            .iter()
            .filter_map(|lane| Some((lane.name, lane.queue.failure()?)))
            .collect()
    }
}

/// Hands each batch to every exporter.
pub struct FanOut {
    shared: Arc<Shared>,
    thinner: Thinner,
    /// That of the last flush.
    deadline: Option<Instant>,
}

impl FanOut {
    /// Starts a thread for each exporter.
    pub fn start(
        exporters: Vec<(Box<dyn Exporter>, Limits)>,
        thinning: Thinning,
    ) -> io::Result<Self> {
        Self::start_by(&mut spawn, exporters, thinning)
    }

    fn start_by(
        spawn: &mut Spawn<'_>,
        exporters: Vec<(Box<dyn Exporter>, Limits)>,
        thinning: Thinning,
    ) -> io::Result<Self> {
        let mut shared = Shared {
            lanes: Vec::with_capacity(exporters.len()),
            resource: Mutex::default(),
            desk: Desk::default(),
            has_ended: Mutex::default(),
        };
        for (exporter, limits) in exporters {
            let lane = start_lane(exporter, limits, &shared.lanes, spawn);
            shared
                .lanes
                .push(lane.inspect_err(|_| stop_all(&shared.lanes, soon()))?);
        }
        let shared = Arc::new(shared);
        let desk = Arc::clone(&shared);
        spawn(
            "radiosonde-report".to_owned(),
            Box::new(move || desk.run_desk()),
        )
        .inspect_err(|_| stop_all(&shared.lanes, soon()))?;
        Ok(Self {
            shared,
            thinner: Thinner::new(thinning),
            deadline: None,
        })
    }

    /// The exporters, for other threads.
    pub fn exporters(&self) -> Exporters {
        Exporters(Arc::clone(&self.shared))
    }

    fn offer(&self, batch: &Arc<Batch>) {
        if batch.is_empty() {
            return;
        }
        let load = Load::new(Arc::clone(batch));
        for lane in &self.shared.lanes {
            lane.queue.push_batch(&load);
        }
    }
}

impl Consumer for FanOut {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let thinned = self.thinner.thin(batch);
        self.offer(&thinned);
        self.shared.came_from(batch.resource());
        self.shared.report(false);
    }

    fn flush(&mut self, deadline: Instant) -> bool {
        if let Some(rest) = self.thinner.finish() {
            self.offer(&Arc::new(rest));
        }
        self.deadline = Some(deadline);
        let left = deadline.saturating_duration_since(Instant::now());
        let reserve = FLUSH_RESERVE_MAX.min(left / 8);
        let earlier = |by| deadline.checked_sub(by).unwrap_or(deadline);
        let (back_by, heard_by) = (earlier(reserve), earlier(reserve / 2));
        let lanes = &self.shared.lanes;
        let tickets: Vec<_> = lanes
            .iter()
            .map(|lane| lane.queue.push_flush(back_by))
            .collect();
        let mut delivered = true;
        for (lane, ticket) in lanes.iter().zip(tickets) {
            let is_delivered = lane.queue.wait_for(ticket, heard_by);
            lane.is_behind.store(!is_delivered, Relaxed);
            delivered &= is_delivered;
        }
        self.shared.report(false);
        delivered
    }
}

impl Drop for FanOut {
    fn drop(&mut self) {
        self.shared
            .end(self.deadline.map_or(DROP_TIMEOUT, |deadline| {
                // Whoever waits for the last flush waits for the end too, and no longer.
                let left = deadline.saturating_duration_since(Instant::now());
                left.saturating_sub(DROP_TIMEOUT_MIN)
                    .clamp(DROP_TIMEOUT_MIN, DROP_TIMEOUT_MAX)
            }));
    }
}

/// Starts the thread of one exporter. `lanes` are those of the exporters before it.
fn start_lane(
    exporter: Box<dyn Exporter>,
    limits: Limits,
    lanes: &[Lane],
    spawn: &mut Spawn<'_>,
) -> io::Result<Lane> {
    let name = caught(|| exporter.name()).unwrap_or("unnamed");
    let twin = lanes.iter().filter(|lane| lane.name == name).count();
    let account = Account::new(name, twin, limits.queue_records_max);
    let batching = caught(|| exporter.batching()).flatten();
    let condition = caught(|| exporter.condition()).flatten();
    let queue = Arc::new(Queue::new(limits, account, batching, condition));
    let worker = Worker::new(exporter, Arc::clone(&queue), limits);
    let (alive, thread) = mpsc::channel();
    let run = move || {
        let _alive = alive;
        worker.run();
    };
    spawn(
        format!("radiosonde-{}", name.replace('\0', "")),
        Box::new(run),
    )?;
    Ok(Lane {
        name,
        queue,
        is_behind: AtomicBool::new(false),
        is_stopped: AtomicBool::new(false),
        thread: Mutex::new(thread),
    })
}

/// Starts a thread of that name.
type Spawn<'a> = dyn FnMut(String, Box<dyn FnOnce() + Send>) -> io::Result<()> + 'a;

fn spawn(name: String, run: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().name(name).spawn(run).map(drop)
}

/// When exporters that have got nothing must have ended.
fn soon() -> Instant {
    Instant::now() + DROP_TIMEOUT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::ExportError;

    /// Is there for as long as somebody has it.
    struct Idle(#[expect(dead_code, reason = "its count is what is looked at")] Arc<()>);

    impl Exporter for Idle {
        fn name(&self) -> &'static str {
            "idle"
        }

        fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
            Ok(())
        }
    }

    #[test]
    fn where_a_thread_cannot_be_started_those_before_it_end() {
        // Two exporters and the desk.
        for possible in 0..3 {
            let there = Arc::new(());
            let idle = || -> Box<dyn Exporter> { Box::new(Idle(Arc::clone(&there))) };
            let exporters = vec![(idle(), Limits::default()), (idle(), Limits::default())];
            let mut started = 0;
            let mut only_so_many = |name, run| {
                if started == possible {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                started += 1;
                spawn(name, run)
            };
            let result = FanOut::start_by(&mut only_so_many, exporters, Thinning::default());
            assert!(result.is_err());
            assert_eq!(started, possible);
            assert_eq!(Arc::strong_count(&there), 1, "{possible} are left behind");
        }
    }
}
