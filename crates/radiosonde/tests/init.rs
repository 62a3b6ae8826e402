//! One recording from `init` to the exporter, in this process. What ends a process is in `ending.rs`.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use radiosonde::{
    Builder, Guard, InitError,
    config::{Config, LogFormat, RawConfig},
    core::{
        batch::Batch,
        loss::{self, Lost},
        metrics::{counter, snapshot::Snapshot},
        model::{Record, Value},
    },
    exporter::{ExportError, Exporter},
    health::Status,
    propagation::{self, FullContext},
};
use tracing::{error, info, info_span};

const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Vec<Record>>>);

impl Exporter for Keep {
    fn name(&self) -> &'static str {
        "keep"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let mut records = self.0.lock().unwrap();
        records.extend(batch.records().map(|record| record.to_record()));
        Ok(())
    }
}

/// There is one recording a process, so tests take turns.
fn recording() -> (MutexGuard<'static, ()>, Guard, Keep) {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let keep = Keep::default();
    let guard = quiet().exporter(keep.clone()).init().unwrap();
    (turn, guard, keep)
}

/// Says nothing on the console and looks for nobody.
fn quiet() -> Builder {
    radiosonde::builder()
        .service_name("shop")
        .console(false)
        .discover(false)
}

impl Keep {
    /// The names of spans.
    fn spans(&self) -> Vec<String> {
        let records = self.0.lock().unwrap();
        let names = records.iter().filter_map(|record| match record {
            Record::Span(span) => Some(span.name.to_string()),
            _ => None,
        });
        names.collect()
    }

