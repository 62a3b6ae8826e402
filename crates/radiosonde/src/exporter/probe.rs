//! Whether the destinations of a configuration are reached: one real record of each signal is sent to each, through the very
//! exporter that a program with this configuration has, and looked for where the peer can be asked.
//!
//! What is sent says that it is a test: its service is `radiosonde-doctor`, and its attribute `radiosonde.test` is true. What a
//! destination does not take is given up at the end: nothing waits on the disk for it, and what a running program keeps
//! there is left alone.
//!
//! ```no_run
//! use radiosonde::{config::RawConfig, exporter::probe};
//!
//! let raw = RawConfig::read("radiosonde.toml".as_ref())?;
//! for destination in probe::run(raw)? {
//!     for check in destination.checks {
//!         println!("{} {} {:?}: {}", destination.name, check.check, check.verdict, check.words);
//!     }
//! }
//! # Ok::<(), radiosonde::config::ConfigErrors>(())
//! ```

mod clock;
mod read_back;
mod record;
mod speech;

use std::time::{Duration, Instant};

use self::record::Record;
use super::{ExportError, Exporter, peer::Peer};
use crate::{
    config::{Config, ConfigErrors, RawConfig},
    encode::otlp::Signal,
    init,
};

/// How long a record may be on its way where an exporter does not say how long one request may take.
const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// What was found out of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What it is called in the configuration; `otlp` for that of `[otlp]`.
    pub name: String,
    /// What kind it is, such as `zipkin`.
    pub kind: &'static str,
    /// What was tried, in order.
    pub checks: Vec<Check>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What: `open`, `traces`, `logs` or `metrics` for a record of that signal, `records` for all of them together,
    /// `read back`, or `clock`.
    pub check: &'static str,
    /// Where, without secrets, if the exporter says it.
    pub endpoint: Option<String>,
    /// How it went.
    pub verdict: Verdict,
    /// That in words.
    pub words: String,
    /// What to do about it, where it failed.
    pub mend: Option<String>,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Pass,
    /// Not well.
    Fail,
    /// Nobody can tell from here.
    Unknown,
}

impl Check {
    fn new(check: &'static str, verdict: Verdict, words: impl Into<String>, mend: &str) -> Self {
        Self {
            check,
            endpoint: None,
            verdict,
            words: words.into(),
            mend: (!mend.is_empty()).then(|| mend.to_owned()),
        }
    }
}

impl Destination {
    fn new(name: &str, kind: &'static str, checks: Vec<Check>) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            checks,
        }
    }

    /// Whether nothing failed.
    pub fn is_well(&self) -> bool {
        self.checks
            .iter()
            .all(|check| check.verdict != Verdict::Fail)
    }
}

/// Tries every destination that `raw` names: that of `[otlp]`, then those of `[[exporters]]`. Takes as long as their timeouts
/// where they do not answer. An error where the configuration itself is wrong; then nothing is sent.
pub fn run(raw: RawConfig) -> Result<Vec<Destination>, ConfigErrors> {
    let config = Config::check(raw.for_trial())?;
    let mut destinations = Vec::new();
    destinations.extend(collector(&config));
    for settings in config.exporters() {
        let checks = tried(settings.kind, &|| settings.plan.open());
        destinations.push(Destination::new(&settings.name, settings.kind, checks));
    }
    Ok(destinations)
}

fn unopened(problem: String) -> Check {
    let mend = "correct what it says in the configuration";
    Check::new("open", Verdict::Fail, problem, mend)
}

/// The destination of `[otlp]`, or the collector that is looked for where none is named; nothing where nothing is to be sent.
fn collector(config: &Config) -> Option<Destination> {
    let open = || match init::otlp_exporter(config) {
        Ok(exporter) => exporter.ok_or_else(String::new),
        Err(error) => Err(error.to_string()),
    };
    let checks = match init::otlp_exporter(config) {
        Ok(None) => return None,
        Ok(Some(_)) if !init::is_collector_found(config) => {
            let words = format!(
                "no endpoint is named, and no `sonde` answers on {}: nothing is sent",
                init::LOCAL
            );
            vec![Check::new("open", Verdict::Unknown, words, "")]
        }
        _ => tried("otlp", &open),
    };
    Some(Destination::new("otlp", "otlp", checks))
}

