//! The files of one destination: numbered segments in a folder that one process owns.
//!
//! Several processes with the same destination each own a numbered folder under it, by an advisory lock. Whoever
//! opens the destination takes over what dead processes left in the other folders.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use radiosonde_core::loss::{self, Lost};

use super::{
    Payload,
    segment::{Segment, frame_bytes},
};

/// Processes that can have a spool for the same destination at the same time.
const FOLDERS_MAX: u32 = 64;
/// Longest segment, in bytes; a small cap makes shorter ones.
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A segment is at most this part of the cap, so that making room drops little.
const SEGMENTS_MIN: u64 = 16;

/// The disk refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiskError {
    #[error(
        "cannot write spool {path}: {source}; free space or name another folder, until then memory stands in and it is tried again every few seconds"
    )]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "cannot open spool {path}: {source}; what is in it waits, and it is tried again every few seconds"
    )]
    Open { path: PathBuf, source: io::Error },
}

#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    /// Held until the spool is dropped.
    _lock: File,
    /// Oldest first; the last one is written.
    segments: VecDeque<Segment>,
    next_number: u64,
    bytes_max: u64,
    /// Records that made room since [`take_dropped`](Self::take_dropped).
    dropped: u64,
}

impl Disk {
    /// Opens a folder of `destination` that no live process owns, with what is in it.
    pub(super) fn open(destination: &Path, bytes_max: u64) -> Result<Self, DiskError> {
        let error = |source| DiskError::Write {
            path: destination.to_owned(),
            source,
        };
        let (own, lock) = (0..FOLDERS_MAX)
            .find_map(|index| own_folder(destination, index).transpose())
            .unwrap_or_else(|| {
                Err(io::Error::other(
                    "too many processes share this destination",
                ))
            })
            .map_err(error)?;
        let folder = destination.join(own.to_string());
        let mut numbers = segment_numbers(&folder).map_err(error)?;
        let mut next_number = numbers.last().map_or(0, |last| last + 1);
        for index in (0..FOLDERS_MAX).filter(|&index| index != own) {
            let other = destination.join(index.to_string());
            if other.is_dir()
                && let Ok(Some((_, _lock))) = own_folder(destination, index)
            {
                adopt(&other, &folder, &mut numbers, &mut next_number);
            }
        }
        let mut segments = VecDeque::new();
        for number in numbers {
            let segment = Segment::recover(&folder, number).map_err(error)?;
            if segment.is_settled() {
                segment.delete();
            } else {
                segments.push_back(segment);
            }
        }
        let mut disk = Self {
            folder,
            _lock: lock,
            segments,
            next_number,
            bytes_max,
            dropped: 0,
        };
        disk.make_room(0, false);
        Ok(disk)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.iter().all(Segment::is_settled)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::bytes).sum()
    }

    /// Records that wait, the one that is out included.
    pub(super) fn records(&self) -> u64 {
        self.segments.iter().map(Segment::records).sum()
    }

    /// Whether `payload` can be kept at all.
    pub(super) fn holds(&self, payload: &Payload) -> bool {
        frame_bytes(payload) <= self.bytes_max
    }

    /// Appends `payload`, which the disk [`holds`](Self::holds); the oldest segments make room, even where writing
    /// fails then. Says whether the first payload went with them, which is not counted when `first_is_out`.
    pub(super) fn append(
        &mut self,
        payload: &Payload,
        first_is_out: bool,
    ) -> (bool, Result<(), DiskError>) {
        let needed = frame_bytes(payload);
        let dropped_first = self.make_room(needed, first_is_out);
        let segment_bytes_max = (self.bytes_max / SEGMENTS_MIN).min(SEGMENT_BYTES_MAX);
        let full = self
            .segments
            .back()
            .is_none_or(|last| last.bytes() > 0 && last.bytes() + needed > segment_bytes_max);
        let written = self
            .write(payload, full)
            .map_err(|source| DiskError::Write {
                path: self.folder.clone(),
                source,
            });
        (dropped_first, written)
    }

    fn write(&mut self, payload: &Payload, new_segment: bool) -> io::Result<()> {
        if new_segment {
            self.segments
                .push_back(Segment::create(&self.folder, self.next_number)?);
            self.next_number += 1;
        }
        match self.segments.back_mut() {
            Some(last) => last.append(payload),
            None => Ok(()),
        }
    }

    /// Drops the oldest segments until `needed` bytes fit.
    fn make_room(&mut self, needed: u64, mut first_is_out: bool) -> bool {
        let was_out = first_is_out;
        while self.bytes() + needed > self.bytes_max {
            let Some(mut oldest) = self.segments.pop_front() else {
                break;
            };
            let out = if first_is_out {
                let first = oldest.first().ok().flatten();
                first.map_or(0, |first| first.records)
            } else {
                0
            };
            first_is_out = false;
            let dropped = oldest.records().saturating_sub(u64::from(out));
            loss::count(Lost::SpoolFull, dropped);
            self.dropped += dropped;
            oldest.delete();
        }
        was_out && !first_is_out
    }

    /// Lets the oldest segments go until all are smaller by `bytes`. Says of the first payload what
    /// [`append`](Self::append) does.
    #[cfg(feature = "otlp-http")]
    pub(super) fn shrink(&mut self, bytes: u64, first_is_out: bool) -> bool {
        let needed = (self.bytes_max + bytes).saturating_sub(self.bytes());
        self.make_room(needed, first_is_out)
    }

    /// How many records made room since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// The oldest payload.
    pub(super) fn first(&mut self) -> Result<Option<Payload>, DiskError> {
        while let Some(segment) = self.segments.front_mut() {
            let first = segment.first().map_err(|source| DiskError::Open {
                path: self.folder.clone(),
                source,
            })?;
            if first.is_some() {
                return Ok(first);
            }
            if let Some(settled) = self.segments.pop_front() {
                settled.delete();
            }
        }
        Ok(None)
    }

    /// Forgets the payload that [`first`](Self::first) gave.
    pub(super) fn remove_first(&mut self) {
        let Some(segment) = self.segments.front_mut() else {
            return;
        };
        segment.settle_first();
        if segment.is_settled()
            && let Some(segment) = self.segments.pop_front()
        {
            segment.delete();
        }
    }

    /// Makes durable what was written since the last call.
    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        self.segments
            .iter_mut()
            .try_for_each(Segment::sync)
            .map_err(|source| DiskError::Write {
                path: self.folder.clone(),
                source,
            })
    }

    #[cfg(test)]
    pub(super) fn newest(&mut self) -> Option<&mut Segment> {
        self.segments.back_mut()
    }
}

/// Takes the lock of folder `index`, or `None` when a live process has it.
fn own_folder(destination: &Path, index: u32) -> io::Result<Option<(u32, File)>> {
    let folder = destination.join(index.to_string());
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some((index, lock))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The segments in `folder`, in order.
fn segment_numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        numbers.extend(Segment::number(&entry?.path()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Moves the segments of `other` behind those of `folder`. One that cannot be moved stays for the next process.
fn adopt(other: &Path, folder: &Path, numbers: &mut Vec<u64>, next_number: &mut u64) {
    for number in segment_numbers(other).unwrap_or_default() {
        if fs::rename(
            Segment::path(other, number),
            Segment::path(folder, *next_number),
        )
        .is_ok()
        {
            numbers.push(*next_number);
            *next_number += 1;
        }
    }
}
