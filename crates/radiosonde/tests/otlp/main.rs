//! OTLP as it leaves: encoded, over HTTP and over gRPC, with real sockets and the generated types on the other side.

#![cfg(all(feature = "otlp-http", feature = "otlp-grpc"))]

mod encoding;
mod grpc;
mod http;
mod receiver;
mod records;
mod structs;
