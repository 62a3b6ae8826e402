//! Lines on their way into a file.
//!
//! Invariants: the file is appended to, and a line is never mixed with another writer's: each write hands whole lines
//! to the operating system. Where a write stops half way (a full disk), its rest is kept and written first as soon as
//! there is room, so that no line is torn. What is kept is bounded; beyond that, lines are lost and counted, and so is
//! what is kept when the file is closed. A line that an earlier run tore is ended before the first of this one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    mem,
    path::{Path, PathBuf},
};

use radiosonde_core::loss::{self, Lost};

use super::ExportError;

/// What is kept at most while the file cannot be written, in bytes.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Lines are handed to the operating system in pieces of about this size even within one batch.
const WRITE_BYTES: usize = 256 * 1024;

/// A file with the lines that are still to be written to it.
#[derive(Debug)]
pub(super) struct Lines<W: Write = File> {
    path: PathBuf,
    out: W,
    buffer: Vec<u8>,
    /// Lines that end in the buffer.
    buffered: u64,
    /// The file ends in the middle of a line that somebody else began.
    is_torn: bool,
}

impl Lines<File> {
    /// Opens the file at `path` for appending; makes it, and the folders above it, where they are missing.
    pub(super) fn open(path: &Path) -> Result<Self, ExportError> {
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
        let mut lines = Self::to_writer(file, path);
        // A file that may be written and not read keeps its secret.
        lines.is_torn = is_torn(path).unwrap_or(false);
        Ok(lines)
    }
}

impl<W: Write> Lines<W> {
    /// Writes to `out`, which is called `path` in errors.
    pub(super) fn to_writer(out: W, path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            out,
            buffer: Vec::new(),
            buffered: 0,
            is_torn: false,
        }
    }

    /// Takes the line that `write` appends, with its newline.
    pub(super) fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.buffer);
        self.buffered += 1;
    }

    /// How many lines wait.
    pub(super) const fn buffered(&self) -> u64 {
        self.buffered
    }

    /// Whether so much waits that it is better written than added to.
    pub(super) const fn is_full(&self) -> bool {
        self.buffer.len() >= WRITE_BYTES
    }

    /// Hands the buffer to the operating system. What it did not take stays.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
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

    /// What is told of a write: where it failed, what is kept is cut to its bound.
    pub(super) fn written(&mut self, result: io::Result<()>) -> Result<(), ExportError> {
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

    /// Hands everything to the operating system.
    pub(super) fn flush(&mut self) -> Result<(), ExportError> {
        let result = self.flush_out();
        self.written(result)
    }

    /// The same for the last time: what is not taken now is given up.
    pub(super) fn close(&mut self) -> Result<(), ExportError> {
        self.flush_out().map_err(|source| {
            let lost = self.give_up();
            self.failed(source, lost)
        })
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

impl<W: Write> Drop for Lines<W> {
    fn drop(&mut self) {
        if self.write_out().is_err() {
            loss::count(Lost::WriteFailed, self.buffered);
        }
    }
}
