//! ClickHouse as the place of what is older: what the keeper would write into segments goes there over HTTP, and statements
//! read it back.
//!
//! The log, memory and the catalogue stay as they are, so what was acknowledged survives here whatever happens there. Each
//! row says which store wrote it and in which generation. A generation is inserted as one block with a token, so that it is
//! there whole or not at all, and once however often it is sent; whoever reads leaves out the generations that its own memory
//! still has. So a row is seen once before, while and after it is written, without a transaction between the two.

mod client;
mod config;
mod read;
mod tables;
mod write;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arrow::array::RecordBatch;
use ureq::Body;

use self::client::Client;
pub use self::{
    client::ClickHouseError,
    config::{ClickHouse, ClickHouseUrlError},
};
pub(crate) use self::{
    client::{bytes_literal, quoted, text_literal},
    read::View,
    tables::column_name,
};
use crate::{catalogue::AttributeType, memtable::Memtable, segment, table::Table};

/// How long it is believed which attributes there are; others may write too.
const ATTRIBUTES_AGE_MAX: Duration = Duration::from_secs(10);
/// How often it is written again that an attribute is there: its row is given up by its age like any other.
const ATTRIBUTES_INTERVAL: Duration = Duration::from_hours(1);

/// What is known of ClickHouse's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its address and database, without user and password.
    pub place: String,
    /// Why what is in memory could not be written there the last time, or why it could not be reached by the last statement, if so.
    pub failed: Option<String>,
}

/// The tables of a database that this store writes and reads.
#[derive(Debug)]
pub(crate) struct Place {
    client: Client,
    /// How long rows are kept there.
    age: Duration,
    /// This store's number among all that write there.
    writer: i64,
    /// The first generation that this process began. It cannot know of older ones whether they are there.
    first: u64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The tables are there, with the columns that they should have.
    is_prepared: bool,
    /// The generation that is being written, and the tables of which it was tried.
    begun: (u64, Vec<Table>),
    failed: Option<String>,
    /// Why it could not be reached when it was asked last, if it could not.
    unreached: Option<String>,
    /// When this store wrote last that an attribute is there, if it did.
    attributes: BTreeMap<(Table, String, AttributeType), Option<Instant>>,
    asked: Option<Instant>,
}

