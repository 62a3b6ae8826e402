//! A call whose body must stay where it is: it lasts until its guard is ended with the result, or dropped.
//!
//! `guard_off.rs` is in its place where recording is compiled out, because no compiler leaves out the drop of a guard
//! that is only empty.

use tracing::{Span, span::Entered};

use super::{Call, CallSite, Ended};

/// Begins a call of `site` inside `span`. `log` logs an end without a result.
#[inline]
pub fn guard<'s>(site: &'static CallSite, span: &'s Span, cpu: bool, log: fn(Ended)) -> Guard<'s> {
    if !crate::__private::RECORDING {
        return Guard {
            call: None,
            _entered: None,
        };
    }
    let entered = span.enter();
    Guard {
        call: Some(site.start(span, cpu, Ended::Returned, log)),
        _entered: Some(entered),
    }
}

/// A call inside its span. Dropped without a result, it is one that returned unless its thread panics.
#[derive(Debug)]
pub struct Guard<'s> {
    // Dropped before the span is left: its exemplars and its log belong to the span.
    call: Option<Call<'s>>,
    _entered: Option<Entered<'s>>,
}

impl Guard<'_> {
    /// Ends the call with its result. `outcome` logs it and says which error it is.
    #[inline]
    pub fn end<R>(mut self, result: &R, outcome: impl FnOnce(&R) -> Option<&'static str>) {
        if let Some(call) = self.call.take() {
            call.end(|| outcome(result));
        }
    }
}
