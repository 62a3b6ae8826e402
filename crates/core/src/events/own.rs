//! What Radiosonde says about itself.

use crate::Event;

/// Records were not kept.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "radiosonde.loss", level = "warn")]
pub struct RecordsLost<'a> {
    /// Why, in one of the words of `radiosonde_core::loss::Lost`.
    #[label]
    #[event(rename = "error.type")]
    pub reason: &'a str,
    /// How many since the last such event.
    // The counter `radiosonde.lost` is read from the losses themselves: it is complete even when events are lost.
    #[event(unit = "{record}")]
    pub records: u64,
}

/// The system's clock was set to another time. Records from before and after it do not lie on one line: a child may be
/// shown before its parent. Durations are right.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "radiosonde.clock.step", level = "warn")]
pub struct ClockStepped<'a> {
    /// `forward` or `back`.
    #[label]
    pub direction: &'a str,
    /// How far, in seconds.
    #[event(unit = "s")]
    pub step: f64,
}

/// A collector used more than its share of the overhead budget and does less from now on, or more again.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "radiosonde.collector.throttled",
    level = "warn",
    count = "radiosonde.collector.throttles"
)]
pub struct CollectorThrottled<'a> {
    /// The collector.
    #[label]
    pub collector: &'a str,
    /// Share of one processor it used, from 0 to 1.
    #[measure(gauge, name = "radiosonde.collector.cost", unit = "1")]
    pub cost: f64,
    /// Share it may use.
    pub limit: f64,
    /// What it does now, for example `interval 10 s` or `off`.
    pub action: &'a str,
}

/// A handler panicked and was detached.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "radiosonde.handler.detached",
    level = "error",
    count = "radiosonde.handler.detached"
)]
pub struct HandlerDetached<'a> {
    /// The id under which it was attached.
    #[label]
    pub handler: &'a str,
    /// The event that it was called with.
    pub event: &'a str,
    /// What it panicked with.
    pub message: &'a str,
}
