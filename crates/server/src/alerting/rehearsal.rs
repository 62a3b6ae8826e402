//! What rules would have done over what is kept: the same machines, driven by times that are past.
//!
//! Invariant: the same readings, rules and times give the same answer, and the one that a server that ran then gave, but for
//! receivers: here every message arrives at once.

use std::{collections::BTreeMap, time::Duration};

use radiosonde_answers::alerts::{
    Change, Engine, Rule, Window,
    noise::{Noise, noise},
    payload::Message,
    routing::{Held, Outcome, Plan},
};
use radiosonde_notify::Alarms;
use radiosonde_store::Store;
use serde::Serialize;
use serde_json::Value;

use super::{Measured, STEP, feed};
use crate::problem::Problem;

/// Longest time that is gone through.
const LENGTH_MAX: Duration = Duration::from_hours(24 * 31);
/// Most changes and messages that are shown, of each.
const SHOWN_MAX: usize = 1_000;

/// What would have been.
#[derive(Debug, Serialize)]
pub(crate) struct Rehearsal {
    /// How often the rules were evaluated.
    evaluations: u64,
    /// What began to fire and was resolved, in order.
    changes: Vec<Change>,
    /// Who would have been told what, in order.
    messages: Vec<Told>,
    /// What was kept back at the end, and why.
    held: Vec<Held>,
    /// How noisy each rule would have been.
    noise: Vec<(String, Noise)>,
    /// Changes and messages that are not shown.
    left_out: usize,
}

/// A message that would have been sent.
#[derive(Debug, Serialize)]
struct Told {
    time_unix_ns: u64,
    receiver: String,
    kind: &'static str,
    group_key: String,
    alerts: usize,
    /// What would have been sent: the JSON of a request, or the text of a mail.
    payload: Value,
}

/// Goes through the readings between two times.
pub(crate) fn rehearse(
    store: &Store,
    rules: &[Rule],
    plan: Plan,
    external_url: &str,
    from_unix_ns: u64,
    until_unix_ns: u64,
) -> Result<Rehearsal, Problem> {
    let length = Duration::from_nanos(until_unix_ns.saturating_sub(from_unix_ns));
    if length.is_zero() || length > LENGTH_MAX {
        let mend = "give a `from` before `to`, at most 31 days before";
        return Err(Problem::bad_request(
            "there is no such time to rehearse",
            mend,
        ));
    }
    let failed =
        |words: String| Problem::bad_request(words, "ask for a shorter time, or other rules");
    let metrics = feed::metrics(rules);
    let engine = Engine::new(rules.to_vec()).map_err(|faults| {
        let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
        failed(words.join("\n"))
    })?;
    let mut run = Run {
        alarms: Alarms::new(engine, plan, external_url),
        store,
        window: Window::new(feed::LIMITS),
        next_unix_ns: from_unix_ns,
        evaluations: 0,
        changes: Vec::new(),
        messages: Vec::new(),
        left_out: 0,
    };
    let begin = from_unix_ns.saturating_sub(feed::SPAN.as_nanos() as u64);
    let read = feed::history(
        store,
        &metrics,
        begin,
        until_unix_ns,
        |metric, labels, read| {
            run.advance(read.time_unix_ns);
            run.window.push(metric, labels, read);
        },
    );
    read.map_err(failed)?;
    run.advance(until_unix_ns.saturating_add(1));
    let noise = rules
        .iter()
        .map(|rule| {
            (
                rule.name.clone(),
                noise(rule, &run.changes, &BTreeMap::default()),
            )
        })
        .collect();
    let held = run.alarms.router().held(until_unix_ns);
    Ok(Rehearsal {
        evaluations: run.evaluations,
        changes: run.changes,
        messages: run.messages,
        held,
        noise,
        left_out: run.left_out,
    })
}

struct Run<'s> {
    alarms: Alarms,
    store: &'s Store,
    window: Window,
    next_unix_ns: u64,
    evaluations: u64,
    changes: Vec<Change>,
    messages: Vec<Told>,
    left_out: usize,
}

impl Run<'_> {
    /// Evaluates at every step before `time`.
    fn advance(&mut self, time_unix_ns: u64) {
        while self.next_unix_ns < time_unix_ns {
            let now = self.next_unix_ns;
            self.next_unix_ns += STEP.as_nanos() as u64;
            self.evaluations += 1;
            let measured = Measured {
                window: &self.window,
                store: self.store,
            };
            let (changes, due) = self.alarms.step_with_changes(&measured, now);
            for change in changes {
                if self.changes.len() < SHOWN_MAX {
                    self.changes.push(change);
                } else {
                    self.left_out += 1;
                }
            }
            for due in due {
                self.alarms
                    .answered(due.notification.id, Outcome::Delivered, now);
                if self.messages.len() == SHOWN_MAX {
                    self.left_out += 1;
                    continue;
                }
                self.messages.push(Told {
                    time_unix_ns: now,
                    receiver: due.notification.receiver.clone(),
                    kind: due.receiver.kind(),
                    group_key: due.notification.group_key.clone(),
                    alerts: due.notification.alerts.len(),
                    payload: payload(&due.message),
                });
            }
        }
    }
}

fn payload(message: &Message) -> Value {
    match message {
        Message::Http(request) => serde_json::from_slice(&request.body).unwrap_or_default(),
        Message::Mail(mail) => Value::String(format!("{}\n\n{}", mail.subject, mail.text)),
    }
}
