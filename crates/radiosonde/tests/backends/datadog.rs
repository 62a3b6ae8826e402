//! Datadog, against a strict receiver.

use prost::Message;
use radiosonde::{
    core::{
        ValueRef,
        metrics::snapshot::{Data, Number},
    },
    exporter::{
        Exporter,
        backend::Backend,
        datadog::{self, DatadogConfig},
    },
};

use crate::{
    receiver::{Receiver, Request, Strict},
    records::{self, TIME_UNIX_NS, TRACE, TRACE_LOW, connection, deliver},
};

/// `datadog.agentpayload.MetricPayload`, as PROTOCOLS 7.10 has it.
#[derive(Clone, PartialEq, Message)]
pub struct MetricPayload {
    #[prost(message, repeated, tag = "1")]
    series: Vec<MetricSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct MetricSeries {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resource>,
    #[prost(string, tag = "2")]
    metric: String,
    #[prost(string, repeated, tag = "3")]
    tags: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    points: Vec<Point>,
    #[prost(int32, tag = "5")]
    kind: i32,
    #[prost(string, tag = "6")]
    unit: String,
    #[prost(string, tag = "7")]
    source_type_name: String,
    #[prost(int64, tag = "8")]
    interval: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Point {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// Stands in for Datadog's intake; no real one runs here. It checks paths, `DD-API-KEY`, media types, compression, the limits of 512,000
/// and 5,242,880 bytes and of 1000 entries and 5 MB, the protobuf of `MetricPayload` and the fields of logs (PROTOCOLS 7.10).
#[derive(Default)]
pub struct StrictDatadog {
    series: Vec<MetricSeries>,
    logs: Vec<serde_json::Value>,
}

impl StrictDatadog {
    fn metrics(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect("content-type", "application/x-protobuf")?;
        request.expect("content-encoding", "zstd")?;
        let plain = request.plain()?;
        if request.body.len() > 512_000 || plain.len() > 5_242_880 {
            return Err(format!("{} of {} bytes", request.body.len(), plain.len()));
        }
        let payload = MetricPayload::decode(&*plain).map_err(|error| error.to_string())?;
        for series in &payload.series {
            let is_count = series.kind == 1;
            if series.metric.is_empty()
                || series.points.len() != 1
                || !matches!(series.kind, 1 | 3)
                || is_count != (series.interval > 0)
                || series.tags.iter().any(|tag| !tag.contains(':'))
            {
                return Err(format!("{series:?}"));
            }
        }
        self.series.extend(payload.series);
        Ok((202, "{\"errors\":[]}".to_owned()))
    }

    fn entries(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect("content-type", "application/json")?;
        request.expect("content-encoding", "gzip")?;
        if request.plain()?.len() > 5_000_000 {
            return Err("more than 5 MB".to_owned());
        }
        let read = request.json()?;
        let entries = read.as_array().ok_or("no array")?;
        if entries.is_empty() || entries.len() > 1000 {
            return Err(format!("{} entries", entries.len()));
        }
        for entry in entries {
            for name in ["ddsource", "ddtags", "hostname", "service", "message"] {
                entry[name]
                    .as_str()
                    .ok_or_else(|| format!("no {name}: {entry}"))?;
            }
            for name in ["dd.trace_id", "dd.span_id"] {
                let id = entry[name]
                    .as_str()
                    .and_then(|text| text.parse::<u64>().ok());
                id.ok_or_else(|| format!("{name} is not decimal: {entry}"))?;
            }
        }
        self.logs.extend_from_slice(entries);
        Ok((202, "{}".to_owned()))
    }
}

impl Strict for StrictDatadog {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect("dd-api-key", "K3Y")?;
        match request.path.as_str() {
            "/api/v2/series" => self.metrics(request),
            "/api/v2/logs" => self.entries(request),
            other => Err(format!("there is no {other}")),
        }
    }

    fn ids(&self) -> Vec<u64> {
        self.logs
            .iter()
            .filter_map(|log| log["id"].as_u64())
            .collect()
    }
}

fn config(url: String) -> DatadogConfig {
    let mut config = DatadogConfig::new("datadoghq.eu", "K3Y");
    config.connection = connection(url);
    config
}

pub fn open(url: String) -> Backend {
    datadog::open(&config(url)).unwrap()
}

#[test]
fn logs_have_every_field_that_datadog_reads() {
    let receiver = Receiver::start(StrictDatadog::default());
    let mut config = config(receiver.url());
    config.tags = vec!["team:vision".to_owned()];
    let mut backend = datadog::open(&config).unwrap();
    let mut batch = records::batch(0..1);
    let odd = [("status", ValueRef::Str("mine"))];
    records::push_error(&mut batch, 1, "broke", &odd);
    records::push_event(&mut batch, 2, "here");
    backend.export(&batch).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    let logs = receiver.with(|strict| strict.logs.clone());
    assert_eq!(
        logs[0],
        serde_json::json!({
            "ddsource": "radiosonde", "ddtags": "service:tester,env:staging,version:1.2,team:vision",
            "hostname": "host-1", "service": "tester", "message": "it said \"so\"\n", "status": "info",
            "timestamp": TIME_UNIX_NS / 1_000_000, "dd.trace_id": TRACE_LOW, "dd.span_id": "1",
            "otel.trace_id": TRACE, "logger.name": "app", "thread.id": 7, "id": 0, "share": 0.5,
        })
    );
    assert_eq!(
        (&logs[1]["status"], &logs[1]["attributes.status"]),
        (&"error".into(), &"mine".into())
    );
    assert_eq!(logs[2]["evt.name"], "test.happened");
    assert_eq!(
        (&logs[2]["message"], &logs[2]["place"]),
        (&"test.happened".into(), &"here".into())
    );
}

#[test]
fn counters_are_what_came_and_histograms_are_counts_and_quantiles() {
    let receiver = Receiver::start(StrictDatadog::default());
    let mut backend = open(receiver.url());
    for (seconds, total) in [(10, 5), (25, 12), (40, 3)] {
        backend
            .export_metrics(&records::snapshot(seconds, total))
            .unwrap();
        assert_eq!(deliver(&mut backend), 0);
    }
    receiver.assert_no_faults();
    let all = receiver.with(|strict| strict.series.clone());
    let named = |name: &str| -> Vec<(f64, i32, i64)> {
        let found = all.iter().filter(|series| series.metric == name);
        found
            .map(|one| (one.points[0].value, one.kind, one.interval))
            .collect()
    };
    // It shrank: what is there now is all new.
    assert_eq!(
        named("gpu.operation.count"),
        [(5.0, 1, 10), (7.0, 1, 15), (3.0, 1, 40)]
    );
    assert_eq!(
        named("gpu.operation.duration.sum"),
        [(10.0, 1, 10), (14.0, 1, 15), (6.0, 1, 40)]
    );
    assert_eq!(named("gpu.temperature"), [(61.5, 3, 0); 3]);
    for (value, ..) in named("gpu.operation.duration.p99") {
        assert!((1.0..=3.0).contains(&value), "{value}");
    }
    let first = &all[0];
    assert_eq!(
        (
            first.resources[0].kind.as_str(),
            first.resources[0].name.as_str()
        ),
        ("host", "host-1")
    );
    assert_eq!(
        first.tags,
        [
            "service:tester",
            "env:staging",
            "version:1.2",
            "operation:matmul"
        ]
    );
    assert_eq!(
        (first.unit.as_str(), first.source_type_name.as_str()),
        ("operation", "radiosonde")
    );
    assert_eq!(
        first.points[0].timestamp as u64,
        TIME_UNIX_NS / 1_000_000_000 + 10
    );
}

#[test]
fn what_is_too_much_for_one_request_is_split() {
    let receiver = Receiver::start(StrictDatadog::default());
    let mut config = config(receiver.url());
    config.connection.request_bytes_max = usize::MAX;
    let mut backend = datadog::open(&config).unwrap();
    backend.export(&records::batch(0..2500)).unwrap();
    let mut snapshot = records::snapshot(10, 1);
    let mut random = 1_u64;
    // Labels that compress badly.
    let labels = (0..40_000).map(|_| {
        let digits = (0..6).map(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            format!("{:08x}", random >> 32)
        });
        records::series(&digits.collect::<String>(), Number::U64(1))
    });
    snapshot.metrics[0].data = Data::Counter(labels.collect());
    backend.export_metrics(&snapshot).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    assert_eq!(receiver.ids(), (0..2500).collect::<Vec<_>>());
    let series = receiver.with(|strict| {
        let counted = strict
            .series
            .iter()
            .filter(|one| one.metric == "gpu.operation.count");
        counted.count()
    });
    assert_eq!(series, 40_000);
    assert!(receiver.requests().len() >= 3 + 3);
}
