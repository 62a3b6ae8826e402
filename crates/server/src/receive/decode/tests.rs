use std::{fs, path::Path, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
        SummaryDataPoint, exemplar, exponential_histogram_data_point::Buckets, metric::Data,
        number_data_point, summary_data_point::ValueAtQuantile,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span},
};
use proptest::prelude::*;
use prost::Message as _;
use radiosonde_core::ids::TraceId;
use radiosonde_store::{
    Config, Rows, Store,
    query::{Cell, Limits},
};
use tempfile::TempDir;

use super::{
    Counts, DEPTH_MAX, Encoding, Rejected, Signal, Told, Unreadable, datadog, jaeger, loki,
    remote_write,
    sink::{ROWS_MAX, Reason},
    syslog,
};

mod any;
mod forms;
mod model;
mod profiles;

/// Makes rows of a request of which its address says nothing more.
fn decode(
    signal: Signal,
    encoding: Encoding,
    request: &[u8],
    now_unix_ns: i64,
) -> Result<(Rows, Counts, Rejected), Unreadable> {
    super::decode(
        signal,
        encoding,
        &Told::default(),
        request,
        now_unix_ns,
        &Arc::default(),
    )
}

/// When requests arrive: 2027-01-15T08:00:00Z.
pub(super) const NOW: i64 = 1_800_000_000_000_000_000;
const TRACE: [u8; 16] = [0xab; 16];
const SPAN: [u8; 8] = [0xcd; 8];

/// A store that has what a request became.
pub(super) struct Kept {
    store: Store,
    pub(super) counts: Counts,
    pub(super) rejected: Rejected,
    _folder: TempDir,
}

impl Kept {
    pub(super) fn new(signal: Signal, encoding: Encoding, request: &[u8]) -> Self {
        Self::of(decode(signal, encoding, request, NOW).unwrap())
    }

    pub(super) fn of((rows, counts, rejected): (Rows, Counts, Rejected)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Config::new(folder.path())).unwrap();
        store.append(rows).unwrap();
        Self {
            store,
            counts,
            rejected,
            _folder: folder,
        }
    }

    /// The answer to a statement, a line for each row.
    pub(super) fn ask(&self, statement: &str) -> String {
        let answer = self.store.sql(statement, Limits::default()).unwrap();
        let cell = |cell: &Cell| match cell {
            Cell::Null => "-".to_owned(),
            Cell::Text(text) if text.is_empty() => "''".to_owned(),
            Cell::Text(text) => text.clone(),
            Cell::Bool(value) => value.to_string(),
            Cell::Int(value) => value.to_string(),
            Cell::Float(value) => format!("{value:?}"),
        };
        let line = |row: &Vec<Cell>| row.iter().map(cell).collect::<Vec<_>>().join(" | ");
        answer.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn everything(&self) -> Vec<String> {
        let of = |table: &str| self.ask(&format!("SELECT * FROM {table}"));
        ["spans", "logs", "points", "profiles"].map(of).to_vec()
    }
}

/// Every form in which a request may be.
const ENCODINGS: [Encoding; 16] = [
    Encoding::Protobuf,
    Encoding::Json,
    Encoding::Zipkin,
    Encoding::Pprof,
    Encoding::Folded,
    Encoding::Jaeger(jaeger::Form::Thrift),
    Encoding::Jaeger(jaeger::Form::Protobuf),
    Encoding::Datadog(datadog::Form::Traces),
    Encoding::Datadog(datadog::Form::TracesByTable),
    Encoding::Datadog(datadog::Form::Series),
    Encoding::Datadog(datadog::Form::SeriesProtobuf),
    Encoding::Datadog(datadog::Form::Logs),
    Encoding::Loki(loki::Form::Json),
    Encoding::Loki(loki::Form::Protobuf),
    Encoding::RemoteWrite(remote_write::Form::One),
    Encoding::RemoteWrite(remote_write::Form::Two),
];

/// Reads a request in every way that there is: whatever it is, it has an answer.
fn check(request: &[u8]) {
    ENCODINGS
        .iter()
        .for_each(|encoding| check_as(*encoding, request));
    let mut batch = syslog::Batch::new(NOW);
    let is_message = batch.take(request, NOW).unwrap();
    let (rows, counts, rejected) = batch.finish();
    assert_eq!(
        (rows.len() as u64, counts.logs),
        (u64::from(is_message), u64::from(is_message))
    );
    assert_eq!(rejected.items, u64::from(!is_message));
    let _ = syslog::frame::first(request);
}

