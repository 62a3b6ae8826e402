//! Rows in memory: those of one generation of the log.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::Int64Type,
};

use crate::table::Table;

/// The batches of one generation, by table.
#[derive(Debug)]
pub(crate) struct Memtable {
    pub(crate) generation: u64,
    batches: [Vec<RecordBatch>; Table::ALL.len()],
    /// A checksum of some of the first batch.
    mark: Option<u32>,
    pub(crate) rows: usize,
    /// Memory of the batches.
    pub(crate) bytes: usize,
    /// When the first rows came.
    pub(crate) began: Option<Instant>,
    /// When the last did.
    pub(crate) ended: Option<Instant>,
    /// The same, in nanoseconds since the Unix epoch; later than of any generation before, also where the system's clock was set
    /// back, so that generations are in the order in which they came.
    pub(crate) arrived_unix_ns: i64,
}

impl Memtable {
    /// The generation after one whose last rows came at `before_unix_ns`.
    pub(crate) fn new(generation: u64, before_unix_ns: i64) -> Self {
        Self {
            generation,
            batches: Default::default(),
            mark: None,
            rows: 0,
            bytes: 0,
            began: None,
            ended: None,
            arrived_unix_ns: before_unix_ns.saturating_add(1),
        }
    }

    pub(crate) fn push(&mut self, table: Table, batch: RecordBatch) {
        self.mark.get_or_insert_with(|| mark(table, &batch));
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        let now = Instant::now();
        self.began.get_or_insert(now);
        self.ended = Some(now);
        self.arrived_at(now_unix_ns());
        self.batches[table as usize - 1].push(batch);
    }

    /// The generation's number, and what tells it from another one of that number, as there is one where a folder was put back from a
    /// copy; the same after the rows were taken up from the log. `None` where there are no rows.
    pub(crate) fn stamp(&self) -> Option<i64> {
        let mark = self.mark?;
        Some((self.generation << 32 | u64::from(mark)).cast_signed())
    }

    /// Rows came when the system's clock said `system_ns`.
    pub(crate) fn arrived_at(&mut self, system_ns: i64) {
        self.arrived_unix_ns = self.arrived_unix_ns.max(system_ns);
    }

    pub(crate) fn batches(&self, table: Table) -> &[RecordBatch] {
        &self.batches[table as usize - 1]
    }
}

fn mark(table: Table, batch: &RecordBatch) -> u32 {
    let times = batch.column_by_name(table.time_column());
    let times = times.and_then(|times| times.as_primitive_opt::<Int64Type>());
    let time = times.and_then(|times| times.values().first()).copied();
    let mut mark = crc32fast::Hasher::new();
    mark.update(&[table as u8]);
    mark.update(&(batch.num_rows() as u64).to_le_bytes());
    mark.update(&time.unwrap_or(0).to_le_bytes());
    mark.finalize()
}

/// The time, in nanoseconds since the Unix epoch.
pub(crate) fn now_unix_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
        })
}
