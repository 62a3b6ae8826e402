//! OTLP's JSON of the generated types, written here by its rules, because what reads it is not to check itself.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        profiles::v1development::ExportProfilesServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any},
    logs::v1::LogRecord,
    metrics::v1::{
        Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
        SummaryDataPoint, exemplar, exponential_histogram_data_point::Buckets, metric::Data,
        number_data_point,
    },
    profiles::v1development::{Profile, ProfilesDictionary, ValueType},
    resource::v1::Resource,
    trace::v1::{Span, span},
};
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> String {
    // Case does not matter.
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02X}"));
        text
    })
}

fn number(number: u64) -> Value {
    Value::from(number.to_string())
}

fn double(value: f64) -> Value {
    if value.is_finite() {
        Value::from(value)
    } else if value.is_nan() {
        Value::from("NaN")
    } else {
        Value::from(if value > 0.0 { "Infinity" } else { "-Infinity" })
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    super::super::text::base64(&mut text, bytes);
    text
}

fn value(value: &AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(Any::StringValueStrindex(place)) => json!({"stringValueStrindex": place}),
        Some(Any::StringValue(text)) => json!({"stringValue": text}),
        Some(Any::BoolValue(value)) => json!({"boolValue": value}),
        Some(Any::IntValue(value)) => json!({"intValue": value.to_string()}),
        Some(Any::DoubleValue(value)) => json!({"doubleValue": double(*value)}),
        Some(Any::BytesValue(bytes)) => json!({"bytesValue": base64(bytes)}),
        Some(Any::ArrayValue(list)) => {
            let values: Vec<Value> = list.values.iter().map(self::value).collect();
            json!({"arrayValue": {"values": values}})
        }
        Some(Any::KvlistValue(map)) => json!({"kvlistValue": {"values": attributes(&map.values)}}),
    }
}

fn attributes(entries: &[KeyValue]) -> Value {
    let entry = |entry: &KeyValue| match &entry.value {
        Some(given) if entry.key.is_empty() => {
            json!({"keyStrindex": entry.key_strindex, "value": value(given)})
        }
        Some(given) => json!({"key": entry.key, "value": value(given)}),
        None => json!({"key": entry.key}),
    };
    entries.iter().map(entry).collect()
}

fn resource(resource: Option<&Resource>) -> Value {
    resource.map_or(
        Value::Null,
        |resource| json!({"attributes": attributes(&resource.attributes)}),
    )
}

fn scope(scope: Option<&InstrumentationScope>) -> Value {
    scope.map_or(
        Value::Null,
        |scope| json!({"name": scope.name, "version": scope.version}),
    )
}

fn event(event: &span::Event) -> Value {
    json!({
        "timeUnixNano": number(event.time_unix_nano), "name": event.name, "attributes": attributes(&event.attributes),
    })
}

fn link(link: &span::Link) -> Value {
    json!({
        "traceId": hex(&link.trace_id), "spanId": hex(&link.span_id), "attributes": attributes(&link.attributes),
        "unknownField": [{}],
    })
}

fn span(span: &Span) -> Value {
    let status = span
        .status
        .as_ref()
        .map(|status| json!({"code": status.code, "message": status.message}));
    json!({
        "traceId": hex(&span.trace_id), "spanId": hex(&span.span_id), "parentSpanId": hex(&span.parent_span_id),
        "traceState": span.trace_state, "name": span.name, "kind": span.kind,
        "startTimeUnixNano": number(span.start_time_unix_nano), "endTimeUnixNano": span.end_time_unix_nano,
        "attributes": attributes(&span.attributes), "droppedAttributesCount": span.dropped_attributes_count,
        "events": span.events.iter().map(event).collect::<Vec<_>>(), "droppedEventsCount": span.dropped_events_count,
        "links": span.links.iter().map(link).collect::<Vec<_>>(), "droppedLinksCount": span.dropped_links_count,
        "status": status,
    })
}

pub(super) fn traces(request: &ExportTraceServiceRequest) -> String {
    let groups = request.resource_spans.iter().map(|group| {
        let scopes = group.scope_spans.iter().map(|group| {
            let spans: Vec<Value> = group.spans.iter().map(span).collect();
            json!({"scope": scope(group.scope.as_ref()), "spans": spans})
        });
        json!({"scopeSpans": scopes.collect::<Vec<_>>(), "resource": resource(group.resource.as_ref())})
    });
    json!({"resourceSpans": groups.collect::<Vec<_>>()}).to_string()
}

fn log(log: &LogRecord) -> Value {
    json!({
        "timeUnixNano": number(log.time_unix_nano), "observedTimeUnixNano": number(log.observed_time_unix_nano),
        "severityNumber": log.severity_number, "severityText": log.severity_text,
        "body": log.body.as_ref().map(value), "attributes": attributes(&log.attributes),
        "droppedAttributesCount": log.dropped_attributes_count,
        "traceId": hex(&log.trace_id), "spanId": hex(&log.span_id), "eventName": log.event_name,
    })
}

