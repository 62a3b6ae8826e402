//! What the process and the host use: processor, memory, threads, files, disks, under the names of OpenTelemetry's
//! semantic conventions (1.44, `process.*` and `system.*`).
//!
//! [`Host::read`] is called every so often (5 s by default) and keeps its readings; they are in every snapshot of
//! metrics from then on. Where rows of memory are wanted, each reading records the resident set for them. Readings come
//! from Linux's `/proc`. Elsewhere, and where a file cannot be read, there are none, and [`readings`] says why.

mod proc;
mod process;
mod readings;
mod system;

use std::{
    fs,
    sync::{Mutex, Once, PoisonError},
    time::{Duration, Instant},
};

use radiosonde_core::{
    clock::now_unix_ns,
    metrics::{
        self,
        snapshot::{Data, Metric, Number, Series},
    },
    model::{Text, Value},
    provenance::Reading,
};

use crate::memory;

use self::{
    proc::{CpuTimes, ProcessStat},
    readings::Readings,
};

/// What names a series of a metric: names and values.
type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    UpDownCounter,
    Gauge,
}

/// One metric as read.
#[derive(Clone, Debug)]
struct Read {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    kind: Kind,
    series: Vec<(Labels, Number)>,
}

/// The last readings, shared with the metrics of the process.
#[derive(Default)]
struct Latest {
    start_unix_ns: u64,
    metrics: Vec<Read>,
    /// Why there is no reading, where there is none.
    missing: Option<String>,
}

static LATEST: Mutex<Option<Latest>> = Mutex::new(None);

fn latest() -> std::sync::MutexGuard<'static, Option<Latest>> {
    LATEST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether process and host are being read: how many metrics there are, or why there are none.
pub fn readings() -> Reading<u64> {
    match &*latest() {
        None => Reading::unsupported("nothing reads process and host while recording is off"),
        Some(Latest {
            missing: Some(reason),
            ..
        }) => Reading::unsupported(reason.clone()),
        Some(latest) => Reading::measured(latest.metrics.len() as u64),
    }
}

/// The share of the host's memory that programs could not get without swapping, from 0 to 1.
pub(crate) fn memory_in_use() -> Reading<f64> {
    if !cfg!(target_os = "linux") {
        return Reading::unsupported("memory is read from /proc/meminfo, which only Linux has");
    }
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |key| proc::keyed(&text, key).map(|bytes| bytes as f64);
    match (bytes("MemTotal"), bytes("MemAvailable")) {
        (Some(total), Some(available)) if total > 0.0 => {
            Reading::derived((1.0 - available / total).clamp(0.0, 1.0))
        }
        _ => Reading::unsupported("/proc/meminfo does not say what is available"),
    }
}

/// Reads process and host. While it lives, its readings are part of every snapshot of metrics.
#[derive(Debug)]
pub struct Host {
    before: Option<Before>,
    memory: memory::Watch,
    start_unix_ns: u64,
}

/// What rates are computed against.
#[derive(Debug)]
struct Before {
    at: Instant,
    process: Option<(Duration, Duration)>,
    host: Option<CpuTimes>,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// Begins to read.
    pub fn new() -> Self {
        static SOURCE: Once = Once::new();
        SOURCE.call_once(|| metrics::global().add_source(add_latest));
        *latest() = Some(Latest::default());
        Self {
            before: None,
            memory: memory::Watch::new(),
            start_unix_ns: now_unix_ns(),
        }
    }

