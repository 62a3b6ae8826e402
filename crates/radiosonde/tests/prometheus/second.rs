//! Remote write 2.0: field by field to a strict receiver made for tests, and to a Prometheus 3 where one is named.

use radiosonde::exporter::{
    Exporter as _,
    remote_write::{Histograms, RemoteWriteConfig, Version, open},
};

use crate::{
    messages::{Histogram, Label, Request, Sample, SecondMetadata, SecondSeries, Span},
    peers,
    receiver::{Receiver, Taken, resolve},
    records::{
        SECOND_NS, TRACE, counter, exemplar, explicit, exponential, gauge, now_ns, snapshot,
    },
};

fn second(url: String) -> RemoteWriteConfig {
    RemoteWriteConfig {
        version: Version::V2,
        ..RemoteWriteConfig::new(url)
    }
}

fn requests(taken: Vec<Taken>) -> Vec<Request> {
    let request = |taken| match taken {
        Taken::First(_) => panic!("1.0"),
        Taken::Second(request) => request,
    };
    taken.into_iter().map(request).collect()
}

/// The series whose `__name__` is `name`, with its labels in one line.
fn find<'a>(requests: &'a [Request], name: &str) -> Vec<(&'a Request, &'a SecondSeries, String)> {
    let all = requests.iter().flat_map(|request| {
        let all = request.timeseries.iter();
        all.map(move |series| {
            (
                request,
                series,
                resolve(request, &series.labels_refs).unwrap(),
            )
        })
    });
    let named = all.filter(|(_, _, labels)| {
        let mut labels = labels.iter();
        labels.any(|label| label.name == "__name__" && label.value == name)
    });
    let line = |labels: Vec<Label>| {
        let labels = labels.into_iter().filter(|label| label.name != "__name__");
        let labels: Vec<_> = labels
            .map(|label| format!("{}={}", label.name, label.value))
            .collect();
        labels.join(" ")
    };
    named
        .map(|(request, series, labels)| (request, series, line(labels)))
        .collect()
}

const TIME_NS: u64 = 1_750_000_000 * SECOND_NS;
const TIME_MS: i64 = 1_750_000_000_000;
const START_MS: i64 = 1_700_000_000_000;

#[test]
fn every_field_of_a_counter_is_as_the_specification_says() {
    let receiver = Receiver::start([]);
    let mut backend = open(&second(receiver.url())).unwrap();
    let metrics = vec![
        counter(7, vec![exemplar(1.0, TIME_NS - SECOND_NS)]),
        gauge(0.5),
    ];
    backend.export_metrics(&snapshot(TIME_NS, metrics)).unwrap();
    backend.flush().unwrap();
    let requests = requests(receiver.wait_taken(1));
    let (request, series, labels) = find(&requests, "gpu_operation_count_total").remove(0);
    assert_eq!(
        labels,
        "exported_job=mine gpu_operation=gemm instance=one job=lab/demo"
    );
    let sample = Sample {
        value: 7.0,
        timestamp: TIME_MS,
        start_timestamp: START_MS,
    };
    assert_eq!(series.samples, [sample]);
    let found = &series.exemplars[0];
    assert_eq!((found.value, found.timestamp), (1.0, TIME_MS - 1000));
    let labels = resolve(request, &found.labels_refs).unwrap();
    let label = |name: &str, value: &str| Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(
        labels,
        [
            label("span_id", "000000000000b7ad"),
            label("trace_id", TRACE)
        ]
    );
    let SecondMetadata {
        kind,
        help_ref,
        unit_ref,
    } = series.metadata.unwrap();
    let text = |at: u32| &*request.symbols[at as usize];
    assert_eq!(
        (kind, text(help_ref), text(unit_ref)),
        (1, "Operations that ended.", "")
    );
    let (request, series, labels) = find(&requests, "hw_gpu_utilization_ratio").remove(0);
    assert_eq!(labels, "hw_id=0 instance=one job=lab/demo");
    // Nothing began that only tells of now.
    assert_eq!(series.samples[0].start_timestamp, 0);
    let metadata = series.metadata.unwrap();
    assert_eq!(
        (metadata.kind, &*request.symbols[metadata.unit_ref as usize]),
        (2, "ratio")
    );
    let (_, series, labels) = find(&requests, "target_info").remove(0);
    assert_eq!(
        labels,
        "host_name=a\"b instance=one job=lab/demo service_instance_id=one service_name=demo service_namespace=lab"
    );
    assert_eq!(series.metadata.unwrap().kind, 6);
}

