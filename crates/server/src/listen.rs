//! A listener: takes connections and serves them, HTTP/1.1 and HTTP/2 alike, until it is told to stop.
//!
//! ```text
//! accept ─▶ Opening: first byte, TLS ─▶ stream and Link (encrypted? whose certificate?) ─▶ which HTTP ─▶ router
//! ```
//!
//! Bounded, because anybody on the network may connect: so many connections at once, so many TLS handshakes at once, and so
//! long for a client to say what it wants, also where it says a byte now and then. A client that asks for nothing holds one
//! place for that long, and whatever it does, it does in a task of its own, so that others are accepted meanwhile.

mod open;

use std::{convert::Infallible, fs, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use self::open::{Opened, Opening, begin, misled};
use crate::{access::Link, receive::Intake};

/// Most connections of one listener at once; others wait to be accepted.
const CONNECTIONS_MAX: usize = 4096;
/// Fewest, however few files the process may have open.
const CONNECTIONS_MIN: usize = 8;
/// Most that wait to be accepted. Of 128, which is tokio's number, a burst has soon more, and who finds no place among them tries
/// again after a second.
const WAITING_MAX: u32 = 1024;
/// How many of the files that the process may have open are for all else: the store's, and what statements read.
const FILES_KEPT: usize = 256;
/// How many listeners share the others.
const LISTENERS: usize = 3;
/// How long a client may take to send the head of a request. It also ends connections that are kept open for nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a request's head, and of what is read of its body at once.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long requests that are being answered have when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when the system gives no more connections.
const PAUSE: Duration = Duration::from_millis(100);

/// What a listener lets clients have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    connections_max: usize,
    head_timeout: Duration,
}

impl Bounds {
    /// Those of each of our listeners, by how many files the system lets the process have open.
    pub(crate) fn of_system() -> Self {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self {
            connections_max: connections_max(files_max(&limits)),
            head_timeout: HEAD_TIMEOUT,
        }
    }
}

/// How many files the process may have open, as Linux says it; none where there is no limit, or it is not said.
fn files_max(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn connections_max(files_max: Option<usize>) -> usize {
    files_max.map_or(CONNECTIONS_MAX, |files| {
        let share = files.saturating_sub(FILES_KEPT) / LISTENERS;
        share.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
    })
}

/// Opens a socket on `address`. The address that comes back has the port that the system chose, where it was to.
pub(crate) fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Where one listened a moment ago, as after a restart.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(WAITING_MAX)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// What stands between sockets and a router.
pub(crate) struct Door {
    router: Router,
    opening: Opening,
    bounds: Bounds,
}

/// A connection that talks, and what ends it.
struct Visit {
    peer: SocketAddr,
    link: Link,
    watcher: Watcher,
    stopping: watch::Receiver<bool>,
}

impl Door {
    /// A door to `router`. What cannot come in is noted in `intake`.
    pub(crate) fn new(
        router: Router,
        tls: Option<TlsAcceptor>,
        bounds: Bounds,
        intake: Arc<Intake>,
    ) -> Self {
        Self {
            router,
            opening: Opening::new(tls, bounds.head_timeout, intake),
            bounds,
        }
    }

    /// Serves who comes to `listener` until `stop` turns true, and then for as long as requests that were begun need, within
    /// bounds.
    pub(crate) async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let door = Arc::new(self);
        let places = Arc::new(Semaphore::new(door.bounds.connections_max));
        let begun = GracefulShutdown::new();
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                accepted = accepted => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Ok((stream, peer)) = accepted else {
                // Too many open files: those who are connected go on.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let visit = Visit {
                peer,
                link: Link::default(),
                watcher: begun.watcher(),
                stopping: stop.clone(),
            };
            let door = Arc::clone(&door);
            tokio::spawn(async move {
                door.welcome(stream, visit).await;
                drop(place);
            });
        }
        drop(listener);
        let _ = timeout(STOP_TIMEOUT, begun.shutdown()).await;
    }

    /// One connection, from its beginning to its end.
    async fn welcome(&self, stream: TcpStream, mut visit: Visit) {
        // Small answers are not to wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let opened = tokio::select! {
            opened = self.opening.open(stream, visit.peer) => opened,
            // Nothing was asked yet.
            _ = visit.stopping.wait_for(|stops| *stops) => return,
        };
        match opened {
            Some(Opened::Plain(stream)) => {
                let (read, write) = stream.into_split();
                self.talk(read, write, self.router.clone(), visit).await;
            }
            Some(Opened::Encrypted(stream, link)) => {
                visit.link = link;
                let (read, write) = tokio::io::split(stream);
                self.talk(read, write, self.router.clone(), visit).await;
            }
            Some(Opened::Misled(stream)) => {
                let intake = Arc::clone(self.opening.intake());
                let router = Router::new().fallback(misled).with_state(intake);
                let (read, write) = stream.into_split();
                self.talk(read, write, router, visit).await;
            }
            None => {}
        }
    }

    /// Answers requests until the other end has had enough, or asks for nothing for too long.
    async fn talk(
        &self,
        read: impl AsyncRead + Unpin + Send + 'static,
        write: impl AsyncWrite + Unpin + Send + 'static,
        router: Router,
        mut visit: Visit,
    ) {
        let first = tokio::select! {
            first = timeout(self.bounds.head_timeout, begin(read, write)) => first,
            _ = visit.stopping.wait_for(|stops| *stops) => return,
        };
        if let Ok(Ok(stream)) = first {
            let served = connection(stream, visit.peer, visit.link, router, self.bounds);
            // What a client does wrong on its connection ends it, and concerns nobody else.
            let _ = visit.watcher.watch(served).await;
        }
    }
}

