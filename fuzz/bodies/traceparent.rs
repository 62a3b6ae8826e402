//! Headers of a request: the first line is `traceparent`, the second `tracestate`, the third `b3`. Nothing panics, and
//! what is kept reads back as itself.

use radiosonde_core::propagation::{FullContext, TraceParent, TraceState};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let names = ["traceparent", "tracestate", "b3"];
    let headers: Vec<(&str, &str)> = names.into_iter().zip(text.lines()).collect();
    let full = FullContext::extract(&headers[..]);
    if let Some(context) = full.context() {
        let parent = TraceParent {
            trace_id: context.trace_id,
            span_id: context.span_id,
            flags: context.flags,
        };
        assert_eq!(parent.to_string().parse(), Ok(parent));
    }
    if let Some(state) = full.trace_state() {
        assert_eq!(
            TraceState::parse(state.as_str()),
            Ok((Some(state.clone()), false))
        );
    }
    let mut outgoing: Vec<(String, String)> = Vec::new();
    full.inject(&mut outgoing);
    assert_eq!(
        FullContext::extract(&outgoing[..])
            .context()
            .map(|c| c.span_id),
        full.context().map(|c| c.span_id)
    );
}
