//! The folder of `--out`. One run at a time writes into it, and what an earlier run left there is replaced only when this
//! one has all it needs: until then it is set aside, and put back where the run cannot begin.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::say;

/// The recording as JSON lines.
pub const LINES: &str = "events.jsonl";
/// The recording as a SQLite database.
pub const DATABASE: &str = "telemetry.sqlite";
/// The report.
const REPORT: &str = "report.json";
/// The report while it is written.
const REPORT_BEGUN: &str = ".report.json.begun";

/// What a run replaces. What SQLite keeps beside a database belongs to that one.
const REPLACED: [&str; 5] = [
    REPORT,
    LINES,
    DATABASE,
    "telemetry.sqlite-wal",
    "telemetry.sqlite-shm",
];

/// Locked by the run that writes into the folder; the file stays, the lock ends with the process.
const LOCK: &str = ".radiosonde-demo.lock";
/// Where files are set aside, while they are, and once they are not needed any more. A folder changes its name in one
/// step, so that a run that is killed leaves no doubt which of the files are the ones to keep.
const MOVING: &str = ".radiosonde-demo.moving";
const ASIDE: &str = ".radiosonde-demo.aside";
const REMOVED: &str = ".radiosonde-demo.removed";

/// A folder that only this run writes into.
#[derive(Debug)]
pub struct Out {
    folder: PathBuf,
    _lock: File,
}

/// What an earlier run left, out of the way. Dropping it puts it back.
#[derive(Debug)]
pub struct Earlier<'a> {
    out: &'a Out,
    is_kept: bool,
}

impl Out {
    /// Makes the folder where it is missing, and takes it for this run. Nothing in it changes yet.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let place = folder.display();
        fs::create_dir_all(folder).with_context(|| {
            format!("cannot create --out {place}; name a folder that exists or can be made")
        })?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))
            .with_context(|| {
                format!("cannot write into --out {place}; name a folder that you may write")
            })?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => bail!(
                "another demo writes into --out {place}; wait until it has ended, or name another folder"
            ),
            // Where the file system has no locks, there is nothing to ask.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
        }
    }

    /// The path of the file called `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Moves what an earlier run left out of the way.
    pub fn set_aside(&self) -> anyhow::Result<Earlier<'_>> {
        let cannot = || {
            format!(
                "cannot set the earlier recording in {} aside",
                self.folder.display()
            )
        };
        self.take_up().with_context(cannot)?;
        let moved = fs::create_dir(self.path(MOVING))
            .and_then(|()| {
                let moving = self.path(MOVING);
                REPLACED
                    .iter()
                    .try_for_each(|name| move_over(&self.path(name), &moving.join(name)))
            })
            .and_then(|()| fs::rename(self.path(MOVING), self.path(ASIDE)));
        if moved.is_err() {
            // The error that is told is the first one.
            let _ = self.put_back(MOVING);
        }
        moved.with_context(cannot)?;
        Ok(Earlier {
            out: self,
            is_kept: true,
        })
    }

    /// Ends what a run that was killed has begun.
    fn take_up(&self) -> io::Result<()> {
        if self.path(REMOVED).exists() {
            fs::remove_dir_all(self.path(REMOVED))?;
        }
        if self.path(MOVING).exists() {
            self.put_back(MOVING)?;
        }
        if self.path(ASIDE).exists() {
            self.restore()?;
        }
        Ok(())
    }

    /// Puts back what was set aside, in place of what was written since.
    fn restore(&self) -> io::Result<()> {
        // Among it may be what SQLite keeps beside the new database: it would spoil the old one.
        REPLACED
            .iter()
            .try_for_each(|name| remove(&self.path(name)))?;
        self.put_back(ASIDE)
    }

    /// Moves the files in the folder `from` back.
    fn put_back(&self, from: &str) -> io::Result<()> {
        let from = self.path(from);
        for name in REPLACED {
            move_over(&from.join(name), &self.path(name))?;
        }
        fs::remove_dir(from)
    }

    /// Writes the report: whole, or not at all.
    pub fn write_report(&self, json: &str) -> anyhow::Result<()> {
        let (begun, path) = (self.path(REPORT_BEGUN), self.path(REPORT));
        let written =
            fs::write(&begun, format!("{json}\n")).and_then(|()| fs::rename(&begun, &path));
        if written.is_err() {
            let _ = fs::remove_file(&begun);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Earlier<'_> {
    /// The run has begun: what was set aside is replaced, and goes.
    pub fn replaced(mut self) {
        let (aside, removed) = (self.out.path(ASIDE), self.out.path(REMOVED));
        if let Err(error) = fs::rename(&aside, &removed).and_then(|()| fs::remove_dir_all(&removed))
        {
            // It takes room, and does no harm.
            say(&format!("cannot remove the earlier recording: {error}"));
        }
        self.is_kept = false;
    }
}

impl Drop for Earlier<'_> {
    fn drop(&mut self) {
        if self.is_kept
            && let Err(error) = self.out.restore()
        {
            say(&format!(
                "cannot put the earlier recording back ({error}): it is in {}",
                self.out.path(ASIDE).display()
            ));
        }
    }
}

