//! A listener: takes connections and serves them, HTTP/1.1 and HTTP/2 alike, until it is told to stop.
//!
//! ```text
//! accept ─▶ Door::open: first byte, TLS ─▶ stream and Link (encrypted? whose certificate?) ─▶ HTTP ─▶ router
//! ```
//!
//! Bounded, because anybody on the network may connect: so many connections at once, so many TLS handshakes at once, and so
//! long for a client to say what it wants. A client that sends nothing holds one place for at most [`HEADER_TIMEOUT`], and
//! whatever it does, it does in a task of its own, so that others are accepted meanwhile.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{Request, StatusCode};
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
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{AlertDescription, Error as TlsError},
    server::TlsStream,
};
use tower::ServiceExt as _;

use crate::{
    access::{Link, fingerprint},
    problem::Problem,
    receive::{Intake, turned_away},
};

/// Most connections of one listener at once; others wait to be accepted.
const CONNECTIONS_MAX: usize = 4096;
/// Most TLS handshakes of one listener at once, each of which takes memory and a signature; others wait for their turn.
const HANDSHAKES_MAX: usize = 512;
/// How long a client may take from its connection to the end of its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to send the head of a request. It also ends connections that are kept open for nothing.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests that are being answered have when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when the system gives no more connections.
const PAUSE: Duration = Duration::from_millis(100);
/// How long, and for how many bytes, a connection that is refused is kept for the other end to learn of it.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 64 * 1024;
/// The first byte of whoever speaks TLS (RFC 8446, section 5.1), with which no request of HTTP begins.
const TLS_HANDSHAKE: u8 = 22;

const TRUST: &str = "give the client the certificate of the authority that signed the server's: --tls-ca or RADIOSONDE_TLS_CA for \
                     sonde's own commands, OTEL_EXPORTER_OTLP_CERTIFICATE for an exporter";
const SPEAK_TLS: &str = "write https:// in place of http:// in the address";
const SPEAK_PLAIN: &str = "write http:// in place of https:// in the address, or start the collector with --tls-cert and --tls-key";

/// Opens a socket on `address`. The address that comes back has the port that the system chose, where it was to.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// What stands between a socket and a router.
pub(crate) struct Door {
    router: Router,
    /// What connections are encrypted with; they are plain without.
    tls: Option<TlsAcceptor>,
    handshakes: Semaphore,
    /// Where it is noted that somebody could not come in, so that `doctor` tells of it.
    intake: Arc<Intake>,
}

/// A connection of which it is known what is spoken on it.
enum Opened {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>, Link),
    /// It speaks plain HTTP where TLS is spoken.
    Misled(TcpStream),
}

impl Door {
    pub(crate) fn new(router: Router, tls: Option<TlsAcceptor>, intake: Arc<Intake>) -> Self {
        Self {
            router,
            tls,
            handshakes: Semaphore::new(HANDSHAKES_MAX),
            intake,
        }
    }

