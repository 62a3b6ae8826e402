//! What others than OpenTelemetry send, over real sockets: each protocol as it is on the wire, what it answers, and what whoever
//! comes wrongly is told.

use super::{
    http::{Answer, JSON, PROTOBUF, post, send},
    server::{Running, gzip, now_unix_ns},
};

/// What the unit tests of the decoders read, which say who wrote it.
const BATCH: &[u8] = include_bytes!("../../src/receive/decode/jaeger/batch.bin");
const TRACES: &[u8] = include_bytes!("../../src/receive/decode/datadog/traces.msgpack");
const TABLE: &[u8] = include_bytes!("../../src/receive/decode/datadog/traces-table.msgpack");
const THRIFT: &str = "application/x-thrift";
const MSGPACK: &str = "application/msgpack";
const FIRST: &str = "application/x-protobuf;proto=prometheus.WriteRequest";
const SECOND: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

fn told(answer: &Answer, status: u16, words: &str) {
    let text = answer.text();
    assert!(
        answer.status == status && text.contains(words),
        "{} {text}",
        answer.status
    );
}

/// Who sent in which way, and how much of it was kept.
fn ledger(running: &Running, protocol: &str) -> (u64, u64) {
    let page = running.server.addresses().page;
    let answer = send("GET", &format!("http://{page}/api/v1/doctor"), &[], b"");
    let doctor: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let senders = doctor["senders"].as_array().unwrap();
    let own = senders
        .iter()
        .filter(|sender| sender["protocol"] == protocol);
    let count = |sender: &serde_json::Value, name: &str| sender[name].as_u64().unwrap();
    own.fold((0, 0), |(accepted, refused), sender| {
        (
            accepted + count(sender, "accepted"),
            refused + count(sender, "refused"),
        )
    })
}

#[test]
fn jaeger_spans_are_accepted_and_counted() {
    let running = Running::start();
    let url = running.http("/api/traces?format=jaeger.thrift");
    let answer = post(&url, THRIFT, BATCH);
    told(
        &answer,
        202,
        "1 spans were not kept; of the first, spans[1]",
    );
    assert_eq!(
        running.ask("SELECT service, name, kind, status FROM spans"),
        "shop | GET /pay | server | error"
    );
    told(
        &post(&url, THRIFT, &BATCH[..BATCH.len() - 1]),
        400,
        "it ends within a value",
    );
    told(&post(&url, JSON, b"{}"), 415, "application/x-thrift");
    told(&send("GET", &url, &[], b""), 405, "Jaeger's spans");
    assert_eq!(ledger(&running, "jaeger/thrift"), (1, 4));
}

#[test]
fn datadog_traces_are_accepted_in_every_version() {
    let running = Running::start();
    for (path, body, expected) in [
        ("/v0.3/traces", TRACES, "OK\n"),
        (
            "/v0.4/traces",
            TRACES,
            r#"{"rate_by_service":{"service:,env:":1}}"#,
        ),
        (
            "/v0.5/traces",
            TABLE,
            r#"{"rate_by_service":{"service:,env:":1}}"#,
        ),
    ] {
        let answer = send(
            "PUT",
            &running.http(path),
            &[("content-type", MSGPACK)],
            body,
        );
        assert_eq!(
            (answer.status, answer.text()),
            (200, expected.to_owned()),
            "{path}"
        );
    }
    // They are the same spans each time, and a span is kept once.
    assert_eq!(
        running.ask("SELECT name, count(*) FROM spans GROUP BY 1 ORDER BY 1"),
        "postgres.query | 1\nweb.request | 1"
    );
    let info = send("GET", &running.http("/info"), &[], b"");
    told(&info, 200, "\"/v0.5/traces\"");
    told(
        &post(&running.http("/v0.4/traces"), JSON, b"[]"),
        415,
        "MessagePack",
    );
    told(
        &post(&running.http("/v0.4/traces"), MSGPACK, &[0xc1]),
        400,
        "MessagePack does not have",
    );
}

