//! Rows of the store as OTLP's requests in JSON. Each row brings its columns in the order in which the table selects them.

use radiosonde::{
    core::{ValueRef, sampling::Threshold},
    redact::{REDACTED, Redaction},
};
use serde_json::{Map, Value, json};

/// The attribute in which the store keeps a span's W3C trace state; OTLP has a member for it.
const TRACE_STATE: &str = "w3c.tracestate";

/// Groups rows by their resource and scope, in the order in which they come.
fn grouped(
    rows: &[Value],
    scope_at: usize,
    redaction: &Redaction,
    names: [&str; 3],
    item: impl Fn(&Value) -> Value,
) -> Value {
    let [resources, scopes, items] = names;
    let mut groups: Vec<(&Value, &Value, Vec<Value>)> = Vec::new();
    for row in rows {
        let (scope, resource) = (&row[scope_at], &row[scope_at + 1]);
        match groups.last_mut() {
            Some((last_scope, last_resource, group))
                if (*last_scope, *last_resource) == (scope, resource) =>
            {
                group.push(item(row));
            }
            _ => groups.push((scope, resource, vec![item(row)])),
        }
    }
    let group = |(scope, resource, group): (&Value, &Value, Vec<Value>)| {
        json!({
            "resource": {"attributes": key_values(resource, redaction)},
            scopes: [{"scope": {"name": redacted(scope, redaction)}, items: group}],
        })
    };
    json!({resources: groups.into_iter().map(group).collect::<Vec<_>>()})
}

/// Spans: start, span, trace, parent, duration, name, kind, status, message, links, scope, resource, attributes, weight.
pub fn traces(rows: &[Value], redaction: &Redaction) -> Value {
    let names = ["resourceSpans", "scopeSpans", "spans"];
    grouped(rows, 10, redaction, names, |row| {
        let start = row[0].as_i64().unwrap_or(0);
        let end = start.saturating_add(row[4].as_i64().unwrap_or(0));
        let mut attributes = key_values(&row[12], redaction);
        let trace_state = trace_state(&mut attributes, &row[13]);
        let mut span = json!({
            "traceId": row[2],
            "spanId": row[1],
            "parentSpanId": row[3].as_str().unwrap_or_default(),
            "name": redacted(&row[5], redaction),
            "kind": number_of(&row[6], &["unspecified", "internal", "server", "client", "producer", "consumer"]),
            "startTimeUnixNano": start.to_string(),
            "endTimeUnixNano": end.to_string(),
            "attributes": attributes,
            "links": links(&row[9]),
            "status": {"code": number_of(&row[7], &["unset", "ok", "error"]), "message": redacted(&row[8], redaction)},
        });
        if !trace_state.is_empty() {
            span["traceState"] = json!(trace_state);
        }
        span
    })
}

/// The trace state of a span, which is taken from its attributes, with how many spans it stands for: a receiver knows that from
/// nowhere else. What of it is no secret stays.
fn trace_state(attributes: &mut Vec<Value>, weight: &Value) -> String {
    let at = attributes
        .iter()
        .position(|pair| pair["key"] == TRACE_STATE);
    let pair = at.map(|at| attributes.remove(at)).unwrap_or_default();
    let said = pair["value"]["stringValue"].as_str().unwrap_or_default();
    let threshold = weight
        .as_f64()
        .filter(|weight| *weight > 1.0)
        .and_then(Threshold::from_adjusted_count);
    threshold.map_or_else(
        || said.to_owned(),
        |threshold| threshold.in_trace_state(said),
    )
}

/// Logs: time, body, trace, span, severity, event name, scope, resource, attributes.
pub fn logs(rows: &[Value], redaction: &Redaction) -> Value {
    grouped(
        rows,
        6,
        redaction,
        ["resourceLogs", "scopeLogs", "logRecords"],
        |row| {
            json!({
                "timeUnixNano": decimal(&row[0]),
                "severityNumber": row[4],
                "eventName": redacted(&row[5], redaction),
                "body": {"stringValue": redacted(&row[1], redaction)},
                "attributes": key_values(&row[8], redaction),
                "traceId": row[2].as_str().unwrap_or_default(),
                "spanId": row[3].as_str().unwrap_or_default(),
            })
        },
    )
}

/// Points: time, series, name, unit, kind, start, value, count, distribution, exemplars, scope, resource, attributes.
pub fn metrics(rows: &[Value], redaction: &Redaction) -> Value {
    grouped(
        rows,
        10,
        redaction,
        ["resourceMetrics", "scopeMetrics", "metrics"],
        |row| {
            // Cumulative but for series that say that theirs is the other (OTLP: AggregationTemporality).
            let attributes: Value = row[12]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            let temporality = if attributes["radiosonde.temporality"] == "delta" {
                1
            } else {
                2
            };
            let mut point = json!({
                "timeUnixNano": decimal(&row[0]),
                "startTimeUnixNano": decimal(&row[5]),
                "attributes": key_values(&row[12], redaction),
                "exemplars": exemplars(&row[9]),
            });
            let mut metric = json!({"name": redacted(&row[2], redaction), "unit": row[3]});
            match row[4].as_str() {
                Some("histogram") => {
                    point["sum"] = row[6].clone();
                    point["count"] = decimal(&row[7]);
                    let kind = distribution(&row[8], &mut point);
                    metric[kind] =
                        json!({"aggregationTemporality": temporality, "dataPoints": [point]});
                }
                Some(kind @ ("counter" | "up_down_counter")) => {
                    point["asDouble"] = row[6].clone();
                    let is_monotonic = kind == "counter";
                    metric["sum"] = json!({"aggregationTemporality": temporality, "isMonotonic": is_monotonic, "dataPoints": [point]});
                }
                _ => {
                    point["asDouble"] = row[6].clone();
                    metric["gauge"] = json!({"dataPoints": [point]});
                }
            }
            metric
        },
    )
}

