//! A data folder in memory, which is gone when its owner is.
//!
//! It is below `/dev/shm`, which on Linux is a file system that lives in memory. Invariants: a folder's owner holds a lock on it
//! for as long as it lives; a folder without one is removed by whoever makes the next, if both are of the same user; nobody else
//! may look into it.

use std::{
    fs::{self, DirBuilder, File, Metadata},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{FlockOperation, flock};

/// Where Linux has memory as a file system.
const ROOT: &str = "/dev/shm";
/// What folders are called, before the number of their process and a time.
const PREFIX: &str = "radiosonde-memory-";
/// What a folder is called before it is locked.
const UNFINISHED: &str = ".radiosonde-memory-";
/// How long a folder may take to be locked.
const UNFINISHED_AGE_MAX: Duration = Duration::from_secs(60);
/// The file of which the owner has the lock.
const OWNER: &str = "owner";
/// The file systems that live in memory, by their numbers (Linux, statfs(2)): tmpfs and ramfs.
#[cfg(target_os = "linux")]
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A data folder in memory. Dropping it removes it.
#[derive(Debug)]
pub struct VolatileFolder {
    path: PathBuf,
    /// Whose lock says that somebody is there.
    _owner: File,
    leftovers: usize,
}

/// There can be no data folder in memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolatileError {
    /// There is no such file system.
    #[error(
        "there is no file system in memory at {ROOT}; keep telemetry in a folder, such as one of a RAM disk of your own"
    )]
    None,
    /// The system refused.
    #[error("{path}: {source}; permit writing there, or keep telemetry in a folder")]
    Disk {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl VolatileFolder {
    /// Makes one, and removes those whose owners were killed.
    pub fn create() -> Result<Self, VolatileError> {
        Self::bytes_free()?;
        Self::create_in(Path::new(ROOT))
    }

    /// Where they are made.
    pub fn root() -> &'static Path {
        Path::new(ROOT)
    }

    /// How much there is room for.
    pub fn bytes_free() -> Result<u64, VolatileError> {
        room(Path::new(ROOT)).ok_or(VolatileError::None)
    }

    /// The folder for a store.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// How many were removed whose owners were killed.
    pub const fn leftovers(&self) -> usize {
        self.leftovers
    }

    fn create_in(root: &Path) -> Result<Self, VolatileError> {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let name = format!("{}-{}", std::process::id(), since.as_nanos());
        let unfinished = root.join(format!("{UNFINISHED}{name}"));
        let path = root.join(format!("{PREFIX}{name}"));
        let made = || {
            DirBuilder::new().mode(0o700).create(&unfinished)?;
            let owner = File::create_new(unfinished.join(OWNER))?;
            flock(&owner, FlockOperation::NonBlockingLockExclusive)?;
            // Only now it has a name by which others find it: they find it locked.
            fs::rename(&unfinished, &path)?;
            Ok((owner, fs::symlink_metadata(&path)?.uid()))
        };
        let (owner, user) = made().map_err(|source| {
            // What there is of it is of no use to anybody.
            let _ = fs::remove_dir_all(&unfinished);
            VolatileError::Disk {
                path: path.clone(),
                source,
            }
        })?;
        Ok(Self {
            leftovers: remove_leftovers(root, user),
            path,
            _owner: owner,
        })
    }
}

impl Drop for VolatileFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next one.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// How many bytes are free in a file system that lives in memory; `None` of any other.
#[cfg(target_os = "linux")]
fn room(root: &Path) -> Option<u64> {
    let system = rustix::fs::statfs(root).ok()?;
    // The numbers have 32 bits, and their type another width on each processor.
    let kind = system.f_type as u64 & 0xffff_ffff;
    let free = rustix::fs::statvfs(root).ok()?;
    IN_MEMORY
        .contains(&kind)
        .then(|| free.f_bavail.saturating_mul(free.f_frsize))
}

#[cfg(not(target_os = "linux"))]
const fn room(_root: &Path) -> Option<u64> {
    None
}

/// Removes the folders of `user` that nobody has any more; says how many.
fn remove_leftovers(root: &Path, user: u32) -> usize {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let is_left = |path: &PathBuf| {
        let found = fs::symlink_metadata(path);
        found.is_ok_and(|found| found.is_dir() && found.uid() == user && is_orphaned(path, &found))
    };
    let left = entries.map(|entry| entry.path()).filter(is_left);
    // Another one that starts now may be faster.
    left.filter(|path| fs::remove_dir_all(path).is_ok()).count()
}

/// Whether a folder is one of ours, and has no owner.
fn is_orphaned(path: &Path, found: &Metadata) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.unwrap_or_default();
    if name.starts_with(UNFINISHED) {
        let age = found.modified().ok().and_then(|time| time.elapsed().ok());
        return age.is_some_and(|age| age > UNFINISHED_AGE_MAX);
    }
    if !name.starts_with(PREFIX) {
        return false;
    }
    match File::open(path.join(OWNER)) {
        Ok(owner) => flock(&owner, FlockOperation::NonBlockingLockExclusive).is_ok(),
        // It goes first or last when a folder is removed, and it was there before the folder had its name.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::TempDir;

    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_ones_own_and_gone_when_it_is_dropped() {
        let root = TempDir::new().unwrap();
        let first = VolatileFolder::create_in(root.path()).unwrap();
        let second = VolatileFolder::create_in(root.path()).unwrap();
        assert_eq!(second.leftovers(), 0);
        for folder in [&first, &second] {
            fs::create_dir_all(folder.data().join("spans")).unwrap();
            let mode = fs::metadata(&folder.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        drop(first);
        assert_eq!(names(root.path()).len(), 1);
        drop(second);
        assert!(names(root.path()).is_empty());
    }

    #[test]
    fn what_was_left_by_a_kill_is_removed_and_nothing_else() {
        let (root, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let at = |name: &str| root.path().join(name);
        // Killed while it ran, and while it was removed.
        for name in ["radiosonde-memory-1-1", "radiosonde-memory-1-2"] {
            fs::create_dir_all(at(name).join("data/spans")).unwrap();
        }
        fs::write(at("radiosonde-memory-1-1/owner"), "").unwrap();
        // Being made, not ours, and a trap.
        fs::create_dir(at(".radiosonde-memory-2-2")).unwrap();
        fs::create_dir(at("of-somebody-else")).unwrap();
        fs::write(elsewhere.path().join("kept"), "").unwrap();
        symlink(elsewhere.path(), at("radiosonde-memory-3-3")).unwrap();
        let folder = VolatileFolder::create_in(root.path()).unwrap();
        assert_eq!(folder.leftovers(), 2);
        drop(folder);
        let kept = [
            ".radiosonde-memory-2-2",
            "of-somebody-else",
            "radiosonde-memory-3-3",
        ];
        assert_eq!(names(root.path()), kept);
        assert_eq!(names(elsewhere.path()), ["kept"]);
    }

    #[test]
    fn where_nothing_may_be_written_it_is_said() {
        let error = VolatileFolder::create_in(Path::new("/nonexistent")).unwrap_err();
        assert!(
            error.to_string().contains("keep telemetry in a folder"),
            "{error}"
        );
        assert_eq!(room(Path::new("/nonexistent")), None);
        assert_eq!(room(Path::new("/proc")), None);
    }
}
