//! OTLP over gRPC against a receiver on a real socket, made of HTTP/2 frames so that it sees what really comes.

use super::structs;
use std::{
    collections::VecDeque,
    io::Read,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::records::{batch, mixed_batch, snapshot};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest,
    metrics::v1::ExportMetricsServiceRequest,
    trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
};
use prost::Message;
use radiosonde::{
    core::loss::{self, Lost},
    exporter::{
        ExportError, Exporter,
        otlp::{Compression, Otlp, OtlpConfig},
        spool::SpoolConfig,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::oneshot,
};

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Debug)]
enum Answer {
    Message(Vec<u8>),
    /// The same by gzip.
    Compressed(Vec<u8>),
    /// `grpc-status`, `grpc-message`, `grpc-status-details-bin`.
    Status(u8, &'static str, &'static str),
    /// Takes it, and closes the connection afterwards.
    GoAway,
    Hang,
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    taken: Vec<(String, Vec<u8>)>,
    heads: Vec<http::request::Parts>,
    attempts: Vec<Instant>,
}

struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

type Tls = Option<tokio_rustls::TlsAcceptor>;

impl Receiver {
    fn start(address: &str, tls: Tls) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { () = accept(listener, shared, tls) => {}, _ = stopped => {} }
            });
        });
        Self {
            address,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().unwrap().answers.extend(answers);
    }

    fn wait(&self, enough: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let state = self.state.lock().unwrap();
            if enough(&state) {
                return state;
            }
            assert!(
                Instant::now() < until,
                "{} attempts, {} taken",
                state.attempts.len(),
                state.taken.len()
            );
            drop(state);
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn taken(&self, count: usize) -> Vec<(String, Vec<u8>)> {
        self.wait(|state| state.taken.len() >= count).taken.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, tls: Tls) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (state, tls) = (Arc::clone(&state), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, state).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, state).await,
                    Err(_) => None,
                },
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    state: Arc<Mutex<State>>,
) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request.ok()?;
        let answer = {
            let mut state = state.lock().unwrap();
            state.attempts.push(Instant::now());
            state.answers.pop_front().unwrap_or(Answer::Message(vec![]))
        };
        let goes_away = matches!(answer, Answer::GoAway);
        let state = Arc::clone(&state);
        let done = tokio::spawn(handle(request, respond, answer, state));
        if goes_away {
            connection.graceful_shutdown();
        }
        drop(done);
    }
    Some(())
}

/// The message in a gRPC frame: a flag for compression, four bytes of length, the message.
fn message_of(body: &[u8], encoding: Option<&str>) -> Vec<u8> {
    let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
    assert_eq!(body.len(), 5 + length);
    if body[0] == 1 {
        assert_eq!(encoding, Some("gzip"));
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[5..])
            .read_to_end(&mut plain)
            .unwrap();
        plain
    } else {
        body[5..].to_vec()
    }
}

