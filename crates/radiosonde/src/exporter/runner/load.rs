//! A batch on its way to an exporter, those that reach it as one, and the queue's account of them under OpenTelemetry's
//! names.

use std::{sync::Arc, time::Instant};

use radiosonde_core::{
    batch::Batch,
    loss::Lost,
    metrics::self_metrics::{Component, QueueMeter, Signal},
};

/// `otel.component.type` of an exporter's queue.
const COMPONENT_TYPE: &str = "radiosonde_exporter_queue";

/// Most records and bytes of memory that are merged; a batch that is larger by itself stays as it is. While they are
/// merged they take their memory twice.
const MERGED_RECORDS_MAX: usize = 8192;
const MERGED_BYTES_MAX: usize = 1024 * 1024;

/// A batch and how many of its records are spans; the others are logs in OpenTelemetry's terms.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) batch: Arc<Batch>,
    spans: u64,
    made: Instant,
}

impl Load {
    pub(super) fn new(batch: Arc<Batch>) -> Self {
        Self {
            spans: batch.counts().spans as u64,
            batch,
            made: Instant::now(),
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.batch.len() as u64
    }
}

/// Batches that the exporter gets as one.
#[derive(Default)]
pub(super) struct Collected {
    loads: Vec<Load>,
    records: usize,
    bytes: usize,
}

impl Collected {
    /// Whether `load` may be one with these.
    pub(super) fn takes(&self, load: &Load) -> bool {
        let batch = &load.batch;
        self.loads.first().is_none_or(|first| {
            let (known, new) = (first.batch.resource(), batch.resource());
            (Arc::ptr_eq(known, new) || known == new)
                && self.records + batch.len() <= MERGED_RECORDS_MAX
                && self.bytes + batch.bytes() <= MERGED_BYTES_MAX
        })
    }

    pub(super) fn push(&mut self, load: Load) {
        self.records += load.batch.len();
        self.bytes += load.batch.bytes();
        self.loads.push(load);
    }

    pub(super) const fn records(&self) -> usize {
        self.records
    }

    /// Since when the first of them waits; `None` where there is none.
    pub(super) fn since(&self) -> Option<Instant> {
        Some(self.loads.first()?.made)
    }

    pub(super) fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// All of them as one, in order.
    pub(super) fn merged(mut self) -> Arc<Batch> {
        if self.loads.len() == 1
            && let Some(only) = self.loads.pop()
        {
            return only.batch;
        }
        let resource = self.loads.first().map(|first| first.batch.resource());
        let mut merged = Batch::new(resource.map(Arc::clone).unwrap_or_default());
        for load in self.loads {
            for record in load.batch.records() {
                merged.push(&record);
            }
        }
        Arc::new(merged)
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
