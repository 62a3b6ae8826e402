//! Metrics: handles that one thread writes without sharing, summed when read.

pub mod snapshot;
