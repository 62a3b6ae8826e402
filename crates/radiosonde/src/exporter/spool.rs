//! What waits for a destination: a bounded queue in memory, and on disk once the destination is away.
//!
//! While the destination takes what it is given, payloads pass through memory and the disk is not touched. As soon as
//! one is put back, or memory is full, everything waiting goes to disk, oldest first, and so does what follows until
//! the disk is empty again. Payloads on disk survive the process; the next one that opens the same folder sends them.
//!
//! Invariants:
//! - Order: the payload that is out is the oldest, then come those on disk, then those in memory.
//! - The files never take more than `bytes_max`; the oldest segment makes room and is counted under
//!   `Lost::SpoolFull`. Processes that send to the same destination have files of their own, each with that cap. Where
//!   the disk cannot be written, memory is bounded in the same way, and the disk is tried again after a pause.
//! - Each payload that is not dropped is delivered once. After a crash the one that was out may be delivered again:
//!   delivery is marked on disk after the destination has confirmed it.
//! - A crash of the process loses nothing that is on disk; loss of power can lose what was written since the last
//!   [`Spool::persist`].

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use radiosonde_core::loss::{self, Lost};

mod disk;
mod segment;

use disk::Disk;

/// Cap of the files of one destination unless configured otherwise, in bytes.
pub const SPOOL_BYTES_MAX_DEFAULT: u64 = 512 * 1024 * 1024;
/// Cap of what waits in memory unless configured otherwise, in bytes.
pub const SPOOL_MEMORY_BYTES_MAX_DEFAULT: usize = 8 * 1024 * 1024;

/// Least cap of the files that holds any one request: 1 MiB, the record that closes it, and a header.
pub const SPOOL_BYTES_MIN: u64 = 2 * 1024 * 1024;

/// After a failed write, how long memory stands in before the disk is tried again.
const DISK_PAUSE: Duration = Duration::from_secs(5);

/// Where and how much a destination's telemetry may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The folder under which each destination has its own for each signal; `None` keeps what waits in memory.
    pub folder: Option<PathBuf>,
    /// Most bytes of files for one destination, in this process.
    pub bytes_max: u64,
    /// Most bytes in memory for one destination.
    pub memory_bytes_max: usize,
}

impl Default for SpoolConfig {
    /// `radiosonde/spool` under `XDG_STATE_HOME` or `~/.local/state`.
    fn default() -> Self {
        Self {
            folder: state_folder().map(|state| state.join("radiosonde").join("spool")),
            bytes_max: SPOOL_BYTES_MAX_DEFAULT,
            memory_bytes_max: SPOOL_MEMORY_BYTES_MAX_DEFAULT,
        }
    }
}

impl SpoolConfig {
    /// Nothing on disk.
    pub fn in_memory() -> Self {
        Self {
            folder: None,
            ..Self::default()
        }
    }
}

/// The XDG base directory for state (XDG Base Directory Specification 0.8).
fn state_folder() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    std::env::var_os("XDG_STATE_HOME")
        .and_then(|path| absolute(path.into()))
        .or_else(|| {
            let home = std::env::var_os("HOME").and_then(|path| absolute(path.into()))?;
            Some(home.join(".local").join("state"))
        })
}

/// Bytes for a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// What the bytes are; means something to the exporter only.
    pub tag: u8,
    /// How many records they hold.
    pub records: u32,
    /// The bytes.
    pub body: Vec<u8>,
}

/// Where the payload that is out would go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Memory,
    /// The first payload on disk.
    Disk,
    /// Nowhere: its segment made room while it was out, or the disk cannot hold it.
    Dropped,
}

#[derive(Debug)]
struct Out {
    payload: Arc<Payload>,
    origin: Origin,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Records in memory, on disk and out.
    pub records: u64,
    /// Bytes of files.
    pub disk_bytes: u64,
    /// Bytes in memory.
    pub memory_bytes: usize,
}

impl Waiting {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            disk_bytes: self.disk_bytes + other.disk_bytes,
            memory_bytes: self.memory_bytes + other.memory_bytes,
        }
    }
}

/// The queue of one destination. See the module for what it promises.
#[derive(Debug)]
pub struct Spool {
    memory: VecDeque<Arc<Payload>>,
    memory_bytes: usize,
    memory_bytes_max: usize,
    disk: Option<Disk>,
    /// The disk's folder and its cap; `None` keeps what waits in memory.
    folder: Option<(PathBuf, u64)>,
    disk_pause_until: Option<Instant>,
    out: Option<Out>,
    /// The destination is away: what comes goes to disk.
    away: bool,
    fault: Option<String>,
    /// Records dropped since the last [`take_fault`](Self::take_fault), besides those on disk.
    dropped: u64,
}

