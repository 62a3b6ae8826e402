//! How many records a second each exporter writes down and compresses on one core: printed, not judged.

use std::time::Duration;

use radiosonde::{
    core::metrics::snapshot::{Data, Number},
    exporter::{Exporter, backend::Backend},
};
use rustix::time::{ClockId, clock_gettime};

use crate::{faults, records};

/// Records of one call, and calls.
const RECORDS: u64 = 10_000;
const ROUNDS: u64 = 20;

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn rate(records: u64, mut work: impl FnMut()) -> u64 {
    work();
    let start = cpu();
    (0..ROUNDS).for_each(|_| work());
    let seconds = cpu().saturating_sub(start).as_secs_f64();
    ((records * ROUNDS) as f64 / seconds) as u64
}

#[test]
#[ignore = "prints rates: cargo test --test backends -- --ignored --nocapture rates"]
fn rates() {
    let (mut spans, mut logs) = (records::empty(), records::empty());
    for id in 0..RECORDS {
        let text = [
            (
                "kernel",
                radiosonde::core::ValueRef::Str("sgemm_128x128_nn"),
            ),
            ("share", radiosonde::core::ValueRef::F64(0.5)),
        ];
        records::push_span(&mut spans, id, &text);
        records::push_log(&mut logs, id, "a batch of sixteen prompts was read", &text);
    }
    let mut snapshot = records::snapshot(10, 5);
    let all = (0..RECORDS).map(|id| records::series(&format!("operation {id}"), Number::U64(id)));
    snapshot.metrics = vec![snapshot.metrics.swap_remove(0)];
    snapshot.metrics[0].data = Data::Counter(all.collect());
    for (name, open, _) in faults::all() {
        let mut told = Vec::new();
        let mut tell = |kind: &str, work: &mut dyn FnMut(&mut Backend)| {
            // Nobody listens there; what does not fit into memory gives way.
            let mut backend = open("http://127.0.0.1:1".to_owned());
            let rate = rate(RECORDS, || work(&mut backend));
            assert!(rate > 0, "{kind}");
            // Nothing waits where the backend does not take the signal.
            if backend.waiting().records > 0 {
                told.push(format!("{rate} {kind}"));
            }
        };
        tell("spans", &mut |backend| drop(backend.export(&spans)));
        tell("logs", &mut |backend| drop(backend.export(&logs)));
        tell("points", &mut |backend| {
            drop(backend.export_metrics(&snapshot));
        });
        println!("{name}: {} a second", told.join(", "));
    }
}
