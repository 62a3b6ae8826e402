//! Observability for programs that run models: one call, and one trace ID runs through logs, traces, metrics and typed
//! events.
//!
//! ```
//! let _guard = radiosonde::init()?;
//!
//! let _request = tracing::info_span!("request", user = 7).entered();
//! tracing::info!(tokens = 3, "generated");
//! # Ok::<(), radiosonde::InitError>(())
//! ```
//!
//! That is all a program needs. `tracing` spans and events are recorded, the `log` crate's records and panics too; logs
//! are written to standard error; metrics of the process and its host are read. What was recorded is delivered when
//! `_guard` is dropped. Nothing leaves the process unless somebody asks for it: a `sonde` that runs on this machine is
//! found by itself, everything else is named.
//!
//! # What to record
//!
//! | what | how |
//! |---|---|
//! | work that takes time | `tracing::info_span!`, or `#[tracing::instrument]` |
//! | a line of text with attributes | `tracing::info!` |
//! | a fact with a type, labels and measurements | [`#[derive(Event)]`](macro@Event) and [`record!`](macro@record), or [`event!`] without a type |
//! | a number that is counted, set or distributed | [`core::metrics`] |
//! | the phases of a model's forward pass | [`latency`] |
//! | pools, KV caches, weights | [`memory`], [`weights`] |
//! | how the program is, for probes and load balancers | [`mod@health`] |
//! | calls to what may be away | [`breaker`] |
//!
//! # Where it goes
//!
//! Settings come from code, then the environment, then `radiosonde.toml` (or JSON, or YAML), then defaults;
//! [`config`] lists them all. In code:
//!
//! ```no_run
//! let guard = radiosonde::builder()
//!     .service_name("chat")
//!     .filter("info,my_crate=debug")
//!     .json_lines("events.jsonl")
//!     .otlp("http://collector:4318")
//!     .handle_signals(true)
//!     .init()?;
//! println!("{}", guard.report());
//! # Ok::<(), radiosonde::InitError>(())
//! ```
//!
//! Every destination is an [`exporter::Exporter`] on a thread of its own, so one that hangs harms no other; your own is
//! one trait away. A program that already has a `tracing_subscriber` registry adds [`layer::records`] to it instead.
//! Contexts cross process boundaries by [`propagation`].
//!
//! # What it costs
//!
//! Recording a span with three fields takes about as long as formatting a short number; the caller never waits for an
//! exporter. What cannot be kept is counted by reason ([`core::loss`], and in every [`report()`]). What the library does
//! beside the program stays within a [`budget`], 1 % of a processor unless said otherwise.

pub mod breaker;
pub mod budget;
pub mod config;
pub mod dashboards;
pub mod encode;
pub mod endpoint;
pub mod exporter;
pub mod health;
pub mod host;
pub mod init;
pub mod latency;
pub mod layer;
pub mod log_bridge;
pub mod memory;
pub mod prelude;
pub mod propagation;
pub mod recording;
pub mod redact;
pub mod repeat;
pub mod report;
pub mod rows;
mod signals;
pub mod weights;
pub mod why;

pub use radiosonde_core as core;
#[doc(hidden)]
pub use radiosonde_core::__private;
pub use radiosonde_core::{
    catalogue, custom_event, custom_metric, event, event::Event, event_macro, events, handlers,
    macros, profile, queue, record,
};
pub use radiosonde_macros::{
    EventFromRadiosonde as Event, instrument_from_radiosonde as instrument,
};

pub use crate::init::{
    Builder, Guard, InitError, builder, export_now, flush, health, init, report, set_filter,
    set_log_format, set_stack_traces,
};

/// The examples of README.md, which are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

/// The examples of docs/exporters/prometheus.md, which are tests.
#[cfg(all(doctest, feature = "backends"))]
#[doc = include_str!("../../../docs/exporters/prometheus.md")]
pub struct PrometheusGuide;
