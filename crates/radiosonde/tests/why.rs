//! A program that asks why its own slowest request was slow.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use radiosonde::{
    core::{
        context::{Context, SAMPLED},
        ids::{SpanId, TraceId},
    },
    latency,
    why::Slowest,
};
use radiosonde_answers::why::{Cause, Verdict};
use tracing::{info, info_span, warn};

/// There is one recording a process.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sleep_ms(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

#[test]
fn a_request_ends_with_its_root_and_not_with_a_job_inside_of_it() {
    let _turn = turn();
    let slowest = Slowest::default();
    let guard = radiosonde::builder()
        .exporter(slowest.clone())
        .init()
        .unwrap();
    {
        let _quick = info_span!("quick request").entered();
        sleep_ms(60);
    }
    {
        let _request = info_span!("request").entered();
        {
            let _job = info_span!("handle job", otel.kind = "consumer").entered();
            let _queue = info_span!("queue").entered();
            sleep_ms(40);
        }
        let _render = info_span!("render").entered();
        sleep_ms(60);
    }
    drop(guard);
    let account = slowest.account().unwrap();
    assert!(
        account.to_string().starts_with("`request` took "),
        "{account}"
    );
    assert_eq!(account.spans, 4, "{account}");
}

#[test]
fn what_another_process_asked_for_is_a_request_of_this_one() {
    let _turn = turn();
    let slowest = Slowest::new(8);
    let guard = radiosonde::builder()
        .exporter(slowest.clone())
        .init()
        .unwrap();
    let serve = |number: u64, ms: u64| {
        let trace_id = TraceId::new(u128::from(number)).unwrap();
        let from = Context::remote(trace_id, SpanId::new(7).unwrap(), SAMPLED);
        let _here = from.attach();
        let _served = info_span!("GET /x", otel.kind = "server", number).entered();
        let _work = info_span!("work").entered();
        sleep_ms(ms);
    };
    serve(1, 1);
    serve(2, 80);
    // There is room for four of them.
    for number in 3..40 {
        serve(number, 0);
    }
    drop(guard);
    let subject = format!("{:?}", slowest.account().unwrap().subject);
    assert!(
        subject.contains("00000000000000000000000000000002"),
        "{subject}"
    );
    assert_eq!(slowest.given_up(), 0);
}

#[test]
fn a_process_all_of_whose_requests_have_a_parent_elsewhere_is_told_of_at_the_end() {
    let _turn = turn();
    let slowest = Slowest::default();
    let guard = radiosonde::builder()
        .exporter(slowest.clone())
        .init()
        .unwrap();
    for (number, ms) in [(1, 1), (2, 80), (3, 0)] {
        let trace_id = TraceId::new(number).unwrap();
        let from = Context::remote(trace_id, SpanId::new(7).unwrap(), SAMPLED);
        let _here = from.attach();
        let _request = info_span!("request").entered();
        let _work = info_span!("work").entered();
        sleep_ms(ms);
        assert!(guard.flush(Duration::from_secs(20)));
        assert!(slowest.account().is_none(), "a part for the whole");
    }
    {
        let _longer = info_span!("longer housekeeping").entered();
        sleep_ms(10);
    }
    // What goes on after its request has ended is no request.
    let goes_on = {
        let housekeeping = info_span!("housekeeping");
        info_span!(parent: &housekeeping, "afterwards")
    };
    assert!(guard.flush(Duration::from_secs(20)));
    sleep_ms(120);
    drop(goes_on);
    drop(guard);
    let account = slowest.account().unwrap();
    assert!(
        account.to_string().starts_with("`request` took "),
        "{account}"
    );
    let subject = format!("{:?}", account.subject);
    assert!(
        subject.contains("00000000000000000000000000000002"),
        "{subject}"
    );
}

#[test]
fn the_slowest_request_is_kept_whole_and_accounted_for() {
    let _turn = turn();
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
