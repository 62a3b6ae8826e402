//! Files that begin anew each day, in a folder of their own for each run: one for each crate that records, and one with
//! everything (docs/exporters/file.md).
//!
//! ```text
//! logs/run_20260131_123456/all.2026-01-31.jsonl     every record
//! logs/run_20260131_123456/engine.2026-01-31.jsonl  those whose target begins with engine::
//! ```
//!
//! Invariants: nothing is deleted that this exporter did not make, nor anything of a run that is still going on. Files are
//! appended to, and their lines are whole ([`lines`](super::lines)).

use std::{
    collections::BTreeMap,
    fs, io, mem,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use radiosonde_core::batch::{Batch, RecordRef};

pub use super::console::Format;
use super::{ExportError, Exporter, console::human::Human, lines::Lines};
use crate::{encode::json::JsonEncoder, redact::Redaction};

mod kept;
mod name;

use self::{kept::Kept, name::FileName};

/// How long lines may wait in memory.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Most files of targets that are open at once. Records of further ones are in the file with everything.
pub const TARGETS_MAX: usize = 64;

/// Days that files are kept unless configured otherwise.
pub const KEEP_DAYS_DEFAULT: u64 = 30;
/// Runs that are kept unless configured otherwise, the current one among them.
pub const KEEP_RUNS_DEFAULT: u64 = 10;

/// Where files begin anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// In a folder of its own for each run, and there each day.
    #[default]
    Runs,
    /// Each day; all runs of a day share its files.
    Daily,
}

/// What is written where, and for how long it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// The folder; made where it is missing.
    pub directory: PathBuf,
    /// Where files begin anew.
    pub rotation: Rotation,
    /// Files and runs that are older than so many days are deleted; 0 for none.
    pub keep_days: u64,
    /// So many runs are kept, the current one among them; 0 for all.
    pub keep_runs: u64,
    /// A file for each crate, beside the one with everything.
    pub per_target: bool,
    /// What a line looks like.
    pub format: Format,
    /// After so many bytes another file of the day is begun; 0 for never.
    pub file_bytes_max: u64,
}

impl FileConfig {
    /// The defaults for `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            rotation: Rotation::default(),
            keep_days: KEEP_DAYS_DEFAULT,
            keep_runs: KEEP_RUNS_DEFAULT,
            per_target: true,
            format: Format::Json,
            file_bytes_max: 0,
        }
    }
}

/// Writes records to files.
pub struct Files {
    config: FileConfig,
    encoder: Encoder,
    /// Where the files of this run are.
    folder: PathBuf,
    kept: Kept,
    /// The day since the epoch, and how it is asked for.
    day: u64,
    today: fn() -> u64,
    all: OneFile,
    targets: BTreeMap<String, OneFile>,
    /// That there are too many targets is told once.
    told_of_targets: bool,
    line: Vec<u8>,
}

enum Encoder {
    Human(Human),
    Json(JsonEncoder),
}

/// A file that is written to.
#[derive(Debug)]
struct OneFile {
    lines: Lines,
    name: FileName,
    bytes: u64,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("config", &self.config)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Days since the epoch, in UTC.
fn today() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() / 86_400)
}

impl Files {
    /// Makes the folder and the file with everything, and deletes what is kept no longer.
    pub fn open(config: &FileConfig) -> Result<Self, ExportError> {
        let start = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::open_at(config, start.map_or(0, |since| since.as_secs()), today)
    }

