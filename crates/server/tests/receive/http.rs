//! OTLP over HTTP, and Zipkin's spans.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::Value;

use super::server::{Running, gzip, logs, metrics, now_unix_ns, profiles, traces, zstd};

pub const PROTOBUF: &str = "application/x-protobuf";
pub const JSON: &str = "application/json";

/// An answer.
pub struct Answer {
    pub status: u16,
    content_type: String,
    retry_after: Option<String>,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = if body.is_empty() && method == "GET" {
        agent.run(request.body(()).unwrap())
    } else {
        agent.run(request.body(body).unwrap())
    };
    let mut answer = answer.unwrap();
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let (content_type, retry_after) = (header("content-type"), header("retry-after"));
    Answer {
        status: answer.status().as_u16(),
        content_type: content_type.unwrap_or_default(),
        retry_after,
        headers: answer.headers().clone(),
        body: answer.body_mut().read_to_vec().unwrap(),
    }
}

pub fn post(url: &str, content_type: &str, body: &[u8]) -> Answer {
    send("POST", url, &[("content-type", content_type)], body)
}

fn post_encoded(url: &str, encoding: &str, body: &[u8]) -> Answer {
    send(
        "POST",
        url,
        &[("content-type", PROTOBUF), ("content-encoding", encoding)],
        body,
    )
}

#[test]
fn every_signal_is_kept_plain_and_compressed() {
    let running = Running::start();
    let bodies = |name: &str| {
        [
            ("/v1/traces", traces(name, 2, &[]).encode_to_vec()),
            ("/v1/logs", logs(name).encode_to_vec()),
            ("/v1/metrics", metrics(name).encode_to_vec()),
            (
                "/v1development/profiles",
                profiles(name, false).encode_to_vec(),
            ),
        ]
    };
    for (path, body) in bodies("plain") {
        let answer = post(&running.http(path), PROTOBUF, &body);
        assert_eq!(
            (answer.status, &*answer.content_type),
            (200, PROTOBUF),
            "{}",
            answer.text()
        );
        // Success is an empty message.
        assert_eq!(answer.body, b"");
    }
    for (encoding, compress) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        for (path, body) in bodies(encoding) {
            let answer = post_encoded(&running.http(path), encoding, &compress(&body));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    let names = "SELECT name, count(*) FROM spans GROUP BY 1 ORDER BY 1";
    assert_eq!(running.ask(names), "gzip | 2\nplain | 2\nzstd | 2");
    assert_eq!(
        running.ask("SELECT event_name FROM logs ORDER BY 1"),
        "gzip\nplain\nzstd"
    );
    assert_eq!(
        running.ask("SELECT name, value FROM points ORDER BY 1"),
        "gzip | 3.0\nplain | 3.0\nzstd | 3.0"
    );
    assert_eq!(
        running.ask("SELECT function, sum(value) FROM profiles GROUP BY 1 ORDER BY 1"),
        "gzip | 10\nplain | 10\nzstd | 10"
    );
}

#[test]
fn the_specifications_json_is_kept() {
    let running = Running::start();
    // opentelemetry-proto, examples/trace.json and logs.json, with times of now.
    let now = now_unix_ns();
    let request = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"my.service"}}}}]}},
        "scopeSpans":[{{"scope":{{"name":"my.library","version":"1.0.0","attributes":[{{"key":"my.scope.attribute",
        "value":{{"stringValue":"some scope attribute"}}}}]}},"spans":[{{"traceId":"5B8EFFF798038103D269B633813FC60C",
        "spanId":"EEE19B7EC3C1B174","parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span",
        "startTimeUnixNano":"{now}","endTimeUnixNano":"{now}","kind":2,"attributes":[{{"key":"my.span.attr",
        "value":{{"stringValue":"some value"}}}}]}}]}}]}}]}}"#
    );
    let answer = post(
        &running.http("/v1/traces"),
        "application/json; charset=utf-8",
        request.as_bytes(),
    );
    assert_eq!(
        (answer.status, &*answer.content_type, &*answer.text()),
        (200, JSON, "{}")
    );
    let statement = "SELECT trace_id, span_id, parent_span_id, name, kind, service, scope, attributes['my.span.attr'] FROM spans";
    let expected = "5b8efff798038103d269b633813fc60c | eee19b7ec3c1b174 | eee19b7ec3c1b173 | I'm a server span | server | \
                    my.service | my.library | some value";
    assert_eq!(running.ask(statement), expected);
}

