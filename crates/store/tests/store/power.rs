//! Loss of power at every moment at which something is written: what was not made durable is gone, what was
//! acknowledged is there, once. Killing a process cannot show this, because the system still writes what it had.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use radiosonde_store::{
    Config, Rows, Store,
    disk::{Disk, DiskFile, SystemDisk},
    query::{Cell, Limits},
    row::{LogRow, Origin},
};

/// A disk that loses power at its `last` operation.
#[derive(Debug)]
struct Fragile {
    last: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    operations: usize,
    /// What a file has that is durable, by its name.
    durable: BTreeMap<PathBuf, Vec<u8>>,
    /// Names that were given or taken since their folder was made durable: a file's content, or `None` for no file.
    names: BTreeMap<PathBuf, Option<Vec<u8>>>,
}

impl Fragile {
    fn new(last: usize) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { last, state })
    }

    /// Counts an operation; an error once the power is gone.
    fn operate<T>(&self, what: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock().unwrap();
        state.operations += 1;
        if state.operations > self.last {
            return Err(io::Error::other("no power"));
        }
        what(&mut state)
    }

    /// What is there when the power is back: for each file that was written, its durable content.
    fn after(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let state = self.state.lock().unwrap();
        let mut files: BTreeMap<PathBuf, Option<Vec<u8>>> = state
            .durable
            .iter()
            .map(|(path, content)| (path.clone(), Some(content.clone())))
            .collect();
        // Names whose folder was not made durable are as they were before.
        files.extend(
            state
                .names
                .iter()
                .map(|(path, before)| (path.clone(), before.clone())),
        );
        files
    }
}

#[derive(Debug)]
struct FragileFile {
    disk: Arc<Fragile>,
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl Write for FragileFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = &mut self.file;
        self.disk.operate(|_| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for FragileFile {
    fn sync(&self) -> io::Result<()> {
        self.disk.operate(|state| {
            let content = fs::read(&self.path)?;
            if let Some(Some(before)) = state.names.get_mut(&self.path) {
                before.clone_from(&content);
            }
            state.durable.insert(self.path.clone(), content);
            Ok(())
        })
    }

    fn handle(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self {
            disk: Arc::clone(&self.disk),
            path: self.path.clone(),
            file: self.file.handle()?,
        }))
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let file = &mut self.file;
        self.disk.operate(|_| file.cut(length))
    }
}

#[derive(Debug)]
struct Seam(Arc<Fragile>);

impl Disk for Seam {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.0.operate(|state| {
            state.names.insert(path.to_owned(), None);
            state.durable.insert(path.to_owned(), Vec::new());
            SystemDisk.create(path)
        })?;
        let (disk, path) = (Arc::clone(&self.0), path.to_owned());
        Ok(Box::new(FragileFile { disk, path, file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.operate(|state| {
            state.names.insert(to.to_owned(), None);
            let content = state.durable.remove(from).unwrap_or_default();
            state.names.insert(from.to_owned(), Some(content.clone()));
            state.durable.insert(to.to_owned(), content);
            SystemDisk.rename(from, to)
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.operate(|state| {
            if let Some(content) = state.durable.remove(path) {
                // It comes back unless the folder is made durable.
                state.names.entry(path.to_owned()).or_insert(Some(content));
            }
            SystemDisk.remove(path)
        })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.operate(|state| {
            state.names.retain(|path, _| path.parent() != Some(folder));
            SystemDisk.sync_folder(folder)
        })
    }
}

fn row(number: i64) -> Rows {
    let mut rows = Rows::default();
    rows.log(&LogRow {
        origin: Origin::default(),
        time_unix_ns: number,
        trace_id: None,
        span_id: None,
        severity: 9,
        event_name: "",
        body: "a line",
        attributes: &[],
    });
    rows
}

/// What a store did before it lost power: the rows that were acknowledged, and those that were tried.
fn run(folder: &Path, disk: &Arc<Fragile>) -> (Vec<i64>, i64) {
    let config = Config {
        disk: Arc::new(Seam(Arc::clone(disk))),
        ..Config::new(folder)
    };
    let mut acknowledged = Vec::new();
    let Ok(store) = Store::open(config) else {
        return (acknowledged, 0);
    };
    for number in 0..9 {
        if store.append(row(number)).is_ok() {
            acknowledged.push(number);
        }
        if number % 3 == 2 {
            let _ = store.flush();
        }
    }
    (acknowledged, 9)
}

/// Gives the folder what its disk had when the power was lost.
fn lose_power(folder: &Path, disk: &Fragile) {
    for (path, content) in disk.after() {
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None if path.exists() => fs::remove_file(&path).unwrap(),
            None => {}
        }
    }
    assert!(folder.exists());
}

#[test]
fn whenever_power_is_lost_what_was_acknowledged_is_there_once() {
    let mut moments = 0;
    for last in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = Fragile::new(last);
        let (acknowledged, tried) = run(folder.path(), &disk);
        let is_whole = disk.state.lock().unwrap().operations <= last;
        lose_power(folder.path(), &disk);
        let store = Store::open(Config::new(folder.path())).unwrap();
        let answer = store
            .sql(
                "SELECT CAST(time AS BIGINT) FROM logs ORDER BY 1",
                Limits::default(),
            )
            .unwrap();
        let kept: Vec<i64> = answer
            .rows
            .iter()
            .map(|row| match row[0] {
                Cell::Int(number) => number,
                ref other => panic!("{other:?}"),
            })
            .collect();
        assert!(
            kept.is_sorted_by(|a, b| a < b),
            "operation {last}: a row is there twice: {kept:?}"
        );
        assert!(
            kept.iter().all(|number| *number < tried),
            "operation {last}: {kept:?}"
        );
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|number| !kept.contains(number))
            .collect();
        assert!(
            lost.is_empty(),
            "operation {last}: {lost:?} of {acknowledged:?} are lost"
        );
        moments = last;
        if is_whole {
            break;
        }
    }
    assert!(
        moments > 40,
        "the store wrote less often than it must: {moments}"
    );
}
