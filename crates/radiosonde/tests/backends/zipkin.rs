//! Zipkin, against a strict receiver.

use radiosonde::{
    core::ValueRef,
    exporter::{
        Exporter,
        backend::Backend,
        zipkin::{self, ZipkinConfig},
    },
};
use serde_json::{Value, json};

use crate::{
    receiver::{Receiver, Request, Strict},
    records::{self, TIME_UNIX_NS, TRACE, connection, deliver},
};

/// Stands in for Zipkin; no real one runs here. It checks path, media type, the digits of identifiers, kinds, that times are whole
/// microseconds and none is zero, and that tags are text (PROTOCOLS 7.16).
#[derive(Default)]
pub struct StrictZipkin {
    spans: Vec<Value>,
}

fn is_hexadecimal(value: &Value, digits: usize) -> bool {
    value.as_str().is_some_and(|text| {
        text.len() == digits
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn check(span: &Value) -> Option<()> {
    const FIELDS: [&str; 10] = [
        "traceId",
        "id",
        "parentId",
        "name",
        "kind",
        "timestamp",
        "duration",
        "localEndpoint",
        "tags",
        "annotations",
    ];
    const KINDS: [&str; 4] = ["CLIENT", "SERVER", "PRODUCER", "CONSUMER"];
    let is = |truth: bool| truth.then_some(());
    let members = span.as_object()?;
    is(members.keys().all(|name| FIELDS.contains(&name.as_str())))?;
    is(is_hexadecimal(&span["traceId"], 32) && is_hexadecimal(&span["id"], 16))?;
    is(span.get("parentId").is_none_or(|id| is_hexadecimal(id, 16)))?;
    is(span
        .get("kind")
        .is_none_or(|kind| KINDS.contains(&kind.as_str().unwrap_or_default())))?;
    is(span["timestamp"].as_u64()? > 0 && span["duration"].as_u64()? > 0)?;
    span["localEndpoint"]["serviceName"].as_str()?;
    span["name"].as_str()?;
    is(span["tags"].as_object()?.values().all(Value::is_string))
}

impl Strict for StrictZipkin {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect_path("/api/v2/spans")?;
        request.expect("content-type", "application/json")?;
        let read = request.json()?;
        let spans = read
            .as_array()
            .filter(|all| !all.is_empty())
            .ok_or("no spans")?;
        for span in spans {
            check(span).ok_or_else(|| format!("{span}"))?;
        }
        self.spans.extend_from_slice(spans);
        Ok((202, String::new()))
    }

    fn ids(&self) -> Vec<u64> {
        let ids = self
            .spans
            .iter()
            .map(|span| span["tags"]["id"].as_str()?.parse().ok());
        ids.flatten().collect()
    }
}

pub fn open(url: String) -> Backend {
    let mut config = ZipkinConfig::new("");
    config.connection = connection(url);
    zipkin::open(&config).unwrap()
}

#[test]
fn spans_have_the_fields_of_version_two() {
    let receiver = Receiver::start(StrictZipkin::default());
    let mut backend = open(receiver.url());
    let mut batch = records::empty();
    records::push_span(
        &mut batch,
        1,
        &[
            ("otel.kind", ValueRef::Str("client")),
            ("otel.status_code", ValueRef::Str("ERROR")),
            ("otel.status_message", ValueRef::Str("no")),
            ("shape", ValueRef::U64s(&[1, 2])),
            ("error", ValueRef::Str("mine")),
        ],
    );
    records::push_span(&mut batch, 2, &[]);
    records::push_log(&mut batch, 3, "no span", &[]);
    backend.export(&batch).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    let spans = receiver.with(|strict| strict.spans.clone());
    assert_eq!(
        spans[0],
        json!({
            "traceId": TRACE, "id": "0000000000000002", "parentId": "0000000000000001", "name": "work",
            "kind": "CLIENT", "timestamp": TIME_UNIX_NS / 1000 + 1000, "duration": 1500,
            "localEndpoint": {"serviceName": "tester"},
            "tags": {"service.version": "1.2", "host.name": "host-1", "otel.status_code": "ERROR", "error": "no",
                "otel.scope.name": "app", "thread.id": "7", "id": "1", "shape": "[1,2]", "attribute.error": "mine"},
        })
    );
    assert_eq!(
        (spans.len(), spans[1].get("kind"), spans[1].get("parentId")),
        (2, None, None)
    );
}
