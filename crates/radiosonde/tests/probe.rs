//! What `probe` says of destinations: of those that take a test and show it, that refuse, close, keep silent, or speak another
//! language.

#![cfg(feature = "backends")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use radiosonde::{
    config::{Format, RawConfig},
    exporter::probe::{self, Check, Destination, Verdict},
};

/// A server for as long as the test runs: each connection is handed to `serve`.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// One request of HTTP/1.1: its first line and its body.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|&read| read > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first.trim_end().to_owned(), body))
}

/// A server of HTTP/1.1 that gives each request an answer: status, further header lines, body.
fn http(
    answer: impl Fn(&str, &[u8]) -> (u16, String, String) + Send + Sync + 'static,
) -> SocketAddr {
    listen(move |stream| {
        let mut reader = BufReader::new(stream);
        while let Some((first, body)) = request(&mut reader) {
            let (status, headers, body) = answer(&first, &body);
            let length = body.len();
            let text =
                format!("HTTP/1.1 {status} S\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
            if reader.get_mut().write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// What is said of the one destination that `table` describes.
fn probed(table: &str) -> Destination {
    let text = format!("[otlp]\ndiscover = false\n[[exporters]]\n{table}");
    let raw = RawConfig::parse(Format::Toml, &text, Path::new("radiosonde.toml")).unwrap();
    let mut all = probe::run(raw).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn zipkin(scheme: &str, address: SocketAddr) -> Destination {
    probed(&format!(
        "type = \"zipkin\"\nendpoint = \"{scheme}://{address}\"\ntimeout = \"500ms\""
    ))
}

fn of<'a>(destination: &'a Destination, check: &str) -> &'a Check {
    let found = destination.checks.iter().find(|found| found.check == check);
    found.unwrap_or_else(|| panic!("no {check}: {destination:?}"))
}

/// The one check that failed, as words and mend.
fn failed(destination: &Destination) -> (String, String) {
    let failed: Vec<_> = destination
        .checks
        .iter()
        .filter(|check| check.verdict == Verdict::Fail)
        .collect();
    assert_eq!(failed.len(), 1, "{destination:?}");
    assert!(!destination.is_well());
    let mend = failed[0].mend.clone().expect("a failure has its mend");
    (failed[0].words.clone(), mend)
}

fn contains((words, mend): &(String, String), expected: [&str; 2]) {
    assert!(words.contains(expected[0]), "{words}");
    assert!(mend.contains(expected[1]), "{mend}");
}

/// A Zipkin in small: takes spans, shows them by trace, and says that it is a time.
fn zipkin_server(date: &'static str) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let spans = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&spans);
    let address = http(move |first, body| {
        let mut kept = kept.lock().unwrap();
        let (status, answer) = if first.starts_with("POST /api/v2/spans ") {
            let mut plain = Vec::new();
            let read = flate2::read::GzDecoder::new(body).read_to_end(&mut plain);
            read.expect("bodies are compressed");
            *kept = plain;
            (202, String::new())
        } else if first.starts_with("GET /api/v2/trace/") {
            (200, String::from_utf8(kept.clone()).unwrap())
        } else {
            (405, String::new())
        };
        (status, format!("Date: {date}\r\n"), answer)
    });
    (address, spans)
}

#[test]
fn a_destination_that_takes_a_test_shows_it_and_its_clock_is_told() {
    let (address, spans) = zipkin_server("Thu, 01 Jan 2015 00:00:00 GMT");
    let destination = zipkin("http", address);
    assert_eq!(destination.name, "zipkin");
    let names: Vec<_> = destination.checks.iter().map(|check| check.check).collect();
    assert_eq!(
        names,
        ["traces", "read back", "clock"],
        "spans are all it takes"
    );
    assert_eq!(of(&destination, "traces").verdict, Verdict::Pass);
    let endpoint = format!("http://{address}/api/v2/spans");
    assert_eq!(of(&destination, "traces").endpoint, Some(endpoint));
    assert_eq!(of(&destination, "read back").verdict, Verdict::Pass);
    contains(&failed(&destination), ["ahead of the peer's", "NTP"]);
    let sent: serde_json::Value = serde_json::from_slice(&spans.lock().unwrap()).unwrap();
    assert_eq!(sent[0]["tags"]["radiosonde.test"], "true");
    assert_eq!(sent[0]["localEndpoint"]["serviceName"], "radiosonde-doctor");
}

#[test]
fn what_is_accepted_and_not_there_is_told() {
    let address = http(|first, _| {
        let status = if first.starts_with("POST") { 202 } else { 500 };
        (status, String::new(), String::new())
    });
    let destination = zipkin("http", address);
    let back = of(&destination, "read back");
    assert_eq!(back.verdict, Verdict::Unknown);
    assert!(back.words.contains("HTTP 500"), "{}", back.words);
    assert_eq!(of(&destination, "clock").verdict, Verdict::Unknown);
    assert!(destination.is_well());
}

#[test]
fn each_signal_that_is_refused_is_told_with_its_mend() {
    let address = http(|_, _| (401, String::new(), "who are you".to_owned()));
    let destination = probed(&format!(
        "type = \"otlp\"\nname = \"theirs\"\nendpoint = \"http://{address}\""
    ));
    assert_eq!(
        (destination.name.as_str(), destination.kind),
        ("theirs", "otlp")
    );
    let names: Vec<_> = destination.checks.iter().map(|check| check.check).collect();
    assert_eq!(names, ["traces", "logs", "metrics"]);
    for check in &destination.checks {
        assert!(check.words.contains("HTTP 401"), "{check:?}");
        assert!(check.words.contains("who are you"), "{check:?}");
        assert!(
            check.mend.as_ref().unwrap().contains("token_env"),
            "{check:?}"
        );
    }
}

#[test]
fn a_port_where_nobody_listens_is_told() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let said = failed(&zipkin("http", address));
    contains(&said, ["refused", "nothing listens there"]);
}

#[test]
fn one_that_closes_and_one_that_keeps_silent_are_told() {
    let closing = listen(drop);
    let said = failed(&zipkin("http", closing));
    contains(&said, ["", "port of the destination"]);
    let silent = listen(|mut stream| {
        let mut all = Vec::new();
        let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
        let _ = stream.read_to_end(&mut all);
    });
    let said = failed(&zipkin("http", silent));
    contains(&said, ["says nothing to HTTP, gRPC and TLS", "hangs"]);
}

#[test]
fn what_waits_for_a_destination_that_is_away_is_not_tried_again_and_again() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let destination = probed(&format!(
        "type = \"otlp\"\nendpoint = \"http://{address}\"\ntimeout = \"500ms\""
    ));
    let verdicts: Vec<_> = destination
        .checks
        .iter()
        .map(|check| check.verdict)
        .collect();
    assert_eq!(
        verdicts,
        [Verdict::Fail, Verdict::Unknown, Verdict::Unknown]
    );
}

#[test]
fn a_signal_whose_endpoint_is_away_harms_no_other() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = closed.local_addr().unwrap();
    drop(closed);
    let there = http(|_, _| (200, String::new(), String::new()));
    let text = format!(
        "[otlp]\ntraces_endpoint = \"http://{away}/v1/traces\"\nlogs_endpoint = \"http://{there}/v1/logs\"\ntimeout = \"500ms\""
    );
    let raw = RawConfig::parse(Format::Toml, &text, Path::new("radiosonde.toml")).unwrap();
    let all = probe::run(raw).unwrap();
    assert_eq!((all.len(), all[0].name.as_str()), (1, "otlp"));
    assert_eq!(of(&all[0], "traces").verdict, Verdict::Fail);
    let logs = of(&all[0], "logs");
    assert_eq!(
        (logs.verdict, &*logs.words),
        (Verdict::Pass, "a log was accepted")
    );
    assert_eq!(logs.endpoint, Some(format!("http://{there}/v1/logs")));
}

#[test]
fn a_port_of_grpc_is_known_by_its_first_bytes() {
    // As servers of gRPC do: their settings at once, then the end where the client's preface does not come.
    let grpc = listen(|mut stream| {
        let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0");
        let mut preface = [0; 24];
        let read = stream.read_exact(&mut preface);
        if read.is_ok() && preface.starts_with(b"PRI") {
            let _ = stream.read_exact(&mut preface[..9]);
        }
    });
    let said = failed(&zipkin("http", grpc));
    contains(&said, ["speaks gRPC", "4318"]);
}

#[cfg(feature = "otlp-grpc")]
#[test]
fn a_port_of_http_is_told_to_who_speaks_grpc() {
    let address = http(|_, _| (404, String::new(), String::new()));
    let destination = probed(&format!(
        "type = \"jaeger\"\nprotocol = \"grpc\"\nendpoint = \"http://{address}\"\ntimeout = \"1s\""
    ));
    let said = failed(&destination);
    contains(&said, ["speaks HTTP/1.1", "4317"]);
}

/// A server with TLS, whose certificate nobody knows; who speaks it badly gets an alert.
fn tls_server() -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    listen(move |mut stream| {
        let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        while connection.complete_io(&mut stream).is_ok() && connection.is_handshaking() {}
        // The alert of a handshake that failed.
        while connection.wants_write() && connection.write_tls(&mut stream).is_ok() {}
    })
}

#[test]
fn tls_on_a_plain_port_and_a_plain_endpoint_of_tls_are_told() {
    let said = failed(&zipkin("http", tls_server()));
    contains(&said, ["speaks TLS", "https://"]);
    let plain = http(|_, _| (202, String::new(), String::new()));
    let said = failed(&zipkin("https", plain));
    contains(&said, ["speaks without TLS", "http://"]);
    let said = failed(&zipkin("https", tls_server()));
    contains(&said, ["certificate", "certificate ="]);
}

#[test]
fn a_wrong_configuration_sends_nothing_and_is_said() {
    let raw = RawConfig::parse(
        Format::Toml,
        "[[exporters]]\ntype = \"zipkin\"\nendpoints = \"http://127.0.0.1:1\"",
        Path::new("radiosonde.toml"),
    );
    let error = probe::run(raw.unwrap()).unwrap_err().to_string();
    assert!(error.contains("did you mean endpoint?"), "{error}");
}

#[test]
fn the_spool_of_a_running_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let destination = probed(&format!(
        "type = \"zipkin\"\nendpoint = \"http://{address}\"\ntimeout = \"500ms\"\nspool_directory = \"{}\"",
        folder.path().display()
    ));
    assert!(!destination.is_well());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
