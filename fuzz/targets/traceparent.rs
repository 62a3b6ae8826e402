//! `traceparent` and `tracestate`: what is accepted is written as it is read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use radiosonde_core::propagation::{TraceParent, TraceState};

fuzz_target!(|text: &str| {
    if let Ok(parent) = text.parse::<TraceParent>() {
        let written = parent.to_string();
        assert_eq!(written.parse::<TraceParent>().as_ref(), Ok(&parent), "{written}");
    }
    if let Ok((Some(state), _)) = TraceState::parse(text) {
        let (again, was_cut) = TraceState::parse(state.as_str()).expect("what was kept is well formed");
        assert_eq!((again, was_cut), (Some(state), false));
    }
});