#[test]
fn what_is_not_kept_is_counted_to_its_sender() {
    let running = Running::start();
    let request = traces("some", 5, &[1, 3]).encode_to_vec();
    let answer = post(&running.http("/v1/traces"), PROTOBUF, &request);
    assert_eq!(answer.status, 200);
    let partial = ExportTraceServiceResponse::decode(&*answer.body)
        .unwrap()
        .partial_success
        .unwrap();
    assert_eq!(partial.rejected_spans, 2);
    let expected = "2 spans were not kept; of the first, resource_spans[0].scope_spans[0].spans[1], its span id is missing, \
                    all zero, or not 8 bytes; send identifiers as the SDK makes them: bytes in protobuf, hexadecimal in JSON";
    assert_eq!(partial.error_message, expected);
    assert_eq!(running.ask("SELECT count(*) FROM spans"), "3");
    let request = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00"}]}]}]}"#;
    let answer = post(&running.http("/v1/traces"), JSON, request);
    assert_eq!(answer.json()["partialSuccess"]["rejectedSpans"], "1");
}

/// A request that is wrong: how and where it is sent, with which headers, and the status and words of the answer.
type Wrong = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    u16,
    &'static str,
);

const WRONG: &[Wrong] = &[
    ("GET", "/v1/traces", &[], 405, "by POST"),
    (
        "POST",
        "/v1/trace",
        &[("content-type", PROTOBUF)],
        404,
        "/v1/traces, /v1/logs, /v1/metrics or /v1development/profiles",
    ),
    (
        "GET",
        "/",
        &[],
        404,
        "/v1/traces, /v1/logs, /v1/metrics or /v1development/profiles",
    ),
    (
        "POST",
        "/v1/traces",
        &[],
        415,
        "application/x-protobuf or application/json",
    ),
    (
        "POST",
        "/v1/logs",
        &[("content-type", "text/plain")],
        415,
        "application/x-protobuf or application/json",
    ),
    (
        "POST",
        "/v1/traces",
        &[("content-type", PROTOBUF), ("content-encoding", "br")],
        415,
        "gzip, zstd or deflate",
    ),
    (
        "POST",
        "/v1/traces",
        &[("content-type", JSON)],
        400,
        "Content-Type: application/x-protobuf",
    ),
    (
        "POST",
        "/v1/traces",
        &[("content-type", PROTOBUF), ("content-encoding", "gzip")],
        400,
        "not gzip",
    ),
    (
        "POST",
        "/v1/traces",
        &[("content-type", PROTOBUF), ("content-encoding", "zstd")],
        400,
        "not zstd",
    ),
    (
        "GET",
        "/api/v1/profiles/pprof",
        &[],
        405,
        "curl --data-binary",
    ),
    (
        "POST",
        "/api/v1/profiles/pprof?colour=red",
        &[],
        400,
        "?service=NAME",
    ),
    (
        "POST",
        "/api/v1/profiles/folded",
        &[],
        400,
        "root;child;leaf 42",
    ),
];

#[test]
fn a_wrong_request_is_told_what_is_right() {
    let running = Running::start();
    let body = traces("a", 1, &[]).encode_to_vec();
    for &(method, path, headers, status, said) in WRONG {
        let body = if method == "GET" { &[][..] } else { &body };
        let answer = send(method, &running.http(path), headers, body);
        assert_eq!(
            answer.status,
            status,
            "{method} {path} {headers:?}: {}",
            answer.text()
        );
        assert!(
            answer.text().contains(said),
            "{method} {path} {headers:?}: {}",
            answer.text()
        );
    }
    let answer = post(&running.http("/v1/traces"), PROTOBUF, &gzip(&body));
    assert!(
        answer.status == 400 && answer.text().contains("Content-Encoding: gzip"),
        "{}",
        answer.text()
    );
    let answer = post(&running.http("/v1/traces"), PROTOBUF, b"{}");
    assert!(
        answer.status == 400 && answer.text().contains("application/json"),
        "{}",
        answer.text()
    );
    assert_eq!(running.ask("SELECT count(*) FROM spans"), "0");
}

