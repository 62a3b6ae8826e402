//! SQLite: one row of `metric_event` for each record (docs/recording.md).
//!
//! Invariants: the file is in WAL mode, so that it can be read while it is written, and a process that is killed
//! loses at most what came after the last commit; a transaction is open for at most one flush interval.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use radiosonde_core::{
    batch::{Batch, RecordRef},
    loss::{self, Lost},
};
use rusqlite::{Connection, ErrorCode, params};

use super::{ExportError, Exporter};
use crate::{
    encode::json::{self, Identifiers, JsonEncoder},
    redact::Redaction,
};

/// The version of the tables that this build writes.
pub(crate) const SCHEMA_VERSION: i64 = 1;

/// Every row in the order of writing.
pub(crate) const SELECT_ALL: &str = "SELECT id, ts, trace_id, span_id, parent_id, span_name, type, data \
     FROM metric_event ORDER BY id";

const INSERT: &str = "INSERT INTO metric_event (ts, trace_id, span_id, parent_id, span_name, type, data) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Identifiers are lower-case hexadecimal text and times RFC 3339 text of one width, so both sort and compare as
/// they are. In WAL mode `synchronous = NORMAL` keeps every commit through the death of the process (SQLite,
/// "Write-Ahead Logging", section 2.2).
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS metric_event (
        id INTEGER PRIMARY KEY,
        ts TEXT NOT NULL,
        trace_id TEXT,
        span_id TEXT,
        parent_id TEXT,
        span_name TEXT,
        type TEXT NOT NULL,
        data TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS metric_event_by_trace ON metric_event (trace_id) WHERE trace_id IS NOT NULL;
    CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL UNIQUE);
    INSERT OR IGNORE INTO schema_version (version) VALUES (1);
";

/// The tables of [`SCHEMA`] and the columns that they have.
const TABLES: &[(&str, &[&str])] = &[
    (
        "metric_event",
        &[
            "id",
            "ts",
            "trace_id",
            "span_id",
            "parent_id",
            "span_name",
            "type",
            "data",
        ],
    ),
    ("schema_version", &["version"]),
];

/// How long another process may hold the file before a write is given up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows in one transaction at most, so that the log that precedes a commit stays small.
const ROWS_PER_COMMIT_MAX: u64 = 50_000;

/// Writes each record as a row.
pub struct Sqlite {
    path: PathBuf,
    connection: Connection,
    encoder: JsonEncoder,
    interval: Duration,
    /// Rows since the last commit.
    pending: u64,
    row: RowText,
}

/// The text columns of a row, reused from row to row.
#[derive(Default)]
struct RowText {
    time: Vec<u8>,
    data: Vec<u8>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.path)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens the database at `path`; makes it, and the folders above it, where they are missing. Commits rows
    /// a second after they were recorded.
    pub fn open(path: &Path, redaction: Redaction) -> Result<Self, ExportError> {
        super::refuse_no_file(path).map_err(|source| unwritable(path, source))?;
        super::refuse_special(path, false).map_err(|source| unwritable(path, source))?;
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder).map_err(|source| unwritable(path, source))?;
        }
        let connection = connect(path).map_err(|error| unwritable(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            connection,
            encoder: JsonEncoder::new(redaction).with_identifiers(Identifiers::Hexadecimal),
            interval: Duration::from_secs(1),
            pending: 0,
            row: RowText::default(),
        })
    }

    /// The same with a commit when the oldest row was recorded `interval` ago: beside what still waits to be written, what a
    /// killed process loses at most.
    #[must_use]
    pub const fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    fn insert(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        if self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        {
            let mut statement = self.connection.prepare_cached(INSERT)?;
            for record in batch.records() {
                insert_record(&mut statement, &mut self.encoder, &mut self.row, &record)?;
                self.pending += 1;
            }
        }
        if self.pending >= ROWS_PER_COMMIT_MAX {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("COMMIT")?;
        }
        self.pending = 0;
        Ok(())
    }

    /// Gives up the open transaction, and says so.
    fn failed(&mut self, error: rusqlite::Error, records: u64) -> ExportError {
        // SQLite may have rolled back already; then there is nothing left to roll back.
        let _ = self.connection.execute_batch("ROLLBACK");
        self.pending = 0;
        let source = io_error(error);
        ExportError::Write {
            path: self.path.clone(),
            mend: super::mend(&source),
            source,
            records,
        }
    }
}

fn connect(path: &Path) -> io::Result<Connection> {
    let connection = Connection::open(path).map_err(io_error)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(io_error)?;
    refuse_foreign(&connection)?;
    prepare(&connection).map_err(io_error)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(SCHEMA)
}

/// An error where a table that we would write to is somebody else's. Nothing has been changed by then.
fn refuse_foreign(connection: &Connection) -> io::Result<()> {
    for (table, columns) in TABLES {
        let lacks = |column: &&str| {
            let exists = connection.column_exists(None, *table, *column);
            exists.is_ok_and(|exists| !exists)
        };
        let is_there = connection.table_exists(None, *table).map_err(io_error)?;
        if is_there && columns.iter().any(lacks) {
            let problem = format!("its table {table} is another program's");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
    }
    Ok(())
}

fn insert_record(
    statement: &mut rusqlite::Statement<'_>,
    encoder: &mut JsonEncoder,
    row: &mut RowText,
    record: &RecordRef<'_>,
) -> rusqlite::Result<()> {
    let envelope = json::envelope_of(record);
    row.time.clear();
    encoder.time(envelope.time_unix_ns, &mut row.time);
    row.data.clear();
    encoder.data(record, &mut row.data);
    let place = envelope.place.as_ref();
    statement.execute(params![
        std::str::from_utf8(&row.time)?,
        place.map(|place| place.trace_id.to_string()),
        place.map(|place| place.span_id.to_string()),
        place
            .and_then(|place| place.parent_id)
            .map(|id| id.to_string()),
        place
            .map(|place| encoder.redaction().text(place.span_name))
            .filter(|name| !name.is_empty()),
        envelope.type_name,
        std::str::from_utf8(&row.data)?,
    ])?;
    Ok(())
}

fn unwritable(path: &Path, source: io::Error) -> ExportError {
    ExportError::Write {
        path: path.to_owned(),
        source,
        mend: "name a SQLite file of ours, or none yet, in a folder that you may write",
        records: 0,
    }
}

fn io_error(error: rusqlite::Error) -> io::Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
        Some(ErrorCode::ReadOnly) => io::ErrorKind::ReadOnlyFilesystem,
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl Exporter for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let before = self.pending;
        self.insert(batch)
            .map_err(|error| self.failed(error, before + batch.len() as u64))
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        let pending = self.pending;
        self.commit().map_err(|error| self.failed(error, pending))
    }

    fn flush_interval(&self) -> Option<Duration> {
        Some(self.interval)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let pending = self.pending;
        if self.commit().is_err() {
            loss::count(Lost::WriteFailed, pending);
        }
    }
}
