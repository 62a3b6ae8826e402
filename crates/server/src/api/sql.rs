//! A statement in SQL, and its answer.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use radiosonde_store::query::{Cell, Column, Limits};
use serde::{Deserialize, Serialize};

use super::{Api, Asked, answer_to};
use crate::problem::Problem;

/// The body of `POST /api/v1/sql`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statement {
    pub(super) statement: String,
}

/// The answer to a statement.
#[derive(Debug, Serialize)]
struct StatementAnswer {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    more: bool,
    elapsed_ms: u64,
}

pub(super) async fn answer(
    State(api): State<Arc<Api>>,
    body: Result<Json<Statement>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let statement = match statement_of(body) {
        Ok(statement) => statement,
        Err(problem) => return problem.into_response(),
    };
    answer_to(Asked::Statement, api, move |api| {
        let began = std::time::Instant::now();
        let answer = api.store.sql(&statement, Limits::default())?;
        Ok(StatementAnswer {
            columns: answer.columns,
            rows: answer.rows,
            more: answer.is_truncated,
            elapsed_ms: began.elapsed().as_millis() as u64,
        })
    })
    .await
}

pub(super) fn statement_of(
    body: Result<Json<Statement>, axum::extract::rejection::JsonRejection>,
) -> Result<String, Problem> {
    if let Ok(Json(Statement { statement })) = body {
        Ok(statement)
    } else {
        let mend = "send `{\"statement\": \"SELECT ...\"}` with `Content-Type: application/json`";
        Err(Problem::bad_request("the body is not a statement", mend))
    }
}
