//! The record path of Radiosonde.

// Lets the derive name this crate in the same way here as in every other crate.
extern crate self as radiosonde_core;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod batch;
pub mod carry;
pub mod clock;
pub mod context;
pub mod correlation;
pub mod event;
pub mod events;
mod fields;
pub mod filter;
#[doc(hidden)]
pub mod foreign;
pub mod ids;
mod lane;
pub mod loss;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod propagation;
pub mod provenance;
pub mod pump;
mod random;
mod record;
mod ring;
pub mod sampling;
mod slab;
pub mod subscriber;
mod sync;

pub use crate::{
    event::Event,
    fields::{Shapes, TEXT_BYTES_MAX, ValueRef},
    lane::{LANES_MAX, Silence, count as lane_count, silence, thread_name},
    record::{WhenFull, record, when_full},
};
#[doc(inline)]
pub use radiosonde_macros::Event;
