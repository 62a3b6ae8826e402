//! A million events a second into receivers that are slower, or do not read at all, and into a file: memory stays within
//! what the configuration allows, and every event is delivered or counted.
//!
//! Each run is this test binary again as a process of its own, running [`child`], so that its resident memory and its
//! threads are its own. How long they take together is `SOAK_SECONDS`, two unless said otherwise: a test run sees that
//! the sums are right, `cargo xtask soak` that they stay so.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use radiosonde::{
    Builder, Event,
    core::{
        loss::{self, Lost},
        model::Record,
        record,
    },
    exporter::{
        channel::{RingReceiver, ring},
        runner::Limits,
    },
};

const SCENARIO: &str = "SOAK_SCENARIO";
const SECONDS: &str = "SOAK_SECONDS";
const SCENARIOS: [&str; 3] = ["slow receiver", "silent receiver", "JSON lines"];

/// What is asked for; a machine that is too slow for it records what it can.
const EVENTS_PER_SECOND: u64 = 1_000_000;
const THREADS: u64 = 2;
/// Events are recorded in a burst once in this time.
const BURST: Duration = Duration::from_millis(1);

/// How often a screen looks, and how many records it takes each time.
const LOOK: Duration = Duration::from_millis(16);
const TAKEN: usize = 256;
const RING_RECORDS: usize = 16_384;

/// What the library adds to a program of eight threads with defaults, by docs/performance.md.
const LIBRARY_BYTES: usize = 20_000_000;
/// A record in the ring: itself, its fields, and what the allocator adds to each of them.
const RECORD_BYTES: usize = size_of::<Record>() + 512;
/// How far resident memory may grow after the first quarter: the exporter's queue, the threads' lanes and what is being
/// exported may be empty before and full after.
const IN_FLIGHT_BYTES: usize = 16 * 1024 * 1024;
const PAGE_BYTES: usize = 4096;

/// Something happened, once more.
#[derive(Event)]
#[event(name = "soak.tick", target = "soak")]
struct Tick {
    /// Who recorded it.
    by: u64,
    /// How many it recorded before.
    number: u64,
}

#[test]
fn memory_is_bounded_and_every_event_is_delivered_or_counted() {
    for scenario in SCENARIOS {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(SCENARIO, scenario)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        for line in said.lines().filter(|line| line.starts_with(scenario)) {
            println!("{line}");
        }
        assert!(run.status.success(), "{scenario}: {said}");
        assert!(said.contains("recorded"), "{scenario} did not run: {said}");
    }
}

/// Not a test by itself: what the children run.
#[test]
#[ignore = "run by the other test as a process of its own"]
fn child() {
    let scenario = std::env::var(SCENARIO).unwrap();
    let seconds: f64 = std::env::var(SECONDS).map_or(2.0, |text| text.parse().unwrap());
    let time = Duration::from_secs_f64(seconds / SCENARIOS.len() as f64);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let lines = folder.path().join("events.jsonl");
    // Nothing but ours is recorded, so that the sums are exact.
    let builder = radiosonde::builder()
        .console(false)
        .discover(false)
        .filter("soak");
    let seen = match scenario.as_str() {
        "JSON lines" => {
            let run = Run::of(builder.json_lines(&lines), 0, time, None);
            let mut delivered = Delivered::default();
            for line in BufReader::new(fs::File::open(&lines).unwrap()).lines() {
                let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
                let number = |key: &str| line["event"]["data"][key].as_u64().unwrap();
                delivered.take(number("by"), number("number"));
            }
            run.account(&delivered)
        }
        reads => {
            let (sender, receiver) = ring(RING_RECORDS);
            let reader = Reader::start(receiver, reads == "slow receiver");
            let ring_bytes = RING_RECORDS * RECORD_BYTES;
            let run = Run::of(builder.exporter(sender), ring_bytes, time, Some(reader));
            run.account(&run.received)
        }
    };
    println!("{scenario}: {seen}");
}

/// What arrived: how much, and each thread's last, for what is old never comes after what is newer.
#[derive(Default)]
struct Delivered {
    events: u64,
    last: [Option<u64>; THREADS as usize],
}

impl Delivered {
    fn take(&mut self, by: u64, number: u64) {
        let last = &mut self.last[by as usize];
        assert!(last.is_none_or(|last| last < number), "{last:?}, {number}");
        *last = Some(number);
        self.events += 1;
    }

    fn record(&mut self, record: &Record) {
        let Record::Event(event) = record else {
            panic!("nobody recorded {record:?}")
        };
        let number = |key: &str| event.field(key).unwrap().as_u64().unwrap();
        self.take(number("by"), number("number"));
    }
}

/// A screen that looks now and then, or not before the end.
struct Reader {
    thread: JoinHandle<(RingReceiver<Record>, Delivered)>,
    stop: Arc<AtomicBool>,
}

