//! The one place where the demo meets radiosonde.
//!
//! Everything else in the demo is instrumented with plain `tracing` spans, as any program would be; what
//! tracing has no word for (a queue's depth, a cache's bytes, where the weights went) is reported through the
//! functions here. The span tree that a recording holds:
//!
//! ```text
//! request{index}                  from being queued to being answered; opened by the client, ended by a worker
//! ├─ tokenize
//! └─ generate{model, prompt_tokens, output_tokens, finish}
//!    ├─ prefill{tokens}
//!    │  ├─ embedding
//!    │  ├─ forward{tokens, position}
//!    │  │  └─ block{index} ...    one per layer
//!    │  │     ├─ attention_projections{part="qkv"}
//!    │  │     ├─ sdpa
//!    │  │     ├─ attention_projections{part="output"}
//!    │  │     └─ mlp
//!    │  ├─ output
//!    │  └─ sampling
//!    └─ decode{index} ...         one per token after the first, with the same parts
//! ```
//!
//! `embedding`, `forward`, `output` and `sampling` are the four phases of a step, `block` its layers, and
//! `attention_projections`, `sdpa` and `mlp` the phases that this model defines for itself.
//!
//! Time in the queue is the part of `request` before its first child; [`queue_left`] names it exactly.

use std::time::Duration;

use tracing::info;

use crate::model::Footprint;

/// A request joined the queue, which now holds `depth`.
pub fn queue_entered(depth: usize) {
    info!(name: "queue.entered", target: "radiosonde_demo::queue", queue = "requests", depth);
}

/// A worker took a request after `waited`, leaving `depth` behind it.
pub fn queue_left(depth: usize, waited: Duration) {
    info!(
        name: "queue.left",
        target: "radiosonde_demo::queue",
        queue = "requests",
        depth,
        waited_us = waited.as_micros() as u64
    );
}

/// The KV cache of the current request's sequence holds more tokens.
pub fn kv_cache_grew(used_bytes: u64, reserved_bytes: u64) {
    info!(
        name: "kv_cache.grew",
        target: "radiosonde_demo::memory",
        used_bytes,
        reserved_bytes
    );
}

/// The weights are in memory.
pub fn weights_loaded(model: &str, footprint: &Footprint) {
    info!(
        name: "weights.loaded",
        target: "radiosonde_demo::memory",
        model,
        bytes = footprint.bytes,
        tensors = footprint.tensors.len()
    );
}
