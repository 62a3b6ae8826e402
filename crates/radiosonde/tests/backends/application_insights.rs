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

pub fn open(url: String) -> Backend {
    application_insights::open(&config(&url)).unwrap()
}

#[test]
fn each_kind_of_record_is_the_telemetry_that_azure_knows() {
    let receiver = Receiver::start(StrictApplicationInsights::default());
    let mut config = config(&receiver.url());
    config.sample_percent = 25.0;
    let mut backend = application_insights::open(&config).unwrap();
    let mut batch = records::empty();
    records::push_span(
        &mut batch,
        1,
        &[
            ("otel.kind", ValueRef::Str("server")),
            ("http.response.status_code", ValueRef::U64(503)),
            ("otel.status_code", ValueRef::Str("ERROR")),
            ("url.full", ValueRef::Str("http://h/a")),
        ],
    );
    records::push_span(
        &mut batch,
        2,
        &[
            ("otel.kind", ValueRef::Str("client")),
            ("db.system.name", ValueRef::Str("sqlite")),
            ("db.query.text", ValueRef::Str("SELECT 1")),
        ],
    );
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
    let all = receiver.with(|strict| strict.envelopes.clone());
    let find = |name: &str| {
        all.iter()
            .find(|one| one["data"]["baseType"] == name)
            .unwrap()
    };
    let request = find("RequestData");
    assert_eq!(
        (&request["sampleRate"], &request["time"]),
        (&json!(25.0), &json!("2026-09-21T14:13:20.001000Z"))
    );
    let tags = &request["tags"];
    assert_eq!(
        (
            &tags["ai.operation.id"],
            &tags["ai.operation.parentId"],
            &tags["ai.operation.name"]
        ),
        (&json!(TRACE), &json!("0000000000000001"), &json!("work"))
    );
    let told = &request["data"]["baseData"];
    assert_eq!(
        (
            &told["id"],
            &told["duration"],
            &told["responseCode"],
            &told["success"],
            &told["url"]
        ),
        (
            &json!("0000000000000002"),
            &json!("0.00:00:00.001500"),
            &json!("503"),
            &json!(false),
            &json!("http://h/a")
        )
    );
    let told = &find("RemoteDependencyData")["data"]["baseData"];
    assert_eq!(
        (&told["type"], &told["data"], &told["success"]),
        (&json!("sqlite"), &json!("SELECT 1"), &json!(true))
    );
    let message = find("MessageData");
    assert_eq!(
        message["data"]["baseData"]["message"]
            .as_str()
            .unwrap()
            .len(),
        32_768
    );
    assert!(message.get("sampleRate").is_none(), "every log is there");
    let told = &find("ExceptionData")["data"]["baseData"];
    assert_eq!(
        (
            &told["exceptions"][0]["typeName"],
            &told["exceptions"][0]["message"],
            &told["properties"]["message"]
        ),
        (&json!("E"), &json!("broken"), &json!("it broke"))
    );
    let told = &find("EventData")["data"]["baseData"];
    assert_eq!(
        (
            &told["name"],
            &told["measurements"],
            &told["properties"]["place"]
        ),
        (&json!("test.happened"), &json!({"id": 5.0}), &json!("here"))
    );
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
