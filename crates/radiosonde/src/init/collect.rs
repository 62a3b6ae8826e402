//! What runs every so often beside the program: one thread, one pass at a time, each collector within its share of the
//! overhead budget.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use radiosonde_core::{
    clock::{self, now_unix_ns},
    events::{ClockStepped, CollectorThrottled, RecordsLost},
    loss::{self, Lost},
};

use super::{
    running::{Running, SharedRows},
    watch::Watch,
};
use crate::{
    budget::{Change, Cost, Meter, Pace},
    config::Config,
    exporter::{ExportError, rows::RowFile},
    host::Host,
};

/// How often losses and the clock are looked at: each reason that grew is said once in that time.
const LOSS_INTERVAL: Duration = Duration::from_mins(1);

/// How often rows are sent to those who subscribed to them.
pub(super) const ROWS_INTERVAL: Duration = Duration::from_millis(500);

/// Something that runs every so often.
pub(super) struct Collector {
    pub(super) name: &'static str,
    pub(super) interval: Duration,
    pub(super) run: Box<dyn FnMut() + Send>,
}

/// The thread that runs collectors.
pub(super) struct Collectors {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    /// Asked to stop; ended.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Stop {
    fn lock(&self) -> std::sync::MutexGuard<'_, (bool, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the thread ended, however it ends.
struct Ended(Arc<Stop>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.lock().1 = true;
        self.0.changed.notify_all();
    }
}

