//! What others than OpenTelemetry send: the body says what holds for any bytes.

#![no_main]

#[path = "../bodies/foreign.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
