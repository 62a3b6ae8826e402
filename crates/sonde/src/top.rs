//! `sonde top`: what the collector's programs are doing, on a terminal.
//!
//! ```text
//! feed (a thread that asks the collector) ─▶ state ─▶ view ─▶ terminal
//!                                      keys ─▶ state
//! ```
//!
//! The state knows nothing of terminals and the view changes nothing, so both are tested without one.

mod feed;
mod rows;
mod state;
mod view;

use std::time::Duration;

use anyhow::Context as _;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};

use self::{feed::Feed, state::State};
use crate::{cli::TopArguments, collector::Collector};

/// How long a key waits at most before it is seen.
const POLL: Duration = Duration::from_millis(50);

/// Shows until it is told to end.
pub fn run(arguments: &TopArguments) -> anyhow::Result<String> {
    let collector = Collector::new(&arguments.collector);
    let feed = Feed::start(collector, &arguments.window)?;
    let mut terminal = ratatui::try_init()
        .context("this is no terminal; `sonde traces` and others write plain text")?;
    let outcome = show(&mut terminal, &feed);
    // Whatever happened, the terminal is as it was.
    ratatui::restore();
    outcome?;
    Ok(String::new())
}

fn show(terminal: &mut DefaultTerminal, feed: &Feed) -> anyhow::Result<()> {
    let mut state = State::default();
    while !state.is_ended() {
        for update in feed.updates() {
            state.take(update);
        }
        feed.want(state.wanted());
        terminal.draw(|frame| view::draw(frame, &state))?;
        if event::poll(POLL)?
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            state.press(key);
        }
    }
    Ok(())
}
