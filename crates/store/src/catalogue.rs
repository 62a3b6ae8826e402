//! What the store has: its segments, and from which generation on the log is still needed. One SQLite database, whose
//! transactions are the moments in which segments come and go.

use std::{path::Path, sync::Arc};

use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::{memtable::now_unix_ns, table::Table};

/// The layout's version, in `PRAGMA user_version`.
const VERSION: i64 = 1;
/// From when on spans are in the table of operations. It came later, and whoever does not know it leaves it alone, so the layout
/// has the same version.
const OPERATIONS: &str = "CREATE TABLE IF NOT EXISTS operations (since_ns INTEGER NOT NULL) STRICT";

/// A file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number, never used twice; its file is named after it.
    pub id: i64,
    /// Whose rows it has.
    pub table: Table,
    /// How many.
    pub rows: u64,
    /// The file's size.
    pub bytes: u64,
    /// The earliest time of a row, in nanoseconds since the Unix epoch.
    pub first_unix_ns: i64,
    /// The latest.
    pub last_unix_ns: i64,
    /// When its rows arrived, at the latest, in nanoseconds since the Unix epoch: what retention by age goes by.
    pub arrived_unix_ns: i64,
    /// How often its rows were compacted.
    pub level: u8,
    /// The attributes that have a column of their own.
    pub attributes: Arc<[(String, AttributeType)]>,
}

/// What the values in an attribute's column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeType {
    /// Truth values.
    Bool,
    /// Whole numbers.
    Int,
    /// Numbers.
    Float,
    /// Text.
    Text,
}

impl AttributeType {
    /// Every type.
    pub(crate) const ALL: [Self; 4] = [Self::Bool, Self::Int, Self::Float, Self::Text];

    /// Its name where it is written down.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
        }
    }
}

/// The catalogue could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Another version of the program made it.
    #[error("its layout has version {0}, and this program knows version {VERSION}")]
    Version(i64),
}

/// The database.
#[derive(Debug)]
pub(crate) struct Catalogue(Connection);

