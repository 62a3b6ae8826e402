//! A disk without room, call by call: what fails leaves nothing behind, and is done when there is room again. The real thing, a
//! small file system, is in the tests of `sonde`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use radiosonde_store::{
    AppendError, Config, Rows, Store,
    disk::{Disk, DiskFile, SystemDisk},
    query::{Cell, Limits},
    row::{Origin, SpanRow},
};

use super::broken::logs;

/// A disk that has no room for bytes while it is said to be full. As on a real one, there is still room for a file's name.
#[derive(Clone, Debug, Default)]
struct Small(Arc<AtomicBool>);

impl Small {
    fn fill(&self, is_full: bool) {
        self.0.store(is_full, Relaxed);
    }
}

#[derive(Debug)]
struct SmallFile {
    disk: Small,
    file: Box<dyn DiskFile>,
}

impl Write for SmallFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.disk.0.load(Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SmallFile {
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn handle(&self) -> io::Result<Box<dyn DiskFile>> {
        self.file.handle()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.cut(length)
    }
}

impl Disk for Small {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (disk, file) = (self.clone(), SystemDisk.create(path)?);
        Ok(Box::new(SmallFile { disk, file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)
    }
}

/// A log and a span.
fn rows(number: u64) -> Rows {
    let mut rows = logs(1);
    rows.span(&SpanRow {
        origin: Origin::default(),
        trace_id: u128::from(number + 1).to_be_bytes(),
        span_id: (number + 1).to_be_bytes(),
        parent_span_id: None,
        name: "work",
        kind: "internal",
        status: "unset",
        status_message: "",
        start_unix_ns: number as i64,
        duration_ns: 1,
        links: "",
        attributes: &[],
    });
    rows
}

fn counts(store: &Store) -> [i64; 2] {
    ["logs", "spans"].map(|table| {
        let statement = format!("SELECT count(*) FROM {table}");
        match store.sql(&statement, Limits::default()).unwrap().rows[0][0] {
            Cell::Int(count) => count,
            ref other => panic!("{other:?}"),
        }
    })
}

/// Every file of a folder, but those of SQLite.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.to_string_lossy().contains("catalogue.sqlite") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn store(folder: &Path, disk: &Small) -> Store {
    let config = Config {
        disk: Arc::new(disk.clone()),
        ..Config::new(folder)
    };
    Store::open(config).unwrap()
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Small::default();
    let store = store(folder.path(), &disk);
    store.append(rows(0)).unwrap();
    let before = files(folder.path());
    for _ in 0..3 {
        disk.fill(true);
        let refused = store.append(rows(1)).unwrap_err();
        assert!(
            matches!(&refused, AppendError::Log(error) if error.kind() == io::ErrorKind::StorageFull),
            "{refused:?}"
        );
        assert!(refused.to_string().contains("make room"), "{refused}");
        // There is no room for the next generation's log either: what was made of it must not be in the way.
        store.flush().unwrap_err();
        assert_eq!(counts(&store), [1, 1]);
        assert_eq!(files(folder.path()), before);
        disk.fill(false);
    }
    store.append(rows(1)).unwrap();
    store.flush().unwrap();
    assert_eq!(counts(&store), [2, 2]);
    drop(store);
    let store = self::store(folder.path(), &disk);
    assert_eq!((counts(&store), store.recovery().rows), ([2, 2], 0));
}

/// A disk with room for the log and for segments of spans, and not for those of logs, which are written after them.
#[derive(Clone, Debug, Default)]
struct Narrow(Small);

impl Disk for Narrow {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let is_for_logs = path.to_string_lossy().contains("/logs/");
        if is_for_logs && self.0.0.load(Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        SystemDisk.create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)
    }
}

#[test]
fn segments_that_were_written_for_nothing_do_not_fill_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Narrow::default();
    let config = Config {
        disk: Arc::new(disk.clone()),
        ..Config::new(folder.path())
    };
    let store = Store::open(config).unwrap();
    disk.0.fill(true);
    let mut kept = 0;
    for number in 0..4 {
        store.append(rows(number)).unwrap();
        kept += 1;
        store.flush().unwrap_err();
        let segments = files(folder.path())
            .into_iter()
            .filter(|path| path.extension().is_some());
        assert_eq!(segments.collect::<Vec<_>>(), Vec::<PathBuf>::new());
        assert_eq!(counts(&store), [kept, kept]);
    }
    disk.0.fill(false);
    store.flush().unwrap();
    assert_eq!(counts(&store), [kept, kept]);
    assert_eq!(store.rows_in_memory(), 0);
}
