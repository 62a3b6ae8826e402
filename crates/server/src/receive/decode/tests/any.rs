//! Requests of any content, as the generated types have them.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        profiles::v1development::ExportProfilesServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
        SummaryDataPoint, exemplar, exponential_histogram_data_point::Buckets, metric::Data,
        number_data_point, summary_data_point::ValueAtQuantile,
    },
    profiles::v1development::{
        Function, KeyValueAndUnit, Line, Link, Location, Mapping, Profile, ProfilesDictionary,
        ResourceProfiles, Sample, ScopeProfiles, Stack, ValueType,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span},
};
use proptest::{collection::vec, option, prelude::*};

use super::NOW;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z]{1,8}", 1 => "\\PC{0,6}", 1 => "[\"\\\\\n\t\u{0}-\u{1f}é]{0,4}"]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![-1e12..1e12, Just(0.0), Just(f64::MIN_POSITIVE), Just(1e300)]
}

fn scalar() -> impl Strategy<Value = AnyValue> {
    prop_oneof![
        text().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(Value::IntValue(value))),
        double().prop_map(|value| Some(Value::DoubleValue(value))),
        vec(any::<u8>(), 0..5).prop_map(|bytes| Some(Value::BytesValue(bytes))),
        Just(None),
    ]
    .prop_map(|value| AnyValue { value })
}

fn value() -> impl Strategy<Value = AnyValue> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            entries(inner).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

