//! Why many requests took as long as they did, and what is different between two sides, from a store with planted causes.

use super::*;

/// 60 requests of 100 ms and a little, one a second. From the 41st on the engine is of version 1.5, and every second of
/// those waits 400 ms in a queue on `cuda:1`; the others are of version 1.4.
fn planted() -> System {
    let system = System::empty();
    let mut rows = StoreRows::default();
    for request in 0..60_u8 {
        let is_new = request >= 40;
        let waits = is_new && request % 2 == 0;
        let queued = if waits { 400 } else { 10 };
        let work = 90 + i64::from(request % 7);
        let start = START + i64::from(request) * 1000 * MS;
        let root = SpanRow {
            origin: versioned(is_new),
            trace_id: [request + 1; 16],
            span_id: [1; 8],
            parent_span_id: None,
            name: "POST /generate",
            kind: "server",
            status: "unset",
            status_message: "",
            start_unix_ns: start,
            duration_ns: (queued + work + 5) * MS,
            links: "",
            attributes: &[],
        };
        rows.span(&root);
        let device = Attribute::Text(if waits { "cuda:1" } else { "cuda:0" });
        for (span, name, from, to) in [
            (2, "queue", 0, queued),
            (3, "forward", queued, queued + work),
        ] {
            rows.span(&SpanRow {
                span_id: [span; 8],
                parent_span_id: Some([1; 8]),
                name,
                kind: "internal",
                start_unix_ns: start + from * MS,
                duration_ns: (to - from) * MS,
                attributes: &[("device", device)],
                ..root
            });
        }
        rows.log(&LogRow {
            origin: versioned(is_new),
            time_unix_ns: start,
            trace_id: Some([request + 1; 16]),
            span_id: Some([2; 8]),
            severity: if waits { 13 } else { 9 },
            event_name: "",
            body: "the queue is long",
            attributes: &[],
        });
    }
    system.api.store.append(rows).unwrap();
    system
}

fn versioned(is_new: bool) -> Origin<'static> {
    Origin {
        service: "engine",
        resource: if is_new {
            r#"{"service.name":"engine","service.version":"1.5"}"#
        } else {
            r#"{"service.name":"engine","service.version":"1.4"}"#
        },
        scope: "tests",
    }
}

fn tiled(answer: &Value) -> (i64, i64) {
    let segments = answer["segments"].as_array().unwrap();
    let sum: i64 = segments
        .iter()
        .map(|segment| segment["duration_ns"].as_i64().unwrap())
        .sum();
    (
        sum + answer["residual_ns"].as_i64().unwrap(),
        answer["interval"]["duration_ns"].as_i64().unwrap(),
    )
}

#[test]
fn a_time_has_one_account_and_its_slow_requests_are_explained() {
    let system = planted();
    let address = format!("/api/v1/why?{RANGE}");
    let answer = system.get(&address);
    let (sum, whole) = tiled(&answer);
    assert_eq!(sum, whole);
    assert_eq!(answer["durations"]["requests"], 60);
    assert_eq!(
        answer["read"],
        serde_json::json!({"traces": 60, "of_traces": 60, "spans": 180})
    );
    assert_eq!(answer["selected"]["from_unix_ns"], START.to_string());
    let slow = &answer["slow"]["comparison"];
    assert_eq!(slow["verdict"]["path"][1], "queue", "{answer:#}");
    assert_eq!(slow["lifts"][0]["value"], "cuda:1");
    let evidence = slow["verdict"]["evidence"][0]["trace_id"].as_str().unwrap();
    assert_eq!(
        system.get(&format!("/api/v1/traces/{evidence}"))["trace_id"],
        evidence
    );
    insta::assert_snapshot!(answer["text"].as_str().unwrap());
    assert_eq!(system.get(&address)["text"], answer["text"]);
    // In segments it reads the same as in memory.
    system.api.store.flush().unwrap();
    assert_eq!(system.get(&address)["text"], answer["text"]);
}

#[test]
fn an_operation_is_accounted_for_with_what_is_below_it() {
    let system = planted();
    let answer = system.get(&format!(
        "/api/v1/why?{RANGE}&service=engine&operation=queue"
    ));
    assert_eq!(tiled(&answer), (10 * 400 * MS + 50 * 10 * MS, 4500 * MS));
    let text = answer["text"].as_str().unwrap();
    assert!(
        text.starts_with("`queue` of `engine`: 60 requests took 4.500 s together (60 spans)"),
        "{text}"
    );
    let answer = system.get(&format!(
        "/api/v1/why?{RANGE}&version=1.5&q=device%3Dcuda:1"
    ));
    assert_eq!(answer["durations"]["requests"], 10);
    let (status, message) = system.refused(&format!("/api/v1/why?{RANGE}&operation=nothing"));
    assert_eq!(
        (status, message.as_str()),
        (404, "there are no requests of `nothing` in that time")
    );
}

#[test]
fn a_span_of_a_trace_is_accounted_for_alone() {
    let system = planted();
    let trace = "01".repeat(16);
    let answer = system.get(&format!("/api/v1/traces/{trace}/why?span=0202020202020202"));
    assert_eq!(answer["interval"]["duration_ns"], 10 * MS);
    assert_eq!(answer["subject"]["name"], "queue");
    for (span, status) in [("0909090909090909", 404), ("xyz", 400)] {
        let (found, message) = system.refused(&format!("/api/v1/traces/{trace}/why?span={span}"));
        assert!(found == status && message.contains("span"), "{message}");
    }
}

