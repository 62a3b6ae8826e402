//! The store's state: the log, what is in memory, and the segments. Shared by those who append, those who ask and the
//! keeper.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arrow::array::RecordBatch;

use crate::{
    AppendError, Config, Rows, Segment, WriteError,
    catalogue::Catalogue,
    clickhouse::{Place, View},
    disk::Disk,
    log::{self, LogFile},
    memtable::Memtable,
    sampling::Sampler,
    seen::Seen,
    segment,
    table::Table,
    tail::Tails,
};

/// A generation takes at most this part of the room that segments have, and a batch more: retention gives up whole segments,
/// and a segment is what a generation had of a table.
const GENERATION_SHARE_MAX: u64 = 8;
/// When to try again what found no room in memory.
const RETRY_AFTER: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) state: Mutex<State>,
    /// The keeper has something to do.
    pub(crate) work: Condvar,
    /// The keeper has done something.
    pub(crate) done: Condvar,
    pub(crate) catalogue: Mutex<Catalogue>,
    pub(crate) seen: Seen,
    pub(crate) tails: Tails,
    /// Judges traces, where they are sampled.
    pub(crate) sampler: Option<Mutex<Sampler>>,
    /// Where rows go instead of into segments.
    pub(crate) elsewhere: Option<Arc<Place>>,
    /// Keeps other programs out of the folder.
    pub(crate) _lock: std::fs::File,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) log: LogFile,
    pub(crate) active: Memtable,
    /// Older generations, the oldest first; the keeper writes them into segments.
    pub(crate) frozen: Vec<Arc<Memtable>>,
    pub(crate) segments: Vec<Arc<Held>>,
    /// Spans that started then or later are all in the table of operations.
    pub(crate) operations_since_unix_ns: i64,
    /// Flushes that were asked for and answered, and how the last one ended.
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    pub(crate) outcome: Result<(), Arc<WriteError>>,
    pub(crate) is_stopping: bool,
}

/// A segment that queries may be reading. Its files go when the last of them is done, once it was given up.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) segment: Segment,
    pub(crate) path: PathBuf,
    pub(crate) is_given_up: AtomicBool,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Held {
    pub(crate) fn new(config: &Config, segment: Segment) -> Arc<Self> {
        Arc::new(Self {
            path: segment::path(&config.folder, segment.table, segment.id),
            segment,
            is_given_up: AtomicBool::new(false),
            disk: Arc::clone(&config.disk),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_given_up.load(Relaxed) {
            segment::discard(&*self.disk, &self.path);
        }
    }
}

/// What there is at one moment: every row once.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) memory: Vec<RecordBatch>,
    pub(crate) segments: Vec<Arc<Held>>,
    pub(crate) elsewhere: Option<View>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The sampler, where there is one.
    pub(crate) fn sampler(&self) -> Option<MutexGuard<'_, Sampler>> {
        let sampler = self.sampler.as_ref()?;
        Some(sampler.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn append(&self, rows: Rows) -> Result<(), AppendError> {
        let columns = |error: arrow::error::ArrowError| AppendError::Columns(error.to_string());
        let mut batches = rows.finish().map_err(columns)?;
        self.seen.note(&mut batches).map_err(columns)?;
        let kept = self.keep(&batches);
        match kept {
            Ok(()) => self.tails.push(&batches),
            Err(_) => self.seen.forget(&batches),
        }
        kept
    }

    /// Puts batches into the log and into memory, and waits until they are on the disk.
    fn keep(&self, batches: &[(Table, RecordBatch)]) -> Result<(), AppendError> {
        if batches.is_empty() {
            return Ok(());
        }
        let columns = |error: arrow::error::ArrowError| AppendError::Columns(error.to_string());
        let mut frames = Vec::new();
        for (table, batch) in batches {
            log::frame(*table, batch, &mut frames).map_err(columns)?;
        }
        let ticket = {
            let mut state = self.lock();
            if state.bytes() >= self.config.memory_bytes_max {
                self.work.notify_all();
                let retry_after = RETRY_AFTER;
                return Err(AppendError::Busy { retry_after });
            }
            // The keeper may be writing another one, while rows go on to come.
            if state.log.is_broken() || self.is_large(&state.active) {
                self.freeze(&mut state)?;
            }
            let ticket = state.log.append(&frames)?;
            for (table, batch) in batches {
                state.active.push(*table, batch.clone());
            }
            if self.is_full(&state.active) {
                self.work.notify_all();
            }
            ticket
        };
        Ok(ticket.wait()?)
    }

    /// Whether a generation has as many rows, or takes as much memory, as a segment is made of.
    pub(crate) fn is_full(&self, memtable: &Memtable) -> bool {
        memtable.rows >= self.config.flush_rows
            || memtable.bytes >= self.config.memory_bytes_max / 4
            || self.is_large(memtable)
    }

    /// Whether the segments of a generation could take more than a part of the room that all of them have.
    fn is_large(&self, memtable: &Memtable) -> bool {
        let bytes = memtable.bytes as u64;
        memtable.rows > 0 && bytes >= self.config.size_bytes_max / GENERATION_SHARE_MAX
    }

    /// Begins a new generation: the one before is the keeper's.
    pub(crate) fn freeze(&self, state: &mut State) -> std::io::Result<()> {
        let generation = state.active.generation + 1;
        state.log = LogFile::create(&*self.config.disk, &self.config.folder, generation)?;
        let next = Memtable::new(generation, state.active.arrived_unix_ns);
        let frozen = std::mem::replace(&mut state.active, next);
        state.frozen.push(Arc::new(frozen));
        self.seen.turn();
        self.work.notify_all();
        Ok(())
    }

    pub(crate) fn flush(&self) -> Result<(), WriteError> {
        let mut state = self.lock();
        state.asked += 1;
        let ticket = state.asked;
        self.work.notify_all();
        while state.answered < ticket {
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match &state.outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(WriteError::Earlier(error.to_string())),
        }
    }

    /// The rows of `table`; in memory those that its are made of.
    pub(crate) fn snapshot(&self, table: Table) -> Snapshot {
        let state = self.lock();
        let frozen = state.frozen.iter().map(AsRef::as_ref);
        let memory = frozen
            .chain([&state.active])
            .flat_map(|memtable| memtable.batches(table.source()));
        let segments = state
            .segments
            .iter()
            .filter(|held| held.segment.table == table);
        let elsewhere = self.elsewhere.as_ref().map(|place| {
            // What is in memory may be there as well by the time that somebody reads there.
            let frozen = state.frozen.iter().map(AsRef::as_ref);
            let stamps = frozen.chain([&state.active]).filter_map(Memtable::stamp);
            place.view(table, stamps.collect())
        });
        Snapshot {
            memory: memory.cloned().collect(),
            segments: segments.cloned().collect(),
            elsewhere,
        }
    }

    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.lock()
            .segments
            .iter()
            .map(|held| held.segment.clone())
            .collect()
    }

    pub(crate) fn rows_in_memory(&self) -> usize {
        let state = self.lock();
        state.active.rows + state.frozen.iter().map(|frozen| frozen.rows).sum::<usize>()
    }

    pub(crate) fn stop(&self) {
        self.lock().is_stopping = true;
        self.work.notify_all();
    }
}

impl State {
    /// Memory of what is in no segment yet.
    pub(crate) fn bytes(&self) -> usize {
        self.active.bytes + self.frozen.iter().map(|frozen| frozen.bytes).sum::<usize>()
    }
}
