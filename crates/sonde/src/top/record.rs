//! `sonde record`: asks a collector what `sonde top` would show on any of its tabs, again and again, and writes it into a file.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;
use serde_json::Value;

use super::{
    feed,
    session::{ACCOUNTS_MAX, Header, POLLS_MAX, Poll, Writer},
    state::TABS,
};
use crate::{
    cli::{Format, top::RecordArguments},
    collector::Collector,
    text::{self, list, member},
};

/// Longest answer that is written; a larger one is left out and counted.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most accounts of traces in a poll: each is a question of its own.
const ACCOUNTS_A_POLL: usize = 4;
/// How long it takes at most until the end that was asked for is seen.
const STEP: Duration = Duration::from_millis(20);

/// What was recorded.
#[derive(Debug, Default, Serialize)]
struct Report {
    polls: usize,
    /// Polls to which there was no answer.
    failed: usize,
    accounts: usize,
    /// Answers that were too large.
    left_out: usize,
    bytes: u64,
    bytes_a_poll_max: u64,
    elapsed_ms: u64,
    /// Why it ended.
    ended: &'static str,
}

/// Records until it is told to end, and says what.
pub fn run(arguments: &RecordArguments) -> anyhow::Result<String> {
    let mut asking = Asking::new(Collector::new(&arguments.collector)?, &arguments.window);
    let (began, began_unix) = (Instant::now(), SystemTime::now());
    // Before there is a file: where nobody answers, none is wanted.
    let mut poll = asking.poll(0);
    if let Some(failed) = poll.failed.take() {
        anyhow::bail!(failed);
    }
    let is_told = told_to_end()?;
    let started = began_unix.duration_since(SystemTime::UNIX_EPOCH);
    let started_unix_ms = started.unwrap_or_default().as_millis() as u64;
    let header = Header::new(
        started_unix_ms,
        arguments.every.as_millis() as u64,
        &arguments.window,
    );
    let mut writer = Writer::create(&arguments.file, &header)?;
    let mut report = Report::default();
    loop {
        let Some(bytes) = writer.poll(&poll, arguments.max_size)? else {
            report.ended = "the file would be larger than --max-size";
            break;
        };
        if report.take(&poll, bytes) == 1 {
            announce(arguments, bytes);
        }
        if report.polls == POLLS_MAX {
            report.ended = "there are as many polls as a file may have";
            break;
        }
        let next = began.checked_add(arguments.every.saturating_mul(report.polls as u32));
        if let Some(ended) = wait(arguments, began, next, &is_told) {
            report.ended = ended;
            break;
        }
        poll = asking.poll(began.elapsed().as_millis() as u64);
    }
    report.bytes = writer.bytes();
    report.elapsed_ms = began.elapsed().as_millis() as u64;
    Ok(match arguments.format {
        Format::Json => text::json(&serde_json::to_value(&report)?),
        Format::Text => report.words(&arguments.file.display().to_string()),
    })
}

/// Waits until it is time for the next poll; says why there is none.
fn wait(
    arguments: &RecordArguments,
    began: Instant,
    next: Option<Instant>,
    is_told: &AtomicBool,
) -> Option<&'static str> {
    loop {
        if is_told.load(Relaxed) {
            return Some("it was told to end");
        }
        let is_long_enough = |length: Duration| began.elapsed() >= length;
        if arguments.length.is_some_and(is_long_enough) {
            return Some("it took as long as --for says");
        }
        let rest = next.map_or(Duration::MAX, |next| {
            next.saturating_duration_since(Instant::now())
        });
        if rest.is_zero() {
            return None;
        }
        thread::sleep(rest.min(STEP));
    }
}

fn announce(arguments: &RecordArguments, bytes: u64) {
    let until = if arguments.length.is_some() {
        ""
    } else {
        " until Ctrl-C"
    };
    // A terminal that is gone ends no recording.
    let _ = writeln!(
        io::stderr(),
        "sonde: recording into {}{until}; the first poll takes {}, and there is one every {:?}; at most {}",
        arguments.file.display(),
        bytes_in_words(bytes),
        arguments.every,
        bytes_in_words(arguments.max_size)
    );
}

fn bytes_in_words(bytes: u64) -> String {
    radiosonde_answers::units::Bytes(bytes as i64).to_string()
}

impl Report {
    /// Counts a poll; says how many there are.
    fn take(&mut self, poll: &Poll, bytes: u64) -> usize {
        self.polls += 1;
        self.failed += usize::from(poll.failed.is_some());
        self.accounts += poll.accounts.len();
        self.left_out += poll.left_out.len();
        self.bytes_a_poll_max = self.bytes_a_poll_max.max(bytes);
        self.polls
    }

