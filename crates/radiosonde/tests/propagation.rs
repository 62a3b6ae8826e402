//! A trace that goes over HTTP and over gRPC keeps its ID.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use radiosonde::{
    core::{
        batch::Batch,
        loss::{self, Lost},
        model::{Record, Resource, Span},
        pump::{self, Consumer, Pump},
        subscriber::Subscriber,
    },
    propagation::{self, Baggage, FullContext, Headers, HeadersMut},
};
use tracing::info_span;

struct Keep(Arc<Mutex<Vec<Span>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let spans = batch
            .records()
            .filter_map(|record| match record.to_record() {
                Record::Span(span) => Some(span),
                _ => None,
            });
        self.0.lock().unwrap().extend(spans);
    }
}

type Recording = (Pump, Arc<Mutex<Vec<Span>>>, MutexGuard<'static, ()>);

static TURN: Mutex<()> = Mutex::new(());

fn recording() -> Recording {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = tracing::subscriber::set_global_default(Subscriber::new());
    let spans = Arc::new(Mutex::new(Vec::new()));
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(Keep(Arc::clone(&spans)))],
    })
    .unwrap();
    (pump, spans, turn)
}

fn one_trace(recording: &Recording) {
    assert!(recording.0.flush(Duration::from_secs(10)));
    let spans = recording.1.lock().unwrap();
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (client, server) = (find("client"), find("server"));
    assert_eq!(server.trace_id, client.trace_id);
    assert_eq!(server.parent_id, Some(client.span_id));
    assert_eq!(server.correlation_id.as_deref(), Some("abc123"));
    assert_eq!(
        server.attribute("tenant").unwrap().as_str(),
        Some("größe 7")
    );
}

fn in_client(call: impl FnOnce()) {
    let mut baggage = Baggage::new();
    baggage.insert("tenant", "größe 7").unwrap();
    let _scope = FullContext::default()
        .with_baggage(baggage)
        .with_correlation_id("abc123")
        .attach();
    info_span!("client").in_scope(call);
}

fn serve(headers: &HeaderMap) {
    let _scope = FullContext::extract(&Headers(headers)).attach();
    let current = FullContext::current();
    let tenant = current.baggage().unwrap().get("tenant").unwrap();
    info_span!("server", tenant).in_scope(|| ());
}

/// One request over a real connection, as plain as HTTP is.
fn serve_once(mut stream: TcpStream) {
    let mut headers = HeaderMap::new();
    for line in BufReader::new(&stream).lines().skip(1) {
        let line = line.unwrap();
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.append(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        );
    }
    serve(&headers);
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .unwrap();
}

#[test]
fn a_hop_over_http_keeps_the_trace() {
    let recording = recording();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve_once(listener.accept().unwrap().0));
    in_client(|| {
        let mut headers = HeaderMap::new();
        propagation::inject(&mut HeadersMut(&mut headers));
        let mut stream = TcpStream::connect(address).unwrap();
        let mut request = b"GET / HTTP/1.1\r\n".to_vec();
        for (name, value) in &headers {
            request
                .extend_from_slice(format!("{name}: {}\r\n", value.to_str().unwrap()).as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("204"), "{answer}");
    });
    server.join().unwrap();
    one_trace(&recording);
}

#[test]
fn a_hop_over_grpc_metadata_keeps_the_trace() {
    let recording = recording();
    let mut sent = None;
    in_client(|| {
        let mut request = tonic::Request::new(());
        propagation::inject(&mut HeadersMut(request.metadata_mut().as_mut()));
        sent = Some(request.into_parts().0.into_headers());
    });
    let headers = sent.unwrap();
    thread::spawn(move || {
        let metadata = tonic::metadata::MetadataMap::from_headers(headers);
        serve(metadata.as_ref());
    })
    .join()
    .unwrap();
    one_trace(&recording);
}

#[test]
fn headers_that_are_not_text_count_as_malformed() {
    let _recording = recording();
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_bytes(b"00-\xff").unwrap());
    headers.append("baggage", HeaderValue::from_static("a=1"));
    headers.append("baggage", HeaderValue::from_static("b=2"));
    let before = loss::total(Lost::MalformedContext);
    let full = FullContext::extract(&Headers(&headers));
    assert_eq!(full.context(), None);
    assert_eq!(full.baggage().unwrap().to_string(), "a=1,b=2");
    assert_eq!(loss::total(Lost::MalformedContext) - before, 1);
    full.with_correlation_id("no\u{7f}header")
        .inject(&mut HeadersMut(&mut headers));
    assert_eq!(headers.get("traceparent"), None);
    assert_eq!(headers.get("x-request-id"), None);
}
