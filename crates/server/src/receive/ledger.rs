//! Who sent what, and what was refused and why: what somebody looks at whose telemetry does not arrive.
//!
//! Bounded: so many senders, of which the one that was silent longest makes room, and so many refusals, of which equal ones
//! are one.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::scrape::Target;

/// Most senders that are remembered.
const SENDERS_MAX: usize = 1000;
/// Most refusals that are remembered.
const REFUSALS_MAX: usize = 100;
/// Most bytes of a client's name.
const CLIENT_BYTES_MAX: usize = 80;

/// Somebody who sends one signal in one way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Sender {
    /// Its address, without the port.
    pub(crate) peer: String,
    /// `grpc`, `http/protobuf`, `http/json`, `zipkin/json`, `jaeger/thrift`, `jaeger/grpc`, `datadog`, `loki`, `remote_write`,
    /// `pprof`, `folded`, `scrape`, `statsd`, `syslog/udp` or `syslog/tcp`; `http` where it cannot be told,
    /// and `tls` where nothing could be said yet.
    pub(crate) protocol: &'static str,
    /// `traces`, `logs`, `metrics` or `profiles`; empty where it cannot be told.
    pub(crate) signal: &'static str,
    /// What it calls itself, shortened; empty for nothing.
    pub(crate) client: String,
}

/// What a sender did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SenderEntry {
    #[serde(flatten)]
    pub(crate) sender: Sender,
    /// When it was first heard, in milliseconds since the Unix epoch.
    pub(crate) first_ms: u64,
    /// When it was last heard, in milliseconds since the Unix epoch.
    pub(crate) last_ms: u64,
    /// Spans, logs or readings that were kept; the events of spans count with their span.
    pub(crate) accepted: u64,
    /// Those that were not; a request that was refused whole counts as one.
    pub(crate) refused: u64,
}

/// What was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RefusalEntry {
    /// When it last happened, in milliseconds since the Unix epoch.
    pub(crate) time_ms: u64,
    /// Whose it was.
    pub(crate) peer: String,
    /// How it came.
    pub(crate) protocol: &'static str,
    /// What is wrong.
    pub(crate) reason: String,
    /// What to do about it.
    pub(crate) mend: String,
    /// How many items, or whole requests.
    pub(crate) count: u64,
}

/// How the last scrape of a target went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ScrapeEntry {
    /// What is asked, without what may be secret.
    pub(crate) url: String,
    /// Whose metrics they are.
    pub(crate) job: String,
    /// Whether it answered.
    pub(crate) is_up: bool,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) last_ms: u64,
    /// Readings that it brought.
    pub(crate) samples: u64,
    /// Why it failed, and what to do about it; empty where it did not.
    pub(crate) error: String,
}

/// What the ledger has; the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Doctor {
    /// Who sent what.
    pub(crate) senders: Vec<SenderEntry>,
    /// What was refused.
    pub(crate) refusals: Vec<RefusalEntry>,
    /// How targets that are scraped are, by their address.
    pub(crate) scrapes: Vec<ScrapeEntry>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    senders: HashMap<Sender, SenderEntry>,
    /// The newest last.
    refusals: VecDeque<RefusalEntry>,
    /// By address, secrets and all, because targets may differ in them alone; as many as are configured.
    scrapes: BTreeMap<String, ScrapeEntry>,
}

impl Ledger {
    /// Notes how a target is.
    pub(super) fn scraped(&self, target: &Target, outcome: Result<u64, String>) {
        let (is_up, samples, error) = match outcome {
            Ok(samples) => (true, samples, String::new()),
            Err(error) => (false, 0, error),
        };
        let entry = ScrapeEntry {
            url: target.shown(),
            job: target.job().to_owned(),
            is_up,
            last_ms: now_ms(),
            samples,
            error,
        };
        let mut state = self.lock();
        state.scrapes.insert(target.url().to_owned(), entry);
    }

    /// Notes what became of a request.
    pub(super) fn sent(&self, sender: &Sender, accepted: u64, refused: u64) {
        self.sent_at(sender, accepted, refused, now_ms());
    }

    fn sent_at(&self, sender: &Sender, accepted: u64, refused: u64, now_ms: u64) {
        let mut state = self.lock();
        if let Some(entry) = state.senders.get_mut(sender) {
            entry.last_ms = now_ms;
            entry.accepted += accepted;
            entry.refused += refused;
            return;
        }
        if state.senders.len() >= SENDERS_MAX {
            let stalest = state.senders.values().min_by_key(|entry| entry.last_ms);
            if let Some(stalest) = stalest.map(|entry| entry.sender.clone()) {
                state.senders.remove(&stalest);
            }
        }
        let entry = SenderEntry {
            sender: sender.clone(),
            first_ms: now_ms,
            last_ms: now_ms,
            accepted,
            refused,
        };
        state.senders.insert(sender.clone(), entry);
    }

    /// Notes that `count` items, or a whole request, were refused.
    pub(super) fn refused(&self, sender: &Sender, reason: &str, mend: &str, count: u64) {
        self.refused_at(sender, reason, mend, count, now_ms());
    }

