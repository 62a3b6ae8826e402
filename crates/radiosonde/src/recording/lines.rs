//! JSON lines, read one at a time.

use std::io::{self, BufRead};

use radiosonde_core::model::Record;

use super::line;

/// How many bad lines are described; the others are counted.
const DESCRIBED_MAX: usize = 16;

/// Longest line that is read unless the reader says otherwise, in bytes. Objects and lists inside a line nest at most
/// 32 deep.
pub const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Which line, from 1; the row's number in a SQLite file.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What a reader had to skip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many lines.
    pub lines: u64,
    /// The first of them.
    pub first: Vec<BadLine>,
}

impl Skipped {
    pub(super) fn push(&mut self, line: u64, reason: String) {
        self.lines += 1;
        if self.first.len() < DESCRIBED_MAX {
            self.first.push(BadLine { line, reason });
        }
    }
}

/// Reads records from JSON lines. Empty lines are passed over; bad ones are skipped and counted. The iterator gives
/// an error only where the input itself fails, and ends there.
#[derive(Debug)]
pub struct JsonLines<R> {
    input: R,
    line_bytes_max: usize,
    buffer: Vec<u8>,
    line: u64,
    skipped: Skipped,
    ended: bool,
}

impl<R: BufRead> JsonLines<R> {
    /// A reader of `input` whose lines have at most [`LINE_BYTES_MAX`] bytes.
    pub fn new(input: R) -> Self {
        Self::with_line_limit(input, LINE_BYTES_MAX)
    }

    /// A reader of `input` whose lines have at most `line_bytes_max` bytes.
    pub fn with_line_limit(input: R, line_bytes_max: usize) -> Self {
        Self {
            input,
            line_bytes_max,
            buffer: Vec::new(),
            line: 0,
            skipped: Skipped::default(),
            ended: false,
        }
    }

    /// What was skipped so far.
    pub const fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// What was skipped in all.
    pub fn into_skipped(self) -> Skipped {
        self.skipped
    }

    /// Puts the next line, without its end, in the buffer. `None` at the end; else whether it was within the limit.
    fn next_line(&mut self) -> io::Result<Option<bool>> {
        self.buffer.clear();
        let mut any = false;
        let mut fits = true;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok(any.then_some(fits));
            }
            any = true;
            let end = available.iter().position(|&byte| byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            if self.buffer.len() + part.len() > self.line_bytes_max {
                fits = false;
            } else if fits {
                self.buffer.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(fits));
            }
        }
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.next_line() {
                Ok(None) => self.ended = true,
                Ok(Some(fits)) => {
                    self.line += 1;
                    if !fits {
                        let reason = format!("longer than {} bytes", self.line_bytes_max);
                        self.skipped.push(self.line, reason);
                    } else if !self.buffer.trim_ascii().is_empty() {
                        match line::parse(&self.buffer) {
                            Ok(record) => return Some(Ok(record)),
                            Err(reason) => self.skipped.push(self.line, reason),
                        }
                    }
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
