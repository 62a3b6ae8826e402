//! What is shown, and what keys do to it.

use std::collections::{BTreeMap, BTreeSet};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use super::rows::{self, Line};

/// What came from the collector.
#[derive(Clone, Debug)]
pub enum Update {
    /// The answer to a question, by its name.
    Answer(&'static str, Value),
    /// The account of the trace that is open.
    Why(String),
    /// There was no answer.
    Failed(String),
    /// Of a recording another poll is shown.
    Moved(Position),
    /// At this poll of a recording there was no such answer yet.
    Gone(&'static str),
}

/// Where in a recording it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// The number of the poll, from 1.
    pub poll: usize,
    /// How many there are.
    pub polls: usize,
    /// When it was.
    pub time_unix_ms: u64,
    /// How many times as fast as it was.
    pub speed: f64,
}

/// What keys said about how a recording is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Nothing moves by itself.
    pub is_paused: bool,
    /// Polls forward, or back.
    pub steps: isize,
    /// How often the speed is doubled, or halved.
    pub faster: i32,
}

/// What the collector is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name of the list.
    pub list: &'static str,
    /// The trace that is open.
    pub trace: Option<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            list: TABS[0].answer,
            trace: None,
        }
    }
}

/// A tab: how it is called, and the answer that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tab {
    pub title: &'static str,
    pub answer: &'static str,
}

/// The tabs, in the order of their keys.
pub const TABS: [Tab; 6] = [
    Tab {
        title: "Operations",
        answer: "overview",
    },
    Tab {
        title: "Traces",
        answer: "traces",
    },
    Tab {
        title: "Logs",
        answer: "logs",
    },
    Tab {
        title: "Engines",
        answer: "engines",
    },
    Tab {
        title: "Queues",
        answer: "queues",
    },
    Tab {
        title: "Doctor",
        answer: "doctor",
    },
];

/// All that is shown.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key that turns something on and off by itself"
)]
pub struct State {
    tab: usize,
    answers: BTreeMap<&'static str, Value>,
    /// The selected line of each tab.
    selected: [usize; TABS.len()],
    /// Lines of engines and queues that are open, by their path.
    open: BTreeSet<String>,
    /// The trace that is open, and its account when it has come.
    trace: Option<(String, Option<String>)>,
    /// How far its account is scrolled.
    scrolled: usize,
    is_sidebar_hidden: bool,
    is_paused: bool,
    is_help_shown: bool,
    is_ended: bool,
    failure: Option<String>,
    /// Where it is, of a recording.
    position: Option<Position>,
    /// What keys said and nobody has taken yet.
    steps: isize,
    faster: i32,
}

impl State {
    pub const fn is_ended(&self) -> bool {
        self.is_ended
    }

    pub const fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub const fn is_help_shown(&self) -> bool {
        self.is_help_shown
    }

    pub const fn has_sidebar(&self) -> bool {
        !self.is_sidebar_hidden
    }

    pub const fn position(&self) -> Option<Position> {
        self.position
    }

    /// Holds everything until `p` is pressed.
    pub const fn pause(&mut self) {
        self.is_paused = true;
    }

    /// How a recording is to be played; what was said once is given once.
    pub fn control(&mut self) -> Control {
        Control {
            is_paused: self.is_paused,
            steps: std::mem::take(&mut self.steps),
            faster: std::mem::take(&mut self.faster),
        }
    }

    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    pub const fn tab(&self) -> usize {
        self.tab
    }

    pub const fn selected(&self) -> usize {
        self.selected[self.tab]
    }

    /// The answer of this name, where it has come.
    pub fn answer(&self, name: &str) -> Option<&Value> {
        self.answers.get(name)
    }

    /// The trace that is open: its ID, its account, and how far that is scrolled.
    pub fn trace(&self) -> Option<(&str, Option<&str>, usize)> {
        let (id, why) = self.trace.as_ref()?;
        Some((id, why.as_deref(), self.scrolled))
    }

    /// The lines of the tab that is shown; `None` where its answer has not come.
    pub fn lines(&self) -> Option<Vec<Line>> {
        let answer = self.answer(TABS[self.tab].answer)?;
        Some(match self.tab {
            0 => rows::operations(answer),
            1 => rows::traces(answer),
            2 => rows::logs(answer),
            3 => rows::engines(answer, &self.open),
            4 => rows::queues(answer, &self.open),
            _ => rows::doctor(answer),
        })
    }

