//! Exporters that speak no HTTP, before receivers: real ones where this machine has them, and strict ones of our own.
#![cfg(all(unix, feature = "syslog", feature = "brokers"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod documents;
mod kafka;
mod nats;
mod nats_server;
mod peers;
mod records;
mod rsyslog;
mod statsd;
mod syslog;