#[test]
fn datadog_metrics_and_logs_are_accepted() {
    let running = Running::start();
    let now_s = now_unix_ns() / 1_000_000_000;
    let new = format!(
        r#"{{"series": [{{"metric": "jobs", "type": 3, "points": [{{"timestamp": {now_s}, "value": 4}}], "tags": ["service:shop"]}}]}}"#
    );
    let old = format!(
        r#"{{"series": [{{"metric": "old", "points": [[{now_s}, 1.5]], "host": "box"}}]}}"#
    );
    told(
        &post(&running.http("/api/v2/series"), JSON, new.as_bytes()),
        202,
        r#"{"errors":[]}"#,
    );
    told(
        &post(
            &running.http("/api/v1/series?api_key=x"),
            JSON,
            old.as_bytes(),
        ),
        202,
        "ok",
    );
    // As the agent compresses what goes to version 1.
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut zlib, new.replace("jobs", "squeezed").as_bytes()).unwrap();
    let headers = [("content-type", JSON), ("content-encoding", "deflate")];
    let url = running.http("/api/v2/series");
    told(
        &send("POST", &url, &headers, &zlib.finish().unwrap()),
        202,
        "errors",
    );
    assert_eq!(
        running.ask("SELECT service, name, value FROM points ORDER BY name"),
        "shop | jobs | 4.0\ndatadog | old | 1.5\nshop | squeezed | 4.0"
    );
    let log = br#"[{"message": "declined", "service": "shop", "status": "error", "dd.trace_id": "11223344556677880123456789abcdef"}]"#;
    for (path, status) in [("/api/v2/logs", 202), ("/v1/input/key", 200)] {
        told(&post(&running.http(path), JSON, log), status, "{}");
    }
    assert_eq!(
        running.ask("SELECT DISTINCT service, severity, body, trace_id FROM logs"),
        "shop | 17 | declined | 11223344556677880123456789abcdef"
    );
    assert_eq!(ledger(&running, "datadog"), (5, 0));
}

#[test]
fn lines_for_loki_are_accepted_in_both_forms() {
    let running = Running::start();
    let url = running.http("/loki/api/v1/push");
    let now = now_unix_ns();
    let line = format!(
        r#"{{"streams": [{{"stream": {{"app": "shop"}}, "values": [["{now}", "one", {{"trace_id": "0242ac120002abababababababababab"}}]]}}]}}"#
    );
    assert_eq!(post(&url, JSON, line.as_bytes()).status, 204);
    let headers = [("content-type", JSON), ("content-encoding", "gzip")];
    assert_eq!(
        send("POST", &url, &headers, &gzip(line.as_bytes())).status,
        204
    );
    // `PushRequest{streams=1{labels=1, entries=2{timestamp=1{seconds=1}, line=2}}}`: the time of the year 1970 is refused.
    let entry = [&[0x0a, 2, 0x08, 1, 0x12, 3][..], b"two"].concat();
    let stream = [
        &[0x0a, 14][..],
        b"{job=\"night\"}\n",
        &[0x12, entry.len() as u8],
        &entry,
    ]
    .concat();
    let push = [&[0x0a, stream.len() as u8][..], &stream].concat();
    told(
        &post(&url, PROTOBUF, &snappy(&push)),
        400,
        "streams[0].values[0]",
    );
    told(
        &post(&url, PROTOBUF, &push),
        400,
        "the request is not snappy",
    );
    told(&post(&url, "text/plain", b"a"), 415, "application/json");
    assert_eq!(
        running.ask("SELECT DISTINCT service, body, trace_id FROM logs"),
        "shop | one | 0242ac120002abababababababababab"
    );
    assert_eq!(ledger(&running, "loki"), (2, 3));
}

/// `WriteRequest{timeseries=1{labels=1{name=1, value=2}, samples=2{value=1, timestamp=2}}}`.
fn first_version(name: &str, time_ms: u64) -> Vec<u8> {
    let label = |name: &str, value: &str| {
        let parts = [message(1, name.as_bytes()), message(2, value.as_bytes())];
        message(1, &parts.concat())
    };
    message(
        1,
        &[
            label("__name__", name),
            label("job", "node"),
            sample(time_ms),
        ]
        .concat(),
    )
}

