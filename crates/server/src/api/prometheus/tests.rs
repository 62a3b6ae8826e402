//! PromQL over the store, as the router answers it.

use axum::body::Body;
use http::{Request, header::CONTENT_TYPE};
use radiosonde_store::{
    Rows,
    row::{Origin, PointKind, PointRow, Value as Attribute},
};
use serde_json::{Value, json};

use super::super::tests::System;

/// 2026-11-28T00:00:00Z, in seconds.
const START_S: i64 = 1_795_824_000;
const S: i64 = 1_000_000_000;

fn origin(resource: &str) -> Origin<'_> {
    Origin {
        service: "engine",
        resource,
        scope: "",
    }
}

const ENGINE: &str = r#"{"service.name":"engine","service.instance.id":"1","host.name":"b"}"#;

fn reading<'a>(minute: i64, name: &'a str, unit: &'a str, kind: PointKind) -> PointRow<'a> {
    PointRow {
        origin: origin(ENGINE),
        name,
        unit,
        kind,
        time_unix_ns: (START_S + minute * 60) * S,
        start_unix_ns: START_S * S,
        value: 0.0,
        count: 0,
        distribution: "",
        exemplars: "",
        attributes: &[],
    }
}

/// Ten minutes: counters of both temporalities, a gauge, and histograms of both kinds.
fn rows() -> Rows {
    let mut rows = Rows::default();
    for minute in 1..=10 {
        rows.point(&PointRow {
            value: 60.0 * minute as f64,
            attributes: &[("http.route", Attribute::Text("/a"))],
            ..reading(minute, "work.done", "{item}", PointKind::Counter)
        });
        rows.point(&PointRow {
            value: 60.0,
            start_unix_ns: (START_S + minute * 60 - 60) * S,
            attributes: &[("radiosonde.temporality", Attribute::Text("delta"))],
            ..reading(minute, "work.delta", "", PointKind::Counter)
        });
        rows.point(&PointRow {
            value: 0.25,
            ..reading(minute, "gpu.use", "1", PointKind::Gauge)
        });
        let counts = [10 * minute, 80 * minute, 10 * minute];
        let explicit = format!(r#"{{"explicit_bounds":[0.01,0.02],"bucket_counts":{counts:?}}}"#);
        rows.point(&PointRow {
            value: minute as f64,
            count: 100 * minute,
            distribution: &explicit,
            ..reading(minute, "gpu.operation.duration", "s", PointKind::Histogram)
        });
        let counts = [50 * minute, 50 * minute];
        let exponential = format!(
            r#"{{"scale":0,"zero_count":0,"positive":{{"offset":0,"bucket_counts":{counts:?}}}}}"#
        );
        rows.point(&PointRow {
            value: 200.0 * minute as f64,
            count: 100 * minute,
            distribution: &exponential,
            ..reading(minute, "tokens", "", PointKind::Histogram)
        });
    }
    // Two processes that nothing in Prometheus' labels tells apart.
    for process in ["7", "8"] {
        let resource = format!(r#"{{"service.name":"pair","process.pid":{process}}}"#);
        rows.point(&PointRow {
            origin: origin(&resource),
            value: process.parse().unwrap(),
            ..reading(10, "pair", "", PointKind::Gauge)
        });
    }
    rows
}

struct Asked(System);

impl Asked {
    fn new() -> Self {
        let system = System::new();
        system.api.store.append(rows()).unwrap();
        Self(system)
    }

    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        let address = format!("/prometheus/api/v1/{path}?{}", query.finish());
        self.0
            .ask(Request::get(address).body(Body::empty()).unwrap())
            .1
    }

    /// The value of a query that has one, at the tenth minute.
    fn value(&self, query: &str) -> f64 {
        let at = (START_S + 600).to_string();
        let answer = self.get("query", &[("query", query), ("time", &at)]);
        let result = answer["data"]["result"].as_array().unwrap();
        assert_eq!(result.len(), 1, "{query}: {answer:#}");
        result[0]["value"][1].as_str().unwrap().parse().unwrap()
    }

    fn listed(&self, path: &str, parameters: &[(&str, &str)]) -> Vec<String> {
        let (start, end) = (START_S.to_string(), (START_S + 600).to_string());
        let mut all = vec![("start", start.as_str()), ("end", &end)];
        all.extend(parameters);
        let answer = self.get(path, &all);
        assert_eq!(answer["status"], "success", "{answer:#}");
        let items = answer["data"].as_array().unwrap().iter();
        items
            .map(|item| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            })
            .collect()
    }
}