    fn logs(&self) -> Vec<radiosonde::core::model::Log> {
        let records = self.0.lock().unwrap();
        records
            .iter()
            .filter_map(|record| match record {
                Record::Log(log) => Some(log.clone()),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn a_second_init_is_an_error_and_changes_nothing() {
    let (_turn, guard, keep) = recording();
    for second in [radiosonde::init(), quiet().filter("off").init()] {
        assert!(matches!(second, Err(InitError::AlreadyInitialised)));
    }
    info!("still here");
    assert!(guard.flush(LONG));
    assert_eq!(keep.logs().len(), 1);
}

#[test]
fn a_wrong_configuration_starts_nothing() {
    let (turn, guard, _) = recording();
    drop(guard);
    let wrong = quiet()
        .filter("shop=inof")
        .sample_ratio(2.0)
        .otlp("collector:4318")
        .init();
    let Err(InitError::Config(errors)) = wrong else {
        panic!("taken although wrong")
    };
    insta::assert_snapshot!(errors, @r#"
    code, filter(): logging.level = "shop=inof": filter directive `shop=inof`, column 6: `inof` is not a level (did you mean `info`?); levels are off, error, warn, info, debug, trace, or 0 to 5
    code, sample_ratio(): recording.sample_rate = 2.0: is out of range; write a number from 0 (nothing) to 1 (everything)
    code, otlp(): telemetry.endpoint = "collector:4318": is not an HTTP address; write one such as "http://localhost:4318"
    "#);
    assert_eq!(radiosonde::report(), None);
    drop(turn);
    let (_turn, guard, _) = recording();
    drop(guard);
}

#[test]
fn a_recording_that_is_switched_off_records_nothing_and_works() {
    let (turn, guard, _) = recording();
    drop(guard);
    let keep = Keep::default();
    let raw = RawConfig::from_environment([("OTEL_SDK_DISABLED".to_owned(), "true".to_owned())]);
    let config = Config::new(raw).unwrap();
    let guard = quiet()
        .config(config)
        .exporter(keep.clone())
        .init()
        .unwrap();
    info_span!("unseen").in_scope(|| info!("unheard"));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    let mut headers = vec![("traceparent".to_owned(), parent)];
    let incoming = headers.clone();
    {
        let _scope = FullContext::extract(&incoming[..]).attach();
        propagation::inject(&mut headers);
    }
    assert_eq!(headers, incoming);
    assert!(guard.flush(LONG) && guard.export_now(LONG));
    assert_eq!(guard.report().total_operations, 0);
    assert!(matches!(
        radiosonde::init(),
        Err(InitError::AlreadyInitialised)
    ));
    assert!(guard.shutdown(LONG));
    assert!(keep.0.lock().unwrap().is_empty());
    drop(turn);
}

#[test]
fn a_recording_may_follow_another_one() {
    let (turn, guard, keep) = recording();
    info!("first");
    assert!(guard.shutdown(LONG));
    drop(turn);
    let (_turn, guard, second) = recording();
    info!("second");
    drop(guard);
    assert_eq!((keep.logs().len(), second.logs().len()), (1, 1));
    assert_eq!(second.logs()[0].message, "second");
}

#[test]
fn spans_that_are_open_when_recording_ends_are_counted_as_lost_once() {
    let (_turn, guard, first) = recording();
    let again = || {
        let keep = Keep::default();
        (quiet().exporter(keep.clone()).init().unwrap(), keep)
    };
    let before = loss::total(Lost::SpanOpen);
    let lost = || loss::total(Lost::SpanOpen) - before;
    let long = info_span!("long");
    let other = info_span!("other");
    info_span!("short").in_scope(|| ());
    let elsewhere = std::thread::spawn(|| info_span!("elsewhere"));
    let elsewhere = elsewhere.join().unwrap();
    drop(guard);
    assert_eq!(lost(), 3);
    drop((other, elsewhere));
    let (guard, second) = again();
    let later = info_span!("later");
    drop(guard);
    assert_eq!(lost(), 4);
    // One that lives on is recorded when it ends.
    let (guard, third) = again();
    drop((long, later));
    drop(guard);
    assert_eq!(lost(), 4);
    assert_eq!(first.spans(), ["short"]);
    assert!(second.spans().is_empty());
    assert_eq!(third.spans(), ["long", "later"]);
}

#[test]
fn the_report_counts_operations_and_errors() {
    let (_turn, guard, _keep) = recording();
    for index in 0..10 {
        let span = info_span!("op", otel.status_code = tracing::field::Empty).entered();
        if index == 3 {
            span.record("otel.status_code", "error");
        }
    }
    assert!(radiosonde::flush(LONG));
    let report = guard.report();
    assert_eq!((report.total_operations, report.failed_operations), (10, 1));
    assert!((report.error_rate - 0.1).abs() < 1e-12);
    assert_eq!(
        radiosonde::report().map(|report| report.total_operations),
        Some(10)
    );
    drop(guard);
    assert_eq!(radiosonde::report(), None);
}

#[test]
fn a_caught_panic_is_a_log_under_its_span() {
    let (_turn, guard, keep) = recording();
    let caught = std::panic::catch_unwind(|| {
        let _span = info_span!("request").entered();
        panic!("no such model");
    });
    assert!(caught.is_err());
    assert!(guard.flush(LONG));
    let logs = keep.logs();
    let log = logs.iter().find(|log| log.target == "panic").unwrap();
    assert_eq!(log.place.as_ref().unwrap().span_name, "request");
    let message = log
        .attributes
        .iter()
        .find(|(name, _)| name == "exception.message");
    assert_eq!(message.unwrap().1, Value::from("no such model"));
    let file = log
        .attributes
        .iter()
        .find(|(name, _)| name == "code.file.path");
    assert!(file.unwrap().1.as_str().unwrap().ends_with("init.rs"));
}

#[test]
fn the_filter_changes_while_the_program_runs() {
    let (_turn, guard, keep) = recording();
    guard.set_filter("error").unwrap();
    info!("hidden");
    error!("shown");
    let message = guard.set_filter("shop=inof").unwrap_err().to_string();
    assert!(message.contains("did you mean `info`"), "{message}");
    radiosonde::set_filter("info").unwrap();
    info!("shown again");
    assert!(guard.flush(LONG));
    let texts: Vec<_> = keep.logs().into_iter().map(|log| log.message).collect();
    assert_eq!(texts, ["shown", "shown again"]);
}

#[test]
fn dropping_the_guard_inside_either_runtime_delivers_and_returns() {
    let current = tokio::runtime::Builder::new_current_thread().build();
    let multi = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build();
    for runtime in [current.unwrap(), multi.unwrap()] {
        let (_turn, guard, keep) = recording();
        let started = Instant::now();
        runtime.block_on(async move {
            let task = tokio::spawn(async {
                info!("in a task");
                tokio::task::yield_now().await;
            });
            task.await.unwrap();
            drop(guard);
        });
        assert!(started.elapsed() < LONG, "the drop hung");
        assert_eq!(keep.logs().len(), 1);
    }
}

#[test]
fn stack_traces_are_switched_on_while_the_program_runs() {
    let (_turn, guard, keep) = recording();
    let stack = |keep: &Keep| {
        let logs = keep.logs();
        let panic = logs.iter().rfind(|log| log.target == "panic").unwrap();
        let found = panic
            .attributes
            .iter()
            .find(|(name, _)| name == "exception.stacktrace");
        found.map(|(_, value)| value.to_string())
    };
    let _ = std::panic::catch_unwind(|| panic!("one"));
    assert!(guard.flush(LONG));
    assert_eq!(stack(&keep), None);
    guard.set_stack_traces(true);
    guard.set_log_format(LogFormat::Human);
    let _ = std::panic::catch_unwind(|| panic!("two"));
    assert!(guard.flush(LONG));
    assert!(stack(&keep).unwrap().contains("init::"));
}

#[test]
fn records_of_the_log_crate_arrive() {
    let (_turn, guard, keep) = recording();
    log::warn!(target: "old_crate", "from {}", "log");
    assert!(guard.flush(LONG));
    let logs = keep.logs();
    assert_eq!(
        (logs[0].target.as_ref(), logs[0].message.as_ref()),
        ("old_crate", "from log")
    );
}

/// Uses the processor for `time`.
fn burn(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::black_box(start);
    }
}

#[test]
fn a_slow_collector_is_throttled_and_says_so() {
    static TURNS: AtomicU64 = AtomicU64::new(0);
    let (turn, guard, _) = recording();
    drop(guard);
    let keep = Keep::default();
    let started = Instant::now();
    let slow = || {
        TURNS.fetch_add(1, Relaxed);
        burn(Duration::from_millis(60));
    };
    let builder = quiet().exporter(keep.clone()).max_overhead(0.05);
    let guard = builder
        .collector("slow", Duration::from_millis(100), slow)
        .init()
        .unwrap();
    let throttled = |keep: &Keep| {
        let records = keep.0.lock().unwrap();
        records.iter().any(|record| match record {
            Record::Event(event) => {
                event.name == "radiosonde.collector.throttled"
                    && event.field("collector") == Some(&Value::from("slow"))
            }
            _ => false,
        })
    };
    while !throttled(&keep) {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "not throttled in time"
        );
        assert!(guard.flush(LONG));
        std::thread::sleep(Duration::from_millis(20));
    }
    // 60 ms in 100 ms would be 60 % of a processor; its share of 5 % is under 1 %.
    std::thread::sleep(Duration::from_secs(1));
    assert!(TURNS.load(Relaxed) <= 3, "{TURNS:?}");
    drop(guard);
    drop(turn);
}

#[test]
fn an_exporter_that_panics_makes_nobody_wait() {
    struct Panics;

    impl Exporter for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }

        fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
            panic!("this one always does")
        }
    }

