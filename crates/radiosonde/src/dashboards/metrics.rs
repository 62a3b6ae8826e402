//! Which metrics there are, and what Prometheus calls them.

use std::collections::BTreeMap;

use radiosonde_core::{
    catalogue,
    event::{Descriptor, Role},
    metrics::snapshot::{Data, Metric},
    model::Text,
};

use crate::encode::openmetrics;

/// A metric as Prometheus has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    /// What its samples are called; of a histogram, without `_bucket`, `_sum` and `_count`.
    pub(super) name: String,
    /// `counter`, `gauge` or `histogram`.
    pub(super) kind: &'static str,
    /// In UCUM.
    pub(super) unit: &'static str,
    /// The labels that its series may have, in OpenTelemetry's names.
    pub(super) labels: Vec<&'static str>,
}

/// A metric of programs with this library that is fed by no event.
struct Own {
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
}

const fn own(
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
) -> Own {
    Own {
        name,
        kind,
        unit,
        labels,
    }
}

/// What `#[instrument]` measures, and what is read of the process. That they are called so is held by the test that asks
/// a Prometheus for every panel.
const OWN: [Own; 4] = [
    own("function.calls", "counter", "{call}", &["function"]),
    own(
        "function.errors",
        "counter",
        "{call}",
        &["function", "error.type"],
    ),
    own("function.duration", "histogram", "s", &["function"]),
    own("process.memory.usage", "gauge", "By", &[]),
];

/// Metrics by their OpenTelemetry names.
#[derive(Debug)]
pub(super) struct Known(BTreeMap<&'static str, Shown>);

impl Known {
    /// What these events feed, and what every program has.
    pub(super) fn of(events: &[&'static Descriptor]) -> Self {
        let mut known = Self(BTreeMap::new());
        for own in &OWN {
            known.add(own.name, own.kind, own.unit, own.labels);
        }
        for &event in events {
            let labels: Vec<_> = event
                .fields
                .iter()
                .filter(|field| matches!(field.role, Role::Label))
                .map(|field| field.name)
                .collect();
            for (name, kind, unit) in catalogue::metrics(event) {
                known.add(name, kind, unit, &labels);
            }
        }
        known
    }

    pub(super) fn get(&self, name: &str) -> Option<&Shown> {
        self.0.get(name)
    }

    /// Several events may feed a metric, each with labels of its own.
    fn add(
        &mut self,
        name: &'static str,
        kind: &'static str,
        unit: &'static str,
        labels: &[&'static str],
    ) {
        let shown = self.0.entry(name).or_insert_with(|| Shown {
            name: sample_name(name, kind, unit),
            kind,
            unit,
            labels: Vec::new(),
        });
        for label in labels {
            if !shown.labels.contains(label) {
                shown.labels.push(label);
            }
        }
    }
}

fn sample_name(name: &'static str, kind: &'static str, unit: &'static str) -> String {
    openmetrics::sample_name(&Metric {
        name: Text::Borrowed(name),
        description: Text::Borrowed(""),
        unit: Text::Borrowed(unit),
        data: match kind {
            "counter" => Data::Counter(Vec::new()),
            "histogram" => Data::Histogram(Vec::new()),
            _ => Data::Gauge(Vec::new()),
        },
    })
}
