//! The `log` crate's records through the real bridge, lanes and pump.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use radiosonde::{
    core::{
        batch::Batch,
        filter,
        model::{Log, Record, Resource, Severity},
        pump::{self, Consumer},
        subscriber::Subscriber,
    },
    log_bridge,
};
use tracing::info_span;

struct Keep(Arc<Mutex<Vec<Log>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let logs = batch
            .records()
            .filter_map(|record| match record.to_record() {
                Record::Log(log) => Some(log),
                _ => None,
            });
        self.0.lock().unwrap().extend(logs);
    }
}

/// One test, because a process has one logger.
#[test]
fn records_of_the_log_crate_are_our_logs() {
    tracing::subscriber::set_global_default(Subscriber::new()).unwrap();
    let logs = Arc::new(Mutex::new(Vec::new()));
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(Keep(Arc::clone(&logs)))],
    })
    .unwrap();
    log_bridge::install().unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Info);

    filter::set("warn,library=debug".parse().unwrap());
    assert_eq!(log::max_level(), log::LevelFilter::Debug);
    assert!(log::log_enabled!(target: "library::part", log::Level::Debug));
    assert!(!log::log_enabled!(target: "other", log::Level::Info));
    log::info!(target: "other", "hidden");
    let request = info_span!(target: "library", "request");
    request.in_scope(|| {
        log::debug!(
            target: "library::part",
            user = "ann", tokens = 3_u64, delta = -1_i64, ratio = 0.5, cached = true, shape:? = [2, 3];
            "generated {} tokens", 3
        );
    });
    log::error!("{}", "x".repeat(100_000));
    filter::set("off,[request]=trace".parse().unwrap());
    assert_eq!(log::max_level(), log::LevelFilter::Trace);
    log::error!("outside");
    info_span!("request").in_scope(|| log::trace!("followed"));
    filter::set("off".parse().unwrap());
    assert_eq!(log::max_level(), log::LevelFilter::Off);

    assert!(pump.flush(Duration::from_secs(10)));
    let logs = std::mem::take(&mut *logs.lock().unwrap());
    let log = &logs[0];
    assert_eq!(log.target, "library::part");
    assert_eq!(log.severity, Severity::Debug);
    assert_eq!(log.message, "generated 3 tokens");
    assert_eq!(log.place.as_ref().unwrap().span_name, "request");
    let attributes: Vec<_> = log
        .attributes
        .iter()
        .filter(|(name, _)| name != "log.line")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    insta::assert_snapshot!(attributes.join("\n"), @r"
    log.module_path=log_bridge
    log.file=crates/radiosonde/tests/log_bridge.rs
    user=ann
    tokens=3
    delta=-1
    ratio=0.5
    cached=true
    shape=[2, 3]
    ");
    assert!(
        logs[1].target == "log_bridge" && logs[1].message.len() == radiosonde::core::TEXT_BYTES_MAX
    );
    assert_eq!(logs[2].message, "followed");
    assert_eq!(logs.len(), 3);
    let refused = log_bridge::install().unwrap_err().to_string();
    assert!(refused.contains("another logger"), "{refused}");
}
