//! A NATS server in the test: strict about the protocol (docs.nats.io, "Client Protocol"), and as rude as a test asks. It is
//! none of NATS's own; `nats.rs` has a test with that too.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// A message that was published with headers and a place for the answer.
#[derive(Clone, Debug)]
pub struct Published {
    pub subject: String,
    pub id: String,
    pub media_type: String,
    pub body: Vec<u8>,
}

/// What a test says becomes of a message.
pub enum Reply {
    /// The answer of a stream.
    Body(&'static str),
    /// Nobody listens to the subject.
    Nobody,
    /// The connection is closed without an answer.
    Close,
}

pub const TAKEN: Reply = Reply::Body(r#"{"stream":"TELEMETRY","seq":1}"#);

type Behave = Box<dyn FnMut(&Published) -> Reply + Send>;

pub struct NatsServer {
    pub address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NatsServer {
    pub fn start(
        listener: TcpListener,
        behave: impl FnMut(&Published) -> Reply + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let behave: Arc<Mutex<Behave>> = Arc::new(Mutex::new(Box::new(behave)));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let behave = Arc::clone(&behave);
                let stream = stream.unwrap();
                thread::spawn(move || serve(&stream, &behave));
            }
        });
        Self {
            address,
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// One connection, until its end.
fn serve(mut stream: &TcpStream, behave: &Mutex<Behave>) {
    let info = r#"{"server_id":"test","server_name":"test","version":"2.10.0","proto":1,"host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576}"#;
    let _ = stream.write_all(format!("INFO {info}\r\n").as_bytes());
    let mut reader = BufReader::new(stream);
    // What is subscribed to, and under which number.
    let mut subscribed: Vec<(String, String)> = Vec::new();
    let mut line = String::new();
    let mut is_connected = false;
    while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        let command = line
            .strip_suffix("\r\n")
            .expect("a line ends with CR LF")
            .to_owned();
        line.clear();
        let mut words = command.split_ascii_whitespace();
        match words.next().unwrap_or_default() {
            "CONNECT" => {
                let said: serde_json::Value = serde_json::from_str(&command[8..]).unwrap();
                assert_eq!(said["headers"], true);
                assert_eq!(said["no_responders"], true);
                is_connected = true;
            }
            "PING" => {
                let _ = stream.write_all(b"PONG\r\n");
            }
            "PONG" | "UNSUB" => {}
            "SUB" => {
                let words: Vec<&str> = words.collect();
                let [subject, number] = words[..] else {
                    panic!("{command}");
                };
                subscribed.push((subject.to_owned(), number.to_owned()));
            }
            "HPUB" => {
                assert!(is_connected, "a publication before CONNECT");
                let words: Vec<&str> = words.collect();
                let [subject, inbox, head, all] = words[..] else {
                    panic!("{command}");
                };
                let (head, all): (usize, usize) = (head.parse().unwrap(), all.parse().unwrap());
                let mut bytes = vec![0; all + 2];
                if reader.read_exact(&mut bytes).is_err() {
                    return;
                }
                assert_eq!(&bytes[all..], b"\r\n");
                let published = published(subject, &bytes[..head], &bytes[head..all]);
                let reply = behave.lock().unwrap()(&published);
                let number = number_of(&subscribed, inbox);
                let answer = match reply {
                    Reply::Body(body) => {
                        format!("MSG {inbox} {number} {}\r\n{body}\r\n", body.len())
                    }
                    Reply::Nobody => {
                        format!("HMSG {inbox} {number} 16 16\r\nNATS/1.0 503\r\n\r\n\r\n")
                    }
                    Reply::Close => {
                        let _ = stream.shutdown(std::net::Shutdown::Both);
                        return;
                    }
                };
                let _ = stream.write_all(answer.as_bytes());
            }
            other => panic!("{other} is no command of a client that publishes"),
        }
    }
}

fn published(subject: &str, head: &[u8], body: &[u8]) -> Published {
    let head = std::str::from_utf8(head).unwrap();
    let lines = head.strip_prefix("NATS/1.0\r\n").unwrap();
    let lines = lines.strip_suffix("\r\n\r\n").unwrap();
    let value = |name: &str| {
        let mut pairs = lines.split("\r\n").filter_map(|line| line.split_once(':'));
        let found = pairs.find(|(key, _)| *key == name);
        found.unwrap().1.trim().to_owned()
    };
    Published {
        subject: subject.to_owned(),
        id: value("Nats-Msg-Id"),
        media_type: value("Content-Type"),
        body: body.to_vec(),
    }
}

/// The number of the subscription that `inbox` falls under.
fn number_of(subscribed: &[(String, String)], inbox: &str) -> String {
    let falls_under = |subject: &str| match subject.strip_suffix('*') {
        Some(begin) => inbox.starts_with(begin),
        None => inbox == subject,
    };
    let found = subscribed.iter().find(|(subject, _)| falls_under(subject));
    found.expect("an inbox that is subscribed to").1.clone()
}
