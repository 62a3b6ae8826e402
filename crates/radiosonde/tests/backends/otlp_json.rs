//! OTLP over HTTP in JSON, against a strict receiver, and beside the same in protobuf.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use prost::Message;
use radiosonde::{
    core::ValueRef,
    encode::otlp::{Encoder, Signal},
    exporter::{
        Exporter,
        otlp::{Compression, Otlp, OtlpConfig},
        spool::SpoolConfig,
    },
};
use serde_json::{Value, json};

use crate::{
    receiver::{Answer, Receiver, Request, Strict},
    records::{self, TIME_UNIX_NS, TRACE},
};

/// Stands in for a collector that reads JSON; no real one runs here. It checks path and media type (PROTOCOLS 7.1).
#[derive(Default)]
struct StrictCollector {
    spans: Vec<Value>,
    logs: Vec<Value>,
    metrics: Vec<Value>,
}

impl Strict for StrictCollector {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect("content-type", "application/json")?;
        let read = request.json()?;
        match request.path.as_str() {
            "/v1/traces" => self.spans.push(read["resourceSpans"][0].clone()),
            "/v1/logs" => self.logs.push(read["resourceLogs"][0].clone()),
            "/v1/metrics" => self.metrics.push(read["resourceMetrics"][0].clone()),
            other => return Err(format!("there is no {other}")),
        }
        Ok((200, "{}".to_owned()))
    }

    fn ids(&self) -> Vec<u64> {
        Vec::new()
    }
}

fn open(url: String) -> Otlp {
    let mut config = OtlpConfig::new(url);
    config.spool = SpoolConfig::in_memory();
    config.compression = Compression::Gzip;
    Otlp::http_json(&config).unwrap()
}

#[test]
fn json_has_hexadecimal_ids_camel_case_and_long_numbers_as_text() {
    let receiver = Receiver::start(StrictCollector::default());
    let mut otlp = open(receiver.url());
    let mut batch = records::batch(1..2);
    records::push_event(&mut batch, 2, "here");
    otlp.export(&batch).unwrap();
    otlp.export_metrics(&records::snapshot(10, 5)).unwrap();
    otlp.flush().unwrap();
    receiver.assert_no_faults();
    receiver.with(|strict| {
        let attribute = &strict.spans[0]["resource"]["attributes"][0];
        assert_eq!(
            *attribute,
            json!({"key": "service.name", "value": {"stringValue": "tester"}})
        );
        let span = &strict.spans[0]["scopeSpans"][0]["spans"][0];
        assert_eq!(
            (&span["traceId"], &span["spanId"], &span["parentSpanId"]),
            (
                &json!(TRACE),
                &json!("0000000000000002"),
                &json!("0000000000000001")
            )
        );
        assert_eq!(
            span["startTimeUnixNano"],
            (TIME_UNIX_NS + 1_000_000).to_string()
        );
        assert_eq!((&span["kind"], &span["name"]), (&json!(1), &json!("work")));
        let id = json!({"key": "id", "value": {"intValue": "1"}});
        assert!(
            span["attributes"].as_array().unwrap().contains(&id),
            "{span}"
        );
        let logs = &strict.logs[0]["scopeLogs"][0]["logRecords"];
        assert_eq!(logs[0]["body"], json!({"stringValue": "it said \"so\"\n"}));
        let metrics = &strict.metrics[0]["scopeMetrics"][0]["metrics"];
        assert_eq!(
            (
                &metrics[0]["sum"]["dataPoints"][0]["asInt"],
                &metrics[0]["sum"]["isMonotonic"]
            ),
            (&json!("5"), &json!(true))
        );
        let point = &metrics[1]["histogram"]["dataPoints"][0];
        assert_eq!(
            (&point["bucketCounts"], &point["explicitBounds"]),
            (&json!(["0", "5", "0"]), &json!([1.0, 4.0]))
        );
        assert_eq!(metrics[2]["gauge"]["dataPoints"][0]["asDouble"], 61.5);
    });
}

