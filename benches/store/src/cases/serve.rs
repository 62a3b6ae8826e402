//! `sonde serve` as a process: how it starts, what it takes, what it costs to receive, how fast it answers.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use radiosonde_bench_harness::{Bench, Case, or_exit, print, row::Row};

use super::ingest;
use crate::{
    data::{self, Span, Words},
    kept, otlp,
};

/// Says where the program is; the driver builds it.
const SONDE: &str = "RADIOSONDE_BENCH_SONDE";
const REPETITIONS: usize = 7;
/// Spans of a request, as OpenTelemetry's batch processors send them.
const BATCH_SPANS: usize = 512;
/// What is sent at most in a second, where it is about a steady load.
const STEADY_SPANS_PER_SECOND: usize = 200_000;
const CONNECTIONS: usize = 4;

/// The server as a user has it.
pub const BENCH: Bench = Bench {
    rows: &[
        Row::at_most(
            "serve: start to listening, empty",
            "serve.start:empty",
            300.0,
            "ms",
        ),
        Row::at_most(
            "serve: start to listening, with a day stored",
            "serve.start:stored",
            1000.0,
            "ms",
        ),
        Row::at_most(
            "serve: resident memory, idle",
            "serve.start:idle",
            80.0,
            "MB",
        ),
        Row::at_most(
            "serve: OTLP/gRPC to durable segment, CPU of a span",
            "serve.load:cpu",
            2000.0,
            "ns",
        ),
        Row::at_most(
            "serve: OTLP/gRPC until acknowledged, CPU of a span",
            "serve.load:acknowledged",
            2000.0,
            "ns",
        ),
        Row::at_most(
            "serve: resident memory, 200,000 spans a second",
            "serve.load:resident",
            600.0,
            "MB",
        ),
        Row::at_most(
            "serve: why, of a trace of 10,000 spans",
            "serve.why:answer",
            50.0,
            "ms",
        ),
    ],
    cases: &[
        Case {
            name: "serve.start",
            run: start,
        },
        Case {
            name: "serve.load",
            run: load,
        },
        Case {
            name: "serve.why",
            run: why,
        },
    ],
};

/// A running `sonde serve`, killed at the end.
struct Serve {
    child: Child,
    page: String,
    grpc: String,
    /// From the call to the line that says it listens.
    started_after: Duration,
}

impl Serve {
    fn start(folder: &Path) -> Self {
        let program = std::env::var_os(SONDE).ok_or("the driver did not say where it is");
        let free = "127.0.0.1:0";
        let begun = Instant::now();
        let child = Command::new(or_exit(program, "run sonde"))
            .args([
                "serve",
                "--page",
                free,
                "--otlp-http",
                free,
                "--otlp-grpc",
                free,
                "--data",
            ])
            .arg(folder)
            .env_remove("RADIOSONDE_TOKEN")
            .stderr(Stdio::piped())
            .spawn();
        let mut child = or_exit(child, "start sonde");
        let stderr = or_exit(
            child.stderr.take().ok_or("there is no pipe"),
            "read what it says",
        );
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let mut address = |what: &str| {
            let line = lines
                .find(|line| line.contains(what))
                .ok_or("it said no address");
            let line = or_exit(line, "start sonde");
            line.split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned()
        };
        let page = address("page");
        let grpc = address("OTLP/gRPC");
        let started_after = begun.elapsed();
        thread::spawn(move || lines.for_each(drop)); // what it says later must not block it
        Self {
            child,
            page,
            grpc,
            started_after,
        }
    }

