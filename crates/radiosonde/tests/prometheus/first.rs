//! Remote write to Prometheus 2.42, which takes 2.0 for a request with nothing in it, and so is written to by 1.0.

use radiosonde::exporter::{
    Exporter as _,
    backend::Backend,
    remote_write::{Histograms, RemoteWriteConfig, Version, open},
};

use crate::{
    messages::Label,
    peers,
    receiver::{Answer, Receiver, Taken},
    records::{
        SECOND_NS, TRACE, counter, exemplar, explicit, exponential, gauge, now_ns, snapshot,
    },
};

const FEATURES: &str = "exemplar-storage,native-histograms";

/// The query of the design note, over its own name.
const DESIGN_NOTE: &str = "histogram_quantile(0.95, rate(metal_operation_duration_ms_bucket[5m]))";

fn config(url: String) -> RemoteWriteConfig {
    RemoteWriteConfig {
        aliases: true,
        ..RemoteWriteConfig::new(url)
    }
}

/// Sends two snapshots that are ten seconds apart, the second just now.
fn send_two(backend: &mut Backend) {
    let now = now_ns();
    for (times, time) in [(1, now - 10 * SECOND_NS), (2, now)] {
        let exemplars = |value| vec![exemplar(value, time - SECOND_NS)];
        let metrics = vec![
            counter(100 * times, exemplars(1.0)),
            gauge(0.25 * times as f64),
            exponential(times, exemplars(0.75)),
            explicit(times, exemplars(6.0)),
        ];
        backend.export_metrics(&snapshot(time, metrics)).unwrap();
        backend.flush().unwrap();
    }
}

#[test]
fn a_prometheus_of_before_is_written_to_by_1_0_and_reads_everything_back() {
    let Some(peer) = peers::prometheus("prometheus", FEATURES, None) else {
        return;
    };
    let mut backend = open(&config(peer.url())).unwrap();
    send_two(&mut backend);
    let all = "{job=\"lab/demo\",instance=\"one\"}";
    for (query, wanted) in [
        (format!("gpu_operation_count_total{all}"), 200.0),
        (format!("hw_gpu_utilization_ratio{all}"), 0.5),
        (
            "worker_call_duration_seconds_bucket{le=\"0.5\",library=\"numpy\"}".to_owned(),
            6.0,
        ),
        (
            "worker_call_duration_seconds_bucket{le=\"+Inf\"}".to_owned(),
            10.0,
        ),
        ("worker_call_duration_seconds_count".to_owned(), 10.0),
        ("worker_call_duration_seconds_sum".to_owned(), 13.0),
        (
            "metal_operations_total{exported_job=\"mine\"}".to_owned(),
            200.0,
        ),
        (
            "target_info{host_name=\"a\\\"b\",service_name=\"demo\"}".to_owned(),
            1.0,
        ),
        (
            "histogram_count(gpu_operation_duration_seconds)".to_owned(),
            10.0,
        ),
        (
            "histogram_sum(gpu_operation_duration_seconds)".to_owned(),
            10.0,
        ),
    ] {
        let found = peer.value(&query);
        assert!((found - wanted).abs() < 1e-9, "{query}: {found}");
    }
    // Of ten measurements two are zero, two in (0.25, 0.5], four in (0.5, 1].
    let median = peer.value("histogram_quantile(0.5, gpu_operation_duration_seconds)");
    assert!((0.5..=1.0).contains(&median), "{median}");
    let quantile = peer.value(DESIGN_NOTE);
    assert!((2000.0..=4000.0).contains(&quantile), "{quantile}");
    for name in [
        "gpu_operation_count_total",
        "gpu_operation_duration_seconds",
        "worker_call_duration_seconds_bucket",
        "metal_operation_duration_ms_bucket",
    ] {
        let answer = peer.has_exemplar(name, TRACE);
        assert!(answer.contains("000000000000b7ad"), "{answer}");
    }
}

