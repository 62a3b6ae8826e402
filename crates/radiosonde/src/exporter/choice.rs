//! What of the telemetry is for a destination: some of the signals, targets and metrics, and what is for outsiders.

use std::time::Instant;

use radiosonde_core::{
    batch::{Batch, RecordRef},
    filter::Filter,
    metrics::snapshot::{Metric, Snapshot},
    model::Severity,
};
use tracing::{Level, level_filters::LevelFilter};

use super::{Batching, Condition, ExportError, Exporter};

/// Whose a destination is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// Those who run the program.
    #[default]
    Internal,
    /// Others: metrics that are internal are not for them.
    External,
}

/// What is chosen for one destination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Which spans, logs and events, by target and level, in the syntax of `RUST_LOG`; all unless said.
    pub filter: Option<Filter>,
    /// Which metrics, by name, where `*` at the end stands for anything; all unless said.
    pub metrics: Vec<String>,
    /// Whose it is.
    pub audience: Audience,
}

impl Choice {
    /// Whether everything is for it.
    pub fn is_everything(&self) -> bool {
        self.filter.is_none() && self.metrics.is_empty() && self.audience == Audience::Internal
    }

    fn takes(&self, record: &RecordRef<'_>) -> bool {
        let Some(filter) = &self.filter else {
            return true;
        };
        let off = LevelFilter::OFF;
        match record {
            RecordRef::Span(span) => filter.enabled(span.metadata(), off),
            RecordRef::Log(log) => filter.allows(log.target(), *log.metadata().level(), off),
            RecordRef::Event(event) => {
                let descriptor = event.descriptor();
                filter.allows(descriptor.target, level(descriptor.severity), off)
            }
        }
    }

    fn takes_metric(&self, metric: &Metric, internal: &[String]) -> bool {
        let chosen = self.metrics.is_empty() || matches(&self.metrics, &metric.name);
        chosen && (self.audience == Audience::Internal || !matches(internal, &metric.name))
    }
}

const fn level(severity: Severity) -> Level {
    match severity {
        Severity::Trace => Level::TRACE,
        Severity::Debug => Level::DEBUG,
        Severity::Info => Level::INFO,
        Severity::Warn => Level::WARN,
        Severity::Error => Level::ERROR,
    }
}

fn matches(patterns: &[String], name: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == pattern,
        })
}

/// An exporter that gets what was chosen for it, under a name of its own.
pub(crate) struct Chosen {
    pub(crate) name: &'static str,
    pub(crate) choice: Choice,
    /// Names of metrics that are for [`Audience::Internal`] alone.
    pub(crate) internal_metrics: Vec<String>,
    pub(crate) exporter: Box<dyn Exporter>,
}

impl Exporter for Chosen {
    fn name(&self) -> &'static str {
        self.name
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        if self.choice.filter.is_none() {
            return self.exporter.export(batch);
        }
        let chosen = batch.filtered(|record| self.choice.takes(record));
        if chosen.is_empty() {
            return Ok(());
        }
        self.exporter.export(&chosen)
    }

    fn export_metrics(&mut self, snapshot: &Snapshot) -> Result<(), ExportError> {
        let takes = |metric: &&Metric| self.choice.takes_metric(metric, &self.internal_metrics);
        if snapshot.metrics.iter().all(|metric| takes(&metric)) {
            return self.exporter.export_metrics(snapshot);
        }
        let chosen = Snapshot {
            resource: snapshot.resource.clone(),
            metrics: snapshot.metrics.iter().filter(takes).cloned().collect(),
            ..*snapshot
        };
        self.exporter.export_metrics(&chosen)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.exporter.flush()
    }

    fn flush_by(&mut self, deadline: Instant) -> Result<(), ExportError> {
        self.exporter.flush_by(deadline)
    }

    fn close(&mut self) -> Result<(), ExportError> {
        self.exporter.close()
    }

    fn flush_interval(&self) -> Option<std::time::Duration> {
        self.exporter.flush_interval()
    }

    fn batching(&self) -> Option<Batching> {
        self.exporter.batching()
    }

    fn condition(&self) -> Option<Condition> {
        self.exporter.condition()
    }

    #[cfg(feature = "otlp-http")]
    fn peers(&self) -> Vec<super::Peer> {
        self.exporter.peers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_chosen_by_name_and_by_whose_they_are() {
        let metric = |name: &'static str| Metric {
            name: name.into(),
            description: "".into(),
            unit: "".into(),
            data: radiosonde_core::metrics::snapshot::Data::Gauge(Vec::new()),
        };
        let internal = ["otel.sdk.*".to_owned(), "secret".to_owned()];
        let taken = |choice: &Choice| {
            let names = ["otel.sdk.span.live", "secret", "secrets", "gpu.power"];
            let taken = |name: &&'static str| choice.takes_metric(&metric(name), &internal);
            names
                .into_iter()
                .filter(taken)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let mut choice = Choice::default();
        assert!(choice.is_everything());
        assert_eq!(
            taken(&choice),
            "otel.sdk.span.live secret secrets gpu.power"
        );
        choice.audience = Audience::External;
        assert_eq!(taken(&choice), "secrets gpu.power");
        choice.metrics = vec!["secret*".to_owned()];
        assert_eq!(taken(&choice), "secrets");
        choice.audience = Audience::Internal;
        assert_eq!(taken(&choice), "secret secrets");
    }
}