fn check_as(encoding: Encoding, request: &[u8]) {
    // Only OTLP's forms are read by signal.
    let is_otlp = matches!(encoding, Encoding::Protobuf | Encoding::Json);
    let signals = if is_otlp { 4 } else { 1 };
    for signal in Signal::ALL.into_iter().take(signals) {
        if let Ok((rows, counts, rejected)) = decode(signal, encoding, request, NOW) {
            let all = counts.spans + counts.logs + counts.points + counts.samples;
            assert_eq!(rows.len() as u64, all);
            assert_eq!(rejected.items == 0, rejected.first.is_none());
        }
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        key_strindex: 0,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the type of the field that it is for"
)]
fn resource(service: &str) -> Option<Resource> {
    Some(Resource {
        attributes: vec![text("service.name", service), text("host.name", "box")],
        ..Resource::default()
    })
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the type of the field that it is for"
)]
fn scope(name: &str) -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: name.to_owned(),
        ..InstrumentationScope::default()
    })
}

fn traces(spans: Vec<Span>) -> Vec<u8> {
    let group = ResourceSpans {
        resource: resource("shop"),
        scope_spans: vec![ScopeSpans {
            scope: scope("cart"),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![group],
    }
    .encode_to_vec()
}

fn logs(log_records: Vec<LogRecord>) -> Vec<u8> {
    let group = ResourceLogs {
        resource: resource("shop"),
        scope_logs: vec![ScopeLogs {
            scope: scope("cart"),
            log_records,
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![group],
    }
    .encode_to_vec()
}

fn metrics(metrics: Vec<Metric>) -> Vec<u8> {
    let group = ResourceMetrics {
        resource: resource("shop"),
        scope_metrics: vec![ScopeMetrics {
            scope: scope("cart"),
            metrics,
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![group],
    }
    .encode_to_vec()
}

fn a_span() -> Span {
    Span {
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        name: "pay".to_owned(),
        kind: 2,
        start_time_unix_nano: NOW as u64,
        end_time_unix_nano: NOW as u64 + 1500,
        ..Span::default()
    }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: "s".to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(value: Option<number_data_point::Value>, flags: u32) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![text("route", "/")],
        start_time_unix_nano: NOW as u64 - 5,
        time_unix_nano: NOW as u64,
        value,
        flags,
        ..NumberDataPoint::default()
    }
}

#[test]
fn a_span_is_a_row_and_its_events_are_rows_of_logs() {
    let event = |name: &str, attributes| span::Event {
        time_unix_nano: NOW as u64 + 7,
        name: name.to_owned(),
        attributes,
        ..span::Event::default()
    };
    let link = |trace: &[u8]| span::Link {
        trace_id: trace.to_vec(),
        span_id: SPAN.to_vec(),
        attributes: vec![text("why", "retry")],
        ..span::Link::default()
    };
    let request = traces(vec![Span {
        parent_span_id: vec![1; 8],
        trace_state: "a=1".to_owned(),
        attributes: vec![
            text("http.route", "/pay"),
            attribute("bytes", Any::BytesValue(vec![1, 2, 3])),
        ],
        dropped_links_count: 4,
        events: vec![
            event("retry", vec![attribute("attempt", Any::IntValue(2))]),
            event("exception", vec![text("exception.message", "no money")]),
        ],
        links: vec![link(&[3; 16]), link(&[0; 16])],
        status: Some(Status {
            message: "declined".to_owned(),
            code: 2,
        }),
        ..a_span()
    }]);
    let kept = Kept::new(Signal::Traces, Encoding::Protobuf, &request);
    let expected = Counts {
        spans: 1,
        logs: 2,
        ..Counts::default()
    };
    assert_eq!(
        (kept.counts, &kept.rejected),
        (expected, &Rejected::default())
    );
    let span = "SELECT trace_id, span_id, parent_span_id, start_time, duration, name, kind, status, status_message, \
                links, service, scope, resource, attributes FROM spans";
    insta::assert_snapshot!(kept.ask(span), @r#"abababababababababababababababab | cdcdcdcdcdcdcdcd | 0101010101010101 | 2027-01-15T08:00:00.000000000Z | 1500 | pay | server | error | declined | [{"trace_id":"03030303030303030303030303030303","span_id":"cdcdcdcdcdcdcdcd","attributes":{"why":"retry"}}] | shop | cart | {"service.name":"shop","host.name":"box"} | {"http.route":"/pay","w3c.tracestate":"a=1","otel.dropped_links_count":4,"bytes":"AQID"}"#);
    let events = "SELECT time, trace_id, span_id, severity, event_name, body, service, attributes FROM logs ORDER BY severity";
    insta::assert_snapshot!(kept.ask(events), @r#"
    2027-01-15T08:00:00.000000007Z | abababababababababababababababab | cdcdcdcdcdcdcdcd | 0 | retry | '' | shop | {"attempt":2}
    2027-01-15T08:00:00.000000007Z | abababababababababababababababab | cdcdcdcdcdcdcdcd | 17 | exception | no money | shop | {"exception.message":"no money"}
    "#);
}

#[test]
fn logs_have_a_time_a_severity_and_a_body_whatever_they_came_with() {
    let log = |body: Option<Any>| LogRecord {
        body: body.map(|value| AnyValue { value: Some(value) }),
        ..LogRecord::default()
    };
    let map = Any::KvlistValue(KeyValueList {
        values: vec![attribute("a", Any::IntValue(1)), text("b", "\"")],
    });
    let request = logs(vec![
        LogRecord {
            time_unix_nano: NOW as u64 - 3,
            observed_time_unix_nano: NOW as u64 - 1,
            severity_number: 13,
            severity_text: "odd".to_owned(),
            trace_id: TRACE.to_vec(),
            span_id: SPAN.to_vec(),
            event_name: "cart.full".to_owned(),
            attributes: vec![text("thread.id", "7")],
            dropped_attributes_count: 1,
            ..log(Some(Any::StringValue("hello".to_owned())))
        },
        LogRecord {
            observed_time_unix_nano: NOW as u64 - 2,
            severity_text: "WARNING".to_owned(),
            trace_id: vec![1, 2],
            ..log(Some(map))
        },
        LogRecord {
            severity_number: 99,
            ..log(Some(Any::DoubleValue(1.0)))
        },
        log(None),
    ]);
    let kept = Kept::new(Signal::Logs, Encoding::Protobuf, &request);
    assert_eq!((kept.counts.logs, kept.rejected.items), (4, 0));
    let statement = "SELECT time, trace_id, span_id, severity, event_name, body, service, scope, attributes FROM logs";
    insta::assert_snapshot!(kept.ask(statement), @r#"
    2027-01-15T07:59:59.999999997Z | abababababababababababababababab | cdcdcdcdcdcdcdcd | 13 | cart.full | hello | shop | cart | {"thread.id":"7","otel.dropped_attributes_count":1}
    2027-01-15T07:59:59.999999998Z | - | - | 13 | '' | {"a":1,"b":"\""} | shop | cart | -
    2027-01-15T08:00:00.000000000Z | - | - | 0 | '' | 1.0 | shop | cart | -
    2027-01-15T08:00:00.000000000Z | - | - | 0 | '' | '' | shop | cart | -
    "#);
}

fn exemplars() -> Vec<Exemplar> {
    vec![
        Exemplar {
            time_unix_nano: 9,
            span_id: SPAN.to_vec(),
            trace_id: TRACE.to_vec(),
            filtered_attributes: vec![text("k", "v")],
            value: Some(exemplar::Value::AsInt(3)),
        },
        Exemplar::default(),
    ]
}

/// A metric of each kind, and one of none.
fn metrics_of_every_kind() -> Vec<Metric> {
    let exemplars = exemplars();
    let gauge = Gauge {
        data_points: vec![
            NumberDataPoint {
                exemplars: exemplars.clone(),
                ..number(Some(number_data_point::Value::AsInt(-7)), 0)
            },
            number(None, 1),
        ],
    };
    let sum = |temporality, is_monotonic| {
        let point = number(Some(number_data_point::Value::AsDouble(2.5)), 0);
        Data::Sum(Sum {
            data_points: vec![point],
            aggregation_temporality: temporality,
            is_monotonic,
        })
    };
    let histogram = Data::Histogram(Histogram {
        data_points: vec![HistogramDataPoint {
            time_unix_nano: NOW as u64,
            count: 3,
            sum: Some(6.0),
            bucket_counts: vec![1, 2],
            explicit_bounds: vec![1.5],
            exemplars,
            max: Some(4.0),
            ..HistogramDataPoint::default()
        }],
        aggregation_temporality: 1,
    });
    let exponential = Data::ExponentialHistogram(ExponentialHistogram {
        data_points: vec![ExponentialHistogramDataPoint {
            time_unix_nano: NOW as u64,
            count: 3,
            scale: -1,
            zero_count: 1,
            positive: Some(Buckets {
                offset: -2,
                bucket_counts: vec![2, 300],
            }),
            ..ExponentialHistogramDataPoint::default()
        }],
        aggregation_temporality: 2,
    });
    let summary = Data::Summary(Summary {
        data_points: vec![SummaryDataPoint {
            count: 4,
            sum: 8.0,
            quantile_values: [(0.5, 1.0), (0.99, 5.0)]
                .map(|(quantile, value)| ValueAtQuantile { quantile, value })
                .to_vec(),
            ..SummaryDataPoint::default()
        }],
    });
    vec![
        metric("a.gauge", Data::Gauge(gauge)),
        metric("b.counter", sum(2, true)),
        metric("c.delta", sum(1, true)),
        metric("d.updown", sum(2, false)),
        metric("e.histogram", histogram),
        metric("f.exponential", exponential),
        metric("g.summary", summary),
        Metric::default(),
    ]
}

#[test]
fn readings_of_every_kind_are_rows() {
    let request = metrics(metrics_of_every_kind());
    let kept = Kept::new(Signal::Metrics, Encoding::Protobuf, &request);
    assert_eq!((kept.counts.points, kept.rejected.items), (10, 0));
    let statement = "SELECT name, unit, kind, value, count, start_time, attributes, distribution, exemplars FROM points \
                     ORDER BY name, attributes";
    insta::assert_snapshot!(kept.ask(statement), @r#"
    a.gauge | s | gauge | -7.0 | 0 | 2027-01-15T07:59:59.999999995Z | {"route":"/"} | '' | [{"time_unix_nano":9,"value":3.0,"trace_id":"abababababababababababababababab","span_id":"cdcdcdcdcdcdcdcd","attributes":{"k":"v"}}]
    b.counter | s | counter | 2.5 | 0 | 2027-01-15T07:59:59.999999995Z | {"route":"/"} | '' | ''
    c.delta | s | counter | 2.5 | 0 | 2027-01-15T07:59:59.999999995Z | {"route":"/","radiosonde.temporality":"delta"} | '' | ''
    d.updown | s | up_down_counter | 2.5 | 0 | 2027-01-15T07:59:59.999999995Z | {"route":"/"} | '' | ''
    e.histogram | s | histogram | 6.0 | 3 | 1970-01-01T00:00:00.000000000Z | {"radiosonde.temporality":"delta"} | {"bucket_counts":[1,2],"explicit_bounds":[1.5],"max":4.0} | [{"time_unix_nano":9,"value":3.0,"trace_id":"abababababababababababababababab","span_id":"cdcdcdcdcdcdcdcd","attributes":{"k":"v"}}]
    f.exponential | s | histogram | NaN | 3 | 1970-01-01T00:00:00.000000000Z | - | {"scale":-1,"zero_count":1,"zero_threshold":0.0,"positive":{"offset":-2,"bucket_counts":[2,300]},"negative":{"offset":0,"bucket_counts":[]}} | ''
    g.summary | s | gauge | 1.0 | 0 | 1970-01-01T00:00:00.000000000Z | {"quantile":0.5} | '' | ''
    g.summary | s | gauge | 5.0 | 0 | 1970-01-01T00:00:00.000000000Z | {"quantile":0.99} | '' | ''
    g.summary_count | '' | counter | 4.0 | 0 | 1970-01-01T00:00:00.000000000Z | - | '' | ''
    g.summary_sum | s | counter | 8.0 | 0 | 1970-01-01T00:00:00.000000000Z | - | '' | ''
    "#);
}

#[test]
fn what_our_own_library_sends_reads_back_as_it_was() {
    let mut request = ExportTraceServiceRequest::decode(&*traces(vec![Span {
        attributes: vec![
            attribute("thread.id", Any::IntValue(3)),
            text("level", "DEBUG"),
            text("correlation.id", "order-7"),
        ],
        ..a_span()
    }]))
    .unwrap();
    let of = |request: &ExportTraceServiceRequest| {
        let kept = Kept::new(Signal::Traces, Encoding::Protobuf, &request.encode_to_vec());
        kept.ask("SELECT attributes FROM spans")
    };
    let theirs = of(&request);
    assert_eq!(
        theirs,
        r#"{"thread.id":3,"level":"DEBUG","correlation.id":"order-7"}"#
    );
    let resource = request.resource_spans[0].resource.as_mut().unwrap();
    resource
        .attributes
        .push(text("telemetry.sdk.name", "radiosonde"));
    let ours = of(&request);
    assert_eq!(
        ours,
        r#"{"thread.id":3,"radiosonde.level":"DEBUG","correlation.id":"order-7"}"#
    );
}

/// What becomes of a span, in both encodings.
fn rejected(span: Span) -> Option<(Reason, String)> {
    let bytes = traces(vec![a_span(), span]);
    let json = forms::traces(&ExportTraceServiceRequest::decode(&*bytes).unwrap());
    let (_, counts, rejected) = decode(Signal::Traces, Encoding::Protobuf, &bytes, NOW).unwrap();
    assert_eq!(counts.spans + rejected.items, 2);
    let (_, _, of_json) = decode(Signal::Traces, Encoding::Json, json.as_bytes(), NOW).unwrap();
    assert_eq!(rejected, of_json);
    rejected.first
}

#[test]
fn spans_that_cannot_be_are_rejected_with_reason_and_place() {
    const TEN_YEARS: u64 = 10 * 365 * 24 * 3600 * 1_000_000_000;
    let now = NOW as u64;
    let place = "resource_spans[0].scope_spans[0].spans[1]";
    let why = |span| {
        rejected(span).map(|(reason, at)| {
            assert_eq!(at, place);
            reason
        })
    };
    let with = |change: &dyn Fn(&mut Span)| {
        let mut span = a_span();
        change(&mut span);
        why(span)
    };
    assert_eq!(
        with(&|span| span.trace_id = vec![0; 16]),
        Some(Reason::TraceId)
    );
    assert_eq!(with(&|span| span.trace_id = vec![]), Some(Reason::TraceId));
    assert_eq!(
        with(&|span| span.trace_id = vec![1; 15]),
        Some(Reason::TraceId)
    );
    assert_eq!(
        with(&|span| span.span_id = vec![0; 8]),
        Some(Reason::SpanId)
    );
    assert_eq!(
        with(&|span| span.span_id = vec![1; 16]),
        Some(Reason::SpanId)
    );
    assert_eq!(
        with(&|span| span.parent_span_id = vec![1; 7]),
        Some(Reason::ParentSpanId)
    );
    assert_eq!(with(&|span| span.parent_span_id = vec![0; 8]), None);
    assert_eq!(
        with(&|span| span.start_time_unix_nano = 0),
        Some(Reason::Time)
    );
    assert_eq!(
        with(&|span| span.start_time_unix_nano = now - TEN_YEARS - 1),
        Some(Reason::Time)
    );
    assert_eq!(
        with(&|span| span.start_time_unix_nano = now - TEN_YEARS),
        None
    );
    assert_eq!(
        with(&|span| span.end_time_unix_nano = u64::MAX),
        Some(Reason::Time)
    );
    assert_eq!(
        with(&|span| span.attributes = vec![text("a", "b"); 4097]),
        Some(Reason::Attributes)
    );
    assert_eq!(
        with(&|span| span.attributes = vec![text("a", "b"); 4096]),
        None
    );
}

#[test]
fn a_span_that_ends_before_it_starts_took_no_time() {
    let span = Span {
        end_time_unix_nano: NOW as u64 - 5,
        ..a_span()
    };
    let kept = Kept::new(Signal::Traces, Encoding::Protobuf, &traces(vec![span]));
    assert_eq!(kept.ask("SELECT duration FROM spans"), "0");
}

#[test]
fn logs_and_readings_that_cannot_be_are_rejected() {
    let log = LogRecord {
        time_unix_nano: 5,
        ..LogRecord::default()
    };
    let (_, _, rejected) = decode(Signal::Logs, Encoding::Protobuf, &logs(vec![log]), NOW).unwrap();
    let place = "resource_logs[0].scope_logs[0].log_records[0]".to_owned();
    assert_eq!(rejected.first, Some((Reason::Time, place)));
    let why = |metric: Metric| {
        let (_, counts, rejected) = decode(
            Signal::Metrics,
            Encoding::Protobuf,
            &metrics(vec![metric]),
            NOW,
        )
        .unwrap();
        assert_eq!((counts.points, rejected.items), (0, 1));
        rejected.first.unwrap()
    };
    let gauge = |point| {
        Data::Gauge(Gauge {
            data_points: vec![point],
        })
    };
    let value = Some(number_data_point::Value::AsInt(1));
    let place = "resource_metrics[0].scope_metrics[0].metrics[0].data_points[0]".to_owned();
    assert_eq!(
        why(metric("", gauge(number(value, 0)))),
        (Reason::Name, place)
    );
    assert_eq!(why(metric("a", gauge(number(None, 0)))).0, Reason::Value);
    let late = NumberDataPoint {
        time_unix_nano: u64::MAX,
        ..number(value, 0)
    };
    assert_eq!(why(metric("a", gauge(late))).0, Reason::Time);
    let histogram = Data::Histogram(Histogram {
        data_points: vec![HistogramDataPoint {
            bucket_counts: vec![1],
            explicit_bounds: vec![1.0],
            ..HistogramDataPoint::default()
        }],
        aggregation_temporality: 2,
    });
    assert_eq!(why(metric("a", histogram)).0, Reason::Buckets);
    let summary = Data::Summary(Summary {
        data_points: vec![SummaryDataPoint {
            time_unix_nano: 1,
            quantile_values: vec![ValueAtQuantile::default(); 3],
            ..SummaryDataPoint::default()
        }],
    });
    assert_eq!(why(metric("a", summary)).0, Reason::Time);
}

#[test]
fn text_that_is_no_utf8_is_taken_as_far_as_it_is() {
    let mut request = traces(vec![Span {
        name: "name".to_owned(),
        attributes: vec![text("keys", "text")],
        ..a_span()
    }]);
    for word in [b"name", b"keys", b"text"] {
        let at = request
            .windows(4)
            .rposition(|window| window == word)
            .unwrap();
        request[at] = 0xff;
    }
    let kept = Kept::new(Signal::Traces, Encoding::Protobuf, &request);
    let read = kept.ask("SELECT name, attributes FROM spans");
    assert_eq!(read, "\u{fffd}ame | {\"\u{fffd}eys\":\"\u{fffd}ext\"}");
}

/// A list in a list and so on, so many of them.
fn nested(depth: usize) -> Any {
    (0..depth).fold(Any::IntValue(1), |inner, level| {
        let value = AnyValue { value: Some(inner) };
        if level % 2 == 0 {
            Any::ArrayValue(ArrayValue {
                values: vec![value],
            })
        } else {
            let entry = KeyValue {
                key: "k".to_owned(),
                value: Some(value),
                key_strindex: 0,
            };
            Any::KvlistValue(KeyValueList {
                values: vec![entry],
            })
        }
    })
}

#[test]
fn values_may_be_nested_so_deep_and_no_deeper() {
    for depth in [DEPTH_MAX, DEPTH_MAX + 1] {
        let value = AnyValue {
            value: Some(nested(depth)),
        };
        let span = traces(vec![Span {
            attributes: vec![attribute("deep", nested(depth))],
            ..a_span()
        }]);
        let log = logs(vec![LogRecord {
            body: Some(value),
            ..LogRecord::default()
        }]);
        let of_span = forms::traces(&ExportTraceServiceRequest::decode(&*span).unwrap());
        let of_log = forms::logs(&ExportLogsServiceRequest::decode(&*log).unwrap());
        for (signal, encoding, request) in [
            (Signal::Traces, Encoding::Protobuf, &*span),
            (Signal::Logs, Encoding::Protobuf, &*log),
            (Signal::Traces, Encoding::Json, of_span.as_bytes()),
            (Signal::Logs, Encoding::Json, of_log.as_bytes()),
        ] {
            let read = decode(signal, encoding, request, NOW);
            assert_eq!(
                read.is_ok(),
                depth == DEPTH_MAX,
                "{signal:?} {encoding:?} {:?}",
                read.err()
            );
        }
    }
}

#[test]
fn nesting_without_end_is_malformed() {
    // `AnyValue{array_value=5{values=1{..}}}`, built from the inside, by hand because a library would not.
    let mut value = vec![0x18, 1];
    for _ in 0..20_000 {
        let mut outer = Vec::new();
        super::wire::put_bytes(&mut outer, 1, &value);
        value.clear();
        super::wire::put_bytes(&mut value, 5, &outer);
    }
    let (mut log, mut scope, mut group, mut request) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    super::wire::put_bytes(&mut log, 5, &value);
    super::wire::put_bytes(&mut scope, 2, &log);
    super::wire::put_bytes(&mut group, 2, &scope);
    super::wire::put_bytes(&mut request, 1, &group);
    assert!(matches!(
        decode(Signal::Logs, Encoding::Protobuf, &request, NOW),
        Err(Unreadable::Malformed(_))
    ));
    let deep = |open: &str| format!("{{\"resourceLogs\":{}", open.repeat(1_000_000));
    for open in ["[", "{\"a\":", "[{\"scopeLogs\":"] {
        let request = deep(open);
        let read = decode(Signal::Logs, Encoding::Json, request.as_bytes(), NOW);
        assert!(matches!(read, Err(Unreadable::Malformed(_))), "{open}");
    }
}

#[test]
fn a_request_becomes_a_bounded_number_of_rows() {
    // An empty log is two bytes and a row.
    let request = logs(vec![LogRecord::default(); ROWS_MAX]);
    assert!(decode(Signal::Logs, Encoding::Protobuf, &request, NOW).is_ok());
    let request = logs(vec![LogRecord::default(); ROWS_MAX + 1]);
    assert!(matches!(
        decode(Signal::Logs, Encoding::Protobuf, &request, NOW),
        Err(Unreadable::TooMuch(_))
    ));
}

#[test]
fn text_that_many_rows_repeat_is_bounded() {
    // Every quantile is a row with all attributes of its data point.
    let point = SummaryDataPoint {
        attributes: vec![text("a", &"b".repeat(1024 * 1024))],
        quantile_values: vec![ValueAtQuantile::default(); 1000],
        ..SummaryDataPoint::default()
    };
    let summary = Data::Summary(Summary {
        data_points: vec![point],
    });
    let request = metrics(vec![metric("a", summary)]);
    assert!(matches!(
        decode(Signal::Metrics, Encoding::Protobuf, &request, NOW),
        Err(Unreadable::TooMuch(_))
    ));
}

#[test]
fn json_under_the_path_of_another_signal_is_said_to_be() {
    let read = decode(
        Signal::Traces,
        Encoding::Json,
        br#"{"resourceLogs":[]}"#,
        NOW,
    );
    let expected = Unreadable::Malformed("it holds logs, which /v1/logs takes".to_owned());
    assert_eq!(read.err(), Some(expected));
}

#[test]
fn requests_of_nothing_are_taken() {
    for signal in [Signal::Traces, Signal::Logs, Signal::Metrics] {
        for (encoding, request) in [(Encoding::Protobuf, &b""[..]), (Encoding::Json, b"{}")] {
            let (rows, _, rejected) = decode(signal, encoding, request, NOW).unwrap();
            assert!(rows.is_empty() && rejected.items == 0);
        }
    }
    assert!(
        decode(Signal::Traces, Encoding::Zipkin, b"[]", NOW)
            .unwrap()
            .0
            .is_empty()
    );
}

#[test]
fn zipkin_spans_are_rows() {
    let request = r#"[
        {"traceId": "5af7183fb1d4cf5f", "id": "6b221d5bc9e6496c", "parentId": "352bff9a74ca9ad2", "name": "get /api",
         "kind": "CLIENT", "timestamp": 1800000000000000, "duration": 1431,
         "localEndpoint": {"serviceName": "front\u0065nd", "ipv4": "192.168.99.1", "port": 3306},
         "remoteEndpoint": {"serviceName": "backend", "ipv4": "172.19.0.2", "port": 58648},
         "annotations": [{"timestamp": 1800000000000100, "value": "foo"}],
         "tags": {"http.method": "GET", "error": "timed out"}},
        {"traceId": "0000000000000000", "id": "6b221d5bc9e6496c", "timestamp": 1800000000000000}
    ]"#;
    let kept = Kept::new(Signal::Traces, Encoding::Zipkin, request.as_bytes());
    assert_eq!(
        kept.rejected.first,
        Some((Reason::TraceId, "[1]".to_owned()))
    );
    let span = "SELECT trace_id, span_id, parent_span_id, start_time, duration, name, kind, status, status_message, \
                service, resource, attributes FROM spans";
    insta::assert_snapshot!(kept.ask(span), @r#"00000000000000005af7183fb1d4cf5f | 6b221d5bc9e6496c | 352bff9a74ca9ad2 | 2027-01-15T08:00:00.000000000Z | 1431000 | get /api | client | error | timed out | frontend | {"service.name":"frontend"} | {"http.method":"GET","error":"timed out","peer.service":"backend","network.peer.address":"172.19.0.2","network.peer.port":58648}"#);
    let events = "SELECT time, span_id, event_name, service FROM logs";
    insta::assert_snapshot!(kept.ask(events), @"2027-01-15T08:00:00.000100000Z | 6b221d5bc9e6496c | foo | frontend");
}

#[test]
fn requests_that_end_anywhere_or_have_one_bit_wrong_are_answered() {
    let of_traces = traces(vec![Span {
        attributes: vec![text("a", "b"), attribute("c", nested(3))],
        events: vec![span::Event::default()],
        links: vec![span::Link::default()],
        ..a_span()
    }]);
    let json = forms::traces(&ExportTraceServiceRequest::decode(&*of_traces).unwrap());
    let of_metrics = metrics(vec![metric(
        "a",
        Data::Gauge(Gauge {
            data_points: vec![number(Some(number_data_point::Value::AsInt(1)), 0)],
        }),
    )]);
    let of_logs = logs(vec![LogRecord {
        body: text("", "x").value,
        ..LogRecord::default()
    }]);
    let of_profiles = profiles::a_request().encode_to_vec();
    let pprof = profiles::a_pprof();
    let json = json.into_bytes();
    for request in [of_traces, of_metrics, of_logs, json, of_profiles, pprof] {
        for at in 0..request.len() {
            check(&request[..at]);
            for bit in 0..8 {
                let mut flipped = request.clone();
                flipped[at] ^= 1 << bit;
                check(&flipped);
            }
        }
        let (head, tail) = request.split_at(request.len() / 2);
        check(&[tail, head].concat());
    }
    // What they were made from is one that is read.
    assert!(
        decode(
            Signal::Traces,
            Encoding::Protobuf,
            &traces(vec![a_span()]),
            NOW
        )
        .is_ok()
    );
}

/// A request that was cut anywhere, or of which a bit or a byte is wrong, is answered.
pub(super) fn check_damaged(encoding: Encoding, request: &[u8]) {
    assert!(decode(Signal::Traces, encoding, request, NOW).is_ok());
    for at in 0..request.len() {
        check_as(encoding, &request[..at]);
        for wrong in (0..8)
            .map(|bit| request[at] ^ 1 << bit)
            .chain([0, 0x7f, 0xff])
        {
            let mut changed = request.to_vec();
            changed[at] = wrong;
            check_as(encoding, &changed);
        }
    }
    let (head, tail) = request.split_at(request.len() / 2);
    check_as(encoding, &[tail, head].concat());
}

/// The seeds of the fuzz targets, so that they neither rot nor wait for a fuzzer to find the obvious.
#[test]
fn fuzz_seeds() {
    for target in ["otlp_protobuf", "otlp_json", "foreign"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/seeds")
            .join(target);
        let mut seeds = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            // The first byte tells the fuzz target which signal it is.
            let seed = fs::read(entry.unwrap().path()).unwrap().split_off(1);
            seeds += 1;
            check(&seed);
            for at in 0..seed.len().min(800) {
                check(&seed[..at]);
                let mut changed = seed.clone();
                changed[at] ^= 1 << (at % 7);
                check(&changed);
            }
        }
        assert!(seeds > 0, "{} holds no seeds", folder.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn spans_read_back_as_they_were_sent(request in any::traces()) {
        let bytes = request.encode_to_vec();
        let kept = Kept::new(Signal::Traces, Encoding::Protobuf, &bytes);
        let trace = TraceId::new(u128::from_be_bytes(TRACE)).unwrap();
        let read = model::read(kept.store.trace(trace).unwrap());
        prop_assert_eq!(read, model::expected(&request));
        let json = Kept::new(Signal::Traces, Encoding::Json, forms::traces(&request).as_bytes());
        prop_assert_eq!(json.everything(), kept.everything());
    }

    #[test]
    fn logs_are_the_same_rows_in_both_encodings(request in any::logs()) {
        let kept = Kept::new(Signal::Logs, Encoding::Protobuf, &request.encode_to_vec());
        let json = Kept::new(Signal::Logs, Encoding::Json, forms::logs(&request).as_bytes());
        prop_assert_eq!(json.everything(), kept.everything());
        prop_assert_eq!((json.counts, &json.rejected), (kept.counts, &kept.rejected));
    }

    #[test]
    fn readings_are_the_same_rows_in_both_encodings(request in any::metrics()) {
        let kept = Kept::new(Signal::Metrics, Encoding::Protobuf, &request.encode_to_vec());
        let json = Kept::new(Signal::Metrics, Encoding::Json, forms::metrics(&request).as_bytes());
        prop_assert_eq!(json.everything(), kept.everything());
        prop_assert_eq!((json.counts, &json.rejected), (kept.counts, &kept.rejected));
    }

    #[test]
    fn profiles_are_the_same_rows_in_both_encodings(request in any::profiles()) {
        let kept = Kept::new(Signal::Profiles, Encoding::Protobuf, &request.encode_to_vec());
        let json = Kept::new(Signal::Profiles, Encoding::Json, forms::profiles(&request).as_bytes());
        prop_assert_eq!(json.everything(), kept.everything());
        prop_assert_eq!((json.counts, &json.rejected), (kept.counts, &kept.rejected));
        // Whatever places it has: a profile is kept whole or not at all.
        let profiles = profiles::all(&request);
        prop_assert_eq!(kept.counts.profiles + kept.rejected.items, profiles.len() as u64);
        prop_assert_eq!(kept.counts.profiles, profiles.iter().filter(|profile| profiles::is_sound(profile, &request)).count() as u64);
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }
}
