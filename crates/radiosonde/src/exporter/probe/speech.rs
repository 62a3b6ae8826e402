//! What a port speaks, by the first bytes that it answers with.
//!
//! Three connections, each with the first words of another language: HTTP/1.1, HTTP/2 as gRPC speaks it (RFC 9113, section
//! 3.4), and TLS (RFC 8446, section 5.1). A server says by its answer which of them it understands, or by an alert, a frame or
//! a status in its own language that it does not.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use ureq::http::Uri;

/// How long a connection may take, and then its answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// So many bytes tell a language: the header of an HTTP/2 frame is the longest.
const FIRST_BYTES: usize = 9;
/// Longest frame that a server may send before it was told otherwise (RFC 9113, section 4.2).
const FRAME_BYTES_MAX: u32 = 16_384;

const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What is known of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Speech {
    pub(super) tls: bool,
    pub(super) http1: bool,
    pub(super) http2: bool,
    /// The first bytes of an answer in none of them.
    pub(super) other: Option<Vec<u8>>,
}

/// What the server of `url` speaks; why there is no connection to it, where there is none.
pub(super) fn of(url: &str) -> io::Result<Speech> {
    let (host, port) = place(url)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the URL names no host"))?;
    let http1 =
        format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n").into_bytes();
    let mut speech = Speech::default();
    for (at, words) in [http1, HTTP2.to_vec(), client_hello()].iter().enumerate() {
        match answer(&host, port, words) {
            Ok(bytes) => speech.add(&bytes),
            // One that listened a moment ago may be tired of us.
            Err(error) if at == 0 => return Err(error),
            Err(_) => {}
        }
    }
    Ok(speech)
}

fn place(url: &str) -> Option<(String, u16)> {
    let url: Uri = url.parse().ok()?;
    let host = url.host()?.trim_matches(['[', ']']).to_owned();
    let usual = match url.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    Some((host, url.port_u16().unwrap_or(usual)))
}

/// A connection that could be made to one of the host's addresses.
fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The first bytes that the server says to `words`; none where it says nothing.
fn answer(host: &str, port: u16, words: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(host, port)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut first = Vec::new();
    if stream.write_all(words).is_ok() {
        // What came before it closed or fell silent is the answer.
        let _ = stream.take(FIRST_BYTES as u64).read_to_end(&mut first);
    }
    Ok(first)
}

/// A `ClientHello` of TLS 1.2 with two cipher suites and no extensions: enough for an answer, be it an alert.
fn client_hello() -> Vec<u8> {
    let mut hello = vec![0x03, 0x03];
    hello.extend_from_slice(&[0x5a; 32]); // random
    hello.push(0); // no session
    hello.extend_from_slice(&[0x00, 0x04, 0xc0, 0x2f, 0x00, 0x9c]);
    hello.extend_from_slice(&[0x01, 0x00]); // no compression
    let length = |bytes: usize| u8::try_from(bytes).unwrap_or(u8::MAX);
    let mut record = vec![0x16, 0x03, 0x01, 0x00, length(hello.len() + 4)];
    record.extend_from_slice(&[0x01, 0x00, 0x00, length(hello.len())]);
    record.append(&mut hello);
    record
}

impl Speech {
    fn add(&mut self, first: &[u8]) {
        match first {
            // An alert, or a part of the handshake.
            [0x15 | 0x16, 0x03, ..] => self.tls = true,
            [b'H', b'T', b'T', b'P', b'/', ..] => self.http1 = true,
            // SETTINGS or GOAWAY, of the connection.
            &[a, b, c, 0x04 | 0x07, _, 0, 0, 0, 0]
                if u32::from_be_bytes([0, a, b, c]) <= FRAME_BYTES_MAX =>
            {
                self.http2 = true;
            }
            [] => {}
            other => self.other = Some(other.to_vec()),
        }
    }

