//! A batch on its way to an exporter, and the queue's account of such batches under OpenTelemetry's names.

use std::sync::Arc;

use radiosonde_core::{
    batch::Batch,
    loss::Lost,
    metrics::self_metrics::{Component, QueueMeter, Signal},
};

/// `otel.component.type` of an exporter's queue.
const COMPONENT_TYPE: &str = "radiosonde_exporter_queue";

/// A batch and how many of its records are spans; the others are logs in OpenTelemetry's terms.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) batch: Arc<Batch>,
    spans: u64,
}

impl Load {
    pub(super) fn new(batch: &Arc<Batch>) -> Self {
        Self {
            batch: Arc::clone(batch),
            spans: batch.spans().count() as u64,
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.batch.len() as u64
    }
}

/// What one queue says of itself.
pub(super) struct Account {
    spans: QueueMeter,
    logs: QueueMeter,
}

impl Account {
    /// The account of the queue of `exporter`, which holds `records_max` records. `twin` counts the exporters before
    /// it that have the same name.
    pub(super) fn new(exporter: &str, twin: usize, records_max: usize) -> Self {
        let component = || match twin {
            0 => Component::new(COMPONENT_TYPE, exporter),
            _ => Component::new(COMPONENT_TYPE, format_args!("{exporter}/{twin}")),
        };
        let meter = |signal| QueueMeter::new(component(), signal, records_max as u64);
        Self {
            spans: meter(Signal::Span),
            logs: meter(Signal::Log),
        }
    }

    pub(super) fn entered(&self, load: &Load) {
        self.each(load, QueueMeter::entered);
    }

    pub(super) fn left(&self, load: &Load) {
        self.each(load, QueueMeter::left);
    }

    pub(super) fn refused(&self, load: &Load, reason: Lost) {
        self.each(load, |meter, records| {
            meter.refused(records, reason.label());
        });
    }

    pub(super) fn given_up(&self, load: &Load, reason: Lost) {
        self.each(load, |meter, records| {
            meter.given_up(records, reason.label());
        });
    }

    fn each(&self, load: &Load, tell: impl Fn(&QueueMeter, u64)) {
        let parts = [
            (&self.spans, load.spans),
            (&self.logs, load.records() - load.spans),
        ];
        for (meter, records) in parts {
            if records > 0 {
                tell(meter, records);
            }
        }
    }
}
