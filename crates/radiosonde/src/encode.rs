//! Bytes for the outside, written straight from batches and snapshots.

pub mod otlp;
