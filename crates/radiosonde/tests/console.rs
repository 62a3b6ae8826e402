//! The console of a process of its own: standard error unless told otherwise, and colour where a terminal wants it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::process::{Command, Output};

use radiosonde::config::LogFormat;

/// Set in the process that writes, so that nothing else runs its body. No name of ours, which are all settings.
const WRITES: &str = "CONSOLE_TEST_WRITES";

/// Not a test by itself: a program with one line of setup that logs a line.
#[test]
#[ignore = "run by other tests as a process of its own"]
fn child() {
    if std::env::var_os(WRITES).is_none() {
        return;
    }
    let guard = radiosonde::builder()
        .console_format(LogFormat::Human)
        .discover(false)
        .init()
        .unwrap();
    tracing::info!("a line of ours");
    drop(guard);
}

const ARGUMENTS: [&str; 4] = ["--exact", "child", "--ignored", "--nocapture"];

fn bare(command: &mut Command) -> &mut Command {
    command
        .env(WRITES, "1")
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .env_remove("RUST_LOG")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn standard_output_stays_clean_and_a_pipe_gets_no_colour() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = bare(command.args(ARGUMENTS)).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(err.contains("a line of ours"), "{err}");
    assert!(!out.contains("a line of ours"), "{out}");
    assert!(!err.contains('\u{1b}'), "{err:?}");
}

#[test]
fn a_filter_that_was_probably_meant_otherwise_is_told_on_standard_error() {
    for (filter, is_doubted) in [("inof", true), ("info", false), ("inof=trace", false)] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = bare(command.args(ARGUMENTS)).env("RUST_LOG", filter);
        let output = command.output().unwrap();
        assert!(output.status.success(), "it is legal");
        let said = text(&output.stderr);
        let doubts = "radiosonde: filter directive `inof` is no level";
        assert_eq!(
            said.matches(doubts).count(),
            usize::from(is_doubted),
            "{said}"
        );
        assert_eq!(said.contains("did you mean `info`?"), is_doubted, "{said}");
    }
}

/// Runs the child on a terminal of util-linux's `script`.
fn on_a_terminal(variables: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().unwrap();
    let line = format!("'{}' {}", program.display(), ARGUMENTS.join(" "));
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    let variables = variables.iter().copied();
    bare(&mut command).envs(variables).output().unwrap()
}

#[test]
fn no_color_takes_the_colour_from_a_terminal() {
    let is_there = Command::new("script").arg("--version").output().is_ok();
    if !is_there {
        eprintln!("skipped: `script` (util-linux) is needed for a terminal");
        return;
    }
    let line = |output: &Output| {
        let text = text(&output.stdout);
        let line = text.lines().find(|line| line.contains("a line of ours"));
        line.unwrap_or_else(|| panic!("no line in {text:?}"))
            .to_owned()
    };
    let coloured = on_a_terminal(&[]);
    assert!(line(&coloured).contains('\u{1b}'), "{:?}", line(&coloured));
    let plain = on_a_terminal(&[("NO_COLOR", "1")]);
    assert!(!line(&plain).contains('\u{1b}'), "{:?}", line(&plain));
    // no-color.org: an empty variable asks for nothing.
    let empty = on_a_terminal(&[("NO_COLOR", "")]);
    assert!(line(&empty).contains('\u{1b}'), "{:?}", line(&empty));
}
