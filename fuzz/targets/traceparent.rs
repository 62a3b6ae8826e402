#![no_main]

#[path = "../bodies/traceparent.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
