//! How a test is found again at those who can be asked: one question for each kind, by GET, with the headers that the exporter
//! has.

use std::{
    thread,
    time::{Duration, Instant},
};

use ureq::http::{Method, Uri};

use super::{
    super::{
        delivery::http::{ANSWER_BYTES_MAX, below},
        peer::Peer,
    },
    Check, Verdict,
    record::{Record, SERVICE},
};

/// How long a test may take from being accepted to being found: VictoriaMetrics shows a new series after eight seconds.
const FOUND_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked for.
const PAUSE: Duration = Duration::from_millis(250);
/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A question to a kind of destination.
struct Way {
    kind: &'static str,
    /// Where to ask, where it is known from the peer's URL.
    url: fn(&str, &Record) -> Option<String>,
    /// What the answer has in it where the test was found.
    found: fn(&Record) -> String,
    /// Whether that place is a guess: another port, at which somebody may have put something else.
    is_guess: bool,
}

const WAYS: [Way; 7] = [
    Way {
        kind: "zipkin",
        url: |url, record| {
            let base = url.strip_suffix("/api/v2/spans")?;
            Some(below(base, &format!("api/v2/trace/{}", record.trace_id)))
        },
        found: |record| record.span_id.to_string(),
        is_guess: false,
    },
    Way {
        kind: "loki",
        url: |url, record| {
            let base = url.strip_suffix("/push")?;
            let query = format!(
                "%7Bservice_name%3D%22{SERVICE}%22%7D%20%7C%20trace_id%3D%22{}%22",
                record.trace_id
            );
            let (since, until) = (record.time_unix_ns - 1, record.time_unix_ns + 1);
            Some(format!(
                "{base}/query_range?query={query}&start={since}&end={until}"
            ))
        },
        found: |record| record.trace_id.to_string(),
        is_guess: false,
    },
    Way {
        kind: "elasticsearch",
        url: |url, record| {
            let (base, _) = url.split_once("/_bulk")?;
            let id = record.trace_id;
            Some(format!(
                "{base}/traces-*,logs-*/_search?size=1&q=trace.id:{id}"
            ))
        },
        found: |record| record.trace_id.to_string(),
        is_guess: false,
    },
    Way {
        kind: "remote_write",
        url: |url, record| {
            let base = url.strip_suffix("/write")?;
            let time = record.time_unix_s();
            // VictoriaMetrics answers as of half a minute ago unless it is told to; others pass over what they do not know.
            Some(format!(
                "{base}/query?nocache=1&query=radiosonde_test_time_seconds%20%3D%3D%20{time}"
            ))
        },
        found: |_| "radiosonde_test_time_seconds".to_owned(),
        is_guess: false,
    },
    Way {
        kind: "pushgateway",
        url: |url, _| Some(format!("{}/metrics", url.split_once("/metrics/job")?.0)),
        found: |_| "radiosonde_test_time_seconds".to_owned(),
        is_guess: false,
    },
    Way {
        kind: "jaeger",
        url: |url, record| beside(url, 16_686, &format!("/api/traces/{}", record.trace_id)),
        found: |record| record.span_id.to_string(),
        is_guess: true,
    },
    Way {
        kind: "otlp",
        url: |url, record| beside(url, 4319, &format!("/api/v1/traces/{}", record.trace_id)),
        found: |record| record.span_id.to_string(),
        is_guess: true,
    },
];

/// Another port of the machine of `url`.
fn beside(url: &str, port: u16, path: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    Some(format!(
        "{}://{}:{port}{path}",
        url.scheme_str()?,
        url.host()?
    ))
}

/// Whether the test that `peer` accepted is found there.
pub(super) fn look(kind: &str, peer: &Peer, record: &Record) -> Check {
    let check = |verdict, words: String, mend: &str| Check {
        endpoint: Some(peer.endpoint()),
        ..Check::new("read back", verdict, words, mend)
    };
    let unknown = |why: &str| check(Verdict::Unknown, format!("not read back: {why}"), "");
    let way = WAYS.iter().find(|way| way.kind == kind);
    let Some((way, url)) = way.and_then(|way| Some((way, (way.url)(&peer.url, record)?))) else {
        return unknown("the peer has no way");
    };
    let (Some(client), Ok(uri)) = (peer.client(TIMEOUT), url.parse::<Uri>()) else {
        return unknown("its address is none to ask");
    };
    let found = (way.found)(record);
    let deadline = Instant::now() + FOUND_WITHIN;
    loop {
        let answer = match client.send(Method::GET, &uri, &[], &[]) {
            Ok(answer) => answer,
            Err(_) if way.is_guess => {
                return unknown(&format!(
                    "nothing answers at {}",
                    super::super::delivery::address::shown(&url)
                ));
            }
            Err(reason) => return unknown(&reason),
        };
        let status = answer.status;
        if status.is_success() && String::from_utf8_lossy(&answer.body).contains(&found) {
            return check(Verdict::Pass, "what was written is found".to_owned(), "");
        }
        if status.is_success() && answer.body.len() as u64 > ANSWER_BYTES_MAX {
            return unknown("the answer is too long to be read");
        }
        // 404 may mean that it is not there yet.
        if !status.is_success() && status.as_u16() != 404 {
            return unknown(&format!("HTTP {status}"));
        }
        if Instant::now() >= deadline {
            let words = format!(
                "accepted, and not found within {} s",
                FOUND_WITHIN.as_secs()
            );
            if way.is_guess {
                return unknown(&words);
            }
            let mend =
                "look at the peer's own log for what it drops; some show late what they take";
            return check(Verdict::Fail, words, mend);
        }
        thread::sleep(PAUSE);
    }
}
