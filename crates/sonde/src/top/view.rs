//! How the state looks.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize as _},
    text::{Line as TextLine, Span},
    widgets::{Block, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState, Tabs, Wrap},
};
use serde_json::Value;

use super::{
    rows::HEADINGS,
    state::{Position, State, TABS},
};
use crate::text::{list, member};

/// Width of the list of services.
const SIDEBAR_WIDTH: u16 = 30;
/// Narrowest screen that has room for it.
const SIDEBAR_FROM: u16 = 100;

const KEYS: &str = "1-6 tabs   j/k move   Enter open   s services   p pause   ? help   q quit";

const HELP: &str = "\
1-6, Tab     another tab
j k ↓ ↑      move; PageUp, PageDown, g, G
Enter →      open a trace's account, or what is below a row
Esc ←        back
s            show or hide the services
p            pause: nothing changes while you read
q            quit";

const REPLAY_KEYS: &str = ", . step  p pause  + - speed  1-6 tabs  Enter open  ? help  q quit";

const REPLAY_HELP: &str = "\
, .          the poll before, the one after
< >          ten polls
+ -          twice, or half as fast";

const ACCENT: Color = Color::Cyan;

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let titles = TABS
        .iter()
        .enumerate()
        .map(|(at, tab)| format!("{} {}", at + 1, tab.title));
    let tabs = Tabs::new(titles)
        .select(state.tab())
        .highlight_style(Style::new().fg(ACCENT).add_modifier(Modifier::BOLD));
    frame.render_widget(tabs, top);
    let has_sidebar = state.has_sidebar() && middle.width >= SIDEBAR_FROM;
    let width = if has_sidebar { SIDEBAR_WIDTH } else { 0 };
    let [side, main] =
        Layout::horizontal([Constraint::Length(width), Constraint::Min(0)]).areas(middle);
    if has_sidebar {
        sidebar(frame, side, state);
    }
    match state.trace() {
        Some((id, why, scrolled)) => account(frame, main, id, why, scrolled),
        None => table(frame, main, state),
    }
    frame.render_widget(foot(state), bottom);
    if state.is_help_shown() {
        help(frame, state.position().is_some());
    }
}

fn foot(state: &State) -> Paragraph<'static> {
    let replay = state.position().map_or_else(String::new, position);
    if let Some(failure) = state.failure() {
        return Paragraph::new(TextLine::from(vec![
            Span::from(replay).fg(ACCENT),
            Span::from(crate::text::plain(failure)).fg(Color::Red),
        ]));
    }
    let keys = if replay.is_empty() { KEYS } else { REPLAY_KEYS };
    let paused = if state.is_paused() { "PAUSED   " } else { "" };
    Paragraph::new(TextLine::from(vec![
        Span::from(replay).fg(ACCENT),
        Span::from(paused).fg(Color::Yellow),
        Span::from(keys).dim(),
    ]))
}

/// Where in a recording it is.
fn position(position: Position) -> String {
    let Position {
        poll,
        polls,
        time_unix_ms,
        speed,
    } = position;
    let time = crate::text::time(&time_unix_ms.into());
    format!("{poll}/{polls} {time} UTC {speed}x   ")
}

