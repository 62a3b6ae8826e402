//! Queries over a fixture: golden answers that Prometheus 2.42 gave, Prometheus itself where it is installed, and the fuzz
//! target's seeds.

mod fixture;
mod golden;
mod native;
mod refused;
