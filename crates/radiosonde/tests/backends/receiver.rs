//! An HTTP receiver for tests: it hands each request to a [`Strict`] backend, which checks every byte, or misbehaves as it is told.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// An error unless the header has this value.
    pub fn expect(&self, name: &str, value: &str) -> Result<(), String> {
        match self.header(name) {
            Some(found) if found == value => Ok(()),
            found => Err(format!("{name} is {found:?} and not {value:?}")),
        }
    }

    /// An error unless it goes there.
    pub fn expect_path(&self, path: &str) -> Result<(), String> {
        if self.path == path {
            Ok(())
        } else {
            Err(format!("the path is {} and not {path}", self.path))
        }
    }

    /// The body, decompressed as its header says.
    pub fn plain(&self) -> Result<Vec<u8>, String> {
        let mut plain = Vec::new();
        match self.header("content-encoding") {
            None => plain.clone_from(&self.body),
            Some("gzip") => {
                let mut reader = flate2::read::GzDecoder::new(&*self.body);
                reader.read_to_end(&mut plain).map_err(|e| e.to_string())?;
            }
            Some("snappy") => {
                let read = snap::raw::Decoder::new().decompress_vec(&self.body);
                plain = read.map_err(|error| error.to_string())?;
            }
            Some("zstd") => {
                plain = zstd::decode_all(&*self.body).map_err(|e| e.to_string())?;
            }
            Some(other) => return Err(format!("encoding {other} is unknown")),
        }
        Ok(plain)
    }

    /// The body as JSON in UTF-8.
    pub fn json(&self) -> Result<serde_json::Value, String> {
        serde_json::from_slice(&self.plain()?).map_err(|error| error.to_string())
    }
}

/// A backend that takes nothing but what its protocol says.
pub trait Strict: Send + 'static {
    /// Checks and takes a request: status and body of the answer, or what is wrong.
    fn take(&mut self, request: &Request) -> Result<(u16, String), String>;

    /// The attribute `id` of every record that was taken, in order.
    fn ids(&self) -> Vec<u64>;
}

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What the backend says.
    Take,
    /// What the backend says, a few bytes at a time.
    TakeSlowly,
    /// The backend takes it, and the connection ends in the middle of the answer's body.
    TakeAndCut,
    /// Not taken: status, further header lines, body.
    Status(u16, &'static str, String),
    /// Not taken, and bytes that are no HTTP.
    Garbage,
    /// Not taken, and the connection ends.
    Close,
}

struct State<S> {
    strict: S,
    answers: VecDeque<Answer>,
    requests: Vec<Request>,
    faults: Vec<String>,
}

pub struct Receiver<S> {
    pub address: SocketAddr,
    state: Arc<Mutex<State<S>>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl<S: Strict> Receiver<S> {
    pub fn start(strict: S) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            strict,
            answers: VecDeque::new(),
            requests: Vec::new(),
            faults: Vec::new(),
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let (inner, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut connections = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let (state, stop) = (Arc::clone(&inner), Arc::clone(&stopped));
                        connections.push(thread::spawn(move || serve(stream, &state, &stop)));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
            for connection in connections {
                connection.join().unwrap();
            }
        });
        Self {
            address,
            state,
            stop,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap()
    }

    /// What is done with the next requests; then the backend takes what comes.
    pub fn will(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state().answers.extend(answers);
    }

    /// Forgets what it was to do: the backend takes what comes.
    pub fn calm(&self) {
        self.state().answers.clear();
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut S) -> T) -> T {
        look(&mut self.state().strict)
    }

    pub fn ids(&self) -> Vec<u64> {
        self.state().strict.ids()
    }

    /// Fails the test where a request was not as the protocol says.
    pub fn assert_no_faults(&self) {
        let faults = &self.state().faults;
        assert!(faults.is_empty(), "{faults:?}");
    }
}

impl<S> Drop for Receiver<S> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve<S: Strict>(stream: TcpStream, state: &Mutex<State<S>>, stop: &AtomicBool) {
    stream.set_nonblocking(false).unwrap();
    let timeout = Some(Duration::from_millis(50));
    stream.set_read_timeout(timeout).unwrap();
    let mut reader = BufReader::new(stream);
    while !stop.load(Ordering::Relaxed) {
        let Some(request) = read(&mut reader, stop) else {
            return;
        };
        let answer = {
            let mut state = state.lock().unwrap();
            state.requests.push(request.clone());
            state.answers.pop_front().unwrap_or(Answer::Take)
        };
        let stream = reader.get_mut();
        let goes_on = match &answer {
            Answer::Take | Answer::TakeSlowly | Answer::TakeAndCut => {
                let (status, body) = taken(&request, &mut state.lock().unwrap());
                write(stream, status, "", &body, &answer)
            }
            Answer::Status(status, headers, body) => {
                write(stream, *status, headers, body, &Answer::Take)
            }
            Answer::Garbage => {
                let _ = stream.write_all(b"\x16\x03nothing of HTTP\r\n\r\n");
                false
            }
            Answer::Close => false,
        };
        if !goes_on {
            return;
        }
    }
}

fn taken<S: Strict>(request: &Request, state: &mut State<S>) -> (u16, String) {
    state.strict.take(request).unwrap_or_else(|fault| {
        state.faults.push(fault.clone());
        (400, fault)
    })
}

fn write(stream: &mut TcpStream, status: u16, headers: &str, body: &str, how: &Answer) -> bool {
    // So that there is a middle to cut at.
    let body = match how {
        Answer::TakeAndCut if body.len() < 2 => "{}",
        _ => body,
    };
    let head = format!(
        "HTTP/1.1 {status} S\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let bytes = [head.as_bytes(), body.as_bytes()].concat();
    match how {
        Answer::TakeSlowly => bytes.chunks(9).all(|part| {
            thread::sleep(Duration::from_millis(1));
            stream.write_all(part).is_ok()
        }),
        Answer::TakeAndCut => {
            let _ = stream.write_all(&bytes[..bytes.len() - body.len() / 2]);
            false
        }
        _ => stream.write_all(&bytes).is_ok(),
    }
}

fn read(reader: &mut BufReader<TcpStream>, stop: &AtomicBool) -> Option<Request> {
    let mut request = Request::default();
    let mut length = 0;
    let mut is_first = true;
    loop {
        let line = line(reader, stop)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if is_first {
            let mut words = line.split(' ');
            let method = words.next()?.to_owned();
            words.next()?.clone_into(&mut request.path);
            // A Pushgateway is given what takes the place of what was there.
            let is_pushed = method == "PUT" && request.path.starts_with("/metrics/job/");
            assert!(method == "POST" || is_pushed, "{line}");
            is_first = false;
        } else {
            let (name, value) = line.split_once(':').unwrap();
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            if name == "content-length" {
                length = value.parse().unwrap();
            }
            request.headers.push((name, value));
        }
    }
    request.body.resize(length, 0);
    let mut filled = 0;
    while filled < length {
        match reader.read(&mut request.body[filled..]) {
            Ok(0) => return None,
            Ok(bytes) => filled += bytes,
            Err(_) if stop.load(Ordering::Relaxed) => return None,
            Err(_) => {}
        }
    }
    Some(request)
}

fn line(reader: &mut BufReader<TcpStream>, stop: &AtomicBool) -> Option<String> {
    let mut line = Vec::new();
    loop {
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) if line.ends_with(b"\n") => return String::from_utf8(line).ok(),
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) && !stop.load(Ordering::Relaxed) => {}
            Err(_) => return None,
        }
    }
}
