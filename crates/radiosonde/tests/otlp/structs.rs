//! The same records built as the generated structs of opentelemetry-proto: the slow way, which is easy to check.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value},
    logs::v1::LogRecord,
    metrics::v1::{
        AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint,
        Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, exemplar,
        exponential_histogram_data_point, metric, number_data_point,
    },
    resource::v1::Resource,
    trace::v1::{Span, Status, span, status},
};
use radiosonde::core::{
    batch::{RecordRef, SpanRef},
    metrics::snapshot::{self, Buckets, Data, Number, Series, Snapshot},
    model::{self, Place, Severity, Text, Value},
};

/// A record with the resource and scope it came under.
pub type Located<T> = (Resource, InstrumentationScope, T);

pub fn flatten_spans(request: ExportTraceServiceRequest) -> Vec<Located<Span>> {
    let mut all = Vec::new();
    for part in request.resource_spans {
        for scoped in part.scope_spans {
            let place = (part.resource.clone().unwrap(), scoped.scope.unwrap());
            all.extend(
                scoped
                    .spans
                    .into_iter()
                    .map(|span| (place.0.clone(), place.1.clone(), span)),
            );
        }
    }
    all
}

pub fn flatten_logs(request: ExportLogsServiceRequest) -> Vec<Located<LogRecord>> {
    let mut all = Vec::new();
    for part in request.resource_logs {
        for scoped in part.scope_logs {
            let place = (part.resource.clone().unwrap(), scoped.scope.unwrap());
            all.extend(
                scoped
                    .log_records
                    .into_iter()
                    .map(|log| (place.0.clone(), place.1.clone(), log)),
            );
        }
    }
    all
}

pub fn flatten_metrics(request: ExportMetricsServiceRequest) -> Vec<(Resource, Metric)> {
    let mut all = Vec::new();
    for part in request.resource_metrics {
        for scoped in part.scope_metrics {
            assert_eq!(scoped.scope.unwrap().name, "radiosonde");
            all.extend(
                scoped
                    .metrics
                    .into_iter()
                    .map(|metric| (part.resource.clone().unwrap(), metric)),
            );
        }
    }
    all
}

fn any(value: &Value) -> AnyValue {
    use any_value::Value as Any;
    let value = match value {
        Value::Null => None,
        Value::Bool(value) => Some(Any::BoolValue(*value)),
        Value::I64(value) => Some(Any::IntValue(*value)),
        Value::U64(value) => Some(match i64::try_from(*value) {
            Ok(value) => Any::IntValue(value),
            Err(_) => Any::StringValue(value.to_string()),
        }),
        Value::F64(value) => Some(Any::DoubleValue(*value)),
        Value::Str(text) => Some(Any::StringValue(text.to_string())),
        Value::List(values) => Some(Any::ArrayValue(ArrayValue {
            values: values.iter().map(any).collect(),
        })),
        Value::Map(entries) => Some(Any::KvlistValue(KeyValueList {
            values: attributes(entries),
        })),
    };
    AnyValue { value }
}

fn key_value(key: &str, value: &Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        ..KeyValue::default()
    }
}

fn attributes(attributes: &[(Text, Value)]) -> Vec<KeyValue> {
    attributes
        .iter()
        .map(|(key, value)| key_value(key, value))
        .collect()
}

pub fn resource(resource: &model::Resource) -> Resource {
    Resource {
        attributes: attributes(&resource.attributes),
        ..Resource::default()
    }
}

fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope {
        name: name.to_owned(),
        ..InstrumentationScope::default()
    }
}

pub fn span(span: &SpanRef<'_>) -> Span {
    let owned = span.to_span();
    let mut all = attributes(&owned.attributes);
    all.push(key_value("thread.id", &owned.thread.into()));
    if owned.severity != Severity::Info {
        all.push(key_value("level", &owned.severity.text().into()));
    }
    if let Some(id) = owned.correlation_id {
        all.push(key_value("correlation.id", &Value::Str(id)));
    }
    Span {
        trace_id: owned.trace_id.to_bytes().to_vec(),
        span_id: owned.span_id.to_bytes().to_vec(),
        parent_span_id: owned.parent_id.map_or(vec![], |id| id.to_bytes().to_vec()),
        flags: u32::from(span.flags()),
        name: owned.name.into_owned(),
        kind: owned.kind as i32,
        start_time_unix_nano: owned.start_unix_ns,
        end_time_unix_nano: owned.end_unix_ns,
        attributes: all,
        links: owned
            .links
            .iter()
            .map(|link| span::Link {
                trace_id: link.trace_id.to_bytes().to_vec(),
                span_id: link.span_id.to_bytes().to_vec(),
                ..span::Link::default()
            })
            .collect(),
        status: match owned.status {
            model::Status::Unset => None,
            model::Status::Ok => Some(Status {
                message: String::new(),
                code: status::StatusCode::Ok as i32,
            }),
            model::Status::Error(message) => Some(Status {
                message: message.into_owned(),
                code: status::StatusCode::Error as i32,
            }),
        },
        ..Span::default()
    }
}