#[test]
fn exponential_histograms_are_native_and_explicit_ones_have_buckets() {
    let receiver = Receiver::start([]);
    let mut backend = open(&second(receiver.url())).unwrap();
    let exemplars = || {
        vec![
            exemplar(0.75, TIME_NS - 2 * SECOND_NS),
            exemplar(3.0, TIME_NS - 3 * SECOND_NS),
        ]
    };
    let metrics = vec![exponential(1, exemplars()), explicit(1, exemplars())];
    backend.export_metrics(&snapshot(TIME_NS, metrics)).unwrap();
    backend.flush().unwrap();
    let requests = requests(receiver.wait_taken(2));
    let (_, series, labels) = find(&requests, "gpu_operation_duration_seconds").remove(0);
    assert_eq!(labels, "gpu_operation=gemm instance=one job=lab/demo");
    let expected = Histogram {
        count: Some(5),
        sum: 5.0,
        schema: 0,
        zero_threshold: f64::from(-128).exp2(),
        zero_count: Some(1),
        negative_spans: vec![],
        negative_deltas: vec![],
        // (0.25, 0.5] is bucket -1 here.
        positive_spans: vec![Span {
            offset: -1,
            length: 4,
        }],
        positive_deltas: vec![1, 1, -2, 1],
        reset_hint: 0,
        timestamp: TIME_MS,
        start_timestamp: START_MS,
    };
    assert_eq!(series.histograms, [expected]);
    let times: Vec<_> = series
        .exemplars
        .iter()
        .map(|found| found.timestamp - TIME_MS)
        .collect();
    assert_eq!(times, [-3000, -2000]);
    assert_eq!(series.metadata.unwrap().kind, 3);
    let buckets = find(&requests, "worker_call_duration_seconds_bucket");
    let buckets: Vec<_> = buckets
        .iter()
        .map(|(_, series, labels)| (&**labels, series.samples[0].value, series.exemplars.len()))
        .collect();
    assert_eq!(
        buckets,
        [
            ("instance=one job=lab/demo le=0.01 library=numpy", 1.0, 0),
            ("instance=one job=lab/demo le=0.5 library=numpy", 3.0, 0),
            ("instance=one job=lab/demo le=5.0 library=numpy", 4.0, 1),
            ("instance=one job=lab/demo le=+Inf library=numpy", 5.0, 0),
        ]
    );
    for (name, value) in [("_sum", 6.5), ("_count", 5.0)] {
        let found = find(&requests, &format!("worker_call_duration_seconds{name}"));
        assert_eq!(found[0].1.samples[0].value.to_bits(), f64::to_bits(value));
        assert_eq!(found[0].1.samples[0].start_timestamp, START_MS);
    }
}

#[test]
fn series_that_end_are_marked_once_and_exemplars_are_sent_once() {
    let receiver = Receiver::start([]);
    let config = RemoteWriteConfig {
        histograms: Histograms::Both,
        ..second(receiver.url())
    };
    let mut backend = open(&config).unwrap();
    let old = || vec![exemplar(1.0, TIME_NS - SECOND_NS)];
    let all = vec![counter(1, old()), gauge(0.5), exponential(1, old())];
    for (at, metrics) in [all, vec![counter(1, old())], vec![counter(1, old())]]
        .into_iter()
        .enumerate()
    {
        backend
            .export_metrics(&snapshot(TIME_NS + at as u64 * SECOND_NS, metrics))
            .unwrap();
    }
    backend.flush().unwrap();
    let requests = requests(receiver.wait_taken(5));
    let stale = |name: &str| {
        let samples = find(&requests, name)
            .into_iter()
            .flat_map(|(_, series, _)| {
                let numbers = series
                    .samples
                    .iter()
                    .map(|sample| (sample.timestamp, sample.value));
                let natives = series
                    .histograms
                    .iter()
                    .map(|native| (native.timestamp, native.sum));
                numbers.chain(natives).collect::<Vec<_>>()
            });
        let stale = samples.filter(|(_, value)| value.to_bits() == 0x7ff0_0000_0000_0002);
        stale.map(|(time, _)| time - TIME_MS).collect::<Vec<_>>()
    };
    assert_eq!(stale("hw_gpu_utilization_ratio"), [1000]);
    assert_eq!(stale("gpu_operation_duration_seconds"), [1000]);
    assert_eq!(stale("gpu_operation_duration_seconds_bucket").len(), 32);
    assert_eq!(stale("gpu_operation_duration_seconds_sum"), [1000]);
    assert!(stale("gpu_operation_count_total").is_empty());
    let counts = find(&requests, "gpu_operation_count_total");
    let exemplars: Vec<_> = counts
        .iter()
        .map(|(_, series, _)| series.exemplars.len())
        .collect();
    assert_eq!(exemplars, [1, 0, 0]);
}

