//! Exporters behind the real record path: spans, logs and events from `tracing` and `record`, through lanes, pump and
//! fan-out, into every sink.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::{
    fmt::Write as _,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde::{
    Event,
    core::{
        self,
        batch::Batch,
        loss::{self, Lost},
        metrics::snapshot::Snapshot,
        model::{Record, Resource, Value},
        pump::{self, Consumer, Pump},
        subscriber::Subscriber,
    },
    encode::{
        json::{Identifiers, JsonEncoder},
        otlp::Encoder,
    },
    exporter::{
        Batching, Condition, ExportError, Exporter,
        channel::{self, Channel},
        console::{Console, Format},
        json_lines::{Buffering, JsonLines},
        runner::{FanOut, Limits},
    },
    recording::{self, Recording},
    redact::Redaction,
    repeat::Thinning,
};
use tracing::{error, info, info_span, warn};

/// One recording at a time: there is one pump a process.
struct Session {
    pump: Pump,
    _turn: MutexGuard<'static, ()>,
}

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn session_with(consumers: Vec<Box<dyn Consumer>>, turn: MutexGuard<'static, ()>) -> Session {
    let _ = tracing::subscriber::set_global_default(Subscriber::new());
    let resource = Arc::new(Resource::default());
    let pump = pump::start(pump::Config {
        resource,
        consumers,
    })
    .unwrap();
    Session { pump, _turn: turn }
}

fn session(exporters: Vec<Box<dyn Exporter>>) -> Session {
    limited(exporters, Limits::default(), Thinning::default())
}

fn limited(exporters: Vec<Box<dyn Exporter>>, limits: Limits, thinning: Thinning) -> Session {
    let turn = turn();
    let exporters = exporters
        .into_iter()
        .map(|exporter| (exporter, limits))
        .collect();
    let fan_out = FanOut::start(exporters, thinning).unwrap();
    session_with(vec![Box::new(fan_out)], turn)
}

impl Session {
    fn flush(&self) -> bool {
        self.pump.flush(Duration::from_secs(10))
    }
}

/// What a sink wrote.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> usize {
        self.text().lines().count()
    }
}

fn json_to(out: &Shared, encoder: JsonEncoder) -> Box<dyn Exporter> {
    Box::new(JsonLines::to_writer(out.clone(), "memory", encoder))
}

fn console_to(out: &Shared, format: Format) -> Box<dyn Exporter> {
    Box::new(Console::to_writer(
        out.clone(),
        format,
        false,
        Redaction::default(),
    ))
}

/// A kernel ended.
#[derive(Event)]
#[event(name = "test.gpu_op", type = "GpuOpCompleted")]
struct KernelDone<'a> {
    /// Operation.
    #[label]
    op_name: &'a str,
    /// How long.
    #[measure(histogram)]
    duration: Duration,
    /// Shapes.
    shapes: &'a [&'a [u64]],
    /// Utilization.
    utilization: f64,
}

fn work() {
    let request = info_span!(
        "request",
        otel.kind = "server",
        user = 7_u64,
        path = "/v1 \"x\""
    );
    request.in_scope(|| {
        info!(tokens = 3_u64, ratio = 0.5, "kernel finished");
        let step = info_span!(
            "step",
            otel.status_code = "error",
            otel.status_message = "no\nroom"
        );
        step.follows_from(&request);
        step.in_scope(|| {
            core::record(&KernelDone {
                op_name: "matmul",
                duration: Duration::from_nanos(1500),
                shapes: &[&[1, 2], &[]],
                utilization: f64::NAN,
            });
        });
    });
    error!(code = -3, ok = false, "outside\tany trace");
}

const WORK_RECORDS: usize = 5;

/// Replaces what differs from run to run: times, identifiers, the thread.
fn normalized(text: &str) -> String {
    let mut known: Vec<String> = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some(quote) = rest.find('"') {
        let (before, after) = rest.split_at(quote + 1);
        out.push_str(before);
        let end = after.find('"').unwrap_or(after.len());
        let word = &after[..end];
        let is_id = matches!(word.len(), 16 | 32) && word.bytes().all(|b| b.is_ascii_hexdigit());
        if is_id {
            let index = known.iter().position(|id| id == word).unwrap_or_else(|| {
                known.push(word.to_owned());
                known.len() - 1
            });
            let kind = if word.len() == 32 { "trace" } else { "span" };
            write!(out, "{kind}{index}").unwrap();
            rest = &after[end..];
        } else if word.len() == 30 && word.ends_with('Z') {
            out.push_str("time");
            rest = &after[end..];
        } else {
            rest = after;
        }
    }
    out.push_str(rest);
    for key in ["\"duration_ns\":", "\"thread\":"] {
        let parts: Vec<&str> = out.split(key).collect();
        let parts: Vec<String> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| {
                let is_ours = index > 0 && !part.starts_with("1500}") && !part.starts_with("1500,");
                if is_ours {
                    format!("N{}", part.trim_start_matches(|c: char| c.is_ascii_digit()))
                } else {
                    (*part).to_owned()
                }
            })
            .collect();
        out = parts.join(key);
    }
    out
}

