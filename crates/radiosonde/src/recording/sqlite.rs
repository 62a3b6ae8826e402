//! SQLite recordings, read.

use std::path::Path;

use radiosonde_core::model::{Record, Value};
use rusqlite::{Connection, OpenFlags, Row};

use super::{
    Skipped,
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
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// The file was written in a newer format.
    #[error(
        "its schema_version is {found} and this build reads up to {SCHEMA_VERSION}; use a newer version"
    )]
    Version {
        /// The file's version.
        found: i64,
    },
}

impl Sqlite {
    /// Opens the recording at `path` for reading. One that is being written may be read at the same time.
    pub fn open(path: &Path) -> Result<Self, SqliteError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let found: i64 =
            connection.query_row("SELECT max(version) FROM schema_version", (), |row| {
                row.get(0)
            })?;
        if found > SCHEMA_VERSION {
            return Err(SqliteError::Version { found });
        }
        Ok(Self { connection })
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
                Err(reason) => skipped.push(row.get::<_, i64>(0)?.cast_unsigned(), reason),
            }
        }
        Ok(())
    }
}

fn record(row: &Row<'_>) -> Result<Record, String> {
    let column = |index: usize| -> Result<Value, String> {
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
