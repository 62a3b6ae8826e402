//! Opening a data folder: keeping others out, removing what a crash left, taking up what the log has.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    ClickHouseError, Config, Segment,
    catalogue::{Catalogue, CatalogueError},
    clickhouse::Place,
    log::{self, LogFile},
    memtable::Memtable,
    sampling::Sampler,
    seen::Seen,
    segment,
    shared::{Held, Shared, State},
    table::Table,
    tail::Tails,
};

/// Segments have at most so many eighths of a file system. Three generations of rows (an eighth of that each) may be in logs and in a
/// segment that is being written, and a segment that is made of others takes a sixteenth.
const SHARE_OF_EIGHT: u64 = 5;

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another program has the folder.
    #[error("{folder}: another program{} keeps its data there; stop it, or name another folder", by(*.process))]
    InUse {
        /// The data folder.
        folder: PathBuf,
        /// That program's process, where it said.
        process: Option<u32>,
    },
    /// The operating system refused.
    #[error("{path}: {source}; make room or permit writing there, or name another folder")]
    Disk {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The catalogue cannot be read.
    #[error("{path}: {source}; {}", mend(.source))]
    Catalogue {
        /// The database.
        path: PathBuf,
        /// Why.
        source: CatalogueError,
    },
    /// ClickHouse is there, and cannot keep what is to be kept there.
    #[error(transparent)]
    ClickHouse(#[from] ClickHouseError),
    /// There is no thread for the keeper.
    #[error("cannot start the store's thread: {0}")]
    Thread(io::Error),
}

/// What to do about a catalogue that cannot be opened: the system's refusals are not faults of the file.
fn mend(source: &CatalogueError) -> &'static str {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
    let code = match source {
        CatalogueError::Sqlite(error) => error.sqlite_error_code(),
        CatalogueError::Version(_) => None,
    };
    match code {
        Some(CannotOpen | DiskFull | PermissionDenied | ReadOnly | SystemIoFailure) => {
            "make room or permit writing there, or name another folder"
        }
        _ => "restore it, or move the folder away to begin a new one",
    }
}

fn by(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" (process {process})"))
}

/// What was found when a store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Rows that were in the log and in no segment.
    pub rows: usize,
    /// Bytes at the end of log files that are no whole frame: what was being written when the program ended, which
    /// nobody was told is kept.
    pub damaged_bytes: u64,
    /// Segments that the catalogue has and the folder does not.
    pub segments_missing: usize,
    /// Segments whose file is not as long as it was written. It is left where it is, and left out of answers.
    pub segments_damaged: usize,
}

impl Recovery {
    /// What is worth knowing of it, in a sentence; `None` where the store was closed and is whole.
    pub fn words(&self) -> Option<String> {
        let Self {
            rows,
            damaged_bytes,
            segments_missing,
            segments_damaged,
        } = self;
        let told = [
            (*rows as u64, "rows were taken up from the log"),
            (
                *damaged_bytes,
                "bytes at the log's end were being written when the program ended, and are not kept",
            ),
            (*segments_missing as u64, "segments are missing"),
            (
                *segments_damaged as u64,
                "segments are damaged and left out",
            ),
        ];
        let told = told.iter().filter(|(number, _)| *number > 0);
        let told: Vec<String> = told
            .map(|(number, words)| format!("{number} {words}"))
            .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

pub(crate) fn open(config: Config) -> Result<(Shared, Recovery), OpenError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Disk { path, source }
    };
    fs::create_dir_all(&config.folder).map_err(at(&config.folder))?;
    let config = fitting(config);
    let folder = &config.folder;
    let lock = lock(folder)?;
    for table in Table::ALL {
        let path = folder.join(table.name());
        fs::create_dir_all(&path).map_err(at(&path))?;
    }
    let path = folder.join("catalogue.sqlite");
    let catalogue_error = |source: CatalogueError| OpenError::Catalogue {
        path: path.clone(),
        source,
    };
    let mut catalogue = Catalogue::open(&path).map_err(catalogue_error)?;
    let floor = catalogue
        .log_floor()
        .map_err(|error| catalogue_error(error.into()))?;
    let operations_since_unix_ns = catalogue
        .operations_since()
        .map_err(|error| catalogue_error(error.into()))?;
    let mut recovery = Recovery::default();
    let known = catalogue
        .segments()
        .map_err(|error| catalogue_error(error.into()))?;
    let ids: HashSet<i64> = known.iter().map(|segment| segment.id).collect();
    let segments = whole(&config, known, &mut recovery);
    remove_strangers(&config, &ids).map_err(at(folder))?;
    let seen = Seen::default();
    let newest = segments.iter().map(|held| held.segment.arrived_unix_ns);
    let mut newest_ns = newest.max().unwrap_or(0);
    let frozen =
        take_up_log(&config, floor, newest_ns, &mut recovery, &seen).map_err(at(folder))?;
    let mut generation = floor;
    if let Some(last) = frozen.last() {
        (generation, newest_ns) = (last.generation + 1, last.arrived_unix_ns);
    }
    let elsewhere = elsewhere(&config, &mut catalogue, generation)?;
    let log = LogFile::create(&*config.disk, folder, generation).map_err(at(folder))?;
    let state = State {
        log,
        active: Memtable::new(generation, newest_ns),
        frozen,
        segments,
        operations_since_unix_ns,
        asked: 0,
        answered: 0,
        outcome: Ok(()),
        is_stopping: false,
    };
    let sampler = config.sampling.map(Sampler::new).map(Mutex::new);
    let shared = Shared {
        sampler,
        config,
        state: Mutex::new(state),
        work: Condvar::new(),
        done: Condvar::new(),
        catalogue: Mutex::new(catalogue),
        seen,
        tails: Tails::default(),
        elsewhere,
        _lock: lock,
    };
    Ok((shared, recovery))
}

