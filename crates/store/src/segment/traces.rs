//! Where in a segment of spans a trace is: a file of sorted entries beside it.
//!
//! After eight bytes that name the format come entries of 16 bytes, little-endian: the upper half of the trace's
//! identifier (u64), the first row (u32), and how many rows (u32). Entries are sorted; two traces may have the same
//! upper half, so who reads rows compares whole identifiers.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use arrow::array::{AsArray as _, RecordBatch};
use radiosonde_core::ids::TraceId;

use crate::merge::trace_number;

const MAGIC: &[u8; 8] = b"RSONTRC1";
const ENTRY: usize = 16;

/// Rows of a segment that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: u32,
    pub(crate) rows: u32,
}

/// The index's path beside that of its segment.
pub(crate) fn path(segment: &Path) -> PathBuf {
    segment.with_extension("traces")
}

/// The index of `rows`, in which the spans of a trace follow each other.
pub(crate) fn encode(rows: &RecordBatch) -> Vec<u8> {
    let mut entries: Vec<(u64, Run)> = Vec::new();
    if let Some(trace_ids) = rows.column_by_name("trace_id") {
        let trace_ids = trace_ids.as_fixed_size_binary();
        let mut last = None;
        for row in 0..rows.num_rows() {
            let trace = trace_number(trace_ids, row);
            match entries.last_mut() {
                Some((_, run)) if last == Some(trace) => run.rows += 1,
                _ => entries.push((
                    (trace >> 64) as u64,
                    Run {
                        first: row as u32,
                        rows: 1,
                    },
                )),
            }
            last = Some(trace);
        }
    }
    entries.sort_unstable_by_key(|(prefix, run)| (*prefix, run.first));
    let mut bytes = MAGIC.to_vec();
    for (prefix, run) in entries {
        bytes.extend_from_slice(&prefix.to_le_bytes());
        bytes.extend_from_slice(&run.first.to_le_bytes());
        bytes.extend_from_slice(&run.rows.to_le_bytes());
    }
    bytes
}

/// The rows of traces whose identifiers begin like `trace`, in the segment that `path` is the index of.
pub(crate) fn find(path: &Path, trace: u128) -> io::Result<Vec<Run>> {
    let file = File::open(path)?;
    let entries = file.metadata()?.len().saturating_sub(MAGIC.len() as u64) / ENTRY as u64;
    let prefix = (trace >> 64) as u64;
    let entry = |number: u64| -> io::Result<(u64, Run)> {
        let mut bytes = [0; ENTRY];
        file.read_exact_at(&mut bytes, MAGIC.len() as u64 + number * ENTRY as u64)?;
        let word = u128::from_le_bytes(bytes);
        let run = Run {
            first: (word >> 64) as u32,
            rows: (word >> 96) as u32,
        };
        Ok((word as u64, run))
    };
    let (mut low, mut high) = (0, entries);
    while low < high {
        let middle = u64::midpoint(low, high);
        if entry(middle)?.0 < prefix {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let mut runs = Vec::new();
    while low < entries {
        let (found, run) = entry(low)?;
        if found != prefix {
            break;
        }
        runs.push(run);
        low += 1;
    }
    Ok(runs)
}

/// The rows of traces whose identifiers begin like each of `traces`, in the segment that `path` is the index of, which is
/// read whole: that is quicker than to look for many.
pub(crate) fn find_all(path: &Path, traces: &[TraceId]) -> io::Result<Vec<Vec<Run>>> {
    let bytes = std::fs::read(path)?;
    let entries = bytes.get(MAGIC.len()..).unwrap_or_default();
    let entries = entries.as_chunks::<ENTRY>().0;
    let prefix_of = |entry: &[u8; ENTRY]| u128::from_le_bytes(*entry) as u64;
    let runs_of = |trace: &TraceId| {
        let prefix = (trace.bits() >> 64) as u64;
        let first = entries.partition_point(|entry| prefix_of(entry) < prefix);
        let runs = entries[first..].iter();
        let runs = runs.take_while(|entry| prefix_of(entry) == prefix);
        let run = |entry: &[u8; ENTRY]| {
            let word = u128::from_le_bytes(*entry);
            Run {
                first: (word >> 64) as u32,
                rows: (word >> 96) as u32,
            }
        };
        runs.map(run).collect()
    };
    Ok(traces.iter().map(runs_of).collect())
}