/// Sends a test through the exporter that `open` opens and says what became of it.
fn tried(kind: &str, open: &dyn Fn() -> Result<Box<dyn Exporter>, String>) -> Vec<Check> {
    let mut exporter = match open() {
        Ok(exporter) => exporter,
        Err(problem) => return vec![unopened(problem)],
    };
    let Some(record) = Record::new() else {
        let mend = "set this machine's clock";
        let words = "this machine's clock is before 1970";
        return vec![Check::new("clock", Verdict::Fail, words, mend)];
    };
    let peers = exporter.peers();
    if peers.is_empty() {
        return vec![whole(&mut *exporter, &record)];
    }
    let mut checks = Vec::new();
    for (at, peer) in peers.iter().enumerate() {
        // A new one for each: what waits for one peer would be told with the next.
        if at > 0 {
            match open() {
                Ok(again) => exporter = again,
                Err(problem) => return vec![unopened(problem)],
            }
        }
        let mut took = false;
        let mut is_away = false;
        for &signal in &peer.signals {
            let mut check = if is_away {
                Check::new(signal.name(), Verdict::Unknown, "not tried after that", "")
            } else {
                written(&mut *exporter, &record, signal, peer, &mut is_away)
            };
            took |= check.verdict == Verdict::Pass;
            check.endpoint = Some(peer.endpoint());
            checks.push(check);
        }
        if took {
            checks.push(read_back::look(kind, peer, &record));
            checks.push(clock::look(peer));
        }
    }
    if checks.is_empty() {
        let words = "nothing is sent there: `signals` names none of what it takes";
        checks.push(Check::new("open", Verdict::Unknown, words, ""));
    }
    checks
}

/// An exporter that does not say who its peers are gets everything at once.
fn whole(exporter: &mut dyn Exporter, record: &Record) -> Check {
    let sent = Signal::ALL
        .into_iter()
        .try_for_each(|signal| sent(exporter, record, signal, WRITE_WITHIN));
    match sent {
        Ok(()) => Check::new("records", Verdict::Pass, "accepted", ""),
        Err(Refusal { words, .. }) => {
            let mend = mend(&words);
            Check::new("records", Verdict::Fail, words, mend)
        }
    }
}

/// Sends what the test has of `signal` to `peer`. Says in `is_away` whether anything else would fail like it.
fn written(
    exporter: &mut dyn Exporter,
    record: &Record,
    signal: Signal,
    peer: &Peer,
    is_away: &mut bool,
) -> Check {
    let what = match signal {
        Signal::Traces => "a span was accepted",
        Signal::Logs => "a log was accepted",
        Signal::Metrics => "a gauge was accepted",
    };
    let check = signal.name();
    let refusal = match sent(exporter, record, signal, peer.timeout) {
        Ok(()) => return Check::new(check, Verdict::Pass, what, ""),
        Err(refusal) => refusal,
    };
    *is_away = refusal.waits;
    let words = refusal.words;
    // Who answers in words that are understood is no other program.
    if is_understood(&words) {
        let mend = mend(&words);
        return Check::new(check, Verdict::Fail, words, mend);
    }
    match speech::of(&peer.url) {
        Err(error) => {
            let words = format!("{words}; no connection: {error}");
            Check::new(check, Verdict::Fail, words, unconnected(&error))
        }
        Ok(speech) => {
            if let Some((wrong, mend)) = speech.against(&peer.url, peer.is_grpc) {
                Check::new(check, Verdict::Fail, format!("{words}; {wrong}"), &mend)
            } else {
                let mend = mend(&words);
                Check::new(check, Verdict::Fail, words, mend)
            }
        }
    }
}

/// Why a record did not arrive.
struct Refusal {
    words: String,
    /// It would be tried again: whatever else goes there would wait too.
    waits: bool,
}

