//! A destination that stalls, and a process that is killed while one is away: what was recorded is delivered, what is
//! delivered twice is one request of each signal at most, and neither the caller nor another destination waits.
//!
//! Each run is this test binary again as a process of its own, running [`child`] with the configuration that a user would
//! write, against two receivers here. How long the stall takes is `OUTAGE_SECONDS`, three unless said otherwise:
//! `cargo xtask soak` takes a minute.

#![cfg(all(target_os = "linux", feature = "backends"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use radiosonde::{
    Guard,
    config::{Config, Format, RawConfig},
    core::loss,
};
use serde_json::Value;
use tracing::{info, info_span};

const SCENARIO: &str = "OUTAGE_SCENARIO";
const SECONDS: &str = "OUTAGE_SECONDS";
const FOLDER: &str = "OUTAGE_FOLDER";
const FAR: &str = "OUTAGE_FAR";
const NEAR: &str = "OUTAGE_NEAR";

/// An operation is a span and a log in it, so that 10,000 records come a second.
const OPERATIONS_PER_SECOND: u64 = 5_000;
const BURST: Duration = Duration::from_millis(1);
/// How many operations are recorded before the process is killed, at least.
const BEFORE_KILL: u64 = 10_000;
/// The first number of the process that is started after it.
const AGAIN: u64 = 1_000_000_000;
const SPOOL_BYTES_MAX: u64 = 256 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_mins(2);

/// The receivers of one run: `far` has trouble, `near` has none.
struct Peers {
    folder: tempfile::TempDir,
    far: Arc<Peer>,
    near: Arc<Peer>,
    runtime: tokio::runtime::Runtime,
}

/// What one receiver was given.
struct Peer {
    key: &'static str,
    /// While this file is there, requests are taken and not answered; it says the number of the operation at which that began.
    /// `None` where all goes well.
    stalls: Option<PathBuf>,
    /// The same, for counting what comes meanwhile.
    meanwhile: PathBuf,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    /// How often each number came, of spans and of logs.
    times: BTreeMap<(&'static str, u64), u32>,
    /// Most records of one signal in one request.
    request_records_max: usize,
    /// Records from after the other began to stall that came before it ended.
    meanwhile: u64,
    /// Most bytes that the spool's files took.
    spool_bytes_max: u64,
    faults: Vec<String>,
}

impl Peer {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap()
    }

    /// Takes a request, or says what is wrong with it.
    fn take(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        let key = headers.get("x-key").and_then(|key| key.to_str().ok());
        if key != Some(self.key) {
            return Err(format!("the key is {key:?}"));
        }
        let began = fs::read_to_string(&self.meanwhile).ok();
        let began = began.and_then(|text| text.parse::<u64>().ok());
        let records: Vec<Value> =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let mut taken = self.taken();
        taken.request_records_max = taken.request_records_max.max(records.len());
        for record in &records {
            let signal = match record["type"].as_str() {
                Some("span") => "span",
                Some("log") => "log",
                // What the library says of itself: that a clock was set, for example.
                Some("event") => continue,
                other => return Err(format!("a record of type {other:?}")),
            };
            let Some(number) = record["number"].as_u64() else {
                // What the library says of a destination that is away is a log for the other one.
                let text = record["text"].as_str().unwrap_or_default();
                if text.starts_with("exporter far: ") {
                    continue;
                }
                return Err(format!("no number: {record}"));
            };
            *taken.times.entry((signal, number)).or_default() += 1;
            taken.meanwhile += u64::from(began.is_some_and(|began| number > began));
        }
        Ok(())
    }

    /// The numbers below [`AGAIN`] that came of a signal, and how many of all came more than once.
    fn numbers(&self, signal: &str) -> (Vec<u64>, usize) {
        let taken = self.taken();
        let own = taken.times.iter().filter(|((of, _), _)| *of == signal);
        let twice = own.clone().filter(|(_, times)| **times > 1).count();
        let numbers = own.map(|((_, number), _)| *number);
        (numbers.filter(|number| *number < AGAIN).collect(), twice)
    }
}