impl Spool {
    /// Opens the queue of `destination`, a name that is valid as a file name. A folder that cannot be used is a
    /// [`fault`](Self::take_fault), and memory stands in.
    pub fn open(config: &SpoolConfig, destination: &str) -> Self {
        let folder = config.folder.as_ref();
        let mut spool = Self {
            memory: VecDeque::new(),
            memory_bytes: 0,
            memory_bytes_max: config.memory_bytes_max,
            disk: None,
            folder: folder.map(|folder| (folder.join(destination), config.bytes_max)),
            disk_pause_until: None,
            out: None,
            away: false,
            fault: None,
            dropped: 0,
        };
        spool.open_disk(Instant::now());
        spool
    }

    /// Opens the disk where that is wanted and did not succeed before. Nothing may be out: what is on the disk goes
    /// before what is in memory.
    fn open_disk(&mut self, now: Instant) {
        let Some((folder, bytes_max)) = &self.folder else {
            return;
        };
        if self.disk.is_none() && self.out.is_none() {
            match Disk::open(folder, *bytes_max) {
                Ok(disk) => self.disk = Some(disk),
                Err(error) => self.pause_disk(now, &error),
            }
        }
    }

    /// Adds a payload behind all others.
    pub fn push(&mut self, payload: Payload) {
        let fits = self.memory_bytes + payload.body.len() <= self.memory_bytes_max;
        self.memory_bytes += payload.body.len();
        self.memory.push_back(Arc::new(payload));
        let disk_waits = self.disk.as_ref().is_some_and(|disk| !disk.is_empty());
        if self.away || disk_waits || !fits {
            self.spill();
        }
        self.shrink_memory(self.memory_bytes_max);
    }

    /// Hands out the oldest payload, or `None` when nothing waits, one is out already, or a file cannot be opened just then.
    pub fn take(&mut self) -> Option<Arc<Payload>> {
        if self.out.is_some() {
            return None;
        }
        let on_disk = match self.disk.as_mut().map_or(Ok(None), Disk::first) {
            Ok(first) => first,
            Err(error) => {
                self.fault = Some(error.to_string());
                return None;
            }
        };
        let (payload, origin) = if let Some(payload) = on_disk {
            (Arc::new(payload), Origin::Disk)
        } else {
            let payload = self.memory.pop_front()?;
            self.memory_bytes -= payload.body.len();
            (payload, Origin::Memory)
        };
        self.out = Some(Out {
            payload: Arc::clone(&payload),
            origin,
        });
        Some(payload)
    }

    /// The payload that is out is settled: the destination took it or refused it for good. The destination is there.
    pub fn done(&mut self) {
        self.away = false;
        if let Some(Out {
            origin: Origin::Disk,
            ..
        }) = self.out.take()
            && let Some(disk) = &mut self.disk
        {
            disk.remove_first();
        }
    }

    /// The destination did not take the payload that is out: it is the next one again, and everything waiting goes
    /// to disk.
    pub fn put_back(&mut self) {
        self.away = true;
        match self.out.take() {
            Some(Out {
                payload,
                origin: Origin::Memory,
            }) => {
                self.memory_bytes += payload.body.len();
                self.memory.push_front(payload);
            }
            Some(Out {
                payload,
                origin: Origin::Dropped,
            }) => self.drop_records(&payload),
            Some(Out {
                origin: Origin::Disk,
                ..
            })
            | None => {}
        }
        self.spill();
    }

    /// Writes everything that waits to disk and makes it durable. Says how many records are in memory only.
    pub fn persist(&mut self) -> u64 {
        self.disk_pause_until = None;
        self.spill();
        let synced = match &mut self.disk {
            Some(disk) => disk.sync(),
            None => Ok(()),
        };
        if let Err(error) = synced {
            self.fault = Some(error.to_string());
        }
        // One whose files were given up to make room is in memory alone, too.
        let out = self.out.as_ref().filter(|out| out.origin != Origin::Disk);
        let waiting = self.memory.iter().chain(out.map(|out| &out.payload));
        waiting.map(|payload| u64::from(payload.records)).sum()
    }

    /// Gives up what is in memory, uncounted, as [`persist`](Self::persist) said how much that is, and lets the next
    /// owner have the files.
    pub fn close(&mut self) {
        self.memory.clear();
        self.memory_bytes = 0;
        self.disk = None;
        self.folder = None;
    }

