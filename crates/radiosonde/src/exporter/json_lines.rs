//! JSON lines in a file (docs/recording.md), whole ones ([`lines`](super::lines)).

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use radiosonde_core::batch::Batch;

use super::{ExportError, Exporter, lines::Lines};
use crate::encode::json::JsonEncoder;

/// How many records and bytes wait at most before they are written, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffering {
    /// Records.
    pub records_max: u64,
    /// Time.
    pub interval: Duration,
}

impl Default for Buffering {
    /// 1000 records or 10 s, whichever is first.
    fn default() -> Self {
        Self {
            records_max: 1000,
            interval: Duration::from_secs(10),
        }
    }
}

/// Writes each record as a line.
#[derive(Debug)]
pub struct JsonLines<W: Write + Send = File> {
    lines: Lines<W>,
    encoder: JsonEncoder,
    buffering: Buffering,
}

impl JsonLines<File> {
    /// Opens the file at `path` for appending; makes it, and the folders above it, where they are missing.
    pub fn open(path: &Path, encoder: JsonEncoder) -> Result<Self, ExportError> {
        Ok(Self {
            lines: Lines::open(path)?,
            encoder,
            buffering: Buffering::default(),
        })
    }
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `out`, which is called `path` in errors.
    pub fn to_writer(out: W, path: impl Into<PathBuf>, encoder: JsonEncoder) -> Self {
        Self {
            lines: Lines::to_writer(out, path),
            encoder,
            buffering: Buffering::default(),
        }
    }

    /// The same with this buffering.
    #[must_use]
    pub const fn with_buffering(mut self, buffering: Buffering) -> Self {
        self.buffering = buffering;
        self
    }
}

impl<W: Write + Send> Exporter for JsonLines<W> {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let mut result = Ok(());
        for record in batch.records() {
            let encoder = &mut self.encoder;
            self.lines.line(|out| encoder.line(&record, out));
            if self.lines.is_full() && result.is_ok() {
                result = self.lines.write_out();
            }
        }
        if self.lines.buffered() >= self.buffering.records_max && result.is_ok() {
            result = self.lines.write_out();
        }
        self.lines.written(result)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.lines.flush()
    }

    fn close(&mut self) -> Result<(), ExportError> {
        self.lines.close()
    }

    fn flush_interval(&self) -> Option<Duration> {
        Some(self.buffering.interval)
    }
}
