//! What runs every so often beside the program, each collector within its share of the overhead budget.

mod thread;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use radiosonde_core::{
    clock::{self, now_unix_ns},
    events::{ClockStepped, RecordsLost},
    loss::{self, Lost},
    metrics,
    model::Resource,
};

pub(super) use self::thread::{Collector, Remote, Thread};
use super::{
    InitError,
    exporters::refused,
    running::{Running, SharedRows},
    watch,
};
use crate::{
    config::Config,
    exporter::{ExportError, rows::RowFile, runner::Exporters},
    host::Host,
    memory,
    redact::{self, Redaction},
};

/// How often losses and the clock are looked at: each reason that grew is said once in that time.
const LOSS_INTERVAL: Duration = Duration::from_mins(1);

/// How often rows are sent to those who subscribed to them.
pub(super) const ROWS_INTERVAL: Duration = Duration::from_millis(500);

/// How often the others are looked at, and how long a run of theirs may take before its collector is said to be off.
const STUCK_INTERVAL: Duration = Duration::from_secs(1);
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// Most collectors of our own, [`metrics`] among them: what is left of the budget is the program's.
const BUILT_IN_MAX: usize = 8;

/// The share of one processor that each collector may use, where the program has `own` ones.
pub(super) fn share(own: usize, max_overhead: f64) -> f64 {
    max_overhead / (BUILT_IN_MAX + own) as f64
}

/// The threads of all collectors: one for ours, one for reading metrics, and one for each of the program's, so that
/// code of the program that hangs holds up nothing else.
pub(super) struct Collectors {
    threads: Vec<Thread>,
    metrics: Option<Thread>,
}

impl Collectors {
    /// Starts the threads of ours and of `own`. Each collector may use `share` of one processor.
    pub(super) fn start(
        mut ours: Vec<Collector>,
        own: Vec<Collector>,
        metrics: Option<Thread>,
        share: f64,
    ) -> std::io::Result<Self> {
        let mut threads = Vec::with_capacity(own.len() + 1);
        for collector in own {
            threads.push(Thread::start("radiosonde-own", vec![collector], share)?);
        }
        let watched = threads.iter().chain(&metrics).map(Thread::remote);
        ours.push(stuck(watched.collect()));
        threads.push(Thread::start("radiosonde-collect", ours, share)?);
        Ok(Self { threads, metrics })
    }

    /// Stops all but the reading of metrics, waiting for runs that are under way until `deadline` at most.
    pub(super) fn stop(&mut self, deadline: Instant) {
        for thread in &self.threads {
            thread.ask_to_stop();
        }
        for thread in self.threads.drain(..) {
            thread.stop(deadline);
        }
    }

    /// Stops the reading of metrics too.
    pub(super) fn stop_metrics(self, deadline: Instant) {
        if let Some(thread) = self.metrics {
            thread.stop(deadline);
        }
    }
}

fn stuck(others: Vec<Remote>) -> Collector {
    Collector {
        name: "stuck",
        interval: STUCK_INTERVAL,
        at_once: false,
        run: Box::new(move || {
            for other in &others {
                other.say_if_stuck(STUCK_AFTER);
            }
        }),
    }
}

/// The thread that reads metrics for the exporters, every so often and when it is asked to. It is a thread of its own
/// because sources of metrics are code of the program.
pub(super) fn metrics(
    config: &Config,
    exporters: &Exporters,
    resource: &Arc<Resource>,
    share: f64,
) -> std::io::Result<Option<Thread>> {
    if !config.telemetry.metrics {
        return Ok(None);
    }
    let (exporters, resource) = (exporters.clone(), Arc::clone(resource));
    let collector = Collector {
        name: "metrics",
        interval: if config.reporting.auto_export_metrics {
            config.metrics.interval
        } else {
            Duration::MAX
        },
        // At the start there is nothing to send yet.
        at_once: false,
        run: Box::new(move || {
            let snapshot = metrics::snapshot(&resource);
            let snapshot = redact::snapshot(&Redaction::default(), snapshot);
            exporters.send_metrics(&Arc::new(snapshot));
        }),
    };
    Thread::start("radiosonde-metrics", vec![collector], share).map(Some)
}

/// The collectors that the configuration asks for, except for [`metrics`]. What is asked for health runs by itself.
pub(super) fn built_in(
    running: &Arc<Running>,
    resource: &Arc<Resource>,
) -> Result<Vec<Collector>, InitError> {
    let config = &running.config;
    let mut collectors = vec![host(config), losses(), publish_rows(&running.rows)];
    collectors.extend(alerts(config, resource)?);
    if config.metrics_log.enabled {
        let files = row_files(config, &running.rows);
        let files = files.map_err(|error| refused(config, "metrics_log.directory", error))?;
        collectors.push(files);
    }
    collectors.push(summary(running));
    watch::start(running)?;
    Ok(collectors)
}

#[cfg(feature = "backends")]
use super::alerts::collector as alerts;

#[cfg(not(feature = "backends"))]
fn alerts(config: &Config, _: &Arc<Resource>) -> Result<Option<Collector>, InitError> {
    let settings = &config.alerts;
    if settings.enabled || settings.file.is_some() || !settings.endpoints.is_empty() {
        return Err(InitError::FeatureMissing {
            setting: "alerts",
            feature: "backends",
        });
    }
    Ok(None)
}

fn host(config: &Config) -> Collector {
    let mut host = Host::new();
    Collector {
        name: "host",
        interval: config.telemetry.system_interval,
        at_once: true,
        run: Box::new(move || host.read()),
    }
}

fn losses() -> Collector {
    let mut before = loss::report();
    let mut steps = clock::steps();
    Collector {
        name: "losses",
        interval: LOSS_INTERVAL,
        at_once: true,
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
        at_once: true,
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
        at_once: true,
        run: Box::new(move || rows.lock().tick()),
    }
}

/// Writes the rows as they are, once an interval, from the first interval on.
fn row_files(config: &Config, rows: &SharedRows) -> Result<Collector, ExportError> {
    memory::want_rows();
    let folder = &config.metrics_log.directory;
    std::fs::create_dir_all(folder).map_err(|source| ExportError::Write {
        path: folder.clone(),
        source,
        mend: "name a folder that you may write in metrics_log.directory",
        records: 0,
    })?;
    let start_unix_ns = now_unix_ns();
    let [mut latency, mut memory] = RowFile::create(folder, start_unix_ns, ["latency", "memory"])?;
    let rows = rows.clone();
    let run = move || {
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
        at_once: false,
        run: Box::new(run),
    })
}