    fn refused_at(&self, sender: &Sender, reason: &str, mend: &str, count: u64, now_ms: u64) {
        let mut state = self.lock();
        let is_equal = |entry: &RefusalEntry| {
            entry.peer == sender.peer
                && entry.protocol == sender.protocol
                && entry.reason == reason
                && entry.mend == mend
        };
        let known = state.refusals.iter().position(is_equal);
        let known = known.and_then(|at| state.refusals.remove(at));
        if state.refusals.len() >= REFUSALS_MAX {
            state.refusals.pop_front();
        }
        state.refusals.push_back(RefusalEntry {
            time_ms: now_ms,
            peer: sender.peer.clone(),
            protocol: sender.protocol,
            reason: reason.to_owned(),
            mend: mend.to_owned(),
            count: count + known.map_or(0, |known| known.count),
        });
    }

    /// What it has.
    pub(super) fn doctor(&self) -> Doctor {
        let state = self.lock();
        let mut senders: Vec<SenderEntry> = state.senders.values().cloned().collect();
        senders.sort_by(|a, b| {
            let key = |entry: &SenderEntry| (entry.last_ms, entry.first_ms);
            key(b)
                .cmp(&key(a))
                .then_with(|| a.sender.client.cmp(&b.sender.client))
        });
        Doctor {
            senders,
            refusals: state.refusals.iter().rev().cloned().collect(),
            scrapes: state.scrapes.values().cloned().collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's name as it is remembered: printable, and not longer than it may be.
pub(super) fn client(user_agent: &str) -> String {
    let mut client: String = user_agent
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let mut end = client.len().min(CLIENT_BYTES_MAX);
    while !client.is_char_boundary(end) {
        end -= 1;
    }
    client.truncate(end);
    client
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(number: usize) -> Sender {
        Sender {
            peer: format!("10.0.0.{number}"),
            protocol: "grpc",
            signal: "traces",
            client: "test".to_owned(),
        }
    }

    #[test]
    fn a_sender_is_one_entry() {
        let ledger = Ledger::default();
        ledger.sent_at(&sender(1), 5, 0, 10);
        ledger.sent_at(&sender(2), 1, 0, 15);
        ledger.sent_at(&sender(1), 2, 3, 20);
        let doctor = ledger.doctor();
        let expected = SenderEntry {
            sender: sender(1),
            first_ms: 10,
            last_ms: 20,
            accepted: 7,
            refused: 3,
        };
        assert_eq!(doctor.senders[0], expected);
        assert_eq!(doctor.senders.len(), 2);
    }

    #[test]
    fn the_stalest_sender_makes_room() {
        let ledger = Ledger::default();
        (0..=SENDERS_MAX).for_each(|number| ledger.sent_at(&sender(number), 1, 0, number as u64));
        let doctor = ledger.doctor();
        assert_eq!(doctor.senders.len(), SENDERS_MAX);
        assert!(doctor.senders.iter().all(|entry| entry.sender != sender(0)));
    }

    #[test]
    fn equal_refusals_are_one_and_the_oldest_goes() {
        let ledger = Ledger::default();
        ledger.refused_at(&sender(1), "a", "b", 1, 1);
        ledger.refused_at(&sender(1), "c", "d", 1, 2);
        ledger.refused_at(&sender(1), "a", "b", 4, 3);
        let refusals = ledger.doctor().refusals;
        assert_eq!(
            (refusals.len(), refusals[0].count, refusals[0].time_ms),
            (2, 5, 3)
        );
        (0..REFUSALS_MAX).for_each(|number| ledger.refused_at(&sender(number + 2), "a", "b", 1, 9));
        let refusals = ledger.doctor().refusals;
        assert_eq!(refusals.len(), REFUSALS_MAX);
        assert!(refusals.iter().all(|entry| entry.peer != sender(1).peer));
    }

    #[test]
    fn the_api_has_these_names() {
        let ledger = Ledger::default();
        ledger.sent_at(&sender(1), 5, 1, 10);
        ledger.refused_at(&sender(1), "why", "what to do", 1, 10);
        let expected = serde_json::json!({
            "senders": [{
                "peer": "10.0.0.1", "protocol": "grpc", "signal": "traces", "client": "test",
                "first_ms": 10, "last_ms": 10, "accepted": 5, "refused": 1,
            }],
            "refusals": [{
                "time_ms": 10, "peer": "10.0.0.1", "protocol": "grpc", "reason": "why", "mend": "what to do", "count": 1,
            }],
            "scrapes": [],
        });
        assert_eq!(serde_json::to_value(ledger.doctor()).unwrap(), expected);
    }

    #[test]
    fn a_client_is_short_and_printable() {
        assert_eq!(
            client("OTel-OTLP-Exporter-Python/1.45\n2"),
            "OTel-OTLP-Exporter-Python/1.45 2"
        );
        let long = client(&"é".repeat(100));
        assert_eq!(long, "é".repeat(40));
    }
}
