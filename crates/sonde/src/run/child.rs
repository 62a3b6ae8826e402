//! The program that runs: what it writes, and how it ends.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde::core::propagation;
use tracing::Span;

use super::environment::Environment;

/// Longest line that is kept as one log; a longer one is kept in parts.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long the program's pipes may be silent, after it ended, before they count as held by what it left running.
const GRACE: Duration = Duration::from_millis(500);
/// How often it is looked, in that time and before it, when nothing has to be.
const TICK: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(3600);
/// Lines that are taken after the program ended, in bytes: more than its pipes hold.
const LEFT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Lines that wait to be kept.
const TOLD_MAX: usize = 1024;

/// A program that runs.
pub struct Child {
    child: std::process::Child,
    began: Instant,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its exit code; of a signal 128 and its number, as shells have it.
    pub code: u8,
    /// Lines that it wrote.
    pub lines: u64,
    /// From its start to its own end.
    pub duration: Duration,
    /// Something that it started runs on and may write more.
    pub is_survived: bool,
}

impl Child {
    /// Starts it with the current context and what says where to send telemetry in its environment.
    pub fn start(command: &[OsString], environment: &Environment) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        environment.apply(&mut command);
        propagation::inject(&mut command);
        Ok(Self {
            began: Instant::now(),
            child: command.spawn()?,
        })
    }

    /// Passes on what it writes, line by line as logs in `span` too, until it ends.
    pub fn wait(mut self, span: &Span) -> io::Result<Ended> {
        let _signals = signals::pass_on(self.child.id())?;
        let (tell, told) = mpsc::sync_channel(TOLD_MAX);
        let mut pipes = Vec::new();
        if let Some(from) = self.child.stdout.take() {
            pipes.push(Pipe::follow("stdout", from, io::stdout(), tell.clone())?);
        }
        if let Some(from) = self.child.stderr.take() {
            pipes.push(Pipe::follow("stderr", from, io::stderr(), tell.clone())?);
        }
        let (mut child, began) = (self.child, self.began);
        let builder = thread::Builder::new().name("sonde-wait".to_owned());
        builder.spawn(move || {
            let status = child.wait();
            // Whoever does not listen any more needs not know.
            let _ = tell.send(Told::Ended(status, began.elapsed()));
        })?;
        span.in_scope(|| listen(&told, &pipes))
    }
}

/// What the threads tell that watch the program.
enum Told {
    /// A line, and where it was written.
    Line(&'static str, Vec<u8>),
    /// Nobody can write into a pipe any more.
    Closed,
    /// The program ended, so long after its start.
    Ended(io::Result<ExitStatus>, Duration),
}

/// Keeps lines as logs until the program has ended and what it wrote was read. What it left running may hold its pipes for as
/// long as it likes: that is waited for no longer than [`GRACE`].
fn listen(told: &Receiver<Told>, pipes: &[Arc<Pipe>]) -> io::Result<Ended> {
    let mut open = pipes.len();
    let mut lines = 0;
    let mut ended = None;
    let (mut patience, mut bytes_left) = (GRACE, LEFT_BYTES_MAX);
    while ended.is_none() || (open > 0 && !patience.is_zero() && bytes_left > 0) {
        let since = Instant::now();
        let next = told.recv_timeout(if ended.is_some() { TICK } else { LONG });
        let waited = since.elapsed();
        match next {
            Ok(Told::Line(name, line)) => {
                lines += u64::from(log(name, &line));
                if ended.is_some() {
                    bytes_left = bytes_left.saturating_sub(line.len());
                    patience = patience.saturating_sub(waited);
                }
            }
            Ok(Told::Closed) => open = open.saturating_sub(1),
            Ok(Told::Ended(status, duration)) => ended = Some((status?, duration)),
            // Who reads our output may be slow, and then it is not the program that is silent.
            Err(RecvTimeoutError::Timeout) => {
                if ended.is_some() && pipes.iter().all(|pipe| pipe.is_silent.load(Acquire)) {
                    patience = patience.saturating_sub(waited);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    for pipe in pipes {
        lines += u64::from(log(pipe.name, &pipe.open_line()));
    }
    let (status, duration) =
        ended.ok_or_else(|| io::Error::other("nothing waited for the program"))?;
    Ok(Ended {
        code: code(status),
        lines,
        duration,
        is_survived: open > 0,
    })
}

/// One of the program's two outputs.
struct Pipe {
    name: &'static str,
    /// Its thread waits for somebody to write.
    is_silent: AtomicBool,
    /// What came of a line that has not ended yet.
    open_line: Mutex<Vec<u8>>,
}

impl Pipe {
    /// Reads the pipe on a thread of its own, passes on what comes, and tells lines.
    fn follow(
        name: &'static str,
        from: impl Read + Send + 'static,
        to: impl Write + Send + 'static,
        tell: SyncSender<Told>,
    ) -> io::Result<Arc<Self>> {
        let pipe = Arc::new(Self {
            name,
            is_silent: AtomicBool::new(false),
            open_line: Mutex::default(),
        });
        let ours = Arc::clone(&pipe);
        let builder = thread::Builder::new().name(format!("sonde-{name}"));
        builder.spawn(move || {
            ours.pass_on(from, to, &tell);
            ours.is_silent.store(true, Release);
            // Whoever does not listen any more needs not know.
            let _ = tell.send(Told::Closed);
        })?;
        Ok(pipe)
    }

    /// Passes bytes on as they come, and tells whole lines, until nobody can write or nobody listens any more.
    fn pass_on(&self, mut from: impl Read, mut to: impl Write, tell: &SyncSender<Told>) {
        let mut chunk = vec![0; LINE_BYTES_MAX];
        loop {
            self.is_silent.store(true, Release);
            let read = from.read(&mut chunk);
            self.is_silent.store(false, Release);
            let read = match read {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            // A reader that went away, as `head` does, keeps nothing from being logged.
            let _ = to.write_all(&chunk[..read]).and_then(|()| to.flush());
            for part in chunk[..read].split_inclusive(|byte| *byte == b'\n') {
                let told = self
                    .add(part)
                    .map(|line| tell.send(Told::Line(self.name, line)));
                if told.is_some_and(|told| told.is_err()) {
                    return;
                }
            }
        }
    }

    /// Adds to the line; gives it where it is whole, or as long as one may be.
    fn add(&self, part: &[u8]) -> Option<Vec<u8>> {
        let mut line = self.open_line();
        line.extend_from_slice(part);
        (line.ends_with(b"\n") || line.len() >= LINE_BYTES_MAX).then(|| std::mem::take(&mut *line))
    }

    fn open_line(&self) -> MutexGuard<'_, Vec<u8>> {
        self.open_line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
