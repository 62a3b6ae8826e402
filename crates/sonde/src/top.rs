//! `sonde top`: what the collector's programs are doing, on a terminal; `sonde record`, and what it wrote shown again.
//!
//! ```text
//! feed (a thread that asks the collector) ─▶ state ─▶ view ─▶ terminal, or text
//! session (a file) ─▶ replay ─▶──────────────┘
//!                                      keys ─▶ state
//! ```
//!
//! The state knows nothing of terminals and the view changes nothing, so both are tested without one.

mod feed;
mod record;
mod replay;
mod rows;
mod session;
mod state;
mod view;

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ratatui::{
    DefaultTerminal, Terminal,
    backend::TestBackend,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind},
};

pub use self::record::run as record;
use self::{
    feed::Feed,
    replay::Replay,
    session::Session,
    state::{State, Update},
};
use crate::{cli::top::TopArguments, collector::Collector};

/// How long a key waits at most before it is seen.
const POLL: Duration = Duration::from_millis(50);

/// Shows until it is told to end.
pub fn run(arguments: &TopArguments) -> anyhow::Result<String> {
    let mut source = if let Some(file) = &arguments.replay {
        Source::Replay(Box::new(open(file, arguments.speed)?))
    } else {
        let collector = Collector::new(&arguments.collector)?;
        Source::Live(Feed::start(collector, &arguments.window)?)
    };
    if let (Some(size), Source::Replay(replay)) = (arguments.text, &mut source) {
        screens(
            replay,
            size,
            arguments.keys.as_deref(),
            &mut io::stdout().lock(),
        )?;
        return Ok(String::new());
    }
    let mut terminal = ratatui::try_init()
        .context("this is no terminal; `sonde traces` and others write plain text")?;
    let outcome = show(&mut terminal, &mut source);
    // Whatever happened, the terminal is as it was.
    ratatui::restore();
    outcome?;
    Ok(String::new())
}

/// Where what is shown comes from.
enum Source {
    Live(Feed),
    Replay(Box<Replay>),
}

impl Source {
    /// What came, `passed` after the last call.
    fn updates(&mut self, state: &mut State, passed: Duration) -> anyhow::Result<Vec<Update>> {
        match self {
            Self::Live(feed) => {
                feed.want(state.wanted());
                Ok(feed.updates().collect())
            }
            Self::Replay(replay) => {
                let (control, wanted) = (state.control(), state.wanted());
                replay.go_on(passed, &control, wanted.trace.as_deref())
            }
        }
    }
}

fn open(file: &Path, speed: f64) -> anyhow::Result<Replay> {
    let session = Session::open(file)?;
    if let Some(warning) = session.warning() {
        // A terminal that is gone is no reason not to go on.
        let _ = writeln!(io::stderr(), "sonde: {warning}");
    }
    Ok(Replay::new(session, speed))
}

fn show(terminal: &mut DefaultTerminal, source: &mut Source) -> anyhow::Result<()> {
    let mut state = State::default();
    let mut last = Instant::now();
    while !state.is_ended() {
        let passed = std::mem::replace(&mut last, Instant::now()).elapsed();
        for update in source.updates(&mut state, passed)? {
            state.take(update);
        }
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

/// Writes the first poll's screen, and one after each of `keys`; without them, one for each poll. No clock has a part in it.
fn screens(
    replay: &mut Replay,
    (width, height): (u16, u16),
    keys: Option<&str>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    let mut state = State::default();
    state.pause();
    let steps = keys.map_or(replay.len() - 1, |_| 0);
    let keys = keys.unwrap_or_default().chars();
    let keys = keys.chain(std::iter::repeat_n('.', steps)).map(Some);
    for key in std::iter::once(None).chain(keys) {
        if let Some(key) = key {
            state.press(KeyEvent::from(KeyCode::Char(key)));
        }
        let (control, wanted) = (state.control(), state.wanted());
        for update in replay.go_on(Duration::ZERO, &control, wanted.trace.as_deref())? {
            state.take(update);
        }
        terminal.draw(|frame| view::draw(frame, &state))?;
        let pressed = key.map_or_else(String::new, |key| format!(" after `{key}`"));
        let screen = view::text(terminal.backend().buffer());
        let written = write!(
            out,
            "{:-<1$}\n{screen}",
            format!("--- screen{pressed} "),
            usize::from(width)
        );
        match written {
            // A reader that has seen enough, as `head` has, is no error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write to standard output")?,
        }
        if state.is_ended() {
            break;
        }
    }
    Ok(())
}
