//! A baggage header: the body says what holds for any text.

#![no_main]

#[path = "../bodies/baggage.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
