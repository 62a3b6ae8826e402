//! Loki, against a strict receiver.

use std::collections::BTreeMap;

use radiosonde::{
    core::ValueRef,
    exporter::{
        Exporter,
        backend::Backend,
        loki::{self, LokiConfig},
    },
};
use serde_json::{Value, json};

use crate::{
    receiver::{Receiver, Request, Strict},
    records::{self, TIME_UNIX_NS, TRACE, connection, deliver},
};

/// Stands in for Loki; no real one runs here. It checks path, media type, that there are few labels and that all of them and the
/// names of metadata are such, that times are nanoseconds in text and metadata is text, and takes lines in any order but drops one
/// that it has (PROTOCOLS 7.14).
#[derive(Default)]
pub struct StrictLoki {
    streams: BTreeMap<String, Vec<(u64, String, Value)>>,
}

fn is_label(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.starts_with(|first: char| !first.is_ascii_digit()) && name.chars().all(is_letter)
}

fn texts(value: &Value) -> Result<(), String> {
    let members = value
        .as_object()
        .ok_or_else(|| format!("no object: {value}"))?;
    match members
        .iter()
        .find(|(name, value)| !is_label(name) || !value.is_string())
    {
        Some(odd) => Err(format!("{odd:?}")),
        None => Ok(()),
    }
}

impl Strict for StrictLoki {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect_path("/loki/api/v1/push")?;
        request.expect("content-type", "application/json")?;
        let read = request.json()?;
        let streams = read["streams"].as_array().ok_or("no streams")?;
        for stream in streams {
            texts(&stream["stream"])?;
            if stream["stream"]
                .as_object()
                .is_none_or(|labels| labels.is_empty() || labels.len() > 5)
            {
                return Err(format!("labels: {}", stream["stream"]));
            }
            let known = self
                .streams
                .entry(stream["stream"].to_string())
                .or_default();
            for value in stream["values"].as_array().ok_or("no values")? {
                let (Some(time), Some(line), Some(metadata)) =
                    (value[0].as_str(), value[1].as_str(), value.get(2))
                else {
                    return Err(format!("no line: {value}"));
                };
                texts(metadata)?;
                let time = time.parse::<u64>().map_err(|error| error.to_string())?;
                let entry = (time, line.to_owned(), metadata.clone());
                if !known.contains(&entry) {
                    known.push(entry);
                }
            }
        }
        Ok((204, String::new()))
    }

    fn ids(&self) -> Vec<u64> {
        let entries = self.streams.values().flatten();
        entries
            .filter_map(|(.., metadata)| metadata["id"].as_str()?.parse().ok())
            .collect()
    }
}

fn config(url: String) -> LokiConfig {
    let mut config = LokiConfig::new("");
    config.connection = connection(url);
    config
}

pub fn open(url: String) -> Backend {
    loki::open(&config(url)).unwrap()
}

#[test]
fn labels_are_few_and_the_trace_is_metadata() {
    let receiver = Receiver::start(StrictLoki::default());
    let mut config = config(receiver.url());
    config.tenant = Some("team-1".to_owned());
    config.labels = vec![("stage".to_owned(), "test".to_owned())];
    let mut backend = loki::open(&config).unwrap();
    let mut batch = records::batch(0..1);
    let odd = [("a.b", ValueRef::U64(3)), ("level", ValueRef::Str("mine"))];
    records::push_error(&mut batch, 1, "broke", &odd);
    records::push_event(&mut batch, 2, "here");
    backend.export(&batch).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    assert_eq!(
        receiver.requests()[0].header("x-scope-orgid"),
        Some("team-1")
    );
    receiver.with(|strict| {
        let (labels, lines) = strict.streams.first_key_value().unwrap();
        let labels: Value = serde_json::from_str(labels).unwrap();
        assert_eq!(
            labels,
            json!({"service_name": "tester", "host_name": "host-1", "stage": "test"})
        );
        assert_eq!(
            lines[0],
            (
                TIME_UNIX_NS,
                "it said \"so\"\n".to_owned(),
                json!({"trace_id": TRACE, "span_id": "0000000000000001",
                "level": "info", "logger": "app", "thread": "7", "id": "0", "share": "0.5"})
            )
        );
        let metadata = &lines[1].2;
        assert_eq!(
            (&metadata["a_b"], &metadata["attribute_level"]),
            (&json!("3"), &json!("mine"))
        );
        assert_eq!(
            (lines[2].1.as_str(), &lines[2].2["place"]),
            ("test.happened", &json!("here"))
        );
    });
}

#[test]
fn a_large_batch_is_several_requests_that_each_name_the_stream() {
    let receiver = Receiver::start(StrictLoki::default());
    let mut config = config(receiver.url());
    config.connection.request_bytes_max = 20_000;
    let mut backend = loki::open(&config).unwrap();
    backend.export(&records::batch(0..500)).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    assert_eq!(receiver.ids(), (0..500).collect::<Vec<_>>());
    let requests = receiver.requests();
    assert!(requests.len() > 3);
    assert!(
        requests
            .iter()
            .all(|one| one.plain().unwrap().len() <= 20_000)
    );
}
