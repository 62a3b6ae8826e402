//! Trace context headers: the body says what holds for any text.

#![no_main]

#[path = "../bodies/traceparent.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
