//! What needs more than a comparison: whether a value will reach something ([`crate::forecast`]), and whether it is what it
//! was ([`crate::baseline`]).

use super::{Direction, Limit, Point};
use crate::{
    baseline::{self, Baseline, Verdict, explain},
    forecast::{self, Outlook, Reading},
};

/// How it is known that a value with this past crosses the limit within so many seconds; `None` where it does not, or not so
/// that one could be sure. `unit` is for the words.
pub(super) fn reached(past: &[Point], limit: Limit, within_s: f64, unit: &str) -> Option<String> {
    let readings = past.iter().map(|point| Reading {
        time_unix_ns: point.time_unix_ns,
        value: point.value,
    });
    let readings: Vec<Reading> = readings.collect();
    let kept = if limit.is_upper() {
        forecast::Limit::AtMost(limit.value())
    } else {
        forecast::Limit::AtLeast(limit.value())
    };
    let settings = forecast::Settings {
        horizon_s: within_s,
        ..forecast::Settings::default()
    };
    match forecast::forecast(&readings, kept, &settings) {
        Outlook::Reaches(reach) if reach.in_s <= within_s => Some(reach.words(unit)),
        Outlook::Reached { .. } => Some("it is there already".to_owned()),
        Outlook::Reaches(_) | Outlook::Abstains { .. } => None,
    }
}

/// Watches one value.
#[derive(Debug)]
pub(super) struct Watch(Baseline);

impl Watch {
    /// One that knows nothing of the value yet.
    pub(super) fn new(direction: Direction) -> Self {
        let watch = match direction {
            Direction::Above => baseline::Watch::Rises,
            Direction::Below => baseline::Watch::Falls,
            Direction::Either => baseline::Watch::Both,
        };
        Self(Baseline::new(baseline::Settings {
            watch,
            ..baseline::Settings::default()
        }))
    }

    /// The next reading, later than all before it.
    pub(super) fn observe(&mut self, point: Point) {
        self.0.observe(point.time_unix_ns, point.value);
    }

    /// What is wrong with the value, what is normal, and since when that is left; `None` where nothing is wrong.
    pub(super) fn wrong(&self, unit: &str) -> Option<String> {
        match self.0.verdict() {
            Verdict::Anomalous(anomaly) => Some(explain(&anomaly, unit, &[]).to_string()),
            Verdict::Normal(_) | Verdict::Learning { .. } => None,
        }
    }
}
