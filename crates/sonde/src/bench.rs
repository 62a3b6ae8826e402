//! `sonde bench overhead`: what recording adds to a program, measured in this very process: first without recording, which
//! cannot be ended once it has begun, then with it.

mod process;

use std::{
    env, fs, hint,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use radiosonde::{
    config::{Config, Format as ConfigFormat, RawConfig},
    encode::json::JsonEncoder,
    exporter::json_lines::JsonLines,
    redact::Redaction,
};
use radiosonde_answers::units::Nanoseconds;
use radiosonde_core::{events::GpuOpCompleted, loss, record};
use serde_json::{Value, json};

use self::process::Usage;
use crate::{
    cli::{
        Format,
        bench::{Bench, OverheadArguments},
    },
    text::{self, Side, table},
};

/// What an operation records: a span, a log and a typed event.
const RECORDS: u32 = 3;
/// How often the workload wakes up; each time it does what is due.
const WAKES_PER_SECOND: u32 = 100;
/// Turns of an operation's own work: some microseconds.
const WORK_TURNS: u64 = 2_000;
/// How long what was recorded may take to be exported at the end.
const FLUSH_WITHIN: Duration = Duration::from_secs(10);
/// Nothing is sent, served or read beside the workload's own records and what `init` reads by default.
const SETTINGS: &str = "[logging]\nconsole = false\n[otlp]\ndiscover = false\n";

/// What standard output gets, and how the command ends.
pub fn run(what: &Bench) -> anyhow::Result<(String, ExitCode)> {
    let Bench::Overhead(arguments) = what;
    let measured = measure(arguments)?;
    let verdict = Verdict::new(&measured, arguments);
    let text = match arguments.format {
        Format::Json => text::json(&shown(&measured, verdict, arguments)),
        Format::Text => words(&measured, verdict, arguments),
    };
    let code = if verdict.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    Ok((text, code))
}

/// What one side of the workload took.
#[derive(Clone, Debug, PartialEq)]
struct Measured {
    /// Of one operation's recording, in nanoseconds: median and 99th percentile.
    off_ns: [u64; 2],
    on_ns: [u64; 2],
    memory_bytes_added: u64,
    /// Of one processor.
    cpu_percent_added: f64,
    /// Records that were not kept.
    lost: u64,
}

/// Whether each limit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a limit that holds or does not"
)]
struct Verdict {
    memory: bool,
    cpu: bool,
    operation: bool,
    /// A record that is refused costs less than one that is kept.
    whole: bool,
}

impl Verdict {
    fn new(measured: &Measured, limits: &OverheadArguments) -> Self {
        Self {
            memory: measured.memory_bytes_added <= limits.memory_max,
            cpu: measured.cpu_percent_added <= limits.cpu_percent_max,
            operation: u128::from(measured.on_ns[1]) <= limits.operation_max.as_nanos(),
            whole: measured.lost == 0,
        }
    }

    const fn holds(self) -> bool {
        self.memory && self.cpu && self.operation && self.whole
    }
}

fn measure(arguments: &OverheadArguments) -> anyhow::Result<Measured> {
    let wakes = (arguments.time.as_secs_f64() * f64::from(WAKES_PER_SECOND)).ceil() as u64;
    let burst = u64::from(arguments.rate / WAKES_PER_SECOND);
    let operations = wakes.saturating_mul(burst);
    ensure!(
        (1..=100_000_000).contains(&operations),
        "that is {operations} operations a side; change --rate and --time so that they are at least 1 and at most 100,000,000"
    );
    // Both before anything is measured, and touched, so that they are no part of it.
    let mut off = Samples::new(operations);
    let mut on = Samples::new(operations);
    let without = side(wakes, burst, &mut off, || Ok(()))?;
    let lost_before = lost();
    let file = Temporary::new();
    let lines = JsonLines::open(&file.0, JsonEncoder::new(Redaction::default()))?;
    let raw = RawConfig::parse(ConfigFormat::Toml, SETTINGS, Path::new("sonde bench"))?;
    let guard = radiosonde::builder()
        .config(Config::check(raw)?)
        .exporter(lines)
        .init()?;
    let with = side(wakes, burst, &mut on, || {
        let is_whole = guard.flush(FLUSH_WITHIN);
        ensure!(
            is_whole,
            "what was recorded could not be written within {} s",
            FLUSH_WITHIN.as_secs()
        );
        Ok(())
    })?;
    let lost = lost() - lost_before;
    drop(guard);
    Ok(Measured {
        off_ns: off.quantiles(),
        on_ns: on.quantiles(),
        memory_bytes_added: with
            .after
            .memory_bytes
            .saturating_sub(without.after.memory_bytes),
        cpu_percent_added: 100.0 * (with.busy() - without.busy()).max(0.0),
        lost,
    })
}

