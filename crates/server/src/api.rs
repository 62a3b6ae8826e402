//! The answers, over HTTP as JSON: docs/api.md says what each has.
//!
//! Each module here is one answer: it reads the store and gives a value that serialises as documented. Answers are made on
//! threads that may block, so many at once, so that those who ask cannot take the machine from those who send.

mod alerts;
mod cardinality;
mod checks;
mod compare;
mod dashboards;
mod engines;
mod filter;
mod flame;
mod live;
mod logs;
mod map;
mod metrics;
mod overview;
mod params;
mod prometheus;
mod queues;
mod rows;
mod selection;
mod semconv;
mod show;
mod sql;
mod status;
mod stream;
mod trace;
mod traces;
mod why;
mod workers;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use radiosonde_store::{
    Store,
    query::{Limits, QueryError},
};

use self::{flame::FlameParams, params::Params};
pub(crate) use self::{
    metrics::distribution,
    prometheus::expression,
    rows::{Rows, literals},
};
use crate::{
    Addresses, alerting::Alerting, dashboards::Dashboards, problem::Problem, receive::Intake,
};

/// Answers that are being made at once.
const ANSWERS_MAX: usize = 8;
/// Statements of those who ask, in SQL and PromQL, among them: what the page and the commands ask has the other places.
const STATEMENTS_MAX: usize = 4;
/// How long an answer waits for its turn; of those that hold many traces at once one is made at a time.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams of statements that are open at once.
const STREAMS_MAX: usize = 8;
/// Most bytes of a request's body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What answers are made from.
#[derive(Debug)]
pub(crate) struct Api {
    store: Arc<Store>,
    config: radiosonde_store::Config,
    intake: Arc<Intake>,
    addresses: Addresses,
    dashboards: Arc<Dashboards>,
    alerting: Arc<Alerting>,
    started: SystemTime,
    turns: Arc<Semaphore>,
    /// Of statements, which wait for one of these and then for a turn.
    statements: Arc<Semaphore>,
    /// Of those that are made of the records of many traces.
    large: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Turns true when the server stops, which is when streams end.
    stopping: watch::Receiver<bool>,
}

impl Api {
    pub(crate) fn new(
        store: Arc<Store>,
        config: radiosonde_store::Config,
        intake: Arc<Intake>,
        addresses: Addresses,
        (dashboards, alerting): (Arc<Dashboards>, Arc<Alerting>),
        stopping: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            config,
            intake,
            addresses,
            dashboards,
            alerting,
            started: SystemTime::now(),
            turns: Arc::new(Semaphore::new(ANSWERS_MAX)),
            statements: Arc::new(Semaphore::new(STATEMENTS_MAX)),
            large: Arc::new(Semaphore::new(1)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            stopping,
        })
    }

    /// Waits for a turn to answer.
    async fn turn(&self, asked: Asked) -> Option<Turn> {
        let statement = match asked {
            Asked::Answer => None,
            Asked::Statement => Some(Arc::clone(&self.statements).acquire_owned().await.ok()?),
        };
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        Some(Turn {
            _statement: statement,
            _turn: turn,
        })
    }

    /// Waits for a turn as long as one does.
    async fn turn_in_time(&self, asked: Asked) -> Option<Turn> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turn(asked)).await;
        turn.ok().flatten()
    }

    /// The rows that a statement gives.
    fn rows(&self, statement: &str, rows_max: usize) -> Result<Rows, Problem> {
        let limits = Limits::of_program(rows_max);
        Ok(Rows::new(self.store.sql(statement, limits)?))
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// One of our answers, whose statements are ours and bounded by what they ask.
    Answer,
    /// What a statement of somebody else gives, which may take all the time that one may.
    Statement,
}

/// A turn to answer. It belongs to whoever makes the answer, and not to whoever asked: that one may go away while the statement
/// still runs.
#[derive(Debug)]
struct Turn {
    _statement: Option<OwnedSemaphorePermit>,
    _turn: OwnedSemaphorePermit,
}