impl Reader {
    fn start(receiver: RingReceiver<Record>, looks: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut delivered = Delivered::default();
            while !stopped.load(Relaxed) {
                let taken = (0..TAKEN).map_while(|_| receiver.try_recv().ok());
                taken
                    .take(if looks { TAKEN } else { 0 })
                    .for_each(|record| delivered.record(&record));
                thread::sleep(LOOK);
            }
            (receiver, delivered)
        });
        Self { thread, stop }
    }

    /// What it got, that which still waits included, and how many made room.
    fn end(self) -> (Delivered, u64) {
        self.stop.store(true, Relaxed);
        let (receiver, mut delivered) = self.thread.join().unwrap();
        while let Ok(record) = receiver.try_recv() {
            delivered.record(&record);
        }
        (delivered, receiver.dropped())
    }
}

/// What a run did and held.
struct Run {
    recorded: u64,
    time: Duration,
    /// What a receiver got, and how many made room for others in its ring.
    received: Delivered,
    made_room: u64,
    memory: Memory,
    allowed_bytes: usize,
}

impl Run {
    fn of(builder: Builder, ring_bytes: usize, time: Duration, reader: Option<Reader>) -> Self {
        let threads_before = threads();
        let mut memory = Memory::now();
        let guard = builder.init().unwrap();
        let start = Instant::now();
        let writers: Vec<_> = (0..THREADS)
            .map(|by| thread::spawn(move || record_paced(by, start, time)))
            .collect();
        while start.elapsed() < time {
            memory.look(start.elapsed() < time / 4);
            thread::sleep(BURST * 5);
        }
        let recorded = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
        let time = start.elapsed();
        memory.look(false);
        assert!(guard.shutdown(Duration::from_mins(5)), "not delivered");
        let (received, made_room) = reader.map_or_else(Default::default, Reader::end);
        // The operating system takes a moment to forget a thread that has said that it is at its end.
        let deadline = Instant::now() + Duration::from_mins(1);
        while !threads().is_subset(&threads_before) {
            assert!(Instant::now() < deadline, "threads stayed: {:?}", threads());
            thread::sleep(BURST);
        }
        Self {
            recorded,
            time,
            received,
            made_room,
            memory,
            allowed_bytes: LIBRARY_BYTES + Limits::default().queue_bytes_max + ring_bytes,
        }
    }

    /// Holds the run against what arrived, and says what was seen.
    fn account(&self, delivered: &Delivered) -> String {
        let lost = loss::report();
        let sum: u64 = lost.iter().map(|(_, records)| records).sum();
        let mut because = String::new();
        for (reason, records) in &lost {
            write!(because, ", {records} lost ({})", reason.label()).unwrap();
        }
        let memory = &self.memory;
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        let seen = format!(
            "{} events recorded in {:.1} s ({:.0} a second); {} delivered{because}; \
             {:.1} MB more resident at most, of {:.1}, and {:.1} MB of that after the first quarter",
            self.recorded,
            self.time.as_secs_f64(),
            self.recorded as f64 / self.time.as_secs_f64(),
            delivered.events,
            megabytes(memory.most - memory.before),
            megabytes(self.allowed_bytes),
            megabytes(memory.growth()),
        );
        assert_eq!(self.recorded, delivered.events + sum, "{seen}");
        assert_eq!(loss::total(Lost::ChannelFull), self.made_room, "{seen}");
        let explained = [Lost::LaneFull, Lost::QueueFull, Lost::ChannelFull];
        let is_explained = |&(reason, _): &(Lost, u64)| explained.contains(&reason);
        assert!(lost.iter().all(is_explained), "{seen}");
        assert!(memory.most - memory.before <= self.allowed_bytes, "{seen}");
        assert!(memory.growth() <= IN_FLIGHT_BYTES, "{seen}");
        seen
    }
}

/// Records this thread's share until the time is over; says how many events that were.
fn record_paced(by: u64, start: Instant, time: Duration) -> u64 {
    let burst = (EVENTS_PER_SECOND as f64 * BURST.as_secs_f64()) as u64 / THREADS;
    let mut number = 0;
    let mut next = Instant::now();
    while start.elapsed() < time {
        for _ in 0..burst {
            record!(Tick { by, number });
            number += 1;
        }
        next += BURST;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    number
}

/// Resident memory, in bytes.
struct Memory {
    before: usize,
    most: usize,
    most_warming_up: usize,
}

impl Memory {
    fn now() -> Self {
        let before = resident();
        Self {
            before,
            most: before,
            most_warming_up: before,
        }
    }

    fn look(&mut self, is_warming_up: bool) {
        self.most = self.most.max(resident());
        if is_warming_up {
            self.most_warming_up = self.most;
        }
    }

    const fn growth(&self) -> usize {
        self.most - self.most_warming_up
    }
}

fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * PAGE_BYTES
}

fn threads() -> BTreeSet<String> {
    let names = fs::read_dir("/proc/self/task").unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
