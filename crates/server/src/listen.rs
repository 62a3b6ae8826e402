//! A listener: takes connections and serves them, HTTP/1.1 and HTTP/2 alike, until it is told to stop.
//!
//! Bounded, because anybody on the network may connect: so many connections at once, and so long for a client to say what
//! it wants. A client that sends nothing holds one place for at most [`HEADER_TIMEOUT`].

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower::ServiceExt as _;

/// Most connections of one listener at once; others wait to be accepted.
const CONNECTIONS_MAX: usize = 4096;
/// How long a client may take to send the head of a request. It also ends connections that are kept open for nothing.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests that are being answered have when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when the system gives no more connections.
const PAUSE: Duration = Duration::from_millis(100);

/// Opens a socket on `address`. The address that comes back has the port that the system chose, where it was to.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves `router` until `stop` turns true, and then for as long as requests that were begun need, within bounds.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
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
        let connection = begun.watch(connection(stream, peer, router.clone()));
        tokio::spawn(async move {
            // What a client does wrong on its connection ends it, and concerns nobody else.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP_TIMEOUT, begun.shutdown()).await;
}

/// One connection. The router learns who is at its other end.
fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<
    Error = Box<dyn std::error::Error + Send + Sync>,
> + Send {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
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
    // Small answers are not to wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned()
}
