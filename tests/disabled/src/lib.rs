//! The whole public API with recording compiled out must do nothing.
