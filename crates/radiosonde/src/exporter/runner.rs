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
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::{
    WhenFull, batch::Batch, metrics::snapshot::Snapshot, model::Resource, pump::Consumer,
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
}

/// What the threads of a [`FanOut`] have in common.
struct Shared {
    lanes: Vec<Lane>,
    /// That of what came last: reports carry it.
    resource: Mutex<Arc<Resource>>,
    desk: Desk,
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
                if !Arc::ptr_eq(&other.queue, &lane.queue) && !other.queue.is_failing() {
                    on_console |= other.name == "console";
                    other.queue.push_batch(&report);
                }
            }
            if !on_console {
                self.desk.say(index, message);
            }
        }
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
    ) -> std::io::Result<Self> {
        let mut lanes: Vec<Lane> = Vec::with_capacity(exporters.len());
        for (exporter, limits) in exporters {
            let name = ask(exporter.as_ref(), |exporter| exporter.name()).unwrap_or("unnamed");
            let twin = lanes.iter().filter(|lane| lane.name == name).count();
            let account = Account::new(name, twin, limits.queue_records_max);
            let batching = ask(exporter.as_ref(), |exporter| exporter.batching()).flatten();
            let condition = ask(exporter.as_ref(), |exporter| exporter.condition()).flatten();
            let queue = Arc::new(Queue::new(limits, account, batching, condition));
            let worker = Worker::new(exporter, Arc::clone(&queue), limits);
            thread::Builder::new()
                .name(format!("radiosonde-{}", name.replace('\0', "")))
                .spawn(move || worker.run())?;
            lanes.push(Lane { name, queue });
        }
        let shared = Arc::new(Shared {
            lanes,
            resource: Mutex::default(),
            desk: Desk::default(),
        });
        let desk = Arc::clone(&shared);
        thread::Builder::new()
            .name("radiosonde-report".to_owned())
            .spawn(move || desk.run_desk())?;
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
            delivered &= lane.queue.wait_for(ticket, heard_by);
        }
        self.shared.report(false);
        delivered
    }
}

impl Drop for FanOut {
    fn drop(&mut self) {
        let Shared { lanes, desk, .. } = self.shared.as_ref();
        // While the others can still take it.
        self.shared.report(true);
        for lane in lanes {
            lane.queue.stop();
        }
        let now = Instant::now();
        let time = self.deadline.map_or(DROP_TIMEOUT, |deadline| {
            // Whoever waits for the last flush waits for the end too, and no longer.
            let left = deadline.saturating_duration_since(now);
            left.saturating_sub(DROP_TIMEOUT_MIN)
                .clamp(DROP_TIMEOUT_MIN, DROP_TIMEOUT_MAX)
        });
        for lane in lanes {
            lane.queue.wait_for_end(now + time);
        }
        for (index, lane) in lanes.iter().enumerate() {
            if let Some(fault) = lane.queue.take_fault(true) {
                // Beside what was said of it a moment ago, not in its place.
                desk.say(lanes.len() + index, fault.message(lane.name));
            }
        }
        desk.end((now + time).max(Instant::now() + DROP_TIMEOUT_MIN));
    }
}

/// What the exporter says of itself; it is code of the program, which may panic.
fn ask<T>(exporter: &dyn Exporter, what: impl FnOnce(&dyn Exporter) -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(|| what(exporter))).ok()
}