    pub fn wanted(&self) -> Wanted {
        Wanted {
            list: TABS[self.tab].answer,
            // An account that has come does not change any more but by spans that arrive late.
            trace: self.trace.as_ref().map(|(id, _)| id.clone()),
        }
    }

    /// Takes what came.
    pub fn take(&mut self, update: Update) {
        match update {
            Update::Failed(failure) => self.failure = Some(failure),
            Update::Moved(position) => {
                self.position = Some(position);
                self.failure = None;
            }
            // A recording that is paused moves by steps.
            _ if self.is_paused && self.position.is_none() => {}
            Update::Gone(name) => {
                self.answers.remove(name);
                self.keep_selection();
            }
            Update::Answer(name, answer) => {
                self.failure = None;
                self.answers.insert(name, answer);
                self.keep_selection();
            }
            Update::Why(text) => {
                if let Some((_, why)) = &mut self.trace {
                    *why = Some(text);
                }
            }
        }
    }

    fn keep_selection(&mut self) {
        let last = self
            .lines()
            .map_or(0, |lines| lines.len().saturating_sub(1));
        self.selected[self.tab] = self.selected[self.tab].min(last);
    }

    /// Does what a key says.
    pub fn press(&mut self, key: KeyEvent) {
        let page = 10;
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.is_ended = true;
            }
            KeyCode::Char('q') => self.is_ended = true,
            KeyCode::Char('?') => self.is_help_shown = !self.is_help_shown,
            KeyCode::Esc | KeyCode::Backspace => self.close(),
            KeyCode::Char('s') => self.is_sidebar_hidden = !self.is_sidebar_hidden,
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char(digit @ '1'..='9') => {
                let tab = digit as usize - '1' as usize;
                if tab < TABS.len() {
                    self.go(tab);
                }
            }
            KeyCode::Tab => self.go((self.tab + 1) % TABS.len()),
            KeyCode::BackTab => self.go((self.tab + TABS.len() - 1) % TABS.len()),
            KeyCode::Char('j') | KeyCode::Down => self.move_by(1),
            KeyCode::Char('k') | KeyCode::Up => self.move_by(-1),
            KeyCode::PageDown => self.move_by(page),
            KeyCode::PageUp => self.move_by(-page),
            KeyCode::Home | KeyCode::Char('g') => self.move_by(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.move_by(isize::MAX),
            KeyCode::Enter | KeyCode::Char(' ') | KeyCode::Right => self.open(),
            KeyCode::Left => self.fold(),
            KeyCode::Char(key) if self.position.is_some() => self.steer(key),
            _ => {}
        }
    }

    /// The keys that only a recording has.
    fn steer(&mut self, key: char) {
        match key {
            '.' => self.step(1),
            ',' => self.step(-1),
            '>' => self.step(10),
            '<' => self.step(-10),
            '+' => self.faster += 1,
            '-' => self.faster -= 1,
            _ => {}
        }
    }

    const fn step(&mut self, by: isize) {
        self.is_paused = true;
        self.steps = self.steps.saturating_add(by);
    }

    fn go(&mut self, tab: usize) {
        self.tab = tab;
        self.trace = None;
        self.keep_selection();
    }

    fn close(&mut self) {
        if self.is_help_shown {
            self.is_help_shown = false;
        } else {
            self.trace = None;
        }
    }

    fn move_by(&mut self, by: isize) {
        if let Some((_, why)) = &self.trace {
            let last = why
                .as_deref()
                .map_or(0, |why| why.lines().count().saturating_sub(1));
            self.scrolled = self.scrolled.saturating_add_signed(by).min(last);
            return;
        }
        let last = self
            .lines()
            .map_or(0, |lines| lines.len().saturating_sub(1));
        self.selected[self.tab] = self.selected[self.tab].saturating_add_signed(by).min(last);
    }

    fn line(&self) -> Option<Line> {
        self.lines()?.into_iter().nth(self.selected())
    }

    /// Opens the trace of the selected line, or what is below it.
    fn open(&mut self) {
        match self.line() {
            Some(Line {
                trace: Some(id), ..
            }) => {
                self.trace = Some((id, None));
                self.scrolled = 0;
            }
            Some(Line {
                path: Some(path), ..
            }) => {
                if !self.open.remove(&path) {
                    self.open.insert(path);
                }
                self.keep_selection();
            }
            _ => {}
        }
    }

    fn fold(&mut self) {
        if self.trace.is_some() {
            self.close();
        } else if let Some(Line {
            path: Some(path), ..
        }) = self.line()
        {
            self.open.remove(&path);
            self.keep_selection();
        }
    }
}
