//! The store as its users see it. One program, because each that links the query engine takes long to link.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

mod attributes;
mod broken;
mod clickhouse;
mod compacting;
mod full;
mod hostile;
mod identifiers;
mod kill;
mod operations;
mod power;
mod profiles;
mod reading;
mod sampling;
mod several;
mod tailing;