/// Adds the buckets to a point, and says which kind of histogram it is.
fn distribution(kept: &Value, point: &mut Value) -> &'static str {
    let kept: Value = kept
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let counts = |value: &Value| {
        value
            .as_array()
            .into_iter()
            .flatten()
            .map(decimal)
            .collect::<Vec<_>>()
    };
    for (from, to) in [("min", "min"), ("max", "max")] {
        if !kept[from].is_null() {
            point[to] = kept[from].clone();
        }
    }
    if kept["scale"].is_null() {
        point["bucketCounts"] = json!(counts(&kept["bucket_counts"]));
        point["explicitBounds"] = kept["explicit_bounds"].clone();
        return "histogram";
    }
    point["scale"] = kept["scale"].clone();
    point["zeroCount"] = decimal(&kept["zero_count"]);
    point["zeroThreshold"] = kept["zero_threshold"].clone();
    for side in ["positive", "negative"] {
        let kept = &kept[side];
        point[side] =
            json!({"offset": kept["offset"], "bucketCounts": counts(&kept["bucket_counts"])});
    }
    "exponentialHistogram"
}

fn exemplars(kept: &Value) -> Vec<Value> {
    let kept: Value = kept
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let exemplar = |kept: &Value| {
        json!({
            "timeUnixNano": decimal(&kept["time_unix_nano"]),
            "asDouble": kept["value"],
            "traceId": kept["trace_id"].as_str().unwrap_or_default(),
            "spanId": kept["span_id"].as_str().unwrap_or_default(),
        })
    };
    kept.as_array()
        .into_iter()
        .flatten()
        .map(exemplar)
        .collect()
}

fn links(kept: &Value) -> Vec<Value> {
    let kept: Value = kept
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let link = |kept: &Value| json!({"traceId": kept["trace_id"], "spanId": kept["span_id"]});
    kept.as_array().into_iter().flatten().map(link).collect()
}

/// A JSON object, as the store has attributes, as OTLP's list of keys and values.
pub(super) fn key_values(object: &Value, redaction: &Redaction) -> Vec<Value> {
    let object: Map<String, Value> = object
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    pairs(&object, redaction)
}

fn pairs(object: &Map<String, Value>, redaction: &Redaction) -> Vec<Value> {
    let pair = |(key, value): (&String, &Value)| json!({"key": redaction.text(key), "value": any_value(key, value, redaction)});
    object.iter().map(pair).collect()
}

/// A text or number, as the redaction takes it.
pub(super) fn scalar(value: &Value) -> Option<ValueRef<'_>> {
    match value {
        Value::String(text) => Some(ValueRef::Str(text)),
        Value::Number(number) => number
            .as_i64()
            .map(ValueRef::I64)
            .or_else(|| number.as_f64().map(ValueRef::F64)),
        _ => None,
    }
}

/// A value, or what stands in its place where it is a secret.
fn any_value(key: &str, value: &Value, redaction: &Redaction) -> Value {
    if let Some(replacement) = scalar(value).and_then(|scalar| redaction.attribute(key, scalar)) {
        return json!({"stringValue": replacement});
    }
    match value {
        Value::Null => json!({}),
        Value::Bool(value) => json!({"boolValue": value}),
        Value::Number(number) if number.is_i64() => json!({"intValue": number.to_string()}),
        Value::Number(number) => json!({"doubleValue": number}),
        Value::String(text) => json!({"stringValue": text}),
        Value::Array(values) => {
            let secrets = redaction.arguments(values.iter().map(Value::as_str));
            let values = values.iter().zip(secrets);
            let values: Vec<Value> = values
                .map(|(value, is_secret)| {
                    if is_secret {
                        json!({"stringValue": REDACTED})
                    } else {
                        any_value(key, value, redaction)
                    }
                })
                .collect();
            json!({"arrayValue": {"values": values}})
        }
        Value::Object(entries) => json!({"kvlistValue": {"values": pairs(entries, redaction)}}),
    }
}

pub(super) fn redacted(text: &Value, redaction: &Redaction) -> String {
    redaction
        .text(text.as_str().unwrap_or_default())
        .into_owned()
}

/// The place of a word in a list, which is its number in OTLP.
fn number_of(word: &Value, words: &[&str]) -> usize {
    words.iter().position(|known| word == known).unwrap_or(0)
}

