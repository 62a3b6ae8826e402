//! What an answer says of each envelope.

use serde::Deserialize;

use crate::exporter::{
    backend::pages::{array_of, records_of},
    delivery::{GZIP, Outcome, gzip, http::Answer},
    spool::Payload,
};

/// "Partial content": some envelopes are taken.
const PARTIAL: u16 = 206;
/// "Over quota", of Application Insights alone.
const QUOTA: u16 = 439;

#[derive(Deserialize)]
struct Track {
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fault {
    index: usize,
    status_code: u16,
    #[serde(default)]
    message: String,
}

/// Whether the same may be taken later.
const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | QUOTA | 500 | 502..=504)
}

/// What became of `payload`.
pub(super) fn outcome(payload: &Payload, answer: &Answer) -> Outcome {
    match answer.status.as_u16() {
        PARTIAL => partial(payload, answer),
        QUOTA => Outcome::Unavailable {
            reason: answer.reason(),
            retry_after: answer.retry_after(),
        },
        _ => answer.by_status(),
    }
}

fn partial(payload: &Payload, answer: &Answer) -> Outcome {
    let retry_after = answer.retry_after();
    let body = if payload.tag & GZIP == 0 {
        Some(payload.body.clone())
    } else {
        gzip::plain(&payload.body)
    };
    let read = serde_json::from_slice::<Track>(&answer.body);
    let (Some(body), Ok(track)) = (body, read) else {
        // Nobody knows which were taken, and what is lost is worse than what is there twice.
        return Outcome::Unavailable {
            reason: "HTTP 206: the answer does not say which were taken".to_owned(),
            retry_after,
        };
    };
    let envelopes = records_of(&body);
    let (passing, lasting): (Vec<_>, Vec<_>) = track
        .errors
        .iter()
        .filter(|fault| fault.index < envelopes.len())
        .partition(|fault| is_passing(fault.status_code));
    let reason = lasting.first().or(passing.first());
    let reason = reason.map_or_else(String::new, |fault| {
        let end = fault.message.floor_char_boundary(300);
        format!(
            "an envelope got {}: {}",
            fault.status_code,
            &fault.message[..end]
        )
    });
    let rejected = lasting.len() as u64;
    let again: Vec<&[u8]> = passing.iter().map(|fault| envelopes[fault.index]).collect();
    if again.is_empty() {
        return match rejected {
            0 => Outcome::Delivered,
            _ => Outcome::Partial { rejected, reason },
        };
    }
    let rest = array_of(&again);
    let (tag, body) = match gzip::compressed(&rest) {
        Some(body) => (payload.tag | GZIP, body),
        None => (payload.tag & !GZIP, rest),
    };
    Outcome::PartUnavailable {
        rest: Payload {
            tag,
            records: again.len() as u32,
            body,
        },
        rejected,
        reason,
        retry_after,
    }
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderMap, StatusCode};

    use super::*;

    fn told(status: u16, answer: &str) -> Outcome {
        let payload = Payload {
            tag: 1,
            records: 3,
            body: array_of(&[b"{\"a\":1}", b"{\"a\":2}", b"{\"a\":3}"]),
        };
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: answer.as_bytes().to_vec(),
            is_whole: true,
        };
        outcome(&payload, &answer)
    }

    #[test]
    fn only_the_envelopes_that_may_be_taken_later_are_sent_again() {
        let answer = r#"{"itemsReceived":3,"itemsAccepted":1,"errors":[
            {"index":0,"statusCode":400,"message":"bad"},{"index":2,"statusCode":439,"message":"quota"},
            {"index":77,"statusCode":500,"message":"none of ours"}]}"#;
        let Outcome::PartUnavailable {
            rest,
            rejected,
            reason,
            ..
        } = told(206, answer)
        else {
            panic!("not in part");
        };
        assert_eq!((rest.records, rejected), (1, 1));
        assert_eq!(reason, "an envelope got 400: bad");
        let body = gzip::plain(&rest.body).unwrap();
        assert_eq!(records_of(&body), [b"{\"a\":3}"]);
        assert_eq!(told(206, r#"{"errors":[]}"#), Outcome::Delivered);
        let answer = r#"{"errors":[{"index":1,"statusCode":400}]}"#;
        assert!(matches!(
            told(206, answer),
            Outcome::Partial { rejected: 1, .. }
        ));
        assert!(matches!(told(206, "garbage"), Outcome::Unavailable { .. }));
        assert!(matches!(told(439, ""), Outcome::Unavailable { .. }));
        assert!(matches!(told(400, ""), Outcome::Rejected { .. }));
    }
}