#[test]
fn errors_are_in_the_encoding_of_the_request() {
    let running = Running::start();
    let answer = post(&running.http("/v1/logs"), JSON, b"{");
    assert_eq!((answer.status, &*answer.content_type), (400, JSON));
    assert_eq!(answer.json()["code"], 3);
    let answer = post(&running.http("/v1/logs"), PROTOBUF, &[0x0b]);
    // `google.rpc.Status{code=1, message=2}`.
    assert_eq!(
        (answer.status, &*answer.content_type, &answer.body[..3]),
        (400, PROTOBUF, &[0x08, 3, 0x12][..])
    );
    assert!(
        answer.text().contains("it has a group"),
        "{}",
        answer.text()
    );
}

#[test]
fn the_port_of_grpc_names_the_port_of_http() {
    let running = Running::start();
    let port = running.server.addresses().otlp_http.port();
    for (path, shown) in [
        ("/v1/traces", "/v1/traces"),
        ("/v1/metrics", "/v1/metrics"),
        ("/", "/v1/traces"),
    ] {
        let answer = post(&format!("{}{path}", running.grpc()), PROTOBUF, b"");
        let right = format!("http://127.0.0.1:{port}{shown}");
        assert!(
            answer.status == 415 && answer.text().contains(&right),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn bombs_cost_a_bounded_amount_and_are_refused() {
    let running = Running::start();
    let zeros = vec![0; 1 << 20];
    // Members of a gzip file, and frames of zstd, are one after the other what they are alone.
    for (encoding, one) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        let answer = post_encoded(&running.http("/v1/traces"), encoding, &one.repeat(2048));
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(
            answer.text().contains("more than 64 MiB"),
            "{}",
            answer.text()
        );
    }
    let answer = post(
        &running.http("/v1/traces"),
        PROTOBUF,
        &vec![0; (64 << 20) + 1],
    );
    assert_eq!(answer.status, 413, "{}", answer.text());
    // One that is as large as may be is read: it is no message, but that is found out by reading.
    let answer = post_encoded(
        &running.http("/v1/traces"),
        "gzip",
        &gzip(&zeros).repeat(64),
    );
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn a_store_without_room_is_said_with_a_time_to_try_again() {
    let running = Running::start_with(|config| config.store.memory_bytes_max = 0);
    let answer = post(
        &running.http("/v1/traces"),
        PROTOBUF,
        &traces("a", 1, &[]).encode_to_vec(),
    );
    assert_eq!(
        (answer.status, answer.retry_after.as_deref()),
        (503, Some("1"))
    );
}

#[test]
fn zipkin_spans_are_accepted() {
    let running = Running::start();
    let now_us = now_unix_ns() / 1000;
    let request = format!(
        r#"[{{"traceId":"5af7183fb1d4cf5f","id":"6b221d5bc9e6496c","name":"get","kind":"SERVER","timestamp":{now_us},
        "duration":7,"localEndpoint":{{"serviceName":"front"}}}}]"#
    );
    let url = running.http("/api/v2/spans");
    assert_eq!(post(&url, JSON, request.as_bytes()).status, 202);
    assert_eq!(
        running.ask("SELECT service, name, kind, duration FROM spans"),
        "front | get | server | 7000"
    );
    assert_eq!(send("GET", &url, &[], b"").status, 405);
    assert_eq!(post(&url, "application/x-thrift", b"").status, 415);
    assert_eq!(post(&url, JSON, b"{").status, 400);
}

/// A page of another site can have a browser send these without asking first.
#[test]
fn what_pages_of_other_sites_send_is_refused_on_every_port() {
    let running = Running::start();
    let folded = running.http("/api/v1/profiles/folded?service=shop");
    let page = running.server.addresses().page;
    let [status, start] = ["/api/v1/status", "/"].map(|path| format!("http://{page}{path}"));
    let evil = [("origin", "http://evil.example")];
    let image = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "no-cors"),
    ];
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    for (method, url, headers) in [
        ("POST", &folded, &evil[..]),
        ("POST", &folded, &image[..]),
        ("GET", &status, &evil[..]),
        ("GET", &status, &image[..]),
        ("GET", &status, &link[..]),
        ("GET", &start, &image[..]),
    ] {
        let body: &[u8] = if method == "POST" { b"a;b 1\n" } else { b"" };
        let answer = send(method, url, headers, body);
        assert_eq!(answer.status, 403, "{url} {headers:?}");
        assert!(answer.text().contains("a page of another site asks this"));
    }
    assert_eq!(send("GET", &start, &link, b"").status, 200);
    assert_eq!(send("GET", &status, &[], b"").status, 200);
    let own = format!("http://{page}");
    assert_eq!(
        send("GET", &status, &[("origin", own.as_str())], b"").status,
        200
    );
    assert_eq!(running.ask("SELECT count(*) FROM profiles"), "0");
}

