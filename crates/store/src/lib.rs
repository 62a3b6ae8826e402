//! Keeps telemetry, and answers questions about it.
//!
//! What [`Store::append`] acknowledged is in the log on the disk, and in memory for queries. A thread of the store, its
//! keeper, turns what is in memory into segments, makes large ones of small ones, and gives up the oldest where they take
//! too much room or are too old. The catalogue says which segments there are; its transactions are the moments in which rows pass from the
//! log into a segment, so each row is in exactly one of the two whatever happens in between.
//!
//! ```text
//! append ─▶ log (durable) + memory ─▶ keeper: segments ─▶ catalogue ─▶ retention
//!                      └──────── queries see both ────────┘
//! ```
//!
//! Where [`Config::clickhouse`] says so, rows pass into the tables of a ClickHouse instead of into segments; nothing else changes.
//!
//! None of the types of Arrow, Parquet and DataFusion is in this interface (DESIGN 9).

mod age;
mod catalogue;
mod clickhouse;
pub mod columns;
mod compact;
mod config;
pub mod disk;
mod keeper;
mod log;
mod memtable;
mod merge;
mod open;
pub mod query;
mod read;
mod rollup;
pub mod row;
mod sampling;
mod seen;
mod segment;
mod series;
mod several;
mod shared;
mod sketch;
pub mod table;
mod tail;
mod trace;
mod volatile;

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use radiosonde_core::ids::TraceId;

pub use self::{
    catalogue::{AttributeType, CatalogueError, Segment},
    clickhouse::{ClickHouse, ClickHouseError, ClickHouseUrlError, Elsewhere},
    columns::Rows,
    config::Config,
    open::{OpenError, Recovery},
    read::{Kept, attributes_from_json},
    rollup::OTHERS,
    sampling::{Sampled, Sampling, Slow},
    segment::WriteError,
    several::Traces,
    table::Table,
    volatile::{VolatileError, VolatileFolder},
};
use self::{
    query::{Answer, Arrived, Engine, Limits, QueryError, Tail},
    shared::Shared,
};

/// How long a store that is dropped waits for a ClickHouse to take what is in memory.
const LAST_WRITE_TIME_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether it did.
const LAST_WRITE_LOOK: Duration = Duration::from_millis(10);

/// A store, open. Dropping it writes what is in memory into segments. Where rows are kept in a ClickHouse that has not taken them after
/// a few seconds, they stay in the log, and the folder is in use until ClickHouse answers or the process ends.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
    engine: Engine,
    recovery: Recovery,
}

/// Rows were not taken. None of them is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// There is too much in memory that is not in segments yet.
    #[error("the store writes more slowly than rows come; send them again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The log could not be written, so nothing would survive.
    #[error(
        "the log in the data folder cannot be written: {0}; make room or permit writing, then send the rows again"
    )]
    Log(#[from] io::Error),
    /// The rows are no table.
    #[error("the rows could not be put into columns: {0}")]
    Columns(String),
}

impl Store {
    /// Opens the store in `config`'s folder, which is made where it is missing, and takes up what its log has.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let (shared, recovery) = open::open(config)?;
        let shared = Arc::new(shared);
        let engine = Engine::start(&shared).map_err(OpenError::Thread)?;
        let keeper = keeper::start(&shared).map_err(OpenError::Thread)?;
        Ok(Self {
            shared,
            keeper: Some(keeper),
            engine,
            recovery,
        })
    }

    /// What was found in the log when the store was opened.
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Keeps `rows`, all of them or none, unless the process is killed meanwhile: then rows of one table may be kept and those of
    /// another not. When this returns `Ok` they survive a loss of power, and queries see them.
    pub fn append(&self, rows: Rows) -> Result<(), AppendError> {
        self.shared.append(rows)
    }

    /// Writes what is in memory into segments and waits until that is done, or says why it could not be.
    pub fn flush(&self) -> Result<(), WriteError> {
        self.shared.flush()
    }

    /// Answers a statement in SQL that only reads.
    pub fn sql(&self, statement: &str, limits: Limits) -> Result<Answer, QueryError> {
        self.engine.sql(statement, limits)
    }

    /// Follows a statement that only reads: from here on it is answered over what arrives, and over nothing else.
    pub fn tail(&self, statement: &str) -> Result<Tail, QueryError> {
        self.engine.tail(&self.shared, statement)
    }

    /// What the statement of `tail` answers to the rows that arrived since the last time, at most `limits.rows_max` of them at
    /// once, each once; none where nothing arrived. Where it fails, those rows are not looked at again.
    pub fn arrived(&self, tail: &Tail, limits: Limits) -> Result<Option<Arrived>, QueryError> {
        self.engine.arrived(tail, limits)
    }

    /// The records of a trace: its spans by their start, then logs and events by their time; none where the trace is not
    /// known.
    pub fn trace(&self, trace: TraceId) -> Result<Vec<Kept>, QueryError> {
        trace::records(&self.shared, trace)
    }

    /// The records of many traces: of the first of `traces` that together have at most `rows_max` spans, and of at least
    /// one. Of what was logged in them those that answers are made from: events, and logs of at least `WARN`, at most
    /// `rows_max` as well.
    pub fn traces(&self, traces: &[TraceId], rows_max: usize) -> Result<Traces, QueryError> {
        several::records(&self.shared, traces, rows_max)
    }

    /// Most bytes of segments: what it was told, or less where the file system is small.
    pub fn size_bytes_max(&self) -> u64 {
        self.shared.config.size_bytes_max
    }

    /// The segments there are, the oldest first.
    pub fn segments(&self) -> Vec<Segment> {
        self.shared.segments()
    }

    /// Where rows are kept instead of in segments, where they are, and whether they can be.
    pub fn elsewhere(&self) -> Option<Elsewhere> {
        self.shared.elsewhere.as_ref().map(|place| place.state())
    }

    /// From when on, in nanoseconds since the Unix epoch, spans are in the table `operations`: those that started then or later
    /// are all in it, of those before it there may be some. Before that lies what a version kept that had no such table,
    /// and what there was no room for.
    pub fn operations_since_unix_ns(&self) -> i64 {
        self.shared.lock().operations_since_unix_ns
    }

    /// What became of traces since the store was opened, where they are sampled.
    pub fn sampled(&self) -> Option<Sampled> {
        self.shared.sampler().map(|sampler| sampler.sampled())
    }

    /// Rows that are in memory and in no segment yet.
    pub fn rows_in_memory(&self) -> usize {
        self.shared.rows_in_memory()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.stop();
        let Some(keeper) = self.keeper.take() else {
            return;
        };
        if self.shared.elsewhere.is_some() {
            // What a server that says nothing was sent is in the log as well, and is looked for there when the store is opened again.
            let until = Instant::now() + LAST_WRITE_TIME_MAX;
            while !keeper.is_finished() {
                if Instant::now() >= until {
                    return;
                }
                thread::sleep(LAST_WRITE_LOOK);
            }
        }
        let _ = keeper.join();
    }
}
