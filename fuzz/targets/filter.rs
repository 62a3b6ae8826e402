//! Filter strings (`RUST_LOG`): any text is a filter or an error, and what the lossy reading keeps is a filter.

#![no_main]

use libfuzzer_sys::fuzz_target;
use radiosonde_core::filter::Filter;

fuzz_target!(|text: &str| {
    let strict = Filter::parse(text);
    let (lossy, faults) = Filter::parse_lossy(text);
    assert_eq!(strict.is_ok(), faults.is_empty(), "both readings agree on what is well formed");
    let _ = lossy.max_level_hint();
});
