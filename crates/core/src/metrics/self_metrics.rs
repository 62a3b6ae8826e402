//! Radiosonde's metrics of itself, under OpenTelemetry's names (semantic conventions 1.44, `otel.sdk.*`), and what was
//! lost, by reason.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use super::{
    Counter, Histogram, UpDownCounter, counter, histogram,
    snapshot::{Data, Labels, Metric, Number, Series},
    up_down_counter,
};
use crate::{
    loss,
    model::{Text, Value},
};

/// A metric of Radiosonde's own, as the documentation lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// The name.
    pub name: &'static str,
    /// `counter`, `updowncounter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The unit in UCUM.
    pub unit: &'static str,
    /// What it means.
    pub description: &'static str,
    /// The labels it may have.
    pub labels: &'static [&'static str],
}

const COMPONENT: &[&str] = &["otel.component.type", "otel.component.name"];
const COMPONENT_ERROR: &[&str] = &["otel.component.type", "otel.component.name", "error.type"];

const LOST: Described = Described {
    name: "radiosonde.lost",
    kind: "counter",
    unit: "{record}",
    description: "Records that were not kept, by reason.",
    labels: &["error.type"],
};
const OVERFLOW: Described = Described {
    name: "radiosonde.metric.overflow",
    kind: "counter",
    unit: "{lookup}",
    description: "How often a label set was asked for that is beyond its metric's limit; what is measured there is in \
         the metric's overflow series.",
    labels: &[],
};
const COLLECTION: Described = Described {
    name: "otel.sdk.metric_reader.collection.duration",
    kind: "histogram",
    unit: "s",
    description: "How long reading all metrics took.",
    labels: &[],
};
const OPERATION: Described = Described {
    name: "otel.sdk.exporter.operation.duration",
    kind: "histogram",
    unit: "s",
    description: "How long one export took, from the call to the destination's answer.",
    labels: COMPONENT_ERROR,
};

const fn exported(name: &'static str) -> Described {
    Described {
        name,
        kind: "counter",
        unit: "{record}",
        description: "Records for which the export has ended; error.type says which were not delivered.",
        labels: COMPONENT_ERROR,
    }
}

const fn inflight(name: &'static str) -> Described {
    Described {
        name,
        kind: "updowncounter",
        unit: "{record}",
        description: "Records handed to the exporter whose export has not ended.",
        labels: COMPONENT,
    }
}

const fn processed(name: &'static str) -> Described {
    Described {
        name,
        kind: "counter",
        unit: "{record}",
        description: "Records that left the queue towards the exporter; error.type says which were dropped instead.",
        labels: COMPONENT_ERROR,
    }
}

const fn queue_size(name: &'static str) -> Described {
    Described {
        name,
        kind: "updowncounter",
        unit: "{record}",
        description: "Records waiting in the queue.",
        labels: COMPONENT,
    }
}

const fn queue_capacity(name: &'static str) -> Described {
    Described {
        name,
        kind: "updowncounter",
        unit: "{record}",
        description: "Most records that can wait in the queue.",
        labels: COMPONENT,
    }
}

/// Every metric of Radiosonde's own, in the order of the documentation.
pub const CATALOGUE: &[Described] = &[
    LOST,
    OVERFLOW,
    COLLECTION,
    OPERATION,
    exported("otel.sdk.exporter.span.exported"),
    inflight("otel.sdk.exporter.span.inflight"),
    exported("otel.sdk.exporter.log.exported"),
    inflight("otel.sdk.exporter.log.inflight"),
    exported("otel.sdk.exporter.metric_data_point.exported"),
    inflight("otel.sdk.exporter.metric_data_point.inflight"),
    processed("otel.sdk.processor.span.processed"),
    queue_size("otel.sdk.processor.span.queue.size"),
    queue_capacity("otel.sdk.processor.span.queue.capacity"),
    processed("otel.sdk.processor.log.processed"),
    queue_size("otel.sdk.processor.log.queue.size"),
    queue_capacity("otel.sdk.processor.log.queue.capacity"),
];

/// What is counted. Typed events are logs in OpenTelemetry's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Span,
    /// Logs and events.
    Log,
    /// Series of metrics.
    MetricDataPoint,
}

impl Signal {
    const fn word(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Log => "log",
            Self::MetricDataPoint => "metric_data_point",
        }
    }
}

fn described(name: &str) -> &'static Described {
    CATALOGUE
        .iter()
        .find(|described| described.name == name)
        .unwrap_or(&LOST)
}

fn counted(name: String) -> super::Family<Counter> {
    let Described {
        unit, description, ..
    } = *described(&name);
    counter(name).unit(unit).description(description).build()
}

fn in_flight(name: String, labels: &[(&str, &str)]) -> UpDownCounter {
    let Described {
        unit, description, ..
    } = *described(&name);
    up_down_counter(name)
        .unit(unit)
        .description(description)
        .with(labels)
}

