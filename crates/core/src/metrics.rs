//! Metrics: handles that many threads measure with and never wait for one another, summed when read.
//!
//! ```
//! use radiosonde_core::metrics;
//!
//! let requests = metrics::counter("app.requests").unit("{request}").build();
//! let ok = requests.with(&[("status", "ok")]);
//! ok.add(1);
//!
//! let duration = metrics::histogram("app.request.duration").unit("s").handle();
//! duration.record(0.25);
//! ```
//!
//! A *metric* has a name, a kind and a unit; each set of labels makes a *series* of it, and a *handle* measures in one
//! series. Measuring costs a few nanoseconds from any number of threads: each thread adds to numbers of its own
//! ([`shard`](self) pages), and reading sums them. Label sets are bounded ([`Builder::series_max`]), series that nobody
//! uses are forgotten, and a measurement made inside a recorded trace may stay as an *exemplar* that leads back to it. An
//! id of a request is no label: [`recent_ids`] leads from an exemplar's trace to the request and back.

pub mod aggregate;
mod distribution;
mod exemplar;
mod exponential;
mod handle;
mod histogram;
mod instrument;
mod labels;
mod read;
mod recent;
mod registry;
pub mod self_metrics;
mod shard;
pub mod snapshot;
mod source;

use std::sync::{Arc, LazyLock};

pub use distribution::BoundsDiffer;
pub use exponential::upper_bound;
pub use handle::{Counter, Gauge, Handle, Histogram, Number, UpDownCounter};
pub use instrument::Kind;
pub use labels::OVERFLOW_LABEL;
pub use recent::{RECENT_IDS_MAX, RecentId, recent_ids};
pub use registry::{Builder, Family, IDLE_DEFAULT, METRICS_MAX, MetricError, Registry};
use snapshot::Snapshot;

use crate::model::{Resource, Text};

/// The registry of the program.
pub fn global() -> &'static Registry {
    static GLOBAL: LazyLock<Registry> = LazyLock::new(|| {
        let registry = Registry::new();
        registry.add_source(self_metrics::lost);
        registry
    });
    &GLOBAL
}

/// A total of whole numbers that only grows.
pub fn counter(name: impl Into<Text>) -> Builder<'static, Counter> {
    global().counter(name)
}

/// A total that only grows, of numbers that need not be whole.
pub fn counter_f64(name: impl Into<Text>) -> Builder<'static, Counter<f64>> {
    global().counter_f64(name)
}

/// A total of whole numbers that goes up and down.
pub fn up_down_counter(name: impl Into<Text>) -> Builder<'static, UpDownCounter> {
    global().up_down_counter(name)
}

/// A total that goes up and down, of numbers that need not be whole.
pub fn up_down_counter_f64(name: impl Into<Text>) -> Builder<'static, UpDownCounter<f64>> {
    global().up_down_counter_f64(name)
}

/// A value that is set.
pub fn gauge(name: impl Into<Text>) -> Builder<'static, Gauge> {
    global().gauge(name)
}

/// A distribution, with exponential buckets unless [`Builder::bounds`] says otherwise.
pub fn histogram(name: impl Into<Text>) -> Builder<'static, Histogram> {
    global().histogram(name)
}

/// Reads every metric of the program.
pub fn snapshot(resource: &Arc<Resource>) -> Snapshot {
    self_metrics::timed(|| global().snapshot(resource))
}
