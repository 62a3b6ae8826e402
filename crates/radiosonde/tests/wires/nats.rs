//! Messages to JetStream: before a server of our own that goes away and refuses, and before NATS's.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use radiosonde::{
    core::loss::{self, Lost},
    encode::otlp::Signal,
    exporter::{
        Exporter as _,
        nats::{self, Content, NatsConfig},
        spool::SpoolConfig,
    },
};
use serde_json::Value;

use crate::{
    nats_server::{NatsServer, Published, Reply, TAKEN},
    peers::{Peer, find, free_port},
    records::{deliver, export, logs, parts, resource, span},
};

fn config(endpoint: impl Into<String>) -> NatsConfig {
    NatsConfig {
        spool: SpoolConfig::in_memory(),
        retry_delay: (Duration::from_millis(5), Duration::from_millis(20)),
        timeout: Duration::from_secs(2),
        ..NatsConfig::new(endpoint)
    }
}

type Seen = Arc<Mutex<Vec<Published>>>;

fn server(
    mut behave: impl FnMut(usize, &Published) -> Reply + Send + 'static,
) -> (NatsServer, Seen) {
    let seen = Seen::default();
    let also_seen = Arc::clone(&seen);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = NatsServer::start(listener, move |published| {
        let mut all = also_seen.lock().unwrap();
        all.push(published.clone());
        behave(all.len(), published)
    });
    (server, seen)
}

fn messages(all: &[Published]) -> Vec<String> {
    let message = |published: &Published| {
        let line: Value = serde_json::from_slice(&published.body).unwrap();
        line["event"]["data"]["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    all.iter().map(message).collect()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("message {index}")).collect()
}

#[test]
fn each_record_is_a_message_with_an_identifier_on_the_subject_of_its_signal() {
    let (server, seen) = server(|_, _| TAKEN);
    let mut config = config(format!("nats://{}", server.address));
    config.subject = "lab.engine".to_owned();
    let mut exporter = nats::start(&config).unwrap();
    let mut batch = logs(&["one", "two"]);
    batch.push_span(span(), &parts(&[]), 1_767_225_599_124_456_789);
    export(&mut exporter, &batch);
    deliver(&mut exporter);
    let all = seen.lock().unwrap().clone();
    let (traces, logs): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|one| one.subject == "lab.engine.traces");
    assert_eq!(messages(&logs), ["one", "two"]);
    assert!(logs.iter().all(|one| one.subject == "lab.engine.logs"));
    assert!(logs.iter().all(|one| one.media_type == "application/json"));
    let span: Value = serde_json::from_slice(&traces[0].body).unwrap();
    assert_eq!(span["event"]["type"], "Span");
    let ids: BTreeSet<_> = logs
        .iter()
        .chain(&traces)
        .map(|one| one.id.clone())
        .collect();
    assert_eq!(ids.len(), 3);
    let secret = logs
        .iter()
        .any(|one| one.body.windows(7).any(|part| part == b"hunter2"));
    assert!(!secret);
}

#[test]
fn a_server_that_closes_in_between_gets_every_message_and_what_it_took_only_once() {
    // It is gone after the fourth.
    let (server, seen) = server(|count, _| if count == 5 { Reply::Close } else { TAKEN });
    let mut exporter = nats::start(&config(format!("nats://{}", server.address))).unwrap();
    let sent = numbered(10);
    export(&mut exporter, &logs(&sent));
    deliver(&mut exporter);
    let all = seen.lock().unwrap().clone();
    let distinct: BTreeSet<String> = messages(&all).into_iter().collect();
    assert_eq!(distinct, sent.iter().cloned().collect());
    // One message has one identifier, however often it is sent.
    let pairs: BTreeSet<_> = messages(&all)
        .into_iter()
        .zip(all.iter().map(|one| one.id.clone()))
        .collect();
    assert_eq!(pairs.len(), 10);
}

#[test]
fn what_is_refused_for_good_is_counted_and_the_rest_is_tried_again() {
    const FULL: &str = r#"{"error":{"code":503,"description":"maximum bytes exceeded"}}"#;
    const WRONG: &str = r#"{"error":{"code":400,"description":"message size exceeds maximum"}}"#;
    let (server, seen) =
        server(
            |count, published| match messages(std::slice::from_ref(published))[0].as_str() {
                "message 1" => Reply::Body(WRONG),
                "message 2" if count < 8 => Reply::Body(FULL),
                "message 3" if count < 8 => Reply::Nobody,
                _ => TAKEN,
            },
        );
    let lost = loss::total(Lost::Rejected);
    let mut exporter = nats::start(&config(format!("nats://{}", server.address))).unwrap();
    export(&mut exporter, &logs(&numbered(4)));
    let mut said = String::new();
    for _ in 0..3000 {
        match exporter.flush() {
            Ok(()) => break,
            Err(error) => said = format!("{said}{error}\n"),
        }
        thread::sleep(Duration::from_millis(5));
    }
    exporter.flush().unwrap();
    assert!(said.contains("message size exceeds maximum"), "{said}");
    assert_eq!(loss::total(Lost::Rejected) - lost, 1);
    let all = messages(&seen.lock().unwrap());
    let times = |message: &str| all.iter().filter(|one| *one == message).count();
    assert_eq!((times("message 0"), times("message 1")), (1, 1));
    assert!(times("message 2") > 1 && times("message 3") > 1, "{all:?}");
}

#[test]
fn a_server_that_comes_late_gets_many_records_as_one_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut config = config(format!("nats://{address}"));
    config.content = Content::Lines;
    let mut exporter = nats::start(&config).unwrap();
    export(&mut exporter, &logs(&numbered(3)));
    let error = exporter.flush().unwrap_err().to_string();
    assert!(error.contains("3 records wait"), "{error}");
    let seen = Seen::default();
    let also_seen = Arc::clone(&seen);
    let _server = NatsServer::start(TcpListener::bind(address).unwrap(), move |published| {
        also_seen.lock().unwrap().push(published.clone());
        TAKEN
    });
    deliver(&mut exporter);
    let all = seen.lock().unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].media_type, "application/x-ndjson");
    assert_eq!(all[0].body.split(|byte| *byte == b'\n').count(), 4);
}