    /// How much waits.
    pub fn waiting(&self) -> Waiting {
        let disk_records = self.disk.as_ref().map_or(0, Disk::records);
        let out = self.out.as_ref().filter(|out| out.origin != Origin::Disk);
        let memory = self.memory.iter().chain(out.map(|out| &out.payload));
        Waiting {
            records: disk_records
                + memory
                    .map(|payload| u64::from(payload.records))
                    .sum::<u64>(),
            disk_bytes: self.disk_bytes(),
            memory_bytes: self.memory_bytes,
        }
    }

    /// Bytes of files.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.disk.as_ref().map_or(0, Disk::bytes)
    }

    /// Bytes in memory.
    #[cfg(feature = "otlp-http")]
    pub(super) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Lets the oldest files go until they are smaller by `bytes`: others need the room.
    #[cfg(feature = "otlp-http")]
    pub(super) fn free_disk(&mut self, bytes: u64) {
        let Some(disk) = &mut self.disk else { return };
        let out = self.out.as_mut().filter(|out| out.origin == Origin::Disk);
        let dropped_first = disk.shrink(bytes, out.is_some());
        if let Some(out) = out
            && dropped_first
        {
            out.origin = Origin::Dropped;
        }
    }

    /// Moves what is in memory to disk; where that is not to be had, lets the oldest go until memory is smaller by `bytes`.
    #[cfg(feature = "otlp-http")]
    pub(super) fn free_memory(&mut self, bytes: usize) {
        let bytes_max = self.memory_bytes.saturating_sub(bytes);
        self.spill();
        self.shrink_memory(bytes_max);
    }

    /// Lets the oldest in memory go until it takes no more than `bytes_max`.
    fn shrink_memory(&mut self, bytes_max: usize) {
        while self.memory_bytes > bytes_max {
            let Some(oldest) = self.memory.pop_front() else {
                break;
            };
            self.memory_bytes -= oldest.body.len();
            self.drop_records(&oldest);
        }
    }

    /// Whether a payload is out.
    pub fn is_out(&self) -> bool {
        self.out.is_some()
    }

    /// Whether nothing waits and nothing is out.
    pub fn is_empty(&self) -> bool {
        self.out.is_none()
            && self.memory.is_empty()
            && self.disk.as_ref().is_none_or(Disk::is_empty)
    }

    /// What went wrong since the last call, and how many records made room.
    pub fn take_fault(&mut self) -> Option<(String, u64)> {
        let dropped =
            std::mem::take(&mut self.dropped) + self.disk.as_mut().map_or(0, Disk::take_dropped);
        let full =
            (dropped > 0).then(|| "the spool is full, its oldest records made room".to_owned());
        let faults: Vec<_> = [self.fault.take(), full].into_iter().flatten().collect();
        (!faults.is_empty()).then(|| (faults.join("; "), dropped))
    }

    fn drop_records(&mut self, payload: &Payload) {
        self.dropped += u64::from(payload.records);
        loss::count(Lost::SpoolFull, u64::from(payload.records));
    }

    /// Moves memory to disk, oldest first, as far as the disk takes it.
    fn spill(&mut self) {
        let now = Instant::now();
        if self.disk_pause_until.is_some_and(|until| now < until) {
            return;
        }
        self.disk_pause_until = None;
        self.open_disk(now);
        let Some(disk) = &mut self.disk else { return };
        if let Some(out) = &mut self.out
            && out.origin == Origin::Memory
        {
            // It is older than all that follow: written first, it keeps its place.
            if !disk.holds(&out.payload) {
                out.origin = Origin::Dropped;
            } else if let Err(error) = disk.append(&out.payload, false).1 {
                return self.pause_disk(now, &error);
            } else {
                out.origin = Origin::Disk;
            }
        }
        while let Some(payload) = self.memory.front() {
            if !disk.holds(payload) {
                self.dropped += u64::from(payload.records);
                loss::count(Lost::SpoolFull, u64::from(payload.records));
                self.memory_bytes -= payload.body.len();
                self.memory.pop_front();
                continue;
            }
            let out_is_first = self
                .out
                .as_ref()
                .is_some_and(|out| out.origin == Origin::Disk);
            let (dropped_first, written) = disk.append(payload, out_is_first);
            if let Some(out) = &mut self.out
                && dropped_first
            {
                out.origin = Origin::Dropped;
            }
            if let Err(error) = written {
                return self.pause_disk(now, &error);
            }
            self.memory_bytes -= payload.body.len();
            self.memory.pop_front();
        }
    }

    fn pause_disk(&mut self, now: Instant, error: &disk::DiskError) {
        self.disk_pause_until = Some(now + DISK_PAUSE);
        self.fault = Some(error.to_string());
    }
}

#[cfg(test)]
pub(super) mod tests;
