//! One file of a spool: frames appended at the end and taken from the front.
//!
//! A frame is a header of [`HEADER_BYTES`] and a body:
//!
//! | bytes | what |
//! |---|---|
//! | 0-3 | `RSF1` |
//! | 4 | 0 while it waits, 1 once it is settled; not covered by a checksum, because it is overwritten in place |
//! | 5 | tag |
//! | 6-7 | zero |
//! | 8-11 | records, little endian as all numbers |
//! | 12-15 | length of the body |
//! | 16-19 | CRC-32 of bytes 5-15 |
//! | 20-23 | CRC-32 of the body |
//!
//! Invariant: reading never trusts a length whose header's checksum is wrong, and never goes beyond `bytes`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use radiosonde_core::loss::{self, Lost};

use super::Payload;

pub(super) const HEADER_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"RSF1";
const STATE_AT: u64 = 4;
const SETTLED: u8 = 1;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    settled: bool,
    tag: u8,
    records: u32,
    length: u32,
    body_crc: u32,
}

impl Header {
    fn of(payload: &Payload) -> Self {
        Self {
            settled: false,
            tag: payload.tag,
            records: payload.records,
            length: payload.body.len() as u32,
            body_crc: crc32fast::hash(&payload.body),
        }
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = u8::from(self.settled);
        bytes[5] = self.tag;
        bytes[8..12].copy_from_slice(&self.records.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        let crc = crc32fast::hash(&bytes[5..16]);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        bytes[20..].copy_from_slice(&self.body_crc.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let number = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        let sound = bytes[..4] == MAGIC && number(16) == crc32fast::hash(&bytes[5..16]);
        sound.then(|| Self {
            settled: bytes[4] == SETTLED,
            tag: bytes[5],
            records: number(8),
            length: number(12),
            body_crc: number(20),
        })
    }

    const fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.length as u64
    }
}

/// Bytes that a payload takes in a segment.
pub(super) fn frame_bytes(payload: &Payload) -> u64 {
    (HEADER_BYTES + payload.body.len()) as u64
}

/// A file of frames.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    /// Opened when it is first needed.
    file: Option<File>,
    /// Length of the sound frames.
    bytes: u64,
    /// Where the first frame that waits starts.
    front: u64,
    /// Records in frames that wait.
    records: u64,
    /// Frames were appended that a loss of power could take.
    unsynced: bool,
    /// The header at `front`, once it has been read.
    read: Option<Header>,
}

