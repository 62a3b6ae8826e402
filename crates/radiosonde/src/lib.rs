//! Observability for programs that run models.

pub mod config;
pub mod encode;
pub mod exporter;
pub mod init;
pub mod latency;
pub mod layer;
pub mod log_bridge;
pub mod memory;
pub mod propagation;
pub mod recording;
pub mod redact;
pub mod repeat;
pub mod report;
pub mod rows;
pub mod weights;

pub use radiosonde_core as core;
#[doc(hidden)]
pub use radiosonde_core::__private;
pub use radiosonde_core::{
    catalogue, custom_event, custom_metric, event, event::Event, event_macro, events, handlers,
    macros, profile, record,
};
pub use radiosonde_macros::{
    EventFromRadiosonde as Event, instrument_from_radiosonde as instrument,
};

pub use crate::init::{Builder, Guard, InitError, builder, flush, init, report, set_filter};