/// The segments whose files are there and as long as they were written.
fn whole(config: &Config, known: Vec<Segment>, recovery: &mut Recovery) -> Vec<Arc<Held>> {
    let mut segments = Vec::with_capacity(known.len());
    for segment in known {
        let held = Held::new(config, segment);
        match fs::metadata(&held.path) {
            Ok(file) if file.len() == held.segment.bytes => segments.push(held),
            Ok(_) => recovery.segments_damaged += 1,
            Err(_) => recovery.segments_missing += 1,
        }
    }
    segments
}

/// No more room for segments than the file system leaves for them beside the log and what is being written: a store that may have more
/// would fill it, and then neither take anything nor be opened again.
fn fitting(config: Config) -> Config {
    let system = rustix::fs::statvfs(&config.folder);
    let bytes = system.map_or(0, |system| system.f_blocks.saturating_mul(system.f_frsize));
    if bytes == 0 {
        // Some do not say how large they are.
        return config;
    }
    Config {
        size_bytes_max: config.size_bytes_max.min(bytes / 8 * SHARE_OF_EIGHT),
        ..config
    }
}

/// The place where rows are kept instead of in the folder, with the tables that they need. One that cannot be reached now may be
/// later: the log has what comes meanwhile.
fn elsewhere(
    config: &Config,
    catalogue: &mut Catalogue,
    generation: u64,
) -> Result<Option<Arc<Place>>, OpenError> {
    let Some(clickhouse) = &config.clickhouse else {
        return Ok(None);
    };
    let writer = catalogue.writer().map_err(|error| OpenError::Catalogue {
        path: config.folder.join("catalogue.sqlite"),
        source: error.into(),
    })?;
    let place = Place::new(clickhouse, config.age_max, writer, generation);
    match place.prepare() {
        Ok(()) => {}
        Err(error @ ClickHouseError::Away { .. }) => place.missed(&error),
        Err(error) => return Err(error.into()),
    }
    Ok(Some(Arc::new(place)))
}

/// Takes the folder for this process, until the file is closed.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let error = |source| OpenError::Disk {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(error)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(OpenError::InUse {
                folder: folder.to_owned(),
                process: text.trim().parse().ok(),
            });
        }
        Err(errno) => return Err(error(errno.into())),
    }
    file.set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(error)?;
    Ok(file)
}

/// Removes files of segments that the catalogue does not know: they were being written when the program ended.
fn remove_strangers(config: &Config, known: &HashSet<i64>) -> io::Result<()> {
    for table in Table::ALL {
        for entry in fs::read_dir(config.folder.join(table.name()))? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(segment::number);
            let is_unfinished = entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "tmp");
            if number.is_some_and(|number| is_unfinished || !known.contains(&number)) {
                config.disk.remove(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// The rows of generations that are in no segment, and no others.
fn take_up_log(
    config: &Config,
    floor: u64,
    mut newest_ns: i64,
    recovery: &mut Recovery,
    seen: &Seen,
) -> io::Result<Vec<Arc<Memtable>>> {
    let mut frozen = Vec::new();
    for generation in log::generations(&config.folder)? {
        let path = log::path(&config.folder, generation);
        if generation < floor {
            config.disk.remove(&path)?;
            continue;
        }
        let mut replay = log::replay(&path)?;
        recovery.damaged_bytes += replay.damaged_bytes;
        seen.note(&mut replay.batches).map_err(io::Error::other)?;
        let mut memtable = Memtable::new(generation, newest_ns);
        for (table, batch) in replay.batches {
            memtable.push(table, batch);
        }
        newest_ns = memtable.arrived_unix_ns;
        recovery.rows += memtable.rows;
        // An empty one too: its number is taken.
        frozen.push(Arc::new(memtable));
    }
    Ok(frozen)
}
