//! By how much a peer's clock is apart from ours, as its `Date` says (RFC 9110, section 6.6.1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use radiosonde_answers::units::Nanoseconds;
use ureq::http::{Method, Uri, header};

use super::{
    super::{peer::Peer, retry::http_date_unix_s},
    Check, Verdict,
};

/// How long the question may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// From so much on it is told: `Date` has whole seconds, and what several machines recorded is laid side by side.
const SKEW_MAX: Duration = Duration::from_secs(5);

/// Asks `peer` for the time.
pub(super) fn look(peer: &Peer) -> Check {
    let check = |verdict, words: String, mend: &str| Check {
        endpoint: Some(peer.endpoint()),
        ..Check::new("clock", verdict, words, mend)
    };
    let unknown = |words: &str| check(Verdict::Unknown, words.to_owned(), "");
    if peer.is_grpc {
        return unknown("gRPC does not tell the peer's time");
    }
    let (Some(client), Ok(url)) = (peer.client(TIMEOUT), peer.url.parse::<Uri>()) else {
        return unknown("the peer cannot be asked");
    };
    let before = since_epoch();
    let Ok(answer) = client.send(Method::GET, &url, &[], &[]) else {
        return unknown("the peer did not answer");
    };
    let after = since_epoch();
    let date = answer.headers.get(header::DATE);
    let date = date.and_then(|date| http_date_unix_s(date.to_str().ok()?.trim()));
    let Some(date) = date.map(Duration::from_secs) else {
        return unknown("the peer does not tell its time");
    };
    match apart(date, before, after) {
        None => {
            let words = format!("within {} s of the peer's", SKEW_MAX.as_secs());
            check(Verdict::Pass, words, "")
        }
        Some((is_ahead, by)) => {
            let by = Nanoseconds(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX));
            let side = if is_ahead { "ahead of" } else { "behind" };
            let words = format!("this machine's clock is {by} {side} the peer's");
            let mend = "set both clocks by NTP: records are found, and kept, by their time";
            check(Verdict::Fail, words, mend)
        }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Whether ours is ahead, and by how much at least, where that is too much. `date` was read between `before` and `after`, and
/// its fraction of a second was cut off.
fn apart(date: Duration, before: Duration, after: Duration) -> Option<(bool, Duration)> {
    let ahead = before.saturating_sub(date + Duration::from_secs(1));
    let behind = date.saturating_sub(after);
    match (ahead > SKEW_MAX, behind > SKEW_MAX) {
        (true, _) => Some((true, ahead)),
        (_, true) => Some((false, behind)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_date_leaves_open_is_no_skew() {
        let seconds = Duration::from_secs_f64;
        let apart = |date, before, after| apart(seconds(date), seconds(before), seconds(after));
        assert_eq!(apart(100.0, 100.9, 101.0), None);
        assert_eq!(apart(100.0, 106.0, 106.0), None);
        assert_eq!(apart(100.0, 107.0, 107.0), Some((true, seconds(6.0))));
        assert_eq!(apart(100.0, 90.0, 95.5), None, "it may have taken long");
        assert_eq!(apart(100.0, 90.0, 91.0), Some((false, seconds(9.0))));
    }
}
