//! A scrape in protobuf: what the endpoint inside the process answers, field by field, and to a real Prometheus that has native
//! histograms on.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prost::Message as _;
use radiosonde::{
    encode::openmetrics::Format,
    endpoint::{Endpoint, EndpointConfig},
    health::Health,
};

use crate::{
    messages::{MetricFamily, Span},
    peers,
    records::{TRACE, counter, exemplar, explicit, exponential, gauge, now_ns, snapshot},
};

/// What Prometheus 2.42 sends where native histograms are on.
const ACCEPT: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                      application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// An endpoint whose counts grow with every scrape.
fn endpoint() -> Endpoint {
    let scrapes = Arc::new(AtomicU64::new(0));
    let read = move || {
        let times = 1 + scrapes.fetch_add(1, Relaxed);
        let now = now_ns();
        let metrics = vec![
            counter(times, vec![exemplar(1.0, now)]),
            exponential(times, vec![exemplar(0.75, now)]),
            gauge(0.5),
            explicit(times, vec![exemplar(6.0, now)]),
        ];
        snapshot(now, metrics)
    };
    Endpoint::start(EndpointConfig::default(), Health::new(), read).unwrap()
}

#[test]
fn protobuf_is_for_those_who_would_rather_have_it() {
    assert_eq!(Format::negotiate(ACCEPT), Format::Protobuf);
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;q=0.6,application/vnd.google.protobuf;\
                        proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.4,text/plain;q=0.3";
    assert_eq!(Format::negotiate(prometheus_3), Format::OpenMetrics);
    for other in [
        "application/vnd.google.protobuf",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0",
    ] {
        assert_eq!(Format::negotiate(other), Format::Prometheus, "{other}");
    }
}

fn scrape(endpoint: &Endpoint) -> Vec<MetricFamily> {
    let mut stream = TcpStream::connect(endpoint.address()).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {ACCEPT}\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    assert!(head.contains("Content-Type: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"), "{head}");
    let mut rest = &answer[end + 4..];
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    families
}

#[test]
fn a_scrape_in_protobuf_has_native_and_classic_buckets_and_exemplars() {
    let families = scrape(&endpoint());
    let names: Vec<_> = families.iter().map(|family| &*family.name).collect();
    assert!(
        names[0] == "target_info" && names[1..].is_sorted(),
        "{names:?}"
    );
    let family = |name: &str| families.iter().find(|family| family.name == name).unwrap();
    let duration = family("gpu_operation_duration_seconds");
    assert_eq!(
        (duration.kind, &*duration.unit, &*duration.help),
        (Some(4), "seconds", "How long operations took.")
    );
    let histogram = duration.metric[0].histogram.as_ref().unwrap();
    assert_eq!(
        (
            histogram.sample_count,
            histogram.schema,
            histogram.zero_count
        ),
        (5, 0, 1)
    );
    assert_eq!(
        histogram.positive_span,
        [Span {
            offset: -1,
            length: 4
        }]
    );
    assert_eq!(histogram.positive_delta, [1, 1, -2, 1]);
    assert_eq!(histogram.created.unwrap().seconds, 1_700_000_000);
    let bucket = histogram
        .bucket
        .iter()
        .find(|bucket| bucket.upper_bound.to_bits() == 1.0_f64.to_bits())
        .unwrap();
    assert_eq!(bucket.cumulative_count, 4);
    let found = bucket.exemplar.as_ref().unwrap();
    assert_eq!(found.label[1].value, TRACE);
    assert!(found.timestamp.unwrap().seconds > 1_700_000_000);
    let last = histogram.bucket.last().unwrap();
    assert!(last.upper_bound.is_infinite() && last.cumulative_count == 5);
    // No schema has its bounds.
    let alias = family("metal_operation_duration_ms").metric[0]
        .histogram
        .as_ref()
        .unwrap();
    assert!(
        alias.positive_span.is_empty() && alias.zero_threshold == 0.0 && alias.bucket.len() == 32
    );
    let calls = family("worker_call_duration_seconds").metric[0]
        .histogram
        .as_ref()
        .unwrap();
    assert!(calls.positive_span.is_empty() && calls.bucket.len() == 4);
    let counter = family("gpu_operation_count_total");
    assert_eq!(counter.kind, Some(0));
    let counter = counter.metric[0].counter.as_ref().unwrap();
    assert!(counter.value >= 1.0 && counter.exemplar.is_some() && counter.created.is_some());
    assert_eq!(family("hw_gpu_utilization_ratio").kind, Some(1));
}

#[test]
fn prometheus_scrapes_native_histograms_and_answers_quantiles_of_them() {
    let endpoint = endpoint();
    let port = endpoint.address().port();
    let Some(peer) = peers::prometheus(
        "prometheus",
        "exemplar-storage,native-histograms",
        Some(port),
    ) else {
        return;
    };
    let median = peer.value("histogram_quantile(0.5, rate(gpu_operation_duration_seconds[1m]))");
    assert!((0.5..=1.0).contains(&median), "{median}");
    let quantile =
        peer.value("histogram_quantile(0.95, rate(metal_operation_duration_ms_bucket[5m]))");
    assert!((2000.0..=4000.0).contains(&quantile), "{quantile}");
    let calls =
        peer.value("histogram_quantile(0.5, rate(worker_call_duration_seconds_bucket[5m]))");
    assert!((0.01..=0.5).contains(&calls), "{calls}");
    for name in [
        "gpu_operation_duration_seconds",
        "gpu_operation_count_total",
        "worker_call_duration_seconds_bucket",
    ] {
        peer.has_exemplar(name, TRACE);
    }
}