    /// Reads everything once.
    pub fn read(&mut self) {
        self.memory.read();
        let mut readings = Readings::default();
        let now = Before {
            at: Instant::now(),
            process: None,
            host: None,
        };
        let (metrics, missing) = if cfg!(target_os = "linux") {
            let now = readings.read(now, self.before.as_ref());
            self.before = Some(now);
            let missing = readings
                .metrics
                .is_empty()
                .then(|| "/proc cannot be read".to_owned());
            (readings.metrics, missing)
        } else {
            let reason = "process and host are read from /proc, which only Linux has";
            (Vec::new(), Some(reason.to_owned()))
        };
        *latest() = Some(Latest {
            start_unix_ns: self.start_unix_ns,
            metrics,
            missing,
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        *latest() = None;
    }
}

fn add_latest(metrics: &mut Vec<Metric>) {
    let latest = latest();
    let Some(latest) = &*latest else { return };
    metrics.extend(latest.metrics.iter().map(|read| {
        let series = read.series.iter().map(|(labels, value)| Series {
            labels: labels
                .iter()
                .map(|(name, value)| (Text::Borrowed(*name), Value::from(value.clone())))
                .collect(),
            start_unix_ns: latest.start_unix_ns,
            value: *value,
            exemplars: Vec::new(),
        });
        let series: Vec<Series<Number>> = series.collect();
        Metric {
            name: Text::Borrowed(read.name),
            description: Text::Borrowed(read.description),
            unit: Text::Borrowed(read.unit),
            data: match read.kind {
                Kind::Counter => Data::Counter(series),
                Kind::UpDownCounter => Data::UpDownCounter(series),
                Kind::Gauge => Data::Gauge(series),
            },
        }
    }));
}

fn read_own_stat() -> Option<ProcessStat> {
    ProcessStat::parse(&fs::read_to_string("/proc/self/stat").ok()?)
}

#[cfg(unix)]
fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// Never used: without `/proc` there is no count of pages.
#[cfg(not(unix))]
const fn page_bytes() -> u64 {
    0
}

/// From how much processor time of the process on the library's share is told. A program that did less has spent much
/// of it on starting, and on reading its surroundings once, so its share says nothing of one that goes on.
const SHARE_TOLD_FROM: Duration = Duration::from_secs(1);

/// Processor time of the library's own threads by that of the whole process, where it has used enough to tell.
pub(crate) fn own_share() -> Reading<f64> {
    match processor_times() {
        Ok((own, process)) => share_of(own, process),
        Err(reason) => Reading::unsupported(reason),
    }
}

fn share_of(own: Duration, process: Duration) -> Reading<f64> {
    if process < SHARE_TOLD_FROM {
        return Reading::unsupported(format!(
            "too short to tell: the process has used {:.2} s of processor time, and {} s are needed",
            process.as_secs_f64(),
            SHARE_TOLD_FROM.as_secs()
        ));
    }
    Reading::derived(own.as_secs_f64() / process.as_secs_f64())
}

/// Processor time of the library's own threads, and of the whole process; or why it is not known.
fn processor_times() -> Result<(Duration, Duration), &'static str> {
    if !cfg!(target_os = "linux") {
        return Err("processor time by thread is read from /proc, which only Linux has");
    }
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return Err("/proc/self/task cannot be read");
    };
    let program = fs::read_to_string("/proc/self/comm").unwrap_or_default();
    let (mut own, mut all) = (Duration::ZERO, Duration::ZERO);
    for task in tasks.flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).ok();
        let Some(time) = read("schedstat").and_then(|text| proc::on_cpu(&text)) else {
            continue;
        };
        all += time;
        // A program may be called like a thread of ours, and its threads are called like it unless they say otherwise.
        if read("comm").is_some_and(|name| name.starts_with("radiosonde-") && name != program) {
            own += time;
        }
    }
    // Threads that ended are in the process's total only.
    let process = read_own_stat().map_or(all, |stat| (stat.user + stat.system).max(all));
    if process.is_zero() {
        return Err("the kernel keeps no scheduler statistics");
    }
    Ok((own, process))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn value(metrics: &[Metric], name: &str, label: Option<&str>) -> f64 {
        let metric = metrics.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("no {name}"));
        let (Data::Counter(series) | Data::UpDownCounter(series) | Data::Gauge(series)) =
            &metric.data
        else {
            panic!("{name} is a histogram")
        };
        let matches = |series: &&Series<Number>| {
            label.is_none_or(|label| {
                series
                    .labels
                    .iter()
                    .any(|(_, value)| value.as_str() == Some(label))
            })
        };
        let values = series
            .iter()
            .filter(matches)
            .map(|series| match series.value {
                Number::U64(value) => value as f64,
                Number::I64(value) => value as f64,
                Number::F64(value) => value,
            });
        values.sum()
    }

    /// Uses the processor for about `time`.
    fn burn(time: Duration) {
        let start = Instant::now();
        let mut sum = 0_u64;
        while start.elapsed() < time {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }

    /// There is one host a process.
    fn turn() -> std::sync::MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds on a processor that proc(5) says the process has had, read by other code than the collector's.
    fn on_processors() -> f64 {
        let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = text.rsplit(") ").next().unwrap_or_default();
        // Nothing compares with what is no number.
        let ticks = |field: &str| field.parse().unwrap_or(f64::NAN);
        fields.split(' ').skip(11).take(2).map(ticks).sum::<f64>() / 100.0
    }

    /// The share of all processors that a reading says was used while `work` ran, and the least and most that it can
    /// have been.
    fn used_by(work: impl FnOnce()) -> (f64, f64, f64) {
        let reading = || (Instant::now(), on_processors());
        let share =
            |(from, before): (Instant, f64), (until, after): (Instant, f64), at: Duration| {
                assert!(from <= until);
                (after - before) / at.as_secs_f64()
            };
        let mut host = Host::new();
        // The collector's two readings lie between the outer and the inner ones.
        let outer = reading();
        host.read();
        let inner = reading();
        work();
        let inner = (inner, reading());
        host.read();
        let outer = (outer, reading());
        let mut metrics = Vec::new();
        add_latest(&mut metrics);
        let processors = fs::read_to_string("/proc/stat").unwrap_or_default();
        let processors = processors
            .lines()
            .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
            .count() as f64;
        let least = share(inner.0, inner.1, outer.1.0 - outer.0.0) / processors;
        let most = share(outer.0, outer.1, inner.1.0 - inner.0.0) / processors;
        (
            value(&metrics, "process.cpu.utilization", None),
            least,
            most,
        )
    }

    #[test]
    fn the_processor_s_utilization_is_what_proc_says_busy_and_idle() {
        let _turn = turn();
        let (busy, least, most) = used_by(|| {
            let start = on_processors();
            assert!(start >= 0.0, "/proc/self/stat is read: {start}");
            while on_processors() < start + 0.3 {
                burn(Duration::from_millis(5));
            }
        });
        assert!(least > 0.0, "the work was seen: {least}");
        assert!(
            busy >= least - 1e-9 && busy <= most + 1e-9,
            "{least} {busy} {most}"
        );
        let (idle, least, most) = used_by(|| std::thread::sleep(Duration::from_millis(500)));
        assert!(
            idle >= least - 1e-9 && idle <= most + 1e-9,
            "{least} {idle} {most}"
        );
    }

    #[test]
    fn readings_agree_with_proc() {
        let _turn = turn();
        let mut host = Host::new();
        host.read();
        burn(Duration::from_millis(300));
        host.read();
        let mut metrics = Vec::new();
        add_latest(&mut metrics);
        let stat = read_own_stat().unwrap();
        let spent = value(&metrics, "process.cpu.time", None);
        let now = (stat.user + stat.system).as_secs_f64();
        assert!(
            spent > 0.0 && spent <= now + 0.02 && spent > now - 2.0,
            "{spent} {now}"
        );
        let utilization = value(&metrics, "process.cpu.utilization", None);
        assert!(utilization > 0.0 && utilization < 1.5, "{utilization}");
        let modes = value(&metrics, "system.cpu.utilization", None);
        assert!(
            (modes - 1.0).abs() < 1e-6,
            "shares of the host tile: {modes}"
        );
        let memory = value(&metrics, "system.memory.limit", None);
        let parts = value(&metrics, "system.memory.usage", None);
        assert!((memory - parts).abs() < 1.0, "{memory} {parts}");
        let resident = value(&metrics, "process.memory.usage", None);
        assert!(resident > 1e6 && resident < memory);
        assert!(value(&metrics, "process.memory.virtual", None) >= resident);
        assert!(value(&metrics, "process.thread.count", None) >= 1.0);
        assert!(value(&metrics, "process.unix.file_descriptor.count", None) >= 3.0);
        assert!(value(&metrics, "process.context_switches", Some("voluntary")) >= 0.0);
        assert!(value(&metrics, "process.paging.faults", Some("minor")) > 0.0);
        assert!(value(&metrics, "process.uptime", None) > 0.0);
        let processors = std::thread::available_parallelism().unwrap().get() as f64;
        assert!(value(&metrics, "system.cpu.logical.count", None) >= processors);
        assert!(readings().value().is_some_and(|metrics| metrics > 15));
        drop(host);
        assert_eq!(readings().value(), None);
    }

    #[test]
    fn a_share_is_told_only_of_a_process_that_has_worked_for_a_second() {
        let ms = Duration::from_millis;
        assert_eq!(share_of(ms(20), ms(1_000)).value(), Some(0.02));
        let short = share_of(ms(13), ms(30));
        assert_eq!(short.value(), None);
        assert_eq!(
            short.provenance().detail(),
            Some(
                "too short to tell: the process has used 0.03 s of processor time, and 1 s are needed"
            )
        );
    }

    #[test]
    fn the_library_s_own_share_is_found_by_thread_name() {
        let share = || {
            let (own, process) = processor_times().unwrap();
            own.as_secs_f64() / process.as_secs_f64()
        };
        let before = share();
        let thread = std::thread::Builder::new().name("radiosonde-test".to_owned());
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let burning = thread
            .spawn(move || {
                burn(Duration::from_millis(200));
                let _ = wait.recv();
            })
            .unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let during = share();
        drop(done);
        burning.join().unwrap();
        assert!(during > before && during <= 1.0, "{before} {during}");
    }
}
