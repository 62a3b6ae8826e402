//! One recording from `init` to the exporter, in this process. What ends a process is in `ending.rs`.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use radiosonde::{
    Guard, InitError,
    core::{
        batch::Batch,
        model::{Record, Value},
    },
    exporter::{ExportError, Exporter},
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
    let builder = radiosonde::builder()
        .service_name("shop")
        .exporter(keep.clone());
    (turn, builder.init().unwrap(), keep)
}

impl Keep {
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
    assert!(matches!(
        radiosonde::init(),
        Err(InitError::AlreadyInitialised)
    ));
    info!("still here");
    assert!(guard.flush(LONG));
    assert_eq!(keep.logs().len(), 1);
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
    assert_eq!(radiosonde::report(), Some(report));
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
