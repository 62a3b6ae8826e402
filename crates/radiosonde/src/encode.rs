//! Bytes for the outside, written straight from batches and snapshots: one file a format.

pub mod json;
pub mod openmetrics;
pub mod otlp;
#[cfg(feature = "backends")]
pub mod remote_write;
pub(crate) mod time;
