//! JSON in a shape of one's own, against a strict receiver.

use radiosonde::exporter::{
    Exporter,
    backend::Backend,
    custom::{self, CustomConfig, Layout, Template},
};
use serde_json::{Value, json};

use crate::{
    receiver::{Receiver, Request, Strict},
    records::{self, TIME_UNIX_NS, TRACE, connection, deliver},
};

/// Stands in for whoever reads JSON of one's own shape. It checks path, key and media type, and that bodies are arrays or lines as the
/// media type says.
#[derive(Default)]
pub struct StrictCustom {
    records: Vec<Value>,
}

impl Strict for StrictCustom {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        request.expect_path("/in?to=here")?;
        request.expect("x-key", "K3Y")?;
        let read = match request.header("content-type") {
            Some("application/json") => request.json()?.as_array().ok_or("no array")?.clone(),
            Some("application/x-ndjson") => {
                let plain =
                    String::from_utf8(request.plain()?).map_err(|error| error.to_string())?;
                let lines = plain
                    .strip_suffix('\n')
                    .ok_or("no newline at the end")?
                    .split('\n');
                let read: Result<Vec<_>, _> = lines.map(serde_json::from_str).collect();
                read.map_err(|error| error.to_string())?
            }
            other => return Err(format!("the media type is {other:?}")),
        };
        self.records.extend(read);
        Ok((200, String::new()))
    }

    fn ids(&self) -> Vec<u64> {
        let logs = self.records.iter().filter(|one| one["type"] == "log");
        logs.filter_map(|one| one["attributes"]["id"].as_u64())
            .collect()
    }
}

fn config(url: &str) -> CustomConfig {
    let mut config = CustomConfig::new("");
    config.connection = connection(format!("{url}/in?to=here"));
    config.connection.headers = vec![("X-Key".to_owned(), "K3Y".to_owned())];
    config
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every backend is opened alike"
)]
pub fn open(url: String) -> Backend {
    custom::open(&config(&url)).unwrap()
}

#[test]
fn lists_of_fields_make_objects_with_those() {
    let receiver = Receiver::start(StrictCustom::default());
    let mut backend = open(receiver.url());
    let mut batch = records::batch(1..2);
    records::push_event(&mut batch, 2, "here");
    backend.export(&batch).unwrap();
    backend.export_metrics(&records::snapshot(10, 5)).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    let all = receiver.with(|strict| strict.records.clone());
    let find = |kind: &str| all.iter().find(|one| one["type"] == kind).unwrap();
    assert_eq!(
        *find("span"),
        json!({"type": "span", "time": "2026-09-21T14:13:20.001000000Z", "trace_id": TRACE,
            "span_id": "0000000000000002", "parent_id": "0000000000000001", "name": "work", "kind": "internal",
            "status": "unset", "status_message": null, "duration_ns": 1_500_000, "target": "app",
            "attributes": {"id": 1, "text": "a \"text\"\n"}})
    );
    assert_eq!(
        (&find("log")["message"], &find("log")["name"]),
        (&json!("it said \"so\"\n"), &Value::Null)
    );
    assert_eq!(
        find("event")["attributes"],
        json!({"id": 2, "place": "here"})
    );
    let metrics: Vec<_> = all.iter().filter(|one| one["type"] == "metric").collect();
    assert_eq!(
        (&metrics[0]["value"], &metrics[0]["kind"]),
        (&json!(5), &json!("counter"))
    );
    assert_eq!(
        (
            &metrics[1]["value"],
            &metrics[1]["count"],
            &metrics[1]["sum"]
        ),
        (&Value::Null, &json!(5), &json!(10.0))
    );
}

#[test]
fn a_template_says_the_shape_and_lines_may_be_compressed() {
    let receiver = Receiver::start(StrictCustom::default());
    let mut config = config(&receiver.url());
    config.layout = Layout::Lines;
    config.gzip = true;
    let template = r#"{"v":1,"at":"{{time_unix_ms}}","who":"{{resource.service.name}}",
        "text":"{{level}} of {{name}}: {{attributes.text}}, {{attributes.none}}{{attributes.id}}","all":["{{attributes}}"]}"#;
    config.spans = Some(Template::Json(template.to_owned()));
    config.logs = None;
    config.events = None;
    let mut backend = custom::open(&config).unwrap();
    backend.export(&records::batch(0..2)).unwrap();
    assert_eq!(deliver(&mut backend), 0);
    receiver.assert_no_faults();
    let all = receiver.with(|strict| strict.records.clone());
    assert_eq!(
        receiver.requests()[0].header("content-encoding"),
        Some("gzip")
    );
    assert_eq!(all.len(), 2);
    assert_eq!(
        all[1],
        json!({"v": 1, "at": TIME_UNIX_NS / 1_000_000 + 1, "who": "tester",
            "text": "INFO of work: a \"text\"\n, 1", "all": [{"id": 1, "text": "a \"text\"\n"}]})
    );
}