impl Collectors {
    /// Starts the thread. Each collector may use an equal part of `max_overhead`.
    pub(super) fn start(collectors: Vec<Collector>, max_overhead: f64) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let mut worker = Worker::new(collectors, max_overhead, Arc::clone(&stop));
        let ended = Ended(Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("radiosonde-collect".to_owned())
            .spawn(move || {
                let _ended = ended;
                worker.run();
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Stops the thread, waiting for a run that is under way until `deadline` at most; one that hangs is left behind.
    pub(super) fn stop(mut self, deadline: Instant) {
        self.halt(deadline);
    }

    fn halt(&mut self, deadline: Instant) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let mut state = self.stop.lock();
        state.0 = true;
        self.stop.changed.notify_all();
        while !state.1 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.stop.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        // It has said that it is at its end.
        let _ = thread.join();
    }
}

impl Drop for Collectors {
    fn drop(&mut self) {
        self.halt(Instant::now() + Duration::from_secs(1));
    }
}

struct Worker {
    tasks: Vec<(Collector, Meter)>,
    origin: Instant,
    stop: Arc<Stop>,
}

impl Worker {
    fn new(collectors: Vec<Collector>, max_overhead: f64, stop: Arc<Stop>) -> Self {
        let share = max_overhead / collectors.len().max(1) as f64;
        let tasks = collectors
            .into_iter()
            .map(|collector| {
                let meter = Meter::new(collector.interval, share, Duration::ZERO);
                (collector, meter)
            })
            .collect();
        Self {
            tasks,
            origin: Instant::now(),
            stop,
        }
    }

    fn run(&mut self) {
        loop {
            for task in 0..self.tasks.len() {
                if self.stop.lock().0 {
                    return;
                }
                self.run_if_due(task);
            }
            let Some(next) = self.tasks.iter().map(|(_, meter)| meter.due()).min() else {
                return;
            };
            let state = self.stop.lock();
            if state.0 {
                return;
            }
            let wait = next.saturating_sub(self.origin.elapsed());
            drop(
                self.stop
                    .changed
                    .wait_timeout(state, wait)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    fn run_if_due(&mut self, task: usize) {
        let (collector, meter) = &mut self.tasks[task];
        if meter.due() > self.origin.elapsed() {
            return;
        }
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
            Err(_) => Some(meter.switch_off(now)),
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

/// The collectors that the configuration asks for, before the program's own.
pub(super) fn built_in(running: &Arc<Running>) -> Result<Vec<Collector>, ExportError> {
    let config = &running.config;
    let mut collectors = vec![host(config), losses(), publish_rows(&running.rows)];
    if config.telemetry.metrics && config.reporting.auto_export_metrics {
        let sender = Arc::clone(running);
        let mut first = true;
        collectors.push(Collector {
            name: "metrics",
            interval: config.metrics.interval,
            run: Box::new(move || {
                // At the start there is nothing to send yet.
                if !std::mem::take(&mut first) {
                    sender.send_metrics();
                }
            }),
        });
    }
    if config.metrics_log.enabled {
        collectors.push(row_files(config, &running.rows)?);
    }
    collectors.push(summary(running));
    collectors.push(health(running));
    Ok(collectors)
}

fn health(running: &Arc<Running>) -> Collector {
    let running = Arc::clone(running);
    let mut watch = Watch::new();
    Collector {
        name: "health",
        interval: running.config.health.check_interval,
        run: Box::new(move || watch.look(&running)),
    }
}

fn host(config: &Config) -> Collector {
    let mut host = Host::new();
    Collector {
        name: "host",
        interval: config.telemetry.system_interval,
        run: Box::new(move || host.read()),
    }
}

fn losses() -> Collector {
    let mut before = loss::report();
    let mut steps = clock::steps();
    Collector {
        name: "losses",
        interval: LOSS_INTERVAL,
        run: Box::new(move || {
            let now = loss::report();
            for &(reason, records) in &now {
                let said = before
                    .iter()
                    .find(|(other, _)| *other == reason)
                    .map_or(0, |&(_, records)| records);
                if records > said {
                    say_lost(reason, records - said);
                }
            }
            before = now;
            let (now, before) = (clock::steps(), steps);
            steps = now;
            if now.0 > before.0 {
                let step_ns = now.1 - before.1;
                radiosonde_core::record!(ClockStepped {
                    direction: if step_ns < 0 { "back" } else { "forward" },
                    step: step_ns.unsigned_abs() as f64 / 1e9,
                });
            }
        }),
    }
}

fn say_lost(reason: Lost, records: u64) {
    radiosonde_core::record!(RecordsLost {
        reason: reason.label(),
        records,
    });
}

fn summary(running: &Arc<Running>) -> Collector {
    let running = Arc::clone(running);
    let mut before = 0;
    Collector {
        name: "summary",
        interval: running.config.reporting.interval,
        run: Box::new(move || {
            let report = running.report();
            if report.recorded_operations == before {
                return;
            }
            before = report.recorded_operations;
            tracing::info!(
                target: "radiosonde",
                operations = report.total_operations,
                failed = report.failed_operations,
                error_rate = report.error_rate,
                status = report.status.label(),
                lost = report.lost.iter().map(|(_, records)| records).sum::<u64>(),
                "summary"
            );
        }),
    }
}

fn publish_rows(rows: &SharedRows) -> Collector {
    let rows = rows.clone();
    Collector {
        name: "rows",
        interval: ROWS_INTERVAL,
        run: Box::new(move || rows.lock().tick()),
    }
}

/// Writes the rows as they are, once an interval, from the first interval on.
fn row_files(config: &Config, rows: &SharedRows) -> Result<Collector, ExportError> {
    let folder = &config.metrics_log.directory;
    std::fs::create_dir_all(folder).map_err(|source| ExportError::Write {
        path: folder.clone(),
        source,
        mend: "name a folder that you may write in metrics_log.directory",
        records: 0,
    })?;
    let start_unix_ns = now_unix_ns();
    let mut latency = RowFile::create(folder, start_unix_ns, "latency")?;
    let mut memory = RowFile::create(folder, start_unix_ns, "memory")?;
    let rows = rows.clone();
    let mut first = true;
    let run = move || {
        if std::mem::take(&mut first) {
            return;
        }
        // Writing may block, and the pump waits for this lock.
        let (latency_rows, memory_rows) = {
            let publisher = rows.lock();
            (publisher.rows().latency(), publisher.rows().memory())
        };
        for written in [latency.append(&latency_rows), memory.append(&memory_rows)] {
            if let Err(error) = written {
                let (reason, records) = error.lost(1);
                loss::count(reason, records);
            }
        }
    };
    Ok(Collector {
        name: "row files",
        interval: config.metrics_log.interval,
        run: Box::new(run),
    })
}
