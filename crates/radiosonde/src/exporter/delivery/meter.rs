//! What the sender says of itself under OpenTelemetry's names: `otel.sdk.exporter.*`.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use radiosonde_core::{
    loss::Lost,
    metrics::self_metrics::{self, Component, ExporterMeter},
};

use super::Outcome;
use crate::encode::otlp::Signal;

/// `error.type` of an attempt that is made again.
const UNAVAILABLE: &str = "unavailable";

/// One sender's account.
pub(super) struct Meter {
    traces: ExporterMeter,
    logs: ExporterMeter,
    metrics: ExporterMeter,
}

impl Meter {
    /// The account of the next sender of the type `component`.
    pub(super) fn new(component: &'static str) -> Self {
        static SENDERS: AtomicU64 = AtomicU64::new(0);
        let component = Component::new(component, SENDERS.fetch_add(1, Relaxed));
        let meter = |signal| ExporterMeter::new(component.clone(), signal);
        Self {
            traces: meter(self_metrics::Signal::Span),
            logs: meter(self_metrics::Signal::Log),
            metrics: meter(self_metrics::Signal::MetricDataPoint),
        }
    }

    /// Runs `send`, which sends `records` of `signal`, and counts what came of it.
    pub(super) fn watch(
        &self,
        signal: Signal,
        records: u32,
        send: impl FnOnce() -> Outcome,
    ) -> Outcome {
        let meter = match signal {
            Signal::Traces => &self.traces,
            Signal::Logs => &self.logs,
            Signal::Metrics => &self.metrics,
        };
        let records = u64::from(records);
        meter.started(records);
        let began = Instant::now();
        let outcome = send();
        let refused = |refused: u64| self_metrics::Outcome::Refused {
            records: refused.min(records),
            error: Lost::Rejected.label(),
        };
        let told = match &outcome {
            // A partial success that refused nothing is a warning.
            Outcome::Delivered | Outcome::Partial { rejected: 0, .. } => {
                self_metrics::Outcome::Delivered
            }
            Outcome::Partial { rejected, .. } => refused(*rejected),
            Outcome::Rejected { .. } => refused(records),
            Outcome::PartUnavailable { rest, rejected, .. } => {
                let rest = u64::from(rest.records).min(records);
                meter.set_aside(rest);
                let refused = (*rejected).min(records - rest);
                let told = if refused == 0 {
                    self_metrics::Outcome::Delivered
                } else {
                    self_metrics::Outcome::Refused {
                        records: refused,
                        error: Lost::Rejected.label(),
                    }
                };
                meter.ended(records - rest, began.elapsed().as_secs_f64(), told);
                return outcome;
            }
            Outcome::Unavailable { .. } | Outcome::Unreachable { .. } => {
                self_metrics::Outcome::ToBeRetried { error: UNAVAILABLE }
            }
        };
        meter.ended(records, began.elapsed().as_secs_f64(), told);
        outcome
    }
}
