//! Who asked what: kept in the store as events of the service `sonde`, and read back like all others.
//!
//! A question is one record. Those who send telemetry are counted, one record each minute for each sender. Bounded, so that
//! nobody fills the store by asking: of a minute's records there are at most so many, those of refused requests apart, so that
//! strangers do not crowd out whom we know; what is left out is counted, and the count is a record. Nothing that a request
//! brings is in a record but its method, its path, shortened, and the address that it came from.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use radiosonde_store::{
    Rows, Store,
    row::{LogRow, Origin, Value},
};
use tokio::{sync::watch, task::spawn_blocking, time};

/// What the records are called.
const EVENT: &str = "sonde.access";
/// Whose they are.
const ORIGIN: Origin<'static> = Origin {
    service: "sonde",
    resource: r#"{"service.name":"sonde"}"#,
    scope: "radiosonde.server.access",
};

/// Most records of a minute about questions that were answered, and about requests that were refused.
const ANSWERED_MAX: usize = 600;
const REFUSED_MAX: usize = 60;
/// Most senders that are counted in a minute, each port apart; so many of those who are let in, and of those who are not.
const SENDERS_MAX: usize = 1000;
/// Most bytes of a path.
const PATH_BYTES_MAX: usize = 200;
/// How often records are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(2);
/// How long senders are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// OpenTelemetry's severities of what went as it should, and of what did not.
const INFO: i8 = 9;
const WARN: i8 = 13;

/// Who came, where, and whether it was let in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Caller {
    /// A key's name, `certificate` with its SHA-256, `loopback`, or `nobody`.
    pub(crate) by: String,
    /// What it is there for; empty where nobody knows.
    pub(crate) role: &'static str,
    /// The address that it came from, without the port.
    pub(crate) client: String,
    /// What it came to: `otlp_grpc`, `otlp_http` or `page`.
    pub(crate) port: &'static str,
    pub(crate) is_allowed: bool,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    time_unix_ns: i64,
    caller: Caller,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// A question, and HTTP's status of the answer.
    Asked {
        method: String,
        path: String,
        status: u16,
    },
    /// So many requests with telemetry.
    Sent(u64),
    /// So many of which there is no record.
    LeftOut(u64),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Audit {
    store: Arc<Store>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What is not written yet.
    waiting: Vec<Record>,
    minute: Minute,
}

/// What there was since the minute began.
#[derive(Debug)]
struct Minute {
    began: Instant,
    answered: usize,
    refused: usize,
    senders: BTreeMap<Caller, u64>,
    /// Apart, because strangers may come from more addresses than there are places.
    strangers: BTreeMap<Caller, u64>,
    left_out: u64,
    left_out_refused: u64,
}

impl Minute {
    const fn new(began: Instant) -> Self {
        Self {
            began,
            answered: 0,
            refused: 0,
            senders: BTreeMap::new(),
            strangers: BTreeMap::new(),
            left_out: 0,
            left_out_refused: 0,
        }
    }

    /// Counts what there is no record of.
    const fn leave_out(&mut self, is_allowed: bool, count: u64) {
        let counter = if is_allowed {
            &mut self.left_out
        } else {
            &mut self.left_out_refused
        };
        *counter = counter.saturating_add(count);
    }
}

impl State {
    fn new() -> Self {
        Self {
            waiting: Vec::new(),
            minute: Minute::new(Instant::now()),
        }
    }

    fn asked(&mut self, caller: Caller, method: &str, path: &str, status: u16) {
        let (count, most) = if caller.is_allowed {
            (&mut self.minute.answered, ANSWERED_MAX)
        } else {
            (&mut self.minute.refused, REFUSED_MAX)
        };
        if *count >= most {
            self.minute.leave_out(caller.is_allowed, 1);
            return;
        }
        *count += 1;
        let what = What::Asked {
            method: shortened(method),
            path: shortened(path),
            status,
        };
        self.push(caller, what);
    }

    fn sent(&mut self, caller: Caller) {
        let senders = if caller.is_allowed {
            &mut self.minute.senders
        } else {
            &mut self.minute.strangers
        };
        if let Some(count) = senders.get_mut(&caller) {
            *count += 1;
        } else if senders.len() < SENDERS_MAX {
            senders.insert(caller, 1);
        } else {
            self.minute.leave_out(caller.is_allowed, 1);
        }
    }

