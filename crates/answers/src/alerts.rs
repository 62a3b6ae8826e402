//! Alerts: rules over measurements, what becomes of those that hold, and who is told, when and how often.
//!
//! ```text
//! rules ─▶ engine ─▶ changes ─▶ routing ─▶ notifications ─▶ messages
//! ```
//!
//! All of it is pure: time comes in as a number, and nothing here reads a clock, a file or a socket. The library and the
//! program drive the same machines, the one with its own metrics and the other with its store, and a rehearsal over stored
//! history drives them with times that are past.
//!
//! Invariant: nobody is told that something is resolved that they were not told of.

mod alert;
mod calendar;
mod condition;
pub mod defaults;
mod engine;
mod judge;
mod measure;
pub mod noise;
pub mod payload;
pub mod prometheus;
pub mod routing;
mod rule;
mod selector;
mod source;
mod template;
mod verdict;
mod window;
mod written;

pub use self::{
    alert::{Alert, Change, Labels, Phase, Severity},
    condition::{
        Absence, Anomaly, BurnRate, BurnWindow, Condition, Direction, Forecast, HISTORY_DEFAULT,
        Limit, Measure, Reading, Threshold,
    },
    engine::{ALERTS_MAX, Engine, RuleStatus, State},
    rule::{Fault, Rule, RuleFile, check_all},
    selector::{Pattern, Selector},
    source::{Point, Points, Sample, Series, Source, Spread},
    window::{Read, ReadValue, Window, WindowLimits, WindowLoss},
};