    #[derive(Clone, Default)]
    struct Flushes(Arc<AtomicU64>);

    impl Exporter for Flushes {
        fn name(&self) -> &'static str {
            "flushes"
        }

        fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
            Ok(())
        }

        fn flush(&mut self) -> Result<(), ExportError> {
            self.0.fetch_add(1, Relaxed);
            Ok(())
        }
    }

    let (turn, guard, _) = recording();
    drop(guard);
    let (flushes, before) = (Flushes::default(), loss::total(Lost::ExporterFailed));
    let builder = quiet().exporter(Panics).exporter(flushes.clone());
    let guard = builder.init().unwrap();
    info!("the last it will see");
    while loss::total(Lost::ExporterFailed) == before {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The panic hook flushes what a panicking thread of the program recorded. An exporter's thread recorded nothing,
    // and a flush would wait for that very exporter while the pump reads no lane.
    assert_eq!(flushes.0.load(Relaxed), 0);
    drop(guard);
    drop(turn);
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_full_disk_took_is_counted_when_the_guard_is_dropped() {
    let (turn, guard, _) = recording();
    drop(guard);
    let before = loss::total(Lost::WriteFailed);
    let guard = quiet().json_lines("/dev/full").init().unwrap();
    for line in 0..100 {
        info!(line, "to a full disk");
    }
    drop(guard);
    assert_eq!(loss::total(Lost::WriteFailed) - before, 100);
    drop(turn);
}

#[test]
fn time_without_end_is_waited_for_and_overflows_nothing() {
    let (turn, guard, _) = recording();
    info!("something to wait for");
    assert!(guard.flush(Duration::MAX));
    assert!(guard.export_now(Duration::MAX));
    assert!(radiosonde::flush(Duration::MAX));
    assert!(guard.shutdown(Duration::MAX));
    drop(turn);
}

#[test]
fn metrics_reach_exporters_on_demand_and_at_the_end() {
    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<Vec<String>>>);

    impl Exporter for Names {
        fn name(&self) -> &'static str {
            "names"
        }

        fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
            Ok(())
        }

        fn export_metrics(&mut self, snapshot: &Snapshot) -> Result<(), ExportError> {
            let names = snapshot
                .metrics
                .iter()
                .map(|metric| metric.name.to_string());
            self.0.lock().unwrap().extend(names);
            Ok(())
        }
    }

    let (turn, guard, _) = recording();
    drop(guard);
    let names = Names::default();
    let guard = quiet().exporter(names.clone()).init().unwrap();
    radiosonde::core::metrics::counter("shop.orders")
        .handle()
        .add(1);
    let mut sent = Vec::new();
    let deadline = std::time::Instant::now() + LONG;
    // The first reading of the process comes soon after the start.
    while !sent.iter().any(|name| name == "process.cpu.time")
        && std::time::Instant::now() < deadline
    {
        assert!(guard.export_now(LONG));
        sent = std::mem::take(&mut *names.0.lock().unwrap());
    }
    assert!(sent.iter().any(|name| name == "shop.orders"), "{sent:?}");
    assert!(
        sent.iter().any(|name| name == "process.cpu.time"),
        "{sent:?}"
    );
    drop(guard);
    assert!(
        names
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|name| name == "shop.orders")
    );
    drop(turn);
}

