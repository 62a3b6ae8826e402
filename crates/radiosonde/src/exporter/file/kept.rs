//! What this exporter made, and what of it is deleted.
//!
//! A file `.radiosonde` in the folder lists the names of the files that were made there, one a line. It is written before
//! the file is made. A run holds a lock on its own list until it ends, so that no other run deletes it.
//!
//! Invariant: a file is deleted only if its name is in the list beside it and is one that this exporter gives; a folder
//! only if it is called as a run is, has a list that nobody holds, and is empty then.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::name::{FileName, RunName};

const LIST: &str = ".radiosonde";

/// Most runs that begin in one folder and second.
const STARTS_MAX: u32 = 1000;

/// Most bytes of a list that are read: some 40,000 names.
const LIST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The list of a folder.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    list: File,
    /// The lock is held for as long as this lives.
    is_held: bool,
}

impl Kept {
    /// Makes the folder of a run that begins now.
    pub(super) fn begin_run(directory: &Path, start_unix_s: u64) -> io::Result<(PathBuf, Self)> {
        fs::create_dir_all(directory)?;
        let mut name = RunName::new(start_unix_s);
        let folder = loop {
            let folder = directory.join(name.to_string());
            match fs::create_dir(&folder) {
                Ok(()) => break folder,
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && name.number < STARTS_MAX =>
                {
                    name.number += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let list = open_list(&folder, true)?;
        // Without locks, as on some file systems, a run is told from one that ended by nothing, and is not deleted.
        let _ = list.lock();
        let kept = Self {
            folder: folder.clone(),
            list,
            is_held: true,
        };
        Ok((folder, kept))
    }

    /// The list of a folder that several runs share.
    pub(super) fn of(directory: &Path) -> io::Result<(PathBuf, Self)> {
        fs::create_dir_all(directory)?;
        let kept = Self {
            folder: directory.to_owned(),
            list: open_list(directory, true)?,
            is_held: false,
        };
        Ok((directory.to_owned(), kept))
    }

    /// Runs `call` while no other program changes the list.
    fn alone<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.is_held {
            return call();
        }
        let is_locked = self.list.lock().is_ok();
        let result = call();
        if is_locked {
            let _ = self.list.unlock();
        }
        result
    }

    /// A file is about to be made.
    pub(super) fn add(&self, name: &str) -> io::Result<()> {
        self.alone(|| (&self.list).write_all(format!("{name}\n").as_bytes()))
    }

    /// Deletes files of days before `first_day`.
    pub(super) fn delete_before(&self, first_day: u64) {
        // What stays is tried again the next time.
        let _ = self.alone(|| {
            let names = read_list(&self.list)?;
            let is_old = |name: &&String| FileName::read(name).is_some_and(|it| it.day < first_day);
            let (old, mut stay): (Vec<_>, Vec<_>) = names.iter().partition(is_old);
            if old.is_empty() {
                return Ok(());
            }
            stay.extend(old.into_iter().filter(|name| !delete(&self.folder, name)));
            let text: String = stay.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
            self.list.set_len(0)?;
            (&self.list).write_all(text.as_bytes())
        });
    }
}

fn open_list(folder: &Path, makes_it: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(makes_it)
        .open(folder.join(LIST))
}

fn read_list(mut list: &File) -> io::Result<BTreeSet<String>> {
    let mut text = String::new();
    list.seek(SeekFrom::Start(0))?;
    list.take(LIST_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Deletes a file of ours; whether it is gone.
fn delete(folder: &Path, name: &str) -> bool {
    let path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_file() => fs::remove_file(path).is_ok(),
        // What is no file any more is somebody else's.
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Deletes runs that began before `first_day`, and all but the `keep` newest.
pub(super) fn delete_runs(directory: &Path, first_day: u64, keep: usize) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut runs: Vec<RunName> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = RunName::read(entry.file_name().to_str()?)?;
            let is_ours = entry.file_type().ok()?.is_dir() && entry.path().join(LIST).is_file();
            is_ours.then_some(name)
        })
        .collect();
    runs.sort_unstable_by(|one, other| other.cmp(one));
    for (index, run) in runs.into_iter().enumerate() {
        if index >= keep || run.day() < first_day {
            // What stays is tried again the next time.
            let _ = delete_run(&directory.join(run.to_string()));
        }
    }
}

fn delete_run(folder: &Path) -> io::Result<()> {
    let list = open_list(folder, false)?;
    match list.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let names = read_list(&list)?;
    let ours = names.iter().filter(|name| FileName::read(name).is_some());
    let left = ours.filter(|name| !delete(folder, name)).count();
    if left > 0 {
        return Ok(());
    }
    fs::remove_file(folder.join(LIST))?;
    fs::remove_dir(folder)
}
