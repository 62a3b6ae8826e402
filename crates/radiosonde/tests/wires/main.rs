//! Exporters that speak no HTTP, before receivers: real ones where this machine has them, and strict ones of our own.
#![cfg(all(unix, feature = "syslog", feature = "brokers"))]
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails there, and one that is skipped says so"
)]

mod documents;
mod kafka;
mod nats;
mod nats_server;
mod peers;
mod records;
mod rsyslog;
mod statsd;
mod syslog;