#[test]
fn a_tenth_of_all_traces_is_a_tenth_and_totals_are_scaled() {
    const TRACES: u64 = 5_000;
    let (turn, guard, _) = recording();
    drop(guard);
    let guard = quiet().sample_ratio(0.1).init().unwrap();
    for _ in 0..TRACES {
        info_span!("trace").in_scope(|| ());
    }
    assert!(guard.flush(LONG));
    let report = guard.report();
    // The standard deviation is sqrt(5000 x 0.1 x 0.9) = 21; five of them are missed once in 1.7 million runs.
    assert!(
        report.recorded_operations.abs_diff(TRACES / 10) <= 106,
        "{report}"
    );
    assert_eq!(report.total_operations, report.recorded_operations * 10);
    drop(guard);
    let guard = quiet().init().unwrap();
    info_span!("trace").in_scope(|| ());
    assert!(guard.flush(LONG));
    assert_eq!(
        guard.report().recorded_operations,
        1,
        "the next recording samples as it says"
    );
    drop(guard);
    drop(turn);
}

/// The status line's code and the body of an answer.
fn get(guard: &Guard, path: &str) -> (u16, String) {
    let address = guard.http_address().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn one_line_serves_metrics_and_health() {
    let (_turn, guard, _) = recording();
    assert_eq!(guard.http_address(), None);
    drop(guard);
    let mut config = quiet().http("127.0.0.1:0");
    config = config.metrics_interval(LONG);
    let guard = config.init().unwrap();
    counter("orders.placed").handle().add(3);
    let (status, text) = get(&guard, "/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("\norders_placed_total 3\n"), "{text}");
    let until = Instant::now() + LONG;
    let health = loop {
        // How full the host's memory is nobody knows here.
        let (status, body) = get(&guard, "/health?exclude=memory");
        assert_eq!(status, 200, "{body}");
        let health: serde_json::Value = serde_json::from_str(&body).unwrap();
        if health["status"] == "healthy" {
            break health;
        }
        assert!(Instant::now() < until, "{health}");
    };
    let checks = health["checks"].as_array().unwrap().iter();
    let names: Vec<_> = checks
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["operations", "records", "exporters", "queues", "device"]
    );
    radiosonde::health()
        .unwrap()
        .update("model", Status::Critical, "not loaded");
    assert_eq!(get(&guard, "/readyz").0, 503);
    assert_eq!(get(&guard, "/livez").0, 200);
    let address = guard.http_address().unwrap();
    drop(guard);
    assert!(TcpStream::connect(address).is_err());
    assert!(radiosonde::health().is_none());
}

#[test]
fn an_address_that_is_taken_is_an_error_before_anything_starts() {
    let (_turn, guard, _) = recording();
    drop(guard);
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("events.jsonl");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let builder = quiet().json_lines(&lines).http(address.to_string());
    let error = builder.init().err().unwrap().to_string();
    let expected = format!("code, http(): http.listen = \"{address}\": cannot be listened on: ");
    assert!(error.starts_with(&expected), "{error}");
    assert!(
        error.ends_with("; name another port, or 0 for a free one"),
        "{error}"
    );
    assert!(!lines.exists());
    drop(quiet().init().unwrap());
}

#[cfg(feature = "sqlite")]
#[test]
fn a_table_of_another_program_is_an_error_that_names_the_key_and_changes_nothing() {
    let (_turn, guard, _) = recording();
    drop(guard);
    let folder = tempfile::tempdir().unwrap();
    let (lines, database) = (
        folder.path().join("l.jsonl"),
        folder.path().join("d.sqlite"),
    );
    let foreign = rusqlite::Connection::open(&database).unwrap();
    foreign
        .execute_batch("CREATE TABLE metric_event (at, name)")
        .unwrap();
    let before = std::fs::read(&database).unwrap();
    let builder = quiet().json_lines(&lines).sqlite(&database);
    let error = builder.init().err().unwrap();
    let expected = format!(
        "code, sqlite(): sqlite.path = {database:?}: cannot be written: its table metric_event is another program's; \
         name a SQLite file of ours, or none yet, in a folder that you may write"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(format!("{error:?}"), expected, "what `main` prints");
    assert_eq!(std::fs::read(&database).unwrap(), before);
    assert!(!lines.exists());
}

/// An exporter that always fails.
struct Broken;

impl Exporter for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn export(&mut self, _: &Batch) -> Result<(), ExportError> {
        Err(ExportError::Unavailable {
            destination: "nowhere".to_owned(),
            reason: "no route".to_owned(),
            retry_after: None,
        })
    }
}

#[test]
fn what_the_pipeline_does_can_be_scraped() {
    let (_turn, guard, _) = recording();
    drop(guard);
    let guard = quiet()
        .exporter(Broken)
        .exporter(Keep::default())
        .http("127.0.0.1:0")
        .init()
        .unwrap();
    for _ in 0..5 {
        info_span!("step").in_scope(|| info!("done"));
    }
    assert!(guard.flush(LONG));
    let (_, text) = get(&guard, "/metrics");
    let value = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no {start} in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let labels = r#"{otel_component_name="radiosonde_exporter_queue/broken",otel_component_type="radiosonde_exporter_queue"}"#;
    assert!(value(&format!("otel_sdk_processor_span_processed_total{labels}")) >= 5.0);
    assert!(value(&format!("otel_sdk_processor_log_processed_total{labels}")) >= 5.0);
    assert!(value(&format!("otel_sdk_processor_span_queue_size{labels}")) < 1.0);
    assert!(value(r#"radiosonde_lost_total{error_type="retry_exhausted"}"#) >= 10.0);
}