impl Catalogue {
    /// Opens the database at `path`, which is made where it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, CatalogueError> {
        let connection = Connection::open(path)?;
        // A commit is a promise: it survives a loss of power.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            connection.execute_batch(
                "BEGIN;
                CREATE TABLE segments (
                    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, rows INTEGER NOT NULL,
                    bytes INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
                    arrived_ns INTEGER NOT NULL, level INTEGER NOT NULL, attributes TEXT NOT NULL
                ) STRICT;
                CREATE TABLE log (floor INTEGER NOT NULL) STRICT;
                INSERT INTO log VALUES (1);
                CREATE TABLE reserved (id INTEGER NOT NULL) STRICT;
                INSERT INTO reserved VALUES (0);
                PRAGMA user_version = 1;
                COMMIT;",
            )?;
        } else if version != VERSION {
            return Err(CatalogueError::Version(version));
        }
        connection.execute(OPERATIONS, [])?;
        let since = if version == 0 {
            i64::MIN
        } else {
            now_unix_ns()
        };
        connection.execute(
            "INSERT INTO operations SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM operations)",
            [since],
        )?;
        Ok(Self(connection))
    }

    /// Spans that started then or later are all in the table of operations.
    pub(crate) fn operations_since(&self) -> rusqlite::Result<i64> {
        self.0
            .query_row("SELECT since_ns FROM operations", [], |row| row.get(0))
    }

    /// Rows of operations before `unix_ns` are about to be given up.
    pub(crate) fn set_operations_since(&mut self, unix_ns: i64) -> rusqlite::Result<()> {
        let statement = "UPDATE operations SET since_ns = max(since_ns, ?1)";
        self.0.execute(statement, [unix_ns]).map(|_| ())
    }

    /// The oldest generation of the log that is still needed.
    pub(crate) fn log_floor(&self) -> rusqlite::Result<u64> {
        self.0
            .query_row("SELECT floor FROM log", [], |row| row.get::<_, i64>(0))
            .map(|floor| floor as u64)
    }

    /// The number by which this store is known where others write as well; the same for as long as there is this catalogue.
    pub(crate) fn writer(&mut self) -> rusqlite::Result<i64> {
        self.0.execute_batch(
            "BEGIN;
            CREATE TABLE IF NOT EXISTS writer (id INTEGER NOT NULL) STRICT;
            INSERT INTO writer SELECT random() & 0x7fffffffffffffff WHERE NOT EXISTS (SELECT 1 FROM writer);
            COMMIT;",
        )?;
        self.0
            .query_row("SELECT id FROM writer", [], |row| row.get(0))
    }

    /// Every segment, the oldest first.
    pub(crate) fn segments(&self) -> rusqlite::Result<Vec<Segment>> {
        let mut statement = self.0.prepare(
            "SELECT id, kind, rows, bytes, first_ns, last_ns, arrived_ns, level, attributes FROM segments ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, u8>(1)?,
                Segment {
                    id: row.get(0)?,
                    table: Table::Spans,
                    rows: row.get::<_, i64>(2)? as u64,
                    bytes: row.get::<_, i64>(3)? as u64,
                    first_unix_ns: row.get(4)?,
                    last_unix_ns: row.get(5)?,
                    arrived_unix_ns: row.get(6)?,
                    level: row.get(7)?,
                    attributes: serde_json::from_str(&row.get::<_, String>(8)?).unwrap_or_default(),
                },
            ))
        })?;
        let mut segments = Vec::new();
        for row in rows {
            let (number, segment) = row?;
            // A table that this version does not know is left alone.
            segments.extend(Table::from_number(number).map(|table| Segment { table, ..segment }));
        }
        Ok(segments)
    }

    /// A number for a segment that is about to be written.
    pub(crate) fn reserve(&mut self) -> rusqlite::Result<i64> {
        self.0
            .query_row("UPDATE reserved SET id = id + 1 RETURNING id", [], |row| {
                row.get(0)
            })
    }

    /// Puts `added` in the place of `removed` and, with `floor`, gives up the log before that generation: all at once
    /// or not at all.
    pub(crate) fn replace(
        &mut self,
        removed: &[i64],
        added: &[Segment],
        floor: Option<u64>,
    ) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        for id in removed {
            transaction.execute("DELETE FROM segments WHERE id = ?1", [id])?;
        }
        for segment in added {
            insert(&transaction, segment)?;
        }
        if let Some(floor) = floor {
            transaction.execute("UPDATE log SET floor = ?1", [floor as i64])?;
        }
        transaction.commit()
    }
}

fn insert(transaction: &Transaction<'_>, segment: &Segment) -> rusqlite::Result<()> {
    let attributes = serde_json::to_string(&segment.attributes)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    transaction.execute(
        "INSERT INTO segments (id, kind, rows, bytes, first_ns, last_ns, arrived_ns, level, attributes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            segment.id,
            segment.table as u8,
            segment.rows as i64,
            segment.bytes as i64,
            segment.first_unix_ns,
            segment.last_unix_ns,
            segment.arrived_unix_ns,
            segment.level,
            attributes,
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_there_from_the_start_or_from_when_their_table_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue.sqlite");
        let since = || Catalogue::open(&path).unwrap().operations_since().unwrap();
        assert_eq!((since(), since()), (i64::MIN, i64::MIN));
        // What a version leaves that had no such table.
        let connection = Connection::open(&path).unwrap();
        connection.execute("DROP TABLE operations", []).unwrap();
        drop(connection);
        let first = since();
        assert!((1..=now_unix_ns()).contains(&first), "{first}");
        assert_eq!(since(), first);
        let mut catalogue = Catalogue::open(&path).unwrap();
        catalogue.set_operations_since(first - 1).unwrap();
        assert_eq!(catalogue.operations_since().unwrap(), first);
        catalogue.set_operations_since(first + 1).unwrap();
        assert_eq!(catalogue.operations_since().unwrap(), first + 1);
    }
}