pub(super) fn logs(request: &ExportLogsServiceRequest) -> String {
    let groups = request.resource_logs.iter().map(|group| {
        let scopes = group.scope_logs.iter().map(|group| {
            let logs: Vec<Value> = group.log_records.iter().map(log).collect();
            json!({"scope": scope(group.scope.as_ref()), "logRecords": logs})
        });
        json!({"resource": resource(group.resource.as_ref()), "scopeLogs": scopes.collect::<Vec<_>>()})
    });
    json!({"resourceLogs": groups.collect::<Vec<_>>()}).to_string()
}

fn exemplar(given: &Exemplar) -> Value {
    let mut json = json!({
        "timeUnixNano": number(given.time_unix_nano), "spanId": hex(&given.span_id), "traceId": hex(&given.trace_id),
        "filteredAttributes": attributes(&given.filtered_attributes),
    });
    match given.value {
        Some(exemplar::Value::AsDouble(value)) => json["asDouble"] = double(value),
        Some(exemplar::Value::AsInt(value)) => json["asInt"] = value.to_string().into(),
        None => {}
    }
    json
}

fn exemplars(given: &[Exemplar]) -> Vec<Value> {
    given.iter().map(exemplar).collect()
}

fn number_point(point: &NumberDataPoint) -> Value {
    let mut json = json!({
        "attributes": attributes(&point.attributes), "startTimeUnixNano": number(point.start_time_unix_nano),
        "timeUnixNano": number(point.time_unix_nano), "exemplars": exemplars(&point.exemplars), "flags": point.flags,
    });
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => json["asDouble"] = double(value),
        Some(number_data_point::Value::AsInt(value)) => json["asInt"] = value.to_string().into(),
        None => {}
    }
    json
}

fn histogram_point(point: &HistogramDataPoint) -> Value {
    json!({
        "attributes": attributes(&point.attributes), "startTimeUnixNano": number(point.start_time_unix_nano),
        "timeUnixNano": number(point.time_unix_nano), "count": number(point.count), "sum": point.sum.map(double),
        "bucketCounts": point.bucket_counts.iter().map(|count| number(*count)).collect::<Vec<_>>(),
        "explicitBounds": point.explicit_bounds.iter().map(|bound| double(*bound)).collect::<Vec<_>>(),
        "exemplars": exemplars(&point.exemplars), "flags": point.flags,
        "min": point.min.map(double), "max": point.max.map(double),
    })
}

fn buckets(buckets: Option<&Buckets>) -> Value {
    buckets.map_or(Value::Null, |buckets| {
        let counts: Vec<Value> = buckets
            .bucket_counts
            .iter()
            .map(|count| number(*count))
            .collect();
        json!({"offset": buckets.offset, "bucketCounts": counts})
    })
}

fn exponential_point(point: &ExponentialHistogramDataPoint) -> Value {
    json!({
        "attributes": attributes(&point.attributes), "startTimeUnixNano": number(point.start_time_unix_nano),
        "timeUnixNano": number(point.time_unix_nano), "count": number(point.count), "sum": point.sum.map(double),
        "scale": point.scale, "zeroCount": number(point.zero_count), "zeroThreshold": double(point.zero_threshold),
        "positive": buckets(point.positive.as_ref()), "negative": buckets(point.negative.as_ref()),
        "exemplars": exemplars(&point.exemplars), "flags": point.flags,
        "min": point.min.map(double), "max": point.max.map(double),
    })
}

fn summary_point(point: &SummaryDataPoint) -> Value {
    let quantiles = point.quantile_values.iter();
    let quantiles =
        quantiles.map(|at| json!({"quantile": double(at.quantile), "value": double(at.value)}));
    json!({
        "attributes": attributes(&point.attributes), "startTimeUnixNano": number(point.start_time_unix_nano),
        "timeUnixNano": number(point.time_unix_nano), "count": number(point.count), "sum": double(point.sum),
        "quantileValues": quantiles.collect::<Vec<_>>(), "flags": point.flags,
    })
}

fn metric(metric: &Metric) -> Value {
    let mut json =
        json!({"name": metric.name, "unit": metric.unit, "description": metric.description});
    match &metric.data {
        None => {}
        Some(Data::Gauge(gauge)) => {
            let points: Vec<Value> = gauge.data_points.iter().map(number_point).collect();
            json["gauge"] = json!({"dataPoints": points});
        }
        Some(Data::Sum(sum)) => {
            let points: Vec<Value> = sum.data_points.iter().map(number_point).collect();
            json["sum"] = json!({
                "dataPoints": points, "aggregationTemporality": sum.aggregation_temporality,
                "isMonotonic": sum.is_monotonic,
            });
        }
        Some(Data::Histogram(histogram)) => {
            let points: Vec<Value> = histogram.data_points.iter().map(histogram_point).collect();
            let temporality = histogram.aggregation_temporality;
            json["histogram"] =
                json!({"aggregationTemporality": temporality, "dataPoints": points});
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            let points: Vec<Value> = histogram
                .data_points
                .iter()
                .map(exponential_point)
                .collect();
            let temporality = histogram.aggregation_temporality;
            json["exponentialHistogram"] =
                json!({"aggregationTemporality": temporality, "dataPoints": points});
        }
        Some(Data::Summary(summary)) => {
            let points: Vec<Value> = summary.data_points.iter().map(summary_point).collect();
            json["summary"] = json!({"dataPoints": points});
        }
    }
    json
}

