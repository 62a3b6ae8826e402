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
    report::{Desk, Fault},
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

    /// Reports what there is to report now, if anything.
    fn report(&self) {
        self.tell(false, |index, fault| {
            self.desk.say(index, fault.message(self.lanes[index].name));
        });
    }

    /// Tells the healthy exporters what went wrong with the others, and `untold` what no console shows.
    fn tell(&self, is_last: bool, mut untold: impl FnMut(usize, Fault)) {
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
                untold(index, fault);
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
        // What standard error is told is told once of each exporter, when all of it is known.
        let mut unsaid: Vec<Fault> = self.lanes.iter().map(|_| Fault::default()).collect();
        self.tell(true, |index, fault| unsaid[index].join(fault));
        // First those that are likely to give something up, so that the others still take what is said of it.
        let behind = |lane: &&Lane| lane.is_behind.load(Relaxed);
        self.lanes.iter().filter(behind).for_each(Lane::stop);
        for lane in self.lanes.iter().filter(behind) {
            if !lane.queue.is_failing() {
                lane.wait(now + time / 2);
            }
        }
        self.tell(true, |index, fault| unsaid[index].join(fault));
        stop_all(&self.lanes, now + time);
        for ((index, lane), mut fault) in self.lanes.iter().enumerate().zip(unsaid) {
            if let Some(last) = lane.queue.take_fault(true) {
                fault.join(last);
            }
            if !fault.is_empty() {
                // Beside what may still wait to be said of it, not in its place.
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
                    self.report();
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

    /// Has a line written on standard error. [`end`](Self::end) waits for it within its time, and nobody else does.
    pub(crate) fn say(&self, message: String) {
        self.0.desk.say(usize::MAX, message);
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
        self.shared.report();
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
        self.shared.report();
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

    /// Notes its calls. The first export waits until it may go on.
    struct Calls {
        said: Arc<Mutex<Vec<&'static str>>>,
        gate: Option<Receiver<()>>,
    }

    impl Exporter for Calls {
        fn name(&self) -> &'static str {
            "calls"
        }

        fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
            self.said.lock().unwrap().push("export");
            if let Some(gate) = self.gate.take() {
                gate.recv().unwrap();
            }
            Ok(())
        }

        fn flush(&mut self) -> Result<(), ExportError> {
            self.said.lock().unwrap().push("flush");
            Ok(())
        }

        fn flush_interval(&self) -> Option<Duration> {
            Some(Duration::from_millis(100))
        }
    }

    /// A batch that is not merged with that of another number.
    fn batch_of(number: u64) -> Arc<Batch> {
        let resource = Arc::new(Resource {
            attributes: vec![("number".into(), number.into())],
        });
        Arc::new(report::batch(&resource, "none", &Fault::default(), "line"))
    }

    #[test]
    fn what_has_waited_in_the_queue_for_an_interval_is_flushed_as_soon_as_it_is_exported() {
        let (go_on, gate) = mpsc::channel();
        let said = Arc::new(Mutex::new(Vec::new()));
        let exporter = Calls {
            said: Arc::clone(&said),
            gate: Some(gate),
        };
        let exporters: Vec<(Box<dyn Exporter>, _)> = vec![(Box::new(exporter), Limits::default())];
        let fan_out = FanOut::start(exporters, Thinning::default()).unwrap();
        for number in 0..3 {
            fan_out.offer(&batch_of(number));
        }
        // Longer than the interval, for all of them.
        thread::sleep(Duration::from_millis(200));
        go_on.send(()).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let exports = || {
            let said = said.lock().unwrap();
            said.iter().filter(|call| **call == "export").count()
        };
        while exports() < 3 {
            assert!(Instant::now() < until, "{:?}", said.lock().unwrap());
            thread::sleep(Duration::from_millis(1));
        }
        let calls = said.lock().unwrap()[..5].to_vec();
        assert_eq!(calls, ["export", "flush", "export", "flush", "export"]);
    }

    /// Fails whenever it is called, and loses a record each time.
    struct Failing;

    impl Failing {
        fn fail() -> Result<(), ExportError> {
            Err(ExportError::ReceiverGone {
                name: "nobody".to_owned(),
                records: 1,
            })
        }
    }

    impl Exporter for Failing {
        fn name(&self) -> &'static str {
            "failing"
        }

        fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
            Self::fail()
        }

        fn flush(&mut self) -> Result<(), ExportError> {
            Self::fail()
        }

        fn close(&mut self) -> Result<(), ExportError> {
            Self::fail()
        }
    }

    /// Does the work of the desk, and gives what it was told to say.
    fn read_desk(shared: &Shared) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match shared.desk.next() {
                report::Next::Look => {}
                report::Next::Say(line) => {
                    lines.push(line);
                    shared.desk.said();
                }
                report::Next::End => return lines,
            }
        }
    }

    #[test]
    fn what_an_exporter_lost_at_the_end_is_said_in_one_line() {
        let mut without_desk = |name: String, run| {
            if name == "radiosonde-report" {
                return Ok(());
            }
            spawn(name, run)
        };
        let exporters: Vec<(Box<dyn Exporter>, _)> = vec![(Box::new(Failing), Limits::default())];
        // The lines are all the same.
        let thinning = Thinning {
            fold: false,
            ..Thinning::default()
        };
        let mut fan_out = FanOut::start_by(&mut without_desk, exporters, thinning).unwrap();
        let shared = Arc::clone(&fan_out.shared);
        let desk = thread::spawn(move || read_desk(&shared));
        for number in 0..2 {
            fan_out.consume(&batch_of(number));
            fan_out.flush(Instant::now() + Duration::from_secs(20));
        }
        drop(fan_out);
        let lines = desk.join().unwrap();
        let lost: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split_once("last report: "))
            .map(|(_, lost)| lost)
            .collect();
        // The first is said at once, what comes after it within a minute when the end is there.
        assert_eq!(lost.len(), 2, "{lines:?}");
        let records = lost.iter().filter_map(|lost| lost.split(' ').next());
        let records: u64 = records.map(|records| records.parse::<u64>().unwrap()).sum();
        // Two exports, two flushes and the close; a flush loses nothing of what was lost.
        assert_eq!(records, 5, "{lines:?}");
    }
}
