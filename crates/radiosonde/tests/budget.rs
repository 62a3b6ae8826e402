//! The overhead budget, held against the operating system's account of who used the processor.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use radiosonde::{
    core::model::{Record, Value},
    exporter::channel::Channel,
};
use rustix::time::{ClockId, clock_gettime};

const BUDGET: f64 = 0.01;
/// What one run of the expensive collector computes, of every 20 ms: 5 % of a processor.
const RUN: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_millis(20);
/// Ours and the expensive one: each may have one run that is not made up for so far.
const COLLECTORS: u32 = 9;
/// For as long is looked at least: several times as much as would be used without a budget is more than is allowed then.
const WINDOW: Duration = Duration::from_secs(3);
/// And for so many runs, that of the first time and some at its later pace.
const RUNS: usize = 4;

/// When a run began and ended, and what it used.
struct Run {
    start: Instant,
    end: Instant,
    cpu: Duration,
}

#[test]
fn collectors_use_no_more_of_the_processor_than_the_budget() {
    let runs: Arc<Mutex<Vec<Run>>> = Arc::default();
    let (sender, records) = mpsc::channel::<Record>();
    let others = threads();
    let start = Instant::now();
    let guard = radiosonde::builder()
        .console(false)
        .discover(false)
        .max_overhead(BUDGET)
        .exporter(Channel::new(sender, "test"))
        .collector("expensive", INTERVAL, {
            let runs = Arc::clone(&runs);
            move || runs.lock().unwrap().push(compute())
        })
        .init()
        .unwrap();
    while start.elapsed() < WINDOW || runs.lock().unwrap().len() < RUNS {
        thread::sleep(INTERVAL);
    }
    // In this order: more time may pass than is accounted for, not less.
    let used = collector_cpu(&others);
    let elapsed = start.elapsed();
    drop(guard);

    let runs = runs.lock().unwrap();
    let share = said_limit(&records);
    assert!(share < BUDGET, "{share}");
    // Whatever it used is made up for when the next run begins.
    for (count, last) in runs.iter().enumerate().skip(1) {
        let used: Duration = runs[..count].iter().map(|run| run.cpu).sum();
        let time = last.start - runs[0].end;
        assert!(
            used.as_secs_f64() <= share * time.as_secs_f64(),
            "{used:?} of {time:?} in {count} runs, where {share} may be used"
        );
    }
    let dearest = runs.iter().map(|run| run.cpu).max().unwrap();
    let allowed = elapsed.mul_f64(BUDGET) + dearest * COLLECTORS;
    assert!(used >= runs[0].cpu, "none of {used:?} was seen");
    assert!(used <= allowed, "{used:?} of {allowed:?} in {elapsed:?}");
}

/// Uses the processor for [`RUN`].
fn compute() -> Run {
    let (start, before) = (Instant::now(), thread_cpu());
    loop {
        let cpu = thread_cpu().saturating_sub(before);
        if cpu >= RUN {
            let end = Instant::now();
            return Run { start, end, cpu };
        }
    }
}

fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// The share of a processor that the expensive collector may use, by the event that says that it used more.
fn said_limit(records: &mpsc::Receiver<Record>) -> f64 {
    let said = records.iter().find_map(|record| match record {
        Record::Event(event) if event.field("collector") == Some(&Value::from("expensive")) => {
            assert_eq!(event.name, "radiosonde.collector.throttled");
            event.field("limit")?.as_f64()
        }
        _ => None,
    });
    said.unwrap()
}

/// Processor time that the collectors' threads have used, `others` left out.
fn collector_cpu(others: &BTreeSet<String>) -> Duration {
    let names = ["radiosonde-own", "radiosonde-coll", "radiosonde-metr"];
    let ours = threads().into_iter().filter(|thread| {
        let name = fs::read_to_string(format!("/proc/self/task/{thread}/comm")).unwrap_or_default();
        !others.contains(thread) && names.contains(&name.trim_end())
    });
    ours.map(|thread| {
        let used = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
        Duration::from_nanos(used.split(' ').next().unwrap().parse().unwrap())
    })
    .sum()
}

fn threads() -> BTreeSet<String> {
    let names = fs::read_dir("/proc/self/task").unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