async fn handle(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    answer: Answer,
    state: Arc<Mutex<State>>,
) {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part.unwrap();
        body.extend_from_slice(&part);
        stream.flow_control().release_capacity(part.len()).unwrap();
    }
    let head_of = |name: &str| {
        head.headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(head_of("content-type").as_deref(), Some("application/grpc"));
    assert_eq!(head_of("te").as_deref(), Some("trailers"));
    let message = message_of(&body, head_of("grpc-encoding").as_deref());
    let path = head.uri.path().to_owned();
    {
        let mut state = state.lock().unwrap();
        state.heads.push(head);
        let is_taken = !matches!(answer, Answer::Hang | Answer::Status(..));
        if is_taken {
            state.taken.push((path, message));
        }
    }
    let ok = || http::Response::builder().header("content-type", "application/grpc");
    match answer {
        Answer::Hang => std::future::pending().await,
        Answer::Status(status, text, details) => {
            let response = ok()
                .header("grpc-status", u16::from(status))
                .header("grpc-message", text)
                .header("grpc-status-details-bin", details);
            respond
                .send_response(response.body(()).unwrap(), true)
                .unwrap();
        }
        Answer::Message(_) | Answer::Compressed(_) | Answer::GoAway => {
            let is_compressed = matches!(answer, Answer::Compressed(_));
            let reply = match answer {
                Answer::Message(reply) => reply,
                Answer::Compressed(reply) => gzip(&reply),
                _ => vec![],
            };
            let mut response = ok();
            if is_compressed {
                response = response.header("grpc-encoding", "gzip");
            }
            let mut stream = respond
                .send_response(response.body(()).unwrap(), false)
                .unwrap();
            let mut frame = vec![u8::from(is_compressed)];
            frame.extend_from_slice(&(reply.len() as u32).to_be_bytes());
            frame.extend_from_slice(&reply);
            stream.send_data(frame.into(), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            // A caller that has read enough is gone.
            let _ = stream.send_trailers(trailers);
        }
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    flate2::read::GzEncoder::new(plain, flate2::Compression::fast())
        .read_to_end(&mut compressed)
        .unwrap();
    compressed
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn config(address: SocketAddr, folder: &tempfile::TempDir) -> OtlpConfig {
    OtlpConfig {
        timeout: Duration::from_secs(5),
        spool: SpoolConfig {
            folder: Some(folder.path().to_owned()),
            ..SpoolConfig::default()
        },
        retry_delay: (Duration::from_millis(20), Duration::from_millis(100)),
        ..OtlpConfig::new(format!("http://{address}"))
    }
}

/// What is told of `batch`: by the export itself where the answer was quick.
fn told(otlp: &mut Otlp, batch: &radiosonde_core::batch::Batch) -> String {
    match otlp.export(batch) {
        Ok(()) => noticed(otlp),
        Err(error) => error.to_string(),
    }
}

fn noticed(otlp: &mut Otlp) -> String {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if let Err(ExportError::Noticed { reason, .. }) = otlp.export(&batch(0..0)) {
            return reason;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("nothing was noticed")
}

#[test]
fn the_three_services_get_what_was_recorded_plain_and_compressed() {
    let _turn = turn();
    for compression in [Compression::None, Compression::Gzip] {
        let (receiver, folder) = (Receiver::start("127.0.0.1:0", None), folder());
        let mut config = OtlpConfig {
            compression,
            ..config(receiver.address, &folder)
        };
        config.headers = vec![("X-Scope-OrgID".to_owned(), "tenant".to_owned())];
        let mut otlp = Otlp::grpc(&config).unwrap();
        let (batch, snapshot) = (mixed_batch(), snapshot());
        otlp.export(&batch).unwrap();
        otlp.export_metrics(&snapshot).unwrap();
        otlp.flush().unwrap();
        let taken = receiver.taken(3);
        let paths: Vec<_> = taken
            .iter()
            .map(|(path, _)| path.rsplit('.').next().unwrap())
            .collect();
        assert_eq!(
            paths,
            [
                "TraceService/Export",
                "LogsService/Export",
                "MetricsService/Export"
            ]
        );
        let resource = structs::resource(batch.resource());
        let spans: Vec<_> = batch
            .spans()
            .map(|span| structs::located_span(&resource, &span))
            .collect();
        let decoded = ExportTraceServiceRequest::decode(&taken[0].1[..]).unwrap();
        assert_eq!(structs::flatten_spans(decoded), spans);
        let logs: Vec<_> = batch
            .records()
            .filter_map(|record| structs::located_log(&resource, &record))
            .collect();
        let decoded = ExportLogsServiceRequest::decode(&taken[1].1[..]).unwrap();
        assert_eq!(structs::flatten_logs(decoded), logs);
        let decoded = ExportMetricsServiceRequest::decode(&taken[2].1[..]).unwrap();
        assert_eq!(
            structs::flatten_metrics(decoded),
            structs::metrics(&resource, &snapshot)
        );
        for head in &receiver.state.lock().unwrap().heads {
            assert_eq!(head.headers["x-scope-orgid"], "tenant");
            assert!(
                head.headers["user-agent"]
                    .to_str()
                    .unwrap()
                    .starts_with("radiosonde/")
            );
            assert_eq!(
                head.headers.contains_key("grpc-encoding"),
                compression == Compression::Gzip
            );
        }
    }
}

#[test]
fn each_signal_may_have_its_own_server() {
    let _turn = turn();
    let (traces, base) = (
        Receiver::start("127.0.0.1:0", None),
        Receiver::start("127.0.0.1:0", None),
    );
    let folder = folder();
    let config = OtlpConfig {
        traces_endpoint: Some(format!("http://{}", traces.address)),
        ..config(base.address, &folder)
    };
    let mut otlp = Otlp::grpc(&config).unwrap();
    otlp.export(&mixed_batch()).unwrap();
    otlp.flush().unwrap();
    let services = |receiver: &Receiver| {
        let taken = receiver.taken(1);
        let names = taken.iter().map(|(path, _)| path.rsplit('.').next());
        names
            .map(|name| name.unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(services(&traces), ["TraceService/Export"]);
    assert_eq!(services(&base), ["LogsService/Export"]);
}

#[test]
fn statuses_say_whether_to_come_back_and_when() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start("127.0.0.1:0", None), folder());
    let partial = ExportTracePartialSuccess {
        rejected_spans: 1,
        error_message: "too old".to_owned(),
    };
    receiver.answer([
        // google.rpc.Status with a RetryInfo of one second.
        Answer::Status(
            8,
            "slow%20down",
            "CAgSBHNsb3caMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIAQ",
        ),
        Answer::Status(14, "starting", ""),
        Answer::Message(vec![]),
        Answer::Status(8, "quota", ""),
        Answer::Status(3, "bad", ""),
        Answer::Message(
            ExportTraceServiceResponse {
                partial_success: Some(partial),
            }
            .encode_to_vec(),
        ),
    ]);
    let rejected = loss::total(Lost::Rejected);
    let mut otlp = Otlp::grpc(&config(receiver.address, &folder)).unwrap();
    // The first answer may come before this returns, and is told then.
    let _ = otlp.export(&batch(0..2));
    receiver.taken(1);
    let attempts = receiver.state.lock().unwrap().attempts.clone();
    assert_eq!(attempts.len(), 3);
    assert!(
        attempts[1] - attempts[0] >= Duration::from_secs(1),
        "{:?}",
        attempts[1] - attempts[0]
    );
    assert!(noticed(&mut otlp).contains("gRPC Unavailable: starting"));
    for expected in [
        "refused 2 of 2 records: gRPC ResourceExhausted: quota",
        "refused 2 of 2 records: gRPC InvalidArgument: bad",
        "refused 1 of 2 records: too old",
    ] {
        // On a busy machine it is told later, with the endpoint before it.
        let told = told(&mut otlp, &batch(0..2));
        assert!(told.ends_with(expected), "{told}");
    }
    assert_eq!(loss::total(Lost::Rejected) - rejected, 5);
}

#[test]
fn an_answer_too_long_to_be_read_is_told_and_what_was_taken_is_not_sent_again() {
    let _turn = turn();
    for too_long in [Answer::Message, Answer::Compressed] {
        let (receiver, folder) = (Receiver::start("127.0.0.1:0", None), folder());
        receiver.answer([too_long(vec![0; 1 << 20])]);
        let rejected = loss::total(Lost::Rejected);
        let mut otlp = Otlp::grpc(&config(receiver.address, &folder)).unwrap();
        let said = told(&mut otlp, &batch(0..2));
        assert!(
            said.ends_with("the answer is too long to be read"),
            "{said}"
        );
        // What follows is not held up by it.
        let _ = otlp.export(&batch(2..3));
        otlp.flush().unwrap();
        assert_eq!(receiver.taken(2).len(), 2);
        assert_eq!(receiver.state.lock().unwrap().attempts.len(), 2);
        assert_eq!(loss::total(Lost::Rejected), rejected);
    }
}

#[test]
fn a_server_that_hangs_goes_away_or_is_down_loses_nothing() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start("127.0.0.1:0", None), folder());
    receiver.answer([Answer::GoAway, Answer::Message(vec![]), Answer::Hang]);
    let address = receiver.address;
    let config = OtlpConfig {
        timeout: Duration::from_millis(500),
        ..config(address, &folder)
    };
    let mut otlp = Otlp::grpc(&config).unwrap();
    for id in 0..3 {
        let _ = otlp.export(&batch(id..id + 1));
        let _ = otlp.flush();
    }
    assert_eq!(receiver.taken(3).len(), 3);
    drop(receiver);
    let _ = otlp.export(&batch(3..4));
    assert!(otlp.flush().is_err());
    assert_eq!(otlp.waiting().records, 1);
    let receiver = Receiver::start(&address.to_string(), None);
    assert_eq!(receiver.taken(1).len(), 1);
}

#[test]
fn tls_trusts_the_named_authority_and_no_other() {
    let _turn = turn();
    let folder = folder();
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let receiver = Receiver::start("127.0.0.1:0", Some(Arc::new(server).into()));
    let stranger = OtlpConfig {
        endpoint: format!("https://localhost:{}", receiver.address.port()),
        require_tls: true,
        ..config(receiver.address, &folder)
    };
    let mut otlp = Otlp::grpc(&stranger).unwrap();
    let reason = told(&mut otlp, &batch(0..3));
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    drop(otlp);
    let mut otlp = Otlp::grpc(&OtlpConfig {
        ca_certificate: Some(ca_file),
        ..stranger
    })
    .unwrap();
    otlp.flush().unwrap();
    assert_eq!(receiver.taken(1).len(), 1);
}
