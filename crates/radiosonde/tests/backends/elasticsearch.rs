//! Elasticsearch, against a strict receiver.

use std::collections::BTreeMap;

use radiosonde::core::ValueRef;
use radiosonde::exporter::{
    Exporter,
    backend::Backend,
    elasticsearch::{self, Credentials, ElasticsearchConfig},
};
use serde_json::{Value, json};

use crate::{
    receiver::{Receiver, Request, Strict},
    records::{self, TRACE, connection, deliver},
};

/// Stands in for Elasticsearch and OpenSearch; no real one runs here. It checks path, media type, the final newline, pairs of `create` and
/// document with nothing else in them, names of data streams, that an `_id` is made once, and the fields of the Elastic Common
/// Schema (PROTOCOLS 7.13). It answers with the fields that `filter_path` asks for.
#[derive(Default)]
pub struct StrictElasticsearch {
    documents: BTreeMap<String, (String, Value)>,
    order: Vec<String>,
    /// The status of the next documents instead of taking them.
    refusals: Vec<u16>,
    conflicts: usize,
}

impl StrictElasticsearch {
    fn document(&mut self, action: &[u8], document: &[u8]) -> Result<u16, String> {
        let read = |bytes| serde_json::from_slice::<Value>(bytes).map_err(|e| e.to_string());
        let (action, document) = (read(action)?, read(document)?);
        let create = action["create"].as_object().ok_or("no create")?;
        if action.as_object().map(serde_json::Map::len) != Some(1) || create.len() != 2 {
            return Err(format!("{action}"));
        }
        let index = create["_index"].as_str().ok_or("no _index")?;
        let id = create["_id"]
            .as_str()
            .filter(|id| !id.is_empty())
            .ok_or("no _id")?;
        let kind = index.split('-').next().unwrap_or_default();
        let fields: &[&str] = match kind {
            "logs" => &["message", "log.level", "log.logger"],
            "traces" => &[
                "trace.id",
                "span.id",
                "span.name",
                "event.duration",
                "event.outcome",
            ],
            "metrics" => &["metric.name", "metric.kind"],
            _ => return Err(format!("{index} is no data stream")),
        };
        for name in ["@timestamp", "service.name"].iter().chain(fields) {
            if document.get(*name).is_none() {
                return Err(format!("no {name}: {document}"));
            }
        }
        if let Some(status) = self.refusals.pop() {
            return Ok(status);
        }
        if let Some((_, known)) = self.documents.get(id) {
            if *known != document {
                return Err(format!("{id} is another document"));
            }
            self.conflicts += 1;
            return Ok(409);
        }
        self.documents
            .insert(id.to_owned(), (index.to_owned(), document));
        self.order.push(id.to_owned());
        Ok(201)
    }

    fn of(&self, kind: &str) -> Vec<(&str, &Value)> {
        let all = self.order.iter().map(|id| &self.documents[id]);
        all.filter(|(index, _)| index.starts_with(kind))
            .map(|(index, document)| (index.as_str(), document))
            .collect()
    }
}

impl Strict for StrictElasticsearch {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect_path("/_bulk?filter_path=errors,items.*.status,items.*.error.type")?;
        request.expect("content-type", "application/x-ndjson")?;
        let body = request.plain()?;
        if !body.ends_with(b"\n") {
            return Err("no newline at the end".to_owned());
        }
        let lines: Vec<&[u8]> = body[..body.len() - 1]
            .split(|byte| *byte == b'\n')
            .collect();
        if !lines.len().is_multiple_of(2) {
            return Err(format!("{} lines", lines.len()));
        }
        let statuses = lines
            .chunks(2)
            .map(|pair| self.document(pair[0], pair[1]))
            .collect::<Result<Vec<_>, _>>()?;
        if statuses.iter().all(|status| *status == 201) {
            return Ok((200, "{\"errors\":false}".to_owned()));
        }
        let items: Vec<Value> = statuses
            .iter()
            .map(|status| match status {
                201 => json!({"create": {"status": 201}}),
                _ => json!({"create": {"status": status, "error": {"type": "refused"}}}),
            })
            .collect();
        Ok((200, json!({"errors": true, "items": items}).to_string()))
    }

    fn ids(&self) -> Vec<u64> {
        let logs = self.of("logs").into_iter();
        logs.filter_map(|(_, document)| document["numeric_labels"]["id"].as_u64())
            .collect()
    }
}

pub fn open(url: String) -> Backend {
    let mut config = ElasticsearchConfig::new("");
    config.connection = connection(url);
    elasticsearch::open(&config).unwrap()
}

