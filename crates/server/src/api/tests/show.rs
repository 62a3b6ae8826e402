//! Everything of one identifier, whatever it is an identifier of.

use super::*;

const FIRST: &str = "01010101010101010101010101010101";

/// The system with two more requests, 1 s and 2 s after the others, whose caller called both `abc123`; the newer one says so by a
/// header. Its engine logs the ID outside of any span too, and a job without spans does.
fn correlated() -> System {
    let system = System::new();
    let mut rows = StoreRows::default();
    let header = Attribute::Json(r#"["abc123"]"#);
    for (number, attribute) in [
        (7_u8, ("correlation.id", Attribute::Text("abc123"))),
        (8, ("http.request.header.x-request-id", header)),
    ] {
        rows.span(&SpanRow {
            origin: origin("gateway"),
            trace_id: [number; 16],
            span_id: [number; 8],
            parent_span_id: None,
            name: "POST /order",
            kind: "server",
            status: "unset",
            status_message: "",
            start_unix_ns: START + i64::from(number - 6) * 1000 * MS,
            duration_ns: 10 * MS,
            links: "",
            attributes: &[attribute],
        });
    }
    for (body, trace_id, id) in [
        ("no span here", None, "abc123"),
        ("a job", Some([9; 16]), "job-7"),
    ] {
        rows.log(&LogRow {
            origin: origin("engine"),
            time_unix_ns: START + 3000 * MS,
            trace_id,
            span_id: None,
            severity: 9,
            event_name: "",
            body,
            attributes: &[("request_id", Attribute::Text(id))],
        });
    }
    system.api.store.append(rows).unwrap();
    system
}

fn show(system: &System, id: &str) -> Value {
    system.get(&format!("/api/v1/show/{id}?{RANGE}"))
}

#[test]
fn a_trace_comes_with_its_logs_exemplars_and_samples() {
    let system = System::new();
    // A counter is sent again and again with the same exemplar.
    system.api.store.append(rows()).unwrap();
    // Whatever time is asked for: a trace is found by its ID.
    let answer = system.get(&format!("/api/v1/show/{FIRST}"));
    assert_eq!(
        (&answer["kind"], &answer["more"]),
        (&"trace".into(), &false.into())
    );
    assert_eq!(answer["traces"][0]["trace_id"], FIRST);
    assert_eq!(answer["trace"]["spans"][1]["name"], "forward");
    assert_eq!(answer["trace"]["logs"][0]["body"], "begun");
    let exemplars = answer["exemplars"].as_array().unwrap();
    assert_eq!(exemplars.len(), 1, "{exemplars:?}");
    assert_eq!(
        (&exemplars[0]["metric"], &exemplars[0]["value"]),
        (&"requests".into(), &3.0.into())
    );
    assert_eq!(exemplars[0]["attributes"]["device"], "cuda:0");
    assert_eq!(answer["flame"]["libraries"][0]["library"], "torch");
    let other = show(&system, &"04".repeat(16));
    assert_eq!(
        (&other["exemplars"], &other["flame"]),
        (&Value::Array(Vec::new()), &Value::Null)
    );
}

#[test]
fn a_span_leads_to_its_trace() {
    let answer = show(&correlated(), "0808080808080808");
    assert_eq!(answer["kind"], "span");
    assert_eq!(answer["trace"]["trace_id"], "08".repeat(16));
}

#[test]
fn a_correlation_id_leads_to_traces_and_to_logs_outside_of_them() {
    let system = correlated();
    let answer = show(&system, "abc123");
    assert_eq!(answer["kind"], "correlation");
    let traces = answer["traces"].as_array().unwrap();
    let ids: Vec<_> = traces
        .iter()
        .map(|trace| trace["trace_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["08".repeat(16), "07".repeat(16)]);
    assert_eq!(answer["trace"]["trace_id"], ids[0]);
    assert_eq!(answer["logs"][0]["body"], "no span here");
    // Of a trace that has logs alone.
    let job = show(&system, "job-7");
    assert_eq!(job["trace"]["logs"][0]["body"], "a job");
    assert_eq!(
        (&job["traces"], &job["logs"]),
        (&Value::Array(Vec::new()), &Value::Array(Vec::new()))
    );
}

#[test]
fn what_is_not_here_is_said_with_what_to_do() {
    let system = correlated();
    for id in ["abc12", "it's", "ff", &"ff".repeat(16), &"ff".repeat(8)] {
        let (status, message) = system.refused(&format!("/api/v1/show/{id}?{RANGE}"));
        assert_eq!(
            (status, message),
            (404, format!("nothing here has the identifier `{id}`"))
        );
    }
    let (status, _) = system.refused(&format!("/api/v1/show/{}", "a".repeat(2000)));
    assert_eq!(status, 400);
}
