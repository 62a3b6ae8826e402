//! Remote write to VictoriaMetrics 1.79: it takes 1.0, says yes to native histograms and forgets them, so that classic ones
//! are what is sent there.

use radiosonde::exporter::{
    Exporter as _,
    remote_write::{Histograms, RemoteWriteConfig, open},
};

use crate::{
    peers,
    records::{counter, exponential, now_ns, snapshot},
};

#[test]
fn victoria_metrics_reads_samples_and_classic_buckets_back() {
    let Some(peer) = peers::victoria_metrics() else {
        return;
    };
    let config = RemoteWriteConfig {
        histograms: Histograms::Classic,
        ..RemoteWriteConfig::new(peer.url())
    };
    let mut backend = open(&config).unwrap();
    let metrics = vec![counter(7, vec![]), exponential(1, vec![])];
    backend
        .export_metrics(&snapshot(now_ns(), metrics))
        .unwrap();
    backend.flush().unwrap();
    for (selector, wanted) in [
        ("gpu_operation_count_total", "\"values\":[7]"),
        ("gpu_operation_count_total", "\"job\":\"lab/demo\""),
        ("gpu_operation_duration_seconds_count", "\"values\":[5]"),
        (
            "gpu_operation_duration_seconds_bucket{le=%221.0%22}",
            "\"values\":[4]",
        ),
    ] {
        let path = format!("/api/v1/export?match[]={selector}");
        let answer = peer.ask(&path, |answer| answer.contains("\"values\""));
        assert!(answer.contains(wanted), "{selector}: {answer}");
    }
}
