//! How events are posted, and how Splunk is asked whether they are indexed.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use ureq::http::{HeaderName, HeaderValue, Uri, header};

use crate::exporter::{
    backend::{Call, Wire, post::Post},
    delivery::{
        Outcome,
        http::{Answer, Client},
    },
    spool::Payload,
};

/// Splunk writes a channel's name in this header.
const CHANNEL: &str = "x-splunk-request-channel";

/// The first pause before Splunk is asked, and the longest: it indexes within seconds.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Taken {
    ack_id: Option<u64>,
}

#[derive(Deserialize)]
struct Acknowledged {
    acks: HashMap<String, bool>,
}

/// The collector's end.
pub(super) struct Collector {
    pub(super) post: Post,
    /// Where it is asked.
    pub(super) asked: Uri,
    pub(super) channel: String,
    pub(super) patience: Option<Duration>,
}

impl Collector {
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let channel = HeaderValue::from_str(&self.channel).ok();
        let channel = channel.filter(|_| self.patience.is_some());
        channel
            .map(|channel| (HeaderName::from_static(CHANNEL), channel))
            .into_iter()
            .collect()
    }

    /// Whether the events with this number are indexed by now.
    fn is_indexed(&self, number: u64, client: &Client) -> bool {
        let mut headers = self.headers();
        let json = HeaderValue::from_static("application/json");
        headers.push((header::CONTENT_TYPE, json));
        let body = format!("{{\"acks\":[{number}]}}");
        let Ok(answer) = client.post(&self.asked, &headers, body.as_bytes()) else {
            return false;
        };
        let said = serde_json::from_slice::<Acknowledged>(&answer.body);
        said.is_ok_and(|said| said.acks.get(&number.to_string()) == Some(&true))
    }
}

impl Wire for Collector {
    fn call(&mut self, payload: &Payload) -> Result<Call<'_>, String> {
        let headers = self.headers();
        Ok(self.post.with(payload, headers))
    }

    fn conclude(&mut self, _: &Payload, answer: &Answer, client: &Client) -> Outcome {
        let outcome = answer.by_status();
        let (Outcome::Delivered, Some(patience)) = (&outcome, self.patience) else {
            return outcome;
        };
        let again = |reason: String| Outcome::Unavailable {
            reason,
            retry_after: None,
        };
        let number = match serde_json::from_slice::<Taken>(&answer.body) {
            Ok(Taken { ack_id: Some(id) }) => id,
            // The token has no acknowledgement, so nothing more will be said.
            Ok(Taken { ack_id: None }) => return outcome,
            Err(_) => return again("the answer names no acknowledgement".to_owned()),
        };
        let deadline = Instant::now() + patience;
        let (mut pause, longest) = PAUSES;
        loop {
            thread::sleep(pause.min(patience));
            if self.is_indexed(number, client) {
                return outcome;
            }
            if Instant::now() >= deadline {
                let seconds = patience.as_secs_f64();
                return again(format!("not indexed within {seconds} s"));
            }
            pause = (2 * pause).min(longest);
        }
    }
}
