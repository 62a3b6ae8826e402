//! Threads that come and go by the thousand, and more of them at once than there are lanes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, Builder},
    time::Duration,
};

use radiosonde_core::{
    LANES_MAX,
    batch::Batch,
    event, lane_count,
    loss::{self, Lost},
    metrics,
    pump::{self, Consumer, Pump},
    subscriber::Subscriber,
};
use tracing::{info, info_span};

#[derive(Default)]
struct Counts {
    spans: AtomicU64,
    others: AtomicU64,
}

struct Count(Arc<Counts>);

impl Consumer for Count {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let spans = batch.spans().count() as u64;
        self.0.spans.fetch_add(spans, Relaxed);
        self.0
            .others
            .fetch_add(batch.records().count() as u64 - spans, Relaxed);
    }
}

fn recording() -> (Pump, Arc<Counts>) {
    tracing::subscriber::set_global_default(Subscriber::new()).unwrap();
    let counts = Arc::new(Counts::default());
    let pump = pump::start(pump::Config {
        resource: Arc::default(),
        consumers: vec![Box::new(Count(Arc::clone(&counts)))],
    });
    (pump.unwrap(), counts)
}

/// Runs `work` on `threads` threads that all live at once.
fn at_once(threads: usize, work: impl Fn() + Sync) {
    let all = Barrier::new(threads);
    thread::scope(|scope| {
        let start = |_| {
            let run = || {
                work();
                all.wait();
            };
            // Small stacks, so that thousands fit.
            let thread = Builder::new().stack_size(128 << 10);
            thread.spawn_scoped(scope, run).unwrap()
        };
        let started: Vec<_> = (0..threads).map(start).collect();
        // Joined one by one, because the scope itself does not wait until what belonged to a thread is given back.
        started
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

/// The process's own memory in bytes; 0 where nobody says.
fn resident() -> u64 {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// One test, because each part leaves lanes behind for the next.
#[test]
fn threads_leak_nothing_and_what_finds_no_lane_is_counted() {
    const WAVES: usize = 625;
    const AT_ONCE: usize = 16;
    const BEYOND: usize = 50;
    let (pump, counts) = recording();
    let seconds = metrics::histogram("threads.duration").unit("s").handle();
    let work = || {
        let _span = info_span!("short", user = 7).entered();
        info!("a log");
        event!("threads.event", tokens = 3_u64);
        seconds.record(0.5);
    };
    let wave = |waves: usize| {
        for _ in 0..waves {
            at_once(AT_ONCE, work);
            assert!(pump.flush(Duration::from_secs(10)));
        }
    };
    wave(25);
    let (lanes, before) = (lane_count(), resident());
    wave(WAVES - 25);
    let threads = (WAVES * AT_ONCE) as u64;
    assert_eq!(threads, 10_000);
    assert!((AT_ONCE..=AT_ONCE + 2).contains(&lanes), "{lanes} lanes");
    assert_eq!(lane_count(), lanes, "no thread left a lane behind");
    let grown = resident().saturating_sub(before);
    assert!(grown < 4 << 20, "9,600 threads left {grown} bytes behind");
    assert_eq!(counts.spans.load(Relaxed), threads);
    assert_eq!(counts.others.load(Relaxed), 2 * threads);
    assert_eq!(loss::report(), []);

    // More at once than there can be lanes: the rest is refused, every record of it by name.
    at_once(LANES_MAX + BEYOND, work);
    assert!(pump.flush(Duration::from_secs(10)));
    assert_eq!(lane_count(), LANES_MAX);
    let lost = 3 * BEYOND as u64;
    assert_eq!(loss::report(), [(Lost::LaneLimit, lost)]);
    let written = 3 * (threads + (LANES_MAX + BEYOND) as u64);
    let kept = counts.spans.load(Relaxed) + counts.others.load(Relaxed);
    assert_eq!(kept + lost, written, "kept or counted");

    // What those threads had serves the next ones.
    at_once(AT_ONCE, work);
    assert!(pump.flush(Duration::from_secs(10)));
    let late = counts.spans.load(Relaxed) + counts.others.load(Relaxed) - kept;
    assert_eq!(
        (late, loss::total(Lost::LaneLimit)),
        (3 * AT_ONCE as u64, lost)
    );

    a_thread_that_found_no_lane_has_one_once_others_ended(&pump, &counts);
}

fn a_thread_that_found_no_lane_has_one_once_others_ended(pump: &Pump, counts: &Counts) {
    let lost = loss::total(Lost::LaneLimit);
    let (all_hold_one, may_end) = (Barrier::new(LANES_MAX + 1), Barrier::new(LANES_MAX + 1));
    thread::scope(|scope| {
        let hold = || {
            info!("held");
            all_hold_one.wait();
            may_end.wait();
        };
        let start = |_| {
            let thread = Builder::new().stack_size(128 << 10);
            thread.spawn_scoped(scope, hold).unwrap()
        };
        let holding: Vec<_> = (0..LANES_MAX).map(start).collect();
        all_hold_one.wait();
        info!("refused");
        assert_eq!(loss::total(Lost::LaneLimit), lost + 1);
        may_end.wait();
        holding
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    assert!(pump.flush(Duration::from_secs(10)));
    let before = counts.others.load(Relaxed);
    info!("kept");
    assert!(pump.flush(Duration::from_secs(10)));
    assert_eq!(counts.others.load(Relaxed), before + 1);
    assert_eq!(loss::total(Lost::LaneLimit), lost + 1);
}