/// Each key once: what two of one key mean is another test's matter.
fn entries(values: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = Vec<KeyValue>> {
    proptest::collection::btree_map("[a-c\"é]{1,2}", values, 0..5).prop_map(|map| {
        let entry = |(key, value)| KeyValue {
            key,
            value: Some(value),
            key_strindex: 0,
        };
        map.into_iter().map(entry).collect()
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    entries(value())
}

fn source() -> impl Strategy<Value = (Option<Resource>, Option<InstrumentationScope>)> {
    let resource = attributes().prop_map(|attributes| Resource {
        attributes,
        ..Resource::default()
    });
    let scope = text().prop_map(|name| InstrumentationScope {
        name,
        version: "1".to_owned(),
        ..InstrumentationScope::default()
    });
    (option::of(resource), option::of(scope))
}

fn time() -> impl Strategy<Value = u64> {
    let now = NOW as u64;
    now - 1_000_000_000..now + 1_000_000_000
}

fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(1_u8.., bytes)
}

fn event() -> impl Strategy<Value = span::Event> {
    (time(), "[a-z]{0,5}", attributes()).prop_map(|(time_unix_nano, name, attributes)| {
        span::Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count: 0,
        }
    })
}

fn link() -> impl Strategy<Value = span::Link> {
    (id(16), id(8), attributes()).prop_map(|(trace_id, span_id, attributes)| span::Link {
        trace_id,
        span_id,
        attributes,
        ..span::Link::default()
    })
}

fn a_span() -> impl Strategy<Value = Span> {
    let ids = (
        option::of(id(8)),
        text(),
        0..7,
        time(),
        0..1_000_000_000_000_u64,
    );
    let status = option::of((0..3, text()).prop_map(|(code, message)| Status { code, message }));
    let more = (
        attributes(),
        vec(event(), 0..3),
        vec(link(), 0..3),
        status,
        "[a-z=]{0,4}",
        0..3_u32,
    );
    (ids, more).prop_map(|((parent, name, kind, start, duration), more)| {
        let (attributes, events, links, status, trace_state, dropped) = more;
        Span {
            parent_span_id: parent.unwrap_or_default(),
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: start + duration,
            attributes,
            dropped_attributes_count: dropped,
            events,
            links,
            status,
            trace_state,
            ..Span::default()
        }
    })
}

/// Spans of one trace, each with an identifier of its own.
pub(super) fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let group =
        (source(), vec(a_span(), 0..4)).prop_map(|((resource, scope), spans)| ResourceSpans {
            resource,
            scope_spans: vec![ScopeSpans {
                scope,
                spans,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        });
    vec(group, 0..3).prop_map(|mut resource_spans| {
        let spans = resource_spans
            .iter_mut()
            .flat_map(|group| &mut group.scope_spans);
        for (number, span) in spans.flat_map(|group| &mut group.spans).enumerate() {
            span.trace_id = super::TRACE.to_vec();
            span.span_id = (number as u64 + 1).to_be_bytes().to_vec();
        }
        ExportTraceServiceRequest { resource_spans }
    })
}

fn a_log() -> impl Strategy<Value = LogRecord> {
    let times = (prop_oneof![time(), Just(0)], prop_oneof![time(), Just(0)]);
    let severity = (
        0..30,
        prop_oneof![Just(String::new()), Just("Warning".to_owned()), text()],
    );
    let ids = (option::of(id(16)), option::of(id(8)));
    let content = (option::of(value()), attributes(), text(), 0..3_u32);
    (times, severity, ids, content).prop_map(|(times, severity, ids, content)| LogRecord {
        time_unix_nano: times.0,
        observed_time_unix_nano: times.1,
        severity_number: severity.0,
        severity_text: severity.1,
        trace_id: ids.0.unwrap_or_default(),
        span_id: ids.1.unwrap_or_default(),
        body: content.0,
        attributes: content.1,
        event_name: content.2,
        dropped_attributes_count: content.3,
        flags: 1,
    })
}

pub(super) fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let group =
        (source(), vec(a_log(), 0..4)).prop_map(|((resource, scope), log_records)| ResourceLogs {
            resource,
            scope_logs: vec![ScopeLogs {
                scope,
                log_records,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        });
    vec(group, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

fn an_exemplar() -> impl Strategy<Value = Exemplar> {
    let value = prop_oneof![
        double().prop_map(exemplar::Value::AsDouble),
        any::<i32>().prop_map(|value| exemplar::Value::AsInt(value.into())),
    ];
    let ids = (option::of(id(16)), option::of(id(8)));
    (time(), option::of(value), ids, attributes()).prop_map(
        |(time_unix_nano, value, ids, attributes)| Exemplar {
            filtered_attributes: attributes,
            time_unix_nano,
            span_id: ids.1.unwrap_or_default(),
            trace_id: ids.0.unwrap_or_default(),
            value,
        },
    )
}

fn numbers() -> impl Strategy<Value = Vec<NumberDataPoint>> {
    let value = prop_oneof![
        double().prop_map(number_data_point::Value::AsDouble),
        any::<i64>().prop_map(number_data_point::Value::AsInt),
    ];
    let point = (
        attributes(),
        time(),
        option::of(value),
        vec(an_exemplar(), 0..2),
        0..2_u32,
    );
    let point = point.prop_map(
        |(attributes, time, value, exemplars, flags)| NumberDataPoint {
            attributes,
            start_time_unix_nano: time - 1000,
            time_unix_nano: time,
            exemplars,
            flags,
            value,
        },
    );
    vec(point, 0..4)
}

fn histograms() -> impl Strategy<Value = Vec<HistogramDataPoint>> {
    let buckets = (vec(any::<u64>(), 0..5), vec(double(), 0..5));
    let extremes = (
        option::of(double()),
        option::of(double()),
        option::of(double()),
    );
    let point = (
        attributes(),
        time(),
        any::<u32>(),
        buckets,
        extremes,
        vec(an_exemplar(), 0..2),
    );
    let point = point.prop_map(|(attributes, time, count, buckets, extremes, exemplars)| {
        HistogramDataPoint {
            attributes,
            start_time_unix_nano: 0,
            time_unix_nano: time,
            count: count.into(),
            sum: extremes.0,
            bucket_counts: buckets.0,
            explicit_bounds: buckets.1,
            exemplars,
            flags: 0,
            min: extremes.1,
            max: extremes.2,
        }
    });
    vec(point, 0..4)
}

fn exponentials() -> impl Strategy<Value = Vec<ExponentialHistogramDataPoint>> {
    let buckets = || {
        let buckets = (any::<i32>(), vec(any::<u64>(), 0..5));
        option::of(buckets.prop_map(|(offset, bucket_counts)| Buckets {
            offset,
            bucket_counts,
        }))
    };
    let numbers = (any::<u32>(), -10..20, any::<u64>(), double());
    let extremes = (
        option::of(double()),
        option::of(double()),
        option::of(double()),
    );
    let point = (
        attributes(),
        time(),
        numbers,
        (buckets(), buckets()),
        extremes,
    );
    let point = point.prop_map(|(attributes, time, numbers, buckets, extremes)| {
        ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano: 1,
            time_unix_nano: time,
            count: numbers.0.into(),
            sum: extremes.0,
            scale: numbers.1,
            zero_count: numbers.2,
            positive: buckets.0,
            negative: buckets.1,
            flags: 0,
            exemplars: Vec::new(),
            min: extremes.1,
            max: extremes.2,
            zero_threshold: numbers.3,
        }
    });
    vec(point, 0..4)
}

fn summaries() -> impl Strategy<Value = Vec<SummaryDataPoint>> {
    let quantile =
        (0.0..1.0, double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    let point = (
        attributes(),
        time(),
        any::<u32>(),
        double(),
        vec(quantile, 0..4),
    );
    let point =
        point.prop_map(
            |(attributes, time, count, sum, quantile_values)| SummaryDataPoint {
                attributes,
                start_time_unix_nano: time,
                time_unix_nano: time,
                count: count.into(),
                sum,
                quantile_values,
                flags: 0,
            },
        );
    vec(point, 0..4)
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        numbers().prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (numbers(), 0..3, any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic,
            })
        ),
        (histograms(), 0..3).prop_map(|(data_points, aggregation_temporality)| Data::Histogram(
            Histogram {
                data_points,
                aggregation_temporality,
            }
        )),
        (exponentials(), 0..3).prop_map(|(data_points, aggregation_temporality)| {
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points,
                aggregation_temporality,
            })
        }),
        summaries().prop_map(|data_points| Data::Summary(Summary { data_points })),
    ]
}

