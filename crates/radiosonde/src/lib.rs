//! Observability for programs that run models.

pub mod encode;
pub mod exporter;

pub use radiosonde_core as core;
#[doc(hidden)]
pub use radiosonde_core::__private;
pub use radiosonde_core::event::Event;
pub use radiosonde_macros::EventFromRadiosonde as Event;
