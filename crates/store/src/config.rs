//! What a store is told.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    ClickHouse,
    disk::{Disk, SystemDisk},
    sampling::Sampling,
    table::Table,
};

const MIB: u64 = 1024 * 1024;

/// Where a store keeps what, and how much.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder; its own.
    pub folder: PathBuf,
    /// Most bytes of segments; beyond it the oldest go, but not what came last. Where the folder's file system is small, it is five
    /// eighths of that.
    pub size_bytes_max: u64,
    /// How long rows are kept after they arrived.
    pub age_max: Duration,
    /// Most bytes in memory that are in no segment yet; beyond it rows are refused with a delay to try again.
    pub memory_bytes_max: usize,
    /// Rows in memory from which on they are written into segments.
    pub flush_rows: usize,
    /// How long rows wait in memory for others.
    pub flush_interval: Duration,
    /// Whether statements that need more memory than they may have put parts of it into the system's folder for temporary
    /// files; where not, they are refused.
    pub spills: bool,
    /// Which traces are kept; all of them without.
    pub sampling: Option<Sampling>,
    /// Where what is in memory goes from there, instead of into segments in the folder; those that are there stay until they are too
    /// old or too many.
    pub clickhouse: Option<ClickHouse>,
    /// What is written to.
    pub disk: Arc<dyn Disk>,
}

/// Which part of the room that segments have those of operations may take: a fourth.
const OPERATIONS_SHARE: u64 = 4;

impl Config {
    /// A store in `folder` with the defaults: 2 GiB, 7 days, 256 MiB in memory, 262,144 rows or a minute.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            size_bytes_max: 2048 * MIB,
            age_max: Duration::from_hours(7 * 24),
            memory_bytes_max: (256 * MIB) as usize,
            flush_rows: 262_144,
            flush_interval: Duration::from_mins(1),
            spills: true,
            sampling: None,
            clickhouse: None,
            disk: Arc::new(SystemDisk),
        }
    }

    /// Most bytes of a table's segments.
    pub(crate) const fn bytes_max(&self, table: Table) -> u64 {
        match table {
            Table::Operations => self.size_bytes_max / OPERATIONS_SHARE,
            Table::Spans | Table::Logs | Table::Points | Table::Profiles => self.size_bytes_max,
        }
    }
}