pub fn located_span(resource: &Resource, record: &SpanRef<'_>) -> Located<Span> {
    (
        resource.clone(),
        scope(record.metadata().target()),
        span(record),
    )
}

struct Common {
    place: Option<Place>,
    thread: u32,
    correlation_id: Option<Text>,
    flags: u8,
    severity: Severity,
    time_unix_ns: u64,
}

fn log_record(common: Common, mut all: Vec<KeyValue>) -> LogRecord {
    all.push(key_value("thread.id", &common.thread.into()));
    if let Some(id) = common.correlation_id {
        all.push(key_value("correlation.id", &Value::Str(id)));
    }
    LogRecord {
        time_unix_nano: common.time_unix_ns,
        observed_time_unix_nano: common.time_unix_ns,
        severity_number: common.severity as i32,
        severity_text: common.severity.text().to_owned(),
        attributes: all,
        flags: u32::from(common.flags),
        trace_id: common
            .place
            .as_ref()
            .map_or(vec![], |place| place.trace_id.to_bytes().to_vec()),
        span_id: common
            .place
            .as_ref()
            .map_or(vec![], |place| place.span_id.to_bytes().to_vec()),
        ..LogRecord::default()
    }
}

pub fn located_log(resource: &Resource, record: &RecordRef<'_>) -> Option<Located<LogRecord>> {
    match record {
        RecordRef::Span(_) => None,
        RecordRef::Log(log) => {
            let owned = log.to_log();
            let common = Common {
                place: owned.place,
                thread: owned.thread,
                correlation_id: owned.correlation_id,
                flags: log.flags(),
                severity: owned.severity,
                time_unix_ns: owned.time_unix_ns,
            };
            let body = Some(any(&Value::Str(owned.message)));
            let record = LogRecord {
                body,
                ..log_record(common, attributes(&owned.attributes))
            };
            Some((resource.clone(), scope(&owned.target), record))
        }
        RecordRef::Event(event) => {
            let owned = event.to_event();
            let common = Common {
                place: owned.place,
                thread: owned.thread,
                correlation_id: owned.correlation_id,
                flags: event.flags(),
                severity: owned.severity,
                time_unix_ns: owned.time_unix_ns,
            };
            let mut all = attributes(&owned.data);
            all.push(key_value(
                "radiosonde.event.type",
                &Value::Str(owned.type_name),
            ));
            let record = LogRecord {
                event_name: owned.name.into_owned(),
                ..log_record(common, all)
            };
            Some((resource.clone(), scope(event.descriptor().target), record))
        }
    }
}

fn exemplars(exemplars: &[snapshot::Exemplar]) -> Vec<Exemplar> {
    exemplars
        .iter()
        .map(|exemplar| Exemplar {
            time_unix_nano: exemplar.time_unix_ns,
            value: Some(exemplar::Value::AsDouble(exemplar.value)),
            span_id: exemplar.span_id.to_bytes().to_vec(),
            trace_id: exemplar.trace_id.to_bytes().to_vec(),
            filtered_attributes: if exemplar.failed {
                vec![key_value("radiosonde.failed", &true.into())]
            } else {
                vec![]
            },
        })
        .collect()
}

fn numbers(snapshot: &Snapshot, series: &[Series<Number>]) -> Vec<NumberDataPoint> {
    series
        .iter()
        .map(|series| NumberDataPoint {
            attributes: attributes(&series.labels),
            start_time_unix_nano: series.start_unix_ns,
            time_unix_nano: snapshot.time_unix_ns,
            exemplars: exemplars(&series.exemplars),
            value: Some(match series.value {
                Number::F64(value) => number_data_point::Value::AsDouble(value),
                Number::I64(value) => number_data_point::Value::AsInt(value),
                Number::U64(value) => match i64::try_from(value) {
                    Ok(value) => number_data_point::Value::AsInt(value),
                    Err(_) => number_data_point::Value::AsDouble(value as f64),
                },
            }),
            ..NumberDataPoint::default()
        })
        .collect()
}

