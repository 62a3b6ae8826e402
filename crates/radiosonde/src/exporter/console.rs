//! The console: one line a record, for people or as JSON.
//!
//! Invariants: standard error unless standard output is asked for, so that pipes stay clean; a record is one line
//! whatever its text holds, and no text of a record reaches the terminal as a control character. A stream that takes
//! nothing for the moment is waited for (another program that has the same terminal may have made it one that says so);
//! where a line is cut off all the same, the next one begins on a line of its own.

pub(super) mod human;

use std::{
    env,
    io::{self, IsTerminal as _, Write},
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::batch::Batch;

use self::human::Human;
use super::{ExportError, Exporter};
use crate::{encode::json::JsonEncoder, redact::Redaction};

/// Longest that a stream which takes nothing for the moment is waited for, and how often it is asked.
const BLOCKED_MAX: Duration = Duration::from_secs(5);
const BLOCKED_PAUSE: Duration = Duration::from_millis(5);

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// The line of a recording.
    Json,
}

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Stream {
    /// Standard error.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
}

/// Whether lines for people are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Colour {
    /// On a terminal that is not `dumb`, unless `NO_COLOR` is set and not empty (no-color.org).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    fn is_on(self, stream: Stream) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let is_terminal = match stream {
                    Stream::Stderr => io::stderr().is_terminal(),
                    Stream::Stdout => io::stdout().is_terminal(),
                };
                is_terminal
                    && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && env::var_os("TERM").is_none_or(|value| value != "dumb")
            }
        }
    }
}

enum Encoder {
    Human(Human),
    Json(JsonEncoder),
}

/// Writes each record as a line to the console.
pub struct Console {
    out: Box<dyn Write + Send>,
    place: &'static str,
    encoder: Encoder,
    buffer: Vec<u8>,
    /// The stream has the beginning of a line and not its end.
    is_torn: bool,
}

impl Console {
    /// Writes to `stream`. JSON is never coloured.
    pub fn new(stream: Stream, format: Format, colour: Colour, redaction: Redaction) -> Self {
        let (out, place): (Box<dyn Write + Send>, _) = match stream {
            Stream::Stderr => (Box::new(io::stderr()), "standard error"),
            Stream::Stdout => (Box::new(io::stdout()), "standard output"),
        };
        Self::with_encoder(out, place, format, colour.is_on(stream), redaction)
    }

    /// Writes to `out`, coloured or not.
    pub fn to_writer(
        out: impl Write + Send + 'static,
        format: Format,
        coloured: bool,
        redaction: Redaction,
    ) -> Self {
        Self::with_encoder(Box::new(out), "console", format, coloured, redaction)
    }

    fn with_encoder(
        out: Box<dyn Write + Send>,
        place: &'static str,
        format: Format,
        coloured: bool,
        redaction: Redaction,
    ) -> Self {
        Self {
            out,
            place,
            encoder: match format {
                Format::Human => Encoder::Human(Human::new(coloured, redaction)),
                Format::Json => Encoder::Json(JsonEncoder::new(redaction)),
            },
            buffer: Vec::new(),
            is_torn: false,
        }
    }

    /// Writes the buffer; gives what is left of it where that fails.
    fn write(&mut self) -> Result<(), (io::Error, &[u8])> {
        let until = Instant::now() + BLOCKED_MAX;
        let mut rest = &self.buffer[..];
        while !rest.is_empty() {
            match unblocked(until, || self.out.write(rest)) {
                Ok(0) => return Err((io::ErrorKind::WriteZero.into(), rest)),
                Ok(written) => {
                    self.is_torn = rest[written - 1] != b'\n';
                    rest = &rest[written..];
                }
                Err(error) => return Err((error, rest)),
            }
        }
        unblocked(until, || self.out.flush()).map_err(|error| (error, rest))
    }
}

/// Repeats what a stream that takes nothing for the moment refuses, until `until`.
fn unblocked<T>(until: Instant, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                thread::sleep(BLOCKED_PAUSE);
            }
            done => return done,
        }
    }
}

impl Exporter for Console {
    fn name(&self) -> &'static str {
        "console"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.buffer.clear();
        if self.is_torn {
            self.buffer.push(b'\n');
        }
        let begun = self.buffer.len();
        match &mut self.encoder {
            Encoder::Human(human) => human.batch(batch, &mut self.buffer),
            Encoder::Json(json) => json.batch(batch, &mut self.buffer),
        }
        let own = self.buffer.len() - begun;
        let place = self.place;
        self.write().map_err(|(source, rest)| {
            // Each record is a line; what ends the one before is none.
            let rest = &rest[rest.len().saturating_sub(own)..];
            ExportError::Write {
                path: place.into(),
                mend: super::mend(&source),
                records: rest.split(|byte| *byte == b'\n').skip(1).count() as u64,
                source,
            }
        })
    }
}