    /// Serves who comes to `listener` until `stop` turns true, and then for as long as requests that were begun need, within
    /// bounds.
    pub(crate) async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let door = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
            let (door, watcher, stopping) = (Arc::clone(&door), begun.watcher(), stop.clone());
            tokio::spawn(async move {
                door.welcome(stream, peer, watcher, stopping).await;
                drop(place);
            });
        }
        drop(listener);
        let _ = timeout(STOP_TIMEOUT, begun.shutdown()).await;
    }

    /// One connection, from its beginning to its end. What a client does wrong on it ends it, and concerns nobody else.
    async fn welcome(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: Watcher,
        mut stopping: watch::Receiver<bool>,
    ) {
        let patience = match self.tls {
            Some(_) => HANDSHAKE_TIMEOUT,
            None => HEADER_TIMEOUT,
        };
        let opened = tokio::select! {
            opened = timeout(patience, self.open(stream, peer)) => opened,
            // Nothing was asked yet.
            _ = stopping.wait_for(|stops| *stops) => return,
        };
        // How a connection ends is the same for all.
        let _ = match opened {
            Ok(Some(Opened::Plain(stream))) => {
                let router = self.router.clone();
                let served = connection(stream, peer, Link::default(), router);
                watcher.watch(served).await
            }
            Ok(Some(Opened::Encrypted(stream, link))) => {
                let served = connection(stream, peer, link, self.router.clone());
                watcher.watch(served).await
            }
            Ok(Some(Opened::Misled(stream))) => {
                let router = Router::new()
                    .fallback(misled)
                    .with_state(Arc::clone(&self.intake));
                let served = connection(stream, peer, Link::default(), router);
                watcher.watch(served).await
            }
            Ok(None) => Ok(()),
            Err(_) => {
                if self.tls.is_some() {
                    let reason = "the TLS handshake took longer than it may";
                    let mend = "look whether the client speaks TLS at all, and how far away it is";
                    self.intake.note_connection(peer, reason, mend);
                }
                Ok(())
            }
        };
    }

    /// Finds out what is spoken, and makes an encrypted stream where that is TLS. `None` where there is nobody to talk to.
    async fn open(&self, stream: TcpStream, peer: SocketAddr) -> Option<Opened> {
        // Small answers are not to wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let mut first = [0];
        if stream.peek(&mut first).await.ok()? == 0 {
            return None;
        }
        let speaks_tls = first == [TLS_HANDSHAKE];
        let Some(tls) = &self.tls else {
            if !speaks_tls {
                return Some(Opened::Plain(stream));
            }
            let reason = "the client speaks TLS, and this port does not";
            self.intake.note_connection(peer, reason, SPEAK_PLAIN);
            answer_in_plain(&stream).await;
            return None;
        };
        if !speaks_tls {
            return Some(Opened::Misled(stream));
        }
        let turn = self.handshakes.acquire().await.ok()?;
        match tls.accept(stream).into_fallible().await {
            Ok(stream) => {
                let (_, session) = stream.get_ref();
                let shown = session.peer_certificates().and_then(<[_]>::first);
                let link = Link {
                    is_encrypted: true,
                    certificate: shown.map(|certificate| fingerprint(certificate)),
                };
                Some(Opened::Encrypted(Box::new(stream), link))
            }
            Err((error, stream)) => {
                drop(turn);
                let (reason, mend) = failed(&error);
                self.intake.note_connection(peer, &reason, mend);
                linger(&stream).await;
                None
            }
        }
    }
}

/// One connection. The router learns who is at its other end.
fn connection<S>(
    stream: S,
    peer: SocketAddr,
    link: Link,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<
    Error = Box<dyn std::error::Error + Send + Sync>,
> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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
        .header_read_timeout(HEADER_TIMEOUT)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_TIMEOUT)
        .max_concurrent_streams(256);
    builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned()
}

/// Tells whoever speaks plain HTTP where TLS is spoken.
async fn misled(State(intake): State<Arc<Intake>>, request: axum::extract::Request) -> Response {
    let problem = Problem::new(
        StatusCode::BAD_REQUEST,
        "this port speaks TLS, and the request is plain HTTP",
        format!("{SPEAK_TLS}; where the certificate is of an authority of your own, {TRUST}"),
    );
    turned_away(&intake, &request, true, &problem)
}

/// Tells whoever speaks TLS where it is not spoken, which many clients show: a response in place of a handshake.
async fn answer_in_plain(stream: &TcpStream) {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\r\n\
         this port speaks plain HTTP, and not TLS; {SPEAK_PLAIN}\n"
    );
    if stream.writable().await.is_ok() {
        let _ = stream.try_write(answer.as_bytes());
    }
    linger(stream).await;
}

/// Reads on until the other end has had enough: a connection that is closed over what still comes takes back what it said.
async fn linger(stream: &TcpStream) {
    let read = async {
        let (mut rest, mut bytes) = ([0; 1024], 0);
        while bytes < LINGER_BYTES_MAX && stream.readable().await.is_ok() {
            match stream.try_read(&mut rest) {
                Ok(more) if more > 0 => bytes += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
    };
    let _ = timeout(LINGER_TIMEOUT, read).await;
}

/// Why a handshake failed, and what to do about it.
fn failed(error: &io::Error) -> (String, &'static str) {
    let inner = error.get_ref();
    let Some(error) = inner.and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        let reason = "the client broke the TLS handshake off";
        return (reason.to_owned(), TRUST);
    };
    let mend = match error {
        TlsError::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired,
        ) => TRUST,
        TlsError::NoCertificatesPresented => {
            "give the client a certificate that --tls-client-ca leads to: --tls-client-cert and --tls-client-key for sonde's own \
             commands, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY for an exporter"
        }
        TlsError::InvalidCertificate(_) => {
            "give the client a certificate of today that --tls-client-ca leads to"
        }
        TlsError::PeerIncompatible(_) => "let the client speak TLS 1.2 or 1.3",
        _ => {
            "look whether the client speaks TLS 1.2 or 1.3, and whether something between changes what it sends"
        }
    };
    (format!("the TLS handshake failed: {error}"), mend)
}
