//! A real Pushgateway: what is pushed is there to be scraped, what is pushed next takes its place, and it is forgotten at the
//! end where that is wanted.

use radiosonde::exporter::{
    Exporter as _,
    pushgateway::{Push, PushgatewayConfig, open},
};

use crate::{
    peers,
    records::{counter, explicit, gauge, now_ns, snapshot},
};

#[test]
fn what_is_pushed_is_there_until_something_takes_its_place() {
    let Some(peer) = peers::pushgateway() else {
        return;
    };
    let mut config = PushgatewayConfig::new(peer.url(), "train/7");
    config.grouping = vec![("instance".to_owned(), "node a".to_owned())];
    let mut backend = open(&config).unwrap();
    backend
        .export_metrics(&snapshot(now_ns(), vec![gauge(0.25), explicit(1, vec![])]))
        .unwrap();
    backend.flush().unwrap();
    let page = peer.get("/metrics").unwrap();
    for line in [
        "hw_gpu_utilization_ratio{hw_id=\"0\",instance=\"node a\",job=\"train/7\"} 0.25",
        "worker_call_duration_seconds_bucket{instance=\"node a\",job=\"train/7\",library=\"numpy\",le=\"0.5\"} 3",
        "push_failure_time_seconds{instance=\"node a\",job=\"train/7\"} 0",
    ] {
        assert!(page.contains(line), "no {line} in {page}");
    }
    backend
        .export_metrics(&snapshot(now_ns(), vec![gauge(0.5)]))
        .unwrap();
    backend.flush().unwrap();
    backend.close().unwrap();
    drop(backend);
    let page = peer.get("/metrics").unwrap();
    assert!(page.contains("job=\"train/7\"} 0.5"), "{page}");
    assert!(
        !page.contains("worker_call_duration_seconds_bucket"),
        "{page}"
    );
}

#[test]
fn programs_that_share_a_group_keep_each_others_metrics_and_the_last_forgets_all() {
    let Some(peer) = peers::pushgateway() else {
        return;
    };
    let config = PushgatewayConfig {
        push: Push::Merge,
        ..PushgatewayConfig::new(peer.url(), "shared")
    };
    let mut first = open(&config).unwrap();
    let mut second = open(&PushgatewayConfig {
        forget_at_end: true,
        ..config
    })
    .unwrap();
    first
        .export_metrics(&snapshot(now_ns(), vec![gauge(0.25)]))
        .unwrap();
    first.flush().unwrap();
    second
        .export_metrics(&snapshot(now_ns(), vec![counter(7, vec![])]))
        .unwrap();
    second.flush().unwrap();
    let page = peer.get("/metrics").unwrap();
    assert!(
        page.contains("hw_gpu_utilization_ratio{") && page.contains("gpu_operation_count_total{"),
        "{page}"
    );
    second.close().unwrap();
    drop(second);
    let page = peer.get("/metrics").unwrap();
    assert!(!page.contains("job=\"shared\""), "{page}");
}

#[test]
fn what_the_pushgateway_refuses_is_counted_with_its_words() {
    let Some(peer) = peers::pushgateway() else {
        return;
    };
    // Without a job Pushgateway has no such path.
    let mut backend = open(&PushgatewayConfig::new(
        format!("{}/elsewhere", peer.url()),
        "a",
    ))
    .unwrap();
    backend
        .export_metrics(&snapshot(now_ns(), vec![gauge(0.25)]))
        .unwrap();
    backend.flush().unwrap();
    let told = backend.close().unwrap_err();
    assert!(
        told.to_string()
            .contains("refused 2 of 2 records: HTTP 404"),
        "{told}"
    );
}