    fn push(&mut self, caller: Caller, what: What) {
        let time_unix_ns = now_unix_ns();
        self.waiting.push(Record {
            time_unix_ns,
            caller,
            what,
        });
    }

    /// Makes records of what was counted, and begins to count anew.
    fn end_minute(&mut self) {
        let minute = mem::replace(&mut self.minute, Minute::new(Instant::now()));
        for (caller, count) in minute.senders.into_iter().chain(minute.strangers) {
            self.push(caller, What::Sent(count));
        }
        let left_out = [(true, minute.left_out), (false, minute.left_out_refused)];
        for (is_allowed, count) in left_out {
            if count > 0 {
                let caller = Caller {
                    by: "others".to_owned(),
                    role: "",
                    client: String::new(),
                    port: "",
                    is_allowed,
                };
                self.push(caller, What::LeftOut(count));
            }
        }
    }
}

impl Audit {
    /// An audit that is kept in `store`.
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            state: Mutex::new(State::new()),
        }
    }

    /// Notes a question, and what it was answered with.
    pub(super) fn asked(&self, caller: Caller, method: &str, path: &str, status: u16) {
        self.lock().asked(caller, method, path, status);
    }

    /// Notes a request with telemetry.
    pub(super) fn sent(&self, caller: Caller) {
        self.lock().sent(caller);
    }

    /// Writes what is noted, until the server stops.
    pub(crate) async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut writes = time::interval(WRITE_INTERVAL);
        writes.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = async { drop(stopping.wait_for(|stops| *stops).await) } => return,
                _ = writes.tick() => {}
            }
            let audit = Arc::clone(&self);
            // Where it was ended by a panic, the next one goes on.
            let _ = spawn_blocking(move || {
                let is_over = audit.lock().minute.began.elapsed() >= MINUTE;
                audit.write(is_over);
            })
            .await;
        }
    }

    /// Writes all that is noted, and also what is still counted.
    pub(crate) fn finish(&self) {
        self.write(true);
    }

    fn write(&self, is_minute_over: bool) {
        let waiting = {
            let mut state = self.lock();
            if is_minute_over {
                state.end_minute();
            }
            mem::take(&mut state.waiting)
        };
        if waiting.is_empty() {
            return;
        }
        let mut rows = Rows::default();
        waiting.iter().for_each(|record| record.add_to(&mut rows));
        if self.store.append(rows).is_err() {
            // The next record that can be written says that these could not.
            let mut state = self.lock();
            for record in waiting {
                let count = match record.what {
                    What::Asked { .. } => 1,
                    What::Sent(count) | What::LeftOut(count) => count,
                };
                state.minute.leave_out(record.caller.is_allowed, count);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// As it is kept.
    fn add_to(&self, rows: &mut Rows) {
        let Caller {
            by,
            role,
            client,
            port,
            is_allowed,
        } = &self.caller;
        let outcome = if *is_allowed { "allowed" } else { "refused" };
        let text = Value::Text;
        let mut attributes = vec![("access.by", text(by)), ("access.outcome", text(outcome))];
        let known = [
            ("access.role", *role),
            ("client.address", client.as_str()),
            ("access.port", *port),
        ];
        let known = known.into_iter().filter(|(_, value)| !value.is_empty());
        attributes.extend(known.map(|(name, value)| (name, text(value))));
        let body = match &self.what {
            What::Asked {
                method,
                path,
                status,
            } => {
                attributes.extend([
                    ("http.request.method", text(method)),
                    ("url.path", text(path)),
                    ("http.response.status_code", Value::Int(i64::from(*status))),
                ]);
                format!("{by} {outcome}: {method} {path} {status}")
            }
            What::Sent(count) => {
                attributes.push(("access.requests", number(*count)));
                format!("{by} {outcome}: {count} x telemetry to {port}")
            }
            What::LeftOut(count) => {
                attributes.push(("access.left_out", number(*count)));
                format!("{outcome}: {count} more, of which there is no record")
            }
        };
        rows.log(&LogRow {
            origin: ORIGIN,
            time_unix_ns: self.time_unix_ns,
            trace_id: None,
            span_id: None,
            severity: if *is_allowed { INFO } else { WARN },
            event_name: EVENT,
            body: &body,
            attributes: &attributes,
        });
    }
}

fn number(count: u64) -> Value<'static> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A text of a request, printable and not longer than it may be.
fn shortened(text: &str) -> String {
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut short = String::new();
    for letter in text.chars().map(printable) {
        if short.len() + letter.len_utf8() > PATH_BYTES_MAX {
            break;
        }
        short.push(letter);
    }
    short
}

fn now_unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(by: &str, is_allowed: bool) -> Caller {
        Caller {
            by: by.to_owned(),
            role: "viewer",
            client: "10.0.0.7".to_owned(),
            port: "page",
            is_allowed,
        }
    }

    fn left_out(state: &State) -> Vec<(bool, u64)> {
        let counts = state.waiting.iter().filter_map(|record| match record.what {
            What::LeftOut(count) => Some((record.caller.is_allowed, count)),
            _ => None,
        });
        counts.collect()
    }

    #[test]
    fn strangers_do_not_crowd_out_those_who_are_known() {
        let mut state = State::new();
        for _ in 0..REFUSED_MAX + 5 {
            state.asked(caller("nobody", false), "GET", "/api/v1/status", 401);
        }
        for _ in 0..ANSWERED_MAX + 2 {
            state.asked(caller("grafana", true), "GET", "/api/v1/status", 200);
        }
        assert_eq!(state.waiting.len(), REFUSED_MAX + ANSWERED_MAX);
        state.end_minute();
        assert_eq!(left_out(&state), [(true, 2), (false, 5)]);
        state.waiting.clear();
        state.asked(caller("grafana", true), "GET", "/api/v1/status", 200);
        state.end_minute();
        assert_eq!((state.waiting.len(), left_out(&state)), (1, vec![]));
    }

    #[test]
    fn senders_are_counted_and_there_are_not_too_many() {
        let mut state = State::new();
        for number in 0..SENDERS_MAX + 3 {
            state.sent(caller(&format!("gpu-{number}"), true));
            state.sent(caller("gpu-0", true));
        }
        state.end_minute();
        let first = state
            .waiting
            .iter()
            .find(|record| record.caller.by == "gpu-0");
        let expected = What::Sent(SENDERS_MAX as u64 + 4);
        assert_eq!(first.map(|record| &record.what), Some(&expected));
        assert_eq!(left_out(&state), [(true, 3)]);
        assert_eq!(state.waiting.len(), SENDERS_MAX + 1);
    }

    #[test]
    fn strangers_who_send_from_many_addresses_take_no_place_of_who_is_known() {
        let mut state = State::new();
        for number in 0..SENDERS_MAX + 3 {
            let client = format!("2001:db8::{number:x}");
            state.sent(Caller {
                client,
                ..caller("nobody", false)
            });
        }
        state.sent(caller("gpu-7", true));
        state.end_minute();
        assert_eq!(left_out(&state), [(false, 3)]);
        let mut known = state.waiting.iter();
        assert!(known.any(|record| record.caller.by == "gpu-7"));
    }

    #[test]
    fn a_path_is_short_and_printable() {
        let long = shortened(&format!("/\n{}", "é".repeat(200)));
        assert!(
            long.starts_with("/ é") && long.len() <= PATH_BYTES_MAX,
            "{long}"
        );
    }

    #[test]
    fn records_are_kept_and_read_back() {
        let folder = tempfile::TempDir::new().unwrap();
        let config = radiosonde_store::Config::new(folder.path());
        let audit = Audit::new(Arc::new(Store::open(config).unwrap()));
        audit.asked(caller("grafana", true), "GET", "/api/v1/traces", 200);
        audit.sent(caller("gpu-7", true));
        audit.finish();
        let statement = "SELECT body FROM logs WHERE event_name = 'sonde.access' AND service = 'sonde' ORDER BY body";
        let answer = audit
            .store
            .sql(statement, radiosonde_store::query::Limits::default())
            .unwrap();
        let said = format!("{:?}", answer.rows);
        assert_eq!(answer.rows.len(), 2, "{said}");
        assert!(
            said.contains("grafana allowed: GET /api/v1/traces 200"),
            "{said}"
        );
        assert!(
            said.contains("gpu-7 allowed: 1 x telemetry to page"),
            "{said}"
        );
    }
}
