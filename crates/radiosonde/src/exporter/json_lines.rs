//! JSON lines in a file (docs/recording.md).
//!
//! Invariants: the file is appended to, and a line is never mixed with another writer's: each write hands whole lines
//! to the operating system. Where a write stops half way (a full disk), its rest is kept and written first as soon as
//! there is room, so that no line is torn. What is kept is bounded; beyond that, lines are lost and counted, and so is
//! what is kept when the exporter is closed. A line that an earlier run tore is ended before the first of this one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    mem,
    path::{Path, PathBuf},
    time::Duration,
};

use radiosonde_core::batch::Batch;

use super::{ExportError, Exporter};
use crate::encode::json::JsonEncoder;

/// How many records and bytes wait at most before they are written, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffering {
    /// Records.
    pub records_max: u64,
    /// Time.
    pub interval: Duration,
}

impl Default for Buffering {
    /// 1000 records or 10 s, whichever is first.
    fn default() -> Self {
        Self {
            records_max: 1000,
            interval: Duration::from_secs(10),
        }
    }
}

/// What is kept at most while the file cannot be written, in bytes.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Lines are handed to the operating system in pieces of about this size even within one batch.
const WRITE_BYTES: usize = 256 * 1024;

/// Writes each record as a line.
#[derive(Debug)]
pub struct JsonLines<W: Write + Send = File> {
    path: PathBuf,
    out: W,
    encoder: JsonEncoder,
    buffering: Buffering,
    buffer: Vec<u8>,
    /// Lines that end in the buffer.
    buffered: u64,
    /// The file ends in the middle of a line that somebody else began.
    is_torn: bool,
}

impl JsonLines<File> {
    /// Opens the file at `path` for appending; makes it, and the folders above it, where they are missing.
    pub fn open(path: &Path, encoder: JsonEncoder) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Write {
            path: path.to_owned(),
            source,
            mend: "name a file in a folder that you may write",
            records: 0,
        };
        super::refuse_special(path, true).map_err(failed)?;
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        let mut lines = Self::to_writer(file, path, encoder);
        // A file that may be written and not read keeps its secret.
        lines.is_torn = is_torn(path).unwrap_or(false);
        Ok(lines)
    }
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `out`, which is called `path` in errors.
    pub fn to_writer(out: W, path: impl Into<PathBuf>, encoder: JsonEncoder) -> Self {
        Self {
            path: path.into(),
            out,
            encoder,
            buffering: Buffering::default(),
            buffer: Vec::new(),
            buffered: 0,
            is_torn: false,
        }
    }

    /// The same with this buffering.
    #[must_use]
    pub const fn with_buffering(mut self, buffering: Buffering) -> Self {
        self.buffering = buffering;
        self
    }

    /// Hands the buffer to the operating system. What it did not take stays.
    fn write_out(&mut self) -> io::Result<()> {
        if self.is_torn && !self.buffer.is_empty() {
            self.out.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut written = 0;
        let result = loop {
            if written == self.buffer.len() {
                break Ok(());
            }
            match self.out.write(&self.buffer[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if written == self.buffer.len() {
            // The usual end. Counting lines again would cost as much as writing them.
            self.buffered = 0;
            self.buffer.clear();
        } else {
            let whole_lines = newlines(&self.buffer[..written]);
            self.buffered = self.buffered.saturating_sub(whole_lines);
            self.buffer.drain(..written);
        }
        result
    }

    /// Gives up what is kept; gives how many lines that were.
    fn give_up(&mut self) -> u64 {
        // The first part of the first may be in the file.
        self.is_torn |= !self.buffer.is_empty();
        self.buffer.clear();
        mem::take(&mut self.buffered)
    }

    /// Cuts what is kept to [`KEPT_BYTES_MAX`], newest lines first; gives how many were lost.
    fn cut(&mut self) -> u64 {
        if self.buffer.len() <= KEPT_BYTES_MAX {
            return 0;
        }
        let is_end = |byte: &u8| *byte == b'\n';
        // The first line is kept however long it is, because its first part may be in the file.
        let end = self.buffer[..KEPT_BYTES_MAX]
            .iter()
            .rposition(is_end)
            .or_else(|| self.buffer.iter().position(is_end))
            .map_or(self.buffer.len(), |at| at + 1);
        let lost = newlines(&self.buffer[end..]);
        self.buffer.truncate(end);
        self.buffered -= lost.min(self.buffered);
        lost
    }

    fn written(&mut self, result: io::Result<()>) -> Result<(), ExportError> {
        result.map_err(|source| {
            let lost = self.cut();
            self.failed(source, lost)
        })
    }

    fn failed(&self, source: io::Error, lost: u64) -> ExportError {
        ExportError::Write {
            path: self.path.clone(),
            mend: super::mend(&source),
            source,
            records: lost,
        }
    }

    fn flush_out(&mut self) -> io::Result<()> {
        self.write_out().and_then(|()| self.out.flush())
    }
}

/// Whether the file is one that ends without a newline.
fn is_torn(path: &Path) -> io::Result<bool> {
    if !fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.split(|&byte| byte == b'\n').count() as u64 - 1
}

impl<W: Write + Send> Exporter for JsonLines<W> {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let mut result = Ok(());
        for record in batch.records() {
            self.encoder.line(&record, &mut self.buffer);
            self.buffered += 1;
            if self.buffer.len() >= WRITE_BYTES && result.is_ok() {
                result = self.write_out();
            }
        }
        if self.buffered >= self.buffering.records_max && result.is_ok() {
            result = self.write_out();
        }
        self.written(result)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        let result = self.flush_out();
        self.written(result)
    }

    fn close(&mut self) -> Result<(), ExportError> {
        self.flush_out().map_err(|source| {
            let lost = self.give_up();
            self.failed(source, lost)
        })
    }

    fn flush_interval(&self) -> Option<Duration> {
        Some(self.buffering.interval)
    }
}

impl<W: Write + Send> Drop for JsonLines<W> {
    fn drop(&mut self) {
        if self.write_out().is_err() {
            radiosonde_core::loss::count(radiosonde_core::loss::Lost::WriteFailed, self.buffered);
        }
    }
}
