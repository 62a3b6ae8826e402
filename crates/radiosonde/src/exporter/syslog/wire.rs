//! The ways a payload of messages leaves: a connection with a stream of them, or a datagram each.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{
    SyslogConfig,
    message::{messages, push_message},
    tls,
};
use crate::exporter::{
    delivery::{
        DestinationError, Outcome, Transport,
        address::{host, shown},
    },
    spool::Payload,
};

/// Longest time for a connection; the rest of the timeout is for writing.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// Most pieces that a receiver says between two payloads.
const READS_MAX: usize = 64;

/// Where messages go.
#[derive(Debug)]
enum Place {
    Udp(String),
    Tcp(String),
    Tls(String, ServerName<'static>, Arc<ClientConfig>),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixDatagram),
}

pub(super) struct Wire {
    place: Place,
    timeout: Duration,
    connection: Option<Connection>,
    /// What was written last over a stream, which a receiver that breaks off has perhaps not read.
    last: Option<Vec<u8>>,
}

impl Wire {
    pub(super) fn new(config: &SyslogConfig) -> Result<Self, DestinationError> {
        let invalid = |reason| DestinationError::Endpoint {
            destination: "syslog",
            endpoint: shown(&config.endpoint),
            reason,
        };
        let (scheme, rest) = config
            .endpoint
            .split_once("://")
            .ok_or_else(|| invalid("it must begin with udp://, tcp://, tls:// or unix://"))?;
        if scheme != "unix" && host(rest).is_empty() {
            return Err(invalid("it names no host"));
        }
        let place = match scheme {
            "udp" => Place::Udp(with_port(rest, 514).ok_or_else(|| invalid(PORT))?),
            "tcp" => Place::Tcp(with_port(rest, 601).ok_or_else(|| invalid(PORT))?),
            "tls" => {
                let name = ServerName::try_from(host(rest).to_owned())
                    .map_err(|_| invalid("its host is no name that a certificate can have"))?;
                let address = with_port(rest, 6514).ok_or_else(|| invalid(PORT))?;
                Place::Tls(address, name, tls::client(config)?)
            }
            #[cfg(unix)]
            "unix" if rest.starts_with('/') => Place::Unix(rest.into()),
            #[cfg(unix)]
            "unix" => return Err(invalid("a Unix socket is unix:// and an absolute path")),
            _ => return Err(invalid("only udp://, tcp://, tls:// and unix:// are known")),
        };
        Ok(Self {
            place,
            timeout: config.timeout,
            connection: None,
            last: None,
        })
    }

    pub(super) const fn is_udp(&self) -> bool {
        matches!(self.place, Place::Udp(_))
    }

    fn connect(&self) -> io::Result<Connection> {
        match &self.place {
            Place::Udp(address) => first_of(address, |address| {
                let own: SocketAddr = match address {
                    SocketAddr::V4(_) => ([0u8; 4], 0).into(),
                    SocketAddr::V6(_) => ([0u16; 8], 0).into(),
                };
                let socket = UdpSocket::bind(own)?;
                socket.connect(address)?;
                Ok(Connection::Udp(socket))
            }),
            Place::Tcp(address) => self.connect_tcp(address).map(Connection::Tcp),
            Place::Tls(address, name, config) => {
                let mut stream = self.connect_tcp(address)?;
                let mut session = ClientConnection::new(Arc::clone(config), name.clone())
                    .map_err(io::Error::other)?;
                // A certificate that is not trusted is told before any message is given away.
                while session.is_handshaking() {
                    session.complete_io(&mut stream)?;
                }
                Ok(Connection::Tls(Box::new(StreamOwned::new(session, stream))))
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let socket = std::os::unix::net::UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(self.timeout))?;
                Ok(Connection::Unix(socket))
            }
        }
    }

    fn connect_tcp(&self, address: &str) -> io::Result<TcpStream> {
        let timeout = self.timeout.min(CONNECT_TIMEOUT_MAX);
        let stream = first_of(address, |address| {
            TcpStream::connect_timeout(&address, timeout)
        })?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_read_timeout(Some(self.timeout))?;
        Ok(stream)
    }

    /// Sends over a connection that is there and well, or over a new one.
    fn send_stream(&mut self, body: &[u8]) -> io::Result<()> {
        let mut connection = match self.connection.take() {
            None => self.connect_again()?,
            Some(mut connection) => match connection.listen() {
                Ok(true) => connection,
                Ok(false) => {
                    // It ended in order: everything had been read.
                    self.last = None;
                    self.connect()?
                }
                Err(_) => self.connect_again()?,
            },
        };
        connection.write(body)?;
        self.last = Some(body.to_vec());
        self.connection = Some(connection);
        Ok(())
    }

