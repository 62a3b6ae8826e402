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
    ClickHouseError, Config,
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
    #[error("{path}: {source}; permit writing there, or name another folder")]
    Disk {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The catalogue cannot be read.
    #[error("{path}: {source}; restore it, or move the folder away to begin a new one")]
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
    let folder = &config.folder;
    fs::create_dir_all(folder).map_err(at(folder))?;
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
    let mut recovery = Recovery::default();
    let known = catalogue
        .segments()
        .map_err(|error| catalogue_error(error.into()))?;
    let ids: HashSet<i64> = known.iter().map(|segment| segment.id).collect();
    let mut segments = Vec::with_capacity(known.len());
    for segment in known {
        let held = Held::new(&config, segment);
        match fs::metadata(&held.path) {
            Ok(file) if file.len() == held.segment.bytes => segments.push(held),
            Ok(_) => recovery.segments_damaged += 1,
            Err(_) => recovery.segments_missing += 1,
        }
    }
    remove_strangers(&config, &ids).map_err(at(folder))?;
    let seen = Seen::default();
    let frozen = take_up_log(&config, floor, &mut recovery, &seen).map_err(at(folder))?;
    let generation = frozen.last().map_or(floor, |last| last.generation + 1);
    let elsewhere = match &config.clickhouse {
        Some(clickhouse) => {
            let writer = catalogue
                .writer()
                .map_err(|error| catalogue_error(error.into()))?;
            let place = Place::new(clickhouse, config.age_max, writer, generation);
            Some(reach(place)?)
        }
        None => None,
    };
    let log = LogFile::create(&*config.disk, folder, generation).map_err(at(folder))?;
    let state = State {
        log,
        active: Memtable::new(generation),
        frozen,
        segments,
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

/// A place where rows are kept instead of in the folder, with the tables that they need. One that cannot be reached now may be
/// later: the log has what comes meanwhile.
fn reach(place: Place) -> Result<Arc<Place>, ClickHouseError> {
    match place.prepare() {
        Ok(()) => {}
        Err(error @ ClickHouseError::Away { .. }) => place.missed(&error),
        Err(error) => return Err(error),
    }
    Ok(Arc::new(place))
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
        let mut memtable = Memtable::new(generation);
        for (table, batch) in replay.batches {
            memtable.push(table, batch);
        }
        recovery.rows += memtable.rows;
        // An empty one too: its number is taken.
        frozen.push(Arc::new(memtable));
    }
    Ok(frozen)
}