#[test]
fn metrics_of_every_kind_are_asked_for_by_prometheus_names() {
    let asked = Asked::new();
    for (query, expected) in [
        (
            r#"work_done_total{job="engine",instance="1",http_route="/a"}"#,
            600.0,
        ),
        ("rate(work_done_total[5m])", 1.0),
        ("increase(work_delta_total[10m])", 600.0),
        ("gpu_use_ratio", 0.25),
        ("gpu_operation_duration_seconds_count", 1000.0),
        ("gpu_operation_duration_seconds_sum", 10.0),
        (r#"gpu_operation_duration_seconds_bucket{le="0.02"}"#, 900.0),
        (
            "histogram_quantile(0.5, rate(gpu_operation_duration_seconds_bucket[5m]))",
            0.015,
        ),
        ("count(gpu_operation_duration_seconds_bucket)", 3.0),
        // Between 1 and 2 half, between 2 and 4 half: classic buckets and the histogram itself.
        ("histogram_quantile(0.5, rate(tokens_bucket[5m]))", 2.0),
        (
            "histogram_quantile(0.75, rate(tokens[5m]))",
            2.0 * 2_f64.sqrt(),
        ),
        ("histogram_count(tokens)", 1000.0),
        (
            r#"target_info{job="engine",instance="1",host_name="b"}"#,
            1.0,
        ),
        ("count(pair)", 2.0),
        ("sum(pair)", 15.0),
    ] {
        let value = asked.value(query);
        assert!((value - expected).abs() < 1e-9, "{query}: {value}");
    }
}

/// Row 40: a name of the design notes, over what this program calls otherwise.
#[test]
fn the_design_notes_quantile_is_a_number() {
    let query = "histogram_quantile(0.95, rate(metal_operation_duration_ms_bucket[5m]))";
    let value = Asked::new().value(query);
    assert!((value - 20.0).abs() < 1e-9, "{value}");
}

#[test]
fn answers_have_prometheus_forms() {
    let asked = Asked::new();
    let (start, end) = (START_S + 300, START_S + 360);
    let answer = asked.get(
        "query_range",
        &[
            ("query", "gpu_use_ratio"),
            ("start", "2026-11-28T00:05:00Z"),
            ("end", &end.to_string()),
            ("step", "1m"),
        ],
    );
    let metric = json!({"__name__": "gpu_use_ratio", "job": "engine", "instance": "1"});
    assert_eq!(
        answer,
        json!({"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": metric, "values": [[start, "0.25"], [end, "0.25"]]},
        ]}})
    );
    let body = format!("query=1%2B1&time={START_S}.5");
    let request = Request::post("/prometheus/api/v1/query")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body));
    let (status, answer) = asked.0.ask(request.unwrap());
    assert_eq!(status, 200);
    let moment = START_S as f64 + 0.5;
    assert_eq!(
        answer["data"],
        json!({"resultType": "scalar", "result": [moment, "2"]})
    );
    assert_eq!(
        asked.get("status/buildinfo", &[])["data"]["version"],
        "2.42.0"
    );
}

#[test]
fn names_values_series_and_metadata_are_listed() {
    let asked = Asked::new();
    let names = asked.listed("labels", &[]);
    for name in [
        "__name__",
        "instance",
        "job",
        "le",
        "http_route",
        "host_name",
    ] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    assert!(
        !names.iter().any(|name| name.contains("temporality")),
        "{names:?}"
    );
    let matching = [("match[]", r#"{job="engine",__name__=~"gpu_.*"}"#)];
    assert_eq!(
        asked.listed("label/__name__/values", &matching),
        [
            "gpu_operation_duration_seconds",
            "gpu_operation_duration_seconds_bucket",
            "gpu_operation_duration_seconds_count",
            "gpu_operation_duration_seconds_sum",
            "gpu_use_ratio",
        ]
    );
    let bounds = asked.listed(
        "label/le/values",
        &[("match[]", "gpu_operation_duration_seconds_bucket")],
    );
    assert_eq!(bounds, ["+Inf", "0.01", "0.02"]);
    let series = asked.listed(
        "series",
        &[("match[]", "work_done_total"), ("match[]", "gpu_use_ratio")],
    );
    assert_eq!(series.len(), 2, "{series:?}");
    let (start, end) = (START_S.to_string(), (START_S + 600).to_string());
    let metadata = asked.get("metadata", &[("start", &start), ("end", &end)]);
    assert_eq!(
        metadata["data"]["gpu_operation_duration_seconds"],
        json!([{"type": "histogram", "help": "", "unit": "seconds"}])
    );
}

#[test]
fn what_is_refused_is_told_as_prometheus_tells_it() {
    let asked = Asked::new();
    for (path, parameters, kind, words) in [
        (
            "query",
            &[("query", "sum(")][..],
            "bad_data",
            "the end stands where",
        ),
        ("query", &[], "bad_data", "there is no `query`"),
        (
            "query",
            &[("query", "up"), ("time", "noon")],
            "bad_data",
            "`noon`, which is no time",
        ),
        (
            "query_range",
            &[
                ("query", "up"),
                ("start", "0"),
                ("end", "20000"),
                ("step", "1"),
            ],
            "bad_data",
            "1 to 11000 steps, not 20001",
        ),
        (
            "query",
            &[("query", r#"label_replace(pair, "-", "", "", "")"#)],
            "execution",
            "no name of a label",
        ),
        ("series", &[], "bad_data", "`match[]`"),
        (
            "rules",
            &[],
            "bad_data",
            "there is no /prometheus/api/v1/rules",
        ),
    ] {
        let answer = asked.get(path, parameters);
        assert_eq!(
            (&answer["status"], &answer["errorType"]),
            (&json!("error"), &json!(kind)),
            "{answer}"
        );
        assert!(
            answer["error"].as_str().unwrap().contains(words),
            "{answer}"
        );
    }
}
