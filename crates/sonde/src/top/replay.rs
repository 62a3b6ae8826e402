//! Plays what `sonde record` wrote, as the updates that a collector would have given.
//!
//! Invariant: what is shown follows from the file, the poll that is reached and the keys alone; the viewer's clock only says
//! which poll is reached.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use serde_json::Value;

use super::{
    session::Session,
    state::{Control, Position, TABS, Update},
};

/// Slowest and fastest.
const SPEED_MIN: f64 = 0.1;
const SPEED_MAX: f64 = 1000.0;

/// A recording that is being played.
#[derive(Debug)]
pub struct Replay {
    session: Session,
    /// The poll that is shown.
    at: usize,
    /// How much of the recording's time went by.
    passed_ms: f64,
    speed: f64,
    /// What the viewer has already.
    given: Given,
}

#[derive(Debug, Default, PartialEq)]
struct Given {
    position: Option<Position>,
    answers: [Option<u32>; TABS.len()],
    trace: Option<String>,
}

impl Replay {
    pub fn new(session: Session, speed: f64) -> Self {
        Self {
            session,
            at: 0,
            passed_ms: 0.0,
            speed,
            given: Given::default(),
        }
    }

    /// How many polls there are.
    pub const fn len(&self) -> usize {
        self.session.len()
    }

    /// What is new to the viewer after `passed` on his clock and what he wants.
    pub fn go_on(
        &mut self,
        passed: Duration,
        control: &Control,
        trace: Option<&str>,
    ) -> anyhow::Result<Vec<Update>> {
        self.speed = (self.speed * 2_f64.powi(control.faster)).clamp(SPEED_MIN, SPEED_MAX);
        let last = self.session.len() - 1;
        if control.steps != 0 {
            self.at = self.at.saturating_add_signed(control.steps).min(last);
            self.passed_ms = self.session.at_ms(self.at) as f64;
        } else if !control.is_paused {
            let most = self.session.at_ms(last) as f64;
            self.passed_ms = (self.passed_ms + passed.as_secs_f64() * 1e3 * self.speed).min(most);
            while self.at < last && self.session.at_ms(self.at + 1) as f64 <= self.passed_ms {
                self.at += 1;
            }
        }
        self.news(trace)
    }

    fn news(&mut self, trace: Option<&str>) -> anyhow::Result<Vec<Update>> {
        let position = Position {
            poll: self.at + 1,
            polls: self.session.len(),
            time_unix_ms: self.session.time_unix_ms(self.at),
            speed: self.speed,
        };
        let wanted = Given {
            position: Some(position),
            answers: self.session.answers(self.at),
            trace: trace.map(str::to_owned),
        };
        if wanted == self.given {
            return Ok(Vec::new());
        }
        let given = std::mem::replace(&mut self.given, wanted);
        let mut updates = vec![Update::Moved(position)];
        self.answers(&given.answers, &mut updates)?;
        let poll = self.session.poll(self.at)?;
        let left_out = poll.left_out.iter().map(|name| {
            format!("the answer for {name} was too large to be recorded: what is shown is older")
        });
        updates.extend(poll.failed.into_iter().chain(left_out).map(Update::Failed));
        if let Some(trace) = trace.filter(|trace| given.trace.as_deref() != Some(*trace)) {
            updates.push(Update::Why(self.account(trace)?));
        }
        Ok(updates)
    }

    /// The answers that are not those which were given.
    fn answers(
        &mut self,
        given: &[Option<u32>; TABS.len()],
        updates: &mut Vec<Update>,
    ) -> anyhow::Result<()> {
        // Several answers are often in one poll, which is read once.
        let mut polls: BTreeMap<u32, BTreeMap<String, Value>> = BTreeMap::new();
        for ((tab, wanted), given) in TABS.iter().zip(self.given.answers).zip(given) {
            if wanted == *given {
                continue;
            }
            let Some(poll) = wanted else {
                updates.push(Update::Gone(tab.answer));
                continue;
            };
            let answers = match polls.entry(poll) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.session.poll(poll as usize)?.answers),
            };
            let answer = answers.remove(tab.answer);
            updates.push(Update::Answer(tab.answer, answer.unwrap_or_default()));
        }
        Ok(())
    }

    fn account(&mut self, trace: &str) -> anyhow::Result<String> {
        let Some(poll) = self.session.account(trace) else {
            return Ok(NO_ACCOUNT.to_owned());
        };
        let mut accounts = self.session.poll(poll as usize)?.accounts;
        Ok(accounts.remove(trace).unwrap_or_default())
    }
}

