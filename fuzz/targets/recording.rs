//! JSON lines: whatever is read is written, and read again, without a difference.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| radiosonde::recording::check_round_trip(bytes));