impl Place {
    /// The place that `config` names, for the store called `writer`, whose first generation in this process is `first`.
    pub(crate) fn new(config: &ClickHouse, age: Duration, writer: i64, first: u64) -> Self {
        Self {
            client: Client::new(config),
            age,
            writer,
            first,
            known: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> Elsewhere {
        let known = self.lock();
        Elsewhere {
            place: self.client.shown().to_owned(),
            failed: known.failed.as_ref().or(known.unreached.as_ref()).cloned(),
        }
    }

    /// The answer to a statement, remembering whether ClickHouse could be reached.
    fn ask(&self, statement: &str) -> Result<Body, ClickHouseError> {
        let outcome = self.client.ask(statement);
        self.lock().unreached = match &outcome {
            Err(error @ ClickHouseError::Away { .. }) => Some(error.to_string()),
            _ => None,
        };
        outcome
    }

    /// Remembers why nothing could be written.
    pub(crate) fn missed(&self, error: &ClickHouseError) {
        self.lock().failed = Some(error.to_string());
    }

    /// Makes the tables that are missing, and looks whether the others are as they should be.
    pub(crate) fn prepare(&self) -> Result<(), ClickHouseError> {
        if self.lock().is_prepared {
            return Ok(());
        }
        tables::prepare(&self.client, self.age)?;
        self.lock().is_prepared = true;
        Ok(())
    }

    /// Writes what a generation has of a table; once, however often this is called.
    pub(crate) fn write(
        &self,
        table: Table,
        rows: &RecordBatch,
        memtable: &Memtable,
    ) -> Result<(), ClickHouseError> {
        let outcome = self.try_write(table, rows, memtable);
        let mut known = self.lock();
        known.failed = outcome.as_ref().err().map(ToString::to_string);
        // Somebody may have taken a table away or changed it.
        known.is_prepared &= outcome.is_ok();
        outcome
    }

    fn try_write(
        &self,
        table: Table,
        rows: &RecordBatch,
        memtable: &Memtable,
    ) -> Result<(), ClickHouseError> {
        let arrived = u32::try_from(memtable.arrived_unix_ns / 1_000_000_000).unwrap_or(u32::MAX);
        self.prepare()?;
        // Before the rows, so that whoever sees a row sees its attributes.
        self.note_attributes(table, rows, arrived)?;
        let stamp = memtable.stamp().unwrap_or_default();
        if self.may_be_there(table, memtable.generation) && self.is_there(table, stamp)? {
            return Ok(());
        }
        let encode = |error: arrow::error::ArrowError| ClickHouseError::Rows {
            place: self.client.shown().to_owned(),
            table: table.name(),
            reason: error.to_string(),
        };
        let writer = self.writer;
        let stamped = write::stamped(table, rows, writer, stamp, arrived).map_err(encode)?;
        let body = write::stream(&stamped).map_err(encode)?;
        drop(stamped);
        let insert = tables::insert(self.client.database(), table);
        let token = format!("{writer}-{stamp}-{}", table.name());
        self.client.insert(&insert, &token, &body)
    }

    /// Whether it was tried before to write a generation's rows, so that they may have arrived although nobody said so.
    fn may_be_there(&self, table: Table, generation: u64) -> bool {
        let mut known = self.lock();
        if known.begun.0 != generation {
            known.begun = (generation, Vec::new());
        }
        let is_again = known.begun.1.contains(&table);
        if !is_again {
            known.begun.1.push(table);
        }
        is_again || generation < self.first
    }

    /// Whether a generation's rows are there: a block is there whole or not at all. The token says so too, but for some time only.
    fn is_there(&self, table: Table, stamp: i64) -> Result<bool, ClickHouseError> {
        let statement = format!(
            "SELECT count() FROM (SELECT 1 FROM {} WHERE writer = {} AND generation = {stamp} LIMIT 1)",
            tables::name(self.client.database(), table.name()),
            self.writer
        );
        Ok(self.client.text(&statement)?.trim() == "1")
    }

    /// Writes which attributes have a column in `rows`, where that is not known there.
    fn note_attributes(
        &self,
        table: Table,
        rows: &RecordBatch,
        arrived: u32,
    ) -> Result<(), ClickHouseError> {
        let all = segment::attributes(rows.schema_ref());
        let new: Vec<_> = {
            let known = self.lock();
            let is_new = |(name, kind): &&(String, AttributeType)| {
                let noted = known.attributes.get(&(table, name.clone(), *kind));
                let noted = noted.copied().flatten();
                noted.is_none_or(|noted| noted.elapsed() >= ATTRIBUTES_INTERVAL)
            };
            all.iter().filter(is_new).cloned().collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        let insert = tables::insert_attributes(self.client.database(), table, &new, arrived);
        self.client.text(&insert)?;
        let mut known = self.lock();
        for (name, kind) in new {
            let noted = Some(Instant::now());
            known.attributes.insert((table, name, kind), noted);
        }
        Ok(())
    }

    /// Learns which attributes others have written, unless it did so just now.
    pub(crate) fn refresh(&self) -> Result<(), ClickHouseError> {
        let is_fresh = |asked: Instant| asked.elapsed() < ATTRIBUTES_AGE_MAX;
        if self.lock().asked.is_some_and(is_fresh) {
            return Ok(());
        }
        self.prepare()?;
        let statement = tables::attributes(self.client.database());
        let body = self.ask(&statement);
        let text = body.and_then(|body| self.client.read_text(body));
        let text = text.inspect_err(|_| {
            self.lock().is_prepared = false;
        })?;
        let found = tables::read_attributes(&text);
        let mut known = self.lock();
        known
            .attributes
            .retain(|key, noted| noted.is_some() || found.contains(key));
        for key in found {
            known.attributes.entry(key).or_insert(None);
        }
        known.asked = Some(Instant::now());
        Ok(())
    }

    /// The attributes of a table that had a column when they were written, as far as it is known.
    pub(crate) fn attributes(&self, table: Table) -> Vec<(String, AttributeType)> {
        let known = self.lock();
        let of_table = known.attributes.keys().filter(|(of, ..)| *of == table);
        of_table
            .map(|(_, name, kind)| (name.clone(), *kind))
            .collect()
    }

    /// What is seen of a table by whoever has the generations with these stamps in memory.
    pub(crate) fn view(self: &Arc<Self>, table: Table, in_memory: Vec<i64>) -> View {
        View::new(Arc::clone(self), table, in_memory)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