pub(super) fn metrics(request: &ExportMetricsServiceRequest) -> String {
    let groups = request.resource_metrics.iter().map(|group| {
        let scopes = group.scope_metrics.iter().map(|group| {
            let metrics: Vec<Value> = group.metrics.iter().map(metric).collect();
            json!({"scope": scope(group.scope.as_ref()), "metrics": metrics})
        });
        json!({"resource": resource(group.resource.as_ref()), "scopeMetrics": scopes.collect::<Vec<_>>()})
    });
    json!({"resourceMetrics": groups.collect::<Vec<_>>()}).to_string()
}

fn value_type(given: Option<&ValueType>) -> Value {
    given.map_or(
        Value::Null,
        |given| json!({"typeStrindex": given.type_strindex, "unitStrindex": given.unit_strindex}),
    )
}

fn profile(profile: &Profile) -> Value {
    let samples = profile.samples.iter().map(|sample| {
        let values: Vec<String> = sample.values.iter().map(ToString::to_string).collect();
        let times: Vec<Value> = sample.timestamps_unix_nano.iter().map(|time| number(*time)).collect();
        json!({
            "stackIndex": sample.stack_index, "linkIndex": sample.link_index, "attributeIndices": sample.attribute_indices,
            "values": values, "timestampsUnixNano": times,
        })
    });
    json!({
        "sampleType": value_type(profile.sample_type.as_ref()), "samples": samples.collect::<Vec<_>>(),
        "timeUnixNano": number(profile.time_unix_nano), "durationNano": number(profile.duration_nano),
        "periodType": value_type(profile.period_type.as_ref()), "period": profile.period.to_string(),
        "profileId": hex(&profile.profile_id), "attributeIndices": profile.attribute_indices,
        "droppedAttributesCount": profile.dropped_attributes_count,
    })
}

fn dictionary(tables: &ProfilesDictionary) -> Value {
    let mappings = tables.mapping_table.iter().map(|mapping| {
        json!({"memoryStart": number(mapping.memory_start), "filenameStrindex": mapping.filename_strindex})
    });
    let locations = tables.location_table.iter().map(|location| {
        let lines = location.lines.iter();
        let lines = lines.map(
            |line| json!({"functionIndex": line.function_index, "line": line.line.to_string()}),
        );
        json!({
            "mappingIndex": location.mapping_index, "address": number(location.address),
            "lines": lines.collect::<Vec<_>>(), "attributeIndices": location.attribute_indices,
        })
    });
    let functions = tables.function_table.iter().map(|function| {
        json!({
            "nameStrindex": function.name_strindex, "systemNameStrindex": function.system_name_strindex,
            "filenameStrindex": function.filename_strindex, "startLine": function.start_line.to_string(),
        })
    });
    let links = tables
        .link_table
        .iter()
        .map(|link| json!({"traceId": hex(&link.trace_id), "spanId": hex(&link.span_id)}));
    let attributes = tables.attribute_table.iter().map(|entry| {
        let value = entry.value.as_ref().map(value);
        json!({"keyStrindex": entry.key_strindex, "value": value, "unitStrindex": entry.unit_strindex})
    });
    let stacks = tables
        .stack_table
        .iter()
        .map(|stack| json!({"locationIndices": stack.location_indices}));
    json!({
        "mappingTable": mappings.collect::<Vec<_>>(), "locationTable": locations.collect::<Vec<_>>(),
        "functionTable": functions.collect::<Vec<_>>(), "linkTable": links.collect::<Vec<_>>(),
        "stringTable": tables.string_table, "attributeTable": attributes.collect::<Vec<_>>(),
        "stackTable": stacks.collect::<Vec<_>>(),
    })
}

pub(super) fn profiles(request: &ExportProfilesServiceRequest) -> String {
    let groups = request.resource_profiles.iter().map(|group| {
        let scopes = group.scope_profiles.iter().map(|group| {
            let profiles: Vec<Value> = group.profiles.iter().map(profile).collect();
            json!({"scope": scope(group.scope.as_ref()), "profiles": profiles})
        });
        json!({"resource": resource(group.resource.as_ref()), "scopeProfiles": scopes.collect::<Vec<_>>()})
    });
    json!({
        "resourceProfiles": groups.collect::<Vec<_>>(), "dictionary": request.dictionary.as_ref().map(dictionary),
    })
    .to_string()
}