/// One connection. The router learns who is at its other end.
fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    link: Link,
    router: Router,
    bounds: Bounds,
) -> impl hyper_util::server::graceful::GracefulConnection<
    Error = Box<dyn std::error::Error + Send + Sync>,
> + Send {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(link);
        let router = router.clone();
        async move {
            let Ok(response) = router.oneshot(request).await;
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds.head_timeout)
        .max_concurrent_streams(256);
    builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::routing::get;
    use radiosonde_store::{Config, Store};
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A door without TLS, and the folder of its store, which goes with it.
    fn door(router: Router, bounds: Bounds) -> (Door, TempDir) {
        let folder = TempDir::new().unwrap();
        let store = Arc::new(Store::open(Config::new(folder.path())).unwrap());
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let intake = Arc::new(Intake::new(store, here, here));
        (Door::new(router, None, bounds, intake), folder)
    }

    /// A listener with few places and little patience, until the sender is dropped or says so.
    fn listening(connections_max: usize) -> (SocketAddr, (watch::Sender<bool>, TempDir)) {
        let (listener, address) = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let bounds = Bounds {
            connections_max,
            head_timeout: Duration::from_millis(300),
        };
        let (stop, stopping) = watch::channel(false);
        let (door, folder) = door(router, bounds);
        tokio::spawn(door.serve(listener, stopping));
        (address, (stop, folder))
    }

    /// What comes on a connection until it is closed.
    async fn rest(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        // A connection that is reset is closed as well.
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn whoever_says_little_or_nothing_is_not_waited_for() {
        let (address, _stop) = listening(3);
        // As many as there are places; two of them could still become HTTP/2.
        let mut silent = Vec::new();
        for begin in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begin).await.unwrap();
            silent.push(stream);
        }
        let mut asking = TcpStream::connect(address).await.unwrap();
        asking
            .write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let answer = rest(asking).await;
        assert!(answer.ends_with("here"), "{answer}");
        for stream in silent {
            assert_eq!(rest(stream).await, "");
        }
    }

    #[tokio::test]
    async fn a_byte_now_and_then_is_not_enough() {
        let (address, _stop) = listening(1);
        for head in ["GET / HTTP/1.1\r\nhost: here\r\n", "POST / HTTP/1.1\r\n"] {
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(head.as_bytes()).await.unwrap();
            // Until the other end has had enough.
            while slow.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    #[tokio::test]
    async fn a_request_may_come_in_pieces() {
        let (address, _stop) = listening(1);
        for (first, second) in [
            ("G", "ET / HTTP/1.0\r\n\r\n"),
            (
                "GET / HTTP/1.1\r\nhost: here\r\n",
                "connection: close\r\n\r\n",
            ),
            // Is of HTTP/2 for the first byte.
            (
                "P",
                "OST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            ),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(first.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.write_all(second.as_bytes()).await.unwrap();
            let answer = rest(stream).await;
            let status = if first == "P" { "405" } else { "200" };
            assert!(answer.contains(status), "{first}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_server_that_stops_does_not_wait_for_who_says_nothing() {
        let (listener, address) = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let bounds = Bounds {
            connections_max: 2,
            // Longer than any test may take.
            head_timeout: Duration::from_hours(1),
        };
        let (stop, stopping) = watch::channel(false);
        let (door, _folder) = door(Router::new(), bounds);
        let served = tokio::spawn(door.serve(listener, stopping));
        let silent = TcpStream::connect(address).await.unwrap();
        tokio::task::yield_now().await;
        stop.send_replace(true);
        served.await.unwrap();
        assert_eq!(rest(silent).await, "");
    }

    #[test]
    fn connections_leave_files_for_the_store() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             127420               127420               processes \n\
                      Max open files            1024                 1048576              files     \n";
        assert_eq!(files_max(limits), Some(1024));
        assert_eq!(
            files_max("Max open files            unlimited            unlimited            files"),
            None
        );
        assert_eq!(connections_max(Some(1024)), 256);
        assert_eq!(connections_max(Some(64)), CONNECTIONS_MIN);
        assert_eq!(connections_max(Some(1 << 20)), CONNECTIONS_MAX);
        assert_eq!(connections_max(None), CONNECTIONS_MAX);
    }
}