#[test]
fn a_clock_that_stands_still_or_goes_back_a_little_leaves_samples_in_order() {
    let receiver = Receiver::start([]);
    let mut backend = open(&second(receiver.url())).unwrap();
    for time in [TIME_NS, TIME_NS, TIME_NS - SECOND_NS, TIME_NS + SECOND_NS] {
        backend
            .export_metrics(&snapshot(time, vec![gauge(0.5)]))
            .unwrap();
    }
    backend.flush().unwrap();
    let requests = requests(receiver.wait_taken(4));
    let all = find(&requests, "hw_gpu_utilization_ratio");
    let times: Vec<_> = all
        .iter()
        .map(|(_, series, _)| series.samples[0].timestamp - TIME_MS)
        .collect();
    assert_eq!(times, [0, 1, 2, 1000]);
}

#[test]
fn a_request_has_no_more_samples_than_it_may() {
    let receiver = Receiver::start([]);
    let config = RemoteWriteConfig {
        request_samples_max: 4,
        histograms: Histograms::Classic,
        ..second(receiver.url())
    };
    let mut backend = open(&config).unwrap();
    let metrics = vec![
        counter(1, vec![]),
        gauge(0.5),
        explicit(1, vec![]),
        exponential(1, vec![]),
    ];
    backend.export_metrics(&snapshot(TIME_NS, metrics)).unwrap();
    backend.flush().unwrap();
    // One series of a histogram stays in one piece.
    let sizes: Vec<_> = requests(receiver.wait_taken(4))
        .iter()
        .map(|request| request.timeseries.len())
        .collect();
    assert_eq!(
        sizes,
        [2, 34, 1, 6],
        "target and counter, exponential, gauge, explicit"
    );
}

/// Needs a Prometheus 3. Of Debian's sid, without touching the system (the paths are yours to choose):
///
/// ```sh
/// R=$PWD/aptroot; mkdir -p $R/etc/apt/{preferences.d,apt.conf.d} $R/var/lib/apt/lists/partial $R/var/cache/apt/archives/partial $R/var/lib/dpkg
/// touch $R/var/lib/dpkg/status
/// echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main" >$R/etc/apt/sources.list
/// O="-o Dir::Etc=$R/etc/apt -o Dir::State=$R/var/lib/apt -o Dir::Cache=$R/var/cache/apt -o Dir::State::status=$R/var/lib/dpkg/status"
/// apt-get $O update && apt-get $O download prometheus/sid && dpkg -x prometheus_*.deb root
/// RADIOSONDE_PROMETHEUS_3=$PWD/root/usr/bin/prometheus cargo test -p radiosonde --features backends --test prometheus -- --ignored
/// ```
#[test]
#[ignore = "needs a Prometheus 3, named by RADIOSONDE_PROMETHEUS_3"]
fn a_prometheus_3_is_written_to_by_2_0_and_reads_everything_back() {
    let program =
        std::env::var("RADIOSONDE_PROMETHEUS_3").expect("RADIOSONDE_PROMETHEUS_3 names one");
    let peer = peers::prometheus(&program, "exemplar-storage,native-histograms", None).unwrap();
    let mut backend = open(&second(peer.url())).unwrap();
    let now = now_ns();
    for (times, time) in [(1, now - 10 * SECOND_NS), (2, now)] {
        let exemplars = |value| vec![exemplar(value, time - SECOND_NS)];
        let metrics = vec![
            counter(100 * times, exemplars(1.0)),
            exponential(times, exemplars(0.75)),
            explicit(times, exemplars(6.0)),
        ];
        backend.export_metrics(&snapshot(time, metrics)).unwrap();
        backend.flush().unwrap();
    }
    for (query, wanted) in [
        (
            "gpu_operation_count_total{job=\"lab/demo\",instance=\"one\"}",
            200.0,
        ),
        ("worker_call_duration_seconds_bucket{le=\"0.5\"}", 6.0),
        ("histogram_count(gpu_operation_duration_seconds)", 10.0),
    ] {
        let found = peer.value(query);
        assert!((found - wanted).abs() < 1e-9, "{query}: {found}");
    }
    for name in [
        "gpu_operation_count_total",
        "gpu_operation_duration_seconds",
    ] {
        peer.has_exemplar(name, TRACE);
    }
    let told = backend.close().map_err(|told| told.to_string());
    assert_eq!(told, Ok(()));
}