const NO_ACCOUNT: &str = "The recording has no account of this trace: `sonde record` takes those of the slowest new ones of each poll.";

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::{
        super::session::{Header, Poll, Writer},
        *,
    };

    /// Three polls a second apart, of which the second had no answer and the others have one more trace each.
    fn replay() -> (TempDir, Replay) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("session.jsonl");
        let mut writer = Writer::create(&path, &Header::new(0, 1000, "15m")).unwrap();
        let traces = |count: u64| BTreeMap::from([("traces".to_owned(), json!(count))]);
        let polls = [
            Poll {
                answers: traces(1),
                accounts: BTreeMap::from([("0af7".to_owned(), "it waited".to_owned())]),
                ..Poll::default()
            },
            Poll {
                at_ms: 1000,
                failed: Some("no collector answers".to_owned()),
                ..Poll::default()
            },
            Poll {
                at_ms: 2000,
                answers: traces(2),
                left_out: vec!["logs".to_owned()],
                ..Poll::default()
            },
        ];
        for poll in &polls {
            writer.poll(poll, u64::MAX).unwrap();
        }
        let session = Session::open(&path).unwrap();
        (folder, Replay::new(session, 2.0))
    }

    /// What is given, in short.
    fn said(updates: &[Update]) -> Vec<String> {
        let word = |update: &Update| match update {
            Update::Moved(position) => {
                format!("{}/{} x{}", position.poll, position.polls, position.speed)
            }
            Update::Answer(name, answer) => format!("{name} {answer}"),
            Update::Gone(name) => format!("no {name}"),
            Update::Why(text) | Update::Failed(text) => text.chars().take(20).collect(),
        };
        updates.iter().map(word).collect()
    }

    fn after(replay: &mut Replay, ms: u64, control: Control) -> Vec<String> {
        said(
            &replay
                .go_on(Duration::from_millis(ms), &control, None)
                .unwrap(),
        )
    }

    #[test]
    fn polls_come_when_they_came_and_a_pause_holds_them() {
        let (_folder, mut replay) = replay();
        let play = Control::default;
        let paused = Control {
            is_paused: true,
            ..play()
        };
        assert_eq!(after(&mut replay, 0, play()), ["1/3 x2", "traces 1"]);
        assert!(after(&mut replay, 499, play()).is_empty());
        assert_eq!(
            after(&mut replay, 1, play()),
            ["2/3 x2", "no collector answers"]
        );
        assert!(after(&mut replay, 60_000, paused).is_empty());
        let faster = Control {
            faster: 1,
            ..play()
        };
        assert_eq!(
            after(&mut replay, 0, faster),
            ["2/3 x4", "no collector answers"]
        );
        let last = after(&mut replay, 60_000, play());
        assert_eq!(last, ["3/3 x4", "traces 2", "the answer for logs "]);
        assert!(after(&mut replay, 60_000, play()).is_empty());
    }

    #[test]
    fn steps_go_both_ways_and_end_at_the_ends() {
        let (_folder, mut replay) = replay();
        let mut step = |steps| {
            let control = Control {
                is_paused: true,
                steps,
                ..Control::default()
            };
            after(&mut replay, 1000, control)
        };
        assert_eq!(step(0), ["1/3 x2", "traces 1"]);
        assert_eq!(step(2), ["3/3 x2", "traces 2", "the answer for logs "]);
        assert!(step(1).is_empty());
        assert_eq!(step(-1), ["2/3 x2", "traces 1", "no collector answers"]);
        assert_eq!(step(isize::MIN), ["1/3 x2"]);
    }

    #[test]
    fn an_account_that_was_recorded_is_shown_and_another_is_said_to_be_missing() {
        let (_folder, mut replay) = replay();
        let mut open = |trace| {
            said(
                &replay
                    .go_on(Duration::ZERO, &Control::default(), Some(trace))
                    .unwrap(),
            )
        };
        assert_eq!(open("0af7"), ["1/3 x2", "traces 1", "it waited"]);
        assert!(open("0af7").is_empty());
        assert_eq!(open("0af8"), ["1/3 x2", "The recording has no"]);
    }
}