/// A screen as text.
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for row in buffer.content.chunks(usize::from(buffer.area.width.max(1))) {
        let mut line = String::new();
        // A character of two columns leaves a cell empty behind it.
        let mut covered = 0;
        for cell in row {
            if covered > 0 {
                covered -= 1;
                continue;
            }
            line.push_str(cell.symbol());
            covered = Span::raw(cell.symbol()).width().saturating_sub(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Requests over time, then the services.
fn sidebar(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let [chart, services] =
        Layout::vertical([Constraint::Length(6), Constraint::Min(0)]).areas(area);
    let overview = state.answer("overview").unwrap_or(&Value::Null);
    let requests = list(&overview["series"], "requests");
    // The newest, as many as there is room for between the borders.
    let room = usize::from(chart.width.saturating_sub(2));
    let newest = requests.iter().skip(requests.len().saturating_sub(room));
    let counts: Vec<u64> = newest.map(|count| count.as_u64().unwrap_or(0)).collect();
    let line = Sparkline::default()
        .data(&counts)
        .style(Style::new().fg(ACCENT));
    frame.render_widget(line.block(Block::bordered().title(" requests ")), chart);
    let row = |service: &Value| {
        let errors = service["errors"].as_i64().unwrap_or(0);
        let style = if errors > 0 {
            Style::new().fg(Color::Red)
        } else {
            Style::new()
        };
        Row::new([
            crate::text::plain(&member(service, "service")),
            member(service, "requests"),
            errors.to_string(),
        ])
        .style(style)
    };
    let widths = [
        Constraint::Min(10),
        Constraint::Length(7),
        Constraint::Length(6),
    ];
    let header = Row::new(["service", "req", "err"]).dim();
    let table = Table::new(list(overview, "services").iter().map(row), widths).header(header);
    frame.render_widget(table.block(Block::bordered().title(" services ")), services);
}

fn table(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let Some(lines) = state.lines() else {
        let waiting = match (state.failure(), state.position()) {
            (Some(_), _) => "",
            (None, None) => "asking the collector ...",
            (None, Some(_)) => "the recording has no answer to this here",
        };
        frame.render_widget(Paragraph::new(waiting).dim(), area);
        return;
    };
    if lines.is_empty() {
        frame.render_widget(
            Paragraph::new(EMPTY[state.tab()]).wrap(Wrap { trim: false }),
            area,
        );
        return;
    }
    let headings = HEADINGS[state.tab()];
    let widths = headings.iter().map(|(_, width)| match width {
        0 => Constraint::Min(10),
        width => Constraint::Length(*width),
    });
    let rows = lines.into_iter().map(|line| {
        let style = if line.is_bad {
            Style::new().fg(Color::Red)
        } else {
            Style::new()
        };
        Row::new(line.cells.into_iter().map(Cell::from)).style(style)
    });
    let header = Row::new(headings.iter().map(|(heading, _)| *heading))
        .style(Style::new().add_modifier(Modifier::BOLD));
    let table = Table::new(rows, widths)
        .header(header)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(
        table,
        area,
        &mut TableState::default().with_selected(Some(state.selected())),
    );
}

/// What to do where there is nothing to show.
const EMPTY: [&str; 6] = [
    "Nothing has arrived yet.\n\nStart a program by `sonde run -- PROGRAM`, or set OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 for it.",
    "There are no traces of this time.",
    "There are no logs of this time.",
    "No engine tells of its phases and memory. radiosonde's collectors do: `radiosonde::latency` and `radiosonde::memory`.",
    "No queue was reported. `radiosonde::queue` reports any by three lines; vLLM, SGLang and Triton are scraped by `sonde serve --scrape URL`.",
    "Nothing has been sent to this collector since it started.",
];

fn account(frame: &mut Frame<'_>, area: Rect, id: &str, why: Option<&str>, scrolled: usize) {
    let block = Block::bordered().title(format!(" why: trace {id} "));
    let text = why.unwrap_or("asking the collector ...");
    let scrolled = u16::try_from(scrolled).unwrap_or(u16::MAX);
    frame.render_widget(
        Paragraph::new(text.to_owned())
            .block(block)
            .scroll((scrolled, 0)),
        area,
    );
}

fn help(frame: &mut Frame<'_>, is_replay: bool) {
    let text = if is_replay {
        format!("{HELP}\n{REPLAY_HELP}")
    } else {
        HELP.to_owned()
    };
    let height = text.lines().count() as u16 + 2;
    let area = frame
        .area()
        .centered(Constraint::Max(62), Constraint::Max(height));
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(text).block(Block::bordered().title(" keys ")),
        area,
    );
}

#[cfg(test)]
mod tests {
    use ratatui::{
        Terminal,
        backend::TestBackend,
        crossterm::event::{KeyCode, KeyEvent},
    };
    use serde_json::json;

    use super::{
        super::state::{Control, Update},
        *,
    };

    fn screen(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal.backend().to_string()
    }

    fn filled() -> State {
        let mut state = State::default();
        state.take(Update::Answer(
            "overview",
            json!({
                "series": {"requests": [1, 4, 2, 8]},
                "services": [{"service": "engine", "requests": 12, "errors": 1}, {"service": "gateway", "requests": 3, "errors": 0}],
                "operations": [{"service": "engine", "name": "forward", "count": 12, "errors": 1, "p50_ns": 1_500_000.0,
                    "p95_ns": 2_000_000.0, "p99_ns": 2_500_000.0, "total_ns": 18_000_000.0}],
            }),
        ));
        let row = |path: &str, depth: u64, label: &str| json!({"path": path, "depth": depth, "label": label, "last_ns": 1_000_000, "avg_ns": 1_100_000, "p99_ns": 2_000_000, "share": 0.5});
        state.take(Update::Answer(
            "engines",
            json!({"engines": [{"service": "engine", "latency": [
                row("forward", 0, "forward"), row("forward/block 0", 1, "block 0"), row("forward/block 0/sdpa", 2, "sdpa"),
                row("output", 0, "output"),
            ], "memory": [{"path": "host", "depth": 0, "label": "host", "bytes": 1_048_576, "detail": "measured"}]}]}),
        ));
        state
    }

    fn press(state: &mut State, codes: impl IntoIterator<Item = KeyCode>) {
        codes
            .into_iter()
            .for_each(|code| state.press(KeyEvent::from(code)));
    }

    #[test]
    fn nothing_yet() {
        insta::assert_snapshot!(screen(&State::default(), 60, 5));
    }

    #[test]
    fn operations_with_services_beside_them() {
        insta::assert_snapshot!(screen(&filled(), 130, 14));
    }

    #[test]
    fn a_block_opens_and_closes() {
        let mut state = filled();
        press(
            &mut state,
            [KeyCode::Char('s'), KeyCode::Char('4'), KeyCode::Down],
        );
        let closed = screen(&state, 120, 10);
        press(&mut state, [KeyCode::Enter, KeyCode::Down, KeyCode::Enter]);
        insta::assert_snapshot!(screen(&state, 120, 10));
        press(&mut state, [KeyCode::Left, KeyCode::Up, KeyCode::Left]);
        assert_eq!(screen(&state, 120, 10), closed);
    }

    #[test]
    fn a_queue_opens_to_who_waits() {
        let mut state = filled();
        state.take(Update::Answer(
            "queues",
            json!({"queues": [{"service": "engine", "queue": "orders", "attributes": {"engine": "0"}, "depth": {"now": 3.0, "mean": 2.5},
                "oldest": {"age_ns": 4_000_000_000_u64, "is_at_most": true}, "arrival": {"per_s": 2.0}, "service_rate": {"per_s": 1.5},
                "utilisation": 0.75, "little": {"kind": "assessed", "holds": true, "l": 2.5, "lambda_w": 2.4},
                "ahead": [{"item": "item-1", "trace_id": "0af7", "age_ns": 4_000_000_000_u64}], "ahead_more": 2,
                "stuck": [{"words": "worker a has not ended"}],
                "saturation": [{"what": "depth", "in_s": 90.0}]}]}),
        ));
        press(&mut state, [KeyCode::Char('s'), KeyCode::Char('5')]);
        press(&mut state, [KeyCode::Enter, KeyCode::Down, KeyCode::Down]);
        insta::assert_snapshot!(screen(&state, 120, 8));
        press(&mut state, [KeyCode::Enter]);
        assert_eq!(state.wanted().trace.as_deref(), Some("0af7"));
    }

    #[test]
    fn a_screen_of_one_character_is_no_reason_to_panic() {
        let mut state = filled();
        for tab in ['1', '2', '3', '4', '5', '6', '?'] {
            press(&mut state, [KeyCode::Char(tab)]);
            screen(&state, 1, 1);
            screen(&state, 3, 2);
        }
    }

    #[test]
    fn a_recording_says_where_it_is_and_moves_while_it_is_paused() {
        let mut state = filled();
        press(&mut state, [KeyCode::Char('.')]);
        assert_eq!(state.control(), Control::default());
        state.take(Update::Moved(Position {
            poll: 2,
            polls: 60,
            time_unix_ms: 1_700_000_000_000,
            speed: 0.5,
        }));
        press(
            &mut state,
            ['s', '4', '>', ',', '+', '+', '-'].map(KeyCode::Char),
        );
        let control = Control {
            is_paused: true,
            steps: 9,
            faster: 1,
        };
        assert_eq!(state.control(), control);
        assert_eq!(
            state.control(),
            Control {
                is_paused: true,
                ..Control::default()
            }
        );
        state.take(Update::Gone("engines"));
        insta::assert_snapshot!(screen(&state, 120, 5));
        press(&mut state, [KeyCode::Char('?')]);
        insta::assert_snapshot!("help_of_a_recording", screen(&state, 80, 16));
        press(&mut state, [KeyCode::Char('?')]);
        state.take(Update::Failed("no collector answers".to_owned()));
        assert!(screen(&state, 120, 5).contains("0.5x   no collector answers"));
    }

    #[test]
    fn a_screen_is_text() {
        let mut buffer = Buffer::with_lines(["a語b ", "  é"]);
        assert_eq!(text(&buffer), "a語b\n  é\n");
        buffer.reset();
        assert_eq!(text(&buffer), "\n\n");
    }

    #[test]
    fn a_trace_opens_and_a_pause_keeps_what_is_shown() {
        let mut state = filled();
        state.take(Update::Answer(
            "traces",
            json!({"traces": [{"trace_id": "0af7", "name": "POST", "errors": 0}]}),
        ));
        press(&mut state, [KeyCode::Tab, KeyCode::Enter]);
        assert_eq!(state.wanted().trace.as_deref(), Some("0af7"));
        state.take(Update::Why("it waited".to_owned()));
        assert!(screen(&state, 80, 8).contains("it waited"));
        press(&mut state, [KeyCode::Esc, KeyCode::Char('p')]);
        state.take(Update::Answer("traces", json!({"traces": []})));
        assert!(screen(&state, 80, 8).contains("POST"));
        state.take(Update::Failed("no collector answers".to_owned()));
        assert!(screen(&state, 80, 8).contains("no collector answers"));
    }
}
