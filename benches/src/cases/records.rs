//! Typed events and log events at the caller; log events to a file of JSON lines, with everything that writing takes.
//!
//! Files are on a memory file system where there is one, so that a disk does not decide. spdlog-rs is set up as its
//! documentation says for asynchronous logging: an `AsyncPoolSink` that blocks when its queue is full, in front of a
//! `FileSink` with the JSON formatter. Its default queue of 8,192 tasks is raised so that a burst fits. Ours waits when a
//! queue is full, too.

use std::{
    env, fs,
    fs::File,
    hint::black_box,
    io::{BufRead, BufReader, Seek as _, SeekFrom},
    num::NonZero,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use radiosonde::{
    Event, encode::json::JsonEncoder, exporter::json_lines::JsonLines, redact::Redaction,
};
use radiosonde_core::record;
use spdlog::{
    Logger, ThreadPool,
    formatter::JsonFormatter,
    sink::{AsyncPoolSink, FileSink},
};

use radiosonde_bench_harness::{Bench, Case, note, or_exit, print, row::Row};

use crate::{
    harness::{Pace, allocations, caller, process_cpu},
    ours,
};

/// Records between two flushes: fewer than a lane holds.
const BURST: u64 = 5_000;
/// Lines over which CPU time is counted, in one go.
const CPU_LINES: u64 = 200_000;
const LINES: u64 = 1_000_000;
const SPDLOG_QUEUE: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(131_071);
const SPDLOG: &str = "spdlog-rs async";

/// Records that are not spans.
pub const BENCH: Bench = Bench {
    rows: &[
        Row::beside(
            "typed event, 3 fields, caller",
            "event.radiosonde:caller",
            "span.radiosonde:fields",
            "our own span, 3 typed fields",
            Some(0.8),
        )
        .by_least(),
        Row::at_most(
            "typed event, 3 fields, heap allocations",
            "event.radiosonde:allocations",
            0.0,
            "allocations",
        ),
        Row::beside(
            "log event, 3 fields, to JSON lines, caller",
            "log.radiosonde:caller",
            "log.spdlog:caller",
            SPDLOG,
            Some(0.35),
        )
        .by_least(),
        Row::beside(
            "log event, 3 fields, to JSON lines, whole-process CPU",
            "log.radiosonde:cpu",
            "log.spdlog:cpu",
            SPDLOG,
            Some(0.5),
        ),
        Row::at_most(
            "log event, lines missing from the file of 1,000,000 written",
            "log.radiosonde:missing",
            0.0,
            "lines",
        ),
        Row::at_most(
            "log event, 3 fields, heap allocations",
            "log.radiosonde:allocations",
            0.0,
            "allocations",
        ),
    ],
    cases: &[
        Case {
            name: "event.radiosonde",
            run: typed_events,
        },
        Case {
            name: "log.radiosonde",
            run: radiosonde,
        },
        Case {
            name: "log.spdlog",
            run: spdlog,
        },
    ],
};

/// An operation ended.
#[derive(Event)]
#[event(name = "bench.operation")]
struct Operation<'a> {
    /// How large it was.
    #[measure(counter, unit = "By")]
    size: u64,
    /// What it was.
    #[label]
    kind: &'a str,
    /// How busy the device was.
    #[measure(gauge, unit = "1")]
    load: f64,
}

fn typed_events() {
    let pump = ours::start();
    let pace = Pace {
        operations_max: BURST,
        settle: &|| ours::flush(&pump),
    };
    let work = |count| {
        let _root = tracing::info_span!(parent: None, "request").entered();
        for number in 0..count {
            let (size, kind, load) = black_box((number, "attention_", 0.5_f64));
            record!(Operation { size, kind, load });
        }
    };
    print("caller", &caller(&pace, work));
    print("allocations", &[allocations(&pace, work)]);
}

fn radiosonde() {
    let file = LogFile::new("radiosonde");
    let lines = JsonLines::open(&file.0, JsonEncoder::new(Redaction::default()));
    let pump = ours::start_exporting(or_exit(lines, "open the file"));
    let work = |count| {
        for number in 0..count {
            let (size, kind, load) = black_box((number, "attention_", 0.5_f64));
            tracing::info!(size, kind, load, "operation ended");
        }
    };
    let flush = || ours::flush(&pump);
    measure(&file.0, work, &flush);
    let pace = Pace {
        operations_max: BURST,
        settle: &flush,
    };
    print("allocations", &[allocations(&pace, work)]);
}

fn spdlog() {
    let file = LogFile::new("spdlog");
    let logger = or_exit(spdlog_logger(&file.0), "set up spdlog-rs");
    let work = |count| {
        for number in 0..count {
            let (size, kind, load) = black_box((number, "attention_", 0.5_f64));
            spdlog::info!(logger: logger, "operation ended", kv: { size, kind, load });
        }
    };
    let flush = || {
        logger.flush();
        wait_until_still(&file.0);
    };
    measure(&file.0, work, &flush);
}

fn spdlog_logger(path: &Path) -> spdlog::Result<Logger> {
    let file = FileSink::builder()
        .path(path)
        .formatter(JsonFormatter::new())
        .build_arc()?;
    let pool = ThreadPool::builder().capacity(SPDLOG_QUEUE).build_arc()?;
    let sink = AsyncPoolSink::builder()
        .sink(file)
        .thread_pool(pool)
        .build_arc()?;
    Logger::builder().sink(sink).build()
}

fn measure(path: &Path, mut work: impl FnMut(u64), flush: &dyn Fn()) {
    let pace = Pace {
        operations_max: BURST,
        settle: flush,
    };
    print("caller", &caller(&pace, &mut work));
    print("cpu", &process_cpu(CPU_LINES, &mut work, flush));
    let before = size(path);
    work(LINES);
    flush();
    let written = count_lines(path, before);
    print("missing", &[LINES as f64 - written as f64]);
    note(format_args!(
        "{} bytes a line",
        (size(path) - before) / written.max(1)
    ));
}

/// A file that is removed when it is no longer needed.
struct LogFile(PathBuf);

impl LogFile {
    fn new(name: &str) -> Self {
        let in_memory = Path::new("/dev/shm");
        let folder = if in_memory.is_dir() {
            in_memory.to_owned()
        } else {
            env::var_os("RADIOSONDE_BENCH_SCRATCH").map_or_else(env::temp_dir, PathBuf::from)
        };
        Self(folder.join(format!(
            "radiosonde-bench-{}-{name}.log",
            std::process::id()
        )))
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // a file that stays harms nobody
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Lines that end after the first `from` bytes.
fn count_lines(path: &Path, from: u64) -> u64 {
    let mut file = or_exit(File::open(path), "open the file");
    or_exit(file.seek(SeekFrom::Start(from)), "read the file");
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut lines = 0;
    loop {
        let piece = or_exit(file.fill_buf(), "read the file");
        if piece.is_empty() {
            return lines;
        }
        lines += piece.split(|&byte| byte == b'\n').count() as u64 - 1;
        let length = piece.len();
        file.consume(length);
    }
}

/// Waits until nobody has written to the file for a while: spdlog-rs does not say when a flush is done. Sleeping costs
/// next to no CPU time.
fn wait_until_still(path: &Path) {
    const PAUSE: Duration = Duration::from_millis(2);
    const PAUSES: u32 = 15;
    let (mut last, mut still) = (size(path), 0);
    while still < PAUSES {
        thread::sleep(PAUSE);
        let now = size(path);
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
}
