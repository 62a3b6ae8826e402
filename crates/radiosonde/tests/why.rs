//! A program that asks why its own slowest request was slow.

use std::{thread, time::Duration};

use radiosonde::{latency, why::Slowest};
use radiosonde_answers::why::{Cause, Verdict};
use tracing::{info, info_span, warn};

#[test]
fn the_slowest_request_is_kept_whole_and_accounted_for() {
    let slowest = Slowest::new(500);
    let guard = radiosonde::builder()
        .exporter(slowest.clone())
        .init()
        .unwrap();
    assert!(slowest.account().is_none());
    for queued_ms in [1, 80, 2] {
        let request = info_span!("request");
        let _entered = request.enter();
        {
            let _queue = info_span!("queue").entered();
            thread::sleep(Duration::from_millis(queued_ms));
        }
        if queued_ms > 50 {
            warn!("waited long");
        }
        info!("not kept");
        let step = latency::Collector::install();
        let _forward = step.phase("forward");
        drop(step.block(3));
    }
    // A request that does not end, and is too large to keep.
    let endless = info_span!("endless");
    for _ in 0..1000 {
        drop(info_span!(parent: &endless, "part"));
    }
    drop(guard);

    let account = slowest.account().unwrap();
    let Verdict::Cause { cause, .. } = account.verdict else {
        panic!("{account}");
    };
    assert_eq!((cause, account.spans), (Cause::Queue, 2), "{account}");
    assert!(
        account
            .segments
            .iter()
            .any(|segment| segment.label == "block *"),
        "{account}"
    );
    assert!(
        account
            .findings
            .iter()
            .any(|finding| finding.words.contains("waited long")),
        "{account}"
    );
    let tiled: u64 = account
        .segments
        .iter()
        .map(|segment| segment.duration_ns)
        .sum();
    assert_eq!(tiled + account.residual_ns, account.interval.duration_ns);
    assert!(slowest.given_up() > 0);
    drop(endless);
}