#[test]
fn a_prometheus_without_native_histograms_gets_classic_ones_after_it_said_so() {
    let Some(peer) = peers::prometheus("prometheus", "exemplar-storage", None) else {
        return;
    };
    let mut backend = open(&RemoteWriteConfig::new(peer.url())).unwrap();
    let now = now_ns();
    let send = |backend: &mut Backend, time, times| {
        let metrics = vec![gauge(0.5), exponential(times, vec![])];
        backend.export_metrics(&snapshot(time, metrics)).unwrap();
        backend.flush()
    };
    // The histogram is refused alone, and that is said once.
    send(&mut backend, now - 10 * SECOND_NS, 1).unwrap();
    let told = backend.close().unwrap_err().to_string();
    assert!(
        told.contains("native histograms are disabled; classic ones are sent from now on"),
        "{told}"
    );
    send(&mut backend, now, 2).unwrap();
    let count = peer.value("gpu_operation_duration_seconds_count");
    assert!((count - 10.0).abs() < 1e-9, "{count}");
    let kept = peer.value("count_over_time(hw_gpu_utilization_ratio[1m])");
    assert!((kept - 2.0).abs() < 1e-9, "{kept}");
}

#[test]
fn a_series_that_is_gone_has_ended_at_once() {
    let Some(peer) = peers::prometheus("prometheus", FEATURES, None) else {
        return;
    };
    let mut backend = open(&RemoteWriteConfig::new(peer.url())).unwrap();
    let now = now_ns();
    let all = vec![
        gauge(0.5),
        exponential(1, vec![]),
        explicit(1, vec![]),
        counter(1, vec![]),
    ];
    for (time, metrics) in [(now - 5 * SECOND_NS, all), (now, vec![counter(2, vec![])])] {
        backend.export_metrics(&snapshot(time, metrics)).unwrap();
        backend.flush().unwrap();
    }
    assert_eq!(peer.query("gpu_operation_count_total").len(), 1);
    for gone in [
        "hw_gpu_utilization_ratio",
        "gpu_operation_duration_seconds",
        "worker_call_duration_seconds_bucket",
        "worker_call_duration_seconds_count",
    ] {
        assert_eq!(
            peer.query_now(gone),
            Vec::<serde_json::Value>::new(),
            "{gone}"
        );
        let before = format!("count_over_time({gone}[1m])");
        assert!(!peer.query(&before).is_empty(), "{gone}");
    }
}

#[test]
fn what_says_415_gets_the_same_samples_by_1_0_at_once_and_ever_after() {
    let refusal =
        "HTTP/1.1 415 Unsupported Media Type\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let silence = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    for answer in [refusal, silence] {
        let receiver = Receiver::start([Answer::Raw(answer)]);
        let mut backend = open(&config(receiver.url())).unwrap();
        send_two(&mut backend);
        let taken = receiver.wait_taken(4);
        let heads = receiver.heads();
        assert_eq!(heads.len(), 5, "{heads:?}");
        assert!(
            heads[0].starts_with("POST /api/v1/write HTTP/1.1"),
            "{heads:?}"
        );
        let series: Vec<_> = taken
            .iter()
            .flat_map(|taken| match taken {
                Taken::First(request) => &request.timeseries[..],
                Taken::Second(_) => panic!("2.0"),
            })
            .collect();
        let label = |name: &str, value: &str| Label {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let expected = [
            label("__name__", "gpu_operation_count_total"),
            label("exported_job", "mine"),
            label("gpu_operation", "gemm"),
            label("instance", "one"),
            label("job", "lab/demo"),
        ];
        let counts: Vec<_> = series
            .iter()
            .filter(|series| series.labels == expected)
            .map(|series| (series.samples[0].value, series.exemplars.len()))
            .collect();
        assert_eq!(counts, [(100.0, 1), (200.0, 1)]);
        let Taken::First(request) = &taken[0] else {
            panic!("2.0")
        };
        let family = |name: &str| {
            let mut all = request.metadata.iter();
            all.find(|family| family.metric_family_name == name)
                .unwrap()
        };
        let duration = family("worker_call_duration_seconds");
        assert_eq!(
            (duration.kind, &*duration.help, &*duration.unit),
            (3, "A call to a worker.", "seconds")
        );
        assert_eq!(family("gpu_operation_count_total").kind, 1);
        assert_eq!(family("target_info").kind, 6);
    }
}

#[test]
fn what_is_set_to_1_0_speaks_it_from_the_beginning() {
    let receiver = Receiver::start([]);
    let config = RemoteWriteConfig {
        version: Version::V1,
        histograms: Histograms::Both,
        ..RemoteWriteConfig::new(format!("{}/push", receiver.url()))
    };
    send_two(&mut open(&config).unwrap());
    let taken = receiver.wait_taken(4);
    assert!(taken.iter().all(|taken| matches!(taken, Taken::First(_))));
    assert!(receiver.heads()[0].starts_with("POST /push "));
}
