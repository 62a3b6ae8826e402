//! Metrics on their way to Prometheus and its family: scraped, written and pushed, with real programs on the other side
//! where Debian has them, and a strict receiver made for tests for what none of those tells.

#![cfg(feature = "backends")]

mod faults;
mod first;
mod messages;
mod peers;
mod probe;
mod pushgateway;
mod receiver;
mod records;
mod scrape;
mod second;
mod victoria;