/// Moves a file where there is one.
fn move_over(from: &Path, to: &Path) -> io::Result<()> {
    unless_missing(fs::rename(from, to))
}

/// Removes a file where there is one.
fn remove(path: &Path) -> io::Result<()> {
    unless_missing(fs::remove_file(path))
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_earlier() -> (tempfile::TempDir, Out) {
        let folder = tempfile::tempdir().unwrap();
        for name in REPLACED {
            fs::write(folder.path().join(name), "old").unwrap();
        }
        let out = Out::open(folder.path()).unwrap();
        (folder, out)
    }

    /// What each of the files says; a dash where there is none.
    fn contents(out: &Out) -> Vec<String> {
        let read = |name: &&str| fs::read_to_string(out.path(name)).unwrap_or("-".to_owned());
        REPLACED.iter().map(read).collect()
    }

    #[test]
    fn what_an_earlier_run_left_is_there_again_where_this_one_cannot_begin() {
        let (_folder, out) = with_earlier();
        let earlier = out.set_aside().unwrap();
        assert_eq!(contents(&out), ["-"; 5]);
        fs::write(out.path(LINES), "new").unwrap();
        fs::write(out.path("telemetry.sqlite-wal"), "new").unwrap();
        drop(earlier);
        assert_eq!(contents(&out), ["old"; 5]);
        assert!(!out.path(ASIDE).exists());
    }

    #[test]
    fn it_is_replaced_where_this_one_begins() {
        let (_folder, out) = with_earlier();
        let earlier = out.set_aside().unwrap();
        fs::write(out.path(LINES), "new").unwrap();
        earlier.replaced();
        assert_eq!(contents(&out), ["-", "new", "-", "-", "-"]);
        assert!(!out.path(ASIDE).exists() && !out.path(REMOVED).exists());
    }

    #[test]
    fn it_survives_a_run_that_is_killed_before_it_begins() {
        let (_folder, out) = with_earlier();
        std::mem::forget(out.set_aside().unwrap());
        fs::write(out.path(LINES), "new").unwrap();
        drop(out.set_aside().unwrap());
        assert_eq!(contents(&out), ["old"; 5]);
        // Killed half way while it is set aside.
        fs::create_dir(out.path(MOVING)).unwrap();
        fs::rename(out.path(REPORT), out.path(MOVING).join(REPORT)).unwrap();
        drop(out.set_aside().unwrap());
        assert_eq!(contents(&out), ["old"; 5]);
    }

    #[test]
    fn a_folder_that_another_run_writes_into_is_refused_by_name() {
        let (folder, out) = with_earlier();
        let error = Out::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(folder.path().to_str().unwrap()) && error.contains("another demo"),
            "{error}"
        );
        drop(out);
        Out::open(folder.path()).unwrap();
    }

    #[test]
    fn a_report_that_cannot_be_written_leaves_the_one_that_is_there() {
        let (_folder, out) = with_earlier();
        fs::create_dir(out.path(REPORT_BEGUN)).unwrap();
        let error = out.write_report("{}").unwrap_err().to_string();
        assert!(error.contains(REPORT), "{error}");
        assert_eq!(contents(&out), ["old"; 5]);
        fs::remove_dir(out.path(REPORT_BEGUN)).unwrap();
        out.write_report("{}").unwrap();
        assert_eq!(contents(&out)[0], "{}\n");
    }
}
