//! OTLP requests in protobuf, and profiles in other forms: the body says what holds for any bytes.

#![no_main]

#[path = "../bodies/otlp.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(false, data));
