//! Those who ask for what takes long, and those who ask slowly, leave room for the others.

use futures::FutureExt as _;

use super::*;

/// A request to run a statement.
fn statement(text: &str) -> Request<Body> {
    let body = serde_json::json!({ "statement": text }).to_string();
    Request::post("/api/v1/sql")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap()
}

#[test]
fn statements_leave_turns_for_what_the_page_asks() {
    let system = System::new();
    // As many run as may at once.
    let running: Vec<Turn> = (0..STATEMENTS_MAX)
        .map(|_| {
            let turn = system.api.turn(Asked::Statement).now_or_never();
            turn.flatten().unwrap()
        })
        .collect();
    assert!(system.api.turn(Asked::Statement).now_or_never().is_none());
    let promql = "/prometheus/api/v1/query?query=1";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for request in [
            statement("SELECT 1"),
            Request::get(promql).body(Body::empty()).unwrap(),
        ] {
            let answer = router(Arc::clone(&system.api)).oneshot(request);
            assert!(answer.now_or_never().is_none(), "it waits for its turn");
        }
    });
    for answer in ["status", "traces", "overview", "logs", "map", "metrics"] {
        system.get(&format!("/api/v1/{answer}?{RANGE}"));
    }
    drop(running);
    assert_eq!(system.ask(statement("SELECT 1")).0, StatusCode::OK);
    system.get(promql);
    assert_eq!(
        (
            system.api.turns.available_permits(),
            system.api.statements.available_permits()
        ),
        (ANSWERS_MAX, STATEMENTS_MAX),
        "those who went away have given back what they waited for"
    );
}

#[test]
fn a_body_has_a_bound() {
    let system = System::new();
    let (status, answer) = system.ask(statement(&"a".repeat(BODY_BYTES_MAX)));
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer:#}");
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("1 MiB")
    );
}
