//! Recordings (JSON lines): a line is a record or is skipped and counted, and a record is written as it is read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use radiosonde::recording::check_round_trip;

fuzz_target!(|bytes: &[u8]| check_round_trip(bytes));
