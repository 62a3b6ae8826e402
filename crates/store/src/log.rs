//! The write-ahead log: what was acknowledged and is in no segment yet.
//!
//! A file for each generation of the tables in memory. After eight bytes that name the format it is a sequence of
//! frames: length of what follows the checksum (u32), CRC-32 of that (u32), the table's number (u8), and a batch as an
//! Arrow IPC stream with LZ4. Numbers are little-endian.
//!
//! Invariants: a frame is read only where its checksum holds and every frame before it did, so that what is read is
//! what was written, in order; a file whose frames did not reach the disk takes no more.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use arrow::{
    array::RecordBatch,
    error::ArrowError,
    ipc::{
        CompressionType,
        reader::StreamReader,
        writer::{IpcWriteOptions, StreamWriter},
    },
};

use crate::{
    disk::{Disk, DiskFile},
    table::Table,
};

/// The first bytes of a log file: a name and the format's version.
const MAGIC: &[u8; 8] = b"RSONLOG1";
/// Bytes of a frame before the batch: length, checksum, table.
const HEAD: usize = 9;
/// Longest batch that is read, in bytes.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// The batch as a frame, ready to be appended.
pub(crate) fn frame(
    table: Table,
    batch: &RecordBatch,
    out: &mut Vec<u8>,
) -> Result<(), ArrowError> {
    let start = out.len();
    out.extend([0; 8]);
    out.push(table as u8);
    let options =
        IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(&mut *out, &batch.schema(), options)?;
    writer.write(batch)?;
    writer.finish()?;
    let body = &out[start + 8..];
    let length = u32::try_from(body.len()).map_err(|_| {
        ArrowError::IpcError("a batch of 4 GiB does not fit into a frame".to_owned())
    })?;
    let checksum = crc32fast::hash(body);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// The path of a generation's file.
pub(crate) fn path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("log-{generation:016}"))
}

/// The generations that have a file in `folder`, the oldest first.
pub(crate) fn generations(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("log-"));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// A generation's file while it is written.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: Box<dyn DiskFile>,
    /// Bytes of whole frames.
    written: u64,
    is_torn: bool,
    durability: Arc<Durability>,
}

impl LogFile {
    /// Makes the file of `generation` in `folder`.
    pub(crate) fn create(disk: &dyn Disk, folder: &Path, generation: u64) -> io::Result<Self> {
        let path = path(folder, generation);
        let file = disk.create(&path)?;
        Self::begin(disk, folder, file).inspect_err(|_| {
            // Where there is no room there will be some again, and this would be in the way of the next try.
            let _ = disk.remove(&path);
        })
    }

    fn begin(disk: &dyn Disk, folder: &Path, mut file: Box<dyn DiskFile>) -> io::Result<Self> {
        file.write_all(MAGIC)?;
        disk.sync_folder(folder)?;
        let durability = Arc::new(Durability {
            file: file.handle()?,
            state: Mutex::default(),
            done: Condvar::new(),
        });
        Ok(Self {
            file,
            written: MAGIC.len() as u64,
            is_torn: false,
            durability,
        })
    }

    /// Appends whole frames, or nothing. They survive a loss of power when the ticket says so.
    pub(crate) fn append(&mut self, frames: &[u8]) -> io::Result<Ticket> {
        if let Err(error) = self.file.write_all(frames) {
            // Half a frame would hide those that follow it.
            self.is_torn |= self.file.cut(self.written).is_err();
            return Err(error);
        }
        self.written += frames.len() as u64;
        Ok(Ticket {
            durability: Arc::clone(&self.durability),
            written: self.written,
        })
    }

    /// Whether nothing may follow what is in the file, because something before it may be missing.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_torn || self.durability.lock().is_lost
    }
}

/// How much of a file survives a loss of power. Those who wait at the same time wait for one call of the system.
#[derive(Debug)]
struct Durability {
    file: Box<dyn DiskFile>,
    state: Mutex<Synced>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Synced {
    /// How far those who wait have written, and how far the file is durable.
    written: u64,
    durable: u64,
    /// Somebody calls the system at the moment.
    is_running: bool,
    /// A call failed: what the system then still has in memory nobody knows.
    is_lost: bool,
}

impl Durability {
    fn lock(&self) -> std::sync::MutexGuard<'_, Synced> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for what was appended.
#[derive(Debug)]
#[must_use = "what was appended is durable only when the ticket says so"]
pub(crate) struct Ticket {
    durability: Arc<Durability>,
    written: u64,
}

impl Ticket {
    /// Returns when what was appended survives a loss of power.
    pub(crate) fn wait(self) -> io::Result<()> {
        let Durability { file, done, .. } = &*self.durability;
        let mut state = self.durability.lock();
        state.written = state.written.max(self.written);
        loop {
            if state.is_lost {
                return Err(io::Error::other("the log was not made durable"));
            }
            if state.durable >= self.written {
                return Ok(());
            }
            if state.is_running {
                state = done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_running = true;
            let reached = state.written;
            drop(state);
            let synced = file.sync();
            state = self.durability.lock();
            state.is_running = false;
            match &synced {
                Ok(()) => state.durable = state.durable.max(reached),
                Err(_) => state.is_lost = true,
            }
            done.notify_all();
            synced?;
        }
    }
}

/// What a log file gave.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// The batches, in order.
    pub(crate) batches: Batches,
    /// Bytes behind the last whole frame.
    pub(crate) damaged_bytes: u64,
}

/// Batches and their tables, in order.
pub(crate) type Batches = Vec<(Table, RecordBatch)>;

/// Reads a generation's file up to its end or the first damage.
pub(crate) fn replay(path: &Path) -> io::Result<Replay> {
    let bytes = fs::read(path)?;
    let mut replay = Replay::default();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        replay.damaged_bytes = bytes.len() as u64;
        return Ok(replay);
    };
    while let Some((batches, after)) = read_frame(rest) {
        replay.batches.extend(batches);
        rest = after;
    }
    replay.damaged_bytes = rest.len() as u64;
    Ok(replay)
}

/// The first frame's batches and what follows it; `None` where it is damaged or there is none.
fn read_frame(bytes: &[u8]) -> Option<(Batches, &[u8])> {
    let (head, body) = bytes.split_at_checked(8)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let checksum = u32::from_le_bytes(head[4..].try_into().ok()?);
    if length + 8 < HEAD || length > BATCH_BYTES_MAX {
        return None;
    }
    let (body, after) = body.split_at_checked(length)?;
    if crc32fast::hash(body) != checksum {
        return None;
    }
    let (&table, stream) = body.split_first()?;
    let table = Table::from_number(table)?;
    let reader = StreamReader::try_new(stream, None).ok()?;
    let batches: Result<Batches, _> = reader
        .map(|batch| batch.map(|batch| (table, batch)))
        .collect();
    Some((batches.ok()?, after))
}