    /// What is wrong with sending to `url`, by gRPC or not, and what to do about it; nothing where the language is right or
    /// nobody can tell.
    pub(super) fn against(&self, url: &str, is_grpc: bool) -> Option<(String, String)> {
        let is_tls = url.starts_with("https://");
        let said = |words: &str, mend: &str| Some((words.to_owned(), mend.to_owned()));
        match (self.tls, self.http1, self.http2) {
            (true, ..) if !is_tls => said(
                "that port speaks TLS, and it is spoken to without",
                "write https:// in the endpoint",
            ),
            (false, true, _) | (false, _, true) if is_tls => said(
                "that port speaks without TLS, and it is spoken to with TLS",
                "write http:// in the endpoint, or name the port that has TLS",
            ),
            (false, false, true) if !is_grpc => said(
                "that port speaks gRPC (HTTP/2 alone), and it is spoken to by HTTP/1.1",
                "name the port of HTTP, which is 4318 for OTLP, or write protocol = \"grpc\"",
            ),
            (false, true, false) if is_grpc => said(
                "that port speaks HTTP/1.1, and it is spoken to by gRPC",
                "name the port of gRPC, which is 4317 for OTLP, or write protocol = \"http\"",
            ),
            (false, false, false) => match &self.other {
                Some(bytes) => Some((
                    format!(
                        "that port speaks something else; its answer begins with \"{}\"",
                        bytes.escape_ascii()
                    ),
                    "name the port of the destination in the endpoint".to_owned(),
                )),
                None => said(
                    "it takes connections and says nothing to HTTP, gRPC and TLS",
                    "name the port of the destination in the endpoint; if that is it, the program behind it hangs",
                ),
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn speaking(answers: &[&[u8]]) -> Speech {
        let mut speech = Speech::default();
        for answer in answers {
            speech.add(answer);
        }
        speech
    }

    fn wrong(answers: &[&[u8]], url: &str, is_grpc: bool) -> String {
        let said = speaking(answers).against(url, is_grpc);
        said.map_or_else(String::new, |(words, _)| words)
    }

    #[test]
    fn a_language_is_known_by_its_first_bytes() {
        let settings: &[u8] = b"\0\0\x12\x04\0\0\0\0\0";
        let alert: &[u8] = b"\x15\x03\x03\0\x02\x02\x28";
        let http: &[u8] = b"HTTP/1.0 ";
        for (answers, url, is_grpc, expected) in [
            (vec![http], "http://a", false, ""),
            (vec![http, settings], "http://a", true, ""),
            (vec![settings], "http://a", true, ""),
            (vec![alert], "https://a", false, ""),
            // Servers with TLS often tell plain HTTP in plain HTTP that it is wrong.
            (vec![http, alert], "http://a", false, "speaks TLS"),
            (vec![http], "https://a", false, "without TLS"),
            (vec![settings], "https://a", true, "without TLS"),
            (vec![settings], "http://a", false, "speaks gRPC"),
            (vec![http], "http://a", true, "speaks HTTP/1.1"),
            (
                vec![b"SSH-2.0-O".as_slice()],
                "http://a",
                false,
                "begins with \"SSH-2.0-O\"",
            ),
            (vec![b"".as_slice()], "http://a", false, "says nothing"),
        ] {
            let words = wrong(&answers, url, is_grpc);
            assert_eq!(words.is_empty(), expected.is_empty(), "{words}");
            assert!(words.contains(expected), "{words}: {expected}");
        }
    }

    #[test]
    fn ports_are_those_of_the_url_or_of_its_scheme() {
        let place = |url| place(url).unwrap();
        assert_eq!(place("http://a.b/x"), ("a.b".to_owned(), 80));
        assert_eq!(place("https://u:p@a"), ("a".to_owned(), 443));
        assert_eq!(place("http://[::1]:4318/"), ("::1".to_owned(), 4318));
    }

    proptest! {
        #[test]
        fn any_answer_is_taken_for_one_thing(bytes in proptest::collection::vec(any::<u8>(), 0..9)) {
            let Speech { tls, http1, http2, other } = speaking(&[&bytes]);
            let known = [tls, http1, http2, other.is_some()];
            let count = known.into_iter().filter(|is| *is).count();
            prop_assert_eq!(count, usize::from(!bytes.is_empty()));
        }
    }
}
