//! Splunk, against a strict receiver.

use std::time::Duration;

use radiosonde::exporter::{
    Exporter,
    backend::Backend,
    splunk::{self, SplunkConfig},
};
use serde_json::{Deserializer, Value, json};

use crate::{
    receiver::{Receiver, Request, Strict},
    records::{self, TRACE, connection, deliver},
};

/// Stands in for Splunk's HTTP Event Collector; no real one runs here. It checks path, `Authorization`, the channel where it
/// acknowledges, that bodies are JSON objects one after another with known members, seconds with a fraction, and metrics as events
/// `metric` with `metric_name` and `_value` (PROTOCOLS 7.12).
#[derive(Default)]
pub struct StrictSplunk {
    events: Vec<Value>,
    /// How often it says "not yet" to each request; `None` where it acknowledges nothing.
    indexes_after: Option<usize>,
    /// Requests of which it never says that they are indexed.
    forgets: usize,
    asked: Vec<usize>,
    channels: Vec<String>,
}

impl StrictSplunk {
    fn event(&mut self, event: Value) -> Result<(), String> {
        const MEMBERS: [&str; 7] = [
            "time",
            "host",
            "source",
            "sourcetype",
            "index",
            "event",
            "fields",
        ];
        let members = event.as_object().ok_or("no object")?;
        let odd = members
            .keys()
            .find(|name| !MEMBERS.contains(&name.as_str()));
        if let Some(odd) = odd {
            return Err(format!("{odd} is unknown"));
        }
        if event["time"].as_f64().is_none_or(|time| time < 1e9) {
            return Err(format!("the time is {}", event["time"]));
        }
        let fields = event["fields"].as_object().ok_or("no fields")?;
        if event["event"] == "metric" {
            if !fields["metric_name"].is_string() || !fields["_value"].is_number() {
                return Err(format!("{event}"));
            }
        } else if !event["event"].is_object() || !fields.values().all(Value::is_string) {
            return Err(format!("{event}"));
        }
        self.events.push(event);
        Ok(())
    }

    fn acknowledge(&mut self, request: &Request) -> Result<(u16, String), String> {
        let read = request.json()?;
        let number = read["acks"][0].as_u64().ok_or("no acks")? as usize;
        let asked = self.asked.get_mut(number).ok_or("no such request")?;
        *asked += 1;
        let is_indexed = number >= self.forgets && Some(*asked) > self.indexes_after;
        Ok((
            200,
            json!({"acks": {number.to_string(): is_indexed}}).to_string(),
        ))
    }
}

impl Strict for StrictSplunk {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect("authorization", "Splunk T0KEN")?;
        request.expect("content-type", "application/json")?;
        let channel = request
            .header("x-splunk-request-channel")
            .unwrap_or_default();
        if self.indexes_after.is_some() {
            if channel.len() != 36 {
                return Err(format!("the channel is {channel:?}"));
            }
            self.channels.push(channel.to_owned());
        }
        match request.path.as_str() {
            "/services/collector/event" => {}
            "/services/collector/ack" => return self.acknowledge(request),
            other => return Err(format!("there is no {other}")),
        }
        let plain = request.plain()?;
        for event in Deserializer::from_slice(&plain).into_iter::<Value>() {
            self.event(event.map_err(|error| error.to_string())?)?;
        }
        let mut answer = json!({"text": "Success", "code": 0});
        if self.indexes_after.is_some() {
            answer["ackId"] = self.asked.len().into();
            self.asked.push(0);
        }
        Ok((200, answer.to_string()))
    }

    fn ids(&self) -> Vec<u64> {
        let logs = self
            .events
            .iter()
            .filter(|event| event["sourcetype"] == "radiosonde:log");
        logs.filter_map(|event| event["event"]["attributes"]["id"].as_u64())
            .collect()
    }
}

fn config(url: String) -> SplunkConfig {
    let mut config = SplunkConfig::new("", "T0KEN");
    config.connection = connection(url);
    config
}

pub fn open(url: String) -> Backend {
    splunk::open(&config(url)).unwrap()
}

#[test]
fn everything_is_an_event_or_a_metric() {
    let receiver = Receiver::start(StrictSplunk::default());
    let mut config = config(receiver.url());
    config.index = Some("main".to_owned());
    config.metrics_index = Some("numbers".to_owned());
    let mut backend = splunk::open(&config).unwrap();
    let mut batch = records::batch(1..2);
    records::push_event(&mut batch, 2, "here");
    backend.export(&batch).unwrap();
    backend.export_metrics(&records::snapshot(10, 5)).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    let events = receiver.with(|strict| strict.events.clone());
    let fields = json!({"service.name": "tester", "service.version": "1.2", "deployment.environment.name": "staging"});
    let with = |more: Value| {
        let mut all = fields.clone();
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let find = |kind: &str| {
        events
            .iter()
            .find(|event| event["sourcetype"] == kind)
            .unwrap()
    };
    assert_eq!(
        *find("radiosonde:span"),
        json!({"time": 1_790_000_000.001, "host": "host-1", "source": "tester", "sourcetype": "radiosonde:span", "index": "main",
            "event": {"name": "work", "kind": "internal", "status": "unset", "duration_ns": 1_500_000,
                "parent_id": "0000000000000001", "target": "app", "thread": 7,
                "attributes": {"id": 1, "text": "a \"text\"\n"}},
            "fields": with(json!({"trace_id": TRACE, "span_id": "0000000000000002"}))})
    );
    let log = find("radiosonde:log");
    assert_eq!(log["event"]["message"], "it said \"so\"\n");
    assert_eq!(
        log["fields"],
        with(json!({"level": "INFO", "trace_id": TRACE, "span_id": "0000000000000002"}))
    );
    assert_eq!(
        find("radiosonde:event")["event"]["attributes"]["place"],
        "here"
    );
    let metrics: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "metric")
        .collect();
    let names: Vec<_> = metrics
        .iter()
        .map(|one| one["fields"]["metric_name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "gpu.operation.count",
            "gpu.operation.duration.count",
            "gpu.operation.duration.sum",
            "gpu.operation.duration.min",
            "gpu.operation.duration.max",
            "gpu.temperature"
        ]
    );
    assert_eq!(
        metrics[0]["fields"],
        with(json!({"metric_name": "gpu.operation.count", "_value": 5, "operation": "matmul"}))
    );
    assert_eq!(metrics[0]["index"], "numbers");
}

#[test]
fn it_is_asked_until_events_are_indexed_and_they_are_sent_again_where_it_never_says_so() {
    let receiver = Receiver::start(StrictSplunk {
        indexes_after: Some(2),
        forgets: 1,
        ..StrictSplunk::default()
    });
    let mut config = config(receiver.url());
    config.acknowledgement = Some(Duration::from_millis(400));
    let mut backend = splunk::open(&config).unwrap();
    backend.export(&records::batch(0..3)).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    receiver.with(|strict| {
        // One request of spans and one of logs, and the first of them again.
        assert_eq!(strict.asked.len(), 3);
        assert_eq!(strict.asked[1..], [3, 3]);
        assert!(strict.channels.iter().all(|one| *one == strict.channels[0]));
        // Spans were first, and are there twice, as documented.
        assert_eq!(strict.events.len(), 9);
    });
    assert_eq!(receiver.ids(), [0, 1, 2]);
}
