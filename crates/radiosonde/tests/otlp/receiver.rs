//! A strict OTLP/HTTP receiver on a real socket, made for tests: it checks every request, decodes it with the
//! generated types, and answers as it is told.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::any_value::Value,
};
use prost::Message;

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Takes it.
    Ok,
    /// Takes it and sends these bytes as the body.
    Body(Vec<u8>),
    /// Does not take it: status, further header lines, body.
    Status(u16, &'static str, Vec<u8>),
    /// Does not take it and never answers.
    Hang,
    /// Does not take it and closes the connection.
    Close,
    /// Does not take it and sends these bytes instead of HTTP.
    Raw(Vec<u8>),
}

#[derive(Debug)]
pub enum Received {
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
    Metrics(ExportMetricsServiceRequest),
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    received: Vec<Received>,
    heads: Vec<String>,
    faults: Vec<String>,
    attempts: Vec<Instant>,
}

/// How connections are wrapped, for TLS.
pub type Wrap = Arc<dyn Fn(TcpStream) -> Box<dyn ReadWrite> + Send + Sync>;
pub trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Receiver {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), None)
    }

    pub fn start_at(address: SocketAddr, wrap: Option<Wrap>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (inner, stopped) = (Arc::clone(&shared), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut connections = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).unwrap();
                        stream
                            .set_read_timeout(Some(Duration::from_millis(50)))
                            .unwrap();
                        let (shared, stop, wrap) =
                            (Arc::clone(&inner), Arc::clone(&stopped), wrap.clone());
                        connections.push(thread::spawn(move || {
                            let stream: Box<dyn ReadWrite> = match wrap {
                                Some(wrap) => wrap(stream),
                                None => Box::new(stream),
                            };
                            serve(stream, &shared, &stop);
                        }));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
            // Nothing is taken once the receiver is gone.
            drop(listener);
            connections
                .into_iter()
                .for_each(|connection| connection.join().unwrap());
        });
        Self {
            address,
            shared,
            stop,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers to the next requests, in order; after them everything is taken.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.0.lock().unwrap().answers.extend(answers);
    }

    /// Waits until `enough` of the state, for at most ten seconds.
    fn wait(&self, enough: impl Fn(&State) -> bool) -> std::sync::MutexGuard<'_, State> {
        let state = self.shared.0.lock().unwrap();
        let (state, timeout) = self
            .shared
            .1
            .wait_timeout_while(state, Duration::from_secs(10), |state| !enough(state))
            .unwrap();
        assert!(
            !timeout.timed_out(),
            "received so far: {:?}, attempts: {}",
            state.received,
            state.attempts.len()
        );
        state
    }

    /// The `id` attributes of the first spans taken, in order of arrival, once there are `count`.
    pub fn span_ids(&self, count: usize) -> Vec<i64> {
        ids(&self
            .wait(|state| ids(&state.received).len() >= count)
            .received)
    }

    pub fn taken_ids(&self) -> Vec<i64> {
        ids(&self.shared.0.lock().unwrap().received)
    }

    pub fn wait_requests(&self, count: usize) -> Vec<Received> {
        std::mem::take(&mut self.wait(|state| state.received.len() >= count).received)
    }

    /// When each request came, once there are `count`.
    pub fn wait_attempts(&self, count: usize) -> Vec<Instant> {
        self.wait(|state| state.attempts.len() >= count)
            .attempts
            .clone()
    }

    /// The request heads, and what was wrong with requests.
    pub fn heads(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().heads.clone()
    }

    pub fn faults(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().faults.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn ids(received: &[Received]) -> Vec<i64> {
    let mut ids = Vec::new();
    for request in received {
        if let Received::Traces(request) = request {
            let spans = request
                .resource_spans
                .iter()
                .flat_map(|part| &part.scope_spans)
                .flat_map(|scope| &scope.spans);
            for span in spans {
                let value = span
                    .attributes
                    .iter()
                    .find(|attribute| attribute.key == "id")
                    .unwrap()
                    .value
                    .clone();
                let Some(Value::IntValue(id)) = value.unwrap().value else {
                    panic!("id is no number")
                };
                ids.push(id);
            }
        }
    }
    ids
}

/// Reads a line or gives up when the receiver stops.
fn line(reader: &mut BufReader<Box<dyn ReadWrite>>, stop: &AtomicBool) -> Option<String> {
    let mut line = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match reader.read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\r\n") => {
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            _ => return None,
        }
    }
    None
}

fn serve(stream: Box<dyn ReadWrite>, shared: &(Mutex<State>, Condvar), stop: &AtomicBool) {
    let mut reader = BufReader::new(stream);
    while let Some(first) = line(&mut reader, stop) {
        let mut head = first;
        let (mut length, mut gzip, mut protobuf) = (None, false, false);
        while let Some(header) = line(&mut reader, stop).filter(|header| !header.is_empty()) {
            let lower = header.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.parse::<usize>().ok();
            }
            gzip |= lower == "content-encoding: gzip";
            protobuf |= lower == "content-type: application/x-protobuf";
            head = format!("{head}\n{lower}");
        }
        let mut body = vec![0; length.unwrap_or(0)];
        let mut filled = 0;
        while filled < body.len() && !stop.load(Ordering::Relaxed) {
            match reader.read(&mut body[filled..]) {
                Ok(0) => return,
                Ok(read) => filled += read,
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return,
            }
        }
        let decoded = decode(&head, length.is_some() && protobuf, gzip, &body);
        let answer = {
            let mut state = shared.0.lock().unwrap();
            state.heads.push(head);
            state.attempts.push(Instant::now());
            let answer = state.answers.pop_front().unwrap_or(Answer::Ok);
            match decoded {
                Ok(received) if matches!(answer, Answer::Ok | Answer::Body(_)) => {
                    state.received.push(received);
                }
                Ok(_) => {}
                Err(fault) => state.faults.push(fault),
            }
            shared.1.notify_all();
            answer
        };
        let bytes = match answer {
            Answer::Ok => b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Answer::Body(body) => response(200, "", &body),
            Answer::Status(status, headers, body) => response(status, headers, &body),
            Answer::Raw(bytes) => bytes,
            Answer::Close => return,
            Answer::Hang => {
                while !stop.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(5));
                }
                return;
            }
        };
        if reader.get_mut().write_all(&bytes).is_err() {
            return;
        }
        let _ = reader.get_mut().flush();
    }
}

fn response(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn decode(head: &str, framed: bool, gzip: bool, body: &[u8]) -> Result<Received, String> {
    if !framed {
        return Err(format!("not protobuf with a length: {head}"));
    }
    let mut plain = Vec::new();
    if gzip {
        flate2::read::GzDecoder::new(body)
            .read_to_end(&mut plain)
            .map_err(|error| error.to_string())?;
    } else {
        plain.extend_from_slice(body);
    }
    let path = head.split(' ').nth(1).unwrap_or_default();
    let decoded = match path.rsplit('/').next().unwrap_or_default() {
        "traces" => ExportTraceServiceRequest::decode(&plain[..]).map(Received::Traces),
        "logs" => ExportLogsServiceRequest::decode(&plain[..]).map(Received::Logs),
        "metrics" => ExportMetricsServiceRequest::decode(&plain[..]).map(Received::Metrics),
        _ => return Err(format!("unknown path {path}")),
    };
    if !head.starts_with("POST ") {
        return Err(format!("not a POST: {head}"));
    }
    decoded.map_err(|error| error.to_string())
}
