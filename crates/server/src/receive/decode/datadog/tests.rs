use std::sync::Arc;

use prost::Message as _;

use super::{
    super::{
        Encoding, Signal, Told, Unreadable, decode,
        sink::Reason,
        tests::{Kept, NOW, check_damaged},
    },
    Form,
};

/// Two traces that msgpack 1.2 for Python wrote, by what `span.proto` and `api/version.go` of Datadog's agent say: one of two spans, and
/// one of a span without an identifier. Version 0.4, and the same in version 0.5, which has no links.
const TRACES: &[u8] = include_bytes!("traces.msgpack");
const TABLE: &[u8] = include_bytes!("traces-table.msgpack");

fn kept(signal: Signal, form: Form, request: &[u8]) -> Kept {
    Kept::new(signal, Encoding::Datadog(form), request)
}

fn error(form: Form, request: &[u8]) -> Option<Unreadable> {
    let read = decode(
        Signal::Traces,
        Encoding::Datadog(form),
        &Told::default(),
        request,
        NOW,
        &Arc::default(),
    );
    read.err()
}

#[test]
fn traces_are_rows_in_both_forms() {
    let links =
        "[{\"trace_id\":\"00000000000000010000000000000002\",\"span_id\":\"0000000000000003\"}]";
    for (form, request, links) in [
        (Form::Traces, TRACES, links),
        (Form::TracesByTable, TABLE, "''"),
    ] {
        let kept = kept(Signal::Traces, form, request);
        let spans = "SELECT trace_id, span_id, parent_span_id, start_time, duration, name, kind, status, status_message, links, resource \
                     FROM spans ORDER BY span_id DESC";
        assert_eq!(
            kept.ask(spans),
            format!(
                "11223344556677880123456789abcdef | fedcba9876543210 | - | 2027-01-15T08:00:00.000000000Z | 1500 | web.request | \
                 server | error | declined | {links} | {{\"service.name\":\"shop\",\"deployment.environment.name\":\"test\",\
                 \"service.version\":\"1.2\"}}\n\
                 11223344556677880123456789abcdef | 0000000000000005 | fedcba9876543210 | 2027-01-15T08:00:00.000000000Z | 1500 | \
                 postgres.query | client | unset | '' | '' | {{\"service.name\":\"db\",\"deployment.environment.name\":\"test\"}}"
            )
        );
        let first = "SELECT attributes['resource.name'], attributes['span.type'], attributes['http.method'], attributes['error.type'], \
                     attributes['tokens'], attributes['_dd.p.tid'] FROM spans WHERE name = 'web.request'";
        assert_eq!(
            kept.ask(first),
            "GET /pay | web | GET | ValueError | 7.5 | -"
        );
        assert_eq!(
            kept.rejected.first,
            Some((Reason::TraceId, "[1][0]".to_owned()))
        );
    }
}

#[test]
fn a_number_that_leads_beyond_the_table_is_malformed() {
    let beyond = [0x92, 0x91, 0xa0, 0x91, 0x91, 0x9c, 1];
    assert!(
        matches!(error(Form::TracesByTable, &beyond), Some(Unreadable::Malformed(why)) if why.contains("beyond the table"))
    );
    // Said to be four thousand million of each.
    let many = [0xdd, 255, 255, 255, 255];
    assert!(error(Form::Traces, &many).is_some());
    assert!(matches!(
        error(Form::TracesByTable, &[&[0x92][..], &many].concat()),
        Some(Unreadable::TooMuch(_))
    ));
}

const SERIES: &str = "SELECT name, unit, kind, time, start_time, value, resource, attributes FROM points ORDER BY name";
const EXPECTED: &str = "jobs | {job} | counter | 2027-01-15T08:00:00.000000000Z | 2027-01-15T07:59:50.000000000Z | 4.0 | \
                        {\"service.name\":\"shop\",\"host.name\":\"box\"} | {\"env\":\"test\",\"fast\":\"true\",\
                        \"radiosonde.temporality\":\"delta\"}\n\
                        load | s | gauge | 2027-01-15T08:00:00.000000000Z | 1970-01-01T00:00:00.000000000Z | 1.5 | {\"service.name\":\"datadog\"} | -\n\
                        rate | '' | counter | 2027-01-15T08:00:00.000000000Z | 2027-01-15T07:59:50.000000000Z | 20.0 | \
                        {\"service.name\":\"datadog\"} | {\"radiosonde.temporality\":\"delta\"}";

#[test]
fn series_of_both_versions_are_the_same_rows() {
    // docs.datadoghq.com, "Submit metrics", versions 2 and 1.
    let new = br#"{"series": [
        {"metric": "jobs", "type": 1, "interval": 10, "unit": "job", "points": [{"timestamp": 1800000000, "value": 4}],
         "tags": ["env:test", "fast", "service:shop"], "resources": [{"name": "box", "type": "host"}]},
        {"metric": "load", "type": 3, "unit": "second", "points": [{"timestamp": 1800000000, "value": 1.5}]},
        {"metric": "rate", "type": 2, "interval": 10, "points": [{"timestamp": 1800000000, "value": 2}]}]}"#;
    let old = br#"{"series": [
        {"metric": "jobs", "type": "count", "interval": 10, "unit": "job", "points": [[1800000000, 4]], "host": "box",
         "tags": ["env:test", "fast", "service:shop"]},
        {"metric": "load", "type": "gauge", "unit": "second", "points": [[1800000000.0, "1.5"]]},
        {"metric": "rate", "type": "rate", "interval": 10, "points": [[1800000000, 2.0]]}]}"#;
    for request in [&new[..], old] {
        assert_eq!(
            kept(Signal::Metrics, Form::Series, request).ask(SERIES),
            EXPECTED
        );
    }
    check_damaged(Encoding::Datadog(Form::Series), new);
}