    fn words(&self, file: &str) -> String {
        let Self {
            polls,
            failed,
            accounts,
            left_out,
            ..
        } = self;
        let mut out = format!(
            "{polls} polls in {:.1} s, {}: {} a poll, at most {}; {accounts} accounts of traces. It ended because {}.\n",
            self.elapsed_ms as f64 / 1e3,
            bytes_in_words(self.bytes),
            bytes_in_words(self.bytes / (*polls).max(1) as u64),
            bytes_in_words(self.bytes_a_poll_max),
            self.ended
        );
        // Writing to a string does not fail.
        if *failed > 0 {
            let _ = writeln!(
                out,
                "{failed} polls had no answer; the replay says so where it was."
            );
        }
        if *left_out > 0 {
            let most = bytes_in_words(ANSWER_BYTES_MAX as u64);
            let _ = writeln!(
                out,
                "{left_out} answers were larger than {most} and are not in it."
            );
        }
        let _ = writeln!(out, "Look at it: sonde top --replay {file}");
        out
    }
}

/// Asks a collector, and knows what it answered before.
struct Asking {
    collector: Collector,
    from: String,
    /// The answers that were given last.
    last: BTreeMap<&'static str, Value>,
    /// Traces whose accounts are recorded, or could not be given.
    accounted: HashSet<String>,
}

impl Asking {
    fn new(collector: Collector, window: &str) -> Self {
        Self {
            collector,
            from: format!("-{window}"),
            last: BTreeMap::new(),
            accounted: HashSet::new(),
        }
    }

    /// What every tab shows now, where that is not what it showed before.
    fn poll(&mut self, at_ms: u64) -> Poll {
        let mut poll = Poll {
            at_ms,
            ..Poll::default()
        };
        for tab in TABS {
            match feed::answer(&self.collector, &self.from, tab.answer) {
                Ok(answer) => self.take(tab.answer, answer, &mut poll),
                Err(error) => {
                    poll.failed = Some(format!("{error:#}"));
                    return poll;
                }
            }
        }
        self.accounts(&mut poll);
        poll
    }

    fn take(&mut self, name: &'static str, answer: Value, poll: &mut Poll) {
        if self.last.get(name) == Some(&answer) {
            return;
        }
        if answer.to_string().len() > ANSWER_BYTES_MAX {
            poll.left_out.push(name.to_owned());
            return;
        }
        poll.answers.insert(name.to_owned(), answer.clone());
        self.last.insert(name, answer);
    }

    /// The accounts of the slowest traces that have none yet.
    fn accounts(&mut self, poll: &mut Poll) {
        let listed = self.last.get("traces").unwrap_or(&Value::Null);
        let is_new = |trace: &&Value| !self.accounted.contains(&member(trace, "trace_id"));
        let mut new: Vec<&Value> = list(listed, "traces").iter().filter(is_new).collect();
        new.sort_by_key(|trace| std::cmp::Reverse(trace["duration_ns"].as_u64()));
        let ids = new.iter().map(|trace| member(trace, "trace_id"));
        let room = ACCOUNTS_MAX.saturating_sub(self.accounted.len());
        for id in ids.take(ACCOUNTS_A_POLL.min(room)).collect::<Vec<_>>() {
            if let Ok(account) = feed::account(&self.collector, &id) {
                poll.accounts.insert(id.clone(), account);
            }
            self.accounted.insert(id);
        }
    }
}

/// Turns true at SIGINT and SIGTERM; a second one ends the program at once.
#[cfg(unix)]
fn told_to_end() -> io::Result<Arc<AtomicBool>> {
    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        flag,
    };
    let is_told = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&is_told))?;
        flag::register(signal, Arc::clone(&is_told))?;
    }
    Ok(is_told)
}

/// Elsewhere the program is ended, and what it wrote is whole but for the last line at most.
#[cfg(not(unix))]
fn told_to_end() -> io::Result<Arc<AtomicBool>> {
    Ok(Arc::default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_did_not_change_is_not_written_again_and_what_is_too_large_is_left_out() {
        let mut asking = Asking::new(Collector::at("http://127.0.0.1:1"), "15m");
        let mut take = |answer: Value| {
            let mut poll = Poll::default();
            asking.take("logs", answer, &mut poll);
            (poll.answers.len(), poll.left_out.len())
        };
        assert_eq!(take(json!({"n": 1})), (1, 0));
        assert_eq!(take(json!({"n": 1})), (0, 0));
        assert_eq!(take(json!("x".repeat(ANSWER_BYTES_MAX))), (0, 1));
        assert_eq!(take(json!({"n": 2})), (1, 0));
    }

    #[test]
    fn where_nobody_answers_the_poll_says_so() {
        let mut asking = Asking::new(Collector::at("http://127.0.0.1:1"), "15m");
        let failed = asking.poll(7).failed.unwrap();
        assert!(failed.contains("no collector answers"), "{failed}");
    }

    #[test]
    fn the_report_says_how_much_it_was() {
        let mut report = Report {
            bytes: 3000,
            elapsed_ms: 2100,
            ended: "it was told to end",
            ..Report::default()
        };
        let failed = Poll {
            failed: Some(String::new()),
            left_out: vec!["logs".to_owned()],
            ..Poll::default()
        };
        assert_eq!(
            (
                report.take(&Poll::default(), 2048),
                report.take(&failed, 100)
            ),
            (1, 2)
        );
        insta::assert_snapshot!(report.words("a.jsonl"));
    }
}