    fn open_at(
        config: &FileConfig,
        start_unix_s: u64,
        today: fn() -> u64,
    ) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Write {
            path: config.directory.clone(),
            source,
            mend: "name a folder that you may write",
            records: 0,
        };
        let (folder, kept) = match config.rotation {
            Rotation::Runs => Kept::begin_run(&config.directory, start_unix_s),
            Rotation::Daily => Kept::of(&config.directory),
        }
        .map_err(failed)?;
        let day = today();
        let all = OneFile::open(&folder, &kept, config, name::EVERYTHING, day)?;
        let files = Self {
            encoder: match config.format {
                Format::Human => Encoder::Human(Human::new(false, Redaction::default())),
                Format::Json => Encoder::Json(JsonEncoder::new(Redaction::default())),
            },
            folder,
            kept,
            day,
            today,
            all,
            targets: BTreeMap::new(),
            told_of_targets: false,
            line: Vec::new(),
            config: config.clone(),
        };
        files.delete_old();
        Ok(files)
    }

    /// The folder with the files of this run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What cannot be deleted now is tried again at the next day or start, so that is no fault to tell of.
    fn delete_old(&self) {
        let FileConfig {
            directory,
            rotation,
            keep_days,
            keep_runs,
            ..
        } = &self.config;
        let first_day = match keep_days {
            0 => 0,
            days => self.day.saturating_sub(days - 1),
        };
        self.kept.delete_before(first_day);
        if *rotation == Rotation::Runs {
            let runs = match keep_runs {
                0 => usize::MAX,
                runs => usize::try_from(*runs).unwrap_or(usize::MAX),
            };
            kept::delete_runs(directory, first_day, runs);
        }
    }

    /// Begins the files of a new day.
    fn turn(&mut self) -> Result<(), ExportError> {
        let day = (self.today)();
        if day == self.day {
            return Ok(());
        }
        // The old file goes on where no new one can be made.
        let all = OneFile::open(
            &self.folder,
            &self.kept,
            &self.config,
            name::EVERYTHING,
            day,
        )?;
        self.day = day;
        let mut result = mem::replace(&mut self.all, all).lines.close();
        for (_, mut file) in mem::take(&mut self.targets) {
            result = both(result, file.lines.close());
        }
        self.delete_old();
        result
    }

    /// Opens the file called `name` for a target, unless it is open or there are too many.
    fn open_target(&mut self, name: &str) -> Result<(), ExportError> {
        if self.targets.contains_key(name) {
            return Ok(());
        }
        if self.targets.len() >= TARGETS_MAX {
            if mem::replace(&mut self.told_of_targets, true) {
                return Ok(());
            }
            return Err(ExportError::Noticed {
                destination: self.folder.display().to_string(),
                reason: format!(
                    "more than {TARGETS_MAX} targets: {name} and further ones are in the file with everything alone"
                ),
                counted: Vec::new(),
            });
        }
        let file = OneFile::open(&self.folder, &self.kept, &self.config, name, self.day)?;
        self.targets.insert(name.to_owned(), file);
        Ok(())
    }

    /// Writes a record to the file with everything and to that of its target, which is not opened where something
    /// `has_failed` before.
    fn record(&mut self, record: &RecordRef<'_>, has_failed: bool) -> Result<(), ExportError> {
        let mut line = mem::take(&mut self.line);
        line.clear();
        match &mut self.encoder {
            Encoder::Human(human) => human.record(record, &mut line),
            Encoder::Json(json) => json.line(record, &mut line),
        }
        let mut result = self.all.push(&line, &self.folder, &self.kept, &self.config);
        if self.config.per_target {
            let name = name::of_target(target_of(record));
            if !has_failed {
                result = both(result, self.open_target(&name));
            }
            if let Some(file) = self.targets.get_mut(&*name) {
                let pushed = file.push(&line, &self.folder, &self.kept, &self.config);
                result = both(result, pushed);
            }
        }
        self.line = line;
        result
    }

    fn each(
        &mut self,
        mut call: impl FnMut(&mut Lines) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let result = call(&mut self.all.lines);
        self.targets
            .values_mut()
            .fold(result, |result, file| both(result, call(&mut file.lines)))
    }
}

fn target_of<'a>(record: &RecordRef<'a>) -> &'a str {
    match record {
        RecordRef::Span(span) => span.metadata().target(),
        RecordRef::Log(log) => log.target(),
        RecordRef::Event(event) => event.descriptor().target,
    }
}

