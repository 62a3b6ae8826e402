//! The record path of Radiosonde.

pub mod batch;
mod correlation;
pub mod event;
mod fields;
pub mod filter;
pub mod ids;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod provenance;
mod subscriber;

pub use fields::{Shapes, TEXT_BYTES_MAX, ValueRef};
