//! One workload, told in the words of different makers and times.

use super::*;

/// The names of a provider, a model, and the tokens in and out.
const VOCABULARIES: [[&str; 4]; 4] = [
    [
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
    ],
    [
        "gen_ai.system",
        "gen_ai.request.model",
        "gen_ai.usage.prompt_tokens",
        "gen_ai.usage.completion_tokens",
    ],
    [
        "llm.provider",
        "llm.model_name",
        "llm.token_count.prompt",
        "llm.token_count.completion",
    ],
    [
        "llm.vendor",
        "llm.request.model",
        "llm.usage.prompt_tokens",
        "llm.usage.completion_tokens",
    ],
];

fn system(names: [&str; 4]) -> System {
    let system = System::empty();
    let mut rows = StoreRows::default();
    for request in 0..5_u8 {
        rows.span(&SpanRow {
            origin: origin("engine"),
            trace_id: [request + 1; 16],
            span_id: [1; 8],
            parent_span_id: None,
            name: "chat llama",
            kind: "client",
            status: "unset",
            status_message: "",
            start_unix_ns: START + i64::from(request) * 1000 * MS,
            duration_ns: 40 * MS,
            links: "",
            attributes: &[
                (names[0], Attribute::Text("local")),
                (names[1], Attribute::Text("llama")),
                (names[2], Attribute::Int(100)),
                (names[3], Attribute::Int(10 + i64::from(request))),
            ],
        });
    }
    system.api.store.append(rows).unwrap();
    system
}

#[test]
fn one_workload_in_four_vocabularies_gives_one_overview() {
    let overview = format!("/api/v1/overview?{RANGE}&buckets=10");
    let traces = format!(
        "/api/v1/traces?{RANGE}&q=gen_ai.request.model%20%3D%20llama%20and%20gen_ai.usage.output_tokens%20%3E%2012"
    );
    let first = system(VOCABULARIES[0]);
    let (expected, expected_traces) = (first.get(&overview), first.get(&traces));
    assert_eq!(expected["series"]["tokens_input"][0], 500.0);
    assert_eq!(expected["series"]["tokens_output"][0], 60.0);
    assert_eq!(expected_traces["traces"].as_array().unwrap().len(), 2);
    for names in &VOCABULARIES[1..] {
        let system = system(*names);
        assert_eq!(system.get(&overview), expected, "{names:?}");
        assert_eq!(system.get(&traces), expected_traces, "{names:?}");
        // What was sent is there as it was sent.
        let statement = format!("SELECT sum(attributes['{}']) FROM spans", names[2]);
        let body = serde_json::json!({"statement": statement}).to_string();
        let request = Request::post("/api/v1/sql").header("content-type", "application/json");
        let (_, answer) = system.ask(request.body(Body::from(body)).unwrap());
        assert_eq!(answer["rows"][0][0].as_f64(), Some(500.0), "{answer}");
    }
}

#[test]
fn the_report_says_which_names_a_service_uses() {
    let answer = system(VOCABULARIES[2]).get(&format!("/api/v1/semconv?{RANGE}"));
    let engine = &answer["services"][0];
    assert_eq!(engine["service"], "engine");
    let spoken = &engine["vocabularies"][0];
    assert_eq!(
        (&spoken["vocabulary"], &spoken["is_canonical"]),
        (&"OpenInference".into(), &false.into())
    );
    let said = spoken["names"].as_array().unwrap();
    let tokens = said
        .iter()
        .find(|said| said["name"] == "llm.token_count.prompt")
        .unwrap();
    assert_eq!(
        (&tokens["canonical"], &tokens["count"]),
        (&"gen_ai.usage.input_tokens".into(), &5.into())
    );
}

/// Milliseconds by the old name and seconds by the new one are one metric in seconds; by the old name they are as they came.
#[test]
fn a_metric_is_asked_for_by_its_canonical_name() {
    let system = System::empty();
    let mut rows = StoreRows::default();
    for (name, unit, value) in [
        ("http.server.duration", "ms", 1500.0),
        ("http.server.request.duration", "s", 3.0),
    ] {
        rows.point(&PointRow {
            origin: origin("engine"),
            name,
            unit,
            kind: PointKind::Gauge,
            time_unix_ns: START,
            start_unix_ns: 0,
            value,
            count: 0,
            distribution: "",
            exemplars: "",
            attributes: &[("sent", Attribute::Text(unit))],
        });
    }
    system.api.store.append(rows).unwrap();
    let values = |name: &str| -> (String, Vec<f64>) {
        let answer = system.get(&format!("/api/v1/metrics/{name}?{RANGE}"));
        let series = answer["series"].as_array().unwrap();
        let values = series
            .iter()
            .map(|series| series["points"][0][1].as_f64().unwrap());
        (
            answer["unit"].as_str().unwrap().to_owned(),
            values.collect(),
        )
    };
    assert_eq!(
        values("http.server.request.duration"),
        ("s".to_owned(), vec![1.5, 3.0])
    );
    assert_eq!(
        values("http.server.duration"),
        ("ms".to_owned(), vec![1500.0])
    );
    let list = system.get(&format!("/api/v1/metrics?{RANGE}"));
    assert_eq!(
        list["metrics"][0]["canonical"],
        "http.server.request.duration"
    );
    assert_eq!(list["metrics"][1]["canonical"], Value::Null);
}
