//! A server that takes what is sent to it and then says nothing, as one does whose disk hangs.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use radiosonde_store::{Config, Store};

use super::golden;

/// Reads a request, and answers it with nothing unless it inserts rows; whether it does.
fn is_left_to_wait(mut stream: &TcpStream) -> bool {
    let mut request = BufReader::new(stream);
    let (mut line, mut length, mut inserts) = (String::new(), 0, false);
    while request.read_line(&mut line).unwrap() > 2 {
        inserts |= line.contains("query=INSERT");
        if let Some(said) = line.to_lowercase().strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
        line.clear();
    }
    request.read_exact(&mut vec![0; length]).unwrap();
    if !inserts {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
    }
    inserts
}

#[test]
fn a_store_that_is_dropped_does_not_wait_until_a_silent_clickhouse_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, waiting) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            if is_left_to_wait(&stream) && sender.send(stream).is_err() {
                break;
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        clickhouse: Some(format!("http://127.0.0.1:{port}/a").parse().unwrap()),
        ..Config::new(folder.path())
    };
    let store = Store::open(config).unwrap();
    store.append(golden::rows(0)).unwrap();
    drop(store);
    // The insertion is still under way, and nobody waited for its end.
    let stream = waiting.recv().unwrap();
    stream.set_nonblocking(true).unwrap();
    let error = (&stream).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let files = fs::read_dir(folder.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().any(|name| name.starts_with("log-")));
}