static OVERFLOWS: AtomicU64 = AtomicU64::new(0);

/// A label set is beyond its metric's limit. Nothing is lost by it but the labels, so it is counted apart from losses.
#[inline]
pub(super) fn count_overflow() {
    OVERFLOWS.fetch_add(1, Relaxed);
}

/// How often a label set was asked for that is beyond its metric's limit, since the process started.
pub fn overflows() -> u64 {
    OVERFLOWS.load(Relaxed)
}

/// Adds what was lost, by reason, to a snapshot, and what lost its labels alone.
pub fn lost(metrics: &mut Vec<Metric>) {
    if overflows() > 0 {
        metrics.push(total(&OVERFLOW, vec![number(Arc::new([]), overflows())]));
    }
    let series: Vec<_> = loss::report()
        .into_iter()
        .map(|(reason, records)| {
            let label = Value::Str(Text::Borrowed(reason.label()));
            number(Arc::new([(Text::Borrowed("error.type"), label)]), records)
        })
        .collect();
    if !series.is_empty() {
        metrics.push(total(&LOST, series));
    }
}

fn number(labels: Labels, value: u64) -> Series<Number> {
    Series {
        labels,
        start_unix_ns: *START,
        value: Number::U64(value),
        exemplars: Vec::new(),
    }
}

fn total(described: &Described, series: Vec<Series<Number>>) -> Metric {
    Metric {
        name: Text::Borrowed(described.name),
        description: Text::Borrowed(described.description),
        unit: Text::Borrowed(described.unit),
        data: Data::Counter(series),
    }
}

static START: LazyLock<u64> = LazyLock::new(crate::clock::now_unix_ns);

/// Runs `collect` and records how long it took. The reading shows from the next snapshot on.
pub(super) fn timed<T>(collect: impl FnOnce() -> T) -> T {
    static DURATION: LazyLock<Histogram> = LazyLock::new(|| {
        histogram(COLLECTION.name)
            .unit(COLLECTION.unit)
            .description(COLLECTION.description)
            .handle()
    });
    let start = Instant::now();
    let collected = collect();
    DURATION.record_duration(start.elapsed());
    collected
}

/// The labels that name a part of the pipeline.
#[derive(Clone, Debug)]
pub struct Component {
    /// `otel.component.type`, for example `otlp_http_exporter`.
    pub component_type: Text,
    /// `otel.component.name`, unique in the process, for example `otlp_http_exporter/0`.
    pub name: Text,
}

impl Component {
    /// The part of that type that `instance` tells from others of its type.
    pub fn new(component_type: &'static str, instance: impl std::fmt::Display) -> Self {
        Self {
            component_type: Text::Borrowed(component_type),
            name: Text::Owned(format!("{component_type}/{instance}")),
        }
    }

    fn labels(&self) -> [(&str, &str); 2] {
        [
            ("otel.component.type", &self.component_type),
            ("otel.component.name", &self.name),
        ]
    }
}

/// What became of records that an exporter sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// All were taken.
    Delivered,
    /// So many of them were refused for good, the others taken.
    Refused {
        /// How many.
        records: u64,
        /// `error.type`.
        error: &'a str,
    },
    /// None was taken, and they are sent again: their export has not ended.
    ToBeRetried {
        /// `error.type`.
        error: &'a str,
    },
}

/// An exporter's account of itself for one signal.
#[derive(Debug)]
pub struct ExporterMeter {
    component: Component,
    exported: super::Family<Counter>,
    delivered: Counter,
    inflight: UpDownCounter,
    operation: super::Family<Histogram>,
}

impl ExporterMeter {
    /// The meter of an exporter.
    pub fn new(component: Component, signal: Signal) -> Self {
        let word = signal.word();
        let exported = counted(format!("otel.sdk.exporter.{word}.exported"));
        let labels = component.labels();
        Self {
            delivered: exported.with(&labels),
            inflight: in_flight(format!("otel.sdk.exporter.{word}.inflight"), &labels),
            operation: histogram(OPERATION.name)
                .unit(OPERATION.unit)
                .description(OPERATION.description)
                .build(),
            exported,
            component,
        }
    }

    /// `records` are on their way.
    pub fn started(&self, records: u64) {
        self.inflight.add(records as i64);
    }

    /// Of what began with [`started`](Self::started), `records` are to be sent again: they are no longer on their way, and
    /// [`ended`](Self::ended) is told of the others.
    pub fn set_aside(&self, records: u64) {
        self.inflight.add(-(records as i64));
    }