async fn answer(State(peer): State<Arc<Peer>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if let Err(fault) = peer.take(&headers, &body) {
        peer.taken().faults.push(fault);
        return StatusCode::BAD_REQUEST;
    }
    while peer.stalls.as_ref().is_some_and(|file| file.exists()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    StatusCode::OK
}

impl Peers {
    fn start() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let stall = folder.path().join("stall");
        let peer = |key, stalls| {
            Arc::new(Peer {
                key,
                stalls,
                meanwhile: stall.clone(),
                taken: Mutex::default(),
            })
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        Self {
            far: peer("far-key", Some(stall.clone())),
            near: peer("near-key", None),
            folder,
            runtime,
        }
    }

    fn serve(&self, peer: &Arc<Peer>) -> SocketAddr {
        let app = Router::new()
            .route("/in", post(answer))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(peer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = self.runtime.block_on(listener).unwrap();
        let address = listener.local_addr().unwrap();
        self.runtime
            .spawn(async move { axum::serve(listener, app).await });
        address
    }

    fn stall(&self) -> PathBuf {
        self.folder.path().join("stall")
    }

    fn assert_no_faults(&self) {
        for peer in [&self.far, &self.near] {
            let taken = peer.taken();
            assert!(taken.faults.is_empty(), "{}: {:?}", peer.key, taken.faults);
        }
    }
}

/// This binary again, with its standard output to be read.
fn process(scenario: &str, folder: &Path, far: SocketAddr, near: SocketAddr) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(SCENARIO, scenario)
        .env(FOLDER, folder)
        .env(FAR, far.to_string())
        .env(NEAR, near.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Bytes of all files below `folder`; those that go away meanwhile count nothing.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

#[test]
fn a_destination_that_stalls_loses_nothing_and_holds_up_neither_callers_nor_another_destination() {
    let peers = Peers::start();
    let (far, near) = (peers.serve(&peers.far), peers.serve(&peers.near));
    let mut child = process("stall", peers.folder.path(), far, near);
    let output = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .collect()
    });
    let spool = peers.folder.path().join("spool");
    let status = loop {
        let bytes = bytes_below(&spool);
        let mut taken = peers.far.taken();
        taken.spool_bytes_max = taken.spool_bytes_max.max(bytes);
        drop(taken);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let said: Vec<String> = reader.join().unwrap();
    for line in said.iter().filter(|line| line.starts_with("outage: ")) {
        println!("{line}");
    }
    assert!(status.success(), "{said:?}");
    let recorded = said.iter().find_map(|line| line.strip_prefix("recorded "));
    let recorded: u64 = recorded.unwrap().parse().unwrap();
    peers.assert_no_faults();
    for peer in [&peers.far, &peers.near] {
        let request_records_max = peer.taken().request_records_max;
        for signal in ["span", "log"] {
            let (numbers, twice) = peer.numbers(signal);
            println!(
                "outage: {}: {} of {recorded} {signal}s, {twice} twice",
                peer.key,
                numbers.len()
            );
            assert!(
                numbers.into_iter().eq(0..recorded),
                "{}: {signal}",
                peer.key
            );
            assert!(
                twice <= request_records_max,
                "{}: {signal}: {twice}",
                peer.key
            );
        }
    }
    assert!(
        peers.near.taken().meanwhile > 0,
        "the other one was held up"
    );
    let spool_bytes_max = peers.far.taken().spool_bytes_max;
    println!("outage: the spool took {spool_bytes_max} bytes at most, of {SPOOL_BYTES_MAX}");
    assert!(spool_bytes_max > 0, "nothing waited on disk");
    assert!(spool_bytes_max <= SPOOL_BYTES_MAX);
}

#[test]
fn what_waits_when_a_process_is_killed_is_sent_by_the_next_and_twice_is_one_request_of_each_signal()
{
    let peers = Peers::start();
    let (far, near) = (peers.serve(&peers.far), peers.serve(&peers.near));
    fs::write(peers.stall(), "0").unwrap();
    let mut child = process("killed", peers.folder.path(), far, near);
    let output = BufReader::new(child.stdout.take().unwrap());
    let flushed = output.lines().map_while(Result::ok).find_map(|line| {
        let number = line.strip_prefix("flushed ")?;
        Some(number.parse::<u64>().unwrap())
    });
    let flushed = flushed.unwrap();
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    fs::remove_file(peers.stall()).unwrap();
    let next = process("again", peers.folder.path(), far, near);
    let next = next.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&next.stdout);
    assert!(next.status.success(), "{said}");
    peers.assert_no_faults();
    for peer in [&peers.far, &peers.near] {
        let request_records_max = peer.taken().request_records_max;
        for signal in ["span", "log"] {
            let (numbers, twice) = peer.numbers(signal);
            let count = numbers.len() as u64;
            println!(
                "outage: {}: {count} {signal}s of a process killed after {flushed} were flushed, {twice} twice",
                peer.key
            );
            // All that was flushed, and of what followed the oldest, without a gap.
            assert!(
                count >= flushed,
                "{}: {signal}: {count} of {flushed}",
                peer.key
            );
            assert!(numbers.into_iter().eq(0..count), "{}: {signal}", peer.key);
            assert!(
                twice <= request_records_max,
                "{}: {signal}: {twice}",
                peer.key
            );
        }
        let own = peer
            .taken()
            .times
            .keys()
            .filter(|(_, number)| *number == AGAIN)
            .count();
        assert_eq!(own, 2, "{}: what the next one recorded", peer.key);
    }
}

/// Not a test by itself: what the children run.
#[test]
#[ignore = "run by the other tests as a process of its own"]
fn child() {
    let variable = |name| std::env::var(name).unwrap();
    let folder = PathBuf::from(variable(FOLDER));
    let text = configuration(&variable(FAR), &variable(NEAR), &folder.join("spool"));
    let raw = RawConfig::parse(Format::Toml, &text, Path::new("radiosonde.toml")).unwrap();
    let config = Config::check(raw).unwrap();
    let guard = radiosonde::builder().config(config).init().unwrap();
    match variable(SCENARIO).as_str() {
        "stall" => stalled(guard, &folder.join("stall")),
        "killed" => {
            let (number, _) = record(0, Duration::from_secs(BEFORE_KILL / OPERATIONS_PER_SECOND));
            // Nobody answers one of the two, so what waits for it is on disk then.
            let _ = guard.flush(Duration::from_secs(10));
            say(&format!("flushed {number}"));
            record(number, PATIENCE);
        }
        "again" => {
            operation(AGAIN);
            end(guard);
        }
        other => panic!("no scenario {other:?}"),
    }
}

/// What a user writes for two destinations.
fn configuration(far: &str, near: &str, spool: &Path) -> String {
    let mut text = "
[logging]
console = false
level = \"outage\"
[otlp]
discover = false
"
    .to_owned();
    for (name, address) in [("far", far), ("near", near)] {
        let table = format!(
            r#"
[[exporters]]
type = "custom"
name = "{name}"
endpoint = "http://{address}/in"
headers = {{ X-Key = "{name}-key" }}
timeout = "1s"
delay = "100ms"
spans = '{{"type":"span","number":"{{{{attributes.number}}}}","at":"{{{{time}}}}","trace":"{{{{trace_id}}}}","took":"{{{{duration_ns}}}}"}}'
logs = '{{"type":"log","number":"{{{{attributes.number}}}}","at":"{{{{time}}}}","trace":"{{{{trace_id}}}}","text":"{{{{message}}}}"}}'
events = '{{"type":"event","name":"{{{{name}}}}"}}'
spool_directory = "{}"
spool_bytes_max = {SPOOL_BYTES_MAX}
"#,
            spool.display()
        );
        text.push_str(&table);
    }
    text
}

fn say(line: &str) {
    let mut output = std::io::stdout();
    output.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

fn operation(number: u64) {
    let _span = info_span!("operation", number).entered();
    info!(number, "a line that a program writes in each operation");
}

/// Records operations from `number` on for `time`; gives the next number, and how long each took its caller, in nanoseconds.
fn record(mut number: u64, time: Duration) -> (u64, Vec<u64>) {
    let burst = OPERATIONS_PER_SECOND * BURST.as_millis() as u64 / 1_000;
    let (start, first) = (Instant::now(), number);
    let mut took = Vec::new();
    while start.elapsed() < time {
        for _ in 0..burst {
            let began = Instant::now();
            operation(number);
            took.push(began.elapsed().as_nanos() as u64);
            number += 1;
        }
        let due = BURST * ((number - first) / burst) as u32;
        thread::sleep(due.saturating_sub(start.elapsed()));
    }
    (number, took)
}

/// A third of the time all is well, then one of the destinations stalls, then it is well again.
fn stalled(guard: Guard, stall: &Path) {
    let seconds: f64 = std::env::var(SECONDS).map_or(3.0, |text| text.parse().unwrap());
    let time = Duration::from_secs_f64(seconds);
    let (number, before) = record(0, time / 3);
    fs::write(stall, number.to_string()).unwrap();
    let (number, meanwhile) = record(number, time);
    fs::remove_file(stall).unwrap();
    let (number, after) = record(number, time / 3);
    for (when, mut took) in [("before", before), ("during", meanwhile), ("after", after)] {
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        say(&format!(
            "outage: {when} the stall of {seconds} s, {} operations: p50 {} ns, p99 {} ns, p99.9 {} ns",
            took.len(),
            at(0.5),
            at(0.99),
            at(0.999)
        ));
    }
    say(&format!("recorded {number}"));
    end(guard);
    let lost = loss::report();
    assert!(lost.is_empty(), "nothing may be lost: {lost:?}");
}

/// Delivers everything: a flush gives up where one attempt fails, so there may be several.
fn end(guard: Guard) {
    let deadline = Instant::now() + PATIENCE;
    while !guard.flush(PATIENCE) {
        assert!(Instant::now() < deadline, "it is not taken");
    }
    assert!(guard.shutdown(PATIENCE));
}
