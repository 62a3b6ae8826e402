//! A request is refused: what is wrong, what to do about it, and how that is said over HTTP and over gRPC.

use std::{borrow::Cow, time::Duration};

use axum::http::StatusCode;
use radiosonde_store::AppendError;

use super::decode::{
    Unreadable, text,
    wire::{put_bytes, put_number},
};

/// Most bytes of a message: gRPC sends it among the headers, of which clients take 8 KiB.
const MESSAGE_BYTES_MAX: usize = 1000;
/// When to try again what could not be written.
const LOG_RETRY_AFTER: Duration = Duration::from_secs(10);
/// When to try again what found no place.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What kind of refusal it is: decides what the sender does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It cannot be read, and never will be.
    Malformed,
    /// It is larger than it may be.
    TooLarge,
    /// It is in a form, or came in a way, that is not taken here.
    Unsupported,
    /// The path is none of ours.
    Path,
    /// The method is not POST.
    Method,
    /// Who sends it shows no key, or none that there is.
    Unauthenticated,
    /// Who sends it may not.
    Forbidden,
    /// It came too slowly.
    Slow,
    /// There is no room now.
    Busy,
    /// A fault of ours.
    Internal,
}

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    kind: Kind,
    /// What is wrong, the same for every request with which it is.
    reason: Cow<'static, str>,
    /// What it is about this one; empty for nothing.
    detail: String,
    mend: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(
        kind: Kind,
        reason: impl Into<Cow<'static, str>>,
        mend: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            reason: reason.into(),
            detail: String::new(),
            mend: mend.into(),
            retry_after: None,
        }
    }

    /// Adds what it is about this request.
    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// There is no room for more at the moment.
    pub(super) fn busy() -> Self {
        let reason = "more requests come than can be read at once";
        Self {
            retry_after: Some(BUSY_RETRY_AFTER),
            ..Self::new(
                Kind::Busy,
                reason,
                "send it again later, and send fewer, larger requests",
            )
        }
    }

    pub(super) fn too_large(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::TooLarge, reason, "send smaller batches")
    }

    pub(super) fn unreadable(unreadable: Unreadable, mend: &'static str) -> Self {
        match unreadable {
            Unreadable::Malformed(why) => {
                Self::new(Kind::Malformed, "the request cannot be read", mend).with_detail(why)
            }
            Unreadable::TooMuch(what) => Self::too_large(what),
        }
    }

    pub(super) fn append(error: &AppendError) -> Self {
        match error {
            AppendError::Busy { retry_after } => Self {
                retry_after: Some(*retry_after),
                ..Self::new(
                    Kind::Busy,
                    "the store writes more slowly than telemetry comes",
                    "send it again later, or sample more",
                )
            },
            AppendError::Log(error) => Self {
                retry_after: Some(LOG_RETRY_AFTER),
                ..Self::new(
                    Kind::Busy,
                    "the log in the data folder cannot be written",
                    "make room or permit writing, then send it again",
                )
                .with_detail(error.to_string())
            },
            other => Self::new(
                Kind::Internal,
                "it could not be kept",
                "report this as a fault of Radiosonde",
            )
            .with_detail(other.to_string()),
        }
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn mend(&self) -> &str {
        &self.mend
    }

    /// When to try again.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// All of it, for people.
    pub(super) fn message(&self) -> String {
        let detail = if self.detail.is_empty() {
            String::new()
        } else {
            format!(": {}", self.detail)
        };
        let mut message = format!("{}{detail}; {}", self.reason, self.mend);
        let mut end = message.len().min(MESSAGE_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message
    }

    /// HTTP's status. Of these a client tries only 503 again (OTLP specification, failures).
    pub(super) const fn http_status(&self) -> StatusCode {
        match self.kind {
            Kind::Malformed => StatusCode::BAD_REQUEST,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::Path => StatusCode::NOT_FOUND,
            Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::Slow => StatusCode::REQUEST_TIMEOUT,
            Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// gRPC's status code (google/rpc/code.proto).
    pub(super) const fn grpc_code(&self) -> u32 {
        match self.kind {
            Kind::Malformed => 3,
            Kind::Slow => 4,
            Kind::Forbidden => 7,
            Kind::TooLarge => 8,
            Kind::Unsupported | Kind::Path | Kind::Method => 12,
            Kind::Internal => 13,
            Kind::Busy => 14,
            Kind::Unauthenticated => 16,
        }
    }

    /// As a `google.rpc.Status{code=1, message=2, details=3}`.
    pub(super) fn protobuf(&self) -> Vec<u8> {
        let mut status = Vec::new();
        put_number(&mut status, 1, u64::from(self.grpc_code()));
        put_bytes(&mut status, 2, self.message().as_bytes());
        if let Some(retry_after) = self.retry_after {
            // `google.protobuf.Duration{seconds=1, nanos=2}` in `google.rpc.RetryInfo{retry_delay=1}` in
            // `google.protobuf.Any{type_url=1, value=2}`.
            let (mut delay, mut info, mut any) = (Vec::new(), Vec::new(), Vec::new());
            put_number(&mut delay, 1, retry_after.as_secs());
            put_number(&mut delay, 2, u64::from(retry_after.subsec_nanos()));
            put_bytes(&mut info, 1, &delay);
            put_bytes(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
            put_bytes(&mut any, 2, &info);
            put_bytes(&mut status, 3, &any);
        }
        status
    }

    /// As the same message in JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut json = format!("{{\"code\":{},\"message\":", self.grpc_code());
        text::string(&mut json, &self.message());
        json.push('}');
        json.into_bytes()
    }
}