fn lost() -> u64 {
    loss::report().iter().map(|(_, records)| records).sum()
}

/// A side of the measurement: the process before and after, and how long that took.
struct Part {
    before: Usage,
    after: Usage,
    wall: Duration,
}

impl Part {
    /// Processor time for each second.
    fn busy(&self) -> f64 {
        let used = self.after.processor.saturating_sub(self.before.processor);
        used.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// Runs the workload. `finish` is a part of what it takes.
fn side(
    wakes: u64,
    burst: u64,
    samples: &mut Samples,
    finish: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Part> {
    let pause = Duration::from_secs(1) / WAKES_PER_SECOND;
    let before = Usage::read()?;
    let begin = Instant::now();
    for wake in 0..wakes {
        for at in 0..burst {
            work();
            let start = Instant::now();
            operation(wake * burst + at);
            samples.push(start.elapsed());
        }
        let due = begin + pause.saturating_mul(u32::try_from(wake + 1).unwrap_or(u32::MAX));
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    finish()?;
    let wall = begin.elapsed();
    let after = Usage::read()?;
    Ok(Part {
        before,
        after,
        wall,
    })
}

/// What an operation does beside recording.
fn work() {
    let sum = (0..WORK_TURNS).fold(0_u64, |sum, turn| hint::black_box(sum ^ turn));
    hint::black_box(sum);
}

/// What an operation records.
fn operation(id: u64) {
    let _span =
        tracing::info_span!("bench.operation", id, op_name = "softmax", bytes = 4096_u64).entered();
    tracing::info!(id, "an operation was done");
    record!(GpuOpCompleted {
        op_name: "softmax",
        backend: "bench",
        duration: Duration::from_micros(12),
        timing_source: Some("bench"),
    });
}

/// How long operations took, in nanoseconds.
struct Samples {
    all: Vec<u32>,
    count: usize,
}

impl Samples {
    fn new(operations: u64) -> Self {
        // Values other than zero, so that the memory is there and not only promised.
        Self {
            all: vec![u32::MAX; operations as usize],
            count: 0,
        }
    }

    fn push(&mut self, took: Duration) {
        if let Some(sample) = self.all.get_mut(self.count) {
            *sample = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
            self.count += 1;
        }
    }

    /// Median and 99th percentile.
    fn quantiles(mut self) -> [u64; 2] {
        self.all.truncate(self.count);
        self.all.sort_unstable();
        [50, 99].map(|percent| {
            let at = (self.all.len() * percent).div_ceil(100).saturating_sub(1);
            self.all.get(at).copied().map_or(0, u64::from)
        })
    }
}

/// A file of this process that is gone in the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        let name = format!("sonde-bench-{}.jsonl", std::process::id());
        Self(env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may not have been made.
        let _ = fs::remove_file(&self.0);
    }
}

fn shown(measured: &Measured, verdict: Verdict, arguments: &OverheadArguments) -> Value {
    let per_event = |[p50, p99]: [u64; 2]| {
        let of = |ns: u64| ns as f64 / f64::from(RECORDS);
        json!({"p50": of(p50), "p99": of(p99)})
    };
    let operation = |[p50, p99]: [u64; 2]| json!({"p50": p50, "p99": p99});
    json!({
        "operations_per_second": arguments.rate,
        "records_per_operation": RECORDS,
        "seconds_per_side": arguments.time.as_secs_f64(),
        "memory_bytes_added": measured.memory_bytes_added,
        "cpu_percent_added": measured.cpu_percent_added,
        "ns_per_operation": {"off": operation(measured.off_ns), "on": operation(measured.on_ns)},
        "ns_per_event": {"off": per_event(measured.off_ns), "on": per_event(measured.on_ns)},
        "lost": measured.lost,
        "limits": {"memory_bytes": arguments.memory_max, "cpu_percent": arguments.cpu_percent_max,
            "ns_per_operation": u64::try_from(arguments.operation_max.as_nanos()).unwrap_or(u64::MAX)},
        "holds": verdict.holds(),
    })
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn words(measured: &Measured, verdict: Verdict, arguments: &OverheadArguments) -> String {
    let yes = |holds| if holds { "yes" } else { "NO" }.to_owned();
    let ns = |ns: u64| Nanoseconds(ns).to_string();
    let limit = u64::try_from(arguments.operation_max.as_nanos()).unwrap_or(u64::MAX);
    let rows = [
        vec![
            "memory added".to_owned(),
            megabytes(measured.memory_bytes_added),
            megabytes(arguments.memory_max),
            yes(verdict.memory),
        ],
        vec![
            "processor added".to_owned(),
            format!("{:.2} %", measured.cpu_percent_added),
            format!("{} %", arguments.cpu_percent_max),
            yes(verdict.cpu),
        ],
        vec![
            "an operation, p99".to_owned(),
            ns(measured.on_ns[1]),
            ns(limit),
            yes(verdict.operation),
        ],
        vec![
            "records lost".to_owned(),
            measured.lost.to_string(),
            "0".to_owned(),
            yes(verdict.whole),
        ],
    ];
    let per_event = |ns: u64| format!("{:.0} ns", ns as f64 / f64::from(RECORDS));
    let sides = [("off", measured.off_ns), ("on", measured.on_ns)].map(|(name, [p50, p99])| {
        vec![
            format!("recording {name}"),
            per_event(p50),
            per_event(p99),
            String::new(),
        ]
    });
    format!(
        "{} operations a second for {} s a side, each a span, a log and a typed event, exported as JSON lines.\n\n{}\n{}",
        arguments.rate,
        arguments.time.as_secs_f64(),
        table(
            &[
                ("what recording costs", Side::Left),
                ("measured", Side::Right),
                ("at most", Side::Right),
                ("holds", Side::Left),
            ],
            &rows,
        ),
        table(
            &[
                ("a record takes", Side::Left),
                ("p50", Side::Right),
                ("p99", Side::Right),
                ("", Side::Left),
            ],
            &sides,
        ),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn limits(line: &str) -> OverheadArguments {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Some(Command::Bench {
                what: Bench::Overhead(arguments),
            }) => arguments,
            _ => panic!("{line}"),
        }
    }

    const MEASURED: Measured = Measured {
        off_ns: [30, 60],
        on_ns: [600, 3_000],
        memory_bytes_added: 20_000_000,
        cpu_percent_added: 0.5,
        lost: 0,
    };

    #[test]
    fn each_limit_is_held_for_itself() {
        let usual = limits("sonde bench overhead");
        assert!(Verdict::new(&MEASURED, &usual).holds());
        for (line, what) in [
            ("--memory-max 19MB", "memory added"),
            ("--cpu-percent-max 0.4", "processor added"),
            ("--operation-max 0ms", "an operation"),
        ] {
            let limits = limits(&format!("sonde bench overhead {line}"));
            let verdict = Verdict::new(&MEASURED, &limits);
            assert!(!verdict.holds(), "{line}");
            let words = words(&MEASURED, verdict, &limits);
            let failed: Vec<_> = words.lines().filter(|line| line.ends_with("NO")).collect();
            assert_eq!(failed.len(), 1, "{words}");
            assert!(failed[0].starts_with(what), "{words}");
        }
        let leaky = Measured {
            lost: 1,
            ..MEASURED
        };
        assert!(!Verdict::new(&leaky, &usual).holds());
    }

    #[test]
    fn a_record_has_its_share_of_an_operation() {
        let usual = limits("sonde bench overhead");
        let json = shown(&MEASURED, Verdict::new(&MEASURED, &usual), &usual);
        assert_eq!(
            json["ns_per_event"]["on"],
            json!({"p50": 200.0, "p99": 1000.0})
        );
        assert_eq!(json["limits"]["memory_bytes"], 50_000_000);
        assert_eq!(json["holds"], true);
    }

    #[test]
    fn quantiles_are_samples() {
        let mut samples = Samples::new(200);
        for ns in 1..=100 {
            samples.push(Duration::from_nanos(ns));
        }
        assert_eq!(samples.quantiles(), [50, 99]);
        assert_eq!(Samples::new(0).quantiles(), [0, 0]);
    }
}