impl Segment {
    pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{number:020}.spool"))
    }

    /// The number in a segment's file name.
    pub(super) fn number(path: &Path) -> Option<u64> {
        if path.extension()? != "spool" {
            return None;
        }
        path.file_stem()?.to_str()?.parse().ok()
    }

    /// A new, empty file.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = Self::path(folder, number);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok(Self {
            path,
            file: Some(file),
            bytes: 0,
            front: 0,
            records: 0,
            unsynced: false,
            read: None,
        })
    }

    /// A file that an earlier process left. What follows a torn frame is given up and counted.
    pub(super) fn recover(folder: &Path, number: u64) -> io::Result<Self> {
        let path = Self::path(folder, number);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        let mut reader = io::BufReader::new(&file);
        let (mut bytes, mut front, mut records) = (0, None, 0_u64);
        let mut torn = 0;
        while bytes < length {
            let mut header = [0; HEADER_BYTES];
            let header = reader
                .read_exact(&mut header)
                .ok()
                .and_then(|()| Header::from_bytes(&header));
            let Some(header) = header else {
                // How many records it held is not known.
                torn = 1;
                break;
            };
            if bytes + header.frame_bytes() > length {
                torn = u64::from(header.records) * u64::from(!header.settled);
                break;
            }
            if !header.settled {
                front.get_or_insert(bytes);
                records += u64::from(header.records);
            }
            bytes += header.frame_bytes();
            reader.seek_relative(i64::from(header.length))?;
        }
        loss::count(Lost::WriteFailed, torn);
        if bytes < length {
            // Else what follows would count for no cap, and come back behind what is appended.
            file.set_len(bytes)?;
        }
        let front = front.unwrap_or(bytes);
        Ok(Self {
            path,
            file: None,
            bytes,
            front,
            records,
            unsynced: false,
            read: None,
        })
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// Whether no frame waits.
    pub(super) const fn is_settled(&self) -> bool {
        self.front >= self.bytes
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(OpenOptions::new().read(true).write(true).open(&self.path)?);
        }
        self.file
            .as_mut()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Appends a frame, wholly or not at all.
    pub(super) fn append(&mut self, payload: &Payload) -> io::Result<()> {
        let end = self.bytes;
        let mut frame = Vec::with_capacity(HEADER_BYTES + payload.body.len());
        frame.extend_from_slice(&Header::of(payload).to_bytes());
        frame.extend_from_slice(&payload.body);
        let file = self.file()?;
        let written = file
            .seek(SeekFrom::Start(end))
            .and_then(|_| file.write_all(&frame));
        if let Err(error) = written {
            // What is left of it would be a torn frame, which is as good as nothing.
            let _ = file.set_len(end);
            return Err(error);
        }
        self.unsynced = true;
        self.bytes = end + frame.len() as u64;
        self.records += u64::from(payload.records);
        Ok(())
    }

    /// The first payload that waits. A frame whose body is damaged is skipped and counted; a file that is there and cannot be
    /// opened just then, because too many are open for example, stays as it is.
    pub(super) fn first(&mut self) -> io::Result<Option<Payload>> {
        while !self.is_settled() {
            if let Err(error) = self.file()
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            match self.read_front() {
                Ok(Some((header, body)))
                    if crc32fast::hash(&body) == header.body_crc && !header.settled =>
                {
                    self.read = Some(header);
                    return Ok(Some(Payload {
                        tag: header.tag,
                        records: header.records,
                        body,
                    }));
                }
                Ok(Some((header, _))) => self.skip(header),
                Ok(None) | Err(_) => {
                    loss::count(Lost::WriteFailed, self.records.max(1));
                    self.front = self.bytes;
                    self.records = 0;
                }
            }
        }
        Ok(None)
    }

    fn skip(&mut self, header: Header) {
        if !header.settled {
            loss::count(Lost::WriteFailed, u64::from(header.records));
            self.records = self.records.saturating_sub(u64::from(header.records));
        }
        self.front += header.frame_bytes();
    }

    fn read_front(&mut self) -> io::Result<Option<(Header, Vec<u8>)>> {
        let (front, bytes) = (self.front, self.bytes);
        let file = self.file()?;
        file.seek(SeekFrom::Start(front))?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        let Some(header) =
            Header::from_bytes(&header).filter(|header| front + header.frame_bytes() <= bytes)
        else {
            return Ok(None);
        };
        let mut body = vec![0; header.length as usize];
        file.read_exact(&mut body)?;
        Ok(Some((header, body)))
    }

    /// Marks the first payload as settled, so that no later process sends it again.
    pub(super) fn settle_first(&mut self) {
        if self.read.is_none() {
            // It came from memory and was written while it was out. Where that cannot be read it is sent again.
            let _ = self.first();
        }
        let Some(header) = self.read.take() else {
            return;
        };
        let front = self.front;
        self.front += header.frame_bytes();
        self.records = self.records.saturating_sub(u64::from(header.records));
        if let Ok(file) = self.file() {
            // Without the mark it would be sent again after a restart, which at-least-once allows.
            let _ = file
                .seek(SeekFrom::Start(front + STATE_AT))
                .and_then(|_| file.write_all(&[SETTLED]));
        }
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file()?.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Deletes the file. One that cannot be deleted holds nothing that waits.
    pub(super) fn delete(self) {
        if let Some(file) = &self.file {
            let _ = file.set_len(0);
        }
        let _ = std::fs::remove_file(&self.path);
    }

    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) {
        self.file = Some(file);
    }
}