/// Who shows the token in a header is no page that a browser adds it for.
#[test]
fn a_token_in_a_header_is_enough_for_any_site() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let token = radiosonde_server::access::Token::new(TOKEN).unwrap();
    let running = Running::start_with(|config| config.token = Some(token));
    let url = format!("http://{}/api/v1/status", running.server.addresses().page);
    let origin = ("origin", "http://evil.example");
    let bearer = format!("Bearer {TOKEN}");
    let cookie = format!("radiosonde_token={TOKEN}");
    let ask = |header| send("GET", &url, &[origin, header], b"").status;
    assert_eq!(ask(("authorization", bearer.as_str())), 200);
    assert_eq!(ask(("cookie", cookie.as_str())), 403);
}

/// What profilers write that know nothing of OTLP: folded stacks, as text and compressed.
#[test]
fn stacks_as_text_are_kept_under_the_name_that_the_address_says() {
    let running = Running::start();
    let url = running.http("/api/v1/profiles/folded?service=shop&type=cpu&unit=nanoseconds");
    let text = b"main (/srv/app.py:3);dot (/venv/lib/python3.11/site-packages/numpy/linalg.py:7) 30\nmain (/srv/app.py:3) 5\n";
    let answer = send("POST", &url, &[], text);
    assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
    let gzip = gzip(text);
    assert_eq!(
        send("POST", &url, &[("content-encoding", "gzip")], &gzip).status,
        200
    );
    assert_eq!(
        running.ask("SELECT service, type, unit, library, sum(value) FROM profiles GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC"),
        "shop | cpu | nanoseconds | numpy | 60\nshop | cpu | nanoseconds | (program) | 10"
    );
    let not_a_profile = send("POST", &running.http("/api/v1/profiles/pprof"), &[], &gzip);
    assert_eq!(not_a_profile.status, 400, "{}", not_a_profile.text());
    let page = running.server.addresses().page;
    let doctor = send("GET", &format!("http://{page}/api/v1/doctor"), &[], b"").json();
    let senders = doctor["senders"].as_array().unwrap();
    let of_folded: Vec<_> = senders
        .iter()
        .filter(|sender| sender["protocol"] == "folded")
        .collect();
    assert_eq!(
        (of_folded.len(), &of_folded[0]["signal"]),
        (1, &Value::from("profiles"))
    );
    assert_eq!(of_folded[0]["accepted"], 2);
}

/// A profile that Go's own profiler wrote of a program that encodes JSON within a span, by `pprof.Do` with the labels `trace_id`
/// and `span_id`, and sorts outside of it, for 15 seconds on a machine that gave it little time (Go 1.19, `-trimpath`).
#[test]
fn a_profile_of_go_is_kept_with_its_span() {
    let running = Running::start();
    let profile = include_bytes!("go-cpu.pb.gz");
    let url = running.http("/api/v1/profiles/pprof?service=app");
    let answer = send("POST", &url, &[], profile);
    assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
    let types = "SELECT type, unit, sum(value), count(*) FROM profiles GROUP BY 1, 2 ORDER BY 1";
    assert_eq!(
        running.ask(types),
        "cpu | nanoseconds | 790000000 | 65\nsamples | count | 79 | 65"
    );
    let ranked = "SELECT library, sum(value) AS v FROM profiles WHERE type = 'cpu' GROUP BY 1 ORDER BY v DESC, 1 LIMIT 3";
    assert_eq!(
        running.ask(ranked),
        "(program) | 410000000\nruntime | 230000000\nencoding/json | 50000000"
    );
    let linked = "SELECT DISTINCT span_id, service FROM profiles WHERE trace_id = '0af7651916cd43dd8448eb211c80319c'";
    assert_eq!(running.ask(linked), "b7ad6b7169203331 | app");
}
