//! What others than OpenTelemetry send, on the same port: each path has one signal, says by headers in which form it is, and
//! answers as its own servers do.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, Response, StatusCode},
    routing::any,
};

use super::{
    super::{
        Intake, Outcome,
        body::Compression,
        decode::{Encoding, Signal, Told},
        refusal::{Kind, Refusal},
    },
    datadog, jaeger, loki, refuse, remote_write, sender, take,
};

/// A path, and what is taken there.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) path: &'static str,
    pub(super) signal: Signal,
    /// How the ledger calls it.
    pub(super) protocol: &'static str,
    /// What is sent there, for whoever comes with another method.
    pub(super) what: &'static str,
    /// Whether it may be put, too.
    pub(super) is_put: bool,
    /// In which form a request is, and compressed with what.
    pub(super) form: fn(&HeaderMap) -> Result<(Encoding, Compression), Refusal>,
    /// What its senders are told of a request that was read.
    pub(super) answer: fn(Encoding, &Outcome) -> Response<Body>,
}

/// All of them.
pub(super) fn router(intake: &Arc<Intake>) -> Router<Arc<Intake>> {
    let ways = jaeger::WAYS
        .iter()
        .chain(datadog::WAYS)
        .chain(loki::WAYS)
        .chain(remote_write::WAYS);
    let handlers = ways.map(|way| {
        let receive = move |State(intake): State<Arc<Intake>>, request: Request| {
            receive(intake, request, *way)
        };
        (way.path, any(receive))
    });
    let router = handlers.fold(Router::new(), |router, (path, handler)| {
        router.route(path, handler)
    });
    router.with_state(Arc::clone(intake))
}

async fn receive(intake: Arc<Intake>, request: Request, way: Way) -> Response<Body> {
    let sender = sender(&request, way.protocol, way.signal.name());
    let (parts, mut body) = request.into_parts();
    let is_sent = parts.method == Method::POST || way.is_put && parts.method == Method::PUT;
    let form = if is_sent {
        (way.form)(&parts.headers)
    } else {
        let reason = format!("this is where {} are sent to, by POST", way.what);
        let mend = "set the sender's address to this one; the page that shows telemetry is on another port";
        Err(Refusal::new(Kind::Method, reason, mend))
    };
    let taken = match form {
        Ok((encoding, compression)) => {
            let form = (way.signal, encoding, Told::default());
            let taken = take(&intake, &sender, form, Ok(compression), &mut body).await;
            taken.map(|outcome| (way.answer)(encoding, &outcome))
        }
        Err(refusal) => Err(refusal),
    };
    match taken {
        Ok(response) => response,
        // In words, which the logs of all of them show.
        Err(refusal) => refuse(&intake, &sender, None, &refusal, body).await,
    }
}

/// A content type that is not taken.
pub(super) fn unsupported(mend: &'static str) -> Refusal {
    let reason = "the content type is not one that is taken here";
    Refusal::new(Kind::Unsupported, reason, mend)
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
