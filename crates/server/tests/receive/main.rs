//! Receivers as senders meet them: a real server on real sockets. One program, because each that links the query engine
//! takes long to link.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

mod access;
mod faults;
mod foreign;
mod grpc;
mod http;
mod peers;
mod scrape;
mod sdk;
mod server;
mod statsd;
mod syslog;
mod tls;
