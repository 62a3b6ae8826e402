//! What went wrong, as the API says it.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// An answer that is none: what is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    message: String,
    mend: String,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            status,
            message: message.into(),
            mend: mend.into(),
        }
    }

    /// HTTP's status.
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub(crate) fn mend(&self) -> &str {
        &self.mend
    }

    /// The request cannot be understood.
    pub(crate) fn bad_request(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message, mend)
    }

    /// What is asked for is not there.
    pub(crate) fn not_found(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message, mend)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({"error": {"message": self.message, "mend": self.mend}});
        (self.status, Json(body)).into_response()
    }
}