#[test]
fn every_sink_gets_every_record() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, human, json) = (
        folder.path().join("events.jsonl"),
        Shared::default(),
        Shared::default(),
    );
    let (sender, receiver) = mpsc::channel::<Record>();
    let exporters: Vec<Box<dyn Exporter>> = vec![
        Box::new(JsonLines::open(&lines, JsonEncoder::default()).unwrap()),
        console_to(&human, Format::Human),
        console_to(&json, Format::Json),
        Box::new(Channel::new(sender, "test")),
        #[cfg(feature = "sqlite")]
        Box::new(
            radiosonde::exporter::sqlite::Sqlite::open(
                &folder.path().join("t.sqlite"),
                Redaction::default(),
            )
            .unwrap(),
        ),
    ];
    let session = session(exporters);
    for _ in 0..200 {
        work();
    }
    assert!(session.flush());
    let text = std::fs::read_to_string(&lines).unwrap();
    assert_eq!(text.lines().count(), 200 * WORK_RECORDS);
    assert_eq!(human.lines(), 200 * WORK_RECORDS);
    assert_eq!(json.text(), text);
    let records: Vec<Record> = receiver.try_iter().collect();
    assert_eq!(records.len(), 200 * WORK_RECORDS);
    // The owned writer gives the same bytes.
    let mut writer = recording::Writer::new(Vec::new(), JsonEncoder::default());
    for record in &records {
        writer.write(record).unwrap();
    }
    assert_eq!(String::from_utf8(writer.finish().unwrap()).unwrap(), text);
    // And so does what is read back.
    let (read, skipped) = Recording::read(&lines).unwrap();
    assert_eq!(skipped.lines, 0);
    assert_eq!(rewritten(&read), text);
    drop(session);
    #[cfg(feature = "sqlite")]
    assert_sqlite(&folder.path().join("t.sqlite"), &text);
}

