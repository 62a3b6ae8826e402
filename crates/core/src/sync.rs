//! Atomics of the lane and slab: the standard library's, or loom's under `--cfg loom`, so that the model checker
//! runs the very code that ships.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
