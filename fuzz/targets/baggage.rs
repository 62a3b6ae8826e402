//! `baggage`: no header is refused as a whole, and what is kept is written as it is read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use radiosonde_core::propagation::Baggage;

fuzz_target!(|text: &str| {
    let (baggage, _) = Baggage::parse(text);
    let written = baggage.to_string();
    let (again, refused) = Baggage::parse(&written);
    assert_eq!(refused, 0, "{written}");
    assert_eq!(again, baggage, "{written}");
});