    /// A new connection in place of one that broke, with what the other had perhaps not read.
    fn connect_again(&self) -> io::Result<Connection> {
        let mut connection = self.connect()?;
        if let Some(last) = &self.last {
            connection.write(last)?;
        }
        Ok(connection)
    }

    /// Sends a datagram for each message; where that fails, how many were sent before.
    fn send_datagrams(&mut self, body: &[u8]) -> Result<(), (usize, io::Error)> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().map_err(|error| (0, error))?,
        };
        for (index, message) in messages(body).enumerate() {
            if let Err(error) = connection.send(message) {
                // A refusal answers the one before.
                let is_late = error.kind() == io::ErrorKind::ConnectionRefused;
                return Err((index.saturating_sub(usize::from(is_late)), error));
            }
        }
        self.connection = Some(connection);
        Ok(())
    }
}

impl Transport for Wire {
    fn send(&mut self, payload: &Payload) -> Outcome {
        let is_stream = matches!(self.place, Place::Tcp(_) | Place::Tls(..));
        let sent = if is_stream {
            self.send_stream(&payload.body).map_err(|error| (0, error))
        } else {
            self.send_datagrams(&payload.body)
        };
        let Err((sent, error)) = sent else {
            return Outcome::Delivered;
        };
        let reason = error.to_string();
        if sent == 0 {
            return Outcome::Unreachable { reason };
        }
        let mut body = Vec::new();
        for message in messages(&payload.body).skip(sent) {
            push_message(message, &mut body);
        }
        let rest = Payload {
            tag: payload.tag,
            records: payload
                .records
                .saturating_sub(u32::try_from(sent).unwrap_or(u32::MAX)),
            body,
        };
        Outcome::PartUnavailable {
            rest,
            rejected: 0,
            reason,
            retry_after: None,
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(Connection::Tls(stream)) = &mut self.connection {
            stream.conn.send_close_notify();
            // A receiver that is gone needs no farewell.
            let _ = stream.flush();
        }
    }
}

const PORT: &str = "its port is no number from 1 to 65535";

/// `host:port`, with the usual port where none is said.
fn with_port(rest: &str, usual: u16) -> Option<String> {
    let place = rest.trim_end_matches('/');
    let after_host = place.rsplit_once(']').map_or(place, |(_, after)| after);
    match after_host.rsplit_once(':') {
        Some((_, port)) => matches!(port.parse::<u16>(), Ok(1..)).then(|| place.to_owned()),
        None => Some(format!("{place}:{usual}")),
    }
}

/// What comes of the first address that works.
fn first_of<T>(address: &str, connect: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in address.to_socket_addrs()? {
        match connect(address) {
            Ok(connected) => return Ok(connected),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

impl Connection {
    /// Whether a stream is still there, or has ended in order; an error where it broke. A receiver has nothing to say, so
    /// anything but silence and the words of TLS itself is an end. One that closes with bytes unread resets the connection,
    /// and so does one that gets more after its end (RFC 9293, sections 3.6.1 and 3.10.7.4).
    fn listen(&mut self) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                let is_there = silence(|| {
                    let mut bytes = [0; 1024];
                    Ok(stream.read(&mut bytes)? > 0)
                })?;
                stream.set_nonblocking(false)?;
                Ok(is_there)
            }
            Self::Tls(stream) => {
                stream.sock.set_nonblocking(true)?;
                let StreamOwned { conn, sock } = &mut **stream;
                let is_there = silence(|| {
                    if conn.read_tls(sock)? == 0 {
                        return Ok(false);
                    }
                    let state = conn.process_new_packets().map_err(io::Error::other)?;
                    let mut said = vec![0; state.plaintext_bytes_to_read()];
                    conn.reader().read_exact(&mut said)?;
                    Ok(!state.peer_has_closed())
                })?;
                stream.sock.set_nonblocking(false)?;
                Ok(is_there)
            }
            _ => Ok(true),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            _ => Ok(()),
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(message),
            #[cfg(unix)]
            Self::Unix(socket) => socket.send(message),
            _ => Ok(0),
        }
    }
}

/// Repeats `read` until there is nothing more, whether it never said that this is the end.
fn silence(mut read: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    for _ in 0..READS_MAX {
        match read() {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("the receiver talks without end"))
}