    /// What began with [`started`](Self::started) and as many `records` has ended after `seconds`.
    pub fn ended(&self, records: u64, seconds: f64, outcome: Outcome<'_>) {
        self.inflight.add(-(records as i64));
        let [a, b] = self.component.labels();
        let (failed, error_type) = match outcome {
            Outcome::Delivered => (0, None),
            Outcome::Refused { records, error } => (records, Some(error)),
            Outcome::ToBeRetried { error } => (0, Some(error)),
        };
        match error_type {
            None => self.operation.with(&[a, b]).record(seconds),
            Some(error_type) => {
                let labels = [a, b, ("error.type", error_type)];
                self.operation.with(&labels).record_failed(seconds);
                if failed > 0 {
                    self.exported.with(&labels).add(failed);
                }
            }
        }
        if !matches!(outcome, Outcome::ToBeRetried { .. }) {
            self.delivered.add(records.saturating_sub(failed));
        }
    }
}

/// A queue's account of itself for one signal.
#[derive(Debug)]
pub struct QueueMeter {
    component: Component,
    processed: super::Family<Counter>,
    passed: Counter,
    size: UpDownCounter,
    capacity: (UpDownCounter, i64),
}

impl QueueMeter {
    /// The meter of a queue that holds `capacity` records.
    pub fn new(component: Component, signal: Signal, capacity: u64) -> Self {
        let word = signal.word();
        let labels = component.labels();
        let processed = counted(format!("otel.sdk.processor.{word}.processed"));
        let capacity = (
            in_flight(format!("otel.sdk.processor.{word}.queue.capacity"), &labels),
            capacity as i64,
        );
        capacity.0.add(capacity.1);
        Self {
            capacity,
            passed: processed.with(&labels),
            size: in_flight(format!("otel.sdk.processor.{word}.queue.size"), &labels),
            processed,
            component,
        }
    }

    /// `records` came into the queue.
    pub fn entered(&self, records: u64) {
        self.size.add(records as i64);
    }

    /// `records` left the queue towards the exporter.
    pub fn left(&self, records: u64) {
        self.size.add(-(records as i64));
        self.passed.add(records);
    }

    /// `records` that had come into the queue were given up.
    pub fn given_up(&self, records: u64, error_type: &str) {
        self.size.add(-(records as i64));
        self.refused(records, error_type);
    }

    /// `records` were refused at the queue.
    pub fn refused(&self, records: u64, error_type: &str) {
        let [a, b] = self.component.labels();
        let labels = [a, b, ("error.type", error_type)];
        self.processed.with(&labels).add(records);
    }
}

impl Drop for QueueMeter {
    fn drop(&mut self) {
        let (capacity, records) = &self.capacity;
        capacity.add(-records);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{loss::Lost, metrics};

    #[test]
    fn every_loss_is_a_series_that_a_user_can_see() {
        loss::count(Lost::NameLimit, 2);
        let mut found = Vec::new();
        lost(&mut found);
        // What other tests of the process overflow stands before it.
        let lost = found.iter().find(|metric| metric.name == LOST.name);
        let Data::Counter(series) = &lost.unwrap().data else {
            panic!()
        };
        assert!(series.iter().any(|series| {
            series.labels[0].1 == Value::from("name_limit")
                && matches!(series.value, Number::U64(records) if records >= 2)
        }));
    }

    #[test]
    fn what_the_pipeline_does_is_in_the_catalogue_under_opentelemetry_names() {
        let component = Component::new("test_exporter", 0);
        let exporter = ExporterMeter::new(component.clone(), Signal::Span);
        exporter.started(5);
        exporter.ended(3, 0.1, Outcome::Delivered);
        let error = "rejected";
        exporter.ended(2, 0.2, Outcome::Refused { records: 2, error });
        let queue = QueueMeter::new(component, Signal::Log, 100);
        queue.entered(7);
        queue.left(6);
        queue.refused(1, "queue_full");
        metrics::snapshot(&Arc::default());
        let snapshot = metrics::snapshot(&Arc::default());
        let names: Vec<_> = snapshot
            .metrics
            .iter()
            .map(|metric| &*metric.name)
            .collect();
        for name in [
            "otel.sdk.exporter.span.exported",
            "otel.sdk.exporter.span.inflight",
            "otel.sdk.exporter.operation.duration",
            "otel.sdk.processor.log.processed",
            "otel.sdk.processor.log.queue.size",
            "otel.sdk.processor.log.queue.capacity",
            "otel.sdk.metric_reader.collection.duration",
        ] {
            assert!(names.contains(&name), "{name} is not in {names:?}");
            assert_eq!(described(name).name, name);
        }
        let inflight = &snapshot.metrics[names
            .iter()
            .position(|&name| name == "otel.sdk.exporter.span.inflight")
            .unwrap()];
        let Data::UpDownCounter(series) = &inflight.data else {
            panic!()
        };
        assert_eq!(series[0].value, Number::I64(0));
    }
}
