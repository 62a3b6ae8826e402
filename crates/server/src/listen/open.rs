//! How a connection opens: what is spoken on it, TLS or not, HTTP/1.1 or HTTP/2, and what whoever speaks something else is told.

use std::{
    io::{self, Cursor},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::{extract::State, response::Response};
use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{AlertDescription, Error as TlsError},
    server::TlsStream,
};

use crate::{
    access::{Link, fingerprint},
    problem::Problem,
    receive::{Intake, turned_away},
};

/// Most TLS handshakes of one listener at once, each of which takes memory and a signature; others wait for their turn.
const HANDSHAKES_MAX: usize = 512;
/// How long a client may take from its connection to the end of its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long, and for how many bytes, a connection that is refused is kept for the other end to learn of it.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 64 * 1024;
/// What a client of HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The first byte of whoever speaks TLS (RFC 8446, section 5.1), with which no request of HTTP begins.
const TLS_HANDSHAKE: u8 = 22;

const TRUST: &str = "give the client the certificate of the authority that signed the server's: --tls-ca or RADIOSONDE_TLS_CA for \
                     sonde's own commands, OTEL_EXPORTER_OTLP_CERTIFICATE for an exporter";
const SPEAK_TLS: &str = "write https:// in place of http:// in the address";
const SPEAK_PLAIN: &str = "write http:// in place of https:// in the address, or start the collector with --tls-cert and --tls-key";

/// A connection of which it is known whether it is encrypted.
pub(super) enum Opened {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>, Link),
    /// It speaks plain HTTP where TLS is spoken.
    Misled(TcpStream),
}

/// What opens the connections of one listener.
pub(super) struct Opening {
    /// What connections are encrypted with; they are plain without.
    tls: Option<TlsAcceptor>,
    handshakes: Semaphore,
    /// How long a client may say nothing where nothing is encrypted.
    patience: Duration,
    /// Where it is noted that somebody could not come in, so that `doctor` tells of it.
    intake: Arc<Intake>,
}

impl Opening {
    pub(super) fn new(tls: Option<TlsAcceptor>, patience: Duration, intake: Arc<Intake>) -> Self {
        Self {
            tls,
            handshakes: Semaphore::new(HANDSHAKES_MAX),
            patience,
            intake,
        }
    }

    pub(super) const fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    /// Finds out what is spoken, and makes an encrypted stream where that is TLS, within a time. `None` where there is nobody to
    /// talk to.
    pub(super) async fn open(&self, stream: TcpStream, peer: SocketAddr) -> Option<Opened> {
        let Some(tls) = &self.tls else {
            return timeout(self.patience, self.open_plain(stream, peer))
                .await
                .ok()?;
        };
        let opened = timeout(HANDSHAKE_TIMEOUT, self.shake_hands(tls, stream, peer)).await;
        opened.unwrap_or_else(|_| {
            let reason = "the TLS handshake took longer than it may";
            let mend = "look whether the client speaks TLS at all, and how far away it is";
            self.intake.note_connection(peer, reason, mend);
            None
        })
    }

    async fn open_plain(&self, stream: TcpStream, peer: SocketAddr) -> Option<Opened> {
        if !speaks_tls(&stream).await? {
            return Some(Opened::Plain(stream));
        }
        let reason = "the client speaks TLS, and this port does not";
        self.intake.note_connection(peer, reason, SPEAK_PLAIN);
        answer_in_plain(&stream).await;
        None
    }

    async fn shake_hands(
        &self,
        tls: &TlsAcceptor,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<Opened> {
        if !speaks_tls(&stream).await? {
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

/// Whether what comes first is TLS, once something came.
async fn speaks_tls(stream: &TcpStream) -> Option<bool> {
    let mut first = [0];
    let length = stream.peek(&mut first).await.ok()?;
    (length > 0).then_some(first == [TLS_HANDSHAKE])
}

/// Waits until it can be told which HTTP a client speaks, and gives back a stream that has all of it: hyper waits for that as well,
/// without a bound on the time.
pub(super) async fn begin<R, W>(
    mut read: R,
    write: W,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut first = Vec::with_capacity(PREFACE.len());
    while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
        let mut more = [0; PREFACE.len()];
        let from = first.len();
        let length = read.read(&mut more[from..]).await?;
        if length == 0 {
            break;
        }
        first.extend_from_slice(&more[from..from + length]);
    }
    Ok(tokio::io::join(Cursor::new(first).chain(read), write))
}

/// Tells whoever speaks plain HTTP where TLS is spoken.
pub(super) async fn misled(
    State(intake): State<Arc<Intake>>,
    request: axum::extract::Request,
) -> Response {
    let problem = Problem::new(
        StatusCode::BAD_REQUEST,
        "this port speaks TLS, and the request is plain HTTP",
        format!("{SPEAK_TLS}; where the certificate is of an authority of your own, {TRUST}"),
    );
    turned_away(&intake, request, true, &problem).await
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
            "give the client a certificate of today and of X.509's version 3 that --tls-client-ca leads to (docs/access.md shows how one \
             is made; `openssl x509 -noout -text` shows the version)"
        }
        TlsError::PeerIncompatible(_) => "let the client speak TLS 1.2 or 1.3",
        _ => {
            "look whether the client speaks TLS 1.2 or 1.3, and whether something between changes what it sends"
        }
    };
    (format!("the TLS handshake failed: {error}"), mend)
}
