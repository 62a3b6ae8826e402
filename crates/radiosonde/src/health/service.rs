//! The probes as a service of a server that the program runs anyway.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tower_service::Service;

use super::{Health, Probe, Status, answer};

/// Answers `/health`, `/livez`, `/readyz` and `/startupz` inside a server that speaks `tower`. It asks for no token: who
/// may reach it is the server's business.
///
/// With axum, on paths of the server, or all four below a path:
///
/// ```
/// use axum::Router;
/// use radiosonde::health::{Health, HealthService, Probe};
///
/// let health = Health::new();
/// let service = HealthService::new(health);
/// let app: Router = Router::new()
///     .route_service("/readyz", service.clone())
///     .route_service("/ping", service.clone().answering(Probe::Liveness))
///     .nest_service("/internal", service);
/// ```
#[derive(Clone, Debug)]
pub struct HealthService {
    health: Health,
    fails_from: Status,
    only: Option<Probe>,
}

impl HealthService {
    /// Answers from `health`.
    pub const fn new(health: Health) -> Self {
        Self {
            health,
            fails_from: Status::Critical,
            only: None,
        }
    }

    /// From which status on `/health` is answered with 503; critical unless said.
    #[must_use]
    pub const fn fails_from(mut self, status: Status) -> Self {
        self.fails_from = status;
        self
    }

    /// Answers `probe` whatever the path, for a server whose paths have other names.
    #[must_use]
    pub const fn answering(mut self, probe: Probe) -> Self {
        self.only = Some(probe);
        self
    }

    fn respond<B>(&self, request: &Request<B>) -> Response<String> {
        let path = request.uri().path();
        let asked = Probe::ALL.into_iter().find(|probe| probe.path() == path);
        let Some(probe) = self.only.or(asked) else {
            let there_are = Probe::ALL.map(Probe::path).join(", ");
            return text(StatusCode::NOT_FOUND, format!("there are {there_are}\n"));
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let only = "only GET and HEAD are answered\n".to_owned();
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, only);
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        let query = request.uri().query().unwrap_or_default();
        let (code, body) = answer(&self.health, probe, self.fails_from, query);
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        typed(code, "application/json", body)
    }
}

fn text(code: StatusCode, body: String) -> Response<String> {
    typed(code, "text/plain; charset=utf-8", body)
}

fn typed(code: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<B> Service<Request<B>> for HealthService {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(&request)))
    }
}
