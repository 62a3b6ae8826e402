//! The record path of Radiosonde: what libraries link that define events or count things. Applications use `radiosonde`,
//! which re-exports all of this.
//!
//! Data moves one way. A thread *records*: [`tracing`] spans and logs through [`subscriber::Subscriber`], typed events
//! through [`record()`], measurements through handles of [`metrics`]. Records wait in the thread's own *lane*, a bounded
//! ring that nobody else writes. One thread, the [`pump`], empties every lane, turns clock ticks into time and hands a
//! [`batch::Batch`] to each [`pump::Consumer`]. What could not be kept is counted by reason in [`loss`].
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use radiosonde_core::{batch::Batch, pump, subscriber::Subscriber};
//!
//! struct Print;
//!
//! impl pump::Consumer for Print {
//!     fn consume(&mut self, batch: &Arc<Batch>) {
//!         for span in batch.spans() {
//!             assert_eq!(span.name(), "generate");
//!         }
//!     }
//! }
//!
//! tracing::subscriber::set_global_default(Subscriber::new())?;
//! let pump = pump::start(pump::Config { resource: Arc::default(), consumers: vec![Box::new(Print)] })?;
//! tracing::info_span!("generate", tokens = 3).in_scope(|| ());
//! assert!(pump.flush(Duration::from_secs(5)), "delivered within five seconds");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the record path promises
//!
//! For a span that lives on one thread: no lock, no allocation after a thread's first record, no system call, no atomic
//! read-modify-write, no panic. A span that is entered, recorded on or closed elsewhere may take a lock. Memory is
//! bounded: a lane is 1 MiB of ring and grows by 256 KiB for each 512 spans that one thread holds open at once; lanes of
//! threads that ended serve the next. A record that finds its lane full is refused and counted, or waits
//! ([`when_full`]). A value may record something itself while it is formatted for a record: that goes to a ring of its
//! own, three deep, and is counted beyond that.

// Lets the derive name this crate in the same way here as in every other crate.
extern crate self as radiosonde_core;

#[doc(hidden)]
pub mod __private;
pub mod batch;
pub mod carry;
pub mod catalogue;
pub mod clock;
pub mod context;
pub mod correlation;
mod custom;
pub mod event;
pub mod events;
mod fields;
pub mod filter;
#[doc(hidden)]
pub mod foreign;
pub mod handlers;
#[doc(hidden)]
pub mod hash;
pub mod ids;
mod lane;
pub mod loss;
pub mod macros;
pub mod memory;
pub mod metrics;
pub mod model;
#[doc(hidden)]
pub mod panics;
pub mod propagation;
pub mod provenance;
pub mod pump;
pub mod queue;
mod random;
mod record;
mod ring;
pub mod sampling;
mod slab;
pub mod subscriber;
mod sync;

/// Whether recording is compiled in: the feature `recording`, which is on by default.
pub const COMPILED_IN: bool = cfg!(feature = "recording");

pub use crate::{
    custom::{
        NAME_BYTES_MAX as CUSTOM_NAME_BYTES_MAX, NAMES_MAX as CUSTOM_NAMES_MAX, custom_event,
        custom_metric,
    },
    event::Event,
    fields::{Shapes, TEXT_BYTES_MAX, ValueRef},
    lane::{
        Aloud, LANES_MAX, Silence, aloud, count as lane_count, count_open_spans, is_silent,
        recording as is_recording, silence, thread_name,
    },
    record::{WhenFull, record, wait_for_lane, when_full},
};
#[doc(inline)]
pub use radiosonde_macros::{Event, instrument};
