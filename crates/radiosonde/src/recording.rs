//! Recordings: what the JSON-lines and SQLite exporters wrote, read back as owned [`Record`]s, and written again.
//! The format is in docs/recording.md.
//!
//! Invariants: input of any shape is read without a panic and within [`LINE_BYTES_MAX`]; what cannot be read is skipped and
//! counted with its line number; an event of a type that this build does not know comes back as it was.

mod line;
mod lines;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Seek as _, Write},
    path::{Path, PathBuf},
};

use radiosonde_core::model::Record;

pub use self::lines::{BadLine, JsonLines, LINE_BYTES_MAX, Skipped};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Sqlite, SqliteError};
use crate::encode::json::JsonEncoder;

/// The first bytes of a SQLite file (SQLite file format, section 1.3).
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// A recording that is being read: JSON lines or SQLite, told apart by the file's first bytes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Recording {
    /// A file of JSON lines.
    JsonLines(JsonLines<BufReader<File>>),
    /// A SQLite file.
    #[cfg(feature = "sqlite")]
    Sqlite(Sqlite),
}

/// A recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}; check that it exists and that you may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The database cannot be read.
    #[cfg(feature = "sqlite")]
    #[error("cannot read {path} as a recording: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SqliteError,
    },
    /// The file is a SQLite recording and this build cannot read those.
    #[error(
        "{path} is a SQLite recording, which this build cannot read; build with the feature `sqlite`"
    )]
    NoSqlite {
        /// The file.
        path: PathBuf,
    },
}

impl Recording {
    /// Opens the recording at `path`.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(failed)?;
        let mut first = Vec::new();
        (&file)
            .take(SQLITE_MAGIC.len() as u64)
            .read_to_end(&mut first)
            .map_err(failed)?;
        if first == SQLITE_MAGIC {
            return Self::open_sqlite(path);
        }
        file.rewind().map_err(failed)?;
        Ok(Self::JsonLines(JsonLines::new(BufReader::new(file))))
    }

    #[cfg(feature = "sqlite")]
    fn open_sqlite(path: &Path) -> Result<Self, RecordingError> {
        Sqlite::open(path)
            .map(Self::Sqlite)
            .map_err(|source| RecordingError::Database {
                path: path.to_owned(),
                source,
            })
    }

    #[cfg(not(feature = "sqlite"))]
    fn open_sqlite(path: &Path) -> Result<Self, RecordingError> {
        Err(RecordingError::NoSqlite {
            path: path.to_owned(),
        })
    }

    /// Every record of the recording at `path`, and what had to be skipped.
    pub fn read(path: &Path) -> Result<(Vec<Record>, Skipped), RecordingError> {
        let failed = |source| RecordingError::Read {
            path: path.to_owned(),
            source,
        };
        match Self::open(path)? {
            Self::JsonLines(mut lines) => {
                let records = lines.by_ref().collect::<io::Result<_>>().map_err(failed)?;
                Ok((records, lines.into_skipped()))
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(mut rows) => rows.read().map_err(|source| RecordingError::Database {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

/// Writes owned records as JSON lines: the same bytes as the exporter writes.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    encoder: JsonEncoder,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer to `out`, which sees one `write_all` a record.
    pub fn new(out: W, encoder: JsonEncoder) -> Self {
        Self {
            out,
            encoder,
            line: Vec::new(),
        }
    }

    /// Writes one line.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        self.line.clear();
        self.encoder.owned_line(record, &mut self.line);
        self.out.write_all(&self.line)
    }

    /// Flushes `out` and gives it back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads arbitrary bytes as JSON lines and checks that what was read survives being written and read again. The body
/// of the fuzz target `recording`.
///
/// # Panics
/// When the reader and writer disagree.
#[doc(hidden)]
pub fn check_round_trip(bytes: &[u8]) {
    let read = |bytes: &[u8]| {
        let mut lines = JsonLines::new(bytes);
        let records: Vec<Record> = lines.by_ref().filter_map(Result::ok).collect();
        (records, lines.into_skipped())
    };
    let write = |records: &[Record]| {
        let mut out = Vec::new();
        let mut encoder = JsonEncoder::new(crate::redact::Redaction::off());
        for record in records {
            encoder.owned_line(record, &mut out);
        }
        out
    };
    let (records, _) = read(bytes);
    let written = write(&records);
    let (again, skipped) = read(&written);
    assert_eq!(skipped.lines, 0, "{:?}", skipped.first);
    assert_eq!(again.len(), records.len());
    assert_eq!(write(&again), written);
}