#[test]
fn every_signal_goes_to_a_data_stream_of_its_own_with_the_names_of_the_schema() {
    let receiver = Receiver::start(StrictElasticsearch::default());
    let mut config = ElasticsearchConfig::new("");
    config.connection = connection(receiver.url());
    config.credentials = Credentials::Basic("bo".to_owned(), "pass".to_owned());
    config.namespace = "prod".to_owned();
    let mut backend = elasticsearch::open(&config).unwrap();
    let mut batch = records::empty();
    records::push_span(
        &mut batch,
        1,
        &[
            ("otel.kind", ValueRef::Str("server")),
            ("otel.status_code", ValueRef::Str("ERROR")),
            ("otel.status_message", ValueRef::Str("no")),
            ("http.route", ValueRef::Str("/a")),
        ],
    );
    records::push_error(
        &mut batch,
        2,
        "broke",
        &[
            ("exception.type", ValueRef::Str("E")),
            ("a.b", ValueRef::Bool(true)),
        ],
    );
    records::push_event(&mut batch, 3, "here");
    backend.export(&batch).unwrap();
    backend.export_metrics(&records::snapshot(10, 5)).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    // "bo:pass" in Base64.
    assert!(
        receiver
            .requests()
            .iter()
            .all(|one| one.header("authorization") == Some("Basic Ym86cGFzcw=="))
    );
    receiver.with(|strict| {
        let origin = json!({"service.name": "tester", "service.version": "1.2", "host.name": "host-1",
            "service.environment": "staging"});
        let expect = |found: (&str, &Value), index: &str, mut more: Value| {
            more.as_object_mut().unwrap().extend(origin.as_object().unwrap().clone());
            assert_eq!(found, (index, &more));
        };
        expect(strict.of("traces")[0], "traces-radiosonde-prod", json!({
            "@timestamp": "2026-09-21T14:13:20.001000000Z", "trace.id": TRACE, "span.id": "0000000000000002",
            "parent.id": "0000000000000001", "span.name": "work", "span.kind": "server", "event.duration": 1_500_000,
            "event.outcome": "failure", "error.message": "no", "log.logger": "app", "process.thread.id": 7,
            "labels": {"http_route": "/a"}, "numeric_labels": {"id": 1}}));
        let logs = strict.of("logs");
        expect(logs[0], "logs-radiosonde-prod", json!({
            "@timestamp": "2026-09-21T14:13:20.002000000Z", "message": "broke", "log.level": "error",
            "log.logger": "app", "trace.id": TRACE, "span.id": "0000000000000003", "process.thread.id": 7,
            "error.type": "E", "labels": {"a_b": "true"}, "numeric_labels": {"id": 2}}));
        assert_eq!(logs[1].1["event.action"], "test.happened");
        let metrics = strict.of("metrics");
        assert_eq!(metrics.len(), 3);
        assert_eq!((&metrics[0].1["metric.value"], &metrics[0].1["labels"]), (&json!(5), &json!({"operation": "matmul"})));
        assert_eq!(metrics[1].1["metric.histogram"], json!({"values": [2.5], "counts": [5]}));
        assert_eq!((&metrics[1].1["metric.count"], &metrics[1].1["metric.sum"]), (&json!(5), &json!(10.0)));
    });
}

#[test]
fn only_documents_that_may_be_taken_later_come_again() {
    let receiver = Receiver::start(StrictElasticsearch::default());
    // The last stands first in line.
    receiver.with(|strict| strict.refusals = vec![503, 400, 429]);
    let mut backend = open(receiver.url());
    let mut batch = records::empty();
    (0..5).for_each(|id| records::push_log(&mut batch, id, "m", &[]));
    backend.export(&batch).unwrap();
    assert_eq!(deliver(&mut backend), 1);
    receiver.assert_no_faults();
    let mut ids = receiver.ids();
    ids.sort_unstable();
    assert_eq!(ids, [0, 2, 3, 4]);
    let lines = |request: &Request| {
        request
            .plain()
            .unwrap()
            .split(|byte| *byte == b'\n')
            .count()
            / 2
    };
    assert_eq!(
        receiver.requests().iter().map(lines).collect::<Vec<_>>(),
        [5, 2]
    );
}

#[test]
fn what_is_sent_again_is_not_there_twice() {
    let receiver = Receiver::start(StrictElasticsearch::default());
    receiver.will([crate::receiver::Answer::TakeAndCut]);
    let mut backend = open(receiver.url());
    let mut batch = records::empty();
    (0..5).for_each(|id| records::push_log(&mut batch, id, "m", &[]));
    backend.export(&batch).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    assert_eq!(receiver.ids(), [0, 1, 2, 3, 4]);
    assert_eq!(receiver.with(|strict| strict.conflicts), 5);
}

#[test]
fn a_request_has_no_more_documents_than_an_answer_can_speak_of() {
    let receiver = Receiver::start(StrictElasticsearch::default());
    let mut backend = open(receiver.url());
    backend.export(&records::batch(0..1200)).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    assert_eq!(receiver.ids(), (0..1200).collect::<Vec<_>>());
    assert_eq!(receiver.requests().len(), 6);
}