/// `Request{symbols=4, timeseries=5{labels_refs=1, samples=2}}`.
fn second_version(name: &str, time_ms: u64) -> Vec<u8> {
    let symbols = ["", "__name__", name]
        .map(|symbol| message(4, symbol.as_bytes()))
        .concat();
    let series = [message(1, &[1, 2]), sample(time_ms)].concat();
    [symbols, message(5, &series)].concat()
}

fn sample(time_ms: u64) -> Vec<u8> {
    let mut sample = vec![0x09];
    sample.extend(1.5_f64.to_le_bytes());
    sample.push(0x10);
    varint(&mut sample, time_ms);
    message(2, &sample)
}

fn message(field: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    varint(&mut out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn write(running: &Running, content_type: &str, body: &[u8]) -> Answer {
    let headers = [
        ("content-type", content_type),
        ("content-encoding", "snappy"),
    ];
    send(
        "POST",
        &running.http("/api/v1/write"),
        &headers,
        &snappy(body),
    )
}

#[test]
fn remote_write_is_answered_as_each_version_has_it() {
    let running = Running::start();
    let now_ms = now_unix_ns() / 1_000_000;
    let written = |answer: &Answer| {
        let named = ["samples", "histograms", "exemplars"]
            .map(|name| format!("x-prometheus-remote-write-{name}-written"));
        named.map(|name| {
            answer
                .headers
                .get(name)
                .map(|count| count.to_str().unwrap().to_owned())
        })
    };
    for content_type in [PROTOBUF, FIRST] {
        let answer = write(&running, content_type, &first_version("one_total", now_ms));
        assert_eq!((answer.status, written(&answer)), (204, [None, None, None]));
    }
    let answer = write(&running, SECOND, &second_version("two", now_ms));
    let counts = ["1", "0", "0"].map(|count| Some(count.to_owned()));
    assert_eq!((answer.status, written(&answer)), (204, counts));
    assert_eq!(
        running.ask("SELECT DISTINCT service, name, kind, value FROM points ORDER BY name"),
        "node | one_total | counter | 1.5\n | two | gauge | 1.5"
    );
    // Of what is kept in part nothing is said to be a success.
    let long_past = write(&running, SECOND, &second_version("two", 1));
    told(&long_past, 400, "its time is more than 10 years from now");
    assert_eq!(written(&long_past)[0].as_deref(), Some("0"));
    let unknown = "application/x-protobuf;proto=io.prometheus.write.v9.Request";
    told(
        &write(&running, unknown, b""),
        415,
        "io.prometheus.write.v2.Request",
    );
    let plain = [("content-type", FIRST), ("content-encoding", "gzip")];
    let url = running.http("/api/v1/write");
    told(&send("POST", &url, &plain, &gzip(b"")), 415, "snappy");
    assert_eq!(ledger(&running, "remote_write"), (3, 3));
}

/// A block says how long it becomes before anything is made of it.
#[test]
fn a_block_of_snappy_that_becomes_too_large_is_refused() {
    let running = Running::start();
    let zeros = snappy(&vec![0; (64 << 20) + 1]);
    let headers = [("content-type", FIRST), ("content-encoding", "snappy")];
    let url = running.http("/api/v1/write");
    told(
        &send("POST", &url, &headers, &zeros),
        413,
        "more than 64 MiB",
    );
    // One that lies about it.
    told(
        &send("POST", &url, &headers, &[0xff, 0xff, 0xff, 0x1f, 0]),
        400,
        "not snappy",
    );
}

#[test]
fn a_path_that_is_none_names_all_that_there_are() {
    let running = Running::start();
    let answer = post(&running.http("/api/v2/nothing"), JSON, b"{}");
    for path in [
        "/v1/traces",
        "/api/v2/spans",
        "/api/traces",
        "/v0.4/traces",
        "/api/v2/series",
        "/api/v2/logs",
        "/loki/api/v1/push",
        "/api/v1/write",
    ] {
        told(&answer, 404, path);
    }
}
