//! Telemetry that cannot be: what its sender is told, that what came with it is kept, and that the server goes on.

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use radiosonde_store::query::Limits;

use super::{
    http::{PROTOBUF, post},
    server::{Running, now_unix_ns, traces},
};

const YEAR_NS: u64 = 365 * 24 * 3600 * 1_000_000_000;

/// What is done to a span.
type Change = Box<dyn FnOnce(&mut Span)>;

/// Three spans called `name`, of which `change` is done to the second.
fn changed(name: &str, change: impl FnOnce(&mut Span)) -> ExportTraceServiceRequest {
    let mut request = traces(name, 3, &[]);
    change(&mut request.resource_spans[0].scope_spans[0].spans[1]);
    request
}

/// What is said of a request that is taken; nothing where all of it is kept.
fn told(
    running: &Running,
    request: &ExportTraceServiceRequest,
) -> Option<ExportTracePartialSuccess> {
    let answer = post(
        &running.http("/v1/traces"),
        PROTOBUF,
        &request.encode_to_vec(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = ExportTraceServiceResponse::decode(&*answer.body).unwrap();
    answer.partial_success
}

fn attribute(key: String, value: Value) -> KeyValue {
    KeyValue {
        key,
        value: Some(AnyValue { value: Some(value) }),
        key_strindex: 0,
    }
}

/// So many attributes whose keys nobody else has, but who counts from the same number.
fn attributes(from: u64, count: u64) -> Vec<KeyValue> {
    let numbers = from..from + count;
    numbers
        .map(|number| attribute(format!("k{number}"), Value::IntValue(number as i64)))
        .collect()
}

#[test]
fn a_span_that_cannot_be_is_named_with_its_mend_and_the_others_are_kept() {
    let running = Running::start();
    let now = now_unix_ns();
    let cases: [(&str, &str, &str, Change); 6] = [
        (
            "zero",
            "all zero",
            "identifiers as the SDK makes them",
            Box::new(|span| span.trace_id = vec![0; 16]),
        ),
        (
            "no id",
            "span id is missing",
            "identifiers as the SDK makes them",
            Box::new(|span| span.span_id = vec![0; 8]),
        ),
        (
            "past",
            "more than 10 years from now",
            "set the sender's clock",
            Box::new(move |span| span.start_time_unix_nano = now - 11 * YEAR_NS),
        ),
        (
            "future",
            "more than 10 years from now",
            "set the sender's clock",
            Box::new(move |span| span.start_time_unix_nano = now + 11 * YEAR_NS),
        ),
        (
            "endless",
            "more than 10 years from now",
            "set the sender's clock",
            Box::new(move |span| span.end_time_unix_nano = now + 11 * YEAR_NS),
        ),
        (
            "wide",
            "more than 4096 attributes",
            "send fewer attributes",
            Box::new(|span| span.attributes = attributes(0, 1_000_000)),
        ),
    ];
    for (name, wrong, mend, change) in cases {
        let said = told(&running, &changed(name, change)).unwrap();
        assert_eq!(said.rejected_spans, 1, "{name}: {said:?}");
        for words in ["spans[1]", wrong, mend] {
            assert!(said.error_message.contains(words), "{name}: {said:?}");
        }
        let kept = format!("SELECT count(*) FROM spans WHERE name = '{name}'");
        assert_eq!(running.ask(&kept), "2", "{name}");
    }
}

#[test]
fn a_span_that_ends_before_it_starts_or_is_years_off_is_kept() {
    let running = Running::start();
    let now = now_unix_ns();
    let backwards = changed("backwards", |span| {
        span.start_time_unix_nano = now;
        span.end_time_unix_nano = now - 60_000_000_000;
    });
    let past = changed("past", |span| span.start_time_unix_nano = now - 9 * YEAR_NS);
    let future = changed("future", |span| {
        span.start_time_unix_nano = now + 9 * YEAR_NS;
        span.end_time_unix_nano = now + 9 * YEAR_NS + 7;
    });
    for request in [backwards, past, future] {
        assert_eq!(told(&running, &request), None);
    }
    let counted = "SELECT name, count(*), min(duration) = 0 FROM spans GROUP BY 1 ORDER BY 1";
    assert_eq!(
        running.ask(counted),
        "backwards | 3 | true\nfuture | 3 | false\npast | 3 | false"
    );
}

#[test]
fn a_million_keys_are_kept_and_found() {
    let running = Running::start();
    let mut request = traces("wide", 250, &[]);
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    for (number, span) in (0..).zip(spans) {
        span.attributes = attributes(number * 4000, 4000);
    }
    assert_eq!(told(&running, &request), None);
    drop(request);
    let found = "SELECT count(*) FROM spans WHERE CAST(attributes['k999999'] AS VARCHAR) = '999999' \
                 OR CAST(attributes['k0'] AS VARCHAR) = '0'";
    for _ in 0..2 {
        assert_eq!(running.ask(found), "2");
        assert_eq!(running.ask("SELECT count(*) FROM spans"), "250");
        // Of the keys few have a column of their own; the others cost no statement anything.
        let store = running.server.store();
        let answer = store
            .sql("SELECT * FROM spans LIMIT 1", Limits::default())
            .unwrap();
        assert!(answer.columns.len() < 1100, "{}", answer.columns.len());
        store.flush().unwrap();
    }
}

#[test]
fn values_in_one_another_without_end_are_refused_and_said() {
    let running = Running::start();
    let deep = (0..31).fold(Value::IntValue(1), |inner, _| {
        let values = vec![AnyValue { value: Some(inner) }];
        Value::ArrayValue(ArrayValue { values })
    });
    let request = changed("deep", |span| {
        span.attributes = vec![attribute("deep".to_owned(), deep)];
    });
    let url = running.http("/v1/traces");
    let answer = post(&url, PROTOBUF, &request.encode_to_vec());
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("30"), "{}", answer.text());
    let lists = format!("{{\"resourceSpans\":{}", "[".repeat(1_000_000));
    let answer = post(&url, "application/json", lists.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(told(&running, &traces("after", 1, &[])), None);
    assert_eq!(running.ask("SELECT name FROM spans"), "after");
}
