//! The program that runs: its environment, what it writes, and how it ends.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    process::{Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
};

use radiosonde::core::propagation;
use tracing::Span;

use crate::collector::{TOKEN_VARIABLE, variable};

/// Longest line that is kept as one log; a longer one is kept in parts.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A program that runs.
pub struct Child {
    child: std::process::Child,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its exit code; of a signal 128 and its number, as shells have it.
    pub code: u8,
    /// Lines that it wrote.
    pub lines: u64,
}

impl Child {
    /// Starts it with the current context and the collector's address in its environment. What is there already stays:
    /// whoever set it meant it.
    pub fn start(command: &[OsString], endpoint: &str, service: &str) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let headers =
            variable(TOKEN_VARIABLE).map(|token| format!("Authorization=Bearer%20{token}"));
        let defaults = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", Some(endpoint)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", Some("http/protobuf")),
            ("OTEL_EXPORTER_OTLP_HEADERS", headers.as_deref()),
            ("OTEL_SERVICE_NAME", Some(service)),
            ("OTEL_TRACES_EXPORTER", Some("otlp")),
            ("OTEL_LOGS_EXPORTER", Some("otlp")),
            ("OTEL_METRICS_EXPORTER", Some("otlp")),
            // Into a pipe Python would write only when its buffer is full.
            ("PYTHONUNBUFFERED", Some("1")),
        ];
        for (name, value) in defaults {
            if let Some(value) = value
                && variable(name).is_none()
            {
                command.env(name, value);
            }
        }
        propagation::inject(&mut command);
        Ok(Self {
            child: command.spawn()?,
        })
    }

    /// Passes on what it writes, line by line as logs in `span` too, until it ends.
    pub fn wait(mut self, span: &Span) -> io::Result<Ended> {
        let id = self.child.id();
        let _signals = signals::pass_on(id)?;
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let readers = [
            stdout.map(|pipe| reader("stdout", pipe, io::stdout(), span)),
            stderr.map(|pipe| reader("stderr", pipe, io::stderr(), span)),
        ];
        let status = self.child.wait()?;
        let lines = readers
            .into_iter()
            .flatten()
            .flatten()
            .map(|reader| reader.join().unwrap_or(0))
            .sum();
        Ok(Ended {
            code: code(status),
            lines,
        })
    }
}

#[cfg(unix)]
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let signal = status
        .signal()
        .and_then(|signal| u8::try_from(128 + signal).ok());
    let code = status.code().map(|code| u8::try_from(code).unwrap_or(1));
    code.or(signal).unwrap_or(1)
}

#[cfg(not(unix))]
fn code(status: ExitStatus) -> u8 {
    status
        .code()
        .map_or(1, |code| u8::try_from(code).unwrap_or(1))
}

fn reader(
    name: &'static str,
    from: impl Read + Send + 'static,
    to: impl Write + Send + 'static,
    span: &Span,
) -> io::Result<JoinHandle<u64>> {
    let span = span.clone();
    let builder = thread::Builder::new().name(format!("sonde-{name}"));
    builder.spawn(move || span.in_scope(|| pass_on(name, from, to)))
}

/// Passes bytes on as they come, and whole lines as logs. Says how many lines there were.
fn pass_on(name: &'static str, mut from: impl Read, mut to: impl Write) -> u64 {
    let mut chunk = vec![0; LINE_BYTES_MAX];
    let mut line = Vec::new();
    let mut lines = 0;
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        // A reader that went away, as `head` does, keeps nothing from being logged.
        let _ = to.write_all(&chunk[..read]).and_then(|()| to.flush());
        for part in chunk[..read].split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") || line.len() >= LINE_BYTES_MAX {
                lines += u64::from(log(name, &line));
                line.clear();
            }
        }
    }
    lines + u64::from(log(name, &line))
}

/// Keeps a line as a log, unless it is empty.
fn log(name: &'static str, line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches(['\n', '\r']);
    if line.is_empty() {
        return false;
    }
    tracing::info!(log.iostream = name, "{line}");
    true
}

#[cfg(unix)]
mod signals {
    //! Signals that are meant for the program.

    use std::{
        io::{self, IsTerminal as _},
        process::{Command, Stdio},
        thread,
    };

    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM},
        iterator::{Handle, Signals},
    };

    /// Passes signals on until it is dropped.
    pub(super) struct Passing(Handle);

    impl Drop for Passing {
        fn drop(&mut self) {
            self.0.close();
        }
    }

    /// Passes SIGTERM and SIGHUP on to the program. SIGINT reaches it from the terminal already, where there is one; in
    /// any case it ends the program and not this one, which has a report to write.
    pub(super) fn pass_on(child: u32) -> io::Result<Passing> {
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
        let handle = signals.handle();
        let has_terminal = io::stdin().is_terminal();
        thread::Builder::new()
            .name("sonde-signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    let name = match signal {
                        SIGTERM => "-TERM",
                        SIGHUP => "-HUP",
                        SIGINT if !has_terminal => "-INT",
                        _ => continue,
                    };
                    // The standard library sends no signals; the utility is POSIX's. The program may have ended by itself.
                    let _ = Command::new("kill")
                        .args([name, &child.to_string()])
                        .stderr(Stdio::null())
                        .status();
                }
            })?;
        Ok(Passing(handle))
    }
}

#[cfg(not(unix))]
mod signals {
    //! Nothing is passed on where the system has no signals.

    pub(super) fn pass_on(_child: u32) -> std::io::Result<()> {
        Ok(())
    }
}