pub(super) fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let metric =
        ("[a-z.]{0,6}", text(), option::of(data())).prop_map(|(name, unit, data)| Metric {
            name,
            unit,
            data,
            ..Metric::default()
        });
    let group =
        (source(), vec(metric, 0..4)).prop_map(|((resource, scope), metrics)| ResourceMetrics {
            resource,
            scope_metrics: vec![ScopeMetrics {
                scope,
                metrics,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        });
    vec(group, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

/// A place in a table: mostly one that is there.
fn place() -> impl Strategy<Value = i32> {
    prop_oneof![60 => 0..3_i32, 1 => -1..6_i32]
}

fn places(most: usize) -> impl Strategy<Value = Vec<i32>> {
    vec(place(), 0..most)
}

fn location() -> impl Strategy<Value = Location> {
    let line = (place(), 0..100_i64).prop_map(|(function_index, line)| Line {
        function_index,
        line,
        column: 3,
    });
    (place(), any::<u64>(), vec(line, 0..3), places(2)).prop_map(
        |(mapping_index, address, lines, attribute_indices)| Location {
            mapping_index,
            address,
            lines,
            attribute_indices,
        },
    )
}

fn function() -> impl Strategy<Value = Function> {
    [place(), place(), place()].prop_map(
        |[name_strindex, system_name_strindex, filename_strindex]| Function {
            name_strindex,
            system_name_strindex,
            filename_strindex,
            start_line: 1,
        },
    )
}

fn dictionary() -> impl Strategy<Value = ProfilesDictionary> {
    let mapping = place().prop_map(|filename_strindex| Mapping {
        filename_strindex,
        ..Mapping::default()
    });
    let link = (id(16), prop_oneof![9 => id(8), 1 => id(3)])
        .prop_map(|(trace_id, span_id)| Link { trace_id, span_id });
    let reference = place().prop_map(|place| AnyValue {
        value: Some(Value::StringValueStrindex(place)),
    });
    let attribute = (place(), option::of(prop_oneof![value(), reference.boxed()]));
    let attribute = attribute.prop_map(|(key_strindex, value)| KeyValueAndUnit {
        key_strindex,
        value,
        unit_strindex: 0,
    });
    let stack = places(5).prop_map(|location_indices| Stack { location_indices });
    let strings = prop_oneof![
        4 => text().boxed(),
        1 => Just("profile.frame.type".to_owned()).boxed(),
        1 => Just("thread.name".to_owned()).boxed(),
        1 => Just("count".to_owned()).boxed(),
        1 => Just("nanoseconds".to_owned()).boxed(),
    ];
    (
        (vec(mapping, 3), vec(location(), 3), vec(function(), 3)),
        (
            vec(link, 3),
            vec(strings, 3),
            vec(attribute, 3),
            vec(stack, 3),
        ),
    )
        .prop_map(
            |((mappings, locations, functions), (links, strings, attributes, stacks))| {
                ProfilesDictionary {
                    mapping_table: mappings,
                    location_table: locations,
                    function_table: functions,
                    link_table: links,
                    string_table: strings,
                    attribute_table: attributes,
                    stack_table: stacks,
                }
            },
        )
}

fn sample() -> impl Strategy<Value = Sample> {
    // Values alone, times alone, or both; sometimes neither, or what does not belong together.
    let observed = prop_oneof![
        4 => vec(any::<i64>(), 1..3).prop_map(|values| (values, Vec::new())),
        4 => vec(time(), 1..3).prop_map(|times| (Vec::new(), times)),
        4 => vec((any::<i64>(), time()), 1..3).prop_map(|both| both.into_iter().unzip()),
        1 => (vec(any::<i64>(), 0..3), vec(time(), 0..3)),
    ];
    (place(), place(), places(2), observed).prop_map(
        |(stack_index, link_index, attribute_indices, (values, timestamps_unix_nano))| Sample {
            stack_index,
            attribute_indices,
            link_index,
            values,
            timestamps_unix_nano,
        },
    )
}

fn profile() -> impl Strategy<Value = Profile> {
    let counted = || {
        (place(), place()).prop_map(|(type_strindex, unit_strindex)| ValueType {
            type_strindex,
            unit_strindex,
        })
    };
    let of_samples = (vec(sample(), 0..4), places(2), 0..3_u32);
    let period = (option::of(counted()), 0..1000_i64);
    (counted(), period, time(), 0..1_000_000_u64, of_samples).prop_map(
        |(sample_type, (period_type, period), time_unix_nano, duration_nano, samples)| {
            let (samples, attribute_indices, dropped_attributes_count) = samples;
            Profile {
                sample_type: Some(sample_type),
                samples,
                time_unix_nano,
                duration_nano,
                period_type,
                period,
                profile_id: vec![7; 16],
                dropped_attributes_count,
                attribute_indices,
                ..Profile::default()
            }
        },
    )
}

pub(super) fn profiles() -> impl Strategy<Value = ExportProfilesServiceRequest> {
    let group = (source(), vec(profile(), 0..4)).prop_map(|((resource, scope), profiles)| {
        ResourceProfiles {
            resource,
            scope_profiles: vec![ScopeProfiles {
                scope,
                profiles,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }
    });
    (vec(group, 0..3), dictionary()).prop_map(|(resource_profiles, dictionary)| {
        ExportProfilesServiceRequest {
            resource_profiles,
            dictionary: Some(dictionary),
        }
    })
}
