//! Application Insights, against a strict receiver.

use radiosonde::{
    core::ValueRef,
    exporter::{
        Exporter,
        application_insights::{self, ApplicationInsightsConfig},
        backend::Backend,
    },
};
use serde_json::{Value, json};

use crate::{
    receiver::{Answer, Receiver, Request, Strict},
    records::{self, TRACE, connection, deliver},
};

/// Stands in for Azure's ingestion ("Breeze"); no real one runs here. It checks path, gzip, that the body is an array of envelopes
/// with their names, base types, keys, tags and fields, durations, and lengths (PROTOCOLS 7.11), and answers with
/// `itemsReceived` and `itemsAccepted`.
#[derive(Default)]
pub struct StrictApplicationInsights {
    envelopes: Vec<Value>,
    /// The status of the next envelopes instead of taking them.
    refusals: Vec<u16>,
}

fn check(envelope: &Value) -> Option<()> {
    let is = |truth: bool| truth.then_some(());
    let name = envelope["name"]
        .as_str()?
        .strip_prefix("Microsoft.ApplicationInsights.")?;
    let data = &envelope["data"];
    is(data["baseType"] == format!("{name}Data"))?;
    is(envelope["iKey"] == "1KEY" && envelope["time"].as_str()?.ends_with('Z'))?;
    is(envelope["tags"].as_object()?.values().all(Value::is_string))?;
    is(envelope["tags"]["ai.cloud.role"] == "tester")?;
    let told = &data["baseData"];
    is(told["ver"] == 2
        && told["properties"]
            .as_object()?
            .values()
            .all(Value::is_string))?;
    match name {
        "Request" | "RemoteDependency" => {
            let duration = told["duration"].as_str()?;
            is(duration.len() >= 17 && duration.contains('.') && told["success"].is_boolean())?;
            let code = if name == "Request" {
                "responseCode"
            } else {
                "resultCode"
            };
            is(told["id"].as_str()?.len() == 16
                && told["name"].is_string()
                && told[code].is_string())
        }
        "Message" => {
            is(told["message"].as_str()?.len() <= 32_768 && told["severityLevel"].is_u64())
        }
        "Exception" => is(told["exceptions"][0]["typeName"].is_string()
            && told["exceptions"][0]["message"].is_string()),
        "Event" => is(told["name"].is_string()
            && told["measurements"]
                .as_object()?
                .values()
                .all(Value::is_number)),
        "Metric" => {
            is(told["metrics"][0]["name"].is_string() && told["metrics"][0]["value"].is_number())
        }
        _ => None,
    }
}

impl Strict for StrictApplicationInsights {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect_path("/v2/track")?;
        request.expect("content-type", "application/json")?;
        request.expect("content-encoding", "gzip")?;
        let read = request.json()?;
        let envelopes = read
            .as_array()
            .filter(|all| !all.is_empty())
            .ok_or("no array")?;
        let mut errors = Vec::new();
        for (index, envelope) in envelopes.iter().enumerate() {
            check(envelope).ok_or_else(|| format!("{envelope}"))?;
            match self.refusals.pop() {
                Some(status) if status != 200 => {
                    errors.push(json!({"index": index, "statusCode": status, "message": "no"}));
                }
                _ => self.envelopes.push(envelope.clone()),
            }
        }
        let accepted = envelopes.len() - errors.len();
        let status = if errors.is_empty() { 200 } else { 206 };
        let answer =
            json!({"itemsReceived": envelopes.len(), "itemsAccepted": accepted, "errors": errors});
        Ok((status, answer.to_string()))
    }

    fn ids(&self) -> Vec<u64> {
        let logs = self
            .envelopes
            .iter()
            .filter(|one| one["data"]["baseType"] == "MessageData");
        logs.filter_map(|one| {
            one["data"]["baseData"]["properties"]["id"]
                .as_str()?
                .parse()
                .ok()
        })
        .collect()
    }
}

fn config(url: &str) -> ApplicationInsightsConfig {
    let text = format!("InstrumentationKey=1KEY;IngestionEndpoint={url}/");
    let mut config = ApplicationInsightsConfig::from_connection_string(&text).unwrap();
    config.connection = connection(config.connection.endpoint);
    config
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every backend is opened alike"
)]
pub fn open(url: String) -> Backend {
    application_insights::open(&config(&url)).unwrap()
}

/// The base data of the telemetry of type `name`, and its envelope.
fn told(receiver: &Receiver<StrictApplicationInsights>, name: &str) -> (Value, Value) {
    let all = receiver.with(|strict| strict.envelopes.clone());
    let found = all
        .iter()
        .find(|one| one["data"]["baseType"] == name)
        .unwrap();
    (found["data"]["baseData"].clone(), found.clone())
}