/// The routes under `/api/v1`.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/traces", get(traces))
        .route("/api/v1/traces/{trace_id}", get(one_trace))
        .route("/api/v1/traces/{trace_id}/why", get(why_trace))
        .route("/api/v1/show/{id}", get(show))
        .route("/api/v1/why", get(why))
        .route("/api/v1/compare", get(compare))
        .route("/api/v1/logs", get(logs))
        .route("/api/v1/metrics", get(metrics))
        .route("/api/v1/metrics/{name}", get(metric))
        .route("/api/v1/map", get(map))
        .route("/api/v1/flame", get(flame))
        .route("/api/v1/workers", get(workers))
        .route("/api/v1/queues", get(queues))
        .route("/api/v1/semconv", get(semconv))
        .route("/api/v1/cardinality", get(cardinality::get))
        .route("/api/v1/engines", get(engines))
        .route("/api/v1/dashboards", get(all_dashboards))
        .route("/api/v1/dashboards/{name}", get(one_dashboard))
        .route("/api/v1/alerts", get(alerts::list))
        .route("/api/v1/alerts/rehearsal", post(alerts::rehearse))
        .route("/api/v1/alerts/test/{receiver}", post(alerts::test))
        .route("/api/v1/silences", post(alerts::silence))
        .route("/api/v1/silences/{id}", delete(alerts::unsilence))
        .route("/api/v1/sql", post(sql::answer))
        .route(
            "/api/v1/sql/stream",
            get(stream::of_address).post(stream::of_body),
        )
        .route("/api/v1/doctor", get(doctor))
        .route("/api/v1/checks", get(checks))
        .route("/api/v1/live", get(live::stream))
        .route("/api/{*rest}", get(unknown))
        .method_not_allowed_fallback(other_method)
        .merge(prometheus::router())
        .layer(middleware::from_fn(with_whole_body))
        .with_state(api)
}

/// Reads a request's body before anything is done about it: whoever sends it byte by byte holds a connection for so long, and
/// nothing else.
async fn with_whole_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => {
            let request = Request::from_parts(parts, Body::from(bytes));
            next.run(request).await
        }
        Ok(Err(_)) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body has more than 1 MiB, or ends before it is whole",
            "ask for less at once",
        )
        .into_response(),
        Err(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come within 30 s",
            "send it at once, or look at the network",
        )
        .into_response(),
    }
}

async fn status(State(api): State<Arc<Api>>) -> Response {
    answer(api, |api| Ok(status::answer(api))).await
}

async fn overview(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| overview::answer(api, &params)).await
}

async fn traces(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| traces::answer(api, &params)).await
}

async fn one_trace(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Response {
    answer(api, move |api| trace::answer(api, &id)).await
}

async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>, uri: Uri) -> Response {
    with_params(api, &uri, move |api, params| {
        show::answer(api, &id, &params)
    })
    .await
}

async fn why_trace(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    params: Result<Query<trace::WhyParams>, QueryRejection>,
) -> Response {
    match params {
        Ok(Query(params)) => answer(api, move |api| trace::why(api, &id, &params)).await,
        Err(refused) => params::refused(&refused).into_response(),
    }
}

async fn why(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    match Params::of(&uri) {
        Ok(params) => large(api, move |api| why::answer(api, &params)).await,
        Err(problem) => problem.into_response(),
    }
}

async fn compare(
    State(api): State<Arc<Api>>,
    params: Result<Query<compare::Params>, QueryRejection>,
) -> Response {
    match params {
        Ok(Query(params)) => large(api, move |api| compare::answer(api, params)).await,
        Err(refused) => params::refused(&refused).into_response(),
    }
}

async fn logs(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| logs::answer(api, &params)).await
}

async fn metrics(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| metrics::list(api, &params)).await
}

async fn metric(State(api): State<Arc<Api>>, Path(name): Path<String>, uri: Uri) -> Response {
    with_params(api, &uri, move |api, params| {
        metrics::one(api, &name, &params)
    })
    .await
}

async fn map(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| map::answer(api, &params)).await
}

async fn flame(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    match FlameParams::of(&uri) {
        Ok(params) => answer(api, move |api| flame::answer(api, params)).await,
        Err(problem) => problem.into_response(),
    }
}

