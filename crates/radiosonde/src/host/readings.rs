//! What one pass over `/proc` gives, metric by metric.

use std::fs;

use super::{Before, Kind, Labels, Read, proc, read_own_stat};
use radiosonde_core::metrics::snapshot::Number;

/// What one pass over `/proc` gives.
#[derive(Default)]
pub(super) struct Readings {
    pub(super) metrics: Vec<Read>,
}

/// One label.
pub(super) fn labelled(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

impl Readings {
    pub(super) fn put(
        &mut self,
        kind: Kind,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        series: Vec<(Labels, Number)>,
    ) {
        if !series.is_empty() {
            self.metrics.push(Read {
                name,
                unit,
                description,
                kind,
                series,
            });
        }
    }

    pub(super) fn one(
        &mut self,
        kind: Kind,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        value: Option<Number>,
    ) {
        let series = value.map(|value| (Vec::new(), value)).into_iter().collect();
        self.put(kind, name, unit, description, series);
    }

    pub(super) fn read(&mut self, mut now: Before, before: Option<&Before>) -> Before {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let host = proc::cpu_times(&stat);
        let processors = host.map_or(1, |(_, processors)| processors.max(1));
        if let Some(process) = read_own_stat() {
            now.process = Some((process.user, process.system));
            self.process(&process, &now, before, processors);
        }
        self.process_status();
        if let Some((times, processors)) = host {
            now.host = Some(times);
            self.processors(&times, processors, before.and_then(|before| before.host));
        }
        self.memory();
        self.disks();
        now
    }
}