#[test]
fn otlp_has_metrics_too_and_json_has_none() {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use prost::Message as _;
    use radiosonde::core::metrics::snapshot::{Data, Metric, Number, Series, Snapshot};

    let series = Series {
        labels: Arc::new([]),
        start_unix_ns: 1,
        value: Number::U64(5),
        exemplars: Vec::new(),
    };
    let snapshot = Snapshot {
        resource: resource(),
        start_unix_ns: 1,
        time_unix_ns: 2,
        metrics: vec![Metric {
            name: "gpu.power".into(),
            description: "".into(),
            unit: "W".into(),
            data: Data::Gauge(vec![series]),
        }],
    };
    for (content, expected) in [(Content::Otlp, 1), (Content::Record, 0)] {
        let (server, seen) = server(|_, _| TAKEN);
        let mut config = config(format!("nats://{}", server.address));
        config.content = content;
        config.signals = vec![Signal::Metrics, Signal::Traces];
        let mut exporter = nats::start(&config).unwrap();
        exporter.export_metrics(&snapshot).unwrap();
        deliver(&mut exporter);
        let all = seen.lock().unwrap();
        assert_eq!(all.len(), expected);
        for one in &*all {
            assert_eq!(one.subject, "telemetry.metrics");
            let request = ExportMetricsServiceRequest::decode(&one.body[..]).unwrap();
            let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
            assert_eq!(metric.name, "gpu.power");
        }
    }
}

/// Speaks to a real server by hand: what it is asked, as text, and the body of the answer.
fn ask(port: u16, subject: &str, body: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let request = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB inbox 1\r\nPUB {subject} inbox {}\r\n{body}\r\nPING\r\n",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(rest) = line.strip_prefix("MSG ") {
            let length: usize = rest.split_ascii_whitespace().last()?.parse().ok()?;
            let mut bytes = vec![0; length];
            reader.read_exact(&mut bytes).ok()?;
            return serde_json::from_slice(&bytes).ok();
        }
    }
}

fn real_server(program: &Path, folder: &Path, port: u16) -> Peer {
    let (store, port_text) = (folder.display().to_string(), port.to_string());
    let peer = Peer::start(
        program,
        &["-a", "127.0.0.1", "-p", &port_text, "-js", "-sd", &store],
    );
    for _ in 0..3000 {
        if ask(port, "$JS.API.INFO", "").is_some() {
            return peer;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("nats-server does not start");
}

#[test]
fn nats_server_keeps_every_message_once_through_a_restart() {
    let how = "a Debian of today has it as nats-server (apt-get download nats-server/sid, dpkg -x)";
    let Some(program) = find("nats-server", "NATS_SERVER", how) else {
        return;
    };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut exporter = nats::start(&config(format!("nats://127.0.0.1:{port}"))).unwrap();
    export(&mut exporter, &logs(&numbered(500)));
    let peer = real_server(&program, folder.path(), port);
    // Without a stream nobody takes them, and they wait.
    let error = exporter.flush().unwrap_err().to_string();
    assert!(
        error.contains("no stream takes telemetry.logs") || error.contains("wait"),
        "{error}"
    );
    let stream = r#"{"name":"TELEMETRY","subjects":["telemetry.>"],"storage":"file"}"#;
    let made = ask(port, "$JS.API.STREAM.CREATE.TELEMETRY", stream).unwrap();
    assert_eq!(made["error"], Value::Null, "{made}");
    deliver(&mut exporter);
    drop(peer);
    export(&mut exporter, &logs(&numbered(20)));
    assert!(exporter.flush().is_err());
    let _peer = real_server(&program, folder.path(), port);
    deliver(&mut exporter);
    let info = ask(port, "$JS.API.STREAM.INFO.TELEMETRY", "").unwrap();
    assert_eq!(info["state"]["messages"], 520, "{info}");
    let last = ask(port, "$JS.API.STREAM.MSG.GET.TELEMETRY", r#"{"seq":520}"#).unwrap();
    assert_eq!(last["message"]["subject"], "telemetry.logs", "{last}");
}
