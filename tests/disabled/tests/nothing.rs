//! With the feature `recording` off, the public API compiles, runs and leaves nothing behind.

use std::time::Duration;

use radiosonde::{
    breaker::Breaker,
    core::{context, lane_count, loss, metrics},
    event,
    health::{CheckOptions, Probe, Status},
    profile, record,
};

/// An event of a user's.
#[derive(radiosonde::Event)]
#[event(name = "disabled.happened")]
struct Happened {
    /// Bytes that nobody counts.
    #[measure(counter, unit = "By")]
    bytes: u64,
}

#[test]
fn everything_runs_and_nothing_is_recorded() {
    let guard = radiosonde::builder()
        .service_name("off")
        .init()
        .expect("off is no error");
    let computed = std::cell::Cell::new(0);
    let compute = || {
        computed.set(computed.get() + 1);
        1_u64
    };
    tracing::info_span!("request", user = 7).in_scope(|| {
        tracing::error!(value = compute(), "never seen");
        record!(Happened { bytes: compute() });
        event!("disabled.ad_hoc", value = compute());
        assert_eq!(profile!("block", { 40 + 2 }), 42);
        assert_eq!(context::current(), None);
    });
    metrics::counter("disabled.calls").handle().add(1);
    metrics::histogram("disabled.duration").handle().record(0.5);
    let called = Breaker::new("backend").call(|| Ok::<_, &str>(7));
    assert_eq!(called, Ok(7));
    guard.health().update("model", Status::Healthy, "");
    assert_eq!(
        computed.get(),
        0,
        "fields of what is off are not even evaluated"
    );
    assert!(guard.flush(Duration::from_secs(1)));
    assert_eq!((lane_count(), loss::report()), (0, Vec::new()));
    #[cfg(target_os = "linux")]
    for task in std::fs::read_dir("/proc/self/task")
        .expect("Linux has tasks")
        .flatten()
    {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        assert!(!name.starts_with("radiosonde-"), "a thread of ours: {name}");
    }
    // Whoever sends requests must be told all the same, so the program's own checks run.
    let check = guard
        .health()
        .check("database", CheckOptions::default(), || false);
    assert!(check.is_ok());
    assert!(guard.health().run_now(Duration::from_secs(60)));
    assert!(!guard.health().passes(Probe::Readiness));
}