fn rewritten(records: &[Record]) -> String {
    let mut writer = recording::Writer::new(Vec::new(), JsonEncoder::default());
    for record in records {
        writer.write(record).unwrap();
    }
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

#[cfg(feature = "sqlite")]
fn assert_sqlite(path: &Path, lines: &str) {
    let (rows, skipped) = Recording::read(path).unwrap();
    assert_eq!(skipped.lines, 0, "{skipped:?}");
    assert_eq!(rewritten(&rows), lines);
}

#[test]
fn lines_have_the_documented_shape() {
    let out = Shared::default();
    let session = session(vec![json_to(&out, JsonEncoder::default())]);
    work();
    assert!(session.flush());
    insta::assert_snapshot!(normalized(&out.text()), @r#"
    {"ts":"time","trace_id":"trace0","span_id":"span1","parent_id":null,"span_name":"request","event":{"type":"Log","data":{"level":"INFO","target":"exporters","message":"kernel finished","thread":N,"attributes":{"tokens":3,"ratio":0.5}}}}
    {"ts":"time","trace_id":"trace0","span_id":"span2","parent_id":"span1","span_name":"step","event":{"type":"GpuOpCompleted","data":{"op_name":"matmul","duration_ns":1500,"shapes":[[1,2],[]],"utilization":"NaN"}}}
    {"ts":"time","trace_id":"trace0","span_id":"span2","parent_id":"span1","span_name":"step","event":{"type":"Span","data":{"start":"time","end":"time","duration_ns":N,"level":"INFO","target":"exporters","kind":"internal","status":"error","message":"no\nroom","thread":N,"attributes":{},"links":[{"trace_id":"trace0","span_id":"span1"}]}}}
    {"ts":"time","trace_id":null,"span_id":null,"parent_id":null,"span_name":null,"event":{"type":"Log","data":{"level":"ERROR","target":"exporters","message":"outside\tany trace","thread":N,"attributes":{"code":-3,"ok":false}}}}
    {"ts":"time","trace_id":"trace0","span_id":"span1","parent_id":null,"span_name":"request","event":{"type":"Span","data":{"start":"time","end":"time","duration_ns":N,"level":"INFO","target":"exporters","kind":"server","status":"unset","thread":N,"attributes":{"user":7,"path":"/v1 \"x\""},"links":[]}}}
    "#);
}

#[test]
fn the_older_shape_has_numbers_for_spans() {
    let out = Shared::default();
    let encoder = JsonEncoder::default().with_identifiers(Identifiers::Numbers);
    let session = session(vec![json_to(&out, encoder)]);
    work();
    assert!(session.flush());
    for line in out.text().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if !line["trace_id"].is_null() {
            assert!(line["span_id"].as_u64().unwrap() > 0, "{line}");
            assert!(
                line["parent_id"].is_null() || line["parent_id"].is_u64(),
                "{line}"
            );
        }
    }
    let (records, skipped) = read(out.text().as_bytes());
    assert_eq!((records.len(), skipped), (WORK_RECORDS, 0));
}

fn read(bytes: &[u8]) -> (Vec<Record>, u64) {
    let mut lines = recording::JsonLines::new(bytes);
    let records = lines.by_ref().map(Result::unwrap).collect();
    (records, lines.skipped().lines)
}

#[test]
fn a_field_that_comes_twice_stands_once() {
    let out = Shared::default();
    let session = session(vec![json_to(&out, JsonEncoder::default())]);
    info!(a = 1, b = 2, a = 3, "twice");
    assert!(session.flush());
    assert!(
        out.text().contains(r#""attributes":{"a":3,"b":2}"#),
        "{}",
        out.text()
    );
}

/// Keeps what would be sent as OTLP.
struct OtlpBytes(Encoder, Shared);

impl Exporter for OtlpBytes {
    fn name(&self) -> &'static str {
        "bytes"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let Self(encoder, out) = self;
        encoder.batch(batch, |request| {
            out.write_all(request.body).unwrap();
        });
        Ok(())
    }
}

#[test]
fn secrets_never_reach_any_sinks_bytes() {
    let (lines, human, json) = (Shared::default(), Shared::default(), Shared::default());
    let protobuf = Shared::default();
    let session = session(vec![
        json_to(&lines, JsonEncoder::default()),
        console_to(&human, Format::Human),
        console_to(&json, Format::Json),
        Box::new(OtlpBytes(Encoder::default(), protobuf.clone())),
    ]);
    let span = info_span!(
        "login",
        password = "hunter2",
        otel.status_code = "error",
        otel.status_message = "token=tok-51"
    );
    span.in_scope(|| {
        warn!(peer = "postgres://app:s3cret@db/x", api_key = ?Some("k-1234"), "sent Bearer abc.def.123 to bo@example.org");
        core::record(&KernelDone {
            op_name: "AKIAIOSFODNN7EXAMPLE",
            duration: Duration::ZERO,
            shapes: &[],
            utilization: 0.0,
        });
    });
    drop(span);
    assert!(session.flush());
    for sink in [&lines, &human, &json] {
        assert_eq!(sink.text().lines().count(), 3);
    }
    for sink in [lines, human, json, protobuf] {
        let text = String::from_utf8_lossy(&sink.0.lock().unwrap()).into_owned();
        for secret in [
            "hunter2",
            "tok-51",
            "s3cret",
            "k-1234",
            "abc.def.123",
            "bo@example.org",
            "AKIA",
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(text.matches("[redacted]").count() >= 7, "{text}");
    }
}

#[test]
fn people_get_one_clean_line_a_record() {
    let out = Shared::default();
    let session = session(vec![console_to(&out, Format::Human)]);
    work();
    warn!("escape \u{1b}[31m and\nnewline");
    assert!(session.flush());
    let text = out.text();
    assert!(!text.contains('\u{1b}'));
    let masked: Vec<String> = text.lines().map(masked).collect();
    insta::assert_snapshot!(masked.join("\n"), @r#"
    INFO  exporters: kernel finished  tokens=3  ratio=0.5  [request ######## in ########]
    EVENT GpuOpCompleted  op_name=matmul  duration_ns=1500  shapes=[[1, 2], []]  utilization=NaN  [step ######## in ########]
    SPAN <duration> step failed: no\nroom  [######## < ######## in ########]
    ERROR exporters: outside\tany trace  code=-3  ok=false
    SPAN <duration> request  user=7  path="/v1 \"x\""  [######## in ########]
    WARN  exporters: escape \u{1b}[31m and\nnewline
    "#);
}

/// A terminal that takes a few bytes at a time, and between them says that it takes nothing for the moment; from some time on
/// it takes nothing at all.
struct Blocked {
    written: Shared,
    room: Arc<AtomicU64>,
    says_so: bool,
}

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.says_so = !self.says_so;
        if self.says_so {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let room = (bytes.len() as u64)
            .min(100)
            .min(self.room.load(Ordering::Relaxed));
        if room == 0 {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.room.fetch_sub(room, Ordering::Relaxed);
        self.written.write(&bytes[..room as usize])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_console_that_takes_nothing_for_the_moment_gets_every_line_whole() {
    // Without a recording that is on.
    let _turn = turn();
    let (written, room) = (Shared::default(), Arc::new(AtomicU64::new(u64::MAX)));
    let out = Blocked {
        written: written.clone(),
        room: Arc::clone(&room),
        says_so: false,
    };
    let mut console = Console::to_writer(out, Format::Json, false, Redaction::default());
    let mut batch = Batch::new(Arc::default());
    let parts = core::batch::Parts::default();
    for _ in 0..5 {
        batch.push_log(metadata(), None, &parts);
    }
    console.export(&batch).unwrap();
    assert_eq!(read(written.text().as_bytes()).0.len(), 5);
    // One line and a part of the next one.
    let length = written.text().len() as u64 / 5;
    room.store(length + length / 2, Ordering::Relaxed);
    let lost = console.export(&batch).unwrap_err().lost(0);
    assert_eq!(lost, (Lost::WriteFailed, 4));
    room.store(u64::MAX, Ordering::Relaxed);
    console.export(&batch).unwrap();
    let (records, skipped) = read(written.text().as_bytes());
    assert_eq!((records.len(), skipped), (11, 1));
}

/// A line for people without its time, duration and identifiers.
fn masked(line: &str) -> String {
    let words: Vec<String> = line[12..]
        .split(' ')
        .map(|word| {
            let bare = word.trim_matches(['[', ']']);
            if bare.len() == 8 && bare.bytes().all(|b| b.is_ascii_hexdigit()) {
                word.replace(bare, "########")
            } else {
                word.to_owned()
            }
        })
        .collect();
    let line = words.join(" ");
    match (
        line.find("SPAN"),
        line.find("s request").or(line.find("s step")),
    ) {
        (Some(start), Some(end)) => {
            format!("{}SPAN <duration>{}", &line[..start], &line[end + 1..])
        }
        _ => line,
    }
}

#[test]
fn a_million_identical_lines_become_two() {
    core::when_full(core::WhenFull::Wait);
    let out = Shared::default();
    let limits = Limits {
        when_full: core::WhenFull::Wait,
        ..Limits::default()
    };
    let session = limited(
        vec![json_to(&out, JsonEncoder::default())],
        limits,
        Thinning::default(),
    );
    for _ in 0..1_000_000 {
        info!(disk = "sda", "no room");
    }
    assert!(session.flush());
    core::when_full(core::WhenFull::Refuse);
    let text = out.text();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.contains("repeated 999999 times") && text.contains(r#""repeated":999999"#),
        "{text}"
    );
    drop(session);
}

#[test]
fn the_line_after_a_repetition_says_how_often() {
    let out = Shared::default();
    let session = session(vec![console_to(&out, Format::Human)]);
    for round in 0..3 {
        for _ in 0..3 {
            info!("same");
        }
        assert!(round != 1 || session.flush());
    }
    info!("other");
    assert!(session.flush());
    let messages: Vec<String> = out
        .text()
        .lines()
        .map(|line| line.split(": ").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(
        messages,
        [
            "same",
            "repeated 5 times  repeated=5",
            "repeated 3 times  repeated=3",
            "other"
        ]
    );
}

#[test]
fn a_chatty_line_of_code_is_held_to_its_rate() {
    let out = Shared::default();
    let thinning = Thinning {
        lines_per_second_max: Some(10),
        ..Thinning::default()
    };
    let session = limited(
        vec![json_to(&out, JsonEncoder::default())],
        Limits::default(),
        thinning,
    );
    let before = loss::total(Lost::RateLimited);
    for n in 0..2000_u64 {
        info!(n, "chatty");
    }
    info!("another line of code");
    assert!(session.flush());
    let lost = loss::total(Lost::RateLimited) - before;
    assert_eq!(out.lines() as u64 + lost, 2001);
    assert!(lost >= 1900, "{lost}");
    assert!(out.text().contains("another line of code"));
}

/// Counts what it gets, and misbehaves on command.
struct Odd {
    records: Arc<AtomicU64>,
    metrics: Arc<AtomicU64>,
    behaviour: Box<dyn Fn() + Send>,
}

impl Exporter for Odd {
    fn name(&self) -> &'static str {
        "odd"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        (self.behaviour)();
        self.records
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn export_metrics(&mut self, _snapshot: &Snapshot) -> Result<(), ExportError> {
        self.metrics.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn odd(
    behaviour: impl Fn() + Send + 'static,
) -> (Box<dyn Exporter>, Arc<AtomicU64>, Arc<AtomicU64>) {
    let (records, metrics) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let exporter = Odd {
        records: Arc::clone(&records),
        metrics: Arc::clone(&metrics),
        behaviour: Box::new(behaviour),
    };
    (Box::new(exporter), records, metrics)
}

#[test]
fn an_exporter_that_hangs_harms_no_other_and_comes_back() {
    let free = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&free);
    let (hanging, delivered, _) = odd(move || {
        while !gate.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let out = Shared::default();
    let limits = Limits {
        queue_records_max: 100,
        timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let session = limited(
        vec![hanging, json_to(&out, JsonEncoder::default())],
        limits,
        Thinning::default(),
    );
    let before = loss::total(Lost::ExporterFailed) + loss::total(Lost::QueueFull);
    for n in 0..20_u64 {
        for m in 0..20_u64 {
            info!(n, m, "line");
        }
        let started = Instant::now();
        assert!(!session.flush(), "the hanging exporter delivered nothing");
        assert!(
            started.elapsed() < Duration::from_secs(9),
            "the flush waited for it"
        );
    }
    // One more line: the report about the other exporter.
    assert_eq!(out.text().matches("\"message\":\"line\"").count(), 400);
    assert_eq!(
        out.text()
            .matches("exporter odd: it does not return")
            .count(),
        1
    );
    free.store(true, Ordering::Release);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !session.flush() && Instant::now() < deadline {}
    let lost = loss::total(Lost::ExporterFailed) + loss::total(Lost::QueueFull) - before;
    assert_eq!(delivered.load(Ordering::Relaxed) + lost, 400);
    assert!(lost > 0);
}

#[test]
fn an_exporter_that_panics_is_counted_and_tried_again() {
    let bad = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&bad);
    let (panicking, delivered, _) =
        odd(move || assert!(!switch.load(Ordering::Relaxed), "on purpose"));
    let out = Shared::default();
    let limits = Limits {
        pause: Duration::from_millis(10),
        ..Limits::default()
    };
    let session = limited(
        vec![panicking, json_to(&out, JsonEncoder::default())],
        limits,
        Thinning::default(),
    );
    let before = loss::total(Lost::ExporterFailed);
    info!("one");
    session.flush();
    bad.store(false, Ordering::Relaxed);
    info!("two");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !session.flush() && Instant::now() < deadline {}
    assert_eq!(loss::total(Lost::ExporterFailed) - before, 1);
    // "two" and nothing of the report about itself.
    assert_eq!(delivered.load(Ordering::Relaxed), 1);
    assert_eq!(
        out.text().matches("it panicked (on purpose)").count(),
        1,
        "{}",
        out.text()
    );
}

#[test]
fn a_full_queue_refuses_by_count_and_never_waits() {
    let free = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&free);
    let (slow, delivered, _) = odd(move || {
        while !gate.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let limits = Limits {
        queue_records_max: 50,
        ..Limits::default()
    };
    let session = limited(vec![slow], limits, Thinning::default());
    let before = loss::total(Lost::QueueFull);
    for n in 0..50_u64 {
        for m in 0..10_u64 {
            info!(n, m, "line");
        }
        session.pump.flush(Duration::from_millis(20));
    }
    free.store(true, Ordering::Release);
    assert!(session.flush());
    let lost = loss::total(Lost::QueueFull) - before;
    assert!(lost > 0);
    assert_eq!(delivered.load(Ordering::Relaxed) + lost, 500);
}

#[test]
fn snapshots_go_the_same_way() {
    let turn = turn();
    let (exporter, _, metrics) = odd(|| {});
    let fan_out = FanOut::start(vec![(exporter, Limits::default())], Thinning::default()).unwrap();
    let sender = fan_out.exporters();
    let session = session_with(vec![Box::new(fan_out)], turn);
    sender.send_metrics(&Arc::new(Snapshot {
        resource: Arc::default(),
        start_unix_ns: 0,
        time_unix_ns: 1,
        metrics: Vec::new(),
    }));
    assert!(session.flush());
    assert_eq!(metrics.load(Ordering::Relaxed), 1);
}

#[test]
fn a_dead_receiver_is_counted_and_nobody_panics() {
    let (sender, receiver) = mpsc::channel::<Record>();
    drop(receiver);
    let session = session(vec![Box::new(Channel::new(sender, "screen"))]);
    let before = loss::total(Lost::ReceiverGone);
    for n in 0..100_u64 {
        info!(n, "line");
    }
    session.flush();
    assert_eq!(loss::total(Lost::ReceiverGone) - before, 100);
}

#[test]
fn a_slow_receiver_loses_the_oldest_by_count() {
    let (exporter, receiver) = channel::ring::<Record>(10);
    let session = session(vec![Box::new(exporter)]);
    let before = loss::total(Lost::ChannelFull);
    for n in 0..100_u64 {
        info!(n, "line");
    }
    assert!(session.flush());
    assert_eq!((receiver.len(), receiver.dropped()), (10, 90));
    assert_eq!(loss::total(Lost::ChannelFull) - before, 90);
    let Ok(Record::Log(oldest)) = receiver.try_recv() else {
        panic!("nothing received")
    };
    assert_eq!(oldest.attributes, [("n".into(), Value::U64(90))]);
    drop(session);
    assert_eq!(std::iter::from_fn(|| receiver.try_recv().ok()).count(), 9);
    assert_eq!(
        receiver.try_recv().unwrap_err(),
        mpsc::TryRecvError::Disconnected
    );
}

/// A disk that has room for so many bytes.
#[derive(Clone)]
struct Disk {
    room: Arc<AtomicU64>,
    written: Shared,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = self.room.load(Ordering::Relaxed).min(bytes.len() as u64);
        if room == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.room.fetch_sub(room, Ordering::Relaxed);
        self.written.write(&bytes[..room as usize])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_tears_no_line_and_every_loss_is_counted() {
    let disk = Disk {
        room: Arc::new(AtomicU64::new(1234)),
        written: Shared::default(),
    };
    let exporter = JsonLines::to_writer(disk.clone(), "full.jsonl", JsonEncoder::default())
        .with_buffering(Buffering {
            records_max: 10,
            ..Buffering::default()
        });
    let human = Shared::default();
    let session = session(vec![Box::new(exporter), console_to(&human, Format::Human)]);
    let before = loss::total(Lost::WriteFailed);
    for n in 0..10_000_u64 {
        info!(n, "a line that takes its room on the disk");
        if n % 100 == 0 {
            session.flush();
        }
    }
    assert!(!session.flush());
    let lost = loss::total(Lost::WriteFailed) - before;
    assert!(lost > 0);
    assert_eq!(
        human
            .text()
            .matches("exporter jsonl: cannot write full.jsonl")
            .count(),
        1
    );
    assert!(human.text().contains("make room on the disk"));
    disk.room.store(u64::MAX, Ordering::Relaxed);
    assert!(session.flush());
    let (records, skipped) = read(disk.written.text().as_bytes());
    assert_eq!(skipped, 0);
    assert_eq!(records.len() as u64 + lost, 10_000);
}

#[test]
fn lines_wait_for_room_until_the_exporter_is_closed_whatever_else_the_process_records() {
    // Without a recording that is on.
    let _turn = turn();
    let disk = Disk {
        room: Arc::new(AtomicU64::new(0)),
        written: Shared::default(),
    };
    let mut lines = JsonLines::to_writer(disk.clone(), "full.jsonl", JsonEncoder::default());
    let mut batch = Batch::new(Arc::default());
    let parts = core::batch::Parts::default();
    for _ in 0..3 {
        batch.push_log(metadata(), None, &parts);
    }
    lines.export(&batch).unwrap();
    let lost = |result: Result<(), ExportError>| result.unwrap_err().lost(0);
    assert_eq!(lost(lines.flush()), (Lost::WriteFailed, 0));
    disk.room.store(u64::MAX, Ordering::Relaxed);
    lines.flush().unwrap();
    assert_eq!(disk.written.lines(), 3);
    disk.room.store(0, Ordering::Relaxed);
    lines.export(&batch).unwrap();
    assert_eq!(lost(lines.close()), (Lost::WriteFailed, 3));
    let before = loss::total(Lost::WriteFailed);
    drop(lines);
    assert_eq!(loss::total(Lost::WriteFailed), before, "counted twice");
}

fn metadata() -> &'static tracing::Metadata<'static> {
    use tracing::Callsite as _;

    tracing::callsite! {
        name: "a line",
        kind: tracing::metadata::Kind::EVENT,
        target: "exporters",
        level: tracing::Level::INFO,
        fields: message
    }
    .metadata()
}

#[test]
fn what_a_full_disk_kept_from_the_file_is_said_before_everything_ends() {
    let disk = Disk {
        room: Arc::new(AtomicU64::new(0)),
        written: Shared::default(),
    };
    let exporter = JsonLines::to_writer(disk, "full.jsonl", JsonEncoder::default());
    let human = Shared::default();
    let Session { pump, _turn } =
        session(vec![Box::new(exporter), console_to(&human, Format::Human)]);
    let before = loss::total(Lost::WriteFailed);
    for n in 0..100_u64 {
        info!(n, "a line for which there is no room");
    }
    pump.stop(Duration::from_secs(20));
    assert_eq!(loss::total(Lost::WriteFailed) - before, 100);
    let text = human.text();
    let said = "lost since the last report: 100 records (write_failed)";
    assert!(text.contains(said), "{text}");
}

#[test]
fn a_line_that_an_earlier_run_tore_spoils_no_line_of_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    for (before, lines) in [("{\"ts\":\"2026-01-0", 2), ("", 1), ("{}\n", 2)] {
        std::fs::write(&path, before).unwrap();
        let exporter = JsonLines::open(&path, JsonEncoder::default()).unwrap();
        let Session { pump, _turn } = session(vec![Box::new(exporter)]);
        info!("the first line of a healthy run");
        assert!(pump.stop(Duration::from_secs(20)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), lines, "{text}");
        assert!(text.ends_with('\n'), "{text}");
        let (records, _) = read(text.as_bytes());
        assert_eq!(records.len(), 1, "{text}");
    }
}

#[test]
fn a_folder_that_may_not_be_written_is_an_error_before_anything_starts() {
    for path in ["/proc/none/events.jsonl", "/dev/null/events.jsonl"] {
        let error = JsonLines::open(Path::new(path), JsonEncoder::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot write {path}: ")),
            "{error}"
        );
        assert!(
            error.to_string().contains("folder that you may write"),
            "{error}"
        );
    }
}

/// What it panics with panics again when it is dropped, and what that panics with too.
struct Endless;

impl Drop for Endless {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new(Self));
    }
}

/// Panics once, in that way, and takes what comes after.
struct PanicsOnce {
    is_over: bool,
    taken: Arc<AtomicU64>,
}

impl Exporter for PanicsOnce {
    fn name(&self) -> &'static str {
        "panics once"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        if !std::mem::replace(&mut self.is_over, true) {
            std::panic::resume_unwind(Box::new(Endless));
        }
        self.taken.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn an_exporter_whose_panic_panics_again_when_dropped_lives_on() {
    let taken = Arc::new(AtomicU64::new(0));
    let exporter = PanicsOnce {
        is_over: false,
        taken: Arc::clone(&taken),
    };
    let limits = Limits {
        pause: Duration::from_millis(1),
        ..Limits::default()
    };
    let session = limited(vec![Box::new(exporter)], limits, Thinning::default());
    info!("the one that it panics over");
    session.flush();
    let deadline = Instant::now() + Duration::from_secs(20);
    while taken.load(Ordering::Relaxed) == 0 && Instant::now() < deadline {
        info!("one that comes after");
        session.flush();
    }
    assert!(taken.load(Ordering::Relaxed) > 0, "its thread has ended");
}

/// Does as it is told and notes how often each of its methods was called.
#[derive(Clone, Default)]
struct Scripted {
    calls: Arc<Mutex<Vec<&'static str>>>,
    /// How many of the first calls of either kind panic.
    export_panics: usize,
    flush_panics: usize,
    name_panics: bool,
    interval: Option<Duration>,
    interval_panics: bool,
    /// Held while `export` must not return.
    gate: Arc<Mutex<()>>,
}

impl Scripted {
    /// Notes the call and gives how many there were of its kind.
    fn note(&self, call: &'static str) -> usize {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
        calls.iter().filter(|known| **known == call).count()
    }

    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }

    fn fan_out(&self, others: Vec<Box<dyn Exporter>>) -> FanOut {
        let limits = Limits {
            // Longer than any test: it must not be waited for at the end.
            pause: Duration::from_mins(10),
            ..Limits::default()
        };
        let this: Box<dyn Exporter> = Box::new(self.clone());
        let exporters = std::iter::once(this).chain(others);
        FanOut::start(
            exporters.map(|exporter| (exporter, limits)).collect(),
            Thinning {
                // All lines are the same.
                fold: false,
                ..Thinning::default()
            },
        )
        .unwrap()
    }
}

impl Exporter for Scripted {
    fn name(&self) -> &'static str {
        assert!(!self.name_panics, "nameless");
        "scripted"
    }

    fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
        let calls = self.note("export");
        drop(self.gate.lock());
        assert!(calls > self.export_panics, "export {calls}");
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        let calls = self.note("flush");
        assert!(calls > self.flush_panics, "flush {calls}");
        Ok(())
    }

    fn flush_interval(&self) -> Option<Duration> {
        assert!(!self.interval_panics, "no idea");
        self.interval
    }
}

/// A batch of one line.
fn line() -> Arc<Batch> {
    let mut batch = Batch::new(Arc::default());
    let metadata = tracing::callsite! {
        name: "line",
        kind: tracing::metadata::Kind::EVENT,
        target: "test",
        level: tracing::Level::INFO,
        fields: message
    };
    let parts = core::batch::Parts {
        attributes: &[("message", core::ValueRef::Str("line"))],
        ..core::batch::Parts::default()
    };
    batch.push_log(tracing::Callsite::metadata(metadata), None, &parts);
    Arc::new(batch)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(300)
}

#[test]
fn what_an_exporter_hangs_on_at_the_end_is_counted_when_the_fan_out_is_gone() {
    let _turn = turn();
    let exporter = Scripted::default();
    let mut fan_out = exporter.fan_out(vec![]);
    let gate = exporter.gate.lock().unwrap();
    let before = loss::total(Lost::ShutdownDeadline);
    for _ in 0..3 {
        fan_out.consume(&line());
    }
    assert!(!fan_out.flush(soon()));
    drop(fan_out);
    assert_eq!(loss::total(Lost::ShutdownDeadline) - before, 3);
    drop(gate);
}

#[test]
fn what_an_exporter_hangs_on_at_the_end_is_counted_when_the_pump_has_stopped() {
    let turn = turn();
    let exporter = Scripted::default();
    let fan_out = exporter.fan_out(vec![]);
    let Session { pump, _turn } = session_with(vec![Box::new(fan_out)], turn);
    // A deadline that is long past says nothing about later ones.
    assert!(pump.flush(Duration::from_mins(10)));
    let gate = exporter.gate.lock().unwrap();
    let before = loss::total(Lost::ShutdownDeadline);
    for n in 0..3 {
        info!(n, "line");
    }
    assert!(!pump.stop(Duration::from_secs(2)));
    assert_eq!(loss::total(Lost::ShutdownDeadline) - before, 3);
    drop(gate);
}

/// Not a test by itself: a process whose only exporter hangs at the end.
#[test]
#[ignore = "run by another test as a process of its own"]
fn child_whose_exporter_hangs() {
    let exporter = Scripted::default();
    let mut fan_out = exporter.fan_out(vec![]);
    let _gate = exporter.gate.lock().unwrap();
    for _ in 0..3 {
        fan_out.consume(&line());
    }
    fan_out.flush(soon());
    drop(fan_out);
    eprintln!("the fan-out is gone");
    std::process::exit(0);
}

#[test]
fn what_an_exporter_hangs_on_at_the_end_is_said_before_the_fan_out_is_gone() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_whose_exporter_hangs",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("radiosonde: ") || line.ends_with("gone"))
        .collect();
    assert_eq!(
        lines,
        [
            "radiosonde: exporter scripted: it was not done when recording ended; \
             lost since the last report: 3 records (shutdown_deadline)",
            "the fan-out is gone",
        ]
    );
}

#[test]
fn an_exporter_that_panics_is_tried_again_until_the_end() {
    let _turn = turn();
    let out = Shared::default();
    let exporter = Scripted {
        export_panics: 2,
        flush_panics: 1,
        ..Scripted::default()
    };
    let mut fan_out = exporter.fan_out(vec![json_to(&out, JsonEncoder::default())]);
    let before = loss::total(Lost::ExporterFailed);
    let given_up = loss::total(Lost::ShutdownDeadline);
    let gate = exporter.gate.lock().unwrap();
    fan_out.consume(&line());
    while exporter.calls().is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    // These wait and are one batch.
    fan_out.consume(&line());
    fan_out.consume(&line());
    drop(gate);
    fan_out.flush(Instant::now() + Duration::from_secs(20));
    drop(fan_out);
    assert_eq!(exporter.calls(), ["export", "export", "flush", "flush"]);
    assert_eq!(loss::total(Lost::ExporterFailed) - before, 3);
    assert_eq!(loss::total(Lost::ShutdownDeadline) - given_up, 0);
    assert!(out.text().contains("it panicked"), "{}", out.text());
}

#[test]
fn an_exporter_that_always_panics_keeps_nobody_beyond_the_deadline() {
    let _turn = turn();
    let exporter = Scripted {
        flush_panics: usize::MAX,
        ..Scripted::default()
    };
    let mut fan_out = exporter.fan_out(vec![]);
    fan_out.consume(&line());
    let started = Instant::now();
    assert!(!fan_out.flush(Instant::now() + Duration::from_secs(4)));
    drop(fan_out);
    assert!(started.elapsed() < Duration::from_secs(60));
    // For the flush that was asked for, and once at the end.
    assert_eq!(exporter.calls(), ["export", "flush", "flush"]);
}

#[test]
fn a_flush_that_is_due_comes_before_all_that_waits() {
    let _turn = turn();
    let exporter = Scripted {
        interval: Some(Duration::ZERO),
        ..Scripted::default()
    };
    let mut fan_out = exporter.fan_out(vec![]);
    let gate = exporter.gate.lock().unwrap();
    fan_out.consume(&line());
    while exporter.calls().is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..3 {
        fan_out.consume(&line());
    }
    drop(gate);
    assert!(fan_out.flush(Instant::now() + Duration::from_secs(20)));
    let calls = exporter.calls();
    assert_eq!(calls[..4], ["export", "flush", "export", "flush"]);
}

/// Notes how many records each call brings, says what it is told to, and wants batches of a size.
#[derive(Clone, Default)]
struct Noting {
    sizes: Arc<Mutex<Vec<usize>>>,
    errors: Arc<Mutex<Vec<ExportError>>>,
    batching: Option<Batching>,
    away: Arc<AtomicBool>,
    /// Held while `export` must not return.
    gate: Arc<Mutex<()>>,
}

impl Noting {
    fn fan_out(&self, others: Vec<Box<dyn Exporter>>) -> FanOut {
        let this: Box<dyn Exporter> = Box::new(self.clone());
        let all = std::iter::once(this).chain(others);
        let limited = all.map(|exporter| (exporter, Limits::default()));
        let thinning = Thinning {
            fold: false,
            ..Thinning::default()
        };
        FanOut::start(limited.collect(), thinning).unwrap()
    }

    fn sizes(&self) -> Vec<usize> {
        self.sizes.lock().unwrap().clone()
    }

    fn wait_records(&self, records: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.sizes().iter().sum::<usize>() < records {
            assert!(Instant::now() < until, "{} calls", self.sizes().len());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Exporter for Noting {
    fn name(&self) -> &'static str {
        "noting"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.sizes.lock().unwrap().push(batch.len());
        drop(self.gate.lock());
        self.errors.lock().unwrap().pop().map_or(Ok(()), Err)
    }

    fn batching(&self) -> Option<Batching> {
        self.batching
    }

    fn condition(&self) -> Option<Condition> {
        let away = Arc::clone(&self.away);
        let is_away = move || {
            away.load(Ordering::Relaxed)
                .then(|| "it is away".to_owned())
        };
        Some(Arc::new(is_away))
    }
}

#[test]
fn batches_that_wait_for_a_slow_exporter_reach_it_as_one() {
    let _turn = turn();
    let exporter = Noting::default();
    let mut fan_out = exporter.fan_out(vec![]);
    let gate = exporter.gate.lock().unwrap();
    fan_out.consume(&line());
    exporter.wait_records(1);
    for _ in 0..10_000 {
        fan_out.consume(&line());
    }
    drop(gate);
    assert!(fan_out.flush(Instant::now() + Duration::from_secs(20)));
    let sizes = exporter.sizes();
    assert!(sizes.len() <= 6, "{} calls", sizes.len());
    assert_eq!(sizes.iter().sum::<usize>(), 10_001, "{sizes:?}");
    assert!(sizes.iter().all(|&size| size <= 8192), "{sizes:?}");
}

#[test]
fn an_exporter_that_collects_gets_a_full_batch_at_once_and_the_rest_with_a_flush() {
    let _turn = turn();
    let exporter = Noting {
        batching: Some(Batching {
            records: 10,
            delay: Duration::from_hours(1),
        }),
        ..Noting::default()
    };
    let mut fan_out = exporter.fan_out(vec![]);
    for _ in 0..10 {
        fan_out.consume(&line());
    }
    exporter.wait_records(10);
    for _ in 0..9 {
        fan_out.consume(&line());
    }
    assert!(fan_out.flush(Instant::now() + Duration::from_secs(20)));
    assert_eq!(exporter.sizes(), [10, 9]);
    fan_out.consume(&line());
    drop(fan_out);
    assert_eq!(exporter.sizes(), [10, 9, 1], "the end waits for no more");
}

#[test]
fn an_exporter_that_collects_gets_what_has_waited_for_long_enough() {
    let _turn = turn();
    let exporter = Noting {
        batching: Some(Batching {
            records: 10,
            delay: Duration::from_millis(50),
        }),
        ..Noting::default()
    };
    let mut fan_out = exporter.fan_out(vec![]);
    fan_out.consume(&line());
    exporter.wait_records(1);
}

#[test]
fn a_destination_that_is_away_is_told_although_no_batch_comes() {
    let _turn = turn();
    let (exporter, out) = (Noting::default(), Shared::default());
    let fan_out = exporter.fan_out(vec![json_to(&out, JsonEncoder::default())]);
    assert!(fan_out.exporters().failing().is_empty());
    exporter.away.store(true, Ordering::Relaxed);
    assert_eq!(
        fan_out.exporters().failing(),
        [("noting", "it is away".to_owned())]
    );
    let until = Instant::now() + Duration::from_secs(20);
    while !out.text().contains("exporter noting: it is away") {
        assert!(Instant::now() < until, "{}", out.text());
        thread::sleep(Duration::from_millis(5));
    }
    exporter.away.store(false, Ordering::Relaxed);
    assert!(fan_out.exporters().failing().is_empty());
}

#[test]
fn faults_of_several_kinds_and_all_losses_are_told_together() {
    let _turn = turn();
    let (exporter, out) = (Noting::default(), Shared::default());
    let mut fan_out = exporter.fan_out(vec![json_to(&out, JsonEncoder::default())]);
    let before = loss::total(Lost::Rejected);
    for (reason, counted) in [
        ("first", vec![]),
        ("refused 3 of 9 records: no", vec![(Lost::Rejected, 3)]),
        ("cannot write spool", vec![]),
        ("refused 4 of 5 records: no", vec![(Lost::Rejected, 4)]),
    ] {
        let error = ExportError::Noticed {
            destination: "there".to_owned(),
            reason: reason.to_owned(),
            counted,
        };
        exporter.errors.lock().unwrap().push(error);
        fan_out.consume(&line());
        // The first is told at once, the others are not told within a minute.
        fan_out.flush(Instant::now() + Duration::from_secs(20));
    }
    drop(fan_out);
    let text = out.text();
    let told = "exporter noting: there: cannot write spool; there: refused 4 of 5 records: no; \
                lost since the last report: 7 records (rejected)";
    assert!(text.contains(told), "{text}");
    assert_eq!(loss::total(Lost::Rejected), before, "counted already");
}

/// Not a test by itself: a process whose standard error nobody reads.
#[test]
#[ignore = "run by another test as a process of its own"]
fn child_whose_standard_error_is_full() {
    let (exporter, out) = (Noting::default(), Shared::default());
    for _ in 0..100 {
        exporter
            .errors
            .lock()
            .unwrap()
            .push(ExportError::ReceiverGone {
                name: "none".to_owned(),
                records: 1,
            });
    }
    let mut fan_out = exporter.fan_out(vec![json_to(&out, JsonEncoder::default())]);
    for _ in 0..100 {
        fan_out.consume(&line());
        fan_out.flush(Instant::now() + Duration::from_secs(20));
    }
    let lines = out.text().matches("\"message\":\"line\"").count();
    drop(fan_out);
    println!("\n{lines} lines, {} lost", loss::total(Lost::ReceiverGone));
    std::process::exit(0);
}

#[test]
fn a_standard_error_that_nobody_reads_starves_no_exporter() {
    let (_unread, mut full) = std::io::pipe().unwrap();
    let stderr = full.try_clone().unwrap();
    let (filled, fills) = mpsc::channel();
    // Writes until there is no room, and is stuck then until the process ends.
    thread::spawn(move || {
        while full.write_all(&[b'.'; 4096]).is_ok() {
            filled.send(()).unwrap();
        }
    });
    while fills.recv_timeout(Duration::from_millis(500)).is_ok() {}
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_whose_standard_error_is_full",
            "--ignored",
            "--nocapture",
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("it hangs");
        }
        thread::sleep(Duration::from_millis(10));
    }
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("\n100 lines, 100 lost"), "{said}");
}

#[test]
fn an_exporter_that_panics_when_asked_about_itself_works_all_the_same() {
    let _turn = turn();
    let out = Shared::default();
    let exporter = Scripted {
        name_panics: true,
        interval_panics: true,
        ..Scripted::default()
    };
    let mut fan_out = exporter.fan_out(vec![json_to(&out, JsonEncoder::default())]);
    fan_out.consume(&line());
    assert!(fan_out.flush(Instant::now() + Duration::from_secs(20)));
    drop(fan_out);
    assert_eq!(exporter.calls()[..2], ["export", "flush"]);
    let text = out.text();
    assert!(
        text.contains("exporter unnamed: its flush_interval panicked (no idea)"),
        "{text}"
    );
}

/// Where a process that another test kills writes its database.
#[cfg(feature = "sqlite")]
const KILLED_FOLDER: &str = "RADIOSONDE_TEST_KILLED_FOLDER";

/// Not a test by itself: a process that records until it is killed.
#[cfg(feature = "sqlite")]
#[test]
#[ignore = "run by another test as a process of its own"]
fn child_that_is_killed() {
    let folder = std::env::var_os(KILLED_FOLDER).unwrap();
    let path = Path::new(&folder).join("t.sqlite");
    let database = radiosonde::exporter::sqlite::Sqlite::open(&path, Redaction::default());
    let thinning = Thinning {
        // The lines are alike.
        fold: false,
        ..Thinning::default()
    };
    let _session = limited(
        vec![Box::new(database.unwrap())],
        Limits::default(),
        thinning,
    );
    for n in 0_u64.. {
        info!(n, "recorded");
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(all(feature = "sqlite", unix))]
#[test]
fn a_process_that_is_killed_loses_at_most_the_last_second_of_its_database() {
    use std::time::SystemTime;

    let folder = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed", "--ignored"])
        .env(KILLED_FOLDER, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Some commits, and the better part of an interval without one.
    thread::sleep(Duration::from_millis(3600));
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    let killed = SystemTime::now();
    child.kill().unwrap();
    child.wait().unwrap();
    let (records, _) = Recording::read(&folder.path().join("t.sqlite")).unwrap();
    let times = records.iter().filter_map(|record| match record {
        Record::Log(log) => Some(log.time_unix_ns),
        _ => None,
    });
    let newest = Duration::from_nanos(times.max().unwrap());
    let killed = killed.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let lost = killed.saturating_sub(newest);
    // Twice as much again for a machine that does other work too.
    assert!(lost < Duration::from_secs(3), "{lost:?}");
}
