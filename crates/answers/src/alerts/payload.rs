//! Notifications as each receiver wants them, and what its answers mean. Bytes come out; nothing is sent here.
//!
//! Invariants, each held by a test:
//! * Whatever alerts hold, a body is well-formed, within the receiver's limits, and text in it stays text.
//! * What is left out is counted in the message.
//! * `Debug` of a request shows neither address nor body: both may hold keys.

use std::fmt;

use super::{
    Phase,
    routing::{Notification, Outcome, Receiver, Secret},
};

mod alertmanager;
mod mail;
mod pagerduty;
mod slack;
mod teams;
mod text;
mod webhook;

pub use self::mail::Mail;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// By HTTP.
    Http(Request),
    /// By SMTP.
    Mail(Mail),
}

/// A `POST` of JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub url: Secret,
    /// Header fields: names in lower case, and values.
    pub headers: Vec<(&'static str, Secret)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    fn json(url: Secret, body: Vec<u8>) -> Self {
        Self {
            url,
            headers: vec![("content-type", Secret::new("application/json"))],
            body,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Request")
            .field("url", &self.url)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// A notification as that receiver wants it. `external_url` is where the program is reached by people, or empty.
pub fn message(receiver: &Receiver, notification: &Notification, external_url: &str) -> Message {
    match receiver {
        Receiver::Slack(hook) => Message::Http(Request::json(
            hook.url.clone(),
            slack::body(notification, external_url),
        )),
        Receiver::Teams(hook) => Message::Http(Request::json(
            hook.url.clone(),
            teams::body(notification, external_url),
        )),
        Receiver::Webhook(webhook) => {
            let request = Request::json(
                webhook.url.clone(),
                webhook::body(notification, external_url),
            );
            Message::Http(authorized(request, webhook.authorization.as_ref()))
        }
        Receiver::Alertmanager(webhook) => {
            let url = Secret::new(format!(
                "{}/api/v2/alerts",
                webhook.url.reveal().trim_end_matches('/')
            ));
            let request = Request::json(url, alertmanager::body(notification, external_url));
            Message::Http(authorized(request, webhook.authorization.as_ref()))
        }
        Receiver::PagerDuty(service) => {
            let body = pagerduty::body(notification, service.routing_key.reveal(), external_url);
            Message::Http(Request::json(Secret::new(service.url.clone()), body))
        }
        Receiver::Email(email) => Message::Mail(mail::mail(email, notification, external_url)),
    }
}

fn authorized(mut request: Request, authorization: Option<&Secret>) -> Request {
    request
        .headers
        .extend(authorization.map(|value| ("authorization", value.clone())));
    request
}

/// An answer over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// Its body, or the beginning of it.
    pub body: &'a str,
}

/// Longest piece of an answer that is repeated, in characters.
const ANSWER_CHARS_MAX: usize = 200;

/// What an answer means. What is busy, away or overloaded is asked again; what does not like the message or the key is not.
pub fn judge(receiver: &Receiver, answer: &Answer<'_>) -> Outcome {
    let body = text::one_line(answer.body, ANSWER_CHARS_MAX);
    let said = if body.is_empty() {
        String::new()
    } else {
        format!(": {body}")
    };
    let because = || format!("{} answered {}{said}", receiver.kind(), answer.status);
    match answer.status {
        // Slack answers every error by a status; a 200 of something in between does not say `ok`.
        200..=299 if matches!(receiver, Receiver::Slack(_)) && answer.body.trim() != "ok" => {
            Outcome::Failed {
                because: format!(
                    "{} and not ok, so that it is not known to have arrived",
                    because()
                ),
                retry_after_ms: None,
            }
        }
        200..=299 => Outcome::Delivered,
        408 | 425 | 429 | 500..=599 => Outcome::Failed {
            because: because(),
            // A date is not read: the wait of our own is then long enough.
            retry_after_ms: answer
                .retry_after
                .and_then(|text| text.trim().parse::<u64>().ok())
                .map(|s| s.saturating_mul(1_000)),
        },
        300..=399 => Outcome::Refused {
            because: format!("{}; write the address it leads to", because()),
        },
        _ => Outcome::Refused { because: because() },
    }
}

/// What the last answer of a mail server means (RFC 5321, 4.2.1: 2 is done, 4 may be tried again, 5 may not).
pub fn judge_mail(code: u16, words: &str) -> Outcome {
    let because = format!(
        "the mail server answered {code}: {}",
        text::one_line(words, ANSWER_CHARS_MAX)
    );
    match code {
        200..=299 => Outcome::Delivered,
        500..=599 => Outcome::Refused { because },
        _ => Outcome::Failed {
            because,
            retry_after_ms: None,
        },
    }
}

/// The body that `build` makes with the largest budget of characters for each alert that stays within `bytes_max`.
fn within(bytes_max: usize, budget: usize, build: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let budgets = std::iter::successors(Some(budget), |budget| {
        (*budget > text::BUDGET_MIN).then_some(budget / 2)
    });
    let mut body = Vec::new();
    for budget in budgets {
        body = build(budget.max(text::BUDGET_MIN));
        if body.len() <= bytes_max {
            break;
        }
    }
    body
}

/// JSON of something that has no map with other keys than texts, and so cannot fail.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// `firing` or `resolved`.
const fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolved => "resolved",
        Phase::Firing | Phase::Pending => "firing",
    }
}

#[cfg(test)]
mod tests;