    /// CPU time of the process so far, user and system, in nanoseconds.
    fn cpu_ns(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = or_exit(fs::read_to_string(path), "read its CPU time");
        // proc_pid_stat(5): the 14th and 15th field, counted from the process's name in parentheses, which may have spaces.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |index: usize| {
            fields
                .get(index)
                .and_then(|field| field.parse::<u64>().ok())
        };
        let ticks = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
        or_exit(ticks.ok_or(stat.clone()), "read its CPU time") * 10_000_000 // of 100 a second
    }

    fn resident_mb(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = or_exit(fs::read_to_string(path), "read its memory");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        or_exit(kibibytes.ok_or("no VmRSS"), "read its memory") * 1024.0 / 1e6
    }

    fn get(&self, path: &str) -> Vec<u8> {
        let mut answer = or_exit(ureq::get(format!("{}{path}", self.page)).call(), "ask");
        or_exit(
            answer
                .body_mut()
                .with_config()
                .limit(256 << 20)
                .read_to_vec(),
            "read the answer",
        )
    }

    /// Ends it as a user does, and waits until it has written what it had.
    fn end(mut self) -> u64 {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        or_exit(asked, "end sonde");
        let mut cpu = self.cpu_ns();
        // A process that ended and was not waited for yet still says what it took.
        while !matches!(fs::read_to_string(format!("/proc/{id}/stat")), Ok(stat) if stat.contains(") Z "))
        {
            thread::sleep(Duration::from_millis(5));
        }
        cpu = cpu.max(self.cpu_ns());
        or_exit(self.child.wait(), "wait for sonde");
        cpu
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Of one that ended already there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn empty_folder(name: &str) -> std::path::PathBuf {
    let (folder, _) = kept::folder(name);
    or_exit(fs::remove_dir_all(&folder), "empty a folder");
    folder
}

fn start() {
    drop(ingest::store());
    let (stored, _) = kept::folder("store");
    let milliseconds = |serve: &Serve| serve.started_after.as_secs_f64() * 1e3;
    let mut idle = Vec::new();
    let empty: Vec<f64> = (0..REPETITIONS)
        .map(|_| {
            let serve = Serve::start(&empty_folder("serve"));
            thread::sleep(Duration::from_millis(500));
            idle.push(serve.resident_mb());
            milliseconds(&serve)
        })
        .collect();
    print("empty", &empty);
    print("idle", &idle);
    let full: Vec<f64> = (0..REPETITIONS)
        .map(|_| milliseconds(&Serve::start(&stored)))
        .collect();
    print("stored", &full);
}

/// All spans as fast as they are taken; then a steady load.
fn load() {
    let words = Words::new();
    let spans = data::spans(data::SPANS);
    let requests = otlp::requests(&spans, &words, BATCH_SPANS);
    let serve = Serve::start(&empty_folder("serve"));
    let before = serve.cpu_ns();
    send(&serve, &requests, None);
    let acknowledged = serve.cpu_ns() - before;
    print("acknowledged", &[acknowledged as f64 / spans.len() as f64]);
    let until_written = serve.end() - before;
    print("cpu", &[until_written as f64 / spans.len() as f64]);

    let serve = Serve::start(&empty_folder("serve"));
    let is_over = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !is_over.load(Ordering::Acquire) {
                most = most.max(serve.resident_mb());
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        send(&serve, &requests, Some(STEADY_SPANS_PER_SECOND));
        is_over.store(true, Ordering::Release);
        watch.join().unwrap_or(f64::NAN)
    });
    print("resident", &[most]);
}

/// Sends all requests over some connections, each the next one; no more spans a second than `per_second`.
fn send(serve: &Serve, requests: &[(Vec<u8>, usize)], per_second: Option<usize>) {
    let (next, sent, begun) = (AtomicUsize::new(0), AtomicUsize::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = otlp::Client::connect(&serve.grpc);
                while let Some((request, spans)) =
                    requests.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    client.send(request);
                    let sent = sent.fetch_add(*spans, Ordering::Relaxed) + spans;
                    if let Some(per_second) = per_second {
                        let due = Duration::from_secs_f64(sent as f64 / per_second as f64);
                        thread::sleep(due.saturating_sub(begun.elapsed()));
                    }
                }
            });
        }
    });
}

fn why() {
    let words = Words::new();
    let trace = large_trace(10_000);
    let id = data::hex(trace[0].trace_id);
    let serve = Serve::start(&empty_folder("serve"));
    send(&serve, &otlp::requests(&trace, &words, BATCH_SPANS), None);
    let path = format!("/api/v1/traces/{id}/why");
    let answer = serve.get(&path);
    or_exit(
        String::from_utf8_lossy(&answer)
            .contains("\"text\"")
            .then_some(())
            .ok_or("no text in it"),
        "read the answer",
    );
    let times: Vec<f64> = (0..REPETITIONS)
        .map(|_| {
            let begun = Instant::now();
            serve.get(&path);
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    print("answer", &times);
}

/// One trace of `count` spans: those of many traces, below one root.
fn large_trace(count: usize) -> Vec<Span> {
    let mut spans = data::spans(count);
    let begin = spans
        .iter()
        .map(|span| span.start_unix_ns)
        .min()
        .unwrap_or_default();
    let mut root = spans[0];
    root.span_id = [0xee; 8];
    root.parent_span_id = None;
    root.start_unix_ns = begin;
    root.duration_ns = 0;
    for (place, span) in spans.iter_mut().enumerate() {
        span.trace_id = root.trace_id;
        // One after the other, as what one request waits for.
        let end = root.start_unix_ns + root.duration_ns;
        if span.parent_span_id.is_none() {
            span.parent_span_id = Some(root.span_id);
        }
        span.start_unix_ns = end + place as i64;
        root.duration_ns += span.duration_ns.min(1_000_000);
        span.duration_ns = span.duration_ns.min(1_000_000);
    }
    spans[0] = root;
    spans
}