fn explicit(
    snapshot: &Snapshot,
    series: &[Series<snapshot::Histogram>],
) -> Vec<HistogramDataPoint> {
    let point = |series: &Series<snapshot::Histogram>| {
        let Buckets::Explicit { bounds, counts } = &series.value.buckets else {
            return None;
        };
        Some(HistogramDataPoint {
            attributes: attributes(&series.labels),
            start_time_unix_nano: series.start_unix_ns,
            time_unix_nano: snapshot.time_unix_ns,
            count: series.value.count,
            sum: Some(series.value.sum),
            bucket_counts: counts.clone(),
            explicit_bounds: bounds.to_vec(),
            exemplars: exemplars(&series.exemplars),
            min: series.value.min,
            max: series.value.max,
            ..HistogramDataPoint::default()
        })
    };
    series.iter().filter_map(point).collect()
}

fn exponential(
    snapshot: &Snapshot,
    series: &[Series<snapshot::Histogram>],
) -> Vec<ExponentialHistogramDataPoint> {
    let buckets = |offset: i32, counts: &[u64]| {
        (!counts.is_empty()).then(|| exponential_histogram_data_point::Buckets {
            offset,
            bucket_counts: counts.to_vec(),
        })
    };
    let point = |series: &Series<snapshot::Histogram>| {
        let Buckets::Exponential {
            scale,
            zero_count,
            offset,
            counts,
            negative_offset,
            negative_counts,
        } = &series.value.buckets
        else {
            return None;
        };
        Some(ExponentialHistogramDataPoint {
            attributes: attributes(&series.labels),
            start_time_unix_nano: series.start_unix_ns,
            time_unix_nano: snapshot.time_unix_ns,
            count: series.value.count,
            sum: Some(series.value.sum),
            scale: *scale,
            zero_count: *zero_count,
            positive: buckets(*offset, counts),
            negative: buckets(*negative_offset, negative_counts),
            exemplars: exemplars(&series.exemplars),
            min: series.value.min,
            max: series.value.max,
            ..ExponentialHistogramDataPoint::default()
        })
    };
    series.iter().filter_map(point).collect()
}

pub fn metrics(resource: &Resource, snapshot: &Snapshot) -> Vec<(Resource, Metric)> {
    let cumulative = AggregationTemporality::Cumulative as i32;
    let sum = |series: &[Series<Number>], is_monotonic| {
        metric::Data::Sum(Sum {
            data_points: numbers(snapshot, series),
            aggregation_temporality: cumulative,
            is_monotonic,
        })
    };
    let mut all = Vec::new();
    for metric in &snapshot.metrics {
        let data = match &metric.data {
            Data::Counter(series) => vec![sum(series, true)],
            Data::UpDownCounter(series) => vec![sum(series, false)],
            Data::Gauge(series) => vec![metric::Data::Gauge(Gauge {
                data_points: numbers(snapshot, series),
            })],
            Data::Histogram(series) => {
                let data_points = explicit(snapshot, series);
                let first =
                    (!data_points.is_empty()).then_some(metric::Data::Histogram(Histogram {
                        data_points,
                        aggregation_temporality: cumulative,
                    }));
                let data_points = exponential(snapshot, series);
                let second = (!data_points.is_empty()).then_some(
                    metric::Data::ExponentialHistogram(ExponentialHistogram {
                        data_points,
                        aggregation_temporality: cumulative,
                    }),
                );
                first.into_iter().chain(second).collect()
            }
        };
        all.extend(data.into_iter().map(|data| {
            let metric = Metric {
                name: metric.name.to_string(),
                description: metric.description.to_string(),
                unit: metric.unit.to_string(),
                data: Some(data),
                ..Metric::default()
            };
            (resource.clone(), metric)
        }));
    }
    all
}

pub fn points(metric: &Metric) -> usize {
    match metric.data.as_ref().unwrap() {
        metric::Data::Sum(sum) => sum.data_points.len(),
        metric::Data::Gauge(gauge) => gauge.data_points.len(),
        metric::Data::Histogram(histogram) => histogram.data_points.len(),
        metric::Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        metric::Data::Summary(summary) => summary.data_points.len(),
    }
}
