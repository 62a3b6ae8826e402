//! The record path of Radiosonde.
