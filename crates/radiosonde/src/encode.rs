//! Bytes for the outside, written straight from batches and snapshots: one file a format.

pub mod json;
pub mod openmetrics;
pub mod otlp;
pub(crate) mod time;
