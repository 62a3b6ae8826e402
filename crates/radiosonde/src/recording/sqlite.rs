//! SQLite recordings, read.

use std::{fmt::Write as _, path::Path};

use radiosonde_core::model::{Record, Value};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, types::ValueRef};

use super::{
    LINE_BYTES_MAX, Skipped,
    line::{self, Envelope},
};
use crate::exporter::sqlite::{SCHEMA_VERSION, SELECT_ALL};

/// A SQLite recording that is being read.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
}

/// Why a SQLite recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// SQLite says so.
    // Not as the source: SQLite's own error says the same once more.
    #[error("{0}{mend}", mend = mend(.0))]
    Database(rusqlite::Error),
    /// The file is a database of something else.
    #[error(
        "it is a SQLite file, but not a recording; name a file that radiosonde's SQLite exporter wrote"
    )]
    Foreign,
    /// The file was written in a newer format.
    #[error(
        "its schema_version is {found} and this build reads up to {SCHEMA_VERSION}; use a newer version"
    )]
    Version {
        /// The file's version.
        found: i64,
    },
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            // The statements are ours: tables that they do not fit are somebody else's.
            rusqlite::Error::SqlInputError { .. } | rusqlite::Error::InvalidColumnType(..) => {
                Self::Foreign
            }
            error => Self::Database(error),
        }
    }
}

/// What to do about it.
fn mend(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "; the file is damaged or cut off: take a whole copy of it, or save what is left with `sqlite3 FILE .recover`"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            "; it was not closed, so its -wal file is needed: copy both to a folder that you may write"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another process holds the file: ask again"
        }
        _ => "",
    }
}

/// Opens the database for reading. One that was closed has no write-ahead log and changes no more, so nothing needs to
/// be written beside it.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // SQLite puts the log beside the file itself, not beside a link to it.
    let Ok(path) = path.canonicalize() else {
        return Connection::open_with_flags(path, flags);
    };
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    if cfg!(not(unix)) || Path::new(&log).exists() {
        return Connection::open_with_flags(path, flags);
    }
    let mut uri = "file:".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(byte));
            }
            // Writing to a string does not fail.
            _ => _ = write!(uri, "%{byte:02X}"),
        }
    }
    uri.push_str("?immutable=1");
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
}

impl Sqlite {
    /// Opens the recording at `path` for reading. One that is being written may be read at the same time.
    pub fn open(path: &Path) -> Result<Self, SqliteError> {
        let connection = connect(path)?;
        let has = |table| {
            let sql = "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?1";
            connection.query_row(sql, (table,), |row| row.get::<_, bool>(0))
        };
        if !has("schema_version")? {
            return Err(SqliteError::Foreign);
        }
        let version = "SELECT max(version) FROM schema_version";
        match connection.query_row(version, (), |row| row.get::<_, Option<i64>>(0))? {
            Some(found) if found > SCHEMA_VERSION => Err(SqliteError::Version { found }),
            Some(_) if has("metric_event")? => Ok(Self { connection }),
            _ => Err(SqliteError::Foreign),
        }
    }

    /// Every record in the order of writing, and what had to be skipped.
    pub fn read(&mut self) -> Result<(Vec<Record>, Skipped), SqliteError> {
        let mut skipped = Skipped::default();
        let mut records = Vec::new();
        self.for_each(&mut skipped, |record| records.push(record))?;
        Ok((records, skipped))
    }

    /// Hands every record to `visit` in the order of writing, without keeping any; counts in `skipped` what cannot
    /// be read.
    pub fn for_each(
        &mut self,
        skipped: &mut Skipped,
        mut visit: impl FnMut(Record),
    ) -> Result<(), SqliteError> {
        let mut statement = self.connection.prepare(SELECT_ALL)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            match record(row) {
                Ok(record) => visit(record),
                Err(reason) => {
                    // In a table that we did not make it may be anything.
                    let number: i64 = row.get(0).unwrap_or_default();
                    skipped.push(number.cast_unsigned(), reason);
                }
            }
        }
        Ok(())
    }
}

fn record(row: &Row<'_>) -> Result<Record, String> {
    let column = |index: usize| -> Result<Value, String> {
        // A row has no more room than a line: what is made of it takes many times its bytes.
        if let Ok(ValueRef::Text(text)) = row.get_ref(index)
            && text.len() > LINE_BYTES_MAX
        {
            return Err(format!("longer than {LINE_BYTES_MAX} bytes"));
        }
        let text: Option<String> = row.get(index).map_err(|error| error.to_string())?;
        Ok(text.map_or(Value::Null, Value::from))
    };
    let text = |index| match column(index)? {
        Value::Str(text) => Ok(text),
        _ => Ok::<_, String>("".into()),
    };
    let envelope = Envelope {
        time_unix_ns: line::timestamp("ts", &column(1)?)?,
        trace_id: line::trace_id("trace_id", &column(2)?)?,
        span_id: line::span_id("span_id", &column(3)?)?,
        parent_id: line::span_id("parent_id", &column(4)?)?,
        span_name: text(5)?,
        type_name: text(6)?,
    };
    let data = line::parse_value(text(7)?.as_bytes())?;
    Ok(line::record(envelope, data))
}