#[test]
fn json_says_what_protobuf_says() {
    let mut batch = records::empty();
    for id in 0..20 {
        let attributes = [
            ("n", ValueRef::I64(-(id as i64))),
            ("x", ValueRef::F64(f64::from(id as u32) / 3.0)),
            ("b", ValueRef::Bool(id % 2 == 0)),
            ("l", ValueRef::U64s(&[id, u64::MAX])),
            ("otel.status_code", ValueRef::Str("ERROR")),
            ("otel.kind", ValueRef::Str("client")),
        ];
        records::push_span(&mut batch, id, &attributes);
        records::push_log(&mut batch, id, "said", &attributes);
    }
    let receiver = Receiver::start(StrictCollector::default());
    let mut otlp = open(receiver.url());
    otlp.export(&batch).unwrap();
    otlp.flush().unwrap();
    let mut encoder = Encoder::default();
    encoder.batch(&batch, |request| match request.signal {
        Signal::Traces => {
            let read = ExportTraceServiceRequest::decode(request.body).unwrap();
            let spans = &read.resource_spans[0].scope_spans[0].spans;
            receiver.with(|strict| {
                let json = strict.spans[0]["scopeSpans"][0]["spans"]
                    .as_array()
                    .unwrap();
                assert_eq!(json.len(), spans.len());
                for (json, span) in json.iter().zip(spans) {
                    assert_eq!(json["name"], span.name);
                    assert_eq!(json["kind"], span.kind);
                    assert_eq!(json["status"]["code"], span.status.as_ref().unwrap().code);
                    assert_eq!(json["endTimeUnixNano"], span.end_time_unix_nano.to_string());
                    assert_eq!(
                        json["attributes"].as_array().unwrap().len(),
                        span.attributes.len()
                    );
                    for (json, attribute) in json["attributes"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .zip(&span.attributes)
                    {
                        assert_eq!(*json, as_json(attribute));
                    }
                }
            });
        }
        Signal::Logs => {
            let read = ExportLogsServiceRequest::decode(request.body).unwrap();
            let logs = &read.resource_logs[0].scope_logs[0].log_records;
            receiver.with(|strict| {
                let json = strict.logs[0]["scopeLogs"][0]["logRecords"]
                    .as_array()
                    .unwrap();
                assert_eq!(json.len(), logs.len());
                for (json, log) in json.iter().zip(logs) {
                    assert_eq!(json["severityNumber"], log.severity_number);
                    let attributes: Vec<Value> = log.attributes.iter().map(as_json).collect();
                    assert_eq!(json["attributes"], Value::Array(attributes));
                }
            });
        }
        Signal::Metrics => {
            ExportMetricsServiceRequest::decode(request.body).unwrap();
        }
    });
}

fn as_json(attribute: &opentelemetry_proto::tonic::common::v1::KeyValue) -> Value {
    json!({"key": attribute.key, "value": any(attribute.value.as_ref().unwrap())})
}

fn any(value: &opentelemetry_proto::tonic::common::v1::AnyValue) -> Value {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;

    match value.value.as_ref().unwrap() {
        Any::StringValue(text) => json!({"stringValue": text}),
        Any::BoolValue(truth) => json!({"boolValue": truth}),
        Any::IntValue(number) => json!({"intValue": number.to_string()}),
        Any::DoubleValue(number) => json!({"doubleValue": number}),
        Any::ArrayValue(list) => {
            json!({"arrayValue": {"values": list.values.iter().map(any).collect::<Vec<_>>()}})
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_collector_refuses_in_json_is_counted() {
    let receiver = Receiver::start(StrictCollector::default());
    let partial = "{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"too old\"}}";
    receiver.will([Answer::Status(200, "", partial.to_owned())]);
    let mut otlp = open(receiver.url());
    let mut batch = records::empty();
    (0..3).for_each(|id| records::push_span(&mut batch, id, &[]));
    otlp.export(&batch).unwrap();
    let mut refused = records::refused_by(otlp.flush());
    refused += records::refused_by(otlp.export(&records::empty()));
    assert_eq!(refused, 2);
}