/// agent-payload, `proto/metrics/agent_payload.proto`, encoded by prost.
mod payload {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct MetricPayload {
        #[prost(message, repeated, tag = "1")]
        pub(super) series: Vec<MetricSeries>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct MetricSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) resources: Vec<Resource>,
        #[prost(string, tag = "2")]
        pub(super) metric: String,
        #[prost(string, repeated, tag = "3")]
        pub(super) tags: Vec<String>,
        #[prost(message, repeated, tag = "4")]
        pub(super) points: Vec<MetricPoint>,
        #[prost(int32, tag = "5")]
        pub(super) kind: i32,
        #[prost(string, tag = "6")]
        pub(super) unit: String,
        #[prost(int64, tag = "8")]
        pub(super) interval: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Resource {
        #[prost(string, tag = "1")]
        pub(super) kind: String,
        #[prost(string, tag = "2")]
        pub(super) name: String,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct MetricPoint {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
    }
}

#[test]
fn series_in_protobuf_are_the_same_rows() {
    let series = |metric: &str, kind, unit: &str, interval, value| payload::MetricSeries {
        metric: metric.to_owned(),
        kind,
        unit: unit.to_owned(),
        interval,
        points: vec![payload::MetricPoint {
            value,
            timestamp: 1_800_000_000,
        }],
        ..payload::MetricSeries::default()
    };
    let mut jobs = series("jobs", 1, "job", 10, 4.0);
    jobs.tags = ["env:test", "fast", "service:shop"]
        .map(str::to_owned)
        .to_vec();
    jobs.resources = vec![payload::Resource {
        kind: "host".to_owned(),
        name: "box".to_owned(),
    }];
    let series = vec![
        jobs,
        series("load", 3, "second", 0, 1.5),
        series("rate", 2, "", 10, 2.0),
    ];
    let request = payload::MetricPayload { series }.encode_to_vec();
    assert_eq!(
        kept(Signal::Metrics, Form::SeriesProtobuf, &request).ask(SERIES),
        EXPECTED
    );
    check_damaged(Encoding::Datadog(Form::SeriesProtobuf), &request);
}

#[test]
fn a_point_without_a_value_and_a_series_without_a_name_are_rejected() {
    let request = br#"{"series": [{"metric": "a", "points": [[1800000000, 1], [1800000000, null]]}, {"points": [[1800000000, 1]]}]}"#;
    let kept = kept(Signal::Metrics, Form::Series, request);
    assert_eq!((kept.counts.points, kept.rejected.items), (1, 2));
    let place = "series[0].points[1]".to_owned();
    assert_eq!(kept.rejected.first, Some((Reason::Value, place)));
}

#[test]
fn logs_are_rows_with_their_trace_whichever_way_it_is_said() {
    // docs.datadoghq.com, "Send logs", and what ddtrace adds to a log.
    let request = br#"[
        {"message": "one", "ddsource": "python", "ddtags": "env:test,version:1.2,team:core", "hostname": "box", "service": "shop",
         "status": "warning", "timestamp": 1800000000000, "dd.trace_id": "11223344556677880123456789abcdef", "dd.span_id": "5",
         "http": {"status": [200]}, "n": 7},
        {"message": {"a": 1}, "dd": {"trace_id": 81985529216486895, "span_id": "9", "service": "cart", "env": "dev"},
         "@timestamp": "2027-01-15T08:00:01+00:00"},
        {"ddtags": "service:tagged"}]"#;
    let kept = kept(Signal::Logs, Form::Logs, request);
    let statement = "SELECT time, trace_id, span_id, severity, body, resource, attributes FROM logs ORDER BY time, body DESC";
    assert_eq!(
        kept.ask(statement),
        "2027-01-15T08:00:00.000000000Z | 11223344556677880123456789abcdef | 0000000000000005 | 13 | one | \
         {\"service.name\":\"shop\",\"host.name\":\"box\",\"deployment.environment.name\":\"test\",\"service.version\":\"1.2\"} | \
         {\"ddsource\":\"python\",\"n\":7,\"team\":\"core\",\"http\":{\"status\": [200]}}\n\
         2027-01-15T08:00:00.000000000Z | - | - | 0 | '' | {\"service.name\":\"tagged\"} | -\n\
         2027-01-15T08:00:01.000000000Z | 00000000000000000123456789abcdef | 0000000000000009 | 0 | {\"a\": 1} | \
         {\"service.name\":\"cart\",\"deployment.environment.name\":\"dev\"} | -"
    );
    check_damaged(Encoding::Datadog(Form::Logs), request);
    let one = br#"{"message": "alone"}"#;
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(31), "]".repeat(31));
    assert!(error(Form::Logs, one).is_none() && error(Form::Logs, deep.as_bytes()).is_some());
}

#[test]
fn traces_that_are_damaged_are_answered() {
    check_damaged(Encoding::Datadog(Form::Traces), TRACES);
    check_damaged(Encoding::Datadog(Form::TracesByTable), TABLE);
}