#[test]
fn versions_times_filters_and_traces_are_compared() {
    let system = planted();
    let by_version = system.get(&format!(
        "/api/v1/compare?{RANGE}&service=engine&a_version=1.4&b_version=1.5"
    ));
    assert_eq!(by_version["verdict"]["path"][1], "queue", "{by_version:#}");
    assert_eq!(
        (
            by_version["first"]["name"].as_str(),
            by_version["second"]["name"].as_str()
        ),
        (Some("1.4"), Some("1.5"))
    );
    assert_eq!(by_version["a"]["read"]["traces"], 40);
    insta::assert_snapshot!(by_version["text"].as_str().unwrap());
    let at = format!("/api/v1/compare?{RANGE}&at=2026-11-28T00:00:40Z");
    let by_time = system.get(&at);
    assert_eq!(by_time["first"]["name"], "before");
    assert_eq!(
        by_time["verdict"]["difference_ns"],
        by_version["verdict"]["difference_ns"]
    );
    assert_eq!(system.get(&at)["text"], by_time["text"]);
    let by_filter = system.get(&format!(
        "/api/v1/compare?{RANGE}&operation=forward&a=device%3Dcuda:0&b=device%3Dcuda:1"
    ));
    assert_eq!(by_filter["second"]["durations"]["requests"], 10);
    let (first, second) = ("01".repeat(16), "29".repeat(16));
    let by_trace = system.get(&format!("/api/v1/compare?a_trace={first}&b_trace={second}"));
    assert_eq!(by_trace["verdict"]["path"][1], "queue");
    assert_eq!(by_trace["a"]["selected"]["trace_id"], first.as_str());
    // A trace against its like: it is not among them.
    let by_like = system.get(&format!(
        "/api/v1/compare?{RANGE}&a_version=1.5&b_trace={second}&b_span=0202020202020202"
    ));
    assert_eq!(by_like["first"]["durations"]["requests"], 19);
    assert_eq!(by_like["second"]["durations"]["max_ns"], 400 * MS);
    // Nothing else said, they are the faster half of the operations of its root's name around it.
    let by_like = system.get(&format!("/api/v1/compare?b_trace={second}"));
    assert_eq!(by_like["first"]["name"], "typical");
    let typical = by_like["first"]["durations"]["requests"].as_u64().unwrap();
    assert!((20..40).contains(&typical), "{typical}");
    assert_eq!(by_like["a"]["selected"]["operation"], "POST /generate");
    assert_eq!(by_like["verdict"]["path"][1], "queue");
}

#[test]
fn a_side_without_requests_is_no_answer_but_a_reason() {
    let system = planted();
    let answer = system.get(&format!(
        "/api/v1/compare?{RANGE}&a_version=1.4&b_version=2.0"
    ));
    assert_eq!(answer["verdict"]["kind"], "cannot_tell");
    assert!(
        answer["text"]
            .as_str()
            .unwrap()
            .contains("`2.0` has no requests"),
        "{answer:#}"
    );
    for (address, status) in [
        ("a_trace=xyz&b_trace=1", 400),
        ("colour=red", 400),
        ("a_trace=ffffffffffffffffffffffffffffffff", 404),
        ("a=duration%3Esoon", 400),
    ] {
        assert_eq!(
            system.refused(&format!("/api/v1/compare?{address}")).0,
            status,
            "{address}"
        );
    }
}

#[test]
fn what_was_not_read_is_said() {
    let system = System::empty();
    let mut rows = StoreRows::default();
    for request in 0..5_100_u64 {
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&(request + 1).to_be_bytes());
        rows.span(&SpanRow {
            origin: versioned(false),
            trace_id,
            span_id: [1; 8],
            parent_span_id: None,
            name: "step",
            kind: "internal",
            status: "unset",
            status_message: "",
            start_unix_ns: START + request as i64 * MS,
            duration_ns: MS,
            links: "",
            attributes: &[],
        });
    }
    system.api.store.append(rows).unwrap();
    for address in ["", "&operation=step"] {
        let answer = system.get(&format!("/api/v1/why?{RANGE}{address}"));
        assert_eq!(
            answer["read"],
            serde_json::json!({"traces": 5000, "of_traces": 5100, "spans": 5000})
        );
        let text = answer["text"].as_str().unwrap().replace("\n ", "");
        assert!(
            text.contains("older requests: the newest 5000 of 5100 traces were read"),
            "{text}"
        );
    }
}

/// What an answer has: its members and of what type they are, of lists what the first has.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(values) => values.iter().take(1).map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(number) if number.is_f64() => "number".into(),
        Value::Number(_) => "whole".into(),
        Value::Bool(_) => "truth".into(),
        Value::Null => Value::Null,
    }
}

/// Who changes these changes docs/api.md with them.
#[test]
fn answers_have_what_their_documentation_says() {
    let system = planted();
    let why = system.get(&format!("/api/v1/why?{RANGE}&operation=POST%20/generate"));
    let compared = system.get(&format!(
        "/api/v1/compare?{RANGE}&a_version=1.4&b_version=1.5"
    ));
    insta::assert_snapshot!("why", format!("{:#}", shape(&why)));
    insta::assert_snapshot!("compare", format!("{:#}", shape(&compared)));
}