/// A whole number of 64 bits as OTLP's JSON has it: as text.
pub(super) fn decimal(number: &Value) -> Value {
    match number {
        Value::Null => json!("0"),
        number => json!(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_requests_without_secrets() {
        let resource = r#"{"service.name":"engine"}"#;
        let row = |resource: &str| {
            json!([
                1,
                "b7",
                "0a",
                null,
                5,
                "forward",
                "server",
                "error",
                "failed",
                r#"[{"trace_id":"aa","span_id":"bb"}]"#,
                "model",
                resource,
                r#"{"api_key":"sk-1234567890","n":3,"x":0.5,"list":[true,"--api-key","K1S1"]}"#,
                1.0
            ])
        };
        let request = traces(
            &[row(resource), row(resource), row("{}")],
            &Redaction::default(),
        );
        let groups = request["resourceSpans"].as_array().unwrap();
        assert_eq!(groups.len(), 2);
        let span = &groups[0]["scopeSpans"][0]["spans"][1];
        assert_eq!(
            (
                span["kind"].as_u64(),
                span["status"]["code"].as_u64(),
                span["endTimeUnixNano"].as_str()
            ),
            (Some(2), Some(2), Some("6"))
        );
        let values: Vec<_> = span["attributes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| pair["value"].to_string())
            .collect();
        for secret in ["sk-123", "K1S1"] {
            assert!(!request.to_string().contains(secret), "{values:?}");
        }
        assert!(
            values.contains(&r#"{"intValue":"3"}"#.to_owned())
                && values.contains(&r#"{"doubleValue":0.5}"#.to_owned()),
            "{values:?}"
        );
    }

    #[test]
    fn a_span_says_for_how_many_it_stands() {
        let span = |weight: f64, attributes: &str| {
            let row = json!([
                1, "b7", "0a", null, 5, "forward", "server", "ok", "", "[]", "s", "{}", attributes,
                weight
            ]);
            let request = traces(&[row], &Redaction::default());
            request["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone()
        };
        let state = r#"{"n":3,"w3c.tracestate":"vendor=a,ot=rv:ab;th:8"}"#;
        assert_eq!(span(1.0, "{}").get("traceState"), None);
        assert_eq!(span(4.0, "{}")["traceState"], "ot=th:c");
        assert_eq!(span(1.0, state)["traceState"], "vendor=a,ot=rv:ab;th:8");
        let both = span(4.0, state);
        assert_eq!(both["traceState"], "ot=th:c;rv:ab,vendor=a");
        assert_eq!(both["attributes"].as_array().unwrap().len(), 1, "{both}");
    }

    #[test]
    fn names_are_without_secrets_too() {
        let (resource, attributes) = ("{}", r#"{"GET /?token=SEKRET53":1}"#);
        let scope = "password=SEKRET50";
        let name = "GET /?token=SEKRET51";
        let span = json!([
            1, "b7", "0a", null, 5, name, "server", "ok", "", "[]", scope, resource, attributes,
            1.0
        ]);
        let log = json!([1, "", "", "", 9, name, scope, resource, attributes]);
        let point = json!([
            7, 1, name, "s", "gauge", 2, 4.5, 3, "", "", scope, resource, attributes
        ]);
        let redaction = Redaction::default();
        for request in [
            traces(&[span], &redaction),
            logs(&[log], &redaction),
            metrics(&[point], &redaction),
        ] {
            let text = request.to_string();
            assert!(!text.contains("SEKRET"), "{text}");
            assert!(text.contains("GET /?token=[redacted]"), "{text}");
        }
    }

    #[test]
    fn metrics_keep_their_kind() {
        let row = |kind: &str, distribution: &str| {
            json!([
                7,
                1,
                "m",
                "s",
                kind,
                2,
                4.5,
                3,
                distribution,
                "",
                "",
                "{}",
                r#"{"radiosonde.temporality":"delta"}"#
            ])
        };
        let rows = [
            row("counter", ""),
            row("gauge", ""),
            row(
                "histogram",
                r#"{"bucket_counts":[1,2],"explicit_bounds":[0.5],"min":0.1}"#,
            ),
            row(
                "histogram",
                r#"{"scale":2,"zero_count":1,"zero_threshold":0,"positive":{"offset":1,"bucket_counts":[2]},"negative":{"offset":0,"bucket_counts":[]}}"#,
            ),
        ];
        let request = metrics(&rows, &Redaction::default());
        let metrics = &request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        assert_eq!(metrics[0]["sum"]["isMonotonic"], true);
        assert_eq!(metrics[0]["sum"]["aggregationTemporality"], 1);
        assert_eq!(metrics[1]["gauge"]["dataPoints"][0]["asDouble"], 4.5);
        assert_eq!(
            metrics[2]["histogram"]["dataPoints"][0]["bucketCounts"],
            json!(["1", "2"])
        );
        assert_eq!(
            metrics[3]["exponentialHistogram"]["dataPoints"][0]["positive"],
            json!({"offset": 1, "bucketCounts": ["2"]})
        );
    }
}
