//! Observability for programs that run models.

pub mod exporter;

pub use radiosonde_core as core;