/// The first of two failures, one by which something was lost before one by which nothing was, with what was lost by both.
fn both(
    first: Result<(), ExportError>,
    second: Result<(), ExportError>,
) -> Result<(), ExportError> {
    match (first, second) {
        (
            Err(ExportError::Write {
                path,
                source,
                mend,
                records,
            }),
            Err(ExportError::Write { records: more, .. }),
        ) => Err(ExportError::Write {
            path,
            source,
            mend,
            records: records + more,
        }),
        (Ok(()) | Err(ExportError::Noticed { .. }), second @ Err(_)) | (Ok(()), second) => second,
        (first, _) => first,
    }
}

impl OneFile {
    /// Opens the file of `day` that is still to be added to.
    fn open(
        folder: &Path,
        kept: &Kept,
        config: &FileConfig,
        begin: &str,
        day: u64,
    ) -> Result<Self, ExportError> {
        let mut name = FileName::new(begin, day, config.format);
        let size = |name: &FileName| fs::metadata(folder.join(name.to_string())).map(|it| it.len());
        let mut bytes = size(&name);
        while let Ok(is) = bytes
            && config.file_bytes_max > 0
            && is >= config.file_bytes_max
        {
            name.part += 1;
            bytes = size(&name);
        }
        let path = folder.join(name.to_string());
        Ok(Self {
            lines: open_lines(&path, &name, bytes.is_ok(), kept)?,
            name,
            bytes: bytes.unwrap_or(0),
        })
    }

    /// Takes a line, in the next file of the day where this one is full.
    fn push(
        &mut self,
        line: &[u8],
        folder: &Path,
        kept: &Kept,
        config: &FileConfig,
    ) -> Result<(), ExportError> {
        let mut result = Ok(());
        let most = config.file_bytes_max;
        while most > 0 && self.bytes > 0 && self.bytes + line.len() as u64 > most && result.is_ok()
        {
            result = self.next_part(folder, kept);
        }
        self.bytes += line.len() as u64;
        self.lines.line(|out| out.extend_from_slice(line));
        if self.lines.is_full() && result.is_ok() {
            let written = self.lines.write_out();
            result = self.lines.written(written);
        }
        result
    }

    fn next_part(&mut self, folder: &Path, kept: &Kept) -> Result<(), ExportError> {
        let mut name = self.name.clone();
        name.part += 1;
        let path = folder.join(name.to_string());
        let bytes = fs::metadata(&path).map(|found| found.len());
        let lines = open_lines(&path, &name, bytes.is_ok(), kept)?;
        let closed = mem::replace(&mut self.lines, lines).close();
        self.name = name;
        self.bytes = bytes.unwrap_or(0);
        closed
    }
}

/// Opens a file, which is ours unless it `was_there` and somebody else made it: that one is added to and never deleted.
fn open_lines(
    path: &Path,
    name: &FileName,
    was_there: bool,
    kept: &Kept,
) -> Result<Lines, ExportError> {
    if !was_there {
        kept.add(&name.to_string())
            .map_err(|source| unusable(path, source))?;
    }
    Lines::open(path)
}

fn unusable(path: &Path, source: io::Error) -> ExportError {
    ExportError::Write {
        path: path.to_owned(),
        mend: super::mend(&source),
        source,
        records: 0,
    }
}

impl Exporter for Files {
    fn name(&self) -> &'static str {
        "file"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let mut result = self.turn();
        for record in batch.records() {
            let has_failed = result.is_err();
            result = both(result, self.record(&record, has_failed));
        }
        result
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.each(Lines::flush)
    }

    fn close(&mut self) -> Result<(), ExportError> {
        self.each(Lines::close)
    }

    fn flush_interval(&self) -> Option<Duration> {
        Some(FLUSH_INTERVAL)
    }
}

#[cfg(test)]
mod tests;
