//! A statement over what arrives, as it arrives: lines of JSON, or server-sent events (docs/api.md, "Streams").
//!
//! Invariants: whoever reads slowly is not read ahead for; what is left out because of it is counted, and said in its place.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, SecondsFormat};
use futures::{StreamExt as _, stream};
use radiosonde_store::query::{Answer, Arrived, Column, Limits, QueryError, Tail};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Api, Asked, failed, params,
    sql::{Statement, statement_of},
};
use crate::{problem::Problem, receive::Received};

/// Shortest time between two answers.
const INTERVAL: Duration = Duration::from_millis(250);
/// How often a stream without rows says that it is there.
const QUIET: Duration = Duration::from_secs(15);

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A line of JSON for each thing that is said.
    Lines,
    /// Server-sent events.
    Events,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        if accepted
            .flat_map(|value| value.split(','))
            .any(|kind| kind.trim().starts_with("text/event-stream"))
        {
            Self::Events
        } else {
            Self::Lines
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }

    /// One thing that is said: what it is, and its value.
    fn say(self, out: &mut String, what: &str, value: &Value) {
        match self {
            Self::Lines => {
                out.push_str(&json!({ what: value }).to_string());
                out.push('\n');
            }
            Self::Events => {
                for part in ["event: ", what, "\ndata: ", &value.to_string(), "\n\n"] {
                    out.push_str(part);
                }
            }
        }
    }
}

pub(super) async fn of_address(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    statement: Result<Query<Statement>, QueryRejection>,
) -> Response {
    match statement {
        Ok(Query(Statement { statement })) => begin(api, statement, Form::of(&headers)).await,
        Err(refused) => params::refused(&refused).into_response(),
    }
}

pub(super) async fn of_body(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Json<Statement>, axum::extract::rejection::JsonRejection>,
) -> Response {
    match statement_of(body) {
        Ok(statement) => begin(api, statement, Form::of(&headers)).await,
        Err(problem) => problem.into_response(),
    }
}

async fn begin(api: Arc<Api>, statement: String, form: Form) -> Response {
    let Ok(place) = Arc::clone(&api.streams).try_acquire_owned() else {
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many streams are open",
            "close one, or let one statement serve several readers",
        )
        .into_response();
    };
    // Before anything can arrive, so that nothing is missed between the two.
    let mut arrivals = api.intake.subscribe();
    arrivals.mark_unchanged();
    let of_tail = Arc::clone(&api);
    let tail = tokio::task::spawn_blocking(move || of_tail.store.tail(&statement)).await;
    let tail = match tail {
        Ok(Ok(tail)) => tail,
        Ok(Err(error)) => return Problem::from(error).into_response(),
        Err(error) => {
            return failed(format!("the stream could not begin: {error}")).into_response();
        }
    };
    if let Some(problem) = twice(tail.columns()) {
        return problem.into_response();
    }
    let mut stopping = api.stopping.clone();
    let follower = Follower {
        api,
        tail: Arc::new(tail),
        form,
        arrivals,
        columns: Vec::new(),
        next: Instant::now(),
        is_first: true,
        more: false,
        _place: place,
    };
    let until = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let chunks = stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        let (chunk, is_last) = follower.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), (!is_last).then_some(follower)))
    });
    let body = Body::from_stream(chunks.take_until(Box::pin(until)));
    let headers = [
        (CONTENT_TYPE, form.media_type()),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

/// Rows are objects, so columns need names that differ.
fn twice(columns: &[Column]) -> Option<Problem> {
    let mut names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1])?[0];
    Some(Problem::bad_request(
        format!("two columns are called `{twice}`"),
        "give one of them another name: `column AS name`",
    ))
}

/// Who follows a statement. Each time that more is wanted, it makes a chunk of what has arrived.
struct Follower {
    api: Arc<Api>,
    tail: Arc<Tail>,
    form: Form,
    arrivals: watch::Receiver<Received>,
    columns: Vec<Column>,
    next: Instant,
    is_first: bool,
    more: bool,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// What is to be said next, and whether it is the last; none when the server stops.
    async fn chunk(&mut self) -> Option<(String, bool)> {
        let mut out = String::new();
        if std::mem::take(&mut self.is_first) {
            self.say_columns(&mut out, self.tail.columns().to_vec());
            return Some((out, false));
        }
        loop {
            if !self.more {
                match timeout(QUIET, self.arrivals.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_) => {
                        self.form.say(&mut out, "quiet", &json!(now()));
                        return Some((out, false));
                    }
                }
            }
            sleep_until(self.next).await;
            self.next = Instant::now() + INTERVAL;
            self.arrivals.mark_unchanged();
            match self.arrived().await {
                Ok(None) => self.more = false,
                Ok(Some(arrived)) => {
                    self.more = arrived.more;
                    self.say(&mut out, arrived);
                    if !out.is_empty() {
                        return Some((out, false));
                    }
                }
                Err(error) => {
                    let error = json!({"message": error.to_string(), "mend": "begin again, with a statement that asks for less at once"});
                    self.form.say(&mut out, "error", &error);
                    return Some((out, true));
                }
            }
        }
    }

    async fn arrived(&self) -> Result<Option<Arrived>, QueryError> {
        let (api, tail) = (Arc::clone(&self.api), Arc::clone(&self.tail));
        // Like everybody who asks; whoever follows can wait.
        let turn = self.api.turn(Asked::Statement).await;
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            api.store.arrived(&tail, Limits::default())
        });
        answer
            .await
            .unwrap_or_else(|error| Err(QueryError::Failed(error.to_string())))
    }

    fn say(&mut self, out: &mut String, arrived: Arrived) {
        if arrived.left_out > 0 {
            let left_out =
                json!({"rows": arrived.left_out, "because": "more arrived than was read"});
            self.form.say(out, "left_out", &left_out);
        }
        let Answer {
            columns,
            rows,
            is_truncated,
        } = arrived.answer;
        if !rows.is_empty() && columns != self.columns {
            self.say_columns(out, columns);
        }
        for row in rows {
            let names = self.columns.iter().map(|column| column.name.clone());
            let cells = row.into_iter().map(|cell| json!(cell));
            let row: Map<String, Value> = names.zip(cells).collect();
            self.form.say(out, "row", &Value::Object(row));
        }
        if is_truncated {
            let left_out = json!({"rows": null, "because": "the statement makes more than 10000 rows or 64 MiB of what arrived at once"});
            self.form.say(out, "left_out", &left_out);
        }
    }

    fn say_columns(&mut self, out: &mut String, columns: Vec<Column>) {
        self.form.say(out, "columns", &json!(columns));
        self.columns = columns;
    }
}

fn now() -> String {
    let now = DateTime::from_timestamp_nanos(params::now_ns());
    now.to_rfc3339_opts(SecondsFormat::Millis, true)
}