impl Refusal {
    fn new(error: &ExportError, waits: bool) -> Self {
        let words = match error {
            // The destination is in the check already.
            ExportError::Noticed { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        // What a flush says of what waits is not true of a test, which is given up.
        let words = match words.rsplit_once("; ") {
            Some((why, rest)) if waits && rest.contains("records wait") => why.to_owned(),
            _ => words,
        };
        let words = words.replace("; will be tried again", "");
        Self { words, waits }
    }
}

fn sent(
    exporter: &mut dyn Exporter,
    record: &Record,
    signal: Signal,
    within: Duration,
) -> Result<(), Refusal> {
    let taken = match signal {
        Signal::Traces => exporter.export(&record.span()),
        Signal::Logs => exporter.export(&record.log()),
        Signal::Metrics => exporter.export_metrics(&record.gauge()),
    };
    taken.map_err(|error| Refusal::new(&error, false))?;
    exporter
        .flush_by(Instant::now() + within)
        .map_err(|error| Refusal::new(&error, true))?;
    // What was refused for good is told with the next call.
    exporter
        .export(&record.nothing())
        .map_err(|error| Refusal::new(&error, false))
}

/// Whether the peer said something about who sends or how much, so that its language is the right one.
fn is_understood(words: &str) -> bool {
    let known = [
        "HTTP 401",
        "HTTP 403",
        "HTTP 413",
        "HTTP 429",
        "gRPC Unauthenticated",
        "gRPC PermissionDenied",
        "gRPC ResourceExhausted",
    ];
    known.iter().any(|begin| words.contains(begin))
}

/// What to do about a refusal.
fn mend(words: &str) -> &'static str {
    const MENDS: [(&[&str], &str); 7] = [
        (
            &[
                "HTTP 401",
                "HTTP 403",
                "gRPC Unauthenticated",
                "gRPC PermissionDenied",
            ],
            "give it a key that may write there: token_env, user and password_env, or headers",
        ),
        (
            &["HTTP 404", "HTTP 405", "gRPC Unimplemented"],
            "nothing takes telemetry at that path: correct the endpoint, or turn on what receives it at the peer",
        ),
        (
            &["HTTP 413"],
            "lower batch_records, or raise the peer's limit of a request",
        ),
        (
            &["HTTP 429", "gRPC ResourceExhausted"],
            "the peer takes less than it is sent: raise its limits, or choose less by signals, filter and metrics",
        ),
        (
            &["HTTP 30"],
            "the peer sends elsewhere: write that address as the endpoint",
        ),
        (
            &["certificate", "UnknownIssuer", "NotValidForName", "alert"],
            "name the authority of its certificate as certificate = \"FILE.pem\", call the peer by the name that its certificate has, or \
             give a client_certificate where it asks for one",
        ),
        (
            &["HTTP 5", "gRPC Unavailable", "gRPC Internal"],
            "the peer is there and cannot take it: look at its own log",
        ),
    ];
    let known = MENDS
        .iter()
        .find(|(signs, _)| signs.iter().any(|sign| words.contains(sign)));
    known.map_or(
        "look at the peer's own log, and whether a proxy is between",
        |(_, mend)| mend,
    )
}

/// What to do where there is no connection.
fn unconnected(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;

    match error.kind() {
        ErrorKind::ConnectionRefused => {
            "nothing listens there: start the peer, or correct host and port of the endpoint"
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            "nothing comes back from there: a firewall is between, or the host is wrong"
        }
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "the peer closes the connection: look at its own log"
        }
        _ => "correct the host of the endpoint, or this machine's name service",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_has_its_mend() {
        for (words, expected) in [
            ("HTTP 401 Unauthorized: who are you", "token_env"),
            ("gRPC PermissionDenied: no", "token_env"),
            ("HTTP 404 Not Found", "correct the endpoint"),
            (
                "io: invalid peer certificate: UnknownIssuer",
                "certificate = ",
            ),
            ("HTTP 503 Service Unavailable", "its own log"),
            ("no idea", "a proxy"),
        ] {
            assert!(mend(words).contains(expected), "{words}: {}", mend(words));
        }
    }
}