async fn workers(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| workers::answer(api, &params)).await
}

async fn queues(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| queues::answer(api, &params)).await
}

async fn semconv(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| semconv::answer(api, &params)).await
}

async fn engines(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| engines::answer(api, &params)).await
}

async fn all_dashboards(State(api): State<Arc<Api>>) -> Response {
    answer(api, |api| Ok(dashboards::list(api))).await
}

async fn one_dashboard(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Response {
    answer(api, move |api| dashboards::one(api, &name)).await
}

async fn doctor(State(api): State<Arc<Api>>) -> Response {
    Json(api.intake.doctor()).into_response()
}

async fn checks(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| checks::answer(api, &params)).await
}

async fn unknown(uri: Uri) -> Response {
    Problem::not_found(
        format!("there is no {}", uri.path()),
        "the paths are in docs/api.md; most begin with /api/v1/",
    )
    .into_response()
}

async fn other_method(method: Method, uri: Uri) -> Response {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("nothing at {} is asked by {method}", uri.path()),
        "the header `Allow` says by which methods it is; docs/api.md has the requests",
    )
    .into_response()
}

async fn with_params<T, F>(api: Arc<Api>, uri: &Uri, make: F) -> Response
where
    T: Serialize + Send + 'static,
    F: FnOnce(&Api, Params) -> Result<T, Problem> + Send + 'static,
{
    match Params::of(uri) {
        Ok(params) => answer(api, move |api| make(api, params)).await,
        Err(problem) => problem.into_response(),
    }
}

/// Makes an answer that holds many traces at once, of which there is one at a time.
async fn large<T, F>(api: Arc<Api>, make: F) -> Response
where
    T: Serialize + Send + 'static,
    F: FnOnce(&Api) -> Result<T, Problem> + Send + 'static,
{
    let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&api.large).acquire_owned());
    let Ok(Ok(turn)) = turn.await else {
        return busy();
    };
    answer(api, move |api| {
        // Given back only here: who asked may have gone away while the records are still held.
        let _turn = turn;
        make(api)
    })
    .await
}

fn busy() -> Response {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many questions are being answered",
        "ask again in a moment, or ask for a shorter time",
    )
    .into_response()
}

/// Makes one of our answers where blocking is allowed, when it is its turn.
async fn answer<T, F>(api: Arc<Api>, make: F) -> Response
where
    T: Serialize + Send + 'static,
    F: FnOnce(&Api) -> Result<T, Problem> + Send + 'static,
{
    answer_to(Asked::Answer, api, make).await
}

async fn answer_to<T, F>(asked: Asked, api: Arc<Api>, make: F) -> Response
where
    T: Serialize + Send + 'static,
    F: FnOnce(&Api) -> Result<T, Problem> + Send + 'static,
{
    let Some(turn) = api.turn_in_time(asked).await else {
        return busy();
    };
    // JSON is written there too: a large answer takes as long to write as to find.
    let outcome = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        make(&api).and_then(|answer| {
            serde_json::to_vec(&answer)
                .map_err(|error| failed(format!("the answer is no JSON: {error}")))
        })
    });
    match outcome.await {
        Ok(Ok(json)) => ([(http::header::CONTENT_TYPE, "application/json")], json).into_response(),
        Ok(Err(problem)) => problem.into_response(),
        Err(error) => failed(format!("the answer could not be made: {error}")).into_response(),
    }
}

fn failed(message: String) -> Problem {
    let mend = "this is a defect of the server; please report it with the request";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message, mend)
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Statement(_) => Self::bad_request(
                message,
                "docs/store.md says which tables, columns and bounds there are",
            ),
            QueryError::Room(_) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                message,
                "make room in the system's folder for temporary files (TMPDIR), or ask for a shorter time",
            ),
            QueryError::Elsewhere(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                message,
                "`sonde doctor` says whether what arrives can be written there",
            ),
            QueryError::Timeout(_) | QueryError::Memory => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                message,
                "ask for a shorter time",
            ),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                message,
                "look at the data folder: a file may be damaged or gone",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
