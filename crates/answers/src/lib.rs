//! Pure functions from telemetry to answers. Nothing here reads a file, a clock or a device: every answer is a
//! function of the records it was given, so the same records always give the same words.
//!
//! * [`why`]: where the time of a request went, and what made it slow, or why that cannot be told.
//! * [`alerts`]: what is wrong, who is told of it, when and how often.
//! * [`compare`]: what is different between two sides of anything, and what makes the difference.
//! * [`cardinality`]: which labels make how many series, who sends them, and which of them are identifiers.
//! * [`latency`]: rolling statistics of a model's phases, as rows.
//! * [`queue`]: the depth, the waiters, the rates and the future of a queue.
//! * [`memory`]: a ledger of pools, KV cache, weights and host memory, as rows.
//! * [`alerts`]: rules over measurements, and what becomes of those that hold.
//! * [`duration`]: durations as people write them.
//! * [`baseline`]: what is normal for a series, whether it still is, and what changed when it was no longer.
//! * [`forecast`]: when something runs out, with an interval and the model, or why that cannot be told.
//! * [`distribution`]: histograms taken apart and together, and their quantiles.
//! * [`prometheus_name`]: what a metric is called in Prometheus.
//! * [`requests`]: records that were read, whole or by what was picked of them.
//! * [`flame`]: profiles as a tree of functions, and rankings of functions and libraries.
//! * [`health`]: how something is, from what looks at it say, without flapping.
//! * [`breaker`]: a circuit breaker as a state machine.
//! * [`semconv`]: what the names of other times and makers are called here.
//! * [`weights`]: a model's tensors as a tree that sums to the file.

#![forbid(unsafe_code)]

pub mod alerts;
pub mod baseline;
pub mod breaker;
pub mod cardinality;
pub mod compare;
pub mod distribution;
pub mod duration;
pub mod event;
pub mod flame;
pub mod forecast;
pub mod health;
pub mod latency;
pub mod memory;
mod natural;
pub mod prometheus_name;
pub mod queue;
pub mod requests;
pub mod semconv;
pub mod units;
pub mod weights;
pub mod why;
