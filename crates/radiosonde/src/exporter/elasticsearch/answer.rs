//! What a bulk request's answer says of each document.

use std::collections::HashMap;

use serde::Deserialize;

use crate::exporter::{
    delivery::{GZIP, Outcome, gzip, http::Answer},
    spool::Payload,
};

#[derive(Deserialize)]
struct Bulk {
    errors: bool,
    #[serde(default)]
    items: Vec<HashMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "type", default)]
    kind: String,
}

/// What becomes of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    Again,
    Refused,
}

const fn fate(status: u16) -> Fate {
    match status {
        // 409: it is there already, from an attempt whose answer got lost.
        200..=299 | 409 => Fate::Taken,
        429 | 500..=599 => Fate::Again,
        _ => Fate::Refused,
    }
}

/// What became of `payload`, whose body is `body` once it is read again. An answer that cannot be read is no answer: the
/// documents are sent again, and those that are there are not taken twice.
pub(super) fn outcome(payload: &Payload, body: &[u8], answer: &Answer) -> Outcome {
    let unreadable = |what: &str| Outcome::Unavailable {
        reason: format!("HTTP {}: {what}", answer.status),
        retry_after: answer.retry_after(),
    };
    let bulk = match serde_json::from_slice::<Bulk>(&answer.body) {
        Ok(bulk) => bulk,
        Err(_) if answer.is_whole => return unreadable("the answer is not that of a bulk request"),
        Err(_) => return unreadable("the answer is cut off"),
    };
    if !bulk.errors {
        return Outcome::Delivered;
    }
    let mut lines = body.split_inclusive(|&byte| byte == b'\n');
    let documents: Vec<_> = std::iter::from_fn(|| Some((lines.next()?, lines.next()?))).collect();
    let items: Vec<&Item> = bulk.items.iter().flat_map(HashMap::values).collect();
    if items.len() != documents.len() {
        return unreadable("the answer speaks of other documents than were sent");
    }
    let mut rest = Vec::new();
    let (mut again, mut refused) = (0, 0);
    let (mut why_again, mut why_refused) = (None, None);
    for (item, (action, document)) in items.iter().zip(documents) {
        match fate(item.status) {
            Fate::Taken => {}
            Fate::Again => {
                again += 1;
                why_again.get_or_insert_with(|| said(item));
                rest.extend_from_slice(action);
                rest.extend_from_slice(document);
            }
            Fate::Refused => {
                refused += 1;
                why_refused.get_or_insert_with(|| said(item));
            }
        }
    }
    let reason = why_refused.or_else(|| why_again.clone());
    let reason = reason.unwrap_or_default();
    if again == 0 {
        return settled(refused, u64::from(payload.records), reason);
    }
    if again == payload.records {
        return Outcome::Unavailable {
            reason,
            retry_after: answer.retry_after(),
        };
    }
    let (tag, body) = match gzip::compressed(&rest) {
        Some(body) => (payload.tag | GZIP, body),
        None => (payload.tag & !GZIP, rest),
    };
    Outcome::PartUnavailable {
        rest: Payload {
            tag,
            records: again,
            body,
        },
        rejected: refused,
        reason,
        retry_after: answer.retry_after(),
    }
}

/// What became of `records` of which none is sent again.
fn settled(refused: u64, records: u64, reason: String) -> Outcome {
    match refused {
        0 => Outcome::Delivered,
        all if all == records => Outcome::Rejected { reason },
        rejected => Outcome::Partial { rejected, reason },
    }
}

fn said(item: &Item) -> String {
    let kind = item.error.as_ref().map_or("", |fault| fault.kind.as_str());
    format!("a document got {} {kind}", item.status)
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderMap, StatusCode};

    use super::*;

    const BODY: &[u8] =
        b"{\"create\":1}\n{\"a\":1}\n{\"create\":2}\n{\"a\":2}\n{\"create\":3}\n{\"a\":3}\n";

    fn told(answer: &str) -> Outcome {
        let payload = Payload {
            tag: 2,
            records: 3,
            body: BODY.to_vec(),
        };
        let answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: answer.as_bytes().to_vec(),
            is_whole: true,
        };
        outcome(&payload, BODY, &answer)
    }

    fn items(statuses: [u16; 3]) -> Outcome {
        let items: Vec<String> = statuses
            .iter()
            .map(|status| format!("{{\"create\":{{\"status\":{status}}}}}"))
            .collect();
        told(&format!(
            "{{\"errors\":true,\"items\":[{}]}}",
            items.join(",")
        ))
    }

    #[test]
    fn only_documents_that_may_be_taken_later_are_sent_again() {
        assert_eq!(told("{\"errors\":false}"), Outcome::Delivered);
        assert_eq!(items([201, 409, 201]), Outcome::Delivered);
        let Outcome::PartUnavailable { rest, rejected, .. } = items([201, 429, 400]) else {
            panic!("not in part");
        };
        assert_eq!((rest.records, rejected), (1, 1));
        let again = gzip::plain(&rest.body).unwrap();
        assert_eq!(again, b"{\"create\":2}\n{\"a\":2}\n");
        assert!(matches!(
            items([503, 429, 500]),
            Outcome::Unavailable { .. }
        ));
        assert!(matches!(items([400, 400, 400]), Outcome::Rejected { .. }));
        assert!(matches!(
            items([400, 201, 201]),
            Outcome::Partial { rejected: 1, .. }
        ));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_none() {
        for answer in [
            "",
            "<html>",
            "{\"errors\":true}",
            "{\"errors\":true,\"items\":[{}]}",
        ] {
            assert!(
                matches!(told(answer), Outcome::Unavailable { .. }),
                "{answer}"
            );
        }
    }
}