#[test]
fn spans_are_requests_and_dependencies() {
    let receiver = Receiver::start(StrictApplicationInsights::default());
    let mut config = config(&receiver.url());
    config.sample_percent = 25.0;
    let mut backend = application_insights::open(&config).unwrap();
    let mut batch = records::empty();
    let served = [
        ("otel.kind", ValueRef::Str("server")),
        ("http.response.status_code", ValueRef::U64(503)),
        ("otel.status_code", ValueRef::Str("ERROR")),
        ("url.full", ValueRef::Str("http://h/a")),
    ];
    records::push_span(&mut batch, 1, &served);
    let asked = [
        ("otel.kind", ValueRef::Str("client")),
        ("db.system.name", ValueRef::Str("sqlite")),
        ("db.query.text", ValueRef::Str("SELECT 1")),
    ];
    records::push_span(&mut batch, 2, &asked);
    backend.export(&batch).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    let (request, envelope) = told(&receiver, "RequestData");
    let expected = (json!(25.0), json!("2026-09-21T14:13:20.001000Z"));
    assert_eq!(
        (envelope["sampleRate"].clone(), envelope["time"].clone()),
        expected
    );
    let tags = &envelope["tags"];
    assert_eq!(tags["ai.operation.id"], TRACE);
    assert_eq!(tags["ai.operation.parentId"], "0000000000000001");
    assert_eq!(tags["ai.operation.name"], "work");
    assert_eq!(
        (&request["id"], &request["duration"]),
        (&json!("0000000000000002"), &json!("0.00:00:00.001500"))
    );
    assert_eq!(
        (&request["responseCode"], &request["success"]),
        (&json!("503"), &json!(false))
    );
    assert_eq!(request["url"], "http://h/a");
    let (dependency, _) = told(&receiver, "RemoteDependencyData");
    assert_eq!(
        (&dependency["type"], &dependency["data"]),
        (&json!("sqlite"), &json!("SELECT 1"))
    );
    assert_eq!(dependency["success"], true);
}

#[test]
fn logs_are_messages_and_exceptions_and_events_have_measurements() {
    let receiver = Receiver::start(StrictApplicationInsights::default());
    let mut config = config(&receiver.url());
    config.sample_percent = 25.0;
    let mut backend = application_insights::open(&config).unwrap();
    let mut batch = records::empty();
    records::push_log(&mut batch, 3, &"long ".repeat(10_000), &[]);
    let error = [
        ("exception.type", ValueRef::Str("E")),
        ("exception.message", ValueRef::Str("broken")),
    ];
    records::push_error(&mut batch, 4, "it broke", &error);
    records::push_event(&mut batch, 5, "here");
    backend.export(&batch).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    let (message, envelope) = told(&receiver, "MessageData");
    assert_eq!(message["message"].as_str().unwrap().len(), 32_768);
    assert!(envelope.get("sampleRate").is_none(), "every log is there");
    let (exception, _) = told(&receiver, "ExceptionData");
    let first = &exception["exceptions"][0];
    assert_eq!(
        (&first["typeName"], &first["message"]),
        (&json!("E"), &json!("broken"))
    );
    assert_eq!(exception["properties"]["message"], "it broke");
    let (event, _) = told(&receiver, "EventData");
    assert_eq!(
        (&event["name"], &event["measurements"]),
        (&json!("test.happened"), &json!({"id": 5.0}))
    );
    assert_eq!(event["properties"]["place"], "here");
}

#[test]
fn metrics_are_what_came_since_the_last_ones() {
    let receiver = Receiver::start(StrictApplicationInsights::default());
    let mut backend = open(receiver.url());
    for (seconds, total) in [(10, 5), (20, 12)] {
        backend
            .export_metrics(&records::snapshot(seconds, total))
            .unwrap();
    }
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    let all = receiver.with(|strict| strict.envelopes.clone());
    let named = |name: &str| -> Vec<Value> {
        let metrics = all
            .iter()
            .map(|one| one["data"]["baseData"]["metrics"][0].clone());
        metrics.filter(|metric| metric["name"] == name).collect()
    };
    let counts = named("gpu.operation.count");
    assert_eq!(
        (&counts[0]["value"], &counts[1]["value"]),
        (&json!(5.0), &json!(7.0))
    );
    let durations = named("gpu.operation.duration");
    assert_eq!(
        (
            &durations[1]["value"],
            &durations[1]["count"],
            &durations[1]["kind"]
        ),
        (&json!(14.0), &json!(7), &json!("Aggregation"))
    );
}

#[test]
fn of_a_part_only_what_may_be_taken_later_is_sent_again() {
    let receiver = Receiver::start(StrictApplicationInsights::default());
    receiver.with(|strict| strict.refusals = vec![500, 200, 400, 439]);
    let mut backend = open(receiver.url());
    let mut batch = records::empty();
    (0..5).for_each(|id| records::push_log(&mut batch, id, "m", &[]));
    backend.export(&batch).unwrap();
    assert_eq!(deliver(&mut backend), 1);
    receiver.assert_no_faults();
    assert_eq!(receiver.ids(), [2, 4, 0, 3]);
}

#[test]
fn over_quota_waits_until_it_may_send() {
    let receiver = Receiver::start(StrictApplicationInsights::default());
    receiver.will([Answer::Status(439, "Retry-After: 0\r\n", String::new())]);
    let mut backend = open(receiver.url());
    backend.export(&records::batch(0..2)).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    assert_eq!(receiver.ids(), [0, 1]);
}
